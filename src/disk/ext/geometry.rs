//! How large everything is, and where what is no file lies: superblocks, descriptors, bitmaps, inode tables.
//!
//! ```text
//! group 0    │ superblock │ descriptors │ room for more │ bitmaps of 16 groups │ their inode tables │ files …
//! group 1    │ copy       │ copy        │ room for more │ files …                  (also 3ⁿ, 5ⁿ, 7ⁿ)
//! group 2    │ files …
//! ```
//!
//! ext2 and ext3 have the bitmaps and the table of each group in itself.

use std::ops::Range;

use super::features::{Features, INODES_PER_BLOCK};
use super::{BLOCK, INODE, NUMBERS_PER_BLOCK};

/// The most blocks of a group: as many as a block has bits.
const BLOCKS_PER_GROUP: u64 = 8 * BLOCK;

/// The most inodes of a group: as many as a block has bits.
const INODES_PER_GROUP: u64 = 8 * BLOCK;

/// A last group with fewer blocks than its own needs and these is left out, as by `mke2fs`.
const LEAST_OF_LAST_GROUP: u64 = 50;

/// How many times a file system can grow while it is mounted, as by `mke2fs`.
const GROWTH: u64 = 1024;

/// The most blocks that are numbered in 32 bits: 16 TiB, and as long as a disk can be.
const MOST_BLOCKS: u64 = u32::MAX as u64;

/// The measures of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) features: Features,
    pub(super) blocks: u64,
    pub(super) blocks_per_group: u64,
    pub(super) groups: u64,
    pub(super) inodes_per_group: u64,
    /// Blocks of all group descriptors.
    pub(super) descriptor_blocks: u64,
    /// Blocks behind them for those of groups to come.
    pub(super) reserved_blocks: u64,
    /// Where what is no file lies, by group.
    pub(super) places: Vec<Places>,
}

/// Where a group has what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    /// The first block of the inode table.
    pub(super) inode_table: u64,
}

impl Geometry {
    /// Measures for a partition of `len` bytes with at least so many inodes; none where there is not even room for these.
    pub(super) fn of(features: Features, len: u64, inodes: u64) -> Option<Self> {
        // Groups are as large as they can be, but smaller where there are so many inodes that a group's bitmap would not count them.
        (0..8).find_map(|halved| Self::of_groups(features, len / BLOCK, BLOCKS_PER_GROUP >> halved, inodes))
    }

    fn of_groups(features: Features, blocks: u64, blocks_per_group: u64, inodes: u64) -> Option<Self> {
        let mut geometry = Self::with(features, blocks, blocks_per_group, inodes);
        let last = geometry.groups.checked_sub(1)?;
        let rest = blocks % blocks_per_group;
        if rest != 0 && rest < geometry.super_len(last) + 2 + geometry.table_blocks() + LEAST_OF_LAST_GROUP {
            geometry = Self::with(features, blocks - rest, blocks_per_group, inodes);
        }
        let fits = geometry.groups > 0 && geometry.inodes_per_group <= INODES_PER_GROUP && geometry.super_len(0) < blocks_per_group;
        (fits && geometry.place()).then_some(geometry)
    }

    fn with(features: Features, blocks: u64, blocks_per_group: u64, inodes: u64) -> Self {
        let groups = blocks.div_ceil(blocks_per_group);
        let descriptors_per_block = BLOCK / features.descriptor_len();
        let descriptor_blocks = groups.div_ceil(descriptors_per_block);
        let grown = (blocks * GROWTH).min(MOST_BLOCKS).div_ceil(blocks_per_group);
        let reserved_blocks = grown.div_ceil(descriptors_per_block).saturating_sub(descriptor_blocks).min(NUMBERS_PER_BLOCK);
        Self {
            features: if reserved_blocks == 0 { features.without_reserve() } else { features },
            blocks,
            blocks_per_group,
            groups,
            inodes_per_group: inodes.div_ceil(groups.max(1)).next_multiple_of(INODES_PER_BLOCK),
            descriptor_blocks,
            reserved_blocks,
            places: Vec::new(),
        }
    }

    /// Finds the places of bitmaps and tables; false where they do not fit.
    fn place(&mut self) -> bool {
        let together = 1 << self.features.log_groups_per_flex();
        for first in (0..self.groups).step_by(together) {
            let groups = first..(first + together as u64).min(self.groups);
            let mut next = groups.start * self.blocks_per_group;
            let mut take = |blocks: u64| {
                let start = self.clear_of_copies(next, blocks);
                next = start + blocks;
                start
            };
            let block_bitmaps: Vec<u64> = groups.clone().map(|_| take(1)).collect();
            let inode_bitmaps: Vec<u64> = groups.clone().map(|_| take(1)).collect();
            let tables: Vec<u64> = groups.clone().map(|_| take(self.table_blocks())).collect();
            if next > self.group(groups.end - 1).end {
                return false;
            }
            let places = block_bitmaps.into_iter().zip(inode_bitmaps).zip(tables);
            self.places.extend(places.map(|((block_bitmap, inode_bitmap), inode_table)| Places { block_bitmap, inode_bitmap, inode_table }));
        }
        true
    }

    /// The first block from `start` on from where so many lie in no superblock's place.
    fn clear_of_copies(&self, mut start: u64, blocks: u64) -> u64 {
        loop {
            let groups = start / self.blocks_per_group..=(start + blocks - 1) / self.blocks_per_group;
            let in_the_way = groups.map(|group| self.super_area(group)).find(|area| area.start < start + blocks && start < area.end);
            match in_the_way {
                Some(area) => start = area.end,
                None => return start,
            }
        }
    }

    pub(super) fn inodes(&self) -> u64 {
        self.groups * self.inodes_per_group
    }

    /// Blocks of the inode table of a group.
    pub(super) fn table_blocks(&self) -> u64 {
        self.inodes_per_group * INODE / BLOCK
    }

    /// The blocks of a group.
    pub(super) fn group(&self, group: u64) -> Range<u64> {
        group * self.blocks_per_group..((group + 1) * self.blocks_per_group).min(self.blocks)
    }

    /// The blocks of a group that have the superblock, the descriptors and the room for more; none in most groups.
    pub(super) fn super_area(&self, group: u64) -> Range<u64> {
        let start = group * self.blocks_per_group;
        start..start + self.super_len(group)
    }

    fn super_len(&self, group: u64) -> u64 {
        if has_superblock(group) { 1 + self.descriptor_blocks + self.reserved_blocks } else { 0 }
    }

    /// The groups with copies of superblock and descriptors.
    pub(super) fn copies(&self) -> impl Iterator<Item = u64> {
        (1..self.groups).filter(|group| has_superblock(*group))
    }

    /// Everything that is no file, in order, without gaps of no blocks.
    pub(super) fn fixed(&self) -> Vec<Range<u64>> {
        let one = |block: u64| block..block + 1;
        let of_group = |(group, places): (u64, &Places)| {
            [self.super_area(group), one(places.block_bitmap), one(places.inode_bitmap), places.inode_table..places.inode_table + self.table_blocks()]
        };
        let mut all: Vec<Range<u64>> = (0..).zip(&self.places).flat_map(of_group).filter(|range| !range.is_empty()).collect();
        all.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in all {
            match merged.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => merged.push(range),
            }
        }
        merged
    }
}

/// Whether a group has a superblock, by the feature `sparse_super`: the first two, and the powers of 3, 5 and 7.
fn has_superblock(group: u64) -> bool {
    let is_power = |base: u64| {
        let mut rest = group;
        while rest.is_multiple_of(base) {
            rest /= base;
        }
        rest == 1
    };
    group <= 1 || [3, 5, 7].into_iter().any(is_power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::kind::FileSystem;

    const MIB: u64 = 1 << 20;

    fn ext4(len: u64, inodes: u64) -> Geometry {
        Geometry::of(Features::of(FileSystem::Ext4), len, inodes).unwrap()
    }

    #[test]
    fn measures_are_those_of_mke2fs() {
        // `mke2fs` 1.47.0 with the same features, 1600 MiB.
        let geometry = ext4(1600 * MIB, 102_400);
        assert_eq!((geometry.groups, geometry.inodes_per_group, geometry.table_blocks()), (13, 7888, 493));
        assert_eq!((geometry.descriptor_blocks, geometry.reserved_blocks), (1, 199));
        assert_eq!(geometry.copies().collect::<Vec<_>>(), [1, 3, 5, 7, 9]);
        assert_eq!(geometry.places[0], Places { block_bitmap: 201, inode_bitmap: 214, inode_table: 227 });
        assert_eq!(geometry.places[12], Places { block_bitmap: 213, inode_bitmap: 226, inode_table: 6143 });
    }

    #[test]
    fn nothing_lies_over_anything_else() {
        for filesystem in [FileSystem::Ext2, FileSystem::Ext3, FileSystem::Ext4] {
            for (len, inodes) in [(8, 11), (64, 4096), (129, 60_000), (600, 9000), (4096, 800_000), (70_000, 4_000_000)] {
                let Some(geometry) = Geometry::of(Features::of(filesystem), len * MIB, inodes) else {
                    panic!("{filesystem:?} of {len} MiB with {inodes} inodes");
                };
                assert!(geometry.inodes() >= inodes);
                let fixed = geometry.fixed();
                assert!(fixed.windows(2).all(|pair| pair[0].end < pair[1].start));
                assert!(fixed.last().unwrap().end <= geometry.blocks);
                let supers = (0..geometry.groups).map(|group| geometry.super_len(group)).sum::<u64>();
                let sum = fixed.iter().map(|range| range.end - range.start).sum::<u64>();
                assert_eq!(sum, supers + geometry.groups * (2 + geometry.table_blocks()), "{filesystem:?} of {len} MiB");
            }
        }
    }

    #[test]
    fn a_last_group_without_room_is_left_out() {
        let whole = ext4(128 * MIB, 8192);
        assert_eq!(ext4(128 * MIB + 100 * BLOCK, 8192), whole);
        assert_eq!(ext4(160 * MIB, 8192).groups, 2);
        assert!(Geometry::of(Features::of(FileSystem::Ext4), 40 * BLOCK, 11).is_none());
        assert!(Geometry::of(Features::of(FileSystem::Ext4), 0, 11).is_none());
    }
}
