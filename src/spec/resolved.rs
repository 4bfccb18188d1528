//! A complete spec in its own language again: what all its files say, and what the profile adds, in one document that has the same hash.
//!
//! A plain password is told as its hash, and local files are told with absolute paths, so that the document can lie anywhere.

use std::path::{Path, PathBuf};

use super::load::{LoadError, Loaded};
use super::model::{Artifact, FileSystem, ImageType, Partition, Spec};
use super::{extends, load};
use crate::distro::Architecture;
use crate::yaml::{self, Entry, Kind, Line, Node, Place, Report, Scalar};

/// [`Place::file`] of what no file says.
const NO_FILE: u16 = u16::MAX;

/// The document, and where each value is from.
pub struct Resolved {
    /// What it says.
    pub loaded: Loaded,
    root: Node,
    report: Report,
}

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file of the chain, as it was named, and the line.
    File(PathBuf, usize),
    /// The profile of that name, or what is built in.
    Default(&'static str),
}

/// Reads, checks and completes the spec at `path`, as [`super::load`] does.
///
/// # Errors
/// A file that cannot be read, or all the mistakes in it and in those that it extends.
pub fn resolve(path: &Path) -> Result<Resolved, LoadError> {
    let text = yaml::read(path)?;
    let loaded = load::parse(&text, path)?;
    let report = Report::new(path);
    // Without a tree there would have been a mistake just now; a file that changes in between is told as one.
    let Some(mut root) = extends::tree(&text, path, &report) else { return Err(LoadError::Invalid(report.into_diagnostics())) };
    hide_passwords(&mut root, &loaded.spec);
    make_absolute(&mut root, &report);
    complete(&mut root, &loaded.spec);
    Ok(Resolved { loaded, root, report })
}

impl Resolved {
    /// The lines of the document, and where the value that a line ends with is from.
    pub fn lines(&self) -> Vec<(String, Option<Origin>)> {
        yaml::lines(&self.root).into_iter().map(|Line { text, value }| (text, value.map(|value| self.origin(value.place)))).collect()
    }

    /// The document as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        self.root.to_json()
    }

    fn origin(&self, place: Place) -> Origin {
        if place.file == NO_FILE { Origin::Default(self.loaded.profile.name) } else { Origin::File(self.report.path_of(place), place.line) }
    }
}

fn default(kind: Kind) -> Node {
    Node { place: Place { file: NO_FILE, ..Place::START }, kind }
}

fn text(text: impl Into<String>) -> Node {
    default(Kind::Scalar(Scalar::Text(text.into())))
}

fn mapping<const N: usize>(entries: [(&str, Node); N]) -> Node {
    default(Kind::Mapping(entries.map(|(key, value)| entry(key, value)).into()))
}

fn entry(key: &str, value: Node) -> Entry {
    Entry { key: key.to_owned(), place: value.place, value }
}

/// The value of a key; a mapping that has none, or an empty one, gets `new`.
fn get_or<'n>(node: &'n mut Node, key: &str, new: impl FnOnce() -> Node) -> Option<&'n mut Node> {
    let Kind::Mapping(entries) = &mut node.kind else { return None };
    let at = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        entries.push(entry(key, default(Kind::Scalar(Scalar::Null))));
        entries.len() - 1
    });
    let value = &mut entries[at].value;
    if matches!(value.kind, Kind::Scalar(Scalar::Null)) {
        *value = new();
    }
    Some(value)
}

/// The items of a list that may be there.
fn items<'n>(root: &'n mut Node, path: &[&str]) -> &'n mut [Node] {
    let mut node = root;
    for key in path {
        let Kind::Mapping(entries) = &mut node.kind else { return &mut [] };
        let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) else { return &mut [] };
        node = &mut entry.value;
    }
    match &mut node.kind {
        Kind::Sequence(items) => items,
        _ => &mut [],
    }
}

fn hide_passwords(root: &mut Node, spec: &Spec) {
    for item in items(root, &["systemConfig", "users"]) {
        let Some(user) = spec.system.users.iter().find(|user| item.get("name").and_then(Node::text) == Some(&user.name)) else { continue };
        let Kind::Mapping(entries) = &mut item.kind else { continue };
        if let (Some(hash), Some(entry)) = (&user.password, entries.iter_mut().find(|entry| entry.key == "password")) {
            entry.value.kind = Kind::Scalar(Scalar::Text(hash.0.clone()));
            entries.retain(|entry| entry.key != "hash_algo");
        }
    }
}

fn make_absolute(root: &mut Node, report: &Report) {
    let absolute = |node: &mut Node| {
        let file = report.path_of(node.place);
        let Kind::Scalar(Scalar::Text(text)) = &mut node.kind else { return };
        let path = file.parent().unwrap_or(Path::new("")).join(&*text);
        // What is an address already, or no key at all, is no path; what is not UTF-8 cannot be written into a document, and stays relative.
        if !text.contains("://")
            && !text.starts_with('[')
            && let Ok(Ok(path)) = std::path::absolute(path).map(|path| path.into_os_string().into_string())
        {
            *text = path;
        }
    };
    for (path, keys) in
        [(["systemConfig", "additionalFiles"].as_slice(), ["local"].as_slice()), (&["packageRepositories"], &["path", "pkey", "pkeys"])]
    {
        for item in items(root, path) {
            let Kind::Mapping(entries) = &mut item.kind else { continue };
            for entry in entries.iter_mut().filter(|entry| keys.contains(&entry.key.as_str())) {
                match &mut entry.value.kind {
                    Kind::Sequence(items) => items.iter_mut().for_each(absolute),
                    _ => absolute(&mut entry.value),
                }
            }
        }
    }
}

/// Fills in what the files leave open.
fn complete(root: &mut Node, spec: &Spec) {
    let empty = || default(Kind::Mapping(Vec::new()));
    if let Some(target) = get_or(root, "target", empty) {
        get_or(target, "os", || text(&spec.target.os));
        get_or(target, "imageType", || text(spec.target.image_type.name()));
    }
    if let Some(disk) = get_or(root, "disk", empty) {
        get_or(disk, "size", || text(mebibytes(spec.disk.size.0)));
        if spec.target.image_type == ImageType::Raw {
            get_or(disk, "partitionTableType", || text(spec.disk.table.name()));
            let arch = spec.target.arch;
            get_or(disk, "partitions", || default(Kind::Sequence(spec.disk.partitions.iter().map(|of| partition(of, arch)).collect())));
        }
        get_or(disk, "artifacts", || default(Kind::Sequence(spec.disk.artifacts.iter().copied().map(artifact).collect())));
    }
    let of_kernel: Vec<String> = items(root, &["systemConfig", "kernel", "packages"]).iter().filter_map(Node::text).map(str::to_owned).collect();
    let Some(system) = get_or(root, "systemConfig", empty) else { return };
    get_or(system, "name", || text(&spec.system.name));
    get_or(system, "hostname", || text(&spec.system.hostname));
    if let Some(Node { kind: Kind::Sequence(items), .. }) = get_or(system, "packages", || default(Kind::Sequence(Vec::new()))) {
        let said = |name: &String| of_kernel.contains(name) || items.iter().any(|item| item.text() == Some(name));
        let missing = spec.system.packages.iter().filter(|name| !said(name));
        let missing: Vec<_> = missing.map(text).collect();
        items.extend(missing);
    }
    let Some(provider) = spec.system.bootloader else { return };
    if let Some(kernel) = get_or(system, "kernel", empty) {
        get_or(kernel, "cmdline", || text(&spec.system.cmdline));
    }
    if let Some(bootloader) = get_or(system, "bootloader", empty) {
        get_or(bootloader, "bootType", || text(provider.boot_type()));
        get_or(bootloader, "provider", || text(provider.name()));
    }
}

fn artifact(artifact: Artifact) -> Node {
    let mut node = mapping([("type", text(artifact.contents.name()))]);
    if let (Kind::Mapping(entries), Some(compression)) = (&mut node.kind, artifact.compression) {
        entries.push(entry("compression", text(compression.name())));
    }
    node
}

fn partition(partition: &Partition, arch: Architecture) -> Node {
    let Partition { id, name, kind, start, end, filesystem, label, mount_point, mount_options } = partition;
    let mut node = mapping([
        ("id", text(id)),
        ("name", text(name)),
        ("type", text(kind.row(arch.into()).name)),
        ("start", text(mebibytes(start.0))),
        ("end", text(end.map_or("0".to_owned(), |end| mebibytes(end.0)))),
    ]);
    let Kind::Mapping(entries) = &mut node.kind else { return node };
    let options = mount_point.as_ref().map(|_| mount_options.as_str());
    let rest = [
        ("fsType", filesystem.map(FileSystem::name)),
        ("mountPoint", mount_point.as_deref()),
        ("mountOptions", options),
        ("fsLabel", label.as_deref()),
    ];
    entries.extend(rest.into_iter().filter_map(|(key, value)| Some(entry(key, text(value?)))));
    node
}

/// A size as specs write it; all sizes of a disk are whole mebibytes.
fn mebibytes(bytes: u64) -> String {
    format!("{}MiB", bytes >> 20)
}
