//! `cache pin` and `cache unpin`: what stays whatever the limits say.

use clap::Args;
use clap_complete::ArgValueCandidates;
use image_composer::cache::{Pinnable, set_pinned};
use image_composer::progress::Cancel;

use super::find;
use crate::cli::{Result, Session, completions, signals};
use crate::ui::Pinned;

/// Keep images and packages whatever the limits say
///
/// What is pinned stays in the store when a limit is reached, when it is old, and when a cache is cleaned, until “cache unpin”. What is pinned already stays
/// so. Either all that is named is pinned or nothing.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_PIN)]
pub(super) struct Pin {
    #[command(flatten)]
    what: What,
}

/// Let limits remove images and packages again
///
/// Takes away what “cache pin” did; nothing is removed by this alone. What is not pinned stays so.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_UNPIN)]
pub(super) struct Unpin {
    #[command(flatten)]
    what: What,
}

#[derive(Debug, Args)]
struct What {
    /// Images by their ids or how they begin, and packages by name[=version][:architecture], which means all packages that are called so
    #[arg(required = true, value_name = "ID|PACKAGE", add = ArgValueCandidates::new(completions::images_and_packages))]
    words: Vec<String>,

    /// Print what changed as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_PIN: &str = "\
Examples:
  image-composer cache pin 3f9a12c4e01b
  image-composer cache pin linux-image-amd64 libc6=2.36-9+deb12u10:amd64

JSON: {pinned: true, images: [{spec_hash, name, version, changed}], packages: [{name, version, arch, repository, \
changed}]}: all that was named, and whether it was not pinned before. Fields may be added, none goes.

Ends with status 3 if nothing is called so, and with 2 if a word may mean several things.";

const AFTER_UNPIN: &str = "\
Examples:
  image-composer cache unpin 3f9a12c4e01b
  image-composer cache unpin libc6

JSON: {pinned: false, images: [{spec_hash, name, version, changed}], packages: [{name, version, arch, repository, \
changed}]}: all that was named, and whether it was pinned before. Fields may be added, none goes.

Ends with status 3 if nothing is called so, and with 2 if a word may mean several things.";

pub(super) fn pin(session: &Session, arguments: &Pin) -> Result {
    run(session, &arguments.what, true)
}

pub(super) fn unpin(session: &Session, arguments: &Unpin) -> Result {
    run(session, &arguments.what, false)
}

fn run(session: &Session, what: &What, pinned: bool) -> Result {
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let Some(store) = session.existing_store_until(&cancel)? else {
        return Err(find::no_entry(&what.words[0], "there is no store yet; “image-composer build SPEC” makes one"));
    };
    let found: Vec<Vec<Pinnable>> = what.words.iter().map(|word| find::entries(&store, word)).collect::<Result<_>>()?;
    let changed = set_pinned(&store, &found.concat(), pinned)?;
    session.warn_of_damage(&store);
    let mut changed = changed.into_iter();
    let words = what.words.iter().zip(found).map(|(word, entries)| Pinned { word, entries: entries.into_iter().zip(changed.by_ref()).collect() });
    Ok(session.ui.pinned(&words.collect::<Vec<_>>(), pinned, what.json)?)
}
