//! What a download reports when not everything arrived.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::Error;
use crate::cache::{self, Coordinates};
use crate::progress::Cancelled;

/// Why a download is not complete. What had arrived has been published all the same.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Some packages did not arrive.
    #[error("{} of {total} packages did not arrive:{}", .failures.len(), Lines(.failures))]
    Failed {
        /// All that failed, in the order they were asked for.
        failures: Vec<Failure>,
        /// How many were asked for.
        total: usize,
    },
    /// The directory of the partial files cannot be used.
    #[error("{}", .path.display())]
    Partials {
        /// Where it should be.
        path: PathBuf,
        /// Why it cannot be used.
        source: std::io::Error,
    },
    /// The user asked to stop; what has come of each package is kept for the next time.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// One package that did not arrive.
#[derive(Debug)]
pub struct Failure {
    /// Which.
    pub coordinates: Coordinates,
    /// Why, for each address that was tried, in their order. Never empty.
    pub reasons: Vec<FailureReason>,
}

/// Why one package did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum FailureReason {
    /// There is no address to get it from.
    #[error("no address is known for it")]
    NoAddress,
    /// It could not be transferred, or what came was something else.
    #[error(transparent)]
    Transfer(#[from] Error),
    /// It arrived, and could not be stored.
    #[error("it arrived, but could not be stored")]
    Publish(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DownloadError {
    /// The packages that failed.
    pub fn failures(&self) -> &[Failure] {
        if let Self::Failed { failures, .. } = self { failures } else { &[] }
    }

    /// Whether a server sent something else than the signed index promised, for at least one of the packages.
    pub fn is_integrity(&self) -> bool {
        self.transfers().any(Error::is_other_than_promised)
    }

    /// Whether something that the user has configured cannot be used.
    pub fn is_of_configuration(&self) -> bool {
        self.transfers().any(|error| matches!(error, Error::Certificate { .. }))
    }

    /// Whether packages could not be stored for lack of room.
    pub fn is_full(&self) -> bool {
        let full = |error: &std::io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        match self {
            Self::Failed { failures, .. } => failures.iter().flat_map(|failure| &failure.reasons).any(|reason| match reason {
                FailureReason::Publish(source) => matches!(source.downcast_ref(), Some(cache::Error::Store(error)) if error.is_full()),
                FailureReason::Transfer(Error::File { source, .. }) => full(source),
                FailureReason::Transfer(_) | FailureReason::NoAddress => false,
            }),
            Self::Partials { source, .. } => full(source),
            Self::Cancelled(_) => false,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        if self.transfers().any(|error| error.url().is_some_and(|url| url.starts_with("file:")) && error.is_other_than_promised()) {
            let hint = "the file has changed since it was looked at: run the same command again, or, where it has an index, make that anew";
            return Some(hint.to_owned());
        }
        if self.transfers().any(Error::is_not_found) {
            return Some("the mirror has changed since its metadata was read: run the same command again, or try another mirror".to_owned());
        }
        if self.is_integrity() {
            return Some("a proxy or a mirror changes files on the way: try another mirror".to_owned());
        }
        self.transfers()
            .find_map(Error::hint)
            .or_else(|| matches!(self, Self::Failed { .. }).then(|| "what arrived is kept: the same command goes on from here".to_owned()))
    }

    fn transfers(&self) -> impl Iterator<Item = &Error> {
        self.failures().iter().flat_map(|failure| &failure.reasons).filter_map(|reason| match reason {
            FailureReason::Transfer(error) => Some(error),
            FailureReason::NoAddress | FailureReason::Publish(_) => None,
        })
    }
}

impl fmt::Display for Failure {
    /// The package, and each reason with all that caused it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.coordinates)?;
        for (at, reason) in self.reasons.iter().enumerate() {
            write!(f, "{}{reason}", if at == 0 { ": " } else { "; " })?;
            let mut cause = std::error::Error::source(reason);
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

struct Lines<'a>(&'a [Failure]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}
