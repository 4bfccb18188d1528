//! Loading: from the configuration of archives to all packages that they offer.
//!
//! ```text
//!  keyring ─► InRelease ─► index ─► package record
//!         signature   SHA-256   SHA-256 of the file, for whoever fetches it
//! ```
//!
//! The chain is never broken: whatever comes from a mirror, a bundle, or the store is checked against the link before it. (Its first link, the signature, is
//! missing where the user wants that: [`Trust::Unverified`].) What the store says that it has made of an index itself (`kept.rs`) stands for that index, as a
//! kept image stands for its spec: whose store one builds from, him one believes so much. A mirror that does not answer, or answers with something else, is passed over for the next
//! one with a warning; when the last one has failed, the load ends.

mod decode;
mod index;
mod kept;
mod lists;
mod mirrors;
mod rpm;
mod suite;

pub(crate) use suite::RELEASE_LIMIT;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::cache::MetadataCache;
use crate::digest::Sha256;
use crate::fetch::Client;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::repo::error::{Error, Missing};
use crate::repo::pattern;
use crate::repo::record::{Archive, PackageRecord, Provide, ReleaseInfo};
use crate::repo::rpm::repomd::MetadataFile;
use crate::repo::trust::Trust;
use crate::root::Packaging;
use lists::Vouched;
pub use lists::with_mirrors;

/// The longest index, decompressed, in bytes. The largest of Debian and Ubuntu are below 100 MB.
const INDEX_LIMIT: u64 = 1 << 30;

/// How many files are asked for at the same time.
const WORKERS: usize = 8;

/// apt's default pin priority (`apt_preferences(5)`).
pub const DEFAULT_PIN: i32 = 500;

/// An archive as a build wants to use it.
#[derive(Debug, Clone)]
pub struct ArchiveConfig {
    /// The stable identity, part of every package's coordinates: `debian-security`.
    pub id: String,
    /// Base addresses (`http`, `https` or `file`), best first. Not needed offline.
    pub mirrors: Vec<String>,
    /// Where it is to be asked which they are, if not there.
    pub list: Option<MirrorList>,
    /// What kind of packages it has.
    pub packaging: Packaging,
    /// The suites to use; of an RPM archive its repositories, each by the path of the folder that has `repodata`, with a slash at its end.
    pub suites: Vec<SuiteConfig>,
    /// What must prove its Release files.
    pub trust: Trust,
    /// Rank against other archives; see [`Archive::pin`]. [`DEFAULT_PIN`] gives way to what a suite says of itself (`NotAutomatic`).
    pub pin: i32,
    /// The only packages to take from it, by names and patterns; all where it is empty.
    pub allow: Vec<String>,
    /// Packages that are not taken from it, by names and patterns.
    pub exclude: Vec<String>,
}

/// A file that names the mirrors of an RPM repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorList {
    /// Its address (`http`, `https` or `file`).
    pub url: String,
    /// What it is.
    pub kind: MirrorListKind,
}

/// The formats of files that name mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MirrorListKind {
    /// Knows the digests of the repository's `repomd.xml`, too.
    Metalink,
    /// One address a line.
    Mirrorlist,
}

/// A suite as a build wants to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteConfig {
    /// The path beneath `dists/`, a suite or a codename; of a flat repository (`sources.list(5)`) the path of its folder beneath the base address, with a
    /// slash at its end (`./` is the base address itself).
    pub name: String,
    /// The components to use; none of a flat repository.
    pub components: Vec<String>,
}

impl ArchiveConfig {
    /// Whether packages of this name are taken from it.
    fn takes(&self, name: &str) -> bool {
        pattern::takes(&self.allow, &self.exclude, name)
    }
}

impl SuiteConfig {
    /// Where a file of the suite lies beneath the archive's base address.
    fn path(&self, file: &str) -> String {
        match self.flat() {
            Some(folder) => format!("{folder}{file}"),
            None => format!("dists/{}/{file}", self.name),
        }
    }

    /// The folder of a flat repository, with a slash at its end unless it is the base address.
    fn flat(&self) -> Option<&str> {
        self.name.ends_with('/').then(|| self.name.strip_prefix("./").unwrap_or(&self.name))
    }
}

/// How metadata is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Use nothing but what the store has kept.
    pub offline: bool,
    /// The time, in seconds since the epoch.
    pub now: u64,
    /// Whether a Release that is past its `Valid-Until`, or older than the one that is kept, is refused; the kept one takes its place while that is good.
    /// Offline it is judged as of the time when it was fetched: that no update was withheld was seen then, and no network is what the user asked for.
    pub check_age: bool,
}

/// All packages of some archives.
#[derive(Debug, Default)]
pub struct Universe {
    /// In the order of the configuration, then of the indexes. The same package from two suites of an archive is there once.
    pub packages: Vec<PackageRecord>,
    /// The suites' states that they come from, sorted.
    pub releases: Vec<ReleaseInfo>,
    /// Where it stands who has which file.
    pub(super) files: Vec<FileList>,
}

/// The list of all files of an RPM repository, which was not read yet.
#[derive(Debug, Clone)]
pub(super) struct FileList {
    config: ArchiveConfig,
    suite: SuiteConfig,
    /// Which mirror `repomd.xml` came from.
    mirror: usize,
    file: MetadataFile,
}

/// What a suite offers.
struct Loaded {
    release: ReleaseInfo,
    packages: Vec<PackageRecord>,
    files: Option<FileList>,
}

/// What all steps of a load need.
struct Load<'a> {
    client: &'a Client,
    cache: Option<&'a MetadataCache<'a>>,
    options: &'a LoadOptions,
    arch: &'a str,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    /// What the metalinks of archives vouch for, by their identities.
    vouched: HashMap<String, Vouched>,
}

/// Loads what `archives` offer for the architecture `arch` (`amd64`), from their mirrors or, offline, from the store.
///
/// Unchanged files are not downloaded again; what was downloaded is kept in `metadata` once it is proven.
///
/// # Errors
/// The first suite, in the order of the configuration, that has no metadata which can be used; offline the list of all that is missing.
pub fn load(
    archives: &[ArchiveConfig],
    arch: &str,
    client: &Client,
    metadata: Option<&MetadataCache<'_>>,
    options: &LoadOptions,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Universe, Error> {
    check(archives, options)?;
    let mut load = Load { client, cache: metadata, options, arch, progress, cancel, vouched: HashMap::new() };
    progress.report(Event::Start { phase: Phase::Metadata, total: None });
    let archives = &load.with_mirrors(archives)?[..];
    let load = load;
    let jobs: Vec<(&ArchiveConfig, Arc<Archive>, &SuiteConfig)> = archives
        .iter()
        .flat_map(|config| {
            // Offline nobody may be tempted to ask a mirror later on.
            let mirrors = if options.offline { Vec::new() } else { config.mirrors.clone() };
            let archive = Arc::new(Archive { id: config.id.clone(), mirrors, pin: config.pin });
            config.suites.iter().map(move |suite| (config, Arc::clone(&archive), suite))
        })
        .collect();

    let results = in_parallel(&jobs, |(config, archive, suite)| match config.packaging {
        Packaging::Deb => load.suite(config, archive, suite).map(|(release, packages)| Loaded { release, packages, files: None }),
        Packaging::Rpm => load.rpm_repository(config, archive, suite),
    });
    progress.report(Event::Finish { phase: Phase::Metadata });
    cancel.check()?;

    let mut universe = Universe::default();
    let mut missing: Vec<Missing> = Vec::new();
    for result in results {
        match result {
            Ok(Loaded { release, packages, files }) => {
                universe.releases.push(release);
                append(&mut universe.packages, packages);
                universe.files.extend(files);
            }
            Err(Error::Offline(more)) => missing.extend(more),
            Err(error) => return Err(error),
        }
    }
    all_there(missing)?;
    universe.releases.sort();
    once_each(&mut universe.packages, progress);
    Ok(universe)
}

impl Universe {
    /// Notes which packages have some files (absolute paths) that the lists of packages do not name; their repositories are asked for the lists of all files.
    ///
    /// # Errors
    /// As [`load`].
    pub fn look_up(
        &mut self,
        paths: &BTreeSet<String>,
        client: &Client,
        metadata: Option<&MetadataCache<'_>>,
        options: &LoadOptions,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let load = Load { client, cache: metadata, options, arch: "", progress, cancel, vouched: HashMap::new() };
        progress.report(Event::Start { phase: Phase::Metadata, total: None });
        let results = in_parallel(&self.files, |list| Ok((list.config.id.clone(), load.owners(list, paths)?)));
        progress.report(Event::Finish { phase: Phase::Metadata });
        cancel.check()?;
        let mut owners: HashMap<(String, Sha256), Vec<String>> = HashMap::new();
        let mut missing: Vec<Missing> = Vec::new();
        for result in results {
            match result {
                Ok((archive, found)) => owners.extend(found.into_iter().map(|(digest, files)| ((archive.clone(), digest), files))),
                Err(Error::Offline(more)) => missing.extend(more),
                Err(error) => return Err(error),
            }
        }
        all_there(missing)?;
        for package in &mut self.packages {
            let files = owners.get(&(package.coordinates.repository().to_owned(), package.sha256));
            package.provides.extend(files.into_iter().flatten().map(|file| Provide { name: file.clone(), version: None }));
        }
        Ok(())
    }
}

/// Ends an offline load that lacks something.
fn all_there(mut missing: Vec<Missing>) -> Result<(), Error> {
    missing.sort();
    missing.dedup();
    if missing.is_empty() { Ok(()) } else { Err(Error::Offline(missing)) }
}

/// Refuses configuration that cannot work, or that would lead out of an archive's address.
fn check(archives: &[ArchiveConfig], options: &LoadOptions) -> Result<(), Error> {
    for config in archives {
        // The folder of a flat repository can be the base address itself, which has no name.
        let suites = config.suites.iter().filter(|suite| suite.flat() != Some("")).map(|suite| suite.name.strip_suffix('/').unwrap_or(&suite.name));
        let components = config.suites.iter().flat_map(|suite| &suite.components).map(String::as_str);
        for name in suites.chain(components) {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+~/:-".contains(&byte));
            if !plain || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(Error::Name { archive: config.id.clone(), name: name.to_owned() });
            }
        }
        if config.mirrors.is_empty() && config.list.is_none() && !options.offline {
            return Err(Error::NoMirror { archive: config.id.clone() });
        }
    }
    Ok(())
}

/// Moves `more` to the end of `all`. The first packages stay where they are: Debian's take 20 MB.
fn append(all: &mut Vec<PackageRecord>, more: Vec<PackageRecord>) {
    if all.is_empty() { *all = more } else { all.extend(more) }
}

/// Drops the repetitions of a package that several suites or indexes of an archive carry.
fn once_each(packages: &mut Vec<PackageRecord>, progress: &dyn Progress) {
    let mut first = HashMap::with_capacity(packages.len());
    let mut keep = Vec::with_capacity(packages.len());
    for package in packages.iter() {
        let known = match first.entry(&package.coordinates) {
            Entry::Vacant(place) => {
                place.insert(package.sha256);
                None
            }
            Entry::Occupied(known) => Some(*known.get()),
        };
        if known.is_some_and(|known| known != package.sha256) {
            let warning = format!("{} is offered with two different files; the first one is used", package.coordinates);
            progress.report(Event::Warning(&warning));
        }
        keep.push(known.is_none());
    }
    let mut keep = keep.into_iter();
    packages.retain(|_| keep.next().unwrap_or(true));
}

/// Runs `work` on every item, on a few threads, and gives the results in the order of the items. After the first failure no more work is begun, but
/// offline, where a failure only adds to the list of what is missing.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R, Error> + Sync) -> Vec<Result<R, Error>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Mutex<Vec<(usize, Result<R, Error>)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..items.len().min(WORKERS) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let result = work(item);
                    failed.fetch_or(matches!(&result, Err(error) if !matches!(error, Error::Offline(_))), Ordering::Relaxed);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
