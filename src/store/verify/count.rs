//! How many names and documents refer to a blob, and how many manifests name a chunk: counted again.

use std::collections::HashMap;

use super::blobs::Blobs;
use super::{Findings, Snapshot, WrongCount};
use crate::digest::Digest;
use crate::format::manifest::{Extent, Manifest};
use crate::format::pack::HEAD_LEN;
use crate::format::row::{ChunkRow, ImageRow, MetadataRow, PackageRow};
use crate::store::error::Object;

/// References as they are, by what is referred to. What is not in it has none.
#[derive(Debug, Default)]
pub(in crate::store) struct Recount {
    pub(in crate::store) blobs: HashMap<Digest, u32>,
    pub(in crate::store) chunks: HashMap<Digest, Named>,
    /// Whether every manifest could be read. Else a chunk may have more references than were counted.
    pub(in crate::store) complete: bool,
}

/// What manifests say of a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct Named {
    /// How many name it.
    pub(in crate::store) references: u32,
    /// How long it must be at least.
    needed: u32,
}

impl Named {
    /// The row of a chunk that no pack has. Who stores the chunk again gives it a place.
    pub(in crate::store) fn lost_row(self) -> ChunkRow {
        let nowhere = Digest::from_bytes([0; 32]);
        ChunkRow { lost: true, references: self.references, pack: nowhere, offset: HEAD_LEN, stored_len: 1, raw_len: self.needed.max(1) }
    }
}

/// The chunks that a manifest names, each once, and how long each must be at least.
pub(in crate::store) fn named(manifest: &Manifest) -> HashMap<Digest, u32> {
    let mut named: HashMap<Digest, u32> = HashMap::new();
    for extent in &manifest.extents {
        if let Extent::Chunk { digest, offset, length } = *extent {
            let needed = named.entry(digest).or_default();
            *needed = (*needed).max(offset.saturating_add(length));
        }
    }
    named
}

impl Recount {
    pub(super) fn of(snapshot: &Snapshot, blobs: &Blobs) -> Self {
        let mut recount = Self { chunks: blobs.recount.chunks.clone(), complete: blobs.recount.complete, ..Self::default() };
        snapshot.packages.iter().for_each(|(_, row)| recount.package(row));
        snapshot.metadata.iter().for_each(|(_, row)| recount.metadata(row));
        snapshot.images.values().for_each(|row| recount.image(row));
        recount
    }

    pub(in crate::store) fn package(&mut self, row: &PackageRow) {
        self.refer(std::iter::once(row.blob).chain(row.alias));
    }

    pub(in crate::store) fn metadata(&mut self, row: &MetadataRow) {
        self.refer(std::iter::once(row.blob).chain(row.alias));
    }

    pub(in crate::store) fn manifest(&mut self, manifest: &Manifest) {
        for (digest, needed) in named(manifest) {
            let known = self.chunks.entry(digest).or_default();
            known.references += 1;
            known.needed = known.needed.max(needed);
        }
    }

    pub(in crate::store) fn image(&mut self, row: &ImageRow) {
        self.refer([row.record, row.manifest, row.lock, row.annotations].into_iter());
    }

    fn refer(&mut self, digests: impl Iterator<Item = Digest>) {
        for digest in digests {
            *self.blobs.entry(digest).or_default() += 1;
        }
    }

    /// What a chunk's count should be, where the index says `found`.
    pub(in crate::store) fn chunk(&self, digest: &Digest, found: u32) -> u32 {
        let counted = self.chunks.get(digest).map_or(0, |named| named.references);
        if self.complete { counted } else { counted.max(found) }
    }

    pub(super) fn compare(&self, snapshot: &Snapshot, findings: &mut Findings) {
        let mut note = |object: Object, found: u32, counted: u32| {
            if found != counted {
                findings.counts.push(WrongCount { object, found, counted });
            }
        };
        for (digest, row) in &snapshot.blobs {
            note(Object::Blob(*digest), row.references, self.blobs.get(digest).copied().unwrap_or(0));
        }
        for (digest, row) in &snapshot.chunks {
            note(Object::Chunk(*digest), row.references, self.chunk(digest, row.references));
        }
        findings.counts.sort_by_key(|count| count.object);
    }
}
