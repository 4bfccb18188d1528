//! Takes a disk image in: cuts it, compresses the chunks that are new, and leaves packs and a manifest that only need to be published.
//!
//! ```text
//!  read, find zeros, cut (one thread) ─► window n+1 ┐
//!                                                   ├ at the same time
//!  digest, look up, compress (all threads) window n ┘ ─► append to the pack, about in image order
//! ```
//!
//! At most two windows are in memory at a time, whatever the length of the image.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cut::{Chunk, Cutter, Kind, Known, Piece, Window};
use super::error::{Error, Result};
use super::index::WriteTxn;
use super::packs::{PackWriter, StagedPack};
use super::{StagedBlob, Store, failpoint};
use crate::digest::Digest;
use crate::format::blob::{BlobKind, Header};
use crate::format::manifest::{Extent, Manifest};
use crate::format::row::ChunkRow;
use crate::progress::{Cancel, Event, Phase, Progress};

/// The zstd level of chunks. Measured on 400 MiB of a Debian image in frames of 128 KiB: level 3 stores 5 % less, takes 1.6 times as long to compress, and a
/// seventh longer to decompress; level 9 stores 12 % less and takes seven times as long.
pub const LEVEL: i32 = 1;

/// The levels that may be asked for: zstd's own, without those that take hundreds of megabytes for each thread.
pub const LEVELS: RangeInclusive<i32> = 1..=19;

/// An image whose packs and manifest are complete and durable, but not yet in the store.
#[derive(Debug)]
#[must_use = "a staged image is removed when it is not published"]
pub(crate) struct StagedImage {
    pub(crate) raw_len: u64,
    /// Bytes that are not in holes.
    pub(crate) data_len: u64,
    pub(crate) raw_digest: Digest,
    pub(crate) manifest: StagedBlob,
    packs: Vec<StagedPack>,
    chunks: Vec<Digest>,
}

impl StagedImage {
    /// How many bytes the store grows by: new chunks and the manifest.
    pub(crate) fn own_bytes(&self) -> u64 {
        self.packs.iter().map(|pack| pack.stored_len).sum::<u64>() + self.manifest.stored_len
    }
}

/// Chunks that are compressed before they are written; their frames' memory serves the next ones.
const BATCH: usize = 64;

thread_local! {
    // One context for each thread, with its level: making one for each chunk would cost more than compressing it.
    static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
}

/// What an image has from another one that the store keeps.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The manifest of the other image.
    pub manifest: Digest,
    /// What both have.
    pub stretches: Vec<Stretch>,
}

/// The same bytes in two images: one file, from its first byte to the end of its last block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Where they are in this one, in bytes.
    pub at: u64,
    /// Where they are in the other.
    pub from: u64,
    /// How many they are.
    pub len: u64,
}

impl Store {
    /// Stages the file `raw` as an image. Reports its bytes as [`Phase::Keep`].
    pub(crate) fn stage_image(&self, raw: &Path, shared: Option<&Shared>, progress: &dyn Progress, cancel: &Cancel) -> Result<StagedImage> {
        let known = shared.filter(|shared| !shared.stretches.is_empty()).and_then(|shared| self.known(shared)).unwrap_or_default();
        match self.stage_with(raw, known, progress, cancel)? {
            Some(staged) => Ok(staged),
            // A collection came in between.
            None => Ok(self.stage_with(raw, Known::new(), progress, cancel)?.expect("all chunks have bytes")),
        }
    }

    /// The chunks of files that another image has, too; none where that cannot be told, for they can be cut.
    fn known(&self, shared: &Shared) -> Option<Known> {
        let Manifest { extents, .. } = self.read_manifest(&shared.manifest).ok()?;
        let begins: Vec<u64> = extents.iter().scan(0, |end, extent| Some(std::mem::replace(end, *end + extent.length()))).collect();
        let chunks = |stretch: &Stretch| {
            let mut left = stretch.len;
            let mut chunks = Vec::new();
            for extent in &extents[begins.binary_search(&stretch.from).ok()?..] {
                match *extent {
                    _ if left == 0 => break,
                    Extent::Chunk { digest, offset: 0, length } if u64::from(length) <= left => {
                        chunks.push((digest, length));
                        left -= u64::from(length);
                    }
                    _ => return None,
                }
            }
            (left == 0).then_some((stretch.at, (stretch.at + stretch.len, chunks)))
        };
        Some(shared.stretches.iter().filter_map(chunks).collect())
    }

    /// None where a chunk that was known is there no more.
    fn stage_with(&self, raw: &Path, known: Known, progress: &dyn Progress, cancel: &Cancel) -> Result<Option<StagedImage>> {
        let file = File::open(raw).map_err(Error::io("open", raw))?;
        let allocated = file.metadata().map_err(Error::io("inspect", raw))?.blocks().saturating_mul(512);
        let mut cutter = Cutter::new(file, raw.to_owned(), known, cancel)?;
        progress.report(Event::Start { phase: Phase::Keep, total: Some(cutter.len()) });
        let mut ingest = Ingest {
            store: self,
            packs: PackWriter::new(self.lease()?),
            known: HashMap::new(),
            chunks: Vec::new(),
            parts: Parts::default(),
            frames: Vec::new(),
            taken: 0,
            is_whole: true,
        };
        let mut served = Window::default();
        let mut next = cutter.window(Window::default(), cancel)?;
        while let Some(window) = next {
            let (following, taken) = rayon::join(|| cutter.window(served, cancel), || ingest.take(&window, cancel));
            if let Err(error) = taken {
                let needed = ingest.needed(allocated);
                drop(ingest);
                return Err(self.lacking(error, needed));
            }
            if !ingest.is_whole {
                return Ok(None);
            }
            ingest.taken += window.pieces.iter().map(|piece| if let Piece::Data(_, length) = piece { *length } else { 0 }).sum::<u64>();
            progress.report(Event::Advance { phase: Phase::Keep, by: window.covered });
            (next, served) = (following?, window);
        }
        let manifest = Manifest { raw_len: cutter.len(), raw_digest: cutter.digest(), extents: ingest.parts.extents() };
        let bytes = manifest.encode()?;
        let packs = ingest.packs.finish()?;
        let staged = self.stage_bytes(Header::unnamed(BlobKind::Manifest), &bytes)?;
        progress.report(Event::Finish { phase: Phase::Keep });
        let data_len = manifest.extents.iter().filter(|extent| matches!(extent, Extent::Chunk { .. })).map(Extent::length).sum();
        Ok(Some(StagedImage { raw_len: manifest.raw_len, data_len, raw_digest: manifest.raw_digest, manifest: staged, packs, chunks: ingest.chunks }))
    }
}

struct Ingest<'a> {
    store: &'a Store,
    packs: PackWriter,
    // Chunks of this image so far, with their lengths: each is stored once, and counted once.
    known: HashMap<Digest, u32>,
    chunks: Vec<Digest>,
    parts: Parts,
    frames: Vec<Vec<u8>>,
    /// Bytes of data of the windows that are done.
    taken: u64,
    /// Whether the store has all chunks that were known.
    is_whole: bool,
}

impl Ingest<'_> {
    /// How many bytes the image will need in the store, if its `data` goes on as it began.
    fn needed(&self, data: u64) -> u64 {
        let (stored, taken) = (u128::from(self.packs.stored_len()), u128::from(self.taken));
        (stored * u128::from(data)).checked_div(taken).map_or(data, |needed| u64::try_from(needed).unwrap_or(u64::MAX))
    }

    fn take(&mut self, window: &Window, cancel: &Cancel) -> Result<()> {
        let (kinds, all): (Vec<Kind>, Vec<Chunk<'_>>) = window.chunks().unzip();
        let named = all.par_iter().map(|chunk| match *chunk {
            Chunk::Cut(bytes) => (Digest::of(bytes), bytes.len() as u32),
            Chunk::Known(digest, len) => (digest, len),
        });
        let named: Vec<(Digest, u32)> = named.collect();
        window.pieces.iter().for_each(|piece| self.parts.push(*piece));
        for (kind, chunk) in kinds.into_iter().zip(&named) {
            self.parts.chunks_mut(kind).push(*chunk);
        }

        let mut fresh: Vec<((Digest, u32), Chunk<'_>)> = Vec::new();
        for ((digest, len), chunk) in named.into_iter().zip(all) {
            match self.known.entry(digest) {
                Entry::Occupied(before) => self.is_whole &= *before.get() == len,
                Entry::Vacant(place) => {
                    place.insert(len);
                    fresh.push(((digest, len), chunk));
                }
            }
        }
        self.chunks.extend(fresh.iter().map(|((digest, _), _)| *digest));
        let stored: Vec<Option<ChunkRow>> = self.store.read()?.get_all(fresh.iter().map(|((digest, _), _)| digest.as_bytes().as_slice()))?;
        let mut new: Vec<(Digest, &[u8])> = Vec::new();
        for (((digest, len), chunk), row) in fresh.into_iter().zip(stored) {
            let row = row.filter(|row| !row.lost);
            match chunk {
                Chunk::Cut(bytes) if row.is_none() => new.push((digest, bytes)),
                Chunk::Cut(_) => {}
                Chunk::Known(..) => self.is_whole &= row.is_some_and(|row| row.raw_len == len),
            }
        }
        let level = self.store.compression_level;
        for batch in new.chunks(BATCH) {
            self.frames.resize_with(self.frames.len().max(batch.len()), Vec::new);
            batch.par_iter().zip(&mut self.frames).try_for_each(|((_, bytes), frame)| {
                cancel.check()?;
                compress(bytes, level, frame)
            })?;
            for ((digest, bytes), frame) in batch.iter().zip(&self.frames) {
                self.packs.append(*digest, bytes.len() as u32, frame)?;
            }
        }
        Ok(())
    }
}

/// How the image is put together: its pieces, and the chunks that their bytes are in, one behind the other.
#[derive(Default)]
struct Parts {
    pieces: Vec<Piece>,
    files: Vec<(Digest, u32)>,
    rest: Vec<(Digest, u32)>,
}

impl Parts {
    fn push(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), piece) {
            (Some(Piece::Hole(before)), Piece::Hole(length)) => *before += length,
            (Some(Piece::Data(kind, before)), Piece::Data(same, length)) if *kind == same => *before += length,
            _ => self.pieces.push(piece),
        }
    }

    fn chunks_mut(&mut self, kind: Kind) -> &mut Vec<(Digest, u32)> {
        match kind {
            Kind::Files => &mut self.files,
            Kind::Rest => &mut self.rest,
        }
    }

    fn extents(&self) -> Vec<Extent> {
        let mut extents = Vec::with_capacity(self.files.len() + self.rest.len() + self.pieces.len());
        let (mut files, mut rest) = (Taken { chunks: self.files.iter(), open: None }, Taken { chunks: self.rest.iter(), open: None });
        for piece in &self.pieces {
            match piece {
                Piece::Hole(length) => extents.push(Extent::Hole { length: *length }),
                Piece::Data(Kind::Files, length) => files.take(*length, &mut extents),
                Piece::Data(Kind::Rest, length) => rest.take(*length, &mut extents),
            }
        }
        extents
    }
}

/// Chunks, and the one that is taken in part.
struct Taken<'a> {
    chunks: std::slice::Iter<'a, (Digest, u32)>,
    /// Its digest, its length, and where in it to go on.
    open: Option<(Digest, u32, u32)>,
}

impl Taken<'_> {
    fn take(&mut self, mut length: u64, extents: &mut Vec<Extent>) {
        while length > 0 {
            let (digest, len, offset) = self.open.take().unwrap_or_else(|| {
                let (digest, len) = *self.chunks.next().expect("all data of the pieces is in chunks");
                (digest, len, 0)
            });
            let part = u64::from(len - offset).min(length) as u32;
            extents.push(Extent::Chunk { digest, offset, length: part });
            length -= u64::from(part);
            self.open = (offset + part < len).then_some((digest, len, offset + part));
        }
    }
}

/// Compresses a chunk into `frame`, in place of what is in it.
fn compress(bytes: &[u8], level: i32, frame: &mut Vec<u8>) -> Result<()> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let (_, compressor) = match slot {
            Some(ready) if ready.0 == level => ready,
            other => other.insert((level, zstd::bulk::Compressor::new(level).map_err(Error::Source)?)),
        };
        frame.clear();
        frame.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        compressor.compress_to_buffer(bytes, frame).map(drop).map_err(Error::Source)
    })
}

impl WriteTxn<'_> {
    /// Gives a staged image its place: packs, chunks and manifest, the manifest with one more reference. Says whether all chunks that it needs are
    /// there; if not (they were collected meanwhile), nothing is changed and the image must be staged again.
    pub(crate) fn publish_image(&self, store: &Store, image: &StagedImage) -> Result<bool> {
        let mut chunks = self.table::<ChunkRow>()?;
        let mut rows: HashMap<Digest, ChunkRow> = HashMap::with_capacity(image.chunks.len());
        for digest in &image.chunks {
            if let Some(row) = chunks.get(digest.as_bytes())? {
                rows.insert(*digest, row);
            }
        }
        let mut used = Vec::new();
        for pack in &image.packs {
            // What another process has stored meanwhile stays where it is.
            let mut needed = false;
            for entry in &pack.entries {
                let row = rows.get(&entry.digest);
                if row.is_none_or(|row| row.lost) {
                    let references = row.map_or(0, |row| row.references);
                    let (pack, offset) = (pack.id, entry.offset);
                    rows.insert(
                        entry.digest,
                        ChunkRow { lost: false, references, pack, offset, stored_len: entry.stored_len, raw_len: entry.raw_len },
                    );
                    needed = true;
                }
            }
            if needed {
                used.push(pack);
            }
        }
        if image.chunks.iter().any(|digest| rows.get(digest).is_none_or(|row| row.lost)) {
            return Ok(false);
        }
        for pack in used {
            self.publish_pack(store, pack)?;
            failpoint!("store::image::pack_published");
        }
        // A chunk counts the manifests that name it and are not lost, so a manifest that was there before adds nothing.
        let published = self.publish(store, &image.manifest, 1)?;
        for digest in &image.chunks {
            let mut row = rows[digest];
            if published.counts_anew() {
                row.references = row.references.saturating_add(1);
            }
            chunks.put(digest.as_bytes(), &row)?;
        }
        failpoint!("store::image::rows_written");
        Ok(true)
    }
}
