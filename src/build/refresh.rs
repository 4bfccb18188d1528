//! `--refresh`: whether the repositories still have for a spec what its kept image is made of.

use super::{Build, Error, Resolved};
use crate::cache::{ImageCache, ImageRecord};
use crate::format::cbor;
use crate::resolve::{self, Lock, PackageChange};

/// The longest lock that is read, in bytes.
const LOCK_LIMIT: usize = 64 << 20;

/// The packages of a kept image; none where they are not known.
pub(super) fn kept_lock(cache: &ImageCache<'_>, image: &ImageRecord) -> Result<Option<Lock>, Error> {
    match cache.read_lock(image) {
        Ok(bytes) => Ok(cbor::decode(&bytes, LOCK_LIMIT).ok().filter(|_| image.imported.is_none())),
        Err(error) if error.is_damage() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the repositories have for a spec whose image is kept.
pub(super) enum Refreshed {
    /// What the image is made of.
    Current,
    /// Something else; none where nobody knows what the image is made of, and so nobody was asked.
    Other(Option<Box<Resolved>>),
}

impl Build<'_> {
    /// Asks the repositories, and compares the packages that they have for the spec with those of the image. A release that only has another date is no
    /// difference. An image whose packages are not known is not current.
    pub(super) fn refreshed(&self, cache: &ImageCache<'_>, image: &ImageRecord) -> Result<Refreshed, Error> {
        let Some(kept) = kept_lock(cache, image)? else { return Ok(Refreshed::Other(None)) };
        let client = self.client()?;
        let resolved = self.resolve(self.universe(&client)?, &client)?;
        let changes = resolve::changes(&kept, &resolved.lock);
        for change in &changes {
            self.journal.note(&match change {
                PackageChange::Added { name, version } => format!("refresh: + {name} {version}"),
                PackageChange::Removed { name, version } => format!("refresh: - {name} {version}"),
                PackageChange::Changed { name, from, to } => format!("refresh: {name} {from} is {to} now"),
            });
        }
        Ok(if changes.is_empty() { Refreshed::Current } else { Refreshed::Other(Some(Box::new(resolved))) })
    }
}
