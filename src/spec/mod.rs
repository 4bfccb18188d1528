//! What an image shall be: the YAML spec, checked, completed by its distribution's profile, and hashed.
//!
//! ```text
//!  file ─ yaml/ ─► tree ─ extends ─► tree ─ read/ ─► draft ─ complete ─► Spec ─ hash ─► SpecHash
//!                           │ the files that it extends │ names, password,     ▲
//!                           └ become one tree           │ layout: checks       └─ profile
//!                                                       └ all mistakes at once
//! ```
//!
//! Every field of the template language is either honoured or refused by name with what to use instead; none is ignored.

mod complete;
mod draft;
mod extends;
mod hash;
mod layout;
mod load;
pub mod model;
mod names;
mod password;
mod read;
mod resolved;
mod schema;

#[cfg(test)]
pub(crate) mod tests;

pub use hash::BUILDER_EPOCH;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use load::parse;
pub use load::{LoadError, Loaded, load};
pub use model::Spec;
pub use resolved::{Origin, Resolved, resolve};
pub use schema::schema;
