//! In which rounds the packages of a stage are unpacked.
//!
//! The bootstrap is the essential system: unpacked whole, then its preinst scripts, then configured. Afterwards scripts have a system to run in, and each
//! round first configures what its preinst scripts rely on, then runs them, then unpacks, side by side. A package with a preinst script waits until all
//! that it pre-depends on, with their own dependencies, is unpacked (Debian Policy §7.2); the others come as early as they can, because the fewer
//! rounds there are, the more is unpacked side by side.

use std::collections::BTreeSet;

use super::plan::Package;

/// A part of an installation, by its number. Each begins where the one before has ended, with nothing left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage(pub(super) usize);

impl Stage {
    /// With the essential system.
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn has(self, package: &Package) -> bool {
        package.stage == self.0
    }

    /// Whether a package is installed when the stage begins.
    pub(super) fn follows(self, package: &Package) -> bool {
        package.stage < self.0
    }

    /// Whether a package comes before all rounds of the stage.
    fn is_first(self, package: &Package) -> bool {
        self.follows(package) || self == Self::FIRST && package.essential
    }
}

/// One round.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The packages to unpack, in the order of the plan.
    pub(super) members: Vec<usize>,
    /// The packages of earlier rounds that must be configured before and are not yet, in the order of the plan.
    pub(super) relies_on: Vec<usize>,
}

/// The packages of a stage, in the order of the plan: those of the bootstrap, and those of its rounds.
pub(super) fn bootstrap(packages: &[Package], stage: Stage) -> (Vec<usize>, Vec<usize>) {
    (0..packages.len()).filter(|&number| stage.has(&packages[number])).partition(|&number| stage.is_first(&packages[number]))
}

/// All rounds of a stage after the bootstrap. `has_preinst` says which packages have a preinst script.
pub(super) fn rounds(packages: &[Package], stage: Stage, has_preinst: &[bool]) -> Vec<Round> {
    let mut round: Vec<Option<usize>> = vec![None; packages.len()];
    let own = |number: &usize| stage.has(&packages[*number]);
    for number in (0..packages.len()).filter(own) {
        settle(number, (packages, stage), has_preinst, &mut round, &mut Vec::new());
    }
    let last = round.iter().flatten().max().copied().unwrap_or(0);
    // dpkg refuses to configure a package again.
    let mut configured = BTreeSet::new();
    (1..=last)
        .map(|wanted| {
            let members: Vec<usize> = (0..packages.len()).filter(own).filter(|&number| round[number] == Some(wanted)).collect();
            let mut relies_on = BTreeSet::new();
            for &number in members.iter().filter(|&&number| has_preinst[number]) {
                relies_on.extend(closure(&packages[number].pre_depends, packages));
            }
            // The essential system is configured whole.
            relies_on.retain(|&number| round[number].is_some_and(|other| other > 0 && other < wanted) && configured.insert(number));
            Round { members, relies_on: relies_on.into_iter().collect() }
        })
        .filter(|round| !round.members.is_empty())
        .collect()
}

/// These packages and all that must be configured before them.
fn closure(first: &[usize], packages: &[Package]) -> BTreeSet<usize> {
    let mut closure = BTreeSet::new();
    let mut open = first.to_vec();
    while let Some(number) = open.pop() {
        if closure.insert(number) {
            open.extend(packages[number].pre_depends.iter().chain(&packages[number].depends));
        }
    }
    closure
}

fn settle(number: usize, of: (&[Package], Stage), has_preinst: &[bool], round: &mut [Option<usize>], path: &mut Vec<usize>) -> usize {
    if let Some(known) = round[number] {
        return known;
    }
    // A circle of pre-dependencies cannot be kept by anyone; dpkg breaks it somewhere too.
    if path.contains(&number) {
        return 0;
    }
    path.push(number);
    let (packages, stage) = of;
    let own = if stage.is_first(&packages[number]) {
        0
    } else if has_preinst[number] {
        let before = closure(&packages[number].pre_depends, packages);
        1 + before.into_iter().map(|other| settle(other, of, has_preinst, round, path)).max().unwrap_or(0)
    } else {
        1
    };
    path.pop();
    round[number] = Some(own);
    own
}

/// The packages of a round so that each comes after those it pre-depends on.
pub(super) fn by_pre_depends(members: &[usize], packages: &[Package]) -> Vec<usize> {
    fn visit(number: usize, members: &[usize], packages: &[Package], seen: &mut BTreeSet<usize>, done: &mut Vec<usize>) {
        if members.binary_search(&number).is_err() || !seen.insert(number) {
            return;
        }
        for &other in &packages[number].pre_depends {
            visit(other, members, packages, seen, done);
        }
        done.push(number);
    }
    let (mut seen, mut done) = (BTreeSet::new(), Vec::new());
    for &number in members {
        visit(number, members, packages, &mut seen, &mut done);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::testing::package;

    #[test]
    fn a_preinst_waits_for_its_pre_dependencies() {
        let mut packages = vec![package("app"), package("base"), package("lib"), package("plain"), package("libs-lib")];
        packages[1].essential = true;
        packages[0].pre_depends = vec![1, 2];
        packages[2].depends = vec![4];
        packages[3].pre_depends = vec![0];
        let rounds = rounds(&packages, Stage::FIRST, &[true, true, false, false, false]);
        assert_eq!(bootstrap(&packages, Stage::FIRST), (vec![1], vec![0, 2, 3, 4]));
        let later = Round { members: vec![0], relies_on: vec![2, 4] };
        assert_eq!(rounds, [Round { members: vec![2, 3, 4], relies_on: vec![] }, later]);
    }

    #[test]
    fn a_package_is_configured_once() {
        let mut packages = vec![package("lib"), package("tool"), package("app")];
        packages[1].pre_depends = vec![0];
        packages[2].pre_depends = vec![1];
        let rounds = rounds(&packages, Stage::FIRST, &[false, true, true]);
        assert_eq!(rounds.iter().map(|round| round.relies_on.clone()).collect::<Vec<_>>(), [vec![], vec![0], vec![1]]);
    }

    #[test]
    fn a_later_stage_relies_on_the_earlier_ones_without_asking() {
        let mut packages = vec![package("app"), package("base"), package("lib")];
        (packages[0].stage, packages[2].stage) = (1, 1);
        packages[0].pre_depends = vec![1, 2];
        packages[1].essential = true;
        let has_preinst = [true, true, false];
        assert_eq!(bootstrap(&packages, Stage::FIRST), (vec![1], vec![]));
        assert_eq!(rounds(&packages, Stage::FIRST, &has_preinst), []);
        assert_eq!(bootstrap(&packages, Stage(1)), (vec![], vec![0, 2]));
        let rest = rounds(&packages, Stage(1), &has_preinst);
        assert_eq!(rest, [Round { members: vec![2], relies_on: vec![] }, Round { members: vec![0], relies_on: vec![2] }]);
    }

    #[test]
    fn a_circle_ends() {
        let mut packages = vec![package("a"), package("b")];
        packages[0].pre_depends = vec![1];
        packages[1].pre_depends = vec![0];
        assert_eq!(rounds(&packages, Stage::FIRST, &[true, true]).iter().map(|round| round.members.len()).sum::<usize>(), 2);
        assert_eq!(by_pre_depends(&[0, 1], &packages), [1, 0]);
    }
}
