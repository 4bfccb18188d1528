//! `inspect`: what is in one image.

use serde::Serialize;

use super::boot::{self, Boot, Kernel};
use super::disk::{Disk, Part};
use super::error::Result;
use super::node::{Kind, Limits, Node};
use super::open::Input;
use super::packages::{self, Packages};
use super::problem::Problem;
use super::system::{self, Os, User};
use crate::progress::Cancel;

/// What is in an image. This is the promise of `inspect --json`, too: fields may come, none goes or changes its meaning. Sizes are bytes; a path that is not
/// UTF-8 has replacement characters.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The path of the file, or the short id of the image.
    pub image: String,
    /// The key of an image of the cache.
    pub spec_hash: Option<String>,
    /// The format of a file: `raw`, `qcow2.zst`.
    pub format: Option<String>,
    /// The length of the disk.
    pub size: u64,
    /// Its partition table.
    pub table: Option<TableReport>,
    /// In the order of the table; one without a number where there is no table.
    pub partitions: Vec<PartitionReport>,
    /// What the system calls itself.
    pub os: Option<Os>,
    /// The host's name.
    pub hostname: Option<String>,
    /// What starts it.
    pub boot: Boot,
    /// By version.
    pub kernels: Vec<Kernel>,
    /// What is installed.
    pub packages: Packages,
    /// In the order of `/etc/passwd`.
    pub users: Vec<User>,
    /// All files together.
    pub files: Totals,
    /// The largest first.
    pub largest: Vec<LargeFile>,
    /// What a person should know of what was read.
    pub remarks: Vec<String>,
    /// What could not be read.
    pub problems: Vec<ProblemReport>,
}

/// A partition table.
#[derive(Debug, Clone, Serialize)]
pub struct TableReport {
    /// `gpt` or `mbr`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The identifier of the disk.
    pub id: String,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// From 1; none for a disk without a table.
    pub number: Option<u32>,
    /// Its name in the table; empty where it has none.
    pub name: String,
    /// Its type as specs have it (`esp`, `linux-root-amd64`), else the GUID or the number.
    #[serde(rename = "type")]
    pub kind: String,
    /// As `PARTUUID` has it.
    pub id: String,
    /// The offset of its first byte.
    pub start: u64,
    /// Its length.
    pub size: u64,
    /// What it is formatted with.
    pub filesystem: Option<FileSystemReport>,
    /// Where the system mounts it by its `/etc/fstab`.
    pub mount_point: Option<String>,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSystemReport {
    /// `ext4`, `fat32`, `linux-swap`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Empty where it has none, and where it is not read.
    pub label: String,
    /// The same.
    pub uuid: String,
    /// Its own length; none where it is not read.
    pub size: Option<u64>,
    /// What is in use of it.
    pub used: Option<u64>,
    /// How many names it has.
    pub names: Option<u64>,
}

/// Files, each counted once however many names it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// How many.
    pub count: u64,
    /// What is in them.
    pub bytes: u64,
}

/// A file and its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LargeFile {
    /// Where it is in the running system, or behind `partition N:`.
    pub path: String,
    /// Bytes of content.
    pub size: u64,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemReport {
    /// Where.
    pub place: String,
    /// Why not.
    pub problem: String,
    /// Whether it is damage; else it is something that is not supported.
    pub damage: bool,
}

/// Looks into an image. `largest` is how many of the largest files are told. What of it cannot be read is in [`Inspection::problems`].
///
/// # Errors
/// What the machine or the store says, and the user's wish to stop.
pub fn inspect(input: &Input<'_>, largest: usize, limits: Limits, cancel: &Cancel) -> Result<Inspection> {
    input.with(|source| {
        let mut disk = Disk::read(source, limits, cancel).map_err(|problem| input.error("the disk", problem))?;
        // One part that cannot be read is no reason to tell nothing of the others.
        let mut problems: Vec<(String, Problem)> = std::mem::take(&mut disk.problems);
        let mut noted = |place: &str, problem: Problem| {
            if !problem.is_of_image() {
                return Err(input.error(place, problem));
            }
            problems.push((place.to_owned(), problem));
            Ok(())
        };
        let boot = or(boot::read(&disk), Boot::default(), "the boot loader", &mut noted)?;
        let nothing = Packages { source: packages::PackageSource::Nothing, list: Vec::new() };
        let packages = or(packages::read(&disk, input.lock()), nothing, "the database of packages", &mut noted)?;
        let users = or(system::users(&disk), Vec::new(), "/etc/passwd", &mut noted)?;
        let os = or(system::os(&disk), None, "/etc/os-release", &mut noted)?;
        let hostname = or(system::hostname(&disk), None, "/etc/hostname", &mut noted)?;
        let problem = |(place, problem): (String, Problem)| {
            let damage = !matches!(problem, Problem::Unsupported(_));
            ProblemReport { place, problem: problem.to_string(), damage }
        };
        Ok(Inspection {
            image: input.name().to_owned(),
            spec_hash: input.record().map(|record| record.spec_hash.to_string()),
            format: input.format().map(|format| format.to_string()),
            size: source.len(),
            table: disk.table.as_ref().map(|table| TableReport { kind: table.kind.name(), id: table.id.clone() }),
            partitions: disk.parts.iter().map(partition).collect(),
            os,
            hostname,
            boot,
            kernels: boot::kernels(&disk),
            packages,
            users,
            files: totals(&disk),
            largest: largest_files(&disk, largest),
            remarks: disk.remarks.clone(),
            problems: problems.into_iter().map(problem).collect(),
        })
    })
}

fn or<T>(read: Result<T, Problem>, nothing: T, place: &str, noted: &mut impl FnMut(&str, Problem) -> Result<()>) -> Result<T> {
    read.or_else(|problem| noted(place, problem).map(|()| nothing))
}

pub(super) fn partition(part: &Part<'_>) -> PartitionReport {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let filesystem = match (&part.files, part.other) {
        (Some(files), _) => Some(FileSystemReport {
            kind: files.filesystem.kind().to_owned(),
            label: files.filesystem.label(),
            uuid: files.filesystem.uuid(),
            size: Some(files.filesystem.len()),
            used: files.used,
            names: Some(files.nodes.len() as u64),
        }),
        (None, Some(kind)) => {
            Some(FileSystemReport { kind: kind.to_owned(), label: String::new(), uuid: String::new(), size: None, used: None, names: None })
        }
        (None, None) => None,
    };
    let entry = part.partition.as_ref();
    let of = |field: fn(&super::table::Partition) -> &String| entry.map(|entry| field(entry).clone()).unwrap_or_default();
    PartitionReport {
        number: entry.map(|entry| entry.number),
        name: of(|entry| &entry.name),
        kind: of(|entry| &entry.kind),
        id: of(|entry| &entry.id),
        start: entry.map_or(0, |entry| entry.start),
        size: entry.map_or(part.volume.len, |entry| entry.len),
        filesystem,
        mount_point: part.mount_point.as_deref().map(|place| if place.is_empty() { "/".to_owned() } else { text(place) }),
    }
}

/// All files of a disk by their paths, each once.
pub(super) fn files<'d>(disk: &'d Disk<'_>) -> impl Iterator<Item = (&'d [u8], &'d Node)> {
    let mut seen = std::collections::HashSet::new();
    disk.tree.iter().filter_map(move |(path, at)| {
        let node = disk.node(*at);
        let has_links = disk.parts[at.0].files.as_ref().is_some_and(|files| files.filesystem.has_links());
        let first = node.kind == Kind::File && (!has_links || seen.insert((at.0, node.handle)));
        first.then_some((path.as_slice(), node))
    })
}

pub(super) fn totals(disk: &Disk<'_>) -> Totals {
    files(disk).fold(Totals::default(), |sum, (_, node)| Totals { count: sum.count + 1, bytes: sum.bytes.saturating_add(node.size) })
}

fn largest_files(disk: &Disk<'_>, count: usize) -> Vec<LargeFile> {
    let mut all: Vec<(&[u8], u64)> = files(disk).map(|(path, node)| (path, node.size)).collect();
    // The first by their paths of those that are equally large.
    all.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    all.into_iter().take(count).map(|(path, size)| LargeFile { path: String::from_utf8_lossy(path).into_owned(), size }).collect()
}
