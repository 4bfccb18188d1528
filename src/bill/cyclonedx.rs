//! `CycloneDX` 1.5 in JSON (cyclonedx.org/docs/1.5/json).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Bill, BillFormat};
use crate::resolve::{LockedPackage, Reason};
use crate::time;

const IMAGE: &str = "image";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
    compositions: [Composition; 2],
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
}

#[derive(Serialize)]
struct Tools {
    components: [Component; 1],
}

#[derive(Serialize, Default)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    bom_ref: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    depends_on: Vec<String>,
}

/// How much of something is told.
#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assemblies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<String>,
}

/// The bill as a `CycloneDX` document. The image depends on what was wanted and what is essential, each other package on what is there for its sake.
pub(super) fn document(bill: &Bill) -> Document {
    let image = &bill.image;
    let tool =
        Component { kind: "application", name: "image-composer".to_owned(), version: bill.builder().map(str::to_owned), ..Component::default() };
    let of = Component {
        kind: "operating-system",
        bom_ref: Some(IMAGE.to_owned()),
        name: image.name.clone(),
        version: Some(image.version.clone()),
        hashes: vec![Hash { alg: "BLAKE3", content: image.raw_digest.to_string() }],
        purl: None,
        properties: vec![
            Property { name: "image-composer:dist", value: image.dist.clone() },
            Property { name: "image-composer:arch", value: image.arch.clone() },
            Property { name: "image-composer:spec", value: image.spec_hash.to_string() },
        ],
    };
    Document {
        bom_format: "CycloneDX",
        spec_version: "1.5",
        serial_number: format!("urn:uuid:{}", bill.uuid(BillFormat::CycloneDx)),
        version: 1,
        metadata: Metadata { timestamp: time::moment(image.source_date), tools: Tools { components: [tool] }, component: of },
        components: bill.lock.packages.iter().map(|package| component(bill, package)).collect(),
        dependencies: dependencies(bill),
        // All packages are told; of why each is there, one reason.
        compositions: [
            Composition { aggregate: "complete", assemblies: vec![IMAGE.to_owned()], dependencies: Vec::new() },
            Composition { aggregate: "incomplete", assemblies: Vec::new(), dependencies: vec![IMAGE.to_owned()] },
        ],
    }
}

fn component(bill: &Bill, package: &LockedPackage) -> Component {
    let purl = bill.purl(package);
    Component {
        kind: "library",
        bom_ref: Some(purl.clone()),
        name: package.coordinates.name().to_owned(),
        version: Some(package.coordinates.version().to_owned()),
        hashes: vec![Hash { alg: "SHA-256", content: package.sha256.to_string() }],
        purl: Some(purl),
        properties: vec![
            Property { name: "image-composer:arch", value: package.coordinates.arch().to_owned() },
            Property { name: "image-composer:repository", value: package.coordinates.repository().to_owned() },
            Property { name: "image-composer:file", value: package.filename.clone() },
            Property { name: "image-composer:reason", value: package.reason.to_string() },
        ],
    }
}

fn dependencies(bill: &Bill) -> Vec<Dependency> {
    let by_name = bill.by_name();
    let mut edges: BTreeMap<String, Vec<String>> = bill.lock.packages.iter().map(|package| (bill.purl(package), Vec::new())).collect();
    let mut roots = Vec::new();
    for package in &bill.lock.packages {
        let by = match &package.reason {
            Reason::Essential | Reason::Wanted | Reason::Obsoletes(_) => None,
            Reason::DependencyOf(by) | Reason::RecommendedBy(by) => by_name.get(by.as_str()),
        };
        match by {
            Some(by) => edges.entry(bill.purl(by)).or_default().push(bill.purl(package)),
            None => roots.push(bill.purl(package)),
        }
    }
    let image = Dependency { of: IMAGE.to_owned(), depends_on: roots };
    std::iter::once(image).chain(edges.into_iter().map(|(of, depends_on)| Dependency { of, depends_on })).collect()
}
