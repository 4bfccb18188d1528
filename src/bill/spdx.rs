//! SPDX 2.3 in JSON (spdx.github.io/spdx-spec/v2.3).

#![expect(clippy::struct_field_names, reason = "fields are called as the specification calls them")]

use serde::Serialize;

use super::{Bill, BillFormat};
use crate::resolve::{LockedPackage, Reason};
use crate::time;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-image";
/// What nobody wrote down (7.7 of the specification).
const UNKNOWN: &str = "NOASSERTION";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: String,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// The bill as an SPDX document: the image contains its packages, and these depend on each other as the lock says.
pub(super) fn document(bill: &Bill) -> Document {
    let image = &bill.image;
    let mut packages = vec![Package {
        id: IMAGE.to_owned(),
        name: image.name.clone(),
        version_info: image.version.clone(),
        download_location: UNKNOWN,
        files_analyzed: false,
        // BLAKE3 is an algorithm of the specification, but the SPDX project's own validator takes only such digests as are four times as long.
        checksums: Vec::new(),
        package_file_name: None,
        primary_package_purpose: Some("OPERATING-SYSTEM"),
        source_info: Some(format!(
            "{} for {}, built from the spec {}; BLAKE3 of the disk: {}",
            image.dist, image.arch, image.spec_hash, image.raw_digest
        )),
        external_refs: Vec::new(),
    }];
    packages.extend(bill.lock.packages.iter().map(|package| described(bill, package)));
    let mut relationships = vec![relationship(DOCUMENT.to_owned(), "DESCRIBES", IMAGE.to_owned())];
    let by_name = bill.by_name();
    for package in &bill.lock.packages {
        relationships.push(relationship(IMAGE.to_owned(), "CONTAINS", id(package)));
        match &package.reason {
            Reason::Essential | Reason::Wanted | Reason::Obsoletes(_) => {}
            Reason::DependencyOf(by) => {
                relationships.extend(by_name.get(by.as_str()).map(|by| relationship(id(by), "DEPENDS_ON", id(package))));
            }
            Reason::RecommendedBy(by) => {
                relationships.extend(by_name.get(by.as_str()).map(|by| relationship(id(package), "OPTIONAL_DEPENDENCY_OF", id(by))));
            }
        }
    }
    Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: format!("{}-{}", image.name, image.version),
        document_namespace: format!("urn:uuid:{}", bill.uuid(BillFormat::Spdx)),
        creation_info: CreationInfo {
            created: time::moment(image.source_date),
            creators: [bill.builder().map_or_else(|| "Tool: image-composer".to_owned(), |version| format!("Tool: image-composer-{version}"))],
        },
        packages,
        relationships,
    }
}

fn described(bill: &Bill, package: &LockedPackage) -> Package {
    let purl = ExternalRef { reference_category: "PACKAGE-MANAGER", reference_type: "purl", reference_locator: bill.purl(package) };
    Package {
        id: id(package),
        name: package.coordinates.name().to_owned(),
        version_info: package.coordinates.version().to_owned(),
        download_location: UNKNOWN,
        files_analyzed: false,
        checksums: vec![Checksum { algorithm: "SHA256", checksum_value: package.sha256.to_string() }],
        package_file_name: Some(package.filename.clone()),
        primary_package_purpose: None,
        source_info: Some(format!(
            "from the repository {}; {}",
            package.coordinates.repository(),
            match &package.reason {
                Reason::Essential => "essential".to_owned(),
                Reason::Wanted => "wanted by the spec or the profile".to_owned(),
                Reason::DependencyOf(by) => format!("needed by {by}"),
                Reason::Obsoletes(name) => format!("wanted by the spec or the profile as {name}, which it obsoletes"),
                Reason::RecommendedBy(by) => format!("recommended by {by}"),
            }
        )),
        external_refs: vec![purl],
    }
}

/// The same for the same package file in every bill. The specification has letters, digits, dots and dashes in it.
fn id(package: &LockedPackage) -> String {
    let name: String = package.coordinates.name().chars().map(|char| if char.is_ascii_alphanumeric() || char == '.' { char } else { '-' }).collect();
    format!("SPDXRef-{name}-{}", package.sha256.short())
}

fn relationship(from: String, kind: &'static str, to: String) -> Relationship {
    Relationship { spdx_element_id: from, relationship_type: kind, related_spdx_element: to }
}
