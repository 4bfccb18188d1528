//! Reads qcow2 of versions 2 and 3, with clusters that are compressed with zlib or zstd.

use super::{MAGIC, MAX_L1_LEN};
use crate::disk::formats::bytes::Header;
use crate::disk::formats::packed::{inflate, unzstd};
use crate::disk::formats::read::{Blocks, Disk, Problem, Run};
use crate::disk::formats::source::{Entries, Source, array};

/// QEMU's bounds: 512 bytes to 2 MiB.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;

/// Bits 9 to 55 of an entry: where a table or a cluster lies.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// In an entry of L2: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;

/// In an entry of L2, version 3: the cluster reads as zeros, whatever else the entry says.
const ZERO: u64 = 1;

/// The incompatible features that change nothing for a reader: the refcounts may be wrong, or the file was marked as corrupt (which is an error).
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Zlib,
    Zstd,
}

struct Clusters {
    cluster_bits: u32,
    version: u32,
    l1: Entries<8>,
    /// The L2 table that was looked at last, by its offset.
    l2: Option<(u64, Entries<8>)>,
    compression: Compression,
    raw: Vec<u8>,
}

/// The disk in a qcow2 file.
pub(in crate::disk::formats) fn open(source: &dyn Source) -> Result<Disk<'_>, Problem> {
    let mut header = Header::<112>::new();
    let short: [u8; 72] = array(source, 0)?;
    header.set(0, short);
    if short[..4] != MAGIC {
        return Err(Problem::Wrong("it has not the signature of qcow2"));
    }
    let version = header.u32_be(4);
    if !matches!(version, 2 | 3) {
        return Err(Problem::unsupported(format!("it has version {version} of the format; 2 and 3 are known")));
    }
    let mut compression = Compression::Zlib;
    if version == 3 {
        header.set(72, array::<32>(source, 72)?);
        let header_len = header.u32_be(100);
        if header_len > 104 {
            header.set(104, array::<8>(source, 104)?);
        }
        compression = features(header.u64_be(72), header.0[104])?;
    }
    if header.u64_be(8) != 0 {
        return Err(Problem::unsupported("it stands on a backing file"));
    }
    if header.u32_be(32) != 0 {
        return Err(Problem::unsupported("it is encrypted"));
    }
    let cluster_bits = header.u32_be(20);
    if !CLUSTER_BITS.contains(&cluster_bits) {
        return Err(Problem::Wrong("the length of its clusters is out of bounds"));
    }
    let (len, l1_count, l1_offset) = (header.u64_be(24), u64::from(header.u32_be(36)), header.u64_be(40));
    if l1_count * 8 > MAX_L1_LEN || l1_offset % (1 << cluster_bits) != 0 {
        return Err(Problem::Wrong("its L1 table is out of bounds"));
    }
    // An L2 table has 2^(cluster_bits - 3) entries.
    if l1_count << (2 * cluster_bits - 3) < len {
        return Err(Problem::Wrong("its L1 table is too short for its disk"));
    }
    let l1 = Entries::new(source, l1_offset, l1_count)?;
    Ok(Disk::new(source, len, Clusters { cluster_bits, version, l1, l2: None, compression, raw: Vec::new() }))
}

/// Refuses what a reader has to know and we do not.
fn features(bits: u64, compression: u8) -> Result<Compression, Problem> {
    for (bit, what) in [
        (CORRUPT, "it is marked as corrupt"),
        (EXTERNAL_DATA, "its data lie in another file"),
        (EXTENDED_L2, "it has extended L2 entries (subclusters)"),
    ] {
        if bits & bit != 0 {
            return Err(Problem::unsupported(what));
        }
    }
    let unknown = bits & !(DIRTY | COMPRESSION_TYPE);
    if unknown != 0 {
        return Err(Problem::unsupported(format!("it has features that are not known (bits {unknown:#x})")));
    }
    match (bits & COMPRESSION_TYPE, compression) {
        (0, _) | (_, 0) => Ok(Compression::Zlib),
        (_, 1) => Ok(Compression::Zstd),
        (_, other) => Err(Problem::unsupported(format!("its clusters are compressed in a way that is not known (type {other})"))),
    }
}

impl Blocks for Clusters {
    fn run(&mut self, source: &dyn Source, offset: u64) -> Result<(u64, Run), Problem> {
        let cluster = 1_u64 << self.cluster_bits;
        let l2_entries = cluster / 8;
        let index = offset >> self.cluster_bits;
        let upper = u64::from_be_bytes(self.l1.get(source, index / l2_entries)?) & OFFSET;
        let within = offset % cluster;
        if upper == 0 {
            return Ok(((l2_entries - index % l2_entries) * cluster - within, Run::Zeros));
        }
        if !upper.is_multiple_of(cluster) {
            return Err(Problem::Wrong("an L2 table does not begin with a cluster"));
        }
        let l2 = match &mut self.l2 {
            Some((at, l2)) if *at == upper => l2,
            l2 => &mut l2.insert((upper, Entries::new(source, upper, l2_entries)?)).1,
        };
        let entry = u64::from_be_bytes(l2.get(source, index % l2_entries)?);
        let run = if entry & COMPRESSED != 0 {
            // Bits above `x` count the sectors of 512 bytes after the first; the rest is the offset.
            let x = 62 - (self.cluster_bits - 8);
            let at = entry & ((1 << x) - 1);
            let sectors = (entry & !(3 << 62)) >> x;
            let len = (sectors + 1) * 512 - at % 512;
            // The last sector may be cut off by the end of the file.
            let len = len.min(source.len().saturating_sub(at).max(1));
            Run::Packed { offset: at, len: len as u32 }
        } else if self.version == 3 && entry & ZERO != 0 || entry & OFFSET == 0 {
            Run::Zeros
        } else if entry & OFFSET & (cluster - 1) != 0 {
            return Err(Problem::Wrong("a cluster does not begin where clusters do"));
        } else {
            Run::Stored((entry & OFFSET) + within)
        };
        Ok((cluster - within, run))
    }

    fn block(&self, offset: u64) -> u64 {
        offset & !((1 << self.cluster_bits) - 1)
    }

    fn decode(&mut self, packed: &[u8], raw: &mut [u8]) -> Result<(), Problem> {
        let cluster = 1 << self.cluster_bits;
        self.raw.resize(cluster, 0);
        // What follows in the last sector belongs to another cluster: decoding ends when the cluster is full.
        let decoded = match self.compression {
            Compression::Zlib => inflate(flate2::Decompress::new(false), packed, &mut self.raw),
            Compression::Zstd => unzstd(packed, &mut self.raw),
        };
        decoded.map_err(Problem::Compression)?;
        raw.copy_from_slice(&self.raw[..raw.len()]);
        Ok(())
    }
}
