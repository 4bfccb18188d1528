//! Builds that the image cache serves: with bills, with a lock, and refreshed.

use std::fs;
use std::time::Duration;

use image_composer::build::{Annotations, locked_key};
use image_composer::cache::{ImageCache, NewImage, SpecHash};
use image_composer::format::cbor;
use image_composer::progress::{Cancel, Silent};
use image_composer::resolve::LockFile;
use image_composer::spec;
use image_composer::store::Store;
use serde_json::json;

use super::bundle::trust;
use super::cache::json_of;
use super::lock::{go_on, world};
use crate::support::keys::TestKey;
use crate::support::program::run;

/// A world whose `spec.yml` has a lock, and an image of these packages under the key that `key` makes of the spec's hash.
fn kept(key: impl Fn(SpecHash, &LockFile) -> SpecHash) -> super::folders::World {
    kept_as_signed_by(&[], key)
}

/// The same with an image that says which keys signed the lists of packages.
fn kept_as_signed_by(keys: &[&TestKey], key: impl Fn(SpecHash, &LockFile) -> SpecHash) -> super::folders::World {
    let world = world();
    let (status, _, err) = world.run_online(&["lock", "spec.yml"]);
    assert_eq!(status, 0, "{err}");
    let loaded = spec::load(&world.path("spec.yml")).unwrap();
    let mut file = LockFile::parse(&fs::read_to_string(world.path("spec.yml.lock")).unwrap()).unwrap();
    file.lock.releases.iter_mut().for_each(|release| release.keys = keys.iter().map(|key| key.fingerprint()).collect());
    let annotations = Annotations { inputs: loaded.inputs(None), builder: Some("0.1.0".to_owned()), ..Annotations::default() };
    let new = NewImage {
        name: "a".to_owned(),
        version: "1".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: serde_json::to_vec(&annotations).unwrap(),
        lock: cbor::encode(&file.lock).unwrap(),
        build_time: Duration::ZERO,
        source_date: 1_795_162_530,
        releases: Vec::new(),
        imported: None,
    };
    fs::write(world.path("raw"), "disk").unwrap();
    let store = Store::open(&world.path("store")).unwrap();
    ImageCache::new(&store).insert(&key(loaded.hash(None), &file), &new, &world.path("raw"), &Silent, &Cancel::default()).unwrap();
    world
}

#[test]
fn packages_of_an_image_without_a_database_are_those_that_are_kept_with_it() {
    let world = kept(|hash, _| hash);
    let (_, out, _) = world.run(&["cache", "list", "--json"]);
    let id = json_of(&out)["images"][0]["spec_hash"].as_str().unwrap()[..12].to_owned();
    let (status, out, err) = world.run(&["inspect", &id, "--json"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let packages = &json_of(&out)["packages"];
    assert_eq!((&packages["source"], packages["list"].as_array().unwrap().len()), (&json!("record"), 23));
    let (_, out, _) = world.run(&["inspect", &id]);
    assert!(out.contains("packages 23 (by what is kept with the image)"), "{out}");
    let (status, out, err) = world.run(&["diff", &id, "raw", "--json"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!((&json_of(&out)["same"], &json_of(&out)["packages"]), (&json!(true), &json!(null)), "nobody knows those of the file");
}

#[test]
fn bills_are_written_beside_the_image_and_printed_the_same() {
    let world = kept(|hash, _| hash);
    let words = ["build", "spec.yml", "--offline", "-o", "out", "--sbom", "spdx", "--sbom", "cyclonedx", "--sbom", "provenance"];
    let (status, out, err) = world.run(&words);
    assert_eq!(status, 0, "{err}");
    assert_eq!(out, "out/a-1.raw\nout/a-1.spdx.json\nout/a-1.cdx.json\nout/a-1.provenance.json\n");
    let (_, out, _) = world.run(&["cache", "list", "--json"]);
    let id = json_of(&out)["images"][0]["spec_hash"].as_str().unwrap()[..12].to_owned();
    for (bill, file) in [("spdx", "a-1.spdx.json"), ("cyclonedx", "a-1.cdx.json"), ("provenance", "a-1.provenance.json")] {
        let (status, out, err) = world.run(&["cache", "info", &id, "--sbom", bill]);
        assert_eq!((status, err.as_str()), (0, ""));
        assert_eq!(out, fs::read_to_string(world.path("out").join(file)).unwrap());
    }
    let spdx = json_of(&fs::read_to_string(world.path("out/a-1.spdx.json")).unwrap());
    assert_eq!(spdx["packages"].as_array().unwrap().len(), 24);
    assert_eq!((&spdx["spdxVersion"], &spdx["creationInfo"]["created"]), (&json!("SPDX-2.3"), &json!("2026-11-20T08:15:30Z")));

    for switch in ["--no-cache", "--no-image-cache"] {
        assert_eq!(world.run(&["build", "spec.yml", switch, "--sbom", "spdx"]).0, 2);
    }
}

#[test]
fn what_is_in_an_imported_image_is_not_known() {
    let home = tempfile::tempdir().unwrap();
    let raw = home.path().join("disk.raw");
    fs::write(&raw, vec![7; 1 << 20]).unwrap();
    let id = run(home.path(), &["cache", "import", raw.to_str().unwrap()]).1;
    let (status, out, err) = run(home.path(), &["cache", "info", id.trim(), "--sbom", "spdx"]);
    assert_eq!((status, out.as_str()), (3, ""));
    assert!(err.contains("is not known: it was imported, not built here"), "{err}");
}

#[test]
fn an_image_is_served_for_its_own_lock_alone() {
    let world = kept(locked_key);
    let (status, out, err) = world.run(&["build", "spec.yml", "--offline", "--locked", "-o", "out"]);
    assert_eq!((status, out.as_str()), (0, "out/a-1.raw\n"), "{err}");
    let log = |words: &[&str]| {
        let (status, _, err) = world.run(&[&["build", "spec.yml", "--offline", "-o", "out", "--log-file", "log"], words].concat());
        assert_ne!(status, 0, "{err}");
        fs::read_to_string(world.path("log")).unwrap()
    };
    assert!(log(&[]).contains("image cache: no hit: there was no image of this spec"));
    let text = fs::read_to_string(world.path("spec.yml.lock")).unwrap();
    fs::write(world.path("spec.yml.lock"), text.replace("package udev 1.0", "package udev 1.1")).unwrap();
    let log = log(&["--locked"]);
    assert!(log.contains("has another the lock: "), "{log}");
}

#[test]
fn a_refreshed_image_is_served_as_long_as_its_packages_are_current() {
    let world = kept(|hash, _| hash);
    let (status, out, err) = world.run_online(&["build", "spec.yml", "--refresh", "-o", "out"]);
    assert_eq!((status, out.as_str()), (0, "out/a-1.raw\n"), "{err}");
    assert!(world.server.given("dists/bookworm/InRelease") + world.server.asked().len() > 0, "the repositories were asked");
    go_on(&world);
    world.server.forget();
    // What the mirror has now is no system, so that the build that begins comes to no end.
    let (status, out, err) = world.run_online(&["build", "spec.yml", "--refresh", "-o", "out", "--log-file", "log"]);
    assert!(status != 0 && out.is_empty(), "{err}");
    let log = fs::read_to_string(world.path("log")).unwrap();
    assert!(log.contains("refresh: udev 1.0 is 2.0 now"), "{log}");
    assert!(log.contains("image cache: no hit: the repositories have other packages than the kept image"), "{log}");
    let asked = world.server.asked().iter().filter(|asked| asked.path == "dists/bookworm/InRelease").count();
    assert_eq!(asked, 1, "the packages that were chosen for the question are those of the build");
    for other in ["--rebuild", "--offline", "--locked"] {
        assert_eq!(world.run(&["build", "spec.yml", "--refresh", other]).0, 2);
    }
}

#[test]
fn an_image_is_served_as_long_as_one_of_the_keys_is_believed_that_it_rests_on() {
    let (key, other, third) = (TestKey::new(1), TestKey::new(2), TestKey::new(3));
    let world = kept_as_signed_by(&[&key, &other], |hash, _| hash);
    let build = || world.run(&["build", "spec.yml", "--offline", "-o", "out", "--log-file", "log"]);
    assert_eq!(build().0, 0);
    let (_, out, _) = world.run(&["cache", "list", "--json"]);
    let id = json_of(&out)["images"][0]["spec_hash"].as_str().unwrap()[..12].to_owned();
    let (_, out, _) = world.run(&["cache", "info", &id]);
    assert!(
        out.lines().any(|line| line.starts_with("signed ") && line.contains("debian bookworm by ") && line.contains(&other.fingerprint())),
        "{out}"
    );

    trust(world.home.path(), &other);
    assert_eq!(build().0, 0, "one of two is enough");
    trust(world.home.path(), &third);
    let (status, out, err) = build();
    assert!(status != 0 && out.is_empty(), "{err}");
    let log = fs::read_to_string(world.path("log")).unwrap();
    assert!(log.contains("debian bookworm was signed by ") && log.contains("which is not believed any more"), "{log}");
    assert!(log.contains("image cache: no hit: the keys that signed what the kept image was made from are not believed any more"), "{log}");
    fs::remove_file(world.path("keyring.gpg")).unwrap();
    let (status, _, err) = build();
    assert!(status != 0 && err.contains("keyring.gpg"), "{err}");
}

#[test]
fn what_was_built_by_a_lock_rests_on_the_lock() {
    let world = kept(locked_key);
    trust(world.home.path(), &TestKey::new(3));
    let (status, out, err) = world.run(&["build", "spec.yml", "--offline", "--locked", "-o", "out"]);
    assert_eq!((status, out.as_str()), (0, "out/a-1.raw\n"), "{err}");
}
