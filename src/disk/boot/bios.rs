//! What a BIOS starts: GRUB's boot code in the first sector, and its core in a partition of its own (GPT) or behind the table (MBR).
//!
//! `grub-install` writes both to a device; here they are files of the tree, and what is written into them is where the other one lies (offsets from
//! GRUB's `include/grub/i386/pc/boot.h`; measured with GRUB 2.06, whose core with all our modules has 251 KiB).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Error;
use crate::disk::layout::{Checked, SECTOR};
use crate::units::ByteSize;

/// The boot code before the disk's signature and the partition table.
const CODE: usize = 440;
/// Where the boot code has the first sector of the core (64 bits).
const CORE_SECTOR: usize = 0x5c;
/// Where it has the drive to read from; 0xff is the one that the BIOS started.
const DRIVE: usize = 0x64;
/// Two bytes of a jump over the repair of a drive number that the BIOS gave wrong; without the jump, hard disks are repaired.
const DRIVE_CHECK: usize = 0x66;
const NOP: u8 = 0x90;
/// Where the first sector of the core has the place of its second one (64 bits), before the count of sectors and the segment to load them to.
const REST_SECTOR: usize = 500;
/// Where the core lies on a disk without a partition for it.
const GAP: u64 = SECTOR;

/// Both parts, as GRUB made them.
#[derive(Debug)]
pub(in crate::disk) struct Bios {
    pub(in crate::disk) boot: Vec<u8>,
    pub(in crate::disk) core: Vec<u8>,
}

/// Writes both to their places; the partition table is written by others.
pub(in crate::disk) fn write(layout: Checked<'_>, bios: &Bios, disk: &File, path: &Path) -> Result<(), Error> {
    let wrong = |problem: &str| Error::BadFile { path: "/usr/lib/grub/i386-pc".to_owned(), problem: problem.to_owned() };
    if bios.boot.len() != SECTOR as usize || bios.core.len() < 2 * SECTOR as usize {
        return Err(wrong("has no boot code of 512 bytes, or no core"));
    }
    let (start, room) = match layout.bios {
        Some(partition) => (partition.start, partition.len),
        // Up to the first partition.
        None => (GAP, layout.layout.partitions.iter().map(|partition| partition.start).min().unwrap_or(0).saturating_sub(GAP)),
    };
    let missing = (bios.core.len() as u64).saturating_sub(room);
    if missing > 0 {
        let name = layout.bios.map_or("the gap before the first one", |partition| &partition.name);
        return Err(Error::TooSmall { partition: name.to_owned(), has: ByteSize(room), missing: ByteSize(missing.next_multiple_of(1 << 20)) });
    }
    let sector = start / SECTOR;
    let mut boot = bios.boot[..CODE].to_vec();
    boot[CORE_SECTOR..CORE_SECTOR + 8].copy_from_slice(&sector.to_le_bytes());
    boot[DRIVE] = 0xff;
    boot[DRIVE_CHECK..DRIVE_CHECK + 2].fill(NOP);
    let mut core = bios.core.clone();
    core[REST_SECTOR..REST_SECTOR + 8].copy_from_slice(&(sector + 1).to_le_bytes());
    disk.write_all_at(&boot, 0).map_err(Error::io("write", path))?;
    disk.write_all_at(&core, start).map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::boot::Provider;
    use crate::disk::kind::{PartitionKind, PartitionTable};
    use crate::disk::layout::Layout;
    use crate::disk::layout::tests::layout;

    fn bios() -> Bios {
        Bios { boot: vec![1; 512], core: vec![2; 5 * 512] }
    }

    fn legacy(table: PartitionTable) -> Layout {
        let mut layout = Layout { table, ..layout(1 << 30) };
        if table == PartitionTable::Gpt {
            let esp = &mut layout.partitions[0];
            (esp.kind, esp.filesystem, esp.label, esp.mount_point, esp.len) = (PartitionKind::Bios, None, None, None, 1 << 20);
        } else {
            layout.partitions.remove(0);
        }
        layout
    }

    fn written(layout: &Layout, bios: &Bios) -> Result<Vec<u8>, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(layout.check(Some(Provider::GrubBios)).unwrap(), bios, file.as_file(), file.path())?;
        Ok(std::fs::read(file.path()).unwrap())
    }

    #[test]
    fn each_part_knows_where_the_next_one_lies() {
        for (table, place) in [(PartitionTable::Gpt, 2048_u64), (PartitionTable::Mbr, 1)] {
            let bytes = written(&legacy(table), &bios()).unwrap();
            assert_eq!(bytes[CORE_SECTOR..CORE_SECTOR + 8], place.to_le_bytes());
            assert_eq!((bytes[DRIVE], &bytes[DRIVE_CHECK..DRIVE_CHECK + 2], bytes[CODE - 1]), (0xff, &[NOP, NOP][..], 1));
            let core = &bytes[(place * 512) as usize..];
            assert_eq!((core.len(), &core[REST_SECTOR..REST_SECTOR + 8], core[508]), (5 * 512, &(place + 1).to_le_bytes()[..], 2));
        }
        assert_eq!(written(&legacy(PartitionTable::Mbr), &bios()).unwrap()[CODE..512], [0; 72], "the table is left alone");
    }

    #[test]
    fn a_core_without_room_is_refused() {
        let large = Bios { core: vec![2; 2 << 20], ..bios() };
        for table in [PartitionTable::Gpt, PartitionTable::Mbr] {
            let error =
                written(&legacy(table), &Bios { core: if table == PartitionTable::Mbr { vec![2; 70 << 20] } else { large.core.clone() }, ..bios() });
            assert!(matches!(error, Err(Error::TooSmall { .. })));
        }
        assert!(written(&legacy(PartitionTable::Mbr), &Bios { boot: vec![1; 100], ..bios() }).is_err());
    }
}
