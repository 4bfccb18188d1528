//! How much room a tree needs, before anything is written.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::{BLOCK, INODE};
use crate::disk::error::Error;
use crate::progress::Cancel;
use crate::tree::Tree;

/// The most bytes for which there is one inode: what `mke2fs` does by default, so that a full disk does not run out of inodes first.
const BYTES_PER_INODE: u64 = 16_384;

/// Inodes that the file system has for itself.
const OWN_INODES: u64 = 11;

/// The longest target of a symbolic link that lies in the inode.
const SHORT_LINK: u64 = 59;

/// Bytes at the end of a block of a folder that are its checksum.
const FOLDER_CHECKSUM: u64 = 12;

/// What a tree needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    /// Blocks of files, folders and long symbolic links.
    blocks: u64,
    inodes: u64,
    /// `uid:gid` of the tree itself.
    pub(super) root_owner: String,
}

impl Needs {
    /// Walks the tree; follows no symbolic link.
    pub(super) fn of(tree: &Tree, cancel: &Cancel) -> Result<Self, Error> {
        let root = std::fs::symlink_metadata(tree.path()).map_err(Error::io("read", tree.path()))?;
        let mut needs = Self { blocks: 0, inodes: OWN_INODES, root_owner: format!("{}:{}", root.uid(), root.gid()) };
        let mut linked = BTreeSet::new();
        let mut folders: Vec<PathBuf> = vec![tree.path().to_owned()];
        while let Some(folder) = folders.pop() {
            cancel.check()?;
            // `.` and `..`
            let (mut full, mut used) = (0, 24);
            for entry in std::fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
                let entry = entry.map_err(Error::io("read", &folder))?;
                let path = entry.path();
                let metadata = entry.metadata().map_err(Error::io("read", &path))?;
                let entry_len = (8 + entry.file_name().len() as u64).next_multiple_of(4);
                if used + entry_len > BLOCK - FOLDER_CHECKSUM {
                    (full, used) = (full + 1, 0);
                }
                used += entry_len;
                if metadata.is_dir() {
                    needs.inodes += 1;
                    folders.push(path);
                } else if metadata.nlink() == 1 || linked.insert((metadata.dev(), metadata.ino())) {
                    needs.inodes += 1;
                    // A file with holes needs what it has.
                    needs.blocks += if metadata.is_file() {
                        metadata.len().div_ceil(BLOCK).min((metadata.blocks() * 512).div_ceil(BLOCK))
                    } else {
                        u64::from(metadata.is_symlink() && metadata.len() > SHORT_LINK)
                    };
                }
            }
            needs.blocks += full + 1;
        }
        Ok(needs)
    }

    /// How many inodes a file system of `len` bytes gets: at least a quarter more than the tree has, so that the system can live.
    pub(super) fn inodes_for(&self, len: u64) -> u64 {
        (len / BYTES_PER_INODE).max(self.inodes + self.inodes / 4 + 64)
    }

    /// Bytes of the tree's own content.
    pub(super) fn content_bytes(&self) -> u64 {
        self.blocks * BLOCK
    }

    /// The smallest file system in bytes that holds the tree with so many inodes and a journal of so many bytes: a lower bound, exact to a few blocks
    /// (extended attributes, the inner nodes of files in many pieces, and the copies of the group descriptors come on top).
    pub(super) fn bytes_with(&self, inodes: u64, journal: u64) -> u64 {
        (self.blocks + 1) * BLOCK + inodes * INODE + journal
    }
}

/// The bytes of a journal for a file system of `len` bytes. What `mke2fs` chooses, but half of it below 512 MiB, where every block counts, and no
/// more than 64 MiB: the journal's room is lost to the user, and longer ones only help machines that write more than an image's first disk can hold.
pub(super) fn journal_for(len: u64) -> u64 {
    let mib = match len >> 20 {
        0..128 => 4,
        128..512 => 8,
        512..1024 => 16,
        1024..2048 => 32,
        _ => 64,
    };
    mib << 20
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn counts_blocks_and_inodes_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("one block"), [1; 4096]).unwrap();
        std::fs::write(at("two blocks"), [1; 4097]).unwrap();
        std::fs::write(at("empty"), "").unwrap();
        std::fs::hard_link(at("two blocks"), at("again")).unwrap();
        std::fs::File::create(at("holes")).unwrap().set_len(1 << 40).unwrap();
        symlink("x".repeat(59), at("short")).unwrap();
        symlink("x".repeat(60), at("long")).unwrap();
        symlink("/", at("elsewhere")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        let needs = Needs::of(&Tree::open(folder.path()).unwrap(), &Cancel::default()).unwrap();
        assert_eq!((needs.inodes, needs.blocks), (OWN_INODES + 8, 1 + 2 + 1 + 2), "files, long link, two folders");
        assert_eq!(needs.inodes_for(0), 19 + 4 + 64);
        assert_eq!(needs.inodes_for(4 << 30), 262_144);
    }

    #[test]
    fn a_large_folder_has_several_blocks() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..300 {
            std::fs::write(folder.path().join(format!("{number:020}")), "").unwrap();
        }
        let needs = Needs::of(&Tree::open(folder.path()).unwrap(), &Cancel::default()).unwrap();
        // 28 bytes each, 145 of them in a block.
        assert_eq!(needs.blocks, 3);
    }
}
