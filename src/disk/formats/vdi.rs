//! VDI, VirtualBox's format (`VDICore.h` of VirtualBox, header of version 1.1). Numbers are little-endian.
//!
//! ```text
//! text, header │ a block number (u32) for each MiB of the disk │ to the next MiB │ blocks of 1 MiB
//! ```

use super::bytes::Header;
use super::out::Table;
use super::read::{Blocks, Disk, Problem, Run};
use super::source::{Entries, Source, array};
use super::{Conversion, Result};

/// What the file begins with; programs look at the signature only.
const TEXT: &[u8] = b"<<< Oracle VM VirtualBox Disk Image >>>\n";

pub(super) const SIGNATURE: [u8; 4] = 0xbeda_107f_u32.to_le_bytes();
pub(super) const SIGNATURE_AT: usize = 0x40;

const VERSION: u32 = 0x0001_0001;

/// The length of the header of version 1.1, counted from its own field on.
const HEADER_LEN: u32 = 0x190;

/// The kinds of images: blocks as they are needed, all blocks from the beginning on.
const DYNAMIC: u32 = 1;
const FIXED: u32 = 2;

/// The length of blocks. QEMU reads no other.
const BLOCK: u64 = 1 << 20;

/// Other block lengths that are read.
const BLOCKS: std::ops::RangeInclusive<u64> = 512..=64 << 20;

/// Where the map begins.
const MAP_AT: u64 = 0x200;

/// A block that was never written, and one that was given back; numbers from the second on are no blocks.
const UNALLOCATED: u32 = 0xffff_ffff;
const DISCARDED: u32 = 0xffff_fffe;

/// QEMU's limit, which keeps the map below 2 GiB.
const LARGEST: u64 = 0x1fff_ffff * BLOCK;

/// Whether VDI holds a disk of that length.
pub(super) fn holds(len: u64) -> bool {
    len.is_multiple_of(512) && len <= LARGEST
}

/// Writes the disk as a dynamic VDI.
pub(super) fn write(job: &Conversion<'_>) -> Result<()> {
    let size = job.raw.len();
    let blocks = size.div_ceil(BLOCK);
    let data = (MAP_AT + blocks * 4).next_multiple_of(BLOCK);
    let mut map = Table::new(job.out, MAP_AT, blocks, UNALLOCATED.to_le_bytes());
    let mut allocated = 0;
    job.blocks(BLOCK as usize, |index, bytes| {
        map.set(index, (allocated as u32).to_le_bytes())?;
        job.out.put_sparse(data + allocated * BLOCK, bytes)?;
        allocated += 1;
        Ok(())
    })?;
    map.finish()?;
    let mut header = Header::<512>::new();
    header.set(0, TEXT).set(SIGNATURE_AT, SIGNATURE).set(0x44, VERSION.to_le_bytes()).set(0x48, HEADER_LEN.to_le_bytes());
    header.set(0x4c, DYNAMIC.to_le_bytes()).set(0x154, (MAP_AT as u32).to_le_bytes()).set(0x158, (data as u32).to_le_bytes());
    header.set(0x168, 512_u32.to_le_bytes()).set(0x170, size.to_le_bytes()).set(0x178, (BLOCK as u32).to_le_bytes());
    header.set(0x180, (blocks as u32).to_le_bytes()).set(0x184, (allocated as u32).to_le_bytes());
    // Those of the image and of its last change; none of a link or a parent.
    header.set(0x188, job.uuid("vdi").to_guid()).set(0x198, job.uuid("vdi change").to_guid());
    job.out.put(0, &header.0)?;
    job.out.set_len(data + allocated * BLOCK)
}

struct Map {
    data: u64,
    block: u64,
    entries: Entries<4>,
}

/// The disk in a VDI file.
pub(super) fn open(source: &dyn Source) -> Result<Disk<'_>, Problem> {
    let header = Header::<512>(array(source, 0)?);
    if header.get(SIGNATURE_AT) != SIGNATURE {
        return Err(Problem::Wrong("it has not the signature of VDI"));
    }
    let version = header.u32_le(0x44);
    if version != VERSION {
        return Err(Problem::unsupported(format!("it has version {}.{} of the format; 1.1 is known", version >> 16, version & 0xffff)));
    }
    match header.u32_le(0x4c) {
        DYNAMIC | FIXED => {}
        kind => return Err(Problem::unsupported(format!("it is no image of its own (a snapshot, a difference; kind {kind})"))),
    }
    if header.get::<32>(0x1a8) != [0; 32] {
        return Err(Problem::unsupported("it stands on another image"));
    }
    if header.u32_le(0x168) != 512 || header.u32_le(0x17c) != 0 {
        return Err(Problem::unsupported("it has sectors of an unusual length, or blocks with extra bytes"));
    }
    let (size, block, count) = (header.u64_le(0x170), u64::from(header.u32_le(0x178)), u64::from(header.u32_le(0x180)));
    if !block.is_power_of_two() || !BLOCKS.contains(&block) {
        return Err(Problem::Wrong("the length of its blocks is out of bounds"));
    }
    if size.div_ceil(block) > count {
        return Err(Problem::Wrong("its map is too short for its disk"));
    }
    let entries = Entries::new(source, header.u32_le(0x154).into(), count)?;
    Ok(Disk::new(source, size, Map { data: header.u32_le(0x158).into(), block, entries }))
}

impl Blocks for Map {
    fn run(&mut self, source: &dyn Source, offset: u64) -> Result<(u64, Run), Problem> {
        let within = offset % self.block;
        let run = match u32::from_le_bytes(self.entries.get(source, offset / self.block)?) {
            UNALLOCATED | DISCARDED => Run::Zeros,
            // Below 2^32 blocks of at most 2^26 bytes: no overflow.
            number => Run::Stored(self.data + u64::from(number) * self.block + within),
        };
        Ok((self.block - within, run))
    }
}
