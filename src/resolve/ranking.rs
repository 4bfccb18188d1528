//! Which of several packages is taken for a dependency on an RPM distribution: the rules of libsolv (`policy_filter_unwanted` of its 0.7), which dnf and zypper
//! use, for an image in which nothing is installed yet.
//!
//! 1. the repository with the highest priority;
//! 2. no package that another one of them obsoletes;
//! 3. whoever provides the highest versions of what several of them provide (that a package *has* the name counts for nothing);
//! 4. the first name, in the order of its bytes.
//!
//! What is in for another reason is taken before all of these. Recommends, which libsolv looks at before 3, are not read.

use std::collections::{BTreeMap, HashMap};

use super::universe::{Record, Satisfiers, Universe};
use crate::repo::Comparison;

/// The same packages, best first; of each group once, with all its members.
pub(super) fn ranked(universe: &Universe<'_>, all: Vec<Satisfiers>) -> Vec<Satisfiers> {
    if all.len() < 2 {
        return all;
    }
    let mut by_name: BTreeMap<&str, Satisfiers> = BTreeMap::new();
    for Satisfiers { group, members } in all {
        let known = by_name.entry(universe.name(group)).or_insert_with(|| Satisfiers { group, members: Vec::new() });
        known.members.extend(members);
    }
    let mut list: Vec<Satisfiers> = by_name.into_values().collect();
    for satisfiers in &mut list {
        universe.sort(&mut satisfiers.members);
        satisfiers.members.dedup();
    }
    let best: Vec<Record> = list.iter().map(|satisfiers| satisfiers.members[0]).collect();
    let outdated = outdated(universe, &best);
    let obsoleted: Vec<bool> = best.iter().map(|&record| is_obsoleted(universe, record, &best)).collect();
    let pin = |at: usize| universe.record(best[at]).archive.pin;
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(pin(at)), obsoleted[at], outdated[at]));
    let mut list: Vec<Option<Satisfiers>> = list.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| list[at].take()).collect()
}

/// Whether another one of these obsoletes a package, and not the other way round, too.
fn is_obsoleted(universe: &Universe<'_>, record: Record, all: &[Record]) -> bool {
    let by = |one: Record, other: Record| universe.takes_the_place(one, other);
    all.iter().any(|&other| other != record && by(other, record) && !by(record, other))
}

/// How many higher versions there are of what each of these provides.
fn outdated(universe: &Universe<'_>, all: &[Record]) -> Vec<usize> {
    let mut versions: HashMap<&str, Vec<(usize, &str, Comparison)>> = HashMap::new();
    for (at, &record) in all.iter().enumerate() {
        for provide in &universe.record(record).provides {
            let Some((comparison, version)) = &provide.version else { continue };
            let is_upper = matches!(comparison, Comparison::Equal | Comparison::EarlierOrEqual | Comparison::Earlier);
            if is_upper && !(*comparison == Comparison::Equal && is_hash(version)) {
                versions.entry(&provide.name).or_default().push((at, version, *comparison));
            }
        }
    }
    let mut outdated = vec![0; all.len()];
    for mut entries in versions.into_values().filter(|entries| entries.len() > 1) {
        // Best first; what ends before a version is behind what has it.
        let ends_before = |comparison: Comparison| comparison == Comparison::Earlier;
        let order = |a: &(usize, &str, Comparison), b: &(usize, &str, Comparison)| {
            universe.compare(b.1, a.1).then_with(|| ends_before(a.2).cmp(&ends_before(b.2)))
        };
        entries.sort_by(|a, b| order(a, b).then(a.0.cmp(&b.0)));
        let mut behind = 0;
        outdated[entries[0].0] += behind;
        for pair in entries.windows(2) {
            behind += usize::from(pair[0].0 != pair[1].0 && order(&pair[0], &pair[1]).is_lt());
            outdated[pair[1].0] += behind;
        }
    }
    outdated
}

/// Whether a version is a number of a build (`= 3a5f…`), which has no order.
fn is_hash(version: &str) -> bool {
    version.len() >= 4 && version.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
