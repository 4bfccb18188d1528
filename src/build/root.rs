//! The installed tree of a build: from the root cache, or from packages, and then into it.
//!
//! The tree after each stage of a build is kept ([`stages`](super::stages)). What decides is the packages: what one spec has after its last stage, another one
//! may have after its first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::claims::{Claims, await_other};
use super::error::with_causes;
use super::signatures::Signatures;
use super::{Error, Request, plan};
use crate::cache::{ImageRecord, NewRoot, RootCache, RootKey};
use crate::digest::Sha256;
use crate::format::cbor;
use crate::progress::{Cancel, Event, Progress};
use crate::repo::PackageRecord;
use crate::resolve::Lock;
use crate::spec::BUILDER_EPOCH;
use crate::spec::model::ImageType;
use crate::store::{Claim, Parts, Store};
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
    /// Of the tree after each stage; never empty.
    keys: Vec<RootKey>,
    request: &'a Request,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

/// What of a root was kept.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) tree: Option<(ImageRecord, Parts)>,
    /// How many stages it has.
    pub(super) stages: usize,
    /// Whether these are all.
    pub(super) is_whole: bool,
}

/// Where the tree after a stage shall be written to be kept; nowhere where the store would have no room for it.
pub(super) type Places = BTreeMap<usize, PathBuf>;

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
        let stages = stages(request, records);
        let upto =
            |last: usize| records.iter().zip(&stages).filter(|(_, stage)| **stage <= last).map(|(record, _)| record.clone()).collect::<Vec<_>>();
        let last = stages.iter().max().copied().unwrap_or(0);
        let keys = (0..=last).map(|stage| key(request, &upto(stage), time)).collect::<Result<_, _>>()?;
        Ok(Self { store, keys, request, progress, cancel })
    }

    /// The kept root of all packages, or else of as many stages as there are, and of no more than `limit`.
    fn take(&self, limit: usize) -> Result<Taken, Error> {
        let limit = if self.request.rebuild { 0 } else { limit };
        for (stage, key) in self.keys.iter().enumerate().take(limit).rev() {
            let tree = self.take_one(key)?;
            if tree.is_some() {
                return Ok(Taken { tree, stages: stage + 1, is_whole: stage + 1 == self.keys.len() });
            }
        }
        Ok(Taken::default())
    }

    /// What is kept, and the claims to make the rest. Where another build makes some of it, it is waited for.
    pub(super) fn take_or_claim(&self) -> Result<(Taken, Claims), Error> {
        let mut claims: BTreeMap<usize, Claim> = BTreeMap::new();
        loop {
            let taken = self.take(usize::MAX)?;
            claims.retain(|stage, _| *stage >= taken.stages);
            if claims.len() == self.keys.len() - taken.stages {
                return Ok((self.told(taken), Claims::new(claims)));
            }
            // The last first: it has what is in those before. Then one more look: what was not there may have come in between.
            let other = (taken.stages..self.keys.len()).rev().find_map(|stage| match claims.entry(stage) {
                Entry::Occupied(_) => None,
                Entry::Vacant(place) => match self.store.claim(self.keys[stage].digest()) {
                    Ok(claim) => {
                        place.insert(claim);
                        None
                    }
                    Err(claimant) => Some((stage, claimant)),
                },
            });
            match other {
                None => {}
                Some(_) if self.request.rebuild => return Ok((self.told(taken), Claims::new(claims))),
                Some((stage, claimant)) => {
                    claims.clear();
                    let what = if stage + 1 == self.keys.len() { "installs the same packages" } else { "installs some of the same packages" };
                    await_other(self.store, self.keys[stage].digest(), (&claimant, what), self.progress, self.cancel)?;
                }
            }
        }
    }

    /// None where there is none, or none that can be read.
    fn take_one(&self, key: &RootKey) -> Result<Option<(ImageRecord, Parts)>, Error> {
        let cache = RootCache::new(self.store);
        let Some(root) = cache.take(key)? else { return Ok(None) };
        let Some(parts) = cache.parts(&root)? else {
            self.warn_of_damage();
            return Ok(None);
        };
        Ok(Some((root, parts)))
    }

    /// Notes what is taken, and what was looked for in vain.
    fn told(&self, taken: Taken) -> Taken {
        for key in self.keys[taken.stages..].iter().rev() {
            self.note(&format!("root cache: no hit for {}", key.digest().short()));
        }
        if let Some((root, _)) = &taken.tree {
            self.note(&format!("root cache: hit {}, {}", self.keys[taken.stages - 1].digest().short(), ByteSize(root.data_len)));
        }
        taken
    }

    /// What to take in the place of a tree that the worker could not read: one with fewer stages, also where it is not damaged (a collection has moved it), or
    /// where nobody can write down that it is.
    pub(super) fn take_instead_of(&self, taken: &Taken) -> Result<Taken, Error> {
        match &taken.tree {
            Some((root, _)) if RootCache::new(self.store).is_whole(root, self.cancel)? => {
                self.progress.report(Event::Warning("the cached root could not be read and is installed again"));
            }
            _ => self.warn_of_damage(),
        }
        Ok(self.told(self.take(taken.stages.saturating_sub(1))?))
    }

    fn warn_of_damage(&self) {
        self.progress.report(Event::Warning("the cached root is damaged and is installed again"));
    }

    /// Counts what served, and what was looked for in vain.
    pub(super) fn count(&self, taken: &Taken) {
        if self.request.rebuild {
            return;
        }
        let cache = RootCache::new(self.store);
        (taken.stages..self.keys.len()).for_each(|_| cache.count_miss());
        taken.tree.iter().for_each(|(root, _)| cache.count_hit(root));
    }

    /// Where the trees of a build shall be written that begins with what was taken.
    pub(super) fn places(&self, scratch: &Path, installed: ByteSize, taken: &Taken) -> Places {
        let made = taken.stages..self.keys.len();
        // Each once, and then the image.
        let needed = installed.0.saturating_mul(made.len() as u64 + 1).saturating_add(self.request.limits.min_free.unwrap_or(0));
        let roomy = self.store.is_writable() && self.store.free_bytes().is_ok_and(|free| free > needed);
        if !roomy {
            return Places::default();
        }
        made.map(|stage| (stage, scratch.join(format!("root-{stage}")))).collect()
    }

    fn note(&self, text: &str) {
        self.progress.report(Event::Note(text));
    }
}

/// Trees that are kept while their build goes on.
pub(super) struct Keeping<'a> {
    roots: &'a Roots<'a>,
    lock: &'a Lock,
    /// The stage of each package of the lock.
    stages: Vec<usize>,
    places: &'a Places,
    claims: &'a Claims,
    begun: Instant,
    /// One at a time: the next has most of its bytes from the one before.
    outcome: Mutex<Option<Result<(), crate::cache::Error>>>,
}

impl<'a> Keeping<'a> {
    pub(super) fn new(roots: &'a Roots<'a>, lock: &'a Lock, records: &'a [PackageRecord], places: &'a Places, claims: &'a Claims) -> Self {
        if places.is_empty() {
            claims.release_all();
        }
        Self { roots, lock, stages: stages(roots.request, records), places, claims, begun: Instant::now(), outcome: Mutex::default() }
    }

    /// Takes the tree after a stage into the store, unless there is a problem with it. Nobody waits for it any more then.
    pub(super) fn keep(&self, stage: usize, problem: Option<&str>) {
        match problem {
            None => self.keep_one(stage),
            Some(problem) => self.warn(problem),
        }
        self.claims.release(stage);
    }

    fn keep_one(&self, stage: usize) {
        let took: Duration = self.begun.elapsed();
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((&key, path)) = self.roots.keys.get(stage).zip(self.places.get(&stage)) else { return };
        let lock = self.lock_upto(stage);
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
        // That a part is kept says nothing of all packages.
        if kept.is_err() || stage + 1 == self.roots.keys.len() {
            *outcome = Some(kept.map(drop));
        }
    }

    fn lock_upto(&self, last: usize) -> Lock {
        let packages = self.lock.packages.iter().zip(&self.stages).filter(|(_, stage)| **stage <= last).map(|(package, _)| package.clone());
        Lock { packages: packages.collect(), releases: self.lock.releases.clone() }
    }

    fn warn(&self, problem: &str) {
        self.roots.progress.report(Event::Warning(&format!("the root is not kept for the next time: {problem}")));
    }

    /// Whether all packages are kept. That they are not is no reason to fail.
    pub(super) fn has_kept(&self) -> bool {
        match self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                self.warn(&with_causes(&error));
                false
            }
            None => false,
        }
    }
}

/// The stage of each package, in their order.
fn stages(request: &Request, records: &[PackageRecord]) -> Vec<usize> {
    plan::relations(&request.spec, records).into_iter().map(|relations| relations.stage).collect()
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
