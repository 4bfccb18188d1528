//! The image cache: finished images under the hash of their whole spec.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::{Error, ReleaseDate, Result, RootKey, SpecHash};
use crate::digest::Digest;
use crate::format::blob::{BlobKind, Header};
use crate::format::record::{FORMAT, ImageDocument, Import, RECORD_LIMIT};
use crate::format::row::ImageRow;
use crate::format::totals::UsageRow;
use crate::progress::{Cancel, Progress};
use crate::store::{
    self, Counted, Damage, ImageReader, Object, Output, Parts, Published, ReadTxn, Shared, StagedBlob, StagedImage, Store, Used, failpoint,
};

/// The longest lock and the longest annotations, in bytes.
const DOCUMENT_LIMIT: u64 = 64 << 20;

/// How often an image is taken in again when a collection removes chunks that it counted on.
const ATTEMPTS: u32 = 3;

/// Images by spec hash.
#[derive(Debug)]
pub struct ImageCache<'a> {
    store: &'a Store,
}

/// What is known of an image before it is kept.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// The name that the spec gives it.
    pub name: String,
    /// The version that the spec gives it.
    pub version: String,
    /// The distribution, such as `debian12`.
    pub dist: String,
    /// The architecture, as the spec writes it.
    pub arch: String,
    /// Whatever the builder wants to find again beside the image, such as the merged spec in JSON.
    pub annotations: Vec<u8>,
    /// The lock in canonical CBOR.
    pub lock: Vec<u8>,
    /// How long the build took.
    pub build_time: Duration,
    /// The time that files in the image were clamped to, seconds since the epoch.
    pub source_date: u64,
    /// The repository states that it was resolved from.
    pub releases: Vec<ReleaseDate>,
    /// Where it came from, if it was not built here.
    pub imported: Option<Import>,
}

/// A kept image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its key.
    pub spec_hash: SpecHash,
    /// The name that the spec gives it.
    pub name: String,
    /// The version that the spec gives it.
    pub version: String,
    /// The distribution, such as `debian12`.
    pub dist: String,
    /// The architecture, as the spec writes it.
    pub arch: String,
    /// The length of the disk in bytes.
    pub raw_len: u64,
    /// Bytes of the disk that are not in holes.
    pub data_len: u64,
    /// Bytes that the store grew by when the image was kept: what it does not share with older images.
    pub own_bytes: u64,
    /// The digest of the whole disk.
    pub raw_digest: Digest,
    /// The blob of its manifest.
    pub manifest: Digest,
    /// The blob of its lock.
    pub lock: Digest,
    /// The blob of its annotations.
    pub annotations: Digest,
    /// When it was built or imported, seconds since the epoch.
    pub built_at: u64,
    /// When it was last built or served, seconds since the epoch.
    pub last_used: u64,
    /// How often it was served.
    pub uses: u32,
    /// How long the build took; zero for an imported image.
    pub build_time: Duration,
    /// The time that files in the image were clamped to, seconds since the epoch; 0 for an imported image.
    pub source_date: u64,
    /// The repository states that it was resolved from, sorted.
    pub releases: Vec<ReleaseDate>,
    /// Where it came from, if it was imported instead of built; its packages are not known then.
    pub imported: Option<Import>,
    /// Whether it is never evicted.
    pub pinned: bool,
}

/// What an imported image is filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKey {
    /// The digest of its disk.
    Content,
    /// The hash of the spec that it is said to be the image of.
    Spec(SpecHash),
    /// The root key of a tree, which is no image.
    Root(RootKey),
}

impl ImageKey {
    fn of(self, raw_digest: Digest) -> SpecHash {
        match self {
            Self::Content => SpecHash::from(raw_digest),
            Self::Spec(hash) => hash,
            Self::Root(key) => SpecHash::from(*key.digest()),
        }
    }

    fn is_root(self) -> bool {
        matches!(self, Self::Root(_))
    }
}

/// What a prefix of a spec hash stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No image.
    None,
    /// One image.
    One(Box<ImageRecord>),
    /// Several images, sorted.
    Ambiguous(Vec<SpecHash>),
}

impl<'a> ImageCache<'a> {
    /// The images of this store.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// The image of this spec. One with a part that is known to be damaged is a miss.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn lookup(&self, spec: &SpecHash) -> Result<Option<ImageRecord>> {
        self.lookup_kind(spec, false)
    }

    /// The image of this spec, or the root tree with this key: what one of them is kept as is never taken for the other, for a bundle can bring an image under
    /// any key.
    fn lookup_kind(&self, key: &SpecHash, tree: bool) -> Result<Option<ImageRecord>> {
        let txn = self.store.read()?;
        let row = txn.get::<ImageRow>(key.digest().as_bytes())?.filter(|row| row.tree == tree);
        row.map_or(Ok(None), |row| self.record(&txn, &row))
    }

    /// [`ImageCache::lookup`], and keeps what is found from being collected until [`Store::flush`].
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn take(&self, spec: &SpecHash) -> Result<Option<ImageRecord>> {
        self.take_kind(spec, false)
    }

    /// The same for the root tree with this key.
    pub(super) fn take_tree(&self, key: &RootKey) -> Result<Option<ImageRecord>> {
        self.take_kind(&SpecHash::from(*key.digest()), true)
    }

    fn take_kind(&self, key: &SpecHash, tree: bool) -> Result<Option<ImageRecord>> {
        let mut found = self.lookup_kind(key, tree)?;
        loop {
            let Some(image) = found else { return Ok(None) };
            match self.store.hold(&[Object::Blob(image.manifest)]) {
                Ok(()) => found = self.lookup_kind(key, tree)?,
                // A store without room can be read all the same. A collection that comes in between makes a miss of it.
                Err(error) if error.is_full() => return Ok(Some(image)),
                Err(error) => return Err(error.into()),
            }
            // One that took its place meanwhile is not held yet.
            if found.as_ref().is_none_or(|now| now.manifest == image.manifest) {
                return Ok(found);
            }
        }
    }

    /// Keeps the disk image in the file `raw`, in place of an image with the same spec. Reports its bytes as [`crate::progress::Phase::Keep`].
    ///
    /// # Errors
    /// A file or a store that cannot be read or written; the user's wish to stop. The image that was there stays then.
    pub fn insert(&self, spec: &SpecHash, new: &NewImage, raw: &Path, progress: &dyn Progress, cancel: &Cancel) -> Result<ImageRecord> {
        self.insert_shared(spec, new, (raw, None), progress, cancel)
    }

    /// The same for an image that has parts of another one that is kept.
    ///
    /// # Errors
    /// As for [`ImageCache::insert`].
    pub fn insert_shared(
        &self,
        spec: &SpecHash,
        new: &NewImage,
        (raw, shared): (&Path, Option<&Shared>),
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<ImageRecord> {
        Ok(self.keep(ImageKey::Spec(*spec), new, (raw, shared), |_, _| Ok(None), progress, cancel)?.0)
    }

    /// Keeps the disk image in the file `raw` unless the same is there under that key. Says whether it was: then nothing is changed. Another image is
    /// replaced only if `replace` is set. Reports its bytes as [`crate::progress::Phase::Keep`].
    ///
    /// # Errors
    /// As for [`ImageCache::insert`]; [`Error::Taken`] where another image has the key.
    pub fn import(
        &self,
        key: ImageKey,
        new: &NewImage,
        raw: &Path,
        replace: bool,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(ImageRecord, bool)> {
        let present = |before: ImageRecord, digest: &Digest| match before.raw_digest == *digest {
            true => Ok(Some(before)),
            false if replace => Ok(None),
            false => Err(Error::Taken(before.spec_hash)),
        };
        self.keep(key, new, (raw, None), present, progress, cancel)
    }

    /// Takes the file in. `present` says whether the image that has the key, whose digest may be another, shall stay.
    pub(super) fn keep(
        &self,
        key: ImageKey,
        new: &NewImage,
        (raw, shared): (&Path, Option<&Shared>),
        present: impl Fn(ImageRecord, &Digest) -> Result<Option<ImageRecord>>,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(ImageRecord, bool)> {
        let document = Header::unnamed(BlobKind::Document);
        let lock = self.store.stage_bytes(document.clone(), &new.lock)?;
        let annotations = self.store.stage_bytes(document, &new.annotations)?;
        for _ in 0..ATTEMPTS {
            let image = self.store.stage_image(raw, shared, progress, cancel)?;
            let spec = key.of(image.raw_digest);
            if let Some(before) = self.lookup_kind(&spec, key.is_root())?
                && let Some(record) = present(before, &image.raw_digest)?
            {
                return Ok((record, true));
            }
            let document = describe(&spec, new, &image, &lock, &annotations);
            let record = document.encode().map_err(store::Error::from)?;
            let record = self.store.stage_bytes(Header::unnamed(if key.is_root() { BlobKind::Root } else { BlobKind::Image }), &record)?;
            cancel.check().map_err(store::Error::from)?;

            let txn = self.store.write()?;
            if !txn.publish_image(self.store, &image)? {
                continue;
            }
            for blob in [&lock, &annotations] {
                txn.publish(self.store, blob, 1)?;
            }
            // The same record as before another one took its place, all within a second.
            if txn.publish(self.store, &record, 1)? == Published::Known {
                super::claim_again(&self.store.blob_path(&record.digest))?;
            }
            let before = txn.get::<ImageRow>(spec.digest().as_bytes())?;
            for blob in before.iter().flat_map(|row| [row.record, row.manifest, row.lock, row.annotations]) {
                txn.release(&blob)?;
            }
            let row = ImageRow {
                record: record.digest,
                manifest: image.manifest.digest,
                lock: lock.digest,
                annotations: annotations.digest,
                damaged: false,
                pinned: before.is_some_and(|before| before.pinned),
                tree: key.is_root(),
                last_used: document.built_at,
                uses: 0,
            };
            txn.put(spec.digest().as_bytes(), &row)?;
            failpoint!("cache::image::row_written");
            txn.commit()?;
            return Ok((from_document(document, &row), false));
        }
        Err(store::Error::Vanished.into())
    }

    /// Writes the disk to the file `out` (with its name, for errors), every byte checked, holes as holes, in place of what is in it. Reports its bytes as
    /// [`crate::progress::Phase::Write`]. After any error the file is of no use.
    ///
    /// # Errors
    /// [`store::Error::Damaged`] when a part is missing or wrong: from now on [`ImageCache::lookup`] has a miss for this image.
    pub fn write_to(&self, image: &ImageRecord, out: Output<'_>, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
        let manifest = self.store.read_manifest(&image.manifest);
        let written = manifest.and_then(|manifest| self.store.restore(&manifest, out, progress, cancel));
        if written.as_ref().is_err_and(store::Error::is_damage) {
            self.mark_damaged(image)?;
        }
        Ok(written?)
    }

    /// The disk, for who looks at parts of it.
    ///
    /// # Errors
    /// [`store::Error::Damaged`] when a part is missing: from now on [`ImageCache::lookup`] has a miss for this image.
    pub fn reader(&self, image: &ImageRecord) -> Result<ImageReader> {
        let reader = self.store.read_manifest(&image.manifest).and_then(|manifest| self.store.image_reader(&manifest));
        if reader.as_ref().is_err_and(store::Error::is_damage) {
            self.mark_damaged(image)?;
        }
        Ok(reader?)
    }

    /// Where the parts of the disk lie, for who looks at them without an index.
    ///
    /// # Errors
    /// [`store::Error::Damaged`] when a part is missing: from now on [`ImageCache::lookup`] has a miss for this image.
    pub(super) fn parts(&self, image: &ImageRecord) -> Result<Parts> {
        let parts = self.store.read_manifest(&image.manifest).and_then(|manifest| self.store.image_parts(&manifest));
        if parts.as_ref().is_err_and(store::Error::is_damage) {
            self.mark_damaged(image)?;
        }
        Ok(parts?)
    }

    /// Takes notice of damage that a reader of the image came upon.
    ///
    /// # Errors
    /// An index that cannot be written to.
    pub fn note_damage(&self, image: &ImageRecord, damage: Damage) -> Result<()> {
        self.store.mark_lost(damage)?;
        self.mark_damaged(image)?;
        Ok(())
    }

    /// The lock of an image, in canonical CBOR.
    ///
    /// # Errors
    /// [`store::Error::Damaged`] when it is missing or wrong.
    pub fn read_lock(&self, image: &ImageRecord) -> Result<Vec<u8>> {
        Ok(self.store.read_blob(&image.lock, DOCUMENT_LIMIT)?)
    }

    /// The annotations of an image, as they were given to [`ImageCache::insert`].
    ///
    /// # Errors
    /// [`store::Error::Damaged`] when they are missing or wrong.
    pub fn read_annotations(&self, image: &ImageRecord) -> Result<Vec<u8>> {
        Ok(self.store.read_blob(&image.annotations, DOCUMENT_LIMIT)?)
    }

    /// All images that can be served, the newest first.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn list(&self) -> Result<Vec<ImageRecord>> {
        let txn = self.store.read()?;
        let mut rows = Vec::new();
        txn.scan::<ImageRow>(&[], |_, row| {
            rows.extend((!row.tree).then_some(row));
            Ok(ControlFlow::Continue(()))
        })?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            records.extend(self.record(&txn, &row)?);
        }
        records.sort_by_key(|record| (std::cmp::Reverse(record.built_at), record.spec_hash));
        Ok(records)
    }

    /// The image whose spec hash begins with these hexadecimal digits; other texts find nothing. An image that cannot be served is not found.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn find(&self, prefix: &str) -> Result<Found> {
        let prefix = prefix.to_ascii_lowercase();
        let Ok(from) = format!("{prefix:0<64}").parse::<Digest>() else { return Ok(Found::None) };
        let txn = self.store.read()?;
        let mut matches = Vec::new();
        txn.scan::<ImageRow>(from.as_bytes(), |key, row| {
            let Some(spec) = key.try_into().ok().map(|key| SpecHash::from(Digest::from_bytes(key))) else { return Ok(ControlFlow::Break(())) };
            if !spec.to_string().starts_with(&prefix) {
                return Ok(ControlFlow::Break(()));
            }
            matches.extend((!row.tree).then_some((spec, row)));
            Ok(ControlFlow::Continue(()))
        })?;
        match matches.as_slice() {
            [] => Ok(Found::None),
            [(_, row)] => Ok(self.record(&txn, row)?.map_or(Found::None, |record| Found::One(Box::new(record)))),
            several => Ok(Found::Ambiguous(several.iter().map(|(spec, _)| *spec).collect())),
        }
    }

    /// Notes that an image is served now; [`Store::flush`] writes it down.
    pub fn mark_used(&self, spec: &SpecHash) {
        self.store.note_use(Used::Image(spec.digest().as_bytes().to_vec()));
    }

    /// Notes that a build was served with this image, and took `took`; [`Store::flush`] writes it down.
    pub fn count_hit(&self, image: &ImageRecord, took: Duration) {
        let saved_millis = image.build_time.saturating_sub(took).as_millis() as u64;
        self.store.note_usage(Counted::Images, &UsageRow { hits: 1, saved_bytes: image.raw_len, saved_millis, ..UsageRow::default() });
    }

    /// Notes that a build found no image; [`Store::flush`] writes it down.
    pub fn count_miss(&self) {
        self.store.note_usage(Counted::Images, &UsageRow { misses: 1, ..UsageRow::default() });
    }

    /// The record of a row, unless a part of the image is known to be damaged.
    fn record(&self, txn: &ReadTxn<'_>, row: &ImageRow) -> Result<Option<ImageRecord>> {
        if row.damaged || self.store.intact_blob(txn, &row.record)?.is_none() || self.store.intact_blob(txn, &row.manifest)?.is_none() {
            return Ok(None);
        }
        match self.store.read_blob(&row.record, RECORD_LIMIT as u64) {
            Ok(bytes) => Ok(Some(from_document(ImageDocument::decode(&bytes).map_err(store::Error::from)?, row))),
            Err(error) if error.is_damage() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn mark_damaged(&self, image: &ImageRecord) -> Result<()> {
        if !self.store.is_writable() {
            return Ok(());
        }
        let key = image.spec_hash.digest().as_bytes();
        let txn = self.store.write()?;
        if let Some(row) = txn.get::<ImageRow>(key)?.filter(|row| row.manifest == image.manifest) {
            txn.put(key, &ImageRow { damaged: true, ..row })?;
        }
        Ok(txn.commit()?)
    }
}

fn describe(spec: &SpecHash, new: &NewImage, image: &StagedImage, lock: &StagedBlob, annotations: &StagedBlob) -> ImageDocument {
    let mut releases = new.releases.clone();
    releases.sort();
    ImageDocument {
        format: FORMAT,
        spec_hash: *spec.digest(),
        name: new.name.clone(),
        version: new.version.clone(),
        dist: new.dist.clone(),
        arch: new.arch.clone(),
        raw_len: image.raw_len,
        data_len: image.data_len,
        raw_digest: image.raw_digest,
        own_bytes: image.own_bytes() + lock.stored_len + annotations.stored_len,
        manifest: image.manifest.digest,
        lock: lock.digest,
        annotations: annotations.digest,
        built_at: store::now(),
        build_millis: new.build_time.as_millis() as u64,
        source_date: new.source_date,
        releases,
        imported: new.imported.clone(),
    }
}

fn from_document(document: ImageDocument, row: &ImageRow) -> ImageRecord {
    ImageRecord {
        spec_hash: document.spec_hash.into(),
        name: document.name,
        version: document.version,
        dist: document.dist,
        arch: document.arch,
        raw_len: document.raw_len,
        data_len: document.data_len,
        own_bytes: document.own_bytes,
        raw_digest: document.raw_digest,
        manifest: document.manifest,
        lock: document.lock,
        annotations: document.annotations,
        built_at: document.built_at,
        last_used: row.last_used,
        uses: row.uses,
        build_time: Duration::from_millis(document.build_millis),
        source_date: document.source_date,
        releases: document.releases,
        imported: document.imported,
        pinned: row.pinned,
    }
}
