//! Wanted names become exact packages, each with the reason why it is there.
//!
//! [`resolve`] follows the rules of Debian (Policy chapter 7, `deb-control(5)`, `apt_preferences(5)`) or of rpm (`rpm-dependencies(7)`) with a SAT solver behind them:
//!
//! ```text
//!  records ─► universe: who is a candidate, who satisfies what     (universe.rs; versions.rs, and ranking.rs for rpm)
//!                │
//!  names ─► wanted ─► search: candidates first, then all versions  (wanted.rs, search.rs; provider.rs is the solver's view)
//!                         │                 └─► explanation        (explain.rs)
//!                         └─► only what is needed, and why         (needed.rs) ─► lock
//! ```
//!
//! The same question gets the same answer, whatever the order of names and records.

mod edges;
mod error;
mod explain;
mod kernel;
mod lock;
mod lock_file;
mod needed;
mod provider;
mod ranking;
mod search;
mod universe;
mod versions;
mod wanted;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::cache::Coordinates;
use crate::repo::{PackageRecord, ReleaseInfo};
use crate::root::Packaging;

pub use edges::edges;
pub use error::{Error, Unavailable, UnknownName};
pub use kernel::{Kernel, is_kernel};
pub use lock::{Lock, LockedPackage, Reason};
pub use lock_file::{LOCK_FILE_LIMIT, LockFile, LockFileError, PackageChange, changes};

use universe::{Group, Record, Satisfiers, Scope, Universe};
pub use versions::version_fits;

/// What to resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Package names, each `name` or `name=version` (where `*` at the end leaves the rest of the version open), or patterns of names. A virtual package
    /// can be named if one package alone provides it (with rpm the best one is taken of several); a pattern means all real packages whose names match. With rpm
    /// also `name-version`, `name-version-release` and `name.arch`.
    pub wanted: Vec<String>,
    /// A kernel of a certain version.
    pub kernel: Option<Kernel>,
    /// Whose rules hold.
    pub packaging: Packaging,
    /// The architecture as the distribution calls it; packages of it and of `all` (`noarch`) are used.
    pub arch: String,
    /// Whether packages that others recommend come too, where they can.
    pub recommends: bool,
    /// Whether all essential packages come too: all but tests want that.
    pub essentials: bool,
    /// Files (absolute paths) of which the records say whether they provide them. Of RPM packages they name some others, too; where one is needed of which they
    /// do not tell, the answer is [`Error::Files`].
    pub looked_up: BTreeSet<String>,
}

/// What a pattern, or a kernel's version, meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// As it was asked for.
    pub wanted: String,
    /// The packages that were chosen for it, as `name=version`, by name.
    pub packages: Vec<String>,
}

/// A package that would have been better than the chosen one of its name, and does not fit together with all that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The one that was chosen.
    pub chosen: Coordinates,
    /// The better one: by the priority of its repository, or by its version.
    pub better: Coordinates,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is taken, and not {}, with which what is wanted does not fit together", self.chosen, self.better)
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The packages with their reasons.
    pub lock: Lock,
    /// The indices of their records, in the order of the lock.
    pub chosen: Vec<usize>,
    /// What patterns meant, in the order of their texts.
    pub matched: Vec<Matched>,
    /// Where not the best of a package was taken, in the order of the lock.
    pub passed_over: Vec<PassedOver>,
}

/// Something that must be in every solution.
#[derive(Debug)]
struct Root {
    /// Who it can be, best first; never empty. More than one where a package can be replaced by another one, or where packages that provide a name are meant.
    any_of: Vec<Satisfiers>,
    /// The package that was named.
    named: Option<Group>,
    kind: RootKind,
}

#[derive(Debug)]
enum RootKind {
    Essential,
    /// As it was asked for.
    Wanted(String),
}

/// Chooses packages: all that are wanted, the essential ones, and what they need; never two that exclude each other, and none that nothing needs.
///
/// Of each package the best version is used: from the archive with the highest pin, then the highest. Only where no set of these fits together, other
/// versions are tried (apt would give up); the answer says which.
///
/// # Errors
/// All wanted names that do not exist, or why what is wanted cannot be installed together.
pub fn resolve(request: &Request, packages: &[PackageRecord], releases: &[ReleaseInfo]) -> Result<Resolution, Error> {
    let mut universe = Universe::new(packages, &request.arch, request.packaging);
    let answer = answer(&mut universe, request, releases);
    // Who has such a file can change the choice, whether there is one without it or not.
    let files: BTreeSet<String> = universe.unknown_files().difference(&request.looked_up).cloned().collect();
    if files.is_empty() { answer } else { Err(Error::Files(files)) }
}

fn answer(universe: &mut Universe<'_>, request: &Request, releases: &[ReleaseInfo]) -> Result<Resolution, Error> {
    let wanted = wanted::find(universe, &request.wanted, request.kernel.as_ref()).map_err(Error::Unknown)?;
    let mut roots: Vec<Root> = Vec::new();
    if request.essentials {
        roots.extend(universe.essentials().into_iter().map(|record| {
            let group = universe.group_of(record);
            let all = Satisfiers { group, members: universe.in_scope(group, Scope::All).to_vec() };
            Root { any_of: vec![all], named: Some(group), kind: RootKind::Essential }
        }));
    }
    let open: Vec<(String, Group)> = wanted
        .iter()
        .filter(|wanted| wanted.is_open)
        .flat_map(|wanted| wanted.any_of.iter().map(move |satisfiers| (wanted, satisfiers.group)))
        // That a name means the package of that name says nothing.
        .filter(|(wanted, group)| universe.name(*group) != wanted.text)
        .map(|(wanted, group)| (wanted.text.clone(), group))
        .collect();
    roots.extend(wanted.into_iter().map(|wanted| Root { any_of: wanted.any_of, named: wanted.named, kind: RootKind::Wanted(wanted.text) }));

    let universe = &*universe;
    let chosen = search::search(universe, &roots, request.recommends)?;
    let mut reasons = needed::reasons(universe, &chosen, &roots);

    let matched = matched(universe, &chosen, &open);
    let mut chosen: Vec<_> = chosen.into_iter().collect();
    chosen.sort_by_key(|&record| {
        let coordinates = &universe.record(record).coordinates;
        (coordinates.name(), coordinates.arch())
    });
    let locked = |&record: &u32| {
        let package = universe.record(record);
        LockedPackage {
            coordinates: package.coordinates.clone(),
            sha256: package.sha256,
            size: package.size,
            filename: package.filename.clone(),
            installed_size: package.installed_size,
            essential: package.essential,
            // What nothing else needs was asked for.
            reason: reasons.remove(&record).unwrap_or(Reason::Wanted),
        }
    };
    let packages = chosen.iter().map(locked).collect();
    let passed_over = |&record: &Record| {
        let candidate = universe.in_scope(universe.group_of(record), Scope::Candidates)[0];
        let coordinates = |record| universe.record(record).coordinates.clone();
        (candidate != record).then(|| PassedOver { chosen: coordinates(record), better: coordinates(candidate) })
    };
    let passed_over = chosen.iter().filter_map(passed_over).collect();
    let mut releases = releases.to_vec();
    releases.sort_by(|a, b| (&a.archive, &a.suite).cmp(&(&b.archive, &b.suite)));
    let chosen = chosen.into_iter().map(|record| record as usize).collect();
    Ok(Resolution { lock: Lock { packages, releases }, chosen, matched, passed_over })
}

/// The chosen packages of each wanted text that left open which ones it means.
fn matched(universe: &Universe<'_>, chosen: &BTreeSet<Record>, open: &[(String, Group)]) -> Vec<Matched> {
    let mut matched: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (text, group) in open {
        let packages = universe.versions(*group).iter().filter(|record| chosen.contains(record)).map(|&record| {
            let coordinates = &universe.record(record).coordinates;
            format!("{}={}", coordinates.name(), coordinates.version())
        });
        let packages: Vec<_> = packages.collect();
        if !packages.is_empty() {
            matched.entry(text).or_default().extend(packages);
        }
    }
    matched.into_iter().map(|(wanted, packages)| Matched { wanted: wanted.to_owned(), packages: packages.into_iter().collect() }).collect()
}
