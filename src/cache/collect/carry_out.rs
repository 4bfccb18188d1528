//! Carries a plan out: first the names go, then what nothing refers to any more.

use super::candidates::Candidate;
use super::plan::{Entry, Name, Plan};
use crate::cache::{Result, metadata, package, plain};
use crate::format::row::{ImageRow, MetadataRow, PackageRow};
use crate::progress::{Cancel, Event, Phase, Progress, Silent};
use crate::store::{Object, Store, StrayKind, WriteTxn, failpoint};

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Names that went.
    pub removed: u64,
    /// Names of the plan that stay, because they were used, pinned or taken since.
    pub changed: u64,
    /// Bytes on disk that were freed.
    pub freed: u64,
}

/// Carries a plan out. Reports what goes as [`Phase::Remove`], and packs that are written anew as [`Phase::Rewrite`].
///
/// # Errors
/// A store that cannot be written to, the user's wish to stop. What was done by then is whole, and the next collection does the rest.
pub fn carry_out(store: &Store, plan: &Plan, progress: &dyn Progress, cancel: &Cancel) -> Result<Collected> {
    // Nothing is shown for what a collection before this one has left, if anything.
    let progress = if plan.is_empty() { &Silent } else { progress };
    progress.report(Event::Start { phase: Phase::Remove, total: None });
    let mut collected = Collected::default();
    let names: Vec<&Entry> = plan.entries.iter().filter(|entry| stray(entry).is_none()).collect();
    if !names.is_empty() {
        let txn = store.write()?;
        let held = store.held(&txn)?;
        for entry in names {
            let goes = |candidate: &Candidate| {
                let unchanged = candidate.blobs[0] == entry.blob && candidate.last_used == entry.last_used;
                unchanged && !candidate.pinned && !candidate.blobs.iter().any(|blob| held.contains(&Object::Blob(*blob)))
            };
            if remove(&txn, &entry.name, goes)? {
                collected.removed += 1;
            } else {
                collected.changed += 1;
            }
        }
        failpoint!("cache::collect::names_removed");
        txn.commit()?;
    }
    collected.freed = store.sweep(&plan.rewritten, progress, cancel)?;
    let strays = store.remove_strays(plan.entries.iter().filter_map(stray))?;
    progress.report(Event::Advance { phase: Phase::Remove, by: strays });
    collected.freed += strays;
    collected.removed += plan.entries.iter().filter_map(stray).count() as u64;
    progress.report(Event::Finish { phase: Phase::Remove });
    Ok(collected)
}

fn stray(entry: &Entry) -> Option<(&std::path::Path, StrayKind)> {
    match &entry.name {
        Name::Orphan(path) => Some((path, StrayKind::Orphan)),
        Name::Partial(path) => Some((path, StrayKind::Partial)),
        Name::Quarantined(path) => Some((path, StrayKind::Quarantined)),
        Name::Package(_) | Name::Metadata { .. } | Name::Plain { .. } | Name::Image { .. } | Name::Root { .. } => None,
    }
}

/// Removes a name and its references, if it still is what was planned to go.
fn remove(txn: &WriteTxn<'_>, name: &Name, goes: impl Fn(&Candidate) -> bool) -> Result<bool> {
    let (key, found) = match name {
        Name::Package(coordinates) => {
            let key = package::key(coordinates);
            let found = txn.get::<PackageRow>(&key)?.map(|row| Candidate::package(&key, &row));
            (key, found)
        }
        Name::Metadata { archive, path } => {
            let key = metadata::key(archive, path)?;
            let found = txn.get::<MetadataRow>(&key)?.map(|row| Candidate::metadata(&key, &row));
            (key, found)
        }
        Name::Plain { archive, package } => {
            let key = plain::key_of(archive, package)?;
            let found = txn.get::<MetadataRow>(&key)?.map(|row| Candidate::metadata(&key, &row));
            (key, found)
        }
        Name::Image { spec_hash, .. } => {
            let key = spec_hash.digest().as_bytes().to_vec();
            let found = txn.get::<ImageRow>(&key)?.map(|row| Candidate::image(&key, &row));
            (key, found)
        }
        Name::Root { key, .. } => {
            let key = key.as_bytes().to_vec();
            let found = txn.get::<ImageRow>(&key)?.map(|row| Candidate::image(&key, &row));
            (key, found)
        }
        Name::Partial(_) | Name::Quarantined(_) | Name::Orphan(_) => return Ok(false),
    };
    let Some(candidate) = found.filter(goes) else { return Ok(false) };
    match name {
        Name::Package(_) => txn.table::<PackageRow>()?.remove(&key)?,
        Name::Metadata { .. } | Name::Plain { .. } => txn.table::<MetadataRow>()?.remove(&key)?,
        _ => txn.table::<ImageRow>()?.remove(&key)?,
    }
    for blob in &candidate.blobs {
        txn.release(blob)?;
    }
    Ok(true)
}
