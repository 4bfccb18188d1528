//! A store that can only be looked at: it is listed, built from and exported from, and nothing in it changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use image_composer::build::{Caches, ImageOutcome, Request, Workers, build, fetch};
use image_composer::cache::bundle::{self, Selection};
use image_composer::cache::collect::Limits;
use image_composer::cache::{Coordinates, ImageCache, MetadataAttributes, MetadataCache, NewImage, PackageCache};
use image_composer::digest::Sha256;
use image_composer::fetch::Tls;
use image_composer::progress::{Cancel, Event, Progress, Silent};
use image_composer::spec;
use image_composer::store::{self, Options, Store, WhyReadOnly};
use image_composer::transfer::{self, ImportRequest, Plan};

const SPEC: &str = "fixtures/specs/debian12-minimal.yml";

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Progress for Warnings {
    fn report(&self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

fn look(dir: &Path) -> Result<Store, store::Error> {
    Store::open_with(dir, Options { look_only: true, ..Options::from_env().unwrap() })
}

fn hello() -> (Coordinates, Sha256) {
    (Coordinates::new("hello", "1.0", "amd64", "debian").unwrap(), Sha256::of(b"hello"))
}

/// A store with an image of the spec, a package and a file of a repository.
fn filled(home: &Path) -> PathBuf {
    let (dir, raw) = (home.join("store"), home.join("disk.raw"));
    let mut disk = vec![0; 2 << 20];
    disk[1 << 20..][..100_000].fill(7);
    fs::write(&raw, disk).unwrap();
    let store = Store::open(&dir).unwrap();
    let (name, sha256) = hello();
    PackageCache::new(&store).insert(&name, &sha256, &mut &b"hello"[..]).unwrap();
    MetadataCache::new(&store).insert("debian", "dists/bookworm/InRelease", b"old", &MetadataAttributes::default()).unwrap();
    let new = NewImage {
        name: "minimal".to_owned(),
        version: "1.0".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: Vec::new(),
        lock: b"lock".to_vec(),
        build_time: Duration::from_secs(34),
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    let spec = spec::load(Path::new(SPEC)).unwrap().hash(None);
    ImageCache::new(&store).insert(&spec, &new, &raw, &Silent, &Cancel::default()).unwrap();
    dir
}

/// Every file beneath a folder, with its time of change and its bytes' digest.
fn state(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, String)> {
    let mut state = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            let digest = if meta.is_file() { blake3::hash(&fs::read(entry.path()).unwrap()).to_hex().to_string() } else { String::new() };
            state.insert(entry.path(), (meta.modified().unwrap(), digest));
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    state
}

fn request(home: &Path, offline: bool) -> Request {
    Request {
        spec: spec::load(Path::new(SPEC)).unwrap(),
        locked: None,
        output_dir: home.join("out"),
        caches: Caches { packages: true, images: true, roots: true },
        offline,
        refresh: false,
        rebuild: false,
        limits: Limits::default(),
        workers: Workers { fetch: 1, unpack: 1 },
        mirrors: BTreeMap::new(),
        keyrings: BTreeMap::new(),
        proxy: None,
        tls: Tls::default(),
        allow_expired: false,
        allow_untrusted: false,
        source_date_epoch: None,
        log: None,
    }
}

#[test]
fn it_is_listed_built_from_and_exported_from_without_a_trace() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let before = state(&dir);
    let store = look(&dir).unwrap();
    assert!(!store.is_writable());
    let (images, packages) = (ImageCache::new(&store), PackageCache::new(&store));
    let [image] = images.list().unwrap().try_into().unwrap();
    let (name, sha256) = hello();
    let package = packages.lookup(&name, &sha256).unwrap().unwrap();
    store.verify_blob(&package.digest).unwrap();
    packages.mark_used([&name]);
    store.flush().unwrap();

    let warnings = Warnings::default();
    let report = build(&request(home.path(), true), Some(&store), &warnings, &Cancel::default()).unwrap();
    assert!(matches!(report.image, ImageOutcome::Hit { .. }));
    assert!(warnings.0.lock().unwrap().is_empty(), "a hit keeps nothing anyway");
    assert!(fs::read(home.path().join("out/debian12-minimal-1.0.raw")).unwrap()[1 << 20..][..100_000].iter().all(|byte| *byte == 7));

    let plan = Plan::new(image.clone(), &home.path().join("disk.qcow2"), None, false).unwrap();
    transfer::export(&store, plan, &warnings, &Cancel::default()).unwrap();
    let mut stream = Vec::new();
    let what = transfer::Stream { image: image.clone(), format: "raw.zst".parse().unwrap() };
    transfer::stream(&store, &what, &mut stream, &warnings, &Cancel::default()).unwrap();
    let selection = Selection { all: true, ..Selection::default() };
    let plan = bundle::plan(&store, &selection, &Cancel::default()).unwrap();
    transfer::export_bundle(&store, &plan, &home.path().join("all.bundle"), false, &warnings, &Cancel::default()).unwrap();
    assert!(warnings.0.lock().unwrap().is_empty());
    drop(store);
    assert!(state(&dir) == before, "something in the store was changed");
}

#[test]
fn what_would_change_it_is_refused_before_it_begins() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let before = state(&dir);
    let store = look(&dir).unwrap();
    let refused = |error: &dyn std::fmt::Display| {
        let told = error.to_string();
        assert!(told.contains("cannot be changed: it was opened for looking"), "{told}");
    };
    let (name, sha256) = hello();
    let new = Coordinates::new("new", "1.0", "amd64", "debian").unwrap();
    refused(&PackageCache::new(&store).insert(&new, &sha256, &mut &b"hello"[..]).unwrap_err());
    refused(&MetadataCache::new(&store).insert("debian", "x", b"new", &MetadataAttributes::default()).unwrap_err());
    refused(&fetch(&request(home.path(), false), &store, &Silent, &Cancel::default()).unwrap_err());
    let request = ImportRequest {
        path: home.path().join("nothing.raw"),
        format: None,
        name: None,
        spec: None,
        max_size: image_composer::units::ByteSize(1 << 30),
        replace: false,
    };
    refused(&transfer::import(&store, &request, &Silent, &Cancel::default()).unwrap_err());
    refused(&store.empty_trash(&Silent).unwrap_err());
    let error = store.check_writable().unwrap_err();
    assert!(matches!(error, store::Error::ReadOnly { reason: WhyReadOnly::Wish, .. }) && error.hint().is_some());
    assert!(PackageCache::new(&store).lookup(&name, &sha256).unwrap().is_some());
    drop(store);
    assert!(state(&dir) == before, "something in the store was changed");
}

#[test]
fn a_build_that_misses_says_once_that_nothing_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let store = look(&dir).unwrap();
    let warnings = Warnings::default();
    let keyring = home.path().join("keyring.asc");
    fs::write(&keyring, "no keyring").unwrap();
    let keyrings = ["debian", "debian-security"].map(|archive| (archive.to_owned(), keyring.clone())).into();
    let request = Request { rebuild: true, keyrings, ..request(home.path(), true) };
    // Where the host lacks a program it ends there, else for want of a keyring.
    build(&request, Some(&store), &warnings, &Cancel::default()).unwrap_err();
    let warnings = warnings.0.lock().unwrap();
    assert!(
        !can_build() || matches!(warnings.as_slice(), [one] if one.ends_with("it was opened for looking; the build keeps nothing")),
        "{warnings:?}"
    );
}

/// Whether this host can build at all.
fn can_build() -> bool {
    image_composer::root::sandbox::Mapping::of_this_process().is_ok()
}

#[test]
fn damage_is_reported_and_is_a_miss_and_stays_where_it_is() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let (name, sha256) = hello();
    let path = {
        let store = Store::open(&dir).unwrap();
        PackageCache::new(&store).lookup(&name, &sha256).unwrap().unwrap().path
    };
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let before = state(&dir);
    let store = look(&dir).unwrap();
    let cache = PackageCache::new(&store);
    let package = cache.lookup(&name, &sha256).unwrap().unwrap();
    for _ in 0..2 {
        assert!(store.verify_blob(&package.digest).unwrap_err().is_damage());
        assert_eq!(cache.lookup(&name, &sha256).unwrap(), None, "this process knows it now");
    }
    assert_eq!(store.take_damage().len(), 1, "it is told once");
    drop(store);
    assert!(state(&dir) == before, "something in the store was changed");
}

#[test]
fn it_shows_what_others_put_into_it_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let writer = Store::open(&dir).unwrap();
    let reader = look(&dir).unwrap();
    let name = Coordinates::new("later", "1.0", "amd64", "debian").unwrap();
    let sha256 = Sha256::of(b"later");
    assert_eq!(PackageCache::new(&reader).lookup(&name, &sha256).unwrap(), None);
    PackageCache::new(&writer).insert(&name, &sha256, &mut &b"later"[..]).unwrap();
    assert!(PackageCache::new(&reader).lookup(&name, &sha256).unwrap().is_some());
}

#[test]
fn an_index_that_was_not_closed_is_an_error_with_a_way_out() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    // As after a kill: the file as it is while a writer has it open.
    let (index, copy) = (dir.join("index.redb"), home.path().join("copy"));
    {
        let writer = Store::open(&dir).unwrap();
        PackageCache::new(&writer).mark_used([&hello().0]);
        writer.flush().unwrap();
        fs::copy(&index, &copy).unwrap();
    }
    fs::copy(&copy, &index).unwrap();
    let error = look(&dir).unwrap_err();
    assert!(matches!(error, store::Error::Unclean { .. }) && error.hint().unwrap().contains("cache seal"), "{error}");
    drop(Store::open(&dir).unwrap());
    assert!(look(&dir).is_ok(), "a writer has repaired it");
}

#[test]
fn a_store_without_its_index_is_not_taken_for_an_empty_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let files = state(&dir.join("blobs"));
    let index = dir.join("index.redb");
    for emptied in [false, true] {
        if emptied {
            fs::write(&index, "").unwrap();
        } else {
            fs::remove_file(&index).unwrap();
        }
        for error in [Store::open(&dir).unwrap_err(), look(&dir).unwrap_err()] {
            assert!(matches!(error, store::Error::NoIndex(_)) && error.hint().unwrap().contains("cache rebuild-index"), "{error}");
        }
        let (status, _, err) = crate::support::program::run(home.path(), &["cache", "list"]);
        assert_eq!(status, 4, "{err}");
    }
    assert!(state(&dir.join("blobs")) == files);
}
