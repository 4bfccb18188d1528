//! `cache info ID`: everything about one kept image.

use clap::Args;
use clap_complete::ArgValueCandidates;
use image_composer::build::{Annotations, bill};
use image_composer::cache::{ImageCache, ImageRecord, sharing};
use image_composer::format::cbor;
use image_composer::progress::Cancel;
use image_composer::resolve::Lock;

use super::find;
use crate::cli::sbom::Sbom;
use crate::cli::{Error, Result, Session, completions};
use crate::ui::{self, About};

/// The longest lock that is read, in bytes: thousands of times what a large image has.
const LOCK_LIMIT: usize = 64 << 20;

/// Show everything about one image in the cache
///
/// Sizes, packages, the states of its repositories, the times of its build, and which other images are made of the same chunks. The complete spec and all
/// packages are in the JSON.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The image's id or how it begins, as “cache list” and the closing line of a build show it
    #[arg(add = ArgValueCandidates::new(completions::images))]
    id: String,

    /// Print JSON, with all packages of the image
    #[arg(long)]
    json: bool,

    /// Print the log of its build instead: phases, packages, what scripts and commands said
    #[arg(long, conflicts_with = "json")]
    log: bool,

    /// Print what is in it instead, in the words of others, or what it was made from
    #[arg(long, value_name = "BILL", value_enum, conflicts_with_all = ["json", "log"])]
    sbom: Option<Sbom>,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache info 3f9a12c4e01b
  image-composer cache info 3f9a --log | less
  image-composer cache info 3f9a --sbom spdx > image.spdx.json
  image-composer cache info 3f9a --json | jq -r '.packages[] | .name + \" \" + .version'

JSON: the object that “cache list --json” has for the image, and packages: [{name, version, arch, \
repository, sha256, size}], which is null where their list is damaged or the image was imported; spec, the complete spec, or null, with \"(not shown)\" \
for the password of each user who has one; untrusted_repositories: [id], those that were not verified, or null where the spec is not known; \
signed_by: [{archive, suite, keys}], the fingerprints of the keys that signed the lists of packages; phases: [{phase, seconds}], until the image was kept; chunks: {total, own, shared_with: [{spec_hash, name, version, bytes}]}, \
what the image is made of, in bytes of the store. Fields may be added, none goes.

Ends with status 3 if there is no such image, and with 2 if the id may mean several.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let cancel = Cancel::default();
    let (store, image) = find::image(session, &arguments.id, &cancel)?;
    let cache = ImageCache::new(&store);
    if arguments.log {
        let log = Annotations::read(&cache, &image)?.log.ok_or_else(|| no_log(&image))?;
        return Ok(ui::log(&log)?);
    }
    if let Some(sbom) = arguments.sbom {
        return Ok(ui::verbatim(&bill(&cache, &image, &cancel)?.document(sbom.into()))?);
    }
    let about = About { lock: lock(&cache, &image)?, annotations: Annotations::read(&cache, &image)?, sharing: sharing(&store, &image)? };
    session.warn_of_damage(&store);
    Ok(session.ui.image(&image, &about, arguments.json)?)
}

fn no_log(image: &ImageRecord) -> Error {
    let hint = match image.imported {
        Some(_) => "it was imported as a file, not built here",
        None => "it was kept by an older version, or its log is damaged; “image-composer build --rebuild” makes another",
    };
    Error::NoLog { image: image.spec_hash.short(), hint: hint.to_owned() }
}

/// The lock of an image; none if it is damaged.
fn lock(cache: &ImageCache<'_>, image: &ImageRecord) -> Result<Option<Lock>> {
    match cache.read_lock(image) {
        Ok(bytes) => Ok(cbor::decode(&bytes, LOCK_LIMIT).ok()),
        Err(error) if error.is_damage() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
