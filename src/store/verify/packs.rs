//! Packs and the chunks in them.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::{Findings, Framing, Snapshot, WrongRow, inspect};
use crate::digest::Digest;
use crate::format::FormatError;
use crate::format::pack::{self, Entry};
use crate::format::row::{ChunkRow, PackRow};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::store::Store;
use crate::store::blob::open_if_there;
use crate::store::bundle::chunk;
use crate::store::error::{Damage, Error, Object, Problem, Result};
use crate::store::files::Lying;

/// The chunks that cannot be read.
pub(super) type Unreadable = HashSet<Digest>;

type Rows<'a> = HashMap<Digest, Vec<(&'a Digest, &'a ChunkRow)>>;

/// Reads all packs. Returns the chunks that cannot be read, those that were known to be lost included.
pub(super) fn check(store: &Store, snapshot: &Snapshot, findings: &mut Findings, progress: &dyn Progress, cancel: &Cancel) -> Result<Unreadable> {
    let mut by_pack: Rows<'_> = HashMap::new();
    let mut unreadable = Unreadable::new();
    for (digest, row) in &snapshot.chunks {
        if row.lost {
            unreadable.insert(*digest);
        } else {
            by_pack.entry(row.pack).or_default().push((digest, row));
        }
    }
    for (id, row) in &snapshot.packs {
        let chunks = by_pack.remove(id).unwrap_or_default();
        one(store, id, row, chunks, snapshot.files.packs.get(id), (findings, &mut unreadable), cancel)?;
        let len = snapshot.files.packs.get(id).map_or(0, |file| file.len);
        findings.checked.packs += 1;
        findings.checked.bytes += len;
        progress.report(Event::Advance { phase: Phase::Inspect, by: len });
    }
    // Rows whose pack is not known.
    for (pack, chunks) in by_pack {
        for (digest, _) in chunks {
            lose(store, digest, &pack, Problem::Missing, findings, &mut unreadable);
        }
    }
    Ok(unreadable)
}

fn lose(store: &Store, digest: &Digest, pack: &Digest, problem: Problem, findings: &mut Findings, unreadable: &mut Unreadable) {
    unreadable.insert(*digest);
    findings.damaged.push(Damage { object: Object::Chunk(*digest), path: store.layout.pack(pack), problem });
}

fn one(
    store: &Store,
    id: &Digest,
    row: &PackRow,
    chunks: Vec<(&Digest, &ChunkRow)>,
    lying: Option<&Lying>,
    (findings, unreadable): (&mut Findings, &mut Unreadable),
    cancel: &Cancel,
) -> Result<()> {
    let path = store.layout.pack(id);
    findings.checked.chunks += chunks.len() as u64;
    let opened = match lying {
        Some(file) => open_if_there(&path).map_err(Error::io("open", &path))?.map(|open| (open, file.len)),
        None => None,
    };
    let read = match &opened {
        None => Err(Problem::Missing),
        Some((file, len)) => inspect::table(file, *len, id),
    };
    let entries = match (read, &opened) {
        (Ok(entries), Some((_, len))) => {
            if (row.stored_len, row.chunks) != (*len, entries.len() as u32) {
                findings.rows.push(WrongRow::Pack(*id));
            }
            entries
        }
        // The file is long enough: what is wrong is around the chunks, and the names and places of these are known from somewhere else.
        (Err(problem), Some((file, len))) if *len == row.stored_len => {
            let entries = inspect::bare_table(file, *len, row.chunks, id).or_else(|| table_of_rows(&chunks, row, id));
            let Some(entries) = entries else {
                give_up(store, id, problem, &chunks, findings, unreadable);
                return Ok(());
            };
            let damage = Damage { object: Object::Pack(*id), path: path.clone(), problem };
            findings.framing.push(Framing { damage, entries: entries.clone() });
            entries
        }
        (Err(_), Some((_, len))) => {
            give_up(store, id, Problem::Length { expected: row.stored_len, found: *len }, &chunks, findings, unreadable);
            return Ok(());
        }
        (Err(problem), None) => {
            give_up(store, id, problem, &chunks, findings, unreadable);
            return Ok(());
        }
        (Ok(_), None) => unreachable!("a table was read from a file"),
    };
    let Some((file, _)) = opened else { return Ok(()) };
    let known: HashMap<Digest, Entry> = entries.into_iter().map(|entry| (entry.digest, entry)).collect();
    let mut jobs = Vec::with_capacity(chunks.len());
    for (digest, row) in chunks {
        match known.get(digest) {
            None => {
                let reason = "the pack does not have it";
                lose(store, digest, id, Problem::Format(FormatError::Inconsistent { what: "chunk", reason }), findings, unreadable);
            }
            Some(entry) => {
                let (offset, stored_len, raw_len) = (entry.offset, entry.stored_len, entry.raw_len);
                let right = ChunkRow { offset, stored_len, raw_len, ..*row };
                if right != *row {
                    findings.rows.push(WrongRow::Chunk(*digest, right));
                }
                jobs.push(*entry);
            }
        }
    }
    jobs.sort_by_key(|entry| entry.offset);
    let prove = |entry: &Entry| {
        cancel.check()?;
        let mut stored = vec![0; entry.stored_len as usize];
        let read = inspect::read_at(&file, &mut stored, entry.offset);
        Ok(read.and_then(|()| chunk::decode(&stored, &entry.digest, entry.raw_len.into(), |_| ())).err().map(|problem| (entry.digest, problem)))
    };
    let damaged: Vec<Option<(Digest, Problem)>> = jobs.par_iter().map(prove).collect::<Result<_>>()?;
    for (digest, problem) in damaged.into_iter().flatten() {
        lose(store, &digest, id, problem, findings, unreadable);
    }
    Ok(())
}

/// A pack that is lost, and all chunks with it.
fn give_up(store: &Store, id: &Digest, problem: Problem, chunks: &[(&Digest, &ChunkRow)], findings: &mut Findings, unreadable: &mut Unreadable) {
    unreadable.extend(chunks.iter().map(|(digest, _)| **digest));
    findings.damaged.push(store.damage(Object::Pack(*id), problem));
}

/// The table of a pack as the rows of its chunks have it, if that is the table that it was named after.
fn table_of_rows(chunks: &[(&Digest, &ChunkRow)], row: &PackRow, id: &Digest) -> Option<Vec<Entry>> {
    let mut entries: Vec<Entry> =
        chunks.iter().map(|(digest, row)| Entry { digest: **digest, offset: row.offset, stored_len: row.stored_len, raw_len: row.raw_len }).collect();
    entries.sort_by_key(|entry| entry.offset);
    let (found, _) = pack::encode_footer(&entries).ok()?;
    (found == *id && entries.len() as u32 == row.chunks).then_some(entries)
}
