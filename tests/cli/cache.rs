//! `cache list`, `cache info` and `cache dir` of a store without images.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::program::{outcome, program, run};

fn json_of(out: &str) -> Value {
    serde_json::from_str(out).unwrap()
}

#[test]
fn a_store_that_is_not_there_is_empty_and_is_not_made() {
    let home = tempfile::tempdir().unwrap();
    let (status, out, err) = run(home.path(), &["cache", "list"]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "", "no images in the cache\n"));
    let (status, out, err) = run(home.path(), &["cache", "list", "--json"]);
    assert_eq!((status, json_of(&out), err.as_str()), (0, json!({"images": []}), ""));
    let (status, out, err) = run(home.path(), &["cache", "info", "3f9a"]);
    assert_eq!((status, out.as_str()), (3, ""));
    assert!(err.starts_with("error: no image in the cache has the id “3f9a”\nhint: "), "{err}");
    assert!(!home.path().join("store").exists());
}

#[test]
fn an_empty_store_has_no_images() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("store")).unwrap();
    assert_eq!(json_of(&run(home.path(), &["cache", "list", "--json"]).1), json!({"images": []}));
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
    fs::create_dir(home.path().join("store")).unwrap();
    let (status, _, err) = outcome(program(home.path(), &["cache", "list"]).env("IMAGE_COMPOSER_LOCK_TIMEOUT", "soon"));
    assert_eq!(status, 2);
    assert!(err.starts_with("error: IMAGE_COMPOSER_LOCK_TIMEOUT is “soon”") && err.contains("\nhint: "), "{err}");
}
