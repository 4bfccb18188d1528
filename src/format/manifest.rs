//! A manifest: how a disk image (or another large file) is put together from chunks and holes.
//!
//! Canonical CBOR, a map of four:
//!
//! | key | type | meaning |
//! |---|---|---|
//! | `extents` | byte string | 48 bytes for each extent, in the order of the image |
//! | `format` | unsigned | 1 |
//! | `raw_digest` | byte string of 32 | BLAKE3 of the whole image, holes as zeros |
//! | `raw_len` | unsigned | length of the image in bytes |
//!
//! An extent is `kind u32 │ offset u32 │ length u64 │ digest 32`, little-endian. Kind 0 is a hole (offset and digest zero); kind 1 is a chunk: the
//! `length` bytes from `offset` on in the chunk with that digest. The extents are one byte string because a CBOR array of 100,000 small maps would take
//! twenty times its length in memory to check.

use serde::{Deserialize, Serialize};

use std::collections::HashSet;

use super::cbor::{self, Bytes};
use super::{FormatError, pack, take};
use crate::digest::Digest;

/// The format version. A reader refuses others.
const FORMAT: u32 = 1;

/// The length of one extent.
const EXTENT_LEN: usize = 48;

/// The longest manifest that is read: 1.4 million extents, 170 GiB of chunks of average length. Holes cost nothing.
pub const MANIFEST_LIMIT: usize = 64 << 20;

/// The longest image, in bytes: 16 TiB, the longest file that ext4 holds.
pub const IMAGE_LIMIT: u64 = 1 << 44;

/// A stretch of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Zeros that are not stored.
    Hole {
        /// How many bytes; more than 0, and never followed by another hole.
        length: u64,
    },
    /// A part of a chunk.
    Chunk {
        /// The digest of the whole chunk.
        digest: Digest,
        /// Where in the chunk it begins, in bytes.
        offset: u32,
        /// How many bytes; more than 0.
        length: u32,
    },
}

impl Extent {
    /// How many bytes of the image it covers.
    pub fn length(&self) -> u64 {
        match *self {
            Self::Hole { length } => length,
            Self::Chunk { length, .. } => length.into(),
        }
    }
}

/// How an image is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The length of the image in bytes.
    pub raw_len: u64,
    /// The digest of the whole image, holes as zeros.
    pub raw_digest: Digest,
    /// What the image consists of, from its first byte to its last.
    pub extents: Vec<Extent>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    extents: Bytes,
    format: u32,
    #[serde(with = "cbor::digest_bytes")]
    raw_digest: Digest,
    raw_len: u64,
}

impl Manifest {
    /// The chunks that it names, each once, in the order in which the image needs them first.
    pub fn chunks(&self) -> Vec<Digest> {
        let mut seen = HashSet::new();
        let chunk = |extent: &Extent| if let Extent::Chunk { digest, .. } = extent { Some(*digest) } else { None };
        self.extents.iter().filter_map(chunk).filter(|digest| seen.insert(*digest)).collect()
    }

    /// Its canonical CBOR.
    ///
    /// # Errors
    /// A manifest that [`Manifest::decode`] would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        self.check()?;
        let mut extents = Vec::with_capacity(self.extents.len() * EXTENT_LEN);
        for extent in &self.extents {
            let (kind, offset, digest) = match extent {
                Extent::Hole { .. } => (0_u32, 0_u32, &[0; 32]),
                Extent::Chunk { digest, offset, .. } => (1, *offset, digest.as_bytes()),
            };
            extents.extend_from_slice(&kind.to_le_bytes());
            extents.extend_from_slice(&offset.to_le_bytes());
            extents.extend_from_slice(&extent.length().to_le_bytes());
            extents.extend_from_slice(digest);
        }
        let bytes = cbor::encode(&Document { extents: Bytes(extents), format: FORMAT, raw_digest: self.raw_digest, raw_len: self.raw_len })?;
        limit("length of a manifest", bytes.len() as u64, MANIFEST_LIMIT as u64)?;
        Ok(bytes)
    }

    /// Reads what [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// Anything else: extents that do not add up to the length, neighbouring holes, chunks beyond [`pack::CHUNK_LIMIT`], an image beyond [`IMAGE_LIMIT`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let document: Document = cbor::decode(bytes, MANIFEST_LIMIT)?;
        if document.format != FORMAT {
            return Err(FormatError::Version { what: "manifest", found: document.format, supported: FORMAT });
        }
        let mut rest = document.extents.0.as_slice();
        let mut extents = Vec::with_capacity(rest.len() / EXTENT_LEN);
        while !rest.is_empty() {
            extents.push(decode_extent(&mut rest)?);
        }
        let manifest = Self { raw_len: document.raw_len, raw_digest: document.raw_digest, extents };
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), FormatError> {
        let inconsistent = |reason| FormatError::Inconsistent { what: "manifest", reason };
        limit("length of an image", self.raw_len, IMAGE_LIMIT)?;
        let mut total = 0_u64;
        let mut after_hole = false;
        for extent in &self.extents {
            let hole = matches!(extent, Extent::Hole { .. });
            if hole && after_hole {
                return Err(inconsistent("two holes are neighbours"));
            }
            after_hole = hole;
            if extent.length() == 0 {
                return Err(inconsistent("an extent is empty"));
            }
            if let Extent::Chunk { offset, length, .. } = *extent {
                limit("end of an extent in its chunk", u64::from(offset) + u64::from(length), pack::CHUNK_LIMIT.into())?;
            }
            total = total.checked_add(extent.length()).filter(|&total| total <= self.raw_len).ok_or_else(|| inconsistent("it has too many bytes"))?;
        }
        if total == self.raw_len { Ok(()) } else { Err(inconsistent("it has too few bytes")) }
    }
}

fn decode_extent(rest: &mut &[u8]) -> Result<Extent, FormatError> {
    let what = "manifest";
    let kind = u32::from_le_bytes(take(rest, what)?);
    let offset = u32::from_le_bytes(take(rest, what)?);
    let length = u64::from_le_bytes(take(rest, what)?);
    let digest = take::<32>(rest, what)?;
    match (kind, u32::try_from(length)) {
        (0, _) if offset == 0 && digest == [0; 32] => Ok(Extent::Hole { length }),
        (1, Ok(length)) => Ok(Extent::Chunk { digest: Digest::from_bytes(digest), offset, length }),
        _ => Err(FormatError::Inconsistent { what, reason: "an extent is neither a hole nor a part of a chunk" }),
    }
}

fn limit(what: &'static str, found: u64, limit: u64) -> Result<(), FormatError> {
    if found <= limit { Ok(()) } else { Err(FormatError::Limit { what, found, limit }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest(extents: Vec<Extent>) -> Manifest {
        Manifest { raw_len: extents.iter().map(Extent::length).sum(), raw_digest: Digest::of(b"image"), extents }
    }

    #[test]
    fn has_these_bytes() {
        let bytes = manifest(vec![Extent::Hole { length: 4096 }]).encode().unwrap();
        let mut expected = b"\xa4\x66format\x01\x67extents\x58\x30".to_vec();
        expected.extend_from_slice(&[0; 8]);
        expected.extend_from_slice(&[0, 0x10, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[0; 32]);
        expected.extend_from_slice(b"\x67raw_len\x19\x10\x00\x6araw_digest\x58\x20");
        expected.extend_from_slice(Digest::of(b"image").as_bytes());
        assert_eq!(bytes, expected);
    }

    #[test]
    fn refuses_contradictions() {
        let chunk = Extent::Chunk { digest: Digest::of(b""), offset: 0, length: 1 };
        let hole = Extent::Hole { length: 1 };
        assert!(manifest(vec![hole, chunk, hole]).encode().is_ok());
        assert!(manifest(vec![]).encode().is_ok(), "an empty file has no extents");
        assert!(manifest(vec![hole, hole]).encode().is_err());
        assert!(manifest(vec![Extent::Hole { length: 0 }]).encode().is_err());
        assert!(manifest(vec![Extent::Hole { length: 1 << 60 }]).encode().is_err());
        assert!(manifest(vec![Extent::Chunk { digest: Digest::of(b""), offset: pack::CHUNK_LIMIT, length: 1 }]).encode().is_err());
        for raw_len in [1, 3] {
            assert!(Manifest { raw_len, ..manifest(vec![chunk, hole]) }.encode().is_err());
        }
        let overflow = Manifest { raw_len: 1, ..manifest(vec![chunk]) };
        let overflow = Manifest { extents: vec![Extent::Hole { length: u64::MAX }, chunk], ..overflow };
        assert!(overflow.encode().is_err());
    }

    fn extent() -> impl Strategy<Value = Extent> {
        prop_oneof![
            (1..1_u64 << 30).prop_map(|length| Extent::Hole { length }),
            (any::<[u8; 32]>(), 0..pack::CHUNK_LIMIT / 2, 1..pack::CHUNK_LIMIT / 2).prop_map(|(digest, offset, length)| Extent::Chunk {
                digest: Digest::from_bytes(digest),
                offset,
                length
            }),
        ]
    }

    proptest! {
        #[test]
        fn round_trips(mut extents in prop::collection::vec(extent(), 0..50)) {
            extents.dedup_by(|a, b| matches!((a, b), (Extent::Hole { .. }, Extent::Hole { .. })));
            let manifest = manifest(extents);
            prop_assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Manifest::decode(&bytes);
            let mut document = b"\xa4\x66format\x01\x67extents\x59".to_vec();
            document.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            document.extend_from_slice(&bytes);
            document.extend_from_slice(b"\x67raw_len\x19\x10\x00\x6araw_digest\x58\x20");
            document.extend_from_slice(&[0; 32]);
            let _ = Manifest::decode(&document);
        }
    }
}
