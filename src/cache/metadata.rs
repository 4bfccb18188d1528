//! The metadata cache: verified files of repositories, so that an offline build resolves as the online one did.

use super::{Error, MetadataAttributes, Result, move_references, publish_named};
use crate::digest::Digest;
use crate::format::blob::{Header, MadeFrom, MetadataName};
use crate::format::row::{BlobRow, MetadataRow};
use crate::store::{self, BlobReader, StagedBlob, Store, Used, WriteTxn, failpoint};

/// The longest archive identity or path, in bytes.
const NAME_LIMIT: usize = 4096;

/// Files of repositories by archive and path.
#[derive(Debug)]
pub struct MetadataCache<'a> {
    store: &'a Store,
}

/// A file of a repository in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataEntry {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub raw_len: u64,
    /// When a server last said that this is the current file, seconds since the epoch.
    pub fetched_at: u64,
    /// The server's `ETag`, verbatim.
    pub etag: Option<String>,
    /// The server's `Last-Modified`, verbatim.
    pub last_modified: Option<String>,
    /// Fingerprints of the keys whose signatures were verified; empty for files that are proven by a digest in another one.
    pub verified_by: Vec<String>,
    /// Of what was made here of another file: which.
    pub made_from: Option<MadeFrom>,
}

/// A file of a repository to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewMetadata<'b> {
    /// The identity of the archive.
    pub archive: &'b str,
    /// The path within the archive, such as `dists/bookworm/InRelease`.
    pub path: &'b str,
    /// The content.
    pub bytes: &'b [u8],
    /// What the server and the signature said.
    pub attributes: &'b MetadataAttributes,
}

impl<'a> MetadataCache<'a> {
    /// Whether files can be stored.
    pub fn is_writable(&self) -> bool {
        self.store.is_writable()
    }

    /// The metadata of this store.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// The file of this archive at this path.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn lookup(&self, archive: &str, path: &str) -> Result<Option<MetadataEntry>> {
        let txn = self.store.read()?;
        let Some(row) = txn.get::<MetadataRow>(&key(archive, path)?)? else { return Ok(None) };
        let Some(blob) = self.store.intact_blob(&txn, &row.blob)? else { return Ok(None) };
        Ok(Some(MetadataEntry::of(row, &blob)))
    }

    /// Reads a file into memory.
    ///
    /// # Errors
    /// [`store::Error::Damaged`] when it is missing or wrong.
    pub fn read(&self, entry: &MetadataEntry) -> Result<Vec<u8>> {
        Ok(self.store.read_blob(&entry.digest, entry.raw_len)?)
    }

    /// Opens a file for reading, for large ones; see [`BlobReader`].
    ///
    /// # Errors
    /// [`store::Error::Damaged`] when it is missing or does not begin as it should.
    pub fn open(&self, entry: &MetadataEntry) -> Result<BlobReader> {
        Ok(self.store.open_blob(&entry.digest)?)
    }

    /// Stores one file, in place of the one that was there.
    ///
    /// # Errors
    /// As for [`MetadataCache::insert_all`].
    pub fn insert(&self, archive: &str, path: &str, bytes: &[u8], attributes: &MetadataAttributes) -> Result<()> {
        self.insert_all(&[NewMetadata { archive, path, bytes, attributes }])
    }

    /// Stores files in place of those that were there, all at once: whoever looks sees all of the old ones or all of the new ones. So a signed list and
    /// the files that it names stay together.
    ///
    /// # Errors
    /// A name that is empty, too long or has a NUL in it; a store that cannot be written to.
    pub fn insert_all(&self, files: &[NewMetadata<'_>]) -> Result<()> {
        let now = store::now();
        let mut staged = Vec::with_capacity(files.len());
        for file in files {
            let name =
                MetadataName { archive: file.archive.to_owned(), path: file.path.to_owned(), fetched_at: now, attributes: file.attributes.clone() };
            staged.push((key(file.archive, file.path)?, self.store.stage_bytes(Header::metadata(name), file.bytes)?));
        }
        let txn = self.store.write()?;
        for (file, (key, staged)) in files.iter().zip(&staged) {
            put(&txn, self.store, (key, staged), file.attributes, now)?;
            failpoint!("cache::metadata::row_written");
        }
        Ok(txn.commit()?)
    }

    /// Notes that a file is used now; [`Store::flush`] writes it down.
    pub fn mark_used(&self, archive: &str, path: &str) {
        // A name that no file can have is not there.
        if let Ok(key) = key(archive, path) {
            self.store.note_use(Used::Metadata(key));
        }
    }

    /// Notes that a server just said that the stored files are still the current ones, and that a build used them. Names that are not there are passed
    /// over.
    ///
    /// # Errors
    /// An index that cannot be written.
    pub fn mark_current(&self, files: &[(&str, &str)]) -> Result<()> {
        let now = store::now();
        let txn = self.store.write()?;
        for (archive, path) in files {
            let key = key(archive, path)?;
            if let Some(row) = txn.get::<MetadataRow>(&key)? {
                txn.put(&key, &MetadataRow { fetched_at: now, last_used: now, ..row })?;
            }
        }
        Ok(txn.commit()?)
    }

    /// All files: archive, path and entry, sorted by archive and path. Lost ones are left out.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn list(&self) -> Result<Vec<(String, String, MetadataEntry)>> {
        let txn = self.store.read()?;
        let mut rows = Vec::new();
        txn.scan::<MetadataRow>(&[], |key, row| {
            rows.push((String::from_utf8_lossy(key).into_owned(), row));
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        let blobs = txn.get_all::<BlobRow>(rows.iter().map(|(_, row)| row.blob.as_bytes().as_slice()))?;
        let entry = |((key, row), blob): ((String, MetadataRow), Option<BlobRow>)| {
            let blob = blob.filter(|blob| !blob.lost)?;
            let (archive, path) = key.split_once('\0')?;
            Some((archive.to_owned(), path.to_owned(), MetadataEntry::of(row, &blob)))
        };
        Ok(rows.into_iter().zip(blobs).filter_map(entry).collect())
    }
}

impl MetadataEntry {
    fn of(row: MetadataRow, blob: &BlobRow) -> Self {
        let made_from = row.attributes.made_from();
        let MetadataAttributes { etag, last_modified, verified_by } = row.attributes;
        Self { digest: row.blob, raw_len: blob.raw_len, fetched_at: row.fetched_at, etag, last_modified, verified_by, made_from }
    }
}

/// Files a staged blob under a key, in place of the one that was there.
pub(super) fn put(txn: &WriteTxn<'_>, store: &Store, (key, staged): (&[u8], &StagedBlob), attributes: &MetadataAttributes, now: u64) -> Result<()> {
    let before = txn.get::<MetadataRow>(key)?;
    let same = before.as_ref().filter(|before| before.blob == staged.digest);
    let alias = if let Some(before) = same {
        txn.publish(store, staged, 0)?;
        before.alias
    } else {
        let alias = publish_named(txn, store, staged)?;
        let (blob_before, alias_before) = before.as_ref().map_or((None, None), |row| (Some(row.blob), row.alias));
        move_references(txn, &[blob_before, alias_before], &[Some(staged.digest), alias])?;
        alias
    };
    let attributes = attributes.clone();
    txn.put(key, &MetadataRow { blob: staged.digest, alias, fetched_at: now, last_used: now, attributes })?;
    Ok(())
}

pub(super) fn key(archive: &str, path: &str) -> Result<Vec<u8>> {
    for part in [archive, path] {
        if part.is_empty() || part.len() > NAME_LIMIT || part.contains('\0') {
            return Err(Error::Name(part.chars().take(80).collect()));
        }
    }
    Ok([archive, path].join("\0").into_bytes())
}
