//! Bundles: `cache export --bundle` and what `cache import` does with one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use image_composer::build::{Caches, fetch, tidy};
use image_composer::cache::bundle::{self, Selection};
use image_composer::cache::{ImageCache, SpecHash};
use image_composer::config::Config;
use image_composer::progress::{Cancel, Silent};
use image_composer::spec;
use image_composer::store::Store;
use image_composer::transfer::{self, BundleFile};

use super::find;
use crate::cli::network::Network;
use crate::cli::{Error, Result, Session, lock};
use crate::ui;

/// What makes an export a bundle.
#[derive(Debug, Args)]
#[command(next_help_heading = "Bundles")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Bundle {
    /// Write images, packages, metadata and locks as one bundle into this file, for “cache import” on a machine without a network; “-” is standard output
    #[arg(long = "bundle", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,

    /// Everything that “build SPEC --offline” needs of these specs, and their images if they are kept; what is missing is told, see “fetch”
    #[arg(long, value_name = "SPEC", num_args = 1.., requires = "file", conflicts_with = "all")]
    spec: Vec<PathBuf>,

    /// Everything in the store
    #[arg(long, requires = "file")]
    all: bool,

    /// Exactly the packages of each SPEC.lock, for “build SPEC --locked --offline”, and the images that were built by it
    #[arg(long, requires = "spec", conflicts_with = "all")]
    locked: bool,

    /// Leave the specs’ images out
    #[arg(long, requires = "spec")]
    no_images: bool,

    /// Accept metadata of the specs that was fetched with --allow-expired
    #[arg(long, requires = "spec")]
    allow_expired: bool,

    /// Accept repositories that the specs say not to verify, as “fetch” does
    #[arg(long, requires = "spec")]
    allow_untrusted: bool,

    /// Only show what the bundle would have
    #[arg(long, requires = "file")]
    dry_run: bool,
}

/// Writes a bundle to `path`. The words are ids of images.
pub(super) fn export(session: &Session, what: &Bundle, path: &Path, ids: &[OsString], force: bool, json: bool, cancel: &Cancel) -> Result {
    let begun = Instant::now();
    if ids.is_empty() && what.spec.is_empty() && !what.all {
        return Err(Error::usage("nothing is named that the bundle shall have", "name images by their ids, specs with --spec, or say --all"));
    }
    let pipe = path == Path::new("-");
    if pipe && !what.dry_run && (json || ui::out_is_terminal()) {
        return Err(Error::usage("a bundle cannot be shown", "send standard output to a file or a program, without --json"));
    }
    if !pipe && !what.dry_run {
        transfer::check_bundle_path(path, force)?;
    }
    let Some(store) = session.existing_store_until(cancel)? else {
        return Err(Error::usage("there is no store", "“image-composer fetch SPEC” and “image-composer build SPEC” make one"));
    };
    let selected = select(session, what, ids, &store, cancel);
    session.view.close();
    let plan = bundle::plan(&store, &selected?, cancel);
    session.warn_of_damage(&store);
    let plan = plan?;
    let written = match (what.dry_run, pipe) {
        (true, _) => Ok(()),
        (false, true) => transfer::stream_bundle(&store, &plan, &mut ui::out(), &*session.view, cancel),
        (false, false) => transfer::export_bundle(&store, &plan, path, force, &*session.view, cancel),
    };
    session.view.close();
    session.warn_of_damage(&store);
    written?;
    Ok(session.ui.bundle_exported(&plan, (!pipe).then_some(path), what.dry_run, begun.elapsed(), json)?)
}

/// What the command line asks for.
fn select(session: &Session, what: &Bundle, ids: &[OsString], store: &Store, cancel: &Cancel) -> Result<Selection> {
    let mut selection = Selection { all: what.all, ..Selection::default() };
    for id in ids {
        selection.images.insert(find::in_store(store, &id.to_string_lossy())?.spec_hash);
    }
    let config = session.config()?;
    let source_date_epoch = session.source_date_epoch()?;
    for path in &what.spec {
        let network = Network::none(what.allow_expired, what.allow_untrusted);
        let mut request = network.request(spec::load(path)?, &config, Vec::new(), Caches { packages: true, images: true, roots: false }, true)?;
        request.source_date_epoch = source_date_epoch;
        if what.locked {
            request.locked = Some(lock::required(&request.spec)?);
        }
        let needs = fetch(&request, store, &Silent, cancel)?;
        selection.packages.extend(needs.needed);
        // What a lock names is looked up nowhere.
        let suites = needs.releases.into_iter().filter(|_| !what.locked);
        selection.suites.extend(suites.map(|release| (release.archive, release.suite)));
        selection.images.extend(kept(store, needs.spec_hash, what.no_images)?);
    }
    Ok(selection)
}

/// The image of a spec, if it is kept and wanted.
fn kept(store: &Store, hash: SpecHash, no_images: bool) -> Result<Option<SpecHash>> {
    if no_images {
        return Ok(None);
    }
    Ok(ImageCache::new(store).lookup(&hash)?.map(|image| image.spec_hash))
}

/// Takes a bundle in.
pub(super) fn import(session: &Session, config: &Config, file: BundleFile, force: bool, json: bool, cancel: &Cancel) -> Result {
    let begun = Instant::now();
    let store = session.open_store(config, cancel)?;
    let outcome = transfer::import_bundle(&store, file, force, &*session.view, cancel);
    session.view.close();
    session.warn_of_damage(&store);
    let imported = outcome?;
    let collection = tidy(&store, config.storage.limits(), &*session.view, cancel);
    session.view.close();
    Ok(session.ui.bundle_imported(&imported, collection.as_ref(), begun.elapsed(), json)?)
}
