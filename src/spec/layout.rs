//! Where partitions lie on the disk.

use std::collections::BTreeMap;

use super::model::{FileSystem, Partition, PartitionKind, PartitionTable};
use crate::distro::BootProvider;
use crate::units::ByteSize;
use crate::yaml::{Place, Report};

/// The size of a disk whose spec has none.
pub(super) const DEFAULT_SIZE: ByteSize = ByteSize(4 << 30);

/// The largest disk: what ext4 can fill with blocks of 4 KiB.
pub(super) const MAX_SIZE: ByteSize = ByteSize(16 << 40);

/// Partitions begin and end on whole mebibytes; the first and the last one of the disk belong to the partition tables.
pub(super) const ALIGNMENT: u64 = ByteSize::MIB.0;

/// The smallest EFI system partition: room for one kernel and its initrd.
const MIN_ESP: ByteSize = ByteSize(64 << 20);

/// The smallest root: no distribution's essential packages fit into less.
const MIN_ROOT: ByteSize = ByteSize(256 << 20);

/// The smallest partition of another kind: an ext4 file system with its journal, and something in it.
const MIN_OTHER: ByteSize = ByteSize(8 << 20);

/// A partition with the places of what is said about it.
pub(super) struct Placed {
    pub(super) partition: Partition,
    pub(super) place: Place,
    pub(super) start: Place,
    pub(super) end: Place,
    /// Of its mount point.
    pub(super) mount: Place,
}

/// What partitions are to fit into.
#[derive(Clone, Copy)]
pub(super) struct Space {
    /// Of the disk.
    pub(super) size: ByteSize,
    pub(super) table: PartitionTable,
    pub(super) bootloader: Option<BootProvider>,
}

impl Space {
    /// Whether GRUB's core has a partition of its own.
    fn has_bios_partition(self) -> bool {
        self.bootloader == Some(BootProvider::GrubBios) && self.table == PartitionTable::Gpt
    }
}

/// What starts the machine, and the root in the rest: an EFI system partition of 512 MiB; for a BIOS 1 MiB for GRUB's core, or on an MBR nothing; nothing
/// where nothing on the disk starts it.
pub(super) fn default_partitions(table: PartitionTable, bootloader: Option<BootProvider>) -> Vec<Partition> {
    let border = default_border(table, bootloader);
    let named = |id: &str, kind, filesystem: Option<FileSystem>, mount_point: Option<&str>, start, end| Partition {
        id: id.to_owned(),
        name: id.to_owned(),
        kind,
        start,
        end,
        filesystem,
        label: None,
        mount_point: mount_point.map(str::to_owned),
        mount_options: default_options(filesystem).to_owned(),
    };
    let root = named("root", PartitionKind::LinuxRoot, Some(FileSystem::Ext4), Some("/"), border, None);
    let first = match (bootloader, table) {
        (Some(BootProvider::SystemdBoot | BootProvider::Grub), _) => {
            Some(named("esp", PartitionKind::Esp, Some(FileSystem::Fat32), Some("/boot/efi"), ByteSize::MIB, Some(border)))
        }
        (Some(BootProvider::GrubBios), PartitionTable::Gpt) => Some(named("bios", PartitionKind::Bios, None, None, ByteSize::MIB, Some(border))),
        (Some(BootProvider::GrubBios), PartitionTable::Mbr) | (None, _) => None,
    };
    first.into_iter().chain([root]).collect()
}

/// Where the root begins where the spec does not say so.
fn default_border(table: PartitionTable, bootloader: Option<BootProvider>) -> ByteSize {
    let mebibytes = match (bootloader, table) {
        (Some(BootProvider::SystemdBoot | BootProvider::Grub), _) => 513,
        (Some(BootProvider::GrubBios), PartitionTable::Gpt) => 2,
        (Some(BootProvider::GrubBios), PartitionTable::Mbr) | (None, _) => 1,
    };
    ByteSize(mebibytes << 20)
}

/// Mount options where the spec has none. What lies on an EFI system partition is nobody's but root's business.
pub(super) fn default_options(filesystem: Option<FileSystem>) -> &'static str {
    match filesystem {
        Some(FileSystem::Fat32 | FileSystem::Fat16) => "umask=0077",
        Some(FileSystem::Ext2 | FileSystem::Ext3 | FileSystem::Ext4) => "defaults",
        Some(FileSystem::Swap) => "sw",
        None => "",
    }
}

/// The smallest disk that the default layout fits on.
pub(super) fn min_default_size(table: PartitionTable, bootloader: Option<BootProvider>) -> ByteSize {
    ByteSize(default_border(table, bootloader).0 + MIN_ROOT.0 + ALIGNMENT)
}

/// Checks the partitions of a disk against each other and the disk.
pub(super) fn check(partitions: &[Placed], space: Space, list: Place, report: &Report) {
    check_order(partitions, space.size, report);
    check_roles(partitions, space, list, report);
    check_unique(partitions, report);
}

fn check_order(partitions: &[Placed], size: ByteSize, report: &Report) {
    let limit = size.0.saturating_sub(ALIGNMENT);
    let mut free = ALIGNMENT;
    for (index, placed) in partitions.iter().enumerate() {
        let Partition { id, start, end, kind, mount_point, .. } = &placed.partition;
        let last = index + 1 == partitions.len();
        if !start.0.is_multiple_of(ALIGNMENT) {
            report.error(placed.start, format!("partition “{id}” must start on a whole MiB"));
        } else if start.0 < ALIGNMENT {
            report.error(placed.start, format!("partition “{id}” must start at 1MiB or later: the partition table lies before"));
        } else if start.0 < free {
            let hint = format!("start it at {}MiB or later; the list is in the order of the disk", free / ALIGNMENT);
            report.error_with_hint(placed.start, format!("partition “{id}” overlaps the one before it"), hint);
        }
        let end = match end {
            None if last => limit,
            None => {
                report.error(placed.end, format!("partition “{id}” cannot have the rest of the disk: others follow"));
                return;
            }
            Some(end) => end.0,
        };
        if !end.is_multiple_of(ALIGNMENT) {
            report.error(placed.end, format!("partition “{id}” must end on a whole MiB"));
        } else if end > limit {
            let message =
                format!("partition “{id}” ends beyond the disk: the last MiB belongs to the partition table, so {}MiB is the end", limit >> 20);
            report.error_with_hint(placed.end, message, "write \"0\" for the rest of the disk, or make disk.size larger");
        } else if end <= start.0 {
            report.error(placed.end, format!("partition “{id}” must end after its start"));
        } else {
            let minimum = match kind {
                PartitionKind::Esp => MIN_ESP,
                PartitionKind::Bios => ByteSize::MIB,
                _ if mount_point.as_deref() == Some("/") => MIN_ROOT,
                _ => MIN_OTHER,
            };
            if end - start.0 < minimum.0 {
                report.error(placed.end, format!("partition “{id}” is too small: it needs at least {}MiB", minimum.0 >> 20));
            }
        }
        free = free.max(end);
    }
}

fn check_roles(partitions: &[Placed], space: Space, list: Place, report: &Report) {
    let efi = matches!(space.bootloader, Some(BootProvider::SystemdBoot | BootProvider::Grub));
    let is_root = |partition: &Partition| partition.kind == PartitionKind::LinuxRoot || partition.mount_point.as_deref() == Some("/");
    check_one(partitions, |partition| partition.kind == PartitionKind::Esp, efi, "EFI system partition (type: esp)", list, report);
    check_one(partitions, is_root, true, "root partition (mountPoint: /)", list, report);
    let what = "partition for GRUB's core (type: bios)";
    check_one(partitions, |partition| partition.kind == PartitionKind::Bios, space.has_bios_partition(), what, list, report);
    for placed in partitions {
        let Partition { id, kind, mount_point, filesystem, .. } = &placed.partition;
        let mount_point = mount_point.as_deref();
        if *kind == PartitionKind::Esp && !matches!(mount_point, Some("/boot/efi" | "/efi")) {
            report.error(placed.mount, format!("partition “{id}” is the EFI system partition, and must be mounted at /boot/efi or /efi"));
        } else if *kind == PartitionKind::LinuxRoot && mount_point != Some("/") {
            report.error(placed.mount, format!("partition “{id}” is the root partition, and must be mounted at /"));
        } else if mount_point == Some("/") && !filesystem.is_some_and(FileSystem::is_ext) {
            report.error(placed.mount, format!("partition “{id}” is mounted at /, and must be ext4, ext3 or ext2"));
        }
    }
}

/// There is exactly one partition that matches; none is fine where none is needed.
fn check_one(partitions: &[Placed], matches: impl Fn(&Partition) -> bool, needed: bool, what: &str, list: Place, report: &Report) {
    let mut found = partitions.iter().filter(|placed| matches(&placed.partition));
    let Some(first) = found.next() else {
        if needed {
            report.error(list, format!("disk.partitions has no {what}"));
        }
        return;
    };
    for second in found {
        report.error(second.place, format!("disk.partitions has a second {what}; the first is in {}", report.line_of(first.place, second.place)));
    }
}

fn check_unique(partitions: &[Placed], report: &Report) {
    let mut ids = BTreeMap::new();
    for placed in partitions {
        if let Some(first) = ids.insert(&placed.partition.id, placed.place) {
            let message = format!("a second partition is called “{}”; the first is in {}", placed.partition.id, report.line_of(first, placed.place));
            report.error(placed.place, message);
        }
    }
    let mut mounts = BTreeMap::new();
    for placed in partitions {
        let Some(mount_point) = placed.partition.mount_point.as_deref().filter(|mount_point| *mount_point != "/") else { continue };
        if let Some(first) = mounts.insert(mount_point, placed.partition.id.as_str()) {
            let message = format!("partition “{}” is mounted at {mount_point}, where “{first}” is already", placed.partition.id);
            report.error_with_hint(placed.mount, message, "give it another mountPoint");
        }
    }
}
