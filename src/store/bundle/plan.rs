//! What goes into a bundle, and how long it will be.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::{BundleError, chunk};
use crate::digest::Digest;
use crate::format::bundle::{BlobEntry, Contents, Frame, FrameKind, ImageItem, Table};
use crate::format::manifest::{Extent, Manifest};
use crate::format::row::ChunkRow;
use crate::format::zeros::{self, ZEROS_LEN};
use crate::progress::Cancel;
use crate::store::error::{Damage, Error, Object, Problem};
use crate::store::{Store, blob};

/// The zstd level of parts of chunks, which have no frame of their own in the store.
const LEVEL: i32 = 3;

/// A bundle to be written.
#[derive(Debug)]
pub struct BundlePlan {
    pub(super) table: Table,
    /// Where the frames come from, in their order.
    pub(super) sources: Vec<Source>,
    /// The length of the bundle in bytes.
    len: u64,
}

/// Where a frame comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// Straight from a pack.
    Chunk { digest: Digest, row: ChunkRow },
    /// Cut from the chunk with this digest, and compressed anew.
    Part { digest: Digest, row: ChunkRow, offset: u32, length: u32 },
    /// So many zeros.
    Hole(u64),
}

impl BundlePlan {
    /// What it will have.
    pub fn contents(&self) -> &Contents {
        &self.table.contents
    }

    /// The length of the bundle in bytes.
    pub fn bundle_len(&self) -> u64 {
        self.len
    }

    /// How many different chunks it will have.
    pub fn chunks(&self) -> usize {
        self.table.frames.iter().filter(|frame| frame.kind.is_chunk()).map(|frame| frame.digest).collect::<HashSet<_>>().len()
    }

    /// Everything that must stay in the store until it is written.
    pub(crate) fn objects(&self) -> Vec<Object> {
        let mut objects: HashSet<Object> = self.table.blobs.iter().map(|blob| Object::Blob(blob.digest)).collect();
        objects.extend(self.table.frames.iter().filter(|frame| frame.kind.is_chunk()).map(|frame| Object::Chunk(frame.digest)));
        objects.extend(self.sources.iter().filter_map(|source| match source {
            Source::Chunk { row, .. } | Source::Part { row, .. } => Some(Object::Pack(row.pack)),
            Source::Hole(_) => None,
        }));
        objects.into_iter().collect()
    }
}

impl Store {
    /// Plans a bundle of these contents.
    ///
    /// # Errors
    /// [`Error::Damaged`] when something of it is known to be missing or wrong; it is already marked as lost.
    pub(crate) fn plan_bundle(&self, contents: Contents, cancel: &Cancel) -> Result<BundlePlan, BundleError> {
        let blobs = self.bundle_blobs(&contents)?;
        let manifests: Vec<Manifest> = contents.images.iter().map(|image| self.read_manifest(&image.manifest)).collect::<Result<_, Error>>()?;
        let rows = self.chunk_rows(&manifests)?;
        let mut sources: Vec<(FrameKind, Source)> = Vec::new();
        let mut whole: HashSet<Digest> = HashSet::new();
        if let (Some(_), [disk]) = (contents.disk, manifests.as_slice()) {
            sources = disk_sources(disk, &rows, &mut whole);
        }
        for extent in manifests.iter().flat_map(|manifest| &manifest.extents) {
            if let Extent::Chunk { digest, .. } = extent
                && whole.insert(*digest)
            {
                sources.push((FrameKind::Beside, Source::Chunk { digest: *digest, row: rows[digest] }));
            }
        }
        let frame = |(kind, source): &(FrameKind, Source)| {
            cancel.check()?;
            match source {
                Source::Chunk { digest, row } => Ok(Frame { kind: *kind, digest: *digest, stored_len: row.stored_len, raw_len: row.raw_len.into() }),
                Source::Part { length, .. } => {
                    let stored = self.bundle_frame(source)?;
                    Ok(Frame { kind: *kind, digest: Digest::of(&stored), stored_len: stored.len() as u32, raw_len: (*length).into() })
                }
                Source::Hole(len) => {
                    let stored = zeros::encode(*len);
                    Ok(Frame { kind: *kind, digest: Digest::of(&stored), stored_len: stored.len() as u32, raw_len: *len })
                }
            }
        };
        let frames = sources.par_iter().map(frame).collect::<Result<_, Error>>()?;
        let table = Table { contents, blobs, frames };
        let len = table.bundle_len()?;
        Ok(BundlePlan { table, sources: sources.into_iter().map(|(_, source)| source).collect(), len })
    }

    /// The blobs of all names, those of images first, each once.
    fn bundle_blobs(&self, contents: &Contents) -> Result<Vec<BlobEntry>, Error> {
        let images = contents.images.iter().flat_map(ImageItem::blobs);
        let others = contents.metadata.iter().map(|item| item.blob).chain(contents.packages.iter().map(|item| item.blob));
        let (txn, mut seen, mut blobs) = (self.read()?, HashSet::new(), Vec::new());
        for digest in images.chain(others).filter(|digest| seen.insert(*digest)) {
            let Some(row) = self.intact_blob(&txn, &digest)? else {
                return Err(Damage { object: Object::Blob(digest), path: self.blob_path(&digest), problem: Problem::Missing }.into());
            };
            blobs.push(BlobEntry { digest, stored_len: row.stored_len, raw_len: row.raw_len });
        }
        Ok(blobs)
    }

    fn chunk_rows(&self, manifests: &[Manifest]) -> Result<HashMap<Digest, ChunkRow>, Error> {
        let mut seen = HashSet::new();
        let digest = |extent: &Extent| if let Extent::Chunk { digest, .. } = extent { Some(*digest) } else { None };
        let digests: Vec<Digest> =
            manifests.iter().flat_map(|manifest| manifest.extents.iter().filter_map(digest)).filter(|digest| seen.insert(*digest)).collect();
        let rows = self.read()?.get_all::<ChunkRow>(digests.iter().map(|digest| digest.as_bytes().as_slice()))?;
        let row = |(digest, row): (Digest, Option<ChunkRow>)| {
            let missing = || Damage { object: Object::Chunk(digest), path: self.dir().to_owned(), problem: Problem::Missing };
            Ok((digest, row.filter(|row| !row.lost).ok_or_else(missing)?))
        };
        digests.into_iter().zip(rows).map(row).collect()
    }

    /// The bytes of one frame; those of a whole chunk are not proven yet.
    pub(super) fn bundle_frame(&self, source: &Source) -> Result<Vec<u8>, Error> {
        match source {
            Source::Hole(len) => Ok(zeros::encode(*len)),
            Source::Chunk { row, .. } => self.chunk_frame(row),
            Source::Part { digest, row, offset, length } => {
                let stored = self.chunk_frame(row)?;
                let part = chunk::decode(&stored, digest, row.raw_len.into(), |raw| {
                    raw.get(*offset as usize..).and_then(|rest| rest.get(..*length as usize)).map(<[u8]>::to_vec)
                });
                let needed = u64::from(*offset) + u64::from(*length);
                let part = part.and_then(|part| part.ok_or(Problem::Length { expected: needed, found: row.raw_len.into() }));
                let part = part.map_err(|problem| Damage { object: Object::Chunk(*digest), path: self.layout.pack(&row.pack), problem })?;
                zstd::bulk::compress(&part, LEVEL).map_err(Error::Source)
            }
        }
    }

    /// The frame of a chunk as it lies in its pack.
    fn chunk_frame(&self, row: &ChunkRow) -> Result<Vec<u8>, Error> {
        use std::os::unix::fs::FileExt as _;
        let path = self.layout.pack(&row.pack);
        let damaged = |problem| Damage { object: Object::Pack(row.pack), path: path.clone(), problem };
        let file = blob::open_if_there(&path).map_err(Error::io("open", &path))?.ok_or_else(|| damaged(Problem::Missing))?;
        let mut stored = vec![0; row.stored_len as usize];
        file.read_exact_at(&mut stored, row.offset).map_err(|error| damaged(Problem::Unreadable(error)))?;
        Ok(stored)
    }
}

/// The frames that an image consists of, in its order. Notes which chunks are there whole.
fn disk_sources(disk: &Manifest, rows: &HashMap<Digest, ChunkRow>, whole: &mut HashSet<Digest>) -> Vec<(FrameKind, Source)> {
    let mut sources = Vec::with_capacity(disk.extents.len());
    for extent in &disk.extents {
        match *extent {
            Extent::Hole { length } => {
                let holes = (0..length.div_ceil(ZEROS_LEN)).map(|number| (length - number * ZEROS_LEN).min(ZEROS_LEN));
                sources.extend(holes.map(|part| (FrameKind::Hole, Source::Hole(part))));
            }
            Extent::Chunk { digest, offset, length } => {
                let row = rows[&digest];
                if offset == 0 && length == row.raw_len {
                    whole.insert(digest);
                    sources.push((FrameKind::Chunk, Source::Chunk { digest, row }));
                } else {
                    sources.push((FrameKind::Part, Source::Part { digest, row, offset, length }));
                }
            }
        }
    }
    sources
}
