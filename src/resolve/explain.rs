//! A failure in words.
//!
//! The solver hands out a graph: who needs whom, and where it ends. Each of its edges becomes a sentence, from what is wanted to what stands in its way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use resolvo::conflict::{ConflictCause, ConflictEdge, ConflictGraph, ConflictNode};
use resolvo::{Requirement as Need, SolvableId};

use super::provider::{Provider, hard_dependencies};
use super::universe::{Record, Scope, Universe};
use super::{Root, RootKind};
use crate::repo::{AnyOf, Comparison, Requirement};

/// The most sentences: nobody reads more.
const LIMIT: usize = 24;
/// The most versions of a package that are listed.
const VERSIONS: usize = 4;

/// The sentences of a conflict. `needs` are what the solver was asked for, one for each of `roots`.
pub(super) fn explain(graph: &ConflictGraph<SolvableId>, provider: &Provider<'_, '_>, roots: &[Root], needs: &[Need]) -> Vec<String> {
    let story = Story::read(graph, provider.universe);
    let mut sentences = Sentences::default();
    let mut told = BTreeSet::new();
    let mut next: VecDeque<Record> = VecDeque::new();

    for (root, need) in roots.iter().zip(needs) {
        if let Some(candidates) = story.needs.get(&(None, *need)) {
            sentences.add(root_sentence(provider.universe, root, candidates.is_empty()));
            next.extend(candidates);
        }
    }
    while let Some(record) = next.pop_front() {
        if !told.insert(record) {
            continue;
        }
        let package = provider.universe.record(record);
        let mut told_needs = BTreeSet::new();
        let conditional = package.relations.conditional.iter().map(|conditional| &conditional.then);
        for alternatives in hard_dependencies(package).chain(conditional) {
            let need = provider.dependency(alternatives);
            let Some(candidates) = story.needs.get(&(Some(record), need)) else { continue };
            // Several dependencies that nothing satisfies are one need to the solver, and each is told; others are told once.
            if candidates.is_empty() || told_needs.insert(need) {
                sentences.add(need_sentence(provider.universe, package.coordinates.name(), alternatives, candidates));
                next.extend(candidates);
            }
        }
        for &other in story.conflicts.get(&record).into_iter().flatten() {
            sentences.add(conflict_sentence(provider.universe, record, other));
        }
    }
    sentences.finish()
}

/// The graph, in an order of its own.
#[derive(Default)]
struct Story {
    /// Who could satisfy a need of a package, or of the roots. Empty where nobody can.
    needs: BTreeMap<(Option<Record>, Need), Vec<Record>>,
    conflicts: BTreeMap<Record, Vec<Record>>,
}

impl Story {
    fn read(graph: &ConflictGraph<SolvableId>, universe: &Universe<'_>) -> Self {
        let mut story = Self::default();
        let record = |node| match graph.graph.node_weight(node) {
            Some(ConflictNode::Solvable(solvable)) => Some(solvable.into_raw()),
            _ => None,
        };
        for edge in graph.graph.edge_indices() {
            let (Some((from, to)), Some(weight)) = (graph.graph.edge_endpoints(edge), graph.graph.edge_weight(edge)) else { continue };
            match (weight, record(from), record(to)) {
                (ConflictEdge::Requires(need), from, to) => {
                    let candidates = story.needs.entry((from, *need)).or_default();
                    candidates.extend(to.filter(|to| !candidates.contains(to)));
                }
                (ConflictEdge::Conflict(ConflictCause::Constrains(_) | ConflictCause::ForbidMultipleInstances), Some(from), Some(to)) => {
                    story.conflicts.entry(from).or_default().push(to);
                }
                (ConflictEdge::Conflict(_), ..) => {}
            }
        }
        for list in story.needs.values_mut().chain(story.conflicts.values_mut()) {
            list.sort_by_key(|&record| &universe.record(record).coordinates);
        }
        story
    }
}

fn root_sentence(universe: &Universe<'_>, root: &Root, nothing_left: bool) -> String {
    let name = universe.name(root.named.unwrap_or(root.any_of[0].group));
    match &root.kind {
        RootKind::Essential => format!("{name} is essential"),
        RootKind::Wanted(text) if nothing_left => format!("{text} is wanted by the spec, and so is another version of {name}"),
        RootKind::Wanted(text) => format!("{text} is wanted by the spec"),
    }
}

fn need_sentence(universe: &Universe<'_>, name: &str, alternatives: &AnyOf, candidates: &[Record]) -> String {
    let needs = format!("{name} needs {}", show_any_of(alternatives));
    if candidates.is_empty() {
        let mut reasons: Vec<String> = alternatives.0.iter().map(|requirement| absent(universe, requirement, alternatives.0.len() > 1)).collect();
        reasons.dedup();
        return format!("{needs}, but {}", reasons.join(", and "));
    }
    let names: BTreeSet<&str> = candidates.iter().map(|&record| universe.record(record).coordinates.name()).collect();
    if names.iter().all(|name| alternatives.0.iter().any(|requirement| requirement.name == *name)) {
        return needs;
    }
    format!("{needs}, which {} could be", names.into_iter().collect::<Vec<_>>().join(" or "))
}

/// Why nothing satisfies a requirement.
fn absent(universe: &Universe<'_>, requirement: &Requirement, named: bool) -> String {
    // Expressions of rpm that cannot be a name stand for themselves.
    if requirement.name.starts_with('(') {
        return "this program does not know such an expression".to_owned();
    }
    if requirement.name.starts_with('/') && universe.satisfiers(requirement, Scope::All).is_empty() {
        return format!("no package has {}", requirement.name);
    }
    let name = if named { requirement.name.as_str() } else { "it" };
    let any_version = Requirement { version: None, arch: None, with: Vec::new(), without: Vec::new(), ..requirement.clone() };
    let all = universe.satisfiers(&any_version, Scope::All);
    let Some(first) = all.first() else { return format!("{} is in no repository", if named { &requirement.name } else { "that" }) };
    if universe.name(first.group) != requirement.name {
        let providers: Vec<_> = all.iter().take(VERSIONS).map(|satisfiers| universe.name(satisfiers.group)).collect();
        return format!("{} {} {name} in another version", providers.join(" and "), if providers.len() == 1 { "provides" } else { "provide" });
    }
    let label = |&record: &Record| {
        let coordinates = &universe.record(record).coordinates;
        format!("{} ({})", coordinates.version(), coordinates.repository())
    };
    let versions: Vec<_> = first.members.iter().take(VERSIONS).map(label).collect();
    let of = if named { format!(" of {name}") } else { String::new() };
    if requirement.arch.is_some() && !universe.satisfiers(&Requirement { arch: None, ..requirement.clone() }, Scope::All).is_empty() {
        return format!("{} of {} does not serve other architectures", versions.join(" or "), requirement.name);
    }
    format!("only {}{of} {} there", versions.join(" and "), if versions.len() == 1 { "is" } else { "are" })
}

fn conflict_sentence(universe: &Universe<'_>, record: Record, other: Record) -> String {
    let label = |record| {
        let coordinates = &universe.record(record).coordinates;
        format!("{} {}", coordinates.name(), coordinates.version())
    };
    if universe.group_of(record) == universe.group_of(other) {
        let versions = [record, other].map(|record| universe.record(record).coordinates.version());
        return format!("{} can be installed in one version only, {} or {}", universe.name(universe.group_of(record)), versions[0], versions[1]);
    }
    let relations = &universe.record(record).relations;
    let names = |requirement: &&Requirement| universe.excluded(requirement, Scope::All).iter().any(|satisfiers| satisfiers.members.contains(&other));
    let (verb, entry) = match relations.conflicts.iter().find(names) {
        Some(entry) => ("conflicts with", Some(entry)),
        None => ("breaks", relations.breaks.iter().find(names)),
    };
    let obsoletes =
        || universe.obsoletes(record).find(|entry| universe.obsoleted(entry, Scope::All).is_some_and(|found| found.members.contains(&other)));
    let (verb, entry) = if entry.is_some() { (verb, entry) } else { obsoletes().map_or((verb, None), |entry| ("obsoletes", Some(entry))) };
    let shown = entry.map(show).unwrap_or_default();
    let by_name = entry.is_some_and(|entry| entry.name == universe.name(universe.group_of(other)));
    if by_name {
        format!("{} {verb} {shown}, and {} is that", label(record), label(other))
    } else {
        format!("{} {verb} {shown}, which {} provides", label(record), label(other))
    }
}

/// Alternatives as a control file writes them.
pub(super) fn show_any_of(alternatives: &AnyOf) -> String {
    alternatives.0.iter().map(show).collect::<Vec<_>>().join(" | ")
}

/// A requirement as a control file writes it.
fn show(requirement: &Requirement) -> String {
    let mut text = requirement.name.clone();
    if let Some(arch) = &requirement.arch {
        text = format!("{text}:{arch}");
    }
    if let Some((comparison, version)) = &requirement.version {
        let sign = match comparison {
            Comparison::Earlier => "<<",
            Comparison::EarlierOrEqual => "<=",
            Comparison::Equal => "=",
            Comparison::LaterOrEqual => ">=",
            Comparison::Later => ">>",
        };
        text = format!("{text} ({sign} {version})");
    }
    for more in &requirement.with {
        text = format!("{text} with {}", show(more));
    }
    for less in &requirement.without {
        text = format!("{text} without {}", show(less));
    }
    text
}

/// Sentences, each once.
#[derive(Default)]
struct Sentences {
    list: Vec<String>,
    left_out: usize,
}

impl Sentences {
    fn add(&mut self, sentence: String) {
        if self.list.contains(&sentence) {
            return;
        }
        if self.list.len() < LIMIT {
            self.list.push(sentence);
        } else {
            self.left_out += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.left_out > 0 {
            self.list.push(format!("and {} more", self.left_out));
        }
        self.list
    }
}
