//! Finds the files of an ext4 file system, by the layout in the kernel's `Documentation/filesystems/ext4`.
//!
//! Only what is needed to know where regular files lie: superblock, group descriptors, inode tables, extents. Older layouts than extents, and blocks smaller
//! than those that images are cut in, are left alone.

use std::ops::Range;

use super::BLOCK;
use super::files::{EXTENT_LIMIT, Volume, long, short};

const SUPERBLOCK: u64 = 1024;
const MAGIC: u16 = 0xef53;
const EXTENT_MAGIC: u16 = 0xf30a;

/// The features under which everything read here is where we look for it; of others nothing is known. (The kernel's `INCOMPAT_…`: file types, recovery,
/// extents, 64 bits, multiple mount protection, flexible groups, values in inodes, checksum seed, large folders, inline data, encryption, casefolding.)
const KNOWN_FEATURES: u32 = 0x2 | 0x4 | 0x40 | INCOMPAT_64BIT | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000;
const INCOMPAT_64BIT: u32 = 0x80;
/// Descriptors say which inodes were never used (`RO_COMPAT_GDT_CSUM`, `RO_COMPAT_METADATA_CSUM`).
const RO_COMPAT_CHECKSUMS: u32 = 0x10 | 0x400;
const BG_INODE_UNINIT: u16 = 1;
const EXTENTS_FL: u32 = 0x8_0000;

/// Below are the root folder, the journal and what else is no file of the tree.
const FIRST_INODE: u64 = 11;

/// A longer extent is reserved, and reads as zeros.
const LONGEST_EXTENT: u16 = 1 << 15;

/// What is read at most: bytes of inode tables (of 4 million inodes), and blocks of extents (of so many fragmented files).
const TABLES_LIMIT: u64 = 1 << 30;
const NODES_LIMIT: u32 = 1 << 18;

/// Appends the extents of all regular files, as ranges of the disk.
pub(super) fn find_files(volume: &Volume<'_>, extents: &mut Vec<Range<u64>>) {
    let Some(superblock) = Superblock::read(volume) else { return };
    let mut search = Search { volume, block: superblock.block, extents, nodes_left: NODES_LIMIT };
    let mut tables_left = TABLES_LIMIT;
    for group in 0..superblock.groups {
        // A group that contradicts itself says nothing of the others.
        let Some(table) = superblock.inodes(volume, group, tables_left) else { continue };
        tables_left -= table.len() as u64;
        for (place, inode) in table.chunks_exact(superblock.inode_len).enumerate() {
            if group * superblock.inodes_per_group + place as u64 + 1 >= FIRST_INODE {
                search.visit(inode);
            }
        }
    }
}

struct Superblock {
    /// The length of a block in bytes.
    block: u64,
    groups: u64,
    inodes_per_group: u64,
    inode_len: usize,
    /// The length of a group descriptor in bytes.
    descriptor_len: u64,
    says_unused: bool,
}

impl Superblock {
    /// None for something else, and for what we cannot read.
    fn read(volume: &Volume<'_>) -> Option<Self> {
        let bytes = volume.read(SUPERBLOCK, 1024)?;
        let (features, block_exponent) = (long(&bytes, 96)?, long(&bytes, 24)?);
        // Blocks of 4 to 64 KiB.
        let readable = short(&bytes, 56)? == MAGIC && features & !KNOWN_FEATURES == 0 && (2..=6).contains(&block_exponent);
        readable.then_some(())?;
        let block = 1024 << block_exponent;
        let wide = features & INCOMPAT_64BIT != 0;
        let blocks = u64::from(long(&bytes, 4)?) | if wide { u64::from(long(&bytes, 336)?) << 32 } else { 0 };
        let (blocks_per_group, inodes_per_group) = (u64::from(long(&bytes, 32)?), u64::from(long(&bytes, 40)?));
        let (inode_len, descriptor_len) = (usize::from(short(&bytes, 88)?), if wide { u64::from(short(&bytes, 254)?) } else { 32 });
        // A block of bits each says which are in use.
        let counts = 1..=8 * block;
        let consistent = counts.contains(&blocks_per_group)
            && counts.contains(&inodes_per_group)
            && blocks <= volume.len / block
            && inode_len.is_power_of_two()
            && (128..=BLOCK as usize).contains(&inode_len)
            && [32, 64].contains(&descriptor_len);
        consistent.then_some(())?;
        let says_unused = long(&bytes, 100)? & RO_COMPAT_CHECKSUMS != 0;
        Some(Self { block, groups: blocks.div_ceil(blocks_per_group), inodes_per_group, inode_len, descriptor_len, says_unused })
    }

    /// The inodes of a group that were ever used, if that are not more than `limit` bytes.
    fn inodes(&self, volume: &Volume<'_>, group: u64, limit: u64) -> Option<Vec<u8>> {
        // With blocks of 4 KiB and more, the descriptors begin in the second block.
        let descriptor = volume.read(self.block + group * self.descriptor_len, self.descriptor_len)?;
        let wide = self.descriptor_len == 64;
        let high = |at: usize| if wide { long(&descriptor, at).map_or(0, u64::from) } else { 0 };
        let high_short = |at: usize| if wide { short(&descriptor, at).map_or(0, u64::from) } else { 0 };
        let table = u64::from(long(&descriptor, 8)?) | high(40) << 32;
        let mut used = self.inodes_per_group;
        if self.says_unused {
            if short(&descriptor, 18)? & BG_INODE_UNINIT != 0 {
                return None;
            }
            used = used.checked_sub(u64::from(short(&descriptor, 28)?) | high_short(50) << 16)?;
        }
        let len = used * self.inode_len as u64;
        (len <= limit).then_some(())?;
        volume.read(table.checked_mul(self.block)?, len)
    }
}

struct Search<'a> {
    volume: &'a Volume<'a>,
    block: u64,
    extents: &'a mut Vec<Range<u64>>,
    nodes_left: u32,
}

impl Search<'_> {
    /// Takes the extents of an inode that is a regular file.
    fn visit(&mut self, inode: &[u8]) {
        let is_file = short(inode, 0).is_some_and(|mode| mode & 0o170_000 == 0o100_000);
        if is_file && long(inode, 32).is_some_and(|flags| flags & EXTENTS_FL != 0) {
            // A tree of extents is at most five deep. One that contradicts itself gives what was found until then.
            let _ = self.walk(&inode[40..100], 5);
        }
    }

    fn walk(&mut self, node: &[u8], depth: u16) -> Option<()> {
        let (entries, found) = (usize::from(short(node, 2)?), short(node, 6)?);
        (short(node, 0)? == EXTENT_MAGIC && found <= depth).then_some(())?;
        for entry in node[12..].chunks_exact(12).take(entries) {
            if found == 0 {
                let blocks = short(entry, 4)?;
                let first = u64::from(long(entry, 8)?) | u64::from(short(entry, 6)?) << 32;
                let start = first.checked_mul(self.block)?.checked_add(self.volume.start)?;
                let end = start.checked_add(u64::from(blocks) * self.block)?;
                if blocks <= LONGEST_EXTENT && self.extents.len() < EXTENT_LIMIT {
                    self.extents.push(start..end);
                }
            } else {
                self.nodes_left = self.nodes_left.checked_sub(1)?;
                let below = u64::from(long(entry, 4)?) | u64::from(short(entry, 8)?) << 32;
                let node = self.volume.read(below.checked_mul(self.block)?, self.block)?;
                self.walk(&node, found - 1)?;
            }
        }
        Some(())
    }
}
