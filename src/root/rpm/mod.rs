//! RPM packages onto an empty tree: checked by this program, installed by the distribution's own `rpm` in one transaction.
//!
//! ```text
//!  headers ─► which packages are rpm itself ─► those unpacked into a workshop ─┬─► rpm --root ─────────┬─► compared with the plan
//!                                                                              └─► all other payloads ─┘
//!                                                                                  compared with their digests
//! ```
//!
//! Why `rpm` lays down the files, and not this program: it promises its scripts a moment. `%pretrans` runs before there is anything, `%pre` before the
//! files of its own package and after those of what it needs, and triggers fire between packages. `rpm` has no way to run the scripts of a transaction
//! without its files: `--justdb` turns all scripts off, `--excludepath` writes into the database that the files are not there, and
//! `%_minimize_writes` spares only what the database already has. So `rpm` does what must come in order, on one processor; and this program what need
//! not, on the others: it reads all that is hostile with bounds, and compares every file with its digest. For 163 packages of 130 MB, `rpm` takes 2.0 s
//! with these digests and 1.3 s without, and `dnf` as a whole 3.2 s.
//!
//! There is no root yet that the distribution's `rpm` could run from, and the host's must not be trusted to be the same. It runs from a workshop: a tree
//! of those packages only that `rpm` needs, thrown away afterwards.

mod bootstrap;
mod contents;
mod cpio;
mod described;
mod header;
mod package;
mod signed;
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
pub use self::described::{Described, Installed, Relation};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::package::examine;
use self::package::{Nothing, Rpm};
pub use self::signed::Signed;
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
    /// Whether all digests of files are of kinds that this program compares.
    comparable: bool,
}

impl Installation<'_> {
    /// Installs all packages of the plan.
    pub(super) fn run(&self) -> Result<(), Error> {
        let packages = &self.plan.packages;
        for (place, mode) in COVERED {
            self.tree.create_dirs(place)?;
            self.tree.set_mode(place.as_ref(), mode)?;
        }
        // Nothing can begin before all have come: which of them are rpm itself stands in all headers.
        for package in packages {
            package.supply.wait()?;
        }
        self.progress.report(Event::Start { phase: Phase::Unpack, total: Some(packages.iter().map(|package| package.size).sum()) });
        let headers = self.headers()?;
        let needed = bootstrap::needed(&headers.facts).ok_or_else(|| Error::Unfulfilled {
            problem: "no package of the image has rpm, and nothing else can install its packages".to_owned(),
            hint: "add “rpm” to systemConfig.packages".to_owned(),
        })?;
        let workshop = Workshop::beside(self.tree.path())?;
        self.furnish(&workshop, &headers.facts, &needed)?;
        self.progress.report(Event::Finish { phase: Phase::Unpack });
        self.progress.report(Event::Start { phase: Phase::Configure, total: Some(packages.len() as u64) });
        let (tree, plan) = (self.tree, self.plan);
        let transaction = Transaction { workshop: &workshop, tree, plan, headers: &headers, progress: self.progress, cancel: self.cancel };
        let (checked, installed) = std::thread::scope(|scope| {
            let check = scope.spawn(|| self.check_payloads(&workshop, &needed));
            let installed = transaction.run();
            (check.join(), installed)
        });
        // A damaged package is the reason of whatever else went wrong.
        checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        installed?;
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
        type One = (Facts, Vec<(String, u32)>, Vec<String>, bool);
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
                rpm.is_comparable(),
            ))
        });
        let mut headers = Headers { facts: Vec::new(), covered: Vec::new(), devices: Vec::new(), comparable: true };
        for (facts, covered, devices, comparable) in read.collect::<Result<Vec<One>, Error>>()? {
            headers.facts.push(facts);
            headers.covered.extend(covered);
            headers.devices.extend(devices);
            headers.comparable &= comparable;
        }
        Ok(headers)
    }

    /// Lays all packages into the workshop, and unpacks there those that are `rpm`.
    fn furnish(&self, workshop: &Workshop, facts: &[Facts], needed: &[bool]) -> Result<(), Error> {
        let packages = &self.plan.packages;
        // First: another thread might make directories in their places.
        for (path, target) in facts.iter().flat_map(|package| &package.links) {
            Self::merge(workshop, path, target)?;
        }
        let directories = Directories::default();
        let site = Site { tree: &workshop.tree, directories: &directories, time: self.plan.time, cancel: self.cancel };
        let result = self.for_each(|number| {
            let package = &packages[number];
            let origin = Origin::of(package);
            let mut input = archive::open(package, &origin)?;
            let path = transaction::file_name(number);
            let mut copy = workshop.tree.create(path.as_ref(), 0o644)?;
            if needed[number] {
                bootstrap::unpack(site, number, Rpm::read(origin, Copying { input, copy }, package.size)?)?;
            } else {
                site.copy(&mut input, &mut copy, path.as_ref()).map_err(|error| error.unwrap_or_else(|source| origin.unreadable(source)))?;
            }
            self.progress.report(Event::Advance { phase: Phase::Unpack, by: package.size });
            Ok(())
        });
        directories.apply(&workshop.tree)?;
        result
    }

    /// Compares all files of the other packages with their digests, while `rpm` is at work: that has one thread only.
    fn check_payloads(&self, workshop: &Workshop, needed: &[bool]) -> Result<(), Error> {
        self.for_each(|number| {
            if needed[number] {
                return Ok(());
            }
            let package = &self.plan.packages[number];
            let origin = Origin::of(package);
            let file = workshop.tree.file(transaction::file_name(number))?;
            let file = file.ok_or_else(|| origin.unreadable(io::ErrorKind::NotFound.into()))?;
            Rpm::read(origin, file, package.size)?.unpack(&mut Nothing(self.cancel))
        })
    }

    /// Does something with each package, several side by side; ends with the first problem.
    fn for_each(&self, work: impl Fn(usize) -> Result<(), Error> + Sync) -> Result<(), Error> {
        // The largest first, so that none of them is left for one thread alone at the end.
        let mut queue: Vec<usize> = (0..self.plan.packages.len()).collect();
        queue.sort_by_key(|&number| std::cmp::Reverse(self.plan.packages[number].size));
        let queue = Mutex::new(queue.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        (0..self.plan.workers.max(1)).into_par_iter().try_for_each(|_| {
            while let Some(number) = next() {
                work(number)?;
            }
            Ok(())
        })
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
