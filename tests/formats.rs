//! Reads a store with code that knows only `store-format.md`: if this breaks, other programs break.
//!
//! The store is made through the library; everything after that is done by hand. The index is not read: files alone must do.

#![expect(clippy::unwrap_used, reason = "clippy allows it in functions that are tests, and these are their parts")]

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image_composer::cache::{Coordinates, ImageCache, MetadataAttributes, MetadataCache, NewImage, PackageCache, ReleaseDate, SpecHash};
use image_composer::digest::{Digest, Sha256};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::Store;
use serde_cbor::Value;

/// A disk of 5 MiB: data, a hole, the same data again, an odd end.
fn disk() -> Vec<u8> {
    let mut noise = vec![0; 1 << 20];
    blake3::Hasher::new().update(b"disk").finalize_xof().fill(&mut noise);
    let mut disk = noise.clone();
    disk.resize(3 << 20, 0);
    disk.extend_from_slice(&noise);
    disk.resize((5 << 20) - 17, 7);
    disk
}

fn make(dir: &Path) {
    let store = Store::open(&dir.join("store")).unwrap();
    let packages = PackageCache::new(&store);
    for repository in ["debian", "debian-security"] {
        let name = Coordinates::new("hello", "2.10-3", "amd64", repository).unwrap();
        packages.insert(&name, &Sha256::of(b"the package"), &mut &b"the package"[..]).unwrap();
    }
    let attributes = MetadataAttributes { etag: Some("\"1\"".to_owned()), last_modified: None, verified_by: vec!["ABCD".to_owned()] };
    MetadataCache::new(&store).insert("debian", "dists/bookworm/InRelease", b"Origin: Debian\n", &attributes).unwrap();
    let new = NewImage {
        name: "minimal".to_owned(),
        version: "1.0".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: b"the annotations".to_vec(),
        lock: b"the lock".to_vec(),
        build_time: Duration::from_secs(30),
        source_date: 1_600_000_000,
        releases: vec![ReleaseDate { archive: "debian".to_owned(), suite: "bookworm".to_owned(), date: 1_690_000_000 }],
        imported: None,
    };
    fs::write(dir.join("disk.raw"), disk()).unwrap();
    let images = ImageCache::new(&store);
    images.insert(&SpecHash::of_canonical(b"the spec"), &new, &dir.join("disk.raw"), &Silent, &Cancel::default()).unwrap();
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn hex(bytes: &[u8]) -> String {
    Digest::from_bytes(bytes.try_into().unwrap()).to_string()
}

/// The content of the skippable frame at `at`, and where it ends.
fn skippable(bytes: &[u8], at: usize) -> (&[u8], usize) {
    assert_eq!(bytes[at..at + 4], [0x50, 0x2A, 0x4D, 0x18]);
    let end = at + 8 + u32_at(bytes, at + 4) as usize;
    (&bytes[at + 8..end], end)
}

/// What `zstd -dc` prints.
fn unzstd(bytes: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut raw).unwrap();
    raw
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn get<'v>(value: &'v Value, key: &str) -> &'v Value {
    let Value::Map(map) = value else { panic!("not a map: {value:?}") };
    map.get(&Value::Text(key.to_owned())).unwrap_or_else(|| panic!("no {key} in {value:?}"))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    let Value::Text(text) = get(value, key) else { panic!("{key} is no text") };
    text
}

fn bytes<'v>(value: &'v Value, key: &str) -> &'v [u8] {
    let Value::Bytes(bytes) = get(value, key) else { panic!("{key} is no byte string") };
    bytes
}

fn number(value: &Value, key: &str) -> i128 {
    let Value::Integer(number) = get(value, key) else { panic!("{key} is no number") };
    *number
}

struct Blob {
    header: Value,
    raw: Vec<u8>,
}

/// All blobs by their digest, each proven.
fn blobs(store: &Path) -> HashMap<String, Blob> {
    let mut blobs = HashMap::new();
    for dir in files(&store.join("blobs")) {
        for path in files(&dir) {
            let file = fs::read(&path).unwrap();
            let (content, _) = skippable(&file, 0);
            assert_eq!(&content[..8], b"ICBLOB\0\x01");
            assert_eq!(content[8..40], *blake3::hash(&content[40..]).as_bytes());
            let raw = unzstd(&file);
            let name = hex(blake3::hash(&raw).as_bytes());
            assert!(path.ends_with(format!("{}/{name}.zst", &name[..2])), "{}", path.display());
            blobs.insert(name, Blob { header: serde_cbor::from_slice(&content[40..]).unwrap(), raw });
        }
    }
    blobs
}

/// All chunks by their digest, each proven.
fn chunks(store: &Path) -> HashMap<String, Vec<u8>> {
    let mut chunks = HashMap::new();
    for path in files(&store.join("packs")) {
        let file = fs::read(&path).unwrap();
        assert_eq!(skippable(&file, 0), (&b"ICPACK\0\x01"[..], 16));
        let trailer = &file[file.len() - 48..];
        assert_eq!((u32_at(trailer, 36), &trailer[40..]), (0, &b"ICPACK\0\x01"[..]));
        let table_len = u32_at(trailer, 32) as usize * 48;
        let (footer, end) = skippable(&file, file.len() - 48 - table_len - 8);
        assert_eq!((end, footer.len()), (file.len(), table_len + 48));
        let table = &footer[..table_len];
        assert_eq!(trailer[..32], *blake3::hash(table).as_bytes());
        assert!(path.ends_with(format!("{}.pack", hex(&trailer[..32]))));
        let mut at = 16;
        let mut all = Vec::new();
        for entry in table.chunks(48) {
            assert_eq!(u64_at(entry, 32), at);
            let end = at + u64::from(u32_at(entry, 40));
            let raw = unzstd(&file[at as usize..end as usize]);
            assert_eq!(raw.len(), u32_at(entry, 44) as usize);
            assert_eq!(entry[..32], *blake3::hash(&raw).as_bytes());
            all.extend_from_slice(&raw);
            chunks.insert(hex(&entry[..32]), raw);
            at = end;
        }
        assert!(unzstd(&file) == all, "zstd -dc prints all chunks");
    }
    chunks
}

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
        let found: Vec<_> = blobs.iter().filter(|(_, blob)| text(&blob.header, "kind") == kind).collect();
        assert_eq!(found.len(), if kind == "document" { 2 } else { 1 }, "{kind}");
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

    let (_, record) = of_kind("image");
    let record: Value = serde_cbor::from_slice(&record.raw).unwrap();
    assert_eq!((number(&record, "format"), text(&record, "name"), number(&record, "build_millis")), (1, "minimal", 30_000));
    assert_eq!(hex(bytes(&record, "spec_hash")), SpecHash::of_canonical(b"the spec").to_string());
    assert_eq!(blobs[&hex(bytes(&record, "lock"))].raw, b"the lock");
    assert_eq!(blobs[&hex(bytes(&record, "annotations"))].raw, b"the annotations");

    let manifest: Value = serde_cbor::from_slice(&blobs[&hex(bytes(&record, "manifest"))].raw).unwrap();
    assert_eq!(number(&manifest, "format"), 1);
    let chunks = chunks(&store);
    let mut whole: Vec<u8> = Vec::new();
    let mut uses: HashMap<String, u32> = HashMap::new();
    for extent in bytes(&manifest, "extents").chunks(48) {
        let (offset, length) = (u32_at(extent, 4) as usize, u64_at(extent, 8) as usize);
        match u32_at(extent, 0) {
            0 => whole.resize(whole.len() + length, 0),
            1 => {
                let digest = hex(&extent[16..]);
                whole.extend_from_slice(&chunks[&digest][offset..offset + length]);
                *uses.entry(digest).or_default() += 1;
            }
            kind => panic!("extent of kind {kind}"),
        }
    }
    assert!(whole == disk());
    assert_eq!(number(&manifest, "raw_len"), whole.len() as i128);
    assert_eq!(*bytes(&manifest, "raw_digest"), *blake3::hash(&whole).as_bytes());
    assert_eq!(uses.len(), chunks.len(), "every chunk is used, and stored once");
    assert!(uses.values().any(|&times| times > 1), "data that is there twice is stored once");
}
