//! Files of a store.

use std::collections::HashMap;
use std::fs;

use image_composer::cache::SpecHash;
use image_composer::digest::Sha256;
use serde_cbor::Value;

use super::by_hand::{blobs, bytes, chunks, files, get, hex, number, of_kind, text, whole};
use super::world::{disk, make};

#[test]
fn a_store_can_be_read_by_the_page_alone() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let store = dir.path().join("store");
    assert_eq!(fs::read(store.join("format")).unwrap(), b"image-composer store 1\n");
    assert!(fs::read(store.join("CACHEDIR.TAG")).unwrap().starts_with(b"Signature: 8a477f597d28d172789f06886806bc55\n"));
    assert!(files(&store.join("leases")).is_empty() && files(&store.join("tmp")).is_empty(), "a closed store has nothing in the making");
    let blobs = blobs(&store);
    let of_kind = |kind: &str| {
        let found = of_kind(&blobs, kind);
        assert_eq!(found.len(), if matches!(kind, "document" | "image" | "manifest") { 2 } else { 1 }, "{kind}");
        found[0]
    };

    let (digest, package) = of_kind("package");
    let name = get(&package.header, "package");
    assert_eq!((text(name, "name"), text(name, "version"), text(name, "arch"), text(name, "repository")), ("hello", "2.10-3", "amd64", "debian"));
    assert_eq!((text(name, "sha256"), package.raw.as_slice()), (Sha256::of(b"the package").to_string().as_str(), &b"the package"[..]));
    let (_, alias) = of_kind("alias");
    let alias: Value = serde_cbor::from_slice(&alias.raw).unwrap();
    assert_eq!(
        (hex(bytes(&alias, "digest")).as_str(), text(get(get(&alias, "header"), "package"), "repository")),
        (digest.as_str(), "debian-security")
    );

    let (_, metadata) = of_kind("metadata");
    let name = get(&metadata.header, "metadata");
    assert_eq!((text(name, "archive"), text(name, "path")), ("debian", "dists/bookworm/InRelease"));
    let attributes = get(name, "attributes");
    assert_eq!((text(attributes, "etag"), get(attributes, "last_modified")), ("\"1\"", &Value::Null));
    assert_eq!(get(attributes, "verified_by"), &Value::Array(vec![Value::Text("ABCD".to_owned())]));

    let chunks = chunks(&store);
    let mut uses: HashMap<String, u32> = HashMap::new();
    let mut disks: Vec<(String, Vec<u8>)> = Vec::new();
    for (_, record) in super::by_hand::of_kind(&blobs, "image") {
        let record: Value = serde_cbor::from_slice(&record.raw).unwrap();
        assert_eq!((number(&record, "format"), text(&record, "name"), number(&record, "build_millis")), (1, "minimal", 30_000));
        assert_eq!(blobs[&hex(bytes(&record, "lock"))].raw, b"the lock");
        assert_eq!(blobs[&hex(bytes(&record, "annotations"))].raw, b"the annotations");
        assert_eq!((get(&record, "imported"), number(&record, "source_date")), (&Value::Null, 1_600_000_000));
        let Value::Array(releases) = get(&record, "releases") else { panic!("no releases") };
        assert_eq!((text(&releases[0], "archive"), text(&releases[0], "suite"), number(&releases[0], "date")), ("debian", "bookworm", 1_690_000_000));
        let manifest: Value = serde_cbor::from_slice(&blobs[&hex(bytes(&record, "manifest"))].raw).unwrap();
        let (whole, used) = whole(&manifest, &chunks);
        assert_eq!((number(&record, "raw_len"), bytes(&record, "raw_digest")), (whole.len() as i128, bytes(&manifest, "raw_digest")));
        for (chunk, times) in used {
            *uses.entry(chunk).or_default() += times;
        }
        disks.push((hex(bytes(&record, "spec_hash")), whole));
    }
    disks.sort_by_key(|(_, disk)| disk.len());
    assert_eq!(disks[0].0, SpecHash::of_canonical(b"the spec").to_string());
    assert!(disks[0].1 == disk());
    assert_eq!(uses.len(), chunks.len(), "every chunk is used, and stored once");
    assert!(uses.values().any(|&times| times > 2), "data that is there twice is stored once");
}
