//! Where the time of a build went.

use std::time::Duration;

use crate::progress::Phase;

/// The most items that are kept: ten times what a large image has.
pub(super) const ITEMS_LIMIT: usize = 20_000;

/// What a build did, and when. All times are counted from its begin.
#[derive(Debug, Clone, Default)]
pub struct Timings {
    /// The phases as they came; one may come several times, and several may go on at once.
    pub phases: Vec<PhaseSpan>,
    /// What they did, in the order in which it was done.
    pub items: Vec<ItemSpan>,
}

/// One phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub begun: Duration,
    /// How long it took.
    pub took: Duration,
}

/// One thing that a phase did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemSpan {
    /// Which phase.
    pub phase: Phase,
    /// The package, or the program of the image.
    pub name: String,
    /// How long its file is in bytes; 0 where it has none.
    pub bytes: u64,
    /// When it began.
    pub begun: Duration,
    /// How long it took.
    pub took: Duration,
}

impl Timings {
    /// Each phase once, in the order in which they began first, with all that it took.
    pub fn sums(&self) -> Vec<(Phase, Duration)> {
        let mut sums: Vec<(Phase, Duration)> = Vec::new();
        for span in &self.phases {
            match sums.iter_mut().find(|(phase, _)| *phase == span.phase) {
                Some((_, sum)) => *sum += span.took,
                None => sums.push((span.phase, span.took)),
            }
        }
        sums
    }
}
