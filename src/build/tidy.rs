//! The end of a command that stores things: what was used is written down, and the caches are brought within their limits.

use serde::Serialize;

use super::error::with_causes;
use crate::cache::collect::{self, Clean, Limit, Limits, Plan};
use crate::progress::{Cancel, Event, Progress};
use crate::store::Store;
use crate::units::ByteSize;

/// What went so that the caches keep to their limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collection {
    /// Packages.
    pub packages: usize,
    /// Packages that were kept decompressed, too.
    pub plain: usize,
    /// Images.
    pub images: usize,
    /// Roots that went.
    pub roots: usize,
    /// Bytes on disk that this freed, unused leftovers included.
    pub freed: ByteSize,
    /// What is still over its limit, because all the rest is pinned or in use: `package_size`, `image_size`, `image_count`, `min_free`.
    pub unmet: Vec<Limit>,
}

/// Writes down what was used, lets go of it, and brings the caches within their limits. None where there was nothing to do, or nothing can be. What fails here is a warning:
/// the command has done its work.
pub fn tidy(store: &Store, limits: Limits, progress: &dyn Progress, cancel: &Cancel) -> Option<Collection> {
    let warn = |what: &str, error: String| progress.report(Event::Warning(&format!("{what}: {error}")));
    if let Err(error) = store.flush() {
        warn("the store could not note what was used", with_causes(&error));
    }
    if !store.is_writable() {
        return None;
    }
    let collected = collect::plan(store, &limits, false).and_then(|plan| {
        let done = if plan.is_empty() { collect::Collected::default() } else { collect::carry_out(store, &plan, progress, cancel)? };
        Ok((plan, done))
    });
    match collected {
        Ok((plan, done)) => summary(&plan, done.freed),
        Err(error) => {
            warn("the caches could not be brought within their limits", with_causes(&error));
            None
        }
    }
}

/// What makes room in a store; none where nothing that we know would.
pub fn room_hint(store: &Store, limits: &Limits) -> Option<String> {
    let freed = |plan: Result<Plan, _>| plan.ok().map(|plan: Plan| plan.freed);
    let gc = freed(collect::plan(store, limits, true));
    room(gc, freed(collect::plan_clean(store, &Clean { packages: true, images: true, roots: true, rest: true })))
}

/// The same where a collection and a cleaning would free so many bytes. An index that has met a full disk while it was written cannot tell any more.
fn room(gc: Option<u64>, clean: Option<u64>) -> Option<String> {
    match (gc, clean) {
        (Some(0), Some(0)) => None,
        (Some(0), Some(clean)) => {
            Some(format!("“image-composer cache gc” would free nothing, “image-composer cache clean --all” {}", ByteSize(clean)))
        }
        (None, _) | (Some(0), None) => Some("“image-composer cache gc” and “image-composer cache clean” make room".to_owned()),
        (Some(gc), _) => Some(format!("“image-composer cache gc” would free {}", ByteSize(gc))),
    }
}

fn summary(plan: &Plan, freed: u64) -> Option<Collection> {
    let collection = Collection {
        packages: plan.packages(),
        plain: plan.plain(),
        images: plan.images(),
        roots: plan.roots(),
        freed: ByteSize(freed),
        unmet: plan.unmet.clone(),
    };
    (collection != Collection::default()).then_some(collection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_out_of_a_full_store_is_told_where_there_may_be_one() {
        let said = |gc, clean| room(gc, clean).unwrap_or_default();
        assert_eq!(said(Some(0), Some(0)), "");
        assert_eq!(said(Some(0), Some(1024)), "“image-composer cache gc” would free nothing, “image-composer cache clean --all” 1.00 KiB");
        assert_eq!(said(Some(2048), None), "“image-composer cache gc” would free 2.00 KiB");
        for (gc, clean) in [(None, None), (Some(0), None), (None, Some(0))] {
            assert_eq!(said(gc, clean), "“image-composer cache gc” and “image-composer cache clean” make room");
        }
    }
}
