//! Debian repositories.

mod control;
pub mod load;
pub mod packages;
pub mod relation;
pub mod release;
pub mod sources;
pub mod version;

pub use control::SyntaxError;
