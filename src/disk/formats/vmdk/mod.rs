//! VMDK, VMware's format: one sparse file with its descriptor inside (VMware's “Virtual Disk Format 5.0”). Numbers are little-endian; offsets and lengths
//! are in sectors of 512 bytes.
//!
//! ```text
//! header │ descriptor │ grain directory, grain tables (twice) │ grains of 64 KiB                 monolithicSparse: written and read
//! header │ descriptor │ marker, compressed grain │ … │ grain tables │ grain directory │ footer   streamOptimized: read
//! ```
//!
//! A directory has the sector of each table, a table those of 512 grains. Both are there twice, so that one mends the other.

mod descriptor;
mod read;
mod write;

pub(super) use descriptor::MAGIC as DESCRIPTOR_MAGIC;
pub(super) use read::open;
pub(super) use write::{holds, write};

pub(super) const MAGIC: [u8; 4] = *b"KDMV";

const SECTOR: u64 = 512;

/// The flags of a header: the four bytes that show what a transfer as text has spoilt are right; there are two directories; a grain table's 1 means zeros;
/// grains are compressed; grains have markers.
const NEWLINES: u32 = 1;
const TWO_DIRECTORIES: u32 = 1 << 1;
const ZERO_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
