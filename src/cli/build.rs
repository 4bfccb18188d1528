//! `build`: a spec becomes an image.

use std::path::{Path, PathBuf};

use clap::Args;
use image_composer::build::{Caches, Output, Report, Request, build};
use image_composer::config::Storage;
use image_composer::progress::Cancel;
use image_composer::spec;
use image_composer::spec::model::CacheUse;
use image_composer::store::Store;
use image_composer::units::ByteSize;

use super::network::Network;
use super::sbom::{self, Sbom};
use super::{Error, Result, Session, lock, signals};

/// Build an image, or take it from the image cache
///
/// Writes <name>-<version>.<format> for each format of the spec into the output folder, and prints their paths. An image of the same spec that is in the
/// cache is copied out, without asking the network.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Arguments {
    /// The spec, a YAML file
    spec: PathBuf,

    /// Write into this folder, which is made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// Use only what the store has, never the network
    #[arg(long)]
    offline: bool,

    /// Use exactly the packages of SPEC.lock, which “image-composer lock” makes
    #[arg(long)]
    locked: bool,

    /// Build from packages although the image, or a root of them, is in a cache, and put the new ones in their place
    #[arg(long, conflicts_with_all = ["no_cache", "no_image_cache"])]
    rebuild: bool,

    /// Ask the repositories although the image is in the cache, and build only if they have other packages for it
    #[arg(long, conflicts_with_all = ["rebuild", "offline", "locked", "no_cache", "no_image_cache"])]
    refresh: bool,

    /// Build again beside the image in the cache, from the same packages, and show what differs first; with exit code 4 if anything does
    #[arg(long, conflicts_with_all = ["rebuild", "refresh", "sbom", "output", "no_cache", "no_image_cache"])]
    check: bool,

    /// Write the log of the build into this file: phases with their times, what hit and missed, what packages' scripts and commands print
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// Write what is in the image, too, as <name>-<version>.spdx.json or .cdx.json, and what it was made from as .provenance.json
    #[arg(long, value_name = "BILL", value_enum, conflicts_with_all = ["no_cache", "no_image_cache"])]
    sbom: Vec<Sbom>,

    /// Show where the time went, and write it as a page for browsers: <name>-<version>.timings.html
    #[arg(long, conflicts_with = "check")]
    timings: bool,

    #[command(flatten)]
    switches: Switches,

    #[command(flatten)]
    network: Network,

    /// Print what was done as JSON, instead of paths
    #[arg(long)]
    json: bool,
}

/// The switches of the caches.
#[derive(Debug, Clone, Copy, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Switches {
    /// Neither read nor write any cache
    #[arg(long)]
    no_cache: bool,

    /// Neither read nor write the cache of packages and repository metadata
    #[arg(long)]
    no_package_cache: bool,

    /// Neither read nor write the image cache
    #[arg(long)]
    no_image_cache: bool,

    /// Neither read nor write the cache of installed packages
    #[arg(long)]
    no_root_cache: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer build debian12.yml -o out/
  image-composer build debian12.yml --offline --no-image-cache
  image-composer lock debian12.yml && image-composer build debian12.yml --locked
  image-composer build debian12.yml --check
  image-composer build debian12.yml --sbom spdx --sbom provenance
  image-composer build debian12.yml --timings -o out/
  image-composer build debian12.yml --mirror debian=https://mirror.example/debian

JSON: one object with spec_hash, name, version, image {outcome: hit|built, …}, packages {total, fetched, \
fetched_bytes, present} or null, root {outcome: hit|base|installed, …} or null, matched [{wanted, packages}] (what patterns of package names and a kernel's version meant), releases [{archive, suite, date}], image_digest, disk_size, \
outputs [{path, size, allocated}], seconds, phases [{phase, seconds}], warnings, collection {packages, plain, images, roots, freed, \
unmet} (what went so that the caches keep to their limits) or null. Sizes are bytes, dates are seconds since 1970. \
JSON with --check: {outcome: same|differs, spec_hash, name, version, image_digest, built_digest, packages, difference, seconds}, where difference is what \
“diff --times --json” has of the kept image and the one built beside it, or null. Fields may be added, none goes. An error is told on standard error only.";

pub(super) fn run(session: &Session, arguments: Arguments) -> Result {
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let mirrors = arguments.network.mirrors()?;
    let config = session.config()?;
    let source_date_epoch = session.source_date_epoch()?;
    let spec = spec::load(&arguments.spec)?;
    session.ui.detail(|| format!("spec: {}, {}", spec.path.display(), spec.hash(source_date_epoch)));

    let caches = arguments.switches.with(spec.spec.cache, &config.storage);
    if !caches.images && !arguments.sbom.is_empty() {
        return Err(sbom::cache_off());
    }
    let mut request = arguments.network.request(spec, &config, mirrors, caches, arguments.offline)?;
    if arguments.locked {
        request.locked = Some(lock::required(&request.spec)?);
    }
    if arguments.check && !caches.images {
        let hint = "it compares with the image that is kept: leave the cache on in command, spec and configuration";
        return Err(Error::usage("--check needs the image cache, and it is off", hint));
    }
    request.output_dir = arguments.output;
    request.rebuild = arguments.rebuild;
    request.log = arguments.log_file.as_deref().map(Session::log_file).transpose()?;
    request.source_date_epoch = source_date_epoch;
    request.refresh = arguments.refresh;
    let store = if caches.packages || caches.images { Some(session.open_store(&config, &cancel)?) } else { None };

    if let Some(store) = store.as_ref().filter(|_| arguments.check) {
        return check(session, request, store, arguments.json, &cancel);
    }
    let outcome = build(&request, store.as_ref(), &*session.view, &cancel);
    session.view.close();
    if let Some(store) = &store {
        session.warn_of_damage(store);
    }
    let mut report = outcome?;
    if arguments.timings {
        write_timings(session, &mut report, &request.output_dir)?;
    }
    let billed = sbom::write(store.as_ref(), &mut report, &arguments.sbom, &request.output_dir, &cancel);
    session.ui.built(&report, arguments.json)?;
    billed
}

/// Shows where the time went, writes it beside the output files, and adds the page to them.
fn write_timings(session: &Session, report: &mut Report, folder: &Path) -> Result {
    session.ui.timings(report);
    let path = folder.join(format!("{}-{}.timings.html", report.name, report.version));
    let page = crate::ui::timings_page(report);
    let size = ByteSize(page.len() as u64);
    std::fs::write(&path, page).map_err(|source| image_composer::build::Error::Output { path: path.clone(), source })?;
    report.outputs.push(Output { path, size, allocated: size });
    Ok(())
}

fn check(session: &Session, request: Request, store: &Store, json: bool, cancel: &Cancel) -> Result {
    let outcome = image_composer::build::check(request, store, &*session.view, cancel);
    session.view.close();
    session.warn_of_damage(store);
    let checked = outcome?;
    session.ui.checked(&checked, json)?;
    if checked.difference.is_some() { Err(Error::NotTheSame { image: checked.kept.spec_hash.short() }) } else { Ok(()) }
}

impl Switches {
    /// A cache is used where command, spec and configuration all have it on.
    fn with(self, spec: CacheUse, storage: &Storage) -> Caches {
        let packages = !self.no_cache && !self.no_package_cache && spec.packages && storage.package_cache.enabled;
        Caches {
            packages,
            images: !self.no_cache && !self.no_image_cache && spec.images && storage.image_cache.enabled,
            roots: packages && !self.no_root_cache && storage.root_cache.enabled,
        }
    }
}

#[cfg(test)]
mod tests {
    use image_composer::config::Config;

    use super::*;

    #[test]
    fn a_cache_is_on_where_all_three_say_so() {
        let off = Switches { no_cache: false, no_package_cache: false, no_image_cache: false, no_root_cache: false };
        let (both, storage) = (CacheUse { packages: true, images: true }, Config::default().storage);
        let caches = |packages, images| Caches { packages, images, roots: packages };
        assert_eq!(off.with(both, &storage), caches(true, true));

        assert_eq!(Switches { no_cache: true, ..off }.with(both, &storage), caches(false, false));
        assert_eq!(Switches { no_package_cache: true, ..off }.with(both, &storage), caches(false, true));
        assert_eq!(Switches { no_image_cache: true, ..off }.with(both, &storage), caches(true, false));

        assert_eq!(off.with(CacheUse { packages: false, images: true }, &storage), caches(false, true));
        assert_eq!(off.with(CacheUse { packages: true, images: false }, &storage), caches(true, false));

        let mut configured = storage.clone();
        configured.package_cache.enabled = false;
        assert_eq!(off.with(both, &configured), caches(false, true));
        configured.image_cache.enabled = false;
        assert_eq!(off.with(both, &configured), caches(false, false));

        let without = Caches { packages: true, images: true, roots: false };
        assert_eq!(Switches { no_root_cache: true, ..off }.with(both, &storage), without);
        let mut configured = storage.clone();
        configured.root_cache.enabled = false;
        assert_eq!(off.with(both, &configured), without);
    }
}
