//! `cache verify`: one flipped bit in any file is found, told by the name of what it belongs to, and mended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image_composer::cache::verify::{Owner, Verification, verify};
use image_composer::cache::{Coordinates, ImageCache, MetadataAttributes, MetadataCache, NewImage, PackageCache, SpecHash};
use image_composer::digest::{Digest, Sha256};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::{Object, Options, Output, Store};
use serde_json::json;

use super::cache::json_of;
use crate::support::program::{outcome, program, run};

/// Bytes that do not compress.
fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn package(name: &str, repository: &str) -> Coordinates {
    Coordinates::new(name, "1.0", "amd64", repository).unwrap()
}

fn put_packages(store: &Store) {
    let cache = PackageCache::new(store);
    for (name, repository, seed) in [("a", "debian", 1), ("a", "security", 1), ("b", "debian", 2)] {
        let bytes = noise(20_000, seed);
        cache.insert(&package(name, repository), &Sha256::of(&bytes), &mut bytes.as_slice()).unwrap();
    }
    MetadataCache::new(store).insert("debian", "dists/x/InRelease", b"Suite: x", &MetadataAttributes::default()).unwrap();
}

fn put_image(store: &Store, home: &Path, seed: u8) {
    let raw = home.join(format!("{seed}.raw"));
    fs::write(&raw, [noise(200_000, 100), noise(200_000, seed), vec![0; 1 << 20]].concat()).unwrap();
    let new = NewImage {
        name: format!("image{seed}"),
        version: "1.0".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: vec![seed],
        lock: b"lock".to_vec(),
        build_time: Duration::from_secs(34),
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    ImageCache::new(store).insert(&SpecHash::from(Digest::of(&[seed])), &new, &raw, &Silent, &Cancel::default()).unwrap();
}

/// A closed store with everything in it.
pub(super) fn filled(home: &Path) -> PathBuf {
    let dir = home.join("store");
    let store = Store::open(&dir).unwrap();
    put_packages(&store);
    put_image(&store, home, 3);
    put_image(&store, home, 4);
    dir
}

pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files.extend(self::files(&entry)) } else { files.push(entry) }
    }
    files.sort();
    files
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let to = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &to);
        } else {
            fs::copy(&entry, &to).unwrap();
        }
    }
}

pub(super) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn check(dir: &Path, repair: bool) -> Verification {
    verify(&Store::open(dir).unwrap(), repair, &Silent, &Cancel::default()).unwrap()
}

#[test]
fn a_whole_store_is_found_whole_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    for repair in [false, true, false] {
        let found = check(&dir, repair);
        let findings = &found.findings;
        assert!(!findings.is_damaged() && findings.orphans.is_empty() && findings.unwritten.is_empty(), "{findings:?}");
        assert_eq!((findings.checked.packs, findings.checked.blobs), (2, 11));
        assert!(findings.checked.chunks > 2 && findings.checked.bytes > 450_000);
        assert_eq!(
            found.repaired.map(|repaired| format!("{repaired:?}")),
            repair.then(|| format!("{:?}", image_composer::store::Repaired::default()))
        );
    }
    let looking = Store::open_with(&dir, Options { look_only: true, ..Options::from_env().unwrap() }).unwrap();
    assert!(!verify(&looking, false, &Silent, &Cancel::default()).unwrap().findings.is_damaged());
    assert!(verify(&looking, true, &Silent, &Cancel::default()).is_err());
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(verify(&looking, false, &Silent, &cancel).is_err());
}

/// Everything that the store should have can be asked for, or is a miss; nothing wrong comes out. What is missing is put in again.
fn use_all(dir: &Path, home: &Path) {
    let store = Store::open(dir).unwrap();
    let (images, out) = (ImageCache::new(&store), home.join("out"));
    for seed in [3, 4] {
        if let Some(image) = images.lookup(&SpecHash::from(Digest::of(&[seed]))).unwrap() {
            images
                .write_to(&image, Output { file: &fs::File::create(&out).unwrap(), path: &out, stays: false }, &Silent, &Cancel::default())
                .unwrap();
            assert!(fs::read(&out).unwrap() == fs::read(home.join(format!("{seed}.raw"))).unwrap());
        }
        put_image(&store, home, seed);
    }
    put_packages(&store);
}

#[test]
fn one_flipped_bit_in_any_blob_or_pack_is_found_named_and_mended() {
    let home = tempfile::tempdir().unwrap();
    let whole = filled(home.path());
    let mut found_in = Vec::new();
    for file in [files(&whole.join("blobs")), files(&whole.join("packs"))].concat() {
        let name = file.strip_prefix(&whole).unwrap();
        let len = fs::metadata(&file).unwrap().len() as usize;
        // Head, header, content, and for a pack: frame, the head of the table, the table, the trailer and its end.
        let tail: &[usize] = if name.starts_with("packs") { &[len - 49, len - 48 - 20, len - 40, len - 10] } else { &[] };
        for at in [1, 30, len / 2, len - 1].into_iter().chain(tail.iter().copied()) {
            let dir = home.path().join("damaged");
            copy(&whole, &dir);
            flip(&dir.join(name), at);
            let place = format!("{} at {at} of {len}", name.display());

            let found = check(&dir, false);
            assert!(found.findings.is_damaged(), "{place}");
            let findings = &found.findings;
            let objects = findings.damaged.len() + findings.framing.len();
            assert_eq!(objects, 1, "{place}: {findings:?}");
            assert!(found.owners.iter().all(|owners| !owners.is_empty()), "{place}: {found:?}");
            found_in.extend(found.owners.into_iter().flatten().map(|owner| match owner {
                Owner::Package(name) => name.to_string(),
                Owner::Metadata { path, .. } => path,
                Owner::Image(image) => format!("{} {}", image.name.map_or("?".to_owned(), |(name, _)| name), image.disk_is_whole),
            }));
            assert!(files(&dir.join("quarantine")).is_empty(), "nothing is changed without --repair");

            let mended = check(&dir, true);
            let repaired = mended.repaired.unwrap();
            assert_eq!(repaired.given_up + repaired.corrected, 1, "{place}: {repaired:?}");
            let again = check(&dir, false).findings;
            assert!(!again.is_damaged(), "{place}: {again:?}");
            assert!(again.known_lost == 0 || repaired.given_up > 0, "{place}: {again:?}");
            use_all(&dir, home.path());
            let last = check(&dir, false).findings;
            assert!(!last.is_damaged() && last.known_lost == 0, "{place}: {last:?}");
            fs::remove_dir_all(&dir).unwrap();
        }
    }
    found_in.sort();
    found_in.dedup();
    let expected = [
        "? false",
        "a=1.0:amd64 (debian)",
        "a=1.0:amd64 (security)",
        "b=1.0:amd64 (debian)",
        "dists/x/InRelease",
        "image3 false",
        "image3 true",
        "image4 false",
        "image4 true",
    ];
    assert_eq!(found_in, expected);
}

#[test]
fn a_pack_that_is_wrong_around_its_chunks_loses_none() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let pack = files(&dir.join("packs")).remove(0);
    let before = fs::read(&pack).unwrap();
    // Table and trailer: all that says where the chunks are.
    for range in [before.len() - 60..before.len() - 50, before.len() - 48..before.len(), 0..16] {
        let mut bytes = before.clone();
        bytes[range].fill(0xff);
        fs::write(&pack, &bytes).unwrap();
        let found = check(&dir, true);
        assert_eq!((found.findings.framing.len(), found.findings.damaged.len(), found.repaired.unwrap().given_up), (1, 0, 0));
        assert!(fs::read(&pack).unwrap() == before, "the same pack again");
    }
}

#[test]
fn missing_and_shortened_files_are_found() {
    let home = tempfile::tempdir().unwrap();
    let whole = filled(home.path());
    for file in [files(&whole.join("blobs")), files(&whole.join("packs"))].concat() {
        let dir = home.path().join("damaged");
        for len in [None, Some(0), Some(100)] {
            copy(&whole, &dir);
            let file = dir.join(file.strip_prefix(&whole).unwrap());
            match len {
                None => fs::remove_file(&file).unwrap(),
                Some(len) => fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(len).unwrap(),
            }
            let found = check(&dir, true).findings;
            assert_eq!(found.damaged.len(), 1, "{} {len:?}: {found:?}", file.display());
            assert!(!check(&dir, false).findings.is_damaged());
            use_all(&dir, home.path());
            let last = check(&dir, false).findings;
            assert!(!last.is_damaged() && last.known_lost == 0, "{} {len:?}: {last:?}", file.display());
            fs::remove_dir_all(&dir).unwrap();
        }
    }
}

#[test]
fn files_that_nothing_knows_are_told_and_taken_away_and_strangers_stay() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let orphan = dir.join(format!("packs/{}.pack", Digest::of(b"orphan")));
    let stranger = dir.join("blobs/notes.txt");
    fs::write(&orphan, "left by a crash").unwrap();
    fs::write(&stranger, "mine").unwrap();
    let (status, out, err) = run(home.path(), &["cache", "verify"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(out, format!("orphan: {}, 15 B\nnot of a store: {}\n", orphan.display(), stranger.display()));
    assert!(orphan.exists());
    let (status, _, err) = run(home.path(), &["cache", "verify", "--repair"]);
    assert!(status == 0 && err.contains("repair: 1 orphans removed, 15 B freed"), "{err}");
    assert!(!orphan.exists() && stranger.exists());
}

#[test]
fn damage_ends_with_status_4_and_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let path = {
        let bytes = noise(20_000, 2);
        PackageCache::new(&Store::open(&dir).unwrap()).lookup(&package("b", "debian"), &Sha256::of(&bytes)).unwrap().unwrap().path
    };
    flip(&path, 10_000);
    let (status, out, err) = run(home.path(), &["cache", "verify"]);
    assert_eq!(status, 4, "{err}");
    assert!(out.starts_with(&format!("damaged: {}: ", path.display())), "{out}");
    assert!(out.ends_with("\n  b=1.0:amd64 (debian): the next build fetches it again\n"), "{out}");
    assert!(err.contains(": 1 damaged\n") && err.ends_with("hint: “image-composer cache verify --repair” mends what can be mended\n"), "{err}");

    let (status, out, _) = run(home.path(), &["cache", "verify", "--repair", "--json"]);
    let report = json_of(&out);
    assert_eq!((status, &report["damaged"][0]["belongs_to"][0]["name"]), (4, &json!("b=1.0:amd64 (debian)")));
    assert_eq!((&report["repaired"]["given_up"], &report["damaged"][0]["object"]), (&json!(1), &json!("blob")));
    let (status, out, _) = run(home.path(), &["cache", "verify", "--json"]);
    assert_eq!((status, &json_of(&out)["known_lost"]), (0, &json!(1)));
}

#[test]
fn a_flipped_bit_in_the_index_is_found_before_it_is_believed() {
    let home = tempfile::tempdir().unwrap();
    let whole = filled(home.path());
    let len = fs::metadata(whole.join("index.redb")).unwrap().len() as usize;
    let store = || Store::open(&home.path().join("damaged"));
    let mut found = 0;
    for step in 0..40 {
        let dir = home.path().join("damaged");
        copy(&whole, &dir);
        flip(&dir.join("index.redb"), 64 + (len - 65) / 40 * step);
        let outcome = store().map_err(image_composer::cache::Error::from).and_then(|store| verify(&store, false, &Silent, &Cancel::default()));
        match outcome {
            // A page that is not in use.
            Ok(outcome) => assert!(!outcome.findings.is_damaged(), "{step}: {outcome:?}"),
            Err(image_composer::cache::Error::Store(error)) => {
                assert!(error.is_of_index() && error.hint().unwrap().contains("rebuild-index"), "{step}: {error:?}");
                found += 1;
            }
            Err(error) => panic!("{error}"),
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(found > 0);
}

#[test]
fn what_is_damaged_is_told_by_its_kind() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let pack = files(&dir.join("packs")).remove(0);
    flip(&pack, 50_000);
    let found = check(&dir, false);
    assert!(matches!(found.findings.damaged.as_slice(), [damage] if matches!(damage.object, Object::Chunk(_))));
}

#[test]
fn a_store_with_a_broken_index_gets_a_new_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    let index = dir.join("index.redb");
    let list = run(home.path(), &["cache", "list"]).1;
    for broken in ["removed", "garbage", "cut off", "empty"] {
        let bytes = fs::read(&index).unwrap();
        match broken {
            "removed" => fs::remove_file(&index).unwrap(),
            "garbage" => fs::write(&index, [7; 5000]).unwrap(),
            "cut off" => fs::write(&index, &bytes[..bytes.len() / 3]).unwrap(),
            _ => fs::write(&index, "").unwrap(),
        }
        let (status, out, err) = run(home.path(), &["cache", "list"]);
        assert_eq!((status, out.as_str()), (4, ""), "{broken}: {err}");
        assert!(err.ends_with("hint: “image-composer cache rebuild-index” makes the index again from the files of the store\n"), "{broken}: {err}");
        let (status, out, err) = run(home.path(), &["cache", "rebuild-index"]);
        assert_eq!((status, out.as_str()), (0, ""), "{broken}: {err}");
        assert!(err.contains("the new index has 2 images, 3 packages, 1 metadata file, 11 blobs, 2 packs, "), "{broken}: {err}");
        let names = |list: &str| list.lines().map(|line| line.split('\t').take(6).collect::<String>()).collect::<Vec<_>>();
        assert_eq!(names(&run(home.path(), &["cache", "list"]).1), names(&list), "{broken}");
        assert_eq!(run(home.path(), &["cache", "verify"]).0, 0, "{broken}");
    }
    let (status, _, err) = run(home.path(), &["cache", "rebuild-index", "--store", "/nowhere/store"]);
    assert!(status == 2 && err.contains("there is no store at /nowhere/store") && err.contains("\nhint: "), "{err}");
}

#[test]
fn a_sealed_store_says_what_was_done() {
    let home = tempfile::tempdir().unwrap();
    let dir = filled(home.path());
    fs::write(dir.join("partials/half"), "half").unwrap();
    let (status, out, err) = run(home.path(), &["cache", "seal", "--json"]);
    let sealed = json_of(&out);
    assert_eq!((status, &sealed["partials"], &sealed["partial_bytes"]), (0, &json!(1), &json!(4)), "{err}");
    assert!(err.starts_with(&format!("sealed {}: 0 B of trash and 1 interrupted download (4 B) removed, index ", dir.display())), "{err}");
    let open = Store::open(&dir).unwrap();
    let (status, _, err) = run(home.path(), &["cache", "seal"]);
    assert_eq!(status, 5, "{err}");
    assert!(err.contains("is in use by process "), "{err}");
    drop(open);
    assert_eq!(run(home.path(), &["cache", "seal"]).0, 0);
}

#[test]
fn a_store_without_room_can_be_checked() {
    let home = tempfile::tempdir().unwrap();
    filled(home.path());
    let mut command = program(home.path(), &["cache", "verify"]);
    let (status, _, err) = outcome(command.env("IMAGE_COMPOSER_FAILPOINT", "store::index::copy=enospc"));
    assert!(status == 0 && err.contains("all is well"), "{err}");
}
