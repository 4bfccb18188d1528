//! The counters of the index (totals, and the live bytes of packs), added up again from its rows.

use std::collections::{BTreeMap, HashMap};

use super::Snapshot;
use crate::digest::Digest;
use crate::format::row::{BlobRow, ChunkRow, PackRow, Row};
use crate::format::totals::{Amount, Share, Total, TotalRow};
use crate::store::error::Result;
use crate::store::index::WriteTxn;

/// What the rows add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    totals: BTreeMap<Total, Amount>,
    live: HashMap<Digest, u64>,
}

impl Sums {
    fn add(&mut self, row: &impl Row) {
        let Share { total, live } = row.share();
        if let Some((total, amount)) = total {
            let sum = self.totals.entry(total).or_default();
            *sum = sum.plus(amount);
        }
        if let Some((pack, len)) = live {
            *self.live.entry(pack).or_default() += len;
        }
    }

    fn live_of(&self, pack: &Digest) -> u64 {
        self.live.get(pack).copied().unwrap_or(0)
    }
}

/// How many counters say something else than the rows.
pub(super) fn wrong(snapshot: &Snapshot) -> u64 {
    let mut sums = Sums::default();
    snapshot.blobs.values().for_each(|row| sums.add(row));
    snapshot.chunks.values().for_each(|row| sums.add(row));
    snapshot.packs.values().for_each(|row| sums.add(row));
    let live = snapshot.packs.iter().filter(|(id, row)| row.live_len != sums.live_of(id)).count();
    (live + differences(&snapshot.totals, &sums.totals)) as u64
}

/// A total that is not there is one of nothing.
fn differences(found: &BTreeMap<Total, Amount>, counted: &BTreeMap<Total, Amount>) -> usize {
    let amount = |totals: &BTreeMap<Total, Amount>, total| totals.get(total).copied().unwrap_or_default();
    let more = counted.keys().filter(|total| !found.contains_key(total));
    found.keys().chain(more).filter(|total| amount(found, total) != amount(counted, total)).count()
}

impl WriteTxn<'_> {
    /// Makes all counters what the rows add up to; returns how many were not. Nothing may be changed in this transaction afterwards.
    pub(super) fn put_counters(&self) -> Result<u64> {
        self.settle()?;
        let mut sums = Sums::default();
        self.table::<BlobRow>()?.all()?.iter().for_each(|(_, row)| sums.add(row));
        self.table::<ChunkRow>()?.all()?.iter().for_each(|(_, row)| sums.add(row));
        let mut corrected = 0;
        {
            let mut packs = self.table::<PackRow>()?;
            for (key, row) in packs.all()? {
                let Ok(id) = key.as_slice().try_into().map(Digest::from_bytes) else { continue };
                let row = PackRow { live_len: sums.live_of(&id), ..row };
                corrected += u64::from(packs.get(&key)? != Some(row));
                packs.put(&key, &row)?;
                sums.add(&row);
            }
        }
        // The new live lengths have changed the totals, too.
        self.settle()?;
        let mut totals = self.table::<TotalRow>()?;
        let mut found = BTreeMap::new();
        for (key, row) in totals.all()? {
            match Total::from_key(&key) {
                Some(total) => drop(found.insert(total, row.0)),
                None => totals.remove(&key)?,
            }
        }
        corrected += differences(&found, &sums.totals) as u64;
        for total in found.keys() {
            totals.remove(&total.key())?;
        }
        for (total, amount) in &sums.totals {
            totals.put(&total.key(), &TotalRow(*amount))?;
        }
        Ok(corrected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Coordinates, PackageCache};
    use crate::digest::Sha256;
    use crate::format::blob::BlobKind;
    use crate::format::totals::{Class, State};
    use crate::progress::{Cancel, Silent};
    use crate::store::Store;

    #[test]
    fn wrong_counters_are_found_and_put_right() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let name = Coordinates::new("a", "1", "all", "debian").unwrap();
        PackageCache::new(&store).insert(&name, &Sha256::of(b"a"), &mut b"a".as_slice()).unwrap();
        let check = || store.check(&Silent, &Cancel::default()).unwrap();
        assert!(!check().is_damaged());
        let right = store.totals().unwrap();
        let txn = store.write().unwrap();
        for (class, state) in [(BlobKind::Package, State::Own), (BlobKind::Alias, State::Lost)] {
            let total = Total { class: Class::Blob(class), state };
            txn.put(&total.key(), &TotalRow(Amount::one(7, 7))).unwrap();
        }
        txn.commit().unwrap();
        let findings = check();
        assert_eq!((findings.counters, findings.is_damaged()), (2, true));
        assert_eq!(store.repair(&findings, &Cancel::default()).unwrap().corrected, 2);
        let some = |totals: Vec<(Total, Amount)>| totals.into_iter().filter(|(_, amount)| amount.count > 0).collect::<Vec<_>>();
        assert_eq!((check().counters, some(store.totals().unwrap())), (0, some(right)));
    }
}
