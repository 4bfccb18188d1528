//! Reads monolithicSparse and streamOptimized VMDK.

use flate2::Decompress;

use super::{COMPRESSED, MAGIC, MARKERS, SECTOR, ZERO_GRAINS, descriptor};
use crate::disk::formats::bytes::Header;
use crate::disk::formats::packed::inflate;
use crate::disk::formats::read::{Blocks, Disk, Problem, Run};
use crate::disk::formats::source::{Entries, Source, array, fill};

/// The lengths of grains and of grain tables that are read; QEMU's bound is the same.
const GRAINS: std::ops::RangeInclusive<u64> = 4096..=2 << 20;
const TABLE_ENTRIES: std::ops::RangeInclusive<u64> = 1..=65_536;

/// The longest descriptor, in sectors.
const DESCRIPTOR_LIMIT: u64 = 2048;

/// Where the directory is when the footer says it: a stream is written without going back.
const AT_END: u64 = u64::MAX;

/// The footer stands before the last sector, which marks the end.
const FOOTER_FROM_END: u64 = 2 * SECTOR;

/// The length of what stands before a compressed grain: which sector of the disk it is (u64), and its length (u32).
const MARKER_LEN: u64 = 12;

/// The disk in a VMDK file.
pub(in crate::disk::formats) fn open(source: &dyn Source) -> Result<Disk<'_>, Problem> {
    let mut header = Header::<512>(array(source, 0)?);
    if header.get(0) != MAGIC {
        return Err(Problem::Wrong("it has not the signature of VMDK"));
    }
    check_descriptor(source, &header)?;
    if header.u64_le(56) == AT_END {
        header = Header(array(source, source.len().checked_sub(FOOTER_FROM_END).ok_or(Problem::CutOff)?)?);
        if header.get(0) != MAGIC {
            return Err(Problem::CutOff);
        }
    }
    let (version, flags) = (header.u32_le(4), header.u32_le(8));
    if !(1..=3).contains(&version) {
        return Err(Problem::unsupported(format!("it has version {version} of the format; 1 to 3 are known")));
    }
    let compressed = flags & COMPRESSED != 0;
    if compressed && (flags & MARKERS == 0 || header.u16_le(77) != 1) {
        return Err(Problem::unsupported("its grains are compressed in a way that is not known"));
    }
    let in_bytes = |sectors: u64| sectors.checked_mul(SECTOR).ok_or(Problem::Wrong("a length in its header is out of bounds"));
    let (len, grain, table_entries) = (in_bytes(header.u64_le(12))?, in_bytes(header.u64_le(20))?, u64::from(header.u32_le(44)));
    if !grain.is_power_of_two() || !GRAINS.contains(&grain) || !TABLE_ENTRIES.contains(&table_entries) {
        return Err(Problem::Wrong("the length of its grains or of its grain tables is out of bounds"));
    }
    let directory = Entries::new(source, in_bytes(header.u64_le(56))?, len.div_ceil(grain * table_entries))?;
    Ok(Disk::new(source, len, Grains { grain, table_entries, compressed, with_zeros: flags & ZERO_GRAINS != 0, directory, table: None }))
}

fn check_descriptor(source: &dyn Source, header: &Header<512>) -> Result<(), Problem> {
    let (at, len) = (header.u64_le(28), header.u64_le(36));
    if at == 0 {
        return Err(Problem::unsupported(descriptor::PART));
    }
    if len > DESCRIPTOR_LIMIT {
        return Err(Problem::Wrong("its descriptor is too long"));
    }
    let mut bytes = vec![0; (len * SECTOR) as usize];
    fill(source, &mut bytes, at.checked_mul(SECTOR).ok_or(Problem::CutOff)?)?;
    descriptor::check(descriptor::text(&bytes)?)
}

struct Grains {
    grain: u64,
    table_entries: u64,
    compressed: bool,
    with_zeros: bool,
    directory: Entries<4>,
    /// The table that was looked at last, by its sector.
    table: Option<(u32, Entries<4>)>,
}

impl Blocks for Grains {
    fn run(&mut self, source: &dyn Source, offset: u64) -> Result<(u64, Run), Problem> {
        let (index, within) = (offset / self.grain, offset % self.grain);
        let (upper, lower) = (index / self.table_entries, index % self.table_entries);
        let at = u32::from_le_bytes(self.directory.get(source, upper)?);
        if at == 0 {
            return Ok(((self.table_entries - lower) * self.grain - within, Run::Zeros));
        }
        let table = match &mut self.table {
            Some((of, table)) if *of == at => table,
            table => &mut table.insert((at, Entries::new(source, u64::from(at) * SECTOR, self.table_entries)?)).1,
        };
        let place = u32::from_le_bytes(table.get(source, lower)?);
        let run = match (place, u64::from(place) * SECTOR) {
            (0, _) => Run::Zeros,
            (1, _) if self.with_zeros => Run::Zeros,
            (_, place) if self.compressed => {
                let marker = Header::<{ MARKER_LEN as usize }>(array(source, place)?);
                // Deflate makes nothing longer than by a few bytes in each 16 KiB.
                let len = u64::from(marker.u32_le(8));
                if marker.u64_le(0).checked_mul(SECTOR) != Some(index * self.grain) || len > self.grain * 2 {
                    return Err(Problem::Wrong("a compressed grain is not what its table says"));
                }
                Run::Packed { offset: place + MARKER_LEN, len: len as u32 }
            }
            (_, place) => Run::Stored(place + within),
        };
        Ok((self.grain - within, run))
    }

    fn block(&self, offset: u64) -> u64 {
        offset / self.grain * self.grain
    }

    fn decode(&mut self, packed: &[u8], raw: &mut [u8]) -> Result<(), Problem> {
        // The last grain of a disk may be shorter.
        inflate(Decompress::new(true), packed, raw).map_err(Problem::Compression)
    }
}
