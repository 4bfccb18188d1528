//! `fetch SPEC…`: what specs need comes into the store, and nothing is built.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use image_composer::build::{Caches, Fetched, fetch, tidy};
use image_composer::config::Config;
use image_composer::progress::Cancel;
use image_composer::spec::{self, Loaded};
use image_composer::store::Store;

use super::mirror::Mirror;
use super::network::Network;
use super::{Error, Result, Session, exit, lock, signals};
use crate::ui;

/// Fetch all that specs need, without building them
///
/// Brings the metadata and the packages of the specs into the store, so that they can be built offline, here or, by “cache export --bundle”, elsewhere. What is
/// there is not fetched again. A spec that fails does not keep the others from being fetched.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The specs, YAML files
    #[arg(required = true, value_name = "SPEC")]
    specs: Vec<PathBuf>,

    /// Fetch exactly the packages of each SPEC.lock, which “image-composer lock” makes, and no metadata
    #[arg(long)]
    locked: bool,

    /// Only see whether all is there, never use the network
    #[arg(long)]
    offline: bool,

    /// Write the log of all that is done into this file
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    #[command(flatten)]
    network: Network,

    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer fetch specs/*.yml
  image-composer fetch edge.yml && image-composer cache export --bundle edge.bundle --spec edge.yml
  image-composer fetch edge.yml --locked
  image-composer fetch edge.yml --offline    end with status 3 if something is missing

JSON: {specs: [{path, spec_hash, name, version, packages: {total, fetched, fetched_bytes, present}, \
releases: [{archive, suite, date}], seconds}], failed: [{path, error}], \
collection: as “build --json” has it}. Sizes are bytes, dates are seconds since 1970. \
Fields may be added, none goes.

Ends with the status of the first spec that failed.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let mirrors = arguments.network.mirrors()?;
    let config = session.config()?;
    let source_date_epoch = session.source_date_epoch()?;
    let specs: Vec<(&PathBuf, Result<Loaded>)> = arguments.specs.iter().map(|path| (path, spec::load(path).map_err(Error::from))).collect();
    let usable: Vec<&Loaded> = specs.iter().filter_map(|(_, spec)| spec.as_ref().ok()).collect();
    Mirror::check_used(&mirrors, &usable)?;
    let log = arguments.log_file.as_deref().map(Session::log_file).transpose()?;
    let store = session.open_store(&config, &cancel)?;

    let mut fetched: Vec<(&Path, Fetched)> = Vec::new();
    let mut failed: Vec<(&Path, Error)> = Vec::new();
    for (path, spec) in specs {
        let outcome = spec.and_then(|spec| one(session, arguments, &config, spec, &mirrors, source_date_epoch, log.clone(), &store, &cancel));
        session.view.close();
        match outcome {
            Ok(one) => {
                session.ui.fetched(path, &one);
                fetched.push((path, one));
            }
            Err(error) if error.exit_code() == exit::INTERRUPTED => return Err(error),
            Err(error) => {
                session.ui.fail(&error.problem());
                failed.push((path, error));
            }
        }
    }
    let collection = tidy(&store, config.storage.limits(), &*session.view, &cancel);
    session.view.close();
    session.warn_of_damage(&store);
    session.ui.limits_kept(collection.as_ref());
    if arguments.json {
        ui::fetched_json(&fetched, &failed, collection.as_ref())?;
    }
    match failed.first() {
        None => Ok(()),
        Some((_, first)) => {
            let code = first.exit_code();
            let paths = failed.iter().map(|(path, _)| path.to_path_buf()).collect();
            Err(Error::NotFetched { failed: paths, total: arguments.specs.len(), code })
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one step of the loop above")]
fn one(
    session: &Session,
    arguments: &Arguments,
    config: &Config,
    spec: Loaded,
    mirrors: &[Mirror],
    source_date_epoch: Option<u64>,
    log: Option<Arc<File>>,
    store: &Store,
    cancel: &Cancel,
) -> Result<Fetched> {
    if !spec.spec.cache.packages || !config.storage.package_cache.enabled {
        let message = format!("{}: the package cache is off, so there is nothing to fetch into", spec.path.display());
        return Err(Error::usage(message, "switch it on in the spec (build.cache.use_package_cache) and in the configuration"));
    }
    session.ui.detail(|| format!("spec: {}, {}", spec.path.display(), spec.hash(source_date_epoch)));
    let mirrors = Mirror::of_profile(mirrors, spec.profile);
    let caches = Caches { packages: true, images: false, roots: false };
    let mut request = arguments.network.request(spec, config, mirrors, caches, arguments.offline)?;
    request.source_date_epoch = source_date_epoch;
    request.log = log;
    if arguments.locked {
        request.locked = Some(lock::required(&request.spec)?);
    }
    Ok(fetch(&request, store, &*session.view, cancel)?)
}
