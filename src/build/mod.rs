//! From a spec to an image: the pipeline.
//!
//! ```text
//!  hash ─► image cache ─hit─► write
//!            │miss
//!            ▼
//!          metadata ─► resolve ─► root cache ─miss─► packages ─► worker (root tree ─► disk) ─► keep ─► write
//!                                    └─hit──────────────────────┘
//! ```
//!
//! Packages that are not there are fetched while the worker installs the first of them ([`worker::Arrival`]). Those that their signatures must prove wait for
//! each other, and those of a lock are all there before the worker begins, because what they are to each other stands in them. Packages that are there, and are
//! kept decompressed from now on, come to the worker in the same way.

mod annotations;
mod archives;
mod bills;
mod check;
mod claims;
mod error;
mod fetch;
mod journal;
mod locked;
mod make;
mod output;
mod packages;
mod plain;
mod plan;
mod refresh;
mod relations;
mod report;
mod request;
mod room;
mod root;
mod signatures;
mod stages;
mod tidy;
mod timings;
mod why;
mod withdrawn;
pub mod worker;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

pub use annotations::{Annotations, Took};
pub use bills::bill;
pub use check::{Checked, check};
pub use error::Error;
pub use fetch::{Fetched, fetch};
pub use locked::{Disagreement, Locked, Renew, disagreement, key as locked_key, lock};
pub use report::{ImageOutcome, MissReason, Output, PackageCounts, Report, RootOutcome};
pub use request::{Caches, Request, Workers};
pub use signatures::{Flaw, Unproven};
pub use tidy::{Collection, room_hint, tidy};
pub use timings::{ItemSpan, PhaseSpan, Timings};
pub use why::{Change, Difference, Nearest, differences, nearest};

use crate::bill;
use crate::cache::{self, ImageCache, ImageRecord, MetadataCache, NewImage, ReleaseDate, SpecHash};
use crate::digest::Sha256;
use crate::disk::formats::Format;
use crate::fetch::{Client, ClientOptions, Credentials, Proxies};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::repo::{self, LoadOptions, PackageRecord, RELEASE_LIMIT, ReleaseInfo, Universe};
use crate::resolve::{self, Lock, Matched};
use crate::spec::model::Image;
use crate::store::{self, Claim, Scratch, Shared, Store};
use crate::time;
use crate::transfer::partial::Partial;
use crate::units::{ByteSize, human_duration};
use claims::await_other;
use error::with_causes;
use journal::Journal;
use make::Made;
use output::OutputDir;
use refresh::Refreshed;

/// Builds an image, or takes it from the image cache, and writes its output files.
///
/// `store` may be none only where `request.caches` are all off.
///
/// # Errors
/// The first problem. What had arrived by then stays in the store; no output file was touched.
pub fn build(request: &Request, store: Option<&Store>, progress: &dyn Progress, cancel: &Cancel) -> Result<Report, Error> {
    let hash = request.key();
    let journal = journal(request, hash, "build", progress);
    let build = Build {
        request,
        hash,
        images: store.filter(|_| request.caches.images),
        packages: store.filter(|_| request.caches.packages),
        roots: store.filter(|_| request.caches.roots),
        journal: &journal,
        progress: &journal,
        cancel,
        begun: Instant::now(),
    };
    let mut near = None;
    let outcome = archives::check_trust(request, &journal).and_then(|()| build.cached_or_claimed()).and_then(|(cached, claim)| match cached {
        Cached::Hit(report) => {
            journal.note("image cache: hit");
            Ok(*report)
        }
        Cached::Miss(because, resolved) => {
            journal.note(&format!("image cache: no hit: {because}"));
            near = build.nearest(because);
            if let Some(Err(error)) = store.map(Store::check_writable) {
                build.warn(&format!("{error}; the build keeps nothing"));
            }
            match build.build(because, resolved, claim) {
                Err(error) if error.is_without_room() => build.build_beside(because, error),
                built => built,
            }
        }
    });
    let mut report = outcome.inspect_err(|error| {
        journal.note(&format!("failed: {}", with_causes(error)));
        journal.close();
        // What was used counts, too, where nothing came of it. That it cannot be noted is not what went wrong.
        let _ = store.map(Store::flush);
    })?;
    report.collection = store.and_then(|store| tidy::tidy(store, request.kept_within(), &journal, cancel));
    for damage in store.map(Store::take_damage).unwrap_or_default() {
        journal.report(Event::Warning(&format!("{damage}; the build went on without it")));
    }
    report.duration = build.begun.elapsed();
    for output in &report.outputs {
        journal.note(&format!("{}: {}, {} on disk", output.path.display(), output.size, output.allocated));
    }
    journal.note(&format!("done in {}", human_duration(report.duration)));
    journal.close();
    report.nearest = near;
    (report.timings, report.warnings) = (journal.timings(), journal.warnings());
    Ok(report)
}

/// The journal of a command for one spec, with its heading.
fn journal<'p>(request: &Request, hash: SpecHash, command: &str, progress: &'p dyn Progress) -> Journal<'p> {
    let Image { name, version, .. } = &request.spec.spec.image;
    let secrets = request.spec.spec.system.users.iter().filter_map(|user| Some(user.password.as_ref()?.0.clone())).collect();
    let journal = Journal::new(progress, request.log.clone(), secrets);
    journal.note(&journal::heading(&format!("{command} of {name} {version} from {}, spec {hash}", request.spec.path.display())));
    journal
}

/// Seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// One build under way.
struct Build<'a> {
    request: &'a Request,
    hash: SpecHash,
    /// The store as image cache; none where that is off.
    images: Option<&'a Store>,
    /// The store as package and metadata cache; none where that is off.
    packages: Option<&'a Store>,
    /// The store as root cache; none where that is off.
    roots: Option<&'a Store>,
    /// The same as `progress`.
    journal: &'a Journal<'a>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    begun: Instant,
}

/// The packages of a build.
struct Chosen {
    lock: Lock,
    records: Vec<PackageRecord>,
    /// What patterns meant.
    matched: Vec<Matched>,
    /// What bills tell of each of them.
    facts: Vec<bill::Facts>,
    /// Where their bytes are, if they had to be read to be chosen.
    gathered: Option<(Vec<crate::root::Source>, PackageCounts)>,
}

/// The packages that the repositories have for a spec.
struct Resolved {
    lock: Lock,
    records: Vec<PackageRecord>,
    /// What patterns meant.
    matched: Vec<Matched>,
}

enum Cached {
    Hit(Box<Report>),
    /// With the packages of the image, where the repositories were asked already.
    Miss(MissReason, Option<Box<Resolved>>),
}

impl Build<'_> {
    /// The image from the cache, or the claim to make it. Where another build makes it, it is waited for.
    fn cached_or_claimed(&self) -> Result<(Cached, Option<Claim>), Error> {
        let mut claim = None;
        loop {
            let cached = self.cached()?;
            let Some(store) = self.images.filter(|_| matches!(cached, Cached::Miss(MissReason::NotThere, _))) else { return Ok((cached, None)) };
            if claim.is_some() {
                ImageCache::new(store).count_miss();
                return Ok((cached, claim));
            }
            // Then one more look: it may have come in between.
            match store.claim(self.hash.digest()) {
                Ok(ours) => claim = Some(ours),
                Err(claimant) => await_other(store, self.hash.digest(), (&claimant, "builds the same image"), self.progress, self.cancel)?,
            }
        }
    }

    /// The way of a hit: the image cache to the output files.
    fn cached(&self) -> Result<Cached, Error> {
        let Some(store) = self.images else { return Ok(Cached::Miss(MissReason::CacheOff, None)) };
        if self.request.rebuild {
            return Ok(Cached::Miss(MissReason::Rebuild, None));
        }
        let cache = ImageCache::new(store);
        let Some(record) = cache.take(&self.hash)? else { return Ok(Cached::Miss(MissReason::NotThere, None)) };
        if self.is_withdrawn(&cache, &record)? {
            cache.count_miss();
            return Ok(Cached::Miss(MissReason::Withdrawn, None));
        }
        if self.request.refresh
            && let Refreshed::Other(resolved) = self.refreshed(&cache, &record)?
        {
            cache.count_miss();
            return Ok(Cached::Miss(MissReason::NotCurrent, resolved));
        }
        let dir = OutputDir::prepare(self.request)?;
        let raw = dir.partial()?;
        let stays = self.request.spec.spec.disk.artifacts.contains(&Format::Raw.into());
        match cache.write_to(&record, store::Output { file: raw.as_file(), path: raw.path(), stays }, self.progress, self.cancel) {
            Ok(()) => {}
            Err(error) if error.is_damage() => {
                self.progress.report(Event::Warning(&format!(
                    "the cached image {} is damaged and is built again: {}",
                    self.hash.short(),
                    with_causes(&error)
                )));
                cache.count_miss();
                return Ok(Cached::Miss(MissReason::Damaged, None));
            }
            Err(error) => return Err(error.into()),
        }
        let outputs = output::write_all(&dir, &self.request.spec.spec.disk.artifacts, raw, Some(record.raw_digest), self.progress, self.cancel)?;
        cache.mark_used(&self.hash);
        cache.count_hit(&record, self.begun.elapsed());
        let (built_at, build_seconds) = (record.built_at, record.build_time.as_secs());
        let outcome = ImageOutcome::Hit { built_at, build_seconds, imported: record.imported.clone() };
        let releases = record.releases.clone();
        Ok(Cached::Hit(Box::new(self.report(outcome, None, releases, Some(&record), outputs))))
    }

    /// The kept image that is nearest to the one that is not there.
    fn nearest(&self, because: MissReason) -> Option<Nearest> {
        let store = self.images.filter(|_| because == MissReason::NotThere)?;
        // What cannot be told is no reason not to build.
        let near = nearest(store, &self.request.inputs()).ok()??;
        for difference in &near.differences {
            self.journal.note(&format!("image cache: {} {} has another {difference}", near.image.spec_hash.short(), near.image.name));
        }
        Some(near)
    }

    fn warn(&self, text: &str) {
        self.progress.report(Event::Warning(text));
    }

    /// From the raw disk to the report.
    fn finish(
        &self,
        (because, made): (MissReason, Made),
        time: u64,
        dir: &OutputDir,
        mut raw: Partial,
        claim: Option<Claim>,
    ) -> Result<Report, Error> {
        // The worker's end is waited for last.
        let Made { lock, facts, counts, root, matched, shared, worker: _worker } = made;
        let artifacts = &self.request.spec.spec.disk.artifacts;
        if artifacts.contains(&Format::Raw.into()) {
            raw.begin_sync().map_err(Error::output(raw.path()))?;
        }
        let kept = self.keep(&lock, facts, time, (raw.path(), shared.as_ref()))?;
        // Others need not wait for what only this build wants.
        drop(claim);
        let digest = kept.as_ref().map(|record| record.raw_digest);
        let outputs = output::write_all(dir, artifacts, raw, digest, self.progress, self.cancel)?;
        let outcome = ImageOutcome::Built { because, kept: kept.is_some() };
        Ok(Report { root, matched, ..self.report(outcome, Some(counts), release_dates(&lock), kept.as_ref(), outputs) })
    }

    fn client(&self) -> Result<Client, Error> {
        let proxies = match &self.request.proxy {
            Some(proxy) => Proxies::all(proxy),
            // Nobody is asked, so it does not matter what the host has.
            None if self.request.offline => Proxies::default(),
            None => repo::deb::sources::proxies(Path::new("/"), Proxies::of_environment(|name| std::env::var(name).ok()))?,
        };
        let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
        let credentials = if self.request.offline { Credentials::default() } else { Credentials::of_host(Path::new("/"), home.as_deref())? };
        let (tls, workers) = (self.request.tls.clone(), self.request.workers.fetch);
        Ok(Client::new(&ClientOptions { proxies: Some(proxies), credentials, tls, workers, ..ClientOptions::default() })?)
    }

    fn load_options(&self) -> LoadOptions {
        LoadOptions { offline: self.request.offline, now: now(), check_age: !self.request.allow_expired }
    }

    fn universe(&self, client: &Client) -> Result<Universe, Error> {
        let options = self.load_options();
        let metadata = self.packages.map(MetadataCache::new);
        let archives = archives::configure(self.request)?;
        let arch = self.request.spec.profile.arch(self.request.spec.spec.target.arch);
        let universe = repo::load(&archives, arch, client, metadata.as_ref(), &options, self.progress, self.cancel);
        let mut universe = universe.map_err(|error| self.of_metadata(error))?;
        universe.packages.extend(archives::of_folders(&self.request.spec.spec).cloned());
        Ok(universe)
    }

    /// Notes who has some files, where the lists of packages do not say it.
    fn look_up(&self, universe: &mut Universe, files: &BTreeSet<String>, client: &Client) -> Result<(), Error> {
        let metadata = self.packages.map(MetadataCache::new);
        let looked_up = universe.look_up(files, client, metadata.as_ref(), &self.load_options(), self.progress, self.cancel);
        looked_up.map_err(|error| self.of_metadata(error))
    }

    fn of_metadata(&self, error: repo::Error) -> Error {
        match error {
            repo::Error::Offline(_) => Error::MetadataOffline { missing: Box::new(error), spec: self.request.spec.path.clone() },
            other => other.into(),
        }
    }

    /// The packages: those of the lock, or else what the repositories have for the spec, which is not asked for again where it is known.
    fn choose(&self, client: &Client, scratch: &Path, resolved: Option<Box<Resolved>>) -> Result<Chosen, Error> {
        if let Some(file) = &self.request.locked {
            let locked::Gathered { lock, records, sources, counts } = self.gather_locked(file, client, scratch)?;
            let facts = self.facts(&records);
            return Ok(Chosen { lock, records, matched: Vec::new(), facts, gathered: Some((sources, counts)) });
        }
        let Resolved { lock, records, matched } = match resolved {
            Some(resolved) => *resolved,
            None => self.resolve(self.universe(client)?, client)?,
        };
        let facts = self.facts(&records);
        Ok(Chosen { lock, records, matched, facts, gathered: None })
    }

    fn facts(&self, records: &[PackageRecord]) -> Vec<bill::Facts> {
        let (profile, target) = (self.request.spec.profile, &self.request.spec.spec.target);
        bill::Facts::of(records, profile.arch(target.arch), profile.packaging)
    }

    /// The packages with their records, and what patterns meant; all others are given up, because a build is long and they are many.
    fn resolve(&self, mut universe: Universe, client: &Client) -> Result<Resolved, Error> {
        self.progress.report(Event::Start { phase: Phase::Resolve, total: None });
        let system = &self.request.spec.spec.system;
        let (profile, target) = (self.request.spec.profile, &self.request.spec.spec.target);
        let (packaging, arch) = (profile.packaging, profile.arch(target.arch).to_owned());
        let mut request = resolve::Request {
            wanted: system.packages.clone(),
            kernel: system.kernel.clone(),
            packaging,
            arch,
            recommends: system.recommends,
            essentials: true,
            looked_up: BTreeSet::new(),
        };
        let resolution = loop {
            match resolve::resolve(&request, &universe.packages, &universe.releases) {
                Err(resolve::Error::Files(files)) => {
                    self.journal
                        .note(&format!("looked up in the lists of all files: {}", files.iter().map(String::as_str).collect::<Vec<_>>().join(", ")));
                    self.look_up(&mut universe, &files, client)?;
                    request.looked_up.extend(files);
                }
                answer => break answer?,
            }
        };
        for passed_over in &resolution.passed_over {
            self.warn(&passed_over.to_string());
        }
        let records = resolution.chosen.iter().map(|&number| universe.packages[number].clone()).collect();
        drop(universe);
        for folder in &self.request.spec.spec.folders {
            self.journal.note(&format!("folder: {} is {}, packages in it: {}", folder.id, folder.path.display(), folder.packages.len()));
        }
        for release in &resolution.lock.releases {
            self.journal.note(&format!("metadata: {} {} of {}", release.archive, release.suite, time::moment(release.date)));
        }
        self.progress.report(Event::Finish { phase: Phase::Resolve });
        Ok(Resolved { lock: resolution.lock, records, matched: resolution.matched })
    }

    /// Files the image under its spec hash; a store without room, or one that cannot be changed, is no reason to lose the image.
    fn keep(&self, lock: &Lock, facts: Vec<bill::Facts>, time: u64, raw: (&Path, Option<&Shared>)) -> Result<Option<ImageRecord>, Error> {
        let Some(store) = self.images.filter(|store| store.is_writable()) else { return Ok(None) };
        let spec = &self.request.spec.spec;
        let image = NewImage {
            name: spec.image.name.clone(),
            version: spec.image.version.clone(),
            dist: spec.target.dist.clone(),
            arch: spec.target.arch.name().to_owned(),
            annotations: self.annotations(lock, facts).to_bytes(),
            lock: crate::format::cbor::encode(lock).expect("a lock is plain values"),
            build_time: self.begun.elapsed().saturating_sub(self.waited()),
            source_date: time,
            releases: release_dates(lock),
            imported: None,
        };
        match ImageCache::new(store).insert_shared(&self.hash, &image, raw, self.progress, self.cancel) {
            Ok(record) => {
                self.journal.note(&format!("image cache: kept, the store grew by {}", ByteSize(record.own_bytes)));
                Ok(Some(record))
            }
            Err(cache::Error::Store(error)) if error.is_full() => {
                let room = tidy::room_hint(store, &self.request.limits).map_or_else(String::new, |hint| format!("; {hint}"));
                self.warn(&format!("the image is not kept for the next time: {}{room}", with_causes(&error)));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How long other builds were waited for: that is none of the work.
    fn waited(&self) -> Duration {
        self.journal.timings().sums().into_iter().filter(|(phase, _)| *phase == Phase::Wait).map(|(_, took)| took).sum()
    }

    fn annotations(&self, lock: &Lock, packages: Vec<bill::Facts>) -> Annotations {
        // Programs before `Phase::Wait` find nothing in annotations that have it.
        let phases = self.journal.timings().sums().into_iter().filter(|(phase, _)| *phase != Phase::Wait);
        let phases = phases.map(|(phase, took)| Took { phase, millis: took.as_millis() as u64 }).collect();
        let inputs = self.request.inputs();
        let builder = Some(env!("CARGO_PKG_VERSION").to_owned());
        // Whoever has the file can compare it with the one that others know.
        let sha256 = |release: &ReleaseInfo| Some(Sha256::of(&self.packages?.read_blob(&release.digest, RELEASE_LIMIT).ok()?));
        let releases = lock.releases.iter().map(sha256).collect();
        Annotations { inputs, phases, log: Some(self.journal.text()), builder, packages, releases }
    }

    fn scratch(&self) -> Result<Work, Error> {
        match self.packages.or(self.images) {
            Some(store) => Ok(Work::Store(store.scratch()?)),
            None => tempfile::Builder::new().prefix("image-composer-").tempdir().map(Work::Temporary).map_err(Error::Scratch),
        }
    }

    fn report(
        &self,
        image: ImageOutcome,
        packages: Option<PackageCounts>,
        releases: Vec<ReleaseDate>,
        record: Option<&ImageRecord>,
        outputs: Vec<Output>,
    ) -> Report {
        let spec = &self.request.spec.spec;
        Report {
            spec_hash: self.hash,
            name: spec.image.name.clone(),
            version: spec.image.version.clone(),
            image,
            packages,
            root: None,
            matched: Vec::new(),
            releases,
            image_digest: record.map(|record| record.raw_digest),
            disk_size: spec.disk.size,
            outputs,
            duration: self.begun.elapsed(),
            timings: Timings::default(),
            warnings: Vec::new(),
            collection: None,
            nearest: None,
        }
    }
}

/// A directory of one build alone; it goes with the value.
enum Work {
    Store(Scratch),
    Temporary(tempfile::TempDir),
}

impl Work {
    fn path(&self) -> &Path {
        match self {
            Self::Store(scratch) => scratch.path(),
            Self::Temporary(dir) => dir.path(),
        }
    }
}

fn release_dates(lock: &Lock) -> Vec<ReleaseDate> {
    lock.releases.iter().map(|release| ReleaseDate { archive: release.archive.clone(), suite: release.suite.clone(), date: release.date }).collect()
}
