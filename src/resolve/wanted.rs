//! What was asked for, found in the universe.

use super::error::{Unavailable, UnknownName};
use super::kernel::{self, Kernel};
use super::universe::{Satisfiers, Scope, Universe};
use crate::repo::{Comparison, Requirement, pattern};

/// How many similar names are shown.
const NEAREST: usize = 3;
/// How many packages that provide a name, or versions of it, are shown.
const SHOWN: usize = 12;

/// The most packages that one pattern may mean: more than any family of packages has, and far less than a repository.
const PATTERN_LIMIT: usize = 1000;

/// What one wanted name asks for, in all versions that it leaves open. A pattern has one for each package that it means.
#[derive(Debug)]
pub(super) struct Wanted {
    /// As it was asked for.
    pub(super) text: String,
    pub(super) satisfiers: Satisfiers,
    /// Whether it was left open which package is meant.
    pub(super) is_open: bool,
    /// Whether only some of the package's versions will do.
    is_narrow: bool,
}

/// Finds each of `names` (`name`, `name=version`, or a pattern), and the kernel. Where only some versions of a package will do, the best of them becomes the
/// candidate of its group.
///
/// # Errors
/// All names that are not there.
pub(super) fn find(universe: &mut Universe<'_>, names: &[String], kernel: Option<&Kernel>) -> Result<Vec<Wanted>, Vec<UnknownName>> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for text in names {
        match find_one(universe, text) {
            Ok(all) => found.extend(all.into_iter().map(|satisfiers| Wanted {
                text: text.to_owned(),
                satisfiers,
                is_open: pattern::is_pattern(name_of(text)),
                is_narrow: text.contains('='),
            })),
            Err(why) => unknown.push(UnknownName { wanted: text.to_owned(), why }),
        }
    }
    for (name, version) in kernel.iter().flat_map(|kernel| kernel.names.iter().map(|name| (name, &kernel.version))) {
        let text = format!("{name} of kernel {version}");
        match kernel::find(universe, name, version) {
            Ok(all) => {
                found.extend(all.into_iter().map(|satisfiers| Wanted { text: text.clone(), satisfiers, is_open: true, is_narrow: true }));
            }
            Err(available) if available.is_empty() => {
                unknown.push(UnknownName { wanted: name.clone(), why: Unavailable::NoPackage { nearest: nearest(universe, name) } });
            }
            Err(mut available) => {
                available.truncate(SHOWN);
                unknown.push(UnknownName { wanted: text, why: Unavailable::NoVersion { available } });
            }
        }
    }
    for wanted in found.iter().filter(|wanted| wanted.is_narrow) {
        universe.set_candidate(wanted.satisfiers.members[0]);
    }
    if unknown.is_empty() { Ok(found) } else { Err(unknown) }
}

fn name_of(text: &str) -> &str {
    text.split_once('=').map_or(text, |(name, _)| name)
}

/// Each package that a text means. Never empty.
fn find_one(universe: &Universe<'_>, text: &str) -> Result<Vec<Satisfiers>, Unavailable> {
    let (name, exact) = text.split_once('=').map_or((text, None), |(name, version)| (name, Some(version)));
    if pattern::is_pattern(name) {
        return find_pattern(universe, name);
    }
    if let Some(group) = universe.group(name) {
        let versions = universe.versions(group);
        let Some(exact) = exact else { return Ok(vec![Satisfiers { group, members: versions.to_vec() }]) };
        let version_of = |record: u32| universe.record(record).coordinates.version();
        let fits = |version: &str| match exact.strip_suffix('*') {
            Some(beginning) => version.starts_with(beginning),
            None => universe.compare(version, exact).is_eq(),
        };
        let members: Vec<_> = versions.iter().copied().filter(|&record| fits(version_of(record))).collect();
        if members.is_empty() {
            return Err(Unavailable::NoVersion { available: versions.iter().take(SHOWN).map(|&record| version_of(record).to_owned()).collect() });
        }
        return Ok(vec![Satisfiers { group, members }]);
    }
    let version = exact.map(|version| (Comparison::Equal, version.to_owned()));
    let mut providers = universe.satisfiers(&Requirement { name: name.to_owned(), arch: None, version, with: Vec::new() }, Scope::All);
    match providers.len() {
        0 => Err(Unavailable::NoPackage { nearest: nearest(universe, name) }),
        1 => Ok(vec![providers.remove(0)]),
        _ => Err(Unavailable::Virtual { providers: providers.iter().take(SHOWN).map(|provider| universe.name(provider.group).to_owned()).collect() }),
    }
}

fn find_pattern(universe: &Universe<'_>, text: &str) -> Result<Vec<Satisfiers>, Unavailable> {
    let mut names: Vec<&str> = universe.names().filter(|name| pattern::matches(text, name)).collect();
    names.sort_unstable();
    match names.len() {
        0 => {
            let literal: String = text.chars().filter(|char| !"*?[]!^".contains(*char)).collect();
            Err(Unavailable::NoPackage { nearest: nearest(universe, literal.trim_end_matches('-')) })
        }
        count if count > PATTERN_LIMIT => Err(Unavailable::TooMany { count, limit: PATTERN_LIMIT }),
        _ => {
            let of = |group| Satisfiers { group, members: universe.versions(group).to_vec() };
            Ok(names.into_iter().filter_map(|name| universe.group(name)).map(of).collect())
        }
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
