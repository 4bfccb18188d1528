//! What goes, in which order, and that everything else is as it was.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::cache::{
    Coordinates, ImageCache, MadeFrom, MetadataAttributes, MetadataCache, NewImage, NewRoot, PackageCache, Pinnable, PlainPackages, RootCache,
    RootKey, SpecHash, disk_use, package,
};
use crate::digest::{Digest, Sha256};
use crate::format::blob::BlobKind;
use crate::format::row::{BlobRow, ChunkRow, ImageRow, MetadataRow, PackRow, PackageRow, Row};
use crate::format::totals::{Amount, Class, Total};
use crate::progress::{Cancel, Silent};
use crate::store::tests::noise;
use crate::store::{Damage, ImageReader, Object, Output, Store};

const DAY: u64 = 24 * 3600;

struct Scene {
    dir: tempfile::TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    /// A package of `len` bytes that was used `uses` times, the last time so many days ago. Nobody holds it.
    fn package(&self, name: &str, len: usize, days: u64, uses: u32) -> Coordinates {
        let coordinates = Coordinates::new(name, "1", "amd64", "debian").unwrap();
        let bytes = noise(len, Digest::of(name.as_bytes()).as_bytes()[0].into());
        PackageCache::new(&self.store).insert(&coordinates, &Sha256::of(&bytes), &mut bytes.as_slice()).unwrap();
        let last_used = crate::store::now() - days * DAY;
        self.change::<PackageRow>(&package::key(&coordinates), |row| PackageRow { last_used, uses, ..row });
        self.store.flush().unwrap();
        coordinates
    }

    /// An image that was last used so many days ago: stretches of noise of 256 KiB, one for each seed.
    fn image(&self, name: &str, seeds: &[u64], days: u64, lock: &[&Coordinates]) -> SpecHash {
        let spec = SpecHash::of_canonical(name.as_bytes());
        let packages: Vec<_> = lock.iter().map(|coordinates| BTreeMap::from([("coordinates", *coordinates)])).collect();
        let new = NewImage {
            name: name.to_owned(),
            version: "1".to_owned(),
            dist: String::new(),
            arch: String::new(),
            annotations: Vec::new(),
            lock: crate::format::cbor::encode(&BTreeMap::from([("packages", packages)])).unwrap(),
            build_time: Duration::ZERO,
            source_date: 0,
            releases: Vec::new(),
            imported: None,
        };
        let path = self.dir.path().join(name);
        fs::write(&path, disk(seeds)).unwrap();
        ImageCache::new(&self.store).insert(&spec, &new, &path, &Silent, &Cancel::default()).unwrap();
        let last_used = crate::store::now() - days * DAY;
        self.change::<ImageRow>(spec.digest().as_bytes(), |row| ImageRow { last_used, ..row });
        spec
    }

    /// A root tree that was last used so many days ago, of stretches as an image has.
    fn root(&self, name: &str, seeds: &[u64], days: u64) -> RootKey {
        let key = RootKey::of_canonical(name.as_bytes());
        let new = NewRoot { dist: name.to_owned(), arch: "x86_64".to_owned(), packages: 2, lock: Vec::new(), took: Duration::from_secs(9) };
        let path = self.dir.path().join(name);
        fs::write(&path, disk(seeds)).unwrap();
        RootCache::new(&self.store).insert(key, &new, &path, &Cancel::default()).unwrap();
        let last_used = crate::store::now() - days * DAY;
        self.change::<ImageRow>(key.digest().as_bytes(), |row| ImageRow { last_used, ..row });
        key
    }

    fn change<R: Row>(&self, key: &[u8], change: impl Fn(R) -> R) {
        let txn = self.store.write().unwrap();
        let row = txn.get::<R>(key).unwrap().unwrap();
        txn.put(key, &change(row)).unwrap();
        txn.commit().unwrap();
    }

    fn serves(&self, spec: &SpecHash, seeds: &[u64]) -> bool {
        let cache = ImageCache::new(&self.store);
        let Some(record) = cache.lookup(spec).unwrap() else { return false };
        let out = self.dir.path().join("out");
        cache.write_to(&record, Output { file: &fs::File::create(&out).unwrap(), path: &out, stays: false }, &Silent, &Cancel::default()).unwrap();
        assert!(fs::read(&out).unwrap() == disk(seeds));
        true
    }

    fn plan(&self, limits: &Limits) -> Plan {
        plan(&self.store, limits, false).unwrap()
    }

    /// Plans, carries out, and checks that what was planned came about.
    fn collect(&self, limits: &Limits) -> Plan {
        let plan = self.plan(limits);
        let before = self.bytes();
        let done = carry_out(&self.store, &plan, &Silent, &Cancel::default()).unwrap();
        assert_eq!((done.removed, done.changed), (plan.entries.len() as u64, 0));
        let freed = before - self.bytes();
        assert_eq!(done.freed, freed);
        // The tables of packs that are written anew shrink, too.
        assert!(freed >= plan.freed && freed - plan.freed <= 4096 * plan.half_packs, "{freed} of {} freed", plan.freed);
        assert_whole(&self.store);
        assert!(self.plan(limits).is_empty(), "a second collection has nothing to do");
        plan
    }

    /// Bytes of the files of all blobs and packs.
    fn bytes(&self) -> u64 {
        files(self.store.dir()).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
    }
}

fn disk(seeds: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for seed in seeds {
        bytes.extend(noise(256 << 10, *seed));
        bytes.resize(bytes.len() + (64 << 10), 0);
    }
    bytes
}

fn files(store: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut files: Vec<PathBuf> = list(&store.join("blobs")).iter().flat_map(|dir| list(dir)).collect();
    files.extend(list(&store.join("packs")));
    files
}

fn rows<R: Row>(store: &Store) -> BTreeMap<Vec<u8>, R> {
    let mut rows = BTreeMap::new();
    let add = |key: &[u8], row| {
        rows.insert(key.to_owned(), row);
        Ok(ControlFlow::Continue(()))
    };
    store.read().unwrap().scan::<R>(&[], add).unwrap();
    rows
}

/// Every count, total and live length is what adding up gives; every row has its file, and every file its row.
fn assert_whole(store: &Store) {
    let (blobs, chunks, packs) = (rows::<BlobRow>(store), rows::<ChunkRow>(store), rows::<PackRow>(store));
    let mut references: HashMap<Digest, u32> = HashMap::new();
    let named = rows::<PackageRow>(store).into_values().flat_map(|row| [Some(row.blob), row.alias]);
    let named = named.chain(rows::<MetadataRow>(store).into_values().flat_map(|row| [Some(row.blob), row.alias]));
    let images = rows::<ImageRow>(store).into_values().flat_map(|row| [row.record, row.manifest, row.lock, row.annotations].map(Some));
    named.chain(images).flatten().for_each(|digest| *references.entry(digest).or_default() += 1);
    let mut totals: BTreeMap<Total, Amount> = BTreeMap::new();
    let mut live: HashMap<Digest, u64> = HashMap::new();
    let mut add = |row: &dyn Fn() -> crate::format::totals::Share| {
        let share = row();
        share
            .total
            .into_iter()
            .for_each(|(total, amount)| *totals.entry(total).or_default() = totals.get(&total).copied().unwrap_or_default().plus(amount));
        share.live.into_iter().for_each(|(pack, len)| *live.entry(pack).or_default() += len);
    };
    let mut named_chunks: HashMap<Digest, u32> = HashMap::new();
    let mut expected = Vec::new();
    for (key, row) in &blobs {
        let digest = Digest::from_bytes(key.as_slice().try_into().unwrap());
        assert_eq!(row.references, references.get(&digest).copied().unwrap_or(0), "{digest} {row:?}");
        if !row.lost {
            assert_eq!(fs::metadata(store.blob_path(&digest)).unwrap().len(), row.stored_len);
            expected.push(store.blob_path(&digest));
            if row.kind == BlobKind::Manifest {
                store.read_manifest(&digest).unwrap().chunks().into_iter().for_each(|chunk| *named_chunks.entry(chunk).or_default() += 1);
            }
        }
        add(&|| row.share());
    }
    for (key, row) in &chunks {
        let digest = Digest::from_bytes(key.as_slice().try_into().unwrap());
        assert_eq!(row.references, named_chunks.get(&digest).copied().unwrap_or(0), "{digest} {row:?}");
        assert!(row.lost || packs.contains_key(row.pack.as_bytes().as_slice()));
        add(&|| row.share());
    }
    for row in packs.values() {
        add(&|| row.share());
    }
    for (key, row) in &packs {
        let id = Digest::from_bytes(key.as_slice().try_into().unwrap());
        assert_eq!(row.live_len, live.get(&id).copied().unwrap_or(0));
        expected.push(store.dir().join(format!("packs/{id}.pack")));
        assert_eq!(fs::metadata(expected.last().unwrap()).unwrap().len(), row.stored_len);
    }
    assert!(named_chunks.keys().all(|digest| chunks.contains_key(digest.as_bytes().as_slice())));
    let counted: BTreeMap<Total, Amount> = store.totals().unwrap().into_iter().filter(|(_, amount)| *amount != Amount::default()).collect();
    totals.retain(|_, amount| *amount != Amount::default());
    assert_eq!(counted, totals);
    let mut found = files(store.dir());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(totals.keys().all(|total| !matches!(total.class, Class::Pack) || total.state == crate::format::totals::State::Own));
}

fn names(plan: &Plan) -> Vec<(String, Reason)> {
    let name = |name: &Name| match name {
        Name::Package(coordinates) => coordinates.name().to_owned(),
        Name::Metadata { path, .. } => path.clone(),
        Name::Plain { package, .. } => package.clone(),
        Name::Image { name, .. } | Name::Root { name, .. } => name.clone(),
        Name::Partial(path) | Name::Quarantined(path) | Name::Orphan(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
    };
    plan.entries.iter().map(|entry| (name(&entry.name), entry.because)).collect()
}

fn because(reason: Reason, names: &[&str]) -> Vec<(String, Reason)> {
    names.iter().map(|name| ((*name).to_owned(), reason)).collect()
}

#[test]
fn packages_go_by_last_use_then_by_uses_and_those_that_an_image_needs_last() {
    let scene = Scene::new();
    let old = scene.package("needed", 100_000, 9, 0);
    scene.package("rare", 100_000, 5, 1);
    scene.package("often", 100_000, 5, 7);
    scene.package("new", 100_000, 0, 0);
    let image = scene.image("image", &[1], 9, &[&old]);
    let limit = |kilobytes: u64| Limits { package_bytes: Some(kilobytes * 1000), ..Limits::default() };
    assert!(scene.plan(&limit(410)).is_empty(), "it fits");
    // Down to nine tenths: 270 kB have room for two of the four.
    assert_eq!(names(&scene.plan(&limit(300))), because(Reason::Size, &["rare", "often"]));
    assert_eq!(names(&scene.plan(&limit(110))), because(Reason::Size, &["rare", "often", "new", "needed"]));
    let plan = scene.collect(&limit(300));
    assert!(plan.after.packages <= 270_000 && plan.before.packages > 400_000);
    assert!(scene.serves(&image, &[1]));
    // Without the image, its package is the oldest.
    carry_out(&scene.store, &plan_clean(&scene.store, &Clean { images: true, ..Clean::default() }).unwrap(), &Silent, &Cancel::default()).unwrap();
    assert_eq!(names(&scene.plan(&limit(150))), because(Reason::Size, &["needed"]));
}

#[test]
fn what_was_not_used_for_so_long_goes_unless_it_is_pinned_or_in_use() {
    let scene = Scene::new();
    let coordinates = ["old", "pinned", "held", "new"].map(|name| scene.package(name, 1000, if name == "new" { 29 } else { 31 }, 3));
    scene.change::<PackageRow>(&package::key(&coordinates[1]), |row| PackageRow { pinned: true, ..row });
    let other = Store::open(scene.store.dir()).unwrap();
    let held = rows::<PackageRow>(&scene.store)[&package::key(&coordinates[2])].blob;
    other.hold(&[Object::Blob(held)]).unwrap();
    let limits = Limits { package_age: Some(Duration::from_secs(30 * DAY)), ..Limits::default() };
    let plan = scene.plan(&limits);
    assert_eq!(names(&plan), because(Reason::Age, &["old"]));
    assert_eq!(plan.kept, Kept { pinned: 1, in_use: 1 });
    carry_out(&scene.store, &plan, &Silent, &Cancel::default()).unwrap();
    drop(other);
    assert_eq!(names(&scene.plan(&limits)), because(Reason::Age, &["held"]));
}

#[test]
fn the_image_that_was_asked_for_longest_ago_goes_and_takes_what_is_its_own() {
    let scene = Scene::new();
    let (first, second, third) = ([1, 2, 3], [2, 3, 4], [5]);
    let specs = [scene.image("first", &first, 3, &[]), scene.image("second", &second, 2, &[]), scene.image("third", &third, 1, &[])];
    let limits = Limits { image_count: Some(2), ..Limits::default() };
    let plan = scene.collect(&limits);
    assert_eq!(names(&plan), because(Reason::Count, &["first"]));
    // A quarter of a mebibyte, and four documents: the other chunks are the second image's, too.
    assert!(plan.entries[0].bytes > 256 << 10 && plan.entries[0].bytes < 260 << 10, "{}", plan.entries[0].bytes);
    assert!(!scene.serves(&specs[0], &first) && scene.serves(&specs[1], &second) && scene.serves(&specs[2], &third));
    let plan = scene.collect(&Limits { image_age: Some(Duration::from_secs(DAY * 3 / 2)), ..limits });
    assert_eq!(names(&plan), because(Reason::Age, &["second"]));
    assert!(scene.serves(&specs[2], &third));
    scene.collect(&Limits { image_age: Some(Duration::ZERO), ..limits });
    assert_eq!((scene.bytes(), rows::<ChunkRow>(&scene.store).len()), (0, 0), "nothing is left");
}

#[test]
fn a_limit_of_bytes_holds_on_disk_also_where_packs_are_half_full() {
    let scene = Scene::new();
    // The second shares what is a fifth of the first's pack, the third what is three fifths of the fourth's.
    let (first, second) = ([1, 2, 3, 4, 5], [5, 6]);
    let specs = [scene.image("first", &first, 4, &[]), scene.image("second", &second, 3, &[])];
    let plan = scene.collect(&Limits { image_bytes: Some(1 << 20), ..Limits::default() });
    assert_eq!((names(&plan), plan.half_packs, plan.unmet.as_slice()), (because(Reason::Size, &["first"]), 1, [].as_slice()));
    assert!(scene.bytes() < (1 << 20) * 9 / 10 && scene.serves(&specs[1], &second));

    let (third, fourth) = ([7, 8, 9], [7, 8, 9, 10, 11]);
    let specs = [scene.image("fourth", &fourth, 2, &[]), scene.image("third", &third, 1, &[])];
    // Three fifths are live: worth nothing by itself, but the limit is one.
    let spare = Limits { image_count: Some(1), ..Limits::default() };
    assert_eq!(scene.plan(&spare).half_packs, 0);
    let plan = scene.collect(&Limits { image_bytes: Some(900 << 10), ..spare });
    assert_eq!(plan.half_packs, 1);
    assert!(scene.bytes() <= 900 << 10 && scene.serves(&specs[1], &third) && !scene.serves(&specs[0], &fourth));

    let plan = scene.collect(&Limits { image_bytes: Some(1000), ..Limits::default() });
    assert_eq!((plan.after, plan.unmet.len()), (Sizes::default(), 0));
}

#[test]
fn what_cannot_be_met_is_said() {
    let scene = Scene::new();
    let spec = scene.image("image", &[1], 1, &[]);
    scene.change::<ImageRow>(spec.digest().as_bytes(), |row| ImageRow { pinned: true, ..row });
    scene.package("package", 1000, 1, 1);
    let limits = Limits { image_count: Some(0), image_bytes: Some(1), package_bytes: Some(1), min_free: Some(u64::MAX / 2), ..Limits::default() };
    let plan = scene.plan(&limits);
    assert_eq!(plan.unmet, [Limit::ImageCount, Limit::ImageSize, Limit::MinFree]);
    assert_eq!(names(&plan), because(Reason::Size, &["package"]));
}

#[test]
fn a_full_file_system_takes_the_oldest_of_both_caches_and_no_more_than_it_needs() {
    let scene = Scene::new();
    scene.package("new", 300_000, 1, 1);
    scene.package("old", 300_000, 9, 1);
    let spec = scene.image("image", &[1], 5, &[]);
    let plan = scene.plan(&Limits { min_free: Some(u64::MAX / 2), ..Limits::default() });
    assert_eq!(names(&plan), because(Reason::Room, &["old", "new", "image"]));
    assert_eq!((plan.after, &plan.unmet[..]), (Sizes::default(), [Limit::MinFree].as_slice()));
    let plan = scene.plan(&Limits { min_free: Some(1), ..Limits::default() });
    assert!(plan.is_empty() && scene.serves(&spec, &[1]));
}

#[test]
fn what_was_used_pinned_or_taken_since_the_plan_stays() {
    let scene = Scene::new();
    let coordinates = ["used", "pinned", "held", "old"].map(|name| scene.package(name, 1000, 31, 3));
    let plan = scene.plan(&Limits { package_age: Some(Duration::from_secs(DAY)), ..Limits::default() });
    assert_eq!(plan.entries.len(), 4);
    PackageCache::new(&scene.store).mark_used([&coordinates[0]]);
    scene.store.flush().unwrap();
    scene.change::<PackageRow>(&package::key(&coordinates[1]), |row| PackageRow { pinned: true, ..row });
    scene.store.hold(&[Object::Blob(rows::<PackageRow>(&scene.store)[&package::key(&coordinates[2])].blob)]).unwrap();
    let done = carry_out(&scene.store, &plan, &Silent, &Cancel::default()).unwrap();
    assert_eq!((done.removed, done.changed), (1, 3));
    assert_eq!(PackageCache::new(&scene.store).list().unwrap().len(), 3);
    assert_whole(&scene.store);
}

#[test]
fn what_a_build_takes_stays_until_it_is_done() {
    let scene = Scene::new();
    let coordinates = scene.package("a", 1000, 31, 1);
    let sha256 = rows::<PackageRow>(&scene.store)[&package::key(&coordinates)].sha256;
    let builder = Store::open(scene.store.dir()).unwrap();
    assert!(PackageCache::new(&builder).take(&[(&coordinates, &sha256)]).unwrap()[0].is_some());
    let spec = scene.image("image", &[1], 1, &[]);
    ImageCache::new(&builder).take(&spec).unwrap().unwrap();
    let all = Clean { packages: true, images: true, roots: true, rest: true };
    assert_eq!(plan_clean(&scene.store, &all).unwrap().kept.in_use, 2);
    builder.flush().unwrap();
    assert_eq!(plan_clean(&scene.store, &all).unwrap().entries.len(), 2);
}

#[test]
fn cleaning_takes_whole_classes_and_leaves_the_pinned() {
    let scene = Scene::new();
    scene.package("a", 1000, 0, 0);
    scene.change::<PackageRow>(&package::key(&scene.package("pinned", 1000, 0, 0)), |row| PackageRow { pinned: true, ..row });
    scene.image("image", &[1], 0, &[]);
    MetadataCache::new(&scene.store).insert("debian", "dists/x/InRelease", b"text", &MetadataAttributes::default()).unwrap();
    fs::write(scene.store.partials_dir().join("x.partial"), "half").unwrap();
    let clean = |clean| names(&plan_clean(&scene.store, &clean).unwrap());
    assert_eq!(clean(Clean { packages: true, ..Clean::default() }), because(Reason::Asked, &["a"]));
    assert_eq!(clean(Clean { images: true, ..Clean::default() }), because(Reason::Asked, &["image"]));
    let all = plan_clean(&scene.store, &Clean { packages: true, images: true, roots: true, rest: true }).unwrap();
    assert_eq!((all.entries.len(), all.kept.pinned), (4, 1));
    assert!(all.entries.iter().all(|entry| entry.because == Reason::Asked));
    carry_out(&scene.store, &all, &Silent, &Cancel::default()).unwrap();
    assert_whole(&scene.store);
    assert_eq!((files(scene.store.dir()).len(), fs::read_dir(scene.store.partials_dir()).unwrap().count()), (1, 0));
}

/// An offline build needs an index more than any package, and its list, which can be made again, no more than a package that no image has.
#[test]
fn what_was_made_of_an_index_goes_with_the_packages_and_the_index_last() {
    let scene = Scene::new();
    scene.package("a", 1000, 9, 0);
    let metadata = MetadataCache::new(&scene.store);
    let made = MetadataAttributes::of_made(MadeFrom { sha256: Sha256::of(b"index"), blob: Digest::of(b"index") });
    metadata.insert("debian", "Packages", b"index", &MetadataAttributes::default()).unwrap();
    metadata.insert("debian", "Packages for amd64", b"list", &made).unwrap();
    let mut all = candidates::packages(&scene.store.read().unwrap(), None).unwrap();
    all.sort_by(|a, b| a.turn().cmp(&b.turn()));
    let first = |key: &[u8]| String::from_utf8_lossy(key).replace('\0', " ");
    let order: Vec<String> = all.iter().map(|candidate| first(&candidate.key)).collect();
    assert_eq!(order, ["a 1 amd64 debian", "debian Packages for amd64", "debian Packages"]);
}

/// It can be made again, which the package cannot.
#[test]
fn what_was_made_of_a_package_goes_before_it_and_with_it() {
    let scene = Scene::new();
    MetadataCache::new(&scene.store).insert("debian", "InRelease", b"signed", &MetadataAttributes::default()).unwrap();
    let of = |name: &str| scene.package(name, 1000, 9, 1);
    let packages = [of("a"), of("b")];
    for coordinates in &packages {
        let plain = PlainPackages::new(&scene.store);
        let from = MadeFrom { sha256: Sha256::of(b"package"), blob: Digest::of(b"package") };
        let staged = plain.stage(coordinates, from, u64::MAX, &mut noise(9000, coordinates.name().as_bytes()[0].into()).as_slice()).unwrap();
        plain.keep(&staged).unwrap();
    }
    scene.store.flush().unwrap();
    let gone = |plan: &Plan| {
        let name = |entry: &Entry| match &entry.name {
            Name::Package(coordinates) => coordinates.name().to_owned(),
            Name::Metadata { path, .. } => path.clone(),
            Name::Plain { package, .. } => package.clone(),
            _ => panic!("{entry:?}"),
        };
        plan.entries.iter().map(name).collect::<Vec<_>>()
    };
    let asked = plan_removal(&scene.store, &[Pinnable::Package(packages[0].clone())]).unwrap();
    assert_eq!(gone(&asked), ["a", "a_1_amd64"]);
    let clean = |clean| gone(&plan_clean(&scene.store, &clean).unwrap());
    assert_eq!(clean(Clean { packages: true, ..Clean::default() }), ["a", "b", "a_1_amd64", "b_1_amd64"]);
    assert_eq!(clean(Clean { rest: true, ..Clean::default() }), ["InRelease"]);
    scene.package("older", 1000, 20, 1);
    let mut all = candidates::packages(&scene.store.read().unwrap(), None).unwrap();
    all.sort_by(|a, b| a.turn().cmp(&b.turn()));
    let order: Vec<String> = all.iter().map(|candidate| String::from_utf8_lossy(&candidate.key).replace('\0', " ")).collect();
    let plain = ["a", "b"].map(|name| format!("debian {name}_1_amd64.deb decompressed 1"));
    assert_eq!(order[..2], plain);
    assert_eq!(order[2..], ["older 1 amd64 debian", "a 1 amd64 debian", "b 1 amd64 debian", "debian InRelease"]);
}

#[test]
fn files_that_nothing_knows_go_and_a_download_under_way_stays() {
    let scene = Scene::new();
    let orphan = scene.store.blob_path(&Digest::of(b"orphan"));
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, "orphan").unwrap();
    fs::write(scene.store.dir().join("packs/strange"), "strange").unwrap();
    let partial = scene.store.partials_dir().join("x.partial");
    let file = fs::File::create(&partial).unwrap();
    file.lock().unwrap();
    let plan = plan(&scene.store, &Limits::default(), true).unwrap();
    assert_eq!(plan.entries.len(), 2, "a fresh partial download waits");
    carry_out(&scene.store, &plan, &Silent, &Cancel::default()).unwrap();
    assert!(!orphan.exists() && !scene.store.dir().join("packs/strange").exists());
    carry_out(&scene.store, &plan_clean(&scene.store, &Clean { rest: true, ..Clean::default() }).unwrap(), &Silent, &Cancel::default()).unwrap();
    assert!(partial.exists(), "somebody writes to it");
    drop(file);
    carry_out(&scene.store, &plan_clean(&scene.store, &Clean { rest: true, ..Clean::default() }).unwrap(), &Silent, &Cancel::default()).unwrap();
    assert!(!partial.exists());
    assert_whole(&scene.store);
}

#[test]
fn a_lost_manifest_counts_nothing_until_it_is_mended() {
    let scene = Scene::new();
    let (first, second) = ([1, 2], [2, 3]);
    let spec = scene.image("first", &first, 2, &[]);
    let other = scene.image("second", &second, 1, &[]);
    let manifest = ImageCache::new(&scene.store).lookup(&spec).unwrap().unwrap().manifest;
    fs::remove_file(scene.store.blob_path(&manifest)).unwrap();
    assert!(scene.store.verify_blob(&manifest).is_err());
    assert_whole(&scene.store);
    assert_eq!(scene.image("first", &first, 2, &[]), spec);
    assert_whole(&scene.store);
    assert!(scene.serves(&spec, &first) && scene.serves(&other, &second));
    fs::remove_file(scene.store.blob_path(&manifest)).unwrap();
    assert!(scene.store.verify_blob(&manifest).is_err());
    // The image that cannot be served goes first, whenever it was used.
    let plan = scene.plan(&Limits { image_count: Some(1), ..Limits::default() });
    assert_eq!(names(&plan), because(Reason::Count, &["first"]));
    carry_out(&scene.store, &plan, &Silent, &Cancel::default()).unwrap();
    assert_whole(&scene.store);
    assert!(scene.serves(&other, &second));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_is_kept_and_collected_the_rest_is_as_it_was(
        steps in prop::collection::vec((0_u8..6, prop::collection::vec(0_u64..8, 1..5), 0_u64..10), 1..12),
    ) {
        let scene = Scene::new();
        let mut kept: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (what, seeds, number) in steps {
            match what {
                0..=2 => {
                    let name = format!("image{}", number % 4);
                    scene.image(&name, &seeds, number, &[]);
                    kept.insert(name, seeds);
                }
                3 => drop(scene.package(&format!("package{number}"), 10_000, number, 1)),
                4 => {
                    let plan = scene.collect(&Limits { image_count: Some(number % 4), package_bytes: Some(number * 5000), ..Limits::default() });
                    kept.retain(|name, _| !names(&plan).iter().any(|(gone, _)| gone == name));
                }
                _ => {
                    let plan = scene.collect(&Limits { image_bytes: Some(number * (100 << 10) + 1), ..Limits::default() });
                    prop_assert!(scene.plan(&Limits::default()).before.images <= number * (100 << 10) + 1);
                    kept.retain(|name, _| !names(&plan).iter().any(|(gone, _)| gone == name));
                }
            }
            assert_whole(&scene.store);
        }
        for (name, seeds) in &kept {
            prop_assert!(scene.serves(&SpecHash::of_canonical(name.as_bytes()), seeds), "{}", name);
        }
    }
}

#[test]
fn roots_are_no_images_and_go_before_them() {
    let scene = Scene::new();
    let image = scene.image("image", &[1, 2], 9, &[]);
    let roots = [scene.root("old", &[2, 3], 5), scene.root("new", &[2, 4], 1)];
    let cache = RootCache::new(&scene.store);
    let is_there = |key: &RootKey| {
        let found = cache.take(key).unwrap();
        scene.store.flush().unwrap();
        found.is_some()
    };
    assert!(roots.iter().all(is_there));
    assert_eq!(ImageCache::new(&scene.store).list().unwrap().len(), 1);
    let digits = roots[0].digest().to_string();
    assert_eq!(ImageCache::new(&scene.store).find(&digits).unwrap(), crate::cache::Found::None);
    assert_eq!((disk_use(&scene.store).unwrap().images.count, disk_use(&scene.store).unwrap().roots), (1, 2));

    // They do not count as images, and have a number and an age of their own.
    assert!(scene.plan(&Limits { image_count: Some(1), ..Limits::default() }).is_empty());
    let because = |reason, name: &str| vec![(format!("root of {name} x86_64 2 packages"), reason)];
    assert_eq!(names(&scene.plan(&Limits { root_age: Some(Duration::from_secs(3 * DAY)), ..Limits::default() })), because(Reason::Age, "old"));
    assert_eq!(names(&scene.plan(&Limits { root_count: Some(1), ..Limits::default() })), because(Reason::Count, "old"));
    // One size holds for both, and the roots go first, although the image was used longer ago.
    let both = Limits { image_bytes: Some(900 << 10), ..Limits::default() };
    assert_eq!(names(&scene.plan(&both)), because(Reason::Size, "old"));
    let plan = scene.collect(&Limits { image_bytes: Some(600 << 10), ..Limits::default() });
    assert_eq!(plan.roots(), 2);
    assert!(scene.serves(&image, &[1, 2]) && !is_there(&roots[0]));
    assert_eq!(disk_use(&scene.store).unwrap().roots, 0);
}

#[test]
fn a_root_comes_back_and_is_a_miss_once_it_is_damaged() {
    let scene = Scene::new();
    let key = scene.root("root", &[1], 0);
    let cache = RootCache::new(&scene.store);
    let root = cache.take(&key).unwrap().unwrap();
    let reader = || ImageReader::open(cache.parts(&root).unwrap().unwrap()).unwrap();
    let mut bytes = vec![0; reader().len() as usize];
    reader().fill(&mut bytes, 0).unwrap();
    assert_eq!(bytes, disk(&[1]));
    assert!(cache.is_whole(&root, &Cancel::default()).unwrap());

    let pack = fs::read_dir(scene.store.dir().join("packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&pack, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&pack, bytes).unwrap();
    let read = reader().fill(&mut vec![0; reader().len() as usize], 0);
    assert!(read.unwrap_err().downcast::<Damage>().is_ok());
    assert!(cache.take(&key).unwrap().is_some(), "who reads without an index tells nobody");
    assert!(!cache.is_whole(&root, &Cancel::default()).unwrap());
    assert_eq!(cache.take(&key).unwrap(), None);
}
