//! What is missing of a bundle, on its way in: staged under `tmp/` as it was proven, and not yet in the store.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};

use super::{BundleError, BundleReader};
use crate::digest::Digest;
use crate::format::blob::{self, BlobKind, Header};
use crate::format::row::{BlobRow, ChunkRow, PackRow};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::store::error::{Error, Object};
use crate::store::failpoint::failpoint;
use crate::store::packs::{PackWriter, StagedPack};
use crate::store::{ReadTxn, StagedBlob, Store};

/// The chunks that the images of a bundle consist of: how long each must be at least, in bytes.
pub(crate) type Wanted = HashMap<Digest, u64>;

impl Store {
    /// Keeps what the store has of a bundle from being collected, and says what it has not: blobs, then chunks.
    pub(crate) fn missing_of_bundle(&self, reader: &BundleReader<'_>) -> Result<(HashSet<Digest>, HashSet<Digest>), BundleError> {
        let table = reader.table();
        let blobs: HashSet<Digest> = table.blobs.iter().map(|blob| blob.digest).collect();
        let chunks: HashSet<Digest> = table.frames.iter().filter(|frame| frame.kind.is_chunk()).map(|frame| frame.digest).collect();
        let all: Vec<Object> = blobs.iter().map(|digest| Object::Blob(*digest)).chain(chunks.iter().map(|digest| Object::Chunk(*digest))).collect();
        // First held, then looked at: what is there then will be there at the end.
        if self.read()?.get_all::<BlobRow>(blobs.iter().map(|digest| digest.as_bytes().as_slice()))?.iter().any(Option::is_some)
            || self.read()?.get_all::<ChunkRow>(chunks.iter().map(|digest| digest.as_bytes().as_slice()))?.iter().any(Option::is_some)
        {
            self.hold(&all)?;
        }
        let txn = self.read()?;
        let mut missing_blobs = HashSet::new();
        let manifests: HashSet<Digest> = table.contents.images.iter().map(|image| image.manifest).collect();
        for digest in blobs {
            // One that is here as something else is published anew: only then do its chunks count.
            let is_right = |row: BlobRow| row.kind == BlobKind::Manifest || !manifests.contains(&digest);
            if self.intact_blob(&txn, &digest)?.is_none_or(|row| !is_right(row)) {
                missing_blobs.insert(digest);
            }
        }
        let chunks: Vec<Digest> = chunks.into_iter().collect();
        let rows = txn.get_all::<ChunkRow>(chunks.iter().map(|digest| digest.as_bytes().as_slice()))?;
        let mut packs: HashMap<Digest, bool> = HashMap::new();
        let mut missing_chunks = HashSet::new();
        for (digest, row) in chunks.into_iter().zip(rows) {
            let there = match row.filter(|row| !row.lost) {
                None => false,
                Some(row) => match packs.entry(row.pack) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(place) => *place.insert(self.intact_pack(&txn, &row.pack)?),
                },
            };
            if !there {
                missing_chunks.insert(digest);
            }
        }
        Ok((missing_blobs, missing_chunks))
    }

    /// Whether the file of a pack is there with the right length. One that is not is marked as lost, with all its chunks.
    fn intact_pack(&self, txn: &ReadTxn<'_>, id: &Digest) -> Result<bool, Error> {
        let opened = self.open_pack(id, txn.get::<PackRow>(id.as_bytes())?);
        match self.note_damage(opened) {
            Ok(_) => Ok(true),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the next blob of a bundle, and stages its file where it shall be kept: with this header, for what stands in the bundle's own is only its
    /// maker's word, and its frames verbatim. Its raw bytes go to `raw`.
    pub(crate) fn stage_carried(
        &self,
        reader: &mut BundleReader<'_>,
        keep: Option<&Header>,
        raw: &mut dyn Write,
        cancel: &Cancel,
    ) -> Result<Option<StagedBlob>, BundleError> {
        let (Some(entry), Some(header)) = (reader.next_blob(), keep) else {
            reader.blob(None, &mut io::sink(), raw, cancel)?;
            return Ok(None);
        };
        let head = blob::encode_head(header)?;
        let (digest, raw_len, header) = (entry.digest, entry.raw_len, header.clone());
        let mut staged = StagedBlob { digest, header, raw_len, stored_len: 0, path: self.lease()?.fresh("b") };
        let mut file = OpenOptions::new().write(true).create_new(true).open(&staged.path).map_err(Error::io("create", &staged.path))?;
        failpoint!("store::bundle::write");
        reader.blob(Some(&head), &mut file, raw, cancel).map_err(|error| match error {
            BundleError::Write(error) => Error::io("write", &staged.path)(error).into(),
            other => other,
        })?;
        file.sync_data().map_err(Error::io("sync", &staged.path))?;
        failpoint!("store::bundle::synced");
        staged.stored_len = file.metadata().map_err(Error::io("inspect", &staged.path))?.len();
        Ok(Some(staged))
    }

    /// Reads all frames of a bundle, and stages those of `missing` that are `wanted`, verbatim.
    ///
    /// # Errors
    /// A frame that is not what it should be; a wanted chunk that the bundle does not have, or that is too short.
    pub(crate) fn stage_frames(
        &self,
        reader: &mut BundleReader<'_>,
        wanted: &Wanted,
        missing: &HashSet<Digest>,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Vec<StagedPack>, BundleError> {
        let mut packs = PackWriter::new(self.lease()?);
        let mut seen: HashSet<Digest> = HashSet::new();
        reader.frames(cancel, |batch| {
            for (number, frame, stored) in batch {
                progress.report(Event::Advance { phase: Phase::Bundle, by: stored.len() as u64 });
                let Some(needed) = wanted.get(&frame.digest).filter(|_| frame.kind.is_chunk()) else { continue };
                if frame.raw_len < *needed {
                    let problem = crate::store::Problem::Length { expected: *needed, found: frame.raw_len };
                    return Err(BundleError::Frame { number, problem });
                }
                if seen.insert(frame.digest) && missing.contains(&frame.digest) {
                    packs.append(frame.digest, frame.raw_len as u32, &stored)?;
                }
            }
            Ok(())
        })?;
        if seen.len() < wanted.len() {
            let (what, reason) = ("bundle", "a manifest names a chunk that is not in it");
            return Err(crate::format::FormatError::Inconsistent { what, reason }.into());
        }
        Ok(packs.finish()?)
    }
}
