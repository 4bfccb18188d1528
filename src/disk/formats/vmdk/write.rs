//! Writes monolithicSparse VMDK.

use super::{MAGIC, NEWLINES, SECTOR, TWO_DIRECTORIES, descriptor};
use crate::disk::formats::bytes::Header;
use crate::disk::formats::out::Table;
use crate::disk::formats::{Conversion, Result};

/// What everybody writes: grains of 64 KiB, 512 in a table.
const GRAIN: u64 = 64 << 10;
const TABLE_ENTRIES: u64 = 512;
const TABLE_LEN: u64 = TABLE_ENTRIES * 4;

/// The descriptor's place.
const DESCRIPTOR_AT: u64 = 1;
const DESCRIPTOR_LEN: u64 = 20;

/// What lies where, in bytes.
struct Layout {
    /// How many grain tables there are in each directory.
    tables: u64,
    /// The two directories; the tables of each come right after it.
    directories: [u64; 2],
    directory_len: u64,
    /// The first grain.
    data: u64,
}

impl Layout {
    fn of(len: u64) -> Self {
        let tables = len.div_ceil(GRAIN * TABLE_ENTRIES);
        let directory_len = (tables * 4).next_multiple_of(SECTOR);
        let directories = [0, 1].map(|copy| (DESCRIPTOR_AT + DESCRIPTOR_LEN) * SECTOR + copy * (directory_len + tables * TABLE_LEN));
        let data = (directories[1] + directory_len + tables * TABLE_LEN).next_multiple_of(GRAIN);
        Self { tables, directories, directory_len, data }
    }
}

/// Whether VMDK holds a disk of that length: places are sectors in 32 bits.
pub(in crate::disk::formats) fn holds(len: u64) -> bool {
    let end = Layout::of(len).data.checked_add(len);
    len.is_multiple_of(SECTOR) && end.is_some_and(|end| u32::try_from(end.div_ceil(SECTOR)).is_ok())
}

/// Writes the disk as a monolithicSparse VMDK.
pub(in crate::disk::formats) fn write(job: &Conversion<'_>) -> Result<()> {
    let size = job.raw.len();
    let Layout { tables, directories, directory_len, data } = Layout::of(size);
    for at in directories {
        let mut directory = Table::new(job.out, at, tables, [0; 4]);
        for table in 0..tables {
            directory.set(table, sector(at + directory_len + table * TABLE_LEN))?;
        }
        directory.finish()?;
    }
    // The tables lie one behind the other: together they are one.
    let mut grains = directories.map(|at| Table::new(job.out, at + directory_len, tables * TABLE_ENTRIES, [0; 4]));
    let mut free = data;
    job.blocks(GRAIN as usize, |index, bytes| {
        for table in &mut grains {
            table.set(index, sector(free))?;
        }
        job.out.put(free, bytes)?;
        free += GRAIN;
        Ok(())
    })?;
    grains.into_iter().try_for_each(Table::finish)?;
    let id = job.uuid("vmdk").volume_id();
    // All ones is “no parent”.
    job.out.put(DESCRIPTOR_AT * SECTOR, descriptor::write(size / SECTOR, id & 0x7fff_ffff).as_bytes())?;
    job.out.put(0, &header(size, directories, data).0)?;
    job.out.set_len(free)
}

fn header(size: u64, directories: [u64; 2], data: u64) -> Header<512> {
    let mut header = Header::new();
    header.set(0, MAGIC).set(4, 1_u32.to_le_bytes()).set(8, (NEWLINES | TWO_DIRECTORIES).to_le_bytes());
    header.set(12, (size / SECTOR).to_le_bytes()).set(20, (GRAIN / SECTOR).to_le_bytes());
    header.set(28, DESCRIPTOR_AT.to_le_bytes()).set(36, DESCRIPTOR_LEN.to_le_bytes()).set(44, (TABLE_ENTRIES as u32).to_le_bytes());
    header.set(48, (directories[0] / SECTOR).to_le_bytes()).set(56, (directories[1] / SECTOR).to_le_bytes());
    header.set(64, (data / SECTOR).to_le_bytes()).set(73, b"\n \r\n");
    header
}

/// The number of the sector at an offset; [`holds`] says that it fits.
fn sector(offset: u64) -> [u8; 4] {
    ((offset / SECTOR) as u32).to_le_bytes()
}
