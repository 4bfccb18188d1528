//! Builds operating-system disk images from distribution packages by a YAML spec, and never does the same work twice.
//!
//! ```text
//!  spec ─► key ─► image cache ─hit──────────────────────────────────────────────────► output
//!                    │miss
//!                    ▼
//!             repo metadata ─► resolve ─► packages (package cache │ download) ─► root ─► disk ─► image cache ─► output
//! ```
//!
//! The modules below stand in the order of the house: one may use what stands below it, never what stands above.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

pub mod build;

pub mod bill;

pub mod transfer;

pub mod inspect;

pub mod spec;

pub mod config;
pub mod distro;

pub mod yaml;

pub mod resolve;

pub mod repo;

pub mod fetch;
pub mod root;

pub mod disk;

pub mod deferred;

pub mod cache;

pub mod store;

pub mod format;

pub mod digest;
mod locked;
pub mod progress;
pub mod text;
pub mod time;
pub mod tree;
pub mod units;
pub mod version;
mod writing;
