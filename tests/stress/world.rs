//! What the processes put into a store and read from it: the same for the same numbers, so that whoever reads knows what must come.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image_composer::cache::{
    self, Coordinates, ImageCache, ImageRecord, MetadataAttributes, MetadataCache, NewImage, NewMetadata, PackageCache, SpecHash,
};
use image_composer::digest::{Digest, Sha256};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::{Output, Store, open_file};

/// How many packages, specs and files of metadata there are, and how many contents each name has in turn.
pub(super) const PACKAGES: u64 = 24;
pub(super) const SPECS: u64 = 6;
pub(super) const GENERATIONS: u64 = 3;

/// The pieces that disks are made of, in bytes; several times as long as the longest chunk would make the test slow, as long as a few average ones is
/// enough.
const PIECE: usize = 150_000;

fn noise(len: usize, seed: &str) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The name of a package. Those of both repositories have the same bytes.
fn coordinates(number: u64, repository: u64) -> Coordinates {
    Coordinates::new(&format!("p{number}"), "1.0", "amd64", ["debian", "security"][repository as usize]).unwrap()
}

fn package(number: u64, generation: u64) -> Vec<u8> {
    noise(2_000 + 3_777 * number as usize, &format!("package {number} {generation}"))
}

pub(super) fn put_package(store: &Store, number: u64, repository: u64, generation: u64) -> cache::Result<()> {
    let bytes = package(number, generation);
    PackageCache::new(store).insert(&coordinates(number, repository), &Sha256::of(&bytes), &mut bytes.as_slice()).map(drop)
}

/// The file of a package's blob.
pub(super) fn package_file(store: &Store, number: u64, generation: u64) -> PathBuf {
    store.blob_path(&Digest::of(&package(number, generation)))
}

/// Takes a package for use, as a build does.
pub(super) fn take_package(store: &Store, number: u64, generation: u64) -> cache::Result<()> {
    let (bytes, name) = (package(number, generation), coordinates(number, 0));
    PackageCache::new(store).take(&[(&name, &Sha256::of(&bytes))]).map(drop)?;
    PackageCache::new(store).mark_used([&name]);
    Ok(())
}

/// Takes a package for use, as a build does, and reads it if it is there.
pub(super) fn read_package(store: &Store, number: u64, repository: u64, generation: u64) -> bool {
    let (bytes, name) = (package(number, generation), coordinates(number, repository));
    let cache = PackageCache::new(store);
    let Some(found) = cache.take(&[(&name, &Sha256::of(&bytes))]).unwrap().remove(0) else { return false };
    let mut read = Vec::new();
    open_file(&found.path, &found.digest).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == bytes, "{name} has other bytes");
    cache.mark_used([&name]);
    true
}

fn spec(number: u64) -> SpecHash {
    SpecHash::of_canonical(format!("spec {number}").as_bytes())
}

/// Where the pieces of a disk lie, by their numbers: disks share most of them with others.
fn pieces(number: u64, generation: u64) -> [(u64, String); 6] {
    let piece = |at: u64| (at * 2 * PIECE as u64, format!("piece {}", (number * 2 + generation * 3 + at * at) % 10));
    [0, 1, 2, 3, 4, 5].map(piece)
}

fn write_disk(path: &Path, number: u64, generation: u64) {
    let file = File::create(path).unwrap();
    file.set_len(14 * PIECE as u64).unwrap();
    for (at, seed) in pieces(number, generation) {
        file.write_all_at(&noise(PIECE, &seed), at).unwrap();
    }
}

fn disk_digest(number: u64, generation: u64) -> Digest {
    let mut disk = vec![0; 14 * PIECE];
    for (at, seed) in pieces(number, generation) {
        disk[at as usize..][..PIECE].copy_from_slice(&noise(PIECE, &seed));
    }
    Digest::of(&disk)
}

pub(super) fn put_image(store: &Store, number: u64, generation: u64, room: &Path) -> cache::Result<()> {
    let raw = room.join("in.raw");
    write_disk(&raw, number, generation);
    let new = NewImage {
        name: format!("image{number}"),
        version: generation.to_string(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: b"the same for all".to_vec(),
        lock: format!("the lock of {number} {generation}").into_bytes(),
        build_time: Duration::from_secs(1),
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    ImageCache::new(store).insert(&spec(number), &new, &raw, &Silent, &Cancel::default()).map(drop)
}

/// Writes an image that may be damaged to nowhere; says whether it was there and whole.
pub(super) fn try_image(store: &Store, number: u64, room: &Path) -> cache::Result<bool> {
    let cache = ImageCache::new(store);
    let Some(image) = cache.lookup(&spec(number))? else { return Ok(false) };
    let out = room.join("try.raw");
    match cache.write_to(&image, Output { file: &File::create(&out).unwrap(), path: &out, stays: false }, &Silent, &Cancel::default()) {
        Err(error) if error.is_damage() => Ok(false),
        written => written.map(|()| true),
    }
}

/// Takes an image for use, as a build does, and reads it if it is there.
pub(super) fn read_image(store: &Store, number: u64, room: &Path) -> bool {
    let cache = ImageCache::new(store);
    let Some(image) = cache.take(&spec(number)).unwrap() else { return false };
    check_image(store, &image, room);
    cache.mark_used(&image.spec_hash);
    true
}

fn check_image(store: &Store, image: &ImageRecord, room: &Path) {
    let number = image.name.strip_prefix("image").unwrap().parse().unwrap();
    let generation = image.version.parse().unwrap();
    let out = room.join("out.raw");
    ImageCache::new(store)
        .write_to(image, Output { file: &File::create(&out).unwrap(), path: &out, stays: false }, &Silent, &Cancel::default())
        .unwrap();
    let digest = Digest::of(&std::fs::read(&out).unwrap());
    assert_eq!((digest, image.raw_digest), (disk_digest(number, generation), digest), "{} {}", image.name, image.version);
}

const FILES: [&str; 2] = ["dists/a/InRelease", "dists/a/main/Packages"];

fn metadata(file: usize, generation: u64) -> Vec<u8> {
    format!("{} of {generation}\n", FILES[file]).into_bytes()
}

pub(super) fn put_metadata(store: &Store, generation: u64) -> cache::Result<()> {
    let attributes = MetadataAttributes { etag: Some(generation.to_string()), last_modified: None, verified_by: Vec::new() };
    let contents = [metadata(0, generation), metadata(1, generation)];
    let new = |file: usize| NewMetadata { archive: "a", path: FILES[file], bytes: &contents[file], attributes: &attributes };
    MetadataCache::new(store).insert_all(&[new(0), new(1)])
}

/// Reads the metadata if it is there. What another process replaces at that moment may be gone, and is then a miss.
pub(super) fn read_metadata(store: &Store) -> bool {
    let cache = MetadataCache::new(store);
    let mut found = false;
    for (file, path) in FILES.iter().enumerate() {
        let Some(entry) = cache.lookup("a", path).unwrap() else { continue };
        match cache.read(&entry) {
            Ok(bytes) => {
                assert!((0..GENERATIONS).any(|generation| bytes == metadata(file, generation)), "{path} has other bytes");
                found = true;
            }
            Err(error) => assert!(error.is_damage(), "{error}"),
        }
    }
    found
}

/// Everything that can be had from a store, each proven: what is listed and cannot be read, fails.
pub(super) fn contents(dir: &Path) -> Vec<String> {
    let store = Store::open(dir).unwrap();
    let room = tempfile::tempdir().unwrap();
    let mut contents = Vec::new();
    for package in PackageCache::new(&store).list().unwrap() {
        let mut bytes = Vec::new();
        open_file(&store.blob_path(&package.digest), &package.digest).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(Sha256::of(&bytes), package.sha256);
        contents.push(format!("package {}: {}", package.coordinates, package.sha256));
    }
    for image in ImageCache::new(&store).list().unwrap() {
        check_image(&store, &image, room.path());
        contents.push(format!("image {}: {}", image.name, image.raw_digest));
    }
    let metadata = MetadataCache::new(&store);
    for (archive, path, entry) in metadata.list().unwrap() {
        contents.push(format!("metadata {archive} {path}: {}", Digest::of(&metadata.read(&entry).unwrap())));
    }
    assert!(store.take_damage().is_empty());
    // Images are listed by the second in which they came.
    contents.sort();
    contents
}
