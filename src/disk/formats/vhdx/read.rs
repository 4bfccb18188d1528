//! Reads VHDX, dynamic and fixed, whose log is empty.

use super::{
    BLOCK_TABLE, CHECKSUM_AT, DISK_ID, DISK_SIZE, ENTRY_LEN, FILE_PARAMETERS, HAS_PARENT, HEADER_LEN, HEADERS, LARGEST, LOGICAL_SECTOR, MAX_ENTRIES,
    METADATA, METADATA_TABLE_LEN, MIB, PARENT_LOCATOR, PHYSICAL_SECTOR, REGIONS, REGIONS_LEN, REQUIRED, SIGNATURE, checksum, chunk_ratio,
};
use crate::disk::Uuid;
use crate::disk::formats::bytes::Header;
use crate::disk::formats::read::{Blocks, Disk, Problem, Run};
use crate::disk::formats::source::{Entries, Source, array, fill, within};

/// The states of a block: 0 to 3 read as zeros (not there, undefined, zero, given back).
const ZEROS: std::ops::RangeInclusive<u64> = 0..=3;
const PRESENT: u64 = 6;
const PARTLY_PRESENT: u64 = 7;

/// The lengths that blocks may have.
const BLOCKS: std::ops::RangeInclusive<u64> = MIB..=256 * MIB;

/// The disk in a VHDX file.
pub(in crate::disk::formats) fn open(source: &dyn Source) -> Result<Disk<'_>, Problem> {
    if array(source, 0)? != SIGNATURE {
        return Err(Problem::Wrong("it has not the signature of VHDX"));
    }
    let header = current_header(source)?;
    if header.get::<16>(48) != [0; 16] {
        return Err(Problem::Unsupported {
            what: "its log is not empty: the program that wrote it did not close it".to_owned(),
            hint: "open and close it once with its program, or: qemu-img check -r all OLD",
        });
    }
    if header.u16_le(66) != 1 {
        return Err(Problem::unsupported(format!("it has version {} of the format; 1 is known", header.u16_le(66))));
    }
    let (table, metadata) = regions(source)?;
    let facts = facts(source, metadata)?;
    let (ratio, blocks) = (chunk_ratio(facts.sector, facts.block), facts.len.div_ceil(facts.block));
    let entries = blocks + blocks.saturating_sub(1) / ratio;
    if entries * 8 > table.1 {
        return Err(Problem::Wrong("its block table is too short for its disk"));
    }
    let entries = Entries::new(source, table.0, entries)?;
    Ok(Disk::new(source, facts.len, Map { block: facts.block, ratio, entries }))
}

/// Of the two headers the valid one with the higher number: the other may be half written.
fn current_header(source: &dyn Source) -> Result<Header<HEADER_LEN>, Problem> {
    let mut current: Option<Header<HEADER_LEN>> = None;
    for at in HEADERS {
        let header = Header::<HEADER_LEN>(array(source, at)?);
        let valid = header.get(0) == *b"head" && header.u32_le(CHECKSUM_AT) == checksum(&header.0);
        if valid && current.as_ref().is_none_or(|other| header.u64_le(8) > other.u64_le(8)) {
            current = Some(header);
        }
    }
    current.ok_or(Problem::Wrong("both its headers are damaged"))
}

/// A part of the file: offset and length.
type Region = (u64, u64);

/// Where the block table and the metadata are, both in the file.
fn regions(source: &dyn Source) -> Result<(Region, Region), Problem> {
    let mut bytes = vec![0; REGIONS_LEN];
    let mut valid = false;
    for at in REGIONS {
        if valid {
            break;
        }
        fill(source, &mut bytes, at)?;
        valid = bytes[..4] == *b"regi" && bytes[CHECKSUM_AT..CHECKSUM_AT + 4] == checksum(&bytes).to_le_bytes();
    }
    let (entries, _) = bytes[16..].as_chunks::<ENTRY_LEN>();
    let count = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
    if !valid || count > MAX_ENTRIES {
        return Err(Problem::Wrong("both its tables of regions are damaged"));
    }
    let (mut table, mut metadata) = (None, None);
    for entry in entries.iter().take(count).map(|entry| Header(*entry)) {
        let place = (entry.u64_le(16), u64::from(entry.u32_le(24)));
        let region: [u8; 16] = entry.get(0);
        if region == BLOCK_TABLE.to_guid() {
            table = Some(place);
        } else if region == METADATA.to_guid() {
            metadata = Some(place);
        } else if entry.u32_le(28) & 1 != 0 {
            return Err(Problem::unsupported("it has a region that is required and not known"));
        } else {
            continue;
        }
        within(source, place.0, place.1)?;
    }
    table.zip(metadata).ok_or(Problem::Wrong("it has no block table or no metadata"))
}

/// What the metadata say.
struct Facts {
    len: u64,
    block: u64,
    sector: u64,
}

fn facts(source: &dyn Source, (at, region_len): Region) -> Result<Facts, Problem> {
    let mut table = vec![0; METADATA_TABLE_LEN];
    fill(source, &mut table, at)?;
    let count = usize::from(u16::from_le_bytes([table[10], table[11]]));
    if table[..8] != *b"metadata" || count > MAX_ENTRIES {
        return Err(Problem::Wrong("its metadata are damaged"));
    }
    let (mut len, mut block, mut sector) = (None, None, None);
    for entry in table[32..].as_chunks::<ENTRY_LEN>().0.iter().take(count).map(|entry| Header(*entry)) {
        let (id, offset, item_len) = (entry.get::<16>(0), u64::from(entry.u32_le(16)), u64::from(entry.u32_le(20)));
        let is = |item: Uuid| id == item.to_guid();
        if offset + item_len > region_len {
            return Err(Problem::Wrong("an item of its metadata is out of bounds"));
        }
        if is(FILE_PARAMETERS) {
            let parameters = Header::<8>(array(source, at + offset)?);
            if parameters.u32_le(4) & HAS_PARENT != 0 {
                return Err(Problem::unsupported("it stands on another image (a differencing disk)"));
            }
            block = Some(u64::from(parameters.u32_le(0)));
        } else if is(DISK_SIZE) {
            len = Some(u64::from_le_bytes(array(source, at + offset)?));
        } else if is(LOGICAL_SECTOR) {
            sector = Some(u64::from(u32::from_le_bytes(array(source, at + offset)?)));
        } else if is(PARENT_LOCATOR) {
            return Err(Problem::unsupported("it stands on another image (a differencing disk)"));
        } else if entry.u32_le(24) & REQUIRED != 0 && !is(DISK_ID) && !is(PHYSICAL_SECTOR) {
            return Err(Problem::unsupported("it has metadata that are required and not known"));
        }
    }
    let (Some(len), Some(block), Some(sector)) = (len, block, sector) else {
        return Err(Problem::Wrong("its metadata lack the length of the disk, of its blocks or of its sectors"));
    };
    if len > LARGEST || !block.is_power_of_two() || !BLOCKS.contains(&block) || !matches!(sector, 512 | 4096) {
        return Err(Problem::Wrong("the length of its disk, of its blocks or of its sectors is out of bounds"));
    }
    Ok(Facts { len, block, sector })
}

struct Map {
    block: u64,
    ratio: u64,
    entries: Entries<8>,
}

impl Blocks for Map {
    fn run(&mut self, source: &dyn Source, offset: u64) -> Result<(u64, Run), Problem> {
        let (index, within) = (offset / self.block, offset % self.block);
        let entry = u64::from_le_bytes(self.entries.get(source, index + index / self.ratio)?);
        let run = match entry & 7 {
            state if ZEROS.contains(&state) => Run::Zeros,
            PRESENT => Run::Stored((entry & !(MIB - 1)).checked_add(within).ok_or(Problem::CutOff)?),
            PARTLY_PRESENT => return Err(Problem::unsupported("it stands on another image (a differencing disk)")),
            _ => return Err(Problem::Wrong("a block has a state that there is not")),
        };
        Ok((self.block - within, run))
    }
}
