//! Folders of packages as repositories, from the spec to the store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image_composer::build::{Caches, Error, Fetched, Request, Workers, fetch};
use image_composer::cache::collect::Limits;
use image_composer::fetch::Tls;
use image_composer::progress::{Cancel, Silent};
use image_composer::spec::{self, Loaded};
use image_composer::store::Store;
use serde_json::json;

use super::bundle::{mirror, trust};
use super::cache::json_of;
use crate::support::deb::Deb;
use crate::support::keys::TestKey;
use crate::support::program::{outcome, program};
use crate::support::server::Server;

/// A home with a mirror of the profile's archives.
pub(super) struct World {
    pub(super) home: tempfile::TempDir,
    pub(super) server: Server,
}

impl World {
    pub(super) fn new() -> Self {
        let (home, key) = (tempfile::tempdir().unwrap(), TestKey::new(1));
        trust(home.path(), &key);
        Self { home, server: Server::new(mirror(&key)) }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs the program in the home.
    pub(super) fn run(&self, words: &[&str]) -> (i32, String, String) {
        outcome(program(self.home.path(), words).current_dir(self.home.path()))
    }

    /// Runs a command that asks repositories.
    pub(super) fn run_online(&self, words: &[&str]) -> (i32, String, String) {
        let mirrors = ["debian", "debian-security"].map(|archive| format!("--mirror={archive}={}", self.server.url()));
        self.run(&[words, &mirrors.each_ref().map(String::as_str)].concat())
    }

    /// Writes `spec.yml`, which wants `packages` and has these repositories.
    pub(super) fn spec(&self, packages: &str, repositories: &str) -> PathBuf {
        let text = format!(
            "image: {{name: a, version: '1'}}\ntarget: {{dist: debian12, arch: x86_64}}\n\
             systemConfig: {{packages: [{packages}], kernel: {{packages: [linux-image-cloud-amd64]}}}}\npackageRepositories:\n{repositories}"
        );
        fs::write(self.path("spec.yml"), text).unwrap();
        self.path("spec.yml")
    }

    /// Puts a package into the folder `debs`.
    fn put(&self, file: &str, deb: &Deb) {
        fs::create_dir_all(self.path("debs")).unwrap();
        fs::write(self.path("debs").join(file), deb.build()).unwrap();
    }

    fn store(&self) -> Store {
        Store::open(&self.path("store")).unwrap()
    }

    /// As the program makes it.
    fn request(&self, spec: Loaded, offline: bool) -> Request {
        let archives = || ["debian", "debian-security"].map(str::to_owned).into_iter();
        Request {
            spec,
            locked: None,
            output_dir: self.path("out"),
            caches: Caches { packages: true, images: false, roots: false },
            limits: Limits::default(),
            offline,
            refresh: false,
            rebuild: false,
            workers: Workers { fetch: 2, unpack: 1 },
            mirrors: archives().map(|archive| (archive, vec![self.server.url()])).collect(),
            keyrings: archives().map(|archive| (archive, self.path("keyring.gpg"))).collect::<BTreeMap<_, _>>(),
            proxy: None,
            tls: Tls::default(),
            allow_expired: false,
            allow_untrusted: false,
            source_date_epoch: None,
            log: None,
        }
    }

    fn fetch(&self, spec: Loaded, offline: bool) -> Result<Fetched, Error> {
        fetch(&self.request(spec, offline), &self.store(), &Silent, &Cancel::default())
    }

    /// The packages that `spec.yml` needs and that are called so.
    fn needed(&self, name: &str) -> Vec<String> {
        let fetched = self.fetch(load(&self.path("spec.yml")), false).unwrap_or_else(|error| panic!("{error}"));
        fetched.needed.iter().filter(|needed| needed.name() == name).map(ToString::to_string).collect()
    }
}

fn load(path: &Path) -> Loaded {
    spec::load(path).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn its_packages_go_the_way_of_all_others() {
    let world = World::new();
    world.put("tool_1%3a1.0_amd64.deb", &Deb::new("tool", "1:1.0").field("Depends", "libtool (>= 1), systemd"));
    world.put("lib tool.deb", &Deb::new("libtool", "1.0").arch("all"));
    world.put("foreign.deb", &Deb::new("tool", "2.0").arch("arm64"));
    world.spec("tool", "  - path: debs\n");
    let (status, _, err) = world.run_online(&["fetch", "spec.yml", "--json"]);
    assert_eq!(status, 0, "{err}");
    let (_, out, _) = world.run(&["cache", "list", "--packages"]);
    for package in ["tool\t1:1.0\tamd64\tdebs\t", "libtool\t1.0\tall\tdebs\t", "systemd\t1.0\tamd64\tdebian\t"] {
        assert!(out.contains(package), "{package}: {out}");
    }

    // Everything is in the store: neither the network nor the folder is asked.
    world.server.forget();
    let (status, out, err) = world.run(&["fetch", "spec.yml", "--offline", "--json"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(json_of(&out)["specs"][0]["packages"], json!({"total": 25, "fetched": 0, "fetched_bytes": 0, "present": 25}));

    // A package that is new in the folder needs no network either.
    world.put("tool_1%3a1.0_amd64.deb", &Deb::new("tool", "1:1.0").field("Depends", "libtool, systemd"));
    let (status, out, err) = world.run(&["fetch", "spec.yml", "--offline", "--json"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(json_of(&out)["specs"][0]["packages"]["fetched"], json!(1));
    let (status, out, _) = world.run(&["resolve", "spec.yml"]);
    assert_eq!(status, 0);
    assert!(out.contains(&format!("path: {}", world.path("debs").display())), "{out}");
}

#[test]
fn priority_and_allowed_packages_hold_for_it() {
    let world = World::new();
    world.put("a.deb", &Deb::new("systemd", "0.5"));
    world.put("b.deb", &Deb::new("tool", "1.0"));
    let from = |repositories: &str, name: &str| {
        world.spec("systemd", repositories);
        world.needed(name)
    };
    assert_eq!(from("  - path: debs\n", "systemd"), ["systemd=1.0:amd64 (debian)"]);
    assert_eq!(from("  - {path: debs, priority: 900, id: mine}\n", "systemd"), ["systemd=0.5:amd64 (mine)"]);
    assert_eq!(from("  - {path: debs, priority: 900, allowPackages: [tool]}\n", "systemd"), ["systemd=1.0:amd64 (debian)"]);
    assert_eq!(from("  - {path: debs, priority: 900, excludePackages: ['sys*']}\n", "systemd"), ["systemd=1.0:amd64 (debian)"]);
    world.spec("tool", "  - {path: debs, allowPackages: ['sys*']}\n");
    let error = world.fetch(load(&world.path("spec.yml")), false).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
}

#[test]
fn a_file_that_changes_after_the_spec_was_read_is_refused() {
    let world = World::new();
    world.put("a.deb", &Deb::new("tool", "1.0"));
    let spec = load(&world.spec("tool", "  - path: debs\n"));
    world.put("a.deb", &Deb::new("tool", "1.0").field("Section", "misc"));
    let error = world.fetch(spec.clone(), false).unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert!(error.to_string().contains("tool=1.0:amd64 (debs): file:///"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.starts_with("the file has changed since it was looked at")), "{error}");
    fs::remove_file(world.path("debs/a.deb")).unwrap();
    assert!(world.fetch(spec, false).unwrap_err().to_string().contains("No such file"), "gone");
}
