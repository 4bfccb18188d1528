//! Whole blobs.

use std::collections::HashMap;

use rayon::prelude::*;

use super::count::{Recount, named};
use super::packs::Unreadable;
use super::{Findings, Snapshot, WrongRow, inspect};
use crate::digest::Digest;
use crate::format::blob::{Alias, BlobKind, Header};
use crate::format::record::ImageDocument;
use crate::format::row::BlobRow;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::store::Store;
use crate::store::error::{Object, Problem, Result};
use crate::store::inspect::{Content, Seen};

/// What is known of the blobs that are whole.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    /// The headers of packages and files of repositories: what they are called.
    pub(super) headers: HashMap<Digest, Header>,
    pub(super) aliases: HashMap<Digest, Alias>,
    pub(super) records: HashMap<Digest, ImageDocument>,
    /// How many manifests name a chunk.
    pub(super) recount: Recount,
    /// Manifests with a chunk that cannot be read.
    pub(super) incomplete: Vec<Digest>,
    /// Blobs that cannot be read, those that were known to be lost included.
    pub(super) unreadable: Unreadable,
}

/// Reads all blobs that have a row.
pub(super) fn check(
    store: &Store,
    snapshot: &Snapshot,
    chunks: &Unreadable,
    findings: &mut Findings,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Blobs> {
    let mut blobs = Blobs { recount: Recount { complete: true, ..Recount::default() }, ..Blobs::default() };
    let mut rows: Vec<(&Digest, &BlobRow)> = snapshot.blobs.iter().collect();
    rows.sort_by_key(|(digest, _)| **digest);
    // In parts, so that of all manifests only a few are in memory.
    for part in rows.chunks(rayon::current_num_threads().max(1) * 2) {
        let read = |(digest, row): &(&Digest, &BlobRow)| {
            let Some(file) = snapshot.files.blobs.get(digest) else { return Ok(Err(Problem::Missing)) };
            let seen = inspect::blob(&store.layout.blob(digest), digest, cancel)?;
            progress.report(Event::Advance { phase: Phase::Inspect, by: file.len });
            // A shorter or longer file that is whole all the same is the row's mistake.
            Ok(seen.map(|seen| {
                let right = BlobRow { kind: seen.header.kind, lost: false, references: row.references, raw_len: seen.raw_len, stored_len: file.len };
                (seen, right)
            }))
        };
        let seen: Vec<Result<(Seen, BlobRow), Problem>> = part.par_iter().map(read).collect::<Result<_>>()?;
        for ((digest, row), seen) in part.iter().zip(seen) {
            findings.checked.blobs += 1;
            findings.checked.bytes += snapshot.files.blobs.get(digest).map_or(0, |file| file.len);
            match seen {
                Ok((seen, right)) => {
                    if right != **row {
                        findings.rows.push(WrongRow::Blob(**digest));
                    }
                    let lost = |chunk: &Digest| chunks.contains(chunk) || !snapshot.chunks.contains_key(chunk);
                    blobs.take(**digest, seen, lost, findings);
                }
                Err(problem) => {
                    blobs.unreadable.insert(**digest);
                    // One that was known to be lost counts nothing.
                    blobs.recount.complete &= row.lost || row.kind != BlobKind::Manifest;
                    if !row.lost {
                        findings.damaged.push(store.damage(Object::Blob(**digest), problem));
                    }
                }
            }
        }
    }
    Ok(blobs)
}

impl Blobs {
    fn take(&mut self, digest: Digest, seen: Seen, lost: impl Fn(&Digest) -> bool, findings: &mut Findings) {
        match seen.content {
            Content::Manifest(manifest) => {
                self.recount.manifest(&manifest);
                let lost: Vec<Digest> = named(&manifest).into_keys().filter(lost).collect();
                if !lost.is_empty() {
                    self.incomplete.push(digest);
                }
                for chunk in lost {
                    findings.users.entry(chunk).or_default().push(digest);
                }
            }
            Content::Image(record) => {
                findings.image_names.insert(record.spec_hash, (record.name.clone(), record.version.clone()));
                self.records.insert(digest, *record);
            }
            Content::Alias(alias) => {
                self.aliases.insert(digest, *alias);
            }
            Content::Other if seen.header.kind == BlobKind::Document => {}
            Content::Other => {
                self.headers.insert(digest, seen.header);
            }
        }
    }
}
