//! What a disk is to look like: sizes, partitions, and the seed of everything that would otherwise be random.

use serde::{Deserialize, Serialize};

use super::boot::Provider;
use super::identity::Uuid;
use super::kind::{FileSystem, PartitionKind, PartitionTable};
use super::text;
use crate::digest::Digest;
use crate::units::ByteSize;

/// Sizes of the table and of ext4's and FAT's units: 512-byte sectors everywhere.
pub(super) const SECTOR: u64 = 512;

/// Partitions begin and end at multiples of this, as every partitioning tool since 2010 has it.
const ALIGNMENT: u64 = 1 << 20;

/// The backup table: 32 sectors of entries and one of header.
const TABLE_END: u64 = 33 * SECTOR;

/// The last second that ext4 can hold: 34 bits from 1901 on.
const LAST_TIME: u64 = 0x3_7fff_ffff;

/// A disk: its size, its partitions, and what makes its identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The disk's length in bytes, a multiple of 1 MiB.
    pub size: u64,
    /// The kind of partition table.
    pub table: PartitionTable,
    /// The processor that it starts.
    pub architecture: Architecture,
    /// In the order of the table. One is mounted at `/`; a disk that EFI starts has one EFI system partition, one with a GPT that a BIOS starts from has
    /// one for GRUB.
    pub partitions: Vec<Partition>,
    /// Whether the last partition and its file system take the rest of a larger disk when the machine starts.
    pub extend_last_partition: bool,
    /// All identifiers of the disk derive from it: the same seed, the same identifiers.
    pub seed: Digest,
    /// No time on the disk is later: seconds since the epoch; before May 2446, where ext4's times end.
    pub time: u64,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// What it is called here, unlike every other: its identifiers derive from it. The same rules as for `table_name`.
    pub name: String,
    /// The name in the partition table: at most 36 UTF-16 units, no control characters.
    pub table_name: String,
    /// What it is for.
    pub kind: PartitionKind,
    /// The offset of its first byte on the disk: a multiple of 1 MiB, at least 1 MiB.
    pub start: u64,
    /// Its length in bytes: a multiple of 512, above zero.
    pub len: u64,
    /// What it is formatted with, if with anything.
    pub filesystem: Option<FileSystem>,
    /// The file system's label: at most 16 bytes on ext4 and swap, 11 letters of ASCII on FAT (where it is stored in capitals).
    pub label: Option<String>,
    /// Where the system mounts it, if anywhere: absolute, without `..`, blanks or control characters. What the tree has there goes into it.
    pub mount_point: Option<String>,
    /// The options in `/etc/fstab`, comma-separated; empty is `defaults`.
    pub mount_options: String,
}

/// A processor architecture that a disk can be made bootable for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// `amd64` in Debian.
    X86_64,
    /// `arm64` in Debian.
    Aarch64,
}

impl From<crate::distro::Architecture> for Architecture {
    fn from(architecture: crate::distro::Architecture) -> Self {
        match architecture {
            crate::distro::Architecture::X86_64 => Self::X86_64,
            crate::distro::Architecture::Aarch64 => Self::Aarch64,
        }
    }
}

/// A layout that no disk can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Too small, too large, or not a whole number of mebibytes.
    #[error("a disk of {size} cannot be partitioned: the size must be a multiple of 1 MiB, at most {largest}")]
    Size {
        /// Its size.
        size: ByteSize,
        /// The largest that there can be.
        largest: ByteSize,
    },
    /// A time that ext4 cannot hold.
    #[error("the time {0} s after the epoch is beyond May 2446, where the times of ext4 end")]
    Time(u64),
    /// More partitions than a table has room for, or none.
    #[error("a disk has between 1 and {most} partitions, not {count}")]
    Count {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A partition in the wrong place.
    #[error("partition “{name}” {problem}")]
    Partition {
        /// Which.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Not exactly one partition of a kind that there must be one of.
    #[error("a disk has exactly one {what}, not {count}")]
    Only {
        /// Which kind.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
}

/// A layout that was checked, and its partitions that are special.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked<'a> {
    pub(super) layout: &'a Layout,
    /// The EFI system partition; there is one where EFI starts the disk.
    pub(super) esp: Option<&'a Partition>,
    /// Where GRUB's core lies on a GPT, for a BIOS.
    pub(super) bios: Option<&'a Partition>,
    pub(super) root: &'a Partition,
    /// What holds `/boot`: a partition of its own, or the root.
    pub(super) boot: &'a Partition,
}

impl Layout {
    /// The identifier of `what` on this disk: the same for the same seed.
    pub fn uuid(&self, what: &str) -> Uuid {
        Uuid::derive(&self.seed, what)
    }

    /// The identifier of a partition in the table (`PARTUUID=`).
    pub fn partition_uuid(&self, partition: &Partition) -> Uuid {
        self.uuid(&format!("partition {}", partition.name))
    }

    /// The identifier of a partition's file system, of which FAT has a part.
    pub(super) fn filesystem_id(&self, partition: &Partition) -> Uuid {
        self.uuid(&format!("file system {}", partition.name))
    }

    /// The identifier of a partition's file system as `blkid` shows it (`UUID=`).
    pub fn filesystem_uuid(&self, partition: &Partition) -> String {
        let uuid = self.filesystem_id(partition);
        if partition.filesystem.is_some_and(FileSystem::is_fat) {
            let id = uuid.volume_id();
            return format!("{:04X}-{:04X}", id >> 16, id & 0xffff);
        }
        uuid.to_string()
    }

    /// Checks every promise of the fields, for a disk that `provider` starts, if anything on it does.
    pub(super) fn check(&self, provider: Option<Provider>) -> Result<Checked<'_>, LayoutError> {
        let largest = self.table.largest_disk();
        if !self.size.is_multiple_of(ALIGNMENT) || self.size < 4 * ALIGNMENT || self.size > largest {
            return Err(LayoutError::Size { size: ByteSize(self.size), largest: ByteSize(largest) });
        }
        if self.time > LAST_TIME {
            return Err(LayoutError::Time(self.time));
        }
        let (count, most) = (self.partitions.len(), self.table.most_partitions());
        if !(1..=most).contains(&count) {
            return Err(LayoutError::Count { count, most });
        }
        for (at, partition) in self.partitions.iter().enumerate() {
            let problem = partition.problem(self.size).or_else(|| self.partitions[..at].iter().find_map(|earlier| partition.clash(earlier)));
            if let Some(problem) = problem {
                return Err(LayoutError::Partition { name: partition.name.clone(), problem });
            }
        }
        let needs_esp = matches!(provider, Some(Provider::SystemdBoot | Provider::Grub));
        let esp = self.one("EFI system partition", needs_esp, |partition| partition.kind == PartitionKind::Esp)?;
        let needs_bios = provider == Some(Provider::GrubBios) && self.table == PartitionTable::Gpt;
        let bios = self.one("partition for GRUB's core", needs_bios, |partition| partition.kind == PartitionKind::Bios)?;
        let root = self.one("partition mounted at /", true, |partition| partition.mount_point.as_deref() == Some("/"))?;
        let root = root.ok_or(LayoutError::Only { what: "partition mounted at /", count: 0 })?;
        if !root.filesystem.is_some_and(FileSystem::is_ext) {
            let problem = "is mounted at / and must be ext2, ext3 or ext4".to_owned();
            return Err(LayoutError::Partition { name: root.name.clone(), problem });
        }
        let boot = self.partitions.iter().find(|partition| partition.mount_point.as_deref() == Some("/boot")).unwrap_or(root);
        let last = self.partitions.iter().max_by_key(|partition| partition.start).unwrap_or(root);
        if self.extend_last_partition
            && (self.table != PartitionTable::Gpt || last.filesystem != Some(FileSystem::Ext4) || last.mount_point.is_none())
        {
            let problem = "cannot grow when the machine starts: that takes a GPT, and ext4 that is mounted".to_owned();
            return Err(LayoutError::Partition { name: last.name.clone(), problem });
        }
        Ok(Checked { layout: self, esp, bios, root, boot })
    }

    /// The one partition that matches; if it is needed, it must be there.
    fn one(&self, what: &'static str, needed: bool, matches: impl Fn(&Partition) -> bool) -> Result<Option<&Partition>, LayoutError> {
        let mut found = self.partitions.iter().filter(|partition| matches(partition));
        match (found.next(), found.count()) {
            (None, _) if needed => Err(LayoutError::Only { what, count: 0 }),
            (first, 0) => Ok(first),
            (_, more) => Err(LayoutError::Only { what, count: more + 1 }),
        }
    }
}

impl Partition {
    /// What is wrong with this partition by itself, in words that follow its name.
    fn problem(&self, disk: u64) -> Option<String> {
        let last = disk - TABLE_END;
        let is_name = |name: &str| !name.is_empty() && name.encode_utf16().count() <= 36 && !name.contains(char::is_control);
        if !is_name(&self.name) || !is_name(&self.table_name) {
            return Some("needs a name of 1 to 36 printable characters".to_owned());
        }
        if !self.start.is_multiple_of(ALIGNMENT) || self.start < ALIGNMENT {
            return Some(format!("must start at a multiple of 1 MiB, not at {} bytes", self.start));
        }
        if self.len == 0 || !self.len.is_multiple_of(SECTOR) {
            return Some(format!("must have a length that is a multiple of 512 bytes, not {} bytes", self.len));
        }
        if self.start.checked_add(self.len).is_none_or(|end| end > last) {
            return Some(format!("does not fit: the disk is {}, and its last 17 KiB hold the backup partition table", ByteSize(disk)));
        }
        if !self.kind.holds(self.filesystem) {
            let filesystem = self.filesystem.map_or("nothing", FileSystem::name);
            return Some(format!("is of a type that cannot be formatted with {filesystem}"));
        }
        if self.filesystem == Some(FileSystem::Fat16) && self.len > super::fat::LARGEST_FAT16 {
            return Some(format!("is {}, and FAT with 16 bits ends at 2 GiB", ByteSize(self.len)));
        }
        if let Some(mount_point) = &self.mount_point {
            if self.filesystem.is_none_or(|filesystem| filesystem == FileSystem::Swap) {
                return Some("has a mount point, and nothing that could be mounted".to_owned());
            }
            if self.kind == PartitionKind::LinuxRoot && mount_point != "/" {
                return Some(format!("is a Linux root partition and must be mounted at /, not at {mount_point}"));
            }
            let parts = mount_point.split('/').skip(1);
            if mount_point != "/" && (!mount_point.starts_with('/') || !parts.into_iter().all(text::is_plain_name)) {
                return Some(format!("has the mount point “{}”, which is no plain absolute path", text::shown(mount_point)));
            }
        } else if matches!(self.kind, PartitionKind::LinuxRoot | PartitionKind::Esp) {
            return Some("has no mount point".to_owned());
        }
        if !text::is_one_word(&self.mount_options) && !self.mount_options.is_empty() {
            return Some(format!("has the mount options “{}”, which are not one word", text::shown(&self.mount_options)));
        }
        match (&self.label, self.filesystem) {
            (Some(label), Some(filesystem)) if filesystem.is_fat() && !super::fat::is_label(label) => {
                Some(format!("has the label “{}”: FAT labels have at most 11 letters, digits, spaces, “-” and “_”", text::shown(label)))
            }
            (Some(label), Some(filesystem)) if !filesystem.is_fat() && (label.len() > 16 || label.chars().any(char::is_control)) => {
                Some(format!("has the label “{}”: {} labels have at most 16 bytes", text::shown(label), filesystem.name()))
            }
            (Some(_), None) => Some("has a label, and no file system".to_owned()),
            _ => None,
        }
    }

    /// What two partitions cannot both have, in words that follow this one's name.
    fn clash(&self, other: &Self) -> Option<String> {
        if self.start < other.start + other.len && other.start < self.start + self.len {
            return Some(format!("overlaps partition “{}”", other.name));
        }
        if self.name == other.name {
            return Some("is there twice".to_owned());
        }
        let shared = self.mount_point.as_ref().filter(|mount_point| other.mount_point.as_ref() == Some(mount_point))?;
        Some(format!("has the mount point {shared} of partition “{}”", other.name))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A disk of `size` bytes with an EFI system partition of 64 MiB and the rest as root.
    pub(in crate::disk) fn layout(size: u64) -> Layout {
        const MIB: u64 = 1 << 20;
        Layout {
            size,
            table: PartitionTable::Gpt,
            architecture: Architecture::X86_64,
            extend_last_partition: false,
            partitions: vec![
                Partition {
                    name: "esp".to_owned(),
                    table_name: "EFI".to_owned(),
                    kind: PartitionKind::Esp,
                    start: MIB,
                    len: 64 * MIB,
                    filesystem: Some(FileSystem::Fat32),
                    label: Some("EFI".to_owned()),
                    mount_point: Some("/boot/efi".to_owned()),
                    mount_options: "umask=0077".to_owned(),
                },
                Partition {
                    name: "root".to_owned(),
                    table_name: "root".to_owned(),
                    kind: PartitionKind::LinuxRoot,
                    start: 65 * MIB,
                    len: size - 66 * MIB,
                    filesystem: Some(FileSystem::Ext4),
                    label: Some("root".to_owned()),
                    mount_point: Some("/".to_owned()),
                    mount_options: "errors=remount-ro".to_owned(),
                },
            ],
            seed: Digest::of(b"seed"),
            time: 1_700_000_000,
        }
    }

    #[test]
    fn accepts_the_usual_disk() {
        let layout = layout(1 << 30);
        let checked = layout.check(Some(Provider::Grub)).unwrap();
        assert_eq!((checked.esp.unwrap().name.as_str(), checked.root.name.as_str(), checked.boot.name.as_str()), ("esp", "root", "root"));
    }

    #[test]
    fn identifiers_depend_on_seed_and_purpose_alone() {
        let (a, mut b) = (layout(1 << 30), layout(2 << 30));
        assert_eq!(a.filesystem_uuid(&a.partitions[1]), b.filesystem_uuid(&b.partitions[1]));
        assert_ne!(a.partition_uuid(&a.partitions[0]), a.partition_uuid(&a.partitions[1]));
        assert_eq!(a.filesystem_uuid(&a.partitions[0]).len(), 9);
        b.seed = Digest::of(b"other");
        assert_ne!(a.uuid("disk"), b.uuid("disk"));
    }

    #[test]
    fn refuses_what_no_disk_can_have() {
        type Change = fn(&mut Layout);
        let wrong: [(&str, Change); 26] = [
            ("cannot be partitioned", |layout| layout.size += 512),
            ("cannot be partitioned", |layout| layout.size = u64::MAX << 20),
            ("beyond May 2446", |layout| layout.time = u64::MAX),
            ("between 1 and 128", |layout| layout.partitions.clear()),
            ("overlaps", |layout| layout.partitions[0].len += 512),
            ("multiple of 1 MiB", |layout| layout.partitions[0].start = 512),
            ("does not fit", |layout| layout.partitions[1].len += 1 << 20),
            ("does not fit", |layout| layout.partitions[1].len = u64::MAX - 511),
            ("multiple of 512", |layout| layout.partitions[0].len = 0),
            ("is there twice", |layout| layout.partitions[0].name = "root".to_owned()),
            ("cannot be formatted with ext4", |layout| layout.partitions[0].filesystem = Some(FileSystem::Ext4)),
            ("FAT labels", |layout| layout.partitions[0].label = Some("élan".to_owned())),
            ("ext4 labels", |layout| layout.partitions[1].label = Some("x".repeat(17))),
            ("plain absolute path", |layout| layout.partitions[0].mount_point = Some("/boot/../etc".to_owned())),
            ("not one word", |layout| layout.partitions[0].mount_options = "ro 0 0\n/dev/sda / ext4".to_owned()),
            ("exactly one EFI system partition, not 0", |layout| {
                layout.partitions.remove(0);
            }),
            ("36 printable", |layout| layout.partitions[0].name = "x".repeat(37)),
            ("between 1 and 4 partitions", |layout| {
                layout.table = PartitionTable::Mbr;
                let one = layout.partitions[1].clone();
                layout.partitions.extend([one.clone(), one.clone(), one]);
            }),
            ("at most 2.00 TiB", |layout| (layout.table, layout.size) = (PartitionTable::Mbr, 3 << 40)),
            ("must be ext2, ext3 or ext4", |layout| {
                (layout.partitions[1].kind, layout.partitions[1].filesystem) = (PartitionKind::Linux, Some(FileSystem::Fat32));
                layout.partitions[1].label = None;
            }),
            ("must be mounted at /", |layout| layout.partitions[1].mount_point = Some("/srv".to_owned())),
            ("has no mount point", |layout| layout.partitions[1].mount_point = None),
            ("nothing that could be mounted", |layout| {
                (layout.partitions[1].kind, layout.partitions[1].filesystem) = (PartitionKind::Swap, Some(FileSystem::Swap));
            }),
            ("cannot grow", |layout| {
                (layout.extend_last_partition, layout.partitions[1].filesystem) = (true, Some(FileSystem::Ext3));
            }),
            ("has the mount point /boot/efi of", |layout| {
                (layout.partitions[1].kind, layout.partitions[1].mount_point) = (PartitionKind::Linux, Some("/boot/efi".to_owned()));
            }),
            ("36 printable", |layout| layout.partitions[0].table_name = String::new()),
        ];
        for (expected, change) in wrong {
            let mut layout = layout(1 << 30);
            change(&mut layout);
            let message = layout.check(Some(Provider::Grub)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} should say “{expected}”");
        }
    }
}
