//! What the store promises about time: images in and out, look-ups, the plan of a collection, and the removal of many chunks.
//!
//! `cargo bench` takes about five minutes. How the same work goes with other programs is in `peers/`.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use image_composer::cache::collect::{self, Clean, Limits};
use image_composer::cache::{ImageCache, PackageCache, benching};
use image_composer::progress::{Cancel, Silent};
use image_composer::store::{Output, Store};

mod common;

use common::{content, keep};

const MIB: usize = 1 << 20;

/// An empty store.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path()).expect("a new store");
    (dir, store)
}

/// 256 MiB of data in an image of 1 GiB, as a file.
fn image(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("image.raw");
    let file = File::create(&path).expect("a file");
    file.set_len(1024 * MIB as u64).expect("room");
    for part in 0..64 {
        file.write_all_at(&content(4 * MIB, part), part * 16 * MIB as u64).expect("room");
    }
    path
}

fn images(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let raw = image(dir.path());
    let mut group = criterion.benchmark_group("image of 256 MiB in 1 GiB");
    group.sample_size(10).throughput(Throughput::Bytes(256 * MIB as u64));
    group.bench_function("keep", |bencher| bencher.iter_batched(store, |(dir, store)| (keep(&store, b"a", &raw), dir), BatchSize::PerIteration));
    let (_known, known) = store();
    let record = keep(&known, b"a", &raw);
    group.bench_function("keep again", |bencher| bencher.iter(|| keep(&known, b"b", &raw)));
    let out = dir.path().join("out.raw");
    group.bench_function("write out", |bencher| {
        bencher.iter(|| {
            let file = File::create(&out).expect("a file");
            ImageCache::new(&known)
                .write_to(&record, Output { file: &file, path: &out, stays: false }, &Silent, &Cancel::default())
                .expect("an image");
        });
    });
    group.finish();
}

fn lookups(criterion: &mut Criterion) {
    let (_dir, store) = store();
    let names = benching::fill(&store, 100_000).expect("rows");
    let wanted: Vec<_> = names.iter().map(|(coordinates, sha256)| (coordinates, sha256)).collect();
    let cache = PackageCache::new(&store);
    let mut group = criterion.benchmark_group("100,000 packages");
    group.sample_size(10).throughput(Throughput::Elements(wanted.len() as u64));
    group.bench_function("look up together", |bencher| bencher.iter(|| black_box(cache.lookup_all(&wanted).expect("rows"))));
    group.bench_function("look up one by one", |bencher| {
        bencher.iter(|| wanted.iter().filter(|(coordinates, sha256)| cache.lookup(coordinates, sha256).expect("a row").is_some()).count());
    });
    group.finish();
}

fn plans(criterion: &mut Criterion) {
    let (_dir, store) = store();
    benching::fill(&store, 1_000_000).expect("rows");
    let mut group = criterion.benchmark_group("1,000,000 rows");
    group.sample_size(10);
    for (name, age) in [("plan a collection of none", Duration::from_secs(2_000_000)), ("plan a collection of half", Duration::from_secs(500_000))] {
        let limits = Limits { package_age: Some(age), ..Limits::default() };
        group.bench_function(name, |bencher| bencher.iter(|| collect::plan(&store, &limits, false).expect("a plan")));
    }
    group.finish();
}

/// Two images of 50,000 chunks each, in a new store: blocks of 4 KiB with holes between them, so that each is a chunk.
fn many_chunks() -> (tempfile::TempDir, Store) {
    const CHUNKS: usize = 50_000;
    const PITCH: u64 = 40 << 10;
    let (dir, store) = store();
    let raw = dir.path().with_extension("raw");
    for seed in 0..2 {
        let file = File::create(&raw).expect("a file");
        file.set_len(CHUNKS as u64 * PITCH).expect("room");
        for (number, block) in content(CHUNKS * 4096, 1_000 + seed).chunks(4096).enumerate() {
            file.write_all_at(block, number as u64 * PITCH).expect("room");
        }
        keep(&store, &seed.to_le_bytes(), &raw);
    }
    std::fs::remove_file(&raw).expect("the file");
    (dir, store)
}

fn removals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("100,000 chunks");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
    let limits = Limits { image_count: Some(1), ..Limits::default() };
    group.bench_function("collect half", |bencher| {
        bencher.iter_batched(
            many_chunks,
            |(dir, store)| {
                let plan = collect::plan(&store, &limits, false).expect("a plan");
                assert_eq!(plan.images(), 1);
                (collect::carry_out(&store, &plan, &Silent, &Cancel::default()).expect("a collection"), dir)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    // All of it, so that the plan by classes is measured, too.
    let (_dir, store) = many_chunks();
    criterion.bench_function("plan the removal of all images", |bencher| {
        bencher.iter(|| collect::plan_clean(&store, &Clean { images: true, ..Clean::default() }).expect("a plan"));
    });
}

criterion_group!(benches, images, lookups, plans, removals);
criterion_main!(benches);
