//! Bundles from one store to another.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::*;
use crate::cache::{
    Coordinates, Error, ImageCache, ImageRecord, MadeFrom, MetadataAttributes, MetadataCache, NewImage, NewRoot, PackageCache, RootCache, RootKey,
    SpecHash, bundle,
};
use crate::digest::{Digest, Sha256};
use crate::format::blob::{BlobKind, Header, MetadataName, PackageName};
use crate::format::bundle::{END_LEN, FrameKind, ImageItem, Table};
use crate::format::manifest::{Extent, Manifest};
use crate::format::record::ImageDocument;
use crate::format::row::{BlobRow, ChunkRow, ImageRow, MetadataRow, PackRow, PackageRow, Row};
use crate::format::skippable;
use crate::progress::{Cancel, Silent};
use crate::store::tests::noise;
use crate::store::{BundleError, Output, Store, open_file};

struct World {
    _dir: tempfile::TempDir,
    store: Store,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    World { _dir: dir, store }
}

fn spec(seed: &[u8]) -> SpecHash {
    SpecHash::of_canonical(seed)
}

/// A disk with data, a long hole, the same data again, and a hole at its end.
fn disk(seed: u64) -> Vec<u8> {
    let mut bytes = noise(3 << 20, seed);
    bytes.resize(8 << 20, 0);
    bytes.extend_from_slice(&noise(3 << 20, seed));
    bytes.resize(12 << 20, 0);
    bytes
}

fn coordinates(name: &str) -> Coordinates {
    Coordinates::new(name, "1:2.3-4", "amd64", "debian").unwrap()
}

impl World {
    fn keep(&self, hash: &SpecHash, bytes: &[u8]) -> ImageRecord {
        let raw = self.store.dir().with_file_name("raw");
        fs::write(&raw, bytes).unwrap();
        let text = str::to_owned;
        let new = NewImage {
            name: text("minimal"),
            version: text("1.0"),
            dist: text("debian12"),
            arch: text("x86_64"),
            annotations: Vec::new(),
            lock: b"lock".to_vec(),
            build_time: Duration::from_secs(1),
            source_date: 7,
            releases: Vec::new(),
            imported: None,
        };
        ImageCache::new(&self.store).insert(hash, &new, &raw, &Silent, &Cancel::default()).unwrap()
    }

    fn package(&self, name: &str, bytes: &[u8]) {
        PackageCache::new(&self.store).insert(&coordinates(name), &Sha256::of(bytes), &mut &*bytes).unwrap();
    }

    fn metadata(&self, path: &str, bytes: &[u8]) {
        let attributes = MetadataAttributes { etag: Some("\"1\"".to_owned()), verified_by: vec!["AB".to_owned()], ..MetadataAttributes::default() };
        MetadataCache::new(&self.store).insert("debian", path, bytes, &attributes).unwrap();
    }

    /// Two images that share, two packages of the same bytes, one of its own, and a suite.
    fn filled() -> Self {
        let world = world();
        world.keep(&spec(b"a"), &disk(1));
        world.keep(&spec(b"b"), &[disk(1), noise(1 << 20, 2)].concat());
        world.package("twin-a", b"twin");
        world.package("twin-b", b"twin");
        world.package("big", &noise(5 << 20, 3));
        world.metadata("dists/stable/InRelease", b"signed");
        world.metadata("dists/stable/main/binary-amd64/Packages", b"");
        world.metadata("dists/other/InRelease", b"signed too");
        world
    }

    fn export(&self, selection: &Selection) -> Vec<u8> {
        let plan = plan(&self.store, selection, &Cancel::default()).unwrap();
        let mut bytes = Vec::new();
        write(&self.store, &plan, &mut bytes, &Silent, &Cancel::default()).unwrap();
        assert_eq!(bytes.len() as u64, plan.bundle_len());
        bytes
    }

    fn import(&self, bytes: &[u8]) -> Result<ImportedBundle, Error> {
        import(&self.store, &mut &*bytes, false, &Silent, &Cancel::default())
    }

    fn disk_of(&self, hash: &SpecHash) -> Vec<u8> {
        let cache = ImageCache::new(&self.store);
        let record = cache.lookup(hash).unwrap().unwrap();
        let out = tempfile::NamedTempFile::new().unwrap();
        cache.write_to(&record, Output { file: out.as_file(), path: out.path(), stays: false }, &Silent, &Cancel::default()).unwrap();
        fs::read(out.path()).unwrap()
    }

    fn rows<R: Row>(&self) -> Vec<(Vec<u8>, R)> {
        let mut rows = Vec::new();
        self.store
            .read()
            .unwrap()
            .scan::<R>(&[], |key, row| {
                rows.push((key.to_owned(), row));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        rows
    }

    /// Names, blobs, chunks, packs.
    fn counts(&self) -> [usize; 6] {
        [
            self.rows::<ImageRow>().len(),
            self.rows::<PackageRow>().len(),
            self.rows::<MetadataRow>().len(),
            self.rows::<BlobRow>().len(),
            self.rows::<ChunkRow>().len(),
            self.rows::<PackRow>().len(),
        ]
    }

    /// Every count of references, as `store-format.md` defines it, against a recount.
    fn check_references(&self) {
        let mut named: Vec<Digest> = Vec::new();
        for (_, row) in self.rows::<ImageRow>() {
            named.extend([row.record, row.manifest, row.lock, row.annotations]);
        }
        self.rows::<PackageRow>().into_iter().for_each(|(_, row)| named.extend([Some(row.blob), row.alias].into_iter().flatten()));
        self.rows::<MetadataRow>().into_iter().for_each(|(_, row)| named.extend([Some(row.blob), row.alias].into_iter().flatten()));
        let mut chunks: Vec<Digest> = Vec::new();
        for (key, row) in self.rows::<BlobRow>() {
            let digest = Digest::from_bytes(key.try_into().unwrap());
            assert_eq!(row.references as usize, named.iter().filter(|name| **name == digest).count(), "{digest} {:?}", row.kind);
            self.store.verify_blob(&digest).unwrap();
            if row.kind == BlobKind::Manifest {
                let manifest = self.store.read_manifest(&digest).unwrap();
                let of = |extent: &Extent| if let Extent::Chunk { digest, .. } = extent { Some(*digest) } else { None };
                chunks.extend(manifest.extents.iter().filter_map(of).collect::<BTreeSet<_>>());
            }
        }
        for (key, row) in self.rows::<ChunkRow>() {
            let digest = Digest::from_bytes(key.try_into().unwrap());
            assert_eq!(row.references as usize, chunks.iter().filter(|name| **name == digest).count());
        }
    }
}

fn all() -> Selection {
    Selection { all: true, ..Selection::default() }
}

fn only(image: &[u8]) -> Selection {
    Selection { images: [spec(image)].into(), ..Selection::default() }
}

/// The length of the first frame, and what stands in it.
fn table(bundle: &[u8]) -> (usize, Table) {
    let end = skippable::HEAD_LEN + bundle::tests::table_len(bundle);
    (end, Table::decode(&bundle[skippable::HEAD_LEN..end]).unwrap())
}

pub(super) fn table_len(bundle: &[u8]) -> usize {
    crate::format::bundle::table_content_len(bundle).unwrap()
}

/// The bundle with another table, and what follows the table as it was.
fn forge(bundle: &[u8], change: impl FnOnce(&mut Table)) -> Vec<u8> {
    let (end, mut table) = table(bundle);
    change(&mut table);
    sealed([table.encode().unwrap(), bundle[end..bundle.len() - END_LEN].to_vec()].concat())
}

#[test]
fn everything_comes_over() {
    let from = World::filled();
    let bundle = from.export(&all());
    let to = world();
    let report = to.import(&bundle).unwrap();
    assert_eq!(report.images.iter().map(|image| image.outcome).collect::<Vec<_>>(), [Outcome::Added; 2]);
    assert_eq!((report.packages, report.metadata), (Counts { added: 3, ..Counts::default() }, Counts { added: 3, ..Counts::default() }));
    assert_eq!(report.bundle_len.0, bundle.len() as u64);
    for hash in [spec(b"a"), spec(b"b")] {
        assert!(to.disk_of(&hash) == from.disk_of(&hash));
    }
    let packages = PackageCache::new(&to.store);
    for name in ["twin-a", "twin-b"] {
        assert!(packages.lookup(&coordinates(name), &Sha256::of(b"twin")).unwrap().is_some());
    }
    let metadata = MetadataCache::new(&to.store);
    let entry = metadata.lookup("debian", "dists/stable/InRelease").unwrap().unwrap();
    assert_eq!(metadata.read(&entry).unwrap(), b"signed");
    assert_eq!((entry.etag, entry.verified_by), (None, Vec::new()), "what a bundle says of servers and signatures is forgotten");
    to.check_references();
    // Byte for byte: what was compressed there is not compressed again here.
    let (record, file) = (to.rows::<ImageRow>()[0].1.record, |world: &World, digest| fs::read(world.store.blob_path(&digest)).unwrap());
    assert!(file(&from, record) == file(&to, record));
    let back = world();
    back.import(&to.export(&all())).unwrap();
    assert_eq!(back.counts(), to.counts());
    back.check_references();
}

#[test]
fn a_bundle_of_one_image_decompresses_to_its_disk() {
    let from = World::filled();
    let bundle = from.export(&Selection { packages: [coordinates("big")].into(), ..only(b"a") });
    assert!(zstd::decode_all(bundle.as_slice()).unwrap() == disk(1));
    let frames = table(&bundle).1.frames;
    assert!(frames.iter().any(|frame| frame.kind == FrameKind::Hole) && frames.iter().all(|frame| frame.kind != FrameKind::Beside));
    let to = world();
    to.import(&bundle).unwrap();
    assert!(to.disk_of(&spec(b"a")) == disk(1));
    assert_eq!(zstd::decode_all(from.export(&all()).as_slice()).unwrap(), b"", "of two it is nobody's disk");
}

/// An image whose extents take only parts of some chunks.
#[test]
fn parts_of_chunks_are_in_the_disk_and_whole_ones_beside_it() {
    use FrameKind::{Beside, Chunk, Hole, Part};
    let from = world();
    let record = from.keep(&spec(b"a"), &noise(2 << 20, 5));
    let whole = from.store.read_manifest(&record.manifest).unwrap();
    let chunks: Vec<_> = whole
        .extents
        .iter()
        .filter_map(|extent| if let Extent::Chunk { digest, length, .. } = extent { Some((*digest, *length)) } else { None })
        .collect();
    let part = |at: usize, offset, length| Extent::Chunk { digest: chunks[at].0, offset, length };
    let extents = vec![
        part(0, 0, chunks[0].1),
        part(1, 100, 1000),
        Extent::Hole { length: 5000 },
        part(0, 0, 7),
        part(0, 0, chunks[0].1),
        part(2, 1, chunks[2].1 - 1),
    ];
    let chunk = |at: usize| {
        let begin = chunks[..at].iter().map(|(_, length)| *length as usize).sum();
        noise(2 << 20, 5)[begin..begin + chunks[at].1 as usize].to_vec()
    };
    let raw = [chunk(0), chunk(1)[100..1100].to_vec(), vec![0; 5000], chunk(0)[..7].to_vec(), chunk(0), chunk(2)[1..].to_vec()].concat();
    let manifest = Manifest { raw_len: raw.len() as u64, raw_digest: Digest::of(&raw), extents };
    let manifest = from.store.stage_bytes(Header::unnamed(BlobKind::Manifest), &manifest.encode().unwrap()).unwrap();
    let row = from.rows::<ImageRow>()[0].1;
    let document = ImageDocument::decode(&from.store.read_blob(&row.record, 1 << 20).unwrap()).unwrap();
    let document = ImageDocument { manifest: manifest.digest, raw_len: raw.len() as u64, raw_digest: Digest::of(&raw), ..document };
    let staged = from.store.stage_bytes(Header::unnamed(BlobKind::Image), &document.encode().unwrap()).unwrap();
    let txn = from.store.write().unwrap();
    for blob in [&manifest, &staged] {
        txn.publish(&from.store, blob, 1).unwrap();
    }
    txn.put(spec(b"a").digest().as_bytes(), &ImageRow { record: staged.digest, manifest: manifest.digest, ..row }).unwrap();
    txn.commit().unwrap();

    let bundle = from.export(&only(b"a"));
    assert!(zstd::decode_all(bundle.as_slice()).unwrap() == raw);
    let kinds: Vec<_> = table(&bundle).1.frames.iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [Chunk, Part, Hole, Part, Chunk, Part, Beside, Beside]);
    let to = world();
    to.import(&bundle).unwrap();
    assert!(to.disk_of(&spec(b"a")) == raw);
    to.check_references();
}

#[test]
fn a_long_hole_stays_small() {
    let from = world();
    let raw = from.store.dir().with_file_name("sparse");
    fs::File::create(&raw).unwrap().set_len(5 << 30).unwrap();
    let new = NewImage {
        name: String::new(),
        version: String::new(),
        dist: String::new(),
        arch: String::new(),
        annotations: Vec::new(),
        lock: Vec::new(),
        build_time: Duration::ZERO,
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    ImageCache::new(&from.store).insert(&spec(b"a"), &new, &raw, &Silent, &Cancel::default()).unwrap();
    let bundle = from.export(&only(b"a"));
    assert!(bundle.len() < 200_000, "{}", bundle.len());
    assert_eq!(table(&bundle).1.frames.iter().map(|frame| frame.raw_len).sum::<u64>(), 5 << 30);
}

#[test]
fn only_what_is_missing_is_added() {
    let from = World::filled();
    let bundle = from.export(&all());
    let to = world();
    to.import(&bundle).unwrap();
    let before = to.counts();
    let again = to.import(&bundle).unwrap();
    assert_eq!((again.added.0, to.counts()), (0, before));
    assert_eq!(again.images.iter().map(|image| image.outcome).collect::<Vec<_>>(), [Outcome::Present; 2]);
    assert_eq!((again.packages.present, again.metadata.present), (3, 3));
    to.check_references();

    let most = world();
    most.keep(&spec(b"a"), &disk(1));
    let own = most.store.dir().join("packs");
    let packs = || fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>();
    let before = packs();
    let report = most.import(&from.export(&only(b"b"))).unwrap();
    assert!(packs() - before < 2 << 20 && report.added.0 < 2 << 20, "the shared chunks were there");
    assert!(most.disk_of(&spec(b"b")) == from.disk_of(&spec(b"b")));
    most.check_references();
}

#[test]
fn another_image_under_the_same_hash_stays_unless_it_is_to_be_replaced() {
    let from = World::filled();
    let to = world();
    to.keep(&spec(b"a"), &noise(1 << 20, 9));
    let bundle = from.export(&only(b"a"));
    let before = to.counts();
    let report = to.import(&bundle).unwrap();
    assert_eq!((report.images[0].outcome, to.counts()), (Outcome::Conflict, before));
    assert!(to.disk_of(&spec(b"a")) == noise(1 << 20, 9));
    let report = import(&to.store, &mut bundle.as_slice(), true, &Silent, &Cancel::default()).unwrap();
    assert_eq!(report.images[0].outcome, Outcome::Replaced);
    assert!(to.disk_of(&spec(b"a")) == disk(1));
    to.check_references();
}

#[test]
fn an_import_mends_what_is_lost() {
    let from = World::filled();
    let bundle = from.export(&all());
    let to = world();
    to.import(&bundle).unwrap();
    let record = ImageCache::new(&to.store).lookup(&spec(b"a")).unwrap().unwrap();
    let packs = to.store.dir().join("packs");
    fs::remove_dir_all(&packs).unwrap();
    fs::create_dir(&packs).unwrap();
    fs::remove_file(to.store.blob_path(&record.manifest)).unwrap();
    let report = to.import(&bundle).unwrap();
    assert!(report.added.0 > 3 << 20);
    assert!(to.disk_of(&spec(b"a")) == disk(1));
    to.check_references();
}

#[test]
fn metadata_of_a_later_fetch_stays_and_the_future_is_now() {
    let from = World::filled();
    let bundle = from.export(&Selection { suites: [("debian".to_owned(), "stable".to_owned())].into(), ..Selection::default() });
    assert_eq!(table(&bundle).1.contents.metadata.len(), 2);
    let dated = |fetched_at| forge(&bundle, |table| table.contents.metadata.iter_mut().for_each(|item| item.name.fetched_at = fetched_at));
    let to = world();
    to.metadata("dists/stable/InRelease", b"signed later");
    let report = to.import(&dated(1_000)).unwrap();
    assert_eq!(report.metadata, Counts { added: 1, present: 0, kept: 1 });
    let cache = MetadataCache::new(&to.store);
    let inrelease = || cache.lookup("debian", "dists/stable/InRelease").unwrap().unwrap();
    assert_eq!(cache.read(&inrelease()).unwrap(), b"signed later");
    let before = crate::store::now();
    to.import(&dated(u64::MAX)).unwrap();
    assert_eq!(cache.read(&inrelease()).unwrap(), b"signed");
    assert!((before..=crate::store::now()).contains(&inrelease().fetched_at));
    to.check_references();
}

/// A repository of RPM packages, and one in a folder, like a suite of Debian: by name, and by age.
#[test]
fn repositories_without_suites_travel_whole_and_stay_whole() {
    let from = world();
    let files = ["base/x86_64/repodata/repomd.xml", "base/x86_64/repodata/primary.xml.gz", "InRelease", "Packages"];
    for path in files {
        from.metadata(path, format!("{path} of old").as_bytes());
    }
    for (suite, expected) in [("base/x86_64/", &files[..2]), ("./", &files[2..])] {
        let selection = Selection { suites: [("debian".to_owned(), suite.to_owned())].into(), ..Selection::default() };
        let contents = table(&from.export(&selection)).1.contents;
        let mut paths: Vec<&str> = contents.metadata.iter().map(|item| item.name.path.as_str()).collect();
        paths.sort_by_key(|path| files.iter().position(|file| file == path));
        assert_eq!(paths, expected, "{suite}");
    }
    let old = forge(&from.export(&all()), |table| table.contents.metadata.iter_mut().for_each(|item| item.name.fetched_at = 1_000));
    let to = world();
    to.metadata(files[0], b"new");
    to.metadata(files[1], b"new, too");
    to.metadata(files[2], b"signed later");
    assert_eq!(to.import(&old).unwrap().metadata, Counts { added: 1, present: 0, kept: 3 });
    let cache = MetadataCache::new(&to.store);
    assert_eq!(cache.read(&cache.lookup("debian", files[1]).unwrap().unwrap()).unwrap(), b"new, too");
}

/// What is installed here is proven by signatures, and an image in a bundle by nobody.
#[test]
fn an_image_under_the_key_of_a_root_is_no_root() {
    let from = world();
    let key = RootKey::of_canonical(b"packages");
    from.keep(&SpecHash::from(*key.digest()), &disk(1));
    let to = world();
    to.import(&from.export(&all())).unwrap();
    assert!(RootCache::new(&to.store).take(&key).unwrap().is_none());
    let raw = to.store.dir().with_file_name("tree");
    fs::write(&raw, disk(2)).unwrap();
    let new = NewRoot { dist: "debian12".to_owned(), arch: "x86_64".to_owned(), packages: 1, lock: Vec::new(), took: Duration::from_secs(1) };
    RootCache::new(&to.store).insert(key, &new, &raw, &Cancel::default()).unwrap();
    assert!(RootCache::new(&to.store).take(&key).unwrap().is_some());
    assert!(ImageCache::new(&to.store).take(&SpecHash::from(*key.digest())).unwrap().is_none());
    to.check_references();
}

/// A manifest counts for its chunks, so it must be known for what it is.
#[test]
fn a_manifest_that_was_here_as_a_package_counts_for_its_chunks() {
    let from = world();
    let image = from.keep(&spec(b"a"), &disk(1));
    let manifest = from.store.read_blob(&image.manifest, 1 << 20).unwrap();
    let bundle = from.export(&all());
    for build in [false, true] {
        let to = world();
        to.package("odd", &manifest);
        if build {
            drop(to.keep(&spec(b"a"), &disk(1)));
        } else {
            drop(to.import(&bundle).unwrap());
        }
        to.check_references();
        let counts: BTreeSet<u32> = to.rows::<ChunkRow>().iter().map(|(_, row)| row.references).collect();
        assert_eq!(counts, [1].into(), "built: {build}");
        assert!(to.disk_of(&spec(b"a")) == disk(1));
    }
}

/// What this program makes of an index is used in its place without a signature, so nobody else may bring it.
#[test]
fn what_was_made_of_a_file_stays_where_it_was_made() {
    let from = World::filled();
    let bundle = from.export(&all());
    let made = MetadataAttributes::of_made(MadeFrom { sha256: Sha256::of(b""), blob: Digest::of(b"") });
    MetadataCache::new(&from.store).insert("debian", "dists/stable/main/binary-amd64/Packages for amd64", b"a list", &made).unwrap();
    assert_eq!(table(&from.export(&all())).1.contents.metadata, table(&bundle).1.contents.metadata);

    let claims = forge(&bundle, |table| table.contents.metadata.iter_mut().for_each(|item| item.name.attributes = made.clone()));
    let to = world();
    assert_eq!(to.import(&claims).unwrap().metadata.added, 3);
    assert!(to.rows::<MetadataRow>().into_iter().all(|(_, row)| row.attributes.made_from().is_none()));
    // Also where an index is made again from the names that blobs bear.
    let blobs = to.rows::<BlobRow>();
    let header = |digest: &[u8]| to.store.open_blob(&Digest::from_bytes(digest.try_into().unwrap())).unwrap().header().clone();
    assert!(blobs.iter().filter_map(|(digest, _)| header(digest).metadata).all(|name| name.attributes.made_from().is_none()));
}

/// Every byte of a bundle is under a digest.
#[test]
fn a_flipped_or_missing_byte_anywhere_is_refused_and_nothing_is_visible() {
    let from = world();
    from.keep(&spec(b"a"), &[noise(100_000, 1), vec![0; 1 << 20], noise(50_000, 2)].concat());
    from.package("small", b"small");
    from.metadata("dists/stable/InRelease", b"signed");
    let bundle = from.export(&all());
    let to = world();
    let nothing = to.counts();
    let check = |bytes: &[u8]| crate::store::BundleReader::open(&mut &*bytes).and_then(|reader| reader.check(&Cancel::default()));
    check(&bundle).unwrap();
    // Every byte of what is not data, and some of what is.
    let positions = (0..6_000).chain((6_000..bundle.len()).step_by(97)).chain(bundle.len() - 100..bundle.len());
    for at in positions {
        let mut bad = bundle.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(check(&bad).unwrap_err().is_integrity(), "byte {at}");
        if at % 997 == 0 {
            assert!(matches!(to.import(&bad), Err(Error::Bundle(error)) if error.is_integrity()), "byte {at}");
        }
    }
    for len in (0..bundle.len()).step_by(501).chain([bundle.len() - 1]) {
        assert!(check(&bundle[..len]).unwrap_err().is_integrity(), "{len}");
    }
    for len in [0, 100, bundle.len() / 2, bundle.len() - 1] {
        assert!(matches!(to.import(&bundle[..len]), Err(Error::Bundle(error)) if error.is_integrity()), "{len}");
    }
    let error = to.import(&[bundle.as_slice(), b"x"].concat()).unwrap_err();
    assert!(matches!(error, Error::Bundle(BundleError::Trailing { .. })));
    assert_eq!(to.counts(), nothing);
    assert_eq!(fs::read_dir(to.store.dir().join("packs")).unwrap().count(), 0);
    to.import(&bundle).unwrap();
    to.check_references();
}

/// A file of a blob as a hostile program would write it, and its digest.
fn blob_file(header: &Header, raw: &[u8]) -> (Digest, Vec<u8>) {
    let mut file = crate::format::blob::encode_head(header).unwrap();
    file.extend(zstd::bulk::compress(raw, 3).unwrap());
    (Digest::of(raw), file)
}

/// A bundle of one blob under the names that `name` gives it.
fn bundle_of(file: &[u8], digest: Digest, raw_len: u64, name: impl FnOnce(&mut Table)) -> Vec<u8> {
    let mut table = Table { contents: crate::format::bundle::Contents::default(), blobs: Vec::new(), frames: Vec::new() };
    table.blobs.push(crate::format::bundle::BlobEntry { digest, stored_len: file.len() as u64, raw_len });
    name(&mut table);
    let mut bundle = table.encode().unwrap();
    bundle.extend_from_slice(&skippable::head(file.len()).unwrap());
    bundle.extend_from_slice(file);
    sealed(bundle)
}

/// With the right last frame.
fn sealed(mut bundle: Vec<u8>) -> Vec<u8> {
    let end = crate::format::bundle::encode_end(&Digest::of(&bundle));
    bundle.extend_from_slice(&end);
    bundle
}

fn package_name(name: &str, sha256: Sha256) -> PackageName {
    let text = str::to_owned;
    PackageName { name: text(name), version: text("1"), arch: text("amd64"), repository: text("debian"), sha256 }
}

fn with_package(name: PackageName, digest: Digest) -> impl FnOnce(&mut Table) {
    move |table| table.contents.packages.push(crate::format::bundle::PackageItem { blob: digest, name })
}

#[test]
fn hostile_bundles_end_at_once() {
    let to = world();
    let refused = |bundle: &[u8], expected: &str| {
        let begun = Instant::now();
        let error = to.import(bundle).unwrap_err();
        let text = format!("{error:?} {error}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(to.counts(), [0; 6], "{expected}");
    };
    let plain = Header::unnamed(BlobKind::Document);
    let (digest, file) = blob_file(&plain, b"deb");
    let right = Sha256::of(b"deb");
    refused(&bundle_of(&file, digest, 3, with_package(package_name("../../etc", right), digest)), "nothing can have");
    refused(&bundle_of(&file, digest, 3, with_package(package_name("a", Sha256::of(b"other")), digest)), "its name says");
    refused(&bundle_of(&file, Digest::of(b"x"), 3, with_package(package_name("a", right), Digest::of(b"x"))), "is damaged");
    refused(&bundle_of(&file, digest, 4, with_package(package_name("a", right), digest)), "instead of 4");
    let path =
        MetadataName { archive: "debian".to_owned(), path: "dists/../../x".to_owned(), fetched_at: 0, attributes: MetadataAttributes::default() };
    let metadata = |table: &mut Table| table.contents.metadata.push(crate::format::bundle::MetadataItem { blob: digest, name: path.clone() });
    refused(&bundle_of(&file, digest, 3, metadata), "nothing can have");
    // 1 GiB of zeros in some kilobytes.
    let mut bomb = crate::format::blob::encode_head(&plain).unwrap();
    bomb.extend(crate::format::zeros::encode(1 << 30));
    refused(&bundle_of(&bomb, digest, 1000, with_package(package_name("a", right), digest)), "instead of 1000");
    // A table that says to be long, and is not there.
    let mut long = skippable::head(100 << 20).unwrap().to_vec();
    long.extend_from_slice(b"ICBNDL\0\x01");
    refused(&long, "CutOff");
    refused(&[skippable::head(u32::MAX as usize).unwrap().as_slice(), b"ICBNDL\0\x01"].concat(), "Limit");
    refused(&[skippable::head(100).unwrap().as_slice(), b"ICBNDL\0\x02", &[0; 92]].concat(), "Version");
    refused(b"", "CutOff");
}

/// An index that is made from the files alone finds what the table said, and nothing else.
#[test]
fn the_headers_of_blobs_are_made_anew() {
    let to = world();
    for header in [Header::unnamed(BlobKind::Image), Header::package(package_name("other", Sha256::of(b"x"))), Header::unnamed(BlobKind::Alias)] {
        let (digest, file) = blob_file(&header, format!("{header:?}").as_bytes());
        let raw = format!("{header:?}");
        let name = package_name("a", Sha256::of(raw.as_bytes()));
        import(
            &to.store,
            &mut bundle_of(&file, digest, raw.len() as u64, with_package(name.clone(), digest)).as_slice(),
            true,
            &Silent,
            &Cancel::default(),
        )
        .unwrap();
        assert_eq!(open_file(&to.store.blob_path(&digest), &digest).unwrap().header(), &Header::package(name));
    }
    to.check_references();
}

#[test]
fn hostile_images_end_at_once() {
    let from = world();
    from.keep(&spec(b"a"), &noise(300_000, 1));
    let bundle = from.export(&only(b"a"));
    let to = world();
    let refused = |bundle: &[u8], expected: &str| {
        let error = to.import(bundle).unwrap_err();
        let text = format!("{error:?} {error}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!(to.counts(), [0; 6], "{expected}");
    };
    let other = crate::format::bundle::SpecKey(Digest::of(b"another"));
    let renamed = forge(&bundle, |table| {
        table.contents.images[0].spec_hash = other;
        table.contents.disk = Some(other);
    });
    refused(&renamed, "its record names other parts");
    // A chunk that decodes to more than the table says.
    refused(&forge(&bundle, |table| table.frames[0].raw_len -= 1), "frame 0");
    refused(&forge(&bundle, |table| table.frames[0].raw_len += 1), "frame 0");
    refused(&forge(&bundle, |table| table.frames[1].digest = table.frames[0].digest), "frame 1");
    // The frame is what it says, and no chunk: one that the manifest names is missing.
    let (end, mut without) = table(&bundle);
    let gone = without.frames.pop().unwrap();
    let bytes = sealed([without.encode().unwrap(), bundle[end..bundle.len() - END_LEN - gone.stored_len as usize].to_vec()].concat());
    refused(&bytes, "a manifest names a chunk that is not in it");
}

/// Each is short enough, and all of them would be in memory.
#[test]
fn records_are_bounded_together() {
    let from = world();
    let image = from.keep(&spec(b"a"), b"");
    let read = |digest: &Digest| from.store.read_blob(digest, 1 << 20).unwrap();
    let row = from.rows::<ImageRow>().remove(0).1;
    let mut blobs: Vec<(BlobKind, Vec<u8>)> = vec![(BlobKind::Manifest, read(&image.manifest))];
    blobs.extend([row.lock, row.annotations].map(|digest| (BlobKind::Document, read(&digest))));
    let record = ImageDocument::decode(&read(&row.record)).unwrap();
    let mut contents = crate::format::bundle::Contents::default();
    for number in 0..70_u8 {
        let spec_hash = Digest::of(&[number]);
        let bytes = ImageDocument { spec_hash, name: "x".repeat(1_000_000), ..record.clone() }.encode().unwrap();
        let (manifest, lock, annotations) = (row.manifest, row.lock, row.annotations);
        contents.images.push(ImageItem {
            spec_hash: crate::format::bundle::SpecKey(spec_hash),
            record: Digest::of(&bytes),
            manifest,
            lock,
            annotations,
        });
        blobs.push((BlobKind::Image, bytes));
    }
    contents.images.sort_by_key(|item| item.spec_hash);
    let mut table = Table { contents, blobs: Vec::new(), frames: Vec::new() };
    let mut files = Vec::new();
    for (kind, raw) in blobs {
        let (digest, file) = blob_file(&Header::unnamed(kind), &raw);
        table.blobs.push(crate::format::bundle::BlobEntry { digest, stored_len: file.len() as u64, raw_len: raw.len() as u64 });
        files.extend([skippable::head(file.len()).unwrap().to_vec(), file].concat());
    }
    let error = world().import(&sealed([table.encode().unwrap(), files].concat())).unwrap_err();
    assert!(format!("{error:?}").contains("length of the records in a bundle"), "{error:?}");
}

#[test]
fn what_is_planned_stays_until_it_is_written() {
    let from = World::filled();
    let selection = Selection { packages: [coordinates("big")].into(), ..Selection::default() };
    let plan = plan(&from.store, &selection, &Cancel::default()).unwrap();
    let other = Store::open(from.store.dir()).unwrap();
    let blob = plan.contents().packages[0].blob;
    let txn = other.write().unwrap();
    txn.release(&blob).unwrap();
    txn.commit().unwrap();
    assert_eq!(other.discard(&[blob]).unwrap(), 0);
    write(&from.store, &plan, &mut Vec::new(), &Silent, &Cancel::default()).unwrap();
    let World { _dir, store } = from;
    drop(store);
    assert!(other.discard(&[blob]).unwrap() > 0, "then it may go");
}

#[test]
fn a_damaged_object_ends_an_export_and_is_named() {
    for victim in ["packs", "blobs"] {
        let from = world();
        let record = from.keep(&spec(b"a"), &noise(300_000, 1));
        let plan = plan(&from.store, &only(b"a"), &Cancel::default()).unwrap();
        let path = match victim {
            "packs" => fs::read_dir(from.store.dir().join("packs")).unwrap().next().unwrap().unwrap().path(),
            _ => from.store.blob_path(&record.manifest),
        };
        let mut bytes = fs::read(&path).unwrap();
        // The last byte of the blob's content; the middle of a chunk.
        let at = if victim == "packs" { 1000 } else { bytes.len() - 1 };
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = write(&from.store, &plan, &mut Vec::new(), &Silent, &Cancel::default()).unwrap_err();
        assert!(error.is_damage(), "{error:?}");
        assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
        assert_eq!(from.store.take_damage().len(), 1);
    }
}
