//! Package repositories: what they offer, and the proof that it is theirs.

pub mod deb;
mod record;

pub use record::{AnyOf, Archive, Comparison, MultiArch, PackageRecord, Priority, Provide, Relations, ReleaseInfo, Requirement};
