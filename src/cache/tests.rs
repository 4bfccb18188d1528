//! The caches as the build sees them.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::digest::Sha256;
use crate::format::row::{BlobRow, MetadataRow, PackageRow};
use crate::progress::{Cancel, Silent};
use crate::store::Output;
use crate::store::tests::noise;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

fn coordinates(name: &str, repository: &str) -> Coordinates {
    Coordinates::new(name, "1:2.3-4", "amd64", repository).unwrap()
}

fn read(package: &CachedPackage) -> Vec<u8> {
    let mut bytes = Vec::new();
    open_file(&package.path, &package.digest).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn references(store: &Store, digest: &Digest) -> u32 {
    store.read().unwrap().get::<BlobRow>(digest.as_bytes()).unwrap().map_or(0, |row| row.references)
}

fn files(store: &Store) -> usize {
    let dirs = fs::read_dir(store.dir().join("blobs")).unwrap();
    dirs.map(|dir| fs::read_dir(dir.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn a_package_is_found_under_its_name_and_promise_alone() {
    let (_dir, store) = store();
    let cache = PackageCache::new(&store);
    let bytes = noise(5 << 20, 1);
    let (name, sha256) = (coordinates("libc6", "debian"), Sha256::of(&bytes));
    assert_eq!(cache.lookup(&name, &sha256).unwrap(), None);
    let package = cache.insert(&name, &sha256, &mut bytes.as_slice()).unwrap();
    assert_eq!(cache.lookup(&name, &sha256).unwrap().as_ref(), Some(&package));
    assert_eq!((package.raw_len, fs::metadata(&package.path).unwrap().len()), (5 << 20, package.stored_len));
    assert!(read(&package) == bytes);
    assert_eq!(cache.lookup(&name, &Sha256::of(b"another")).unwrap(), None);
    assert_eq!(cache.lookup(&coordinates("libc6", "security"), &sha256).unwrap(), None);
}

#[test]
fn many_packages_are_looked_up_in_their_order() {
    let (_dir, store) = store();
    let cache = PackageCache::new(&store);
    let names = ["a", "b", "c"].map(|name| (coordinates(name, "debian"), Sha256::of(name.as_bytes())));
    let kept: Vec<CachedPackage> = names.iter().map(|(name, sha256)| cache.insert(name, sha256, &mut name.name().as_bytes()).unwrap()).collect();
    fs::remove_file(&kept[0].path).unwrap();
    let (unknown, other) = (coordinates("d", "debian"), Sha256::of(b"other"));
    let wanted = [(&names[2].0, &names[2].1), (&names[0].0, &names[0].1), (&unknown, &other), (&names[2].0, &other), (&names[1].0, &names[1].1)];
    assert_eq!(cache.lookup_all(&wanted).unwrap(), [Some(kept[2].clone()), None, None, None, Some(kept[1].clone())]);
    assert_eq!(cache.lookup_all(&[]).unwrap(), []);
}

#[test]
fn what_was_not_promised_or_stops_early_leaves_nothing() {
    struct Broken(u8);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 -= 1;
            if self.0 == 0 { Err(io::Error::other("the server stopped")) } else { Ok(buffer.len().min(100)) }
        }
    }
    let (_dir, store) = store();
    let cache = PackageCache::new(&store);
    let name = coordinates("libc6", "debian");
    let error = cache.insert(&name, &Sha256::of(b"promised"), &mut &b"delivered"[..]).unwrap_err();
    assert!(matches!(&error, Error::Mismatch { found, .. } if *found == Sha256::of(b"delivered")) && error.hint().is_some());
    let error = cache.insert(&name, &Sha256::of(b"promised"), &mut Broken(5)).unwrap_err();
    assert!(matches!(error, Error::Store(crate::store::Error::Source(_))));
    assert!(cache.list().unwrap().is_empty());
    assert_eq!(files(&store), 0);
}

#[test]
fn the_same_bytes_under_two_names_are_one_blob_and_both_names_are_in_files() {
    let (_dir, store) = store();
    let cache = PackageCache::new(&store);
    let (first, second, bytes) = (coordinates("a", "debian"), coordinates("a", "security"), noise(10_000, 2));
    let sha256 = Sha256::of(&bytes);
    let one = cache.insert(&first, &sha256, &mut bytes.as_slice()).unwrap();
    for _ in 0..2 {
        assert_eq!(cache.insert(&second, &sha256, &mut bytes.as_slice()).unwrap(), one);
        assert_eq!(cache.insert(&first, &sha256, &mut bytes.as_slice()).unwrap(), one);
        assert_eq!(references(&store, &one.digest), 2);
        assert_eq!(files(&store), 2, "the bytes, and the second name");
    }
    let row = store.read().unwrap().get::<PackageRow>(b"a\x001:2.3-4\0amd64\0security").unwrap().unwrap();
    let alias = row.alias.unwrap();
    assert_eq!(references(&store, &alias), 1);
    let alias = Alias::decode(&store.read_blob(&alias, 1 << 16).unwrap()).unwrap();
    assert_eq!((alias.digest, alias.header.package.unwrap().repository.as_str()), (one.digest, "security"));
    let names: Vec<_> = cache.list().unwrap().into_iter().map(|entry| entry.coordinates).collect();
    assert_eq!(names, [first, second]);
}

#[test]
fn a_name_with_new_bytes_lets_the_old_ones_go() {
    let (_dir, store) = store();
    let cache = PackageCache::new(&store);
    let name = coordinates("a", "debian");
    let old = cache.insert(&name, &Sha256::of(b"old"), &mut &b"old"[..]).unwrap();
    let new = cache.insert(&name, &Sha256::of(b"new"), &mut &b"new"[..]).unwrap();
    assert_eq!((references(&store, &old.digest), references(&store, &new.digest)), (0, 1));
    assert_eq!(cache.lookup(&name, &Sha256::of(b"old")).unwrap(), None);
}

#[test]
fn use_is_counted_in_one_batch() {
    let (_dir, store) = store();
    let cache = PackageCache::new(&store);
    for name in ["b", "a"] {
        cache.insert(&coordinates(name, "debian"), &Sha256::of(name.as_bytes()), &mut name.as_bytes()).unwrap();
    }
    cache.mark_used(&[coordinates("a", "debian"), coordinates("absent", "debian")]);
    assert_eq!(cache.list().unwrap()[0].uses, 0);
    store.flush().unwrap();
    let uses: Vec<_> = cache.list().unwrap().iter().map(|entry| (entry.coordinates.name().to_owned(), entry.uses)).collect();
    assert_eq!(uses, [("a".to_owned(), 1), ("b".to_owned(), 0)]);
}

#[test]
fn many_threads_and_handles_store_the_same_package_at_once() {
    let (dir, store) = store();
    let path = dir.path().join("store");
    let other = Store::open(&path).unwrap();
    let bytes = noise(300_000, 3);
    let sha256 = Sha256::of(&bytes);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, bytes) = (if thread % 2 == 0 { &store } else { &other }, &bytes);
            scope.spawn(move || {
                for round in 0..4 {
                    let own = noise(1000, 100 + thread * 10 + round);
                    let cache = PackageCache::new(store);
                    cache.insert(&coordinates("shared", "debian"), &sha256, &mut bytes.as_slice()).unwrap();
                    cache.insert(&coordinates(&format!("own{thread}-{round}"), "debian"), &Sha256::of(&own), &mut own.as_slice()).unwrap();
                }
            });
        }
    });
    let third = Store::open(&path).unwrap();
    let cache = PackageCache::new(&third);
    let list = cache.list().unwrap();
    assert_eq!(list.len(), 33);
    for entry in list {
        let package = cache.lookup(&entry.coordinates, &entry.sha256).unwrap().unwrap();
        assert_eq!(Sha256::of(&read(&package)), entry.sha256);
        assert_eq!(references(&third, &entry.digest), 1);
    }
    assert_eq!(files(&third), 33);
}

#[test]
fn a_damaged_package_is_a_miss_and_then_mended() {
    let (_dir, store) = store();
    let cache = PackageCache::new(&store);
    let (name, bytes) = (coordinates("a", "debian"), noise(10_000, 4));
    let sha256 = Sha256::of(&bytes);
    let package = cache.insert(&name, &sha256, &mut bytes.as_slice()).unwrap();
    fs::OpenOptions::new().write(true).open(&package.path).unwrap().write_all_at(b"?", 5000).unwrap();
    assert!(store.verify_blob(&package.digest).unwrap_err().is_damage());
    assert_eq!(cache.lookup(&name, &sha256).unwrap(), None);
    assert!(cache.list().unwrap().is_empty());
    cache.insert(&name, &sha256, &mut bytes.as_slice()).unwrap();
    assert!(read(&cache.lookup(&name, &sha256).unwrap().unwrap()) == bytes);
    assert_eq!(references(&store, &package.digest), 1);
}

fn attributes(etag: &str) -> MetadataAttributes {
    MetadataAttributes { etag: Some(etag.to_owned()), last_modified: None, verified_by: vec!["ABCD".to_owned()] }
}

#[test]
fn metadata_is_replaced_whole() {
    let (_dir, store) = store();
    let cache = MetadataCache::new(&store);
    let path = "dists/bookworm/InRelease";
    assert_eq!(cache.lookup("debian", path).unwrap(), None);
    cache.insert("debian", path, b"old", &attributes("1")).unwrap();
    let old = cache.lookup("debian", path).unwrap().unwrap();
    assert_eq!((old.etag.as_deref(), old.verified_by.as_slice(), old.raw_len), (Some("1"), &["ABCD".to_owned()][..], 3));
    assert_eq!(cache.read(&old).unwrap(), b"old");
    let new = [("debian", path, &b"new"[..]), ("debian", "dists/bookworm/main/binary-amd64/Packages", b"Package: a\n"), ("security", path, b"new")];
    let attributes = attributes("2");
    let new = new.map(|(archive, path, bytes)| NewMetadata { archive, path, bytes, attributes: &attributes });
    cache.insert_all(&new).unwrap();
    for file in &new {
        let entry = cache.lookup(file.archive, file.path).unwrap().unwrap();
        assert_eq!(cache.read(&entry).unwrap(), file.bytes);
    }
    assert_eq!(references(&store, &old.digest), 0);
    assert_eq!(references(&store, &Digest::of(b"new")), 2);
    let names: Vec<_> = cache.list().unwrap().into_iter().map(|(archive, path, _)| format!("{archive} {path}")).collect();
    assert_eq!(names, ["debian dists/bookworm/InRelease", "debian dists/bookworm/main/binary-amd64/Packages", "security dists/bookworm/InRelease"]);
    cache.mark_current(&[("debian", path), ("nobody", path)]).unwrap();
    let row = store.read().unwrap().get::<MetadataRow>(b"security\0dists/bookworm/InRelease").unwrap().unwrap();
    assert!(row.alias.is_some(), "its name is in a file too");
    for (archive, path) in [("", "x"), ("x", ""), ("x", "a\0b")] {
        assert!(matches!(cache.insert(archive, path, b"", &attributes), Err(Error::Name(_))));
    }
}

fn raw(dir: &tempfile::TempDir, seed: u64) -> (PathBuf, Vec<u8>) {
    let mut bytes = noise(3 << 20, seed);
    bytes.resize(10 << 20, 0);
    let path = dir.path().join(format!("{seed}.raw"));
    fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

fn new_image(lock: &[u8]) -> NewImage {
    let text = str::to_owned;
    NewImage {
        name: text("minimal"),
        version: text("1.0"),
        dist: text("debian12"),
        arch: text("x86_64"),
        annotations: b"{}".to_vec(),
        lock: lock.to_vec(),
        build_time: Duration::from_millis(31_400),
        source_date: 1_600_000_000,
        releases: vec![ReleaseDate { archive: text("debian"), suite: text("bookworm"), date: 1_690_000_000 }],
        imported: None,
    }
}

pub(super) fn insert(cache: &ImageCache<'_>, spec: &SpecHash, lock: &[u8], raw: &std::path::Path) -> ImageRecord {
    cache.insert(spec, &new_image(lock), raw, &Silent, &Cancel::default()).unwrap()
}

#[test]
fn an_image_is_kept_and_served() {
    let (dir, store) = store();
    let cache = ImageCache::new(&store);
    let (path, bytes) = raw(&dir, 1);
    let spec = SpecHash::of_canonical(b"spec");
    assert_eq!(cache.lookup(&spec).unwrap(), None);
    let record = insert(&cache, &spec, b"lock", &path);
    assert_eq!(cache.lookup(&spec).unwrap().as_ref(), Some(&record));
    assert_eq!((record.raw_len, record.data_len, record.raw_digest), (10 << 20, 3 << 20, Digest::of(&bytes)));
    assert!(record.own_bytes > 3 << 20 && record.own_bytes < 4 << 20);
    assert_eq!((record.build_time, record.uses, &record.releases), (Duration::from_millis(31_400), 0, &new_image(b"").releases));
    assert_eq!((cache.read_lock(&record).unwrap(), cache.read_annotations(&record).unwrap()), (b"lock".to_vec(), b"{}".to_vec()));
    let out = dir.path().join("out.raw");
    cache.write_to(&record, Output { file: &fs::File::create(&out).unwrap(), path: &out, stays: false }, &Silent, &Cancel::default()).unwrap();
    assert!(fs::read(&out).unwrap() == bytes);
    cache.mark_used(&spec);
    store.flush().unwrap();
    assert_eq!(cache.list().unwrap(), [ImageRecord { uses: 1, last_used: cache.lookup(&spec).unwrap().unwrap().last_used, ..record }]);
}

#[test]
fn an_image_that_is_built_again_takes_the_place_of_the_old_one() {
    let (dir, store) = store();
    let cache = ImageCache::new(&store);
    let spec = SpecHash::of_canonical(b"spec");
    let old = insert(&cache, &spec, b"old lock", &raw(&dir, 1).0);
    let same = insert(&cache, &spec, b"old lock", &raw(&dir, 1).0);
    assert_eq!((old.manifest, references(&store, &old.manifest), references(&store, &old.lock)), (same.manifest, 1, 1));
    let new = insert(&cache, &spec, b"new lock", &raw(&dir, 2).0);
    assert_eq!(cache.list().unwrap().iter().map(|image| &image.lock).collect::<Vec<_>>(), [&new.lock]);
    assert_eq!([old.manifest, old.lock, new.manifest, new.lock, new.annotations].map(|blob| references(&store, &blob)), [0, 0, 1, 1, 1]);
}

#[test]
fn any_unique_prefix_finds_an_image() {
    let (dir, store) = store();
    let cache = ImageCache::new(&store);
    let specs: Vec<SpecHash> = (0_u8..20).map(|n| SpecHash::of_canonical(&[n])).collect();
    let (path, _) = raw(&dir, 1);
    for spec in &specs {
        insert(&cache, spec, b"lock", &path);
    }
    for spec in &specs {
        let Found::One(found) = cache.find(&spec.to_string()[..12].to_uppercase()).unwrap() else { panic!("{spec}") };
        assert_eq!(found.spec_hash, *spec);
    }
    let first = specs[0].to_string()[..1].to_owned();
    let mut expected: Vec<_> = specs.iter().filter(|spec| spec.to_string().starts_with(&first)).copied().collect();
    expected.sort();
    match cache.find(&first).unwrap() {
        Found::Ambiguous(found) => assert_eq!(found, expected),
        Found::One(found) => assert_eq!([found.spec_hash], *expected),
        Found::None => panic!("{first}"),
    }
    for text in ["zz", "../../etc/passwd", "é", &"0".repeat(65), &"0".repeat(63)] {
        assert_eq!(cache.find(text).unwrap(), Found::None, "{text}");
    }
    assert!(matches!(cache.find("").unwrap(), Found::Ambiguous(all) if all.len() == 20));
}

#[test]
fn a_damaged_image_is_a_miss_until_it_is_built_again() {
    let (dir, store) = store();
    let cache = ImageCache::new(&store);
    let (path, bytes) = raw(&dir, 1);
    let spec = SpecHash::of_canonical(b"spec");
    let out = dir.path().join("out.raw");
    let blob = |digest: &Digest| store.blob_path(digest);
    for part in 0..4 {
        let record = insert(&cache, &spec, b"lock", &path);
        let damaged = match part {
            0 => fs::read_dir(store.dir().join("packs")).unwrap().next().unwrap().unwrap().path(),
            1 => blob(&record.manifest),
            2 => blob(&store.read().unwrap().get::<crate::format::row::ImageRow>(spec.digest().as_bytes()).unwrap().unwrap().record),
            _ => blob(&record.lock),
        };
        let mut content = fs::read(&damaged).unwrap();
        let at = content.len() / 3 * 2;
        content[at] ^= 0x10;
        fs::write(&damaged, content).unwrap();
        let served = cache.lookup(&spec).unwrap().map(|record| {
            cache.read_lock(&record).and_then(|_| {
                cache.write_to(&record, Output { file: &fs::File::create(&out).unwrap(), path: &out, stays: false }, &Silent, &Cancel::default())
            })
        });
        match served {
            None => assert_eq!(part, 2),
            Some(served) => assert!(served.unwrap_err().is_damage(), "{part}"),
        }
        if part < 3 {
            assert_eq!(cache.lookup(&spec).unwrap(), None, "{part}");
        }
        assert_eq!(store.take_damage().len(), 1, "{part}");
        let record = insert(&cache, &spec, b"lock", &path);
        cache.write_to(&record, Output { file: &fs::File::create(&out).unwrap(), path: &out, stays: false }, &Silent, &Cancel::default()).unwrap();
        assert!(fs::read(&out).unwrap() == bytes);
        assert_eq!(cache.read_lock(&record).unwrap(), b"lock");
        assert_eq!([record.manifest, record.lock].map(|blob| references(&store, &blob)), [1, 1], "{part}");
    }
}
