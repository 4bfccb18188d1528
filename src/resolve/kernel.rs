//! The kernel of a version.
//!
//! A distribution has a kernel twice: as a package that always is the newest one (`linux-image-amd64`), in a few versions at a time, and as packages that
//! have the version in their names and stay longer (`linux-image-6.1.0-43-amd64`). A wanted version means either, the first where it can.

use serde::Serialize;

use super::universe::{Group, Record, Satisfiers, Universe};
use crate::repo::pattern;

/// A kernel to install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// The beginning of its version, up to one of the signs between numbers: `6.1` is 6.1.170-1, and not 6.12.
    pub version: String,
    /// Its packages, by names or patterns: `linux-image-amd64`.
    pub names: Vec<String>,
}

/// What begins the names of a kernel's packages; after it comes the version, or else the flavour.
pub(super) const FAMILIES: [&str; 3] = ["linux-image-", "linux-headers-", "linux-modules-"];

/// Whether a name is that of a kernel's package, to which a version can be asked for.
pub fn is_kernel(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family)) || name == "kernel" || name.starts_with("kernel-")
}

/// The packages that `name` means in that version: each with the versions that fit, best first.
///
/// # Errors
/// The versions that there are, newest first.
pub(super) fn find(universe: &Universe<'_>, name: &str, wanted: &str) -> Result<Vec<Satisfiers>, Vec<String>> {
    let named: Vec<Group> = if pattern::is_pattern(name) {
        let mut names: Vec<&str> = universe.names().filter(|other| pattern::matches(name, other)).collect();
        names.sort_unstable();
        names.into_iter().filter_map(|name| universe.group(name)).collect()
    } else {
        universe.group(name).into_iter().collect()
    };
    let version_of = |record: Record| universe.record(record).coordinates.version();
    let fitting = |&group: &Group| {
        let members: Vec<Record> = universe.versions(group).iter().copied().filter(|&record| fits(version_of(record), wanted)).collect();
        (!members.is_empty()).then_some(Satisfiers { group, members })
    };
    let found: Vec<Satisfiers> = named.iter().filter_map(fitting).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let others = versioned(universe, name);
    if let Some((_, group)) = others.iter().find(|(version, _)| fits(version, wanted)) {
        return Ok(vec![Satisfiers { group: *group, members: universe.versions(*group).to_vec() }]);
    }
    let mut available: Vec<&str> = named.iter().flat_map(|&group| universe.versions(group)).map(|&record| version_of(record)).collect();
    available.extend(others.iter().map(|(version, _)| *version));
    available.sort_by(|a, b| universe.compare(b, a));
    available.dedup();
    Err(available.into_iter().map(str::to_owned).collect())
}

/// The packages of the same flavour that have a version in their names: `linux-image-<version>-<flavour>`, newest first.
fn versioned<'a>(universe: &Universe<'a>, name: &str) -> Vec<(&'a str, Group)> {
    let Some((family, flavour)) = FAMILIES.iter().find_map(|family| Some((*family, name.strip_prefix(family)?))) else { return Vec::new() };
    let mut found: Vec<(&str, Group)> = universe
        .names()
        .filter_map(|other| {
            let version = other.strip_prefix(family)?.strip_suffix(flavour)?.strip_suffix('-')?;
            // A flavour can be the end of another one: `cloud-amd64`.
            let is_version = version.starts_with(|sign: char| sign.is_ascii_digit()) && !version.split('-').skip(1).any(is_word);
            is_version.then_some((version, universe.group(other)?))
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| universe.compare(b, a));
    found
}

/// Whether a part of a name is a word, as flavours are made of: a backport's `0.deb12.4` and `rc7` belong to versions.
fn is_word(part: &str) -> bool {
    !part.contains(|sign: char| sign.is_ascii_digit())
}

/// Whether a version begins with what is wanted, where a number cannot go on.
fn fits(version: &str, wanted: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    [version, upstream].iter().any(|version| {
        version.strip_prefix(wanted).is_some_and(|rest| !rest.starts_with(|sign: char| sign.is_ascii_alphanumeric()) || wanted.ends_with(['.', '-']))
    })
}
