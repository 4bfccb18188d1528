//! Repositories that a spec says not to verify.

use std::time::SystemTime;

use image_composer::spec;
use serde_json::json;

use super::bundle::mirror;
use super::cache::json_of;
use super::folders::World;
use super::why::keep;
use crate::support::Tree;
use crate::support::deb::Deb;
use crate::support::keys::{SignOptions, TestKey};
use crate::support::repository::{Repository, Signed};

const SWITCHES: [&str; 2] = ["insecureSkipVerify: true", "pkey: \"[trusted=yes]\""];

/// A world whose server has an unsigned repository with the package `tool` beneath `/extra`, too.
fn world() -> World {
    let (world, key) = (World::new(), TestKey::new(1));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let extra = Repository::new("stable").dated(now - 3600, 7).with(Deb::new("tool", "1.0"));
    let extra = extra.build_signed(&key, &SignOptions::default(), Signed::Not);
    let mut tree: Tree = mirror(&key);
    tree.extend(extra.into_iter().map(|(path, bytes)| (format!("extra/{path}"), bytes)));
    world.server.replace(tree);
    world
}

/// The eighth line of the spec has the switch.
fn write(world: &World, switch: &str) {
    let url = format!("{}/extra", world.server.url());
    world.spec("tool", &format!("  - id: extra\n    url: {url}\n    codename: stable\n    {switch}\n"));
}

#[test]
fn nothing_is_asked_before_the_user_allows_it() {
    let world = world();
    for switch in SWITCHES {
        write(&world, switch);
        for words in [&["fetch", "spec.yml"][..], &["build", "spec.yml"], &["build", "spec.yml", "--no-cache"]] {
            let (status, out, err) = world.run_online(words);
            assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {err}");
            let expected = format!("error: spec.yml:8: the repository “extra” is not verified ({switch})\nhint: ");
            assert!(err.contains(&expected) && err.contains("--allow-untrusted"), "{words:?}: {err}");
        }
        let bundle = ["cache", "export", "--bundle", "a.bundle", "--spec", "spec.yml"];
        let (status, _, err) = world.run(&bundle);
        assert_eq!(status, 2, "{err}");
        assert!(err.contains("--allow-untrusted"), "{err}");
    }
    assert!(world.server.asked().is_empty(), "{:?}", world.server.asked());
}

#[test]
fn its_packages_come_with_a_warning_once_it_is_allowed() {
    let world = world();
    write(&world, SWITCHES[0]);
    let (status, _, err) = world.run_online(&["fetch", "spec.yml", "--allow-untrusted"]);
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("warning: spec.yml:8: the repository “extra” is not verified (insecureSkipVerify: true): "), "{err}");
    let (_, out, _) = world.run(&["cache", "list", "--packages"]);
    assert!(out.contains("tool\t1.0\tamd64\textra\t"), "{out}");

    world.server.forget();
    assert_eq!(world.run(&["fetch", "spec.yml", "--offline", "--allow-untrusted"]).0, 0);
    assert_eq!(world.run(&["fetch", "spec.yml", "--offline"]).0, 2, "what is kept is no proof");
    let bundle = ["cache", "export", "--bundle", "a.bundle", "--spec", "spec.yml", "--allow-untrusted"];
    let (status, _, err) = world.run(&bundle);
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("24 packages"), "{err}");
    let elsewhere = |words: &[&str]| world.run(&[words, &["--store", "other"]].concat());
    assert_eq!(elsewhere(&["cache", "import", "a.bundle"]).0, 0);
    let (status, _, err) = elsewhere(&["fetch", "spec.yml", "--offline", "--allow-untrusted"]);
    assert_eq!(status, 0, "{err}");
    assert!(world.server.asked().is_empty());
}

#[test]
fn an_image_says_that_nothing_proved_a_part_of_it() {
    let world = world();
    write(&world, SWITCHES[1]);
    keep(world.home.path(), "spec.yml");
    let id = spec::load(&world.path("spec.yml")).unwrap().hash(None).to_string();
    let (status, out, err) = world.run(&["cache", "info", &id]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("\nuntrusted repositories extra, which nothing proved\n"), "{out}");
    assert_eq!(json_of(&world.run(&["cache", "info", &id, "--json"]).1)["untrusted_repositories"], json!(["extra"]));

    // A hit asks nobody, and still serves what nothing proved.
    let (status, _, err) = world.run(&["build", "spec.yml", "-o", "out"]);
    assert_eq!(status, 2, "{err}");
    let (status, out, err) = world.run(&["build", "spec.yml", "-o", "out", "--allow-untrusted", "--json"]);
    assert_eq!(status, 0, "{err}");
    let report = json_of(&out);
    assert_eq!(report["image"]["outcome"], json!("hit"));
    assert!(report["warnings"][0].as_str().is_some_and(|warning| warning.contains("“extra” is not verified")), "{report}");

    world.spec("curl", "  - {id: extra, url: 'https://h/d', codename: stable, pkey: keyring.gpg}\n");
    keep(world.home.path(), "spec.yml");
    let id = spec::load(&world.path("spec.yml")).unwrap().hash(None).to_string();
    assert_eq!(json_of(&world.run(&["cache", "info", &id, "--json"]).1)["untrusted_repositories"], json!([]));
}
