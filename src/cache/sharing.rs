//! Which kept images are made of the same chunks, and how much of an image nobody else needs.

use std::collections::{BTreeMap, HashSet};

use super::{ImageCache, ImageRecord, Result, SpecHash};
use crate::digest::Digest;
use crate::format::manifest::{MANIFEST_LIMIT, Manifest};
use crate::format::row::ChunkRow;
use crate::store::Store;

/// Who uses the chunks of an image. All sizes are bytes in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// The chunks of the image, whoever else has them.
    pub total: u64,
    /// Those that no other image has: what its removal would free.
    pub own: u64,
    /// The other images that have some of them, the one with the most first.
    pub with: Vec<SharedWith>,
}

/// An image that has chunks of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedWith {
    /// Its key.
    pub spec_hash: SpecHash,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What both are made of.
    pub bytes: u64,
}

/// Compares the image with all others. None where its manifest is damaged; other images with damaged ones are passed over.
///
/// # Errors
/// An index that cannot be read.
pub fn sharing(store: &Store, image: &ImageRecord) -> Result<Option<Sharing>> {
    let chunks = |manifest: &Digest| {
        let bytes = store.peek_blob(manifest, MANIFEST_LIMIT as u64).ok()?;
        Some(Manifest::decode(&bytes).ok()?.chunks())
    };
    let Some(own) = chunks(&image.manifest) else { return Ok(None) };
    let rows = store.read()?.get_all::<ChunkRow>(own.iter().map(|digest| digest.as_bytes().as_slice()))?;
    let lengths: BTreeMap<Digest, u64> = own.into_iter().zip(rows).filter_map(|(digest, row)| Some((digest, u64::from(row?.stored_len)))).collect();
    let mut alone: HashSet<&Digest> = lengths.keys().collect();
    let mut with = Vec::new();
    for other in ImageCache::new(store).list()?.into_iter().filter(|other| other.spec_hash != image.spec_hash) {
        let mut bytes = 0;
        for digest in chunks(&other.manifest).unwrap_or_default() {
            if let Some(length) = lengths.get(&digest) {
                bytes += length;
                alone.remove(&digest);
            }
        }
        if bytes > 0 {
            with.push(SharedWith { spec_hash: other.spec_hash, name: other.name, version: other.version, bytes });
        }
    }
    with.sort_by_key(|other| (std::cmp::Reverse(other.bytes), other.spec_hash));
    let own = alone.into_iter().filter_map(|digest| lengths.get(digest)).sum();
    Ok(Some(Sharing { total: lengths.values().sum(), own, with }))
}
