//! The raw disk that is written in other formats: a sparse file, walked from its first byte to its last, holes not read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::{Error, Result};
use crate::progress::{Cancel, Event, Phase, Progress};

/// Bytes read at a time, from a multiple of this on. All formats have blocks of which it is a multiple.
const WINDOW: usize = 1 << 20;

/// A raw disk in an open file; `path` is its name, for errors.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    file: &'a File,
    path: &'a Path,
    len: u64,
}

impl<'a> Raw<'a> {
    /// The disk in this file.
    ///
    /// # Errors
    /// A file that cannot be inspected.
    pub fn new(file: &'a File, path: &'a Path) -> Result<Self> {
        let len = file.metadata().map_err(Error::io("inspect", path))?.len();
        Ok(Self { file, path, len })
    }

    /// The length of the disk in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the disk has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Calls `each` with the number and the bytes of every block that holds something, in ascending order. The last block is filled up with zeros. Reports
    /// the bytes that were passed as [`Phase::Convert`].
    pub(super) fn blocks(
        &self,
        block: usize,
        progress: &dyn Progress,
        cancel: &Cancel,
        mut each: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        assert!(WINDOW.is_multiple_of(block), "the window has whole blocks");
        let mut buffer = vec![0; WINDOW];
        let mut offset = 0;
        while let Some(data) = self.next_data(offset)? {
            let start = data - data % WINDOW as u64;
            cancel.check()?;
            let len = (self.len - start).min(WINDOW as u64) as usize;
            self.file.read_exact_at(&mut buffer[..len], start).map_err(Error::io("read", self.path))?;
            buffer[len..].fill(0);
            for (index, bytes) in buffer.chunks_exact(block).enumerate().filter(|(_, bytes)| !is_zero(bytes)) {
                each(start / block as u64 + index as u64, bytes)?;
            }
            let end = start + len as u64;
            progress.report(Event::Advance { phase: Phase::Convert, by: end - offset });
            offset = end;
        }
        progress.report(Event::Advance { phase: Phase::Convert, by: self.len - offset });
        Ok(())
    }

    /// Where the next bytes are that are in no hole.
    pub(super) fn next_data(&self, from: u64) -> Result<Option<u64>> {
        if from >= self.len {
            return Ok(None);
        }
        match rustix::fs::seek(self.file, SeekFrom::Data(from)) {
            Ok(start) if start < self.len => Ok(Some(start)),
            Ok(_) | Err(Errno::NXIO) => Ok(None),
            Err(errno) => Err(Error::io("read", self.path)(errno)),
        }
    }

    /// Fills `buffer` with the bytes from `offset` on.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(Error::io("read", self.path))
    }
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Each byte is like the one before it: a comparison of memory, which is quick also where nothing is optimised.
    bytes.split_first().is_none_or(|(first, rest)| *first == 0 && *rest == bytes[..rest.len()])
}
