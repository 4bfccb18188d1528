//! YAML documents as trees that know where everything stands.
//!
//! ```text
//!  file ─► text ─► tree of nodes with line and column ─► hand-written walks (spec/, config/) ─► typed values
//!   │ bounded        │ bounded                              │
//!   └────────────────┴──────────────────────────────────────┴─► diagnostics: file, line, column, what was expected
//! ```
//!
//! A walk does not stop at the first mistake: it reports to a [`Report`] and goes on, so that a person sees all of a file's mistakes at once. Scalars
//! have the types of YAML 1.2's core schema; `yes` is a text.
//!
//! What a file may cost is bounded before it is looked at: 1 MiB, 32 levels, 10,000 nodes by aliases, one document.

mod address;
mod diagnostic;
#[cfg(test)]
pub(crate) mod explore;
mod fields;
mod file;
mod parse;
mod scalar;
mod schema;
#[cfg(test)]
pub(crate) mod schema_tests;
mod tree;
mod write;

pub use address::{AddressError, archive_address, file_address, web_address};
pub(crate) use diagnostic::nearest;
pub use diagnostic::{Diagnostic, Report};
pub use fields::{Field, Fields, Located};
pub use file::{MAX_FILE, ReadError, read};
pub use parse::{parse, parse_file};
pub use scalar::Scalar;
pub(crate) use scalar::cut;
pub(crate) use schema::json_schema;
pub use tree::{Entry, Kind, Node, Place};
pub use write::{Line, lines};
