//! What was asked for, found in the universe.

use super::error::{Unavailable, UnknownName};
use super::kernel::{self, Kernel};
use super::ranking::ranked;
use super::universe::{Group, Satisfiers, Scope, Universe};
use crate::repo::{Comparison, Requirement, pattern};
use crate::root::Packaging;

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
    /// Who it can be, best first; never empty.
    pub(super) any_of: Vec<Satisfiers>,
    /// The package of that name.
    pub(super) named: Option<Group>,
    /// Whether it was left open which package is meant.
    pub(super) is_open: bool,
    /// Whether only some of the package's versions will do.
    is_narrow: bool,
}

impl Wanted {
    /// Packages of one group that were asked for by a name, or by a pattern.
    fn of(text: &str, satisfiers: Satisfiers) -> Self {
        Self { text: text.to_owned(), named: Some(satisfiers.group), any_of: vec![satisfiers], is_open: pattern::is_pattern(text), is_narrow: false }
    }

    /// The same, where others can be there in its place: what obsoletes a package comes before it, unless something else needs just this one.
    fn or_replaced(self, universe: &Universe<'_>) -> Self {
        let mut any_of = self.any_of;
        any_of.extend(self.named.iter().flat_map(|&named| universe.replacements(named)));
        Self { is_open: self.is_open || any_of.len() > 1, any_of: ranked(universe, any_of), ..self }
    }
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
            Ok(all) => found.extend(all),
            Err(why) => unknown.push(UnknownName { wanted: text.to_owned(), why }),
        }
    }
    for (name, version) in kernel.iter().flat_map(|kernel| kernel.names.iter().map(|name| (name, &kernel.version))) {
        let text = format!("{name} of kernel {version}");
        match kernel::find(universe, name, version) {
            Ok(all) => {
                found.extend(all.into_iter().map(|satisfiers| Wanted { is_open: true, is_narrow: true, ..Wanted::of(&text, satisfiers) }));
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
        universe.set_candidate(wanted.any_of[0].members[0]);
    }
    if unknown.is_empty() { Ok(found) } else { Err(unknown) }
}

/// Each package that a text means. Never empty.
fn find_one(universe: &Universe<'_>, text: &str) -> Result<Vec<Wanted>, Unavailable> {
    let (name, exact) = text.split_once('=').map_or((text, None), |(name, version)| (name, Some(version)));
    if pattern::is_pattern(name) {
        return find_pattern(universe, name);
    }
    if let Some(group) = universe.group(name) {
        let Some(exact) = exact else {
            return Ok(vec![Wanted::of(text, Satisfiers { group, members: universe.versions(group).to_vec() }).or_replaced(universe)]);
        };
        let satisfiers = in_version(universe, group, exact).ok_or_else(|| no_version(universe, group))?;
        return Ok(vec![Wanted { is_narrow: true, ..Wanted::of(text, satisfiers) }]);
    }
    let is_rpm = universe.packaging() == Packaging::Rpm;
    if is_rpm
        && exact.is_none()
        && let Some(wanted) = as_dnf_writes(universe, text)
    {
        return Ok(vec![wanted]);
    }
    let version = exact.map(|version| (Comparison::Equal, version.to_owned()));
    let mut providers =
        universe.satisfiers(&Requirement { name: name.to_owned(), arch: None, version, with: Vec::new(), without: Vec::new() }, Scope::All);
    match providers.len() {
        0 => Err(Unavailable::NoPackage { nearest: nearest(universe, name) }),
        1 => {
            let wanted = Wanted { is_narrow: exact.is_some(), ..Wanted::of(text, providers.remove(0)) };
            Ok(vec![wanted])
        }
        _ if is_rpm => Ok(vec![Wanted { text: text.to_owned(), any_of: ranked(universe, providers), named: None, is_open: true, is_narrow: false }]),
        _ => Err(Unavailable::Virtual { providers: providers.iter().take(SHOWN).map(|provider| universe.name(provider.group).to_owned()).collect() }),
    }
}

/// The versions of a group that are meant by one, where `*` at its end leaves the rest open.
fn in_version(universe: &Universe<'_>, group: Group, exact: &str) -> Option<Satisfiers> {
    let fits = |version: &str| match exact.strip_suffix('*') {
        Some(beginning) => version.starts_with(beginning),
        None => universe.compare(version, exact).is_eq(),
    };
    let versions = universe.versions(group).iter().copied();
    let members: Vec<_> = versions.filter(|&record| fits(universe.record(record).coordinates.version())).collect();
    (!members.is_empty()).then_some(Satisfiers { group, members })
}

fn no_version(universe: &Universe<'_>, group: Group) -> Unavailable {
    let version = |&record: &u32| universe.record(record).coordinates.version().to_owned();
    Unavailable::NoVersion { available: universe.versions(group).iter().take(SHOWN).map(version).collect() }
}

/// What dnf takes beside names (`dnf(8)`, “Specifying Packages”): `name.arch`, `name-version` and `name-version-release`, each of which may have an
/// architecture at its end.
fn as_dnf_writes(universe: &Universe<'_>, text: &str) -> Option<Wanted> {
    let (bare, arch) = text.rsplit_once('.').filter(|(_, arch)| universe.is_arch(arch)).map_or((text, None), |(bare, arch)| (bare, Some(arch)));
    let of_arch = |Satisfiers { group, members }: Satisfiers| {
        let fits = |record: &u32| arch.is_none_or(|arch| universe.record(*record).coordinates.arch() == arch);
        let members: Vec<_> = members.into_iter().filter(fits).collect();
        (!members.is_empty()).then_some(Satisfiers { group, members })
    };
    if let Some(group) = universe.group(bare) {
        let all = Satisfiers { group, members: universe.versions(group).to_vec() };
        return of_arch(all).map(|satisfiers| Wanted { is_narrow: true, ..Wanted::of(text, satisfiers) });
    }
    // The last two dashes can be those before the release and the version.
    bare.rmatch_indices('-').take(2).find_map(|(at, _)| {
        let satisfiers = in_version(universe, universe.group(&bare[..at])?, &bare[at + 1..]).and_then(of_arch)?;
        Some(Wanted { is_narrow: true, ..Wanted::of(text, satisfiers) })
    })
}

fn find_pattern(universe: &Universe<'_>, text: &str) -> Result<Vec<Wanted>, Unavailable> {
    let mut names: Vec<&str> = universe.names().filter(|name| pattern::matches(text, name)).collect();
    names.sort_unstable();
    match names.len() {
        0 => {
            let literal: String = text.chars().filter(|char| !"*?[]!^".contains(*char)).collect();
            Err(Unavailable::NoPackage { nearest: nearest(universe, literal.trim_end_matches('-')) })
        }
        count if count > PATTERN_LIMIT => Err(Unavailable::TooMany { count, limit: PATTERN_LIMIT }),
        _ => {
            let of = |group| Wanted::of(text, Satisfiers { group, members: universe.versions(group).to_vec() }).or_replaced(universe);
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
