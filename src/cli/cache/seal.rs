//! `cache seal`: leaves the store as a read-only medium needs it.

use clap::Args;
use image_composer::progress::Cancel;
use image_composer::store;

use crate::cli::{Result, Session, signals};

/// Leave the store ready for a read-only medium
///
/// Removes what is in the trash and interrupted downloads, makes the index as small as it can be, and closes it. A store that is copied to a medium (a
/// squashfs image, a DVD, an exported folder) after that can be listed, built from and exported from where nobody can write; one that is not sealed cannot, if a
/// process that wrote to it was killed. Needs the store for itself. A sealed store is a store like any other: it can be used and changed as before, and sealed
/// again when it is copied the next time.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache seal && mksquashfs \"$(image-composer cache dir)\" store.squashfs
  image-composer build edge.yml --offline --store /media/store

JSON: {path, trash_bytes, partials, partial_bytes, index_before, index_after}: bytes of files in the trash, interrupted downloads and their \
bytes, and the length of the index before and after. Sizes are bytes. Fields may be added, none goes.

Ends with status 5 if another process has the store open.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let dir = session.store_that_is_there()?;
    let sealed = store::seal(&dir, session.options(&cancel)?)?;
    Ok(session.ui.sealed(&dir, &sealed, arguments.json)?)
}
