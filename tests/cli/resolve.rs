//! `resolve`.

use std::fs;

use serde_json::json;

use super::cache::json_of;
use crate::support::program::{outcome, program};

#[test]
fn a_spec_is_printed_with_all_that_it_extends_and_where_it_is_from() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| outcome(program(home.path(), arguments).current_dir(home.path()));
    fs::write(home.path().join("base.yml"), "image: {name: base, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\n").unwrap();
    fs::write(home.path().join("edge.yml"), "extends: base.yml\nimage:\n  name: edge\nsystemConfig: {users: [{name: root, password: hunter2}]}\n")
        .unwrap();
    let (status, out, err) = run(&["resolve", "edge.yml", "--origin"]);
    assert_eq!((status, err.as_str()), (0, ""));
    for (line, origin) in [("  name: edge", "edge.yml:3"), ("  version: \"1\"", "base.yml:1"), ("  size: 4096MiB", "debian12")] {
        let found = out.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{line} is not in {out}"));
        assert!(found.ends_with(&format!("  # {origin}")), "{found}");
    }
    assert!(!out.contains("hunter2"), "{out}");

    let (_, plain, _) = run(&["resolve", "edge.yml"]);
    assert!(!plain.contains(" # "), "{plain}");
    fs::create_dir(home.path().join("other")).unwrap();
    fs::write(home.path().join("other/whole.yml"), plain).unwrap();
    let hash = |path: &str| json_of(&run(&["validate", path, "--json"]).1)["specs"][0]["spec_hash"].clone();
    assert_eq!(hash("other/whole.yml"), hash("edge.yml"));

    let (_, out, _) = run(&["resolve", "edge.yml", "--json", "--origin"]);
    let found = json_of(&out);
    assert_eq!((&found["spec_hash"], &found["spec"]["image"]), (&hash("edge.yml"), &json!({"name": "edge", "version": "1"})));
    assert_eq!(found["origins"][1], json!({"text": "  name: edge", "file": "edge.yml", "line": 3, "profile": null}));
    assert_eq!(json_of(&run(&["resolve", "edge.yml", "--json"]).1)["origins"], json!(null));
}

#[test]
fn mistakes_are_told_as_validate_tells_them() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("bad.yml"), "image: {}\n").unwrap();
    let (status, out, err) = outcome(program(home.path(), &["resolve", "bad.yml"]).current_dir(home.path()));
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("bad.yml:1:8: image.name is missing"), "{err}");
}
