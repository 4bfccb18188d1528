//! The distribution's own `rpm`, before there is a root that it could run from: which packages it is made of, and how they are unpacked.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::contents::{Entry, Kind};
use super::header::Tag;
use super::package::{Rpm, Sink};
use crate::root::Error;
use crate::root::archive::Origin;
use crate::root::error::refused;
use crate::root::site::{Attributes, ParentCache, Site, finish_file, symlink};
use crate::tree::create_new;

/// Where `rpm` is.
const RPM: [&str; 2] = ["usr/bin/rpm", "bin/rpm"];
/// Where its configuration is: whatever package brings some is needed, because it says where the database lies.
const CONFIGURATION: [&str; 2] = ["usr/lib/rpm/", "etc/rpm/"];
/// Names in the root directory that are links into `/usr` since the merge, and where.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What the choice needs to know of a package.
pub(super) struct Facts {
    provides: Vec<String>,
    requires: Vec<String>,
    paths: Vec<String>,
    /// Links in the root directory, with their targets.
    pub(super) links: Vec<(String, String)>,
}

impl Facts {
    pub(super) fn of(package: &Rpm<'_>) -> Result<Self, Error> {
        let texts = |tag| -> Result<Vec<String>, Error> {
            let texts = package.header.texts(tag).map_err(|source| package.origin.bad(source.to_string()))?;
            Ok(texts.into_iter().map(str::to_owned).collect())
        };
        let is_link = |entry: &&Entry| entry.kind == Kind::Link && MERGED.contains(&entry.path.as_str());
        let entries = &package.contents.entries;
        Ok(Self {
            provides: texts(Tag::PROVIDES)?,
            requires: texts(Tag::REQUIRES)?,
            paths: entries.iter().map(|entry| entry.path.clone()).collect(),
            links: entries.iter().filter(is_link).map(|entry| (entry.path.clone(), entry.target.clone())).collect(),
        })
    }
}

/// Which packages `rpm` needs to run; none where no package has it.
///
/// Of several that provide a name the first is taken, and of a rich dependency all that it names: what is too much does no harm here.
pub(super) fn needed(packages: &[Facts]) -> Option<Vec<bool>> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (number, package) in packages.iter().enumerate() {
        for name in &package.provides {
            names.entry(name).or_insert(number);
        }
    }
    let mut files: HashMap<&str, usize> = HashMap::new();
    for (number, package) in packages.iter().enumerate() {
        for path in &package.paths {
            files.entry(path).or_insert(number);
        }
    }
    let owner = |path: &str| {
        let merged = format!("usr/{path}");
        files.get(path).or_else(|| MERGED.iter().any(|name| path.starts_with(name)).then(|| files.get(merged.as_str())).flatten()).copied()
    };
    let mut open = vec![RPM.into_iter().find_map(owner)?];
    let is_configuration = |package: &Facts| package.paths.iter().any(|path| CONFIGURATION.iter().any(|folder| path.starts_with(folder)));
    open.extend((0..packages.len()).filter(|&number| is_configuration(&packages[number]) || !packages[number].links.is_empty()));
    let mut needed = vec![false; packages.len()];
    while let Some(number) = open.pop() {
        if !std::mem::replace(&mut needed[number], true) {
            for requirement in &packages[number].requires {
                let words: Vec<&str> = if requirement.starts_with('(') { requirement.split_whitespace().collect() } else { vec![requirement] };
                let words = words.iter().map(|word| if word.starts_with('(') { word.trim_start_matches('(') } else { word });
                open.extend(words.filter_map(|word| names.get(word).copied().or_else(|| owner(word.strip_prefix('/')?))));
            }
        }
    }
    Some(needed)
}

/// Unpacks one package: as it is, but that all belongs to the owner of this process. That is enough to run from.
struct Layer<'s> {
    site: Site<'s>,
    /// The place of the package in the plan.
    number: usize,
    origin: Origin,
    parent: ParentCache,
    /// Hard links that wait for the file with the contents, and that file.
    links: Vec<(PathBuf, usize)>,
}

impl Sink for Layer<'_> {
    fn take(&mut self, entry: &Entry, contents: Option<&mut dyn Read>) -> Result<(), Error> {
        self.site.cancel.check()?;
        let path = Path::new(&entry.path);
        if entry.path.is_empty() {
            return Ok(());
        }
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let attributes = Attributes { uid, gid, mode: entry.mode, mtime: self.site.time };
        match (entry.kind, contents) {
            (Kind::Directory, _) => self.site.directory(path, self.number, attributes)?,
            (Kind::Regular, Some(contents)) => {
                let (dir, name) = self.parent.of(self.site, path)?;
                let mut file = create_new(dir, name).map_err(refused("create", path))?;
                self.site
                    .copy(&mut &mut *contents, &mut file, path)
                    .map_err(|error| error.unwrap_or_else(|source| self.origin.unreadable(source)))?;
                finish_file(&file, attributes, &[]).map_err(refused("set the attributes of", path))?;
            }
            (Kind::Regular, None) => {
                self.links.push((path.to_owned(), entry.last_link));
            }
            (Kind::Link, _) => {
                let (dir, name) = self.parent.of(self.site, path)?;
                symlink(OsStr::new(&entry.target), dir, name, attributes, path)?;
            }
            // Nothing to run from.
            (Kind::Device | Kind::Fifo, _) => {}
        }
        Ok(())
    }
}

/// Unpacks a package into the site, and compares it with its digests on the way.
pub(super) fn unpack(site: Site<'_>, number: usize, package: Rpm<'_>) -> Result<(), Error> {
    let paths: Vec<PathBuf> = package.contents.entries.iter().map(|entry| PathBuf::from(&entry.path)).collect();
    let mut layer = Layer { site, number, origin: package.origin.clone(), parent: ParentCache::default(), links: Vec::new() };
    package.unpack(&mut layer)?;
    for (path, last) in layer.links {
        let (dir, name) = layer.parent.of(site, &path)?;
        site.hard_link(&paths[last], dir, name, &path)?;
    }
    Ok(())
}
