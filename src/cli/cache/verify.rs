//! `cache verify`: reads everything in the store, and mends what can be mended.

use std::time::Instant;

use clap::Args;
use image_composer::cache::verify;
use image_composer::progress::Cancel;

use crate::cli::{Error, Result, Session, signals};
use crate::ui;

/// Check every byte of the store, and mend what can be mended
///
/// Reads all packages, files of repositories and images, and compares the index with them: names, places, and how often everything is referred to. Says of
/// what is damaged to which package or image it belongs, and what brings it back. Other processes may use the store meanwhile.
///
/// Nothing is changed without --repair. With it, what is damaged goes to the store’s quarantine and counts as missing, so that the next build fetches or builds
/// it again; what is wrong around whole bytes is put right; and files that nothing knows, as a killed process leaves them, are removed.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Mend what can be mended; what cannot counts as missing
    #[arg(long)]
    repair: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache verify
  image-composer cache verify --repair; image-composer build debian12.yml
  image-composer cache verify --json | jq -r '.damaged[].belongs_to[].name'

JSON: {checked: {blobs, packs, chunks, bytes}, damaged: [{object, digest, path, problem, belongs_to: [{kind, name, spec_hash, \
remedy}]}], mendable: [{object, digest, problem}], names: [{kind, name, problem}], images: [{kind, name, spec_hash, remedy}], \
counts: [{object, digest, found, counted}], counters, orphans: [{path, size}], strangers: [path], unwritten_names, known_lost, \
repaired: {given_up, corrected, names_removed, names_written, images_marked, orphans_removed, bytes_freed} or null, \
seconds}. An object is a blob, chunk, pack or image; a kind is package, metadata or image. Sizes are bytes. Fields may be added, none goes.

Ends with status 4 if anything is damaged, also if it was mended. Orphans, strangers and what was known to be lost before are no damage.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let begun = Instant::now();
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let Some(store) = session.existing_store_until(&cancel)? else { return Ok(ui::nothing_to_verify(session.ui, arguments.json)?) };
    let outcome = verify::verify(&store, arguments.repair, &*session.view, &cancel);
    session.view.close();
    let outcome = outcome?;
    session.ui.verified(&outcome, begun.elapsed(), arguments.json)?;
    if outcome.findings.is_damaged() { Err(Error::StoreDamaged { repaired: arguments.repair }) } else { Ok(()) }
}
