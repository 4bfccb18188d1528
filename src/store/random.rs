//! An image read here and there: the chunks that a stretch needs are decoded and checked, and some stay in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::{Damage, Error, Problem, Result};
use super::restore::{Decoder, Job, Wanted};
use super::{Store, blob};
use crate::format::manifest::Manifest;
use crate::progress::Cancel;

/// Decoded bytes that stay in memory.
const KEPT: usize = 64 << 20;

/// Reads an image of the store at offsets; every byte is checked. It stays readable whatever a collection removes meanwhile.
pub struct ImageReader {
    parts: Parts,
    packs: Vec<File>,
    window: Mutex<Window>,
}

/// Where the parts of an image lie, for a process that has no index ([`ImageReader::open`]).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parts {
    len: u64,
    packs: Vec<PathBuf>,
    /// As they lie in the packs.
    chunks: Vec<Chunk>,
    /// Where the image has which part of a chunk, ascending; what is between is zeros.
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Chunk {
    wanted: Wanted,
    /// Its pack, by its place among them.
    pack: usize,
    /// Where its frame begins, and how long it is.
    offset: u64,
    stored_len: u32,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Place {
    at: u64,
    length: u32,
    /// The place of its chunk among them, and where in it these bytes begin.
    chunk: usize,
    offset: u32,
}

/// What one who reads has decoded: some chunks stay.
pub struct Window {
    decoder: Decoder,
    stored: Vec<u8>,
    /// Decoded chunks, with the time of their last use.
    kept: HashMap<usize, (u64, Arc<[u8]>)>,
    kept_len: usize,
    /// How many bytes stay; one chunk always does.
    limit: usize,
    clock: u64,
}

impl Window {
    /// One for who reads from front to back.
    pub fn narrow() -> Self {
        Self::new(0)
    }

    fn new(limit: usize) -> Self {
        Self { decoder: Decoder::default(), stored: Vec::new(), kept: HashMap::new(), kept_len: 0, limit, clock: 0 }
    }
}

impl Store {
    /// A reader of the image of a manifest.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a chunk is missing; it is already marked as lost.
    pub(crate) fn image_reader(&self, manifest: &Manifest) -> Result<ImageReader> {
        let (parts, packs) = self.parts_and_packs(manifest)?;
        Ok(ImageReader::new(parts, packs))
    }

    /// Where the parts of the image of a manifest lie. A collection may move them at any time.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a chunk is missing; it is already marked as lost.
    pub(crate) fn image_parts(&self, manifest: &Manifest) -> Result<Parts> {
        self.parts_and_packs(manifest).map(|(parts, _)| parts)
    }

    fn parts_and_packs(&self, manifest: &Manifest) -> Result<(Parts, Vec<File>)> {
        let (jobs, packs, _) = self.note_damage(self.settled_plan(manifest))?;
        let (names, files): (Vec<_>, Vec<_>) = packs.into_iter().unzip();
        let numbers: HashMap<_, _> = names.iter().enumerate().map(|(number, name)| (*name, number)).collect();
        let chunk = |job: &Job| {
            let row = &job.row;
            Chunk { wanted: Wanted::of(job), pack: numbers[&row.pack], offset: row.offset, stored_len: row.stored_len }
        };
        let all = jobs.iter().enumerate().flat_map(|(chunk, job)| job.targets.iter().map(move |target| (chunk, *target)));
        let mut places: Vec<Place> =
            all.map(|(chunk, target)| Place { at: target.at, length: target.length, chunk, offset: target.offset }).collect();
        places.sort_by_key(|place| place.at);
        let packs = names.iter().map(|name| self.layout.pack(name)).collect();
        Ok((Parts { len: manifest.raw_len, packs, chunks: jobs.iter().map(chunk).collect(), places }, files))
    }
}

impl ImageReader {
    fn new(parts: Parts, packs: Vec<File>) -> Self {
        Self { parts, packs, window: Mutex::new(Window::new(KEPT)) }
    }

    /// A reader of what lies there.
    ///
    /// # Errors
    /// A pack that is not there any more, or cannot be opened.
    pub fn open(parts: Parts) -> Result<Self> {
        let open =
            |path: &PathBuf| blob::open_if_there(path).and_then(|file| file.ok_or(io::ErrorKind::NotFound.into())).map_err(Error::io("open", path));
        let packs = parts.packs.iter().map(open).collect::<Result<_>>()?;
        Ok(Self::new(parts, packs))
    }

    /// The length of the image in bytes.
    pub fn len(&self) -> u64 {
        self.parts.len
    }

    /// How many files are open for it.
    pub(crate) fn open_files(&self) -> usize {
        self.packs.len()
    }

    /// Whether the image has no bytes.
    pub fn is_empty(&self) -> bool {
        self.parts.len == 0
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] beyond the end; [`io::ErrorKind::InvalidData`] with a [`Damage`] inside for a chunk that is not what it should be.
    pub fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        // It is whole between any two statements, but for bytes that are written anew.
        self.fill_by(&mut self.window.lock().unwrap_or_else(PoisonError::into_inner), buffer, offset)
    }

    /// The same for one of several that read side by side, each by a window of its own.
    ///
    /// # Errors
    /// As for [`ImageReader::fill`].
    pub fn fill_by(&self, window: &mut Window, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let Parts { len, places, .. } = &self.parts;
        let end = offset.checked_add(buffer.len() as u64).filter(|end| end <= len).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.fill(0);
        let first = places.partition_point(|place| place.at + u64::from(place.length) <= offset);
        for place in places[first..].iter().take_while(|place| place.at < end) {
            let (from, to) = (place.at.max(offset), (place.at + u64::from(place.length)).min(end));
            let raw = self.chunk(window, place.chunk).map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
            let skip = u64::from(place.offset) + (from - place.at);
            buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(&raw[skip as usize..(skip + (to - from)) as usize]);
        }
        Ok(())
    }

    /// Reads all of it, and says what is damaged.
    ///
    /// # Errors
    /// The user's wish to stop.
    pub(crate) fn damages(&self, cancel: &Cancel) -> Result<Vec<Damage>> {
        let mut window = Window::narrow();
        let mut damages = Vec::new();
        for number in 0..self.parts.chunks.len() {
            cancel.check()?;
            damages.extend(self.chunk(&mut window, number).err());
        }
        Ok(damages)
    }

    /// A chunk, decoded and checked, and long enough for all its places.
    fn chunk(&self, window: &mut Window, number: usize) -> Result<Arc<[u8]>, Damage> {
        window.clock += 1;
        if let Some((used, raw)) = window.kept.get_mut(&number) {
            *used = window.clock;
            return Ok(Arc::clone(raw));
        }
        let Chunk { wanted, pack, offset, stored_len } = &self.parts.chunks[number];
        window.stored.resize(*stored_len as usize, 0);
        let read = self.packs[*pack].read_exact_at(&mut window.stored, *offset).map_err(Problem::Unreadable);
        let decoded = read.and_then(|()| window.decoder.decode(&window.stored, wanted));
        let raw: Arc<[u8]> = decoded.map_err(|problem| wanted.damage(&self.parts.packs[*pack], problem))?.into();
        window.kept_len += raw.len();
        window.kept.insert(number, (window.clock, Arc::clone(&raw)));
        while window.kept_len > window.limit && window.kept.len() > 1 {
            let Some(oldest) = window.kept.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number) else { break };
            window.kept_len -= window.kept.remove(&oldest).map_or(0, |(_, raw)| raw.len());
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{image, keep, store};
    use super::*;

    #[test]
    fn stretches_of_an_image_are_those_of_its_file() {
        let (_dir, store) = store();
        let dir = tempfile::tempdir().unwrap();
        let (raw, bytes) = image(dir.path(), 40);
        let reader = store.image_reader(&keep(&store, &raw).0).unwrap();
        assert_eq!(reader.len(), bytes.len() as u64);
        // Backwards, across chunks and holes.
        for at in (0..bytes.len()).rev().step_by(300_007) {
            let mut buffer = vec![1; 700_000.min(bytes.len() - at)];
            reader.fill(&mut buffer, at as u64).unwrap();
            assert!(buffer == bytes[at..at + buffer.len()], "at {at}");
        }
        reader.fill(&mut [], reader.len()).unwrap();
        assert_eq!(reader.fill(&mut [0; 2], reader.len() - 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(reader.fill(&mut [0; 2], u64::MAX).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn damage_is_found_where_it_is() {
        let (_dir, store) = store();
        let dir = tempfile::tempdir().unwrap();
        let (raw, bytes) = image(dir.path(), 41);
        let reader = store.image_reader(&keep(&store, &raw).0).unwrap();
        let pack = fs::read_dir(store.dir().join("packs")).unwrap().next().unwrap().unwrap().path();
        let mut content = fs::read(&pack).unwrap();
        content[1 << 20] ^= 4;
        fs::OpenOptions::new().write(true).open(&pack).unwrap().write_all_at(&content, 0).unwrap();
        let mut buffer = vec![0; 4096];
        let read: Vec<_> = (0..bytes.len() as u64 - 4096).step_by(4096).map(|at| reader.fill(&mut buffer, at)).collect();
        let wrong: Vec<_> = read.into_iter().filter_map(io::Result::err).collect();
        assert!((1..300).contains(&wrong.len()), "only one chunk is: {}", wrong.len());
        assert!(wrong.into_iter().all(|error| error.downcast::<Damage>().is_ok()));
    }
}
