//! The bytes of all chosen packages: from the package cache where they are, else from a mirror.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;

use super::report::PackageCounts;
use super::signatures::{Signatures, Unproven};
use super::{Error, Request};
use crate::cache::PackageCache;
use crate::fetch::{self, Client, PackageRequest};
use crate::progress::{Cancel, Event, Progress};
use crate::repo::PackageRecord;
use crate::root::Source;
use crate::store::Store;
use crate::units::ByteSize;

/// Where each record's bytes are, in the order of `records`; RPM packages are proven by their signatures.
///
/// Without a store (the package cache is off), and with one that cannot be changed, new ones go to `scratch`, and with it they end.
pub(super) fn gather(
    request: &Request,
    store: Option<&Store>,
    client: &Client,
    records: &[PackageRecord],
    scratch: &Path,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(Vec<Source>, PackageCounts), Error> {
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
        prove_kept(signatures, store, records, &mut sources, cancel)?;
    }
    let present: Vec<&PackageRecord> = records.iter().zip(&sources).filter(|(_, source)| source.is_some()).map(|(record, _)| record).collect();
    let missing: Vec<usize> = (0..records.len()).filter(|&number| sources[number].is_none()).collect();
    // Offline only the folders of the spec have an address, and to them no network leads.
    let nowhere = missing.iter().map(|&number| &records[number]).filter(|record| request.offline && record.archive.mirrors.is_empty());
    let nowhere: Vec<_> = nowhere.map(|record| record.coordinates.clone()).collect();
    if !nowhere.is_empty() {
        return Err(Error::NotAvailableOffline { missing: nowhere, total: records.len(), spec: request.spec.path.clone() });
    }
    let requests: Vec<PackageRequest> = missing.iter().map(|&number| to_request(&records[number])).collect();
    let fetched = match (&cache, store.filter(|store| store.is_writable())) {
        (Some(cache), Some(store)) => {
            fetch::packages(client, &requests, &store.partials_dir(), &|request, file| into_cache(cache, request, file), progress, cancel)?
        }
        _ => fetch::packages(client, &requests, &scratch.join("partials"), &|request, file| into_folder(scratch, request, file), progress, cancel)?,
    };
    if let Some(signatures) = &signatures {
        let new: Vec<_> = missing.iter().map(|&number| &records[number]).zip(&fetched).collect();
        refuse(signatures.unproven(&new, cancel)?.into_iter().map(|(_, unproven)| unproven))?;
    }
    for (number, source) in missing.iter().zip(fetched) {
        sources[*number] = Some(source);
    }
    if let Some(cache) = &cache {
        cache.mark_used(records.iter().map(|record| &record.coordinates));
        cache.count(present.len() as u64, missing.len() as u64, present.iter().map(|record| record.size).sum());
    }
    for (record, cached) in records.iter().map(|record| (record, present.iter().any(|other| std::ptr::eq(*other, record)))) {
        let from = if cached { "package cache: hit" } else { "fetched" };
        progress.report(Event::Note(&format!("{from} {}, {}", record.coordinates, ByteSize(record.size))));
    }
    let counts = PackageCounts {
        total: records.len(),
        fetched: missing.len(),
        fetched_bytes: ByteSize(requests.iter().map(|request| request.size).sum()),
        present: present.len(),
    };
    Ok((sources.into_iter().flatten().collect(), counts))
}

/// Checks the signatures of what the store has. What cannot be read turns out to be missing: it is fetched again.
fn prove_kept(
    signatures: &Signatures,
    store: &Store,
    records: &[PackageRecord],
    sources: &mut [Option<Source>],
    cancel: &Cancel,
) -> Result<(), Error> {
    let kept: Vec<(usize, (&PackageRecord, &Source))> =
        records.iter().zip(&*sources).enumerate().filter_map(|(number, (record, source))| Some((number, (record, source.as_ref()?)))).collect();
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

fn to_request(record: &PackageRecord) -> PackageRequest {
    let urls = record.archive.mirrors.iter().map(|mirror| format!("{}/{}", mirror.trim_end_matches('/'), record.filename)).collect();
    PackageRequest { coordinates: record.coordinates.clone(), urls, sha256: record.sha256, size: record.size }
}

type Published = Result<Source, Box<dyn std::error::Error + Send + Sync>>;

fn into_cache(cache: &PackageCache<'_>, request: &PackageRequest, file: &mut File) -> Published {
    let package = cache.insert(&request.coordinates, &request.sha256, file)?;
    Ok(Source::Blob { path: package.path, digest: package.digest })
}

fn into_folder(folder: &Path, request: &PackageRequest, file: &mut File) -> Published {
    let path = folder.join(format!("{}.deb", request.sha256));
    let mut copy = File::create(&path)?;
    file.rewind()?;
    io::copy(file, &mut copy)?;
    Ok(Source::File(path))
}
