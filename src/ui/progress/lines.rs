//! Progress as plain lines.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use image_composer::progress::{Event, Tally, label};

/// At most one line in this time says how far a phase is.
const INTERVAL: Duration = Duration::from_secs(5);

/// Turns events into lines.
pub(super) struct Lines {
    begun: Instant,
    state: Mutex<State>,
}

/// The phases under way, and when a line was last said.
#[derive(Default)]
struct State {
    under_way: Vec<Tally>,
    told: Duration,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), state: Mutex::default() }
    }

    /// The line that an event is worth now.
    pub(super) fn report(&self, event: Event<'_>) -> Option<String> {
        // The state is whole between any two statements, so a panic elsewhere has not broken it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = state.take(event, self.begun.elapsed());
        drop(state);
        line
    }
}

impl State {
    fn take(&mut self, event: Event<'_>, now: Duration) -> Option<String> {
        let line = match event {
            Event::Start { phase, total } => {
                self.under_way.retain(|tally| tally.phase != phase);
                let tally = Tally::new(phase, total, now);
                self.under_way.push(tally);
                tally.begin()
            }
            Event::Advance { phase, by } => {
                let tally = self.under_way.iter_mut().find(|tally| tally.phase == phase)?;
                tally.advance(by);
                if now < self.told + INTERVAL {
                    return None;
                }
                format!("{}: {}", label(phase), tally.state(now))
            }
            Event::Finish { phase } => {
                let place = self.under_way.iter().position(|tally| tally.phase == phase)?;
                self.under_way.remove(place).end(now)
            }
            Event::Warning(_) | Event::Talk(_) | Event::Note(_) | Event::Output(_) | Event::Item { .. } => return None,
        };
        self.told = now;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use image_composer::progress::Phase;

    use super::*;

    #[test]
    fn lines_are_few() {
        let mut state = State::default();
        let mut lines = Vec::new();
        let mut take = |event, seconds| lines.extend(state.take(event, Duration::from_secs(seconds)));
        take(Event::Advance { phase: Phase::Unpack, by: 1 }, 0);
        take(Event::Start { phase: Phase::Download, total: Some(100 << 20) }, 0);
        for second in 1..=11 {
            take(Event::Advance { phase: Phase::Download, by: 4 << 20 }, second);
        }
        take(Event::Start { phase: Phase::Configure, total: Some(2) }, 12);
        take(Event::Advance { phase: Phase::Download, by: 4 << 20 }, 13);
        take(Event::Finish { phase: Phase::Download }, 13);
        take(Event::Finish { phase: Phase::Download }, 13);
        take(Event::Finish { phase: Phase::Configure }, 14);
        assert_eq!(
            lines,
            [
                "fetching packages: 100 MiB",
                "fetching packages: 20.0 MiB of 100 MiB, 4.00 MiB/s",
                "fetching packages: 40.0 MiB of 100 MiB, 4.00 MiB/s",
                "configuring packages: 2 packages",
                "fetching packages: 48.0 MiB in 13 s, 3.69 MiB/s",
                "configuring packages: 0 packages in 2.0 s",
            ]
        );
    }
}
