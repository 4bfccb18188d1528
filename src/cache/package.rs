//! The package cache: each package file once, under what it is called.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{Coordinates, Error, Result, move_references, publish_named};
use crate::digest::{Digest, Sha256, Sha256Reader};
use crate::format::blob::{Header, PackageName};
use crate::format::row::{BlobRow, PackageRow};
use crate::format::totals::UsageRow;
use crate::store::{self, Counted, LEVEL_COMPRESSED, Object, Store, Used, failpoint};

/// Packages by name, version, architecture and repository.
#[derive(Debug)]
pub struct PackageCache<'a> {
    store: &'a Store,
}

/// A package file in the cache, or what was made of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedPackage {
    /// The digest of its bytes: what [`crate::store::open_file`] wants to know.
    pub digest: Digest,
    /// Its length in bytes.
    pub raw_len: u64,
    /// What it takes in the store, in bytes.
    pub stored_len: u64,
    /// The blob, compressed; read it with [`crate::store::open_file`].
    pub path: PathBuf,
}

/// A row of the package cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageEntry {
    /// What it is called.
    pub coordinates: Coordinates,
    /// The digest that its repository promised, and that it has.
    pub sha256: Sha256,
    /// The digest of its blob. Entries may share one.
    pub digest: Digest,
    /// The length of the package file in bytes.
    pub raw_len: u64,
    /// What the blob takes in the store, in bytes.
    pub stored_len: u64,
    /// When it came in, seconds since the epoch.
    pub added_at: u64,
    /// When a build last used it, seconds since the epoch.
    pub last_used: u64,
    /// How many builds used it.
    pub uses: u32,
    /// Whether it is never evicted.
    pub pinned: bool,
}

impl CachedPackage {
    /// A blob of this store.
    pub(super) fn new(store: &Store, digest: &Digest, raw_len: u64, stored_len: u64) -> Self {
        Self { digest: *digest, raw_len, stored_len, path: store.blob_path(digest) }
    }
}

impl<'a> PackageCache<'a> {
    /// The packages of this store.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// The package with these coordinates and this promised digest. The same coordinates with another digest are a miss, as is a file that is gone.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn lookup(&self, coordinates: &Coordinates, sha256: &Sha256) -> Result<Option<CachedPackage>> {
        Ok(self.lookup_all(&[(coordinates, sha256)])?.pop().flatten())
    }

    /// Looks up many packages, in their order, as they are at one moment; as [`PackageCache::lookup`] does, which opens the tables each time.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn lookup_all(&self, wanted: &[(&Coordinates, &Sha256)]) -> Result<Vec<Option<CachedPackage>>> {
        let txn = self.store.read()?;
        let keys: Vec<Vec<u8>> = wanted.iter().map(|(coordinates, _)| key(coordinates)).collect();
        let rows = txn.get_all::<PackageRow>(keys.iter().map(Vec::as_slice))?;
        let promised = |(row, (_, sha256)): (Option<PackageRow>, &(&Coordinates, &Sha256))| Some(row.filter(|row| row.sha256 == **sha256)?.blob);
        let digests: Vec<Option<Digest>> = rows.into_iter().zip(wanted).map(promised).collect();
        let mut rows = txn.get_all::<BlobRow>(digests.iter().flatten().map(|digest| digest.as_bytes().as_slice()))?.into_iter();
        let package = |digest: Option<Digest>| {
            let Some(digest) = digest else { return Ok(None) };
            let row = rows.next().flatten();
            Ok(self.store.intact_row(&digest, row)?.map(|blob| self.package(&digest, blob.raw_len, blob.stored_len)))
        };
        digests.into_iter().map(package).collect()
    }

    /// Stores a package as it streams in, if it has the promised digest. The same bytes under two coordinates are stored once.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for other bytes than promised, and [`store::Error::Source`] when `source` fails; neither leaves anything behind.
    pub fn insert(&self, coordinates: &Coordinates, sha256: &Sha256, source: &mut dyn Read) -> Result<CachedPackage> {
        let mut source = Sha256Reader::new(source);
        let staged = self.store.stage(Header::package(name(coordinates, sha256)), LEVEL_COMPRESSED, &mut source)?;
        let found = source.digest();
        if found != *sha256 {
            return Err(Error::Mismatch { coordinates: Box::new(coordinates.clone()), expected: *sha256, found });
        }
        let key = key(coordinates);
        let txn = self.store.write()?;
        let before = txn.get::<PackageRow>(&key)?;
        if before.is_none_or(|before| before.blob != staged.digest) {
            let alias = publish_named(&txn, self.store, &staged)?;
            move_references(&txn, &[before.map(|row| row.blob), before.and_then(|row| row.alias)], &[Some(staged.digest), alias])?;
            let now = store::now();
            let row = PackageRow { blob: staged.digest, sha256: found, alias, pinned: false, added_at: now, last_used: now, uses: 0 };
            txn.put(&key, &PackageRow { pinned: before.is_some_and(|before| before.pinned), ..row })?;
            failpoint!("cache::package::row_written");
        } else {
            // Another process was faster, or the file had been lost.
            txn.publish(self.store, &staged, 0)?;
        }
        // Whoever stores a package is about to use it.
        self.store.hold_in(&txn, &[Object::Blob(staged.digest)])?;
        // Where the blob was there already, its file may be compressed to another length.
        let stored_len = txn.get::<BlobRow>(staged.digest.as_bytes())?.map_or(staged.stored_len, |blob| blob.stored_len);
        txn.commit()?;
        Ok(self.package(&staged.digest, staged.raw_len, stored_len))
    }

    /// Looks up many packages, in their order, and keeps those that are there from being collected until [`Store::flush`].
    ///
    /// # Errors
    /// An index that cannot be read or written.
    pub fn take(&self, wanted: &[(&Coordinates, &Sha256)]) -> Result<Vec<Option<CachedPackage>>> {
        let mut found = self.lookup_all(wanted)?;
        let held: Vec<Object> = found.iter().flatten().map(|package| Object::Blob(package.digest)).collect();
        if !held.is_empty() {
            match self.store.hold(&held) {
                Ok(()) => {}
                // A store without room can be read all the same. A collection that comes in between makes the build fetch again.
                Err(error) if error.is_full() => return Ok(found),
                Err(error) => return Err(error.into()),
            }
            // What is still there now stays. What has come since is not held.
            for (package, now) in found.iter_mut().zip(self.lookup_all(wanted)?) {
                *package = package.take().and(now);
            }
        }
        Ok(found)
    }

    /// Notes that packages are used now; [`Store::flush`] writes it down.
    pub fn mark_used<'c>(&self, packages: impl IntoIterator<Item = &'c Coordinates>) {
        for coordinates in packages {
            self.store.note_use(Used::Package(key(coordinates)));
        }
    }

    /// Notes how many packages a build found here, and how many bytes it did not fetch, and how many it did not find; [`Store::flush`] writes it down.
    pub fn count(&self, hits: u64, misses: u64, saved_bytes: u64) {
        self.store.note_usage(Counted::Packages, &UsageRow { hits, misses, saved_bytes, ..UsageRow::default() });
    }

    /// All packages, sorted by name, version, architecture and repository as bytes.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn list(&self) -> Result<Vec<PackageEntry>> {
        let txn = self.store.read()?;
        let mut rows = Vec::new();
        txn.scan::<PackageRow>(&[], |key, row| {
            rows.push((key.to_owned(), row));
            Ok(ControlFlow::Continue(()))
        })?;
        let blobs = txn.get_all::<BlobRow>(rows.iter().map(|(_, row)| row.blob.as_bytes().as_slice()))?;
        let entry = |((key, row), blob): ((Vec<u8>, PackageRow), Option<BlobRow>)| {
            let blob = blob.filter(|blob| !blob.lost)?;
            Some(PackageEntry {
                coordinates: parse_key(&key)?,
                sha256: row.sha256,
                digest: row.blob,
                raw_len: blob.raw_len,
                stored_len: blob.stored_len,
                added_at: row.added_at,
                last_used: row.last_used,
                uses: row.uses,
                pinned: row.pinned,
            })
        };
        Ok(rows.into_iter().zip(blobs).filter_map(entry).collect())
    }

    fn package(&self, digest: &Digest, raw_len: u64, stored_len: u64) -> CachedPackage {
        CachedPackage::new(self.store, digest, raw_len, stored_len)
    }
}

/// The key of a row: the parts are never empty and have no NUL.
pub(super) fn key(coordinates: &Coordinates) -> Vec<u8> {
    [coordinates.name(), coordinates.version(), coordinates.arch(), coordinates.repository()].join("\0").into_bytes()
}

pub(super) fn parse_key(key: &[u8]) -> Option<Coordinates> {
    let mut parts = std::str::from_utf8(key).ok()?.split('\0');
    let coordinates = Coordinates::new(parts.next()?, parts.next()?, parts.next()?, parts.next()?).ok()?;
    parts.next().is_none().then_some(coordinates)
}

pub(super) fn name(coordinates: &Coordinates, sha256: &Sha256) -> PackageName {
    PackageName {
        name: coordinates.name().to_owned(),
        version: coordinates.version().to_owned(),
        arch: coordinates.arch().to_owned(),
        repository: coordinates.repository().to_owned(),
        sha256: *sha256,
    }
}
