//! An in-toto statement (in-toto.io/Statement/v1) with SLSA provenance (slsa.dev/provenance/v1).
//!
//! The disk is what the statement is about; what was written of it in other formats follows from the disk. It is not signed: whoever gives it to others
//! signs it with a key of theirs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Bill;
use crate::digest::{Digest, Sha256};
use crate::distro::Packaging;

/// What the parameters below mean. Another meaning gets another number.
const BUILD_TYPE: &str = "urn:image-composer:build:1";
const BUILDER: &str = "urn:image-composer:builder";

type Digests = BTreeMap<&'static str, String>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Statement {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: [Subject; 1],
    predicate_type: &'static str,
    predicate: Predicate,
}

#[derive(Serialize)]
struct Subject {
    name: String,
    digest: Digests,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: &'static str,
    external_parameters: Parameters,
    resolved_dependencies: Vec<Resource>,
}

/// What the image is asked for by.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    /// The key of the image: the digest of the spec with all defaults, and of the lock where it was built by one.
    key: String,
    name: String,
    version: String,
    dist: String,
    arch: String,
    source_date_epoch: Option<Value>,
    /// The digest of the lock file that the build had to keep to.
    lock: Option<Value>,
}

#[derive(Serialize)]
struct Resource {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    digest: Digests,
}

#[derive(Serialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Serialize)]
struct Builder {
    id: &'static str,
    version: BTreeMap<&'static str, String>,
}

/// How the image came about.
pub(super) fn statement(bill: &Bill) -> Statement {
    let image = &bill.image;
    let input = |name: &str| bill.inputs.get(name).filter(|value| !value.is_null()).cloned();
    let known = bill.releases.iter().copied().chain(std::iter::repeat(None));
    let releases = bill.lock.releases.iter().zip(known).map(|(release, sha256)| Resource {
        uri: None,
        name: Some(match bill.packaging() {
            Packaging::Deb => format!("{}/dists/{}/InRelease", release.archive, release.suite),
            Packaging::Rpm => format!("{}/{}repodata/repomd.xml", release.archive, release.suite),
        }),
        digest: digests(release.digest, sha256),
    });
    let packages = bill.lock.packages.iter().map(|package| Resource {
        uri: Some(bill.purl(package)),
        name: None,
        digest: Digests::from([("sha256", package.sha256.to_string())]),
    });
    let mut version = BTreeMap::new();
    version.extend(bill.builder.clone().map(|version| ("image-composer", version)));
    version.extend(input("builder_epoch").map(|epoch| ("epoch", epoch.to_string())));
    Statement {
        kind: "https://in-toto.io/Statement/v1",
        subject: [Subject {
            name: format!("{}-{}.raw", image.name, image.version),
            digest: image.disk.map(|disk| digests(disk.digest, Some(disk.sha256))).unwrap_or_default(),
        }],
        predicate_type: "https://slsa.dev/provenance/v1",
        predicate: Predicate {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE,
                external_parameters: Parameters {
                    key: image.spec_hash.to_string(),
                    name: image.name.clone(),
                    version: image.version.clone(),
                    dist: image.dist.clone(),
                    arch: image.arch.clone(),
                    source_date_epoch: input("source_date_epoch"),
                    lock: input("lock"),
                },
                resolved_dependencies: releases.chain(packages).collect(),
            },
            run_details: RunDetails { builder: Builder { id: BUILDER, version } },
        },
    }
}

/// Both digests of the same bytes: few verifiers know BLAKE3.
fn digests(blake3: Digest, sha256: Option<Sha256>) -> Digests {
    let mut digests = Digests::from([("blake3", blake3.to_string())]);
    digests.extend(sha256.map(|sha256| ("sha256", sha256.to_string())));
    digests
}
