//! `cache import FILE`: a disk image of another program comes into the store.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use image_composer::build::tidy;
use image_composer::config::Config;
use image_composer::disk::formats::FileFormat;
use image_composer::progress::Cancel;
use image_composer::spec;
use image_composer::transfer::{self, ForSpec, ImportRequest};
use image_composer::units::ByteSize;

use super::bundle;
use crate::cli::{Error, Result, Session, signals};

/// Take a disk image of another program into the cache
///
/// Reads raw, qcow2, vhd, vhdx, vmdk and vdi, each also compressed with zstd, xz, gzip or bzip2. What the file is, its content says; a name that contradicts it is told. The
/// disk is cut into the store, where it shares what it has in common with other images, and listed under the digest of its content; importing the same
/// again changes nothing. Prints the image’s id.
///
/// A bundle, which “cache export --bundle” writes, is known when it is seen: what is missing of it is added, all of it or nothing. Prints the ids of its
/// images. Packages and metadata of a bundle are proven again by each build; that an image is what its spec says is the word of who made the bundle.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The file; “-” is a bundle on standard input
    file: PathBuf,

    /// What the file is, without asking its content: raw, qcow2, vhd, vhdx, vmdk or vdi, with .zst, .xz, .gz or .bz2 at its end for compressed
    #[arg(long)]
    format: Option<FileFormat>,

    /// File it as the image of this spec, so that the next build of the spec takes it: you vouch for what is in it
    #[arg(long, value_name = "SPEC")]
    spec: Option<PathBuf>,

    /// What to call the image; else as the spec or the file is called
    #[arg(long)]
    name: Option<String>,

    /// The longest disk to take
    #[arg(long, value_name = "SIZE", default_value = "1TiB")]
    max_size: ByteSize,

    /// Put it in the place of another image of the spec; with a bundle, its images and packages in the place of others of the same names
    #[arg(short, long)]
    force: bool,

    /// Print what was done as JSON, instead of the id
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache import appliance.vmdk
  image-composer cache import edge.raw.zst --spec edge.yml && image-composer build edge.yml --offline
  image-composer cache import edge.bundle && image-composer build edge.yml --offline

JSON: {outcome: imported|present, format, image: the object that “cache list --json” has for it, seconds, collection: as “build \
--json” has it}. Fields may be \
added, none goes.

JSON of a bundle: {size, added, images: [{spec_hash, name, version, outcome: added|replaced|present|conflict}], \
packages: {added, present, kept}, metadata: {added, present, kept}, seconds, collection}. Kept are those that stayed because the \
store has others of the same names; added is what the store grew by.

Ends with status 4 if the file is damaged.";

pub(super) fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result {
    let begun = Instant::now();
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    if arguments.format.is_none()
        && let Some(file) = transfer::open_bundle(&arguments.file, &cancel)?
    {
        if arguments.spec.is_some() || arguments.name.is_some() {
            return Err(Error::usage("a bundle says itself what is in it", "import it without --spec and --name"));
        }
        return bundle::import(session, config, file, arguments.force, arguments.json, &cancel);
    }
    if arguments.force && arguments.spec.is_none() {
        return Err(Error::usage("--force has no effect without --spec", "an image that is filed under its content is never in another’s place"));
    }
    let source_date_epoch = session.source_date_epoch()?;
    let spec = arguments.spec.as_ref().map(|path| spec::load(path)).transpose()?;
    let request = ImportRequest {
        path: arguments.file.clone(),
        format: arguments.format,
        name: arguments.name.clone(),
        spec: spec.map(|spec| ForSpec::new(&spec, source_date_epoch)),
        max_size: arguments.max_size,
        replace: arguments.force,
    };
    let store = session.open_store(config, &cancel)?;
    let outcome = transfer::import(&store, &request, &*session.view, &cancel);
    session.view.close();
    session.warn_of_damage(&store);
    let imported = outcome?;
    let collection = tidy(&store, config.storage.limits(), &*session.view, &cancel);
    session.view.close();
    Ok(session.ui.imported(&imported, collection.as_ref(), begun.elapsed(), arguments.json)?)
}
