//! The installed tree of a build: from the root cache, or from packages, and then into it.
//!
//! Two trees of a build are kept: that of all its packages, and that of the profile's alone, with which every other spec of the same profile, kernel and boot
//! loader begins. What decides is the packages: the second is the first of a spec that adds none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::error::with_causes;
use super::signatures::Signatures;
use super::worker::Saved;
use super::{Error, Request, plan};
use crate::cache::{NewRoot, RootCache, RootKey};
use crate::digest::Sha256;
use crate::format::cbor;
use crate::progress::{Cancel, Event, Progress};
use crate::repo::PackageRecord;
use crate::resolve::Lock;
use crate::spec::BUILDER_EPOCH;
use crate::spec::model::ImageType;
use crate::store::{self, Store};
use crate::units::ByteSize;

/// Everything that makes an installed tree what it is.
#[derive(Serialize)]
struct Inputs<'a> {
    epoch: u32,
    arch: &'a str,
    /// No file is newer, and scripts are told so.
    time: u64,
    /// Root of the host can do what a user cannot.
    privileged: bool,
    /// A system that no initrd starts has none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    without_initrd: bool,
    packages: Vec<(&'a Sha256, plan::Relations)>,
    /// Of each repository whose packages are signed themselves, the fingerprints of the keys that were believed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    believed: BTreeMap<String, Vec<String>>,
}

/// The root cache, as one build uses it.
pub(super) struct Roots<'a> {
    store: &'a Store,
    key: RootKey,
    /// Of the packages of the profile; none where these are all.
    base: Option<RootKey>,
    request: &'a Request,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

/// A kept root: its file beneath the scratch directory.
pub(super) enum Taken {
    Whole(PathBuf),
    /// Only the packages of the profile.
    Base(PathBuf),
    Nothing,
}

/// Where trees shall be written to be kept; none where the store would have no room for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    pub(super) base: Option<PathBuf>,
    pub(super) whole: Option<PathBuf>,
}

impl<'a> Roots<'a> {
    /// For a build of these packages, no file of which is newer than `time`.
    pub(super) fn new(
        store: &'a Store,
        request: &'a Request,
        records: &[PackageRecord],
        time: u64,
        progress: &'a dyn Progress,
        cancel: &'a Cancel,
    ) -> Result<Self, Error> {
        let key = key(request, records, time)?;
        let base: Vec<PackageRecord> = of_base(request, records).cloned().collect();
        let base = if base.len() < records.len() { Some(self::key(request, &base, time)?) } else { None };
        Ok(Self { store, key, base, request, progress, cancel })
    }

    /// The kept root of all packages, or else of those of the profile.
    pub(super) fn take(&self, scratch: &Path) -> Result<Taken, Error> {
        if self.request.rebuild {
            return Ok(Taken::Nothing);
        }
        if let Some(path) = self.take_one(&self.key, scratch)? {
            return Ok(Taken::Whole(path));
        }
        Ok(self.base.map_or(Ok(None), |base| self.take_one(&base, scratch))?.map_or(Taken::Nothing, Taken::Base))
    }

    /// None where there is none, or none that can be read.
    fn take_one(&self, key: &RootKey, scratch: &Path) -> Result<Option<PathBuf>, Error> {
        let cache = RootCache::new(self.store);
        let Some(root) = cache.take(key)? else {
            cache.count_miss();
            self.note(&format!("root cache: no hit for {}", key.digest().short()));
            return Ok(None);
        };
        let path = scratch.join("kept-root");
        let file = std::fs::File::create(&path).map_err(Error::Scratch)?;
        if !cache.write_to(&root, store::Output { file: &file, path: &path, stays: false }, self.cancel)? {
            self.progress.report(Event::Warning("the cached root is damaged and is installed again"));
            cache.count_miss();
            return Ok(None);
        }
        cache.count_hit(&root);
        self.note(&format!("root cache: hit {}, {}", key.digest().short(), ByteSize(root.data_len)));
        Ok(Some(path))
    }

    /// Where the trees of a build shall be written, which has the base or has it not.
    pub(super) fn places(&self, scratch: &Path, installed: ByteSize, has_base: bool) -> Places {
        let base = self.base.filter(|_| !has_base);
        let trees = if base.is_some() { 3 } else { 2 };
        let needed = installed.0.saturating_mul(trees).saturating_add(self.request.limits.min_free.unwrap_or(0));
        let roomy = self.store.is_writable() && self.store.free_bytes().is_ok_and(|free| free > needed);
        if !roomy {
            return Places::default();
        }
        Places { base: base.map(|_| scratch.join("base")), whole: Some(scratch.join("root")) }
    }

    fn note(&self, text: &str) {
        self.progress.report(Event::Note(text));
    }
}

/// Trees that are kept while their build goes on.
pub(super) struct Keeping<'a> {
    roots: &'a Roots<'a>,
    lock: &'a Lock,
    /// The names of the packages of the lock that are the base's.
    base: Vec<&'a str>,
    places: &'a Places,
    begun: Instant,
    /// One at a time: the second has most of its bytes from the first.
    outcome: Mutex<Option<Result<(), crate::cache::Error>>>,
}

impl<'a> Keeping<'a> {
    pub(super) fn new(roots: &'a Roots<'a>, lock: &'a Lock, records: &'a [PackageRecord], places: &'a Places) -> Self {
        let base = of_base(roots.request, records).map(|record| record.coordinates.name()).collect();
        Self { roots, lock, base, places, begun: Instant::now(), outcome: Mutex::default() }
    }

    /// Takes a tree into the store.
    pub(super) fn keep(&self, what: Saved) {
        let took: Duration = self.begun.elapsed();
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, path, lock) = match what {
            Saved::Base => (self.roots.base, &self.places.base, self.base_lock()),
            Saved::Whole => (Some(self.roots.key), &self.places.whole, self.lock.clone()),
        };
        let Some((key, path)) = key.zip(path.as_deref()) else { return };
        let target = &self.roots.request.spec.spec.target;
        let new = NewRoot {
            dist: target.dist.clone(),
            arch: target.arch.name().to_owned(),
            packages: lock.packages.len(),
            lock: cbor::encode(&lock).expect("a lock is plain values"),
            took,
        };
        let kept = RootCache::new(self.roots.store).insert(key, &new, path, self.roots.cancel);
        // It has served, and a large image will want the room.
        let _ = std::fs::remove_file(path);
        if let Ok(record) = &kept {
            self.roots.note(&format!("root cache: kept {}, the store grew by {}", key.digest().short(), ByteSize(record.own_bytes)));
        }
        match (what, kept) {
            // That the base is kept says nothing of all packages.
            (Saved::Base, Ok(_)) => {}
            (_, kept) => *outcome = Some(kept.map(drop)),
        }
    }

    fn base_lock(&self) -> Lock {
        let packages = self.lock.packages.iter().filter(|package| self.base.contains(&package.coordinates.name()));
        Lock { packages: packages.cloned().collect(), releases: self.lock.releases.clone() }
    }

    /// Whether all packages are kept. That they are not is no reason to fail.
    pub(super) fn has_kept(self) -> bool {
        match self.outcome.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                self.roots.progress.report(Event::Warning(&format!("the root is not kept for the next time: {}", with_causes(&error))));
                false
            }
            None => false,
        }
    }
}

/// The packages of the profile, and what they need.
fn of_base<'r>(request: &Request, records: &'r [PackageRecord]) -> impl Iterator<Item = &'r PackageRecord> {
    records.iter().zip(plan::relations(&request.spec, records)).filter(|(_, relations)| relations.base).map(|(record, _)| record)
}

fn key(request: &Request, records: &[PackageRecord], time: u64) -> Result<RootKey, Error> {
    let signatures = Signatures::of(request)?;
    let inputs = Inputs {
        epoch: BUILDER_EPOCH,
        arch: request.spec.profile.arch(request.spec.spec.target.arch),
        time,
        privileged: rustix::process::geteuid().is_root(),
        without_initrd: request.spec.spec.target.image_type != ImageType::Raw,
        packages: records.iter().map(|record| &record.sha256).zip(plan::relations(&request.spec, records)).collect(),
        believed: signatures.map(|signatures| signatures.believed(records)).unwrap_or_default(),
    };
    Ok(RootKey::of_canonical(&cbor::encode(&inputs).expect("plain values have an encoding")))
}
