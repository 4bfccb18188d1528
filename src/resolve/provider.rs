//! The universe as the SAT solver wants to see it.
//!
//! A group is a *name* of the solver, of which it takes one *solvable* (a record) at most. A requirement becomes the list of its satisfiers, one *version set*
//! for each group, in the order of preference; virtual packages and alternatives are nothing but longer lists. What a package excludes becomes a constraint:
//! the version set of all in the group but those. Everything is made when the solver first asks for it: of 64,000 packages it sees a few hundred.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider, HintDependenciesAvailable, Interner,
    KnownDependencies, LogicalOperator, NameId, Requirement, SolvableId, SolverCache, StringId, VersionSetId, VersionSetUnionId,
};

use super::universe::{Group, Record, Satisfiers, Scope, Universe};
use crate::repo::{AnyOf, Conditional, PackageRecord};

/// Answers the solver's questions.
#[derive(Debug)]
pub(super) struct Provider<'u, 'a> {
    pub(super) universe: &'u Universe<'a>,
    scope: Scope,
    /// Records that are in every solution: the solver reads their dependencies before it makes its first decision.
    certain: HashSet<Record>,
    sets: RefCell<Sets>,
}

/// Version sets and unions by number, each once.
#[derive(Debug, Default)]
struct Sets {
    list: Vec<Satisfiers>,
    set_ids: HashMap<(Group, Vec<Record>), VersionSetId>,
    unions: Vec<Vec<VersionSetId>>,
    union_ids: HashMap<Vec<VersionSetId>, VersionSetUnionId>,
    conditions: Vec<Condition>,
}

impl<'u, 'a> Provider<'u, 'a> {
    /// A provider of what `roots` needs.
    pub(super) fn new(universe: &'u Universe<'a>, scope: Scope, roots: &[Vec<Satisfiers>]) -> Self {
        let mut provider = Self { universe, scope, certain: HashSet::new(), sets: RefCell::default() };
        provider.certain = provider.closure(roots);
        provider
    }

    /// The requirement of one of these.
    pub(super) fn requirement(&self, satisfiers: Vec<Satisfiers>) -> Requirement {
        let mut sets = self.sets.borrow_mut();
        let mut ids: Vec<VersionSetId> = Vec::with_capacity(satisfiers.len());
        for set in satisfiers {
            let id = sets.set(set);
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        match ids[..] {
            // Without a name of its own: it is unsatisfiable, whatever it is called.
            [] => Requirement::Single(sets.set(Satisfiers { group: 0, members: Vec::new() })),
            [id] => Requirement::Single(id),
            _ => Requirement::Union(sets.union(ids)),
        }
    }

    /// The requirement that a dependency is for the solver.
    pub(super) fn dependency(&self, alternatives: &AnyOf) -> Requirement {
        self.requirement(self.universe.any_of(alternatives, self.scope))
    }

    /// The requirement that holds under a condition; none where nothing could ever meet the condition.
    fn conditional(&self, conditional: &Conditional) -> Option<ConditionalRequirement> {
        let mut all: Option<ConditionId> = None;
        for when in &conditional.when {
            let mut any: Option<ConditionId> = None;
            for satisfiers in self.universe.satisfiers(when, self.scope) {
                let mut sets = self.sets.borrow_mut();
                let set = sets.set(satisfiers);
                let one = sets.condition(Condition::Requirement(set));
                any = Some(any.map_or(one, |any| sets.condition(Condition::Binary(LogicalOperator::Or, any, one))));
            }
            let any = any?;
            all = Some(all.map_or(any, |all| self.sets.borrow_mut().condition(Condition::Binary(LogicalOperator::And, all, any))));
        }
        Some(ConditionalRequirement { condition: all, requirement: self.dependency(&conditional.then) })
    }

    /// What is needed whatever the solver decides: follows all requirements that only one group satisfies, by its best version. Solutions become smaller by it:
    /// alternatives that something certain satisfies are never decided.
    fn closure(&self, roots: &[Vec<Satisfiers>]) -> HashSet<Record> {
        let mut certain = HashSet::new();
        let sure = |root: &Vec<Satisfiers>| match &root[..] {
            [only] => only.members.first().copied(),
            _ => None,
        };
        let mut open: Vec<Record> = roots.iter().filter_map(sure).collect();
        while let Some(record) = open.pop() {
            if !certain.insert(record) {
                continue;
            }
            for alternatives in hard_dependencies(self.universe.record(record)) {
                if let [only] = &self.universe.any_of(alternatives, self.scope)[..] {
                    open.push(only.members[0]);
                }
            }
        }
        certain
    }
}

impl Sets {
    fn set(&mut self, set: Satisfiers) -> VersionSetId {
        let next = VersionSetId(self.list.len() as u32);
        *self.set_ids.entry((set.group, set.members.clone())).or_insert_with(|| {
            self.list.push(set);
            next
        })
    }

    fn condition(&mut self, condition: Condition) -> ConditionId {
        let id = ConditionId::new(self.conditions.len() as u32);
        self.conditions.push(condition);
        id
    }

    fn union(&mut self, ids: Vec<VersionSetId>) -> VersionSetUnionId {
        let next = VersionSetUnionId(self.unions.len() as u32);
        *self.union_ids.entry(ids).or_insert_with_key(|ids| {
            self.unions.push(ids.clone());
            next
        })
    }
}

/// What must be there for a package: its Pre-Depends and Depends.
pub(super) fn hard_dependencies(record: &PackageRecord) -> impl Iterator<Item = &AnyOf> {
    record.relations.pre_depends.iter().chain(&record.relations.depends)
}

/// The solver's number of a record.
pub(super) fn solvable(record: Record) -> SolvableId {
    SolvableId::from_raw(record)
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        &self.universe.record(solvable.into_raw()).coordinates
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.universe.name(name.into_raw())
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        format!("{:?}", self.sets.borrow().list[set.0 as usize].members)
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        ""
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        NameId::from_raw(self.sets.borrow().list[set.0 as usize].group)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_raw(self.universe.group_of(solvable.into_raw()))
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.sets.borrow().unions[union.0 as usize].clone().into_iter()
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.sets.borrow().conditions[condition.as_u32() as usize].clone()
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(&self, candidates: &[SolvableId], set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        let sets = self.sets.borrow();
        let members = &sets.list[set.0 as usize].members;
        if inverse {
            candidates.iter().copied().filter(|candidate| !members.contains(&candidate.into_raw())).collect()
        } else {
            members.iter().copied().map(solvable).collect()
        }
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let candidates: Vec<_> = self.universe.in_scope(name.into_raw(), self.scope).iter().copied().map(solvable).collect();
        let certain = candidates.iter().copied().filter(|candidate| self.certain.contains(&candidate.into_raw())).collect();
        Some(Candidates { candidates, hint_dependencies_available: HintDependenciesAvailable::Some(certain), ..Candidates::default() })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, _: &mut [SolvableId]) {
        // They come from `filter_candidates`, best first.
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let record = solvable.into_raw();
        let package = self.universe.record(record);
        let plain = hard_dependencies(package).map(|alternatives| self.dependency(alternatives).into());
        let conditional = package.relations.conditional.iter().filter_map(|conditional| self.conditional(conditional));
        let requirements = plain.chain(conditional).collect();
        let excluded = self.universe.excluded_by(record, self.scope);
        let mut sets = self.sets.borrow_mut();
        let mut limits = Vec::with_capacity(excluded.len());
        for Satisfiers { group, members } in excluded {
            let others = self.universe.in_scope(group, self.scope).iter().copied().filter(|other| !members.contains(other)).collect();
            let limit = sets.set(Satisfiers { group, members: others });
            if !limits.contains(&limit) {
                limits.push(limit);
            }
        }
        // The solver keeps versions of a package apart when it meets them in a requirement; a recommended package comes in without one.
        let own = self.universe.group_of(record);
        if self.universe.in_scope(own, self.scope).len() > 1 {
            limits.push(sets.set(Satisfiers { group: own, members: vec![record] }));
        }
        Dependencies::Known(KnownDependencies { requirements, constrains: limits })
    }
}
