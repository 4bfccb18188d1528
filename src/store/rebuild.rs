//! Makes the index again from the files alone.
//!
//! Every whole blob is proven, and its header, or the alias that it is, says what it is called; image records say what the kept images are; the tables of packs
//! say where chunks lie. Chunks are not read: they are proven whenever they are. Where two files claim the same name, the newest wins: of image records the
//! one that was built last, of files of repositories the one that was fetched last, of packages (and where that does not decide) the one that was written
//! last. What no file knows is lost: times and counts of use, pins, and what the caches were good for. Names that were taken away while their bytes stayed come back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use rayon::prelude::*;

use super::access::Access;
use super::damage::quarantine;
use super::door::Door;
use super::error::{Damage, Error, Object, Problem, Result};
use super::files::{Files, Lying};
use super::inspect::{self, Content, Seen};
use super::layout::{self, Layout};
use super::lease::{self, Lease};
use super::verify::Recount;
use super::{Index, Options, failpoint};
use crate::digest::Digest;
use crate::format::blob::{BlobKind, Header};
use crate::format::pack::Entry;
use crate::format::row::{BlobRow, ChunkRow, ImageRow, MetadataRow, PackRow, PackageRow};
use crate::progress::{Cancel, Event, Phase, Progress};

/// What the new index has.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Whole blobs.
    pub blobs: u64,
    /// Packs.
    pub packs: u64,
    /// Chunks that lie in them.
    pub chunks: u64,
    /// Names of packages.
    pub packages: u64,
    /// Names of files of repositories.
    pub metadata: u64,
    /// Images that can be served.
    pub images: u64,
    /// Images with a part that is missing, by their keys: the next builds of their specs mend them.
    pub damaged_images: Vec<Digest>,
    /// Images that are given up, for want of the manifest, by their keys.
    pub lost_images: Vec<Digest>,
    /// Files that are wrong. They are in the quarantine now.
    pub damaged: Vec<Damage>,
}

/// Puts an index that is made from the files alone in the place of the old one. Needs the store for itself. Reports the bytes of files as
/// [`Phase::Inspect`].
///
/// # Errors
/// [`Error::NotAStore`]; [`Error::InUse`] while another process has the store open; [`Error::ReadOnly`]; the user's wish to stop. The old index stays then.
pub fn rebuild_index(dir: &Path, options: Options, progress: &dyn Progress, cancel: &Cancel) -> Result<Rebuilt> {
    let layout = Layout::existing(dir)?;
    if let Access::ReadOnly(reason) = Access::of(&layout)? {
        return Err(Error::ReadOnly { path: layout.root().to_owned(), reason });
    }
    let _door = Door::shut(&layout)?;
    lease::clean(&layout)?;
    let lease = Lease::take(&layout)?;
    let files = Files::of(&layout)?;
    progress.report(Event::Start { phase: Phase::Inspect, total: Some(files.total_len()) });
    let mut tables = Tables::default();
    tables.read_packs(&layout, &files, progress, cancel)?;
    tables.read_blobs(&layout, &files, progress, cancel)?;
    progress.report(Event::Finish { phase: Phase::Inspect });
    let rebuilt = tables.finish();

    let path = lease.fresh("i");
    let index = Index::open_at(&layout, path.clone(), options)?;
    tables.write(&index)?;
    index.close()?;
    cancel.check()?;
    for damage in &rebuilt.damaged {
        quarantine(&layout, &damage.path)?;
    }
    failpoint!("store::rebuild::swap");
    fs::rename(&path, layout.index()).map_err(Error::io("create", &layout.index()))?;
    failpoint!("store::rebuild::swapped");
    layout::sync_dir(layout.root())?;
    Ok(rebuilt)
}

/// All rows of the new index.
#[derive(Debug, Default)]
struct Tables {
    blobs: HashMap<Digest, BlobRow>,
    chunks: HashMap<Digest, ChunkRow>,
    packs: HashMap<Digest, PackRow>,
    packages: BTreeMap<Vec<u8>, Claim<PackageRow>>,
    metadata: BTreeMap<Vec<u8>, Claim<MetadataRow>>,
    images: BTreeMap<Digest, Claim<ImageRow>>,
    recount: Recount,
    /// The chunks of each manifest that no pack has are known only when all is read.
    manifests: HashMap<Digest, Vec<Digest>>,
    damaged: Vec<Damage>,
}

/// A name, as a file claims it: what decides between two claims, and the row.
#[derive(Debug)]
struct Claim<R> {
    rank: (u64, SystemTime, Digest),
    row: R,
}

fn claim<K: Ord, R>(table: &mut BTreeMap<K, Claim<R>>, key: K, rank: (u64, SystemTime, Digest), row: R) {
    if table.get(&key).is_none_or(|known| known.rank < rank) {
        table.insert(key, Claim { rank, row });
    }
}

impl Tables {
    fn read_packs(&mut self, layout: &Layout, files: &Files, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
        let mut packs: Vec<(&Digest, &Lying)> = files.packs.iter().collect();
        // The newest last: it was written because an older one had lost something.
        packs.sort_by_key(|(id, file)| (file.modified, **id));
        for (id, lying) in packs {
            cancel.check()?;
            let path = layout.pack(id);
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            match inspect::table(&file, lying.len, id) {
                Ok(entries) => self.take_pack(*id, lying.len, &entries),
                Err(problem) => self.damaged.push(Damage { object: Object::Pack(*id), path, problem }),
            }
            progress.report(Event::Advance { phase: Phase::Inspect, by: lying.len });
        }
        Ok(())
    }

    fn take_pack(&mut self, id: Digest, stored_len: u64, entries: &[Entry]) {
        self.packs.insert(id, PackRow { stored_len, chunks: entries.len() as u32, live_len: 0 });
        for entry in entries {
            let (offset, stored_len, raw_len) = (entry.offset, entry.stored_len, entry.raw_len);
            self.chunks.insert(entry.digest, ChunkRow { lost: false, references: 0, pack: id, offset, stored_len, raw_len });
        }
    }

    fn read_blobs(&mut self, layout: &Layout, files: &Files, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
        let all: Vec<(&Digest, &Lying)> = files.blobs.iter().collect();
        let mut aliases = Vec::new();
        // In parts, so that of all manifests only a few are in memory.
        for part in all.chunks(rayon::current_num_threads().max(1) * 2) {
            let read = |(digest, lying): &(&Digest, &Lying)| {
                let seen = inspect::blob(&layout.blob(digest), digest, cancel)?;
                progress.report(Event::Advance { phase: Phase::Inspect, by: lying.len });
                Ok(seen)
            };
            let seen: Vec<Result<Seen, Problem>> = part.par_iter().map(read).collect::<Result<_>>()?;
            for ((digest, lying), seen) in part.iter().zip(seen) {
                match seen {
                    Ok(seen) => self.take_blob(**digest, lying, seen, &mut aliases),
                    Err(problem) => {
                        let path = layout.blob(digest);
                        self.damaged.push(Damage { object: Object::Blob(**digest), path, problem });
                    }
                }
            }
        }
        for (digest, modified, alias) in aliases {
            if self.blobs.contains_key(&alias.digest) {
                self.take_name(alias.digest, Some(digest), modified, alias.header);
            }
        }
        Ok(())
    }

    fn take_blob(&mut self, digest: Digest, lying: &Lying, seen: Seen, aliases: &mut Vec<(Digest, SystemTime, crate::format::blob::Alias)>) {
        let row = BlobRow { kind: seen.header.kind, lost: false, references: 0, raw_len: seen.raw_len, stored_len: lying.len };
        self.blobs.insert(digest, row);
        match seen.content {
            Content::Manifest(manifest) => {
                self.recount.manifest(&manifest);
                let missing = super::verify::named(&manifest).into_keys().filter(|chunk| !self.chunks.contains_key(chunk)).collect();
                self.manifests.insert(digest, missing);
            }
            Content::Image(record) => {
                let (manifest, lock, annotations) = (record.manifest, record.lock, record.annotations);
                let (damaged, pinned, last_used, uses) = (false, false, record.built_at, 0);
                let row = ImageRow {
                    record: digest,
                    manifest,
                    lock,
                    annotations,
                    damaged,
                    pinned,
                    tree: seen.header.kind == BlobKind::Root,
                    last_used,
                    uses,
                };
                claim(&mut self.images, record.spec_hash, (record.built_at, lying.modified, digest), row);
            }
            Content::Alias(alias) => aliases.push((digest, lying.modified, *alias)),
            Content::Other => self.take_name(digest, None, lying.modified, seen.header),
        }
    }

    fn take_name(&mut self, blob: Digest, alias: Option<Digest>, modified: SystemTime, header: Header) {
        let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let holder = alias.unwrap_or(blob);
        if let Some(name) = header.package {
            let row = PackageRow { blob, sha256: name.sha256, alias, pinned: false, added_at: seconds, last_used: seconds, uses: 0 };
            claim(&mut self.packages, name.key(), (0, modified, holder), row);
        }
        if let Some(name) = header.metadata {
            let (key, fetched_at) = (name.key(), name.fetched_at);
            let row = MetadataRow { blob, alias, fetched_at, last_used: fetched_at, attributes: name.attributes };
            claim(&mut self.metadata, key, (fetched_at, modified, holder), row);
        }
    }

    /// Counts references, and sees which images are whole.
    fn finish(&mut self) -> Rebuilt {
        let manifests = std::mem::take(&mut self.manifests);
        let mut rebuilt = Rebuilt { damaged: std::mem::take(&mut self.damaged), ..Rebuilt::default() };
        // Without its manifest, an image has nothing that could be counted.
        rebuilt.lost_images = self.images.iter().filter(|(_, claim)| !manifests.contains_key(&claim.row.manifest)).map(|(key, _)| *key).collect();
        let lost: HashSet<Digest> = rebuilt.lost_images.iter().copied().collect();
        self.images.retain(|key, _| !lost.contains(key));
        for (key, claim) in &mut self.images {
            claim.row.damaged = !manifests[&claim.row.manifest].is_empty();
            if claim.row.damaged {
                rebuilt.damaged_images.push(*key);
            }
            self.recount.image(&claim.row);
        }
        self.packages.values().for_each(|claim| self.recount.package(&claim.row));
        self.metadata.values().for_each(|claim| self.recount.metadata(&claim.row));
        rebuilt.chunks = self.chunks.len() as u64;
        rebuilt.blobs = self.blobs.len() as u64;
        for (digest, references) in &self.recount.blobs {
            // A document that an image names and no file has: who builds the image again stores it again.
            let missing = BlobRow { kind: BlobKind::Document, lost: true, references: 0, raw_len: 0, stored_len: 0 };
            self.blobs.entry(*digest).or_insert(missing).references = *references;
        }
        for (digest, named) in &self.recount.chunks {
            self.chunks.entry(*digest).or_insert_with(|| named.lost_row()).references = named.references;
        }
        rebuilt.packs = self.packs.len() as u64;
        rebuilt.packages = self.packages.len() as u64;
        rebuilt.metadata = self.metadata.len() as u64;
        rebuilt.images = (self.images.len() - rebuilt.damaged_images.len()) as u64;
        rebuilt
    }

    fn write(&self, index: &Index) -> Result<()> {
        let txn = index.write()?;
        for (id, row) in &self.packs {
            txn.put(id.as_bytes(), row)?;
        }
        {
            let mut chunks = txn.table::<ChunkRow>()?;
            for (digest, row) in &self.chunks {
                chunks.put(digest.as_bytes(), row)?;
            }
        }
        {
            let mut blobs = txn.table::<BlobRow>()?;
            for (digest, row) in &self.blobs {
                blobs.put(digest.as_bytes(), row)?;
            }
        }
        for (key, claim) in &self.packages {
            txn.put(key, &claim.row)?;
        }
        for (key, claim) in &self.metadata {
            txn.put(key, &claim.row)?;
        }
        for (key, claim) in &self.images {
            txn.put(key.as_bytes(), &claim.row)?;
        }
        txn.commit()
    }
}
