//! Mends what was found, in one transaction. Everything is looked at once more before it is changed: other processes went on meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};

use super::count::Recount;
use super::{Findings, Framing, Name, WrongName, WrongRow, inspect};
use crate::digest::Digest;
use crate::format::blob::{Alias, BlobKind, Header, MetadataName, PackageName};
use crate::format::pack::{self, HEAD_LEN};
use crate::format::record::{ImageDocument, RECORD_LIMIT};
use crate::format::row::{BlobRow, ChunkRow, ImageRow, MetadataRow, PackRow, PackageRow};
use crate::progress::Cancel;
use crate::store::error::{Error, Object, Result};
use crate::store::failpoint::failpoint;
use crate::store::{StagedBlob, Store, WriteTxn, layout, open_file};

/// What a repair did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Blobs, chunks and packs that count as missing from now on; their files are in the quarantine.
    pub given_up: u64,
    /// Packs, rows and counts that are right again.
    pub corrected: u64,
    /// Names that were taken away.
    pub names_removed: u64,
    /// Images that are not served any more until they are built again.
    pub images_marked: u64,
    /// Names that are in a file again.
    pub names_written: u64,
    /// Files that were taken away because nothing knew them.
    pub orphans_removed: u64,
    /// How many bytes they had.
    pub bytes_freed: u64,
}

impl Store {
    /// Mends what a check of this store found. What cannot be mended counts as missing from now on.
    ///
    /// # Errors
    /// A store that cannot be written to, the user's wish to stop; nothing was changed then but files that were put aside.
    pub(crate) fn repair(&self, findings: &Findings, cancel: &Cancel) -> Result<Repaired> {
        self.check_writable()?;
        let mut done = Repaired::default();
        let mut packs = Vec::new();
        for framing in &findings.framing {
            packs.push((framing, self.reframe(framing, cancel)?));
        }
        let names = self.stage_names(findings)?;
        cancel.check()?;
        let txn = self.write()?;
        for (framing, staged) in &packs {
            done.corrected += u64::from(self.put_pack(&txn, framing, staged.as_ref())?);
        }
        for row in &findings.rows {
            done.corrected += u64::from(self.put_row(&txn, row, cancel)?);
        }
        for damage in &findings.damaged {
            let given_up = match damage.object {
                Object::Blob(digest) => self.lose_blob(&txn, &digest)?,
                Object::Chunk(digest) => self.lose_chunk(&txn, &digest, &damage.path)?,
                Object::Pack(id) => self.give_up_pack(&txn, &id)?,
            };
            done.given_up += u64::from(given_up);
        }
        for wrong in &findings.names {
            done.names_removed += u64::from(remove_name(&txn, wrong)?);
        }
        for (key, record) in &findings.images {
            // One that was built again meanwhile is another one.
            if let Some(row) = txn.get::<ImageRow>(key.as_bytes())?.filter(|row| !row.damaged && row.record == *record) {
                txn.put(key.as_bytes(), &ImageRow { damaged: true, ..row })?;
                done.images_marked += 1;
            }
        }
        for (name, staged) in &names {
            done.names_written += u64::from(self.put_alias(&txn, name, staged)?);
        }
        failpoint!("store::verify::mended");
        if !findings.counts.is_empty() || done != Repaired::default() {
            done.corrected += self.put_counts(&txn, cancel)?;
        }
        if findings.counters > 0 {
            done.corrected += txn.put_counters()?;
        }
        for orphan in &findings.orphans {
            if is_orphan(&txn, &orphan.object)? && remove(&orphan.path)? {
                done.orphans_removed += 1;
                done.bytes_freed += orphan.len;
            }
        }
        txn.commit()?;
        Ok(done)
    }

    /// Writes a pack again around the frames that it has; none if that does not give the pack of this name.
    fn reframe(&self, framing: &Framing, cancel: &Cancel) -> Result<Option<Reframed>> {
        let Object::Pack(id) = framing.damage.object else { return Ok(None) };
        let (found, footer) = pack::encode_footer(&framing.entries)?;
        let Some(last) = framing.entries.last().filter(|_| found == id) else { return Ok(None) };
        let from = &framing.damage.path;
        let frames_len = last.offset + u64::from(last.stored_len) - HEAD_LEN;
        let staged = Reframed { path: self.lease()?.fresh("p"), stored_len: HEAD_LEN + frames_len + footer.len() as u64 };
        let mut out = OpenOptions::new().write(true).create_new(true).open(&staged.path).map_err(Error::io("create", &staged.path))?;
        let mut source = File::open(from).map_err(Error::io("open", from))?;
        source.seek(io::SeekFrom::Start(HEAD_LEN)).map_err(Error::io("read", from))?;
        out.write_all(&pack::encode_head()).map_err(Error::io("write", &staged.path))?;
        let (mut source, mut buffer) = (source.take(frames_len), vec![0; 1 << 20]);
        loop {
            cancel.check()?;
            match source.read(&mut buffer).map_err(Error::io("read", from))? {
                0 => break,
                read => out.write_all(&buffer[..read]).map_err(Error::io("write", &staged.path))?,
            }
        }
        out.write_all(&footer).and_then(|()| out.sync_data()).map_err(Error::io("write", &staged.path))?;
        Ok(Some(staged))
    }

    fn put_pack(&self, txn: &WriteTxn<'_>, framing: &Framing, staged: Option<&Reframed>) -> Result<bool> {
        let (Object::Pack(id), Some(staged)) = (framing.damage.object, staged) else { return Ok(false) };
        if txn.get::<PackRow>(id.as_bytes())?.is_none_or(|row| row.stored_len != staged.stored_len) {
            return Ok(false);
        }
        layout::publish(&staged.path, &self.layout.pack(&id))?;
        Ok(true)
    }

    /// Lets a row say what its file says.
    fn put_row(&self, txn: &WriteTxn<'_>, row: &WrongRow, cancel: &Cancel) -> Result<bool> {
        match *row {
            WrongRow::Blob(digest) => {
                let (path, mut blobs) = (self.layout.blob(&digest), txn.table::<BlobRow>()?);
                let Some(row) = blobs.get(digest.as_bytes())? else { return Ok(false) };
                let Ok(seen) = inspect::blob(&path, &digest, cancel)? else { return Ok(false) };
                let stored_len = fs::metadata(&path).map_err(Error::io("inspect", &path))?.len();
                blobs.put(digest.as_bytes(), &BlobRow { kind: seen.header.kind, lost: false, raw_len: seen.raw_len, stored_len, ..row })?;
            }
            WrongRow::Chunk(digest, right) => {
                let mut chunks = txn.table::<ChunkRow>()?;
                let Some(row) = chunks.get(digest.as_bytes())?.filter(|row| row.pack == right.pack) else { return Ok(false) };
                chunks.put(digest.as_bytes(), &ChunkRow { references: row.references, lost: row.lost, ..right })?;
            }
            WrongRow::Pack(id) => {
                let path = self.layout.pack(&id);
                let Some(row) = txn.get::<PackRow>(id.as_bytes())? else { return Ok(false) };
                let file = File::open(&path).map_err(Error::io("open", &path))?;
                let len = file.metadata().map_err(Error::io("inspect", &path))?.len();
                let Ok(entries) = inspect::table(&file, len, &id) else { return Ok(false) };
                txn.put(id.as_bytes(), &PackRow { stored_len: len, chunks: entries.len() as u32, ..row })?;
            }
            WrongRow::Image(key) => {
                let Some(row) = txn.get::<ImageRow>(key.as_bytes())? else { return Ok(false) };
                let bytes = open_file(&self.layout.blob(&row.record), &row.record).and_then(|reader| reader.read_all(RECORD_LIMIT as u64));
                let Some(record) = bytes.ok().and_then(|bytes| ImageDocument::decode(&bytes).ok()) else { return Ok(false) };
                let (manifest, lock, annotations) = (record.manifest, record.lock, record.annotations);
                txn.put(key.as_bytes(), &ImageRow { manifest, lock, annotations, ..row })?;
            }
        }
        Ok(true)
    }

    /// A pack whose table is lost is lost as a whole, though its file has the right length.
    fn give_up_pack(&self, txn: &WriteTxn<'_>, id: &Digest) -> Result<bool> {
        let path = self.layout.pack(id);
        let Some(row) = txn.get::<PackRow>(id.as_bytes())? else { return Ok(false) };
        let whole = File::open(&path).is_ok_and(|file| inspect::table(&file, row.stored_len, id).is_ok());
        if whole { Ok(false) } else { self.forget_pack(txn, id) }
    }

    /// Stages an alias for each name that no file has.
    fn stage_names(&self, findings: &Findings) -> Result<Vec<(Name, StagedBlob)>> {
        let txn = self.read()?;
        let mut staged = Vec::new();
        for name in &findings.unwritten {
            let alias = match name {
                Name::Package(key) => txn.get::<PackageRow>(key)?.and_then(|row| Some((row.blob, Header::package(package_name(key, &row)?)))),
                Name::Metadata(key) => txn.get::<MetadataRow>(key)?.and_then(|row| Some((row.blob, Header::metadata(metadata_name(key, &row)?)))),
                Name::Image(_) => None,
            };
            if let Some((digest, header)) = alias {
                staged.push((name.clone(), self.stage_bytes(Header::unnamed(BlobKind::Alias), &Alias { digest, header }.encode()?)?));
            }
        }
        Ok(staged)
    }

    fn put_alias(&self, txn: &WriteTxn<'_>, name: &Name, staged: &StagedBlob) -> Result<bool> {
        // The count is made right with all others.
        let alias = Some(staged.digest);
        match name {
            Name::Package(key) => match txn.get::<PackageRow>(key)? {
                Some(row) => txn.put(key, &PackageRow { alias, ..row })?,
                None => return Ok(false),
            },
            Name::Metadata(key) => match txn.get::<MetadataRow>(key)? {
                Some(row) => txn.put(key, &MetadataRow { alias, ..row })?,
                None => return Ok(false),
            },
            Name::Image(_) => return Ok(false),
        }
        txn.publish(self, staged, 0)?;
        Ok(true)
    }

    /// Makes all counts right. Returns how many were not.
    fn put_counts(&self, txn: &WriteTxn<'_>, cancel: &Cancel) -> Result<u64> {
        let mut recount = Recount { complete: true, ..Recount::default() };
        txn.table::<PackageRow>()?.all()?.iter().for_each(|(_, row)| recount.package(row));
        txn.table::<MetadataRow>()?.all()?.iter().for_each(|(_, row)| recount.metadata(row));
        txn.table::<ImageRow>()?.all()?.iter().for_each(|(_, row)| recount.image(row));
        let mut corrected = 0;
        let mut blobs = txn.table::<BlobRow>()?;
        for (key, row) in blobs.all()? {
            let Ok(digest) = key.as_slice().try_into().map(Digest::from_bytes) else { continue };
            if row.kind == BlobKind::Manifest && !row.lost {
                match inspect::blob(&self.layout.blob(&digest), &digest, cancel)? {
                    Ok(seen) => {
                        if let inspect::Content::Manifest(manifest) = seen.content {
                            recount.manifest(&manifest);
                        }
                    }
                    Err(_) => recount.complete = false,
                }
            }
            let references = recount.blobs.get(&digest).copied().unwrap_or(0);
            if references != row.references {
                blobs.put(&key, &BlobRow { references, ..row })?;
                corrected += 1;
            }
        }
        drop(blobs);
        let mut chunks = txn.table::<ChunkRow>()?;
        for (key, row) in chunks.all()? {
            let Ok(digest) = key.as_slice().try_into().map(Digest::from_bytes) else { continue };
            let references = recount.chunk(&digest, row.references);
            recount.chunks.remove(&digest);
            if references != row.references {
                chunks.put(&key, &ChunkRow { references, ..row })?;
                corrected += 1;
            }
        }
        for (digest, named) in &recount.chunks {
            chunks.put(digest.as_bytes(), &named.lost_row())?;
            corrected += 1;
        }
        Ok(corrected)
    }
}

/// A pack that was written again.
struct Reframed {
    path: std::path::PathBuf,
    stored_len: u64,
}

impl Drop for Reframed {
    fn drop(&mut self) {
        // Published or already gone is fine; what stays goes with the lease.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes a name away, unless it was given to something else meanwhile.
fn remove_name(txn: &WriteTxn<'_>, WrongName { name, blob, .. }: &WrongName) -> Result<bool> {
    let now = match name {
        Name::Package(key) => txn.get::<PackageRow>(key)?.map(|row| row.blob),
        Name::Metadata(key) => txn.get::<MetadataRow>(key)?.map(|row| row.blob),
        Name::Image(key) => txn.get::<ImageRow>(key.as_bytes())?.map(|row| row.record),
    };
    if now != Some(*blob) {
        return Ok(false);
    }
    match name {
        Name::Package(key) => txn.table::<PackageRow>()?.remove(key)?,
        Name::Metadata(key) => txn.table::<MetadataRow>()?.remove(key)?,
        Name::Image(key) => txn.table::<ImageRow>()?.remove(key.as_bytes())?,
    }
    Ok(true)
}

fn remove(path: &std::path::Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

fn parts<const N: usize>(key: &[u8]) -> Option<[String; N]> {
    let parts: Vec<String> = std::str::from_utf8(key).ok()?.split('\0').map(str::to_owned).collect();
    parts.try_into().ok()
}

fn package_name(key: &[u8], row: &PackageRow) -> Option<PackageName> {
    let [name, version, arch, repository] = parts(key)?;
    Some(PackageName { name, version, arch, repository, sha256: row.sha256 })
}

fn metadata_name(key: &[u8], row: &MetadataRow) -> Option<MetadataName> {
    let [archive, path] = parts(key)?;
    Some(MetadataName { archive, path, fetched_at: row.fetched_at, attributes: row.attributes.clone() })
}

fn is_orphan(txn: &WriteTxn<'_>, object: &Object) -> Result<bool> {
    let known = match object {
        Object::Blob(digest) => txn.get::<BlobRow>(digest.as_bytes())?.is_some(),
        Object::Pack(id) => txn.get::<PackRow>(id.as_bytes())?.is_some(),
        Object::Chunk(_) => true,
    };
    Ok(!known)
}

#[cfg(test)]
mod tests {
    use crate::cache::{ImageCache, NewImage, SpecHash};
    use crate::progress::{Cancel, Silent};
    use crate::store::Store;

    #[test]
    fn an_image_that_was_built_again_meanwhile_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (raw, spec) = (dir.path().join("raw"), SpecHash::of_canonical(b"a"));
        let keep = |bytes: &[u8]| {
            std::fs::write(&raw, bytes).unwrap();
            let text = str::to_owned;
            let new = NewImage {
                name: text("minimal"),
                version: text("1.0"),
                dist: text("debian12"),
                arch: text("x86_64"),
                annotations: Vec::new(),
                lock: Vec::new(),
                build_time: std::time::Duration::from_secs(1),
                source_date: 0,
                releases: Vec::new(),
                imported: None,
            };
            ImageCache::new(&store).insert(&spec, &new, &raw, &Silent, &Cancel::default()).unwrap()
        };
        let image = keep(b"first");
        std::fs::write(store.blob_path(&image.manifest), "damaged").unwrap();
        let findings = store.check(&Silent, &Cancel::default()).unwrap();
        assert_eq!(findings.images.len(), 1);
        keep(b"second");
        assert_eq!(store.repair(&findings, &Cancel::default()).unwrap().images_marked, 0);
        assert!(ImageCache::new(&store).lookup(&spec).unwrap().is_some());
        assert!(!store.check(&Silent, &Cancel::default()).unwrap().is_damaged());
    }
}
