//! What is in a partition: a file system that is read, one that is only known by name, or nothing.

use super::ext::Ext;
use super::fat::Fat;
use super::node::{Attributes, Limits, Node};
use super::problem::Result;
use super::volume::{Run, Volume};
use crate::disk::Uuid;
use crate::progress::Cancel;

/// File systems and others that are known and not read: their name, where they say so, and what they say.
const OTHERS: [(&str, u64, &[u8]); 12] = [
    ("linux-swap", 4086, b"SWAPSPACE2"),
    ("squashfs", 0, b"hsqs"),
    ("xfs", 0, b"XFSB"),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("lvm2", 512, b"LABELONE"),
    ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("iso9660", 32_769, b"CD001"),
    ("btrfs", 65_600, b"_BHRfS_M"),
    ("dm-verity", 0, b"verity\0\0"),
];

/// A file system that is read.
pub(super) enum FileSystem<'a> {
    Ext(Ext<'a>),
    Fat(Fat<'a>),
}

/// What a partition holds.
pub(super) enum Content<'a> {
    FileSystem(FileSystem<'a>),
    /// Something that is known by its name only.
    Other(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// Finds out what is in a partition.
pub(super) fn open(volume: Volume<'_>) -> Result<Content<'_>> {
    if let Some(ext) = Ext::open(volume)? {
        return Ok(Content::FileSystem(FileSystem::Ext(ext)));
    }
    for (name, at, magic) in OTHERS {
        if at + magic.len() as u64 <= volume.len && volume.read(at, magic.len() as u64)? == magic {
            return Ok(Content::Other(name));
        }
    }
    // Last, because others begin alike.
    Ok(Fat::open(volume)?.map_or(Content::Unknown, |fat| Content::FileSystem(FileSystem::Fat(fat))))
}

impl FileSystem<'_> {
    /// Its name: `ext4`, `fat32`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Ext(ext) => ext.superblock.kind,
            Self::Fat(fat) => fat.kind(),
        }
    }

    /// Its label; empty where it has none.
    pub(super) fn label(&self) -> String {
        String::from_utf8_lossy(match self {
            Self::Ext(ext) => &ext.superblock.label,
            Self::Fat(fat) => &fat.label,
        })
        .into_owned()
    }

    /// Its identifier, as `UUID` of `/etc/fstab` has it.
    pub(super) fn uuid(&self) -> String {
        match self {
            Self::Ext(ext) => Uuid::from_bytes(ext.superblock.uuid).to_string(),
            Self::Fat(fat) => fat.uuid.clone(),
        }
    }

    /// Its length in bytes, as it says itself.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Ext(ext) => ext.len(),
            Self::Fat(fat) => fat.len(),
        }
    }

    /// How many bytes of it are in use, as it says itself.
    pub(super) fn used(&self, cancel: &Cancel) -> Result<u64> {
        match self {
            Self::Ext(ext) => Ok((ext.superblock.blocks - ext.superblock.free_blocks).saturating_mul(ext.superblock.block)),
            Self::Fat(fat) => fat.used(cancel),
        }
    }

    /// What a person should know of it.
    pub(super) fn remark(&self) -> Option<&'static str> {
        let dirty = matches!(self, Self::Ext(ext) if ext.needs_recovery());
        dirty.then_some("it was not unmounted: what is in its journal only is not shown")
    }

    /// Whether two names with the same handle are the same file.
    pub(super) fn has_links(&self) -> bool {
        matches!(self, Self::Ext(_))
    }

    /// All names, the root first; else in no order.
    pub(super) fn nodes(&self, limits: Limits, cancel: &Cancel) -> Result<Vec<Node>> {
        match self {
            Self::Ext(ext) => ext.nodes(limits, cancel),
            Self::Fat(fat) => fat.nodes(limits, cancel),
        }
    }

    /// The extended attributes of a name, by their names as `getxattr(2)` has them.
    pub(super) fn attributes(&self, node: &Node) -> Result<Attributes> {
        match self {
            Self::Ext(ext) if node.has_attributes => ext.attributes(node),
            Self::Ext(_) | Self::Fat(_) => Ok(Attributes::new()),
        }
    }

    /// Where the content of a file lies.
    pub(super) fn runs(&self, node: &Node) -> Result<Vec<Run>> {
        match self {
            Self::Ext(ext) => ext.runs(node),
            Self::Fat(fat) => fat.runs(node),
        }
    }
}
