//! `validate`: the mistakes in specs.

use std::path::PathBuf;

use clap::Args;
use image_composer::spec;

use super::{Error, Result, Session};
use crate::ui::Verdict;

/// Find the mistakes in specs, and build nothing
///
/// Prints a line for each good spec, and for each mistake a line with the file, line and column. Ends with status 2 if any spec cannot be used.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The specs, YAML files
    #[arg(value_name = "SPEC", required = true)]
    specs: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer validate debian12.yml
  image-composer validate specs/*.yml --json | jq -r '.specs[] | select(.valid) | .spec_hash'

JSON: {specs: [{path, valid, diagnostics: [{path, line, column, message, hint}]}]}; a valid spec also has \
name, version, dist, arch and spec_hash. Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    session.config()?;
    let source_date_epoch = session.source_date_epoch()?;
    let verdicts: Vec<Verdict> = arguments.specs.iter().map(|path| Verdict::new(path, &spec::load(path), source_date_epoch)).collect();
    session.ui.verdicts(&verdicts, arguments.json)?;
    let failed = verdicts.iter().filter(|verdict| !verdict.is_valid()).count();
    if failed > 0 { Err(Error::Invalid { failed, total: verdicts.len() }) } else { Ok(()) }
}
