//! Finds the files of an ext4 file system, by the layout in the kernel's `Documentation/filesystems/ext4`.
//!
//! Only what is needed to know where regular files lie: superblock, group descriptors, inode tables, extents. Older layouts than extents, and blocks smaller
//! than those that images are cut in, are left alone.

use std::ops::Range;

use super::BLOCK;
use super::files::{EXTENT_LIMIT, Volume};
use crate::format::ext::{ExtentNode, Inode, SUPERBLOCK, SUPERBLOCK_LEN, Superblock};

/// Below are the root folder, the journal and what else is no file of the tree.
const FIRST_INODE: u64 = 11;

/// What is read at most: bytes of inode tables (of 4 million inodes), and blocks of extents (of so many fragmented files).
const TABLES_LIMIT: u64 = 1 << 30;
const NODES_LIMIT: u32 = 1 << 18;

/// Appends the extents of all regular files, as ranges of the disk.
pub(super) fn find_files(volume: &Volume<'_>, extents: &mut Vec<Range<u64>>) {
    let Some(superblock) = superblock(volume) else { return };
    let mut search = Search { volume, block: superblock.block, extents, nodes_left: NODES_LIMIT };
    let mut tables_left = TABLES_LIMIT;
    for group in 0..superblock.groups {
        // A group that contradicts itself says nothing of the others.
        let Some(table) = inodes(&superblock, volume, group, tables_left) else { continue };
        tables_left -= table.len() as u64;
        for (place, inode) in table.chunks_exact(superblock.inode_len).enumerate() {
            if group * superblock.inodes_per_group + place as u64 + 1 >= FIRST_INODE {
                search.visit(inode);
            }
        }
    }
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

struct Search<'a> {
    volume: &'a Volume<'a>,
    block: u64,
    extents: &'a mut Vec<Range<u64>>,
    nodes_left: u32,
}

impl Search<'_> {
    /// Takes the extents of an inode that is a regular file.
    fn visit(&mut self, inode: &[u8]) {
        let Some(inode) = Inode::decode(inode) else { return };
        if inode.kind() == 0o100_000 && inode.flags & Inode::EXTENTS != 0 {
            // A tree of extents is at most five deep. One that contradicts itself gives what was found until then.
            let _ = self.walk(&inode.map, 5);
        }
    }

    fn walk(&mut self, node: &[u8], depth: u16) -> Option<()> {
        let node = ExtentNode::decode(node).filter(|node| node.depth <= depth)?;
        if node.depth == 0 {
            for extent in node.extents().filter(|extent| !extent.unwritten) {
                let start = extent.physical.checked_mul(self.block)?.checked_add(self.volume.start)?;
                let end = start.checked_add(extent.blocks * self.block)?;
                if self.extents.len() < EXTENT_LIMIT {
                    self.extents.push(start..end);
                }
            }
            return Some(());
        }
        for below in node.below() {
            self.nodes_left = self.nodes_left.checked_sub(1)?;
            let block = self.volume.read(below.checked_mul(self.block)?, self.block)?;
            self.walk(&block, node.depth - 1)?;
        }
        Some(())
    }
}
