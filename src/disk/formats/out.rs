//! The file that a disk is written to: bytes at offsets, and the tables that say where blocks lie.

use std::fs::File;
use std::path::Path;

use super::raw::is_zero;
use super::{Error, Result};
use crate::writing;

/// Bytes of a table that are gathered before they are written.
const WINDOW: usize = 64 << 10;

/// The length of zeros that become a hole.
const HOLE: usize = 64 << 10;

/// A file that is being written; `path` is its name, for errors.
#[derive(Debug, Clone, Copy)]
pub struct Out<'a> {
    file: &'a File,
    path: &'a Path,
}

impl<'a> Out<'a> {
    /// A file whose content is replaced.
    ///
    /// # Errors
    /// A file that cannot be emptied.
    pub fn new(file: &'a File, path: &'a Path) -> Result<Self> {
        writing::empty(file).map_err(Error::io("empty", path))?;
        Ok(Self { file, path })
    }

    /// A file whose content stays.
    pub fn of(file: &'a File, path: &'a Path) -> Self {
        Self { file, path }
    }

    pub(super) fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        writing::write_all_at(self.file, bytes, offset).map_err(Error::io("write", self.path))
    }

    /// Writes bytes but for those that are zeros from a multiple of [`HOLE`] on, which must not be there yet. Returns how many were written.
    pub(super) fn put_sparse(&self, mut offset: u64, mut bytes: &[u8]) -> Result<u64> {
        let mut written = 0;
        while !bytes.is_empty() {
            let len = (HOLE - (offset % HOLE as u64) as usize).min(bytes.len());
            let (piece, rest) = bytes.split_at(len);
            if !is_zero(piece) {
                self.put(offset, piece)?;
                written += len as u64;
            }
            offset += len as u64;
            bytes = rest;
        }
        Ok(written)
    }

    /// Sets the length; what is new is a hole.
    pub(super) fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(Error::io("size", self.path))
    }
}

/// A table of entries with `N` bytes each, which are set in ascending order. Entries that are never set have the bytes `empty`. Memory stays the same
/// whatever the length of the table.
#[derive(Debug)]
#[must_use = "a table is not whole before `finish`"]
pub(super) struct Table<'a, const N: usize> {
    out: Out<'a>,
    offset: u64,
    count: u64,
    empty: [u8; N],
    /// The entries that are not written yet, and the number of the first of them.
    window: Vec<u8>,
    first: u64,
}

impl<'a, const N: usize> Table<'a, N> {
    /// A table of `count` entries at `offset` of the file.
    pub(super) fn new(out: Out<'a>, offset: u64, count: u64, empty: [u8; N]) -> Self {
        Self { out, offset, count, empty, window: Vec::with_capacity(WINDOW + N), first: 0 }
    }

    pub(super) fn set(&mut self, index: u64, entry: [u8; N]) -> Result<()> {
        debug_assert!(index < self.count && index >= self.next(), "entries are set in ascending order");
        self.fill(index)?;
        self.window.extend_from_slice(&entry);
        Ok(())
    }

    /// Writes what is not written yet.
    pub(super) fn finish(mut self) -> Result<()> {
        self.fill(self.count)?;
        self.flush()
    }

    /// The number of the entry after the last.
    fn next(&self) -> u64 {
        self.first + (self.window.len() / N) as u64
    }

    /// Adds empty entries up to `index`.
    fn fill(&mut self, index: u64) -> Result<()> {
        while self.next() < index {
            if self.window.len() >= WINDOW {
                self.flush()?;
            }
            // Where an empty entry is zero, the file has a hole.
            if self.window.is_empty() && self.empty == [0; N] {
                self.first = index;
                return Ok(());
            }
            let missing = (index - self.next()).min(((WINDOW - self.window.len()) / N + 1) as u64);
            self.window.extend(std::iter::repeat_n(self.empty, missing as usize).flatten());
        }
        if self.window.len() >= WINDOW { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.out.put(self.offset + self.first * N as u64, &self.window)?;
        self.first = self.next();
        self.window.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        #[test]
        fn a_table_has_the_entries_that_were_set(set in proptest::collection::btree_map(0_u64..30_000, any::<[u8; 4]>(), 0..40), empty in prop_oneof![Just([0; 4]), Just([255; 4])]) {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut table = Table::new(Out::new(file.as_file(), file.path()).unwrap(), 3, 30_000, empty);
            let mut expected = vec![empty; 30_000];
            for (index, entry) in set {
                table.set(index, entry).unwrap();
                expected[index as usize] = entry;
            }
            table.finish().unwrap();
            let mut bytes = std::fs::read(file.path()).unwrap();
            bytes.resize(120_003, 0);
            prop_assert_eq!(&bytes[3..], expected.concat());
        }
    }
}
