//! Where files lie in a disk image.
//!
//! A map of this kind makes cuts better, and never wrong: it comes from bytes that nobody has proven, so whatever contradicts itself is left out, and what
//! is read and kept for it is bounded. It is a function of the image's bytes alone, so that an image is cut alike wherever it came from.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::{BLOCK, ext4};
use crate::format::number::{huge, long};
use crate::format::tree::{self, HEAD_LEN, Head};
use crate::progress::{Cancel, Cancelled};

/// Extents at most: those of 2 million files take 32 MiB. The rest of a disk with more is cut as if nothing were known of it.
pub(super) const EXTENT_LIMIT: usize = 1 << 21;

/// The length of a sector, in which partition tables count.
const SECTOR: u64 = 512;

/// Entries of a partition table that are looked at: as many as tables have.
const ENTRIES: usize = 128;

/// The length of an entry of a GUID partition table, as all have it.
const ENTRY_LEN: usize = 128;

/// The stretches of a disk that belong to one file each: not empty, ascending, disjoint, in whole blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files(Vec<Range<u64>>);

impl Files {
    /// The files in the file systems of a disk of `len` bytes; none where it has no file system that we can read. What cannot be read is no file here,
    /// and an error when the disk is cut.
    pub(super) fn on(disk: &File, len: u64, cancel: &Cancel) -> Result<Self, Cancelled> {
        if let Some(extents) = of_tree(disk, len) {
            return Ok(Self::new(extents, len));
        }
        let mut search = ext4::Search::new(cancel);
        for partition in partitions(disk, len) {
            search.visit(&Volume { disk, start: partition.start, len: partition.end - partition.start })?;
        }
        Ok(Self::new(search.into_extents(), len))
    }

    /// Takes what is within `len` bytes and does not overlap with what begins before it.
    pub(super) fn new(mut extents: Vec<Range<u64>>, len: u64) -> Self {
        extents.sort_unstable_by_key(|extent| (extent.start, extent.end));
        let mut end = 0;
        extents.retain(|extent| {
            let whole = extent.start.is_multiple_of(BLOCK) && extent.end.is_multiple_of(BLOCK);
            let fits = whole && extent.start >= end && extent.start < extent.end && extent.end <= len;
            if fits {
                end = extent.end;
            }
            fits
        });
        Self(extents)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Range<u64>> {
        self.0.get(number)
    }
}

/// A part of a disk that may have a file system.
pub(super) struct Volume<'a> {
    disk: &'a File,
    /// Its first byte on the disk.
    pub(super) start: u64,
    /// Its length in bytes.
    pub(super) len: u64,
}

impl Volume<'_> {
    /// `len` bytes from `offset` on; none where they cannot be read.
    pub(super) fn read(&self, offset: u64, len: u64) -> Option<Vec<u8>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.disk.read_exact_at(&mut bytes, self.start + offset).ok()?;
        Some(bytes)
    }
}

/// The files of a root tree that is kept like a disk.
fn of_tree(disk: &File, len: u64) -> Option<Vec<Range<u64>>> {
    let whole = Volume { disk, start: 0, len };
    let head = Head::decode(&whole.read(0, HEAD_LEN as u64)?, len).ok()?;
    let mut extents = tree::files(&tree::decode(&whole.read(head.offset, head.len)?, &head).ok()?);
    extents.truncate(EXTENT_LIMIT);
    Some(extents)
}

/// The partitions of a disk by its GUID partition table (UEFI 2.10, §5.3), but those that overlap an earlier one; all of it where it has none.
fn partitions(disk: &File, len: u64) -> Vec<Range<u64>> {
    let whole = Volume { disk, start: 0, len };
    let entries = || {
        let header = whole.read(SECTOR, SECTOR)?;
        (header.starts_with(b"EFI PART") && long(&header, 84)? as usize == ENTRY_LEN).then_some(())?;
        whole.read(huge(&header, 72)?.checked_mul(SECTOR)?, (ENTRIES.min(long(&header, 80)? as usize) * ENTRY_LEN) as u64)
    };
    let Some(entries) = entries() else { return std::iter::once(0..len).collect() };
    let range = |entry: &[u8]| {
        let (first, last) = (huge(entry, 32)?, huge(entry, 40)?);
        let range = first.checked_mul(SECTOR)?..last.checked_add(1)?.checked_mul(SECTOR)?;
        (entry[..16] != [0; 16] && range.start < range.end && range.end <= len).then_some(range)
    };
    let mut partitions: Vec<Range<u64>> = Vec::new();
    for range in entries.chunks_exact(ENTRY_LEN).filter_map(range) {
        if partitions.iter().all(|other| range.end <= other.start || other.end <= range.start) {
            partitions.push(range);
        }
    }
    partitions
}
