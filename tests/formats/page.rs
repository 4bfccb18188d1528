//! The dumps on the page are what the program writes.
//!
//! `IMAGE_COMPOSER_DUMPS=write cargo test --test formats page` puts them into the page anew.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image_composer::cache::bundle::{Selection, plan, write};
use image_composer::cache::{Coordinates, ImageCache, NewImage, PackageCache, SpecHash};
use image_composer::digest::Sha256;
use image_composer::progress::{Cancel, Silent};
use image_composer::store::{BundleReader, Store};

use super::by_hand::{blobs, files, of_kind, skippable, u32_at};
use super::dump::Dump;

/// The time in the bundle of the page.
const CREATED: u32 = 1_700_000_000;

/// A package of six bytes, and an image of a piece of 4 KiB and a hole.
fn make(dir: &Path) -> Store {
    let store = Store::open(&dir.join("store")).unwrap();
    let name = Coordinates::new("hello", "2.10-3", "amd64", "debian").unwrap();
    PackageCache::new(&store).insert(&name, &Sha256::of(b"hello\n"), &mut &b"hello\n"[..]).unwrap();
    let new = NewImage {
        name: "minimal".to_owned(),
        version: "1.0".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: b"annotations".to_vec(),
        lock: b"lock".to_vec(),
        build_time: Duration::from_secs(30),
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    let mut disk = vec![0; 64 << 10];
    disk[..5].copy_from_slice(b"hello");
    fs::write(dir.join("raw"), disk).unwrap();
    ImageCache::new(&store).insert(&SpecHash::of_canonical(b"spec"), &new, &dir.join("raw"), &Silent, &Cancel::default()).unwrap();
    store
}

/// The bundle of the package, as if it was made at [`CREATED`].
fn bundle(store: &Store) -> Vec<u8> {
    let name = Coordinates::new("hello", "2.10-3", "amd64", "debian").unwrap();
    let plan = plan(store, &Selection { packages: [name].into(), ..Selection::default() }, &Cancel::default()).unwrap();
    let mut file = Vec::new();
    write(store, &plan, &mut file, &Silent, &Cancel::default()).unwrap();
    let key = b"created_at\x1a";
    let at = file.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    file[at..at + 4].copy_from_slice(&CREATED.to_be_bytes());
    let len = skippable(&file, 0).1;
    let digest = *blake3::hash(&file[48..len]).as_bytes();
    file[16..48].copy_from_slice(&digest);
    let end = file.len() - 32;
    let digest = *blake3::hash(&file[..end - 16]).as_bytes();
    file[end..].copy_from_slice(&digest);
    BundleReader::open(&mut file.as_slice()).and_then(|reader| reader.check(&Cancel::default())).unwrap();
    file
}

fn page_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("store-format.md")
}

/// Where the dump of this name stands in the page.
fn place(page: &str, name: &str) -> std::ops::Range<usize> {
    let head = format!("```hex {name}\n");
    let begin = page.find(&head).unwrap_or_else(|| panic!("the page has no dump of a {name}")) + head.len();
    begin..begin + page[begin..].find("```").unwrap()
}

/// The bytes of a dump: pairs of digits in its first 47 columns.
fn parse(dump: &str) -> Vec<u8> {
    let line = |line: &str| line.get(..47).unwrap_or(line).split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect::<Vec<_>>();
    dump.lines().flat_map(line).collect()
}

#[test]
fn the_dumps_of_the_page_are_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let bundle = bundle(&store);
    let root = store.dir().to_owned();
    drop(store);
    let all = blobs(&root);
    let digest = of_kind(&all, "package")[0].0;
    let blob = fs::read(root.join(format!("blobs/{}/{digest}.zst", &digest[..2]))).unwrap();
    let pack = fs::read(&files(&root.join("packs"))[0]).unwrap();
    let manifest = of_kind(&all, "manifest")[0].1.raw.clone();
    assert_eq!(u32_at(&pack, pack.len() - 16), 1);

    let dumps = [
        ("blob", &blob, Dump::new(&blob).blob_alone()),
        ("pack", &pack, Dump::new(&pack).pack()),
        ("manifest", &manifest, Dump::new(&manifest).manifest()),
        ("bundle", &bundle, Dump::new(&bundle).bundle()),
    ];
    let mut page = fs::read_to_string(page_path()).unwrap();
    if std::env::var_os("IMAGE_COMPOSER_DUMPS").is_some() {
        for (name, _, dump) in &dumps {
            let place = place(&page, name);
            page.replace_range(place, dump);
        }
        fs::write(page_path(), &page).unwrap();
    }
    for (name, bytes, dump) in &dumps {
        let found = &page[place(&page, name)];
        assert_eq!(parse(found), **bytes, "the bytes of the {name}");
        assert_eq!(found, dump, "what is said of the {name}");
    }
}
