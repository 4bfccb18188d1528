//! An image read here and there: the chunks that a stretch needs are decoded and checked, and some stay in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{Damage, Object, Problem, Result};
use super::layout::Layout;
use super::restore::{Decoder, Job};
use super::{Store, error};
use crate::digest::Digest;
use crate::format::manifest::Manifest;

/// Decoded bytes that stay in memory.
const KEPT: usize = 64 << 20;

/// Reads an image of the store at offsets; every byte is checked. It stays readable whatever a collection removes meanwhile.
pub struct ImageReader {
    len: u64,
    jobs: Vec<Job>,
    packs: HashMap<Digest, File>,
    layout: Layout,
    /// Where the image has which part of a chunk, ascending; what is between is zeros.
    places: Vec<Place>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    length: u32,
    /// The place of its chunk among the jobs, and where in it these bytes begin.
    job: usize,
    offset: u32,
}

#[derive(Default)]
struct State {
    decoder: Decoder,
    stored: Vec<u8>,
    /// Decoded chunks by their jobs, with the time of their last use.
    kept: HashMap<usize, (u64, Arc<[u8]>)>,
    kept_len: usize,
    clock: u64,
}

impl Store {
    /// A reader of the image of a manifest.
    ///
    /// # Errors
    /// [`error::Error::Damaged`] when a chunk is missing; it is already marked as lost.
    pub(crate) fn image_reader(&self, manifest: &Manifest) -> Result<ImageReader> {
        let (jobs, packs, _) = self.note_damage(self.settled_plan(manifest))?;
        let all = jobs.iter().enumerate().flat_map(|(job, of)| of.targets.iter().map(move |target| (job, *target)));
        let mut places: Vec<Place> = all.map(|(job, target)| Place { at: target.at, length: target.length, job, offset: target.offset }).collect();
        places.sort_by_key(|place| place.at);
        Ok(ImageReader { len: manifest.raw_len, jobs, packs, layout: self.layout.clone(), places, state: Mutex::default() })
    }
}

impl ImageReader {
    /// The length of the image in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the image has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] beyond the end; [`io::ErrorKind::InvalidData`] with a [`Damage`] inside for a chunk that is not what it should be.
    pub fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.len).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.fill(0);
        let first = self.places.partition_point(|place| place.at + u64::from(place.length) <= offset);
        for place in self.places[first..].iter().take_while(|place| place.at < end) {
            let (from, to) = (place.at.max(offset), (place.at + u64::from(place.length)).min(end));
            let raw = self.chunk(place.job).map_err(|problem| self.damage(place.job, problem))?;
            let skip = u64::from(place.offset) + (from - place.at);
            buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(&raw[skip as usize..(skip + (to - from)) as usize]);
        }
        Ok(())
    }

    /// A chunk, decoded and checked, and long enough for all its places.
    fn chunk(&self, number: usize) -> Result<Arc<[u8]>, Problem> {
        // It is whole between any two statements, but for bytes that are written anew.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        state.clock += 1;
        if let Some((used, raw)) = state.kept.get_mut(&number) {
            *used = state.clock;
            return Ok(Arc::clone(raw));
        }
        let job = &self.jobs[number];
        state.stored.resize(job.row.stored_len as usize, 0);
        let pack = self.packs.get(&job.row.pack).ok_or(Problem::Missing)?;
        pack.read_exact_at(&mut state.stored, job.row.offset).map_err(Problem::Unreadable)?;
        let raw: Arc<[u8]> = state.decoder.decode(&state.stored, job)?.into();
        state.kept_len += raw.len();
        state.kept.insert(number, (state.clock, Arc::clone(&raw)));
        while state.kept_len > KEPT && state.kept.len() > 1 {
            let Some(oldest) = state.kept.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number) else { break };
            state.kept_len -= state.kept.remove(&oldest).map_or(0, |(_, raw)| raw.len());
        }
        Ok(raw)
    }

    fn damage(&self, number: usize, problem: error::Problem) -> io::Error {
        let job = &self.jobs[number];
        io::Error::new(io::ErrorKind::InvalidData, Damage { object: Object::Chunk(job.digest), path: self.layout.pack(&job.row.pack), problem })
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
