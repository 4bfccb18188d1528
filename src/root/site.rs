//! Where packages are laid down: files, links and directories beneath the tree's root, several packages side by side.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Error;
use super::error::refused;
use crate::progress::Cancel;
use crate::tree::Tree;

/// How often a large file asks whether to stop: each time so many bytes are written.
const BUFFER: usize = 1 << 17;

/// What is the same for all packages that are unpacked side by side.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) tree: &'a Tree,
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
pub(super) struct Attributes {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) mtime: u64,
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

impl Site<'_> {
    /// A directory of a package, where there is none yet.
    pub(super) fn directory(&self, path: &Path, package: usize, attributes: Attributes) -> Result<(), Error> {
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
    pub(super) fn copy(&self, from: &mut impl Read, to: &mut std::fs::File, path: &Path) -> Result<(), Failed> {
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

    pub(super) fn hard_link(&self, target: &Path, dir: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
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
pub(super) enum Failed {
    Tree(Error),
    Package(io::Error),
}

impl Failed {
    pub(super) fn unwrap_or_else(self, package: impl FnOnce(io::Error) -> Error) -> Error {
        match self {
            Self::Tree(error) => error,
            Self::Package(error) => package(error),
        }
    }
}

/// The directory of the last entry: archives are in the order of the tree, so most entries lie in the same one.
#[derive(Default)]
pub(super) struct ParentCache(Option<(PathBuf, OwnedFd)>);

impl ParentCache {
    pub(super) fn of<'p>(&mut self, site: Site<'_>, path: &'p Path) -> Result<(&OwnedFd, &'p OsStr), Error> {
        let above = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().ok_or_else(|| refused("name", path)(Errno::INVAL))?;
        if self.0.as_ref().is_none_or(|(cached, _)| cached != above) {
            let root = Attributes { uid: 0, gid: 0, mode: 0o755, mtime: site.time };
            if !above.as_os_str().is_empty() {
                let mut made = site.directories.0.lock().unwrap_or_else(PoisonError::into_inner);
                site.make_directory(&mut made, above, None, root)?;
            }
            self.0 = Some((above.to_owned(), site.tree.directory(above)?));
        }
        let (_, fd) = self.0.as_ref().expect("set above");
        Ok((fd, name))
    }
}

/// A path of an archive without its leading `./`; refuses what could lead out of the tree.
pub(super) fn checked(path: &Path) -> Result<PathBuf, &'static str> {
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

fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(i64::MAX), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Owner before mode: a change of owner clears the set-user-id bit and the capabilities.
pub(super) fn finish_file(file: &std::fs::File, attributes: Attributes, xattrs: &[(String, Vec<u8>)]) -> Result<(), Errno> {
    rustix::fs::fchown(file, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode))?;
    for (name, value) in xattrs {
        rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
    }
    rustix::fs::futimens(file, &times(attributes.mtime))
}

pub(super) fn symlink(target: &OsStr, dir: &OwnedFd, name: &OsStr, attributes: Attributes, path: &Path) -> Result<(), Error> {
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
