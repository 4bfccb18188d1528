//! Small universes, written as control files.

mod asking;
mod choosing;
mod excluding;
mod rpm;

use std::fmt::Write as _;
use std::sync::Arc;

use super::*;
use crate::repo::Archive;
use crate::repo::deb::packages::parse;

/// Records from short control files: paragraphs with the fields that matter here; all others are filled in.
pub(crate) fn records(id: &str, pin: i32, text: &str) -> Vec<PackageRecord> {
    let archive = Arc::new(Archive { id: id.to_owned(), mirrors: Vec::new(), pin });
    let mut full = String::new();
    for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
        full.push_str(&lines.join("\n"));
        if !lines.iter().any(|line| line.starts_with("Version:")) {
            full.push_str("\nVersion: 1");
        }
        if !lines.iter().any(|line| line.starts_with("Architecture:")) {
            full.push_str("\nArchitecture: amd64");
        }
        let sha256 = crate::digest::Sha256::of(paragraph.as_bytes());
        write!(full, "\nFilename: pool/{sha256}.deb\nSize: 1\nSHA256: {sha256}\n\n").unwrap();
    }
    Arc::new(parse(full.as_bytes(), id, "amd64").unwrap()).records(&archive, |_| true).unwrap()
}

fn debian(text: &str) -> Vec<PackageRecord> {
    records("debian", 500, text)
}

fn request(wanted: &[&str]) -> Request {
    Request {
        wanted: wanted.iter().map(|&name| name.to_owned()).collect(),
        kernel: None,
        packaging: Packaging::Deb,
        arch: "amd64".to_owned(),
        recommends: false,
        essentials: true,
        looked_up: BTreeSet::default(),
    }
}

/// The chosen packages as `name=version`.
fn names(resolution: &Resolution) -> Vec<String> {
    resolution.lock.packages.iter().map(|package| format!("{}={}", package.coordinates.name(), package.coordinates.version())).collect()
}

#[track_caller]
fn chosen(records: &[PackageRecord], wanted: &[&str]) -> Vec<String> {
    let resolution = resolve(&request(wanted), records, &[]).unwrap();
    let mut reversed = records.to_vec();
    reversed.reverse();
    assert_eq!(resolve(&request(wanted), &reversed, &[]).unwrap().lock, resolution.lock, "the order of the records matters");
    for (at, package) in resolution.chosen.iter().zip(&resolution.lock.packages) {
        assert_eq!(records[*at].coordinates, package.coordinates);
    }
    names(&resolution)
}

#[track_caller]
fn refused(records: &[PackageRecord], wanted: &[&str]) -> String {
    resolve(&request(wanted), records, &[]).unwrap_err().to_string()
}
