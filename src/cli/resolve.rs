//! `resolve`: a spec with all that it extends and all defaults.

use std::path::PathBuf;

use clap::Args;
use image_composer::spec;

use super::{Result, Session};
use crate::ui;

/// Print a spec with all that it extends and all defaults
///
/// Prints one YAML document with the same hash: the files of the chain merged, and what the profile adds. Plain passwords are printed as their hashes,
/// local files with absolute paths.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The spec, a YAML file
    #[arg(value_name = "SPEC")]
    spec: PathBuf,

    /// Say of every value where it is from, in comments: a file and line, or the profile
    #[arg(long)]
    origin: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer resolve edge.yml --origin
  diff <(image-composer resolve a.yml) <(image-composer resolve b.yml)

JSON: {spec_hash, spec, origins: [{text, file, line, profile}]}; origins, which --origin asks for, are the lines of the YAML document, \
with file and line or profile where a line ends with a value, else null. Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    session.config()?;
    let resolved = spec::resolve(&arguments.spec)?;
    let source_date_epoch = session.source_date_epoch()?;
    Ok(ui::resolved(&resolved, source_date_epoch, arguments.origin, arguments.json)?)
}
