//! Which servers are worth asking.
//!
//! When a server is gone, 800 packages would each run into their own timeouts, eight at a time. So connections that fail in a row, with no success between
//! them, count against a server, and one with too many is not asked again by the same download.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use reqwest::Url;

/// How many transfers in a row may fail before a server counts as gone. Each has been retried already.
const LIMIT: u32 = 8;

/// The failures in a row of each server.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<BTreeMap<String, u32>>);

impl Hosts {
    /// Whether the server of `url` counts as gone.
    pub(super) fn is_gone(&self, url: &Url) -> bool {
        self.with(|hosts| hosts.get(url.authority()).is_some_and(|&failures| failures >= LIMIT))
    }

    /// Counts a transfer that came to an end: whether the server `answered`, whatever it said.
    pub(super) fn count(&self, url: &Url, answered: bool) {
        self.with(|hosts| {
            let failures = hosts.entry(url.authority().to_owned()).or_default();
            *failures = if answered { 0 } else { failures.saturating_add(1) };
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, u32>) -> T) -> T {
        // Counters are whole whatever happened to another thread.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_gone_after_too_many_failures_in_a_row() {
        let hosts = Hosts::default();
        let (a, b) = (Url::parse("http://a/x").unwrap(), Url::parse("http://b/x").unwrap());
        for _ in 1..LIMIT {
            hosts.count(&a, false);
        }
        hosts.count(&a, true);
        for _ in 1..LIMIT {
            hosts.count(&a, false);
            assert!(!hosts.is_gone(&a));
        }
        hosts.count(&a, false);
        assert!(hosts.is_gone(&a) && !hosts.is_gone(&b));
    }
}
