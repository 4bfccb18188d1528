//! Plain packages: what was made of packages that take long to decompress, so that nobody does it a third time.
//!
//! They stand among the files of repositories, as what was made here of another file: they count for the size of the package cache, go before all else there,
//! and travel in no bundle.

use std::io::Read;

use super::{CachedPackage, Coordinates, MadeFrom, MetadataAttributes, Result, metadata, package};
use crate::format::blob::{Header, MetadataName};
use crate::format::row::{BlobRow, MetadataRow, PackageRow};
use crate::store::{self, Object, StagedBlob, Store, Used};

/// The zstd level: that of documents takes twice as long, and saves an eighth.
const LEVEL: i32 = 1;

/// What the paths of all plain packages end with: which they are, and the version of their format. (In paths of a repository there are no spaces.)
const ENDING: &str = ".deb decompressed 1";

/// Plain packages by the coordinates of the package.
#[derive(Debug)]
pub struct PlainPackages<'a> {
    store: &'a Store,
}

/// A plain package that is not in the cache yet.
#[must_use = "a staged package is removed when it is not kept"]
pub(crate) struct StagedPlain {
    key: Vec<u8>,
    blob: StagedBlob,
    attributes: MetadataAttributes,
}

impl<'a> PlainPackages<'a> {
    /// Those of this store.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Which of these packages, in their order, a command before this one has used: a build, or one that only fetches.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn used_before<'p>(&self, packages: impl Iterator<Item = &'p Coordinates>) -> Result<Vec<bool>> {
        let keys: Vec<Vec<u8>> = packages.map(package::key).collect();
        let rows = self.store.read()?.get_all::<PackageRow>(keys.iter().map(Vec::as_slice))?;
        Ok(rows.into_iter().map(|row| row.is_some_and(|row| row.uses > 0)).collect())
    }

    /// Those that were made of these packages, in their order, kept from being collected until [`Store::flush`].
    ///
    /// # Errors
    /// An index that cannot be read or written.
    pub fn take(&self, wanted: &[(&Coordinates, MadeFrom)]) -> Result<Vec<Option<CachedPackage>>> {
        let mut found = self.lookup_all(wanted)?;
        let held: Vec<Object> = found.iter().flatten().map(|plain| Object::Blob(plain.digest)).collect();
        if held.is_empty() {
            return Ok(found);
        }
        match self.store.hold(&held) {
            Ok(()) => {}
            // A store without room can be read all the same. What a collection takes in between is read as the package itself.
            Err(error) if error.is_full() => return Ok(found),
            Err(error) => return Err(error.into()),
        }
        // What is still there now stays.
        for (plain, now) in found.iter_mut().zip(self.lookup_all(wanted)?) {
            *plain = plain.take().and(now);
        }
        for ((coordinates, _), _) in wanted.iter().zip(&found).filter(|(_, plain)| plain.is_some()) {
            self.store.note_use(Used::Metadata(key(coordinates)?));
        }
        Ok(found)
    }

    fn lookup_all(&self, wanted: &[(&Coordinates, MadeFrom)]) -> Result<Vec<Option<CachedPackage>>> {
        let txn = self.store.read()?;
        let keys: Vec<Vec<u8>> = wanted.iter().map(|(coordinates, _)| key(coordinates)).collect::<Result<_>>()?;
        let rows = txn.get_all::<MetadataRow>(keys.iter().map(Vec::as_slice))?;
        let made = |(row, (_, from)): (Option<MetadataRow>, &(&Coordinates, MadeFrom))| {
            Some(row.filter(|row| row.attributes.made_from().as_ref() == Some(from))?.blob)
        };
        let digests: Vec<_> = rows.into_iter().zip(wanted).map(made).collect();
        let mut rows = txn.get_all::<BlobRow>(digests.iter().flatten().map(|digest| digest.as_bytes().as_slice()))?.into_iter();
        let plain = |digest: Option<_>| {
            let Some(digest) = digest else { return Ok(None) };
            let blob = self.store.intact_row(&digest, rows.next().flatten())?;
            Ok(blob.map(|blob| CachedPackage::new(self.store, &digest, blob.raw_len, blob.stored_len)))
        };
        digests.into_iter().map(plain).collect()
    }

    /// Reads one to be [kept](PlainPackages::keep), if it takes no more than `limit` bytes in the store.
    ///
    /// # Errors
    /// [`store::Error::Source`] when `source` fails, or takes more; a store that cannot be written to.
    pub(crate) fn stage(&self, coordinates: &Coordinates, from: MadeFrom, limit: u64, source: &mut dyn Read) -> Result<StagedPlain> {
        let attributes = MetadataAttributes::of_made(from);
        let (archive, path) = name(coordinates);
        let key = metadata::key(archive, &path)?;
        let name = MetadataName { archive: archive.to_owned(), path, fetched_at: store::now(), attributes: attributes.clone() };
        Ok(StagedPlain { key, blob: self.store.stage_within(limit, Header::metadata(name), LEVEL, source)?, attributes })
    }

    /// Keeps one, from being collected too until [`Store::flush`].
    ///
    /// # Errors
    /// A store that cannot be written to.
    pub(crate) fn keep(&self, plain: &StagedPlain) -> Result<CachedPackage> {
        let StagedPlain { key, blob, attributes } = plain;
        let txn = self.store.write()?;
        metadata::put(&txn, self.store, (key, blob), attributes, store::now())?;
        self.store.hold_in(&txn, &[Object::Blob(blob.digest)])?;
        let stored_len = txn.get::<BlobRow>(blob.digest.as_bytes())?.map_or(blob.stored_len, |row| row.stored_len);
        txn.commit()?;
        Ok(CachedPackage::new(self.store, &blob.digest, blob.raw_len, stored_len))
    }
}

/// The package that the plain package at this path was made from, as `NAME_VERSION_ARCHITECTURE`.
pub(super) fn package_of(path: &str) -> Option<&str> {
    path.strip_suffix(ENDING)
}

/// The key of the plain package that was made of the package with these coordinates.
pub(super) fn key(coordinates: &Coordinates) -> Result<Vec<u8>> {
    let (archive, path) = name(coordinates);
    metadata::key(archive, &path)
}

/// The same of what [`package_of`] says.
pub(super) fn key_of(archive: &str, package: &str) -> Result<Vec<u8>> {
    metadata::key(archive, &format!("{package}{ENDING}"))
}

/// Whether this row of a file of a repository is that of a plain package.
pub(super) fn is_one(key: &[u8], row: &MetadataRow) -> bool {
    key.ends_with(ENDING.as_bytes()) && row.attributes.made_from().is_some()
}

fn name(coordinates: &Coordinates) -> (&str, String) {
    (coordinates.repository(), format!("{}_{}_{}{ENDING}", coordinates.name(), coordinates.version(), coordinates.arch()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{MetadataCache, PackageCache, disk_use, package_bytes};
    use crate::digest::{Digest, Sha256};
    use crate::progress::{Cancel, Silent};
    use crate::store::{Options, rebuild_index};

    fn demo() -> Coordinates {
        Coordinates::new("demo", "1:2.0-3", "amd64", "debian").unwrap()
    }

    fn made(of: &[u8]) -> MadeFrom {
        MadeFrom { sha256: Sha256::of(of), blob: Digest::of(of) }
    }

    fn keep(store: &Store, coordinates: &Coordinates, of: &[u8], mut bytes: &[u8]) -> CachedPackage {
        let plain = PlainPackages::new(store);
        let staged = plain.stage(coordinates, made(of), u64::MAX, &mut bytes).unwrap();
        plain.keep(&staged).unwrap()
    }

    fn taken(store: &Store, coordinates: &Coordinates, of: &[u8]) -> Option<CachedPackage> {
        PlainPackages::new(store).take(&[(coordinates, made(of))]).unwrap().pop().flatten()
    }

    #[test]
    fn a_plain_package_serves_the_package_that_it_was_made_from() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (demo, other) = (demo(), Coordinates::new("demo", "1:2.0-3", "amd64", "elsewhere").unwrap());
        assert_eq!(taken(&store, &demo, b"package"), None);
        let kept = keep(&store, &demo, b"package", &[7; 9000]);
        assert_eq!(taken(&store, &demo, b"package"), Some(kept.clone()));
        assert_eq!(store.read_blob(&kept.digest, 9000).unwrap(), [7; 9000]);
        assert_eq!((taken(&store, &demo, b"another"), taken(&store, &other, b"package")), (None, None));
        // The same of another repository is a name more, and no more bytes.
        let again = keep(&store, &other, b"package", &[7; 9000]);
        assert_eq!((again.digest, taken(&store, &demo, b"package").is_some()), (kept.digest, true));
        // Who takes one holds it.
        store.flush().unwrap();
        let is_held = || store.held_now(&store.read().unwrap()).unwrap().contains(&Object::Blob(kept.digest));
        assert!(!is_held() && taken(&store, &demo, b"package").is_some() && is_held());
        // Made again of another file, it is that.
        keep(&store, &demo, b"another", &[8; 9000]);
        assert_eq!((taken(&store, &demo, b"package"), taken(&store, &demo, b"another").is_some()), (None, true));
    }

    #[test]
    fn what_takes_too_much_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let noise = crate::store::tests::noise(9000, 1);
        let stage = |limit| PlainPackages::new(&store).stage(&demo(), made(b"package"), limit, &mut noise.as_slice());
        let error = stage(8000).err().unwrap();
        assert!(matches!(error, crate::cache::Error::Store(store::Error::Source(_))), "{error}");
        assert!(stage(10_000).is_ok());
    }

    #[test]
    fn a_package_counts_as_used_once_the_command_is_over_that_used_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (packages, demo) = (PackageCache::new(&store), demo());
        let is_used = || PlainPackages::new(&store).used_before([&demo].into_iter()).unwrap();
        assert_eq!(is_used(), [false]);
        packages.insert(&demo, &Sha256::of(b"package"), &mut b"package".as_slice()).unwrap();
        store.flush().unwrap();
        assert_eq!(is_used(), [false], "it was imported");
        packages.mark_used([&demo]);
        assert_eq!(is_used(), [false], "the build goes on");
        store.flush().unwrap();
        assert_eq!(is_used(), [true]);
    }

    #[test]
    fn what_a_repository_has_at_its_place_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let demo = demo();
        let (archive, path) = name(&demo);
        MetadataCache::new(&store).insert(archive, &path, b"hostile", &MetadataAttributes::default()).unwrap();
        assert_eq!(taken(&store, &demo, b"package"), None);
    }

    #[test]
    fn a_damaged_one_is_none_until_it_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let kept = keep(&store, &demo(), b"package", &[7; 9000]);
        std::fs::write(&kept.path, "damaged").unwrap();
        assert_eq!(taken(&store, &demo(), b"package"), None);
        keep(&store, &demo(), b"package", &[7; 9000]);
        assert!(taken(&store, &demo(), b"package").is_some());
    }

    #[test]
    fn it_is_found_again_from_the_files_and_counts_as_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let package = PackageCache::new(&store).insert(&demo(), &Sha256::of(b"package"), &mut b"package".as_slice()).unwrap();
        MetadataCache::new(&store).insert("debian", "InRelease", b"signed", &MetadataAttributes::default()).unwrap();
        let kept = keep(&store, &demo(), b"package", &[7; 9000]);
        drop(store);
        rebuild_index(dir.path(), Options::from_env().unwrap(), &Silent, &Cancel::default()).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(taken(&store, &demo(), b"package").is_some());
        let used = disk_use(&store).unwrap();
        assert_eq!((used.plain.count, used.plain.on_disk, used.plain.own), (1, kept.stored_len, kept.stored_len));
        assert_eq!((used.metadata.count, used.metadata.raw_len, used.packages.count), (1, 6, 1));
        assert_eq!(package_bytes(&store).unwrap(), package.stored_len + kept.stored_len + used.metadata.on_disk);
    }
}
