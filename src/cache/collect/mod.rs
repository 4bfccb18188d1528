//! The collection: what goes when a cache is over its limits, or when the user asks.
//!
//! ```text
//!  limits, or what is asked ─► plan (what, why, how many bytes) ─► carry out: names ─► what nothing refers to any more ─► packs that are half empty
//! ```
//!
//! A [`Plan`] is a value: a dry run shows it, carrying it out takes it. What has changed by then (was used again, pinned, taken by a build) stays.
//!
//! *Order*: what is damaged, plain packages, packages that no kept image's lock names before those that one does, each by last use, then by number of uses;
//! images by last use. Pinned names stay, and so does what a live process uses. A cache that is over its size goes down to nine tenths of it, so that a full one is not collected at every
//! build; a limit of age or number is met exactly. Sizes are bytes on disk.

mod candidates;
mod carry_out;
mod choose;
mod plan;

pub use carry_out::{Collected, carry_out};
pub use choose::{plan, plan_clean, plan_removal};
pub use plan::{Entry, Kept, Limit, Name, Plan, Reason, Sizes};

use std::time::Duration;

/// What the caches may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Packages and repository metadata: bytes on disk.
    pub package_bytes: Option<u64>,
    /// How long a package or a metadata file stays that no build uses.
    pub package_age: Option<Duration>,
    /// Images and root trees: bytes on disk.
    pub image_bytes: Option<u64>,
    /// How long an image stays that nobody asks for.
    pub image_age: Option<Duration>,
    /// How many images there may be.
    pub image_count: Option<u64>,
    /// How long a root tree stays that no build uses.
    pub root_age: Option<Duration>,
    /// How many root trees there may be.
    pub root_count: Option<u64>,
    /// Bytes that stay free on the store's file system.
    pub min_free: Option<u64>,
}

/// Which names to remove, whatever the limits say. Pinned ones stay.
#[expect(clippy::struct_excessive_bools, reason = "each is a cache")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clean {
    /// Packages.
    pub packages: bool,
    /// Images.
    pub images: bool,
    /// Root trees.
    pub roots: bool,
    /// Metadata of repositories, unfinished downloads, and the quarantine.
    pub rest: bool,
}

#[cfg(test)]
mod tests;
