//! `--check`: builds beside the kept image, and says whether the same came of it.
//!
//! What is built is what the kept image was built from: its own packages, not those that the repositories have today. A difference is thus the builder's, a
//! package script's or a command's, and no news of the distribution ([`super::Request::refresh`] asks for those).

use std::time::{Duration, Instant};

use super::make::{Made, installed_size};
use super::output::digest_of;
use super::{Build, Caches, Chosen, Error, PackageCounts, Request, archives, journal, refresh, room, tidy, with_causes};
use crate::cache::{ImageCache, ImageRecord};
use crate::digest::Digest;
use crate::inspect::{self, Difference, Input, Limits, Options};
use crate::progress::{Cancel, Event, Progress};
use crate::resolve::LockFile;
use crate::root::sandbox::Mapping;
use crate::store::Store;
use crate::transfer::partial::Partial;

/// What a check found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The image that is kept, and stays.
    pub kept: ImageRecord,
    /// The digest of the disk that was built beside it.
    pub digest: Digest,
    /// How it differs; none where it is the same to the last byte.
    pub difference: Option<Difference>,
    /// Where the packages came from.
    pub packages: PackageCounts,
    /// Wall time of the whole command.
    pub duration: Duration,
}

/// Builds a spec whose image is kept, installs its packages anew, and compares the disks. Nothing of it is kept but packages that had to be fetched.
///
/// # Errors
/// [`Error::NothingToCheck`] where no image of the spec is kept; whatever a build fails with.
pub fn check(mut request: Request, store: &Store, progress: &dyn Progress, cancel: &Cancel) -> Result<Checked, Error> {
    let begun = Instant::now();
    let hash = request.key();
    let cache = ImageCache::new(store);
    let kept = cache.take(&hash)?.ok_or_else(|| Error::NothingToCheck(request.spec.path.clone()))?;
    if request.locked.is_none()
        && let Some(lock) = refresh::kept_lock(&cache, &kept)?
    {
        let mut wanted = request.spec.spec.system.packages.clone();
        wanted.sort();
        request.locked = Some(LockFile { inputs: request.spec.package_inputs(), wanted, lock });
    }
    request.caches = Caches { images: false, roots: false, ..request.caches };
    let journal = journal(&request, hash, "check", progress);
    let packages = Some(store).filter(|_| request.caches.packages);
    let build = Build { request: &request, hash, images: None, packages, roots: None, journal: &journal, progress: &journal, cancel, begun };
    let outcome = archives::check_trust(&request, &journal).and_then(|()| build.beside(store, &kept));
    let outcome = outcome.inspect_err(|error| journal.note(&format!("failed: {}", with_causes(error))));
    journal.close();
    let (digest, difference, counts) = outcome?;
    tidy::tidy(store, request.kept_within(), progress, cancel);
    for damage in store.take_damage() {
        progress.report(Event::Warning(&format!("{damage}; the check went on without it")));
    }
    Ok(Checked { kept, digest, difference, packages: counts, duration: begun.elapsed() })
}

impl Build<'_> {
    /// The digest of another disk of the same packages, and how it differs from that of the kept image.
    fn beside(&self, store: &Store, kept: &ImageRecord) -> Result<(Digest, Option<Difference>, PackageCounts), Error> {
        let mapping = Mapping::of_this_process()?;
        let scratch = self.scratch()?;
        let client = self.client()?;
        let chosen: Chosen = self.choose(&client, scratch.path(), None)?;
        room::check(&self.request.spec.spec, installed_size(&chosen.records))?;
        let time = self.time(&chosen.lock);
        let raw = Partial::new(scratch.path()).map_err(Error::Scratch)?;
        let Made { counts, worker: _worker, .. } = self.make(&mapping, &client, scratch.path(), chosen, time, raw.path())?;
        let digest = digest_of(&raw)?;
        if digest == kept.raw_digest {
            return Ok((digest, None, counts));
        }
        let built = Input::file(raw.path(), self.progress, self.cancel)?.called("the image that was built beside it");
        let difference = inspect::diff(&Input::image(store, kept.clone())?, &built, Options { times: true }, Limits::USUAL, self.cancel)?;
        Ok((digest, Some(difference), counts))
    }
}
