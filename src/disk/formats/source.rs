//! A file that is read as a disk: bytes at offsets, none of them trusted.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Problem;

/// Bytes of a table that are read at a time.
const WINDOW: u64 = 64 << 10;

/// Bytes at offsets: a file, or a slice in tests.
pub trait Source {
    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where there are too few, or what the operating system says.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let begin = usize::try_from(offset).ok();
        let bytes = begin.and_then(|begin| self.get(begin..begin.checked_add(buffer.len())?)).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// An open file and its length.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    len: u64,
}

impl FileSource {
    /// The file as it is now.
    ///
    /// # Errors
    /// A file that cannot be inspected.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

impl Source for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// The `N` bytes at `offset`.
pub(super) fn array<const N: usize>(source: &dyn Source, offset: u64) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    fill(source, &mut bytes, offset)?;
    Ok(bytes)
}

/// Fills `buffer` with the bytes from `offset` on.
pub(super) fn fill(source: &dyn Source, buffer: &mut [u8], offset: u64) -> Result<(), Problem> {
    source.fill(buffer, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Problem::CutOff,
        _ => Problem::Io(error),
    })
}

/// Checks that the file has all of `len` bytes at `offset`.
pub(super) fn within(source: &dyn Source, offset: u64, len: u64) -> Result<(), Problem> {
    match offset.checked_add(len) {
        Some(end) if end <= source.len() => Ok(()),
        _ => Err(Problem::CutOff),
    }
}

/// A table of entries with `N` bytes each, of which a window is in memory.
#[derive(Debug)]
pub(super) struct Entries<const N: usize> {
    offset: u64,
    count: u64,
    window: Vec<u8>,
    first: u64,
}

impl<const N: usize> Entries<N> {
    /// The table of `count` entries at `offset`, which must be in the file.
    pub(super) fn new(source: &dyn Source, offset: u64, count: u64) -> Result<Self, Problem> {
        within(source, offset, count.checked_mul(N as u64).ok_or(Problem::CutOff)?)?;
        Ok(Self { offset, count, window: Vec::new(), first: 0 })
    }

    /// One entry; [`Problem::CutOff`] beyond the last.
    pub(super) fn get(&mut self, source: &dyn Source, index: u64) -> Result<[u8; N], Problem> {
        if index >= self.count {
            return Err(Problem::CutOff);
        }
        let have = (self.window.len() / N) as u64;
        if index < self.first || index - self.first >= have {
            let count = (WINDOW / N as u64).min(self.count - index);
            self.window.clear();
            self.window.resize(count as usize * N, 0);
            fill(source, &mut self.window, self.offset + index * N as u64)?;
            self.first = index;
        }
        let begin = (index - self.first) as usize * N;
        let mut entry = [0; N];
        entry.copy_from_slice(&self.window[begin..begin + N]);
        Ok(entry)
    }
}
