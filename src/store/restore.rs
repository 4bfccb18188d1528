//! Writes an image out: chunks are read, decoded and checked on all threads, and land in a sparse file that appears only when it is whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use rayon::prelude::*;

use super::error::{Damage, Error, Object, Problem, Result};
use super::{Store, blob};
use crate::digest::Digest;
use crate::format::manifest::{Extent, MANIFEST_LIMIT, Manifest};
use crate::format::row::{ChunkRow, PackRow};
use crate::progress::{Cancel, Event, Phase, Progress};

/// Compressed bytes that a thread reads at once.
const BATCH: u64 = 2 << 20;

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::default());
}

#[derive(Default)]
struct Decoder {
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    stored: Vec<u8>,
    raw: Vec<u8>,
}

/// A chunk of the image, and where its parts go.
struct Job {
    digest: Digest,
    row: ChunkRow,
    targets: Vec<Target>,
}

/// Bytes `offset..offset + length` of a chunk go to `at`.
#[derive(Clone, Copy)]
struct Target {
    at: u64,
    offset: u32,
    length: u32,
}

impl Store {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is missing or wrong; it is already marked as lost.
    pub(crate) fn read_manifest(&self, digest: &Digest) -> Result<Manifest> {
        let bytes = self.read_blob(digest, MANIFEST_LIMIT as u64)?;
        // The bytes are what the digest says, so a manifest that cannot be read is a program's fault, not the disk's.
        Ok(Manifest::decode(&bytes)?)
    }

    /// Writes the image of a manifest to `out`, replacing what is there once all of it is written. Reports the bytes as [`Phase::Write`].
    ///
    /// # Errors
    /// [`Error::Damaged`] when a chunk is missing or wrong; it is already marked as lost, and `out` is untouched.
    pub(crate) fn restore(&self, manifest: &Manifest, out: &Path, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // As any program would make the file: the umask narrows it.
        builder.prefix(".image-composer-").suffix(".part").permissions(fs::Permissions::from_mode(0o666));
        let part = builder.tempfile_in(parent).map_err(Error::io("create a file in", parent))?;
        part.as_file().set_len(manifest.raw_len).map_err(Error::io("write", out))?;
        progress.report(Event::Start { phase: Phase::Write, total: Some(manifest.raw_len) });
        let written = self.write_chunks(manifest, part.as_file(), out, progress, cancel);
        self.note_damage(written)?;
        part.persist(out).map_err(|error| Error::io("create", out)(error.error))?;
        progress.report(Event::Finish { phase: Phase::Write });
        Ok(())
    }

    fn write_chunks(&self, manifest: &Manifest, file: &File, out: &Path, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
        let (jobs, packs, holes) = self.plan(manifest)?;
        progress.report(Event::Advance { phase: Phase::Write, by: holes });
        batches(&jobs).into_par_iter().try_for_each(|batch| {
            cancel.check()?;
            let written = DECODER.with_borrow_mut(|decoder| self.write_batch(decoder, batch, &packs, file, out))?;
            progress.report(Event::Advance { phase: Phase::Write, by: written });
            Ok(())
        })
    }

    /// The chunks in the order in which the image needs them first, the open packs, and the bytes of all holes.
    fn plan(&self, manifest: &Manifest) -> Result<(Vec<Job>, HashMap<Digest, File>, u64)> {
        let mut order: Vec<(Digest, Vec<Target>)> = Vec::new();
        let mut places: HashMap<Digest, usize> = HashMap::new();
        let (mut at, mut holes) = (0, 0);
        for extent in &manifest.extents {
            match *extent {
                Extent::Hole { length } => holes += length,
                Extent::Chunk { digest, offset, length } => {
                    let place = *places.entry(digest).or_insert_with(|| {
                        order.push((digest, Vec::new()));
                        order.len() - 1
                    });
                    order[place].1.push(Target { at, offset, length });
                }
            }
            at += extent.length();
        }
        let txn = self.read()?;
        let rows = txn.get_all::<ChunkRow>(order.iter().map(|(digest, _)| digest.as_bytes().as_slice()))?;
        let mut packs = HashMap::new();
        let mut jobs = Vec::with_capacity(order.len());
        for ((digest, targets), row) in order.into_iter().zip(rows) {
            let missing = |pack: Option<Digest>| {
                let path = pack.map_or_else(|| self.dir().to_owned(), |pack| self.layout.pack(&pack));
                Error::from(Damage { object: Object::Chunk(digest), path, problem: Problem::Missing })
            };
            let row = row.ok_or_else(|| missing(None))?;
            if row.lost {
                return Err(missing(Some(row.pack)));
            }
            if let std::collections::hash_map::Entry::Vacant(entry) = packs.entry(row.pack) {
                entry.insert(self.open_pack(&row.pack, txn.get::<PackRow>(row.pack.as_bytes())?)?);
            }
            jobs.push(Job { digest, row, targets });
        }
        Ok((jobs, packs, holes))
    }

    fn open_pack(&self, id: &Digest, row: Option<PackRow>) -> Result<File> {
        let path = self.layout.pack(id);
        let damaged = |problem| Damage { object: Object::Pack(*id), path: path.clone(), problem };
        let file = blob::open_if_there(&path).map_err(Error::io("open", &path))?.ok_or_else(|| damaged(Problem::Missing))?;
        let found = file.metadata().map_err(Error::io("inspect", &path))?.len();
        match row {
            Some(row) if row.stored_len != found => Err(damaged(Problem::Length { expected: row.stored_len, found }).into()),
            _ => Ok(file),
        }
    }

    fn write_batch(&self, decoder: &mut Decoder, batch: &[Job], packs: &HashMap<Digest, File>, file: &File, out: &Path) -> Result<u64> {
        let (first, last) = (&batch[0].row, &batch[batch.len() - 1].row);
        let len = (last.offset + u64::from(last.stored_len)).saturating_sub(first.offset) as usize;
        let mut stored = std::mem::take(&mut decoder.stored);
        stored.resize(len, 0);
        let path = self.layout.pack(&first.pack);
        let read = packs[&first.pack].read_exact_at(&mut stored, first.offset);
        let damaged = |job: &Job, problem| Error::from(Damage { object: Object::Chunk(job.digest), path: path.clone(), problem });
        // Which of the batch cannot be read does not matter: the first stands for the pack's trouble, the rest are found on the next attempt.
        read.map_err(|error| damaged(&batch[0], Problem::Unreadable(error)))?;
        let mut written = 0;
        for job in batch {
            let begin = (job.row.offset - first.offset) as usize;
            let frame = &stored[begin..begin + job.row.stored_len as usize];
            let raw = decoder.decode(frame, job.row.raw_len).map_err(|error| damaged(job, Problem::Compression(error)))?;
            let found = Digest::of(raw);
            if found != job.digest {
                return Err(damaged(job, Problem::Digest { found }));
            }
            for target in &job.targets {
                let part = raw.get(target.offset as usize..(target.offset as usize).saturating_add(target.length as usize));
                let part = part.ok_or_else(|| {
                    damaged(job, Problem::Length { expected: u64::from(target.offset) + u64::from(target.length), found: raw.len() as u64 })
                })?;
                file.write_all_at(part, target.at).map_err(Error::io("write", out))?;
                written += part.len() as u64;
            }
        }
        decoder.stored = stored;
        Ok(written)
    }
}

impl Decoder {
    /// Decodes one frame of exactly `raw_len` bytes.
    fn decode(&mut self, frame: &[u8], raw_len: u32) -> std::io::Result<&[u8]> {
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new()?),
        };
        self.raw.clear();
        self.raw.reserve_exact(raw_len as usize);
        decompressor.decompress_to_buffer(frame, &mut self.raw)?;
        Ok(&self.raw)
    }
}

/// Splits the jobs into runs that lie one behind the other in one pack, each of about [`BATCH`] bytes.
fn batches(jobs: &[Job]) -> Vec<&[Job]> {
    let mut batches = Vec::new();
    let mut begin = 0;
    for at in 1..=jobs.len() {
        let ends = jobs.get(at).is_none_or(|next| {
            let (first, before) = (&jobs[begin].row, &jobs[at - 1].row);
            let follows = next.row.pack == before.pack && next.row.offset == before.offset + u64::from(before.stored_len);
            !follows || next.row.offset - first.offset >= BATCH
        });
        if ends {
            batches.push(&jobs[begin..at]);
            begin = at;
        }
    }
    batches
}
