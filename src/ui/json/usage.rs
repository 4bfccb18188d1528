//! `cache du` and `cache stats`.

use image_composer::cache;
use image_composer::format::totals::UsageRow;
use image_composer::store;
use serde::Serialize;

/// `cache du`.
#[derive(Serialize)]
pub(in crate::ui) struct DiskUse {
    packages: ClassUse,
    metadata: ClassUse,
    /// Packages that are kept decompressed, too.
    plain: ClassUse,
    /// Further names of packages and metadata.
    names: ClassUse,
    /// With the roots, whose packs they share.
    images: ClassUse,
    /// How many roots there are.
    roots: u64,
    /// How many the images are made of.
    chunks: u64,
    packs: u64,
    /// How many blobs and chunks were found damaged or missing, and were not mended since.
    lost: u64,
    /// The size of the index.
    index: u64,
    /// Interrupted downloads.
    partials: Files,
    /// Files that were found damaged.
    quarantine: Files,
    /// All together.
    on_disk: u64,
    /// What the file system has left; null where there is no store.
    free: Option<u64>,
    /// What `cache gc` would free on disk.
    gc_would_free: u64,
}

#[derive(Serialize)]
struct ClassUse {
    count: u64,
    /// Bytes before compression.
    raw: u64,
    on_disk: u64,
    /// Bytes on disk that one name or image needs.
    own: u64,
    /// Those that several need.
    shared: u64,
    /// Those that nothing needs.
    unused: u64,
}

#[derive(Serialize)]
struct Files {
    count: u64,
    bytes: u64,
}

impl DiskUse {
    pub(in crate::ui) fn new(found: Option<(&cache::DiskUse, u64)>) -> Self {
        let (used, gc_would_free) = found.map_or_else(Default::default, |(used, would_free)| (*used, would_free));
        let store::Beside { index, partials, quarantine } = used.beside;
        let files = |store::Files { count, len }: store::Files| Files { count, bytes: len };
        Self {
            packages: used.packages.into(),
            metadata: used.metadata.into(),
            plain: used.plain.into(),
            names: used.names.into(),
            images: used.images.into(),
            roots: used.roots,
            chunks: used.chunks,
            packs: used.packs,
            lost: used.lost,
            index,
            partials: files(partials),
            quarantine: files(quarantine),
            on_disk: used.on_disk,
            free: found.map(|(used, _)| used.free),
            gc_would_free,
        }
    }
}

impl From<cache::ClassUse> for ClassUse {
    fn from(class: cache::ClassUse) -> Self {
        let cache::ClassUse { count, raw_len, on_disk, own, shared, unused } = class;
        Self { count, raw: raw_len, on_disk, own, shared, unused }
    }
}

/// `cache stats`.
#[derive(Serialize)]
pub(in crate::ui) struct Usages {
    packages: Usage,
    images: Usage,
    roots: Usage,
}

/// What a cache was good for.
#[derive(Serialize)]
struct Usage {
    hits: u64,
    misses: u64,
    /// Bytes that were not fetched, or disks that were not built.
    saved_bytes: u64,
    saved_seconds: f64,
    /// Null where nothing was counted.
    since: Option<u64>,
}

impl Usages {
    pub(in crate::ui) fn new([packages, images, roots]: &[UsageRow; 3]) -> Self {
        Self { packages: packages.into(), images: images.into(), roots: roots.into() }
    }
}

impl From<&UsageRow> for Usage {
    fn from(row: &UsageRow) -> Self {
        let saved_seconds = std::time::Duration::from_millis(row.saved_millis).as_secs_f64();
        Self { hits: row.hits, misses: row.misses, saved_bytes: row.saved_bytes, saved_seconds, since: (row.since > 0).then_some(row.since) }
    }
}
