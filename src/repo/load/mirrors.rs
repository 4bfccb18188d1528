//! Asking one place after the other, and not again for what is there.

use super::kept::KeptFile;
use super::{ArchiveConfig, Load};
use crate::fetch::{self, Response, Validators};
use crate::progress::{Event, Phase};
use crate::repo::error::{Cause, Error, Failure};

/// A file as a server has it now.
pub(super) struct Current {
    pub(super) bytes: Vec<u8>,
    /// Whether they came; else the store has them.
    pub(super) is_new: bool,
    pub(super) validators: Validators,
}

/// How a try at one place went wrong.
pub(super) enum Tried {
    /// Another one may do better.
    Failed(Failure),
    /// No other one will.
    Ended(Error),
}

impl Tried {
    pub(super) fn of(url: &str, cause: impl Into<Cause>) -> Self {
        match cause.into() {
            Cause::Fetch(fetch::Error::Cancelled(cancelled)) => Self::Ended(cancelled.into()),
            Cause::Fetch(fetch::Error::TooLarge { limit, .. }) => Self::of(url, Cause::TooLong { limit }),
            // The address as the client shows it, without user name and password.
            Cause::Fetch(error) => Self::Failed(Failure { url: error.url().unwrap_or(url).to_owned(), cause: error.into() }),
            cause => Self::Failed(Failure { url: fetch::without_credentials(url), cause }),
        }
    }
}

impl From<Error> for Tried {
    fn from(error: Error) -> Self {
        Self::Ended(error)
    }
}

/// The mirrors of an archive with their numbers; the one that has given something already comes first, for it is the likeliest to have what belongs to it.
pub(super) fn mirrors(config: &ArchiveConfig, first: usize) -> impl Iterator<Item = (usize, &str)> {
    let numbers = std::iter::once(first).chain((0..config.mirrors.len()).filter(move |number| *number != first));
    numbers.filter_map(|number| Some((number, config.mirrors.get(number)?.as_str())))
}

/// The address of `path` beneath a base address.
pub(super) fn join(base: &str, path: &str) -> String {
    format!("{}/{path}", base.trim_end_matches('/'))
}

impl Load<'_> {
    /// What the first of some places has, and a warning of each that was passed over. `places` must not be empty.
    pub(super) fn first_of<P, T>(
        &self,
        config: &ArchiveConfig,
        suite: &str,
        places: impl IntoIterator<Item = P>,
        ask: impl Fn(P) -> Result<T, Tried>,
    ) -> Result<T, Error> {
        let mut failures = Vec::new();
        for place in places {
            match ask(place) {
                Ok(found) => {
                    self.passed_over(&failures);
                    return Ok(found);
                }
                Err(Tried::Failed(failure)) => failures.push(failure),
                Err(Tried::Ended(error)) => return Err(error),
            }
        }
        Err(Error::of_suite(&config.id, suite, failures))
    }

    /// What was fetched; where mirrors had nothing but what is too old, what the store has `kept`, if that is still good.
    pub(super) fn or_kept<T>(&self, fetched: Result<T, Error>, kept: impl FnOnce() -> Result<Option<T>, Error>) -> Result<T, Error> {
        let error = match fetched {
            Err(error) if error.is_of_the_past() => error,
            fetched => return fetched,
        };
        let Ok(Some(kept)) = kept() else { return Err(error) };
        if let Error::Suite { archive, suite, cause, others } = &error {
            self.passed_over(std::iter::once(&**cause).chain(others));
            let warning = format!("the metadata of {suite} ({archive}) is that of the store, which is newer than what its mirrors have now");
            self.progress.report(Event::Warning(&warning));
        }
        Ok(kept)
    }

    /// What vouches for the files of a suite, and what `ask` made of these. Where they do not belong together, both are asked for again, a few times: a mirror
    /// that changes has files of two states, and so have several machines behind one address.
    pub(super) fn of_one_state<P, T>(&self, suite: &str, ask: impl Fn() -> Result<(P, Result<T, Error>), Error>) -> Result<(P, T), Error> {
        let mut retry = 0;
        loop {
            let (proven, files) = ask()?;
            match files {
                Err(error) if error.is_of_two_states() && self.client.may_change(suite, retry, self.cancel)? => {
                    self.progress.report(Event::Talk(&format!("{error}: its mirror may be changing, and is asked again")));
                    retry += 1;
                }
                files => return files.map(|files| (proven, files)),
            }
        }
    }

    /// A file, where it is not the one that was kept: then that.
    pub(super) fn current(&self, url: &str, limit: u64, old: Option<KeptFile>) -> Result<Current, fetch::Error> {
        Ok(match (self.get(url, limit, old.as_ref().map(|old| &old.validators))?, old) {
            (Response::Body { bytes, validators }, _) => Current { bytes, is_new: true, validators },
            (Response::NotModified, Some(old)) => Current { bytes: old.bytes, is_new: false, validators: old.validators },
            // A server that answers “not modified” to a plain question has nothing for us.
            (Response::NotModified, None) => Current { bytes: Vec::new(), is_new: true, validators: Validators::default() },
        })
    }

    /// A file, whole.
    pub(super) fn whole(&self, url: &str, limit: u64) -> Result<Vec<u8>, fetch::Error> {
        self.current(url, limit, None).map(|file| file.bytes)
    }

    /// The answer of a server; its bytes are reported as progress.
    fn get(&self, url: &str, limit: u64, validators: Option<&Validators>) -> Result<Response, fetch::Error> {
        let response = self.client.get(url, limit, validators, self.cancel)?;
        if let Response::Body { bytes, .. } = &response {
            self.progress.report(Event::Advance { phase: Phase::Metadata, by: bytes.len() as u64 });
        }
        Ok(response)
    }

    /// Says which places were passed over, and why.
    fn passed_over<'f>(&self, failures: impl IntoIterator<Item = &'f Failure>) {
        for failure in failures {
            let mut text = format!("passed over {failure}");
            let mut source = std::error::Error::source(failure);
            while let Some(error) = source {
                text = format!("{text}: {error}");
                source = error.source();
            }
            self.progress.report(Event::Warning(&text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_out_of_failures() {
        // apt takes such passwords, so they may come from the host's sources.
        for url in ["http://user:secret@host/dists/x", "http://user:also@secret@host/dists/x"] {
            let Tried::Failed(failure) = Tried::of(url, Cause::TooLong { limit: 1 }) else { panic!("a file is no reason to end") };
            assert_eq!(failure.url, "http://host/dists/x");
        }
    }
}
