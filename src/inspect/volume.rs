//! A part of a disk, and stretches of it: bytes at offsets, none of them trusted.

use std::io;

use super::problem::{Problem, Result};
use crate::disk::formats::Source;

/// A part of a disk that may have a file system.
#[derive(Clone, Copy)]
pub(super) struct Volume<'a> {
    source: &'a dyn Source,
    /// Its first byte on the disk.
    pub(super) start: u64,
    /// Its length in bytes, as far as the disk has it.
    pub(super) len: u64,
}

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// How many bytes; more than 0.
    pub(super) len: u64,
    /// Where they are in the volume; none for zeros that are nowhere.
    pub(super) at: Option<u64>,
}

impl<'a> Volume<'a> {
    /// All of a disk.
    pub(super) fn whole(source: &'a dyn Source) -> Self {
        Self { source, start: 0, len: source.len() }
    }

    /// `len` bytes of this one, from `start` on; what is beyond its end is left out.
    pub(super) fn part(self, start: u64, len: u64) -> Self {
        let start = start.min(self.len);
        Self { source: self.source, start: self.start + start, len: len.min(self.len - start) }
    }

    /// Fills `buffer` with the bytes from `offset` on.
    pub(super) fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(Problem::CutOff);
        }
        self.source.fill(buffer, self.start + offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Problem::CutOff,
            _ => Problem::Io(error),
        })
    }

    /// `len` bytes from `offset` on; few enough for memory, which whoever asks has seen to.
    pub(super) fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Problem::CutOff);
        }
        let mut bytes = vec![0; len as usize];
        self.fill(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// The bytes of these runs, `limit` at most.
    pub(super) fn read_runs(&self, runs: &[Run], limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for run in runs {
            let have = bytes.len();
            let len = run.len.min(limit - have as u64);
            if run.at.is_some_and(|at| at.checked_add(len).is_none_or(|end| end > self.len)) {
                return Err(Problem::CutOff);
            }
            bytes.resize(have + len as usize, 0);
            if let Some(at) = run.at {
                self.fill(&mut bytes[have..], at)?;
            }
        }
        Ok(bytes)
    }
}

/// Appends a run, to the last one where it continues that.
pub(super) fn push(runs: &mut Vec<Run>, run: Run) {
    if run.len == 0 {
        return;
    }
    if let Some(last) = runs.last_mut() {
        let continues = match (last.at, run.at) {
            (Some(at), Some(next)) => at.checked_add(last.len) == Some(next),
            (None, None) => true,
            _ => false,
        };
        if continues && let Some(len) = last.len.checked_add(run.len) {
            last.len = len;
            return;
        }
    }
    runs.push(run);
}
