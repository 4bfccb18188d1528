//! The checksums of ext4 (feature `metadata_csum`): each begins with the identifier of the file system, so that no block of another is taken for its own.

use super::BLOCK;
use super::features::Features;
use crate::disk::crc32c::crc32c;

/// What checksums begin with; without the feature there are none, and nothing is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checksums {
    seed: Option<u32>,
}

/// The offsets of an inode's checksum: its lower and its upper half.
const OF_INODE: [usize; 2] = [124, 130];

/// The offset of the checksum in a block of extended attributes.
const OF_ATTRIBUTES: usize = 16;

impl Checksums {
    pub(super) fn new(features: Features, uuid: &[u8; 16]) -> Self {
        Self { seed: features.has_checksums().then(|| crc32c(!0, uuid)) }
    }

    /// Seals an inode of its full length.
    pub(super) fn inode(self, number: u32, inode: &mut [u8]) {
        let Some(seed) = self.of_file(number) else { return };
        for at in OF_INODE {
            inode[at..at + 2].fill(0);
        }
        let sum = crc32c(seed, inode).to_le_bytes();
        for (at, half) in OF_INODE.into_iter().zip(sum.chunks_exact(2)) {
            inode[at..at + 2].copy_from_slice(half);
        }
    }

    /// Seals a block of a file's own metadata: its last four bytes become the checksum of what is before the last `tail` bytes.
    pub(super) fn block_of_file(self, number: u32, block: &mut [u8], tail: usize) {
        let Some(seed) = self.of_file(number) else { return };
        let end = block.len();
        let sum = crc32c(seed, &block[..end - tail]);
        block[end - 4..].copy_from_slice(&sum.to_le_bytes());
    }

    /// Seals a block of extended attributes.
    pub(super) fn attributes(self, number: u64, block: &mut [u8]) {
        let Some(seed) = self.seed else { return };
        block[OF_ATTRIBUTES..OF_ATTRIBUTES + 4].fill(0);
        let sum = crc32c(crc32c(seed, &number.to_le_bytes()), block);
        block[OF_ATTRIBUTES..OF_ATTRIBUTES + 4].copy_from_slice(&sum.to_le_bytes());
    }

    /// The checksum of the first bytes of a bitmap; zero where there are none.
    pub(super) fn bitmap(self, bytes: &[u8]) -> u32 {
        self.seed.map_or(0, |seed| crc32c(seed, bytes))
    }

    /// The checksum of a group descriptor whose own is zero.
    pub(super) fn descriptor(self, group: u32, descriptor: &[u8]) -> u16 {
        self.seed.map_or(0, |seed| crc32c(crc32c(seed, &group.to_le_bytes()), descriptor) as u16)
    }

    /// The checksum of a superblock but for its last four bytes. It begins with nothing, for it has the identifier itself.
    pub(super) fn superblock(self, bytes: &[u8]) -> u32 {
        self.seed.map_or(0, |_| crc32c(!0, bytes))
    }

    pub(super) fn exist(self) -> bool {
        self.seed.is_some()
    }

    /// What a checksum of something of a file begins with: also with the file's number and its generation, which is zero.
    fn of_file(self, number: u32) -> Option<u32> {
        Some(crc32c(crc32c(self.seed?, &number.to_le_bytes()), &[0; 4]))
    }
}

/// Bytes at the end of a block of a folder that are its checksum, in the form of an entry without a name.
pub(super) const FOLDER_TAIL: usize = 12;

/// Bytes at the end of a block of extents that are its checksum.
pub(super) const EXTENTS_TAIL: usize = 4;

const _: () = assert!((BLOCK as usize - 12 - EXTENTS_TAIL).is_multiple_of(12), "the checksum of a block of extents lies at its end");
