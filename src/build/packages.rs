//! The bytes of all chosen packages: from the package cache where they are, else from a mirror.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::report::PackageCounts;
use super::signatures::{Signatures, Unproven};
use super::{Error, Request};
use crate::cache::PackageCache;
use crate::fetch::{self, BoxedError, Client, PackageRequest, Shelf};
use crate::progress::{Cancel, Event, Progress};
use crate::repo::PackageRecord;
use crate::root::Source;
use crate::store::Store;
use crate::units::ByteSize;

/// The packages of an image: those that are there, and those that are still to be fetched.
///
/// Without a store (the package cache is off), and with one that cannot be changed, new ones go to `scratch`, and with it they end.
pub(super) struct Gathering<'a> {
    cache: Option<PackageCache<'a>>,
    /// Where new ones go; none for `scratch`.
    store: Option<&'a Store>,
    client: &'a Client,
    scratch: &'a Path,
    progress: &'a dyn Progress,
    signatures: Option<Signatures>,
    records: Vec<&'a PackageRecord>,
    /// By the places of the records.
    sources: Vec<Option<Source>>,
    /// The places of what is not there.
    missing: Vec<usize>,
    /// The places of what was fetched until now, in the order in which it came, and of what other builds fetched meanwhile.
    fetched: Mutex<Vec<usize>>,
    found: Mutex<Vec<usize>>,
}

/// Hands packages on as they come.
struct Arriving<'g, 'a> {
    gathering: &'g Gathering<'a>,
    requests: &'g [PackageRequest],
    arrived: &'g (dyn Fn(usize, Source) + Sync),
}

impl Shelf<Source> for Arriving<'_, '_> {
    fn find(&self, at: usize) -> Result<Option<Source>, BoxedError> {
        let Some((cache, _)) = self.gathering.cache.as_ref().zip(self.gathering.store) else { return Ok(None) };
        let request = &self.requests[at];
        let found = cache.take(&[(&request.coordinates, &request.sha256)])?.pop().flatten();
        Ok(found.map(|package| self.came(at, Source::Blob { path: package.path, digest: package.digest }, &self.gathering.found)))
    }

    fn store(&self, at: usize, file: &mut File) -> Result<Source, BoxedError> {
        let source = self.gathering.publish(&self.requests[at], file)?;
        Ok(self.came(at, source, &self.gathering.fetched))
    }
}

impl Arriving<'_, '_> {
    fn came(&self, at: usize, source: Source, list: &Mutex<Vec<usize>>) -> Source {
        let number = self.gathering.missing[at];
        list.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        if self.gathering.signatures.is_none() {
            (self.arrived)(number, source.clone());
        }
        source
    }
}

impl<'a> Gathering<'a> {
    /// Looks for the packages in the store; RPM packages that are there are proven by their signatures.
    pub(super) fn begin(
        request: &Request,
        store: Option<&'a Store>,
        client: &'a Client,
        records: Vec<&'a PackageRecord>,
        scratch: &'a Path,
        progress: &'a dyn Progress,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let cache = store.map(PackageCache::new);
        let wanted: Vec<_> = records.iter().map(|record| (&record.coordinates, &record.sha256)).collect();
        let cached = match &cache {
            Some(cache) => cache.take(&wanted)?,
            None => vec![None; records.len()],
        };
        let mut sources: Vec<Option<Source>> =
            cached.into_iter().map(|package| package.map(|package| Source::Blob { path: package.path, digest: package.digest })).collect();
        let signatures = Signatures::of(request)?;
        if let Some((signatures, store)) = signatures.as_ref().zip(store) {
            prove_kept(signatures, store, &records, &mut sources, cancel)?;
        }
        let missing: Vec<usize> = (0..records.len()).filter(|&number| sources[number].is_none()).collect();
        // Offline only the folders of the spec have an address, and to them no network leads.
        let nowhere = missing.iter().map(|&number| records[number]).filter(|record| request.offline && record.archive.mirrors.is_empty());
        let nowhere: Vec<_> = nowhere.map(|record| record.coordinates.clone()).collect();
        if !nowhere.is_empty() {
            return Err(Error::NotAvailableOffline { missing: nowhere, total: records.len(), spec: request.spec.path.clone() });
        }
        let present = || records.iter().zip(&sources).filter_map(|(record, source)| source.is_some().then_some(*record));
        if let Some(cache) = &cache {
            cache.mark_used(present().map(|record| &record.coordinates));
            cache.count(present().count() as u64, 0, present().map(|record| record.size).sum());
        }
        note("package cache: hit", present(), progress);
        let store = store.filter(|store| store.is_writable());
        Ok(Self {
            cache,
            store,
            client,
            scratch,
            progress,
            signatures,
            records,
            sources,
            missing,
            fetched: Mutex::default(),
            found: Mutex::default(),
        })
    }

    /// What is there, by the places of the records.
    pub(super) fn sources(&self) -> &[Option<Source>] {
        &self.sources
    }

    /// Fetches what is not there, and hands on each with its place as soon as it has come. `turn` says by its place when a package is wanted: lower numbers
    /// come first. Packages that their signatures must prove are handed on when all are proven.
    pub(super) fn fetch(&self, turn: impl Fn(usize) -> usize, arrived: &(dyn Fn(usize, Source) + Sync), cancel: &Cancel) -> Result<(), Error> {
        let requests: Vec<PackageRequest> = self.missing.iter().map(|&number| to_request(self.records[number], turn(number))).collect();
        let shelf = Arriving { gathering: self, requests: &requests, arrived };
        let partials = self.store.map_or_else(|| self.scratch.join("partials"), Store::partials_dir);
        let fetched = fetch::packages(self.client, &requests, &partials, &shelf, self.progress, cancel)?;
        if let Some(signatures) = &self.signatures {
            let new: Vec<_> = self.missing.iter().map(|&number| self.records[number]).zip(&fetched).collect();
            refuse(signatures.unproven(&new, cancel)?.into_iter().map(|(_, unproven)| unproven))?;
            for (&number, source) in self.missing.iter().zip(fetched) {
                arrived(number, source);
            }
        }
        Ok(())
    }

    /// How many packages there are, and how many of them were fetched until now.
    pub(super) fn counts(&self) -> PackageCounts {
        let sizes: Vec<u64> = self.of(&self.fetched).iter().map(|record| record.size).collect();
        let (total, fetched) = (self.records.len(), sizes.len());
        PackageCounts { total, fetched, fetched_bytes: ByteSize(sizes.iter().sum()), present: total - fetched }
    }

    /// Notes which packages were fetched. Not to be called while programs of the image print: what a program is stands before its lines.
    pub(super) fn note_fetched(&self) {
        let (fetched, found) = (self.of(&self.fetched), self.of(&self.found));
        if let Some(cache) = &self.cache {
            cache.mark_used(fetched.iter().chain(&found).map(|record| &record.coordinates));
            cache.count(found.len() as u64, (self.missing.len() - found.len()) as u64, found.iter().map(|record| record.size).sum());
        }
        note("fetched", fetched.into_iter(), self.progress);
        note("another build fetched", found.into_iter(), self.progress);
    }

    fn of(&self, list: &Mutex<Vec<usize>>) -> Vec<&'a PackageRecord> {
        list.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|&number| self.records[number]).collect()
    }

    fn publish(&self, request: &PackageRequest, file: &mut File) -> Result<Source, BoxedError> {
        if let (Some(cache), Some(_)) = (&self.cache, self.store) {
            let package = cache.insert(&request.coordinates, &request.sha256, file)?;
            return Ok(Source::Blob { path: package.path, digest: package.digest });
        }
        let path = self.scratch.join(format!("{}.deb", request.sha256));
        let mut copy = File::create(&path)?;
        file.rewind()?;
        io::copy(file, &mut copy)?;
        Ok(Source::File(path))
    }
}

/// All packages at once: where each record's bytes are, in the order of `records`.
pub(super) fn gather(
    request: &Request,
    store: Option<&Store>,
    client: &Client,
    records: &[PackageRecord],
    scratch: &Path,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(Vec<Source>, PackageCounts), Error> {
    let gathering = Gathering::begin(request, store, client, records.iter().collect(), scratch, progress, cancel)?;
    let sources = Mutex::new(gathering.sources().to_vec());
    let arrived = |number: usize, source| sources.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(source);
    let fetched = gathering.fetch(|_| 0, &arrived, cancel);
    gathering.note_fetched();
    fetched?;
    let sources = sources.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((sources.into_iter().flatten().collect(), gathering.counts()))
}

/// Checks the signatures of what the store has. What cannot be read turns out to be missing: it is fetched again.
fn prove_kept(
    signatures: &Signatures,
    store: &Store,
    records: &[&PackageRecord],
    sources: &mut [Option<Source>],
    cancel: &Cancel,
) -> Result<(), Error> {
    let kept: Vec<(usize, (&PackageRecord, &Source))> =
        records.iter().zip(&*sources).enumerate().filter_map(|(number, (record, source))| Some((number, (*record, source.as_ref()?)))).collect();
    let (numbers, packages): (Vec<usize>, Vec<_>) = kept.into_iter().unzip();
    let (mut refused, mut damaged) = (Vec::new(), Vec::new());
    for (place, unproven) in signatures.unproven(&packages, cancel)? {
        match packages[place].1 {
            Source::Blob { digest, .. } if store.verify_blob(digest).is_err_and(|error| error.is_damage()) => damaged.push(numbers[place]),
            _ => refused.push(unproven),
        }
    }
    for number in damaged {
        sources[number] = None;
    }
    refuse(refused)
}

fn refuse(unproven: impl IntoIterator<Item = Unproven>) -> Result<(), Error> {
    let unproven: Vec<Unproven> = unproven.into_iter().collect();
    if unproven.is_empty() { Ok(()) } else { Err(Error::Unproven(unproven)) }
}

fn note<'r>(from: &str, records: impl Iterator<Item = &'r PackageRecord>, progress: &dyn Progress) {
    for record in records {
        progress.report(Event::Note(&format!("{from} {}, {}", record.coordinates, ByteSize(record.size))));
    }
}

fn to_request(record: &PackageRecord, turn: usize) -> PackageRequest {
    let urls = record.archive.mirrors.iter().map(|mirror| format!("{}/{}", mirror.trim_end_matches('/'), record.filename)).collect();
    PackageRequest { coordinates: record.coordinates.clone(), urls, sha256: record.sha256, size: record.size, turn }
}
