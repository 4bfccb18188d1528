//! Finds the files of an ext4 file system, by the layout in the kernel's `Documentation/filesystems/ext4`.
//!
//! Only what is needed to know where regular files lie: superblock, group descriptors, inode tables, extents. Older layouts than extents, and blocks smaller
//! than those that images are cut in, are left alone.

use std::ops::Range;

use super::BLOCK;
use super::files::{EXTENT_LIMIT, Volume};
use crate::format::ext::{ExtentNode, Inode, SUPERBLOCK, SUPERBLOCK_LEN, Superblock};
use crate::progress::{Cancel, Cancelled};

/// Below are the root folder, the journal and what else is no file of the tree.
const FIRST_INODE: u64 = 11;

/// What is read of a disk at most: bytes of inode tables (of 4 million inodes), and blocks of extents (of so many fragmented files).
const TABLES_LIMIT: u64 = 1 << 30;
const NODES_LIMIT: u32 = 1 << 18;

/// A search for the files of a disk. The limits are those of the disk, however many file systems it has.
pub(super) struct Search<'a> {
    cancel: &'a Cancel,
    extents: Vec<Range<u64>>,
    tables_left: u64,
    nodes_left: u32,
}

/// None for something else, and for what we cannot read or do not cut by: blocks are 4 KiB at least.
fn superblock(volume: &Volume<'_>) -> Option<Superblock> {
    let superblock = Superblock::decode(&volume.read(SUPERBLOCK, SUPERBLOCK_LEN)?).ok()?;
    (superblock.block >= BLOCK && superblock.blocks <= volume.len / superblock.block).then_some(superblock)
}

/// The inodes of a group that were ever used, if that are not more than `limit` bytes.
fn inodes(superblock: &Superblock, volume: &Volume<'_>, group: u64, limit: u64) -> Option<Vec<u8>> {
    let descriptor = volume.read(superblock.descriptors + group * superblock.descriptor_len, superblock.descriptor_len)?;
    let (table, used) = superblock.group(&descriptor)?;
    let len = used * superblock.inode_len as u64;
    (len <= limit).then_some(())?;
    volume.read(table, len)
}

impl<'a> Search<'a> {
    /// A search that ends when the user asks to stop.
    pub(super) fn new(cancel: &'a Cancel) -> Self {
        Self { cancel, extents: Vec::new(), tables_left: TABLES_LIMIT, nodes_left: NODES_LIMIT }
    }

    /// What was found, as ranges of the disk.
    pub(super) fn into_extents(self) -> Vec<Range<u64>> {
        self.extents
    }

    /// Takes the extents of all regular files of a file system, if there is one.
    pub(super) fn visit(&mut self, volume: &Volume<'_>) -> Result<(), Cancelled> {
        let Some(superblock) = superblock(volume) else { return Ok(()) };
        for group in 0..superblock.groups {
            self.cancel.check()?;
            // A group that contradicts itself says nothing of the others.
            let Some(table) = inodes(&superblock, volume, group, self.tables_left) else { continue };
            self.tables_left -= table.len() as u64;
            for (place, inode) in table.chunks_exact(superblock.inode_len).enumerate() {
                if group * superblock.inodes_per_group + place as u64 + 1 >= FIRST_INODE {
                    self.take(volume, superblock.block, inode);
                }
            }
        }
        // The last group may have ended early.
        self.cancel.check()
    }

    /// Takes the extents of an inode that is a regular file.
    fn take(&mut self, volume: &Volume<'_>, block: u64, inode: &[u8]) {
        let Some(inode) = Inode::decode(inode) else { return };
        if inode.kind() == 0o100_000 && inode.flags & Inode::EXTENTS != 0 {
            // A tree of extents is at most five deep. One that contradicts itself gives what was found until then.
            let _ = self.walk((volume, block), &inode.map, 5);
        }
    }

    fn walk(&mut self, (volume, len): (&Volume<'_>, u64), node: &[u8], depth: u16) -> Option<()> {
        let node = ExtentNode::decode(node).filter(|node| node.depth <= depth)?;
        if node.depth == 0 {
            for extent in node.extents().filter(|extent| !extent.unwritten) {
                let start = extent.physical.checked_mul(len)?.checked_add(volume.start)?;
                let end = start.checked_add(extent.blocks * len)?;
                if self.extents.len() < EXTENT_LIMIT {
                    self.extents.push(start..end);
                }
            }
            return Some(());
        }
        for below in node.below() {
            self.cancel.check().ok()?;
            self.nodes_left = self.nodes_left.checked_sub(1)?;
            let block = volume.read(below.checked_mul(len)?, len)?;
            self.walk((volume, len), &block, node.depth - 1)?;
        }
        Some(())
    }
}
