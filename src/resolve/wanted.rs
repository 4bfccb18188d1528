//! What was asked for, found in the universe.

use super::error::{Unavailable, UnknownName};
use super::universe::{Satisfiers, Scope, Universe};
use crate::repo::{Comparison, Requirement};
use crate::version;

/// How many similar names are shown.
const NEAREST: usize = 3;
/// How many packages that provide a name, or versions of it, are shown.
const SHOWN: usize = 12;

/// What one wanted name asks for, in all versions that it leaves open.
#[derive(Debug)]
pub(super) struct Wanted {
    /// As it was asked for.
    pub(super) text: String,
    pub(super) satisfiers: Satisfiers,
}

/// Finds each of `names` (`name` or `name=version`). Names that ask for one version make it the candidate of its group.
///
/// # Errors
/// All names that are not there.
pub(super) fn find(universe: &mut Universe<'_>, names: &[String]) -> Result<Vec<Wanted>, Vec<UnknownName>> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for text in names {
        match find_one(universe, text) {
            Ok(satisfiers) => found.push(Wanted { text: text.to_owned(), satisfiers }),
            Err(why) => unknown.push(UnknownName { wanted: text.to_owned(), why }),
        }
    }
    for wanted in found.iter().filter(|wanted| wanted.text.contains('=')) {
        universe.set_candidate(wanted.satisfiers.members[0]);
    }
    if unknown.is_empty() { Ok(found) } else { Err(unknown) }
}

fn find_one(universe: &Universe<'_>, text: &str) -> Result<Satisfiers, Unavailable> {
    let (name, exact) = text.split_once('=').map_or((text, None), |(name, version)| (name, Some(version)));
    if let Some(group) = universe.group(name) {
        let versions = universe.versions(group);
        let Some(exact) = exact else { return Ok(Satisfiers { group, members: versions.to_vec() }) };
        let version_of = |record: u32| universe.record(record).coordinates.version();
        let members: Vec<_> = versions.iter().copied().filter(|&record| version::compare(version_of(record), exact).is_eq()).collect();
        if members.is_empty() {
            return Err(Unavailable::NoVersion { available: versions.iter().take(SHOWN).map(|&record| version_of(record).to_owned()).collect() });
        }
        return Ok(Satisfiers { group, members });
    }
    let version = exact.map(|version| (Comparison::Equal, version.to_owned()));
    let mut providers = universe.satisfiers(&Requirement { name: name.to_owned(), arch: None, version }, Scope::All);
    match providers.len() {
        0 => Err(Unavailable::NoPackage { nearest: nearest(universe, name) }),
        1 => Ok(providers.remove(0)),
        _ => Err(Unavailable::Virtual { providers: providers.iter().take(SHOWN).map(|provider| universe.name(provider.group).to_owned()).collect() }),
    }
}

/// The names that look most like this one.
fn nearest(universe: &Universe<'_>, name: &str) -> Vec<String> {
    let limit = (name.len() / 3).min(4);
    let mut near: Vec<(usize, &str)> = universe
        .names()
        .filter(|other| other.len().abs_diff(name.len()) <= limit)
        .map(|other| (strsim::osa_distance(name, other), other))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.into_iter().take(NEAREST).map(|(_, name)| name.to_owned()).collect()
}
