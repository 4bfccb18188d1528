//! Locks: from the spec to the file, and back.

use std::fs;

use serde_json::json;

use super::bundle::mirror;
use super::cache::json_of;
use super::folders::World;
use crate::support::deb::Deb;
use crate::support::keys::TestKey;
use crate::support::repository::Repository;

pub(super) fn world() -> World {
    let world = World::new();
    world.spec("zstd", "  []");
    world
}

/// The mirror goes on: `udev` has a newer version.
pub(super) fn go_on(world: &World) {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let key = TestKey::new(1);
    let mut tree = mirror(&key);
    tree.extend(Repository::new("bookworm-updates").dated(now, 7).with(Deb::new("udev", "2.0")).build(&key));
    world.server.replace(tree);
}

#[test]
fn a_lock_has_every_package_and_stays_until_the_spec_wants_others() {
    let world = world();
    let (status, out, err) = world.run_online(&["lock", "spec.yml"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("+ zstd 1.0\n") && out.lines().count() == 23, "{out}");
    assert!(err.contains("wrote spec.yml.lock: 23 packages, 23 changes"), "{err}");
    let text = fs::read_to_string(world.path("spec.yml.lock")).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("package ")).count(), 23);
    assert!(text.contains("wants zstd\n") && text.contains("package zstd 1.0 amd64 debian "), "{text}");

    let (status, out, err) = world.run_online(&["lock", "spec.yml", "--json"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(json_of(&out), json!({"path": "spec.yml.lock", "packages": 23, "written": false, "changes": []}));
    assert_eq!(fs::read_to_string(world.path("spec.yml.lock")).unwrap(), text);
    // What the store has is enough.
    let (status, _, err) = world.run(&["lock", "spec.yml", "--offline", "--diff"]);
    assert_eq!((status, err.contains("nothing changes")), (0, true), "{err}");
}

#[test]
fn a_difference_is_shown_and_nothing_is_written() {
    let world = world();
    let (status, out, err) = world.run_online(&["lock", "spec.yml", "--diff"]);
    assert_eq!((status, out.lines().count()), (1, 23), "{err}");
    assert!(!world.path("spec.yml.lock").exists());
}

#[test]
fn a_lock_that_is_missing_broken_or_of_another_spec_builds_nothing() {
    let world = world();
    let build = || world.run(&["build", "spec.yml", "--locked", "--offline", "-o", "out"]);
    let (status, _, err) = build();
    assert_eq!(status, 2);
    assert!(err.contains("the lock spec.yml.lock is not there") && err.contains("image-composer lock spec.yml\n"), "{err}");

    assert_eq!(world.run_online(&["lock", "spec.yml"]).0, 0);
    let text = fs::read_to_string(world.path("spec.yml.lock")).unwrap();
    fs::write(world.path("spec.yml.lock"), text.replacen("pool/", "../", 1)).unwrap();
    let (status, _, err) = build();
    assert_eq!(status, 2);
    assert!(err.contains("the lock spec.yml.lock cannot be used: line ") && err.contains("leads out of the archive"), "{err}");
    let (status, _, err) = world.run_online(&["lock", "spec.yml", "--upgrade"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(fs::read_to_string(world.path("spec.yml.lock")).unwrap(), text);

    world.spec("vim", "  []");
    let (status, _, err) = build();
    assert_eq!(status, 2);
    assert!(err.contains("was made for other packages: it lacks vim") && err.contains("image-composer lock spec.yml"), "{err}");
    world.spec("zstd", "  []");
    let (status, _, err) = world.run_online(&["lock", "spec.yml", "--upgrade", "nothing"]);
    assert_eq!(status, 2);
    assert!(err.contains("the lock has no package “nothing”"), "{err}");
}

#[test]
fn offline_nobody_is_asked_for_what_a_lock_names() {
    let world = world();
    assert_eq!(world.run_online(&["lock", "spec.yml"]).0, 0);
    let mirror = |archive: &str| format!("  {archive}: ['{}']\n", world.server.url());
    let config = format!("mirrors:\n{}{}", mirror("debian"), mirror("debian-security"));
    fs::write(world.path("mirrors.yaml"), config).unwrap();
    let before = world.server.asked().len();
    for words in [&["fetch", "spec.yml"][..], &["build", "spec.yml", "-o", "out"]] {
        let (status, _, err) = world.run(&[words, &["--locked", "--offline", "--config", "mirrors.yaml"]].concat());
        assert_eq!(status, 3, "{err}");
        assert!(err.contains("23 of 23 packages are not in the store"), "{err}");
    }
    assert_eq!(world.server.asked().len(), before);
}

#[test]
fn a_cache_that_is_off_is_not_looked_into() {
    let world = world();
    fs::write(world.path("off.yaml"), "storage: {package_cache: {enabled: false}}\n").unwrap();
    let (status, out, err) = world.run_online(&["lock", "spec.yml", "--config", "off.yaml"]);
    assert_eq!((status, out.lines().count()), (0, 23), "{err}");
    assert!(!world.path("store").exists());
}

#[test]
fn versions_stay_until_they_are_renewed() {
    let world = world();
    assert_eq!(world.run_online(&["lock", "spec.yml"]).0, 0);
    let key = TestKey::new(1);
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let newer = ["zstd", "kmod"].iter().fold(Repository::new("bookworm-updates").dated(now, 7), |suite, name| suite.with(Deb::new(name, "2.0")));
    let mut tree = mirror(&key);
    tree.extend(newer.build(&key));
    world.server.replace(tree);

    let changes = |words: &[&str]| {
        let (_, out, err) = world.run_online(words);
        (out, err)
    };
    assert_eq!(changes(&["lock", "spec.yml", "--diff"]).0, "");
    assert_eq!(changes(&["lock", "spec.yml", "--upgrade", "--diff"]).0, "~ kmod 1.0 -> 2.0\n~ zstd 1.0 -> 2.0\n");
    let (out, err) = changes(&["lock", "spec.yml", "--upgrade", "zstd"]);
    assert_eq!(out, "~ zstd 1.0 -> 2.0\n", "{err}");
    let text = fs::read_to_string(world.path("spec.yml.lock")).unwrap();
    assert!(text.contains("package zstd 2.0 ") && text.contains("package kmod 1.0 "), "{text}");
}

#[test]
fn a_later_list_of_the_same_packages_is_no_other_lock() {
    let world = world();
    assert_eq!(world.run_online(&["lock", "spec.yml"]).0, 0);
    let before = fs::read_to_string(world.path("spec.yml.lock")).unwrap();
    let key = TestKey::new(1);
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut tree = mirror(&key);
    tree.extend(Repository::new("bookworm-updates").dated(now, 7).build(&key));
    world.server.replace(tree);
    let (status, out, err) = world.run_online(&["lock", "spec.yml", "--json"]);
    assert_eq!((status, json_of(&out)["written"].clone()), (0, json!(false)), "{err}");
    assert_eq!(fs::read_to_string(world.path("spec.yml.lock")).unwrap(), before);
}

#[test]
fn exactly_the_packages_of_a_lock_are_fetched_and_carried() {
    let world = world();
    assert_eq!(world.run_online(&["lock", "spec.yml"]).0, 0);
    let text = fs::read_to_string(world.path("spec.yml.lock")).unwrap();
    // A lock that has one package less, as for the spec it is made for: what is fetched is what it names, not what the repositories have.
    let line = text.lines().find(|line| line.starts_with("package udev ")).unwrap();
    fs::write(world.path("spec.yml.lock"), text.replace(&format!("{line}\n"), "")).unwrap();
    world.server.forget();
    let (status, out, err) = world.run_online(&["fetch", "spec.yml", "--locked", "--json"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(json_of(&out)["specs"][0]["packages"]["total"], json!(22));
    let asked = world.server.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.path.starts_with("pool/")), "{asked:?}");
    assert!(asked.iter().all(|asked| !asked.path.contains("udev")), "{asked:?}");

    let (status, out, err) = world.run(&["cache", "export", "--bundle", "lock.bundle", "--spec", "spec.yml", "--locked", "--json"]);
    assert_eq!(status, 0, "{err}");
    let bundle = json_of(&out);
    assert_eq!((&bundle["packages"], &bundle["metadata"]), (&json!(22), &json!(0)));
    let (status, out, err) = world.run_online(&["fetch", "spec.yml", "--json"]);
    assert_eq!((status, json_of(&out)["specs"][0]["packages"]["fetched"].clone()), (0, json!(1)), "{err}");
    let (_, out, _) = world.run(&["cache", "export", "--bundle", "all.bundle", "--spec", "spec.yml", "--json"]);
    assert_eq!(json_of(&out)["packages"], json!(23));

    fs::remove_file(world.path("spec.yml.lock")).unwrap();
    for words in [&["fetch", "spec.yml", "--locked"][..], &["cache", "export", "--bundle", "no.bundle", "--spec", "spec.yml", "--locked"]] {
        let (status, _, err) = world.run(words);
        assert!(status != 0 && err.contains("spec.yml.lock is not there"), "{err}");
    }
    assert_eq!(world.run(&["cache", "export", "--bundle", "no.bundle", "--all", "--locked"]).0, 2);
}
