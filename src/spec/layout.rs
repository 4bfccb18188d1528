//! Where partitions lie on the disk.

use std::collections::BTreeMap;

use super::model::{FileSystem, Partition, PartitionKind};
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

/// A partition with the places of what is said about it.
pub(super) struct Placed {
    pub(super) partition: Partition,
    pub(super) place: Place,
    pub(super) start: Place,
    pub(super) end: Place,
    /// Of its mount point.
    pub(super) mount: Place,
}

/// An EFI system partition of 512 MiB, and the root in the rest.
pub(super) fn default_partitions() -> Vec<Partition> {
    let border = ByteSize(513 << 20);
    let esp = Partition {
        id: "esp".to_owned(),
        name: "esp".to_owned(),
        kind: PartitionKind::Esp,
        start: ByteSize::MIB,
        end: Some(border),
        filesystem: FileSystem::Fat32,
        label: None,
        mount_point: "/boot/efi".to_owned(),
        mount_options: default_options(FileSystem::Fat32).to_owned(),
    };
    let root = Partition {
        id: "root".to_owned(),
        name: "root".to_owned(),
        kind: PartitionKind::LinuxRoot,
        start: border,
        end: None,
        filesystem: FileSystem::Ext4,
        label: None,
        mount_point: "/".to_owned(),
        mount_options: default_options(FileSystem::Ext4).to_owned(),
    };
    vec![esp, root]
}

/// Mount options where the spec has none. What lies on an EFI system partition is nobody's but root's business.
pub(super) fn default_options(filesystem: FileSystem) -> &'static str {
    match filesystem {
        FileSystem::Fat32 => "umask=0077",
        FileSystem::Ext4 => "defaults",
    }
}

/// The smallest disk that the default layout fits on.
pub(super) fn min_default_size() -> ByteSize {
    ByteSize((513 << 20) + MIN_ROOT.0 + ALIGNMENT)
}

/// Checks the partitions of a disk of that size against each other and the disk.
pub(super) fn check(partitions: &[Placed], size: ByteSize, list: Place, report: &Report) {
    check_order(partitions, size, report);
    check_roles(partitions, list, report);
    check_unique(partitions, report);
}

fn check_order(partitions: &[Placed], size: ByteSize, report: &Report) {
    let limit = size.0.saturating_sub(ALIGNMENT);
    let mut free = ALIGNMENT;
    for (index, placed) in partitions.iter().enumerate() {
        let Partition { id, start, end, kind, .. } = &placed.partition;
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
            let minimum = if *kind == PartitionKind::Esp { MIN_ESP } else { MIN_ROOT };
            if end - start.0 < minimum.0 {
                report.error(placed.end, format!("partition “{id}” is too small: it needs at least {}MiB", minimum.0 >> 20));
            }
        }
        free = free.max(end);
    }
}

fn check_roles(partitions: &[Placed], list: Place, report: &Report) {
    for (kind, what) in [(PartitionKind::Esp, "EFI system partition (type: esp)"), (PartitionKind::LinuxRoot, "root partition (mountPoint: /)")] {
        let mut found = partitions.iter().filter(|placed| placed.partition.kind == kind);
        if found.next().is_none() {
            report.error(list, format!("disk.partitions has no {what}"));
        }
        for second in found {
            report.error(second.place, format!("disk.partitions has a second {what}"));
        }
    }
    for placed in partitions {
        let Partition { id, kind, mount_point, .. } = &placed.partition;
        match kind {
            PartitionKind::Esp if !matches!(mount_point.as_str(), "/boot/efi" | "/efi") => {
                report.error(placed.mount, format!("partition “{id}” is the EFI system partition, and must be mounted at /boot/efi or /efi"));
            }
            PartitionKind::LinuxRoot if mount_point != "/" => {
                report.error(placed.mount, format!("partition “{id}” is the root partition, and must be mounted at /"));
            }
            _ => {}
        }
    }
}

fn check_unique(partitions: &[Placed], report: &Report) {
    let mut ids = BTreeMap::new();
    for placed in partitions {
        if let Some(first) = ids.insert(&placed.partition.id, placed.place) {
            let message = format!("a second partition is called “{}”; the first is in line {}", placed.partition.id, first.line);
            report.error(placed.place, message);
        }
    }
}
