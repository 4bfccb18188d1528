//! RPM packages onto an empty tree: checked by this program, installed by the distribution's own `rpm` in one transaction.
//!
//! ```text
//!  headers ─► which packages are rpm itself ─► all payloads checked, side by side; rpm's own unpacked into a workshop ─► rpm --root ─► compared
//! ```
//!
//! Why `rpm` lays down the files, and not this program: it promises its scripts a moment. `%pretrans` runs before there is anything, `%pre` before the
//! files of its own package and after those of what it needs, and triggers fire between packages. `rpm` has no way to run the scripts of a transaction
//! without its files: `--justdb` turns all scripts off, `--excludepath` writes into the database that the files are not there, and
//! `%_minimize_writes` spares only what the database already has. So this program does what can be done before: it is the one that reads hostile
//! bytes, compares all digests on all processors, and leaves to `rpm` what must come in order.
//!
//! There is no root yet that the distribution's `rpm` could run from, and the host's must not be trusted to be the same. It runs from a workshop: a tree
//! of those packages only that `rpm` needs, thrown away afterwards.

mod bootstrap;
mod contents;
mod cpio;
mod header;
mod package;
#[cfg(test)]
pub(crate) mod testing;
mod transaction;
mod workshop;

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use self::bootstrap::Facts;
use self::contents::Kind;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::package::examine;
use self::package::{Nothing, Rpm};
use self::transaction::Transaction;
use self::workshop::Workshop;
use super::Error;
use super::archive::{self, Origin};
use super::plan::Plan;
use super::site::{Directories, Site};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::tree::Tree;

/// Directories that a cell mounts over: they are there before the first package, and get what their package says of them at the end.
const COVERED: [(&str, u32); 4] = [("dev", 0o755), ("proc", 0o555), ("run", 0o755), ("sys", 0o555)];
/// What an image has whatever its packages say.
const PLACES: [&str; 2] = ["root", "tmp"];

/// An installation in progress.
pub(super) struct Installation<'a> {
    pub(super) tree: &'a Tree,
    pub(super) plan: &'a Plan,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a Cancel,
}

/// What the headers of the packages say.
struct Headers {
    facts: Vec<Facts>,
    /// The modes of directories that cells mount over.
    covered: Vec<(String, u32)>,
    /// The absolute paths of devices.
    devices: Vec<String>,
}

impl Installation<'_> {
    /// Installs all packages of the plan.
    pub(super) fn run(&self) -> Result<(), Error> {
        let packages = &self.plan.packages;
        for (place, mode) in COVERED {
            self.tree.create_dirs(place)?;
            self.tree.set_mode(place.as_ref(), mode)?;
        }
        self.progress.report(Event::Start { phase: Phase::Unpack, total: Some(packages.iter().map(|package| package.size).sum()) });
        let headers = self.headers()?;
        let workshop = Workshop::beside(self.tree.path())?;
        let checked = self.unpack(&workshop, &headers.facts)?;
        self.progress.report(Event::Finish { phase: Phase::Unpack });
        self.progress.report(Event::Start { phase: Phase::Configure, total: Some(packages.len() as u64) });
        let (tree, plan, left_out) = (self.tree, self.plan, &headers.devices);
        let transaction = Transaction { workshop: &workshop, tree, plan, checked, left_out, progress: self.progress, cancel: self.cancel };
        transaction.run()?;
        transaction.check()?;
        for (path, mode) in &headers.covered {
            self.tree.set_mode(path.as_ref(), *mode)?;
        }
        for place in PLACES {
            self.tree.create_dirs(place)?;
        }
        self.progress.report(Event::Finish { phase: Phase::Configure });
        Ok(())
    }

    /// Reads the headers of all packages, and checks that each is what the repository said.
    fn headers(&self) -> Result<Headers, Error> {
        type One = (Facts, Vec<(String, u32)>, Vec<String>);
        let read = self.plan.packages.par_iter().map(|package| -> Result<One, Error> {
            self.cancel.check()?;
            let origin = Origin::of(package);
            let input = archive::open(package, &origin)?;
            let rpm = Rpm::read(origin, input, package.size)?;
            rpm.check_identity(package)?;
            let entries = || rpm.contents.entries.iter().filter(|entry| !entry.ghost);
            let is_covered = |path: &str| COVERED.iter().any(|(place, _)| *place == path);
            let covered = entries().filter(|entry| entry.kind == Kind::Directory && is_covered(&entry.path));
            let devices = entries().filter(|entry| entry.kind == Kind::Device);
            Ok((
                Facts::of(&rpm)?,
                covered.map(|entry| (entry.path.clone(), entry.mode)).collect(),
                devices.map(|entry| format!("/{}", entry.path)).collect(),
            ))
        });
        let mut headers = Headers { facts: Vec::new(), covered: Vec::new(), devices: Vec::new() };
        for (facts, covered, devices) in read.collect::<Result<Vec<One>, Error>>()? {
            headers.facts.push(facts);
            headers.covered.extend(covered);
            headers.devices.extend(devices);
        }
        Ok(headers)
    }

    /// Reads all packages to their ends, lays them into the workshop, and unpacks there those that are `rpm`. Returns whether all files have been
    /// compared with their digests.
    fn unpack(&self, workshop: &Workshop, facts: &[Facts]) -> Result<bool, Error> {
        let packages = &self.plan.packages;
        let needed = bootstrap::needed(facts).ok_or_else(|| Error::Unfulfilled {
            problem: "no package of the image has rpm, and nothing else can install its packages".to_owned(),
            hint: "add “rpm” to systemConfig.packages".to_owned(),
        })?;
        // First: another thread might make directories in their places.
        for (path, target) in facts.iter().flat_map(|package| &package.links) {
            Self::merge(workshop, path, target)?;
        }
        let directories = Directories::default();
        let site = Site { tree: &workshop.tree, directories: &directories, time: self.plan.time, cancel: self.cancel };
        // The largest first, so that none of them is left for one thread alone at the end.
        let mut queue: Vec<usize> = (0..packages.len()).collect();
        queue.sort_by_key(|&number| std::cmp::Reverse(packages[number].size));
        let queue = Mutex::new(queue.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let results: Vec<Result<bool, Error>> = (0..self.plan.workers.max(1))
            .into_par_iter()
            .map(|_| {
                let mut all = true;
                while let Some(number) = next() {
                    let package = &packages[number];
                    let origin = Origin::of(package);
                    let path = transaction::file_name(number);
                    let copy = Copying { input: archive::open(package, &origin)?, copy: workshop.tree.create(path.as_ref(), 0o644)? };
                    let rpm = Rpm::read(origin, copy, package.size)?;
                    all &= if needed[number] { bootstrap::unpack(site, number, rpm)? } else { rpm.unpack(&mut Nothing(self.cancel))? };
                    self.progress.report(Event::Advance { phase: Phase::Unpack, by: package.size });
                }
                Ok(all)
            })
            .collect();
        directories.apply(&workshop.tree)?;
        let mut all = true;
        for result in results {
            all &= result?;
        }
        Ok(all)
    }

    /// Makes a link in the root directory of the workshop, and what it leads to.
    fn merge(workshop: &Workshop, path: &str, target: &str) -> Result<(), Error> {
        workshop.tree.create_dirs(target.trim_start_matches('/'))?;
        Ok(workshop.tree.symlink(target, path)?)
    }
}

/// Copies what is read to a file.
struct Copying<R> {
    input: R,
    copy: File,
}

impl<R: Read> Read for Copying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.copy.write_all(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
