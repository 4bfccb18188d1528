//! Work whose instructions are counted, which are the same on a busy machine as on an idle one: `valgrind --tool=callgrind`, run by the group
//! `instructions` of the system tests.
//!
//! ```text
//! instructions prepare FOLDER      makes the input of all of them
//! instructions WORK FOLDER         does one of them, once; `nothing` only starts
//! ```
//!
//! Everything is made here, always the same, so that a count changes with the program alone.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

#[path = "../common/mod.rs"]
mod common;

use common::{content, keep};
use image_composer::cache::{ImageCache, SpecHash};
use image_composer::digest::{Digest, Sha256};
use image_composer::progress::{Cancel, Silent};
use image_composer::repo::deb::packages;
use image_composer::repo::{Archive, List};
use image_composer::resolve;
use image_composer::root::{self, Packaging};
use image_composer::store::{Output, Store};

/// Packages of the index that is resolved; a tenth of them is wanted.
const PACKAGES: u32 = 20_000;

/// Files in the package that is unpacked, each of 16 KiB.
const FILES: u32 = 400;

/// What the image of 64 MiB is called, which is kept and written out.
const IMAGE: &[u8] = b"instructions";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, folder] = &arguments[..] else {
        return ExitCode::from(2);
    };
    let folder = Path::new(folder);
    match work.as_str() {
        "nothing" => {}
        "prepare" => prepare(folder),
        "index" => drop(listed(folder)),
        "resolve" => resolve(folder),
        "unpack" => assert!(root::benching::read(&folder.join("package.deb")).expect("a package") > FILES as usize),
        "keep" => drop(keep(&Store::open(&folder.join("kept")).expect("a new store"), IMAGE, &folder.join("image.raw"))),
        "write-out" => write_out(folder),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

fn prepare(folder: &Path) {
    std::fs::write(folder.join("Packages"), index()).expect("an index");
    std::fs::write(folder.join("list"), listed(folder).bytes()).expect("its list");
    let tree = folder.join("package");
    std::fs::create_dir_all(tree.join("DEBIAN")).expect("a folder");
    let control = "Package: benched\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: bench\n";
    std::fs::write(tree.join("DEBIAN/control"), control).expect("a control file");
    for number in 0..FILES {
        let place = tree.join(format!("usr/share/benched/{}", number % 16));
        std::fs::create_dir_all(&place).expect("a folder");
        std::fs::write(place.join(format!("file{number}")), content(16 << 10, u64::from(number))).expect("a file");
    }
    let deb = folder.join("package.deb");
    let built = Command::new("dpkg-deb").args(["--root-owner-group", "-Zzstd", "--build"]).args([&tree, &deb]).output().expect("dpkg-deb");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::write(folder.join("image.raw"), content(64 << 20, 0)).expect("an image");
    keep(&Store::open(&folder.join("store")).expect("a new store"), IMAGE, &folder.join("image.raw"));
}

/// An index like Debian's: most packages need a few that came before, with versions and alternatives, and some stand for others.
fn index() -> String {
    let mut text = String::new();
    for number in 0..PACKAGES {
        let sha256 = Sha256::of(&number.to_le_bytes());
        let other = |step: u32| format!("p{}", number.wrapping_mul(2_654_435_761).rotate_left(step) % number.max(1));
        writeln!(text, "Package: p{number}\nVersion: 1.{number}-2\nArchitecture: amd64\nFilename: pool/p{number}.deb\nSize: 9\nSHA256: {sha256}")
            .expect("a text has room");
        if number > 0 {
            writeln!(text, "Depends: {} (>= 1.0), {} | v{}, {}:any", other(3), other(9), number % 50, other(17)).expect("a text has room");
            writeln!(text, "Breaks: {} (<< 0.5)\nDescription: {}", other(23), "a line of some words ".repeat(20)).expect("a text has room");
        }
        if number % 20 == 0 {
            writeln!(text, "Provides: v{} (= 2), w", number % 50).expect("a text has room");
        }
        text.push_str("Multi-Arch: allowed\n\n");
    }
    text
}

/// The list that is made of the index when it is new.
fn listed(folder: &Path) -> List {
    packages::parse(&std::fs::read(folder.join("Packages")).expect("the index"), "bench", "amd64").expect("a list")
}

/// Resolves from the list, as it is done when the index is not new.
fn resolve(folder: &Path) {
    let archive = Arc::new(Archive { id: "bench".to_owned(), mirrors: Vec::new(), pin: 500 });
    let list = Arc::new(List::read(std::fs::read(folder.join("list")).expect("the list")).expect("a list"));
    let packages = list.records(&archive, |_| true).expect("its packages");
    let request = resolve::Request {
        wanted: (0..PACKAGES).step_by(PACKAGES as usize / 10).map(|number| format!("p{number}")).collect(),
        kernel: None,
        packaging: Packaging::Deb,
        arch: "amd64".to_owned(),
        recommends: false,
        essentials: true,
        looked_up: std::collections::BTreeSet::new(),
    };
    assert!(resolve::resolve(&request, &packages, &[]).expect("a solution").lock.packages.len() > 50);
}

/// Writes the image out that [`prepare`] has kept.
fn write_out(folder: &Path) {
    let images = Store::open(&folder.join("store")).expect("the store");
    let images = ImageCache::new(&images);
    let record = images.lookup(&SpecHash::from(Digest::of(IMAGE))).expect("a row").expect("the image");
    let path = folder.join("out.raw");
    let file = File::create(&path).expect("a file");
    images.write_to(&record, Output { file: &file, path: &path, stays: false }, &Silent, &Cancel::default()).expect("an image");
}
