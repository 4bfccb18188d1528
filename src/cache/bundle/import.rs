//! A bundle comes in: all of it is proven, what is missing is staged, and one transaction makes it visible.

use std::collections::HashSet;
use std::io::Read;

use super::arriving::{Arriving, Image, Look, check_names, without_claims};
use super::publish::{Publishing, outcome};
use crate::cache::{Result, SpecHash};
use crate::digest::Digest;
use crate::format::bundle::Table;
use crate::format::row::ImageRow;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::store::{self, BundleError, BundleReader, Store, Wanted};
use crate::units::ByteSize;

/// What is left free on the store's file system: the index grows, too.
const MARGIN: u64 = 16 << 20;

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedBundle {
    /// The images, in the order of the bundle.
    pub images: Vec<ImportedImage>,
    /// How many packages.
    pub packages: Counts,
    /// How many files of repositories.
    pub metadata: Counts,
    /// The length of the bundle.
    pub bundle_len: ByteSize,
    /// What the store grew by: files that were missing.
    pub added: ByteSize,
}

/// An image of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedImage {
    /// Its key.
    pub spec_hash: SpecHash,
    /// Its name and version.
    pub name: String,
    /// See `name`.
    pub version: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is new.
    Added,
    /// It took the place of another one.
    Replaced,
    /// It was there.
    Present,
    /// Another image has its key, and stayed.
    Conflict,
}

/// How many names of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// New ones.
    pub added: usize,
    /// That were there with the same bytes.
    pub present: usize,
    /// That were there with other bytes, and stayed.
    pub kept: usize,
}

/// Takes in what is missing of a bundle. Reports the bundle's bytes as [`Phase::Bundle`].
///
/// `replace` puts its images and packages in the place of others with the same names.
///
/// # Errors
/// [`crate::cache::Error::Bundle`] for a bundle that is damaged, cut off or contradicts itself, or that there is no room for; nothing was imported then.
pub fn import(store: &Store, source: &mut (dyn Read + Send), replace: bool, progress: &dyn Progress, cancel: &Cancel) -> Result<ImportedBundle> {
    store.check_writable()?;
    let mut reader = BundleReader::open(source)?;
    let bundle_len = ByteSize(reader.bundle_len());
    check_names(&reader.table().contents)?;
    let (missing_blobs, missing_chunks) = store.missing_of_bundle(&reader)?;
    check_room(store, reader.table(), &missing_blobs, &missing_chunks)?;
    progress.report(Event::Start { phase: Phase::Bundle, total: Some(bundle_len.0) });

    let now = store::now();
    let contents = without_claims(&reader.table().contents, now);
    let mut arriving = Arriving::new(&contents);
    while let Some(entry) = reader.next_blob() {
        let mut look = Look::new(&entry, &arriving)?;
        let header = arriving.headers.get(&entry.digest).filter(|_| missing_blobs.contains(&entry.digest));
        let staged = store.stage_carried(&mut reader, header, &mut look, cancel)?;
        arriving.take(&entry, look)?;
        arriving.arrived.blobs.extend(staged.map(|staged| (entry.digest, staged)));
        progress.report(Event::Advance { phase: Phase::Bundle, by: entry.stored_len });
    }
    let images = arriving.images(&contents)?;
    let taken = taken(store, &images, replace)?;
    let missing_chunks = missing_chunks.into_iter().filter(|chunk| taken.contains(chunk)).collect();
    arriving.arrived.packs = store.stage_frames(&mut reader, &wanted(&images), &missing_chunks, progress, cancel)?;
    reader.finish()?;
    progress.report(Event::Finish { phase: Phase::Bundle });

    let publishing = Publishing { store, arrived: &arriving.arrived, headers: &arriving.headers, replace, now };
    let aliases = publishing.aliases(&contents)?;
    cancel.check().map_err(store::Error::from)?;
    let txn = store.write()?;
    txn.publish_packs(store, &arriving.arrived)?;
    let images = images.iter().map(|image| publishing.image(&txn, image)).collect::<Result<_>>()?;
    let packages = publishing.packages(&txn, &contents.packages, &aliases)?;
    let metadata = publishing.metadata(&txn, &contents.metadata, &aliases)?;
    txn.commit()?;
    Ok(ImportedBundle { images, packages, metadata, bundle_len, added: ByteSize(arriving.arrived.stored_len()) })
}

fn check_room(store: &Store, table: &Table, blobs: &HashSet<Digest>, chunks: &HashSet<Digest>) -> Result<(), BundleError> {
    let blobs = table.blobs.iter().filter(|blob| blobs.contains(&blob.digest)).map(|blob| blob.stored_len);
    let chunks = table.frames.iter().filter(|frame| frame.kind.is_chunk() && chunks.contains(&frame.digest)).map(|frame| frame.stored_len.into());
    let needed = blobs.chain(chunks).fold(MARGIN, u64::saturating_add);
    let room = rustix::fs::statvfs(store.dir()).map_err(|error| store::Error::io("inspect", store.dir())(error.into()))?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if needed <= free { Ok(()) } else { Err(BundleError::NoRoom { needed: ByteSize(needed), free: ByteSize(free) }) }
}

/// The chunks of all images, and how long each must be.
fn wanted(images: &[Image]) -> Wanted {
    let mut wanted = Wanted::new();
    for (digest, needed) in images.iter().flat_map(|image| image.chunks.iter()) {
        let known = wanted.entry(*digest).or_default();
        *known = (*known).max(*needed);
    }
    wanted
}

/// The chunks of the images that will not be passed over.
fn taken(store: &Store, images: &[Image], replace: bool) -> Result<HashSet<Digest>> {
    let txn = store.read()?;
    let mut taken = HashSet::new();
    for image in images {
        let before = txn.get::<ImageRow>(image.item.spec_hash.0.as_bytes())?;
        if outcome(before.as_ref(), &image.item, replace) != Outcome::Conflict {
            taken.extend(image.chunks.iter().map(|(digest, _)| *digest));
        }
    }
    Ok(taken)
}
