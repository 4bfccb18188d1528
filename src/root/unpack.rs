//! The data part of one package onto the tree.
//!
//! dpkg's rules (`dpkg(1)`, Debian Policy §6.6): a directory that is there keeps its owner and mode, a link to a directory stands for the directory,
//! configuration files appear as `NAME.dpkg-new` until the package is configured, diverted files appear under their other name.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use tar::EntryType;

use super::ahead::Contents;
use super::archive::Origin;
use super::claims::{Claim, Claims};
use super::error::refused;
use super::site::{Attributes, ParentCache, Site, checked, finish_file, symlink};
use super::{Error, bounded, dpkg};
use crate::tree::create_new;

/// What is the same for all packages that are unpacked side by side.
pub(super) struct Unpacker<'a> {
    pub(super) site: Site<'a>,
    pub(super) claims: &'a Claims<'a>,
    pub(super) diversions: &'a dpkg::Diversions,
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
    /// Unpacks a package and returns its paths as dpkg lists them (`/.` first), in the order of the archive. With `contents`, the files of the archive are
    /// empty, and are there.
    pub(super) fn unpack(&self, job: &Job<'_>, data: impl Read, contents: Option<&Contents>) -> Result<Vec<String>, Error> {
        let unreadable = |source| job.origin.unreadable(source);
        let conffiles: HashSet<&Path> = job.conffiles.iter().map(|path| Path::new(path.trim_start_matches('/'))).collect();
        let mut paths = Vec::new();
        let mut files = 0;
        let mut parent = ParentCache::default();
        bounded::entries(data, unreadable, |entry| {
            self.site.cancel.check()?;
            let kind = entry.header().entry_type();
            let number = files;
            files += usize::from(matches!(kind, EntryType::Regular | EntryType::Continuous));
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
            if kind == EntryType::Directory {
                return self.site.directory(&place, job.number, attributes);
            }
            let diverted = self.diversions.place(&path, job.name);
            let claim = Claim { package: job.number, path: &path, place: &diverted, diverter: self.diversions.is_by(&path, job.name) };
            let (dir, name) = parent.of(self.site, &place)?;
            match kind {
                EntryType::Regular | EntryType::Continuous => {
                    let create = || contents.map_or_else(|| create_new(dir, name), |contents| contents.place(number, dir, name));
                    let made = self.claims.make(claim, || create().map_err(refused("create", &place)))?;
                    if let Some(mut file) = made {
                        let xattrs = extended_attributes(entry).map_err(unreadable)?;
                        self.site.copy(entry, &mut file, &place).map_err(|error| error.unwrap_or_else(unreadable))?;
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
                    self.claims.make(claim, || self.site.hard_link(&target, dir, name, &place))?;
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
        Ok(Attributes { uid: id(header.uid()?)?, gid: id(header.gid()?)?, mode: header.mode()? & 0o7777, mtime: header.mtime()?.min(self.site.time) })
    }
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
