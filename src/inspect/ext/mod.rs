//! ext2, ext3 and ext4, read: folders are read from end to end, so that an index of theirs (htree) does not matter.
//!
//! The journal is not replayed: a file system that was not unmounted is shown as it is on the disk.

mod attributes;
mod map;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use super::node::{Kind, Limits, Node, Walk};
use super::problem::{Problem, Result};
use super::volume::{Run, Volume};
use crate::format::ext::{self, Inode, Refusal, SUPERBLOCK, SUPERBLOCK_LEN, Superblock, incompat};
use crate::progress::Cancel;

/// The longest folder, in bytes: half a million names.
const FOLDER_LIMIT: u64 = 64 << 20;

/// The longest target of a link, as the kernel has it.
const TARGET_LIMIT: u64 = 4096;

/// Links no longer than this are in the inode itself.
const SHORT_TARGET: u64 = 60;

/// A file system of the ext family.
pub(super) struct Ext<'a> {
    volume: Volume<'a>,
    pub(super) superblock: Superblock,
    /// The group whose descriptor was read last, and where its inodes begin.
    group: RefCell<Option<(u64, u64)>>,
}

impl<'a> Ext<'a> {
    /// None where something else is there.
    pub(super) fn open(volume: Volume<'a>) -> Result<Option<Self>> {
        if volume.len < SUPERBLOCK + SUPERBLOCK_LEN {
            return Ok(None);
        }
        match Superblock::decode(&volume.read(SUPERBLOCK, SUPERBLOCK_LEN)?) {
            Err(Refusal::Foreign) => Ok(None),
            Err(Refusal::Unsupported(bits)) => Err(Problem::Unsupported(format!("features of ext4 that are not known (bits {bits:#x})"))),
            Err(Refusal::Inconsistent(problem)) => Err(Problem::Wrong(problem)),
            Ok(superblock) if superblock.incompat & incompat::INLINE_DATA != 0 => {
                Err(Problem::Unsupported("the ext4 feature inline_data".to_owned()))
            }
            Ok(superblock) => Ok(Some(Self { volume, superblock, group: RefCell::new(None) })),
        }
    }

    /// Its length, as far as it says so itself.
    pub(super) fn len(&self) -> u64 {
        self.superblock.blocks.saturating_mul(self.superblock.block)
    }

    /// Whether it was not unmounted, and the journal has more of it.
    pub(super) fn needs_recovery(&self) -> bool {
        self.superblock.incompat & incompat::RECOVER != 0
    }

    fn inode(&self, number: u32) -> Result<Inode> {
        Inode::decode(&self.inode_bytes(number)?).ok_or(Problem::CutOff)
    }

    fn inode_bytes(&self, number: u32) -> Result<Vec<u8>> {
        let index = u64::from(number).checked_sub(1).ok_or(Problem::Wrong("a folder names an inode that there is not"))?;
        let (group, place) = (index / self.superblock.inodes_per_group, index % self.superblock.inodes_per_group);
        if group >= self.superblock.groups {
            return Err(Problem::Wrong("a folder names an inode that there is not"));
        }
        let known = self.group.borrow().filter(|(known, _)| *known == group).map(|(_, table)| table);
        let table = if let Some(table) = known {
            table
        } else {
            let len = self.superblock.descriptor_len;
            let descriptor = self.volume.read(self.superblock.descriptors.saturating_add(group * len), len)?;
            let (table, _) = self.superblock.group(&descriptor).ok_or(Problem::Wrong("a folder names an inode that was never used"))?;
            *self.group.borrow_mut() = Some((group, table));
            table
        };
        let len = self.superblock.inode_len as u64;
        self.volume.read(table.saturating_add(place * len), len)
    }

    fn node(&self, path: Vec<u8>, number: u32) -> Result<Node> {
        let bytes = self.inode_bytes(number)?;
        let inode = Inode::decode(&bytes).ok_or(Problem::CutOff)?;
        let kind = match inode.kind() {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Folder,
            0o120_000 => Kind::Link(self.target(&inode)?),
            0o020_000 => Kind::Character(inode.device().0, inode.device().1),
            0o060_000 => Kind::Block(inode.device().0, inode.device().1),
            0o010_000 => Kind::Fifo,
            0o140_000 => Kind::Socket,
            _ => Kind::Unknown,
        };
        let size = if kind == Kind::File { inode.size } else { 0 };
        let (mode, owner) = (Some(inode.mode & 0o7777), (inode.uid, inode.gid));
        let has_attributes = inode.attributes != 0 || crate::format::attributes::are_in_inode(&bytes);
        Ok(Node { path, kind, mode, owner, size, modified: inode.modified, handle: number.into(), has_attributes })
    }

    fn target(&self, inode: &Inode) -> Result<Vec<u8>> {
        if inode.size < SHORT_TARGET && inode.flags & Inode::EXTENTS == 0 {
            return Ok(inode.map[..inode.size as usize].to_vec());
        }
        if inode.size > TARGET_LIMIT {
            return Err(Problem::Wrong("a link is too long"));
        }
        self.volume.read_runs(&self.map(inode)?, TARGET_LIMIT)
    }

    /// All names, the root first.
    pub(super) fn nodes(&self, limits: Limits, cancel: &Cancel) -> Result<Vec<Node>> {
        let root = self.node(Vec::new(), ext::ROOT_INODE)?;
        if root.kind != Kind::Folder {
            return Err(Problem::Wrong("its root is no folder"));
        }
        let mut walk = Walk::new(root, limits);
        while let Some(folder) = walk.folder() {
            cancel.check()?;
            self.folder(&folder, &mut walk)?;
        }
        Ok(walk.nodes)
    }

    fn folder(&self, folder: &super::node::Pending, walk: &mut Walk) -> Result<()> {
        let inode = self.inode(folder.handle as u32)?;
        if inode.size > FOLDER_LIMIT || !inode.size.is_multiple_of(self.superblock.block) {
            return Err(Problem::Wrong("a folder has a length that it cannot have"));
        }
        walk.spend(inode.size)?;
        let bytes = self.volume.read_runs(&self.map(&inode)?, FOLDER_LIMIT)?;
        for block in bytes.chunks_exact(self.superblock.block as usize) {
            for entry in ext::entries(block) {
                let (number, name) = entry.map_err(Problem::Wrong)?;
                if name == b"." || name == b".." {
                    continue;
                }
                let path = walk.path(folder, name)?;
                let node = self.node(path, number)?;
                walk.take(folder, node)?;
            }
        }
        Ok(())
    }

    /// Where the content of a file lies.
    pub(super) fn runs(&self, node: &Node) -> Result<Vec<Run>> {
        self.map(&self.inode(node.handle as u32)?)
    }

    fn map(&self, inode: &Inode) -> Result<Vec<Run>> {
        if inode.flags & Inode::INLINE != 0 {
            return Err(Problem::Wrong("a file is in its inode, which its file system does not allow"));
        }
        map::runs(&self.volume, self.superblock.block, inode)
    }
}
