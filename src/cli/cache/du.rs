//! `cache du`: what the store takes on disk.

use clap::Args;
use image_composer::cache::collect;
use image_composer::cache::disk_use;
use image_composer::config::Config;

use crate::cli::{Result, Session};

/// Show what takes how much room
///
/// For each class: how many, bytes before compression, bytes on disk, and of those what one name or image needs (own), what several need (shared), and what
/// nothing needs any more (unused). Of images, several means several images; their count is that of images, and their bytes are those of all their chunks,
/// each once. Plain are packages that are kept decompressed, too, because they were used more than once; they are counted one by one. All else comes from counters: it
/// takes no longer for a large store.
///
/// On a terminal a table. Elsewhere a line for each class, without headings, with these columns separated by tabs: class, count, raw, on disk, own, shared,
/// unused; sizes in bytes.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache du
  image-composer cache du --json | jq .gc_would_free

JSON: {packages: {count, raw, on_disk, own, shared, unused}, metadata, plain, names and images likewise, chunks, packs, lost, index, \
partials: {count, bytes}, quarantine: {count, bytes}, on_disk, free, gc_would_free}. Names are further names of packages and \
metadata; chunks and packs are how many the images have; lost counts what was found damaged and was not mended since; \
index is the size of the index; free is what the file system has left, null where there is no store; gc_would_free is what \
“cache gc” would free on disk, leftovers of crashes not counted. Sizes are bytes. Fields may be added, none goes.";

pub(super) fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result {
    let Some(store) = session.existing_store()? else {
        return Ok(session.ui.disk_use(None, arguments.json)?);
    };
    let used = disk_use(&store)?;
    let would_free = collect::plan(&store, &config.storage.limits(), false)?.freed;
    session.warn_of_damage(&store);
    Ok(session.ui.disk_use(Some((&used, would_free)), arguments.json)?)
}
