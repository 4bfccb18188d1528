//! The installed tree of a build: from the root cache, or from packages, and then into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::error::with_causes;
use super::report::RootOutcome;
use super::signatures::Signatures;
use super::{Error, Request, plan};
use crate::cache::{NewRoot, RootCache, RootKey};
use crate::digest::Sha256;
use crate::format::cbor;
use crate::progress::{Cancel, Event, Progress};
use crate::repo::PackageRecord;
use crate::resolve::Lock;
use crate::spec::BUILDER_EPOCH;
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
    packages: Vec<(&'a Sha256, plan::Relations)>,
    /// Of each repository whose packages are signed themselves, the fingerprints of the keys that were believed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    believed: BTreeMap<String, Vec<String>>,
}

/// The root cache, as one build uses it.
pub(super) struct Roots<'a> {
    store: &'a Store,
    key: RootKey,
    request: &'a Request,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
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
        let signatures = Signatures::of(request)?;
        let inputs = Inputs {
            epoch: BUILDER_EPOCH,
            arch: request.spec.profile.arch(request.spec.spec.target.arch),
            time,
            privileged: rustix::process::geteuid().is_root(),
            packages: records.iter().map(|record| &record.sha256).zip(plan::relations(request.spec.profile.packaging, records)).collect(),
            believed: signatures.map(|signatures| signatures.believed(records)).unwrap_or_default(),
        };
        let key = RootKey::of_canonical(&cbor::encode(&inputs).expect("plain values have an encoding"));
        Ok(Self { store, key, request, progress, cancel })
    }

    /// The file of the kept root, beneath `scratch`; none where there is none, or none that can be read.
    pub(super) fn take(&self, scratch: &Path) -> Result<Option<PathBuf>, Error> {
        if self.request.rebuild {
            return Ok(None);
        }
        let cache = RootCache::new(self.store);
        let Some(root) = cache.take(&self.key)? else {
            cache.count_miss();
            self.note(&format!("root cache: no hit for {}", self.key.digest().short()));
            return Ok(None);
        };
        let path = scratch.join("kept-root");
        let file = std::fs::File::create_new(&path).map_err(Error::Scratch)?;
        if !cache.write_to(&root, store::Output { file: &file, path: &path, stays: false }, self.cancel)? {
            self.progress.report(Event::Warning("the cached root is damaged and is installed again"));
            cache.count_miss();
            return Ok(None);
        }
        cache.count_hit(&root);
        self.note(&format!("root cache: hit {}, {}", self.key.digest().short(), ByteSize(root.data_len)));
        Ok(Some(path))
    }

    /// Where the installed tree shall be written to be kept; none where the store would have no room for both.
    pub(super) fn place(&self, scratch: &Path, installed: ByteSize) -> Option<PathBuf> {
        let needed = installed.0.saturating_mul(2).saturating_add(self.request.limits.min_free.unwrap_or(0));
        let roomy = self.store.is_writable() && self.store.free_bytes().is_ok_and(|free| free > needed);
        roomy.then(|| scratch.join("root"))
    }

    fn note(&self, text: &str) {
        self.progress.report(Event::Note(text));
    }
}

/// A tree that is kept while its build goes on.
pub(super) struct Keeping<'a> {
    roots: &'a Roots<'a>,
    lock: &'a Lock,
    path: &'a Path,
    begun: Instant,
    outcome: Mutex<Option<Result<u64, crate::cache::Error>>>,
}

impl<'a> Keeping<'a> {
    /// `path` is where the tree will be.
    pub(super) fn new(roots: &'a Roots<'a>, lock: &'a Lock, path: &'a Path) -> Self {
        Self { roots, lock, path, begun: Instant::now(), outcome: Mutex::default() }
    }

    /// Takes the tree into the store.
    pub(super) fn keep(&self) {
        let took: Duration = self.begun.elapsed();
        let target = &self.roots.request.spec.spec.target;
        let new = NewRoot {
            dist: target.dist.clone(),
            arch: target.arch.name().to_owned(),
            packages: self.lock.packages.len(),
            lock: cbor::encode(self.lock).expect("a lock is plain values"),
            took,
        };
        let kept = RootCache::new(self.roots.store).insert(self.roots.key, &new, self.path, self.roots.cancel);
        // It has served, and a large image will want the room.
        let _ = std::fs::remove_file(self.path);
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept.map(|record| record.own_bytes));
    }

    /// What came of it. That a root is not kept is no reason to fail.
    pub(super) fn outcome(self) -> RootOutcome {
        match self.outcome.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(Ok(bytes)) => {
                self.roots.note(&format!("root cache: kept {}, the store grew by {}", self.roots.key.digest().short(), ByteSize(bytes)));
                RootOutcome::Installed { kept: true }
            }
            Some(Err(error)) => {
                self.roots.progress.report(Event::Warning(&format!("the root is not kept for the next time: {}", with_causes(&error))));
                RootOutcome::Installed { kept: false }
            }
            None => RootOutcome::Installed { kept: false },
        }
    }
}
