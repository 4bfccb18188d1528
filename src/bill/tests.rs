use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::cache::Coordinates;
use crate::repo::ReleaseInfo;

fn package(name: &str, version: &str, arch: &str, reason: Reason) -> LockedPackage {
    LockedPackage {
        coordinates: Coordinates::new(name, version, arch, "debian").unwrap(),
        sha256: Sha256::of(name.as_bytes()),
        size: 1234,
        filename: format!("pool/main/{name}_{arch}.deb"),
        installed_size: 4096,
        essential: false,
        reason,
    }
}

fn bill() -> Bill {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let needed = |by: &str| Reason::DependencyOf(by.to_owned());
    let image = Image {
        name: "edge".to_owned(),
        version: "1.0".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        spec_hash: SpecHash::from(digest("spec")),
        source_date: 1_795_162_530,
        disk: Some(Disk { digest: digest("disk"), sha256: Sha256::of(b"disk") }),
    };
    let lock = Lock {
        packages: vec![
            package("base-files", "12.4+deb12u5", "amd64", Reason::Essential),
            package("curl", "7.88.1-10", "amd64", Reason::Wanted),
            package("libstdc++6", "12.2.0-14", "amd64", needed("curl")),
            package("tzdata", "1:2024a~x", "all", Reason::RecommendedBy("libstdc++6".to_owned())),
        ],
        releases: vec![ReleaseInfo {
            archive: "debian".to_owned(),
            suite: "bookworm".to_owned(),
            date: 1_795_162_530,
            digest: digest("InRelease"),
            keys: Vec::new(),
        }],
    };
    let inputs = json!({"builder_epoch": 3, "source_date_epoch": null, "codename": "bookworm", "lock": digest("file").to_string(),
        "spec": {"system": {"users": [{"name": "root", "password": "$6$secret"}]}}});
    let facts = |depends: &[usize], licence: Option<&str>| Facts { depends: depends.to_vec(), licence: licence.map(Into::into) };
    let facts = vec![
        facts(&[], None),
        facts(&[0, 2], Some("MIT AND LicenseRef-own")),
        facts(&[0], Some("GPLv3+ with exceptions")),
        facts(&[], Some("GPLv3+ with exceptions")),
    ];
    let mut bill = Bill::new(image, lock, facts);
    (bill.releases, bill.inputs, bill.builder) = (vec![Some(Sha256::of(b"InRelease"))], inputs, Some("0.1.0".to_owned()));
    bill
}

/// As of an image that an older program kept.
fn old() -> Bill {
    let Bill { image, lock, .. } = bill();
    Bill::new(image, lock, Vec::new())
}

fn parsed(bill: &Bill, format: BillFormat) -> Value {
    serde_json::from_str(&bill.document(format)).unwrap()
}

fn texts<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap()).collect()
}

#[test]
fn the_documents_are_what_they_were() {
    for format in [BillFormat::Spdx, BillFormat::CycloneDx, BillFormat::Provenance] {
        insta::assert_snapshot!(format.to_string(), bill().document(format));
    }
}

#[test]
fn no_secrets_are_in_them_and_each_image_has_its_own() {
    let mut other = bill();
    other.image.disk = Some(Disk { digest: Digest::of(b"another disk"), sha256: Sha256::of(b"another disk") });
    let mut inside = bill();
    inside.image.disk = None;
    for format in [BillFormat::Spdx, BillFormat::CycloneDx, BillFormat::Provenance] {
        let text = bill().document(format);
        assert!(!text.contains("secret"), "{text}");
        assert_ne!(other.document(format), text);
        assert!(text.contains(&Sha256::of(b"disk").to_string()) && !inside.document(format).contains(&Sha256::of(b"disk").to_string()));
    }
    assert_ne!(bill().uuid(BillFormat::Spdx), bill().uuid(BillFormat::CycloneDx));
    let uuids = [&bill(), &other, &inside].map(|bill| bill.uuid(BillFormat::Spdx));
    assert_eq!(BTreeSet::from(uuids).len(), 3);
}

#[test]
fn every_reference_of_spdx_leads_to_an_element() {
    let document = parsed(&bill(), BillFormat::Spdx);
    let ids = texts(&document["packages"], "SPDXID");
    let mut elements: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(elements.len(), 5, "{ids:?}");
    for id in &elements {
        let rest = id.strip_prefix("SPDXRef-").unwrap();
        assert!(!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)), "{id}");
    }
    elements.insert("SPDXRef-DOCUMENT");
    for key in ["spdxElementId", "relatedSpdxElement"] {
        for id in texts(&document["relationships"], key) {
            assert!(elements.contains(id), "{id}");
        }
    }
    let kinds = texts(&document["relationships"], "relationshipType");
    let count = |kind: &str| kinds.iter().filter(|other| **other == kind).count();
    assert_eq!([count("DESCRIBES"), count("CONTAINS"), count("DEPENDS_ON"), count("OPTIONAL_DEPENDENCY_OF")], [1, 4, 3, 1]);
    let kinds = parsed(&old(), BillFormat::Spdx);
    let kinds = texts(&kinds["relationships"], "relationshipType");
    assert_eq!(kinds.iter().filter(|kind| **kind == "DEPENDS_ON").count(), 1, "what it was first needed for");
}

#[test]
fn every_reference_of_cyclonedx_leads_to_a_component() {
    let document = parsed(&bill(), BillFormat::CycloneDx);
    let mut components: BTreeSet<&str> = texts(&document["components"], "bom-ref").into_iter().collect();
    components.insert("image");
    assert_eq!(components.len(), 5);
    let dependencies: BTreeSet<&str> = texts(&document["dependencies"], "ref").into_iter().collect();
    assert_eq!(dependencies, components);
    let edges: Vec<&str> = document["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|of| of["dependsOn"].as_array().unwrap())
        .map(|on| on.as_str().unwrap())
        .collect();
    // Two that were asked for, three dependencies, one that is recommended.
    assert_eq!(edges.len(), 6);
    assert!(edges.iter().all(|edge| components.contains(edge)), "{edges:?}");
    let whole = |bill: &Bill| parsed(bill, BillFormat::CycloneDx)["compositions"][1]["aggregate"].clone();
    assert_eq!((whole(&bill()), whole(&old())), (json!("complete"), json!("incomplete")));
}

#[test]
fn the_provenance_names_lock_metadata_and_packages() {
    let statement = parsed(&bill(), BillFormat::Provenance);
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["lock"], json!(Digest::of(b"file").to_string()));
    assert_eq!(definition["resolvedDependencies"][0]["name"], json!("debian/dists/bookworm/InRelease"));
    assert_eq!(definition["resolvedDependencies"].as_array().unwrap().len(), 5);
    assert_eq!(statement["predicate"]["runDetails"]["builder"]["version"], json!({"image-composer": "0.1.0", "epoch": "3"}));
    let digests = |bytes: &[u8]| json!({"blake3": Digest::of(bytes).to_string(), "sha256": Sha256::of(bytes).to_string()});
    assert_eq!(statement["subject"][0]["digest"], digests(b"disk"));
    assert_eq!(definition["resolvedDependencies"][0]["digest"], digests(b"InRelease"));
}

#[test]
fn licences_are_expressions_or_explained() {
    let spdx = parsed(&bill(), BillFormat::Spdx);
    let declared = texts(&spdx["packages"], "licenseDeclared");
    let own = licence::reference("GPLv3+ with exceptions");
    assert_eq!(declared, ["NOASSERTION", "NOASSERTION", "MIT AND LicenseRef-own", &own, &own]);
    let explained: BTreeSet<&str> = texts(&spdx["hasExtractedLicensingInfos"], "licenseId").into_iter().collect();
    assert_eq!(explained, BTreeSet::from(["LicenseRef-own", &own]));
    let cyclonedx = parsed(&bill(), BillFormat::CycloneDx);
    let licences: Vec<&Value> = cyclonedx["components"].as_array().unwrap().iter().map(|component| &component["licenses"]).collect();
    let named = json!([{"license": {"name": "GPLv3+ with exceptions"}}]);
    assert_eq!(licences, [&Value::Null, &json!([{"expression": "MIT AND LicenseRef-own"}]), &named, &named]);
}

#[test]
fn facts_of_other_packages_are_not_told() {
    let Bill { image, lock, .. } = bill();
    let stray = Facts { depends: vec![4], licence: Some("MIT".into()) };
    for facts in [vec![Facts::default(); 3], vec![Facts::default(), Facts::default(), Facts::default(), stray]] {
        let bill = Bill::new(image.clone(), lock.clone(), facts);
        assert_eq!(bill.document(BillFormat::Spdx), old().document(BillFormat::Spdx));
    }
}

#[test]
fn what_an_older_program_kept_has_a_bill_all_the_same() {
    let bill = old();
    let spdx = parsed(&bill, BillFormat::Spdx);
    assert_eq!(spdx["creationInfo"]["creators"], json!(["Tool: image-composer"]));
    let locator = spdx["packages"][1]["externalRefs"][0]["referenceLocator"].as_str().unwrap();
    assert_eq!(locator, "pkg:deb/debian/base-files@12.4%2Bdeb12u5?arch=amd64");
    assert_eq!(parsed(&bill, BillFormat::Provenance)["predicate"]["buildDefinition"]["externalParameters"]["lock"], Value::Null);
}

#[test]
fn a_bill_is_written_whole_in_the_place_of_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge-1.0.spdx.json");
    std::fs::write(&path, "old").unwrap();
    let (size, _) = bill().write(BillFormat::Spdx, &path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!((text.as_str(), size.0), (bill().document(BillFormat::Spdx).as_str(), text.len() as u64));
    assert!(bill().write(BillFormat::Spdx, &folder.path().join("none/a.json")).unwrap_err().to_string().starts_with("cannot write "));
}
