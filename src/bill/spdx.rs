//! SPDX 2.3 in JSON (spdx.github.io/spdx-spec/v2.3).

#![expect(clippy::struct_field_names, reason = "fields are called as the specification calls them")]

use std::collections::BTreeMap;

use serde::Serialize;

use super::licence::{self, Licence};
use super::{Bill, BillFormat};
use crate::digest::Sha256;
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Explained>,
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
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

/// A licence that is not of the SPDX list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    license_id: String,
    name: String,
    extracted_text: String,
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

/// The bill as an SPDX document: the image contains its packages, and these depend on each other.
pub(super) fn document(bill: &Bill) -> Document {
    let image = &bill.image;
    let disk = image.disk.map_or_else(String::new, |disk| format!("; BLAKE3 of the disk: {}", disk.digest));
    let mut packages = vec![Package {
        id: IMAGE.to_owned(),
        name: image.name.clone(),
        version_info: image.version.clone(),
        download_location: UNKNOWN,
        files_analyzed: false,
        // BLAKE3 is an algorithm of the specification, but the SPDX project's own validator takes only such digests as are four times as long.
        checksums: image.disk.iter().map(|disk| sha256(disk.sha256)).collect(),
        license_concluded: UNKNOWN,
        license_declared: UNKNOWN.to_owned(),
        copyright_text: UNKNOWN,
        package_file_name: None,
        primary_package_purpose: Some("OPERATING-SYSTEM"),
        source_info: Some(format!("{} for {}, built from the spec {}{disk}", image.dist, image.arch, image.spec_hash)),
        external_refs: Vec::new(),
    }];
    let locked = &bill.lock.packages;
    packages.extend(locked.iter().enumerate().map(|(place, package)| described(bill, place, package)));
    let mut relationships = vec![relationship(DOCUMENT.to_owned(), "DESCRIBES", IMAGE.to_owned())];
    for (package, depends) in locked.iter().zip(bill.edges()) {
        relationships.push(relationship(IMAGE.to_owned(), "CONTAINS", id(package)));
        relationships.extend(depends.into_iter().map(|other| relationship(id(package), "DEPENDS_ON", id(&locked[other]))));
        if let Reason::RecommendedBy(by) | Reason::Supplements(by) = &package.reason {
            relationships.extend(bill.place(by).map(|by| relationship(id(package), "OPTIONAL_DEPENDENCY_OF", id(&locked[by]))));
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
            creators: [bill.builder.as_ref().map_or_else(|| "Tool: image-composer".to_owned(), |version| format!("Tool: image-composer-{version}"))],
        },
        packages,
        relationships,
        has_extracted_licensing_infos: explained(bill),
    }
}

/// All licences of packages that are not of the SPDX list, each once.
fn explained(bill: &Bill) -> Vec<Explained> {
    let mut explained = BTreeMap::new();
    for text in (0..bill.lock.packages.len()).filter_map(|place| bill.licence(place)) {
        match Licence::of(text) {
            Licence::Text(text) => drop(explained.insert(licence::reference(text), (text.to_owned(), text.to_owned()))),
            Licence::Expression(_, references) => {
                let told =
                    |id: String| (id.clone(), (id.trim_start_matches("LicenseRef-").to_owned(), format!("{id}: its text is in the packages.")));
                explained.extend(references.into_iter().map(told));
            }
        }
    }
    explained.into_iter().map(|(license_id, (name, extracted_text))| Explained { license_id, name, extracted_text }).collect()
}

fn sha256(digest: Sha256) -> Checksum {
    Checksum { algorithm: "SHA256", checksum_value: digest.to_string() }
}

fn described(bill: &Bill, place: usize, package: &LockedPackage) -> Package {
    let declared = bill.licence(place).map_or_else(
        || UNKNOWN.to_owned(),
        |text| match Licence::of(text) {
            Licence::Expression(expression, _) => expression.to_owned(),
            Licence::Text(text) => licence::reference(text),
        },
    );
    let purl = ExternalRef { reference_category: "PACKAGE-MANAGER", reference_type: "purl", reference_locator: bill.purl(package) };
    Package {
        id: id(package),
        name: package.coordinates.name().to_owned(),
        version_info: package.coordinates.version().to_owned(),
        download_location: UNKNOWN,
        files_analyzed: false,
        checksums: vec![sha256(package.sha256)],
        license_concluded: UNKNOWN,
        license_declared: declared,
        copyright_text: UNKNOWN,
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
                Reason::Supplements(name) => format!("recommended with {name}, which it supplements"),
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
