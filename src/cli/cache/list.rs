//! `cache list`: the kept images, or the packages.

use clap::Args;
use image_composer::cache::{ImageCache, PackageCache, Sort, damaged_images};

use crate::cli::{Error, Result, Session};

/// List the images in the cache, the newest first, or the packages
///
/// On a terminal a table. Elsewhere a line for each entry, without headings, with columns separated by tabs. Of an image: id, name, version, size, own size
/// (what the store grew by for it), built, last used, uses, “pinned” or “-”. Of a package: name, version, architecture, repository, size, last used, uses,
/// “pinned” or “-”. Sizes are in bytes, times as 2026-11-20T08:15:30Z.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// List the packages instead of the images
    #[arg(long)]
    packages: bool,

    /// List only what is pinned
    #[arg(long)]
    pinned: bool,

    /// Sort by name, version, arch, repository, size, own-size, built, last-used or uses: names from a to z, all else from the largest, the newest, the
    /// most; with “:reverse” the other way round
    #[arg(long, value_name = "KEY[:reverse]")]
    sort: Option<Sort>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache list
  image-composer cache list --sort own-size
  image-composer cache list --packages --sort last-used:reverse | head
  image-composer cache list | cut -f 1,2

JSON: {images: [{spec_hash, name, version, dist, arch, size, data_size, own_size, image_digest, built_at, \
build_seconds, last_used, uses, pinned, source_date, releases: [{archive, suite, date}], imported: {file, format} or null}], \
damaged: [{spec_hash, name, version}]}, or with --packages {packages: [{name, version, arch, repository, sha256, size, stored_size, added_at, \
last_used, uses, pinned}]}. Sizes are bytes, times are seconds since 1970. Fields may be added, none goes.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let store = session.existing_store()?;
    if arguments.packages {
        let mut packages = store.as_ref().map(|store| PackageCache::new(store).list()).transpose()?.unwrap_or_default();
        packages.retain(|package| package.pinned || !arguments.pinned);
        if arguments.sort.is_some_and(|sort| !sort.packages(&mut packages)) {
            return Err(no_such_key("packages", "name, version, arch, repository, size, last-used or uses"));
        }
        return Ok(session.ui.packages(&packages, arguments.json)?);
    }
    let (mut images, damaged) = match &store {
        None => Default::default(),
        Some(store) => (ImageCache::new(store).list()?, damaged_images(store)?),
    };
    if let Some(store) = &store {
        session.warn_of_damage(store);
    }
    images.retain(|image| image.pinned || !arguments.pinned);
    if arguments.sort.is_some_and(|sort| !sort.images(&mut images)) {
        return Err(no_such_key("images", "name, version, arch, size, own-size, built, last-used or uses"));
    }
    Ok(session.ui.images(&images, &damaged, arguments.json)?)
}

fn no_such_key(what: &str, keys: &str) -> Error {
    Error::usage(format!("{what} cannot be sorted by that"), format!("sort {what} by {keys}"))
}
