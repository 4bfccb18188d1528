//! Gives what came in with a bundle its place, inside the write transaction.

use std::collections::HashMap;

use crate::digest::Digest;
use crate::format::row::{BlobRow, ChunkRow};
use crate::store::error::{Error, Result};
use crate::store::failpoint::failpoint;
use crate::store::packs::StagedPack;
use crate::store::{Published, StagedBlob, Store, WriteTxn};

/// What came in with a bundle, and was missing.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) blobs: HashMap<Digest, StagedBlob>,
    pub(crate) packs: Vec<StagedPack>,
}

impl Arrived {
    /// How many bytes the store grows by at most.
    pub(crate) fn stored_len(&self) -> u64 {
        self.blobs.values().map(|blob| blob.stored_len).sum::<u64>() + self.packs.iter().map(|pack| pack.stored_len).sum::<u64>()
    }
}

impl WriteTxn<'_> {
    /// Publishes the new packs. Their chunks have no references yet.
    pub(crate) fn publish_packs(&self, store: &Store, arrived: &Arrived) -> Result<()> {
        for pack in &arrived.packs {
            let mut needed = false;
            let mut chunks = self.table::<ChunkRow>()?;
            for entry in &pack.entries {
                let before = chunks.get(entry.digest.as_bytes())?;
                if before.is_none_or(|row| row.lost) {
                    let references = before.map_or(0, |row| row.references);
                    let (pack, offset, stored_len, raw_len) = (pack.id, entry.offset, entry.stored_len, entry.raw_len);
                    chunks.put(entry.digest.as_bytes(), &ChunkRow { lost: false, references, pack, offset, stored_len, raw_len })?;
                    needed = true;
                }
            }
            drop(chunks);
            // What another process has stored meanwhile stays where it is.
            if needed {
                self.publish_pack(store, pack)?;
                failpoint!("store::bundle::pack_published");
            }
        }
        Ok(())
    }

    /// Publishes a blob that came in, or finds the one that was there, with `references` more references.
    ///
    /// # Errors
    /// [`Error::Vanished`] where it was there and is not any more.
    pub(crate) fn publish_arrived(&self, store: &Store, arrived: &Arrived, digest: &Digest, references: u32) -> Result<Published> {
        if let Some(staged) = arrived.blobs.get(digest) {
            return self.publish(store, staged, references);
        }
        let mut blobs = self.table::<BlobRow>()?;
        let mut row = blobs.get(digest.as_bytes())?.filter(|row| !row.lost).ok_or(Error::Vanished)?;
        row.references = row.references.saturating_add(references);
        blobs.put(digest.as_bytes(), &row)?;
        Ok(Published::Known)
    }

    /// Publishes a manifest, with `references` more references. Its chunks must be there.
    ///
    /// # Errors
    /// As for [`WriteTxn::publish_arrived`].
    pub(crate) fn publish_manifest(&self, store: &Store, arrived: &Arrived, digest: &Digest, named: &[Digest], references: u32) -> Result<()> {
        let published = self.publish_arrived(store, arrived, digest, references)?;
        let mut chunks = self.table::<ChunkRow>()?;
        for chunk in named {
            let mut row = chunks.get(chunk.as_bytes())?.filter(|row| !row.lost).ok_or(Error::Vanished)?;
            // A chunk counts the manifests that name it and are not lost, so a manifest that was there before adds nothing.
            if published.counts_anew() {
                row.references = row.references.saturating_add(1);
                chunks.put(chunk.as_bytes(), &row)?;
            }
        }
        Ok(())
    }
}
