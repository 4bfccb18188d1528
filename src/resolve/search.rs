//! The search: first among the candidates, as apt does, then among all versions.

use std::collections::BTreeSet;

use resolvo::conflict::Conflict;
use resolvo::{Problem, Requirement, SolvableId, Solver, UnsolvableOrCancelled};

use super::explain::explain;
use super::needed::{dependencies, needed, supplemented, within};
use super::provider::{Provider, solvable};
use super::universe::{Record, Satisfiers, Scope, Universe};
use super::{Error, Root};

/// The packages that `roots` needs and nothing else.
pub(super) fn search(universe: &Universe<'_>, roots: &[Root], recommends: bool) -> Result<BTreeSet<Record>, Error> {
    let (scope, mut solution) = match solve(universe, roots, Scope::Candidates, &[]) {
        Ok(solution) => (Scope::Candidates, solution),
        // The candidates explain a failure better than all versions would.
        Err(unsolved) => (Scope::All, solve(universe, roots, Scope::All, &[]).map_err(|_| unsolved.explain(roots))?),
    };
    if recommends {
        let mut wished = Vec::new();
        while let Some(more) = wishes(universe, scope, &solution, &wished) {
            wished.extend(more);
            solution = solve(universe, roots, scope, &wished).map_err(|unsolved| unsolved.explain(roots))?;
        }
    }
    let of_solution = |root: &Root| {
        let members = root.any_of.iter().flat_map(|satisfiers| &satisfiers.members).copied();
        members.filter(|record| solution.contains(record)).collect::<Vec<_>>()
    };
    let roots: Vec<_> = roots.iter().map(of_solution).collect();
    needed(universe, solution, &roots, recommends)
}

/// What the packages of a solution recommend and do not have, where it has not been tried before: for each recommendation the first alternative that is left,
/// and what supplements them.
fn wishes(universe: &Universe<'_>, scope: Scope, solution: &BTreeSet<Record>, tried: &[Record]) -> Option<Vec<Record>> {
    let mut by_name: Vec<_> = solution.iter().map(|&record| universe.record(record)).collect();
    by_name.sort_by_key(|package| &package.coordinates);
    let mut wishes = Vec::new();
    for package in by_name {
        for (alternatives, _) in dependencies(universe, package, true, solution).filter(|(_, hard)| !hard) {
            if !within(universe, alternatives, solution).is_empty() {
                continue;
            }
            let untried = |record: &Record| !tried.contains(record);
            let next = universe.any_of(alternatives, scope).into_iter().flat_map(|satisfiers| satisfiers.members).find(untried);
            wishes.extend(next.filter(|record| !wishes.contains(record)));
        }
    }
    let is_there = |record| universe.versions(universe.group_of(record)).iter().any(|version| solution.contains(version));
    for record in universe.supplementing() {
        let is_new = !tried.contains(&record) && !wishes.contains(&record) && !is_there(record);
        if is_new && supplemented(universe, record, solution).is_some() {
            wishes.push(record);
        }
    }
    (!wishes.is_empty()).then_some(wishes)
}

/// A question that has no answer.
struct Unsolved<'u, 'a> {
    solver: Solver<Provider<'u, 'a>>,
    conflict: Conflict,
    /// One for each root.
    requirements: Vec<Requirement>,
}

impl Unsolved<'_, '_> {
    fn explain(&self, roots: &[Root]) -> Error {
        let graph = self.conflict.graph(&self.solver);
        Error::Unsatisfiable(explain(&graph, self.solver.provider(), roots, &self.requirements))
    }
}

/// Asks the solver.
fn solve<'u, 'a>(universe: &'u Universe<'a>, roots: &[Root], scope: Scope, wished: &[Record]) -> Result<BTreeSet<Record>, Box<Unsolved<'u, 'a>>> {
    let in_scope = |root: &Root| root.any_of.iter().map(|satisfiers| in_scope(universe, satisfiers, scope)).collect::<Vec<_>>();
    let sets: Vec<Vec<Satisfiers>> = roots.iter().map(in_scope).collect();
    let provider = Provider::new(universe, scope, &sets);
    let requirements: Vec<_> = sets.into_iter().map(|sets| provider.requirement(sets)).collect();
    let problem = Problem::new()
        .requirements(requirements.iter().copied().map(Into::into).collect())
        .soft_requirements(wished.iter().copied().map(solvable).collect::<Vec<_>>());
    let mut solver = Solver::new(provider);
    match solver.solve(problem) {
        Ok(solution) => Ok(solution.into_iter().map(SolvableId::into_raw).collect()),
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => Err(Box::new(Unsolved { solver, conflict, requirements })),
        Err(UnsolvableOrCancelled::Cancelled(_)) => unreachable!("the provider never asks to stop"),
    }
}

/// What a root leaves open within a scope. The candidate of a group is always among what was asked for of it: a name that asks for one version makes it the
/// candidate, and for a second version of the same package nothing is left.
fn in_scope(universe: &Universe<'_>, satisfiers: &Satisfiers, scope: Scope) -> Satisfiers {
    let in_scope = universe.in_scope(satisfiers.group, scope);
    Satisfiers { group: satisfiers.group, members: satisfiers.members.iter().copied().filter(|record| in_scope.contains(record)).collect() }
}
