//! Which packages of a set meet what each of them needs.

use std::collections::BTreeSet;

use super::needed::{dependencies, within};
use super::universe::{Record, Universe};
use crate::repo::PackageRecord;
use crate::root::Packaging;

/// For each of these packages the places of all others that meet one of its dependencies (Pre-Depends and Depends, or Requires with those of its conditions that
/// hold), in their order. Where several of the set are alternatives, all of them are there; what only recommends is no dependency.
pub fn edges(packages: &[PackageRecord], arch: &str, packaging: Packaging) -> Vec<Vec<usize>> {
    let universe = Universe::new(packages, arch, packaging);
    let all: BTreeSet<Record> = (0..packages.len() as Record).collect();
    let of = |(place, package): (usize, &PackageRecord)| {
        let met = dependencies(&universe, package, false, &all).flat_map(|(alternatives, _)| within(&universe, alternatives, &all));
        let met: BTreeSet<usize> = met.map(|record| record as usize).filter(|other| *other != place).collect();
        met.into_iter().collect()
    };
    packages.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_meet_a_dependency_are_told() {
        let packages = crate::repo::rpm::primary::tests::records(
            "a 1-1: requires c, /bin/sh, a, (d if e), (d if nothing)\n\
             b 1-1: provides c\nc 1-1: requires gone\nd 1-1\ne 1-1: requires b > 1\nsh 1-1: files /bin/sh; requires (a if nothing)",
        );
        assert_eq!(edges(&packages, "x86_64", Packaging::Rpm), [vec![1, 2, 3, 5], vec![], vec![], vec![], vec![], vec![]]);
    }

    #[test]
    fn debian_relations_are_met_by_all_alternatives_that_are_there() {
        let packages = super::super::tests::records(
            "debian",
            500,
            "Package: a\nVersion: 1\nPre-Depends: b (>= 2) | c\nDepends: mail, d (= 2), a\nRecommends: e\n\n\
             Package: b\nVersion: 2\n\nPackage: c\nVersion: 1\n\nPackage: d\nVersion: 1\nProvides: mail\n\nPackage: e\nVersion: 1\n",
        );
        assert_eq!(edges(&packages, "amd64", Packaging::Deb)[0], [1, 2, 3]);
        assert!(edges(&packages, "amd64", Packaging::Deb)[1..].iter().all(Vec::is_empty));
    }
}
