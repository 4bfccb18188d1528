//! The schema of specs and the reader of specs know the same language.

use std::path::Path;

use serde_json::Value;

use super::mistakes::{WRONG, whole};
use super::{fixtures, parse};
use crate::spec::{load, read, schema};
use crate::yaml::explore::explore;
use crate::yaml::schema_tests::{as_json, assert_same_language};
use crate::yaml::{self, Report};

fn json(text: &str) -> Option<Value> {
    yaml::parse(text, &Report::new(Path::new("spec.yml"))).as_ref().map(as_json)
}

#[test]
fn the_schema_has_every_key_word_and_bound_of_the_reader_and_no_other() {
    let asked = explore(|root, report| drop(read::document(root, report)));
    assert!(asked.keys.len() > 18 && asked.keys.contains_key("systemConfig.network.interfaces[0].routes[0]"), "{:?}", asked.keys.keys());
    assert!(asked.refused["systemConfig"].contains("fde") && asked.missing["image"].contains("name"));
    assert_same_language(&schema(), &asked, &["extends"]);
}

#[test]
fn specs_that_can_be_used_are_taken() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for name in
        ["debian12-minimal.yml", "debian12-grub.yml", "debian12-memory.yml", "debian12-partitions.yml", "debian12-wsl2.yml", "debian13-minimal.yml"]
            .map(|name| fixtures().join(name))
    {
        load(&name).unwrap_or_else(|error| panic!("{error}"));
        let text = std::fs::read_to_string(&name).unwrap();
        let wrong: Vec<_> = schema.iter_errors(&json(&text).unwrap()).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", name.display());
    }
    let piece = std::fs::read_to_string(fixtures().join("../seed-page/build.yml")).unwrap();
    assert!(schema.is_valid(&json(&whole(&piece)).unwrap()), "a piece of a spec, with what stands before it");
    let child = "extends: base.yml\nimage: {version: '2'}\nsystemConfig: {network: {interfaces: []}, kernel: }\n";
    assert!(schema.is_valid(&json(child).unwrap()), "the file that is extended has the rest");
    assert!(!schema.is_valid(&json(&child.replace("base.yml", "")).unwrap()), "a spec that extends nothing must be whole");
}

#[test]
fn specs_with_mistakes_that_a_schema_can_tell_are_refused() {
    // Of these the schema cannot know, or they are no YAML.
    let others = [
        "the wrong family",
        "a processor that a profile has not",
        "a size that is too much",
        "a disk too small for the default layout",
        "an artifact that cannot hold the disk",
        "types by GUIDs that are unknown, of another processor, and not the type",
        "partitions that overlap and end beyond the disk",
        "partitions that are unaligned, double and too many",
        "partitions after the rest of the disk",
        "disks that a BIOS starts",
        "a BIOS and a GPT without a place for GRUB",
        "partitions at the same place and a last one that cannot grow",
        "a version of no kernel",
        "the root in the command line",
        "a tab",
        "a key twice",
        "two documents",
        "a tag",
        "a quotation mark too few",
    ];
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for (title, text) in WRONG.iter().filter(|(title, _)| !others.contains(title)) {
        assert!(json(&whole(text)).is_none_or(|json| !schema.is_valid(&json)), "{title}");
    }
}

/// Whatever one value of a spec that says much is replaced with: what the reader takes, the schema takes.
#[test]
fn the_schema_never_refuses_what_the_reader_takes() {
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found)),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), found)),
            _ => {}
        }
    }
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let whole = json(&std::fs::read_to_string(fixtures().join("debian12-grub.yml")).unwrap()).unwrap();
    let mut found = Vec::new();
    places(&whole, "", &mut found);
    let values = ["null", "true", "false", "0", "7", r#""0""#, r#""a""#, r#""/a""#, r#""a1=1*""#, r#""4 GiB""#, r#""""#, "[]", "{}", r#"["a1"]"#];
    let mut taken = 0;
    for place in &found {
        for value in values {
            let mut changed = whole.clone();
            *changed.pointer_mut(place).unwrap() = serde_json::from_str(value).unwrap();
            // JSON is YAML.
            if parse(&changed.to_string()).is_ok() {
                taken += 1;
                assert!(schema.is_valid(&changed), "{place}: {value}");
            }
        }
    }
    assert!(taken > 50, "{taken}");
}
