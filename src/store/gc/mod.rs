//! Takes away what nothing refers to any more.
//!
//! ```text
//!  blobs without references ─► trash   manifests among them ─► their chunks' counts ─► packs without live chunks ─► trash
//!                                                                                 └─► packs that are half empty ─► written anew, then trash
//! ```
//!
//! Which names go is policy, and not decided here (`cache/collect`). What a live lease holds stays. Each step is a transaction of its own that leaves the
//! store whole: a collection that dies is finished by the next one.

mod foresee;
mod rewrite;
mod strays;

pub(crate) use foresee::Foresight;
pub(crate) use strays::{Stray, StrayKind};

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::error::{Object, Result};
use super::index::{ReadTxn, WriteTxn};
use super::{Store, failpoint};
use crate::digest::Digest;
use crate::format::blob::BlobKind;
use crate::format::pack::Entry;
use crate::format::row::{BlobRow, ChunkRow, PackRow, TrashRow};
use crate::format::totals::{Amount, State, Total, TotalRow};
use crate::progress::{Cancel, Progress};

impl ReadTxn<'_> {
    /// The counters of the index.
    pub(crate) fn totals(&self) -> Result<Vec<(Total, Amount)>> {
        let mut totals = Vec::new();
        self.scan::<TotalRow>(&[], |key, row| {
            totals.extend(Total::from_key(key).map(|total| (total, row.0)));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(totals)
    }

    /// The blobs that nothing refers to, lost ones included.
    pub(crate) fn unreferenced(&self) -> Result<Vec<(Digest, BlobRow)>> {
        let mut found = Vec::new();
        // Lost ones are counted together, whatever refers to them.
        let any = |(total, amount): &(Total, Amount)| matches!(total.state, State::Free | State::Lost) && amount.count > 0;
        if self.totals()?.iter().any(any) {
            self.scan::<BlobRow>(&[], |key, row| {
                let digest = key.try_into().ok().map(Digest::from_bytes).filter(|_| row.references == 0);
                found.extend(digest.map(|digest| (digest, row)));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(found)
    }
}

impl Store {
    /// The counters of the index: how much there is of everything.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn totals(&self) -> Result<Vec<(Total, Amount)>> {
        self.read()?.totals()
    }

    /// Removes what nothing refers to and nobody holds: blobs, chunks, packs. Packs of which less than half is live are written anew, and those named in
    /// `rewrite`. Returns how many bytes the store shrank by. Reports files that go as [`Phase::Remove`](crate::progress::Phase::Remove), which the caller begins
    /// and ends.
    ///
    /// # Errors
    /// An index that cannot be written, a file that cannot be read, written or unlinked, the user's wish to stop. What was done by then is whole.
    pub(crate) fn sweep(&self, rewrite: &[Digest], progress: &dyn Progress, cancel: &Cancel) -> Result<u64> {
        self.drop_blobs(cancel)?;
        // First the room that costs none.
        let freed = self.empty_trash(progress)?;
        let added = match self.rewrite_packs(rewrite, progress, cancel) {
            Ok(added) => added,
            // A pack for which there is no room even once stays as it is.
            Err(error) if error.is_full() => return Ok(freed),
            Err(error) => return Err(error),
        };
        Ok((freed + self.empty_trash(progress)?).saturating_sub(added))
    }

    fn drop_blobs(&self, cancel: &Cancel) -> Result<()> {
        let candidates = self.read()?.unreferenced()?;
        let mut blobs: Vec<(Digest, Option<Vec<Digest>>)> = Vec::with_capacity(candidates.len());
        for (digest, row) in candidates {
            cancel.check()?;
            let chunks = if row.kind == BlobKind::Manifest && !row.lost {
                match self.note_damage(self.chunks_of(&digest)) {
                    Err(error) if error.is_damage() => None,
                    chunks => Some(chunks?),
                }
            } else {
                Some(Vec::new())
            };
            blobs.push((digest, chunks));
        }
        let txn = self.write()?;
        let held = self.held(&txn)?;
        for (digest, chunks) in blobs.iter().filter(|(digest, _)| !held.contains(&Object::Blob(*digest))) {
            let lost = txn.get::<BlobRow>(digest.as_bytes())?.is_some_and(|row| row.lost);
            let chunks = match chunks {
                // A lost manifest counts nothing, so that it takes nothing with it.
                _ if lost => &[],
                Some(chunks) => chunks.as_slice(),
                // One that only could not be read went, and may have come back since.
                None => continue,
            };
            if txn.discard_blob(digest)? {
                txn.release_chunks(chunks)?;
            }
        }
        txn.settle()?;
        let held = held_packs(&held, |digest| txn.get(digest.as_bytes()))?;
        let packs = txn.table::<PackRow>()?.all()?;
        for (key, row) in packs {
            let Some(id) = key.try_into().ok().map(Digest::from_bytes).filter(|id| row.live_len == 0 && !held.contains(id)) else { continue };
            txn.drop_pack(&id, row, self.pack_table(&id).ok().as_deref())?;
        }
        failpoint!("store::gc::dropped");
        txn.commit()
    }
}

/// The packs with something in them that is held. `chunk` finds the row of a chunk.
fn held_packs(held: &HashSet<Object>, chunk: impl Fn(&Digest) -> Result<Option<ChunkRow>>) -> Result<HashSet<Digest>> {
    let mut packs = HashSet::new();
    for object in held {
        match object {
            Object::Pack(id) => packs.extend([*id]),
            Object::Chunk(digest) => packs.extend(chunk(digest)?.map(|row| row.pack)),
            Object::Blob(_) => {}
        }
    }
    Ok(packs)
}

impl WriteTxn<'_> {
    /// Moves a pack to the trash, and removes the rows of the chunks that lie in it. `table` is what the file says that these are; without it they are
    /// searched. A lost chunk that something refers to keeps its row: storing the same bytes mends it.
    fn drop_pack(&self, id: &Digest, row: PackRow, table: Option<&[Entry]>) -> Result<()> {
        let mut chunks = self.table::<ChunkRow>()?;
        let here: Vec<Vec<u8>> = match table {
            Some(table) => table.iter().map(|entry| entry.digest.as_bytes().to_vec()).collect(),
            None => chunks.all()?.into_iter().map(|(key, _)| key).collect(),
        };
        for key in here {
            let goes = |chunk: &ChunkRow| chunk.pack == *id && !(chunk.lost && chunk.references > 0);
            if chunks.get(&key)?.as_ref().is_some_and(goes) {
                chunks.remove(&key)?;
            }
        }
        drop(chunks);
        self.table::<PackRow>()?.remove(id.as_bytes())?;
        self.put(&Object::Pack(*id).key(), &TrashRow { since: super::now(), stored_len: row.stored_len })
    }
}
