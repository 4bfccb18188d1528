//! Packages become a root tree.
//!
//! ```text
//!        ┌─► .deb: rounds of preinst ─► unpack (side by side) ─► dpkg --configure -a ─┐
//!  plan ─┤                                                                            ├─► users, files, commands, initrd ─► settle
//!        └─► .rpm: check (side by side) ─► one transaction of rpm ────────────────────┘
//! ```
//!
//! Everything here but [`sandbox::Worker`] runs inside the worker's namespaces, where this program is root of its own users. The tree's own code
//! (maintainer scripts, dpkg, commands of the spec) runs one layer further in, in a [`sandbox::Cell`].

mod archive;
mod bounded;
mod claims;
mod control;
mod customize;
mod deb;
mod dpkg;
mod error;
mod files;
mod initrd;
mod install;
pub mod network;
mod order;
mod plan;
mod rpm;
pub mod sandbox;
mod settle;
mod site;
#[cfg(test)]
pub(crate) mod testing;
mod unpack;
mod users;
mod workspace;

use std::path::Path;

pub use deb::control_fields;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use deb::examine;
pub use error::Error;
pub use plan::{Content, File, Package, Packaging, PasswordHash, Plan, Source, User};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use rpm::examine as examine_rpm;
#[cfg(test)]
pub(crate) use rpm::testing::RpmBuilder;
pub use workspace::Workspace;

use crate::progress::{Cancel, Event, Phase, Progress};
use crate::tree::Tree;

/// Makes a whole root tree in an empty directory.
///
/// # Errors
/// The first problem; the directory is then of no use.
pub fn make(directory: &Path, plan: &Plan, progress: &dyn Progress, cancel: &Cancel) -> Result<Tree, Error> {
    let tree = Tree::open(directory)?;
    match plan.packaging {
        Packaging::Deb => install::Installation { tree: &tree, plan, progress, cancel }.run()?,
        Packaging::Rpm => rpm::Installation { tree: &tree, plan, progress, cancel }.run()?,
    }
    progress.report(Event::Start { phase: Phase::Customize, total: None });
    customize::customize(&tree, plan, progress, cancel)?;
    progress.report(Event::Finish { phase: Phase::Customize });
    Ok(tree)
}

/// Finishes a tree after the last program ran in it; its files must not change afterwards.
pub fn settle(tree: &Tree, plan: &Plan) -> Result<(), Error> {
    settle::settle(tree, plan)
}
