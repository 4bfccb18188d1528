//! What a disk is to look like: sizes, partitions, and the seed of everything that would otherwise be random.

use serde::{Deserialize, Serialize};

use super::identity::Uuid;
use super::text;
use crate::digest::Digest;
use crate::units::ByteSize;

/// Sizes of the table and of ext4's and FAT's units: 512-byte sectors everywhere.
pub(super) const SECTOR: u64 = 512;

/// Partitions begin and end at multiples of this, as every partitioning tool since 2010 has it.
const ALIGNMENT: u64 = 1 << 20;

/// The backup table: 32 sectors of entries and one of header.
const TABLE_END: u64 = 33 * SECTOR;

/// The largest disk: what a protective MBR, ext4 with 4 KiB blocks and every tool still agree upon, with room.
const LARGEST: u64 = 16 << 40;

/// The last second that ext4 can hold: 34 bits from 1901 on.
const LAST_TIME: u64 = 0x3_7fff_ffff;

/// A disk: its size, its partitions, and what makes its identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The disk's length in bytes, a multiple of 1 MiB.
    pub size: u64,
    /// In the order of the table. One is the EFI system partition (FAT), one is the root file system (ext4, mounted at `/`).
    pub partitions: Vec<Partition>,
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
    /// What it is formatted with.
    pub filesystem: FileSystem,
    /// The file system's label: at most 16 bytes on ext4, 11 letters of ASCII on FAT (where it is stored in capitals).
    pub label: Option<String>,
    /// Where the system mounts it: absolute, without `..`, blanks or control characters.
    pub mount_point: String,
    /// The options in `/etc/fstab`, comma-separated; empty is `defaults`.
    pub mount_options: String,
}

/// What a partition is for: its type in the table, after the Discoverable Partitions Specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionKind {
    /// EFI system partition.
    Esp,
    /// The root file system for this architecture.
    LinuxRoot(Architecture),
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

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSystem {
    /// FAT with 32-bit clusters, or with 16-bit ones where the partition is too small for that.
    Fat32,
    /// ext4.
    Ext4,
}

/// A layout that no disk can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Too small, too large, or not a whole number of mebibytes.
    #[error("a disk of {0} cannot be partitioned: the size must be a multiple of 1 MiB, at most 16 TiB")]
    Size(ByteSize),
    /// A time that ext4 cannot hold.
    #[error("the time {0} s after the epoch is beyond May 2446, where the times of ext4 end")]
    Time(u64),
    /// More partitions than a table has room for, or none.
    #[error("a disk has between 1 and 128 partitions, not {0}")]
    Count(usize),
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

/// A layout that was checked, and its two partitions that are special.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked<'a> {
    pub(super) layout: &'a Layout,
    pub(super) esp: &'a Partition,
    pub(super) root: &'a Partition,
    pub(super) architecture: Architecture,
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

    /// The identifier of a partition's file system as `blkid` shows it (`UUID=`).
    pub fn filesystem_uuid(&self, partition: &Partition) -> String {
        let uuid = self.uuid(&format!("file system {}", partition.name));
        match partition.filesystem {
            FileSystem::Ext4 => uuid.to_string(),
            FileSystem::Fat32 => {
                let id = uuid.volume_id();
                format!("{:04X}-{:04X}", id >> 16, id & 0xffff)
            }
        }
    }

    /// Checks every promise of the fields.
    pub(super) fn check(&self) -> Result<Checked<'_>, LayoutError> {
        if !self.size.is_multiple_of(ALIGNMENT) || self.size < 4 * ALIGNMENT || self.size > LARGEST {
            return Err(LayoutError::Size(ByteSize(self.size)));
        }
        if self.time > LAST_TIME {
            return Err(LayoutError::Time(self.time));
        }
        if !(1..=128).contains(&self.partitions.len()) {
            return Err(LayoutError::Count(self.partitions.len()));
        }
        for (at, partition) in self.partitions.iter().enumerate() {
            let problem = partition.problem(self.size).or_else(|| self.partitions[..at].iter().find_map(|earlier| partition.clash(earlier)));
            if let Some(problem) = problem {
                return Err(LayoutError::Partition { name: partition.name.clone(), problem });
            }
        }
        let esp = self.only("EFI system partition", |partition| partition.kind == PartitionKind::Esp)?;
        let root = self.only("partition mounted at /", |partition| partition.mount_point == "/")?;
        let PartitionKind::LinuxRoot(architecture) = root.kind else {
            return Err(LayoutError::Partition { name: root.name.clone(), problem: "is mounted at / and must be a Linux root partition".to_owned() });
        };
        Ok(Checked { layout: self, esp, root, architecture })
    }

    fn only(&self, what: &'static str, matches: impl Fn(&Partition) -> bool) -> Result<&Partition, LayoutError> {
        let mut found = self.partitions.iter().filter(|partition| matches(partition));
        match (found.next(), found.count()) {
            (Some(partition), 0) => Ok(partition),
            (None, _) => Err(LayoutError::Only { what, count: 0 }),
            (Some(_), more) => Err(LayoutError::Only { what, count: more + 1 }),
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
        match (self.kind, self.filesystem) {
            (PartitionKind::Esp, FileSystem::Ext4) => return Some("is the EFI system partition and must be FAT".to_owned()),
            (PartitionKind::LinuxRoot(_), FileSystem::Fat32) => return Some("is a Linux root partition and cannot be FAT".to_owned()),
            (PartitionKind::LinuxRoot(_), _) if self.mount_point != "/" => {
                return Some(format!("is a Linux root partition and must be mounted at /, not at {}", self.mount_point));
            }
            (PartitionKind::Esp | PartitionKind::LinuxRoot(_), _) => {}
        }
        let parts = self.mount_point.split('/').skip(1);
        if self.mount_point != "/" && (!self.mount_point.starts_with('/') || !parts.into_iter().all(text::is_plain_name)) {
            return Some(format!("has the mount point “{}”, which is no plain absolute path", text::shown(&self.mount_point)));
        }
        if !text::is_one_word(&self.mount_options) && !self.mount_options.is_empty() {
            return Some(format!("has the mount options “{}”, which are not one word", text::shown(&self.mount_options)));
        }
        match (&self.label, self.filesystem) {
            (Some(label), FileSystem::Ext4) if label.len() > 16 || label.chars().any(char::is_control) => {
                Some(format!("has the label “{}”: ext4 labels have at most 16 bytes", text::shown(label)))
            }
            (Some(label), FileSystem::Fat32) if !super::fat::is_label(label) => {
                Some(format!("has the label “{}”: FAT labels have at most 11 letters, digits, spaces, “-” and “_”", text::shown(label)))
            }
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
        (self.mount_point == other.mount_point).then(|| format!("has the mount point {} of partition “{}”", self.mount_point, other.name))
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
            partitions: vec![
                Partition {
                    name: "esp".to_owned(),
                    table_name: "EFI".to_owned(),
                    kind: PartitionKind::Esp,
                    start: MIB,
                    len: 64 * MIB,
                    filesystem: FileSystem::Fat32,
                    label: Some("EFI".to_owned()),
                    mount_point: "/boot/efi".to_owned(),
                    mount_options: "umask=0077".to_owned(),
                },
                Partition {
                    name: "root".to_owned(),
                    table_name: "root".to_owned(),
                    kind: PartitionKind::LinuxRoot(Architecture::X86_64),
                    start: 65 * MIB,
                    len: size - 66 * MIB,
                    filesystem: FileSystem::Ext4,
                    label: Some("root".to_owned()),
                    mount_point: "/".to_owned(),
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
        let checked = layout.check().unwrap();
        assert_eq!((checked.esp.name.as_str(), checked.root.name.as_str()), ("esp", "root"));
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
        let wrong: [(&str, Change); 18] = [
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
            ("must be FAT", |layout| layout.partitions[0].filesystem = FileSystem::Ext4),
            ("FAT labels", |layout| layout.partitions[0].label = Some("élan".to_owned())),
            ("ext4 labels", |layout| layout.partitions[1].label = Some("x".repeat(17))),
            ("plain absolute path", |layout| layout.partitions[0].mount_point = "/boot/../etc".to_owned()),
            ("not one word", |layout| layout.partitions[0].mount_options = "ro 0 0\n/dev/sda / ext4".to_owned()),
            ("exactly one EFI system partition, not 0", |layout| {
                layout.partitions.remove(0);
            }),
            ("36 printable", |layout| layout.partitions[0].name = "x".repeat(37)),
            ("36 printable", |layout| layout.partitions[0].table_name = String::new()),
        ];
        for (expected, change) in wrong {
            let mut layout = layout(1 << 30);
            change(&mut layout);
            let message = layout.check().unwrap_err().to_string();
            assert!(message.contains(expected), "{message} should say “{expected}”");
        }
    }
}
