//! What `--json` writes. These structures are promised: fields may come, none goes or changes its meaning. Sizes are bytes, times are seconds since the
//! epoch, durations are seconds; a path that is not UTF-8 is shown with replacement characters.

mod collect;
mod images;
mod pins;
mod usage;

use image_composer::build::{self, Fetched, ImageOutcome, Output, PackageCounts, Report, RootOutcome};
use std::time::Duration;

use image_composer::cache::bundle::{Counts, ImportedBundle, ImportedImage, Outcome};
use image_composer::cache::{self, ImageRecord, ReleaseDate};
use image_composer::progress::Phase;
use image_composer::resolve::{LockedPackage, Matched};
use image_composer::store::BundlePlan;
use image_composer::transfer::{Exported, Imported, Plan};
use serde::Serialize;

use super::why::Near;

pub(super) use collect::Collection;
pub(super) use images::{CachedPackage, CachedPackages, ImageWithPackages, Images};
pub(super) use pins::Pins;
pub(super) use usage::{DiskUse, Usages};

/// The outcome of `build`.
#[derive(Serialize)]
pub(super) struct Build<'a> {
    /// 64 hexadecimal digits: the key of the image cache.
    spec_hash: String,
    name: &'a str,
    version: &'a str,
    /// `{"outcome": "hit", "built_at", "build_seconds", "imported"}` or `{"outcome": "built", "because": "not_there"|"damaged"|"cache_off"|"rebuild", "kept"}`.
    image: &'a ImageOutcome,
    /// `{"total", "fetched", "fetched_bytes", "present"}`; null on a hit.
    packages: Option<&'a PackageCounts>,
    /// `{"outcome": "hit"}`, or `{"outcome": "base", "kept"}` and `{"outcome": "installed", "kept"}`; null on a hit of the image cache, and where the root cache is off.
    root: Option<RootOutcome>,
    /// `{"wanted", "packages"}` for each pattern of package names, and for a kernel's version.
    matched: &'a [Matched],
    /// `[{"archive", "suite", "date"}]`: the states of the repositories that the image was made from.
    releases: &'a [ReleaseDate],
    /// BLAKE3 of the raw disk; null where the image was not kept.
    image_digest: Option<String>,
    /// The logical size of the disk.
    disk_size: u64,
    outputs: Vec<File>,
    seconds: f64,
    /// In the order in which they began.
    phases: Vec<Took>,
    warnings: &'a [String],
    /// `{"packages", "images", "freed", "unmet"}`: what went so that the caches keep to their limits; null where nothing had to.
    collection: Option<&'a build::Collection>,
    /// `{"spec_hash", "name", "version", "built_at", "differences"}`, as `cache why` has it: the kept image nearest to the one that had to be built.
    nearest: Option<Near<'a>>,
}

/// A written file.
#[derive(Serialize)]
struct File {
    path: String,
    size: u64,
    /// What it takes on the disk, holes left out.
    allocated: u64,
}

/// The wall time of a phase.
#[derive(Serialize)]
struct Took {
    phase: Phase,
    seconds: f64,
}

impl<'a> From<&'a Report> for Build<'a> {
    fn from(report: &'a Report) -> Self {
        let file = |output: &Output| File { path: output.path.to_string_lossy().into_owned(), size: output.size.0, allocated: output.allocated.0 };
        Self {
            spec_hash: report.spec_hash.to_string(),
            name: &report.name,
            version: &report.version,
            image: &report.image,
            packages: report.packages.as_ref(),
            root: report.root,
            matched: &report.matched,
            releases: &report.releases,
            image_digest: report.image_digest.map(|digest| digest.to_string()),
            disk_size: report.disk_size.0,
            outputs: report.outputs.iter().map(file).collect(),
            seconds: report.duration.as_secs_f64(),
            phases: report.timings.sums().iter().map(|(phase, took)| Took { phase: *phase, seconds: took.as_secs_f64() }).collect(),
            warnings: &report.warnings,
            collection: report.collection.as_ref(),
            nearest: report.nearest.as_ref().map(Near::from),
        }
    }
}

/// A kept image: an element of `images` in `cache list`, and the greater part of `cache info`.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the same value has the same name everywhere")]
pub(super) struct Image<'a> {
    /// 64 hexadecimal digits: the image's id.
    spec_hash: String,
    name: &'a str,
    version: &'a str,
    dist: &'a str,
    arch: &'a str,
    /// The logical size of the disk.
    size: u64,
    /// The part of it that is not in holes.
    data_size: u64,
    /// What the store grew by when the image was kept.
    own_size: u64,
    /// BLAKE3 of the raw disk.
    image_digest: String,
    built_at: u64,
    build_seconds: f64,
    last_used: u64,
    /// How often it was served.
    uses: u32,
    pinned: bool,
    /// The latest time of any file in the image.
    source_date: u64,
    releases: &'a [ReleaseDate],
    /// `{"file", "format"}` for an image that was imported; else null.
    imported: Option<&'a cache::Import>,
}

impl<'a> From<&'a ImageRecord> for Image<'a> {
    fn from(record: &'a ImageRecord) -> Self {
        Self {
            spec_hash: record.spec_hash.to_string(),
            name: &record.name,
            version: &record.version,
            dist: &record.dist,
            arch: &record.arch,
            size: record.raw_len,
            data_size: record.data_len,
            own_size: record.own_bytes,
            image_digest: record.raw_digest.to_string(),
            built_at: record.built_at,
            build_seconds: record.build_time.as_secs_f64(),
            last_used: record.last_used,
            uses: record.uses,
            pinned: record.pinned,
            source_date: record.source_date,
            releases: &record.releases,
            imported: record.imported.as_ref(),
        }
    }
}

/// A package of an image.
#[derive(Serialize)]
pub(super) struct Package<'a> {
    name: &'a str,
    version: &'a str,
    arch: &'a str,
    repository: &'a str,
    sha256: String,
    /// The length of the package file.
    size: u64,
}

impl<'a> From<&'a LockedPackage> for Package<'a> {
    fn from(package: &'a LockedPackage) -> Self {
        let coordinates = &package.coordinates;
        Self {
            name: coordinates.name(),
            version: coordinates.version(),
            arch: coordinates.arch(),
            repository: coordinates.repository(),
            sha256: package.sha256.to_string(),
            size: package.size,
        }
    }
}

/// `cache dir`.
#[derive(Serialize)]
pub(super) struct StoreDir {
    pub(super) path: String,
    /// Whether there is something at that path.
    pub(super) exists: bool,
}

/// `cache export`.
#[derive(Serialize)]
pub(super) struct Export {
    spec_hash: String,
    path: String,
    /// `raw`, `qcow2.zst` and the like.
    format: String,
    size: u64,
    /// What the file takes on the disk, holes left out.
    allocated: u64,
    disk_size: u64,
    image_digest: String,
    seconds: f64,
}

impl Export {
    pub(super) fn new(exported: &Exported, took: Duration) -> Self {
        let Plan { image, path, format, .. } = &exported.plan;
        Self {
            spec_hash: image.spec_hash.to_string(),
            path: path.to_string_lossy().into_owned(),
            format: format.to_string(),
            size: exported.size.0,
            allocated: exported.allocated.0,
            disk_size: image.raw_len,
            image_digest: image.raw_digest.to_string(),
            seconds: took.as_secs_f64(),
        }
    }
}

/// `cache import`.
#[derive(Serialize)]
pub(super) struct Import<'a> {
    /// `imported`, or `present` where the same image was there.
    outcome: &'static str,
    /// What the file was: `raw`, `qcow2.zst` and the like.
    format: String,
    image: Image<'a>,
    seconds: f64,
    /// `{"packages", "images", "freed", "unmet"}`: what went so that the caches keep to their limits; null where nothing had to.
    collection: Option<&'a build::Collection>,
}

impl<'a> Import<'a> {
    pub(super) fn new(imported: &'a Imported, collection: Option<&'a build::Collection>, took: Duration) -> Self {
        let outcome = if imported.present { "present" } else { "imported" };
        Self { outcome, format: imported.format.to_string(), image: Image::from(&imported.image), seconds: took.as_secs_f64(), collection }
    }
}

/// The outcome of `fetch`.
#[derive(Serialize)]
pub(super) struct Fetches<'a> {
    /// The specs whose packages are all in the store now, in the order of the command line.
    pub(super) specs: Vec<Fetch<'a>>,
    pub(super) failed: Vec<NotFetched>,
    /// See [`Build::collection`].
    pub(super) collection: Option<&'a build::Collection>,
}

/// A spec whose packages are all in the store.
#[derive(Serialize)]
pub(super) struct Fetch<'a> {
    path: String,
    spec_hash: String,
    name: &'a str,
    version: &'a str,
    packages: &'a PackageCounts,
    releases: &'a [ReleaseDate],
    seconds: f64,
}

/// A spec that could not be fetched.
#[derive(Serialize)]
pub(super) struct NotFetched {
    pub(super) path: String,
    /// Why not, with its causes.
    pub(super) error: String,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(path: &std::path::Path, fetched: &'a Fetched) -> Self {
        Self {
            path: path.to_string_lossy().into_owned(),
            spec_hash: fetched.spec_hash.to_string(),
            name: &fetched.name,
            version: &fetched.version,
            packages: &fetched.packages,
            releases: &fetched.releases,
            seconds: fetched.duration.as_secs_f64(),
        }
    }
}

/// `cache export --bundle`.
#[derive(Serialize)]
pub(super) struct BundleExport {
    /// Null for standard output.
    path: Option<String>,
    /// Whether nothing was written.
    dry_run: bool,
    /// The length of the bundle.
    size: u64,
    /// The ids of its images.
    images: Vec<String>,
    /// How many.
    packages: usize,
    /// How many files of repositories.
    metadata: usize,
    /// How many different chunks.
    chunks: usize,
    seconds: f64,
}

impl BundleExport {
    pub(super) fn new(plan: &BundlePlan, path: Option<&std::path::Path>, dry_run: bool, took: std::time::Duration) -> Self {
        let contents = plan.contents();
        Self {
            path: path.map(|path| path.to_string_lossy().into_owned()),
            dry_run,
            size: plan.bundle_len(),
            images: contents.images.iter().map(|image| image.spec_hash.0.to_string()).collect(),
            packages: contents.packages.len(),
            metadata: contents.metadata.len(),
            chunks: plan.chunks(),
            seconds: took.as_secs_f64(),
        }
    }
}

/// `cache import` of a bundle.
#[derive(Serialize)]
pub(super) struct BundleImport<'a> {
    /// The length of the bundle.
    size: u64,
    /// What the store grew by.
    added: u64,
    images: Vec<BundleImage<'a>>,
    /// `{"added", "present", "kept"}`: new, there already, and those that stayed because the store has others of the same names.
    packages: Counts,
    /// The same for files of repositories.
    metadata: Counts,
    seconds: f64,
    /// `{"packages", "images", "freed", "unmet"}`: what went so that the caches keep to their limits; null where nothing had to.
    collection: Option<&'a build::Collection>,
}

/// An image of an imported bundle.
#[derive(Serialize)]
struct BundleImage<'a> {
    spec_hash: String,
    name: &'a str,
    version: &'a str,
    /// `added`, `replaced`, `present`, or `conflict` for one that did not come in because another has its id.
    outcome: Outcome,
}

impl<'a> BundleImport<'a> {
    pub(super) fn new(imported: &'a ImportedBundle, collection: Option<&'a build::Collection>, took: std::time::Duration) -> Self {
        let image = |image: &'a ImportedImage| BundleImage {
            spec_hash: image.spec_hash.to_string(),
            name: &image.name,
            version: &image.version,
            outcome: image.outcome,
        };
        Self {
            size: imported.bundle_len.0,
            added: imported.added.0,
            images: imported.images.iter().map(image).collect(),
            packages: imported.packages,
            metadata: imported.metadata,
            seconds: took.as_secs_f64(),
            collection,
        }
    }
}
