//! What a process has used, written down once, when it is done: a write transaction for every package that is looked at would cost more than the look.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::error::Result;
use super::{Store, now};
use crate::format::row::{ImageRow, MetadataRow, PackageRow};
use crate::format::totals::UsageRow;

/// Something that was used, by the key of its row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Used {
    Package(Vec<u8>),
    Metadata(Vec<u8>),
    Image(Vec<u8>),
}

/// A cache whose hits and misses are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// The package cache.
    Packages = 1,
    /// The image cache.
    Images = 2,
    /// The root cache.
    Roots = 3,
}

/// What is to be written down.
#[derive(Debug, Default)]
pub(super) struct Notes {
    used: BTreeMap<Used, u32>,
    usage: BTreeMap<Counted, UsageRow>,
}

impl Store {
    /// Notes that something was used now.
    pub(crate) fn note_use(&self, used: Used) {
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner).used.entry(used).or_default() += 1;
    }

    /// Notes hits, misses and what they saved. `since` is ignored.
    pub(crate) fn note_usage(&self, cache: Counted, usage: &UsageRow) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let row = notes.usage.entry(cache).or_default();
        *row = plus(*row, usage);
    }

    /// What the caches were good for since the store was made, without what is only noted: packages, images, roots.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn usage(&self) -> Result<[UsageRow; 3]> {
        let txn = self.read()?;
        let row = |cache: Counted| Ok::<_, super::Error>(txn.get(&[cache as u8])?.unwrap_or_default());
        Ok([row(Counted::Packages)?, row(Counted::Images)?, row(Counted::Roots)?])
    }

    /// Writes down what was noted, and lets go of what this store holds: its work is done. Rows that are gone are passed over, and so are all notes where
    /// this process may not write.
    ///
    /// # Errors
    /// An index that cannot be written: the notes are lost, which costs nothing but a worse order of eviction.
    pub fn flush(&self) -> Result<()> {
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        if !self.is_writable() {
            return Ok(());
        }
        let now = now();
        let txn = self.write()?;
        for (used, times) in notes.used {
            match used {
                Used::Package(key) => {
                    if let Some(row) = txn.get::<PackageRow>(&key)? {
                        txn.put(&key, &PackageRow { last_used: now, uses: row.uses.saturating_add(times), ..row })?;
                    }
                }
                Used::Metadata(key) => {
                    if let Some(row) = txn.get::<MetadataRow>(&key)? {
                        txn.put(&key, &MetadataRow { last_used: now, ..row })?;
                    }
                }
                Used::Image(key) => {
                    if let Some(row) = txn.get::<ImageRow>(&key)? {
                        txn.put(&key, &ImageRow { last_used: now, uses: row.uses.saturating_add(times), ..row })?;
                    }
                }
            }
        }
        for (cache, usage) in notes.usage {
            let key = [cache as u8];
            let before = txn.get::<UsageRow>(&key)?.unwrap_or(UsageRow { since: now, ..UsageRow::default() });
            txn.put(&key, &plus(before, &usage))?;
        }
        self.let_go(&txn)?;
        txn.commit()
    }
}

fn plus(row: UsageRow, more: &UsageRow) -> UsageRow {
    UsageRow {
        since: row.since,
        hits: row.hits.saturating_add(more.hits),
        misses: row.misses.saturating_add(more.misses),
        saved_bytes: row.saved_bytes.saturating_add(more.saved_bytes),
        saved_millis: row.saved_millis.saturating_add(more.saved_millis),
    }
}
