//! `cache clean`: whole caches go.

use std::time::Instant;

use clap::Args;
use image_composer::cache::collect::{self, Clean};
use image_composer::progress::Cancel;

use crate::cli::{Result, Session, signals};
use crate::ui::{Asked, Outcome};

/// Remove all packages, all images, or everything
///
/// What is pinned or in use stays. Then goes what nothing refers to any more. Prints what goes as “cache gc” does.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
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
#[group(required = true, multiple = true)]
struct What {
    /// Remove the packages; repository metadata stays
    #[arg(long)]
    packages: bool,

    /// Remove the images
    #[arg(long)]
    images: bool,

    /// Remove both, and repository metadata, interrupted downloads and what was found damaged
    #[arg(long)]
    all: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache clean --images --dry-run
  image-composer cache clean --all

JSON: as “cache gc --json” has it. Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let begun = Instant::now();
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let asked = Asked { dry_run: arguments.dry_run, json: arguments.json };
    let Some(store) = session.existing_store_until(&cancel)? else {
        return Ok(session.ui.no_store_to_collect(asked)?);
    };
    let What { packages, images, all } = arguments.what;
    let plan = collect::plan_clean(&store, &Clean { packages: packages || all, images: images || all, rest: all })?;
    let done = if arguments.dry_run { None } else { Some(collect::carry_out(&store, &plan, &cancel)) };
    session.warn_of_damage(&store);
    let outcome = Outcome { plan: &plan, done: done.transpose()?, took: begun.elapsed() };
    Ok(session.ui.collected(&outcome, asked)?)
}
