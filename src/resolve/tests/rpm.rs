//! rpm's rules.

use super::*;
use crate::repo::rpm::primary::tests::records;

fn asked(lines: &str, wanted: &[&str]) -> Result<Vec<String>, String> {
    let request = Request { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), ..request(wanted) };
    let records = records(lines);
    let mut reversed = records.clone();
    reversed.reverse();
    let answer = resolve(&request, &records, &[]);
    assert_eq!(resolve(&request, &reversed, &[]).map(|found| found.lock), answer.clone().map(|found| found.lock), "the order of the records matters");
    answer.map(|resolution| names(&resolution)).map_err(|error| error.to_string())
}

#[track_caller]
fn chosen(lines: &str, wanted: &[&str], expected: &[&str]) {
    assert_eq!(asked(lines, wanted).unwrap(), expected);
}

#[track_caller]
fn refused(lines: &str, wanted: &[&str], reason: &str) {
    let error = asked(lines, wanted).unwrap_err();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn the_highest_version_is_taken_as_rpm_counts() {
    chosen("a 1.0-1\na 1.0~rc1-9\na 1.0^git1-1", &["a"], &["a=1.0^git1-1"]);
    chosen("a 9-1\na 1:1-1", &["a"], &["a=1:1-1"]);
    chosen("a 1-1\na 2-1", &["a=1"], &["a=1-1"]);
}

#[test]
fn provides_overlap() {
    // A release that a requirement does not name may be any; a provide without a version is of all versions.
    chosen("a 1-1: requires b = 2\nb 2-7", &["a"], &["a=1-1", "b=2-7"]);
    chosen("a 1-1: requires v >= 5\nb 1-1: provides v", &["a"], &["a=1-1", "b=1-1"]);
    chosen("a 1-1: requires v >= 5\nb 1-1: provides v = 4-1\nc 1-1: provides v = 5-1", &["a"], &["a=1-1", "c=1-1"]);
    refused("a 1-1: requires b > 2\nb 2-7", &["a"], "a needs b (>> 2)");
    chosen("a 1-1: requires /usr/bin/b\nb 1-1: files /usr/bin/b", &["a"], &["a=1-1", "b=1-1"]);
    refused("a 1-1: requires /usr/share/x", &["a"], "no package has /usr/share/x");
    refused("a 1-1: requires rpmlib(New) <= 9", &["a"], "a needs rpmlib(New)");
}

#[test]
fn obsoletes_exclude_by_name_only() {
    refused("new 2-1: obsoletes old < 2\nold 1-1", &["new", "old"], "new 2-1 obsoletes old");
    chosen("new 2-1: obsoletes old < 2\nother 1-1: provides old = 1-1", &["new", "other"], &["new=2-1", "other=1-1"]);
    chosen("new 2-1: obsoletes old < 2\nold 3-1", &["new", "old"], &["new=2-1", "old=3-1"]);
    chosen("a 2-1: obsoletes a < 2", &["a"], &["a=2-1"]);
    refused("a 1-1: conflicts v\nb 1-1: provides v = 1-1", &["a", "b"], "a 1-1 conflicts with v");
}

#[test]
fn rich_dependencies_hold() {
    chosen("a 1-1: requires (b if c)\nb 1-1\nc 1-1", &["a"], &["a=1-1"]);
    chosen("a 1-1: requires (b if c)\nb 1-1\nc 1-1", &["a", "c"], &["a=1-1", "b=1-1", "c=1-1"]);
    chosen("a 1-1: requires (b if c else d)\nb 1-1\nc 1-1\nd 1-1", &["a", "c"], &["a=1-1", "b=1-1", "c=1-1"]);
    chosen("a 1-1: requires (x or b)\nb 1-1", &["a"], &["a=1-1", "b=1-1"]);
    chosen(
        "a 1-1: requires (v >= 1 with v < 2)\nb 1-1: provides v = 0.5\nc 1-1: provides v = 2\nd 1-1: provides v = 1.5",
        &["a"],
        &["a=1-1", "d=1-1"],
    );
    refused("a 1-1: requires (b if c)\nc 1-1", &["a", "c"], "a needs b");
    refused("a 1-1: requires (b unless c)\nb 1-1", &["a"], "a needs (b unless c), but this program does not know such an expression");
}
