//! `diff`: how two images differ.
//!
//! Files are compared by their paths in the running system, and their contents only where they are equally long: byte by byte, to the first that differs,
//! which never reads more than digests of both would have to.

mod content;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use self::content::Contents;
use super::attributes::{self, Attribute};
use super::disk::Disk;
use super::error::Result;
use super::node::{Attributes, Kind, Limits, Node};
use super::open::Input;
use super::packages::{self, PackageSource};
use super::report::{self, PartitionReport, Totals};
use crate::disk::formats::Source;
use crate::progress::Cancel;
use crate::resolve::PackageChange;

/// What is looked at beside contents, modes, owners and targets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The times of the last change of files, too.
    pub times: bool,
}

/// How two images differ. This is the promise of `diff --json`, too: fields may come, none goes or changes its meaning. Sizes are bytes; `from` is the first
/// image, `to` the second.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Whether the disks are the same, byte by byte.
    pub same: bool,
    /// The names of both.
    pub images: Pair<String>,
    /// The lengths of the disks.
    pub size: Pair<u64>,
    /// What is in use of the file systems that are read.
    pub used: Pair<u64>,
    /// All files of both.
    pub files_total: Pair<Totals>,
    /// By name; none where the packages of one of the images are not known.
    pub packages: Option<Vec<PackageChange>>,
    /// Partitions of other places, lengths, types or file systems, by number.
    pub partitions: Vec<PartitionChange>,
    /// By path.
    pub files: Vec<FileChange>,
    /// Folders with more or fewer bytes than before, in all that is beneath them; those that differ most first.
    pub folders: Vec<FolderChange>,
    /// Where the first byte is that differs; none where the disks are the same, or not equally long.
    pub first_byte: Option<FirstByte>,
}

/// Something of both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// Of the first.
    pub from: T,
    /// Of the second.
    pub to: T,
}

/// A partition that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionChange {
    /// Its number; none for a disk without a table.
    pub number: Option<u32>,
    /// As it was; none where it is new.
    pub from: Option<PartitionReport>,
    /// As it is; none where it is gone.
    pub to: Option<PartitionReport>,
}

/// How a name differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the second image has it.
    Added,
    /// Only the first image has it.
    Removed,
    /// Both have it.
    Changed,
}

/// A name that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Where it is in the running system, or behind `partition N:`.
    pub path: String,
    /// The number of its partition in the image that has it, the second one where both do.
    pub partition: Option<u32>,
    /// How it differs.
    pub change: Change,
    /// In what: `kind`, `content`, `mode`, `owner`, `attributes`, `link`, `device`, `time`.
    pub what: Vec<&'static str>,
    /// As it was.
    pub from: Option<FileState>,
    /// As it is.
    pub to: Option<FileState>,
}

/// What is compared of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileState {
    /// `file`, `folder`, `link`, `device`, `fifo`, `socket` or `unknown`.
    pub kind: &'static str,
    /// Bytes of content.
    pub size: u64,
    /// In octal; none on file systems that have none.
    pub mode: Option<String>,
    /// The owner's number.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// Where a link leads.
    pub target: Option<String>,
    /// Extended attributes, by name.
    pub attributes: Vec<Attribute>,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
}

/// A folder with another number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FolderChange {
    /// Its path.
    pub path: String,
    /// What was in all files beneath it.
    pub from: u64,
    /// What is now.
    pub to: u64,
}

/// The first byte that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstByte {
    /// Its offset on the disk.
    pub offset: u64,
    /// The partition of the second image that has it.
    pub partition: Option<u32>,
}

impl Difference {
    /// Whether anything but bytes that belong to no file differs.
    pub fn has_visible(&self) -> bool {
        !self.files.is_empty() || !self.partitions.is_empty() || self.packages.as_ref().is_some_and(|packages| !packages.is_empty())
    }
}

/// Compares two images.
///
/// # Errors
/// [`super::Error::Damaged`] where a part of one cannot be read; what the machine or the store says, and the user's wish to stop.
pub fn diff(a: &Input<'_>, b: &Input<'_>, options: Options, limits: Limits, cancel: &Cancel) -> Result<Difference> {
    a.with(|from| {
        b.with(|to| {
            let (from, to) = (read(a, from, limits, cancel)?, read(b, to, limits, cancel)?);
            Comparison { a, b, from: &from, to: &to, options, cancel }.compare()
        })
    })
}

/// A disk, if all of it can be read.
fn read<'d>(input: &Input<'_>, source: &'d dyn Source, limits: Limits, cancel: &Cancel) -> Result<Disk<'d>> {
    let mut disk = Disk::read(source, limits, cancel).map_err(|problem| input.error("the disk", problem))?;
    // The first is told; the others may only follow from it.
    match std::mem::take(&mut disk.problems).into_iter().next() {
        Some((place, problem)) => Err(input.error(&place, problem)),
        None => Ok(disk),
    }
}

/// Two disks that are compared.
struct Comparison<'c, 'd> {
    a: &'c Input<'c>,
    b: &'c Input<'c>,
    from: &'c Disk<'d>,
    to: &'c Disk<'d>,
    options: Options,
    cancel: &'c Cancel,
}

impl Comparison<'_, '_> {
    fn compare(&self) -> Result<Difference> {
        let known_same = self.a.digest().zip(self.b.digest()).map(|(a, b)| a == b);
        let first_byte = if known_same == Some(true) || self.from.volume.len != self.to.volume.len { None } else { self.first_byte()? };
        let same = known_same.unwrap_or(first_byte.is_none() && self.from.volume.len == self.to.volume.len);
        let used = |disk: &Disk<'_>| disk.parts.iter().filter_map(|part| part.files.as_ref()?.used).sum();
        Ok(Difference {
            same,
            images: Pair { from: self.a.name().to_owned(), to: self.b.name().to_owned() },
            size: Pair { from: self.from.volume.len, to: self.to.volume.len },
            used: Pair { from: used(self.from), to: used(self.to) },
            files_total: Pair { from: report::totals(self.from), to: report::totals(self.to) },
            packages: self.packages()?,
            partitions: self.partitions(),
            files: if same { Vec::new() } else { self.files()? },
            folders: self.folders(),
            first_byte,
        })
    }

    fn packages(&self) -> Result<Option<Vec<PackageChange>>> {
        let of = |input: &Input<'_>, disk: &Disk<'_>| {
            packages::read(disk, input.lock()).map_err(|problem| input.error("the database of packages", problem))
        };
        let (before, after) = (of(self.a, self.from)?, of(self.b, self.to)?);
        let are_known = |source| matches!(source, PackageSource::Dpkg | PackageSource::Rpm | PackageSource::Record);
        Ok((are_known(before.source) && are_known(after.source)).then(|| packages::changes(&before.list, &after.list)))
    }

    fn partitions(&self) -> Vec<PartitionChange> {
        let of = |disk: &Disk<'_>| -> BTreeMap<Option<u32>, PartitionReport> {
            let report = |part| {
                let mut report = report::partition(part);
                // What is in use, and what derives from the image's key, is no difference of the layout.
                report.id.clear();
                if let Some(filesystem) = &mut report.filesystem {
                    (filesystem.used, filesystem.names) = (None, None);
                    filesystem.uuid.clear();
                }
                (report.number, report)
            };
            disk.parts.iter().map(report).collect()
        };
        let (mut from, mut to) = (of(self.from), of(self.to));
        let numbers: BTreeSet<Option<u32>> = from.keys().chain(to.keys()).copied().collect();
        let change = |number| PartitionChange { number, from: from.remove(&number), to: to.remove(&number) };
        numbers.into_iter().map(change).filter(|change| change.from != change.to).collect()
    }

    fn files(&self) -> Result<Vec<FileChange>> {
        let mut contents = Contents::new(self);
        let mut changes = Vec::new();
        let paths: BTreeSet<&Vec<u8>> = self.from.tree.keys().chain(self.to.tree.keys()).collect();
        for path in paths {
            self.cancel.check()?;
            let (from, to) = (self.from.tree.get(path).copied(), self.to.tree.get(path).copied());
            let what = match (from, to) {
                (Some(from), Some(to)) => self.what(from, to, &mut contents)?,
                _ => Vec::new(),
            };
            let change = match (from, to) {
                (Some(_), None) => Change::Removed,
                (None, Some(_)) => Change::Added,
                _ if what.is_empty() => continue,
                _ => Change::Changed,
            };
            let partition = to.map(|(part, _)| &self.to.parts[part]).or(from.map(|(part, _)| &self.from.parts[part]));
            changes.push(FileChange {
                path: String::from_utf8_lossy(path).into_owned(),
                partition: partition.and_then(|part| Some(part.partition.as_ref()?.number)),
                change,
                what,
                from: from.map(|at| contents.attributes(self.a, self.from, at).map(|found| state(self.from.node(at), &found))).transpose()?,
                to: to.map(|at| contents.attributes(self.b, self.to, at).map(|found| state(self.to.node(at), &found))).transpose()?,
            });
        }
        Ok(changes)
    }

    /// In what two names differ.
    fn what(&self, from: (usize, usize), to: (usize, usize), contents: &mut Contents<'_, '_>) -> Result<Vec<&'static str>> {
        let (a, b) = (self.from.node(from), self.to.node(to));
        let mut what = Vec::new();
        match (&a.kind, &b.kind) {
            (Kind::File, Kind::File) if a.size != b.size || !contents.are_same(from, to)? => what.push("content"),
            (Kind::Link(old), Kind::Link(new)) if old != new => what.push("link"),
            (old, new) if kind(old) != kind(new) => what.push("kind"),
            (old @ (Kind::Character(..) | Kind::Block(..)), new) if old != new => what.push("device"),
            _ => {}
        }
        if a.mode != b.mode {
            what.push("mode");
        }
        if a.owner != b.owner {
            what.push("owner");
        }
        if contents.attributes(self.a, self.from, from)? != contents.attributes(self.b, self.to, to)? {
            what.push("attributes");
        }
        if self.options.times && a.modified != b.modified {
            what.push("time");
        }
        Ok(what)
    }

    fn folders(&self) -> Vec<FolderChange> {
        let mut sums: HashMap<&[u8], (u64, u64)> = HashMap::new();
        for (path, node) in report::files(self.from) {
            for folder in folders_of(path) {
                let sum = &mut sums.entry(folder).or_default().0;
                *sum = sum.saturating_add(node.size);
            }
        }
        for (path, node) in report::files(self.to) {
            for folder in folders_of(path) {
                let sum = &mut sums.entry(folder).or_default().1;
                *sum = sum.saturating_add(node.size);
            }
        }
        let differing = sums.into_iter().filter(|(_, (from, to))| from != to);
        let mut folders: Vec<FolderChange> =
            differing.map(|(path, (from, to))| FolderChange { path: String::from_utf8_lossy(path).into_owned(), from, to }).collect();
        folders.sort_by(|a, b| b.from.abs_diff(b.to).cmp(&a.from.abs_diff(a.to)).then_with(|| a.path.cmp(&b.path)));
        folders
    }

    fn first_byte(&self) -> Result<Option<FirstByte>> {
        let found = content::first_difference(self)?;
        let partition = |offset: u64| {
            let has = |part: &&super::disk::Part<'_>| (part.volume.start..part.volume.start + part.volume.len).contains(&offset);
            self.to.parts.iter().find(has).and_then(|part| Some(part.partition.as_ref()?.number))
        };
        Ok(found.map(|offset| FirstByte { offset, partition: partition(offset) }))
    }
}

/// The folders that a path is in, the root first.
fn folders_of(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.map(|at| if at == 0 { &path[..1] } else { &path[..at] })
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Link(_) => "link",
        Kind::Character(..) | Kind::Block(..) => "device",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::Unknown => "unknown",
    }
}

fn state(node: &Node, attributes: &Attributes) -> FileState {
    let target = if let Kind::Link(target) = &node.kind { Some(String::from_utf8_lossy(target).into_owned()) } else { None };
    FileState {
        kind: kind(&node.kind),
        size: node.size,
        mode: node.mode.map(|mode| format!("{mode:04o}")),
        uid: node.owner.0,
        gid: node.owner.1,
        target,
        attributes: attributes::shown(attributes),
        modified: node.modified,
    }
}
