//! Debian repositories.

pub mod version;
