//! What the store has kept of an archive's metadata.
//!
//! Only what is proven is kept: Release files after their signatures were checked (where the user wants that), indexes as they came and after their digests
//! were. They are checked again whenever they are read, against today's keyring and the Release that they come with.
//!
//! Beside an index stands the [`List`] that was made of it here. It is used in the place of the index where the Release vouches for the digest that it was made
//! from. That it was made from that is this store's own word, as with everything else that this program has built: no bundle can bring such a list.

use std::sync::Arc;

use crate::cache::{MetadataAttributes, MetadataCache, NewMetadata};
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

/// A file that a list of packages can have been made of.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Beneath the archive's base address.
    pub(super) path: String,
    /// What vouches for it says this of it.
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
    /// The list that was made now, and of what, to be kept after the index.
    pub(super) made: Option<(Arc<List>, Source)>,
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

    /// The packages of the list that was made of one of `sources` for systems of the architecture `arch`, as `records` reads it. A list counts only where that
    /// source is kept, too: it is what can be given to another store.
    pub(super) fn listed(
        &self,
        sources: impl IntoIterator<Item = Source>,
        arch: &str,
        records: impl Fn(&Arc<List>) -> Result<Vec<PackageRecord>, Unreadable>,
    ) -> Result<Option<Listed>, Error> {
        let Some(cache) = self.cache else { return Ok(None) };
        for Source { path, sha256 } in sources {
            let list_path = list_path(&path, arch);
            let Some(entry) = cache.lookup(self.archive, &list_path)?.filter(|entry| entry.made_from == Some(sha256)) else { continue };
            if cache.lookup(self.archive, &path)?.is_none() {
                continue;
            }
            let bytes = match cache.read(&entry) {
                Ok(bytes) => bytes,
                Err(error) if error.is_damage() => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(list) = List::read(bytes).ok().map(Arc::new).filter(|list| list.head().arch == arch) else { continue };
            let Ok(records) = records(&list) else { continue };
            cache.mark_used(self.archive, &list_path);
            cache.mark_used(self.archive, &path);
            return Ok(Some(Listed { records, head: list.head().clone(), made: None, proof: Proof::again(path) }));
        }
        Ok(None)
    }

    /// Keeps a list beside the file that it was made of, if that is kept. It can be made again, so a store that has no room for it ends nothing.
    pub(super) fn keep_list(&self, list: &List, source: &Source) {
        let Some(cache) = self.cache.filter(|cache| cache.is_writable()) else { return };
        let attributes = MetadataAttributes::of_made(source.sha256);
        let _ = cache.insert(self.archive, &list_path(&source.path, &list.head().arch), list.bytes(), &attributes);
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

/// Where the list of an index is kept. No file of a repository is asked for that has a space in its name.
fn list_path(path: &str, arch: &str) -> String {
    format!("{path} for {arch}")
}
