//! What the store has kept of an archive's metadata.
//!
//! Only what is proven is kept: Release files after their signatures were checked (where the user wants that), indexes decompressed and after their digests
//! were. They are checked again whenever they are read, against today's keyring and the Release that they come with, so the store itself need not be trusted.

use std::sync::Arc;

use crate::cache::{MetadataAttributes, MetadataCache, NewMetadata};
use crate::fetch::Validators;
use crate::repo::error::Error;

/// The kept metadata of one archive; nothing is ever there, and nothing is kept, without a cache.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) cache: Option<&'a MetadataCache<'a>>,
    pub(super) archive: &'a str,
}

/// A file that was kept.
pub(super) struct KeptFile {
    pub(super) bytes: Vec<u8>,
    /// When a server last said that it is the current one, in seconds since the epoch.
    pub(super) fetched_at: u64,
    pub(super) validators: Validators,
}

/// A proven file of this load.
pub(super) struct Proof {
    /// Beneath the archive's base address.
    pub(super) path: String,
    /// Its bytes, unless the store has them already.
    pub(super) new: Option<Arc<Vec<u8>>>,
    pub(super) validators: Validators,
    /// The fingerprints of the keys that signed it; none for what is proven by a digest.
    pub(super) signers: Vec<String>,
}

impl Kept<'_> {
    /// The kept file at `path`. One that is damaged is not there: the store has noted the damage.
    pub(super) fn read(&self, path: &str) -> Result<Option<KeptFile>, Error> {
        let Some(cache) = self.cache else { return Ok(None) };
        let Some(entry) = cache.lookup(self.archive, path)? else { return Ok(None) };
        let bytes = match cache.read(&entry) {
            Ok(bytes) => bytes,
            Err(error) if error.is_damage() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        cache.mark_used(self.archive, path);
        let validators = Validators { etag: entry.etag, last_modified: entry.last_modified };
        Ok(Some(KeptFile { bytes, fetched_at: entry.fetched_at, validators }))
    }

    /// Keeps what is new, all at once, so that a Release and its indexes stay together; what was there already is marked as current. A store that cannot be
    /// changed keeps nothing.
    pub(super) fn keep(&self, proofs: &[Proof]) -> Result<(), Error> {
        let Some(cache) = self.cache.filter(|cache| cache.is_writable()) else { return Ok(()) };
        let attributes: Vec<MetadataAttributes> = proofs
            .iter()
            .map(|Proof { validators: Validators { etag, last_modified }, signers, .. }| MetadataAttributes {
                etag: etag.clone(),
                last_modified: last_modified.clone(),
                verified_by: signers.clone(),
            })
            .collect();
        let new: Vec<NewMetadata<'_>> = proofs
            .iter()
            .zip(&attributes)
            .filter_map(|(Proof { path, new, .. }, attributes)| Some(NewMetadata { archive: self.archive, path, bytes: new.as_ref()?, attributes }))
            .collect();
        let current: Vec<(&str, &str)> = proofs.iter().filter(|proof| proof.new.is_none()).map(|proof| (self.archive, proof.path.as_str())).collect();
        if !new.is_empty() {
            cache.insert_all(&new)?;
        }
        if !current.is_empty() {
            cache.mark_current(&current)?;
        }
        Ok(())
    }
}
