//! `cache stats`: what the caches were good for.

use clap::Args;

use crate::cli::{Result, Session};

/// Show what the caches were good for
///
/// For each cache: how often something was there (hits) and how often not (misses), and what that saved: bytes of packages that were not fetched, bytes of
/// disks that were not built, and the time that building them had taken, less what writing them out took. Counted by builds since the store was made.
///
/// On a terminal a table. Elsewhere a line for each cache, without headings, with these columns separated by tabs: cache, hits, misses, bytes saved, seconds
/// saved, since when (as 2026-11-20T08:15:30Z, or - for never).
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache stats
  image-composer cache stats --json | jq .images.saved_seconds

JSON: {packages: {hits, misses, saved_bytes, saved_seconds, since}, images: {the same}}. Packages save no seconds that \
anybody could count: 0. since is seconds since 1970, null where nothing was counted. Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let usage = match session.existing_store()? {
        None => Default::default(),
        Some(store) => store.usage()?,
    };
    Ok(session.ui.usage(&usage, arguments.json)?)
}
