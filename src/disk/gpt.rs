//! The partition table: a protective MBR and a GPT with its backup (UEFI specification, chapter 5).

use std::fs::File;
use std::path::Path;

use gptman::{GPT, GPTPartitionEntry};

use super::error::Error;
use super::layout::{Layout, SECTOR};

/// Writes the table of a checked layout into `disk`, which has its full length already. `path` is for errors.
pub(super) fn write(layout: &Layout, mut disk: &File, path: &Path) -> Result<(), Error> {
    let table = |source| Error::Table { path: path.to_owned(), source };
    let mut gpt = GPT::new_from(&mut disk, SECTOR, layout.uuid("disk").to_guid()).map_err(table)?;
    for (number, partition) in (1..).zip(&layout.partitions) {
        gpt[number] = GPTPartitionEntry {
            partition_type_guid: partition.kind.row(layout.architecture).guid.to_guid(),
            unique_partition_guid: layout.partition_uuid(partition).to_guid(),
            starting_lba: partition.start / SECTOR,
            ending_lba: (partition.start + partition.len) / SECTOR - 1,
            attribute_bits: 0,
            partition_name: partition.table_name.as_str().into(),
        };
    }
    gpt.write_into(&mut disk).map_err(table)?;
    GPT::write_protective_mbr_into(&mut disk, SECTOR).map_err(table)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    use super::*;
    use crate::disk::layout::tests::layout;
    use crate::root::sandbox::find_program;

    fn written(layout: &Layout) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(layout.size).unwrap();
        write(layout, file.as_file(), file.path()).unwrap();
        file
    }

    fn sector(file: &File, number: u64) -> [u8; 512] {
        let mut bytes = [0; 512];
        file.read_exact_at(&mut bytes, number * SECTOR).unwrap();
        bytes
    }

    /// The header at a sector: its checksum is right; returns (its own sector, the other one's, sector of the entries).
    fn header(file: &File, at: u64) -> (u64, u64, u64) {
        let bytes = sector(file, at);
        let number = |offset: usize| u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap());
        assert_eq!(&bytes[..8], b"EFI PART");
        let mut unsummed = bytes[..92].to_vec();
        unsummed[16..20].fill(0);
        assert_eq!(crc32fast::hash(&unsummed).to_le_bytes(), bytes[16..20], "checksum of the header at sector {at}");
        let mut entries = vec![0; 128 * 128];
        file.read_exact_at(&mut entries, number(72) * SECTOR).unwrap();
        assert_eq!(crc32fast::hash(&entries).to_le_bytes(), bytes[88..92], "checksum of the entries of the header at sector {at}");
        (number(24), number(32), number(72))
    }

    #[test]
    fn both_tables_are_whole_and_say_what_the_layout_says() {
        let layout = layout(1 << 30);
        let disk = written(&layout);
        let last = (1 << 21) - 1;
        assert_eq!(header(disk.as_file(), 1), (1, last, 2));
        assert_eq!(header(disk.as_file(), last), (last, 1, last - 32));

        let mbr = sector(disk.as_file(), 0);
        assert_eq!((mbr[450], &mbr[454..462], &mbr[510..]), (0xee, &[1, 0, 0, 0, 0xff, 0xff, 0x1f, 0][..], &[0x55, 0xaa][..]));

        let entries = sector(disk.as_file(), 2);
        let esp = &entries[..128];
        assert_eq!(esp[..16], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b]);
        assert_eq!(esp[16..32], layout.partition_uuid(&layout.partitions[0]).to_guid());
        assert_eq!(esp[32..40], 2048_u64.to_le_bytes());
        assert_eq!(esp[40..48], (2048 + 131_072 - 1_u64).to_le_bytes());
        assert_eq!(esp[56..64], [b'E', 0, b'F', 0, b'I', 0, 0, 0]);
    }

    #[test]
    fn the_same_layout_gives_the_same_bytes() {
        let (a, b) = (written(&layout(80 << 20)), written(&layout(80 << 20)));
        assert!(std::fs::read(a.path()).unwrap() == std::fs::read(b.path()).unwrap());
    }

    #[test]
    fn sgdisk_finds_no_problem() {
        let Some(sgdisk) = find_program("sgdisk") else { return };
        let disk = written(&layout(1 << 30));
        let output = Command::new(sgdisk).arg("-v").arg("-p").arg(disk.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("No problems found") && text.contains("EF00") && text.contains("8304"), "{text}");
    }
}
