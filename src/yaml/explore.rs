//! What a walk asks for: found out by letting it walk, so that tests can hold what is written elsewhere (the JSON Schemas) against it.
//!
//! [`explore`] begins with a document that has nothing in it. Each key that the walk asks for gets a mapping, then a list of one mapping, and where the walk
//! asks that for keys again, it goes on there. Only places that the walk itself knows of are looked at, and all of them are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Kind, Node, Place, Report};

/// What was asked for, by the names of mappings and fields (`disk.partitions[0]`; empty for the document).
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The keys of each mapping, without those that are refused.
    pub(crate) keys: BTreeMap<String, BTreeSet<String>>,
    /// The keys that are refused by name.
    pub(crate) refused: BTreeMap<String, BTreeSet<String>>,
    /// The keys that an empty mapping misses.
    pub(crate) missing: BTreeMap<String, BTreeSet<String>>,
    /// The words that a field can have.
    pub(crate) words: BTreeMap<String, BTreeSet<String>>,
    /// The least and the most that a number can be.
    pub(crate) bounds: BTreeMap<String, (i64, i64)>,
}

thread_local! {
    static ASKED: RefCell<Asked> = RefCell::default();
}

/// Takes down what a walk on this thread asks for.
pub(super) fn note(take: impl FnOnce(&mut Asked)) {
    ASKED.with_borrow_mut(take);
}

/// Everything that `walk` asks of documents.
pub(crate) fn explore(walk: impl Fn(&Node, &Report)) -> Asked {
    ASKED.take();
    let mut open = vec![String::new()];
    let mut seen = BTreeSet::new();
    while let Some(place) = open.pop() {
        if !seen.insert(place.clone()) {
            continue;
        }
        walk(&document(&place), &Report::new("explored.yml".as_ref()));
        let keys = ASKED.with_borrow(|asked| asked.keys.get(&place).cloned()).unwrap_or_default();
        for key in keys {
            let field = if place.is_empty() { key } else { format!("{place}.{key}") };
            open.extend([format!("{field}[0]"), field]);
        }
    }
    ASKED.take()
}

/// The document that has an empty mapping at this place, and nothing else.
fn document(place: &str) -> Node {
    let node = |kind| Node { place: Place::START, kind };
    let steps = place.split('.').filter(|step| !step.is_empty());
    steps.rev().fold(node(Kind::Mapping(Vec::new())), |value, step| {
        let (key, value) = match step.strip_suffix("[0]") {
            Some(key) => (key, node(Kind::Sequence(vec![value]))),
            None => (step, value),
        };
        node(Kind::Mapping(vec![Entry { key: key.to_owned(), place: Place::START, value }]))
    })
}
