//! What the store holds, from the counters of its index: nobody walks. Only plain packages, which the index has among the files of repositories, are counted
//! one by one.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::{Result, plain};
use crate::format::blob::BlobKind;
use crate::format::pack;
use crate::format::row::{BlobRow, MetadataRow, Row as _};
use crate::format::totals::{Amount, Class, State, Total};
use crate::store::{Beside, ReadTxn, Store};

/// What a class takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassUse {
    /// How many.
    pub count: u64,
    /// Bytes as they were before they were compressed.
    pub raw_len: u64,
    /// Bytes on disk.
    pub on_disk: u64,
    /// Those of them that one name or image needs.
    pub own: u64,
    /// Those that several need.
    pub shared: u64,
    /// Those that nothing needs any more.
    pub unused: u64,
}

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Files of packages.
    pub packages: ClassUse,
    /// Files of repositories.
    pub metadata: ClassUse,
    /// Packages that are kept decompressed, too.
    pub plain: ClassUse,
    /// Further names of packages and metadata.
    pub names: ClassUse,
    /// Images, with their manifests, records, locks and packs; what root trees take is in it, whose packs they share.
    pub images: ClassUse,
    /// How many root trees there are.
    pub roots: u64,
    /// How many chunks the images are made of.
    pub chunks: u64,
    /// In how many packs.
    pub packs: u64,
    /// How many blobs and chunks were found damaged or missing, and were not mended since. They take nothing.
    pub lost: u64,
    /// What no counter knows.
    pub beside: Beside,
    /// Bytes on disk of all of it.
    pub on_disk: u64,
    /// Bytes that are free on the file system.
    pub free: u64,
}

impl ClassUse {
    /// Adds blobs in a state.
    fn add(&mut self, state: State, amount: &Amount) {
        self.count += amount.count;
        self.raw_len = self.raw_len.saturating_add(amount.raw_len);
        self.on_disk = self.on_disk.saturating_add(amount.stored_len);
        self.part(state, amount.stored_len);
    }

    fn part(&mut self, state: State, stored_len: u64) {
        match state {
            State::Own => self.own = self.own.saturating_add(stored_len),
            State::Shared => self.shared = self.shared.saturating_add(stored_len),
            State::Free => self.unused = self.unused.saturating_add(stored_len),
            State::Lost => {}
        }
    }
}

/// What each plain package has added to the counters.
fn plain_shares(txn: &ReadTxn<'_>) -> Result<Vec<(Total, Amount)>> {
    let mut blobs = HashSet::new();
    txn.scan::<MetadataRow>(&[], |key, row| {
        blobs.extend(plain::is_one(key, &row).then_some(row.blob));
        Ok(ControlFlow::Continue(()))
    })?;
    let rows = txn.get_all::<BlobRow>(blobs.iter().map(|blob| blob.as_bytes().as_slice()))?;
    Ok(rows.into_iter().flatten().filter_map(|row| row.share().total).filter(|(total, _)| total.state != State::Lost).collect())
}

/// Adds up what the store holds.
///
/// # Errors
/// An index that cannot be read, a directory that cannot be listed.
pub fn disk_use(store: &Store) -> Result<DiskUse> {
    let txn = store.read()?;
    let (mut totals, plain) = (txn.totals()?, plain_shares(&txn)?);
    for (of, share) in &plain {
        for (_, amount) in totals.iter_mut().filter(|(total, _)| total == of) {
            amount.count = amount.count.saturating_sub(share.count);
            amount.raw_len = amount.raw_len.saturating_sub(share.raw_len);
            amount.stored_len = amount.stored_len.saturating_sub(share.stored_len);
        }
    }
    let mut found = add_up(&totals);
    for (total, share) in &plain {
        found.plain.add(total.state, share);
    }
    found.beside = store.beside()?;
    found.free = store.free_bytes()?;
    let Beside { index, partials, quarantine } = found.beside;
    let classes = [found.packages, found.metadata, found.plain, found.names, found.images];
    found.on_disk = classes.iter().map(|class| class.on_disk).chain([index, partials.len, quarantine.len]).fold(0, u64::saturating_add);
    Ok(found)
}

/// What packages and files of repositories take in the store, in bytes: what [`Limits::package_bytes`](super::collect::Limits) is the limit of.
///
/// # Errors
/// An index that cannot be read.
pub fn package_bytes(store: &Store) -> Result<u64> {
    let DiskUse { packages, metadata, names, .. } = add_up(&store.totals()?);
    Ok([packages, metadata, names].iter().map(|class| class.on_disk).fold(0, u64::saturating_add))
}

fn add_up(totals: &[(Total, Amount)]) -> DiskUse {
    let mut found = DiskUse::default();
    let mut live = 0;
    for (Total { class, state }, amount) in totals {
        let blobs = match class {
            _ if *state == State::Lost => {
                found.lost += amount.count;
                continue;
            }
            Class::Blob(BlobKind::Package) => &mut found.packages,
            Class::Blob(BlobKind::Metadata) => &mut found.metadata,
            Class::Blob(BlobKind::Alias) => &mut found.names,
            Class::Blob(kind) => {
                // Each image has one record.
                let count = if *kind == BlobKind::Image { amount.count } else { 0 };
                found.roots += if *kind == BlobKind::Root { amount.count } else { 0 };
                found.images.add(*state, &Amount { count, ..*amount });
                continue;
            }
            Class::Chunk => {
                found.chunks += amount.count;
                found.images.raw_len = found.images.raw_len.saturating_add(amount.raw_len);
                if *state != State::Free {
                    found.images.part(*state, amount.stored_len);
                    live += amount.count;
                }
                continue;
            }
            Class::Pack => {
                found.packs += amount.count;
                found.images.on_disk = found.images.on_disk.saturating_add(amount.stored_len);
                // Here the raw length is that of the live frames.
                found.images.unused = found.images.unused.saturating_add(amount.stored_len.saturating_sub(amount.raw_len));
                continue;
            }
        };
        blobs.add(*state, amount);
    }
    // The tables of packs are needed as long as their chunks are.
    let tables = pack::overhead(0).saturating_mul(found.packs).saturating_add((pack::overhead(1) - pack::overhead(0)).saturating_mul(live));
    found.images.unused = found.images.unused.saturating_sub(tables);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(class: Class, state: State, [count, raw_len, stored_len]: [u64; 3]) -> (Total, Amount) {
        (Total { class, state }, Amount { count, raw_len, stored_len })
    }

    #[test]
    fn classes_are_added_up_by_state() {
        let blob = Class::Blob;
        let found = add_up(&[
            total(blob(BlobKind::Package), State::Own, [3, 300, 200]),
            total(blob(BlobKind::Package), State::Shared, [1, 100, 50]),
            total(blob(BlobKind::Package), State::Free, [2, 20, 10]),
            total(blob(BlobKind::Package), State::Lost, [1, 7, 7]),
            total(blob(BlobKind::Metadata), State::Own, [1, 30, 20]),
            total(blob(BlobKind::Alias), State::Own, [1, 9, 8]),
            total(blob(BlobKind::Image), State::Own, [2, 4, 4]),
            total(blob(BlobKind::Manifest), State::Own, [2, 6, 6]),
            total(blob(BlobKind::Document), State::Shared, [1, 5, 5]),
            total(Class::Chunk, State::Own, [10, 1000, 500]),
            total(Class::Chunk, State::Shared, [5, 500, 250]),
            total(Class::Chunk, State::Free, [2, 200, 100]),
            total(Class::Chunk, State::Lost, [1, 200, 100]),
            total(Class::Pack, State::Own, [1, 750, 750 + 100 + pack::overhead(17)]),
        ]);
        assert_eq!(found.packages, ClassUse { count: 6, raw_len: 420, on_disk: 260, own: 200, shared: 50, unused: 10 });
        assert_eq!(found.metadata, ClassUse { count: 1, raw_len: 30, on_disk: 20, own: 20, shared: 0, unused: 0 });
        assert_eq!(found.names, ClassUse { count: 1, raw_len: 9, on_disk: 8, own: 8, shared: 0, unused: 0 });
        // The two dead chunks and their places in the table.
        let unused = 100 + pack::overhead(17) - pack::overhead(15);
        let on_disk = 15 + 850 + pack::overhead(17);
        assert_eq!(found.images, ClassUse { count: 2, raw_len: 1715, on_disk, own: 510, shared: 255, unused });
        assert_eq!((found.chunks, found.packs, found.lost), (17, 1, 2));
    }
}
