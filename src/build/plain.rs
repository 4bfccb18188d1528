//! Packages that take long to decompress: those that a command before has used are kept plain when they are installed, for all times after it.
//!
//! It saves time and nothing else: whatever goes wrong with it, the packages themselves are there.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::with_causes;
use super::{Error, Request};
use crate::cache::{self, CachedPackage, MadeFrom, PlainPackages, package_bytes};
use crate::digest::Digest;
use crate::progress::{Cancel, Event, Progress};
use crate::repo::PackageRecord;
use crate::root::{self, Source};
use crate::store::{self, Store};
use crate::units::ByteSize;

/// The smallest package that is kept plain, in bytes: what is smaller costs more than it saves. (The larger half of a server's 303 packages has 97 of 100
/// bytes.)
const SMALLEST: u64 = 128 << 10;

/// How many times what the package takes, what is kept of it is taken to take. (Of a server's packages together it is 1.5 times.)
const GROWTH: u64 = 2;

/// How many times that may be at most.
const MOST_GROWTH: u64 = 4;

/// How many times its length a package may decompress to. (Of those of Debian 12 that are as large, 9 of 10 say that it is 10 times and
/// less, and all but one of 200 that it is 32 and less.)
const MOST_LENGTH: u64 = 32;

/// How many packages are decompressed at a time at most: each takes 100 MiB of memory where xz has its largest dictionary.
const MOST_THREADS: usize = 2;

/// What becomes plain, and what has become so.
pub(super) struct Plain<'a> {
    packages: PlainPackages<'a>,
    threads: usize,
    records: &'a [PackageRecord],
    /// By their places among the records, the one that is wanted first last.
    left: Vec<(usize, Source)>,
    /// The blobs that were handed on.
    given: Mutex<HashSet<Digest>>,
    /// Those that became plain, and those that could not.
    made: Mutex<Vec<(usize, Result<CachedPackage, Flaw>)>>,
}

impl<'a> Plain<'a> {
    /// Puts what the store has plain in the place of the package itself, and takes out those packages that shall become so. `turn` says when a package is wanted:
    /// lower numbers come first.
    pub(super) fn begin(
        request: &Request,
        store: &'a Store,
        records: &'a [PackageRecord],
        turn: impl Fn(usize) -> usize,
        sources: &mut [Option<Source>],
    ) -> Result<Self, Error> {
        let packages = PlainPackages::new(store);
        let from = |(number, source): (usize, &Option<Source>)| match source {
            Some(Source::Blob { digest, .. }) if records[number].size >= SMALLEST => Some((number, made_from(&records[number], digest))),
            _ => None,
        };
        let there: Vec<(usize, MadeFrom)> = sources.iter().enumerate().filter_map(from).collect();
        let wanted: Vec<_> = there.iter().map(|(number, from)| (&records[*number].coordinates, *from)).collect();
        let used = packages.used_before(wanted.iter().map(|(coordinates, _)| *coordinates))?;
        let (mut left, mut given) = (Vec::new(), HashSet::new());
        for ((&(number, _), plain), used) in there.iter().zip(packages.take(&wanted)?).zip(used) {
            let record = &records[number];
            match plain {
                Some(plain) => {
                    given.insert(plain.digest);
                    sources[number] = Some(Source::Plain { path: plain.path, digest: plain.digest });
                }
                None if used && record.installed_size <= record.size.saturating_mul(MOST_LENGTH) => left.push(number),
                None => {}
            }
        }
        if !has_room(request, store, (records, sources), &left)? {
            left.clear();
        }
        left.sort_by_key(|&number| (std::cmp::Reverse(turn(number)), records[number].size));
        let left = left.into_iter().filter_map(|number| Some((number, sources[number].take()?))).collect();
        let threads = request.workers.unpack.clamp(1, MOST_THREADS);
        Ok(Self { packages, threads, records, left, given: Mutex::new(given), made: Mutex::default() })
    }

    /// Makes plain what is left, and hands on each package with its place as soon as it is. One with which that does not go well is handed on as it is.
    pub(super) fn make(&self, arrived: &(dyn Fn(usize, Source) + Sync), cancel: &Cancel) {
        let (left, is_over) = (Mutex::new(self.left.iter().collect::<Vec<_>>()), AtomicBool::new(false));
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop();
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(self.left.len()) {
                scope.spawn(|| {
                    while let Some((number, source)) = next().filter(|_| cancel.check().is_ok()) {
                        let plain = if is_over.load(Ordering::Relaxed) { Ok(None) } else { self.find_or_make(*number, source, cancel) };
                        if plain.as_ref().is_err_and(Flaw::is_of_store) {
                            is_over.store(true, Ordering::Relaxed);
                        }
                        let source = match plain {
                            Ok(Some(plain)) => {
                                self.given.lock().unwrap_or_else(PoisonError::into_inner).insert(plain.digest);
                                Source::Plain { path: plain.path, digest: plain.digest }
                            }
                            Ok(None) => source.clone(),
                            Err(flaw) => {
                                self.note_outcome(*number, Err(flaw));
                                source.clone()
                            }
                        };
                        arrived(*number, source);
                    }
                });
            }
        });
    }

    /// Whether this blob was handed on as a plain package.
    pub(super) fn gave(&self, blob: &Digest) -> bool {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).contains(blob)
    }

    /// None where the package is to be handed on as it is.
    fn find_or_make(&self, number: usize, source: &Source, cancel: &Cancel) -> Result<Option<CachedPackage>, Flaw> {
        let (record, Source::Blob { path, digest }) = (&self.records[number], source) else { return Ok(None) };
        // Another build may have been faster.
        if let Some(plain) = self.packages.take(&[(&record.coordinates, made_from(record, digest))])?.pop().flatten() {
            return Ok(Some(plain));
        }
        match self.make_one(record, path, digest, cancel) {
            Ok(Some(plain)) => {
                self.note_outcome(number, Ok(plain.clone()));
                Ok(Some(plain))
            }
            // What was stopped is not worth a word.
            Err(_) if cancel.check().is_err() => Ok(None),
            none => none,
        }
    }

    /// None where the package is decompressed fast enough.
    fn make_one(&self, record: &PackageRecord, path: &Path, digest: &Digest, cancel: &Cancel) -> Result<Option<CachedPackage>, Flaw> {
        let input = store::open_file(path, digest).map_err(cache::Error::from)?;
        let keep = |plain: &mut dyn Read| {
            let mut plain = Bounded { input: plain, left: record.size.saturating_mul(MOST_LENGTH), cancel };
            self.packages.stage(&record.coordinates, made_from(record, digest), record.size.saturating_mul(MOST_GROWTH), &mut plain)
        };
        match root::decompressed(&record.coordinates.to_string(), input, record.size, keep)? {
            Some(staged) => Ok(Some(self.packages.keep(&staged?)?)),
            None => Ok(None),
        }
    }

    fn note_outcome(&self, number: usize, outcome: Result<CachedPackage, Flaw>) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push((number, outcome));
    }

    /// Notes what became plain. As for [`Gathering::note_fetched`](super::packages::Gathering::note_fetched).
    pub(super) fn note(&self, progress: &dyn Progress) {
        for (number, outcome) in self.made.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let package = &self.records[number].coordinates;
            progress.report(Event::Note(&match outcome {
                Ok(plain) => format!("keeps {package} decompressed, {}", ByteSize(plain.stored_len)),
                Err(flaw) => format!("does not keep {package} decompressed: {}", with_causes(&flaw)),
            }));
        }
    }
}

/// Why a package was not kept.
#[derive(Debug, thiserror::Error)]
enum Flaw {
    #[error(transparent)]
    Package(#[from] root::Error),
    #[error(transparent)]
    Cache(#[from] cache::Error),
}

impl Flaw {
    /// Whether the next package would meet it, too.
    fn is_of_store(&self) -> bool {
        matches!(self, Self::Cache(cache::Error::Store(error)) if !error.is_damage() && !matches!(error, store::Error::Source(_)))
    }
}

fn made_from(record: &PackageRecord, digest: &Digest) -> MadeFrom {
    MadeFrom { sha256: record.sha256, blob: *digest }
}

/// Whether the limit of the package cache and the disk have room for what these packages become, beside all that the build may keep.
fn has_room(request: &Request, store: &Store, (records, sources): (&[PackageRecord], &[Option<Source>]), becoming: &[usize]) -> Result<bool, Error> {
    if becoming.is_empty() || !store.is_writable() {
        return Ok(false);
    }
    let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
    let fetched = sum(&mut records.iter().zip(sources).filter(|(_, source)| source.is_none()).map(|(record, _)| record.size));
    let plain = sum(&mut becoming.iter().map(|&number| records[number].size)).saturating_mul(GROWTH);
    let packages = fetched.saturating_add(plain);
    let fits = match request.limits.package_bytes {
        Some(limit) => package_bytes(store)?.saturating_add(packages) <= limit,
        None => true,
    };
    // A tree for each stage, and the image.
    let others = sum(&mut records.iter().map(|record| record.installed_size)).saturating_mul(4);
    let needed = packages.saturating_add(others).saturating_add(request.limits.min_free.unwrap_or(0));
    Ok(fits && store.free_bytes()? >= needed)
}

/// Ends in an error where there is more than may be, and once the work is to stop.
struct Bounded<'a> {
    input: &'a mut dyn Read,
    /// In bytes.
    left: u64,
    cancel: &'a Cancel,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        let read = self.input.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other("it decompresses to far more than it is"))?;
        Ok(read)
    }
}
