//! ext2, ext3 and ext4 with a tree in them, written straight into the partition's place in the disk file (the kernel's
//! `Documentation/filesystems/ext4`).
//!
//! ```text
//! tree ─► scan: nodes, and which blocks of files have data ─► geometry: groups and their tables ─► lay: folders, links, then files, each where the last one ended ─► copy, tables
//! ```
//!
//! What is in a tree is known before the first block is taken, so every file lies in one piece, but for what has its place by the groups. Folders come
//! first, then all files in the order of the walk: neighbours in the tree are neighbours on the disk, whatever changed before them, and a kept image
//! shares their chunks with the next one and with kept roots.
//!
//! The same tree gives the same bytes: identifiers and hash seed are given, names are sorted, times are clamped, and a block of zeros is a hole whether
//! the tree had it as one or not.
//!
//! Of our own because `mke2fs -d` writes each block by itself, with a sync at the end (measured with an appliance's root of 1.4 GB: 4.7 to 5.5 s for its
//! disk, and 1.9 s so), and because another version of it on another host wrote another file system. `e2fsck` judges in the tests.

mod attributes;
mod checksum;
mod features;
mod folder;
mod geometry;
mod inode;
mod lay;
mod map;
mod scan;
mod space;
mod tables;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;

use self::features::Features;
use self::geometry::Geometry;
use self::lay::Lay;
use super::Formatted;
use super::error::Error;
use super::kind::FileSystem;
use super::layout::{Layout, Partition};
use super::out::Out;
use crate::deferred::Deferred;
use crate::progress::Cancel;
use crate::tree::Tree;
use crate::units::ByteSize;

/// Block size in bytes: that of memory pages, which every kernel mounts.
const BLOCK: u64 = 4096;

/// Bytes of an inode.
const INODE: u64 = 256;

/// Block numbers in a block.
const NUMBERS_PER_BLOCK: u64 = BLOCK / 4;

/// The numbers of inodes that are not the tree's, and of the first that is: its folders and files follow it.
const ROOT_INODE: u32 = 2;
const RESIZE_INODE: u32 = 7;
const JOURNAL_INODE: u32 = 8;
const FIRST_INODE: u32 = 11;

/// The most bytes for which there is one inode: what `mke2fs` does by default, so that a full disk does not run out of inodes first.
const BYTES_PER_INODE: u64 = 16_384;

/// Makes the file system of a partition, with a tree in it. `disk` has its full length and is zero there.
pub(super) fn write(
    disk: (&File, &Path),
    layout: &Layout,
    partition: &Partition,
    (tree, deferred): (&Tree, &Deferred),
    cancel: &Cancel,
) -> Result<Formatted, Error> {
    let features = Features::of(partition.filesystem.unwrap_or(FileSystem::Ext4));
    let nodes = scan::scan(tree, deferred, features.longest_file(), cancel)?;
    let inodes = inodes_for(partition.len, nodes.len() as u64 + u64::from(FIRST_INODE) - 2);
    let needed = lay::blocks_of(&nodes, features);
    let journal = if features.has_journal() { journal_for(partition.len) / BLOCK } else { 0 };
    let at_least = (needed + journal) * BLOCK + inodes * INODE;
    if at_least > partition.len {
        return Err(too_small(partition, at_least - partition.len));
    }
    let geometry = Geometry::of(features, partition.len, inodes).ok_or_else(|| too_small(partition, 1))?;
    let out = Out::new(disk, partition);
    let identity = tables::Identity {
        uuid: *layout.filesystem_id(partition).as_bytes(),
        hash_seed: *layout.uuid(&format!("hash seed {}", partition.name)).as_bytes(),
        label: partition.label.as_deref().unwrap_or(""),
        time: layout.time,
    };
    let mut lay = Lay::new(&geometry, &identity, &out, partition);
    if lay.space.free() < needed + journal {
        return Err(too_small(partition, (needed + journal - lay.space.free()) * BLOCK));
    }
    lay.own(journal)?;
    let files = lay.nodes(&nodes, cancel)?;
    lay::copy((tree, deferred), &files, &out, cancel)?;
    let shared = lay::shared(&files, partition);
    Ok(Formatted { used: lay.finish(&nodes, cancel)?, shared })
}

/// How many inodes a file system of `len` bytes gets: at least a quarter more than it begins with, so that the system can live.
fn inodes_for(len: u64, used: u64) -> u64 {
    (len / BYTES_PER_INODE).max(used + used / 4 + 64)
}

/// The bytes of a journal for a file system of `len` bytes. What `mke2fs` chooses, but half of it below 512 MiB, where every block counts, and no
/// more than 64 MiB: the journal's room is lost to the user, and longer ones only help machines that write more than an image's first disk can hold.
fn journal_for(len: u64) -> u64 {
    let mib = match len >> 20 {
        0..128 => 4,
        128..512 => 8,
        512..1024 => 16,
        1024..2048 => 32,
        _ => 64,
    };
    mib << 20
}

/// `missing` bytes more are needed, as well as it is known.
fn too_small(partition: &Partition, missing: u64) -> Error {
    Error::TooSmall { partition: partition.name.clone(), has: ByteSize(partition.len), missing: ByteSize(missing.next_multiple_of(1 << 20)) }
}
