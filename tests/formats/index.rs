//! The index, row by row, against the files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use image_composer::cache::SpecHash;
use image_composer::digest::Sha256;
use redb::{ConcurrencyMode, Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _};
use serde_cbor::Value;

use super::by_hand::{blobs, bytes, chunks, files, hex, number, of_kind, text, u32_at, u64_at};
use super::world::make;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// All tables: the rows without their version.
fn tables(store: &Path) -> HashMap<String, Rows> {
    let mut builder = Database::builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter);
    let index = builder.open(store.join("index.redb")).unwrap();
    let txn = index.begin_read().unwrap();
    let names: Vec<String> = txn.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
    let rows = |name: &String| {
        let table = txn.open_table(TableDefinition::<&[u8], &[u8]>::new(name)).unwrap();
        let row = |(key, row): (redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>)| {
            assert_eq!(row.value()[0], 1, "{name}");
            (key.value().to_vec(), row.value()[1..].to_vec())
        };
        table.iter().unwrap().map(|entry| row(entry.unwrap())).collect()
    };
    names.iter().map(|name| (name.clone(), rows(name))).collect()
}

const KINDS: [&str; 6] = ["package", "metadata", "manifest", "image", "document", "alias"];

/// Where the rows of a table say that they end.
fn check_len(rows: &Rows, key: Option<usize>, len: usize) {
    for (name, row) in rows {
        assert!(key.is_none_or(|key| key == name.len()) && row.len() == len, "{} {}", name.len(), row.len());
    }
}

/// Adds to a total.
fn add(totals: &mut BTreeMap<Vec<u8>, [u64; 3]>, key: [u8; 2], raw_len: u64, stored_len: u64) {
    let total = totals.entry(key.to_vec()).or_default();
    *total = [total[0] + 1, total[1] + raw_len, total[2] + stored_len];
}

fn state(flags: u8, references: u32) -> u8 {
    if flags == 1 { 3 } else { references.min(2) as u8 }
}

#[test]
fn the_index_says_of_the_files_what_is_so() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let store = dir.path().join("store");
    let (blobs, chunks, tables) = (blobs(&store), chunks(&store), tables(&store));
    let names: HashSet<&str> = tables.keys().map(String::as_str).collect();
    assert_eq!(names, ["blobs", "chunks", "packs", "packages", "images", "metadata", "holds", "trash", "totals", "usage"].into());
    assert!(tables["holds"].is_empty() && tables["trash"].is_empty(), "a closed store has nothing in the making");
    let mut totals = BTreeMap::new();

    // Who refers to what.
    let mut named: HashMap<String, u32> = HashMap::new();
    let mut name = |digest: &[u8]| *named.entry(hex(digest)).or_default() += u32::from(*digest != [0; 32]);
    check_len(&tables["packages"], None, 1 + 3 * 32 + 8 + 8 + 4);
    let packages: Vec<_> = tables["packages"].iter().collect();
    assert_eq!(packages[0].0, b"hello\x002.10-3\0amd64\0debian");
    assert_eq!(packages[1].0, b"hello\x002.10-3\0amd64\0debian-security");
    for (number, (_, row)) in packages.iter().enumerate() {
        assert_eq!(row[0], 0, "not pinned");
        assert_eq!(hex(&row[33..65]), Sha256::of(b"the package").to_string());
        assert_eq!(row[65..97] != [0; 32], number == 1, "the second name of the blob has an alias");
        assert!(u64_at(row, 97) > 1_700_000_000 && u64_at(row, 105) >= u64_at(row, 97));
        name(&row[1..33]);
        name(&row[65..97]);
    }
    check_len(&tables["images"], Some(32), 1 + 4 * 32 + 8 + 4);
    for (key, row) in &tables["images"] {
        let record: Value = serde_cbor::from_slice(&blobs[&hex(&row[1..33])].raw).unwrap();
        assert_eq!((row[0], bytes(&record, "spec_hash")), (0, key.as_slice()));
        assert_eq!([&row[33..65], &row[65..97], &row[97..129]], ["manifest", "lock", "annotations"].map(|part| bytes(&record, part)));
        assert_eq!(u32_at(row, 137), u32::from(hex(key) == SpecHash::of_canonical(b"the spec").to_string()), "uses");
        (0..4).for_each(|part| name(&row[1 + part * 32..33 + part * 32]));
    }
    let (key, row) = tables["metadata"].first_key_value().unwrap();
    assert_eq!((tables["metadata"].len(), key.as_slice()), (1, &b"debian\0dists/bookworm/InRelease"[..]));
    assert_eq!(row[32..64], [0; 32]);
    assert!(u64_at(row, 64) > 1_700_000_000 && u64_at(row, 72) >= u64_at(row, 64));
    assert_eq!(text(&serde_cbor::from_slice(&row[80..]).unwrap(), "etag"), "\"1\"");
    name(&row[..32]);

    check_len(&tables["blobs"], Some(32), 1 + 1 + 4 + 8 + 8);
    assert_eq!(tables["blobs"].len(), blobs.len());
    for (key, row) in &tables["blobs"] {
        let blob = &blobs[&hex(key)];
        let file = store.join(format!("blobs/{}/{}.zst", &hex(key)[..2], hex(key)));
        assert_eq!((row[0], KINDS[usize::from(row[1]) - 1]), (0, text(&blob.header, "kind")));
        assert_eq!(u32_at(row, 2), named[&hex(key)], "references");
        assert_eq!((u64_at(row, 6), u64_at(row, 14)), (blob.raw.len() as u64, file.metadata().unwrap().len()));
        add(&mut totals, [row[1], state(row[0], u32_at(row, 2))], u64_at(row, 6), u64_at(row, 14));
    }

    let mut uses: HashMap<String, u32> = HashMap::new();
    for (_, manifest) in of_kind(&blobs, "manifest") {
        let manifest: Value = serde_cbor::from_slice(&manifest.raw).unwrap();
        let extents = bytes(&manifest, "extents").chunks(48).filter(|extent| u32_at(extent, 0) == 1);
        let once: HashSet<String> = extents.map(|extent| hex(&extent[16..])).collect();
        for chunk in once {
            *uses.entry(chunk).or_default() += 1;
        }
    }
    check_len(&tables["chunks"], Some(32), 1 + 4 + 32 + 8 + 4 + 4);
    assert_eq!(tables["chunks"].len(), chunks.len());
    let mut live: HashMap<String, u64> = HashMap::new();
    for (key, row) in &tables["chunks"] {
        assert_eq!((row[0], u32_at(row, 1), u32_at(row, 49) as usize), (0, uses[&hex(key)], chunks[&hex(key)].len()));
        let pack = std::fs::read(store.join(format!("packs/{}.pack", hex(&row[5..37])))).unwrap();
        let frame = &pack[u64_at(row, 37) as usize..][..u32_at(row, 45) as usize];
        assert!(zstd::decode_all(frame).unwrap() == chunks[&hex(key)]);
        *live.entry(hex(&row[5..37])).or_default() += frame.len() as u64;
        add(&mut totals, [7, state(row[0], u32_at(row, 1))], u32_at(row, 49).into(), frame.len() as u64);
    }
    assert!(uses.values().any(|&references| references > 1));
    check_len(&tables["packs"], Some(32), 8 + 4 + 8);
    assert_eq!(tables["packs"].len(), files(&store.join("packs")).len());
    for (key, row) in &tables["packs"] {
        let file = std::fs::read(store.join(format!("packs/{}.pack", hex(key)))).unwrap();
        assert_eq!((u64_at(row, 0), u32_at(row, 8)), (file.len() as u64, u32_at(&file, file.len() - 16)));
        assert_eq!(u64_at(row, 12), live[&hex(key)], "live bytes");
        add(&mut totals, [8, 1], u64_at(row, 12), u64_at(row, 0));
    }

    check_len(&tables["totals"], Some(2), 3 * 8);
    let stored: BTreeMap<Vec<u8>, [u64; 3]> = tables["totals"].iter().map(|(key, row)| (key.clone(), [0, 8, 16].map(|at| u64_at(row, at)))).collect();
    // A total that came to nothing may stay.
    let stored = stored.into_iter().filter(|(_, total)| *total != [0; 3]).collect::<BTreeMap<_, _>>();
    assert_eq!(stored, totals);
    check_len(&tables["usage"], Some(1), 5 * 8);
    let usage = |cache: u8| [0, 8, 16, 24, 32].map(|at| u64_at(&tables["usage"][&[cache][..]], at));
    let ([since, packages @ ..], [_, images @ ..]) = (usage(1), usage(2));
    assert!(since > 1_700_000_000);
    assert_eq!(packages, [3, 2, 1000, 0]);
    let record: Value = serde_cbor::from_slice(&of_kind(&blobs, "image")[0].1.raw).unwrap();
    assert_eq!((images[0], images[1], i128::from(images[3])), (1, 0, number(&record, "build_millis") - 1000));
}
