//! What partitions are for and what they are formatted with: the one table of their names, identifiers and limits.

use serde::{Deserialize, Serialize};

use super::identity::Uuid;
use super::layout::Architecture;

/// What a partition is for: its type in the table, after the UEFI and the Discoverable Partitions Specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionKind {
    /// EFI system partition.
    Esp,
    /// The root file system for the disk's architecture.
    LinuxRoot,
    /// Any file system of Linux.
    Linux,
    /// What a boot loader reads beside the EFI system partition.
    Xbootldr,
    /// Where GRUB's core lies on a disk with a GPT that a BIOS starts from.
    Bios,
    /// Swap.
    Swap,
    /// `/home`.
    Home,
    /// `/srv`.
    Srv,
    /// `/var`.
    Var,
    /// `/var/tmp`.
    Tmp,
}

/// A partition type in all its spellings.
#[derive(Debug)]
pub struct TypeRow {
    /// What it stands for.
    pub kind: PartitionKind,
    /// The architecture that it is for; none is any.
    pub architecture: Option<Architecture>,
    /// The name in specs.
    pub name: &'static str,
    /// The type in a GPT (Discoverable Partitions Specification; UEFI specification, table 5-7; GRUB manual, “BIOS installation”).
    pub guid: Uuid,
    /// The code in `sgdisk`, in lower case.
    pub code: &'static str,
    /// The type in an MBR.
    pub mbr: u8,
}

const fn row(kind: PartitionKind, name: &'static str, guid: u128, code: &'static str, mbr: u8) -> TypeRow {
    TypeRow { kind, architecture: None, name, guid: Uuid::of_digits(guid), code, mbr }
}

const fn root(architecture: Architecture, name: &'static str, guid: u128, code: &'static str) -> TypeRow {
    TypeRow { architecture: Some(architecture), ..row(PartitionKind::LinuxRoot, name, guid, code, 0x83) }
}

/// Every type that a partition can have.
pub const TYPES: [TypeRow; 11] = [
    row(PartitionKind::Esp, "esp", 0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b, "ef00", 0xef),
    root(Architecture::X86_64, "linux-root-amd64", 0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709, "8304"),
    root(Architecture::Aarch64, "linux-root-arm64", 0xb921b045_1df0_41c3_af44_4c6f280d3fae, "8305"),
    row(PartitionKind::Linux, "linux", 0x0fc63daf_8483_4772_8e79_3d69d8477de4, "8300", 0x83),
    row(PartitionKind::Xbootldr, "xbootldr", 0xbc13c2ff_59e6_4262_a352_b275fd6f7172, "ea00", 0xea),
    row(PartitionKind::Bios, "bios", 0x21686148_6449_6e6f_744e_656564454649, "ef02", 0x83),
    row(PartitionKind::Swap, "linux-swap", 0x0657fd6d_a4ab_43c4_84e5_0933c84b4f4f, "8200", 0x82),
    row(PartitionKind::Home, "linux-home", 0x933ac7e1_2eb4_4f13_b844_0e14e2aef915, "8302", 0x83),
    row(PartitionKind::Srv, "linux-srv", 0x3b8f8425_20e0_4f3b_907f_1a25a76f98e8, "8306", 0x83),
    row(PartitionKind::Var, "linux-var", 0x4d21b016_b534_45c2_a9fb_5c16e091fd2d, "8310", 0x83),
    row(PartitionKind::Tmp, "linux-tmp", 0x7ec6f557_3bc5_4aca_b293_16ef5df639d1, "8311", 0x83),
];

impl PartitionKind {
    /// Its spellings on a disk for that architecture.
    pub(crate) fn row(self, architecture: Architecture) -> &'static TypeRow {
        let found = TYPES.iter().find(|row| row.kind == self && row.architecture.is_none_or(|only| only == architecture));
        found.expect("every kind has a row for every architecture")
    }

    /// Whether a partition of this kind can be formatted so.
    pub fn holds(self, filesystem: Option<FileSystem>) -> bool {
        match (self, filesystem) {
            (Self::Bios, filesystem) => filesystem.is_none(),
            (Self::Swap, filesystem) => filesystem == Some(FileSystem::Swap),
            (_, None | Some(FileSystem::Swap)) => false,
            (Self::Esp, Some(filesystem)) => filesystem.is_fat(),
            (Self::Linux | Self::Xbootldr, Some(_)) => true,
            (Self::LinuxRoot | Self::Home | Self::Srv | Self::Var | Self::Tmp, Some(filesystem)) => filesystem.is_ext(),
        }
    }
}

/// What a partition is formatted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSystem {
    /// FAT with 32-bit clusters, or with 16-bit ones where the partition is too small for that.
    Fat32,
    /// FAT with 16-bit clusters; at most 2 GiB.
    Fat16,
    /// ext2.
    Ext2,
    /// ext3.
    Ext3,
    /// ext4.
    Ext4,
    /// Swap space.
    Swap,
}

impl FileSystem {
    /// Every one, with the names that specs have for it, the first of them its own.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("fat32", Self::Fat32),
        ("vfat", Self::Fat32),
        ("fat16", Self::Fat16),
        ("ext2", Self::Ext2),
        ("ext3", Self::Ext3),
        ("ext4", Self::Ext4),
        ("linux-swap", Self::Swap),
        ("swap", Self::Swap),
    ];

    /// Its name in specs.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, filesystem)| *filesystem == self).map_or("", |(name, _)| name)
    }

    /// Its name in `/etc/fstab`.
    pub(super) fn fstab(self) -> &'static str {
        match self {
            Self::Fat32 | Self::Fat16 => "vfat",
            Self::Swap => "swap",
            Self::Ext2 | Self::Ext3 | Self::Ext4 => self.name(),
        }
    }

    /// One of the FAT family, which knows neither owners nor links.
    pub fn is_fat(self) -> bool {
        matches!(self, Self::Fat32 | Self::Fat16)
    }

    /// One of the ext family.
    pub fn is_ext(self) -> bool {
        matches!(self, Self::Ext2 | Self::Ext3 | Self::Ext4)
    }
}

/// The kind of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionTable {
    /// GUID partition table (UEFI specification, chapter 5).
    Gpt,
    /// The four primary entries of a master boot record.
    Mbr,
}

impl PartitionTable {
    /// How many partitions it holds.
    pub fn most_partitions(self) -> usize {
        match self {
            Self::Gpt => 128,
            Self::Mbr => 4,
        }
    }

    /// The largest disk in bytes: what ext4 with blocks of 4 KiB and every tool still agree upon; what 32 bits of sectors can count.
    pub fn largest_disk(self) -> u64 {
        match self {
            Self::Gpt => 16 << 40,
            Self::Mbr => 2 << 40,
        }
    }

    /// Its name in specs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt => "gpt",
            Self::Mbr => "mbr",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_spelling_of_a_type_stands_once() {
        let names: BTreeSet<&str> = TYPES.iter().map(|row| row.name).collect();
        let codes: BTreeSet<&str> = TYPES.iter().map(|row| row.code).collect();
        let guids: BTreeSet<String> = TYPES.iter().map(|row| row.guid.to_string()).collect();
        assert_eq!((names.len(), codes.len(), guids.len()), (TYPES.len(), TYPES.len(), TYPES.len()));
        for row in &TYPES {
            for architecture in [Architecture::X86_64, Architecture::Aarch64] {
                assert_eq!(row.kind.row(architecture).kind, row.kind);
            }
        }
    }

    #[test]
    fn file_systems_go_where_they_can_be_read() {
        assert!(PartitionKind::Esp.holds(Some(FileSystem::Fat16)) && !PartitionKind::Esp.holds(Some(FileSystem::Ext4)));
        assert!(PartitionKind::Linux.holds(Some(FileSystem::Fat32)) && !PartitionKind::Linux.holds(Some(FileSystem::Swap)));
        assert!(PartitionKind::LinuxRoot.holds(Some(FileSystem::Ext2)) && !PartitionKind::LinuxRoot.holds(Some(FileSystem::Fat32)));
        assert!(PartitionKind::Bios.holds(None) && !PartitionKind::Bios.holds(Some(FileSystem::Ext4)) && !PartitionKind::Var.holds(None));
    }
}
