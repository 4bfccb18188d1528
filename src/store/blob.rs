//! Whole blobs on their way in: staged under `tmp/`, compressed and digested in one pass, then published inside the write transaction.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::error::{Error, Object, Result};
use super::index::WriteTxn;
use super::{Store, failpoint};
use super::{layout, open_file};
use crate::digest::Digest;
use crate::format::blob::{self, BlobKind, FRAME_RAW_LEN, Header};
use crate::format::row::{BlobRow, TrashRow};
use crate::units::ByteSize;
use crate::writing;

/// The zstd level of packages and other files that are compressed already: they gain next to nothing from more.
pub(crate) const LEVEL_COMPRESSED: i32 = 1;

/// The zstd level of documents and metadata.
pub(crate) const LEVEL_PLAIN: i32 = 3;

/// A blob that is complete and durable, but not yet in the store. Its file is removed when this is dropped unpublished.
#[derive(Debug)]
#[must_use = "a staged blob is removed when it is not published"]
pub(crate) struct StagedBlob {
    pub(crate) digest: Digest,
    pub(crate) header: Header,
    pub(crate) raw_len: u64,
    pub(crate) stored_len: u64,
    pub(super) path: PathBuf,
}

impl Drop for StagedBlob {
    fn drop(&mut self) {
        // Published or already gone is fine; what stays goes with the lease.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Compresses and digests `source` into a file under `tmp/`, and makes the file durable.
    pub(crate) fn stage(&self, header: Header, level: i32, source: &mut dyn Read) -> Result<StagedBlob> {
        self.stage_within(u64::MAX, header, level, source)
    }

    /// [`Store::stage`] of what may take so many bytes in the store. What takes more is [`Error::Source`].
    pub(crate) fn stage_within(&self, limit: u64, header: Header, level: i32, source: &mut dyn Read) -> Result<StagedBlob> {
        let path = self.lease()?.fresh("b");
        let mut staged = StagedBlob { digest: Digest::of(b""), header, raw_len: 0, stored_len: 0, path };
        let Err(error) = fill(&mut staged, limit, level, source) else { return Ok(staged) };
        if !error.is_full() {
            return Err(error);
        }
        // What is staged is compressed already, or small: its raw length is near enough. A source that cannot be read to its end needs no less.
        let needed = staged.raw_len + io::copy(source, &mut io::sink()).unwrap_or(0);
        drop(staged);
        Err(self.lacking(error, needed))
    }

    /// [`Store::stage`] for bytes in memory.
    pub(crate) fn stage_bytes(&self, header: Header, bytes: &[u8]) -> Result<StagedBlob> {
        self.stage(header, LEVEL_PLAIN, &mut &*bytes)
    }
}

/// Writes the file of a staged blob, and completes what is known of it.
fn fill(staged: &mut StagedBlob, limit: u64, level: i32, source: &mut dyn Read) -> Result<()> {
    let path = staged.path.clone();
    let write_error = || Error::io("write", &path);
    failpoint!("store::blob::create");
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(Error::io("create", &path))?;
    failpoint!("store::blob::write");
    let head = blob::encode_head(&staged.header)?;
    file.write_all(&head).map_err(write_error())?;
    staged.stored_len = head.len() as u64;

    let mut compressor = zstd::bulk::Compressor::new(level).map_err(write_error())?;
    // zstd checks it while it decodes: a reader learns of a flipped bit in the frame where it is, not at the end of the file.
    compressor.include_checksum(true).map_err(write_error())?;
    let mut hasher = blake3::Hasher::new();
    let mut raw = Vec::new();
    let mut frame = Vec::new();
    loop {
        raw.clear();
        source.take(FRAME_RAW_LEN as u64).read_to_end(&mut raw).map_err(Error::Source)?;
        // An empty blob has one empty frame, so that every blob is a valid .zst file of its content.
        if raw.is_empty() && staged.raw_len > 0 {
            break;
        }
        staged.raw_len += raw.len() as u64;
        hasher.update(&raw);
        frame.clear();
        frame.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        compressor.compress_to_buffer(&raw, &mut frame).map_err(write_error())?;
        failpoint!("store::blob::write");
        writing::write_all(&mut file, &frame).map_err(write_error())?;
        staged.stored_len += frame.len() as u64;
        if staged.stored_len > limit {
            return Err(Error::Source(io::Error::other(format!("it takes more than {} compressed", ByteSize(limit)))));
        }
        if raw.len() < FRAME_RAW_LEN {
            break;
        }
    }
    failpoint!("store::blob::sync");
    file.sync_data().map_err(Error::io("sync", &path))?;
    failpoint!("store::blob::synced");
    staged.digest = hasher.finalize().into();
    Ok(())
}

/// What publishing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// The blob is new.
    New,
    /// The blob was there already; the staged file was not needed.
    Known,
    /// The blob had been lost, and every name that points to it works again.
    Mended,
    /// The blob was there, but for its file, which nobody had noticed: it is right now.
    Replaced,
    /// The blob was there, and nobody knew that it is a manifest: its file says so now.
    Recognized,
}

impl Published {
    /// Whether what the blob says counts from now on, and did not before: of a manifest, the chunks that it names.
    pub(crate) fn counts_anew(self) -> bool {
        matches!(self, Self::New | Self::Mended | Self::Recognized)
    }
}

impl WriteTxn<'_> {
    /// Gives a staged blob its place and `references` more references.
    pub(crate) fn publish(&self, store: &Store, staged: &StagedBlob, references: u32) -> Result<Published> {
        let mut blobs = self.table::<BlobRow>()?;
        let known = blobs.get(staged.digest.as_bytes())?;
        let path = store.layout.blob(&staged.digest);
        let whole = |row: BlobRow| !row.lost && fs::metadata(&path).is_ok_and(|file| file.len() == row.stored_len);
        let is_manifest = |kind| kind == BlobKind::Manifest;
        let recognized = known.is_some_and(|row| is_manifest(staged.header.kind) && !is_manifest(row.kind));
        let intact = !recognized && known.is_some_and(whole) && open_file(&path, &staged.digest).is_ok();
        let mut row = match known {
            Some(row) if intact => row,
            _ => {
                layout::publish(&staged.path, &path)?;
                self.table::<TrashRow>()?.remove(&Object::Blob(staged.digest).key())?;
                let references = known.map_or(0, |row| row.references);
                BlobRow { kind: staged.header.kind, lost: false, references, raw_len: staged.raw_len, stored_len: staged.stored_len }
            }
        };
        row.references = row.references.saturating_add(references);
        blobs.put(staged.digest.as_bytes(), &row)?;
        failpoint!("store::blob::row_written");
        Ok(match known {
            None => Published::New,
            Some(_) if intact => Published::Known,
            Some(row) if row.lost => Published::Mended,
            Some(_) if recognized => Published::Recognized,
            Some(_) => Published::Replaced,
        })
    }
}

/// Opens a file for reading; a missing one is `None`.
pub(crate) fn open_if_there(path: &std::path::Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
