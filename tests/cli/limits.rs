//! What keeps a store small: `cache gc`, `cache clean`, `cache du`, `cache stats`, and the limits of the configuration.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image_composer::cache::{Coordinates, ImageCache, NewImage, PackageCache, SpecHash};
use image_composer::digest::{Digest, Sha256};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::Store;
use serde_json::{Value, json};

use super::cache::json_of;
use super::pins::{keep_packages, noise};
use crate::support::program::{outcome, program, run};

const MIB: u64 = 1 << 20;

/// Keeps an image whose id begins with this byte and whose disk is these bytes.
fn keep_image(home: &Path, id: u8, disk: &[u8]) {
    let raw = home.join("raw");
    fs::write(&raw, disk).unwrap();
    let new = NewImage {
        name: format!("image-{id:02x}"),
        version: "1.0".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: Vec::new(),
        lock: vec![id],
        build_time: Duration::from_secs(34),
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    let mut hash = [0; 32];
    hash[0] = id;
    let store = Store::open(&home.join("store")).unwrap();
    ImageCache::new(&store).insert(&SpecHash::from(Digest::from_bytes(hash)), &new, &raw, &Silent, &Cancel::default()).unwrap();
}

/// Three images whose disks have their first half in common.
fn keep_three_images(home: &Path) {
    let half = noise("half", 1 << 20);
    for id in [0xa1, 0xa2, 0xa3] {
        keep_image(home, id, &[half.clone(), noise(&id.to_string(), 1 << 20)].concat());
    }
}

fn images(home: &Path) -> Vec<String> {
    let images = json_of(&run(home, &["cache", "list", "--json"]).1);
    let mut names: Vec<_> = images["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

fn packages(home: &Path) -> usize {
    PackageCache::new(&Store::open(&home.join("store")).unwrap()).list().unwrap().len()
}

/// The lengths of all files beneath a folder of the store.
fn on_disk(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.path().is_dir() { on_disk(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

fn gc(home: &Path, arguments: &[&str]) -> Value {
    let (status, out, err) = run(home, &[&["cache", "gc", "--json"], arguments].concat());
    assert_eq!(status, 0, "{err}");
    json_of(&out)
}

#[test]
fn a_collection_is_shown_and_then_done() {
    let home = tempfile::tempdir().unwrap();
    keep_three_images(home.path());
    let store = home.path().join("store");
    let before = on_disk(&store.join("packs"));

    let (status, out, err) = run(home.path(), &["cache", "gc", "--max-images", "1", "--dry-run"]);
    assert_eq!(status, 0);
    let row: Vec<&str> = out.trim_end().split('\t').collect();
    assert_eq!(row[..3], ["images", "over the number", "2"], "{out}");
    assert!(err.starts_with("would remove 2 images: "), "{err}");
    let (_, out, _) = run(home.path(), &["cache", "gc", "--max-images", "1", "--dry-run", "-v"]);
    let names: Vec<&str> = out.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(names, ["a10000000000 image-a1 1.0", "a20000000000 image-a2 1.0"]);
    let plan = gc(home.path(), &["--max-images", "1", "--dry-run"]);
    assert_eq!((&plan["dry_run"], &plan["done"], plan["entries"].as_array().unwrap().len()), (&json!(true), &Value::Null, 2));
    assert_eq!(plan["entries"][0]["spec_hash"], format!("a1{}", "0".repeat(62)));
    assert_eq!((images(home.path()).len(), on_disk(&store.join("packs"))), (3, before), "a dry run changes nothing");

    let done = gc(home.path(), &["--max-images", "1"]);
    assert_eq!(done["entries"], plan["entries"]);
    let (freed, planned) = (done["done"]["freed"].as_u64().unwrap(), plan["would_free"].as_u64().unwrap());
    assert!(done["done"]["removed"] == 2 && (planned..planned + 4_096).contains(&freed), "{done}: tables of packs become shorter, too");
    assert_eq!(images(home.path()), ["image-a3"]);
    let freed = before - on_disk(&store.join("packs"));
    assert!((2 * MIB..planned).contains(&freed), "{freed}: the common half stays, packs are not all that goes");
    let out = home.path().join("out.raw");
    assert_eq!(run(home.path(), &["cache", "export", "a3", out.to_str().unwrap()]).0, 0);
    assert!(fs::read(out).unwrap() == [noise("half", 1 << 20), noise(&0xa3.to_string(), 1 << 20)].concat());

    let (status, out, err) = run(home.path(), &["cache", "gc", "--max-images", "1"]);
    assert_eq!((status, out.as_str()), (0, ""));
    assert!(err.starts_with("nothing to remove: packages take 0 B, images 2."), "{err}");
}

#[test]
fn a_collection_shows_how_far_it_is() {
    let collect = |mode: &str| {
        let home = tempfile::tempdir().unwrap();
        keep_three_images(home.path());
        let (status, _, err) = run(home.path(), &["cache", "gc", "--max-images", "1", "--progress", mode]);
        assert_eq!(status, 0, "{err}");
        err
    };
    for mode in ["auto", "plain"] {
        let err = collect(mode);
        let begins = ["removing from the store", "rewriting packs: ", "rewriting packs: ", "removing from the store: ", "removed 2 images: "];
        assert_eq!(err.lines().count(), begins.len(), "{err}");
        for (line, begin) in err.lines().zip(begins) {
            assert!(line.starts_with(begin), "{err}");
        }
        assert!(!err.contains(": 0 B in"), "{err}");
    }
    let err = collect("json");
    let lines: Vec<Value> = err.lines().map(json_of).collect();
    let done = |phase: &str| lines.iter().rfind(|line| line["phase"] == phase).and_then(|line| line["done"].as_u64());
    assert!(done("remove") > Some(MIB) && done("rewrite") > Some(MIB / 2), "{err}");
    let err = collect("none");
    assert!(err.starts_with("removed 2 images: ") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_small_image_stays_whole_whatever_is_collected() {
    let home = tempfile::tempdir().unwrap();
    let mut disk = vec![0; 1 << 20];
    disk[500_000..600_000].fill(7);
    keep_image(home.path(), 0xa1, &disk);
    for _ in 0..2 {
        let plan = gc(home.path(), &[]);
        assert_eq!((&plan["packs"]["rewritten"], &plan["done"]["freed"]), (&json!(0), &json!(0)), "a pack that is mostly table is not worth it");
    }
    let out = home.path().join("out.raw");
    assert_eq!(run(home.path(), &["cache", "export", "a1", out.to_str().unwrap()]).0, 0);
    assert!(fs::read(out).unwrap() == disk);
}

#[test]
fn packages_go_down_to_nine_tenths_of_their_limit() {
    let home = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("p{number:02}")).collect();
    keep_packages(home.path(), &names.iter().map(|name| [name.as_str(), "1", "all"]).collect::<Vec<_>>());
    let plan = gc(home.path(), &["--max-size", "205kB"]);
    let (before, after) = (plan["before"]["packages"].as_u64().unwrap(), plan["after"]["packages"].as_u64().unwrap());
    assert!(before > 400_000 && after <= 184_500, "{before} {after}");
    assert_eq!(packages(home.path()), 9, "each has a little more than 20,000 bytes");
    assert_eq!(on_disk(&home.path().join("store/blobs")), after);
    assert!(gc(home.path(), &["--max-size", "205kB"])["entries"].as_array().unwrap().is_empty());
    assert_eq!(gc(home.path(), &["--max-size", "0"])["entries"].as_array().unwrap().len(), 9);
    assert_eq!(packages(home.path()), 0);
}

#[test]
fn what_is_old_goes_and_what_is_new_stays() {
    let home = tempfile::tempdir().unwrap();
    keep_packages(home.path(), &[["old", "1", "all"]]);
    let old = PackageCache::new(&Store::open(&home.path().join("store")).unwrap()).list().unwrap()[0].last_used;
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Ages are whole seconds, so the next but one has to come.
    while now() < old + 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(gc(home.path(), &["--max-age", "1h"])["entries"].as_array().unwrap().is_empty());
    let entries = gc(home.path(), &["--max-age", "1s", "--dry-run"])["entries"].clone();
    assert_eq!((entries.as_array().unwrap().len(), &entries[0]["because"], &entries[0]["name"]), (1, &json!("age"), &json!("old")));
    assert!(gc(home.path(), &["--max-age", "unlimited"])["entries"].as_array().unwrap().is_empty());
    gc(home.path(), &["--max-age", "1s"]);
    assert_eq!(packages(home.path()), 0);
}

#[test]
fn what_is_pinned_or_in_use_stays_and_it_is_said() {
    let home = tempfile::tempdir().unwrap();
    keep_packages(home.path(), &[["free", "1", "all"], ["used", "1", "all"], ["pinned", "1", "all"]]);
    keep_three_images(home.path());
    assert_eq!(run(home.path(), &["cache", "pin", "pinned", "a1", "a2", "a3"]).0, 0);
    let store = Store::open(&home.path().join("store")).unwrap();
    let used = Coordinates::new("used", "1", "all", "debian").unwrap();
    let sha256 = Sha256::of(&noise(&used.to_string(), 20_000));
    assert!(PackageCache::new(&store).take(&[(&used, &sha256)]).unwrap()[0].is_some());

    for command in [["gc", "--max-size", "1", "--max-images", "0"].as_slice(), &["clean", "--packages", "--images"]] {
        let (status, _, err) = run(home.path(), &[&["cache"], command].concat());
        assert_eq!(status, 0, "{err}");
        assert!(err.contains("4 pinned and 1 in use stayed\n"), "{err}");
        assert_eq!(err.contains("warning: there are more images than the limit: what is left is pinned or in use\n"), command[0] == "gc", "{err}");
        assert_eq!((packages(home.path()), images(home.path()).len()), (2, 3));
    }
    drop(store);
    run(home.path(), &["cache", "unpin", "pinned"]);
    assert!(run(home.path(), &["cache", "clean", "--packages"]).2.contains("\nremoved 2 packages: "));
    assert_eq!((packages(home.path()), images(home.path()).len()), (0, 3));
}

#[test]
fn wrong_limits_are_told_with_the_right_ones() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (["--max-size", "5 parsecs"], "“5 parsecs” is not a size: write a whole number and a unit, such as 512MiB, 4GiB or 8GB"),
        (["--max-age", "30"], "“30” is not a span of time: write a whole number and a unit, such as 45min, 12h, 30d or 2w"),
        (["--max-images", "many"], "invalid value 'many' for '--max-images <N>'"),
        (["--min-free", "unlimited"], "“unlimited” is not a size"),
    ] {
        let (status, out, err) = run(home.path(), &[&["cache", "gc"], arguments.as_slice()].concat());
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(err.contains(expected), "{err}");
    }
    let (status, _, err) = run(home.path(), &["cache", "clean"]);
    assert_eq!(status, 2);
    assert!(err.contains("error: nothing is named") && err.contains("hint: say --packages, --images, --roots or --all"), "{err}");
}

#[test]
fn everything_is_cleaned_away() {
    let home = tempfile::tempdir().unwrap();
    keep_packages(home.path(), &[["one", "1", "all"], ["two", "1", "all"]]);
    keep_three_images(home.path());
    let store = home.path().join("store");
    fs::write(store.join("partials/half"), "half").unwrap();
    fs::create_dir_all(store.join("quarantine")).unwrap();
    fs::write(store.join("quarantine/bad"), "bad").unwrap();

    let plan = json_of(&run(home.path(), &["cache", "clean", "--all", "--dry-run", "--json"]).1);
    let what = |what: &str| plan["entries"].as_array().unwrap().iter().filter(|entry| entry["what"] == what).count();
    assert_eq!(["package", "image", "partial", "quarantined"].map(what), [2, 3, 1, 1]);
    assert!(run(home.path(), &["cache", "clean", "--images"]).2.contains("\nremoved 3 images: "));
    assert_eq!((packages(home.path()), images(home.path()).len(), on_disk(&store.join("packs"))), (2, 0, 0));
    let (status, _, err) = run(home.path(), &["cache", "clean", "--all"]);
    assert_eq!(status, 0);
    assert!(err.contains("\nremoved 2 packages, 1 interrupted download and 1 damaged file: "), "{err}");
    assert_eq!(["blobs", "packs", "partials", "quarantine"].map(|dir| on_disk(&store.join(dir))), [0; 4]);
}

#[test]
fn room_is_told_from_counters_that_are_true() {
    let home = tempfile::tempdir().unwrap();
    keep_packages(home.path(), &[["one", "1", "all"], ["two", "1", "all"]]);
    keep_three_images(home.path());
    let store = home.path().join("store");
    fs::write(store.join("partials/half"), "half").unwrap();
    let du = || json_of(&run(home.path(), &["cache", "du", "--json"]).1);
    let used = du();
    let of = |class: &str, field: &str| used[class][field].as_u64().unwrap();
    assert_eq!((of("packages", "count"), of("images", "count"), &used["partials"]), (2, 3, &json!({"count": 1, "bytes": 4})));
    let classes = ["packages", "metadata", "plain", "names", "images"].map(|class| of(class, "on_disk")).iter().sum::<u64>();
    assert_eq!(classes, on_disk(&store.join("blobs")) + on_disk(&store.join("packs")));
    assert_eq!(used["on_disk"].as_u64().unwrap(), classes + 4 + used["index"].as_u64().unwrap());
    assert!((3 * MIB..3 * MIB + 200_000).contains(&of("images", "own")), "{used}");
    assert!((MIB - 600_000..=MIB).contains(&of("images", "shared")), "{used}");
    assert_eq!((of("images", "unused"), &used["gc_would_free"]), (0, &json!(0)));
    let (status, out, err) = run(home.path(), &["cache", "du"]);
    assert_eq!((status, out.lines().count()), (0, 10));
    assert!(err.starts_with("“cache gc” would free nothing; the file system has "), "{err}");

    let mut limited = program(home.path(), &["cache", "du", "--json"]);
    let limited = json_of(&outcome(limited.env("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_MAX_COUNT", "1")).1);
    assert_eq!(limited["gc_would_free"], gc(home.path(), &["--max-images", "1", "--dry-run"])["would_free"]);
    gc(home.path(), &["--max-images", "1"]);
    let images = du()["images"].clone();
    assert_eq!((&images["count"], &images["shared"]), (&json!(1), &json!(0)));
    let own = images["own"].as_u64().unwrap();
    assert!((2 * MIB..2 * MIB + 10_000).contains(&own), "{own}: what was shared is the last image’s own");
}

#[test]
fn what_builds_had_of_the_caches_is_told() {
    let home = tempfile::tempdir().unwrap();
    keep_three_images(home.path());
    {
        let store = Store::open(&home.path().join("store")).unwrap();
        let images = ImageCache::new(&store);
        images.count_hit(&images.list().unwrap()[0], Duration::from_secs(4));
        images.count_miss();
        PackageCache::new(&store).count(145, 3, 77 << 20);
        store.flush().unwrap();
    }
    let stats = json_of(&run(home.path(), &["cache", "stats", "--json"]).1);
    let of = |cache: &str| ["hits", "misses", "saved_bytes", "saved_seconds"].map(|field| stats[cache][field].clone());
    assert_eq!(of("images"), [json!(1), json!(1), json!(2 * MIB), json!(30.0)]);
    assert_eq!(of("packages"), [json!(145), json!(3), json!(77 * MIB), json!(0.0)]);
    let (status, out, err) = run(home.path(), &["cache", "stats"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with(&format!("packages\t145\t3\t{}\t0\t20", 77 * MIB)) && out.contains("\nimages\t1\t1\t2097152\t30\t20"), "{out}");
}

#[test]
fn where_there_is_no_store_nothing_is_made_or_removed() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (["cache", "gc", "--json"], json!([])),
        (["cache", "gc", "--dry-run"], Value::Null),
        (["cache", "clean", "--all"], Value::Null),
        (["cache", "du", "--json"], Value::Null),
        (["cache", "stats", "--json"], Value::Null),
    ] {
        let (status, out, err) = run(home.path(), &arguments);
        assert_eq!(status, 0, "{err}");
        if arguments[2] == "--json" {
            assert_eq!(json_of(&out)["entries"], expected, "{out}");
        } else {
            assert_eq!((out.as_str(), err.as_str()), ("", "there is no store, so there is nothing to remove\n"));
        }
    }
    assert_eq!(run(home.path(), &["cache", "du"]), (0, String::new(), "there is no store\n".to_owned()));
    assert_eq!(run(home.path(), &["cache", "stats"]).1, "packages\t0\t0\t0\t0\t-\nimages\t0\t0\t0\t0\t-\nroots\t0\t0\t0\t0\t-\n");
    assert!(!home.path().join("store").exists());
    drop(Store::open(&home.path().join("store")).unwrap());
    assert_eq!(run(home.path(), &["cache", "gc"]).2, "nothing to remove: packages take 0 B, images 0 B\n");
    assert_eq!(json_of(&run(home.path(), &["cache", "du", "--json"]).1)["images"]["on_disk"], 0);
}

#[test]
fn an_import_keeps_to_the_limits_of_the_configuration() {
    let home = tempfile::tempdir().unwrap();
    let import = |name: &str, arguments: &[&str]| {
        let file = home.path().join(name);
        fs::write(&file, noise(name, 1 << 20)).unwrap();
        let mut command = program(home.path(), &[&["cache", "import", file.to_str().unwrap()], arguments].concat());
        outcome(command.env("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_MAX_COUNT", "1"))
    };
    let (status, _, err) = import("b.raw", &[]);
    assert_eq!(status, 0);
    assert!(!err.contains("limits: "), "{err}");
    let (status, out, err) = import("a.raw", &["--json"]);
    assert_eq!(status, 0);
    assert!(err.contains("limits: removed 1 image, "), "{err}");
    assert_eq!((&json_of(&out)["collection"]["images"], images(home.path()).len()), (&json!(1), 1));
}

#[test]
fn an_error_for_lack_of_room_says_what_would_make_some() {
    let home = tempfile::tempdir().unwrap();
    keep_three_images(home.path());
    let other = home.path().join("other.raw");
    fs::write(&other, noise("other", 1 << 20)).unwrap();
    let import = |configured: &[(&str, &str)]| {
        let mut command = program(home.path(), &["cache", "import", other.to_str().unwrap()]);
        command.env("IMAGE_COMPOSER_FAILPOINT", "store::packs::write=enospc");
        outcome(command.envs(configured.to_vec()))
    };
    let (status, _, err) = import(&[]);
    assert!(status == 1 && err.contains("“image-composer cache gc” would free nothing, “image-composer cache clean --all” "), "{err}");
    let (status, _, err) = import(&[("IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_MAX_COUNT", "1")]);
    assert!(status == 1 && err.contains("“image-composer cache gc” would free 2.0"), "{err}");
    assert_eq!(images(home.path()).len(), 3);
}
