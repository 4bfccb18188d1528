//! Package repositories: what they offer, and the proof that it is theirs.

pub mod deb;
mod error;
pub mod folder;
pub mod keyring;
pub(crate) mod list;
mod load;
pub mod pattern;
mod record;
pub mod rpm;
pub mod signature;
mod trust;

pub use error::{Cause, Error, Failure, Missing};
pub use keyring::Keyring;
pub use list::{List, Unreadable};
pub(crate) use load::RELEASE_LIMIT;
pub use load::{ArchiveConfig, DEFAULT_PIN, LoadOptions, MirrorList, MirrorListKind, SuiteConfig, Universe, load, with_mirrors};
pub use record::{
    AnyOf, Archive, Comparison, Conditional, LICENCE_LIMIT, LazyRelations, MultiArch, PackageRecord, Priority, Provide, Relations, ReleaseInfo,
    Requirement,
};
pub use trust::Trust;

/// A point in time (seconds since the epoch), for people.
fn utc(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("second {seconds}"), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
