//! Packs that are half empty, written anew: their live frames go, as they are, into new packs, and their chunks' rows follow.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;

use super::foresee::{is_sparse, to_give};
use super::held_packs;
use crate::digest::Digest;
use crate::format::pack::{self, Entry, TRAILER_LEN};
use crate::format::row::{ChunkRow, PackRow};
use crate::format::skippable;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::store::error::{Damage, Error, Object, Problem, Result};
use crate::store::packs::{PackWriter, StagedPack};
use crate::store::{Store, failpoint};

/// The live chunks of one pack, copied.
struct Copied {
    id: Digest,
    table: Vec<Entry>,
    moved: HashSet<Digest>,
}

impl Store {
    /// Writes the live chunks of sparse packs, and of those named, into new packs, and moves the old ones to the trash. Returns how many bytes the new
    /// ones have. A pack that anybody holds stays.
    pub(super) fn rewrite_packs(&self, named: &[Digest], progress: &dyn Progress, cancel: &Cancel) -> Result<u64> {
        let sources = self.sources(named)?;
        if sources.is_empty() {
            return Ok(0);
        }
        progress.report(Event::Start { phase: Phase::Rewrite, total: Some(sources.iter().map(|(_, row)| row.live_len).sum()) });
        let added = self.rewrite(sources, progress, cancel);
        progress.report(Event::Finish { phase: Phase::Rewrite });
        added
    }

    fn rewrite(&self, sources: Vec<(Digest, PackRow)>, progress: &dyn Progress, cancel: &Cancel) -> Result<u64> {
        let mut writer = PackWriter::new(self.lease()?);
        let mut copies = Vec::with_capacity(sources.len());
        for (id, row) in sources {
            match self.copy_live(&id, row, &mut writer, progress, cancel) {
                Ok(copied) => copies.push(copied),
                // What cannot be read is lost; the rest of the pack stays until it is read again.
                Err(error @ Error::Damaged(_)) => drop(self.note_damage::<()>(Err(error))),
                Err(error) => return Err(error),
            }
        }
        let staged = writer.finish()?;
        self.move_chunks(&copies, &staged)
    }

    fn sources(&self, named: &[Digest]) -> Result<Vec<(Digest, PackRow)>> {
        let txn = self.read()?;
        let held = held_packs(&self.held_now(&txn)?, |digest| txn.get(digest.as_bytes()))?;
        let mut packs = Vec::new();
        txn.scan::<PackRow>(&[], |key, row| {
            packs.push((key.to_owned(), row));
            Ok(ControlFlow::Continue(()))
        })?;
        let packs = packs.into_iter().filter_map(|(key, row)| Some((Digest::from_bytes(key.try_into().ok()?), row)));
        // One that was named when it had something to give may be all live again.
        let gives = |row: &PackRow| row.live_len > 0 && to_give(row) > 0;
        Ok(packs.filter(|(id, row)| !held.contains(id) && gives(row) && (is_sparse(row) || named.contains(id))).collect())
    }

    /// Appends the live chunks of a pack to `writer`, each proven.
    fn copy_live(&self, id: &Digest, row: PackRow, writer: &mut PackWriter, progress: &dyn Progress, cancel: &Cancel) -> Result<Copied> {
        let table = self.pack_table(id)?;
        let path = self.layout.pack(id);
        let file = self.open_pack(id, Some(row))?;
        let rows = self.read()?.get_all::<ChunkRow>(table.iter().map(|entry| entry.digest.as_bytes().as_slice()))?;
        let mut moved = HashSet::new();
        let (mut frame, mut raw) = (Vec::new(), Vec::new());
        let mut decompressor = zstd::bulk::Decompressor::new().map_err(Error::Source)?;
        for (entry, chunk) in table.iter().zip(rows) {
            let live = |row: &ChunkRow| row.pack == *id && row.offset == entry.offset && row.references > 0 && !row.lost;
            if !chunk.as_ref().is_some_and(live) {
                continue;
            }
            cancel.check()?;
            let damaged = |problem| Damage { object: Object::Chunk(entry.digest), path: path.clone(), problem };
            frame.resize(entry.stored_len as usize, 0);
            file.read_exact_at(&mut frame, entry.offset).map_err(|error| damaged(Problem::Unreadable(error)))?;
            raw.clear();
            raw.reserve_exact(entry.raw_len as usize);
            decompressor.decompress_to_buffer(&frame, &mut raw).map_err(|error| damaged(Problem::Compression(error)))?;
            let found = Digest::of(&raw);
            if found != entry.digest {
                return Err(damaged(Problem::Digest { found }).into());
            }
            writer.append(entry.digest, entry.raw_len, &frame)?;
            progress.report(Event::Advance { phase: Phase::Rewrite, by: entry.stored_len.into() });
            moved.insert(entry.digest);
        }
        Ok(Copied { id: *id, table, moved })
    }

    /// Gives the new packs their places, and the chunks their new ones.
    fn move_chunks(&self, copies: &[Copied], staged: &[StagedPack]) -> Result<u64> {
        let mut places: HashMap<Digest, (Digest, Entry)> = HashMap::new();
        for pack in staged {
            places.extend(pack.entries.iter().map(|entry| (entry.digest, (pack.id, *entry))));
        }
        let txn = self.write()?;
        let held = held_packs(&self.held(&txn)?, |digest| txn.get(digest.as_bytes()))?;
        let mut going = Vec::new();
        // A pack whose every chunk was copied is its own copy.
        let same = |id: &Digest| staged.iter().any(|pack| pack.id == *id);
        for copied in copies.iter().filter(|copied| !held.contains(&copied.id) && !same(&copied.id)) {
            let mut chunks = txn.table::<ChunkRow>()?;
            let mut rows = Vec::with_capacity(copied.table.len());
            for entry in &copied.table {
                rows.extend(chunks.get(entry.digest.as_bytes())?.filter(|row| row.pack == copied.id).map(|row| (entry.digest, row)));
            }
            // One that came to life meanwhile was not copied: the pack has its next turn.
            if rows.iter().any(|(digest, row)| row.references > 0 && !row.lost && !copied.moved.contains(digest)) {
                continue;
            }
            for (digest, row) in rows.iter().filter(|(_, row)| row.references > 0 && !row.lost) {
                if let Some((pack, entry)) = places.get(digest) {
                    chunks.put(digest.as_bytes(), &ChunkRow { pack: *pack, offset: entry.offset, ..*row })?;
                }
            }
            going.push(copied);
        }
        if going.is_empty() {
            return Ok(0);
        }
        for pack in staged {
            txn.publish_pack(self, pack)?;
            failpoint!("store::gc::pack_published");
        }
        for copied in going {
            let row = txn.get::<PackRow>(copied.id.as_bytes())?;
            if let Some(row) = row {
                txn.drop_pack(&copied.id, row, Some(&copied.table))?;
            }
        }
        failpoint!("store::gc::rewritten");
        txn.commit()?;
        Ok(staged.iter().map(|pack| pack.stored_len).sum())
    }

    /// The table of a pack, as its file has it.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a missing file and for a table that is wrong. It is not marked: this may run inside the write transaction.
    pub(crate) fn pack_table(&self, id: &Digest) -> Result<Vec<Entry>> {
        let path = self.layout.pack(id);
        let damaged = |problem| Damage { object: Object::Pack(*id), path: path.clone(), problem };
        let file = self.open_pack(id, None)?;
        let len = file.metadata().map_err(Error::io("inspect", &path))?.len();
        let read = |bytes: &mut [u8], at: u64| file.read_exact_at(bytes, at).map_err(|error| damaged(Problem::Unreadable(error)));
        let mut trailer = [0; TRAILER_LEN];
        read(
            &mut trailer,
            len.checked_sub(TRAILER_LEN as u64).ok_or_else(|| damaged(Problem::Length { expected: TRAILER_LEN as u64, found: len }))?,
        )?;
        let trailer = pack::decode_trailer(&trailer).map_err(|error| damaged(Problem::Format(error)))?;
        let mut table = vec![0; skippable::HEAD_LEN + trailer.table_len()];
        let footer_len = (table.len() + TRAILER_LEN) as u64;
        read(&mut table, len.checked_sub(footer_len).ok_or_else(|| damaged(Problem::Length { expected: footer_len, found: len }))?)?;
        let table = pack::decode_table(&table, &trailer, len).map_err(|error| damaged(Problem::Format(error)))?;
        if trailer.id != *id {
            return Err(damaged(Problem::Digest { found: trailer.id }).into());
        }
        Ok(table)
    }
}
