//! Stores of every released format, which all later versions must open: `fixtures/stores/`.
//!
//! `IMAGE_COMPOSER_STORES=write cargo test --test formats released` makes the folder of the format that this program writes, where there is none. One that
//! is there is never made anew: what reads it must go on to read it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image_composer::cache::{Coordinates, ImageCache, Import, MetadataAttributes, MetadataCache, NewImage, PackageCache, ReleaseDate, SpecHash};
use image_composer::digest::{Digest, Sha256};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::{Output, Store};

use super::by_hand::{blobs, chunks, files};

/// What a store has that git does not keep where it is empty.
const FOLDERS: [&str; 4] = ["leases", "partials", "quarantine", "tmp"];

/// Digests of what the store was given, written down when it was made.
const DISK: &str = "0395eccc73c4f1d6a54d90007c8976b4845e9bcc699f8af9daf8d624c148044b";
const HELLO: &str = "8e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a99";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores/v1")
}

fn noise(seed: &[u8], len: usize) -> Vec<u8> {
    let mut noise = vec![0; len];
    blake3::Hasher::new().update(seed).finalize_xof().fill(&mut noise);
    noise
}

fn spec() -> SpecHash {
    SpecHash::of_canonical(b"the spec of the first store")
}

/// Noise, a hole, a part of the same noise, text.
fn disk() -> Vec<u8> {
    let mut disk = noise(b"disk", 40_960);
    disk.resize(1 << 20, 0);
    disk.extend_from_slice(&noise(b"disk", 20_480));
    disk.extend_from_slice(&b"image-composer\n".repeat(1000));
    disk
}

fn name(package: &str, repository: &str) -> Coordinates {
    Coordinates::new(package, "1:2.10-3", "amd64", repository).unwrap()
}

fn image(imported: Option<Import>) -> NewImage {
    NewImage {
        name: "minimal".to_owned(),
        version: "1.0".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: b"the annotations".to_vec(),
        lock: b"the lock".to_vec(),
        build_time: Duration::from_secs(30),
        source_date: 1_600_000_000,
        releases: vec![ReleaseDate { archive: "debian".to_owned(), suite: "bookworm".to_owned(), date: 1_690_000_000 }],
        imported,
    }
}

fn attributes() -> MetadataAttributes {
    MetadataAttributes { etag: Some("\"1\"".to_owned()), last_modified: None, verified_by: vec!["ABCD".to_owned()] }
}

fn keep(store: &Store, spec: &SpecHash, new: &NewImage, disk: &[u8]) {
    let raw = tempfile::NamedTempFile::new().unwrap();
    fs::write(raw.path(), disk).unwrap();
    ImageCache::new(store).insert(spec, new, raw.path(), &Silent, &Cancel::default()).unwrap();
}

fn make(dir: &Path) {
    let store = Store::open(dir).unwrap();
    let packages = PackageCache::new(&store);
    let (hello, other) = (&b"hello\n"[..], noise(b"package", 5000));
    for (package, repository, mut bytes) in [("hello", "debian", hello), ("hello", "debian-security", hello), ("other", "debian", other.as_slice())] {
        packages.insert(&name(package, repository), &Sha256::of(bytes), &mut bytes).unwrap();
    }
    MetadataCache::new(&store).insert("debian", "dists/bookworm/InRelease", b"Origin: Debian\n", &attributes()).unwrap();
    keep(&store, &spec(), &image(None), &disk());
    packages.count(3, 2, 1000);
    packages.mark_used([&name("hello", "debian")]);
    store.flush().unwrap();
    drop(store);
    // Whoever made it is nobody's business.
    let mut writer = b"process 1 (image-composer)".to_vec();
    writer.resize(255, b' ');
    writer.push(b'\n');
    fs::write(dir.join("writer"), writer).unwrap();
    for folder in FOLDERS {
        fs::remove_dir(dir.join(folder)).unwrap();
    }
}

/// A copy that may be written to.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in files(from) {
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::write(to, fs::read(path).unwrap()).unwrap();
        }
    }
}

fn disk_of(store: &Store, spec: &SpecHash) -> Vec<u8> {
    let (images, out) = (ImageCache::new(store), tempfile::NamedTempFile::new().unwrap());
    let record = images.lookup(spec).unwrap().unwrap();
    images
        .write_to(
            &record,
            Output { file: &File::options().write(true).open(out.path()).unwrap(), path: out.path(), stays: false },
            &Silent,
            &Cancel::default(),
        )
        .unwrap();
    fs::read(out.path()).unwrap()
}

/// Everything in the store is what it was.
fn check(store: &Store) {
    let (packages, metadata, images) = (PackageCache::new(store), MetadataCache::new(store), ImageCache::new(store));
    for (package, repository, bytes) in
        [("hello", "debian", b"hello\n".to_vec()), ("hello", "debian-security", b"hello\n".to_vec()), ("other", "debian", noise(b"package", 5000))]
    {
        let found = packages.lookup(&name(package, repository), &Sha256::of(&bytes)).unwrap().unwrap();
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut store.open_blob(&found.digest).unwrap(), &mut read).unwrap();
        assert!(read == bytes && (package == "other" || found.digest.to_string() == HELLO), "{package}");
    }
    let used: Vec<u32> = packages.list().unwrap().iter().map(|entry| entry.uses).collect();
    assert_eq!(&used[..3], [1, 0, 0]);
    let entry = metadata.lookup("debian", "dists/bookworm/InRelease").unwrap().unwrap();
    assert_eq!(metadata.read(&entry).unwrap(), b"Origin: Debian\n");
    assert_eq!((entry.etag, entry.last_modified, entry.verified_by), (attributes().etag, None, attributes().verified_by));
    let record = images.lookup(&spec()).unwrap().unwrap();
    assert_eq!((record.name.as_str(), record.version.as_str(), record.dist.as_str(), record.arch.as_str()), ("minimal", "1.0", "debian12", "x86_64"));
    assert_eq!((record.build_time, record.source_date, record.releases), (Duration::from_secs(30), 1_600_000_000, image(None).releases));
    let record = images.lookup(&spec()).unwrap().unwrap();
    assert_eq!((images.read_lock(&record).unwrap(), images.read_annotations(&record).unwrap()), (b"the lock".to_vec(), b"the annotations".to_vec()));
    assert_eq!((record.raw_len, record.raw_digest.to_string().as_str()), (disk().len() as u64, DISK));
    let read = disk_of(store, &spec());
    assert!(read == disk() && Digest::of(&read).to_string() == DISK);
    let [usage, ..] = store.usage().unwrap();
    assert_eq!((usage.hits, usage.misses, usage.saved_bytes), (3, 2, 1000));
}

#[test]
fn a_store_of_the_first_format_is_read_and_added_to() {
    if std::env::var_os("IMAGE_COMPOSER_STORES").is_some() && !folder().exists() {
        make(&folder());
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    copy(&folder(), &root);
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let (before, packs) = (blobs(&root), files(&root.join("packs")).len());
    assert_eq!((before.len(), packs), (8, 1));
    let store = Store::open(&root).unwrap();
    check(&store);
    for digest in before.keys() {
        store.verify_blob(&digest.parse().unwrap()).unwrap();
    }

    let another = SpecHash::of_canonical(b"another spec");
    let bytes = [disk(), noise(b"more", 100_000)].concat();
    let imported = Import { file: "disk.raw".to_owned(), format: "raw".to_owned() };
    keep(&store, &another, &image(Some(imported)), &bytes);
    PackageCache::new(&store).insert(&name("new", "debian"), &Sha256::of(b"new"), &mut &b"new"[..]).unwrap();
    drop(store);
    let store = Store::open(&root).unwrap();
    check(&store);
    assert!(disk_of(&store, &another) == bytes);
    assert!(PackageCache::new(&store).lookup(&name("new", "debian"), &Sha256::of(b"new")).unwrap().is_some());
    drop(store);
    let grown: usize = files(&root.join("packs")).iter().map(|pack| fs::metadata(pack).unwrap().len() as usize).sum();
    assert!(grown < 200_000, "what was there is shared: {grown}");
    assert!(before.keys().all(|digest| blobs(&root).contains_key(digest)) && !chunks(&root).is_empty());
}
