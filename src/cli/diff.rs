//! `diff`: how two images differ.

use std::ffi::OsString;

use clap::Args;
use clap_complete::ArgValueCompleter;
use image_composer::inspect::{self, Limits, Options};
use image_composer::progress::Cancel;

use super::{Result, Session, completions, inspect::open, inspect::store_for, signals};

/// Show how two images differ: packages, files, sizes, and where the bytes grew
///
/// Compares images of the cache, or files, as “inspect” reads them. Files are compared by content, mode, owner and target of links; two that are equally
/// long are the same if all their bytes are.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The first image: a file, or an image’s id or how it begins
    #[arg(value_name = "FILE|ID", add = ArgValueCompleter::new(completions::images_and_files))]
    from: OsString,

    /// The second image
    #[arg(value_name = "FILE|ID", add = ArgValueCompleter::new(completions::images_and_files))]
    to: OsString,

    /// Compare when files were last changed, too
    #[arg(long)]
    times: bool,

    /// Show all files that differ, not only the first 50
    #[arg(long)]
    all: bool,

    /// Print JSON, with all files and folders
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer diff 3f9a12c4e01b 7c01d2e8a4b6
  image-composer diff old.qcow2 out/edge-1.1.raw --all
  image-composer diff 3f9a 7c01 --json | jq -r '.files[] | select(.change == \"added\") | .path'

Prints a line for each package, partition and file: + what only the second image has, - what only the first has, ~ what both have and how it differs.

JSON: {same, images, size, used, files_total: {from, to} each, packages: [{change: added|removed, name, version} or {change: changed, name, from, to}] or \
null where they are not known, partitions: [{number, from, to}] as “inspect --json” has them, files: [{path, partition, change: added|removed|changed, what: \
[kind|content|mode|owner|link|device|time], from, to: {kind, size, mode, uid, gid, target, modified} or null}], folders: [{path, from, to}] whose bytes \
grew or shrank with all that is beneath them, first_byte: {offset, partition} or null}. Sizes are bytes. Fields may be added, none goes.

Ends with status 0 whether the images differ or not: “.same” of the JSON says which. It ends with 4 if a part of one is damaged, because what is in there \
could not be compared.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let store = store_for(session, &[&arguments.from, &arguments.to], &cancel)?;
    let open = |word| open(session, store.as_ref(), word, &cancel);
    let options = Options { times: arguments.times };
    let outcome = open(&arguments.from)
        .and_then(|from| Ok((from, open(&arguments.to)?)))
        .and_then(|(from, to)| Ok(inspect::diff(&from, &to, options, Limits::USUAL, &cancel)?));
    session.view.close();
    if let Some(store) = &store {
        session.warn_of_damage(store);
    }
    Ok(session.ui.difference(&outcome?, arguments.all, arguments.json)?)
}
