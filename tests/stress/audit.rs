//! What must hold of a store that nobody has open, found from its index and its files.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use image_composer::digest::Digest;
use image_composer::format::blob::BlobKind;
use image_composer::format::manifest::Manifest;
use image_composer::format::record::ImageDocument;
use image_composer::format::row::{BlobRow, ChunkRow, ImageRow, MetadataRow, PackRow, PackageRow, Row, TrashRow};
use image_composer::format::totals::{Amount, Total, TotalRow};
use image_composer::store::open_file;
use redb::{ConcurrencyMode, Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// All that is wrong: rows without their bytes, wrong bytes, counts that are no recount, damage that nobody did.
pub(super) fn wrong(store: &Path) -> Vec<String> {
    let audit = Audit::new(store);
    let mut wrong = Vec::new();
    audit.blobs(&mut wrong);
    audit.chunks(&mut wrong);
    audit.names(&mut wrong);
    audit.references(&mut wrong);
    audit.totals(&mut wrong);
    wrong
}

/// What a collection should have taken away: files without rows, rows that nothing refers to, what was in the making.
pub(super) fn left(store: &Path) -> Vec<String> {
    let audit = Audit::new(store);
    let mut left: Vec<String> = audit.strays().iter().map(|path| format!("{} has no row", path.display())).collect();
    left.extend(audit.trash.keys().map(|key| format!("{key:?} is in the trash")));
    left.extend(audit.blobs.iter().filter(|(_, row)| row.references == 0).map(|(digest, _)| format!("nothing refers to the blob {digest}")));
    left.extend(audit.packs.iter().filter(|(_, row)| row.live_len == 0).map(|(id, _)| format!("nothing is live in the pack {id}")));
    for dir in ["tmp", "leases", "quarantine"] {
        left.extend(files(&store.join(dir)).iter().map(|path| format!("{} is there", path.display())));
    }
    left
}

struct Audit {
    store: PathBuf,
    blobs: BTreeMap<Digest, BlobRow>,
    chunks: BTreeMap<Digest, ChunkRow>,
    packs: BTreeMap<Digest, PackRow>,
    packages: BTreeMap<Vec<u8>, PackageRow>,
    images: BTreeMap<Digest, ImageRow>,
    metadata: BTreeMap<Vec<u8>, MetadataRow>,
    trash: BTreeMap<Vec<u8>, TrashRow>,
    totals: BTreeMap<Vec<u8>, TotalRow>,
}

impl Audit {
    fn new(store: &Path) -> Self {
        let mut builder = Database::builder();
        let index = builder.set_concurrency_mode(ConcurrencyMode::MultiWriter).open(store.join("index.redb")).unwrap();
        Self {
            store: store.to_owned(),
            blobs: by_digest(&index),
            chunks: by_digest(&index),
            packs: by_digest(&index),
            packages: rows(&index).collect(),
            images: by_digest(&index),
            metadata: rows(&index).collect(),
            trash: rows(&index).collect(),
            totals: rows(&index).collect(),
        }
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.store.join("blobs").join(&name[..2]).join(format!("{name}.zst"))
    }

    fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut reader = open_file(&self.blob_path(digest), digest).map_err(|error| error.to_string())?;
        reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn blobs(&self, wrong: &mut Vec<String>) {
        for (digest, row) in &self.blobs {
            if row.lost {
                wrong.push(format!("the blob {digest} counts as lost"));
                continue;
            }
            match self.read_blob(digest) {
                Err(error) => wrong.push(format!("the blob {digest} cannot be read: {error}")),
                Ok(bytes) if bytes.len() as u64 != row.raw_len => wrong.push(format!("the blob {digest} has another length than its row")),
                Ok(_) => {}
            }
            if fs::metadata(self.blob_path(digest)).is_ok_and(|file| file.len() != row.stored_len) {
                wrong.push(format!("the file of the blob {digest} has another length than its row"));
            }
            if self.trash.contains_key([&[0], digest.as_bytes().as_slice()].concat().as_slice()) {
                wrong.push(format!("the blob {digest} has a row, and is in the trash"));
            }
        }
    }

    fn chunks(&self, wrong: &mut Vec<String>) {
        let mut packs: HashMap<Digest, Vec<u8>> = HashMap::new();
        for (id, row) in &self.packs {
            let bytes = fs::read(self.store.join("packs").join(format!("{id}.pack"))).unwrap_or_default();
            if bytes.len() as u64 != row.stored_len {
                wrong.push(format!("the pack {id} is {} bytes long instead of {}", bytes.len(), row.stored_len));
            }
            if self.trash.contains_key([&[2], id.as_bytes().as_slice()].concat().as_slice()) {
                wrong.push(format!("the pack {id} has a row, and is in the trash"));
            }
            packs.insert(*id, bytes);
        }
        for (digest, row) in &self.chunks {
            if row.lost {
                wrong.push(format!("the chunk {digest} counts as lost"));
                continue;
            }
            let frame = packs.get(&row.pack).and_then(|pack| pack.get(row.offset as usize..)?.get(..row.stored_len as usize));
            let raw = frame.and_then(|frame| zstd::bulk::decompress(frame, row.raw_len as usize).ok());
            if raw.is_none_or(|raw| Digest::of(&raw) != *digest) {
                wrong.push(format!("the chunk {digest} is not in its pack {}", row.pack));
            }
        }
    }

    fn names(&self, wrong: &mut Vec<String>) {
        for (spec, row) in &self.images {
            if row.damaged {
                wrong.push(format!("the image {spec} counts as damaged"));
            }
            let record = self.read_blob(&row.record).ok().and_then(|bytes| ImageDocument::decode(&bytes).ok());
            let same = |record: &ImageDocument| (record.spec_hash, record.manifest, record.lock, record.annotations);
            if record.as_ref().map(same) != Some((*spec, row.manifest, row.lock, row.annotations)) {
                wrong.push(format!("the record of the image {spec} does not fit to its row"));
            }
        }
        for (key, row) in &self.packages {
            let bytes = self.read_blob(&row.blob).unwrap_or_default();
            if image_composer::digest::Sha256::of(&bytes) != row.sha256 {
                wrong.push(format!("the package {} is not what was promised", String::from_utf8_lossy(key)));
            }
        }
    }

    fn references(&self, wrong: &mut Vec<String>) {
        let mut blobs: BTreeMap<Digest, u32> = BTreeMap::new();
        let packages = self.packages.values().flat_map(|row| [Some(row.blob), row.alias]);
        let metadata = self.metadata.values().flat_map(|row| [Some(row.blob), row.alias]);
        let images = self.images.values().flat_map(|row| [row.record, row.manifest, row.lock, row.annotations].map(Some));
        for digest in packages.chain(metadata).chain(images).flatten() {
            *blobs.entry(digest).or_default() += 1;
        }
        let mut chunks: BTreeMap<Digest, u32> = BTreeMap::new();
        for (digest, _) in self.blobs.iter().filter(|(_, row)| row.kind == BlobKind::Manifest && !row.lost) {
            let manifest = self.read_blob(digest).ok().and_then(|bytes| Manifest::decode(&bytes).ok());
            for chunk in manifest.map(|manifest| manifest.chunks()).unwrap_or_default() {
                *chunks.entry(chunk).or_default() += 1;
            }
        }
        let counted = |rows: BTreeMap<Digest, u32>, counts: &BTreeMap<Digest, u32>, what: &str, wrong: &mut Vec<String>| {
            for (digest, references) in &rows {
                let counted = counts.get(digest).copied().unwrap_or(0);
                if *references != counted {
                    wrong.push(format!("the {what} {digest} has {references} references, a recount says {counted}"));
                }
            }
            wrong.extend(counts.keys().filter(|digest| !rows.contains_key(digest)).map(|digest| format!("the {what} {digest} has no row")));
        };
        counted(self.blobs.iter().map(|(digest, row)| (*digest, row.references)).collect(), &blobs, "blob", wrong);
        counted(self.chunks.iter().map(|(digest, row)| (*digest, row.references)).collect(), &chunks, "chunk", wrong);
    }

    fn totals(&self, wrong: &mut Vec<String>) {
        let mut totals: BTreeMap<Total, Amount> = BTreeMap::new();
        let mut live: BTreeMap<Digest, u64> = BTreeMap::new();
        let shares = self.blobs.values().map(Row::share).chain(self.chunks.values().map(Row::share)).chain(self.packs.values().map(Row::share));
        for share in shares {
            if let Some((total, amount)) = share.total {
                let sum = totals.entry(total).or_default();
                *sum = sum.plus(amount);
            }
            if let Some((pack, len)) = share.live {
                *live.entry(pack).or_default() += len;
            }
        }
        for (key, row) in &self.totals {
            let total = Total::from_key(key).unwrap();
            let counted = totals.remove(&total).unwrap_or_default();
            if row.0 != counted {
                wrong.push(format!("the counters of {total:?} are {:?}, a recount says {counted:?}", row.0));
            }
        }
        wrong.extend(totals.iter().filter(|(_, amount)| amount.count > 0).map(|(total, amount)| format!("{total:?} is not counted: {amount:?}")));
        for (id, row) in &self.packs {
            let counted = live.get(id).copied().unwrap_or(0);
            if row.live_len != counted {
                wrong.push(format!("the pack {id} has {} live bytes, a recount says {counted}", row.live_len));
            }
        }
    }

    /// Files in the places of blobs and packs that have no row.
    fn strays(&self) -> Vec<PathBuf> {
        let mut strays: Vec<PathBuf> = files(&self.store.join("blobs")).iter().flat_map(|dir| files(dir)).collect();
        strays.extend(files(&self.store.join("packs")));
        strays.retain(|path| {
            let digest = path.file_stem().and_then(|name| name.to_str()?.parse::<Digest>().ok());
            !digest.is_some_and(|digest| self.blobs.contains_key(&digest) || self.packs.contains_key(&digest))
        });
        strays
    }
}

/// All rows of a table.
fn rows<R: Row>(index: &Database) -> impl Iterator<Item = (Vec<u8>, R)> {
    let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(R::TABLE);
    let txn = index.begin_read().unwrap();
    let mut rows = Vec::new();
    // A store that a process was killed in while it was made has no tables yet.
    if let Ok(table) = txn.open_table(definition) {
        for entry in table.iter().unwrap() {
            let (key, row) = entry.unwrap();
            rows.push((key.value().to_owned(), R::decode(row.value()).unwrap()));
        }
    }
    rows.into_iter()
}

fn by_digest<R: Row>(index: &Database) -> BTreeMap<Digest, R> {
    rows(index).map(|(key, row)| (Digest::from_bytes(key.try_into().unwrap()), row)).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}
