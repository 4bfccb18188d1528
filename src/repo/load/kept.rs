//! What the store has kept of an archive's metadata.
//!
//! Only what is proven is kept: Release files after their signatures were checked (where the user wants that), indexes as they came and after their digests
//! were. They are checked again whenever they are read, against today's keyring and the Release that they come with.
//!
//! Beside an index stands the [`List`] that was made of it here. It is used in the place of the index where the Release vouches for the digest that it was made
//! from. That it was made from that is this store's own word, as with everything else that this program has built: no bundle can bring such a list.

use std::sync::Arc;

use crate::cache::{MadeFrom, MetadataAttributes, MetadataCache, NewMetadata};
use crate::digest::Sha256;
use crate::fetch::Validators;
use crate::repo::error::Error;
use crate::repo::list::{Head, List, Unreadable};
use crate::repo::record::PackageRecord;

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

/// Until when what was kept must have been good: its signature's keys, and its `Valid-Until`.
#[derive(Debug, Clone, Copy)]
pub(super) enum AsOf {
    /// Until it was fetched: it was then seen that no update is withheld.
    Fetched,
    /// Until now, as what comes from a mirror.
    Now,
}

impl AsOf {
    /// In seconds since the epoch.
    pub(super) fn time(self, fetched_at: u64, now: u64) -> u64 {
        match self {
            Self::Fetched => fetched_at.min(now),
            Self::Now => now,
        }
    }
}

/// How an index can have been kept.
pub(super) struct KeptAs {
    /// Beneath the archive's base address: where it is kept now, and where older programs have kept it.
    pub(super) places: Vec<String>,
    /// What vouches for it says this of it, in any of its compressions.
    pub(super) digests: Vec<Sha256>,
}

/// A list that was made now.
pub(super) struct Made {
    pub(super) list: Arc<List>,
    pub(super) index: KeptAs,
    /// The file that it was made from: its path beneath the archive's base address, and its digest.
    pub(super) path: String,
    pub(super) sha256: Sha256,
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

/// The packages of an index.
pub(super) struct Listed {
    pub(super) records: Vec<PackageRecord>,
    /// What else the index said.
    pub(super) head: Head,
    /// The list that was made now, to be kept after the index.
    pub(super) made: Option<Made>,
    /// The index, to be kept.
    pub(super) proof: Proof,
}

impl Proof {
    /// Of a file that is kept, and proven by a digest.
    pub(super) fn again(path: String) -> Self {
        Self { path, new: None, validators: Validators::default(), signers: Vec::new() }
    }
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

    /// The packages of the list that was made of this index for systems of the architecture `arch`, as `records` reads it. A list counts only where the file
    /// that it was made from is kept, too: that is what another store can be given.
    pub(super) fn listed(
        &self,
        index: &KeptAs,
        arch: &str,
        records: impl Fn(&Arc<List>) -> Result<Vec<PackageRecord>, Unreadable>,
    ) -> Result<Option<Listed>, Error> {
        let Some(cache) = self.cache else { return Ok(None) };
        let list_path = index.list_path(arch);
        let Some(entry) = cache.lookup(self.archive, &list_path)? else { return Ok(None) };
        let Some(made_from) = entry.made_from.filter(|made_from| index.digests.contains(&made_from.sha256)) else { return Ok(None) };
        let mut path = None;
        for place in &index.places {
            if cache.lookup(self.archive, place)?.is_some_and(|kept| kept.digest == made_from.blob) {
                path = Some(place.clone());
                break;
            }
        }
        let Some(path) = path else { return Ok(None) };
        let bytes = match cache.read(&entry) {
            Ok(bytes) => bytes,
            Err(error) if error.is_damage() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(list) = List::read(bytes).ok().map(Arc::new).filter(|list| list.head().arch == arch) else { return Ok(None) };
        let Ok(records) = records(&list) else { return Ok(None) };
        cache.mark_used(self.archive, &list_path);
        cache.mark_used(self.archive, &path);
        Ok(Some(Listed { records, head: list.head().clone(), made: None, proof: Proof::again(path) }))
    }

    /// Keeps lists beside the indexes that they were made of, where those are kept. They can be made again, so a store that has no room for them, or is busy for
    /// longer than anybody waits, ends nothing.
    pub(super) fn keep_lists(&self, lists: &[Made]) {
        let Some(cache) = self.cache.filter(|cache| cache.is_writable()) else { return };
        let named = lists.iter().filter_map(|Made { list, index, path, sha256 }| {
            let kept = cache.lookup(self.archive, path).ok()??;
            let attributes = MetadataAttributes::of_made(MadeFrom { sha256: *sha256, blob: kept.digest });
            Some((index.list_path(&list.head().arch), list, attributes))
        });
        let named: Vec<(String, &Arc<List>, MetadataAttributes)> = named.collect();
        let new = named.iter().map(|(path, list, attributes)| NewMetadata { archive: self.archive, path, bytes: list.bytes(), attributes });
        let new: Vec<NewMetadata<'_>> = new.collect();
        if !new.is_empty() {
            let _ = cache.insert_all(&new);
        }
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

impl KeptAs {
    /// Where its list is kept. No file of a repository is asked for that has a space in its name.
    fn list_path(&self, arch: &str) -> String {
        format!("{} for {arch}", self.places.first().map_or("", String::as_str))
    }
}
