//! What a spec needs, brought into the store without building anything.

use std::time::{Duration, Instant};

use super::error::with_causes;
use super::journal::Journal;
use super::locked::Gathered;
use super::report::PackageCounts;
use super::{Build, Error, Request, Resolved, archives, packages, release_dates};
use crate::cache::{Coordinates, ReleaseDate, SpecHash};
use crate::progress::{Cancel, Progress};
use crate::store::Store;
use crate::units::human_duration;

/// What a spec needs, and the store has now.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The key that its image has, or would have.
    pub spec_hash: SpecHash,
    /// The image's name and version.
    pub name: String,
    /// See `name`.
    pub version: String,
    /// How many packages, and which of them were fetched now.
    pub packages: PackageCounts,
    /// All packages.
    pub needed: Vec<Coordinates>,
    /// The states of the repositories that they were resolved from.
    pub releases: Vec<ReleaseDate>,
    /// Wall time.
    pub duration: Duration,
}

/// Fetches the metadata and the packages of a spec, as [`super::build`] would, and builds nothing; by a lock its packages alone. With `request.offline` it only finds out whether all is
/// there. The package cache is used whatever `request.caches` says; the image cache is not.
///
/// # Errors
/// The first problem. What had arrived by then stays in the store.
pub fn fetch(request: &Request, store: &Store, progress: &dyn Progress, cancel: &Cancel) -> Result<Fetched, Error> {
    if !request.offline {
        store.check_writable()?;
    }
    let hash = request.key();
    let journal = super::journal(request, hash, "fetch", progress);
    let fetched = fetch_into(request, hash, store, &journal, cancel);
    match &fetched {
        Ok(fetched) => journal.note(&format!("done in {}", human_duration(fetched.duration))),
        Err(error) => journal.note(&format!("failed: {}", with_causes(error))),
    }
    journal.close();
    fetched
}

fn fetch_into(request: &Request, hash: SpecHash, store: &Store, journal: &Journal<'_>, cancel: &Cancel) -> Result<Fetched, Error> {
    let progress: &dyn Progress = journal;
    let build = Build { request, hash, images: None, packages: Some(store), roots: None, journal, progress, cancel, begun: Instant::now() };
    archives::check_trust(request, progress)?;
    let client = build.client()?;
    let scratch = store.scratch()?;
    let (lock, records, counts) = if let Some(file) = &request.locked {
        let Gathered { lock, records, counts, .. } = build.gather_locked(file, &client, scratch.path())?;
        (lock, records, counts)
    } else {
        let Resolved { lock, records, .. } = build.resolve(build.universe(&client)?, &client)?;
        let (_, counts) = packages::gather(request, Some(store), &client, &records, scratch.path(), progress, cancel)?;
        (lock, records, counts)
    };
    Ok(Fetched {
        spec_hash: hash,
        name: request.spec.spec.image.name.clone(),
        version: request.spec.spec.image.version.clone(),
        packages: counts,
        needed: records.into_iter().map(|record| record.coordinates).collect(),
        releases: release_dates(&lock),
        duration: build.begun.elapsed(),
    })
}
