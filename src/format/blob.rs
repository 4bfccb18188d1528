//! The head of a whole blob: what it is and what it was called when it came into the store.
//!
//! ```text
//! skippable frame: "ICBLOB\0\x01" │ BLAKE3 of the header: 32 bytes │ header: canonical CBOR
//! zstd frame, at most 4 MiB raw, with content size and checksum
//! …
//! ```
//!
//! The raw bytes of all zstd frames together have the digest that the file is named after. The header is not part of that identity: it lets an index be
//! made again from the files alone. It has a digest of its own, so that a flipped bit in it is found too.

use serde::{Deserialize, Serialize};

use super::cbor;
use super::{FormatError, skippable, take};
use crate::digest::{Digest, Sha256};

/// The first bytes of the skippable frame; the last is the format version. A reader refuses another version.
const MAGIC: [u8; 8] = *b"ICBLOB\0\x01";

/// Raw bytes in one zstd frame at most, when written. Larger frames need more memory to read; a reader takes up to [`FRAME_WINDOW_LOG`].
pub const FRAME_RAW_LEN: usize = 4 << 20;

/// The base-2 logarithm of the largest window that a reader allows (8 MiB). Lowering it below 22 makes stored blobs unreadable.
pub const FRAME_WINDOW_LOG: u32 = 23;

/// The largest header that is read. Ours are below 4 KiB.
pub const HEADER_LIMIT: usize = 64 << 10;

/// What a blob is for. Its number stands in the index, its name in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// A package file; its name is a [`PackageName`].
    Package = 1,
    /// A file of a repository; its name is a [`MetadataName`].
    Metadata = 2,
    /// A manifest ([`super::manifest`]); no name.
    Manifest = 3,
    /// An image record ([`super::record`]); no name, the record itself has all.
    Image = 4,
    /// A document that an image record refers to (lock, annotations); no name.
    Document = 5,
    /// A further name of a blob that came in under another one: a [`Header`] in canonical CBOR, with the digest that it names; no name of its own.
    Alias = 6,
    /// The record of a root tree ([`super::record`]); no name.
    // 7 and 8 are the numbers of chunks and packs among the counters.
    Root = 9,
}

impl BlobKind {
    /// The number that stands in the index.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Package, Self::Metadata, Self::Manifest, Self::Image, Self::Document, Self::Alias, Self::Root]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// What a package was called when it came in: the parts of its coordinates, and the digest that the repository promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageName {
    /// The package's name.
    pub name: String,
    /// The full version.
    pub version: String,
    /// The architecture.
    pub arch: String,
    /// The identity of the repository.
    pub repository: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: Sha256,
}

/// What a file of a repository was called when it came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataName {
    /// The identity of the archive.
    pub archive: String,
    /// The path within the archive.
    pub path: String,
    /// When it was fetched, seconds since the epoch.
    pub fetched_at: u64,
    /// What the server and the signature said.
    pub attributes: MetadataAttributes,
}

/// What a server and a signature said about a file of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataAttributes {
    /// The server's `ETag`, verbatim.
    pub etag: Option<String>,
    /// The server's `Last-Modified`, verbatim.
    pub last_modified: Option<String>,
    /// Fingerprints of the keys whose signatures were verified. Of what this program has made of another file the digests of that: see
    /// [`MetadataAttributes::made_from`].
    pub verified_by: Vec<String>,
}

/// The header of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What it is for.
    pub kind: BlobKind,
    /// Its name, for a package.
    pub package: Option<PackageName>,
    /// Its name, for a file of a repository.
    pub metadata: Option<MetadataName>,
}

impl PackageName {
    /// The key of its row in the index.
    pub fn key(&self) -> Vec<u8> {
        [self.name.as_str(), &self.version, &self.arch, &self.repository].join("\0").into_bytes()
    }
}

/// The file that another one was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeFrom {
    /// The digest by which it is proven.
    pub sha256: Sha256,
    /// The blob that it is kept as.
    pub blob: Digest,
}

impl MetadataAttributes {
    /// Of what was made here from a file. A bundle cannot say this, because of its attributes nothing is believed.
    pub fn of_made(from: MadeFrom) -> Self {
        Self { verified_by: vec![format!("sha256:{}", from.sha256), format!("blake3:{}", from.blob)], ..Self::default() }
    }

    /// What it was made from, if it was.
    pub fn made_from(&self) -> Option<MadeFrom> {
        let [sha256, blob] = &self.verified_by[..] else { return None };
        Some(MadeFrom { sha256: sha256.strip_prefix("sha256:")?.parse().ok()?, blob: blob.strip_prefix("blake3:")?.parse().ok()? })
    }
}

impl MetadataName {
    /// The key of its row in the index.
    pub fn key(&self) -> Vec<u8> {
        [self.archive.as_str(), &self.path].join("\0").into_bytes()
    }
}

impl Header {
    /// The header of a blob without a name of its own.
    pub fn unnamed(kind: BlobKind) -> Self {
        Self { kind, package: None, metadata: None }
    }

    /// The header of a package.
    pub fn package(name: PackageName) -> Self {
        Self { kind: BlobKind::Package, package: Some(name), metadata: None }
    }

    /// The header of a file of a repository.
    pub fn metadata(name: MetadataName) -> Self {
        Self { kind: BlobKind::Metadata, package: None, metadata: Some(name) }
    }

    fn checked(self) -> Result<Self, FormatError> {
        let named = (self.package.is_some(), self.metadata.is_some());
        let expected = (self.kind == BlobKind::Package, self.kind == BlobKind::Metadata);
        if named == expected { Ok(self) } else { Err(FormatError::Inconsistent { what: "blob header", reason: "the name does not fit the kind" }) }
    }
}

/// A further name of a blob: the content of a blob of kind [`BlobKind::Alias`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The blob that is named.
    #[serde(with = "cbor::digest_bytes")]
    pub digest: Digest,
    /// The header that it would have had, had it come in under this name first.
    pub header: Header,
}

impl Alias {
    /// Its canonical CBOR.
    ///
    /// # Errors
    /// Never for what can be built; the encoder's signature asks for it.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        Ok(cbor::encode(self)?)
    }

    /// Reads what [`Alias::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let Self { digest, header } = cbor::decode_exact(bytes, HEADER_LIMIT)?;
        Ok(Self { digest, header: header.checked()? })
    }
}

/// The skippable frame that a blob file begins with.
///
/// # Errors
/// A name that is too long for the header.
pub fn encode_head(header: &Header) -> Result<Vec<u8>, FormatError> {
    let document = cbor::encode(header)?;
    if document.len() > HEADER_LIMIT {
        return Err(FormatError::Limit { what: "length of a blob header", found: document.len() as u64, limit: HEADER_LIMIT as u64 });
    }
    let mut head = skippable::head(MAGIC.len() + 32 + document.len())?.to_vec();
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(Digest::of(&document).as_bytes());
    head.extend_from_slice(&document);
    Ok(head)
}

/// The length of the content of a blob's skippable frame, from the first [`skippable::HEAD_LEN`] bytes of the file.
///
/// # Errors
/// The beginning of something else.
pub fn head_content_len(bytes: &[u8]) -> Result<usize, FormatError> {
    skippable::content_len(bytes, MAGIC.len() + 32 + HEADER_LIMIT)
}

/// Reads the content of a blob's skippable frame.
///
/// # Errors
/// Anything that [`encode_head`] would not have written.
pub fn decode_head(mut content: &[u8]) -> Result<Header, FormatError> {
    let what = "blob header";
    let magic = take::<8>(&mut content, what)?;
    if magic[..7] != MAGIC[..7] {
        return Err(FormatError::Magic { what });
    }
    if magic[7] != MAGIC[7] {
        return Err(FormatError::Version { what, found: magic[7].into(), supported: MAGIC[7].into() });
    }
    if take::<32>(&mut content, what)? != *Digest::of(content).as_bytes() {
        return Err(FormatError::Inconsistent { what, reason: "its digest is another one" });
    }
    cbor::decode_exact::<Header>(content, HEADER_LIMIT)?.checked()
}

/// Metadata attributes as the tail of an index row.
pub(crate) fn encode_attributes(attributes: &MetadataAttributes) -> Result<Vec<u8>, FormatError> {
    Ok(cbor::encode(attributes)?)
}

/// Reads what [`encode_attributes`] wrote.
pub(crate) fn decode_attributes(bytes: &[u8]) -> Result<MetadataAttributes, FormatError> {
    Ok(cbor::decode_exact(bytes, HEADER_LIMIT)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> PackageName {
        let text = str::to_owned;
        PackageName { name: text("hello"), version: text("1:2-3"), arch: text("amd64"), repository: text("debian"), sha256: Sha256::of(b"") }
    }

    fn decode(head: &[u8]) -> Result<Header, FormatError> {
        let len = head_content_len(head)?;
        decode_head(head.get(skippable::HEAD_LEN..skippable::HEAD_LEN + len).ok_or(FormatError::CutOff { what: "blob header" })?)
    }

    #[test]
    fn has_these_bytes() {
        let head = encode_head(&Header::unnamed(BlobKind::Manifest)).unwrap();
        let document = b"\xa3\x64kind\x68manifest\x67package\xf6\x68metadata\xf6";
        let mut expected = b"\x50\x2a\x4d\x18\x4a\0\0\0ICBLOB\0\x01".to_vec();
        expected.extend_from_slice(Digest::of(document).as_bytes());
        expected.extend_from_slice(document);
        assert_eq!(head, expected);
    }

    #[test]
    fn finds_every_flipped_bit() {
        let header = Header::package(name());
        let head = encode_head(&header).unwrap();
        assert_eq!(decode(&head).unwrap(), header);
        for at in 0..head.len() * 8 {
            let mut bad = head.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(decode(&bad).is_err(), "bit {at}");
        }
    }

    #[test]
    fn refuses_a_name_of_another_kind() {
        let header = Header { kind: BlobKind::Metadata, ..Header::package(name()) };
        assert!(matches!(decode(&encode_head(&header).unwrap()), Err(FormatError::Inconsistent { .. })));
        assert!(decode(&encode_head(&Header::unnamed(BlobKind::Package)).unwrap()).is_err());
    }

    #[test]
    fn aliases_round_trip() {
        let alias = Alias { digest: Digest::of(b"x"), header: Header::package(name()) };
        assert_eq!(Alias::decode(&alias.encode().unwrap()).unwrap(), alias);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
            let _ = decode_head(&bytes);
            let _ = Alias::decode(&bytes);
        }
    }
}
