//! What is in disk images, without mounting them and without rights: one of them ([`inspect()`]), or how two differ ([`diff()`]).
//!
//! ```text
//!  Input (file, image of the cache) ─► bytes at offsets ─► table ─► volumes ─► ext, fat ─► nodes ─┐
//!                                                                                                  ├─► disk: one tree ─► report, diff
//!                                                                          /etc/fstab ─────────────┘
//! ```
//!
//! An image is hostile until checked. Readers never panic, never read beyond what they were given, visit each folder once, and count the names and bytes
//! that they take ([`Limits`]). What is damaged ends up in the report, and ends a comparison: a difference that was not looked for must not look like
//! none.

mod archive;
mod attributes;
mod boot;
mod diff;
mod disk;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
mod examine;
mod ext;
mod fat;
mod filesystem;
mod node;
mod open;
mod packages;
mod problem;
mod report;
mod rpm_database;
mod system;
mod table;
#[cfg(test)]
mod tests;
mod volume;

pub use archive::{ArchiveKind, archive, kernel};
pub use attributes::Attribute;
pub use boot::{Boot, Entry, Kernel, Loader};
pub use diff::{Change, Difference, FileChange, FileState, FirstByte, FolderChange, Options, Pair, PartitionChange, diff};
pub use error::{Error, Result};
#[cfg(any(test, feature = "fuzzing"))]
pub use examine::examine;
pub use node::Limits;
pub use open::Input;
pub use packages::{Package, PackageSource, Packages};
pub use problem::Problem;
pub use report::{FileSystemReport, Inspection, LargeFile, PartitionReport, ProblemReport, TableReport, Totals, inspect};
pub use system::{Os, Password, User};
