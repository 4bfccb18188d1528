//! `CycloneDX` 1.5 in JSON (cyclonedx.org/docs/1.5/json).

use serde::Serialize;

use super::licence::Licence;
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice>,
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
#[serde(rename_all = "camelCase")]
enum LicenceChoice {
    Expression(String),
    License { name: String },
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

/// The bill as a `CycloneDX` document. The image depends on what was wanted and what is essential.
pub(super) fn document(bill: &Bill) -> Document {
    let image = &bill.image;
    let tool = Component { kind: "application", name: "image-composer".to_owned(), version: bill.builder.clone(), ..Component::default() };
    let of = Component {
        kind: "operating-system",
        bom_ref: Some(IMAGE.to_owned()),
        name: image.name.clone(),
        version: Some(image.version.clone()),
        hashes: image.disk.iter().flat_map(|disk| [hash("BLAKE3", &disk.digest), hash("SHA-256", &disk.sha256)]).collect(),
        licenses: Vec::new(),
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
        components: bill.lock.packages.iter().enumerate().map(|(place, package)| component(bill, place, package)).collect(),
        dependencies: dependencies(bill),
        compositions: [
            Composition { aggregate: "complete", assemblies: vec![IMAGE.to_owned()], dependencies: Vec::new() },
            Composition {
                aggregate: if bill.has_all_edges() { "complete" } else { "incomplete" },
                assemblies: Vec::new(),
                dependencies: std::iter::once(IMAGE.to_owned()).chain(bill.lock.packages.iter().map(|package| bill.purl(package))).collect(),
            },
        ],
    }
}

fn hash(alg: &'static str, digest: &dyn std::fmt::Display) -> Hash {
    Hash { alg, content: digest.to_string() }
}

fn component(bill: &Bill, place: usize, package: &LockedPackage) -> Component {
    let purl = bill.purl(package);
    Component {
        kind: "library",
        bom_ref: Some(purl.clone()),
        name: package.coordinates.name().to_owned(),
        version: Some(package.coordinates.version().to_owned()),
        hashes: vec![hash("SHA-256", &package.sha256)],
        licenses: bill.licence(place).map(choice).into_iter().collect(),
        purl: Some(purl),
        properties: vec![
            Property { name: "image-composer:arch", value: package.coordinates.arch().to_owned() },
            Property { name: "image-composer:repository", value: package.coordinates.repository().to_owned() },
            Property { name: "image-composer:file", value: package.filename.clone() },
            Property { name: "image-composer:reason", value: package.reason.to_string() },
        ],
    }
}

fn choice(text: &str) -> LicenceChoice {
    match Licence::of(text) {
        Licence::Expression(expression, _) => LicenceChoice::Expression(expression.to_owned()),
        Licence::Text(text) => LicenceChoice::License { name: text.to_owned() },
    }
}

fn dependencies(bill: &Bill) -> Vec<Dependency> {
    let packages = &bill.lock.packages;
    let mut edges = bill.edges();
    let mut roots = Vec::new();
    for (place, package) in packages.iter().enumerate() {
        match &package.reason {
            Reason::Essential | Reason::Wanted | Reason::Obsoletes(_) => roots.push(place),
            // What recommends another has it for a dependency where the format knows no other.
            Reason::DependencyOf(by) | Reason::RecommendedBy(by) | Reason::Supplements(by) => match bill.place(by) {
                Some(by) if edges[by].contains(&place) => {}
                Some(by) => edges[by].push(place),
                None => roots.push(place),
            },
        }
    }
    let purls = |places: Vec<usize>| places.into_iter().map(|place| bill.purl(&packages[place])).collect();
    let image = Dependency { of: IMAGE.to_owned(), depends_on: purls(roots) };
    let of = |(package, depends)| Dependency { of: bill.purl(package), depends_on: purls(depends) };
    std::iter::once(image).chain(packages.iter().zip(edges).map(of)).collect()
}
