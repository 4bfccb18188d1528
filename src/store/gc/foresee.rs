//! What would become free if references went: the same counting as the real one, on copies of the rows.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::held_packs;
use crate::digest::Digest;
use crate::format::blob::BlobKind;
use crate::format::row::{BlobRow, ChunkRow, PackRow};
use crate::store::error::{Error, Object, Result};
use crate::store::{ReadTxn, Store};

/// A pack of which less than this part is live is written anew: numerator and denominator. Writing costs as much as it frees at a half.
pub(super) const LIVE: (u64, u64) = (1, 2);

/// The store as it would be.
pub(crate) struct Foresight<'a> {
    store: &'a Store,
    txn: &'a ReadTxn<'a>,
    held: &'a HashSet<Object>,
    blobs: HashMap<Digest, Option<BlobRow>>,
    chunks: HashMap<Digest, Option<ChunkRow>>,
    packs: HashMap<Digest, PackRow>,
    held_packs: HashSet<Digest>,
    freed: HashMap<BlobKind, u64>,
}

/// What becomes of the packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PackOutlook {
    pub(crate) empty: u64,
    pub(crate) rewritten: Vec<Digest>,
    /// Bytes on disk that go.
    pub(crate) freed: u64,
}

impl<'a> Foresight<'a> {
    /// The store as it is, with `held` in use.
    pub(crate) fn new(store: &'a Store, txn: &'a ReadTxn<'a>, held: &'a HashSet<Object>) -> Result<Self> {
        let mut packs = HashMap::new();
        txn.scan::<PackRow>(&[], |key, row| {
            packs.extend(key.try_into().ok().map(|key| (Digest::from_bytes(key), row)));
            Ok(ControlFlow::Continue(()))
        })?;
        let held_packs = held_packs(held, |digest| txn.get(digest.as_bytes()))?;
        Ok(Self { store, txn, held, blobs: HashMap::new(), chunks: HashMap::new(), packs, held_packs, freed: HashMap::new() })
    }

    /// The index as it is.
    pub(crate) fn txn(&self) -> &'a ReadTxn<'a> {
        self.txn
    }

    /// Takes a reference from a blob; returns how many bytes that frees in the end, chunks included.
    pub(crate) fn release(&mut self, digest: &Digest) -> Result<u64> {
        let Some(row) = self.blob(digest)? else { return Ok(0) };
        row.references = row.references.saturating_sub(1);
        if row.references == 0 { self.drop_blob(digest) } else { Ok(0) }
    }

    /// Removes a blob without references; returns how many bytes that frees, chunks included.
    pub(crate) fn drop_blob(&mut self, digest: &Digest) -> Result<u64> {
        if self.held.contains(&Object::Blob(*digest)) {
            return Ok(0);
        }
        let Some(row) = self.blob(digest)?.copied() else { return Ok(0) };
        self.blobs.insert(*digest, None);
        if row.lost {
            return Ok(0);
        }
        *self.freed.entry(row.kind).or_default() += row.stored_len;
        let mut freed = row.stored_len;
        if row.kind == BlobKind::Manifest {
            freed += match self.store.chunks_of(digest) {
                Ok(chunks) => self.release_chunks(&chunks)?,
                // It will be found damaged when it goes, too.
                Err(Error::Damaged(_)) => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(freed)
    }

    fn blob(&mut self, digest: &Digest) -> Result<Option<&mut BlobRow>> {
        if !self.blobs.contains_key(digest) {
            let row = self.txn.get::<BlobRow>(digest.as_bytes())?;
            self.blobs.insert(*digest, row);
        }
        Ok(self.blobs.get_mut(digest).and_then(Option::as_mut))
    }

    fn release_chunks(&mut self, chunks: &[Digest]) -> Result<u64> {
        let unknown: Vec<Digest> = chunks.iter().filter(|digest| !self.chunks.contains_key(*digest)).copied().collect();
        let rows = self.txn.get_all::<ChunkRow>(unknown.iter().map(|digest| digest.as_bytes().as_slice()))?;
        self.chunks.extend(unknown.into_iter().zip(rows));
        let mut freed = 0;
        for digest in chunks {
            let Some(row) = self.chunks.get_mut(digest).and_then(Option::as_mut) else { continue };
            row.references = row.references.saturating_sub(1);
            if row.references == 0 && !row.lost {
                freed += u64::from(row.stored_len);
                if let Some(pack) = self.packs.get_mut(&row.pack) {
                    pack.live_len = pack.live_len.saturating_sub(row.stored_len.into());
                }
            }
        }
        Ok(freed)
    }

    /// Bytes on disk of blobs of these kinds that are gone.
    pub(crate) fn freed(&self, kinds: &[BlobKind]) -> u64 {
        kinds.iter().filter_map(|kind| self.freed.get(kind)).sum()
    }

    /// Bytes in packs that are live.
    pub(crate) fn live_len(&self) -> u64 {
        self.packs.values().map(|pack| pack.live_len).sum()
    }

    /// What becomes of the packs, if those that have anything to give and stand in the way of freeing `wanted` bytes are written anew, too: those with the
    /// most to give first.
    pub(crate) fn packs(&self, wanted: u64) -> PackOutlook {
        let mut outlook = PackOutlook::default();
        let mut others = Vec::new();
        for (id, pack) in self.packs.iter().filter(|(id, _)| !self.held_packs.contains(*id)) {
            if pack.live_len == 0 {
                outlook.empty += 1;
                outlook.freed += pack.stored_len;
            } else if is_sparse(pack) {
                outlook.freed += to_give(pack);
                outlook.rewritten.push(*id);
            } else if to_give(pack) > 0 {
                others.push((to_give(pack), *id));
            }
        }
        others.sort_unstable_by_key(|(give, id)| (std::cmp::Reverse(*give), *id));
        for (give, id) in others {
            if outlook.freed >= wanted {
                break;
            }
            outlook.freed += give;
            outlook.rewritten.push(id);
        }
        outlook.rewritten.sort_unstable();
        outlook
    }
}

/// Whether a pack is worth being written anew. Only its frames count: beside small ones the table is more than half of the file, and would be again.
pub(super) fn is_sparse(pack: &PackRow) -> bool {
    let frames = pack.stored_len.saturating_sub(crate::format::pack::overhead(pack.chunks));
    pack.live_len > 0 && pack.live_len.saturating_mul(LIVE.1) < frames.saturating_mul(LIVE.0)
}

/// Bytes that writing a pack anew frees: its table shrinks with it, which is not counted.
pub(super) fn to_give(pack: &PackRow) -> u64 {
    let table = crate::format::pack::overhead(pack.chunks);
    pack.stored_len.saturating_sub(table).saturating_sub(pack.live_len)
}
