//! How fast bodies come, and when one comes too slowly to go on with.
//!
//! Only the time counts in which a server is waited for: a receiver that is busy does not make a server slow. The transfers of one client share its link, so
//! the more of them there are, the less each has to bring.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is asked of servers, and how many transfers share the link.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Bytes a second, of all transfers together.
    least: u64,
    window: Duration,
    running: Arc<AtomicU64>,
}

/// A rate that is too low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow {
    /// Bytes a second.
    pub(super) rate: u64,
    /// How long it was looked at.
    pub(super) window: Duration,
}

impl Pace {
    /// At least `least` bytes a second over each `window`.
    pub(super) fn new(least: u64, window: Duration) -> Self {
        Self { least, window, running: Arc::default() }
    }

    /// Begins to measure a body of `length` bytes, where that is known.
    pub(super) fn measure(&self, length: Option<u64>) -> Meter {
        self.running.fetch_add(1, Ordering::Relaxed);
        Meter { pace: self.clone(), left: length, begun: false, bytes: 0, waited: Duration::ZERO, sharers: 0 }
    }
}

/// Measures one body; it counts as one of those that share the link until it is dropped.
#[derive(Debug)]
#[must_use = "a body that nobody measures has no share of the link"]
pub(super) struct Meter {
    pace: Pace,
    /// Bytes that are still to come, where that is known.
    left: Option<u64>,
    /// Whether the first piece has come.
    begun: bool,
    /// What came in this window.
    bytes: u64,
    /// How long it was waited for.
    waited: Duration,
    /// The most transfers that ran in this window.
    sharers: u64,
}

impl Meter {
    /// Counts a piece of so many bytes that was `waited` for so long. Says when a window has passed in which too little came, and there is more to come.
    pub(super) fn count(&mut self, bytes: usize, waited: Duration) -> Option<TooSlow> {
        let bytes = bytes as u64;
        self.left = self.left.map(|left| left.saturating_sub(bytes));
        // A server may need time to begin.
        if !std::mem::replace(&mut self.begun, true) {
            return None;
        }
        self.bytes += bytes;
        self.waited += waited;
        self.sharers = self.sharers.max(self.pace.running.load(Ordering::Relaxed));
        if self.waited < self.pace.window {
            return None;
        }
        let rate = u128::from(self.bytes) * 1_000_000_000 / self.waited.as_nanos().max(1);
        let is_low = rate * u128::from(self.sharers) < u128::from(self.pace.least) && self.left != Some(0);
        (self.bytes, self.waited, self.sharers) = (0, Duration::ZERO, 0);
        is_low.then_some(TooSlow { rate: rate as u64, window: self.pace.window })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.pace.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn pace() -> Pace {
        Pace::new(1_000, MINUTE)
    }

    /// The verdict on so many bytes every so many milliseconds, a hundred thousand times.
    fn verdict(meter: &mut Meter, bytes: usize, every: u64) -> Option<u64> {
        (0..100_000).find_map(|_| meter.count(bytes, Duration::from_millis(every))).map(|slow| slow.rate)
    }

    #[test]
    fn a_drip_is_given_up_and_a_slow_link_is_not() {
        for (bytes, every, expected) in [
            (1, 29_000, Some(0)),
            (1, 10, Some(100)),
            (999, 1_000, Some(999)),
            (1_000, 1_000, None),
            (2_000, 1_000, None),
            (2, 1, None),
            (60_000, 29_000, None),
            // What lies ready is not waited for.
            (1, 0, None),
        ] {
            assert_eq!(verdict(&mut pace().measure(None), bytes, every), expected, "{bytes} bytes every {every} ms");
        }
    }

    #[test]
    fn a_drip_is_given_up_after_the_window_and_not_before() {
        let mut meter = pace().measure(None);
        assert_eq!(meter.count(1, MINUTE), None, "the first byte");
        assert_eq!(meter.count(1, MINUTE / 2), None);
        assert_eq!(meter.count(1, MINUTE / 2), Some(TooSlow { rate: 0, window: MINUTE }));
    }

    #[test]
    fn a_body_that_is_whole_is_never_given_up() {
        for (length, is_whole) in [(3, true), (4, false)] {
            let mut meter = pace().measure(Some(length));
            assert_eq!((meter.count(1, MINUTE), meter.count(1, MINUTE / 2)), (None, None));
            assert_eq!(meter.count(1, MINUTE).is_none(), is_whole, "of {length} bytes");
        }
    }

    #[test]
    fn a_good_minute_does_not_excuse_the_next() {
        let mut meter = pace().measure(None);
        assert_eq!(meter.count(1, MINUTE), None);
        assert_eq!(meter.count(1 << 30, MINUTE), None);
        assert_eq!(meter.count(59_999, MINUTE).map(|slow| slow.rate), Some(999));
    }

    #[test]
    fn transfers_share_the_link() {
        let pace = pace();
        let mut meters: Vec<_> = (0..8).map(|_| pace.measure(None)).collect();
        assert_eq!(verdict(&mut meters[7], 250, 1_000), None);
        assert_eq!(verdict(&mut meters[0], 124, 1_000), Some(124));
        meters.truncate(1);
        assert_eq!(verdict(&mut meters[0], 250, 1_000), Some(250), "it is alone now");
    }
}
