//! What an image shall be: the YAML spec, checked, completed by its distribution's profile, and hashed.
//!
//! ```text
//!  file ─ yaml/ ─► tree ─ read/ ─► draft ─ complete ─► Spec ─ hash ─► SpecHash
//!                           │ names, password, layout: checks     ▲
//!                           └─ all mistakes at once               └─ profile
//! ```
//!
//! Every field of the template language is either honoured or refused by name with what to use instead; none is ignored.

mod complete;
mod draft;
mod hash;
mod layout;
mod load;
pub mod model;
mod names;
mod password;
mod read;

#[cfg(test)]
mod tests;

pub use hash::BUILDER_EPOCH;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use load::parse;
pub use load::{LoadError, Loaded, load};
pub use model::Spec;
