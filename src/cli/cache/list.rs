//! `cache list`: the kept images.

use clap::Args;
use image_composer::cache::ImageCache;

use crate::cli::{Result, Session};

/// List the images in the cache, the newest first
///
/// On a terminal a table. Elsewhere a line for each image, without headings, with these columns separated by tabs: id, name, version, size, own size
/// (what the store grew by for it), built, last used, uses, “pinned” or “-”; sizes in bytes, times as 2026-11-20T08:15:30Z.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache list
  image-composer cache list | cut -f 1,2

JSON: {images: [{spec_hash, name, version, dist, arch, size, data_size, own_size, image_digest, built_at, \
build_seconds, last_used, uses, pinned, source_date, releases: [{archive, suite, date}], imported: {file, format} or null}]}. Sizes are \
bytes, times are seconds since 1970. Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let images = match session.existing_store()? {
        None => Vec::new(),
        Some(store) => {
            let images = ImageCache::new(&store).list()?;
            session.warn_of_damage(&store);
            images
        }
    };
    Ok(session.ui.images(&images, arguments.json)?)
}
