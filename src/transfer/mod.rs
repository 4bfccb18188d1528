//! Images leave the store as files that other programs open, and files of other programs come in.
//!
//! ```text
//!  image ─► store ─► raw file ─► disk::formats ─► .zst ─► FILE          export.rs, convert.rs
//!                            └──► files, tar ────┘
//!  FILE ─► .zst ─► disk::formats ─► raw file ─► store ─► image          import.rs
//!  names ─► store ─► bundle ─► store ─► names                           bundle.rs
//! ```
//!
//! What is exported appears whole under its name or not at all. What is imported is nobody's word but its importer's: it is filed under the digest of
//! its content, or under the hash of a spec for which the importer vouches.

mod bundle;
pub(crate) mod convert;
mod error;
mod export;
mod import;
pub(crate) mod partial;

pub use bundle::{BundleFile, check_bundle_path, export_bundle, import_bundle, open_bundle, stream_bundle};
pub use error::{Error, Result};
pub use export::{Exported, Plan, Stream, export, stream};
pub use import::{ForSpec, ImportRequest, Imported, import};
