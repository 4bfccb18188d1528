//! A bundle, from its first byte to its last.

use std::collections::{HashMap, HashSet};

use image_composer::cache::SpecHash;
use image_composer::cache::bundle::{Selection, plan, write};
use image_composer::digest::Sha256;
use image_composer::progress::{Cancel, Silent};
use image_composer::store::Store;
use serde_cbor::Value;

use super::by_hand::{bytes, get, hex, number, skippable, text, u32_at, u64_at, unzstd, whole};
use super::world::{disk, make};

const MAGIC: &[u8] = b"ICBNDL\0\x01";

/// What a bundle has: its document, the raw bytes of its blobs, its chunks, and the kinds of its frames.
struct Bundle {
    document: Value,
    blobs: HashMap<String, Vec<u8>>,
    chunks: HashMap<String, Vec<u8>>,
    kinds: Vec<u32>,
}

fn read(file: &[u8]) -> Bundle {
    let (table, mut at) = skippable(file, 0);
    assert_eq!((&table[..8], &table[8..40]), (MAGIC, blake3::hash(&table[40..]).as_bytes().as_slice()));
    assert_eq!((u64_at(table, 40), u32_at(table, 60)), (file.len() as u64, 0));
    let (document, entries) = table[64..].split_at(u32_at(table, 56) as usize);
    let (blob_entries, frame_entries) = entries.split_at(u32_at(table, 48) as usize * 48);
    assert_eq!(frame_entries.len(), u32_at(table, 52) as usize * 48);
    let mut blobs = HashMap::new();
    for entry in blob_entries.chunks(48) {
        let (blob, end) = skippable(file, at);
        assert_eq!(blob.len() as u64, u64_at(entry, 32));
        let (header, _) = skippable(blob, 0);
        assert_eq!((&header[..8], &header[8..40]), (&b"ICBLOB\0\x01"[..], blake3::hash(&header[40..]).as_bytes().as_slice()));
        let raw = unzstd(blob);
        assert_eq!((raw.len() as u64, blake3::hash(&raw).as_bytes().as_slice()), (u64_at(entry, 40), &entry[..32]));
        assert!(blobs.insert(hex(&entry[..32]), raw).is_none());
        at = end;
    }
    let (mut chunks, mut kinds, mut place) = (HashMap::new(), Vec::new(), Vec::new());
    for entry in frame_entries.chunks(48) {
        let (kind, len) = (u32_at(entry, 32), u32_at(entry, 36) as usize);
        let frame = if kind == 4 { skippable(file, at).0 } else { &file[at..at + len] };
        at += frame.len() + if kind == 4 { 8 } else { 0 };
        let raw = unzstd(frame);
        assert_eq!((frame.len(), raw.len() as u64), (len, u64_at(entry, 40)));
        let proven = if matches!(kind, 1 | 4) { raw.as_slice() } else { frame };
        assert_eq!(entry[..32], *blake3::hash(proven).as_bytes());
        assert!(kind != 3 || raw.iter().all(|byte| *byte == 0));
        if kind != 4 {
            place.extend_from_slice(&raw);
        }
        if matches!(kind, 1 | 4) {
            chunks.insert(hex(&entry[..32]), raw);
        }
        kinds.push(kind);
    }
    assert!(unzstd(file) == place, "what zstd -d prints");
    let (end, len) = skippable(file, at);
    assert_eq!((&end[..8], &end[8..], len), (MAGIC, blake3::hash(&file[..at]).as_bytes().as_slice(), file.len()));
    Bundle { document: serde_cbor::from_slice(document).unwrap(), blobs, chunks, kinds }
}

fn array<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    let Value::Array(array) = get(value, key) else { panic!("{key} is no array") };
    array
}

fn disks(bundle: &Bundle) -> Vec<Vec<u8>> {
    let disk = |image: &Value| {
        let record: Value = serde_cbor::from_slice(&bundle.blobs[&hex(bytes(image, "record"))]).unwrap();
        assert_eq!(bytes(&record, "spec_hash"), bytes(image, "spec_hash"));
        assert_eq!(bundle.blobs[&hex(bytes(image, "lock"))], b"the lock");
        assert_eq!(bundle.blobs[&hex(bytes(image, "annotations"))], b"the annotations");
        let manifest: Value = serde_cbor::from_slice(&bundle.blobs[&hex(bytes(image, "manifest"))]).unwrap();
        whole(&manifest, &bundle.chunks).0
    };
    array(&bundle.document, "images").iter().map(disk).collect()
}

#[test]
fn a_bundle_can_be_read_by_the_page_alone() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let store = Store::open(&dir.path().join("store")).unwrap();
    let export = |selection: &Selection| {
        let plan = plan(&store, selection, &Cancel::default()).unwrap();
        let mut file = Vec::new();
        write(&store, &plan, &mut file, &Silent, &Cancel::default()).unwrap();
        read(&file)
    };

    let all = export(&Selection { all: true, ..Selection::default() });
    assert!(number(&all.document, "created_at") > 1_700_000_000);
    assert_eq!(get(&all.document, "disk"), &Value::Null);
    assert_eq!(all.kinds.iter().collect::<HashSet<_>>(), [&4].into());
    let disks_of_all = disks(&all);
    assert!(disks_of_all.len() == 2 && disks_of_all.contains(&disk()));
    let packages = array(&all.document, "packages");
    let repositories: Vec<&str> = packages.iter().map(|package| text(get(package, "name"), "repository")).collect();
    assert_eq!(repositories, ["debian", "debian-security"]);
    for package in packages {
        let (name, raw) = (get(package, "name"), &all.blobs[&hex(bytes(package, "blob"))]);
        assert_eq!((text(name, "name"), text(name, "version"), text(name, "arch")), ("hello", "2.10-3", "amd64"));
        assert_eq!((text(name, "sha256"), raw.as_slice()), (Sha256::of(raw).to_string().as_str(), &b"the package"[..]));
    }
    let [metadata] = array(&all.document, "metadata") else { panic!("one file of a repository") };
    assert_eq!((text(get(metadata, "name"), "archive"), text(get(metadata, "name"), "path")), ("debian", "dists/bookworm/InRelease"));
    assert_eq!(all.blobs[&hex(bytes(metadata, "blob"))], b"Origin: Debian\n");

    let spec = SpecHash::of_canonical(b"the spec");
    let one = export(&Selection { images: [spec].into(), ..Selection::default() });
    assert_eq!(hex(bytes(&one.document, "disk")), spec.to_string());
    assert!(one.kinds.contains(&1) && one.kinds.contains(&3) && !one.kinds.contains(&4));
    assert!(disks(&one) == [disk()]);
}
