//! What several benches make.

use std::path::Path;
use std::time::Duration;

use image_composer::cache::{ImageCache, ImageRecord, NewImage, SpecHash};
use image_composer::digest::Digest;
use image_composer::progress::{Cancel, Silent};
use image_composer::store::Store;

/// Bytes of which zstd saves about half, as it does with programs and texts; others for another seed.
pub(crate) fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    for run in bytes.chunks_mut(64) {
        let half = run.len() / 2;
        run[half..].fill(b'.');
    }
    bytes
}

/// Keeps an image under the digest of `name`.
pub(crate) fn keep(store: &Store, name: &[u8], raw: &Path) -> ImageRecord {
    let new = NewImage {
        name: "bench".to_owned(),
        version: "1".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: Vec::new(),
        lock: Vec::new(),
        build_time: Duration::ZERO,
        source_date: 0,
        releases: Vec::new(),
        imported: None,
    };
    let spec = SpecHash::from(Digest::of(name));
    ImageCache::new(store).insert(&spec, &new, raw, &Silent, &Cancel::default()).expect("an image that is kept")
}
