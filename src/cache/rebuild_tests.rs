//! An index that is made again from the files is the old one, but for what no file knows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::digest::Sha256;
use crate::format::row::{BlobRow, ChunkRow, HoldRow, ImageRow, MetadataRow, PackRow, PackageRow, Row, TrashRow};
use crate::format::totals::TotalRow;
use crate::progress::{Cancel, Silent};
use crate::store::tests::noise;
use crate::store::{Options, Output, Rebuilt, rebuild_index};

#[derive(Debug, Clone, Copy)]
enum Step {
    Package { name: u8, content: u8 },
    Metadata { path: u8, content: u8 },
    Image { spec: u8, content: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    // Few names and contents, so that names change hands, and bytes have several names.
    prop_oneof![
        4 => (0_u8..3, 0_u8..3).prop_map(|(name, content)| Step::Package { name, content }),
        3 => (0_u8..2, 0_u8..3).prop_map(|(path, content)| Step::Metadata { path, content }),
        2 => (0_u8..2, 0_u8..3).prop_map(|(spec, content)| Step::Image { spec, content }),
    ]
}

fn take(store: &Store, dir: &Path, step: Step) {
    match step {
        Step::Package { name, content } => {
            let (bytes, repository) = (noise(3_000, content.into()), ["debian", "security", "other"][usize::from(name)]);
            let coordinates = Coordinates::new("a", "1.0", "all", repository).unwrap();
            PackageCache::new(store).insert(&coordinates, &Sha256::of(&bytes), &mut bytes.as_slice()).unwrap();
        }
        Step::Metadata { path, content } => {
            let attributes = MetadataAttributes { etag: Some(content.to_string()), ..MetadataAttributes::default() };
            MetadataCache::new(store).insert("debian", &format!("dists/{path}"), &[content], &attributes).unwrap();
        }
        Step::Image { spec, content } => put_image(store, dir, spec, content),
    }
}

fn put_image(store: &Store, dir: &Path, spec: u8, content: u8) {
    let raw = dir.join("raw");
    fs::write(&raw, [noise(100_000, 50), vec![0; 100_000], noise(100_000, 60 + u64::from(content))].concat()).unwrap();
    let text = str::to_owned;
    let new = NewImage {
        name: text("image"),
        version: text("1.0"),
        dist: text("debian12"),
        arch: text("x86_64"),
        annotations: vec![content],
        lock: b"lock".to_vec(),
        build_time: Duration::from_secs(1),
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    ImageCache::new(store).insert(&SpecHash::of_canonical(&[spec]), &new, &raw, &Silent, &Cancel::default()).unwrap();
}

/// All blobs and packs, and when they were written.
fn files(store: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let mut folders = vec![store.join("blobs"), store.join("packs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(std::result::Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path(), entry.metadata().unwrap().modified().unwrap());
            }
        }
    }
    found
}

/// A store where the steps were taken minutes apart.
fn made(dir: &Path, steps: &[Step]) -> PathBuf {
    let path = dir.join("store");
    let store = Store::open(&path).unwrap();
    let mut before = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        take(&store, dir, *step);
        let stamp = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + 60 * number as u64);
        for (path, modified) in files(&path) {
            if before.get(&path) != Some(&modified) {
                File::options().write(true).open(&path).unwrap().set_modified(stamp).unwrap();
            }
        }
        before = files(&path);
    }
    store.flush().unwrap();
    path
}

fn rows<R: Row>(store: &Store, known: impl Fn(R) -> R) -> Vec<(Vec<u8>, Vec<u8>)> {
    store.read().unwrap().all::<R>().unwrap().into_iter().map(|(key, row)| (key, known(row).encode())).collect()
}

/// All tables, but for what no file knows: times and counts of use, and pins.
fn tables(path: &Path) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let store = Store::open(path).unwrap();
    vec![
        rows::<BlobRow>(&store, |row| row),
        rows::<ChunkRow>(&store, |row| row),
        rows::<PackRow>(&store, |row| row),
        rows::<PackageRow>(&store, |row| PackageRow { pinned: false, added_at: 0, last_used: 0, uses: 0, ..row }),
        rows::<ImageRow>(&store, |row| ImageRow { pinned: false, last_used: 0, uses: 0, ..row }),
        rows::<MetadataRow>(&store, |row| MetadataRow { last_used: 0, fetched_at: 0, ..row }),
        rows::<HoldRow>(&store, |row| row),
        rows::<TrashRow>(&store, |row| row),
        rows::<TotalRow>(&store, |row| row).into_iter().filter(|(_, row)| row[1..].iter().any(|byte| *byte > 0)).collect(),
    ]
}

fn rebuild(path: &Path) -> Rebuilt {
    rebuild_index(path, Options::from_env().unwrap(), &Silent, &Cancel::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_new_index_is_the_old_one(steps in prop::collection::vec(step(), 1..14)) {
        let dir = tempfile::tempdir().unwrap();
        let path = made(dir.path(), &steps);
        let before = tables(&path);
        let rebuilt = rebuild(&path);
        prop_assert!(rebuilt.damaged.is_empty() && rebuilt.damaged_images.is_empty() && rebuilt.lost_images.is_empty());
        for (number, (after, before)) in tables(&path).iter().zip(&before).enumerate() {
            prop_assert_eq!(after, before, "table {} of {:?}", number, steps);
        }
        fs::remove_file(path.join("index.redb")).unwrap();
        rebuild(&path);
        prop_assert_eq!(tables(&path), before);
        let findings = verify::verify(&Store::open(&path).unwrap(), false, &Silent, &Cancel::default()).unwrap().findings;
        prop_assert!(!findings.is_damaged() && findings.orphans.is_empty(), "{:?}", findings);
    }
}

#[test]
fn a_name_that_returns_to_its_first_bytes_has_them_in_the_new_index_too() {
    let dir = tempfile::tempdir().unwrap();
    let package = |name, content| Step::Package { name, content };
    let image = |content| Step::Image { spec: 0, content };
    let path = made(dir.path(), &[package(0, 0), package(0, 1), package(1, 0), package(0, 0), image(0), image(0), image(1), image(0)]);
    let before = tables(&path);
    rebuild(&path);
    assert_eq!(tables(&path), before);
}

#[test]
fn what_is_missing_or_wrong_is_told_and_mended_by_the_next_build() {
    for (kind, expected) in [("pack", (1, 1, 0)), ("no pack", (0, 1, 0)), ("manifest", (1, 0, 1)), ("no manifest", (0, 0, 1)), ("no lock", (0, 0, 0))]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = made(dir.path(), &[Step::Package { name: 0, content: 0 }, Step::Image { spec: 0, content: 0 }]);
        let spec = SpecHash::of_canonical(&[0]);
        let file = {
            let store = Store::open(&path).unwrap();
            let image = ImageCache::new(&store).lookup(&spec).unwrap().unwrap();
            match kind.trim_start_matches("no ") {
                "pack" => fs::read_dir(path.join("packs")).unwrap().next().unwrap().unwrap().path(),
                "manifest" => store.blob_path(&image.manifest),
                _ => store.blob_path(&image.lock),
            }
        };
        if kind.starts_with("no ") {
            fs::remove_file(&file).unwrap();
        } else {
            let mut bytes = fs::read(&file).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 2;
            fs::write(&file, bytes).unwrap();
        }
        let rebuilt = rebuild(&path);
        assert_eq!((rebuilt.damaged.len(), rebuilt.damaged_images.len(), rebuilt.lost_images.len()), expected, "{kind}");
        assert_eq!(fs::read_dir(path.join("quarantine")).unwrap().count(), expected.0, "{kind}");
        assert!(!file.exists());
        let store = Store::open(&path).unwrap();
        let cache = ImageCache::new(&store);
        assert_eq!(cache.lookup(&spec).unwrap().is_some(), kind == "no lock", "{kind}");
        let check = || verify::verify(&store, false, &Silent, &Cancel::default()).unwrap().findings;
        assert!(!check().is_damaged(), "{kind}: {:?}", check());

        put_image(&store, dir.path(), 0, 0);
        let (image, out) = (cache.lookup(&spec).unwrap().unwrap(), dir.path().join("out"));
        cache.write_to(&image, Output { file: &File::create(&out).unwrap(), path: &out, stays: false }, &Silent, &Cancel::default()).unwrap();
        assert!(fs::read(out).unwrap() == fs::read(dir.path().join("raw")).unwrap());
        let findings = check();
        assert!(!findings.is_damaged() && findings.known_lost == 0, "{kind}: {findings:?}");
    }
}

#[test]
fn nobody_else_may_have_the_store_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path(), &[Step::Package { name: 0, content: 0 }]);
    let store = Store::open(&path).unwrap();
    let options = || Options::from_env().unwrap();
    for error in [rebuild_index(&path, options(), &Silent, &Cancel::default()).map(drop), crate::store::seal(&path, options()).map(drop)] {
        let error = error.unwrap_err();
        assert!(matches!(&error, crate::store::Error::InUse { holders, .. } if holders[0].starts_with("process ")) && error.is_busy(), "{error}");
    }
    drop(store);
    rebuild(&path);
    assert!(matches!(rebuild_index(dir.path(), options(), &Silent, &Cancel::default()).unwrap_err(), crate::store::Error::NotAStore(_)));
}

#[test]
fn a_sealed_store_is_small_and_empty_of_leftovers_and_can_be_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let package = |content| Step::Package { name: 0, content };
    let path = made(dir.path(), &[package(0), package(1), Step::Image { spec: 0, content: 0 }]);
    let before = tables(&path);
    fs::write(path.join("partials/half"), "half a package").unwrap();
    // As a killed process leaves them.
    fs::write(path.join("leases/abc.lease"), "process 1 (x)\n").unwrap();
    fs::create_dir(path.join("tmp/abc")).unwrap();
    let sealed = crate::store::seal(&path, Options::from_env().unwrap()).unwrap();
    assert_eq!((sealed.partials, sealed.partial_bytes), (1, 14));
    assert!(sealed.index_after <= sealed.index_before && sealed.index_after == fs::metadata(path.join("index.redb")).unwrap().len());
    for folder in ["partials", "leases", "tmp"] {
        assert_eq!(fs::read_dir(path.join(folder)).unwrap().count(), 0, "{folder}");
    }
    let look = Store::open_with(&path, Options { look_only: true, ..Options::from_env().unwrap() }).unwrap();
    assert_eq!(PackageCache::new(&look).list().unwrap().len(), 1);
    drop(look);
    assert_eq!(tables(&path), before);
    take(&Store::open(&path).unwrap(), dir.path(), package(2));
    assert_eq!(crate::store::seal(&path, Options::from_env().unwrap()).unwrap().partials, 0);
}
