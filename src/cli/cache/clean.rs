//! `cache clean`: whole caches go.

use std::time::Instant;

use clap::Args;
use clap_complete::ArgValueCandidates;
use image_composer::cache::collect::{self, Clean};
use image_composer::progress::Cancel;

use super::find;
use crate::cli::{Error, Result, Session, completions, signals};
use crate::ui::{Asked, Outcome};

/// Remove all packages, all images, everything, or what is named
///
/// What is pinned or in use stays. Then goes what nothing refers to any more. Prints what goes as “cache gc” does.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Remove these images, by their ids or how they begin, damaged ones too, and packages, by name[=version][:architecture]
    #[arg(value_name = "ID|PACKAGE", add = ArgValueCandidates::new(completions::images_and_packages), conflicts_with = "what")]
    words: Vec<String>,

    #[command(flatten)]
    what: What,

    /// Only show what would go
    #[arg(long)]
    dry_run: bool,

    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Which names go.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[group(id = "what", multiple = true)]
struct What {
    /// Remove the packages; repository metadata stays
    #[arg(long)]
    packages: bool,

    /// Remove the images
    #[arg(long)]
    images: bool,

    /// Remove the roots: trees of installed packages
    #[arg(long)]
    roots: bool,

    /// Remove all three, and repository metadata, interrupted downloads and what was found damaged
    #[arg(long)]
    all: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache clean --images --dry-run
  image-composer cache clean --all
  image-composer cache clean 3f9a12c4e01b

JSON: as “cache gc --json” has it. Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let What { packages, images, roots, all } = arguments.what;
    if arguments.words.is_empty() && !(packages || images || roots || all) {
        let hint = "say --packages, --images, --roots or --all, or give ids of images and names of packages";
        return Err(Error::usage("nothing is named that shall be removed", hint));
    }
    let begun = Instant::now();
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let asked = Asked { dry_run: arguments.dry_run, json: arguments.json };
    let Some(store) = session.existing_store_until(&cancel)? else {
        return match arguments.words.first() {
            Some(word) => Err(find::no_entry(word, "there is no store yet; “image-composer build SPEC” makes one")),
            None => Ok(session.ui.no_store_to_collect(asked)?),
        };
    };
    let plan = if arguments.words.is_empty() {
        collect::plan_clean(&store, &Clean { packages: packages || all, images: images || all, roots: roots || all, rest: all })?
    } else {
        let named: Vec<_> = arguments.words.iter().map(|word| find::entries(&store, word)).collect::<Result<_>>()?;
        collect::plan_removal(&store, &named.concat())?
    };
    let done = if arguments.dry_run { None } else { Some(collect::carry_out(&store, &plan, &*session.view, &cancel)) };
    session.view.close();
    session.warn_of_damage(&store);
    let outcome = Outcome { plan: &plan, done: done.transpose()?, took: begun.elapsed() };
    Ok(session.ui.collected(&outcome, asked)?)
}
