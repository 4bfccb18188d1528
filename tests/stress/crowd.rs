//! Processes that work on one store at once, and others that are killed in the midst of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use image_composer::cache::collect::{self, Clean, Limits};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::Store;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::audit;
use super::process::{ended, process, said, tell, was_killed};
use super::world::{self, GENERATIONS, PACKAGES, SPECS};

/// How many processes work from the beginning to the end, and how many are killed meanwhile, in so many rows.
const WORKERS: u64 = 6;
const VICTIMS: u64 = 30;
const ROWS: u64 = 3;

/// How long they work.
fn duration() -> Duration {
    let seconds = std::env::var("IMAGE_COMPOSER_TEST_SECONDS").map_or(20.0, |text| text.parse().unwrap());
    Duration::from_secs_f64(seconds)
}

/// What all that is random comes from; told, so that it can be given again. (The order in which processes come to their turn is not in it.)
fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    std::env::var("IMAGE_COMPOSER_TEST_SEED").map_or_else(|_| now(), |text| text.parse().unwrap())
}

#[test]
fn many_processes_work_on_one_store_while_others_are_killed() {
    let (dir, seed, duration) = (tempfile::tempdir().unwrap(), seed(), duration());
    println!("IMAGE_COMPOSER_TEST_SEED={seed}");
    let store = dir.path().join("store");
    let workers: Vec<_> =
        (0..WORKERS).map(|number| process(&format!("work {} {}", seed + number, duration.as_millis()), &store).spawn().unwrap()).collect();
    thread::scope(|scope| {
        for row in 0..ROWS {
            let store = &store;
            scope.spawn(move || kill_one_after_another(store, seed + 1000 * (row + 1), duration));
        }
    });
    let mut done: BTreeMap<String, u64> = BTreeMap::new();
    for worker in workers {
        for line in ended(worker).lines() {
            if let Some((what, times)) = line.strip_prefix("done: ").and_then(|line| line.split_once(' ')) {
                *done.entry(what.to_owned()).or_default() += times.parse::<u64>().unwrap();
            }
        }
    }
    println!("{done:?}");
    let expected = ["collected", "no image", "no package", "package put", "package read", "image put", "image read", "metadata put", "metadata read"];
    for what in expected {
        let what = what.replace(' ', "-");
        assert!(done.get(&what).is_some_and(|times| *times > 0), "{what} never happened: {done:?}");
    }

    assert_eq!(audit::wrong(&store), [""; 0]);
    let again = Store::open(&store).unwrap();
    collect::carry_out(&again, &collect::plan(&again, &Limits::default(), true).unwrap(), &Silent, &Cancel::default()).unwrap();
    drop(again);
    assert_eq!(audit::wrong(&store), [""; 0]);
    assert_eq!(audit::left(&store), [""; 0]);
    world::contents(&store);
}

/// Starts processes and kills them: one half after some time, the other at a step of the store.
fn kill_one_after_another(store: &Path, seed: u64, duration: Duration) {
    let mut random = StdRng::seed_from_u64(seed);
    let each = VICTIMS / ROWS;
    for number in 0..each {
        let mut command = process(&format!("work {} {}", seed + number, 2 * duration.as_millis()), store);
        let at_a_step = cfg!(debug_assertions) && number % 2 == 0;
        if at_a_step {
            command.env("IMAGE_COMPOSER_FAILPOINT", format!("*=abort@{}", random.gen_range(1..400)));
        }
        let mut child = command.spawn().unwrap();
        // On average they all take as long as the others work.
        let longest = duration * 2 / u32::try_from(each).unwrap();
        let deadline = Instant::now() + if at_a_step { longest } else { longest.mul_f64(random.r#gen()) };
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(was_killed(&output), "{}\n{}", output.status, said(&output));
    }
}

/// What a process of the crowd does.
pub(super) fn work(dir: &Path, seed: u64, millis: u64) {
    let end = Instant::now() + Duration::from_millis(millis);
    let mut random = StdRng::seed_from_u64(seed);
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    while Instant::now() < end {
        let store = Store::open(dir).unwrap();
        let scratch = store.scratch().unwrap();
        for _ in 0..random.gen_range(5..50) {
            *done.entry(step(&store, &mut random, scratch.path())).or_default() += 1;
            if Instant::now() >= end {
                break;
            }
        }
        store.flush().unwrap();
        let damage: Vec<String> = store.take_damage().iter().map(ToString::to_string).collect();
        assert!(damage.is_empty(), "{damage:?}");
    }
    for (what, times) in done {
        tell(&format!("done: {what} {times}"));
    }
}

fn step(store: &Store, random: &mut StdRng, room: &Path) -> &'static str {
    let (package, repository) = (random.gen_range(0..PACKAGES), random.gen_range(0..2));
    let (spec, generation) = (random.gen_range(0..SPECS), random.gen_range(0..GENERATIONS));
    match random.gen_range(0..100) {
        0..30 => {
            world::put_package(store, package, repository, generation).unwrap();
            "package-put"
        }
        30..55 if world::read_package(store, package, repository, generation) => "package-read",
        30..55 => "no-package",
        55..65 => {
            world::put_image(store, spec, generation, room).unwrap();
            "image-put"
        }
        65..78 if world::read_image(store, spec, room) => "image-read",
        65..78 => "no-image",
        78..82 => {
            world::put_metadata(store, generation).unwrap();
            "metadata-put"
        }
        82..86 if world::read_metadata(store) => "metadata-read",
        82..86 => "no-metadata",
        86..90 => {
            store.flush().unwrap();
            "flushed"
        }
        _ => {
            let plan = match random.gen_range(0..6) {
                0 => collect::plan_clean(store, &Clean { packages: true, images: false, roots: true, rest: true }),
                1 => collect::plan_clean(store, &Clean { packages: false, images: true, roots: false, rest: false }),
                strays => {
                    let limits = Limits {
                        package_bytes: random.r#gen::<bool>().then(|| random.gen_range(0..1_000_000)),
                        image_bytes: random.r#gen::<bool>().then(|| random.gen_range(0..10_000_000)),
                        image_count: random.r#gen::<bool>().then(|| random.gen_range(0..SPECS)),
                        ..Limits::default()
                    };
                    collect::plan(store, &limits, strays == 2)
                }
            };
            collect::carry_out(store, &plan.unwrap(), &Silent, &Cancel::default()).unwrap();
            "collected"
        }
    }
}
