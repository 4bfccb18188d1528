//! A bundle: images, packages and repository metadata of a store in one file, for a machine without a network.
//!
//! ```text
//! skippable frame    "ICBNDL\0\x01" │ digest 32 │ file length u64 │ blobs u32 │ frames u32 │ document length u32 │ zero u32
//!                    document (CBOR: what the bundle has) │ blobs, 48 bytes each │ frames, 48 bytes each
//! skippable frames   each blob's file as it is in a store, in the order of the table
//! frames             in the order of the table: of the disk as they are, of other chunks in a skippable frame each
//! skippable frame    "ICBNDL\0\x01" │ digest of all bytes before this frame 32
//!
//! blob   digest 32 │ length of the file u64 │ raw length u64
//! frame  digest 32 │ kind u32 │ length u32 │ raw length u64
//! ```
//!
//! All lengths stand in front, so that a bundle can be read from a pipe, and all that stands in front is under its digest. The last digest is over every
//! byte: it finds also what changes nothing that is decoded. A bundle with one image has
//! its disk as plain zstd frames: `zstd -d` prints the raw disk and nothing else. What is no whole chunk of a store there (a hole, a part of a chunk)
//! is marked, and an importer passes over it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::blob::{MetadataName, PackageName};
use super::{FormatError, cbor, manifest, pack, skippable, take};
use crate::digest::Digest;

/// The first bytes of the first frame's content; the last is the format version. A reader refuses another version.
const MAGIC: [u8; 8] = *b"ICBNDL\0\x01";

/// The bytes before the document: magic, digest, length of the file, three counts, zero.
const HEAD_LEN: usize = MAGIC.len() + 32 + 8 + 16;

/// The length of the last frame.
pub const END_LEN: usize = skippable::HEAD_LEN + MAGIC.len() + 32;

/// Where what is under the digest begins.
const PROVEN_FROM: usize = MAGIC.len() + 32;

/// The length of an entry for a blob or a frame.
const ENTRY_LEN: usize = 48;

/// The longest document that is read: 35,000 packages, for which [`cbor::ITEM_LIMIT`] is the limit, have 10 MB.
const DOCUMENT_LIMIT: usize = 32 << 20;

/// The most blobs.
pub const BLOB_COUNT_LIMIT: usize = 1 << 18;

/// The most frames: a quarter of a terabyte of chunks of average length.
pub const FRAME_COUNT_LIMIT: usize = 1 << 21;

/// The longest content of the first frame.
const TABLE_LIMIT: usize = HEAD_LEN + DOCUMENT_LIMIT + (BLOB_COUNT_LIMIT + FRAME_COUNT_LIMIT) * ENTRY_LEN;

/// A longer file is spread over several skippable frames, all but the last of this length. (RFC 8878 allows 4 GiB less one byte.)
pub const PIECE_LEN: u64 = 1 << 30;

/// What a bundle has under which name. Each list is sorted, and has each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// When the bundle was made, seconds since the epoch.
    pub created_at: u64,
    /// The image whose disk the bundle decompresses to, by its spec hash; the only one.
    pub disk: Option<SpecKey>,
    /// The images.
    pub images: Vec<ImageItem>,
    /// The packages.
    pub packages: Vec<PackageItem>,
    /// The files of repositories.
    pub metadata: Vec<MetadataItem>,
}

/// The key of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecKey(#[serde(with = "cbor::digest_bytes")] pub Digest);

/// An image: its key and its blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageItem {
    /// The hash of its spec.
    pub spec_hash: SpecKey,
    /// The blob of its record.
    #[serde(with = "cbor::digest_bytes")]
    pub record: Digest,
    /// The blob of its manifest.
    #[serde(with = "cbor::digest_bytes")]
    pub manifest: Digest,
    /// The blob of its lock.
    #[serde(with = "cbor::digest_bytes")]
    pub lock: Digest,
    /// The blob of its annotations.
    #[serde(with = "cbor::digest_bytes")]
    pub annotations: Digest,
}

impl ImageItem {
    /// All its blobs.
    pub fn blobs(&self) -> [Digest; 4] {
        [self.record, self.manifest, self.lock, self.annotations]
    }
}

/// A package, and the blob that it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageItem {
    /// The blob of the file.
    #[serde(with = "cbor::digest_bytes")]
    pub blob: Digest,
    /// What it is called.
    pub name: PackageName,
}

/// A file of a repository, and the blob that it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataItem {
    /// The blob of the file.
    #[serde(with = "cbor::digest_bytes")]
    pub blob: Digest,
    /// What it is called.
    pub name: MetadataName,
}

/// A blob of the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobEntry {
    /// The digest of its raw bytes.
    pub digest: Digest,
    /// The length of its file.
    pub stored_len: u64,
    /// The length of its raw bytes.
    pub raw_len: u64,
}

/// What a zstd frame of the bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A whole chunk, in its place in the disk. Its digest is that of the raw chunk.
    Chunk = 1,
    /// A part of a chunk, in its place in the disk. Its digest is that of the frame itself.
    Part = 2,
    /// A hole of the disk, or a part of one. Its digest is that of the frame itself.
    Hole = 3,
    /// A whole chunk that is not in the disk, in a skippable frame of its own. Its digest is that of the raw chunk.
    Beside = 4,
}

impl FrameKind {
    fn from_number(number: u32) -> Option<Self> {
        [Self::Chunk, Self::Part, Self::Hole, Self::Beside].into_iter().find(|kind| *kind as u32 == number)
    }

    /// Whether it is a chunk of a store.
    pub fn is_chunk(self) -> bool {
        matches!(self, Self::Chunk | Self::Beside)
    }
}

/// A zstd frame of the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// See [`FrameKind`].
    pub digest: Digest,
    /// The length of the frame in bytes.
    pub stored_len: u32,
    /// How many bytes it decodes to.
    pub raw_len: u64,
}

/// Everything that stands in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What the bundle has.
    pub contents: Contents,
    /// Its blobs, each once.
    pub blobs: Vec<BlobEntry>,
    /// Its frames.
    pub frames: Vec<Frame>,
}

/// Whether a file that begins so is a bundle, of this version or of a later one. Needs 16 bytes.
pub fn is_bundle(begin: &[u8]) -> bool {
    begin.starts_with(&skippable::MAGIC) && begin.get(skippable::HEAD_LEN..).is_some_and(|content| content.starts_with(&MAGIC[..7]))
}

/// The length of the content of a bundle's first frame, from the first [`skippable::HEAD_LEN`] bytes of the file.
///
/// # Errors
/// The beginning of something else.
pub fn table_content_len(head: &[u8]) -> Result<usize, FormatError> {
    skippable::content_len(head, TABLE_LIMIT)
}

/// The last frame of a bundle: `digest` is that of all bytes before it.
pub fn encode_end(digest: &Digest) -> [u8; END_LEN] {
    let mut end = [0; END_LEN];
    end[..4].copy_from_slice(&skippable::MAGIC);
    end[4] = (MAGIC.len() + 32) as u8;
    end[skippable::HEAD_LEN..][..MAGIC.len()].copy_from_slice(&MAGIC);
    end[END_LEN - 32..].copy_from_slice(digest.as_bytes());
    end
}

impl Table {
    /// The first frame of the bundle.
    ///
    /// # Errors
    /// A table that [`Table::decode`] would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let document = cbor::encode(&self.contents)?;
        let mut proven = Vec::new();
        proven.extend_from_slice(&self.file_len(document.len())?.to_le_bytes());
        for count in [self.blobs.len(), self.frames.len(), document.len(), 0] {
            proven.extend_from_slice(&(count as u32).to_le_bytes());
        }
        proven.extend_from_slice(&document);
        for blob in &self.blobs {
            proven.extend_from_slice(blob.digest.as_bytes());
            proven.extend_from_slice(&blob.stored_len.to_le_bytes());
            proven.extend_from_slice(&blob.raw_len.to_le_bytes());
        }
        for frame in &self.frames {
            proven.extend_from_slice(frame.digest.as_bytes());
            proven.extend_from_slice(&(frame.kind as u32).to_le_bytes());
            proven.extend_from_slice(&frame.stored_len.to_le_bytes());
            proven.extend_from_slice(&frame.raw_len.to_le_bytes());
        }
        let mut bytes = skippable::head(PROVEN_FROM + proven.len())?.to_vec();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(Digest::of(&proven).as_bytes());
        bytes.extend_from_slice(&proven);
        Self::decode(&bytes[skippable::HEAD_LEN..])?;
        Ok(bytes)
    }

    /// Reads the content of the first frame.
    ///
    /// # Errors
    /// Anything that [`Table::encode`] would not have written.
    pub fn decode(mut content: &[u8]) -> Result<Self, FormatError> {
        let what = "bundle";
        let magic = take::<8>(&mut content, what)?;
        if magic[..7] != MAGIC[..7] {
            return Err(FormatError::Magic { what });
        }
        if magic[7] != MAGIC[7] {
            return Err(FormatError::Version { what, found: magic[7].into(), supported: MAGIC[7].into() });
        }
        if take::<32>(&mut content, what)? != *Digest::of(content).as_bytes() {
            return Err(inconsistent("the digest of its table is another one"));
        }
        let file_len = u64::from_le_bytes(take(&mut content, what)?);
        let mut count = || Ok::<_, FormatError>(u32::from_le_bytes(take(&mut content, what)?) as usize);
        let (blobs, frames, document_len, zero) = (count()?, count()?, count()?, count()?);
        limit("number of blobs in a bundle", blobs, BLOB_COUNT_LIMIT)?;
        limit("number of frames in a bundle", frames, FRAME_COUNT_LIMIT)?;
        if zero != 0 || content.len() as u64 != document_len as u64 + (blobs as u64 + frames as u64) * ENTRY_LEN as u64 {
            return Err(inconsistent("its table has another length than it says"));
        }
        let (document, mut entries) = content.split_at(document_len);
        let contents: Contents = cbor::decode_exact(document, DOCUMENT_LIMIT)?;
        let blobs = (0..blobs).map(|_| decode_blob(&mut entries)).collect::<Result<_, _>>()?;
        let frames = (0..frames).map(|_| decode_frame(&mut entries)).collect::<Result<_, _>>()?;
        let table = Self { contents, blobs, frames };
        table.check()?;
        if table.file_len(document_len)? != file_len {
            return Err(inconsistent("it has another length than its parts together"));
        }
        Ok(table)
    }

    /// The length of the whole bundle in bytes.
    ///
    /// # Errors
    /// A table that cannot be encoded.
    pub fn bundle_len(&self) -> Result<u64, FormatError> {
        self.file_len(cbor::encode(&self.contents)?.len())
    }

    fn file_len(&self, document_len: usize) -> Result<u64, FormatError> {
        let table = skippable::HEAD_LEN + HEAD_LEN + document_len + (self.blobs.len() + self.frames.len()) * ENTRY_LEN + END_LEN;
        let blobs = self.blobs.iter().map(|blob| wrapped_len(blob.stored_len));
        let frames = self.frames.iter().map(|frame| match frame.kind {
            FrameKind::Beside => wrapped_len(frame.stored_len.into()),
            FrameKind::Chunk | FrameKind::Part | FrameKind::Hole => Some(frame.stored_len.into()),
        });
        let total = blobs.chain(frames).try_fold(table as u64, |total, len| total.checked_add(len?));
        total.ok_or_else(|| inconsistent("it is longer than any file"))
    }

    fn check(&self) -> Result<(), FormatError> {
        let Contents { disk, images, packages, metadata, .. } = &self.contents;
        let coordinates = |item: &PackageItem| {
            let PackageName { name, version, arch, repository, .. } = item.name.clone();
            (name, version, arch, repository)
        };
        let path = |item: &MetadataItem| (item.name.archive.clone(), item.name.path.clone());
        let sorted = images.is_sorted_by(|a, b| a.spec_hash < b.spec_hash)
            && packages.is_sorted_by(|a, b| coordinates(a) < coordinates(b))
            && metadata.is_sorted_by(|a, b| path(a) < path(b));
        if !sorted {
            return Err(inconsistent("its names are not sorted"));
        }
        let known: HashSet<Digest> = self.blobs.iter().map(|blob| blob.digest).collect();
        if known.len() != self.blobs.len() {
            return Err(inconsistent("it has a blob twice"));
        }
        let named: HashSet<Digest> = images
            .iter()
            .flat_map(ImageItem::blobs)
            .chain(packages.iter().map(|item| item.blob))
            .chain(metadata.iter().map(|item| item.blob))
            .collect();
        if named != known {
            return Err(inconsistent("its names and its blobs do not belong together"));
        }
        // What a store counts, and how it reads a blob, goes by what the blob is.
        let records: HashSet<Digest> = images.iter().map(|image| image.record).collect();
        let manifests: HashSet<Digest> = images.iter().map(|image| image.manifest).collect();
        let mut others = images
            .iter()
            .flat_map(|image| [image.lock, image.annotations])
            .chain(packages.iter().map(|item| item.blob))
            .chain(metadata.iter().map(|item| item.blob));
        if !records.is_disjoint(&manifests) || others.any(|blob| records.contains(&blob) || manifests.contains(&blob)) {
            return Err(inconsistent("a part of an image has another name, too"));
        }
        let of_disk = self.frames.iter().any(|frame| frame.kind != FrameKind::Beside);
        match (disk, images.as_slice()) {
            (Some(disk), [image]) if image.spec_hash == *disk => Ok(()),
            (None, _) if !of_disk => Ok(()),
            _ => Err(inconsistent("its disk is not that of its only image")),
        }
    }
}

/// The length of `len` bytes in skippable frames; none if that is beyond 64 bits.
fn wrapped_len(len: u64) -> Option<u64> {
    len.checked_add(len.div_ceil(PIECE_LEN).checked_mul(skippable::HEAD_LEN as u64)?)
}

fn decode_blob(bytes: &mut &[u8]) -> Result<BlobEntry, FormatError> {
    let what = "bundle";
    let digest = Digest::from_bytes(take(bytes, what)?);
    let (stored_len, raw_len) = (u64::from_le_bytes(take(bytes, what)?), u64::from_le_bytes(take(bytes, what)?));
    if stored_len == 0 { Err(inconsistent("a blob has no file")) } else { Ok(BlobEntry { digest, stored_len, raw_len }) }
}

fn decode_frame(bytes: &mut &[u8]) -> Result<Frame, FormatError> {
    let what = "bundle";
    let digest = Digest::from_bytes(take(bytes, what)?);
    let kind = FrameKind::from_number(u32::from_le_bytes(take(bytes, what)?)).ok_or_else(|| inconsistent("the kind of a frame is unknown"))?;
    let (stored_len, raw_len) = (u32::from_le_bytes(take(bytes, what)?), u64::from_le_bytes(take(bytes, what)?));
    let most = if kind == FrameKind::Hole { manifest::IMAGE_LIMIT } else { pack::CHUNK_LIMIT.into() };
    if raw_len == 0 || stored_len == 0 {
        return Err(inconsistent("a frame is empty"));
    }
    if raw_len > most || stored_len > pack::FRAME_LIMIT {
        return Err(FormatError::Limit { what: "length of a frame in a bundle", found: raw_len.max(stored_len.into()), limit: most });
    }
    Ok(Frame { kind, digest, stored_len, raw_len })
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), FormatError> {
    if found <= limit { Ok(()) } else { Err(FormatError::Limit { what, found: found as u64, limit: limit as u64 }) }
}

fn inconsistent(reason: &'static str) -> FormatError {
    FormatError::Inconsistent { what: "bundle", reason }
}

#[cfg(test)]
mod tests;
