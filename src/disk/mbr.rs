//! The partition table of a master boot record: four primary entries behind the boot code (UEFI specification, section 5.2).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::Error;
use super::kind::{FileSystem, PartitionKind};
use super::layout::{Layout, Partition, SECTOR};

/// Where the disk's signature lies, behind the boot code.
const SIGNATURE: usize = 440;
/// Where the four entries of 16 bytes begin.
const ENTRIES: usize = 446;
/// What a BIOS looks for at the end of a sector that starts.
const MAGIC: [u8; 2] = [0x55, 0xaa];
/// Heads, cylinders and sectors that cannot be told: the entry's 32-bit numbers count.
const NO_CHS: [u8; 3] = [0xfe, 0xff, 0xff];
/// The mark of the partition to start from, which some BIOSes want to see.
const ACTIVE: u8 = 0x80;

/// Writes the table of a checked layout into `disk`; the boot code before it stays as it is. `path` is for errors.
pub(super) fn write(layout: &Layout, disk: &File, path: &Path) -> Result<(), Error> {
    let mut bytes = [0; SECTOR as usize - SIGNATURE];
    bytes[..4].copy_from_slice(&layout.uuid("disk").volume_id().to_le_bytes());
    let active = active(layout);
    for (number, partition) in layout.partitions.iter().enumerate() {
        let entry = &mut bytes[ENTRIES - SIGNATURE + 16 * number..][..16];
        entry[0] = if Some(number) == active { ACTIVE } else { 0 };
        entry[1..4].copy_from_slice(&NO_CHS);
        entry[4] = type_of(partition, layout);
        entry[5..8].copy_from_slice(&NO_CHS);
        // A checked disk has fewer than 2^32 sectors.
        entry[8..12].copy_from_slice(&((partition.start / SECTOR) as u32).to_le_bytes());
        entry[12..].copy_from_slice(&((partition.len / SECTOR) as u32).to_le_bytes());
    }
    let end = bytes.len() - MAGIC.len();
    bytes[end..].copy_from_slice(&MAGIC);
    disk.write_all_at(&bytes, SIGNATURE as u64).map_err(Error::io("write", path))
}

/// The partition that holds the kernel.
fn active(layout: &Layout) -> Option<usize> {
    let at = |mount_point| layout.partitions.iter().position(|partition| partition.mount_point.as_deref() == Some(mount_point));
    at("/boot").or_else(|| at("/"))
}

/// The type of a partition; FAT for data has one of its own here (0x0c: FAT32 with 32-bit sector numbers; 0x0e: FAT16 with them).
fn type_of(partition: &Partition, layout: &Layout) -> u8 {
    match (partition.kind, partition.filesystem) {
        (PartitionKind::Linux, Some(FileSystem::Fat32)) => 0x0c,
        (PartitionKind::Linux, Some(FileSystem::Fat16)) => 0x0e,
        (kind, _) => kind.row(layout.architecture).mbr,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::disk::kind::PartitionTable;
    use crate::disk::layout::tests::layout;
    use crate::root::sandbox::find_program;

    fn written() -> tempfile::NamedTempFile {
        let layout = Layout { table: PartitionTable::Mbr, ..layout(1 << 30) };
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(layout.size).unwrap();
        file.as_file().write_all_at(&[7; 440], 0).unwrap();
        write(&layout, file.as_file(), file.path()).unwrap();
        file
    }

    #[test]
    fn has_an_entry_for_each_partition_behind_the_boot_code() {
        let file = written();
        let mut sector = [0; 512];
        file.as_file().read_exact_at(&mut sector, 0).unwrap();
        assert_eq!((sector[439], &sector[510..]), (7, &MAGIC[..]));
        assert_eq!(sector[446..462], [0, 0xfe, 0xff, 0xff, 0xef, 0xfe, 0xff, 0xff, 0, 8, 0, 0, 0, 0, 2, 0], "64 MiB from sector 2048 on");
        assert_eq!((sector[462], sector[466]), (ACTIVE, 0x83));
        assert!(sector[478..510].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn other_programs_read_it() {
        let Some(sfdisk) = find_program("sfdisk") else { return };
        let file = written();
        let output = Command::new(sfdisk).arg("--dump").arg(file.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("label: dos") && text.contains("start=        2048, size=      131072, type=ef"), "{text}");
        assert!(text.contains("type=83, bootable"), "{text}");
    }
}
