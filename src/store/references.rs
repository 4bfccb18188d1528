//! Counts of references: how many names and documents point to a blob, and how many manifests name a chunk.
//!
//! A count changes in the transaction that changes what it counts. A manifest that is lost counts nothing, since nobody can say what it names; it counts
//! again when it is mended.

use std::collections::HashMap;

use super::damage::quarantine;
use super::error::{Error, Result};
use super::index::WriteTxn;
use super::{Store, open_file};
use crate::digest::Digest;
use crate::format::blob::BlobKind;
use crate::format::manifest::{MANIFEST_LIMIT, Manifest};
use crate::format::row::{BlobRow, ChunkRow};

impl WriteTxn<'_> {
    /// Gives a blob one more reference.
    pub(crate) fn retain(&self, digest: &Digest) -> Result<()> {
        self.count(digest, |references| references.saturating_add(1)).map(drop)
    }

    /// Takes a reference from a blob; returns how many are left. At zero it stays until it is collected.
    pub(crate) fn release(&self, digest: &Digest) -> Result<u32> {
        self.count(digest, |references| references.saturating_sub(1))
    }

    fn count(&self, digest: &Digest, change: impl Fn(u32) -> u32) -> Result<u32> {
        let mut blobs = self.table::<BlobRow>()?;
        let Some(mut row) = blobs.get(digest.as_bytes())? else { return Ok(0) };
        row.references = change(row.references);
        blobs.put(digest.as_bytes(), &row)?;
        Ok(row.references)
    }

    /// Takes a reference from each of these chunks: their manifest goes.
    pub(crate) fn release_chunks(&self, chunks: &[Digest]) -> Result<()> {
        let mut rows = self.table::<ChunkRow>()?;
        for digest in chunks {
            let Some(row) = rows.get(digest.as_bytes())? else { continue };
            let references = row.references.saturating_sub(1);
            // Nobody can use the bytes of a lost one again.
            if row.lost && references == 0 {
                rows.remove(digest.as_bytes())?;
            } else {
                rows.put(digest.as_bytes(), &ChunkRow { references, ..row })?;
            }
        }
        Ok(())
    }

    /// Counts the references of all chunks anew. Manifests that turn out to be damaged on the way are lost, too.
    pub(crate) fn recount_chunks(&self, store: &Store) -> Result<()> {
        let mut counts: HashMap<Digest, u32> = HashMap::new();
        let mut blobs = self.table::<BlobRow>()?;
        for (key, row) in blobs.all()? {
            let Some(digest) = key.try_into().ok().map(Digest::from_bytes) else { continue };
            if row.kind != BlobKind::Manifest || row.lost {
                continue;
            }
            match store.chunks_of(&digest) {
                Ok(chunks) => chunks.into_iter().for_each(|chunk| *counts.entry(chunk).or_default() += 1),
                Err(Error::Damaged(damage)) => {
                    quarantine(&store.layout, &damage.path)?;
                    blobs.put(digest.as_bytes(), &BlobRow { lost: true, ..row })?;
                }
                Err(error) => return Err(error),
            }
        }
        let mut chunks = self.table::<ChunkRow>()?;
        for (key, row) in chunks.all()? {
            let references = <[u8; 32]>::try_from(key.as_slice()).ok().and_then(|key| counts.get(&Digest::from_bytes(key)).copied()).unwrap_or(0);
            if row.references != references {
                chunks.put(&key, &ChunkRow { references, ..row })?;
            }
        }
        Ok(())
    }
}

impl Store {
    /// The chunks that a manifest names, each once. Damage is not marked: this may run inside the write transaction.
    pub(super) fn chunks_of(&self, manifest: &Digest) -> Result<Vec<Digest>> {
        let bytes = open_file(&self.layout.blob(manifest), manifest)?.read_all(MANIFEST_LIMIT as u64)?;
        Ok(Manifest::decode(&bytes)?.chunks())
    }
}
