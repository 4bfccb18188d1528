//! The files of a system as one archive: a tar archive (what containers and the Windows Subsystem for Linux take), or one that Linux starts from.
//!
//! Names stand sorted, owners are numbers, and times whole seconds, so that the same disk gives the same archive.

mod cpio;
mod tar;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::disk::Disk;
use super::error::{Error, Result};
use super::node::{Attributes, Kind, Limits, Node};
use super::problem::Problem;
use crate::disk::formats::FileSource;
use crate::disk::is_kernel_version;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::version;
use crate::writing;

/// Bytes of a file that are read at a time.
const STEP: u64 = 1 << 20;

/// What stands for the mode of a folder, and of a file, where a file system has none.
const PLAIN: (u32, u32) = (0o755, 0o644);

/// How much longer than its disk the content of an archive may be: files with holes are written whole.
const GROWTH: u64 = 16;

/// What Linux runs first of an initrd (`Documentation/filesystems/ramfs-rootfs-initramfs.rst`), and what it shall be.
const INIT: (&[u8], &[u8]) = (b"/init", b"sbin/init");

/// What kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// POSIX.1-2017, `pax`.
    Tar,
    /// What Linux unpacks into memory when it starts (`Documentation/driver-api/early-userspace/buffer-format.rst`). What starts a machine from its disk is left
    /// out: kernels and their initrds in `/boot`, what is there on an EFI system partition, and an `/etc/fstab` that has a root; and so are extended
    /// attributes, which it has no place for. `/init` leads to `/sbin/init` where it is nothing else.
    Initrd,
}

/// How the names of kernels and their initrds in `/boot` begin.
const KERNELS: [&[u8]; 3] = [b"/boot/vmlinuz-", b"/boot/initrd.img-", b"/boot/initramfs-"];

/// The longest `/etc/fstab` that is looked into, in bytes.
const FSTAB_LIMIT: u64 = 1 << 20;

/// Writes all files of the system on a raw disk, those of the file systems beneath its root where they are mounted. `lost+found` and sockets are left out.
/// Reports the bytes of files as [`Phase::Convert`].
///
/// # Errors
/// [`Error::Damaged`] where a part of the disk cannot be read, has no root, or has what such an archive cannot have, [`Error::Lacks`] where an initrd would have
/// nothing to start; what the operating system says, and the user's wish to stop.
pub fn archive(raw: (&File, &Path), (out, path): (&File, &Path), kind: ArchiveKind, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    with_system(raw, cancel, |disk| {
        if kind == ArchiveKind::Initrd && disk.find(b"/sbin/init").is_none() {
            return Err(Error::Lacks {
                what: "no /sbin/init that could be started", hint: "add “systemd-sysv”, or another init, to the packages"
            });
        }
        write((disk, raw.1), (out, path), kind, progress, cancel)
    })
}

fn write(
    (disk, raw_path): (&Disk<'_>, &Path),
    (out, path): (&File, &Path),
    kind: ArchiveKind,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<()> {
    let mut names: Vec<_> = disk.tree.iter().map(|(name, at)| (name.as_slice(), *at)).filter(|(name, at)| is_wanted(disk, name, *at)).collect();
    if kind == ArchiveKind::Initrd {
        let has_root = mounts_a_root(disk).map_err(|problem| damaged("/etc/fstab", problem))?;
        names.retain(|(name, at)| !(starts_from_disk(disk, name, *at) || has_root && *name == b"/etc/fstab"));
    }
    let mut seen = HashSet::new();
    let firsts = names.iter().filter(|(_, at)| key(disk, *at).is_none_or(|key| seen.insert(key)));
    let total = firsts.fold(0, |total: u64, (_, at)| total.saturating_add(disk.node(*at).content_len()));
    if total > disk.volume.len.saturating_mul(GROWTH) {
        return Err(damaged("the system", Problem::Wrong("its files are much longer than its disk")));
    }
    progress.report(Event::Start { phase: Phase::Convert, total: Some(total) });
    writing::empty(out).map_err(Error::io("empty", path))?;
    let mut archive = Archive { disk, out: BufWriter::new(out), kind, files: Files::count(disk, &names), progress, cancel };
    for (name, at) in &names {
        archive.add(name, *at).map_err(|error| error.into_error(name, raw_path, path))?;
    }
    if kind == ArchiveKind::Initrd && !disk.tree.contains_key(INIT.0) {
        cpio::link(&mut archive.out, archive.files.next_number(), INIT).map_err(Error::io("write", path))?;
    }
    archive.finish().map_err(Error::io("write", path))?;
    progress.report(Event::Finish { phase: Phase::Convert });
    Ok(())
}

/// Writes the newest kernel in `/boot` of the system on a raw disk. Reports its bytes as [`Phase::Convert`].
///
/// # Errors
/// As [`archive`]; also where there is none.
pub fn kernel(raw: (&File, &Path), (out, path): (&File, &Path), progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
    with_system(raw, cancel, |disk| {
        let version = |name: &[u8]| String::from_utf8(name.strip_prefix(KERNELS[0])?.to_vec()).ok().filter(|version| is_kernel_version(version));
        // As what starts the machine finds it: behind links, too.
        let kernels = disk.tree.keys().filter_map(|name| Some((version(name)?, disk.find(name)?)));
        let kernels = kernels.filter(|(_, at)| disk.node(*at).kind == Kind::File);
        let Some((_, at)) = kernels.max_by(|(a, _), (b, _)| version::compare(a, b)) else {
            return Err(Error::Lacks { what: "no kernel in /boot", hint: "name the kernel's package in systemConfig.kernel.packages" });
        };
        let node = disk.node(at);
        progress.report(Event::Start { phase: Phase::Convert, total: Some(node.size) });
        writing::empty(out).map_err(Error::io("empty", path))?;
        let mut archive = Archive { disk, out: BufWriter::new(out), kind: ArchiveKind::Tar, files: Files::default(), progress, cancel };
        archive.content(at.0, node).map_err(|error| error.into_error(&node.path, raw.1, path))?;
        archive.out.flush().map_err(Error::io("write", path))?;
        progress.report(Event::Finish { phase: Phase::Convert });
        Ok(())
    })
}

/// Does something with a raw disk that has a system, all of which can be read.
fn with_system(raw: (&File, &Path), cancel: &Cancel, then: impl FnOnce(&Disk<'_>) -> Result<()>) -> Result<()> {
    let (file, path) = raw;
    let io = |problem| if let Problem::Io(source) = problem { Err(Error::Io { action: "read", path: path.to_owned(), source }) } else { Ok(problem) };
    let told = |place: &str, problem| io(problem).map_or_else(|error| error, |problem| damaged(place, problem));
    let source = file.try_clone().and_then(FileSource::new).map_err(Error::io("read", path))?;
    let mut disk = Disk::read(&source, Limits::USUAL, cancel).map_err(|problem| told("the disk", problem))?;
    if let Some((place, problem)) = std::mem::take(&mut disk.problems).into_iter().next() {
        return Err(told(&place, problem));
    }
    if !disk.tree.contains_key(b"/".as_slice()) {
        return Err(damaged("the system", Problem::Unsupported("no root file system of a kind that is read".to_owned())));
    }
    then(&disk)
}

fn damaged(place: &str, problem: Problem) -> Error {
    match problem {
        Problem::Cancelled(cancelled) => cancelled.into(),
        problem => Error::Damaged { image: "the image".to_owned(), place: place.to_owned(), problem },
    }
}

/// What is behind a partition's number is mounted nowhere; a socket is nothing without the process that listens to it.
fn is_wanted(disk: &Disk<'_>, name: &[u8], at: (usize, usize)) -> bool {
    let node = disk.node(at);
    name.starts_with(b"/") && node.kind != Kind::Socket && !is_lost_and_found(name, node)
}

/// Whether a name is of what starts the machine from its disk.
fn starts_from_disk(disk: &Disk<'_>, name: &[u8], at: (usize, usize)) -> bool {
    let is_on_fat = disk.parts[at.0].files.as_ref().is_some_and(|files| !files.filesystem.has_links());
    KERNELS.iter().any(|kernel| name.starts_with(kernel)) || is_on_fat && (name.starts_with(b"/boot/") || name.starts_with(b"/efi"))
}

/// Whether `/etc/fstab` is that of a system on a disk.
fn mounts_a_root(disk: &Disk<'_>) -> Result<bool, Problem> {
    let fstab = disk.read_file(b"/etc/fstab", FSTAB_LIMIT)?.unwrap_or_default();
    let mounts = |line: &str| !line.trim_start().starts_with('#') && line.split_whitespace().nth(1) == Some("/");
    Ok(String::from_utf8_lossy(&fstab).lines().any(mounts))
}

/// The folder that checks of an ext file system fill, and what they put there.
fn is_lost_and_found(name: &[u8], node: &Node) -> bool {
    let within = node.path.strip_prefix(b"/lost+found");
    within.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")) && name != b"/"
}

/// Why an entry cannot be added.
enum Failure {
    Read(Problem),
    Write(io::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Read(problem)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl Failure {
    /// `raw_path` is what was read, `path` what was written.
    fn into_error(self, name: &[u8], raw_path: &Path, path: &Path) -> Error {
        match self {
            Self::Read(Problem::Io(source)) => Error::Io { action: "read", path: raw_path.to_owned(), source },
            Self::Read(problem) => damaged(&String::from_utf8_lossy(name), problem),
            Self::Write(source) => Error::Io { action: "write", path: path.to_owned(), source },
        }
    }
}

/// A name of an archive.
struct Entry<'a> {
    /// Absolute; the root is `/`.
    name: &'a [u8],
    node: &'a Node,
    /// Which file it is a name of.
    number: u32,
    /// How many names of the archive the file has.
    names: u32,
    /// The first of them, where it is another.
    first: Option<&'a [u8]>,
    attributes: Attributes,
}

impl Entry<'_> {
    fn is_folder(&self) -> bool {
        self.node.kind == Kind::Folder
    }

    /// Permissions.
    fn mode(&self) -> u32 {
        self.node.mode.map_or(if self.is_folder() { PLAIN.0 } else { PLAIN.1 }, u32::from)
    }

    /// The bytes that follow its header. Those of a file follow its first name.
    fn content_len(&self) -> u64 {
        if self.first.is_none() { self.node.content_len() } else { 0 }
    }
}

/// The files that have the names of an archive.
#[derive(Default)]
struct Files<'a> {
    /// How many names files have, by their file systems and handles; only where a file can have several.
    names: HashMap<(usize, u64), u32>,
    /// What has been added: its number, and its first name.
    added: HashMap<(usize, u64), (u32, &'a [u8])>,
    last: u32,
}

impl<'a> Files<'a> {
    fn count(disk: &Disk<'_>, names: &[(&'a [u8], (usize, usize))]) -> Self {
        let mut files = Self::default();
        for (_, at) in names {
            if let Some(key) = key(disk, *at) {
                *files.names.entry(key).or_default() += 1;
            }
        }
        files
    }

    fn next_number(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    /// The number of the file, how many names it has, and the first of them.
    fn add(&mut self, key: Option<(usize, u64)>, name: &'a [u8]) -> (u32, u32, Option<&'a [u8]>) {
        let Some(key) = key else { return (self.next_number(), 1, None) };
        let names = self.names.get(&key).copied().unwrap_or(1);
        if let Some((number, first)) = self.added.get(&key) {
            return (*number, names, Some(first));
        }
        let number = self.next_number();
        self.added.insert(key, (number, name));
        (number, names, None)
    }
}

/// What the names of the same file share; none of what has one name.
fn key(disk: &Disk<'_>, at: (usize, usize)) -> Option<(usize, u64)> {
    let node = disk.node(at);
    let has_links = disk.parts[at.0].files.as_ref().is_some_and(|files| files.filesystem.has_links());
    (has_links && node.kind != Kind::Folder).then_some((at.0, node.handle))
}

struct Archive<'a, 'd> {
    disk: &'a Disk<'d>,
    out: BufWriter<&'a File>,
    kind: ArchiveKind,
    files: Files<'a>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

impl<'a> Archive<'a, '_> {
    fn add(&mut self, name: &'a [u8], at: (usize, usize)) -> Result<(), Failure> {
        self.cancel.check().map_err(Problem::from)?;
        let node = self.disk.node(at);
        let (number, names, first) = self.files.add(key(self.disk, at), name);
        let attributes = if first.is_none() { self.disk.parts[at.0].attributes(node)? } else { Attributes::new() };
        let entry = Entry { name, node, number, names, first, attributes };
        match self.kind {
            ArchiveKind::Tar => tar::header(&mut self.out, &entry)?,
            ArchiveKind::Initrd => cpio::header(&mut self.out, &entry)?,
        }
        let len = entry.content_len();
        if len > 0 {
            self.content(at.0, node)?;
        }
        let block = if self.kind == ArchiveKind::Tar { tar::BLOCK } else { cpio::BLOCK };
        Ok(pad(&mut self.out, len, block)?)
    }

    fn content(&mut self, part: usize, node: &Node) -> Result<(), Failure> {
        let part = &self.disk.parts[part];
        let runs = part.files.as_ref().map_or(Ok(Vec::new()), |files| files.filesystem.runs(node))?;
        let mut buffer = Vec::new();
        for run in runs {
            let mut done = 0;
            while done < run.len {
                self.cancel.check().map_err(Problem::from)?;
                let len = (run.len - done).min(STEP);
                buffer.clear();
                buffer.resize(len as usize, 0);
                if let Some(at) = run.at {
                    part.volume.fill(&mut buffer, at + done)?;
                }
                self.out.write_all(&buffer)?;
                done += len;
                self.progress.report(Event::Advance { phase: Phase::Convert, by: len });
            }
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        match self.kind {
            ArchiveKind::Tar => tar::end(&mut self.out)?,
            ArchiveKind::Initrd => cpio::end(&mut self.out)?,
        }
        self.out.flush()
    }
}

/// Fills the last block of so many bytes.
fn pad(out: &mut impl Write, len: u64, block: u64) -> io::Result<()> {
    out.write_all(&vec![0; (len.next_multiple_of(block) - len) as usize])
}
