//! What is in a kept image, and how it came about, in the words of others: SPDX, `CycloneDX`, SLSA.
//!
//! A bill is made of what is kept with the image alone: no clock, no network, and the same bytes each time. Its identifiers derive from the image's key and
//! digest. What nobody wrote down is left out: packages of Debian say their licences in files, not in fields, so a bill says nothing of licences.

mod cyclonedx;
mod provenance;
mod purl;
mod spdx;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::build::{Annotations, Output};
use crate::cache::{self, ImageCache, ImageRecord};
use crate::digest::Digest;
use crate::distro::{self, Packaging};
use crate::format::cbor;
use crate::resolve::{Lock, LockedPackage};
use crate::transfer::partial::Partial;
use crate::units::ByteSize;

/// The longest lock that is read, in bytes: thousands of times what a large image has.
const LOCK_LIMIT: usize = 64 << 20;

/// In whose words a bill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillFormat {
    /// SPDX 2.3, JSON.
    Spdx,
    /// `CycloneDX` 1.5, JSON.
    CycloneDx,
    /// An in-toto statement with SLSA provenance, v1: not what is in the image, but what it was made from.
    Provenance,
}

impl BillFormat {
    /// The end of a file's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Spdx => "spdx.json",
            Self::CycloneDx => "cdx.json",
            Self::Provenance => "provenance.json",
        }
    }
}

impl fmt::Display for BillFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spdx => "spdx",
            Self::CycloneDx => "cyclonedx",
            Self::Provenance => "provenance",
        })
    }
}

/// Why there is no bill of an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It came as a file: what is in it was never written down.
    #[error("what is in the image {0} is not known: it was imported, not built here")]
    Imported(String),
    /// The list of its packages is damaged.
    #[error("the list of the packages of the image {0} is damaged")]
    Damaged(String),
    /// A file cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The image cache cannot be read.
    #[error(transparent)]
    Cache(#[from] cache::Error),
}

impl Error {
    /// The way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Imported(_) => None,
            Self::Damaged(_) => Some("“image-composer build SPEC --rebuild” makes the image anew".to_owned()),
            Self::Write { .. } => Some("free space there, or choose another folder with -o".to_owned()),
            Self::Cache(error) => error.hint(),
        }
    }
}

/// What is kept of an image.
#[derive(Debug, Clone)]
pub struct Bill {
    image: ImageRecord,
    lock: Lock,
    annotations: Annotations,
}

impl Bill {
    /// What is kept of `image`.
    ///
    /// # Errors
    /// An image whose packages nobody knows; a store that cannot be read.
    pub fn read(cache: &ImageCache<'_>, image: &ImageRecord) -> Result<Self, Error> {
        if image.imported.is_some() {
            return Err(Error::Imported(image.spec_hash.short()));
        }
        let damaged = || Error::Damaged(image.spec_hash.short());
        let lock = match cache.read_lock(image) {
            Ok(bytes) => cbor::decode(&bytes, LOCK_LIMIT).map_err(|_| damaged())?,
            Err(error) if error.is_damage() => return Err(damaged()),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { image: image.clone(), lock, annotations: Annotations::read(cache, image)? })
    }

    /// The document, indented, with a newline at its end.
    ///
    /// # Panics
    /// Never: plain values can always be written.
    pub fn document(&self, format: BillFormat) -> String {
        match format {
            BillFormat::Spdx => json(&spdx::document(self)),
            BillFormat::CycloneDx => json(&cyclonedx::document(self)),
            BillFormat::Provenance => json(&provenance::statement(self)),
        }
    }

    /// Writes the document to `path`, whole or not at all, in place of an older one.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn write(&self, format: BillFormat, path: &Path) -> Result<Output, Error> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let written = Partial::new(folder).and_then(|partial| {
            partial.as_file().write_all(self.document(format).as_bytes())?;
            partial.publish(path)
        });
        let (size, allocated) = written.map_err(|source| Error::Write { path: path.to_owned(), source })?;
        Ok(Output { path: path.to_owned(), size: ByteSize(size), allocated: ByteSize(allocated) })
    }

    /// What its packages are.
    fn packaging(&self) -> Packaging {
        distro::find(&self.image.dist).map_or(Packaging::Deb, |profile| profile.packaging)
    }

    /// `debian` of `debian12`: whose packages these are, in the words of the package-url specification.
    fn vendor(&self) -> &str {
        match self.image.dist.as_str() {
            "azl3" => return "azurelinux",
            "el10" => return "centos",
            _ => {}
        }
        self.image.dist.trim_end_matches(|char: char| !char.is_ascii_alphabetic())
    }

    /// `bookworm`; none where the inputs of the build are not known.
    fn codename(&self) -> Option<&str> {
        self.annotations.inputs.get("codename").and_then(Value::as_str)
    }

    /// The version of the program that built the image; none where nobody wrote it down.
    fn builder(&self) -> Option<&str> {
        self.annotations.builder.as_deref()
    }

    /// A UUID that another image does not have (RFC 9562, version 8), for one kind of document.
    fn uuid(&self, of: BillFormat) -> String {
        let name = format!("{of} {} {}", self.image.spec_hash, self.image.raw_digest);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::derive("image-composer 2026-11 bill uuid", name.as_bytes()).as_bytes()[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// The packages by their names; of those of several architectures the first.
    fn by_name(&self) -> HashMap<&str, &LockedPackage> {
        self.lock.packages.iter().rev().map(|package| (package.coordinates.name(), package)).collect()
    }

    fn purl(&self, package: &LockedPackage) -> String {
        match self.packaging() {
            Packaging::Deb => purl::of(self.vendor(), self.codename(), &package.coordinates),
            Packaging::Rpm => purl::of_rpm(self.vendor(), self.codename(), &package.coordinates),
        }
    }
}

fn json(document: &impl Serialize) -> String {
    serde_json::to_string_pretty(document).expect("plain values can always be written") + "\n"
}

#[cfg(test)]
mod tests;
