//! `extends`: a spec that builds on another file, which may build on a third, up to a root.
//!
//! The files are merged as trees, before anything in them is checked, so that one walk sees the whole and every mistake is told with the file that has it.
//! The root comes first, the spec that the user named last, and what comes later wins:
//!
//! | what | how |
//! |---|---|
//! | `disk`, and all lists and values but those below | the later one replaces the earlier |
//! | `systemConfig.packages`, `configurations` | add up, in the order of the files |
//! | `systemConfig.users` | by `name`, field by field |
//! | `systemConfig.additionalFiles` | by `final`, whole entries |
//! | `packageRepositories` | by `id`, or by `url` and `codename` where not both have one; whole entries |
//! | `target` | must say the same wherever it says something |
//! | mappings | field by field; an empty value (`key:`) leaves what was there |
//!
//! A file may extend only what lies in its own folder or beneath it, links resolved: a spec of unknown origin reads nothing elsewhere.

use std::path::{Component, Path, PathBuf};

use crate::yaml::{self, Entry, Kind, Node, Place, Report, Scalar};

/// The longest chain, in files. Real ones have two or three.
const MAX_FILES: usize = 32;

/// The tree of a spec with all that it extends. `path` is where `text` was read from. None where a mistake makes the rest meaningless.
pub(super) fn tree(text: &str, path: &Path, report: &Report) -> Option<Node> {
    let mut leaf = yaml::parse(text, report)?;
    let mut chain = Vec::new();
    // The spec itself may be a text that is in no file yet.
    let mut seen: Vec<PathBuf> = path.canonicalize().into_iter().collect();
    let mut path = path.to_owned();
    loop {
        let parent = take_extends(&mut leaf, report);
        chain.push(leaf);
        let Parent::Named(name, place) = parent? else { break };
        let (parent, canonical) = find(&name, &path, place, report)?;
        if let Some(first) = seen.iter().position(|other| *other == canonical) {
            let names: Vec<_> =
                seen[first..].iter().chain([&canonical]).filter_map(|path| path.file_name()).map(|name| name.to_string_lossy()).collect();
            report.error_with_hint(place, format!("extends goes in a circle: {}", names.join(" → ")), "let one of them extend nothing");
            return None;
        }
        if chain.len() == MAX_FILES {
            report.error(place, format!("more than {MAX_FILES} files extend each other"));
            return None;
        }
        let text = match yaml::read(&parent) {
            Ok(text) => text,
            Err(error) => {
                report.error(place, format!("extends: {error}"));
                return None;
            }
        };
        leaf = yaml::parse_file(&text, report.add_file(&parent), report)?;
        seen.push(canonical);
        path = parent;
    }
    let root = chain.pop()?;
    Some(chain.into_iter().rev().fold(root, |base, over| merge(base, over, Level::Document, report)))
}

/// What a document says about the file that it extends.
enum Parent {
    None,
    Named(String, Place),
}

/// Takes `extends` out of a document. None where it says no path.
fn take_extends(document: &mut Node, report: &Report) -> Option<Parent> {
    let Kind::Mapping(entries) = &mut document.kind else { return Some(Parent::None) };
    let Some(at) = entries.iter().position(|entry| entry.key == "extends") else { return Some(Parent::None) };
    let Entry { value, .. } = entries.remove(at);
    match &value.kind {
        Kind::Scalar(Scalar::Null) => Some(Parent::None),
        Kind::Scalar(Scalar::Text(name)) if !name.is_empty() => Some(Parent::Named(name.clone(), value.place)),
        _ => {
            report.wrong_type("extends", "the path of one file", &value, None);
            None
        }
    }
}

/// The file that `from` extends: as it is to be named, and where it really is.
fn find(name: &str, from: &Path, place: Place, report: &Report) -> Option<(PathBuf, PathBuf)> {
    let folder = from.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let path = from.parent().unwrap_or(Path::new("")).join(name);
    let outside = || {
        let hint = "a spec extends what lies in its own folder or beneath it: put both there";
        report.error_with_hint(place, format!("extends “{}” leads out of the folder of the spec", yaml::cut(name)), hint);
    };
    if Path::new(name).components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        outside();
        return None;
    }
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(canonical), Ok(folder)) if canonical.starts_with(&folder) => Some((path, canonical)),
        (Ok(_), Ok(_)) => {
            outside();
            None
        }
        (Err(error), _) | (_, Err(error)) => {
            report.error_with_hint(
                place,
                format!("extends: cannot read {}: {error}", path.display()),
                "it is looked for beside the file that names it",
            );
            None
        }
    }
}

/// Where in a spec two mappings are merged.
#[derive(Clone, Copy)]
enum Level {
    Document,
    Target,
    System,
    Other,
}

/// `over` upon `base`.
fn merge(base: Node, over: Node, level: Level, report: &Report) -> Node {
    let (mut entries, more) = match (base.kind, over.kind) {
        (kind, Kind::Scalar(Scalar::Null)) => return Node { place: base.place, kind },
        (Kind::Mapping(entries), Kind::Mapping(more)) => (entries, more),
        (_, kind) => return Node { place: over.place, kind },
    };
    for Entry { key, place, value } in more {
        let Some(entry) = entries.iter_mut().find(|entry| entry.key == key) else {
            entries.push(Entry { key, place, value });
            continue;
        };
        let base = std::mem::replace(&mut entry.value, Node { place: value.place, kind: Kind::Scalar(Scalar::Null) });
        entry.value = match (level, key.as_str()) {
            _ if matches!(value.kind, Kind::Scalar(Scalar::Null)) => base,
            (Level::Document, "disk") => value,
            (Level::Document, "target") => merge(base, value, Level::Target, report),
            (Level::Document, "systemConfig") => merge(base, value, Level::System, report),
            (Level::Document, "packageRepositories") => merge_lists(base, value, same_repository, |_, over| over),
            (Level::Target, _) => same(&key, &base, value, report),
            (Level::System, "packages" | "configurations") => merge_lists(base, value, |_, _| false, |_, over| over),
            (Level::System, "users") => merge_lists(base, value, same_text("name"), |base, over| merge_users(base, over, report)),
            (Level::System, "additionalFiles") => merge_lists(base, value, same_text("final"), |_, over| over),
            _ => merge(base, value, Level::Other, report),
        };
        entry.place = place;
    }
    Node { place: over.place, kind: Kind::Mapping(entries) }
}

/// The items of both lists. One of `over` that is the same as one of `base` takes its place, joined with it; an item is joined once, so that what is twice in
/// one file stays twice, and is told.
fn merge_lists(base: Node, over: Node, same: impl Fn(&Node, &Node) -> bool, join: impl Fn(Node, Node) -> Node) -> Node {
    let (mut items, more) = match (base.kind, over.kind) {
        (Kind::Sequence(items), Kind::Sequence(more)) => (items, more),
        (_, kind) => return Node { place: over.place, kind },
    };
    let mut is_open = vec![true; items.len()];
    for item in more {
        match is_open.iter().zip(&items).position(|(open, base)| *open && same(base, &item)) {
            Some(at) => {
                is_open[at] = false;
                let place = item.place;
                let base = std::mem::replace(&mut items[at], Node { place, kind: Kind::Scalar(Scalar::Null) });
                items[at] = join(base, item);
            }
            None => items.push(item),
        }
    }
    Node { place: over.place, kind: Kind::Sequence(items) }
}

fn text_of<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).and_then(Node::text)
}

/// Whether two items have the same text there.
fn same_text(key: &'static str) -> impl Fn(&Node, &Node) -> bool {
    move |base, over| text_of(over, key).is_some_and(|text| text_of(base, key) == Some(text))
}

/// Whether two entries are the same repository.
fn same_repository(base: &Node, over: &Node) -> bool {
    if let (Some(base), Some(over)) = (text_of(base, "id"), text_of(over, "id")) {
        return base == over;
    }
    let place = |node| ["url", "codename"].map(|key| text_of(node, key).map(str::to_owned));
    place(over).iter().any(Option::is_some) && place(base) == place(over)
}

/// A user upon the same of an earlier file. How a password is to be hashed belongs to the password.
fn merge_users(mut base: Node, over: Node, report: &Report) -> Node {
    if let Kind::Mapping(entries) = &mut base.kind
        && over.get("password").is_some()
    {
        entries.retain(|entry| entry.key != "hash_algo");
    }
    merge(base, over, Level::Other, report)
}

/// A value that no file may change: what is built on a spec is built for the same system.
fn same(key: &str, base: &Node, over: Node, report: &Report) -> Node {
    if let (Some(said), Some(says)) = (base.text(), over.text())
        && said != says
    {
        let first = report.line_of(base.place, over.place);
        let message = format!("target.{key} is “{}”, but “{}” in {first}", yaml::cut(says), yaml::cut(said));
        report.error_with_hint(over.place, message, "extend a spec for the same target, or leave the field out");
    }
    over
}
