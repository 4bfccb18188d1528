//! Pins: what no limit and no age removes.

use std::ops::ControlFlow;

use super::package::{key, parse_key};
use super::{Coordinates, Error, ImageName, Result};
use crate::format::row::{ImageRow, PackageRow};
use crate::store::Store;

/// Something that can be pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinnable {
    /// A kept image, or one that is damaged.
    Image(ImageName),
    /// A package in the cache.
    Package(Coordinates),
}

/// Pins entries, or takes their pins away, all or none. Says of each whether that changed it.
///
/// # Errors
/// [`Error::NoImage`] and [`Error::NoPackage`] for one that went in the meantime; an index that cannot be written.
pub fn set_pinned(store: &Store, entries: &[Pinnable], pinned: bool) -> Result<Vec<bool>> {
    let txn = store.write()?;
    let mut changed = Vec::with_capacity(entries.len());
    for entry in entries {
        changed.push(match entry {
            Pinnable::Image(image) => {
                let key = image.spec_hash.digest().as_bytes();
                let row = txn.get::<ImageRow>(key)?.ok_or(Error::NoImage(image.spec_hash))?;
                if row.pinned != pinned {
                    txn.put(key, &ImageRow { pinned, ..row })?;
                }
                row.pinned != pinned
            }
            Pinnable::Package(coordinates) => {
                let key = key(coordinates);
                let row = txn.get::<PackageRow>(&key)?.ok_or_else(|| Error::NoPackage(Box::new(coordinates.clone())))?;
                if row.pinned != pinned {
                    txn.put(&key, &PackageRow { pinned, ..row })?;
                }
                row.pinned != pinned
            }
        });
    }
    if changed.contains(&true) {
        txn.commit()?;
    }
    Ok(changed)
}

/// The packages that are called so: by `name`, `name=version`, `name:arch` or `name=version:arch`, from whichever repository, sorted.
///
/// # Errors
/// An index that cannot be read.
pub fn packages_called(store: &Store, word: &str) -> Result<Vec<Coordinates>> {
    let mut found = Vec::new();
    // Neither sign can be in a name, while a version may have a colon: so the words of what is there are compared, and this one is not taken apart.
    let Some(name) = word.split(['=', ':']).next().filter(|name| !name.is_empty()) else { return Ok(found) };
    let from = [name.as_bytes(), b"\0"].concat();
    store.read()?.scan::<PackageRow>(&from, |key, _| {
        if !key.starts_with(&from) {
            return Ok(ControlFlow::Break(()));
        }
        found.extend(parse_key(key).filter(|package| is_called(package, word)));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

fn is_called(package: &Coordinates, word: &str) -> bool {
    let (name, version, arch) = (package.name(), package.version(), package.arch());
    word == name || word == format!("{name}={version}") || word == format!("{name}:{arch}") || word == format!("{name}={version}:{arch}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::insert;
    use crate::cache::{ImageCache, PackageCache, SpecHash};
    use crate::digest::{Digest, Sha256};

    fn keep(store: &Store, name: &str, version: &str, arch: &str) -> Coordinates {
        let coordinates = Coordinates::new(name, version, arch, "debian").unwrap();
        let bytes = coordinates.to_string().into_bytes();
        PackageCache::new(store).insert(&coordinates, &Sha256::of(&bytes), &mut bytes.as_slice()).unwrap();
        coordinates
    }

    fn pinned(store: &Store) -> Vec<String> {
        let packages = PackageCache::new(store).list().unwrap();
        packages.into_iter().filter(|package| package.pinned).map(|package| package.coordinates.to_string()).collect()
    }

    #[test]
    fn a_package_is_called_by_its_name_and_more() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for (name, version, arch) in
            [("foo", "1:2", "amd64"), ("foo", "2", "amd64"), ("foo", "2", "all"), ("foo-doc", "2", "all"), ("fo", "2", "all")]
        {
            keep(&store, name, version, arch);
        }
        let called = |word: &str| {
            let found = packages_called(&store, word).unwrap();
            found.iter().map(|package| format!("{}={}:{}", package.name(), package.version(), package.arch())).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(called("foo"), "foo=1:2:amd64 foo=2:all foo=2:amd64");
        assert_eq!(called("foo=2"), "foo=2:all foo=2:amd64");
        assert_eq!(called("foo=1:2"), "foo=1:2:amd64");
        assert_eq!(called("foo:all"), "foo=2:all");
        assert_eq!(called("foo=2:amd64"), "foo=2:amd64");
        for word in ["", "=", ":all", "f", "bar", "foo=", "foo=1", "foo:", "foo=2:", "foo=3"] {
            assert_eq!(called(word), "", "{word}");
        }
    }

    #[test]
    fn pins_come_and_go_and_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let [one, two] = ["1", "2"].map(|version| Pinnable::Package(keep(&store, "foo", version, "amd64")));
        assert_eq!(set_pinned(&store, std::slice::from_ref(&one), true).unwrap(), [true]);
        assert_eq!(set_pinned(&store, &[one.clone(), two.clone()], true).unwrap(), [false, true]);
        assert_eq!(pinned(&store), ["foo=1:amd64 (debian)", "foo=2:amd64 (debian)"]);
        assert_eq!(set_pinned(&store, std::slice::from_ref(&one), false).unwrap(), [true]);
        assert_eq!(set_pinned(&store, &[one], false).unwrap(), [false]);
        assert_eq!(pinned(&store), ["foo=2:amd64 (debian)"]);
    }

    #[test]
    fn all_or_none_are_pinned() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let here = Pinnable::Package(keep(&store, "foo", "1", "amd64"));
        let gone = Pinnable::Package(Coordinates::new("gone", "1", "all", "debian").unwrap());
        assert!(matches!(set_pinned(&store, &[here, gone], true), Err(Error::NoPackage(_))));
        assert!(pinned(&store).is_empty());
    }

    #[test]
    fn a_pinned_image_is_listed_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let cache = ImageCache::new(&store);
        let spec = SpecHash::from(Digest::of(b"spec"));
        let raw = dir.path().join("raw");
        std::fs::write(&raw, vec![7; 1 << 20]).unwrap();
        let image = insert(&cache, &spec, b"lock", &raw);
        let name = ImageName { spec_hash: image.spec_hash, name: image.name, version: image.version };
        assert_eq!(set_pinned(&store, &[Pinnable::Image(name.clone())], true).unwrap(), [true]);
        assert!(cache.list().unwrap()[0].pinned);
        assert_eq!(set_pinned(&store, &[Pinnable::Image(name)], false).unwrap(), [true]);
        assert!(!cache.list().unwrap()[0].pinned);
    }
}
