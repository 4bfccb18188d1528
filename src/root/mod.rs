//! Packages become a root tree.
//!
//! ```text
//!        ┌─► .deb, stage by stage: preinst ─► unpack (side by side) ─► dpkg --configure -a ─┐
//!        │    ▲ its first stages                                                            │
//!  plan ─┼─► kept tree of an earlier build ─► restore ──────────────────────────────────────┼─► users, files, commands, initrd ─► settle
//!        └─► .rpm: one transaction of rpm, and a check of what it lays down ────────────────┘
//! ```
//!
//! Everything here but [`sandbox::Worker`] runs inside the worker's namespaces, where this program is root of its own users. The tree's own code
//! (maintainer scripts, dpkg, commands of the spec) runs one layer further in, in a [`sandbox::Cell`].

mod ahead;
mod archive;
pub mod benching;
mod bounded;
mod changes;
mod claims;
mod control;
mod customize;
mod deb;
mod dpkg;
mod error;
mod files;
mod initrd;
mod install;
mod leftovers;
mod memory;
pub mod network;
mod order;
mod plan;
mod rpm;
pub mod sandbox;
mod saved;
mod settle;
mod site;
#[cfg(test)]
pub(crate) mod testing;
mod unpack;
mod users;
mod workspace;
mod wsl;

use std::path::Path;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use deb::examine;
pub use deb::{control_fields, decompressed};
pub use error::Error;
pub use leftovers::remove_leftovers;
pub use plan::{Content, File, Package, Packaging, PasswordHash, Plan, Platform, Source, Supply, User};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use rpm::examine as examine_rpm;
#[cfg(test)]
pub(crate) use rpm::testing::RpmBuilder;
pub use rpm::{Described, Installed, Relation, Signed};
pub use workspace::Workspace;

use self::ahead::Ahead;
use self::changes::Snapshot;
use self::install::Installation;
use self::order::Stage;
use self::sandbox::Cell;
use crate::deferred::Deferred;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::store::{ImageReader, Parts};
use crate::tree::Tree;

/// Installs the packages of a plan into a tree from the stage `first` on, and makes its initrds where it has a use for them.
///
/// The tree is what `done` saw after the stage before, or is empty. `done` is called after each stage, with its number. `beside` names a folder that is
/// made, in the file system of the tree.
///
/// # Errors
/// The first problem; the tree is then of no use.
pub fn install(
    (tree, beside): (&Tree, &Path),
    plan: &Plan,
    first: usize,
    done: &dyn Fn(usize),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), Error> {
    let cell = Cell::new(tree.path(), plan.time).reporting_to(progress);
    let stages = plan.packages.iter().map(|package| package.stage + 1).max().unwrap_or(0);
    let ahead = Ahead::new(&plan.packages, (plan.workers > 1).then_some(beside), cancel)?;
    for stage in (first..stages).map(Stage) {
        let installation = Installation::of(stage, (tree, plan), &ahead, progress, cancel);
        if plan.packaging == Packaging::Rpm {
            rpm::Installation { tree, plan, progress, cancel }.run()?;
            initrd::make_early(tree, plan.platform, &cell, cancel)?;
        } else if stage == Stage::FIRST {
            installation.run(|| initrd::make_early(tree, plan.platform, &cell, cancel))?;
        } else {
            let snapshot = Snapshot::take(tree)?;
            installation.run(|| initrd::renew((tree, plan.platform), &snapshot.changes(tree)?, &cell, progress, cancel))?;
        }
        done(stage.0);
    }
    Ok(())
}

/// Writes an installed tree to a file that is made, to be kept for [`restore`].
///
/// # Errors
/// What the operating system refuses; the user's wish to stop. Nothing of the file is left then.
pub fn save(tree: &Tree, path: &Path, cancel: &Cancel) -> Result<(), Error> {
    let file = std::fs::File::create_new(path).map_err(Error::io("make", path))?;
    // What cannot be removed goes with the build's other files.
    saved::save(tree, (&file, path), cancel).inspect_err(|_| drop(std::fs::remove_file(path)))
}

/// Makes an empty tree what [`install`] had made of another one, out of the store where the file of [`save`] is kept. Reports it as [`Phase::Unpack`].
/// `defers` says whether long files may have no bytes for the time being.
///
/// # Errors
/// What [`save`] did not write, or what is damaged; what the operating system refuses; the user's wish to stop.
pub fn restore(tree: &Tree, saved: Parts, defers: bool, progress: &dyn Progress, cancel: &Cancel) -> Result<Deferred, Error> {
    progress.report(Event::Start { phase: Phase::Unpack, total: None });
    let reader = ImageReader::open(saved).map_err(|error| Error::UnreadableRoot(std::io::Error::other(error)))?;
    let deferred = saved::load(tree, reader, defers, cancel)?;
    progress.report(Event::Finish { phase: Phase::Unpack });
    Ok(deferred)
}

/// Makes an installed tree what the spec wants on top of its packages.
///
/// # Errors
/// The first problem; the tree is then of no use.
pub fn customize(tree: &Tree, plan: &Plan, deferred: &mut Deferred, progress: &dyn Progress, cancel: &Cancel) -> Result<(), Error> {
    progress.report(Event::Start { phase: Phase::Customize, total: None });
    customize::customize(tree, plan, deferred, progress, cancel)?;
    deferred.check_all()?;
    progress.report(Event::Finish { phase: Phase::Customize });
    Ok(())
}

/// Finishes a tree after the last program ran in it; its files must not change afterwards.
pub fn settle(tree: &Tree, plan: &Plan) -> Result<(), Error> {
    settle::settle(tree, plan)
}
