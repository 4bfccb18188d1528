//! Debian repositories.

pub(crate) mod control;
pub mod packages;
pub mod relation;
pub mod release;
pub mod sources;

pub use control::SyntaxError;
