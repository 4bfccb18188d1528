//! What of a solution is really needed, and why.
//!
//! The solver's answer holds, but it may contain what it once decided on and then did not need. So the set is gone through again from what was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::explain::show_any_of;
use super::lock::Reason;
use super::provider::hard_dependencies;
use super::universe::{Record, Satisfiers, Scope, Universe};
use super::{Error, Root, RootKind};
use crate::repo::{AnyOf, PackageRecord, Requirement};

/// The packages of `solution` that `roots` needs, each of which one of these packages satisfies: where one alternative is in for another reason, no second one
/// stays. With `recommends`, what they recommend and the solution has stays too, and what of it supplements them.
///
/// # Errors
/// A dependency that nothing in the solution satisfies, and two packages in it that exclude each other: the solver would be wrong.
pub(super) fn needed(
    universe: &Universe<'_>,
    solution: BTreeSet<Record>,
    roots: &[Vec<Record>],
    recommends: bool,
) -> Result<BTreeSet<Record>, Error> {
    let mut solution = solution;
    // What a condition asked for may go where that on which it stood has gone.
    loop {
        let kept = once_through(universe, &solution, roots, recommends)?;
        if kept.len() == solution.len() {
            return Ok(kept);
        }
        solution = kept;
    }
}

fn once_through(universe: &Universe<'_>, solution: &BTreeSet<Record>, roots: &[Vec<Record>], recommends: bool) -> Result<BTreeSet<Record>, Error> {
    let mut kept = BTreeSet::new();
    let (mut fresh, mut open) = (Vec::new(), BTreeMap::new());
    // Alternatives of which several are in the solution, by who asks and where in its list.
    for (at, root) in roots.iter().enumerate() {
        match root[..] {
            [only] => fresh.push(only),
            _ => drop(open.insert(("", at), root.clone())),
        }
    }
    loop {
        while let Some(record) = fresh.pop() {
            if !kept.insert(record) {
                continue;
            }
            let package = universe.record(record);
            for (at, (alternatives, hard)) in dependencies(universe, package, recommends, solution).enumerate() {
                let satisfiers = within(universe, alternatives, solution);
                match satisfiers[..] {
                    [] if hard => {
                        let fault = format!("without {}", show_any_of(alternatives));
                        return Err(Error::Unsound { package: package.coordinates.to_string(), fault });
                    }
                    [] => {}
                    [only] => fresh.push(only),
                    _ => drop(open.insert((package.coordinates.name(), at), satisfiers)),
                }
            }
        }
        if recommends {
            let others = solution.difference(&kept).copied();
            fresh.extend(others.filter(|&record| supplemented(universe, record, &kept).is_some()));
            if !fresh.is_empty() {
                continue;
            }
        }
        match open.pop_first() {
            None => break,
            Some((_, satisfiers)) if satisfiers.iter().any(|satisfier| kept.contains(satisfier)) => {}
            Some((_, satisfiers)) => fresh.push(satisfiers[0]),
        }
    }
    for &record in &kept {
        let own = universe.versions(universe.group_of(record)).iter().copied().filter(|&other| other != record);
        let excluded = universe.excluded_by(record, Scope::All).into_iter().flat_map(|satisfiers| satisfiers.members);
        if let Some(other) = own.chain(excluded).find(|other| kept.contains(other)) {
            let fault = format!("together with {}", universe.record(other).coordinates);
            return Err(Error::Unsound { package: universe.record(record).coordinates.to_string(), fault });
        }
    }
    Ok(kept)
}

/// Why each of `kept` is there. What is among the roots needs no other reason.
pub(super) fn reasons(universe: &Universe<'_>, kept: &BTreeSet<Record>, roots: &[Root]) -> BTreeMap<Record, Reason> {
    let mut reasons = BTreeMap::new();
    let mut replacing = BTreeMap::new();
    for root in roots {
        let reason = match root.kind {
            RootKind::Essential => Reason::Essential,
            RootKind::Wanted(_) => Reason::Wanted,
        };
        for Satisfiers { group, members } in &root.any_of {
            for record in members.iter().filter(|record| kept.contains(record)) {
                if let Some(named) = root.named.filter(|named| named != group) {
                    replacing.entry(*record).or_insert_with(|| Reason::Obsoletes(universe.name(named).to_owned()));
                } else {
                    // The essential ones come first.
                    reasons.entry(*record).or_insert_with(|| reason.clone());
                }
            }
        }
    }
    for (record, reason) in replacing {
        reasons.entry(record).or_insert(reason);
    }
    let mut by_name: Vec<_> = kept.iter().map(|&record| universe.record(record)).collect();
    by_name.sort_by_key(|package| &package.coordinates);
    for hard in [true, false] {
        for package in &by_name {
            let name = package.coordinates.name();
            for (alternatives, _) in dependencies(universe, package, true, kept).filter(|(_, is_hard)| *is_hard == hard) {
                for satisfier in within(universe, alternatives, kept).into_iter().filter(|&record| !std::ptr::eq(universe.record(record), *package)) {
                    let reason = if hard { Reason::DependencyOf } else { Reason::RecommendedBy };
                    reasons.entry(satisfier).or_insert_with(|| reason(name.to_owned()));
                }
            }
        }
    }
    // Files that it names are looked up only where they matter.
    for &record in kept {
        if !reasons.contains_key(&record)
            && let Some(other) = supplemented(universe, record, kept)
        {
            reasons.insert(record, Reason::Supplements(universe.record(other).coordinates.name().to_owned()));
        }
    }
    reasons
}

/// The first package of a set that `record` supplements, if that is so where these packages are there.
pub(super) fn supplemented(universe: &Universe<'_>, record: Record, set: &BTreeSet<Record>) -> Option<Record> {
    let others = |requirement: &Requirement| {
        let satisfiers = universe.satisfiers(requirement, Scope::All);
        satisfiers.into_iter().flat_map(|satisfiers| satisfiers.members).find(|other| *other != record && set.contains(other))
    };
    let ways = universe.record(record).relations.supplements.iter();
    ways.filter_map(|way| way.iter().map(others).collect::<Option<Vec<_>>>()).find_map(|way| way.first().copied())
}

/// All that a package asks for where the packages of `set` are there, and whether it must be there.
pub(super) fn dependencies<'p>(
    universe: &Universe<'_>,
    package: &'p PackageRecord,
    recommends: bool,
    set: &BTreeSet<Record>,
) -> impl Iterator<Item = (&'p AnyOf, bool)> {
    let soft = if recommends { &package.relations.recommends[..] } else { &[] };
    let holds =
        |when: &Requirement| universe.satisfiers(when, Scope::All).iter().any(|found| found.members.iter().any(|record| set.contains(record)));
    let conditional = package.relations.conditional.iter().filter(move |conditional| conditional.when.iter().all(holds));
    let hard = hard_dependencies(package).chain(conditional.map(|conditional| &conditional.then));
    hard.map(|alternatives| (alternatives, true)).chain(soft.iter().map(|alternatives| (alternatives, false)))
}

/// The packages of a set that satisfy these alternatives, in the order of preference, each once.
pub(super) fn within(universe: &Universe<'_>, alternatives: &AnyOf, set: &BTreeSet<Record>) -> Vec<Record> {
    let mut found = Vec::new();
    for record in universe.any_of(alternatives, Scope::All).into_iter().flat_map(|satisfiers| satisfiers.members) {
        if set.contains(&record) && !found.contains(&record) {
            found.push(record);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::rpm::primary::tests::records;
    use crate::root::Packaging;

    #[test]
    fn conditions_that_fell_away_ask_for_nothing() {
        let all = records("a 1-1: requires (b if c)\nb 1-1: requires d\nc 1-1\nd 1-1");
        let universe = Universe::new(&all, "x86_64", Packaging::Rpm);
        let kept = needed(&universe, (0..4).collect(), &[vec![0]], false).unwrap();
        assert_eq!(kept, BTreeSet::from([0]));
        assert_eq!(needed(&universe, (0..4).collect(), &[vec![0], vec![2]], false).unwrap().len(), 4);
    }
}
