//! Bytes to types and back, for everything that the store writes: no I/O, no clock, no threads.
//!
//! The page `store-format.md` describes the same section by section. Every parser knows its largest input before it allocates, refuses what a writer of
//! this program would not have written, and never panics. Where a constant limits both, the limit for reading is the larger one, so that a later
//! version may write more without being refused by this one.
//!
//! | module | what it is on disk |
//! |---|---|
//! | [`cbor`] | canonical CBOR, the language of all documents |
//! | [`skippable`] | a skippable zstd frame: metadata that `zstd -d` steps over |
//! | [`blob`] | the head of a whole blob: `blobs/ab/<digest>.zst` |
//! | [`pack`] | many chunks in one file: `packs/<digest>.pack` |
//! | [`manifest`] | how an image is put together from chunks and holes |
//! | [`record`] | what is known of a kept image |
//! | [`tree`] | a root tree as the bytes of an image |
//! | [`bundle`] | images, packages and metadata in one file |
//! | [`zeros`] | a hole as a zstd frame |
//! | [`row`] | the rows of the index |
//! | [`totals`] | its counters |
//!
//! `leb128` is how lists of packages (`repo/list.rs`) have their numbers and texts. `ext` and `attributes` are the form of others' bytes: the file systems that are in images, for those who cut and those who look into them.

pub(crate) mod attributes;
pub mod blob;
pub mod bundle;
pub mod cbor;
pub(crate) mod ext;
pub(crate) mod leb128;
pub mod manifest;
pub(crate) mod number;
pub mod pack;
pub mod record;
pub mod row;
pub mod skippable;
pub mod totals;
pub mod tree;
pub mod zeros;

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A document is not canonical CBOR of the expected shape.
    #[error(transparent)]
    Cbor(#[from] cbor::CborError),
    /// The bytes end before the thing does.
    #[error("the {what} is cut off")]
    CutOff {
        /// What was being read.
        what: &'static str,
    },
    /// The bytes do not begin (or end) as the thing does.
    #[error("this is not the beginning of a {what}")]
    Magic {
        /// What was expected.
        what: &'static str,
    },
    /// A later version of the program wrote it.
    #[error("the {what} has format version {found}, this program reads versions up to {supported}")]
    Version {
        /// What was being read.
        what: &'static str,
        /// The version found.
        found: u32,
        /// The highest version understood.
        supported: u32,
    },
    /// A number is beyond what the format allows.
    #[error("the {what} is {found}, more than {limit}")]
    Limit {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The largest allowed value.
        limit: u64,
    },
    /// The parts contradict each other.
    #[error("the {what} contradicts itself: {reason}")]
    Inconsistent {
        /// What was being read.
        what: &'static str,
        /// Which parts do not fit.
        reason: &'static str,
    },
}

/// Takes the next `N` bytes off the front of `bytes`.
fn take<const N: usize>(bytes: &mut &[u8], what: &'static str) -> Result<[u8; N], FormatError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(FormatError::CutOff { what })?;
    *bytes = rest;
    Ok(*head)
}
