//! A disk, all of it looked at: its table, what is in its partitions, and the tree that they are when the machine runs.

use std::collections::{BTreeMap, BTreeSet};

use super::filesystem::{self, Content, FileSystem};
use super::node::{Attributes, Kind, Limits, Node};
use super::problem::{Problem, Result};
use super::table::{self, Table};
use super::volume::Volume;
use crate::disk::formats::Source;
use crate::progress::Cancel;

/// Links that are followed on the way to a file.
const LINKS_LIMIT: u32 = 40;

/// A file system of a disk, with all its names.
pub(super) struct Files<'a> {
    pub(super) filesystem: FileSystem<'a>,
    /// Sorted by path; the root is the first.
    pub(super) nodes: Vec<Node>,
    /// How many bytes of it are in use.
    pub(super) used: Option<u64>,
}

/// A partition, or a whole disk without a table.
pub(super) struct Part<'a> {
    /// Its entry in the table; none for a whole disk.
    pub(super) partition: Option<table::Partition>,
    pub(super) volume: Volume<'a>,
    /// What it holds, where that is read.
    pub(super) files: Option<Files<'a>>,
    /// What it holds otherwise.
    pub(super) other: Option<&'static str>,
    /// Where the system mounts it, without a slash at the end: the root is empty. None where that is not known.
    pub(super) mount_point: Option<Vec<u8>>,
}

/// A disk.
pub(super) struct Disk<'a> {
    pub(super) volume: Volume<'a>,
    pub(super) table: Option<Table>,
    pub(super) parts: Vec<Part<'a>>,
    /// What could not be read: where, and why.
    pub(super) problems: Vec<(String, Problem)>,
    /// What a person should know beside that.
    pub(super) remarks: Vec<String>,
    /// Every name by its path in the running system, or behind `partition N:` where that is not mounted: part and node.
    pub(super) tree: BTreeMap<Vec<u8>, (usize, usize)>,
}

impl<'a> Disk<'a> {
    /// Looks at all of a disk. What is wrong with it ends up in [`Disk::problems`].
    ///
    /// # Errors
    /// What the machine says, and the user's wish to stop.
    pub(super) fn read(source: &'a dyn Source, limits: Limits, cancel: &Cancel) -> Result<Self> {
        let volume = Volume::whole(source);
        let mut disk = Self { volume, table: None, parts: Vec::new(), problems: Vec::new(), remarks: Vec::new(), tree: BTreeMap::new() };
        match table::read(&volume) {
            Ok(table) => disk.table = table,
            Err(problem) => disk.note("the partition table", problem)?,
        }
        match &disk.table {
            // What begins like a table may be the first sector of a file system, whose own marks are better known.
            Some(table) if !table.partitions.is_empty() => {
                for partition in table.partitions.clone() {
                    disk.add(Some(partition), limits, cancel)?;
                }
            }
            _ => disk.add(None, limits, cancel)?,
        }
        if let Some(problem) = disk.table.as_ref().and_then(|table| table.problem) {
            disk.remarks.push(format!("the partition table: {problem}"));
        }
        disk.mount();
        disk.index();
        Ok(disk)
    }

    fn note(&mut self, place: &str, problem: Problem) -> Result<()> {
        if !problem.is_of_image() {
            return Err(problem);
        }
        self.problems.push((place.to_owned(), problem));
        Ok(())
    }

    fn add(&mut self, partition: Option<table::Partition>, limits: Limits, cancel: &Cancel) -> Result<()> {
        let volume = partition.as_ref().map_or(self.volume, |partition| self.volume.part(partition.start, partition.len));
        let place = partition.as_ref().map_or_else(|| "the disk".to_owned(), |partition| format!("partition {}", partition.number));
        if partition.as_ref().is_some_and(|partition| volume.len < partition.len) {
            self.note(&place, Problem::CutOff)?;
        }
        let mut part = Part { partition, volume, files: None, other: None, mount_point: None };
        match filesystem::open(volume) {
            Ok(Content::FileSystem(filesystem)) => {
                if let Some(remark) = filesystem.remark() {
                    self.remarks.push(format!("{place}: {remark}"));
                }
                match filesystem.nodes(limits, cancel) {
                    Ok(mut nodes) => {
                        nodes.sort_by(|a, b| a.path.cmp(&b.path));
                        let used = match filesystem.used(cancel) {
                            Ok(used) => Some(used),
                            Err(problem) => self.note(&place, problem).map(|()| None)?,
                        };
                        part.files = Some(Files { filesystem, nodes, used });
                    }
                    Err(problem) => {
                        part.other = Some(filesystem.kind());
                        self.note(&place, problem)?;
                    }
                }
            }
            Ok(Content::Other(name)) => part.other = Some(name),
            Ok(Content::Unknown) => {}
            Err(problem) => self.note(&place, problem)?,
        }
        self.parts.push(part);
        Ok(())
    }

    /// Finds the root, and by its `/etc/fstab` where the other partitions belong.
    fn mount(&mut self) {
        let has = |part: &Part<'_>, path: &[u8]| part.files.as_ref().is_some_and(|files| files.get(path).is_some());
        let roots = [b"/etc/fstab".as_slice(), b"/etc/os-release", b"/usr/lib/os-release", b"/etc/passwd", b"/etc"];
        let Some(root) = roots.iter().find_map(|path| self.parts.iter().position(|part| has(part, path))) else { return };
        self.parts[root].mount_point = Some(Vec::new());
        let Ok(Some(fstab)) = self.parts[root].read(b"/etc/fstab", 1 << 20) else { return };
        for line in String::from_utf8_lossy(&fstab).lines() {
            let mut words = line.split_whitespace();
            let (Some(what), Some(place)) = (words.next().filter(|word| !word.starts_with('#')), words.next()) else { continue };
            let Some(place) = place.strip_prefix('/').map(|place| place.trim_end_matches('/')).filter(|place| !place.is_empty()) else { continue };
            let Some((key, value)) = what.split_once('=') else { continue };
            let value = value.trim_matches('"');
            if let Some(part) = self.parts.iter_mut().find(|part| part.mount_point.is_none() && part.is_called(key, value)) {
                part.mount_point = Some([b"/", place.as_bytes()].concat());
            }
        }
    }

    /// Puts all names where they are when the system runs: what another file system is mounted over is not seen then.
    fn index(&mut self) {
        let mounts: BTreeSet<Vec<u8>> = self.parts.iter().filter_map(|part| part.mount_point.clone()).filter(|place| !place.is_empty()).collect();
        for (number, part) in self.parts.iter().enumerate() {
            let (Some(files), prefix) = (&part.files, part.prefix()) else { continue };
            for (at, node) in files.nodes.iter().enumerate() {
                let path = [prefix.as_slice(), if node.path.is_empty() && prefix.is_empty() { b"/" } else { &node.path }].concat();
                let own = part.mount_point.as_deref();
                let hidden = own.is_some()
                    && mounts.iter().any(|place| {
                        let deeper = own.is_none_or(|own| place.len() > own.len() && is_beneath(place, own));
                        deeper && (path == *place || is_beneath(&path, place))
                    });
                if !hidden {
                    self.tree.insert(path, (number, at));
                }
            }
        }
    }

    pub(super) fn node(&self, (part, node): (usize, usize)) -> &Node {
        // Both come from the index, which has what is there.
        &self.parts[part].files.as_ref().expect("the index has parts with files").nodes[node]
    }

    /// What a path of the running system leads to, links followed.
    pub(super) fn find(&self, path: &[u8]) -> Option<(usize, usize)> {
        let mut todo: Vec<Vec<u8>> = split(path);
        let mut done: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                done.pop();
                continue;
            }
            done.push(name);
            let at = self.tree.get(&join(&done))?;
            if let Kind::Link(target) = &self.node(*at).kind {
                links += 1;
                if links > LINKS_LIMIT {
                    return None;
                }
                done.pop();
                if target.starts_with(b"/") {
                    done.clear();
                }
                todo.extend(split(target));
            }
        }
        self.tree.get(&join(&done)).copied()
    }

    /// The content of a file of the running system, if it has at most `limit` bytes; none where it is not there.
    pub(super) fn read_file(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
        self.find(path).map_or(Ok(None), |found| self.content(found, limit))
    }

    /// The content of a node that is a file of at most `limit` bytes.
    pub(super) fn content(&self, (part, node): (usize, usize), limit: u64) -> Result<Option<Vec<u8>>> {
        let node = self.node((part, node));
        self.parts[part].content(node, limit)
    }

    /// The beginning of a node that is a file: `limit` bytes at most.
    pub(super) fn head(&self, (part, node): (usize, usize), limit: u64) -> Result<Vec<u8>> {
        let node = self.node((part, node));
        let part = &self.parts[part];
        let Some(files) = part.files.as_ref().filter(|_| node.kind == Kind::File) else { return Ok(Vec::new()) };
        part.volume.read_runs(&files.filesystem.runs(node)?, limit)
    }
}

impl Part<'_> {
    /// The extended attributes of a node of it.
    pub(super) fn attributes(&self, node: &Node) -> Result<Attributes> {
        self.files.as_ref().map_or_else(|| Ok(Attributes::new()), |files| files.filesystem.attributes(node))
    }

    /// What stands before the paths of its file system.
    fn prefix(&self) -> Vec<u8> {
        match (&self.mount_point, &self.partition) {
            (Some(place), _) => place.clone(),
            (None, Some(partition)) => format!("partition {}:", partition.number).into_bytes(),
            (None, None) => Vec::new(),
        }
    }

    /// Whether a word of `/etc/fstab` means it.
    fn is_called(&self, key: &str, value: &str) -> bool {
        let partition =
            |field: fn(&table::Partition) -> &String| self.partition.as_ref().map(field).is_some_and(|field| field.eq_ignore_ascii_case(value));
        let filesystem = self.files.as_ref().map(|files| &files.filesystem);
        let is = |found: Option<String>| found.is_some_and(|found| !found.is_empty() && found.eq_ignore_ascii_case(value));
        match key {
            "UUID" => is(filesystem.map(FileSystem::uuid)),
            "LABEL" => is(filesystem.map(FileSystem::label)),
            "PARTUUID" => partition(|partition| &partition.id),
            "PARTLABEL" => partition(|partition| &partition.name),
            _ => false,
        }
    }

    /// The content of a file by its path in this file system; no links are followed.
    fn read(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
        self.files.as_ref().and_then(|files| files.get(path)).map_or(Ok(None), |node| self.content(node, limit))
    }

    fn content(&self, node: &Node, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(files) = self.files.as_ref().filter(|_| node.kind == Kind::File && node.size <= limit) else { return Ok(None) };
        self.volume.read_runs(&files.filesystem.runs(node)?, limit).map(Some)
    }
}

impl Files<'_> {
    fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.binary_search_by(|node| node.path.as_slice().cmp(path)).ok().map(|at| &self.nodes[at])
    }
}

/// Whether a path is in a folder; the root is empty.
fn is_beneath(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
}

/// The names of a path, the first one last.
fn split(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && name != b".").rev().map(<[u8]>::to_vec).collect()
}

fn join(names: &[Vec<u8>]) -> Vec<u8> {
    if names.is_empty() { b"/".to_vec() } else { names.iter().fold(Vec::new(), |path, name| [path.as_slice(), b"/", name].concat()) }
}
