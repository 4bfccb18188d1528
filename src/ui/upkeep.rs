//! What `cache rebuild-index` and `cache seal` show.

use std::io;
use std::path::Path;
use std::time::Duration;

use image_composer::store::{Rebuilt, Sealed};
use image_composer::units::{ByteSize, human_duration};
use serde::Serialize;

use super::verify::object;
use super::{Ui, data, problem, text};

impl Ui {
    /// Shows what a new index has: warnings about what is missing, and a line, or everything as JSON.
    pub(crate) fn rebuilt(self, rebuilt: &Rebuilt, took: Duration, json: bool) -> io::Result<()> {
        for damage in &rebuilt.damaged {
            self.warn(&format!("{} is in the quarantine now: {}", damage.path.display(), problem::chain(&damage.problem)));
        }
        for key in &rebuilt.damaged_images {
            self.warn(&format!("image {} lacks a part: the next build of its spec builds it again", key.short()));
        }
        for key in &rebuilt.lost_images {
            self.warn(&format!("image {} is lost with its manifest: the next build of its spec builds it again", key.short()));
        }
        self.say(&rebuilt_line(rebuilt, took));
        if json { data::json(&NewIndex::new(rebuilt, took)) } else { Ok(()) }
    }

    /// Shows what sealing did: a line, or everything as JSON.
    pub(crate) fn sealed(self, path: &Path, sealed: &Sealed, json: bool) -> io::Result<()> {
        self.say(&sealed_line(path, sealed));
        if json { data::json(&Seal::new(path, sealed)) } else { Ok(()) }
    }
}

fn rebuilt_line(rebuilt: &Rebuilt, took: Duration) -> String {
    let Rebuilt { blobs, packs, chunks, packages, metadata, images, .. } = rebuilt;
    let numbers = [(images, "image"), (packages, "package"), (metadata, "metadata file"), (blobs, "blob"), (packs, "pack"), (chunks, "chunk")];
    let numbers: Vec<String> = numbers.iter().map(|(number, noun)| text::count(**number, noun)).collect();
    format!("the new index has {}, {}", numbers.join(", "), human_duration(took))
}

fn sealed_line(path: &Path, sealed: &Sealed) -> String {
    let Sealed { trash_bytes, partials, partial_bytes, index_before, index_after } = *sealed;
    let [trash, partial, before, after] = [trash_bytes, partial_bytes, index_before, index_after].map(ByteSize);
    let downloads = text::count(partials, "interrupted download");
    format!("sealed {}: {trash} of trash and {downloads} ({partial}) removed, index {before} → {after}", path.display())
}

/// `cache rebuild-index --json`. Promised: fields may come, none goes.
#[derive(Serialize)]
struct NewIndex {
    blobs: u64,
    packs: u64,
    chunks: u64,
    packages: u64,
    metadata: u64,
    images: u64,
    damaged_images: Vec<String>,
    lost_images: Vec<String>,
    damaged: Vec<WrongFile>,
    seconds: f64,
}

/// A file in the quarantine.
#[derive(Serialize)]
struct WrongFile {
    object: &'static str,
    digest: String,
    /// Where it was.
    path: String,
    problem: String,
}

impl NewIndex {
    fn new(rebuilt: &Rebuilt, took: Duration) -> Self {
        let Rebuilt { blobs, packs, chunks, packages, metadata, images, .. } = *rebuilt;
        let damaged = rebuilt.damaged.iter().map(|damage| {
            let (object, digest) = object(&damage.object);
            WrongFile { object, digest, path: damage.path.to_string_lossy().into_owned(), problem: problem::chain(&damage.problem) }
        });
        let keys = |keys: &[image_composer::digest::Digest]| keys.iter().map(ToString::to_string).collect();
        Self {
            blobs,
            packs,
            chunks,
            packages,
            metadata,
            images,
            damaged_images: keys(&rebuilt.damaged_images),
            lost_images: keys(&rebuilt.lost_images),
            damaged: damaged.collect(),
            seconds: took.as_secs_f64(),
        }
    }
}

/// `cache seal --json`. Promised: fields may come, none goes.
#[derive(Serialize)]
struct Seal {
    path: String,
    trash_bytes: u64,
    partials: u64,
    partial_bytes: u64,
    index_before: u64,
    index_after: u64,
}

impl Seal {
    fn new(path: &Path, sealed: &Sealed) -> Self {
        let Sealed { trash_bytes, partials, partial_bytes, index_before, index_after } = *sealed;
        Self { path: path.to_string_lossy().into_owned(), trash_bytes, partials, partial_bytes, index_before, index_after }
    }
}

#[cfg(test)]
mod tests {
    use image_composer::digest::Digest;

    use super::*;

    #[test]
    fn one_line_says_what_was_done() {
        let rebuilt = Rebuilt {
            blobs: 12,
            packs: 1,
            chunks: 7,
            packages: 4,
            metadata: 2,
            images: 1,
            lost_images: vec![Digest::of(b"x")],
            ..Rebuilt::default()
        };
        assert_eq!(
            rebuilt_line(&rebuilt, Duration::from_millis(900)),
            "the new index has 1 image, 4 packages, 2 metadata files, 12 blobs, 1 pack, 7 chunks, 0.9 s"
        );
        let sealed = Sealed { trash_bytes: 1 << 20, partials: 1, partial_bytes: 10, index_before: 3 << 20, index_after: 1 << 20 };
        assert_eq!(
            sealed_line(Path::new("/s"), &sealed),
            "sealed /s: 1.00 MiB of trash and 1 interrupted download (10 B) removed, index 3.00 MiB → 1.00 MiB"
        );
        insta::assert_json_snapshot!((NewIndex::new(&rebuilt, Duration::from_millis(900)), Seal::new(Path::new("/s"), &sealed)));
    }
}
