//! The bill of a kept image, and the one that lies in an image.

use std::io;
use std::path::Path;

use super::{Annotations, Build};
use crate::bill::{Bill, BillFormat, Disk, Error, Facts, Image};
use crate::cache::{ImageCache, ImageRecord};
use crate::digest::{Digest, Sha256, Sha256Reader};
use crate::format::cbor;
use crate::progress::Cancel;
use crate::resolve::Lock;
use crate::root;
use crate::spec::model::{Sbom, Spec};
use crate::store::{self, Damage, ImageReader};

/// The longest lock that is read, in bytes: thousands of times what a large image has.
const LOCK_LIMIT: usize = 64 << 20;

/// Where the bill lies in an image: scanners of packages look there for names that end in `.spdx.json` and `.cdx.json`.
const FOLDER: &str = "/usr/share/sbom";

/// What is kept of `image`, as a bill. The whole disk is read for its SHA-256, by which others know it.
///
/// # Errors
/// An image whose packages nobody knows, or whose disk is damaged; a store that cannot be read; the user's wish to stop.
pub fn bill(cache: &ImageCache<'_>, image: &ImageRecord, cancel: &Cancel) -> Result<Bill, Error> {
    if image.imported.is_some() {
        return Err(Error::Imported(image.spec_hash.short()));
    }
    let damaged = || Error::Damaged { image: image.spec_hash.short(), part: "list of the packages" };
    let lock: Lock = match cache.read_lock(image) {
        Ok(bytes) => cbor::decode(&bytes, LOCK_LIMIT).map_err(|_| damaged())?,
        Err(error) if error.is_damage() => return Err(damaged()),
        Err(error) => return Err(error.into()),
    };
    let Annotations { inputs, builder, packages, releases, .. } = Annotations::read(cache, image)?;
    let about = Image {
        name: image.name.clone(),
        version: image.version.clone(),
        dist: image.dist.clone(),
        arch: image.arch.clone(),
        spec_hash: image.spec_hash,
        source_date: image.source_date,
        disk: Some(Disk { digest: image.raw_digest, sha256: sha256(cache, image, cancel)? }),
    };
    let mut bill = Bill::new(about, lock, packages);
    (bill.releases, bill.inputs, bill.builder) = (releases, inputs, builder);
    Ok(bill)
}

impl Build<'_> {
    /// The bill that the spec wants in the image, as a file in `scratch` that is copied there. It says nothing that another build of the same spec and packages
    /// could not say: not the program's version, and not what the build was called for by.
    pub(super) fn bill_inside(&self, lock: &Lock, facts: &[Facts], time: u64, scratch: &Path) -> Result<Option<root::File>, super::Error> {
        let Spec { image, target, system, .. } = &self.request.spec.spec;
        let Some(sbom) = system.sbom else { return Ok(None) };
        let about = Image {
            name: image.name.clone(),
            version: image.version.clone(),
            dist: target.dist.clone(),
            arch: target.arch.name().to_owned(),
            spec_hash: self.request.spec.hash(self.request.source_date_epoch),
            source_date: time,
            disk: None,
        };
        let format = match sbom {
            Sbom::Spdx => BillFormat::Spdx,
            Sbom::CycloneDx => BillFormat::CycloneDx,
        };
        let mut bill = Bill::new(about, lock.clone(), facts.to_vec());
        bill.inputs = self.request.inputs();
        let (document, local) = (bill.document(format), scratch.join("bill"));
        std::fs::write(&local, &document).map_err(super::Error::Scratch)?;
        let destination = format!("{FOLDER}/{}-{}.{}", image.name, image.version, format.suffix());
        Ok(Some(root::File { local, content: root::Content::File(Digest::of(document.as_bytes())), mode: 0o644, owner: None, destination }))
    }
}

fn sha256(cache: &ImageCache<'_>, image: &ImageRecord, cancel: &Cancel) -> Result<Sha256, Error> {
    let damaged = || Error::Damaged { image: image.spec_hash.short(), part: "disk" };
    let reader = match cache.reader(image) {
        Err(error) if error.is_damage() => return Err(damaged()),
        reader => reader?,
    };
    let mut bytes = Sha256Reader::new(Whole { reader, at: 0, cancel });
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut bytes, &mut buffer) {
            Ok(0) => return Ok(bytes.digest()),
            Ok(_) => {}
            Err(error) => {
                cancel.check().map_err(store::Error::from).map_err(crate::cache::Error::from)?;
                if let Ok(damage) = error.downcast::<Damage>() {
                    cache.note_damage(image, damage)?;
                }
                return Err(damaged());
            }
        }
    }
}

/// A disk from its beginning to its end, with its holes as zeros.
struct Whole<'c> {
    reader: ImageReader,
    at: u64,
    cancel: &'c Cancel,
}

impl io::Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        let count = (self.reader.len() - self.at).min(buffer.len() as u64);
        self.reader.fill(&mut buffer[..count as usize], self.at)?;
        self.at += count;
        Ok(count as usize)
    }
}
