//! The second reader: code that knows only `store-format.md`.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use image_composer::digest::Digest;
use serde_cbor::Value;

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Digest::from_bytes(bytes.try_into().unwrap()).to_string()
}

/// The content of the skippable frame at `at`, and where it ends.
pub(crate) fn skippable(bytes: &[u8], at: usize) -> (&[u8], usize) {
    assert_eq!(bytes[at..at + 4], [0x50, 0x2A, 0x4D, 0x18]);
    let end = at + 8 + u32_at(bytes, at + 4) as usize;
    (&bytes[at + 8..end], end)
}

/// What `zstd -dc` prints.
pub(crate) fn unzstd(bytes: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut raw).unwrap();
    raw
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(crate) fn get<'v>(value: &'v Value, key: &str) -> &'v Value {
    let Value::Map(map) = value else { panic!("not a map: {value:?}") };
    map.get(&Value::Text(key.to_owned())).unwrap_or_else(|| panic!("no {key} in {value:?}"))
}

pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    let Value::Text(text) = get(value, key) else { panic!("{key} is no text") };
    text
}

pub(crate) fn bytes<'v>(value: &'v Value, key: &str) -> &'v [u8] {
    let Value::Bytes(bytes) = get(value, key) else { panic!("{key} is no byte string") };
    bytes
}

pub(crate) fn number(value: &Value, key: &str) -> i128 {
    let Value::Integer(number) = get(value, key) else { panic!("{key} is no number") };
    *number
}

pub(crate) struct Blob {
    pub(crate) header: Value,
    pub(crate) raw: Vec<u8>,
}

/// All blobs by their digest, each proven.
pub(crate) fn blobs(store: &Path) -> HashMap<String, Blob> {
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
pub(crate) fn chunks(store: &Path) -> HashMap<String, Vec<u8>> {
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

/// The image of a manifest, put together from chunks; and which of them it took, how often.
pub(crate) fn whole(manifest: &Value, chunks: &HashMap<String, Vec<u8>>) -> (Vec<u8>, HashMap<String, u32>) {
    assert_eq!(number(manifest, "format"), 1);
    let mut whole: Vec<u8> = Vec::new();
    let mut uses: HashMap<String, u32> = HashMap::new();
    for extent in bytes(manifest, "extents").chunks(48) {
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
    assert_eq!(number(manifest, "raw_len"), whole.len() as i128);
    assert_eq!(*bytes(manifest, "raw_digest"), *blake3::hash(&whole).as_bytes());
    (whole, uses)
}

/// The documents of a kind.
pub(crate) fn of_kind<'b>(blobs: &'b HashMap<String, Blob>, kind: &str) -> Vec<(&'b String, &'b Blob)> {
    let mut found: Vec<_> = blobs.iter().filter(|(_, blob)| text(&blob.header, "kind") == kind).collect();
    found.sort_by_key(|(digest, _)| *digest);
    found
}
