//! Writes dynamic VHDX.

use super::{
    BLOCK_TABLE, CHECKSUM_AT, DISK_ID, DISK_SIZE, ENTRY_LEN, FILE_PARAMETERS, HEADER_LEN, HEADERS, LARGEST, LOGICAL_SECTOR, METADATA,
    METADATA_TABLE_LEN, MIB, OF_DISK, PHYSICAL_SECTOR, REGIONS, REGIONS_LEN, REQUIRED, SIGNATURE, checksum, chunk_ratio,
};
use crate::disk::Uuid;
use crate::disk::formats::bytes::Header;
use crate::disk::formats::out::Table;
use crate::disk::formats::{Conversion, Result};

/// The smallest that there is, which Microsoft recommends for Linux.
const BLOCK: u64 = MIB;

const LOG_AT: u64 = MIB;
const METADATA_AT: u64 = 2 * MIB;
const TABLE_AT: u64 = 3 * MIB;

/// The state of a block that the file has.
const PRESENT: u64 = 6;

/// Who made the file; for people.
const CREATOR: &str = "image-composer";

/// Whether VHDX holds a disk of that length.
pub(in crate::disk::formats) fn holds(len: u64) -> bool {
    len.is_multiple_of(512) && len > 0 && len <= LARGEST
}

/// Writes the disk as a dynamic VHDX.
pub(in crate::disk::formats) fn write(job: &Conversion<'_>) -> Result<()> {
    let size = job.raw.len();
    let ratio = chunk_ratio(512, BLOCK);
    let blocks = size.div_ceil(BLOCK);
    let entries = blocks + (blocks - 1) / ratio;
    let table_len = (entries * 8).next_multiple_of(MIB);
    let mut free = TABLE_AT + table_len;
    let mut table = Table::new(job.out, TABLE_AT, entries, [0; 8]);
    job.blocks(BLOCK as usize, |index, bytes| {
        // Offsets are multiples of 1 MiB, and begin at bit 20.
        table.set(index + index / ratio, (free | PRESENT).to_le_bytes())?;
        job.out.put_sparse(free, bytes)?;
        free += BLOCK;
        Ok(())
    })?;
    table.finish()?;
    job.out.put(METADATA_AT, &metadata(size, job.uuid("vhdx disk")))?;
    let regions = regions(table_len as u32);
    for at in REGIONS {
        job.out.put(at, &regions)?;
    }
    for (at, number) in HEADERS.into_iter().zip(1..) {
        job.out.put(at, &header(number, job.uuid("vhdx file"), job.uuid("vhdx data")).0)?;
    }
    let creator: Vec<u8> = CREATOR.encode_utf16().flat_map(u16::to_le_bytes).collect();
    job.out.put(0, &[SIGNATURE.as_slice(), &creator].concat())?;
    job.out.set_len(free)
}

fn header(number: u64, file: Uuid, data: Uuid) -> Header<HEADER_LEN> {
    let mut header = Header::new();
    header.set(0, b"head").set(8, number.to_le_bytes()).set(16, file.to_guid()).set(32, data.to_guid());
    // An identifier of zeros: the log is empty. Its version is 0, the file's is 1.
    header.set(66, 1_u16.to_le_bytes()).set(68, (MIB as u32).to_le_bytes()).set(72, LOG_AT.to_le_bytes());
    let sum = checksum(&header.0);
    header.set(CHECKSUM_AT, sum.to_le_bytes());
    header
}

fn regions(table_len: u32) -> Vec<u8> {
    let mut bytes = vec![0; REGIONS_LEN];
    bytes[..4].copy_from_slice(b"regi");
    bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let entries = [(BLOCK_TABLE, TABLE_AT, table_len), (METADATA, METADATA_AT, MIB as u32)];
    for (place, (region, at, len)) in bytes[16..].chunks_exact_mut(ENTRY_LEN).zip(entries) {
        let mut entry = Header::<ENTRY_LEN>::new();
        entry.set(0, region.to_guid()).set(16, at.to_le_bytes()).set(24, len.to_le_bytes()).set(28, 1_u32.to_le_bytes());
        place.copy_from_slice(&entry.0);
    }
    let sum = checksum(&bytes);
    bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn metadata(size: u64, disk: Uuid) -> Vec<u8> {
    let items: [(Uuid, u32, Vec<u8>); 5] = [
        (FILE_PARAMETERS, REQUIRED, BLOCK.to_le_bytes().to_vec()),
        (DISK_SIZE, OF_DISK | REQUIRED, size.to_le_bytes().to_vec()),
        (DISK_ID, OF_DISK | REQUIRED, disk.to_guid().to_vec()),
        (LOGICAL_SECTOR, OF_DISK | REQUIRED, 512_u32.to_le_bytes().to_vec()),
        (PHYSICAL_SECTOR, OF_DISK | REQUIRED, 4096_u32.to_le_bytes().to_vec()),
    ];
    let mut bytes = vec![0; METADATA_TABLE_LEN];
    bytes[..8].copy_from_slice(b"metadata");
    bytes[10..12].copy_from_slice(&(items.len() as u16).to_le_bytes());
    for (at, (id, flags, item)) in items.into_iter().enumerate() {
        let mut entry = Header::<ENTRY_LEN>::new();
        entry.set(0, id.to_guid()).set(16, (bytes.len() as u32).to_le_bytes());
        entry.set(20, (item.len() as u32).to_le_bytes()).set(24, flags.to_le_bytes());
        bytes[32 + at * ENTRY_LEN..][..ENTRY_LEN].copy_from_slice(&entry.0);
        bytes.extend_from_slice(&item);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::disk::formats::tests::{convert, sparse};
    use crate::disk::formats::{FileSource, Format, Run, open};

    #[test]
    fn the_table_leaves_out_the_entries_of_bitmaps() {
        let out = convert(&sparse(5 << 30, &[((4096 << 20) + 5, 1)]), Format::Vhdx).unwrap();
        let entry = |index: u64| {
            let mut bytes = [0; 8];
            out.as_file().read_exact_at(&mut bytes, TABLE_AT + index * 8).unwrap();
            u64::from_le_bytes(bytes)
        };
        assert_eq!((entry(4095), entry(4096), entry(4097), entry(4098)), (0, 0, (4 << 20) | PRESENT, 0));
        let source = FileSource::new(out.reopen().unwrap()).unwrap();
        let mut disk = open(&source, Format::Vhdx).unwrap();
        assert_eq!(disk.run(4095 << 20).unwrap(), (BLOCK, Run::Zeros));
        assert_eq!(disk.run(4096 << 20).unwrap(), (BLOCK, Run::Stored(4 << 20)));
    }
}
