//! How far a phase is, in words. Knows no clock: times are given, counted from the begin of the command.

use std::time::Duration;

use super::Phase;
use crate::text;
use crate::units::{ByteSize, human_duration};

/// Shorter than this, a rate says nothing.
const RATE_FROM: Duration = Duration::from_millis(100);

/// What a phase is called.
pub fn label(phase: Phase) -> &'static str {
    match phase {
        Phase::Metadata => "repository metadata",
        Phase::Resolve => "choosing packages",
        Phase::Wait => "waiting for another build",
        Phase::Download => "fetching packages",
        Phase::Unpack => "unpacking packages",
        Phase::Configure => "configuring packages",
        Phase::Customize => "setting up the system",
        Phase::Disk => "making the disk",
        Phase::Keep => "keeping the image",
        Phase::Write => "writing the output",
        Phase::Convert => "converting the output",
        Phase::Compress => "compressing the output",
        Phase::Read => "reading the file",
        Phase::Bundle => "carrying the bundle",
        Phase::Inspect => "reading the store",
        Phase::Remove => "removing from the store",
        Phase::Rewrite => "rewriting packs",
    }
}

/// What a phase is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes { rate: bool },
    Packages,
    Nothing,
}

fn unit(phase: Phase) -> Unit {
    match phase {
        Phase::Download
        | Phase::Keep
        | Phase::Write
        | Phase::Convert
        | Phase::Compress
        | Phase::Read
        | Phase::Bundle
        | Phase::Inspect
        | Phase::Rewrite => Unit::Bytes { rate: true },
        Phase::Metadata | Phase::Unpack | Phase::Remove => Unit::Bytes { rate: false },
        Phase::Configure => Unit::Packages,
        Phase::Resolve | Phase::Wait | Phase::Customize | Phase::Disk => Unit::Nothing,
    }
}

/// A phase under way.
#[derive(Debug, Clone, Copy)]
pub struct Tally {
    /// Which.
    pub phase: Phase,
    /// How much there is to do, in the phase's unit.
    pub total: Option<u64>,
    /// How much is done.
    pub done: u64,
    started: Duration,
}

impl Tally {
    /// A phase that begins now.
    pub fn new(phase: Phase, total: Option<u64>, now: Duration) -> Self {
        Self { phase, total, done: 0, started: now }
    }

    /// What it is counted in: `bytes` or `packages`.
    pub fn unit(&self) -> Option<&'static str> {
        match unit(self.phase) {
            Unit::Bytes { .. } => Some("bytes"),
            Unit::Packages => Some("packages"),
            Unit::Nothing => None,
        }
    }

    /// It went on by so much.
    pub fn advance(&mut self, by: u64) {
        self.done = self.done.saturating_add(by);
    }

    /// What there is to do: `fetching packages: 75.6 MiB`, or the bare label where nobody knows.
    pub fn begin(&self) -> String {
        let label = label(self.phase);
        match (self.total, unit(self.phase)) {
            (None, _) | (_, Unit::Nothing) => label.to_owned(),
            (Some(total), _) => format!("{label}: {}", self.amount(total)),
        }
    }

    /// How far it is: `30.1 MiB of 75.6 MiB, 6.02 MiB/s`; empty for what is not counted.
    pub fn state(&self, now: Duration) -> String {
        self.state_after(now.saturating_sub(self.started))
    }

    /// The same, so long after its begin.
    pub fn state_after(&self, elapsed: Duration) -> String {
        let mut state = match (self.total, unit(self.phase)) {
            (_, Unit::Nothing) => return String::new(),
            // A server may send more than was announced.
            (Some(total), Unit::Packages) => format!("{} of {}", self.done, self.amount(total.max(self.done))),
            (Some(total), Unit::Bytes { .. }) => format!("{} of {}", ByteSize(self.done), ByteSize(total.max(self.done))),
            (None, _) => self.amount(self.done),
        };
        if let Some(rate) = self.rate(elapsed) {
            state = format!("{state}, {rate}");
        }
        state
    }

    /// What was done, and in what time: `fetching packages: 75.6 MiB in 12 s, 6.30 MiB/s`.
    pub fn end(&self, now: Duration) -> String {
        let elapsed = now.saturating_sub(self.started);
        let (label, took) = (label(self.phase), human_duration(elapsed));
        match unit(self.phase) {
            Unit::Nothing => format!("{label}: {took}"),
            _ => match self.rate(elapsed) {
                Some(rate) => format!("{label}: {} in {took}, {rate}", self.amount(self.done)),
                None => format!("{label}: {} in {took}", self.amount(self.done)),
            },
        }
    }

    fn amount(&self, number: u64) -> String {
        match unit(self.phase) {
            Unit::Packages => text::count(number, "package"),
            Unit::Bytes { .. } | Unit::Nothing => ByteSize(number).to_string(),
        }
    }

    fn rate(&self, elapsed: Duration) -> Option<String> {
        if unit(self.phase) != (Unit::Bytes { rate: true }) || elapsed < RATE_FROM {
            return None;
        }
        let each_second = u128::from(self.done) * 1_000 / elapsed.as_millis();
        Some(format!("{}/s", ByteSize(u64::try_from(each_second).unwrap_or(u64::MAX))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn bytes_come_with_a_rate_where_somebody_waits_for_them() {
        let at = Duration::from_secs;
        let mut tally = Tally::new(Phase::Download, Some(80 * MIB), at(10));
        assert_eq!(tally.begin(), "fetching packages: 80.0 MiB");
        assert_eq!(tally.state(at(10)), "0 B of 80.0 MiB");
        tally.advance(30 * MIB);
        assert_eq!(tally.state(at(12)), "30.0 MiB of 80.0 MiB, 15.0 MiB/s");
        tally.advance(60 * MIB);
        assert_eq!(tally.state(at(12)), "90.0 MiB of 90.0 MiB, 45.0 MiB/s");
        assert_eq!(tally.end(at(30)), "fetching packages: 90.0 MiB in 20 s, 4.50 MiB/s");
    }

    #[test]
    fn packages_are_counted_and_some_phases_only_last() {
        let at = Duration::from_secs;
        let mut tally = Tally::new(Phase::Configure, Some(143), at(0));
        tally.advance(1);
        assert_eq!(
            [tally.begin(), tally.state(at(1)), tally.end(at(14))],
            ["configuring packages: 143 packages", "1 of 143 packages", "configuring packages: 1 package in 14 s"]
        );
        let tally = Tally::new(Phase::Resolve, None, at(0));
        assert_eq!([tally.begin(), tally.state(at(1)), tally.end(at(1))], ["choosing packages", "", "choosing packages: 1.0 s"]);
        let mut tally = Tally::new(Phase::Metadata, None, at(0));
        tally.advance(MIB);
        assert_eq!([tally.begin(), tally.state(at(1))], ["repository metadata", "1.00 MiB"]);
    }
}
