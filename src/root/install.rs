//! Packages onto a tree, stage by stage: unpacked by this program, configured by the tree's own dpkg.
//!
//! A stage after the first knows nothing but what it finds in the tree, so that it makes the same of one that was kept.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rayon::prelude::*;

use super::ahead::{Ahead, Decoded};
use super::archive::Origin;
use super::claims::Claims;
use super::deb::{Control, Deb};
use super::dpkg::{self, Unpacked};
use super::order::{Round, Stage};
use super::plan::{Package, Plan};
use super::sandbox::Cell;
use super::site::{Directories, Site};
use super::unpack::{Job, Unpacker};
use super::{Error, order};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::tree::Tree;

/// What every root has before the first package: where `/bin` and its kin lead since the merge into `/usr`, and what the sandbox mounts over.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
const PLACES: [&str; 6] = ["dev", "proc", "run/lock", "sys", "tmp", "root"];
/// Configured before all others: scripts of other essential packages use users, files and functions of these without saying so, because dpkg's own
/// bootstrap always had them.
const FIRST: [&str; 4] = ["base-passwd", "base-files", "libc6", "debconf"];
/// Services must not start while an image is built (`invoke-rc.d(8)`: 101 is “action forbidden by policy”).
pub(super) const POLICY: (&str, &[u8]) = ("usr/sbin/policy-rc.d", b"#!/bin/sh\nexit 101\n");
/// Kernel packages, initramfs-tools and others would each make all initrds again.
pub(super) const INITRD_LATER: (&str, &str) = ("/usr/sbin/update-initramfs", "#!/bin/sh\nexit 0\n");
/// Scripts that ask whether there is an init to restart (`ischroot(1)`) hear that there is none: libc6's would wait a second for it. The program itself takes
/// a cell for a system of its own, for no file system is above the tree.
const CHROOT: (&str, &str) = ("/usr/bin/ischroot", "#!/bin/sh\nexit 0\n");

/// The most that is kept of what one package prints while it is configured, in bytes.
const SECTION_LIMIT: usize = 8 << 10;

/// The package that dpkg configures at the moment, and since when.
#[derive(Default)]
struct SettingUp(Option<(String, Instant)>);

impl SettingUp {
    /// Takes note that the package before is done, and that another one begins; none where the name is empty.
    fn next(&mut self, name: &str, progress: &dyn Progress) {
        if let Some((before, begun)) = &self.0 {
            progress.report(Event::Item { phase: Phase::Configure, name: before, bytes: 0, took: begun.elapsed() });
        }
        self.0 = (!name.is_empty()).then(|| (name.to_owned(), Instant::now()));
    }
}

/// The installation of a stage, in progress.
pub(super) struct Installation<'a> {
    tree: &'a Tree,
    plan: &'a Plan,
    stage: Stage,
    ahead: &'a Ahead<'a>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    /// Whether [`Phase::Configure`] is under way, and how many packages it is about.
    configuring: AtomicBool,
    to_configure: AtomicUsize,
}

impl<'a> Installation<'a> {
    pub(super) fn of(stage: Stage, (tree, plan): (&'a Tree, &'a Plan), ahead: &'a Ahead<'a>, progress: &'a dyn Progress, cancel: &'a Cancel) -> Self {
        Self { tree, plan, stage, ahead, progress, cancel, configuring: AtomicBool::default(), to_configure: AtomicUsize::default() }
    }

    /// Installs all packages of the stage and leaves them configured, but for what `last` does: it still belongs to [`Phase::Configure`].
    pub(super) fn run(&self, last: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let packages = &self.plan.packages;
        let (bootstrap, rest) = order::bootstrap(packages, self.stage);
        let all = [&*bootstrap, &*rest].concat();
        self.await_all(if bootstrap.is_empty() { &rest } else { &bootstrap })?;
        let is_whole = self.have_come(&rest);
        self.begin(if is_whole { &all } else { &bootstrap });
        if self.stage == Stage::FIRST {
            self.prepare()?;
        }
        let claims = Claims::before(self.stage, packages, self.tree)?;
        if !bootstrap.is_empty() {
            self.bootstrap(&bootstrap, &claims)?;
        }
        if !is_whole {
            // To wait is none of the work.
            self.progress.report(Event::Finish { phase: Phase::Unpack });
            self.finish_configuring();
            self.await_all(&rest)?;
            self.begin(&rest);
        }
        let controls = self.controls(&rest)?;
        let has_preinst: Vec<bool> =
            (0..packages.len()).map(|number| controls.get(&number).is_some_and(|control| control.files.contains_key("preinst"))).collect();
        for round in order::rounds(packages, self.stage, &has_preinst) {
            self.round(&round, &controls, &claims)?;
        }
        self.progress.report(Event::Finish { phase: Phase::Unpack });
        let is_later = |package: &Package| package.stage > self.stage.0;
        self.ahead.during(is_later, || self.dpkg(&["--configure", "-a"]).and_then(|()| last()))?;
        self.finish_configuring();
        Ok(())
    }

    /// Begins with packages that are there.
    fn begin(&self, numbers: &[usize]) {
        self.to_configure.store(numbers.len(), Ordering::Relaxed);
        let total = numbers.iter().map(|&number| self.plan.packages[number].size).sum();
        self.progress.report(Event::Start { phase: Phase::Unpack, total: Some(total) });
    }

    fn finish_configuring(&self) {
        if self.configuring.swap(false, Ordering::Relaxed) {
            self.progress.report(Event::Finish { phase: Phase::Configure });
        }
    }

    fn have_come(&self, numbers: &[usize]) -> bool {
        numbers.iter().all(|&number| self.plan.packages[number].supply.is_there())
    }

    /// Waits until these packages have come; those that have are decompressed meanwhile.
    fn await_all(&self, numbers: &[usize]) -> Result<(), Error> {
        if self.have_come(numbers) {
            return Ok(());
        }
        let packages = &self.plan.packages;
        let is_awaited = |package: &Package| numbers.iter().any(|&number| std::ptr::eq(&raw const packages[number], package));
        self.ahead.during(is_awaited, || numbers.iter().try_for_each(|&number| packages[number].supply.wait().map(drop)))?;
        Ok(())
    }

    /// Installs the essential system, in which no script can run before it is unpacked.
    fn bootstrap(&self, members: &[usize], claims: &Claims<'_>) -> Result<(), Error> {
        let packages = &self.plan.packages;
        let controls = self.controls(members)?;
        self.write_controls(members, &controls)?;
        self.lay_down(members, &controls, claims)?;
        let is_left = |package: &Package| package.stage >= self.stage.0;
        self.ahead.during(is_left, || {
            self.preinsts(members, &controls)?;
            for name in FIRST.into_iter().filter(|name| members.iter().any(|&number| packages[number].coordinates.name() == *name)) {
                self.dpkg(&["--force-depends", "--configure", name])?;
            }
            self.dpkg(&["--configure", "-a"])
        })
    }

    fn round(&self, round: &Round, controls: &HashMap<usize, Control>, claims: &Claims<'_>) -> Result<(), Error> {
        let Round { members, relies_on } = round;
        self.write_controls(members, controls)?;
        let before: Vec<String> = relies_on.iter().map(|&number| dpkg::info_name(&self.plan.packages[number])).collect();
        self.configure(&before.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.preinsts(members, controls)?;
        let unpacked = self.lay_down(members, controls, claims)?;
        for trigger in dpkg::activated(self.tree, &unpacked)? {
            let command = ["dpkg-trigger", "--no-await", "--by-package=dpkg", &trigger];
            self.cell().run("dpkg-trigger", &command, b"", &mut |_| {}, self.cancel)?;
        }
        Ok(())
    }

    fn write_controls(&self, members: &[usize], controls: &HashMap<usize, Control>) -> Result<(), Error> {
        members.iter().try_for_each(|number| dpkg::write_control(self.tree, &self.plan.packages[*number], &controls[number]))
    }

    /// Unpacks packages and enters them into dpkg's database.
    fn lay_down<'p>(&'p self, members: &[usize], controls: &'p HashMap<usize, Control>, claims: &Claims<'_>) -> Result<Vec<Unpacked<'p>>, Error> {
        let unpacked = self.unpack(members, controls, claims)?;
        let lost = claims.lost();
        dpkg::record(self.tree, &unpacked, &lost, members)?;
        for (number, paths) in lost.iter().filter(|(number, _)| !members.contains(number)) {
            dpkg::forget(self.tree, &self.plan.packages[*number], paths)?;
        }
        Ok(unpacked)
    }

    fn cell(&self) -> Cell<'_> {
        let cell = Cell::new(self.tree.path(), self.plan.time).reporting_to(self.progress);
        cell.with_stub(INITRD_LATER.0, INITRD_LATER.1).with_stub(CHROOT.0, CHROOT.1)
    }

    fn prepare(&self) -> Result<(), Error> {
        for place in PLACES {
            self.tree.create_dirs(Path::new(place))?;
        }
        for name in MERGED.iter().filter(|name| **name != "lib64" || self.plan.arch == "amd64") {
            self.tree.create_dirs(Path::new("usr").join(name))?;
            self.tree.symlink(&format!("usr/{name}"), name)?;
        }
        dpkg::create(self.tree, &self.plan.arch)?;
        Ok(self.tree.write(POLICY.0, POLICY.1, 0o755)?)
    }

    /// Reads the control parts of packages, and checks that each is what the repository said.
    fn controls(&self, numbers: &[usize]) -> Result<HashMap<usize, Control>, Error> {
        numbers
            .par_iter()
            .map(|&number| {
                self.cancel.check()?;
                let package = &self.plan.packages[number];
                let control = Deb::open(package)?.control()?;
                let coordinates = &package.coordinates;
                for (field, expected) in [("Package", coordinates.name()), ("Version", coordinates.version()), ("Architecture", coordinates.arch())] {
                    let found = control.stanza.field(field).unwrap_or_default();
                    if found != expected {
                        return Err(Error::BadPackage { package: coordinates.to_string(), problem: format!("inside it says {field}: {found}") });
                    }
                }
                Ok((number, control))
            })
            .collect()
    }

    fn unpack<'p>(&'p self, members: &[usize], controls: &'p HashMap<usize, Control>, claims: &Claims<'_>) -> Result<Vec<Unpacked<'p>>, Error> {
        let packages = &self.plan.packages;
        let diversions = dpkg::Diversions::load(self.tree)?;
        let directories = Directories::default();
        let site = Site { tree: self.tree, directories: &directories, time: self.plan.time, cancel: self.cancel };
        let unpacker = Unpacker { site, claims, diversions: &diversions };
        // The largest first, so that none of them is left for one thread alone at the end.
        let mut queue = members.to_vec();
        queue.sort_by_key(|&number| std::cmp::Reverse(packages[number].size));
        let queue = Mutex::new(queue.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let results: Vec<Result<Vec<(usize, Unpacked<'p>)>, Error>> = (0..self.plan.workers.max(1))
            .into_par_iter()
            .map(|_| {
                let mut done = Vec::new();
                while let Some(number) = next() {
                    let begun = Instant::now();
                    let (package, control) = (&packages[number], &controls[&number]);
                    let conffiles = dpkg::conffiles(control);
                    let job = Job { number, name: package.coordinates.name(), origin: &Origin::of(package), conffiles: &conffiles };
                    let paths = if let Some(Decoded { archive, contents }) = self.ahead.take(number) {
                        unpacker.unpack(&job, archive.as_slice(), Some(&contents))?
                    } else {
                        let mut deb = Deb::open(package)?;
                        deb.control()?;
                        let paths = unpacker.unpack(&job, deb.data()?, None)?;
                        deb.finish()?;
                        paths
                    };
                    let (name, bytes) = (package.coordinates.name(), package.size);
                    self.progress.report(Event::Advance { phase: Phase::Unpack, by: bytes });
                    self.progress.report(Event::Item { phase: Phase::Unpack, name, bytes, took: begun.elapsed() });
                    done.push((number, Unpacked { package, control, paths }));
                }
                Ok(done)
            })
            .collect();
        directories.apply(self.tree)?;
        let mut unpacked = Vec::new();
        for result in results {
            unpacked.extend(result?);
        }
        unpacked.sort_by_key(|(number, _)| *number);
        Ok(unpacked.into_iter().map(|(_, entry)| entry).collect())
    }

    fn preinsts(&self, members: &[usize], controls: &HashMap<usize, Control>) -> Result<(), Error> {
        for number in order::by_pre_depends(members, &self.plan.packages) {
            if controls[&number].files.contains_key("preinst") {
                self.preinst(&self.plan.packages[number])?;
            }
        }
        Ok(())
    }

    /// Runs a preinst script with the environment that dpkg gives it (`dpkg(1)`).
    fn preinst(&self, package: &Package) -> Result<(), Error> {
        let name = package.coordinates.name();
        let script = format!("/var/lib/dpkg/info/{}.preinst", dpkg::info_name(package));
        self.cell()
            .with_variable("DPKG_MAINTSCRIPT_NAME", "preinst")
            .with_variable("DPKG_MAINTSCRIPT_PACKAGE", name)
            .with_variable("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1")
            .with_variable("DPKG_MAINTSCRIPT_ARCH", package.coordinates.arch())
            .with_variable("DPKG_ADMINDIR", "/var/lib/dpkg")
            .with_variable("DPKG_ROOT", "")
            .run(&format!("the preinst script of package {name}"), &[&script, "install"], b"", &mut |_| {}, self.cancel)
    }

    fn configure(&self, names: &[&str]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let mut arguments = vec!["--configure"];
        arguments.extend(names);
        self.dpkg(&arguments)
    }

    fn dpkg(&self, arguments: &[&str]) -> Result<(), Error> {
        let mut command = vec!["dpkg", "--no-pager"];
        command.extend(arguments);
        if !self.configuring.swap(true, Ordering::Relaxed) {
            let total = self.to_configure.load(Ordering::Relaxed) as u64;
            self.progress.report(Event::Start { phase: Phase::Configure, total: Some(total) });
        }
        let mut setting_up = SettingUp::default();
        let mut culprits: Vec<String> = Vec::new();
        // What was printed since the last package began: dpkg goes on after an error, and the end of its output is often about others.
        let (mut section, mut guilty) = (String::new(), String::new());
        let mut line = |line: &str| {
            if let Some(package) = line.strip_prefix("Setting up ") {
                setting_up.next(package.split([' ', ':']).next().unwrap_or_default(), self.progress);
                self.progress.report(Event::Advance { phase: Phase::Configure, by: 1 });
                section.clear();
            }
            if section.len() < SECTION_LIMIT {
                section.extend([line, "\n"]);
            }
            if let Some(rest) = line.strip_prefix("dpkg: error processing package ")
                && let Some(name) = rest.split_whitespace().next()
            {
                culprits.push(name.to_owned());
                guilty.push_str(&std::mem::take(&mut section));
            }
        };
        let result = self.cell().run("dpkg --configure", &command, b"", &mut line, self.cancel);
        setting_up.next("", self.progress);
        match result {
            Err(Error::Script { status, .. }) if !culprits.is_empty() => {
                Err(Error::Script { what: format!("configuring {}", culprits.join(", ")), status, output: guilty.trim_end().to_owned() })
            }
            other => other,
        }
    }
}
