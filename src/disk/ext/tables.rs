//! What says how the file system is: superblocks, group descriptors, bitmaps, inode tables, and the head of the journal.

use std::collections::BTreeMap;
use std::ops::Range;

use super::checksum::Checksums;
use super::geometry::Geometry;
use super::space::Space;
use super::{BLOCK, FIRST_INODE, INODE, JOURNAL_INODE, Out};
use crate::disk::error::Error;
use crate::progress::Cancel;

/// The percentage of blocks that only root may fill. The usual 5 % are from a time of small disks and slow allocators: on an image of 4 GiB they are
/// 200 MB that its user paid for and cannot use. One percent still lets root log in and clean up.
const RESERVED_PERCENT: u64 = 1;

/// Flags of a group descriptor: its inodes were never used; its blocks neither; what is not written of its inode table is zero.
const INODES_UNUSED: u16 = 1;
const BLOCKS_UNUSED: u16 = 2;
const TABLE_ZEROED: u16 = 4;

/// What makes two file systems with the same files differ.
#[derive(Debug)]
pub(super) struct Identity<'a> {
    pub(super) uuid: [u8; 16],
    /// What hashes of names in large folders begin with.
    pub(super) hash_seed: [u8; 16],
    /// At most 16 bytes.
    pub(super) label: &'a str,
    /// When it was made, in seconds since the epoch.
    pub(super) time: u64,
}

/// All that is needed for the tables.
pub(super) struct Tables<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) identity: &'a Identity<'a>,
    pub(super) checksums: Checksums,
    pub(super) space: &'a Space,
    /// All inodes up to the last that is in use.
    pub(super) inodes: &'a [u8],
}

impl Tables<'_> {
    /// Writes everything. `folders` are the numbers of the inodes that are folders.
    pub(super) fn write(&self, folders: impl Iterator<Item = u32>, out: &Out<'_>, cancel: &Cancel) -> Result<(), Error> {
        let geometry = self.geometry;
        let per_group = geometry.inodes_per_group;
        let mut folders_of: BTreeMap<u64, u32> = BTreeMap::new();
        for number in folders {
            *folders_of.entry(u64::from(number - 1) / per_group).or_default() += 1;
        }
        let mut descriptors = Vec::with_capacity((geometry.descriptor_blocks * BLOCK) as usize);
        for group in 0..geometry.groups {
            cancel.check()?;
            let folders = folders_of.get(&group).copied().unwrap_or(0);
            descriptors.extend(self.group(group, folders, out)?);
        }
        let superblock = self.superblock();
        for group in std::iter::once(0).chain(geometry.copies()) {
            let block = geometry.super_area(group).start;
            // The first 1024 bytes of a disk belong to what starts it; in a copy's block there are none.
            out.write(&self.copy_of(&superblock, group), block * BLOCK + if group == 0 { 1024 } else { 0 })?;
            out.write(&descriptors, (block + 1) * BLOCK)?;
        }
        Ok(())
    }

    /// Writes the bitmaps and the inode table of a group; returns its descriptor.
    fn group(&self, group: u64, folders: u32, out: &Out<'_>) -> Result<Vec<u8>, Error> {
        let geometry = self.geometry;
        let (places, blocks) = (geometry.places[group as usize], geometry.group(group));
        let used: Vec<_> = self.space.used(&blocks).collect();
        let used_blocks: u64 = used.iter().map(|range| range.end - range.start).sum();
        let per_group = geometry.inodes_per_group;
        let used_inodes = (self.inodes.len() as u64 / INODE).saturating_sub(group * per_group).min(per_group);

        let mut flags = 0;
        if self.checksums.exist() {
            flags |= TABLE_ZEROED;
            let own = geometry.super_area(group);
            // The last group may be shorter than its bitmap, which has to say so.
            if used_blocks == own.end - own.start && group + 1 < geometry.groups {
                flags |= BLOCKS_UNUSED;
            }
            if used_inodes == 0 {
                flags |= INODES_UNUSED;
            }
        }
        let (mut block_sum, mut inode_sum) = (0, 0);
        if flags & BLOCKS_UNUSED == 0 {
            let mut bits = bitmap(blocks.end - blocks.start);
            for range in &used {
                set(&mut bits, range.start - blocks.start..range.end - blocks.start);
            }
            out.write(&bits, places.block_bitmap * BLOCK)?;
            block_sum = self.checksums.bitmap(&bits[..geometry.blocks_per_group as usize / 8]);
        }
        if flags & INODES_UNUSED == 0 {
            let mut bits = bitmap(per_group);
            set(&mut bits, 0..used_inodes);
            out.write(&bits, places.inode_bitmap * BLOCK)?;
            inode_sum = self.checksums.bitmap(&bits[..per_group as usize / 8]);
        }
        if used_inodes > 0 {
            let from = (group * per_group * INODE) as usize;
            out.write(&self.inodes[from..from + (used_inodes * INODE) as usize], places.inode_table * BLOCK)?;
        }

        let free_inodes = per_group - used_inodes;
        let mut fields = Fields(vec![0; geometry.features.descriptor_len() as usize]);
        fields.halves(0, 32, places.block_bitmap);
        fields.halves(4, 36, places.inode_bitmap);
        fields.halves(8, 40, places.inode_table);
        fields.short_halves(12, 44, blocks.end - blocks.start - used_blocks);
        fields.short_halves(14, 46, free_inodes);
        fields.short_halves(16, 48, folders.into());
        fields.put(18, &flags.to_le_bytes());
        if self.checksums.exist() {
            fields.short_halves(24, 56, block_sum.into());
            fields.short_halves(26, 58, inode_sum.into());
            // All inodes in use come first.
            fields.short_halves(28, 50, free_inodes);
            let sum = self.checksums.descriptor(group as u32, &fields.0);
            fields.put(30, &sum.to_le_bytes());
        }
        Ok(fields.0)
    }

    /// The copy of a superblock in a group: it says in which, and has its own checksum.
    fn copy_of(&self, superblock: &Fields, group: u64) -> Vec<u8> {
        let mut fields = superblock.clone();
        fields.put(90, &(group as u16).to_le_bytes());
        if self.checksums.exist() {
            let sum = self.checksums.superblock(&fields.0[..1020]);
            fields.long(1020, sum);
        }
        fields.0
    }

    /// The superblock, but for what [`Self::copy_of`] says.
    fn superblock(&self) -> Fields {
        let (geometry, features, identity) = (self.geometry, self.geometry.features, self.identity);
        let inodes_in_use = self.inodes.len() as u64 / INODE;
        let mut fields = Fields(vec![0; 1024]);
        fields.long(0, geometry.inodes() as u32);
        fields.halves(4, 336, geometry.blocks);
        fields.halves(8, 340, geometry.blocks * RESERVED_PERCENT / 100);
        fields.halves(12, 344, self.space.free());
        fields.long(16, (geometry.inodes() - inodes_in_use) as u32);
        // The length of blocks and of clusters: 1024 shifted to the left by this.
        fields.long(24, 2);
        fields.long(28, 2);
        fields.long(32, geometry.blocks_per_group as u32);
        fields.long(36, geometry.blocks_per_group as u32);
        fields.long(40, geometry.inodes_per_group as u32);
        fields.long(48, identity.time as u32);
        // No check after so many mounts; the magic number; clean; go on after errors.
        for (at, value) in [(54, 0xffff_u16), (56, 0xef53), (58, 1), (60, 1), (88, INODE as u16)] {
            fields.put(at, &value.to_le_bytes());
        }
        fields.long(64, identity.time as u32);
        // The revision that has features, and inodes of any length.
        fields.long(76, 1);
        fields.long(84, FIRST_INODE);
        fields.long(92, features.compat);
        fields.long(96, features.incompat);
        fields.long(100, features.ro_compat);
        fields.put(104, &identity.uuid);
        fields.put(120, identity.label.as_bytes());
        fields.put(206, &(geometry.reserved_blocks as u16).to_le_bytes());
        if features.has_journal() {
            fields.long(224, JOURNAL_INODE);
            self.journal_inode(&mut fields);
        }
        fields.put(236, &identity.hash_seed);
        // Hashes of names: half MD4, of signed characters.
        fields.put(252, &[1]);
        fields.long(352, 1);
        if features.descriptor_len() != 32 {
            fields.put(254, &(features.descriptor_len() as u16).to_le_bytes());
        }
        // Mounted with extended attributes of users, and access control lists.
        fields.long(256, 0xc);
        fields.long(264, identity.time as u32);
        // Bytes of an inode behind the first 128: at least, and of new ones.
        fields.put(348, &[32, 0, 32, 0]);
        fields.put(372, &[features.log_groups_per_flex(), u8::from(self.checksums.exist())]);
        // What is no content: the kernel counts it itself where this is zero, at each mount.
        let own: u64 = geometry.fixed().iter().map(|range| range.end - range.start).sum();
        fields.long(584, (own + self.journal_blocks()) as u32);
        // What the times of writing, making and checking have above 32 bits.
        for at in [628, 630, 631] {
            fields.put(at, &[(identity.time >> 32) as u8]);
        }
        fields
    }

    /// A copy of what the journal's inode says, by which it is found should the inode be lost: its map, and the halves of its size.
    fn journal_inode(&self, fields: &mut Fields) {
        let Some(inode) = self.inode(JOURNAL_INODE) else { return };
        fields.put(253, &[1]);
        fields.put(268, &inode[40..100]);
        fields.put(328, &inode[108..112]);
        fields.put(332, &inode[4..8]);
    }

    fn journal_blocks(&self) -> u64 {
        if !self.geometry.features.has_journal() {
            return 0;
        }
        self.inode(JOURNAL_INODE).map_or(0, |inode| u64::from(u32::from_le_bytes([inode[4], inode[5], inode[6], inode[7]])) / BLOCK)
    }

    fn inode(&self, number: u32) -> Option<&[u8]> {
        let at = (number as usize - 1) * INODE as usize;
        self.inodes.get(at..at + INODE as usize)
    }
}

/// The first block of a journal of so many blocks: its superblock, with big-endian fields (`include/linux/jbd2.h`). It is empty, and the rest of it zero.
pub(super) fn journal(blocks: u32, identity: &Identity<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    // Magic number, a superblock of the second version; block length, blocks, the first that has a log; the next transaction; no log to replay.
    for field in [0xc03b_3998, 4, 0, BLOCK as u32, blocks, 1, 1, 0, 0, 0, 0, 0] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend_from_slice(&identity.uuid);
    // Used by one file system.
    bytes.extend(1_u32.to_be_bytes());
    bytes
}

/// A block with a bit for each of `count` things. The bits beyond them are set, as if they were in use.
fn bitmap(count: u64) -> Vec<u8> {
    let mut bits = vec![0; BLOCK as usize];
    set(&mut bits, count..8 * BLOCK);
    bits
}

fn set(bits: &mut [u8], range: Range<u64>) {
    for bit in range {
        bits[bit as usize / 8] |= 1 << (bit % 8);
    }
}

/// Little-endian fields at their offsets.
#[derive(Clone)]
struct Fields(Vec<u8>);

impl Fields {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn long(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    /// The lower 32 bits of a value at one place, and the upper ones at another, if there is one.
    fn halves(&mut self, low: usize, high: usize, value: u64) {
        self.long(low, value as u32);
        if self.0.len() > high {
            self.long(high, (value >> 32) as u32);
        }
    }

    /// The same of 16 bits each.
    fn short_halves(&mut self, low: usize, high: usize, value: u64) {
        self.put(low, &(value as u16).to_le_bytes());
        if self.0.len() > high {
            self.put(high, &((value >> 16) as u16).to_le_bytes());
        }
    }
}
