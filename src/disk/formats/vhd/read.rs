//! Reads fixed and dynamic VHD.
//!
//! The length of the disk is the footer's: the geometry of some old programs' files says less, and leaves out the end of the disk.

use super::{CHECKSUM_AT, COOKIE, DIFFERENCING, DYNAMIC, FIXED, FOOTER, checksum};
use crate::disk::formats::bytes::Header;
use crate::disk::formats::read::{Blocks, Disk, Problem, Run};
use crate::disk::formats::source::{Entries, Source, array, fill};

const HEADER_COOKIE: [u8; 8] = *b"cxsparse";
const HEADER: usize = 1024;
const HEADER_CHECKSUM_AT: usize = 36;

/// The lengths of blocks that are read; 2 MiB and 512 KiB are common.
const BLOCKS: std::ops::RangeInclusive<u64> = 4096..=256 << 20;

/// A block that was never written.
const UNUSED: u32 = u32::MAX;

/// The disk in a VHD file.
pub(in crate::disk::formats) fn open(source: &dyn Source) -> Result<Disk<'_>, Problem> {
    // A dynamic disk has a copy of its footer at its beginning.
    let first = Header::<FOOTER>(array(source, 0)?);
    let last = source.len().checked_sub(FOOTER as u64).ok_or(Problem::CutOff)?;
    let footer = if first.get(0) == COOKIE { first } else { Header(array(source, last)?) };
    if footer.get(0) != COOKIE {
        return Err(Problem::Wrong("it has not the signature of VHD"));
    }
    if footer.u32_be(CHECKSUM_AT) != checksum(&footer.0, CHECKSUM_AT) {
        return Err(Problem::Wrong("the checksum of its footer does not hold"));
    }
    let len = footer.u64_be(48);
    match footer.u32_be(60) {
        FIXED if len <= last => Ok(Disk::new(source, len, Whole { len })),
        FIXED => Err(Problem::CutOff),
        DYNAMIC => Ok(Disk::new(source, len, dynamic(source, footer.u64_be(16), len)?)),
        DIFFERENCING => Err(Problem::unsupported("it stands on another image (a differencing disk)")),
        kind => Err(Problem::unsupported(format!("it is of a kind that is not known ({kind})"))),
    }
}

/// A fixed disk.
struct Whole {
    len: u64,
}

impl Blocks for Whole {
    fn run(&mut self, _: &dyn Source, offset: u64) -> Result<(u64, Run), Problem> {
        Ok((self.len - offset, Run::Stored(offset)))
    }
}

/// A dynamic disk.
struct Dynamic {
    block: u64,
    table: Entries<4>,
    /// The bitmap of the block that was looked at last, by the block's number: a bit for each sector, the highest of a byte first.
    bitmap: Vec<u8>,
    mapped: Option<u64>,
}

fn dynamic(source: &dyn Source, at: u64, len: u64) -> Result<Dynamic, Problem> {
    let header = Header::<HEADER>(array(source, at)?);
    if header.get(0) != HEADER_COOKIE {
        return Err(Problem::Wrong("it has no header"));
    }
    if header.u32_be(HEADER_CHECKSUM_AT) != checksum(&header.0, HEADER_CHECKSUM_AT) {
        return Err(Problem::Wrong("the checksum of its header does not hold"));
    }
    let (count, block) = (u64::from(header.u32_be(28)), u64::from(header.u32_be(32)));
    if !block.is_power_of_two() || !BLOCKS.contains(&block) {
        return Err(Problem::Wrong("the length of its blocks is out of bounds"));
    }
    if len.div_ceil(block) > count {
        return Err(Problem::Wrong("its table is too short for its disk"));
    }
    let table = Entries::new(source, header.u64_be(16), count)?;
    Ok(Dynamic { block, table, bitmap: vec![0; (block / 512 / 8) as usize], mapped: None })
}

impl Dynamic {
    fn holds(&self, sector: u64) -> bool {
        self.bitmap[(sector / 8) as usize] & 0x80 >> (sector % 8) != 0
    }
}

impl Blocks for Dynamic {
    fn run(&mut self, source: &dyn Source, offset: u64) -> Result<(u64, Run), Problem> {
        let (index, within) = (offset / self.block, offset % self.block);
        let entry = u32::from_be_bytes(self.table.get(source, index)?);
        if entry == UNUSED {
            return Ok((self.block - within, Run::Zeros));
        }
        let place = u64::from(entry) * 512;
        if self.mapped != Some(index) {
            fill(source, &mut self.bitmap, place)?;
            self.mapped = Some(index);
        }
        // A sector that was never written is zero, whatever its place in the file holds.
        let (first, sectors) = (within / 512, self.block / 512);
        let holds = self.holds(first);
        let end = (first + 1..sectors).find(|sector| self.holds(*sector) != holds).unwrap_or(sectors);
        let data = place + (self.bitmap.len() as u64).next_multiple_of(512);
        let run = if holds { Run::Stored(data + within) } else { Run::Zeros };
        Ok((end * 512 - within, run))
    }
}
