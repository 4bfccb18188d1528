//! `cache dir`: where the store is.

use clap::Args;

use crate::cli::{Result, Session};
use crate::ui;

/// Print the folder of the store
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  du -sh \"$(image-composer cache dir)\"

The folder is what --store says, else IMAGE_COMPOSER_STORE, else /var/cache/image-composer for root, else \
image-composer in XDG_CACHE_HOME or ~/.cache. It may not be there yet.

JSON: {path, exists}. Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    Ok(ui::store_dir(&session.store_dir()?, arguments.json)?)
}
