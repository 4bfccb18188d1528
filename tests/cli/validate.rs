//! `validate`.

use std::fs;

use serde_json::Value;

use crate::support::program::{outcome, program, run};

/// The specs that the README uses, from the directory that tests run in.
const GOOD: [&str; 3] = ["fixtures/specs/debian12-grub.yml", "fixtures/specs/debian12-minimal.yml", "fixtures/specs/debian13-minimal.yml"];

#[test]
fn good_specs_are_told_with_their_ids() {
    let home = tempfile::tempdir().unwrap();
    let (status, out, err) = run(home.path(), &[&["validate"], GOOD.as_slice()].concat());
    assert_eq!((status, err.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), GOOD.len());
    for (line, path) in lines.iter().zip(GOOD) {
        assert!(line.starts_with(&format!("{path}: ok: debian1")), "{line}");
        let (_, id) = line.rsplit_once(", ").unwrap();
        assert!(id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
    }
    assert!(!home.path().join("store").exists(), "a validation makes no store");
}

#[test]
fn mistakes_are_told_with_their_places_and_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let bad = home.path().join("bad.yml");
    fs::write(&bad, "image:\n  name: a b\n  version: \"1\"\ntarget:\n  dist: debian21\nsystemConfg: {}\n").unwrap();
    let bad = bad.to_str().unwrap();
    let (status, out, err) = run(home.path(), &["validate", GOOD[1], bad, "none.yml"]);
    assert_eq!(status, 2);
    assert!(out.starts_with(GOOD[1]), "{out}");
    for expected in [format!("{bad}:2:9: "), format!("{bad}:5:9: "), format!("{bad}:6:1: ")] {
        assert!(out.lines().any(|line| line.starts_with(&expected)), "{expected} in {out}");
    }
    assert!(out.contains("; did you mean “systemConfig”?"), "{out}");
    assert!(out.ends_with("none.yml: cannot be read: No such file or directory (os error 2)\n"), "{out}");
    assert_eq!(err, "error: 2 of 3 specs cannot be used\n");
}

#[test]
fn json_has_good_and_bad_specs() {
    let home = tempfile::tempdir().unwrap();
    let bad = home.path().join("bad.yml");
    fs::write(&bad, "image: {}\n").unwrap();
    let (status, out, _) = run(home.path(), &["validate", GOOD[1], bad.to_str().unwrap(), "--json"]);
    assert_eq!(status, 2);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["specs"][0]["valid"], true);
    assert_eq!(found["specs"][0]["name"], "debian12-minimal");
    assert_eq!(found["specs"][0]["spec_hash"].as_str().unwrap().len(), 64);
    assert_eq!(found["specs"][0]["diagnostics"], Value::Array(Vec::new()));
    assert_eq!(found["specs"][1]["valid"], false);
    assert_eq!(found["specs"][1]["diagnostics"][0]["line"], 1);
    assert_eq!(found["specs"][1].get("spec_hash"), None);
}

#[test]
fn the_time_of_files_is_part_of_the_id() {
    let home = tempfile::tempdir().unwrap();
    let at = |time: &str| outcome(program(home.path(), &["validate", GOOD[1]]).env("SOURCE_DATE_EPOCH", time));
    assert_eq!(at("1700000000").0, 0);
    assert_ne!(at("1700000000").1, at("1700000001").1);
    assert_eq!(at("").1, run(home.path(), &["validate", GOOD[1]]).1);
    for wrong in ["yesterday", "-1", "1.5", "4354819200", "99999999999999999999"] {
        let (status, out, err) = at(wrong);
        assert_eq!((status, out.as_str()), (2, ""), "{wrong}");
        assert!(err.starts_with(&format!("error: SOURCE_DATE_EPOCH is “{wrong}”")) && err.contains("\nhint: "), "{err}");
    }
}
