//! The record of a kept image: everything about it that does not change, as the content of a blob of kind [`super::blob::BlobKind::Image`]. That of a kept
//! root tree is the same, in a blob of kind [`super::blob::BlobKind::Root`], with the root key as its key and a tree ([`super::tree`]) in place of the disk.
//!
//! Canonical CBOR, a map with the fields of [`ImageDocument`] as keys. Times of use and counts stand in the index alone.

use serde::{Deserialize, Serialize};

use super::FormatError;
use super::cbor;
use crate::digest::Digest;

/// The format version. A reader refuses others.
pub const FORMAT: u32 = 1;

/// The longest record that is read. Ours are below 8 KiB.
pub const RECORD_LIMIT: usize = 1 << 20;

/// What is known of a kept image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDocument {
    /// The format version, [`FORMAT`].
    pub format: u32,
    /// The hash of the spec: the image's key.
    #[serde(with = "cbor::digest_bytes")]
    pub spec_hash: Digest,
    /// The name that the spec gives it.
    pub name: String,
    /// The version that the spec gives it.
    pub version: String,
    /// The distribution, such as `debian12`.
    pub dist: String,
    /// The architecture, as the spec writes it.
    pub arch: String,
    /// The length of the disk in bytes.
    pub raw_len: u64,
    /// Bytes of the disk that are not in holes.
    pub data_len: u64,
    /// The digest of the whole disk.
    #[serde(with = "cbor::digest_bytes")]
    pub raw_digest: Digest,
    /// Bytes that the store grew by when it was kept: new chunks and documents, compressed.
    pub own_bytes: u64,
    /// The blob of its manifest.
    #[serde(with = "cbor::digest_bytes")]
    pub manifest: Digest,
    /// The blob of its lock.
    #[serde(with = "cbor::digest_bytes")]
    pub lock: Digest,
    /// The blob of its annotations.
    #[serde(with = "cbor::digest_bytes")]
    pub annotations: Digest,
    /// When it was built or imported, seconds since the epoch.
    pub built_at: u64,
    /// How long the build took, in milliseconds; 0 for an imported image.
    pub build_millis: u64,
    /// The time that files in the image were clamped to, seconds since the epoch.
    pub source_date: u64,
    /// The repository states that it was resolved from, sorted.
    pub releases: Vec<ReleaseDate>,
    /// Where it came from, if it was imported instead of built. Such an image has a lock without packages, and empty texts for what nobody said.
    pub imported: Option<Import>,
}

/// The file that an image was imported from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Its name, without folders.
    pub file: String,
    /// Its format, such as `qcow2` or `raw.zst`.
    pub format: String,
}

/// The state of one suite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseDate {
    /// The archive's identity.
    pub archive: String,
    /// The suite.
    pub suite: String,
    /// The `Date` of its Release file, seconds since the epoch.
    pub date: u64,
}

impl ImageDocument {
    /// Its canonical CBOR.
    ///
    /// # Errors
    /// A record longer than [`RECORD_LIMIT`].
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let bytes = cbor::encode(self)?;
        if bytes.len() > RECORD_LIMIT {
            return Err(FormatError::Limit { what: "length of an image record", found: bytes.len() as u64, limit: RECORD_LIMIT as u64 });
        }
        Ok(bytes)
    }

    /// Reads what [`ImageDocument::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let document: Self = cbor::decode_exact(bytes, RECORD_LIMIT)?;
        if document.format != FORMAT {
            return Err(FormatError::Version { what: "image record", found: document.format, supported: FORMAT });
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> ImageDocument {
        ImageDocument {
            format: FORMAT,
            spec_hash: Digest::of(b"spec"),
            name: "minimal".to_owned(),
            version: "1.0".to_owned(),
            dist: "debian12".to_owned(),
            arch: "x86_64".to_owned(),
            raw_len: 1 << 32,
            data_len: 1 << 30,
            raw_digest: Digest::of(b"raw"),
            own_bytes: 7,
            manifest: Digest::of(b"manifest"),
            lock: Digest::of(b"lock"),
            annotations: Digest::of(b"annotations"),
            built_at: 1_700_000_000,
            build_millis: 31_000,
            source_date: 1_600_000_000,
            releases: vec![ReleaseDate { archive: "debian".to_owned(), suite: "bookworm".to_owned(), date: 1_690_000_000 }],
            imported: None,
        }
    }

    #[test]
    fn round_trips_and_stays_the_same() {
        let bytes = document().encode().unwrap();
        assert_eq!(ImageDocument::decode(&bytes).unwrap(), document());
        assert_eq!(Digest::of(&bytes).to_string(), "f536e463605db054d5b2e13e0e9f00d2efee35c19471569da3f38e56a1aa1bea");
        let import = Import { file: "disk.qcow2".to_owned(), format: "qcow2".to_owned() };
        let imported = ImageDocument { imported: Some(import), ..document() };
        assert_eq!(ImageDocument::decode(&imported.encode().unwrap()).unwrap(), imported);
    }

    #[test]
    fn refuses_other_versions_and_fields() {
        let later = ImageDocument { format: 2, ..document() }.encode().unwrap();
        assert!(matches!(ImageDocument::decode(&later), Err(FormatError::Version { found: 2, .. })));
        assert!(ImageDocument::decode(&cbor::encode(&std::collections::BTreeMap::from([("format", 1)])).unwrap()).is_err());
    }
}
