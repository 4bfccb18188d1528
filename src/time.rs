//! Times as people read them.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::units::human_duration;

/// The shortest age that is worth a number.
const JUST_NOW: u64 = 10;

/// The present, in seconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long ago `then` was: `2 days ago`, `just now`. Both in seconds since the epoch; a time to come, as of a clock that was set back, is “just now”.
pub fn ago(then: u64, now: u64) -> String {
    match now.saturating_sub(then) {
        ..JUST_NOW => "just now".to_owned(),
        seconds => format!("{} ago", human_duration(Duration::from_secs(seconds))),
    }
}

/// The day in UTC: `2026-11-20`.
pub fn day(seconds: u64) -> String {
    stamp(seconds, "%Y-%m-%d")
}

/// The moment in UTC: `2026-11-20T08:15:30Z`.
pub fn moment(seconds: u64) -> String {
    stamp(seconds, "%Y-%m-%dT%H:%M:%SZ")
}

fn stamp(seconds: u64, format: &str) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    // Beyond the year 9999 the number itself says as much.
    time.map_or_else(|| format!("@{seconds}"), |time| time.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_words() {
        assert_eq!(ago(1_000, 1_003), "just now");
        assert_eq!(ago(2_000, 1_000), "just now");
        assert_eq!(ago(1_000, 1_034), "34 s ago");
        assert_eq!(ago(1_000, 1_000 + 2 * 86_400), "2 days ago");
    }

    #[test]
    fn days_and_moments_are_in_utc() {
        assert_eq!(day(1_795_162_530), "2026-11-20");
        assert_eq!(moment(1_795_162_530), "2026-11-20T08:15:30Z");
        assert_eq!(day(u64::MAX), "@18446744073709551615");
    }
}
