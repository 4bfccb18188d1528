//! What the changes of one write transaction mean for the counters of the index.
//!
//! Every row that is put or removed passes through here (`index.rs`), so nobody who changes rows can forget the counters.

use std::collections::{BTreeMap, HashMap};

use crate::digest::Digest;
use crate::format::row::Row;
use crate::format::totals::{Amount, Share, Total};

/// The changes so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    totals: BTreeMap<Total, Change>,
    live: HashMap<Digest, i64>,
}

/// What came to a total, and what went from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    came: Amount,
    went: Amount,
}

impl Change {
    /// The total after the change.
    pub(crate) fn apply(self, before: Amount) -> Amount {
        before.plus(self.came).minus(self.went)
    }
}

impl Tally {
    /// Takes note of a row that was there before, or is there now, or both.
    pub(crate) fn change<R: Row>(&mut self, before: Option<&R>, after: Option<&R>) {
        let (before, after) = (before.map(Row::share).unwrap_or_default(), after.map(Row::share).unwrap_or_default());
        if before == after {
            return;
        }
        let Share { total, live } = before;
        if let Some((total, amount)) = total {
            let change = self.totals.entry(total).or_default();
            change.went = change.went.plus(amount);
        }
        if let Some((pack, len)) = live {
            let change = self.live.entry(pack).or_default();
            *change = change.saturating_sub_unsigned(len);
        }
        let Share { total, live } = after;
        if let Some((total, amount)) = total {
            let change = self.totals.entry(total).or_default();
            change.came = change.came.plus(amount);
        }
        if let Some((pack, len)) = live {
            let change = self.live.entry(pack).or_default();
            *change = change.saturating_add_unsigned(len);
        }
    }

    /// The changes of packs' live bytes, which count as applied from now on.
    pub(crate) fn take_live(&mut self) -> HashMap<Digest, i64> {
        std::mem::take(&mut self.live)
    }

    /// The changes of totals, which count as applied from now on.
    pub(crate) fn take_totals(&mut self) -> BTreeMap<Total, Change> {
        std::mem::take(&mut self.totals)
    }
}
