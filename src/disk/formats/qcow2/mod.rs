//! qcow2, QEMU's own format (QEMU's `docs/interop/qcow2.rst`). Numbers are big-endian.

mod read;
mod write;

pub(super) use read::open;
pub(super) use write::{holds, write};

pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";

/// In an entry of L1 and L2: the cluster is used once and may be written in place.
const COPIED: u64 = 1 << 63;

/// QEMU refuses an L1 table above 32 MiB.
const MAX_L1_LEN: u64 = 32 << 20;

/// Bytes of the header of version 3 without extensions.
const HEADER_LEN: u32 = 104;

#[cfg(test)]
mod tests;
