//! Trying again what may pass.

use std::time::{Duration, Instant};

use super::Error;
use crate::digest::Digest;
use crate::progress::{Cancel, Cancelled};

/// The longest pause between two tries, whatever the server asks for.
const LONGEST: Duration = Duration::from_secs(30);
/// How often a pause looks whether it should end.
const TICK: Duration = Duration::from_millis(50);

/// How often, and after which pauses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    /// Tries after the first.
    pub(super) retries: u32,
    /// The pause before the first retry; each next one is twice as long.
    pub(super) first: Duration,
}

impl Retry {
    /// Runs `attempt` until it succeeds, fails for good, or has failed too often; the last error is returned.
    pub(super) fn run<T>(&self, url: &str, cancel: &Cancel, mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        let mut retry = 0;
        loop {
            match attempt() {
                Err(error) if error.is_transient() && retry < self.retries => pause(self.delay(url, retry, error.retry_after()), cancel)?,
                result => return result,
            }
            retry += 1;
        }
    }

    /// Pauses before retry number `retry` of what came whole, and is wrong: twice, and four times as long as for what did not come. Says whether there is one.
    pub(super) fn settle(&self, url: &str, retry: u32, cancel: &Cancel) -> Result<bool, Cancelled> {
        let is_one = retry < self.retries.min(2);
        if is_one {
            pause(self.delay(url, retry + 2, None), cancel)?;
        }
        Ok(is_one)
    }

    /// The pause before retry number `retry`: between half and the whole of a power of two, by the address, so that the transfers that broke together do
    /// not all come back together. What the server asks for is kept to, within reason.
    fn delay(&self, url: &str, retry: u32, asked: Option<Duration>) -> Duration {
        let whole = self.first.saturating_mul(1u32.checked_shl(retry).unwrap_or(u32::MAX)).min(LONGEST);
        let jitter = u32::from(Digest::of(format!("{retry} {url}").as_bytes()).as_bytes()[0]);
        let ours = whole / 2 + whole * jitter / 510;
        asked.map_or(ours, |asked| asked.max(ours)).min(LONGEST)
    }
}

/// Waits, unless the user asks to stop.
fn pause(length: Duration, cancel: &Cancel) -> Result<(), Cancelled> {
    let end = Instant::now() + length;
    loop {
        cancel.check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(TICK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { retries: 4, first: Duration::from_millis(500) };

    #[test]
    fn pauses_double_within_their_bounds_and_are_the_same_each_time() {
        for retry in 0..40 {
            let whole = Duration::from_millis(500).saturating_mul(1u32.checked_shl(retry).unwrap_or(u32::MAX)).min(LONGEST);
            let delay = RETRY.delay("http://a/b", retry, None);
            assert!(delay >= whole / 2 && delay <= whole, "{retry}: {delay:?}");
            assert_eq!(delay, RETRY.delay("http://a/b", retry, None));
        }
        assert_ne!(RETRY.delay("http://a/b", 0, None), RETRY.delay("http://a/c", 0, None));
    }

    #[test]
    fn a_server_may_ask_for_longer_but_not_for_ever() {
        assert_eq!(RETRY.delay("u", 0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(RETRY.delay("u", 0, Some(Duration::from_secs(86_400))), LONGEST);
        assert!(RETRY.delay("u", 0, Some(Duration::ZERO)) >= Duration::from_millis(250));
    }

    #[test]
    fn what_is_refused_is_asked_for_once_and_what_may_pass_again() {
        let retry = Retry { retries: 3, first: Duration::ZERO };
        for (status, tries) in [(404, 1), (403, 1), (501, 1), (500, 4), (503, 4), (429, 4)] {
            let mut count = 0;
            let result: Result<(), Error> = retry.run("u", &Cancel::default(), || {
                count += 1;
                Err(Error::Status { url: "u".to_owned(), status, retry_after: None })
            });
            assert_eq!((result.unwrap_err().status(), count), (Some(status), tries));
        }
    }

    #[test]
    fn a_pause_ends_when_the_user_stops() {
        let cancel = Cancel::default();
        let retry = Retry { retries: 1, first: Duration::from_secs(3_600) };
        let result: Result<(), Error> = retry.run("u", &cancel, || {
            cancel.cancel();
            Err(Error::Status { url: "u".to_owned(), status: 503, retry_after: None })
        });
        assert!(result.unwrap_err().is_cancelled());
    }
}
