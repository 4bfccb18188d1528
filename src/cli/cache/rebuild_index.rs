//! `cache rebuild-index`: makes the index again from the files of the store.

use std::time::Instant;

use clap::Args;
use image_composer::progress::Cancel;
use image_composer::store;

use crate::cli::{Error, Result, Session, signals};

/// Make the index of the store again, from its files alone
///
/// For a store whose index is damaged or gone. Every file of the store says what it is; all of them are read, except for the insides of images, which are proven
/// whenever they are read. The new index takes the place of the old one when it is complete, and while nobody else has the store open. It has
/// everything that the old one had, but for times and counts of use, and pins. Where two files claim the same name, the newest wins. Files that are wrong
/// go to the store’s quarantine. An image that lacks a part counts as missing, and the next build of its spec mends it.
#[derive(Debug, Args)]
#[command(name = "rebuild-index", after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache rebuild-index && image-composer cache verify

JSON: {blobs, packs, chunks, packages, metadata, images, damaged_images: [spec_hash], lost_images: [spec_hash], \
damaged: [{object, digest, path, problem}], seconds}: how many of each the new index has, images that the next builds of their specs \
mend, images whose manifest is lost, and the files in the quarantine. Fields may be added, none goes.

Ends with status 4 if files were wrong or images lack a part, and with 5 if another process has the store open.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let begun = Instant::now();
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let dir = session.store_that_is_there()?;
    let outcome = store::rebuild_index(&dir, session.options(&cancel)?, &*session.view, &cancel);
    session.view.close();
    let rebuilt = outcome?;
    session.ui.rebuilt(&rebuilt, begun.elapsed(), arguments.json)?;
    if rebuilt.damaged.is_empty() && rebuilt.damaged_images.is_empty() && rebuilt.lost_images.is_empty() {
        return Ok(());
    }
    Err(Error::StoreDamaged { repaired: true })
}
