//! Disk images as files of other programs: raw, qcow2, VHD, VHDX, VMDK and VDI, written and read.
//!
//! ```text
//!            raw.rs: data, no holes            read.rs: what lies where
//!  raw file ─► blocks ─► <format> write ─► file ─► <format> open ─► runs ─► unpack.rs ─► raw file
//!                            │                          ▲
//!                            └ out.rs: tables           └ source.rs: bytes at offsets, bounded
//! ```
//!
//! *Written* files are sparse, and the same disk gives the same bytes: identifiers derive from the disk's digest, times are fixed. *Read* files are
//! hostile until checked: every offset, size and count has a limit, what is beyond the file's end is an error, and what would need another file, a key,
//! or a feature that is not known is refused by name.

mod bytes;
pub mod compression;
mod convert;
mod error;
mod format;
mod open;
mod out;
mod packed;
mod qcow2;
mod random;
mod raw;
mod read;
mod source;
mod unpack;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

pub use compression::Compression;
pub(crate) use convert::convert;
pub use convert::{Conversion, check_size};
pub use error::{Error, Result};
pub use format::{Contents, FileFormat, Format, ParseFormatError};
pub use open::{open, recognise};
pub use out::Out;
pub use random::DiskSource;
pub use raw::Raw;
pub use read::{Disk, Problem, Run};
pub use source::{FileSource, Source};
pub use unpack::{Bounds, unpack};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
