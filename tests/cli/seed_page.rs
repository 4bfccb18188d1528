//! The page that this program was made from, from its top to its bottom: a test for each of its statements, with its commands as it prints them. Its
//! configuration and its part of a spec are in `fixtures/seed-page/`, unchanged.
//!
//! What needs a whole build is in `tests/system/groups/29-seed-page.sh`. Here, a disk that was imported for the page's spec stands for a built one.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use image_composer::cache::{Coordinates, ImageCache, ImageRecord, NewImage, PackageCache, PackageEntry, SpecHash};
use image_composer::config::{Config, Environment};
use image_composer::digest::{Digest, Sha256};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::Store;
use serde_json::{Value, json};

use super::bundle::{mirror, trust};
use super::cache::json_of;
use super::pins::noise;
use crate::support::keys::TestKey;
use crate::support::program::{outcome, program};
use crate::support::server::Server;

const CONFIG: &str = include_str!("../../fixtures/seed-page/config.yaml");
const BUILD: &str = include_str!("../../fixtures/seed-page/build.yml");

/// The page calls the spec so.
const SPEC: &str = "my-image-spec.yml";

/// The disk of the spec.
const DISK: u64 = 322 << 20;

/// A home with the page's configuration and spec.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.configure(CONFIG);
        home.write_spec(BUILD);
        home
    }

    /// One whose repositories are on a server, all of whose packages are signed with a key that it trusts.
    fn with_repositories() -> (Self, Server) {
        let home = Self::new();
        let key = TestKey::new(1);
        trust(home.path(), &key);
        let server = Server::new(mirror(&key));
        let trusted = fs::read_to_string(home.config()).unwrap();
        let url = server.url();
        home.configure(&format!("{trusted}mirrors:\n  debian: [ {url} ]\n  debian-security: [ {url} ]\n{CONFIG}"));
        (home, server)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn config(&self) -> std::path::PathBuf {
        self.path().join(".config/image-composer/config.yaml")
    }

    fn configure(&self, text: &str) {
        fs::create_dir_all(self.config().parent().unwrap()).unwrap();
        fs::write(self.config(), text).unwrap();
    }

    /// The smallest spec, with this at its end.
    fn write_spec(&self, more: &str) {
        self.write_spec_called(SPEC, "edge", more);
    }

    fn write_spec_called(&self, file: &str, name: &str, more: &str) {
        let head = format!("image: {{ name: {name}, version: \"1\" }}\ntarget: {{ dist: debian12, arch: x86_64 }}\n");
        let esp = "{ id: esp, type: esp, start: 1MiB, end: 65MiB, fsType: fat32, mountPoint: /boot/efi }";
        let root = "{ id: root, type: linux-root-amd64, start: 65MiB, end: \"0\", fsType: ext4, mountPoint: / }";
        let kernel = "systemConfig: { kernel: { packages: [ linux-image-cloud-amd64 ] } }\n";
        fs::write(self.path().join(file), format!("{head}disk: {{ size: 322MiB, partitions: [ {esp}, {root} ] }}\n{kernel}{more}")).unwrap();
    }

    /// A command of the page, run in the home.
    fn run(&self, command: &str) -> (i32, String, String) {
        let words: Vec<_> = command.split_whitespace().collect();
        let (name, arguments) = words.split_first().unwrap();
        assert_eq!(*name, "image-composer");
        outcome(program(self.path(), arguments).current_dir(self.path()))
    }

    fn ok(&self, command: &str) -> String {
        let (status, out, err) = self.run(command);
        assert_eq!(status, 0, "{command}: {err}");
        out
    }

    fn json(&self, command: &str) -> Value {
        json_of(&self.ok(&format!("{command} --json")))
    }

    /// Makes the image cache hit for the spec; returns the disk.
    fn keep_image_of_spec(&self) -> Vec<u8> {
        let path = self.path().join("disk.raw");
        fs::write(&path, noise("disk", 100_000)).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(DISK).unwrap();
        self.ok(&format!("image-composer cache import disk.raw --spec {SPEC}"));
        fs::read(path).unwrap()
    }

    /// Keeps an image of this id, and returns its disk.
    fn keep_image(&self, id: &str, name: &str) -> Vec<u8> {
        let mut disk = noise(id, 1 << 20);
        disk.resize(2 << 20, 0);
        fs::write(self.path().join("raw"), &disk).unwrap();
        let new = NewImage {
            name: name.to_owned(),
            version: "1.2.0".to_owned(),
            dist: "debian12".to_owned(),
            arch: "x86_64".to_owned(),
            annotations: Vec::new(),
            lock: id.as_bytes().to_vec(),
            build_time: Duration::from_secs(20),
            source_date: 0,
            releases: Vec::new(),
            imported: None,
        };
        let hash: SpecHash = format!("{id:0<64}").parse::<Digest>().unwrap().into();
        ImageCache::new(&self.store()).insert(&hash, &new, &self.path().join("raw"), &Silent, &Cancel::default()).unwrap();
        disk
    }

    fn store(&self) -> Store {
        Store::open(&self.path().join("store")).unwrap()
    }

    fn packages(&self) -> Vec<PackageEntry> {
        PackageCache::new(&self.store()).list().unwrap()
    }

    fn images(&self) -> Vec<ImageRecord> {
        ImageCache::new(&self.store()).list().unwrap()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Waits for a later second than this: times in the store have no parts of one.
fn await_time_after(second: u64) {
    while now() <= second {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The files of packages that a server gave.
fn given(server: &Server) -> Vec<String> {
    let mut paths: Vec<_> = server.asked().into_iter().map(|asked| asked.path).filter(|path| path.starts_with("pool/")).collect();
    paths.sort_unstable();
    paths
}

// Package cache.

#[test]
fn a_package_that_is_in_the_cache_is_not_downloaded_and_one_that_is_not_is_downloaded_and_added() {
    let (home, server) = Home::with_repositories();
    home.ok(&format!("image-composer fetch {SPEC}"));
    assert_eq!((given(&server).len(), home.packages().len()), (23, 23));
    let gone = home.packages().into_iter().find(|package| package.coordinates.name() == "zstd").unwrap();
    fs::remove_file(PackageCache::new(&home.store()).lookup(&gone.coordinates, &gone.sha256).unwrap().unwrap().path).unwrap();
    server.forget();
    home.ok(&format!("image-composer fetch {SPEC}"));
    assert_eq!(given(&server).len(), 1, "the one that is missing");
    assert!(given(&server)[0].contains("zstd"));
    server.forget();
    home.ok(&format!("image-composer fetch {SPEC}"));
    assert!(given(&server).is_empty());
}

#[test]
fn packages_are_kept_by_name_version_architecture_and_source_repository() {
    let home = Home::new();
    let store = home.store();
    let cache = PackageCache::new(&store);
    let all = [
        ["bash", "5.2", "amd64", "debian"],
        ["dash", "5.2", "amd64", "debian"],
        ["bash", "5.3", "amd64", "debian"],
        ["bash", "5.2", "arm64", "debian"],
        ["bash", "5.2", "amd64", "example.org/apt"],
    ];
    let coordinates = all.map(|[name, version, arch, repository]| Coordinates::new(name, version, arch, repository).unwrap());
    for coordinates in &coordinates {
        let bytes = noise(&coordinates.to_string(), 1000);
        cache.insert(coordinates, &Sha256::of(&bytes), &mut bytes.as_slice()).unwrap();
    }
    for coordinates in &coordinates {
        let bytes = noise(&coordinates.to_string(), 1000);
        assert_eq!(cache.lookup(coordinates, &Sha256::of(&bytes)).unwrap().unwrap().digest, Digest::of(&bytes), "{coordinates}");
    }
    assert_eq!(cache.list().unwrap().len(), all.len());
}

#[test]
fn a_package_is_stored_once_however_many_specs_use_it() {
    let (home, server) = Home::with_repositories();
    home.write_spec_called("other.yml", "other", "");
    home.ok(&format!("image-composer fetch {SPEC} other.yml"));
    let paths = given(&server);
    let mut unique = paths.clone();
    unique.dedup();
    assert_eq!((paths.len(), &paths), (23, &unique), "each is downloaded once");
    let blobs: std::collections::BTreeSet<_> = home.packages().iter().map(|package| package.digest).collect();
    assert_eq!((home.packages().len(), blobs.len()), (23, 23));
    let uses: Vec<_> = home.packages().iter().map(|package| package.uses).collect();
    assert_eq!(uses, [2; 23], "and counts both uses");
}

#[test]
fn it_is_kept_when_a_package_was_last_used() {
    let (home, _server) = Home::with_repositories();
    let begin = now();
    home.ok(&format!("image-composer fetch {SPEC}"));
    let first = home.packages();
    assert!(first.iter().all(|package| (begin..=now()).contains(&package.last_used)));
    await_time_after(first.iter().map(|package| package.last_used).max().unwrap());
    home.ok(&format!("image-composer fetch {SPEC}"));
    for (before, after) in first.iter().zip(home.packages()) {
        assert_eq!((&after.coordinates, after.added_at), (&before.coordinates, before.added_at));
        assert!(after.last_used > before.last_used, "{}", after.coordinates);
    }
}

#[test]
fn the_oldest_and_least_used_packages_go_first_when_there_are_too_many_bytes() {
    let home = Home::new();
    let store = home.store();
    let cache = PackageCache::new(&store);
    let names = ["a", "b", "c", "d"];
    let coordinates = names.map(|name| Coordinates::new(name, "1", "all", "debian").unwrap());
    for coordinates in &coordinates {
        let bytes = noise(&coordinates.to_string(), 100_000);
        cache.insert(coordinates, &Sha256::of(&bytes), &mut bytes.as_slice()).unwrap();
    }
    let used = |which: &Coordinates| {
        cache.mark_used([which]);
        store.flush().unwrap();
    };
    // All within one second, as far as that goes: then the number of uses decides; a second later, the time does.
    for which in [0, 0, 1] {
        used(&coordinates[which]);
    }
    await_time_after(now());
    used(&coordinates[3]);
    let order = |limit: &str| {
        let plan = home.json(&format!("image-composer cache gc --dry-run --max-size {limit}"));
        plan["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(order("350kB"), ["c"], "never used, and among the oldest");
    assert_eq!(order("250kB"), ["c", "b"], "then the one that was used least");
    assert_eq!(order("150kB"), ["c", "b", "a"], "the one that was used last stays");
}

#[test]
fn the_page_s_configuration_says_what_is_built_in() {
    let home = Home::new();
    let environment = Environment::new([("HOME", home.path().to_str().unwrap())], false, &home.path().join("none"));
    let config = image_composer::config::load(&environment, None).unwrap();
    assert_eq!((config.config, config.files), (Config::default(), vec![home.config()]));
}

#[test]
fn the_size_of_the_configuration_is_the_limit_of_the_package_cache() {
    let home = Home::new();
    home.configure(&CONFIG.replace("max_size_gb: 10 ", "max_size_gb: 0.00025 "));
    super::pins::keep_packages(home.path(), &[["a", "1", "all"], ["b", "1", "all"]]);
    assert!(home.json("image-composer cache gc")["entries"].as_array().unwrap().is_empty());
    let names: Vec<_> = (0..20).map(|number| format!("p{number}")).collect();
    super::pins::keep_packages(home.path(), &names.iter().map(|name| [name.as_str(), "1", "all"]).collect::<Vec<_>>());
    let entries = home.json("image-composer cache gc")["entries"].clone();
    assert!(entries.as_array().unwrap().iter().all(|entry| entry["because"] == json!("size")), "{entries}");
    assert!(home.packages().iter().map(|package| package.stored_len).sum::<u64>() <= 225_000);
}

#[test]
fn packages_that_are_cached_are_enough_without_a_network() {
    let (home, server) = Home::with_repositories();
    home.ok(&format!("image-composer fetch {SPEC}"));
    drop(server);
    home.ok(&format!("image-composer fetch {SPEC} --offline"));
}

#[test]
fn packages_serve_a_spec_that_has_changed() {
    let (home, server) = Home::with_repositories();
    home.ok(&format!("image-composer fetch {SPEC}"));
    server.forget();
    home.write_spec_called(SPEC, "changed", &format!("{BUILD}packageRepositories: []\n"));
    let report = home.json(&format!("image-composer fetch {SPEC}"));
    assert_eq!(report["specs"][0]["packages"]["present"], json!(23));
    assert!(given(&server).is_empty());
}

// Image cache.

#[test]
fn the_hash_is_of_the_entire_spec() {
    let home = Home::new();
    let hash = || image_composer::spec::load(&home.path().join(SPEC)).unwrap().hash(None);
    let first = hash();
    home.write_spec(&format!("# A comment.\n{BUILD}"));
    assert_eq!(hash(), first, "a comment is not part of it");
    home.write_spec("");
    assert_eq!(hash(), first, "which caches a build may use is not part of it");
    home.write_spec_called(SPEC, "edge2", BUILD);
    assert_ne!(hash(), first, "the rest is");
}

#[test]
fn an_identical_build_is_a_copy_of_the_cached_image() {
    let home = Home::new();
    let disk = home.keep_image_of_spec();
    let (status, out, err) = home.run(&format!("image-composer build {SPEC}"));
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("image cache: hit "), "{err}");
    assert!(fs::read(home.path().join(out.trim_end())).unwrap() == disk);
    assert_eq!(home.json("image-composer cache stats")["images"]["hits"], json!(1));
}

#[test]
fn the_least_recently_used_images_go_when_there_are_too_many() {
    let home = Home::new();
    home.configure(&CONFIG.replace("max_count: 5", "max_count: 2"));
    for (id, name) in [("aa", "first"), ("bb", "second"), ("cc", "third")] {
        home.keep_image(id, name);
        await_time_after(home.images().iter().map(|image| image.last_used).max().unwrap());
    }
    // The oldest is used again, so the second is the one that nobody asked for longest.
    home.ok("image-composer cache export aa out.raw");
    home.ok("image-composer cache gc");
    let mut names: Vec<_> = home.images().into_iter().map(|image| image.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["first", "third"]);
}

// Both, and the way they go together.

#[test]
fn each_cache_is_switched_off_by_itself() {
    // What a build without the image cache needs is not there: that it does not take the image is seen from its failure.
    let off = |home: &Home, command: &str| {
        let (status, out, err) = home.run(command);
        assert!(status != 0 && out.is_empty() && !err.contains("image cache: hit"), "{command}: {err}");
    };
    let hits = |home: &Home, command: &str| {
        let (_, _, err) = home.run(command);
        assert!(err.contains("image cache: hit"), "{command}: {err}");
    };
    let home = Home::new();
    let elsewhere = home.path().join("nowhere");
    let unreachable = format!("mirrors:\n  debian: [ \"file://{0}\" ]\n  debian-security: [ \"file://{0}\" ]\n", elsewhere.display());
    home.configure(&format!("{CONFIG}{unreachable}"));
    home.keep_image_of_spec();

    hits(&home, "image-composer build my-image-spec.yml");
    off(&home, "image-composer build --no-cache my-image-spec.yml");
    hits(&home, "image-composer build --no-package-cache my-image-spec.yml");
    off(&home, "image-composer build --no-image-cache my-image-spec.yml");

    home.write_spec(&BUILD.replace("use_image_cache: true", "use_image_cache: false"));
    off(&home, "image-composer build my-image-spec.yml");
    home.write_spec(&BUILD.replace("use_package_cache: true", "use_package_cache: false"));
    hits(&home, "image-composer build my-image-spec.yml");
    home.write_spec(BUILD);

    let master = |cache: &str| {
        let at = CONFIG.find(cache).unwrap();
        let (head, tail) = CONFIG.split_at(at);
        format!("{head}{}{unreachable}", tail.replacen("enabled: true", "enabled: false", 1))
    };
    home.configure(&master("image_cache"));
    off(&home, "image-composer build my-image-spec.yml");
    home.configure(&master("package_cache"));
    hits(&home, "image-composer build my-image-spec.yml");
}

#[test]
fn a_package_cache_that_is_off_takes_and_gives_nothing() {
    let (home, server) = Home::with_repositories();
    let (on, off) = ("use_package_cache: true", "use_package_cache: false");
    home.write_spec(&BUILD.replace(on, off));
    // A fetch has nowhere to put what it fetches.
    let (status, _, err) = home.run(&format!("image-composer fetch {SPEC}"));
    assert!(status != 0 && err.contains("package cache"), "{err}");
    assert!(given(&server).is_empty());
}

// The commands.

#[test]
fn the_page_s_commands_for_images_work() {
    let home = Home::new();
    let disk = home.keep_image("abc123def456", "edge-device-image");
    let list = home.ok("image-composer cache list");
    assert!(list.starts_with("abc123def456") && list.contains("\tedge-device-image\t1.2.0\t"), "{list}");
    let info = home.ok("image-composer cache info abc123def456");
    assert!(info.contains("abc123def456") && info.contains("edge-device-image"), "{info}");

    assert_eq!(home.ok("image-composer cache export abc123def456 ./my-exported-image.qcow2"), "./my-exported-image.qcow2\n");
    fs::rename(home.path().join("my-exported-image.qcow2"), home.path().join("my-image.qcow2")).unwrap();
    let id = home.ok("image-composer cache import ./my-image.qcow2");
    home.ok(&format!("image-composer cache export {} again.raw", id.trim_end()));
    assert!(fs::read(home.path().join("again.raw")).unwrap() == disk, "what was exported and imported is the same disk");
}

#[test]
fn the_page_s_commands_clean_what_they_say() {
    let counts = |home: &Home| (home.packages().len(), home.images().len());
    let filled = || {
        let home = Home::new();
        super::pins::keep_packages(home.path(), &[["bash", "5.2", "amd64"]]);
        home.keep_image("abc123def456", "edge-device-image");
        assert_eq!(counts(&home), (1, 1));
        home
    };
    for (command, left) in [
        ("image-composer cache clean --packages", (0, 1)),
        ("image-composer cache clean --images", (1, 0)),
        ("image-composer cache clean --all", (0, 0)),
    ] {
        let home = filled();
        home.ok(command);
        assert_eq!(counts(&home), left, "{command}");
        home.ok(command);
        let (status, _, err) = home.run("image-composer cache verify");
        assert_eq!(status, 0, "{err}");
    }
}
