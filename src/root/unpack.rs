//! The data part of one package onto the tree.
//!
//! dpkg's rules (`dpkg(1)`, Debian Policy §6.6): a directory that is there keeps its owner and mode, a link to a directory stands for the directory,
//! configuration files appear as `NAME.dpkg-new` until the package is configured, diverted files appear under their other name.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use tar::EntryType;

use super::claims::{Claim, Claims};
use super::deb::Origin;
use super::error::refused;
use super::{Error, bounded, dpkg};
use crate::progress::Cancel;
use crate::tree::{Tree, create_new};

/// How often a large file asks whether to stop: each time so many bytes are written.
const BUFFER: usize = 1 << 17;

/// What is the same for all packages that are unpacked side by side.
pub(super) struct Unpacker<'a> {
    pub(super) tree: &'a Tree,
    pub(super) claims: &'a Claims<'a>,
    pub(super) diversions: &'a dpkg::Diversions,
    /// Directories that this round made, with what they shall be like; applied once all packages are unpacked.
    pub(super) directories: &'a Directories,
    /// No file is newer: seconds since the epoch.
    pub(super) time: u64,
    pub(super) cancel: &'a Cancel,
}

/// Directories that were made while packages were unpacked.
#[derive(Default)]
pub(super) struct Directories(Mutex<HashMap<PathBuf, Directory>>);

#[derive(Debug, Clone, Copy)]
struct Directory {
    /// The first package of the plan that ships it decides; none while it was only needed on the way.
    package: Option<usize>,
    attributes: Attributes,
}

/// Owner, mode and time of an entry.
#[derive(Debug, Clone, Copy)]
struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: u64,
}

impl Directories {
    /// Gives all directories their owners and modes, and forgets them.
    pub(super) fn apply(&self, tree: &Tree) -> Result<(), Error> {
        for (path, directory) in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            let Attributes { uid, gid, mode, .. } = directory.attributes;
            // Owner before mode: a change of owner may clear bits of the mode.
            tree.set_owner(&path, uid, gid)?;
            tree.set_mode(&path, mode)?;
        }
        Ok(())
    }
}

/// One package that is being unpacked.
pub(super) struct Job<'a> {
    /// Its place in the plan.
    pub(super) number: usize,
    pub(super) name: &'a str,
    pub(super) origin: &'a Origin,
    /// Absolute paths.
    pub(super) conffiles: &'a [String],
}

impl Unpacker<'_> {
    /// Unpacks a package and returns its paths as dpkg lists them (`/.` first), in the order of the archive.
    pub(super) fn unpack(&self, job: &Job<'_>, data: impl Read) -> Result<Vec<String>, Error> {
        let unreadable = |source| job.origin.unreadable(source);
        let conffiles: HashSet<&Path> = job.conffiles.iter().map(|path| Path::new(path.trim_start_matches('/'))).collect();
        let mut paths = Vec::new();
        let mut parent = ParentCache::default();
        bounded::entries(data, unreadable, |entry| {
            self.cancel.check()?;
            let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let hostile = |problem| Error::HostileEntry { package: job.name.to_owned(), path: shown.clone(), problem };
            let path = checked(Path::new(OsStr::from_bytes(&entry.path_bytes()))).map_err(hostile)?;
            if path.as_os_str().is_empty() {
                paths.push("/.".to_owned());
                return Ok(());
            }
            let listed = path.to_str().ok_or_else(|| hostile("its name is not UTF-8"))?;
            if listed.contains('\n') {
                return Err(hostile("its name has a line break"));
            }
            paths.push(format!("/{listed}"));
            let place = self.place(&path, job.name, &conffiles);
            let attributes = self.attributes(entry.header()).map_err(unreadable)?;
            let kind = entry.header().entry_type();
            if kind == EntryType::Directory {
                return self.directory(&place, job.number, attributes);
            }
            let diverted = self.diversions.place(&path, job.name);
            let claim = Claim { package: job.number, path: &path, place: &diverted, diverter: self.diversions.is_by(&path, job.name) };
            let (dir, name) = parent.of(self, &place)?;
            match kind {
                EntryType::Regular | EntryType::Continuous => {
                    let made = self.claims.make(claim, || create_new(dir, name).map_err(refused("create", &place)))?;
                    if let Some(mut file) = made {
                        let xattrs = extended_attributes(entry).map_err(unreadable)?;
                        self.copy(entry, &mut file, &place).map_err(|error| error.unwrap_or_else(unreadable))?;
                        finish_file(&file, attributes, &xattrs).map_err(refused("set the attributes of", &place))?;
                    }
                }
                EntryType::Symlink => {
                    let target = entry.link_name_bytes().ok_or_else(|| hostile("a symbolic link without a target"))?;
                    self.claims.make(claim, || symlink(OsStr::from_bytes(&target), dir, name, attributes, &place))?;
                }
                EntryType::Link => {
                    let target = entry.link_name_bytes().ok_or_else(|| hostile("a hard link without a target"))?;
                    let target = checked(Path::new(OsStr::from_bytes(&target))).map_err(hostile)?;
                    let target = self.place(&target, job.name, &conffiles);
                    self.claims.make(claim, || self.hard_link(&target, dir, name, &place))?;
                }
                EntryType::Char | EntryType::Block | EntryType::Fifo => {
                    self.claims.make(claim, || node(entry.header(), kind, dir, name, attributes, &place))?;
                }
                _ => return Err(hostile("this kind of entry has no place in a package")),
            }
            Ok(())
        })?;
        Ok(paths)
    }

    /// Where a path of a package really goes: diverted, or not yet installed.
    fn place(&self, path: &Path, package: &str, conffiles: &HashSet<&Path>) -> PathBuf {
        let place = self.diversions.place(path, package);
        if conffiles.contains(path) {
            let mut name = place.into_os_string();
            name.push(".dpkg-new");
            return name.into();
        }
        place
    }

    fn attributes(&self, header: &tar::Header) -> io::Result<Attributes> {
        let id = |value: u64| u32::try_from(value).map_err(|_| io::Error::other("an owner's number is too large"));
        Ok(Attributes { uid: id(header.uid()?)?, gid: id(header.gid()?)?, mode: header.mode()? & 0o7777, mtime: header.mtime()?.min(self.time) })
    }

    fn directory(&self, path: &Path, package: usize, attributes: Attributes) -> Result<(), Error> {
        let mut made = self.directories.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_directory(&mut made, path, Some(package), attributes)
    }

    /// Makes a directory under the lock, and those above it that are missing.
    fn make_directory(
        &self,
        made: &mut HashMap<PathBuf, Directory>,
        path: &Path,
        package: Option<usize>,
        attributes: Attributes,
    ) -> Result<(), Error> {
        if let Some(directory) = made.get_mut(path) {
            if let Some(number) = package
                && directory.package.is_none_or(|first| number < first)
            {
                *directory = Directory { package, attributes };
            }
            return Ok(());
        }
        if self.tree.open_at(path, OFlags::PATH | OFlags::DIRECTORY).is_ok() {
            return Ok(());
        }
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            self.make_directory(made, above, None, Attributes { uid: 0, gid: 0, mode: 0o755, mtime: self.time })?;
        }
        let (parent, name) = self.tree.parent(path)?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)).map_err(refused("create directory", path))?;
        made.insert(path.to_owned(), Directory { package, attributes });
        Ok(())
    }

    /// Copies a file's bytes; an error is the tree's (`Some`) or the package's.
    fn copy(&self, from: &mut impl Read, to: &mut std::fs::File, path: &Path) -> Result<(), Failed> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failed::Package(error)),
            };
            to.write_all(&buffer[..count]).map_err(|error| Failed::Tree(crate::tree::Error::at("write", path)(error).into()))?;
            self.cancel.check().map_err(|cancelled| Failed::Tree(cancelled.into()))?;
        }
    }

    fn hard_link(&self, target: &Path, dir: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
        let (from, from_name) = self.tree.parent(target)?;
        loop {
            match rustix::fs::linkat(&from, from_name, dir, name, AtFlags::empty()) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => rustix::fs::unlinkat(dir, name, AtFlags::empty()).map_err(refused("replace", path))?,
                Err(errno) => return Err(refused("link", path)(errno)),
            }
        }
    }
}

/// Whose fault a failed copy is.
enum Failed {
    Tree(Error),
    Package(io::Error),
}

impl Failed {
    fn unwrap_or_else(self, package: impl FnOnce(io::Error) -> Error) -> Error {
        match self {
            Self::Tree(error) => error,
            Self::Package(error) => package(error),
        }
    }
}

/// The directory of the last entry: archives are in the order of the tree, so most entries lie in the same one.
#[derive(Default)]
struct ParentCache(Option<(PathBuf, OwnedFd)>);

impl ParentCache {
    fn of<'p>(&mut self, unpacker: &Unpacker<'_>, path: &'p Path) -> Result<(&OwnedFd, &'p OsStr), Error> {
        let above = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().ok_or_else(|| refused("name", path)(Errno::INVAL))?;
        if self.0.as_ref().is_none_or(|(cached, _)| cached != above) {
            let root = Attributes { uid: 0, gid: 0, mode: 0o755, mtime: unpacker.time };
            if !above.as_os_str().is_empty() {
                let mut made = unpacker.directories.0.lock().unwrap_or_else(PoisonError::into_inner);
                unpacker.make_directory(&mut made, above, None, root)?;
            }
            self.0 = Some((above.to_owned(), unpacker.tree.directory(above)?));
        }
        let (_, fd) = self.0.as_ref().expect("set above");
        Ok((fd, name))
    }
}

/// A path of an archive without its leading `./`; refuses what could lead out of the tree.
fn checked(path: &Path) -> Result<PathBuf, &'static str> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err("its name contains “..”"),
            Component::RootDir | Component::Prefix(_) => return Err("its name is absolute"),
        }
    }
    Ok(clean)
}

fn extended_attributes(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut attributes = Vec::new();
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            if let Ok(Some(name)) = extension.key().map(|key| key.strip_prefix("SCHILY.xattr.")) {
                // Other namespaces cannot be set from a user namespace, or mean nothing in an image.
                if name == "security.capability" || name.starts_with("user.") {
                    attributes.push((name.to_owned(), extension.value_bytes().to_vec()));
                }
            }
        }
    }
    Ok(attributes)
}

/// Looks at everything of an entry that unpacking looks at.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn examine(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
    let target = entry.link_name_bytes().filter(|_| entry.header().entry_type() == EntryType::Link);
    for path in [Some(entry.path_bytes()), target].into_iter().flatten() {
        checked(Path::new(OsStr::from_bytes(&path))).map_err(io::Error::other)?;
    }
    let header = entry.header();
    let _ = (header.uid()?, header.gid()?, header.mode()?, header.mtime()?, header.device_major(), header.device_minor());
    extended_attributes(entry).map(drop)
}

fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(i64::MAX), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Owner before mode: a change of owner clears the set-user-id bit and the capabilities.
fn finish_file(file: &std::fs::File, attributes: Attributes, xattrs: &[(String, Vec<u8>)]) -> Result<(), Errno> {
    rustix::fs::fchown(file, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode))?;
    for (name, value) in xattrs {
        rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
    }
    rustix::fs::futimens(file, &times(attributes.mtime))
}

fn symlink(target: &OsStr, dir: &OwnedFd, name: &OsStr, attributes: Attributes, path: &Path) -> Result<(), Error> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(refused("look at", path)(errno)),
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            // As dpkg does: a link does not replace a directory.
            FileType::Directory => return Ok(()),
            // Other threads may be walking through it at this moment.
            FileType::Symlink if rustix::fs::readlinkat(dir, name, Vec::new()).is_ok_and(|old| old.to_bytes() == target.as_bytes()) => return Ok(()),
            _ => rustix::fs::unlinkat(dir, name, AtFlags::empty()).map_err(refused("replace", path))?,
        },
    }
    rustix::fs::symlinkat(target, dir, name).map_err(refused("link", path))?;
    let owner = (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)));
    rustix::fs::chownat(dir, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).map_err(refused("set the owner of", path))?;
    rustix::fs::utimensat(dir, name, &times(attributes.mtime), AtFlags::SYMLINK_NOFOLLOW).map_err(refused("set the time of", path))
}

fn node(header: &tar::Header, kind: EntryType, dir: &OwnedFd, name: &OsStr, attributes: Attributes, path: &Path) -> Result<(), Error> {
    let (file_type, device) = match kind {
        EntryType::Fifo => (FileType::Fifo, 0),
        other => {
            let number = |value: io::Result<Option<u32>>| value.ok().flatten().unwrap_or(0);
            let device = rustix::fs::makedev(number(header.device_major()), number(header.device_minor()));
            (if other == EntryType::Char { FileType::CharacterDevice } else { FileType::BlockDevice }, device)
        }
    };
    match rustix::fs::mknodat(dir, name, file_type, Mode::from_raw_mode(attributes.mode), device) {
        Ok(()) => {}
        // No user namespace may make device nodes (`user_namespaces(7)`); the kernel makes them in /dev when the image starts.
        Err(Errno::PERM) if file_type != FileType::Fifo => return Ok(()),
        Err(errno) => return Err(refused("create", path)(errno)),
    }
    let owner = (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)));
    rustix::fs::chownat(dir, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).map_err(refused("set the owner of", path))?;
    rustix::fs::chmodat(dir, name, Mode::from_raw_mode(attributes.mode), AtFlags::empty()).map_err(refused("set the mode of", path))
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
