//! `cache list`, `cache info` and `cache dir`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image_composer::cache::{Coordinates, ImageCache, NewImage, PackageCache, ReleaseDate, SpecHash};
use image_composer::digest::{Digest, Sha256};
use image_composer::format::cbor;
use image_composer::progress::{Cancel, Silent};
use image_composer::resolve::{Lock, LockedPackage, Reason};
use image_composer::store::Store;
use serde_json::{Value, json};

use crate::support::program::{outcome, program, run};

pub(super) fn json_of(out: &str) -> Value {
    serde_json::from_str(out).unwrap()
}

#[test]
fn a_store_that_is_not_there_is_empty_and_is_not_made() {
    let home = tempfile::tempdir().unwrap();
    let (status, out, err) = run(home.path(), &["cache", "list"]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "", "no images in the cache\n"));
    let (status, out, err) = run(home.path(), &["cache", "list", "--json"]);
    assert_eq!((status, json_of(&out), err.as_str()), (0, json!({"images": [], "damaged": []}), ""));
    let (status, out, err) = run(home.path(), &["cache", "info", "3f9a"]);
    assert_eq!((status, out.as_str()), (3, ""));
    assert!(err.starts_with("error: no image in the cache has the id “3f9a”\nhint: "), "{err}");
    assert!(!home.path().join("store").exists());
    fs::create_dir(home.path().join("store")).unwrap();
    assert_eq!(run(home.path(), &["cache", "list"]).0, 0);
    assert_eq!(fs::read_dir(home.path().join("store")).unwrap().count(), 0, "an empty folder stays empty");
}

#[test]
fn an_empty_store_has_no_images() {
    let home = tempfile::tempdir().unwrap();
    drop(Store::open(&home.path().join("store")).unwrap());
    assert_eq!(json_of(&run(home.path(), &["cache", "list", "--json"]).1), json!({"images": [], "damaged": []}));
    for id in ["", "3f9a", "minimal", "../..", &"f".repeat(64), &"f".repeat(65), "“é”"] {
        let (status, out, err) = run(home.path(), &["cache", "info", id, "--json"]);
        assert_eq!((status, out.as_str()), (3, ""), "{id}: {err}");
    }
}

#[test]
fn the_folder_of_the_store_is_the_flags_then_the_environments() {
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join("store");
    let line = |path: &Path| format!("{}\n", path.display());
    assert_eq!(run(home.path(), &["cache", "dir"]), (0, line(&store), String::new()));
    assert_eq!(run(home.path(), &["--store", "/elsewhere", "cache", "dir"]).1, "/elsewhere\n");
    let relative = outcome(program(home.path(), &["cache", "dir", "--store", "here"]).current_dir(home.path())).1;
    assert!(relative.ends_with("/here\n") && relative.starts_with('/'), "{relative}");

    let (status, out, _) = run(home.path(), &["cache", "dir", "--json"]);
    assert_eq!((status, json_of(&out)), (0, json!({"path": store.to_str().unwrap(), "exists": false})));
}

#[test]
fn what_has_no_effect_is_said() {
    let home = tempfile::tempdir().unwrap();
    let with = |quiet: &[&str]| outcome(program(home.path(), &[&["cache", "dir"], quiet].concat()).env("IMAGE_COMPOSER_STOER", "/x"));
    let (status, out, err) = with(&[]);
    assert_eq!((status, out), (0, format!("{}\n", home.path().join("store").display())));
    assert!(err.starts_with("warning: the variable IMAGE_COMPOSER_STOER is not known") && err.contains("IMAGE_COMPOSER_STORE?"), "{err}");
    assert_eq!(with(&["-q"]).2, "");
}

#[test]
fn the_time_limit_for_other_processes_is_checked() {
    let home = tempfile::tempdir().unwrap();
    drop(Store::open(&home.path().join("store")).unwrap());
    let (status, _, err) = outcome(program(home.path(), &["cache", "list"]).env("IMAGE_COMPOSER_LOCK_TIMEOUT", "soon"));
    assert_eq!(status, 2);
    assert!(err.starts_with("error: IMAGE_COMPOSER_LOCK_TIMEOUT is “soon”") && err.contains("\nhint: "), "{err}");
}

/// The image `server` has a log, as one that was built here does; `minimal` was kept by an older version.
fn annotations(name: &str) -> Vec<u8> {
    match name {
        "server" => br#"{"inputs": {}, "phases": [{"phase": "download", "millis": 1500}], "log": "     0.000  one\u001b[2J\n"}"#.to_vec(),
        _ => br#"{"image": {"name": "minimal"}}"#.to_vec(),
    }
}

#[test]
fn the_log_of_a_build_is_kept() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    assert_eq!(run(home.path(), &["cache", "info", "3f9b", "--log"]), (0, "     0.000  one\\u{1b}[2J\n".to_owned(), String::new()));
    let (status, out, err) = run(home.path(), &["cache", "info", "3f9a", "--log"]);
    assert_eq!((status, out.as_str()), (3, ""));
    assert!(err.starts_with("error: the image 3f9a00000000 has no log\nhint: it was kept by an older version"), "{err}");
}

/// A store with two images, whose ids begin with 3f9a and 3f9b, and with one package each.
pub(super) fn keep_two_images(home: &Path) {
    let raw = home.join("raw");
    fs::write(&raw, vec![7; 1 << 20]).unwrap();
    let package = LockedPackage {
        coordinates: Coordinates::new("libc6", "2.36-9", "amd64", "debian").unwrap(),
        sha256: Sha256::of(b"libc6"),
        size: 2 << 20,
        filename: "pool/libc6.deb".to_owned(),
        installed_size: 12 << 20,
        essential: false,
        reason: Reason::Wanted,
    };
    let lock = Lock { packages: vec![package], releases: Vec::new() };
    let store = Store::open(&home.join("store")).unwrap();
    for (name, second) in [("minimal", 0x9a), ("server", 0x9b)] {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&[0x3f, second]);
        let new = NewImage {
            name: name.to_owned(),
            version: "1.0".to_owned(),
            dist: "debian12".to_owned(),
            arch: "x86_64".to_owned(),
            annotations: annotations(name),
            lock: cbor::encode(&lock).unwrap(),
            build_time: Duration::from_secs(34),
            source_date: 1_700_000_000,
            releases: vec![ReleaseDate { archive: "debian".to_owned(), suite: "bookworm".to_owned(), date: 1_700_000_000 }],
            imported: None,
        };
        let spec = SpecHash::from(Digest::from_bytes(id));
        ImageCache::new(&store).insert(&spec, &new, &raw, &Silent, &Cancel::default()).unwrap();
    }
}

#[test]
fn kept_images_are_listed() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let (status, out, err) = run(home.path(), &["cache", "list"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let mut rows: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    rows.sort_unstable();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0][..4], [format!("3f9a{}", "0".repeat(60)).as_str(), "minimal", "1.0", "1048576"]);
    assert_eq!((rows[0].len(), rows[0][7], rows[0][8]), (9, "0", "-"));

    let images = json_of(&run(home.path(), &["cache", "list", "--json"]).1);
    assert_eq!(images["images"].as_array().unwrap().len(), 2);
}

#[test]
fn an_image_is_found_by_how_its_id_begins() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let (status, out, err) = run(home.path(), &["cache", "info", "3F9A"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with("id        3f9a0000") && out.contains("\nname      minimal\n"), "{out}");
    assert!(out.contains("\npackages  1 in 2.00 MiB\nmetadata  debian bookworm of 2023-11-14T22:13:20Z\n"), "{out}");

    let (status, out, err) = run(home.path(), &["cache", "info", "3f9b", "--json"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let image = json_of(&out);
    assert_eq!((&image["name"], &image["size"], &image["packages"][0]["name"]), (&json!("server"), &json!(1 << 20), &json!("libc6")));

    let (status, out, err) = run(home.path(), &["cache", "info", "3f9"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.starts_with("error: “3f9” may mean any of 2 images:\n  3f9a000"), "{err}");

    let (status, _, err) = run(home.path(), &["cache", "info", "server"]);
    assert_eq!(status, 3);
    assert!(err.ends_with("hint: the image server 1.0 has the id 3f9b00000000\n"), "{err}");
}

#[test]
fn a_damaged_list_of_packages_is_told_and_the_rest_shown() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let lock = {
        let store = Store::open(&home.path().join("store")).unwrap();
        store.blob_path(&ImageCache::new(&store).list().unwrap()[0].lock)
    };
    fs::remove_file(lock).unwrap();
    let (status, out, err) = run(home.path(), &["cache", "info", "3f9a", "--json"]);
    assert_eq!((status, &json_of(&out)["packages"]), (0, &Value::Null));
    assert!(err.starts_with("warning: ") && err.contains("is missing"), "{err}");
}

#[test]
fn lists_are_sorted_and_chosen_from() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    {
        let store = Store::open(&home.path().join("store")).unwrap();
        for (name, bytes) in [("bash", b"1234".as_slice()), ("zsh", b"12"), ("apt", b"123")] {
            let coordinates = Coordinates::new(name, "1", "amd64", "debian").unwrap();
            PackageCache::new(&store).insert(&coordinates, &Sha256::of(bytes), &mut &*bytes).unwrap();
        }
    }
    let names = |arguments: &[&str], column: usize| {
        let (status, out, err) = run(home.path(), &[&["cache", "list"], arguments].concat());
        assert_eq!((status, err.as_str()), (0, ""), "{arguments:?}");
        out.lines().map(|line| line.split('\t').nth(column).unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["--sort", "name"], 1), "minimal server");
    assert_eq!(names(&["--sort", "name:reverse"], 1), "server minimal");
    assert_eq!(names(&["--packages"], 0), "apt bash zsh");
    assert_eq!(names(&["--packages", "--sort", "size"], 0), "bash apt zsh");
    assert_eq!(names(&["--packages", "--sort", "size:reverse"], 0), "zsh apt bash");
    assert_eq!(run(home.path(), &["cache", "pin", "zsh", "3f9b"]).0, 0);
    assert_eq!(names(&["--pinned"], 1), "server");
    assert_eq!(names(&["--packages", "--pinned"], 0), "zsh");

    let packages = json_of(&run(home.path(), &["cache", "list", "--packages", "--json"]).1);
    let zsh = &packages["packages"][2];
    assert_eq!(
        (&zsh["name"], &zsh["repository"], &zsh["size"], &zsh["uses"], &zsh["pinned"]),
        (&json!("zsh"), &json!("debian"), &json!(2), &json!(0), &json!(true))
    );
    for arguments in [["--sort", "siez"].as_slice(), &["--sort", "size:up"], &["--sort", "repository"], &["--packages", "--sort", "built"]] {
        assert_eq!(run(home.path(), &[&["cache", "list"], arguments].concat()).0, 2, "{arguments:?}");
    }
}

#[test]
fn what_images_share_is_told() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let image = json_of(&run(home.path(), &["cache", "info", "3f9b", "--json"]).1);
    let chunks = &image["chunks"];
    assert!(chunks["total"].as_u64().unwrap() > 0, "{chunks}");
    assert_eq!(
        (&chunks["own"], &chunks["shared_with"][0]["name"], &chunks["shared_with"][0]["bytes"]),
        (&json!(0), &json!("minimal"), &chunks["total"])
    );
    assert_eq!(image["phases"], json!([{"phase": "download", "seconds": 1.5}]));
    let older = json_of(&run(home.path(), &["cache", "info", "3f9a", "--json"]).1);
    assert_eq!((&older["spec"]["image"]["name"], &older["phases"]), (&json!("minimal"), &json!([])));
}

#[test]
fn a_damaged_image_is_told_unpinned_and_removed_by_its_id() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let command = |arguments: &[&str]| run(home.path(), arguments);
    assert_eq!(command(&["cache", "pin", "3f9a"]).0, 0);
    fs::remove_dir_all(home.path().join("store/packs")).unwrap();
    let file = home.path().join("out.raw");
    assert_eq!(command(&["cache", "export", "3f9a", file.to_str().unwrap()]).0, 4);

    let (_, out, err) = command(&["cache", "list"]);
    assert!(
        !out.contains("minimal") && err.contains("3f9a00000000 minimal 1.0 is damaged and is not served; “image-composer cache clean 3f9a00000000”"),
        "{err}"
    );
    let damaged = |out: &str| json_of(out)["damaged"].as_array().unwrap().len();
    assert_eq!(damaged(&command(&["cache", "list", "--json"]).1), 1);
    assert_eq!(command(&["cache", "clean", "3f9a"]).0, 0);
    assert_eq!(damaged(&command(&["cache", "list", "--json"]).1), 1, "what is pinned stays");
    let (status, _, err) = command(&["cache", "unpin", "3f9a"]);
    assert_eq!((status, err.as_str()), (0, "unpinned 3f9a00000000, minimal 1.0\n"));
    let (status, out, _) = command(&["cache", "clean", "3f9a", "--json"]);
    assert_eq!((status, &json_of(&out)["images"]["count"]), (0, &Value::Null), "{out}");
    assert_eq!(damaged(&command(&["cache", "list", "--json"]).1), 0);
    let (status, _, err) = command(&["cache", "clean", "3f9a"]);
    assert_eq!(status, 3, "{err}");
    assert_eq!(command(&["cache", "clean", "3f9b", "--all"]).0, 2);
    assert_eq!(command(&["cache", "clean"]).0, 2);
}
