//! Rows and files of one moment.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Findings, Orphan};
use crate::digest::Digest;
use crate::format::row::{BlobRow, ChunkRow, ImageRow, MetadataRow, PackRow, PackageRow, Row, TrashRow};
use crate::format::totals::{Amount, Total};
use crate::store::error::{Object, Problem, Result};
use crate::store::files::Files;
use crate::store::{ReadTxn, Store};

/// Rows and files of one moment. A row of a chunk takes about 100 bytes of memory.
pub(super) struct Snapshot {
    pub(super) blobs: HashMap<Digest, BlobRow>,
    pub(super) chunks: HashMap<Digest, ChunkRow>,
    pub(super) packs: HashMap<Digest, PackRow>,
    pub(super) packages: Vec<(Vec<u8>, PackageRow)>,
    pub(super) metadata: Vec<(Vec<u8>, MetadataRow)>,
    pub(super) images: HashMap<Digest, ImageRow>,
    pub(super) totals: BTreeMap<Total, Amount>,
    trash: HashSet<Object>,
    pub(super) files: Files,
}

impl Snapshot {
    pub(super) fn take(store: &Store) -> Result<Self> {
        // Nothing appears or disappears while somebody has the write transaction: rows and files fit.
        let turn = if store.is_writable() { Some(store.write()?) } else { None };
        let txn = store.read()?;
        let snapshot = Self {
            blobs: rows(&txn)?,
            chunks: rows(&txn)?,
            packs: rows(&txn)?,
            packages: txn.all()?,
            metadata: txn.all()?,
            images: rows(&txn)?,
            totals: txn.totals()?.into_iter().collect(),
            trash: txn.all::<TrashRow>()?.iter().filter_map(|(key, _)| Object::from_key(key)).collect(),
            files: Files::of(&store.layout)?,
        };
        drop(turn);
        Ok(snapshot)
    }

    /// Files that no row knows. Those in the trash are known.
    pub(super) fn orphans(&self, store: &Store) -> Vec<Orphan> {
        let blobs = self.files.blobs.iter().filter(|(digest, _)| !self.blobs.contains_key(digest));
        let blobs = blobs.map(|(digest, file)| (Object::Blob(*digest), store.layout.blob(digest), file.len));
        let packs = self.files.packs.iter().filter(|(id, _)| !self.packs.contains_key(id));
        let packs = packs.map(|(id, file)| (Object::Pack(*id), store.layout.pack(id), file.len));
        let unknown = blobs.chain(packs).filter(|(object, ..)| !self.trash.contains(object));
        unknown.map(|(object, path, len)| Orphan { object, path, len }).collect()
    }

    pub(super) fn known_lost(&self) -> u64 {
        let blobs = self.blobs.values().filter(|row| row.lost && row.references > 0).count();
        (blobs + self.chunks.values().filter(|row| row.lost && row.references > 0).count()) as u64
    }
}

fn rows<R: Row>(txn: &ReadTxn<'_>) -> Result<HashMap<Digest, R>> {
    let rows = txn.all::<R>()?;
    Ok(rows.into_iter().filter_map(|(key, row)| Some((Digest::from_bytes(key.try_into().ok()?), row))).collect())
}

impl Store {
    /// Leaves out what other processes have removed, moved or put into its place since the snapshot.
    pub(super) fn drop_outdated(&self, findings: &mut Findings) -> Result<()> {
        let txn = self.read()?;
        let mut kept = Vec::new();
        for damage in std::mem::take(&mut findings.damaged) {
            let is = match damage.object {
                Object::Blob(digest) => txn.get::<BlobRow>(digest.as_bytes())?.is_some_and(|row| !row.lost),
                Object::Chunk(digest) => {
                    let row = txn.get::<ChunkRow>(digest.as_bytes())?.filter(|row| !row.lost);
                    row.is_some_and(|row| self.layout.pack(&row.pack) == damage.path)
                }
                Object::Pack(id) => txn.get::<PackRow>(id.as_bytes())?.is_some(),
            };
            // A file that was missing may have been given up in between, too.
            let back = matches!(damage.problem, Problem::Missing) && damage.path.exists();
            if is && !(back && matches!(damage.object, Object::Blob(_) | Object::Pack(_))) {
                kept.push(damage);
            }
        }
        findings.damaged = kept;
        Ok(())
    }
}
