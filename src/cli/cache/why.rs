//! `cache why SPEC`: whether a build would hit, and if not, why.

use std::path::PathBuf;

use clap::Args;
use image_composer::build::nearest;
use image_composer::cache::ImageCache;
use image_composer::spec;

use crate::cli::{Result, Session};
use crate::ui::Why;

/// Say why the image of a spec is not in the cache
///
/// Compares the spec, and whatever else an image’s hash is made from, with the kept image that differs least, one of the same name before others: a line
/// for each difference. Prints nothing where the image is there. What was imported is not compared: nobody knows what it was made from.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The spec, a YAML file
    #[arg(value_name = "SPEC")]
    spec: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache why edge.yml

JSON: {spec_hash, hit, nearest: {spec_hash, name, version, built_at, differences: [{input, change, …}]}}; nearest is null for a hit, and where \
nothing is kept; change is “value” with from and to, “items” with added and removed, or “other” for contents and secrets. \
Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let loaded = spec::load(&arguments.spec)?;
    let source_date_epoch = session.source_date_epoch()?;
    let hash = loaded.hash(source_date_epoch);
    let (hit, near) = match session.existing_store()? {
        None => (None, None),
        Some(store) => match ImageCache::new(&store).lookup(&hash)? {
            Some(image) => (Some(image), None),
            None => (None, nearest(&store, &loaded.inputs(source_date_epoch))?),
        },
    };
    Ok(session.ui.why(&Why { hash, hit: hit.as_ref(), nearest: near.as_ref() }, arguments.json)?)
}
