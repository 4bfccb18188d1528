//! Every step of what appears and disappears fails once, or is the last that its process does.
//!
//! After a death: the store opens, what it promises holds, what is to be seen is what was there before or all of what was to come, and the same again
//! succeeds. After an error: it says what the system said, and the same process succeeds when it tries again.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use image_composer::cache::collect::{self, Limits};
use image_composer::cache::{self, PackageCache};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::Store;

use super::process::{process, said, tell, told, was_killed};
use super::{audit, world};

/// A store that the operations begin with: three images with pieces in common, a package under one of its names, metadata.
fn fill(dir: &Path) {
    let (store, room) = (Store::open(dir).unwrap(), tempfile::tempdir().unwrap());
    for spec in 0..3 {
        world::put_image(&store, spec, 0, room.path()).unwrap();
    }
    world::put_package(&store, 7, 0, 0).unwrap();
    world::put_metadata(&store, 0).unwrap();
    store.flush().unwrap();
}

/// Flips a bit in the middle of a file.
fn damage(file: &Path) {
    let bytes = fs::read(file).unwrap();
    let at = bytes.len() / 2;
    fs::OpenOptions::new().write(true).open(file).unwrap().write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
}

fn damage_all(dir: &Path) {
    let store = Store::open(dir).unwrap();
    damage(&world::package_file(&store, 7, 0));
    for pack in fs::read_dir(dir.join("packs")).unwrap() {
        damage(&pack.unwrap().path());
    }
}

fn operate(operation: &str, dir: &Path) -> cache::Result<()> {
    let (store, room) = (Store::open(dir)?, tempfile::tempdir().unwrap());
    match operation {
        // The same bytes are there under another name.
        "put-package" => world::put_package(&store, 7, 1, 0)?,
        "replace-package" => world::put_package(&store, 7, 0, 1)?,
        "put-image" => world::put_image(&store, 4, 1, room.path())?,
        "replace-image" => world::put_image(&store, 0, 1, room.path())?,
        "put-metadata" => world::put_metadata(&store, 1)?,
        "use" => world::take_package(&store, 7, 0)?,
        "collect" => {
            let limits = Limits { image_count: Some(1), package_bytes: Some(0), ..Limits::default() };
            collect::carry_out(&store, &collect::plan(&store, &limits, true)?, &Silent, &Cancel::default())?;
        }
        "find-damage" => {
            for package in PackageCache::new(&store).list()? {
                match store.verify_blob(&package.digest) {
                    Err(error) if error.is_damage() => {}
                    verified => verified?,
                }
            }
            for spec in 0..3 {
                world::try_image(&store, spec, room.path())?;
            }
        }
        "mend" => {
            for spec in 0..3 {
                world::put_image(&store, spec, 0, room.path())?;
            }
            world::put_package(&store, 7, 0, 0)?;
        }
        _ => panic!("no such operation: {operation}"),
    }
    Ok(store.flush()?)
}

/// What the other process does: tells of an error and of what is to be seen then, and tries again.
pub(super) fn try_and_try_again(operation: &str, dir: &Path) {
    let Err(error) = operate(operation, dir) else { return };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    tell(&format!("failed: {text}, hint: {:?}", error.hint()));
    if !operation.contains("damage") && operation != "mend" {
        tell(&format!("seen: {}", world::contents(dir).join(", ")));
    }
    operate(operation, dir).unwrap();
}

/// A store for one operation, copied for each try.
struct Case {
    operation: &'static str,
    dir: tempfile::TempDir,
    /// What there is before the operation and after it; nothing where something cannot be read before.
    seen: Option<[Vec<String>; 2]>,
}

impl Case {
    fn new(operation: &'static str, prepare: impl Fn(&Path)) -> Self {
        let mut case = Self { operation, dir: quick_dir(), seen: None };
        prepare(&case.base());
        if !operation.contains("damage") && operation != "mend" {
            let before = world::contents(&case.copy());
            let copy = case.copy();
            operate(operation, &copy).unwrap();
            case.seen = Some([before, world::contents(&copy)]);
        }
        case
    }

    fn base(&self) -> PathBuf {
        self.dir.path().join("base")
    }

    fn copy(&self) -> PathBuf {
        let copy = self.dir.path().join("store");
        fs::remove_dir_all(&copy).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }).unwrap();
        if self.base().exists() {
            copy_tree(&self.base(), &copy);
        }
        copy
    }

    /// Dies at one step after the other, until there are no more. Returns how many there are.
    fn die(&self) -> usize {
        for step in 1.. {
            let (store, output, at) = self.try_with("abort", step);
            if output.status.success() {
                return step - 1;
            }
            assert!(was_killed(&output), "{at}");
            self.check_after_death(&store, &at);
            // It takes longer than all else.
            if step % 4 == 1 {
                self.check_at_the_end(&store, &at);
            }
        }
        unreachable!("an operation ends")
    }

    /// Fails at one step and another. What can be done without is passed over.
    fn fail(&self, action: &str, steps: impl Iterator<Item = usize>) {
        for step in steps {
            let (store, output, at) = self.try_with(action, step);
            assert!(output.status.success(), "{at}");
            for failure in told(&output, "failed: ") {
                let text = if action == "enospc" { "No space left on device" } else { "Input/output error" };
                assert!(failure.contains(text), "{at}");
                assert!(action != "enospc" || failure.contains("hint: Some("), "{at}");
                if let Some(expected) = &self.seen {
                    let seen = told(&output, "seen: ").remove(0);
                    assert!(expected.iter().any(|contents| contents.join(", ") == seen), "{at}");
                }
            }
            self.check_at_the_end(&store, &at);
        }
    }

    fn try_with(&self, action: &str, step: usize) -> (PathBuf, Output, String) {
        let (store, setting) = (self.copy(), format!("*={action}@{step}"));
        let output = process(&format!("try {}", self.operation), &store).env("IMAGE_COMPOSER_FAILPOINT", &setting).output().unwrap();
        let at = format!("{} {setting}\n{}", self.operation, said(&output));
        (store, output, at)
    }

    fn check_after_death(&self, store: &Path, at: &str) {
        if let Some(expected) = &self.seen {
            assert!(expected.contains(&world::contents(store)), "{at}");
            assert_eq!(audit::wrong(store), [""; 0], "{at}");
        }
        operate(self.operation, store).unwrap();
    }

    fn check_at_the_end(&self, store: &Path, at: &str) {
        if self.operation == "find-damage" {
            operate("mend", store).unwrap();
        }
        assert_eq!(audit::wrong(store), [""; 0], "{at}");
        let contents = world::contents(store);
        if let Some([_, after]) = &self.seen {
            assert_eq!(&contents, after, "{at}");
        } else {
            assert_eq!(contents.iter().filter(|line| line.starts_with("image") || line.starts_with("package")).count(), 4, "{at}");
        }
        let again = Store::open(store).unwrap();
        collect::carry_out(&again, &collect::plan(&again, &Limits::default(), true).unwrap(), &Silent, &Cancel::default()).unwrap();
        drop(again);
        assert_eq!(audit::wrong(store), [""; 0], "{at}");
        let left: Vec<String> = audit::left(store).into_iter().filter(|line| !line.contains("/quarantine/")).collect();
        assert_eq!(left, [""; 0], "{at}");
        assert_eq!(world::contents(store), contents, "{at}");
    }
}

/// A directory in memory where there is one: syncing files is not what is tested, and takes most of the time on a disk.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// All actions on one operation. Dies at every step; is told of errors at fewer: what an error leaves is what a death leaves.
fn every_step(operation: &'static str, prepare: impl Fn(&Path), at_least: usize) {
    let case = Case::new(operation, prepare);
    let steps = case.die();
    assert!(steps > at_least, "{operation} has only {steps} steps");
    case.fail("enospc", (1..=steps).step_by(4));
    case.fail("eio", (3..=steps).step_by(12));
}

#[test]
fn a_first_package_at_every_step() {
    every_step("put-package", |_| {}, 30);
}

#[test]
fn a_second_name_at_every_step() {
    every_step("put-package", fill, 20);
}

#[test]
fn another_content_at_every_step() {
    every_step("replace-package", fill, 20);
}

#[test]
fn an_image_at_every_step() {
    every_step("put-image", fill, 40);
}

#[test]
fn another_image_at_every_step() {
    every_step("replace-image", fill, 40);
}

#[test]
fn metadata_at_every_step() {
    every_step("put-metadata", fill, 20);
}

#[test]
fn a_use_at_every_step() {
    every_step("use", fill, 10);
}

#[test]
fn a_collection_at_every_step() {
    every_step("collect", fill, 40);
}

#[test]
fn the_marks_of_damage_at_every_step() {
    let damaged = |dir: &Path| {
        fill(dir);
        damage_all(dir);
    };
    every_step("find-damage", damaged, 20);
}

#[test]
fn mending_at_every_step() {
    let lost = |dir: &Path| {
        fill(dir);
        damage_all(dir);
        operate("find-damage", dir).unwrap();
    };
    every_step("mend", lost, 40);
}
