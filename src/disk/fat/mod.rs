//! A FAT file system, written front to back: what it holds is known before the first byte is written, so every file and folder lies in one piece, and
//! the same files give the same bytes.
//!
//! ```text
//! boot sector, FSInfo, backup of both │ FAT │ FAT again │ root folder, then each folder followed by what is in it │ free, never written
//! ```
//!
//! After Microsoft's “FAT: General Overview of On-Disk Format” 1.03 and the UEFI specification, section 13.3. FAT32, or FAT16 where the partition has
//! too few clusters for FAT32: the number of clusters alone decides which of the two a driver takes it for.

mod folder;
mod geometry;
mod names;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use self::folder::{Content, Folder};
use self::geometry::Geometry;
pub(super) use self::geometry::LARGEST_FAT16;
use super::error::Error;
use super::kind::FileSystem;
use super::layout::{Partition, SECTOR};
use super::out::Out;
use crate::progress::Cancel;
use crate::tree::Tree;
use crate::units::ByteSize;

/// Bytes copied at a time.
const BUFFER: usize = 1 << 20;

/// One file on the partition.
#[derive(Debug)]
pub(super) struct FatFile {
    /// Its path, such as `EFI/BOOT/BOOTX64.EFI`.
    pub(super) path: String,
    /// What is in it.
    pub(super) source: Source,
}

/// What is in a file.
#[derive(Debug)]
pub(super) enum Source {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file of the tree.
    Tree(String),
}

/// What makes two file systems with the same files differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    /// The volume serial number.
    pub(super) volume_id: u32,
    /// The time of all files, in seconds since the epoch.
    pub(super) time: u64,
}

/// Whether a text can be a volume label.
pub(super) fn is_label(label: &str) -> bool {
    let allowed = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_'));
    allowed && (1..=11).contains(&label.len()) && label.trim() == label
}

/// Makes the file system of a partition; returns how many bytes of it are in use. `disk` has its full length and is zero there; `path` is its place, for
/// errors.
pub(super) fn write(
    disk: (&File, &Path),
    partition: &Partition,
    identity: Identity,
    files: &[FatFile],
    tree: &Tree,
    cancel: &Cancel,
) -> Result<u64, Error> {
    let only_16_bits = partition.filesystem == Some(FileSystem::Fat16);
    let geometry =
        Geometry::of(partition.len, only_16_bits).ok_or_else(|| too_small(partition, geometry::SMALLEST - partition.len.min(geometry::SMALLEST)))?;
    let mut root = Folder::default();
    for file in files {
        root.insert(&file.path, Content::of(file, tree)?)?;
    }
    let label = partition.label.as_deref().map(names::label);
    let plan = folder::lay_out(root, &geometry, label, identity.time)?;
    if plan.next_cluster > geometry.clusters + 2 {
        let missing = (plan.next_cluster - geometry.clusters - 2) * geometry.cluster_len();
        return Err(too_small(partition, missing));
    }

    let out = Out::new(disk, partition);
    geometry.write_head(&out, partition, identity.volume_id, label, &plan)?;
    for piece in &plan.pieces {
        cancel.check()?;
        let place = piece.cluster.map_or(geometry.root_folder_start(), |cluster| geometry.cluster_start(cluster));
        match &piece.content {
            Content::Bytes(bytes) => out.write(bytes, place)?,
            Content::Tree { path, len } => copy(tree, path, *len, &out, place, cancel)?,
        }
    }
    Ok((plan.next_cluster - 2) * geometry.cluster_len())
}

fn too_small(partition: &Partition, missing: u64) -> Error {
    Error::TooSmall {
        partition: partition.name.clone(),
        has: ByteSize(partition.len),
        missing: ByteSize(missing.next_multiple_of(1 << 20).max(1 << 20)),
    }
}

/// Copies a file of the tree, which must still have the length that was planned for.
fn copy(tree: &Tree, path: &str, len: u64, out: &Out<'_>, mut place: u64, cancel: &Cancel) -> Result<(), Error> {
    let changed = || Error::BadFile { path: format!("/{path}"), problem: "changed while it was read".to_owned() };
    let mut file = tree.file(path)?.ok_or_else(changed)?;
    let mut buffer = vec![0; BUFFER];
    let mut left = len;
    while left > 0 {
        cancel.check()?;
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = file.read(&mut buffer[..wanted]).map_err(Error::io("read", format!("/{path}")))?;
        if count == 0 {
            return Err(changed());
        }
        out.write(&buffer[..count], place)?;
        place += count as u64;
        left -= count as u64;
    }
    Ok(())
}
