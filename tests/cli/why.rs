//! `cache why`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image_composer::build::Annotations;
use image_composer::cache::{ImageCache, NewImage};
use image_composer::progress::{Cancel, Silent};
use image_composer::spec;
use image_composer::store::Store;
use serde_json::json;

use super::cache::{json_of, keep_two_images};
use crate::support::program::{outcome, program};

/// Keeps an image under the hash of a spec, as a build of it would.
pub(super) fn keep(home: &Path, spec: &str) {
    let loaded = spec::load(&home.join(spec)).unwrap();
    let annotations = Annotations { inputs: loaded.inputs(None), ..Annotations::default() };
    let new = NewImage {
        name: loaded.spec.image.name.clone(),
        version: loaded.spec.image.version.clone(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: serde_json::to_vec(&annotations).unwrap(),
        lock: Vec::new(),
        build_time: Duration::ZERO,
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    let raw = home.join("raw");
    fs::write(&raw, spec).unwrap();
    let store = Store::open(&home.join("store")).unwrap();
    ImageCache::new(&store).insert(&loaded.hash(None), &new, &raw, &Silent, &Cancel::default()).unwrap();
}

#[test]
fn what_differs_from_the_nearest_image_is_said() {
    let home = tempfile::tempdir().unwrap();
    let why = |more: &[&str]| outcome(program(home.path(), &[&["cache", "why", "edge.yml"], more].concat()).current_dir(home.path()));
    let write = |file: &str, name: &str, more: &str| {
        let text = format!("image: {{name: {name}, version: '1'}}\ntarget: {{dist: debian12, arch: x86_64}}\n{more}");
        fs::write(home.path().join(file), text).unwrap();
    };
    let users = |password: &str| format!("{{users: [{{name: root, password: {password}}}], packages: [curl]}}");
    write("edge.yml", "edge", &format!("systemConfig: {}\n", users("hunter2")));
    let (status, out, err) = why(&[]);
    assert_eq!((status, out.as_str()), (0, ""));
    assert!(err.ends_with(" is not in the cache, and no image whose inputs are known is\n"), "{err}");
    assert!(!home.path().join("store").exists());

    // Neither those of unknown origin, nor one of another name that differs less.
    keep_two_images(home.path());
    keep(home.path(), "edge.yml");
    write("other.yml", "other", &format!("disk: {{size: 8GiB}}\nsystemConfig: {}\n", users("hunter3")));
    keep(home.path(), "other.yml");
    let (status, out, err) = why(&[]);
    assert_eq!((status, out.as_str()), (0, ""));
    assert!(err.contains(" is in the cache: edge 1, built just now"), "{err}");
    assert_eq!(json_of(&why(&["--json"]).1)["hit"], json!(true));

    write("edge.yml", "edge", &format!("disk: {{size: 8GiB}}\nsystemConfig: {}\n", users("hunter3").replace("curl", "nginx")));
    let (status, out, err) = why(&[]);
    assert_eq!(status, 0);
    assert!(err.contains(" is not in the cache; the nearest is ") && err.contains("(edge 1, built just now)"), "{err}");
    assert_eq!(out, "disk.size: 4 GiB → 8 GiB\nsystemConfig.packages: + nginx, - curl\nsystemConfig.users[root].password: is another\n");
    assert!(!format!("{out}{err}").contains("$6$"), "no hash of a password is shown");
    let found = json_of(&why(&["--json"]).1);
    assert_eq!((&found["hit"], &found["nearest"]["name"]), (&json!(false), &json!("edge")));
    assert_eq!(
        found["nearest"]["differences"][1],
        json!({"input": "systemConfig.packages", "change": "items", "added": ["nginx"], "removed": ["curl"]})
    );
    assert_eq!(found["nearest"]["differences"][2], json!({"input": "systemConfig.users[root].password", "change": "other"}));
}
