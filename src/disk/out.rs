//! Where a file system is written: a partition within the disk.

use std::fs::File;
use std::io;
use std::path::Path;

use super::error::Error;
use super::layout::Partition;
use crate::writing::{self, Filling};

/// A partition within the disk file, which has its full length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out<'a> {
    file: &'a File,
    path: &'a Path,
    start: u64,
}

impl<'a> Out<'a> {
    pub(super) fn new((file, path): (&'a File, &'a Path), partition: &Partition) -> Self {
        Self { file, path, start: partition.start }
    }

    /// Writes from an offset in the partition on, in bytes.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        writing::write_all_at(self.file, bytes, self.start + offset).map_err(Error::io("write", self.path))
    }

    /// The disk, for many threads, and where in it the partition begins, in bytes.
    pub(super) fn filling(&self) -> (Filling<'a, impl Fn(io::Error) -> Error>, u64) {
        let path = self.path;
        (Filling::new(self.file, move |error| Error::io("write", path)(error)), self.start)
    }
}
