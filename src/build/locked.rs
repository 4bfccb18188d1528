//! Builds by a lock: exactly its packages, and no repository is asked which there are.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::packages;
use super::report::PackageCounts;
use super::{Build, Error, archives};
use crate::cache::{PackageCache, SpecHash};
use crate::digest::Digest;
use crate::fetch::Client;
use crate::format::cbor;
use crate::progress::Progress;
use crate::repo::{self, Archive, MultiArch, PackageRecord, Priority, Relations, deb, rpm};
use crate::resolve::{self, Lock, LockFile, LockedPackage};
use crate::root::{self, Source};
use crate::spec::Loaded;
use crate::store;

/// The packages of a build, and their bytes.
pub(super) struct Gathered {
    pub(super) lock: Lock,
    pub(super) records: Vec<PackageRecord>,
    pub(super) sources: Vec<Source>,
    pub(super) counts: PackageCounts,
}

/// How a spec and its lock disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// What the spec asks for, and the lock does not have.
    pub missing: Vec<String>,
    /// What the lock was made for, and the spec does not ask for.
    pub surplus: Vec<String>,
}

/// Whether a lock is that of a spec as it is now; if not, what differs. Both lists are empty where the names are the same, and the repositories, the
/// architecture or the kernel's version are not.
pub fn disagreement(spec: &Loaded, file: &LockFile) -> Option<Disagreement> {
    if spec.package_inputs() == file.inputs {
        return None;
    }
    let wanted = &spec.spec.system.packages;
    let without = |these: &[String], those: &[String]| these.iter().filter(|name| !those.contains(name)).cloned().collect();
    Some(Disagreement { missing: without(wanted, &file.wanted), surplus: without(&file.wanted, wanted) })
}

/// The key of the image of a spec with a lock: another lock is another image.
pub fn key(spec: SpecHash, file: &LockFile) -> SpecHash {
    let both = [spec.digest().as_bytes().as_slice(), digest(file).as_bytes()].concat();
    SpecHash::from(Digest::derive("image-composer 2026-11 locked spec hash", &both))
}

/// The digest of what a lock decides: the packages, and the time that they were chosen at.
pub(super) fn digest(file: &LockFile) -> Digest {
    let packages: Vec<_> = file.lock.packages.iter().map(|package| (&package.coordinates, &package.sha256)).collect();
    let time = file.lock.releases.iter().map(|release| release.date).max();
    Digest::derive("image-composer 2026-11 lock", &cbor::encode(&(packages, time)).expect("plain values have an encoding"))
}

impl Build<'_> {
    /// The packages of a lock, from the store or by their addresses, whatever the repositories have now. What they are to each other stands in the packages.
    pub(super) fn gather_locked(&self, file: &LockFile, client: &Client, scratch: &Path) -> Result<Gathered, Error> {
        let spec = &self.request.spec;
        if let Some(disagreement) = disagreement(spec, file) {
            return Err(Error::LockDisagrees { spec: spec.path.clone(), disagreement });
        }
        let mut configured = archives::configure(self.request)?;
        if !self.has_all(file)? {
            configured = repo::with_mirrors(&configured, client, &self.load_options(), self.progress, self.cancel)?;
        }
        let of_folders: Vec<&PackageRecord> = archives::of_folders(&spec.spec).collect();
        let promised = |package: &LockedPackage| {
            let folder = of_folders.iter().find(|record| record.coordinates == package.coordinates && record.sha256 == package.sha256);
            if let Some(record) = folder {
                return (*record).clone();
            }
            let id = package.coordinates.repository();
            // Offline nobody is asked: a package that is not there is missing.
            let archive = configured.iter().find(|archive| archive.id == id && !self.request.offline);
            let mirrors = archive.map(|archive| archive.mirrors.clone()).unwrap_or_default();
            unread(package, Arc::new(Archive { id: id.to_owned(), mirrors, pin: 0 }))
        };
        let records: Vec<PackageRecord> = file.lock.packages.iter().map(promised).collect();
        let (sources, counts) = packages::gather(self.request, self.packages, client, &records, scratch, self.progress, self.cancel)?;
        let (packaging, arch) = (spec.profile.packaging, spec.profile.arch(spec.spec.target.arch));
        let records = records.par_iter().zip(&sources).map(|(record, source)| read(record, source, packaging, arch)).collect::<Result<_, _>>()?;
        Ok(Gathered { lock: file.lock.clone(), records, sources, counts })
    }

    /// Whether the store has all packages of a lock, so that nobody needs to be asked where they are.
    fn has_all(&self, file: &LockFile) -> Result<bool, Error> {
        let Some(store) = self.packages else { return Ok(false) };
        let wanted: Vec<_> = file.lock.packages.iter().map(|package| (&package.coordinates, &package.sha256)).collect();
        Ok(PackageCache::new(store).lookup_all(&wanted)?.iter().all(Option::is_some))
    }
}

/// What a lock knows of a package.
fn unread(package: &LockedPackage, archive: Arc<Archive>) -> PackageRecord {
    PackageRecord {
        coordinates: package.coordinates.clone(),
        sha256: package.sha256,
        size: package.size,
        filename: package.filename.clone(),
        installed_size: package.installed_size,
        priority: Priority::default(),
        essential: package.essential,
        multi_arch: MultiArch::No,
        licence: None,
        provides: Vec::new(),
        relations: Relations::default().into(),
        archive,
    }
}

/// The same package with what its own control file or header says.
fn read(record: &PackageRecord, source: &Source, packaging: root::Packaging, arch: &str) -> Result<PackageRecord, Error> {
    let name = record.coordinates.to_string();
    let contradicts = |problem: &dyn std::fmt::Display| Error::LockedPackage { package: name.clone(), problem: problem.to_string() };
    let input: Box<dyn Read> = match source {
        Source::Blob { path, digest } | Source::Plain { path, digest } => Box::new(store::open_file(path, digest)?),
        Source::File(path) => Box::new(File::open(path).map_err(|error| contradicts(&error))?),
        Source::Installed => return Err(contradicts(&"it is not there")),
    };
    let unreadable = |error: root::Error| contradicts(&super::error::with_causes(&error));
    let (filename, size, sha256, archive) = (&record.filename, record.size, record.sha256, &record.archive);
    let found = match packaging {
        root::Packaging::Deb => {
            let control = root::control_fields(&name, input, size).map_err(unreadable)?;
            deb::packages::of_control(&control, filename, size, sha256, archive, arch).map_err(|problem| contradicts(&problem))?
        }
        root::Packaging::Rpm => {
            let described = root::Described::read(&name, input, size).map_err(unreadable)?;
            rpm::primary::of_header(described, filename, size, sha256, archive, arch).map_err(|problem| contradicts(&problem))?
        }
    };
    match found {
        Some(found) if found.coordinates == record.coordinates => Ok(found),
        Some(found) => Err(contradicts(&format!("inside it is {}", found.coordinates))),
        None => Err(contradicts(&format!("it is not for {arch}"))),
    }
}

/// The records of which `keep` leaves open which version is taken: of a package that the lock has, and that is not to be renewed, only that version, where
/// the repositories still have it.
pub(super) fn hold(records: &mut Vec<PackageRecord>, lock: &Lock, renew: &[String]) {
    let held = |record: &PackageRecord| {
        let (name, arch) = (record.coordinates.name(), record.coordinates.arch());
        let of_name = |package: &&LockedPackage| package.coordinates.name() == name && package.coordinates.arch() == arch;
        lock.packages.iter().find(of_name).filter(|_| !renew.iter().any(|renewed| renewed == name))
    };
    let there: std::collections::HashSet<_> = records
        .iter()
        .filter(|record| held(record).is_some_and(|package| package.sha256 == record.sha256))
        .map(|record| (record.coordinates.name().to_owned(), record.coordinates.arch().to_owned()))
        .collect();
    records.retain(|record| match held(record) {
        Some(package) if there.contains(&(record.coordinates.name().to_owned(), record.coordinates.arch().to_owned())) => {
            package.sha256 == record.sha256 && package.coordinates == record.coordinates
        }
        _ => true,
    });
}

/// What a lock of a spec would be now.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The lock.
    pub file: LockFile,
    /// How it differs from the one before; all is added where there was none.
    pub changes: Vec<resolve::PackageChange>,
}

/// Which packages of an earlier lock stay as they are.
#[derive(Debug, Clone, Copy)]
pub enum Renew<'a> {
    /// All that still fit are kept.
    Nothing,
    /// Only those that are not named are kept.
    Named(&'a [String]),
    /// None is kept.
    All,
}

/// Chooses the packages of a spec: with `before`, those of the earlier lock where they still fit.
///
/// # Errors
/// The first problem; [`Error::NotInLock`] for a name to renew that the earlier lock does not have.
pub fn lock(
    request: &super::Request,
    store: Option<&store::Store>,
    before: Option<&LockFile>,
    renew: Renew<'_>,
    progress: &dyn Progress,
    cancel: &crate::progress::Cancel,
) -> Result<Locked, Error> {
    let hash = request.spec.hash(request.source_date_epoch);
    let journal = super::journal(request, hash, "lock", progress);
    let begun = std::time::Instant::now();
    let build = Build { request, hash, images: None, packages: store, roots: None, journal: &journal, progress: &journal, cancel, begun };
    archives::check_trust(request, &journal)?;
    if let (Renew::Named(names), Some(before)) = (renew, before)
        && let Some(unknown) = names.iter().find(|name| !before.lock.packages.iter().any(|package| package.coordinates.name() == *name))
    {
        return Err(Error::NotInLock(unknown.clone()));
    }
    let client = build.client()?;
    let mut universe = build.universe(&client)?;
    match (before, renew) {
        (Some(before), Renew::Nothing) => hold(&mut universe.packages, &before.lock, &[]),
        (Some(before), Renew::Named(names)) => hold(&mut universe.packages, &before.lock, names),
        _ => {}
    }
    let super::Resolved { lock, .. } = build.resolve(universe, &client)?;
    let mut wanted = request.spec.spec.system.packages.clone();
    wanted.sort();
    let mut file = LockFile { inputs: request.spec.package_inputs(), wanted, lock };
    let nothing = Lock { packages: Vec::new(), releases: Vec::new() };
    let changes = resolve::changes(before.map_or(&nothing, |before| &before.lock), &file.lock);
    // Who signed them says nothing to who reads the file: it vouches for the packages itself.
    file.lock.releases.iter_mut().for_each(|release| release.keys.clear());
    // The same packages of a later day are the same image: its time is that of the releases.
    if let Some(before) = before.filter(|_| changes.is_empty()) {
        file.lock.releases.clone_from(&before.lock.releases);
    }
    Ok(Locked { file, changes })
}
