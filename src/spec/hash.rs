//! The spec hash: the key of the image cache.

use serde::Serialize;

use super::Spec;
use crate::cache::SpecHash;
use crate::digest::Digest;
use crate::distro::{Profile, ProfileArchive};
use crate::format::cbor;

/// Grows by one whenever the same spec and packages would give other bytes than with the builder before: no older image is a hit then.
pub const BUILDER_EPOCH: u32 = 9;

/// Everything that can change an image, beside the state of the repositories.
#[derive(Serialize)]
struct Input<'s> {
    builder_epoch: u32,
    source_date_epoch: Option<u64>,
    spec: &'s Spec,
    codename: &'static str,
    archives: Vec<ArchiveInput>,
}

/// Where a profile takes packages from. Its packages are already in the spec; mirrors and the place of the keyring change nothing.
#[derive(Serialize)]
struct ArchiveInput {
    id: &'static str,
    suites: &'static [&'static str],
    components: &'static [&'static str],
}

impl<'s> Input<'s> {
    fn of(spec: &'s Spec, profile: &Profile, source_date_epoch: Option<u64>) -> Self {
        let archive = |&ProfileArchive { id, suites, components, keyring: _, mirror_suffix: _, published: _, unsigned_lists: _ }: &ProfileArchive| {
            ArchiveInput { id, suites, components }
        };
        let archives = profile.archives.iter().map(archive).collect();
        Self { builder_epoch: BUILDER_EPOCH, source_date_epoch, spec, codename: profile.codename, archives }
    }
}

/// What of a spec decides on its packages.
#[derive(Serialize)]
struct PackageInput<'s> {
    target: &'s super::model::Target,
    packages: &'s [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recommends: bool,
    kernel: &'s Option<crate::resolve::Kernel>,
    codename: &'static str,
    archives: Vec<ArchiveInput>,
    repositories: &'s [super::model::PackageRepository],
    folders: &'s [super::model::PackageFolder],
}

/// The digest of what decides on the packages of a spec, beside the state of the repositories: a lock holds as long as it stays.
pub(super) fn package_inputs(spec: &Spec, profile: &Profile) -> Digest {
    let archives = Input::of(spec, profile, None).archives;
    let (packages, kernel) = (spec.system.packages.as_slice(), &spec.system.kernel);
    let (repositories, folders) = (spec.repositories.as_slice(), spec.folders.as_slice());
    let input = PackageInput {
        target: &spec.target,
        packages,
        recommends: spec.system.recommends,
        kernel,
        codename: profile.codename,
        archives,
        repositories,
        folders,
    };
    Digest::derive("image-composer 2026-11 package inputs", &cbor::encode(&input).expect("texts and numbers can always be encoded"))
}

/// The hash of a complete spec.
pub(super) fn hash(spec: &Spec, profile: &Profile, source_date_epoch: Option<u64>) -> SpecHash {
    let bytes = cbor::encode(&Input::of(spec, profile, source_date_epoch)).expect("structures of texts and numbers can always be encoded");
    SpecHash::of_canonical(&bytes)
}

/// What the hash is made from, to be compared with others.
pub(super) fn inputs(spec: &Spec, profile: &Profile, source_date_epoch: Option<u64>) -> serde_json::Value {
    serde_json::to_value(Input::of(spec, profile, source_date_epoch)).expect("structures of texts and numbers can always be encoded")
}
