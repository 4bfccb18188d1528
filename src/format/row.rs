//! The rows of the index: fixed-width, little-endian, the first byte is the version of the row.
//!
//! A row of a later version is an error, never guessed at. Digests are 32 bytes, times are seconds since the epoch, lengths are bytes. The keys of the
//! tables are digests, except for packages (`name NUL version NUL architecture NUL repository`) and metadata (`archive NUL path`), so that tables are
//! sorted as people list them.

use super::blob::{self, BlobKind, MetadataAttributes};
use super::totals::Share;
use super::{FormatError, take};
use crate::digest::{Digest, Sha256};

/// The version of all rows of this program.
const VERSION: u8 = 1;

/// A row of one of the index's tables.
pub trait Row: Sized {
    /// The name of the table.
    const TABLE: &'static str;

    /// The bytes of the row.
    fn encode(&self) -> Vec<u8>;

    /// Reads what [`Row::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    fn decode(bytes: &[u8]) -> Result<Self, FormatError>;

    /// What the row adds to the counters of the index: nothing, in most tables.
    fn share(&self) -> Share {
        Share::default()
    }
}

/// A whole blob. Key: its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRow {
    /// What it is for.
    pub kind: BlobKind,
    /// Whether its file was found damaged or missing. The count stays, so that the same bytes mend every name that points here.
    pub lost: bool,
    /// How many names and documents refer to it.
    pub references: u32,
    /// Length of the raw bytes.
    pub raw_len: u64,
    /// Length of the file.
    pub stored_len: u64,
}

/// A chunk in a pack. Key: its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRow {
    /// Whether it was found damaged or missing.
    pub lost: bool,
    /// How many manifests name it.
    pub references: u32,
    /// The pack that has it.
    pub pack: Digest,
    /// Where its frame begins in the pack.
    pub offset: u64,
    /// Length of the frame.
    pub stored_len: u32,
    /// Length of the raw bytes.
    pub raw_len: u32,
}

/// A pack. Key: its name, the digest of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRow {
    /// Length of the file.
    pub stored_len: u64,
    /// How many chunks it has.
    pub chunks: u32,
    /// Bytes of its frames that are in use: those of chunks whose row points here, which are not lost, and which a manifest names.
    pub live_len: u64,
}

/// A package in the package cache. Key: its coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageRow {
    /// The blob of the file.
    pub blob: Digest,
    /// The digest that the repository promised, and that the file has.
    pub sha256: Sha256,
    /// The blob that holds this name, where it is not the head of `blob` itself.
    pub alias: Option<Digest>,
    /// Never evicted.
    pub pinned: bool,
    /// When it came in.
    pub added_at: u64,
    /// When a build last used it.
    pub last_used: u64,
    /// How many builds used it.
    pub uses: u32,
}

/// An image in the image cache, or a root tree in the root cache. Key: the hash of its spec, or its root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageRow {
    /// The blob of its record ([`super::record`]).
    pub record: Digest,
    /// The blob of its manifest.
    pub manifest: Digest,
    /// The blob of its lock.
    pub lock: Digest,
    /// The blob of its annotations.
    pub annotations: Digest,
    /// Whether a part of it was found damaged: no longer served.
    pub damaged: bool,
    /// Never evicted.
    pub pinned: bool,
    /// Whether it is a root tree.
    pub tree: bool,
    /// When it was last served or built.
    pub last_used: u64,
    /// How often it was served.
    pub uses: u32,
}

/// A file of a repository. Key: archive and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataRow {
    /// The blob of the file.
    pub blob: Digest,
    /// The blob that holds this name, where it is not the head of `blob` itself.
    pub alias: Option<Digest>,
    /// When a server last said that this is the current file.
    pub fetched_at: u64,
    /// When a build last used it.
    pub last_used: u64,
    /// What the server and the signature said: canonical CBOR after the fixed part of the row.
    pub attributes: MetadataAttributes,
}

/// What a live lease uses. Key: lease 16 bytes, kind 1 byte (0 blob, 1 chunk, 2 pack), digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldRow;

/// A file that is to be unlinked. Key: kind 1 byte (0 blob, 2 pack), digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrashRow {
    /// When it was given up.
    pub since: u64,
    /// Length of the file.
    pub stored_len: u64,
}

const LOST: u8 = 1;
const PINNED: u8 = 2;
const TREE: u8 = 4;

pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn row() -> Self {
        Self(vec![VERSION])
    }

    pub(super) fn put(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    fn flags(self, flags: &[(bool, u8)]) -> Self {
        let byte = flags.iter().filter(|(set, _)| *set).fold(0, |sum, (_, flag)| sum | flag);
        self.put([byte])
    }

    fn alias(self, alias: Option<Digest>) -> Self {
        self.put(alias.map_or([0; 32], |digest| *digest.as_bytes()))
    }
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn row(bytes: &'a [u8], what: &'static str) -> Result<Self, FormatError> {
        let mut reader = Self { rest: bytes, what };
        match reader.u8()? {
            VERSION => Ok(reader),
            found => Err(FormatError::Version { what, found: found.into(), supported: VERSION.into() }),
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        take(&mut self.rest, self.what)
    }

    fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.bytes::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn digest(&mut self) -> Result<Digest, FormatError> {
        Ok(Digest::from_bytes(self.bytes()?))
    }

    fn alias(&mut self) -> Result<Option<Digest>, FormatError> {
        let bytes = self.bytes::<32>()?;
        Ok((bytes != [0; 32]).then(|| Digest::from_bytes(bytes)))
    }

    fn flags(&mut self, known: u8) -> Result<u8, FormatError> {
        let flags = self.u8()?;
        if flags & !known == 0 { Ok(flags) } else { Err(self.inconsistent("it has unknown flags")) }
    }

    fn inconsistent(&self, reason: &'static str) -> FormatError {
        FormatError::Inconsistent { what: self.what, reason }
    }

    pub(super) fn end<T>(self, row: T) -> Result<T, FormatError> {
        if self.rest.is_empty() { Ok(row) } else { Err(self.inconsistent("it is too long")) }
    }
}

impl Row for BlobRow {
    const TABLE: &'static str = "blobs";

    fn encode(&self) -> Vec<u8> {
        let row = Writer::row().flags(&[(self.lost, LOST)]).put([self.kind.number()]).put(self.references.to_le_bytes());
        row.put(self.raw_len.to_le_bytes()).put(self.stored_len.to_le_bytes()).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of a blob")?;
        let lost = row.flags(LOST)? & LOST != 0;
        let kind = BlobKind::from_number(row.u8()?).ok_or_else(|| row.inconsistent("its kind is unknown"))?;
        let blob = Self { kind, lost, references: row.u32()?, raw_len: row.u64()?, stored_len: row.u64()? };
        row.end(blob)
    }

    fn share(&self) -> Share {
        self.counted()
    }
}

impl Row for ChunkRow {
    const TABLE: &'static str = "chunks";

    fn encode(&self) -> Vec<u8> {
        let row = Writer::row().flags(&[(self.lost, LOST)]).put(self.references.to_le_bytes()).put(self.pack.as_bytes());
        row.put(self.offset.to_le_bytes()).put(self.stored_len.to_le_bytes()).put(self.raw_len.to_le_bytes()).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of a chunk")?;
        let lost = row.flags(LOST)? & LOST != 0;
        let (references, pack, offset) = (row.u32()?, row.digest()?, row.u64()?);
        let chunk = Self { lost, references, pack, offset, stored_len: row.u32()?, raw_len: row.u32()? };
        super::pack::check_chunk(chunk.stored_len, chunk.raw_len)?;
        row.end(chunk)
    }

    fn share(&self) -> Share {
        self.counted()
    }
}

impl Row for PackRow {
    const TABLE: &'static str = "packs";

    fn encode(&self) -> Vec<u8> {
        Writer::row().put(self.stored_len.to_le_bytes()).put(self.chunks.to_le_bytes()).put(self.live_len.to_le_bytes()).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of a pack")?;
        let pack = Self { stored_len: row.u64()?, chunks: row.u32()?, live_len: row.u64()? };
        row.end(pack)
    }

    fn share(&self) -> Share {
        self.counted()
    }
}

impl Row for PackageRow {
    const TABLE: &'static str = "packages";

    fn encode(&self) -> Vec<u8> {
        let row = Writer::row().flags(&[(self.pinned, PINNED)]).put(self.blob.as_bytes()).put(self.sha256.as_bytes()).alias(self.alias);
        row.put(self.added_at.to_le_bytes()).put(self.last_used.to_le_bytes()).put(self.uses.to_le_bytes()).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of a package")?;
        let pinned = row.flags(PINNED)? & PINNED != 0;
        let (blob, sha256, alias) = (row.digest()?, Sha256::from_bytes(row.bytes()?), row.alias()?);
        let package = Self { blob, sha256, alias, pinned, added_at: row.u64()?, last_used: row.u64()?, uses: row.u32()? };
        row.end(package)
    }
}

impl Row for ImageRow {
    const TABLE: &'static str = "images";

    fn encode(&self) -> Vec<u8> {
        let row = Writer::row().flags(&[(self.damaged, LOST), (self.pinned, PINNED), (self.tree, TREE)]);
        let row = row.put(self.record.as_bytes()).put(self.manifest.as_bytes());
        let row = row.put(self.lock.as_bytes()).put(self.annotations.as_bytes());
        row.put(self.last_used.to_le_bytes()).put(self.uses.to_le_bytes()).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of an image")?;
        let flags = row.flags(LOST | PINNED | TREE)?;
        let (damaged, pinned, tree) = (flags & LOST != 0, flags & PINNED != 0, flags & TREE != 0);
        let (record, manifest, lock, annotations) = (row.digest()?, row.digest()?, row.digest()?, row.digest()?);
        let image = Self { record, manifest, lock, annotations, damaged, pinned, tree, last_used: row.u64()?, uses: row.u32()? };
        row.end(image)
    }
}

impl Row for MetadataRow {
    const TABLE: &'static str = "metadata";

    fn encode(&self) -> Vec<u8> {
        let attributes = blob::encode_attributes(&self.attributes).expect("texts and lists of texts have an encoding");
        let row = Writer::row().put(self.blob.as_bytes()).alias(self.alias);
        row.put(self.fetched_at.to_le_bytes()).put(self.last_used.to_le_bytes()).put(attributes).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of a metadata file")?;
        let (blob, alias, fetched_at, last_used) = (row.digest()?, row.alias()?, row.u64()?, row.u64()?);
        Ok(Self { blob, alias, fetched_at, last_used, attributes: blob::decode_attributes(row.rest)? })
    }
}

impl Row for HoldRow {
    const TABLE: &'static str = "holds";

    fn encode(&self) -> Vec<u8> {
        Writer::row().0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        Reader::row(bytes, "row of a hold")?.end(Self)
    }
}

impl Row for TrashRow {
    const TABLE: &'static str = "trash";

    fn encode(&self) -> Vec<u8> {
        Writer::row().put(self.since.to_le_bytes()).put(self.stored_len.to_le_bytes()).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of the trash")?;
        let trash = Self { since: row.u64()?, stored_len: row.u64()? };
        row.end(trash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip<R: Row + PartialEq + std::fmt::Debug>(row: &R, len: usize) {
        let bytes = row.encode();
        assert_eq!((bytes.len(), bytes[0]), (len, VERSION), "{row:?}");
        assert_eq!(&R::decode(&bytes).unwrap(), row);
        let mut later = bytes.clone();
        later[0] = VERSION + 1;
        assert!(matches!(R::decode(&later), Err(FormatError::Version { found: 2, .. })));
        assert!(R::decode(&bytes[..len - 1]).is_err(), "{row:?}");
        assert!(R::decode(&[bytes, vec![0]].concat()).is_err(), "{row:?}");
    }

    #[test]
    fn a_row_of_a_chunk_has_these_bytes() {
        let row = ChunkRow { lost: true, references: 2, pack: Digest::from_bytes([7; 32]), offset: 16, stored_len: 258, raw_len: 65_536 };
        let mut expected = vec![1, 1, 2, 0, 0, 0];
        expected.extend_from_slice(&[7; 32]);
        expected.extend_from_slice(&[16, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 1, 0]);
        assert_eq!(row.encode(), expected);
    }

    proptest! {
        #[test]
        fn rows_round_trip(flag in any::<bool>(), pinned in any::<bool>(), a in any::<[u8; 32]>(), b in any::<[u8; 32]>(), (m, n) in any::<(u64, u64)>(), count: u32) {
            let (digest, other) = (Digest::from_bytes(a), Digest::from_bytes(b));
            round_trip(&BlobRow { kind: BlobKind::Manifest, lost: flag, references: count, raw_len: m, stored_len: n }, 23);
            round_trip(&ChunkRow { lost: flag, references: count, pack: digest, offset: m, stored_len: 1 + count % (4 << 20), raw_len: 1 + count % (4 << 20) }, 54);
            round_trip(&PackRow { stored_len: m, chunks: count, live_len: n }, 21);
            let alias = flag.then_some(other);
            round_trip(&PackageRow { blob: digest, sha256: Sha256::from_bytes(b), alias, pinned, added_at: m, last_used: n, uses: count }, 118);
            let image = ImageRow { record: digest, manifest: other, lock: digest, annotations: other, damaged: flag, pinned, tree: !flag, last_used: m, uses: count };
            round_trip(&image, 142);
            round_trip(&TrashRow { since: m, stored_len: n }, 17);
            round_trip(&HoldRow, 1);
            let attributes = MetadataAttributes { etag: flag.then(|| "\"1\"".to_owned()), last_modified: None, verified_by: vec!["AB".to_owned()] };
            let row = MetadataRow { blob: digest, alias, fetched_at: m, last_used: n, attributes };
            round_trip(&row, row.encode().len());
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (BlobRow::decode(&bytes), ChunkRow::decode(&bytes), PackRow::decode(&bytes), PackageRow::decode(&bytes));
            let _ = (ImageRow::decode(&bytes), MetadataRow::decode(&bytes), HoldRow::decode(&bytes), TrashRow::decode(&bytes));
        }
    }
}
