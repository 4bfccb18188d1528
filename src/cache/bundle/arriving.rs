//! What comes in with a bundle, held against what the bundle says of it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::rc::Rc;

use sha2::Digest as _;

use crate::cache::{Coordinates, metadata};
use crate::digest::{Digest, Sha256};
use crate::format::FormatError;
use crate::format::blob::{BlobKind, Header, MetadataAttributes, MetadataName, PackageName};
use crate::format::bundle::{BlobEntry, Contents, ImageItem, MetadataItem};
use crate::format::manifest::{Extent, MANIFEST_LIMIT, Manifest};
use crate::format::record::{ImageDocument, RECORD_LIMIT};
use crate::store::{Arrived, BundleError, Problem};

/// How long all records of a bundle may be together, in bytes: they are in memory at the same time. (Those of images that were built here have some hundred.)
const RECORDS_LIMIT: u64 = 64 << 20;

/// Refuses names that nothing can have, before anything is written.
pub(super) fn check_names(contents: &Contents) -> Result<(), BundleError> {
    contents.packages.iter().try_for_each(|item| coordinates(&item.name).map(drop))?;
    contents.metadata.iter().try_for_each(|item| metadata_key(&item.name).map(drop))
}

/// The contents, of whose word on metadata nothing is left but names and a time that is not in the future: what a server said (`etag`) would keep a newer
/// file from being fetched, and who signed is found out anew each time.
pub(super) fn without_claims(contents: &Contents, now: u64) -> Contents {
    let mut contents = contents.clone();
    for MetadataItem { name, .. } in &mut contents.metadata {
        name.fetched_at = name.fetched_at.min(now);
        name.attributes = MetadataAttributes::default();
    }
    contents
}

/// The coordinates of a package in a bundle.
pub(super) fn coordinates(name: &PackageName) -> Result<Coordinates, BundleError> {
    Coordinates::new(&name.name, &name.version, &name.arch, &name.repository).map_err(|error| BundleError::Name(error.to_string()))
}

/// The key of the row of a file in a bundle. Paths are never used as such, but one that leads elsewhere is no file of a repository.
pub(super) fn metadata_key(name: &MetadataName) -> Result<Vec<u8>, BundleError> {
    let plain = !name.path.split('/').any(|part| matches!(part, "" | "." | ".."));
    metadata::key(&name.archive, &name.path).ok().filter(|_| plain).ok_or_else(|| BundleError::Name(name.path.chars().take(80).collect()))
}

/// Looks at the raw bytes of a blob: its SHA-256, and all of it where it is a document that is to be understood.
pub(super) struct Look {
    sha256: sha2::Sha256,
    document: Option<Vec<u8>>,
}

impl Look {
    pub(super) fn new(entry: &BlobEntry, arriving: &Arriving) -> Result<Self, BundleError> {
        let limit = arriving.documents.get(&entry.digest).map(|part| part.limit());
        if let Some(limit) = limit.filter(|limit| entry.raw_len > *limit) {
            let problem = Problem::Length { expected: limit, found: entry.raw_len };
            return Err(BundleError::Blob { digest: entry.digest, problem });
        }
        Ok(Self { sha256: sha2::Sha256::new(), document: limit.map(|_| Vec::new()) })
    }
}

impl Write for Look {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.sha256.update(buffer);
        if let Some(document) = &mut self.document {
            document.extend_from_slice(buffer);
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The header of each blob: what it is in an image, else its first name.
fn headers(contents: &Contents) -> HashMap<Digest, Header> {
    let mut headers = HashMap::new();
    for image in &contents.images {
        headers.entry(image.record).or_insert_with(|| Header::unnamed(BlobKind::Image));
        headers.entry(image.manifest).or_insert_with(|| Header::unnamed(BlobKind::Manifest));
    }
    for item in &contents.packages {
        headers.entry(item.blob).or_insert_with(|| Header::package(item.name.clone()));
    }
    for item in &contents.metadata {
        headers.entry(item.blob).or_insert_with(|| Header::metadata(item.name.clone()));
    }
    for image in &contents.images {
        for document in [image.lock, image.annotations] {
            headers.entry(document).or_insert_with(|| Header::unnamed(BlobKind::Document));
        }
    }
    headers
}

/// What has come in so far, and what is known of it.
pub(super) struct Arriving {
    pub(super) arrived: Arrived,
    /// The header that the file of each blob gets here.
    pub(super) headers: HashMap<Digest, Header>,
    /// What each record and manifest is.
    documents: HashMap<Digest, Part>,
    records: HashMap<Digest, ImageDocument>,
    /// How many bytes further records may have together.
    records_left: u64,
    manifests: HashMap<Digest, Disk>,
    promised: HashMap<Digest, Vec<PackageName>>,
}

/// A part of an image that is to be understood.
#[derive(Clone, Copy)]
enum Part {
    Record,
    Manifest,
}

impl Part {
    /// The longest that it may be, in bytes.
    fn limit(self) -> u64 {
        match self {
            Self::Record => RECORD_LIMIT as u64,
            Self::Manifest => MANIFEST_LIMIT as u64,
        }
    }
}

/// What a manifest says of a disk.
struct Disk {
    raw_len: u64,
    raw_digest: Digest,
    chunks: Rc<[(Digest, u64)]>,
}

impl Disk {
    fn of(manifest: &Manifest) -> Self {
        let mut needed: HashMap<Digest, u64> = HashMap::new();
        for extent in &manifest.extents {
            if let Extent::Chunk { digest, offset, length } = *extent {
                let end = u64::from(offset) + u64::from(length);
                let known = needed.entry(digest).or_default();
                *known = end.max(*known);
            }
        }
        Self { raw_len: manifest.raw_len, raw_digest: manifest.raw_digest, chunks: needed.into_iter().collect() }
    }
}

/// An image of the bundle, its parts proven to belong together.
pub(super) struct Image {
    pub(super) item: ImageItem,
    pub(super) record: ImageDocument,
    /// Its chunks, and how long each must be at least.
    pub(super) chunks: Rc<[(Digest, u64)]>,
}

impl Arriving {
    pub(super) fn new(contents: &Contents) -> Self {
        let records = contents.images.iter().map(|image| (image.record, Part::Record));
        let manifests = contents.images.iter().map(|image| (image.manifest, Part::Manifest));
        let mut promised: HashMap<Digest, Vec<PackageName>> = HashMap::new();
        for item in &contents.packages {
            promised.entry(item.blob).or_default().push(item.name.clone());
        }
        Self {
            arrived: Arrived::default(),
            headers: headers(contents),
            documents: records.chain(manifests).collect(),
            records: HashMap::new(),
            records_left: RECORDS_LIMIT,
            manifests: HashMap::new(),
            promised,
        }
    }

    /// Takes note of a blob that was read to its end: what its names promise, it must have.
    pub(super) fn take(&mut self, entry: &BlobEntry, look: Look) -> Result<(), BundleError> {
        let found = Sha256::from_bytes(look.sha256.finalize().into());
        for name in self.promised.get(&entry.digest).into_iter().flatten() {
            if name.sha256 != found {
                return Err(BundleError::Package { name: coordinates(name)?.to_string(), expected: name.sha256, found });
            }
        }
        let (Some(document), Some(part)) = (look.document, self.documents.get(&entry.digest)) else { return Ok(()) };
        // At once, so that no more is kept of it than is asked for later.
        match part {
            Part::Record => {
                let (what, found) = ("length of the records in a bundle", document.len() as u64);
                let too_long = FormatError::Limit { what, found: RECORDS_LIMIT - self.records_left + found, limit: RECORDS_LIMIT };
                self.records_left = self.records_left.checked_sub(found).ok_or(too_long)?;
                self.records.insert(entry.digest, ImageDocument::decode(&document)?);
            }
            Part::Manifest => drop(self.manifests.insert(entry.digest, Disk::of(&Manifest::decode(&document)?))),
        }
        Ok(())
    }

    /// Checks the images against their parts.
    pub(super) fn images(&self, contents: &Contents) -> Result<Vec<Image>, BundleError> {
        contents.images.iter().map(|item| self.image(item)).collect()
    }

    fn image(&self, item: &ImageItem) -> Result<Image, BundleError> {
        let contradiction = |reason| BundleError::Image { image: item.spec_hash.0.short(), reason };
        let (Some(record), Some(disk)) = (self.records.get(&item.record), self.manifests.get(&item.manifest)) else {
            return Err(contradiction("a part of it is missing"));
        };
        if record.spec_hash != item.spec_hash.0 || [record.manifest, record.lock, record.annotations] != [item.manifest, item.lock, item.annotations]
        {
            return Err(contradiction("its record names other parts"));
        }
        if (record.raw_len, record.raw_digest) != (disk.raw_len, disk.raw_digest) {
            return Err(contradiction("its record and its manifest describe different disks"));
        }
        Ok(Image { item: item.clone(), record: record.clone(), chunks: Rc::clone(&disk.chunks) })
    }
}
