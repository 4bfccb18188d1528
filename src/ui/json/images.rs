//! `cache list` and `cache info`.

use image_composer::cache::{ImageName, ImageRecord, PackageEntry, Sharing};
use serde::Serialize;
use serde_json::Value;

use super::{Image, Package, Took};
use crate::ui::images::About;

/// `cache list`.
#[derive(Serialize)]
pub(in crate::ui) struct Images<'a> {
    /// The newest first, or as they were sorted.
    images: Vec<Image<'a>>,
    /// Those that are kept and not served.
    damaged: Vec<Damaged<'a>>,
}

#[derive(Serialize)]
struct Damaged<'a> {
    spec_hash: String,
    /// Empty where nobody knows any more.
    name: &'a str,
    version: &'a str,
}

impl<'a> Images<'a> {
    pub(in crate::ui) fn new(images: &'a [ImageRecord], damaged: &'a [ImageName]) -> Self {
        let damaged = damaged.iter().map(|image| Damaged { spec_hash: image.spec_hash.to_string(), name: &image.name, version: &image.version });
        Self { images: images.iter().map(Image::from).collect(), damaged: damaged.collect() }
    }
}

/// `cache info`.
#[derive(Serialize)]
pub(in crate::ui) struct ImageWithPackages<'a> {
    #[serde(flatten)]
    image: Image<'a>,
    /// The exact packages; null where their list is damaged, or the image was imported.
    packages: Option<Vec<Package<'a>>>,
    /// The complete spec without passwords; null where nobody knows.
    spec: Option<Value>,
    /// The identities of the repositories that nothing proved; null where nobody knows.
    untrusted_repositories: Option<Vec<&'a str>>,
    /// Who signed the lists of packages that it was made from: the fingerprints of primary keys; of unsigned lists, and where an older program kept the image, none.
    signed_by: Vec<Signed<'a>>,
    /// The times of the phases until the image was kept.
    phases: Vec<Took>,
    /// Null where the image's manifest is damaged.
    chunks: Option<Chunks<'a>>,
}

/// A list of packages, and who signed it.
#[derive(Serialize)]
struct Signed<'a> {
    archive: &'a str,
    suite: &'a str,
    keys: &'a [String],
}

/// What an image is made of, in bytes of the store.
#[derive(Serialize)]
struct Chunks<'a> {
    total: u64,
    /// For this image alone.
    own: u64,
    shared_with: Vec<SharedWith<'a>>,
}

#[derive(Serialize)]
struct SharedWith<'a> {
    spec_hash: String,
    name: &'a str,
    version: &'a str,
    bytes: u64,
}

/// What stands where a user has a password.
const PASSWORD: &str = "(not shown)";

/// A complete spec in which nobody finds the hash of a password: who may read a store, or what somebody shows of it, need not be who may try passwords.
fn without_passwords(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let users = spec.pointer_mut("/system/users").and_then(Value::as_array_mut);
    for password in users.into_iter().flatten().filter_map(|user| user.get_mut("password")).filter(|password| !password.is_null()) {
        *password = PASSWORD.into();
    }
    spec
}

impl<'a> ImageWithPackages<'a> {
    pub(in crate::ui) fn new(image: &'a ImageRecord, packages: Option<Vec<Package<'a>>>, about: &'a About) -> Self {
        let releases = about.lock.iter().flat_map(|lock| &lock.releases).filter(|release| !release.keys.is_empty());
        let phases = about.annotations.phases.iter().map(|took| Took { phase: took.phase, seconds: took.duration().as_secs_f64() });
        Self {
            image: image.into(),
            packages,
            spec: about.annotations.spec().map(without_passwords),
            untrusted_repositories: about.annotations.untrusted(),
            signed_by: releases.map(|release| Signed { archive: &release.archive, suite: &release.suite, keys: &release.keys }).collect(),
            phases: phases.collect(),
            chunks: about.sharing.as_ref().map(Chunks::from),
        }
    }
}

impl<'a> From<&'a Sharing> for Chunks<'a> {
    fn from(sharing: &'a Sharing) -> Self {
        let shared = sharing.with.iter().map(|other| SharedWith {
            spec_hash: other.spec_hash.to_string(),
            name: &other.name,
            version: &other.version,
            bytes: other.bytes,
        });
        Self { total: sharing.total, own: sharing.own, shared_with: shared.collect() }
    }
}

/// `cache list --packages`.
#[derive(Serialize)]
pub(in crate::ui) struct CachedPackages<'a> {
    pub(in crate::ui) packages: Vec<CachedPackage<'a>>,
}

/// A package in the cache.
#[derive(Serialize)]
pub(in crate::ui) struct CachedPackage<'a> {
    name: &'a str,
    version: &'a str,
    arch: &'a str,
    repository: &'a str,
    sha256: String,
    /// The length of the package file.
    size: u64,
    /// What it takes in the store.
    stored_size: u64,
    added_at: u64,
    last_used: u64,
    /// How many builds used it since it came in.
    uses: u32,
    pinned: bool,
}

impl<'a> From<&'a PackageEntry> for CachedPackage<'a> {
    fn from(entry: &'a PackageEntry) -> Self {
        Self {
            name: entry.coordinates.name(),
            version: entry.coordinates.version(),
            arch: entry.coordinates.arch(),
            repository: entry.coordinates.repository(),
            sha256: entry.sha256.to_string(),
            size: entry.raw_len,
            stored_size: entry.stored_len,
            added_at: entry.added_at,
            last_used: entry.last_used,
            uses: entry.uses,
            pinned: entry.pinned,
        }
    }
}
