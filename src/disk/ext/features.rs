//! What tells ext2, ext3 and ext4 apart: the features in their superblocks.

use super::{BLOCK, INODE};
use crate::disk::kind::FileSystem;

/// The three words of features of a superblock, by their names in the kernel (`fs/ext4/ext4.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    /// What a driver may ignore.
    pub(super) compat: u32,
    /// What a driver must know to mount at all.
    pub(super) incompat: u32,
    /// What a driver must know to write.
    pub(super) ro_compat: u32,
}

const HAS_JOURNAL: u32 = 0x4;
const EXT_ATTR: u32 = 0x8;
const RESIZE_INODE: u32 = 0x10;
const DIR_INDEX: u32 = 0x20;

const FILETYPE: u32 = 0x2;
const EXTENTS: u32 = 0x40;
const BITS_64: u32 = 0x80;
const FLEX_BG: u32 = 0x200;

const SPARSE_SUPER: u32 = 0x1;
const LARGE_FILE: u32 = 0x2;
const HUGE_FILE: u32 = 0x8;
const DIR_NLINK: u32 = 0x20;
const EXTRA_ISIZE: u32 = 0x40;
const METADATA_CSUM: u32 = 0x400;

/// ext2: what has no journal and no extents, and every driver of it reads.
const EXT2: Features = Features { compat: EXT_ATTR | RESIZE_INODE | DIR_INDEX, incompat: FILETYPE, ro_compat: SPARSE_SUPER | LARGE_FILE };

/// ext3 is ext2 with a journal.
const EXT3: Features = Features { compat: EXT2.compat | HAS_JOURNAL, ..EXT2 };

/// What every kernel since 5.10 mounts and GRUB 2.06 reads. Not among them: `metadata_csum_seed` and `orphan_file`, which newer versions of `mke2fs`
/// switch on and older ones of GRUB refuse.
const EXT4: Features = Features {
    compat: EXT3.compat,
    incompat: FILETYPE | EXTENTS | BITS_64 | FLEX_BG,
    ro_compat: EXT2.ro_compat | HUGE_FILE | DIR_NLINK | EXTRA_ISIZE | METADATA_CSUM,
};

impl Features {
    pub(super) fn of(filesystem: FileSystem) -> Self {
        match filesystem {
            FileSystem::Ext2 => EXT2,
            FileSystem::Ext3 => EXT3,
            _ => EXT4,
        }
    }

    pub(super) fn has_journal(self) -> bool {
        self.compat & HAS_JOURNAL != 0
    }

    /// Whether files are mapped by extents, and not block by block.
    pub(super) fn has_extents(self) -> bool {
        self.incompat & EXTENTS != 0
    }

    pub(super) fn has_checksums(self) -> bool {
        self.ro_compat & METADATA_CSUM != 0
    }

    /// How many groups have their bitmaps and inode tables side by side, as a power of two.
    pub(super) fn log_groups_per_flex(self) -> u8 {
        if self.incompat & FLEX_BG != 0 { 4 } else { 0 }
    }

    /// Bytes of a group descriptor.
    pub(super) fn descriptor_len(self) -> u64 {
        if self.incompat & BITS_64 != 0 { 64 } else { 32 }
    }

    /// The most names of a file, and folders in a folder (`EXT4_LINK_MAX`, `EXT2_LINK_MAX`). More folders are left uncounted only in those with an index of
    /// their names, which we do not write.
    pub(super) fn most_links(self) -> u32 {
        if self.has_extents() { 65_000 } else { 32_000 }
    }

    /// The longest file, holes included, in bytes: 32 bits of blocks; or what three levels of block numbers reach and 32 bits of sectors count.
    pub(super) fn longest_file(self) -> u64 {
        if self.has_extents() { (u64::from(u32::MAX)) * BLOCK } else { u64::from(u32::MAX) * 512 - (BLOCK << 20) }
    }

    /// Without what lets the file system grow while it is mounted: where its descriptors are as many as can be.
    pub(super) fn without_reserve(self) -> Self {
        Self { compat: self.compat & !RESIZE_INODE, ..self }
    }
}

/// How many inodes lie in a block.
pub(super) const INODES_PER_BLOCK: u64 = BLOCK / INODE;
