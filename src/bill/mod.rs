//! What is in an image, and how it came about, in the words of others: SPDX, `CycloneDX`, SLSA.
//!
//! A bill is made of what is kept with the image alone: no clock, no network, and the same bytes each time. Its identifiers derive from the image's key and
//! digest. What nobody wrote down is left out: packages of Debian say their licences in files, not in fields, so a bill says nothing of theirs.

mod cyclonedx;
mod licence;
mod provenance;
mod purl;
mod spdx;

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cache::{self, SpecHash};
use crate::digest::{Digest, Sha256};
use crate::distro::{self, Packaging};
use crate::repo::PackageRecord;
use crate::resolve::{self, Lock, LockedPackage, Reason};
use crate::transfer::partial::Partial;
use crate::units::ByteSize;

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
    /// A part of it is damaged.
    #[error("the {part} of the image {image} is damaged")]
    Damaged {
        /// The beginning of its key.
        image: String,
        /// Which part.
        part: &'static str,
    },
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
            Self::Damaged { .. } => Some("“image-composer build SPEC --rebuild” makes the image anew".to_owned()),
            Self::Write { .. } => Some("free space there, or choose another folder with -o".to_owned()),
            Self::Cache(error) => error.hint(),
        }
    }
}

/// What is known of an image and of what is in it.
#[derive(Debug, Clone)]
pub struct Bill {
    /// The image.
    pub image: Image,
    /// Its packages.
    pub lock: Lock,
    /// What else is known of each package of the lock, in its order; empty where nobody wrote it down.
    packages: Vec<Facts>,
    /// The SHA-256 of the repository states of the lock, in its order, where they are known.
    pub releases: Vec<Option<Sha256>>,
    /// What the image's key was made from; null where nobody knows.
    pub inputs: Value,
    /// The version of the program that built the image; none where nobody wrote it down.
    pub builder: Option<String>,
}

/// What a bill is of.
#[derive(Debug, Clone)]
pub struct Image {
    /// The name that the spec gives it.
    pub name: String,
    /// The version that the spec gives it.
    pub version: String,
    /// The distribution, such as `debian12`.
    pub dist: String,
    /// The architecture, as the spec writes it.
    pub arch: String,
    /// Its key.
    pub spec_hash: SpecHash,
    /// The time that its files were clamped to, seconds since the epoch.
    pub source_date: u64,
    /// Its disk; none in a bill that is a part of it.
    pub disk: Option<Disk>,
}

/// The digests of a raw disk.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    /// By which the store knows it.
    pub digest: Digest,
    /// By which others know it.
    pub sha256: Sha256,
}

/// What a lock does not have of a package, and a bill tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The places in the lock of all packages that meet one of its dependencies, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<usize>,
    /// Its licence as the packager wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<Box<str>>,
}

impl Facts {
    /// Of the packages of a lock, in its order.
    pub fn of(packages: &[PackageRecord], arch: &str, packaging: Packaging) -> Vec<Self> {
        let edges = resolve::edges(packages, arch, packaging);
        packages.iter().zip(edges).map(|(package, depends)| Self { depends, licence: package.licence.clone() }).collect()
    }
}

impl Bill {
    /// A bill of these packages. Facts that are not those of the lock are not told.
    pub fn new(image: Image, lock: Lock, packages: Vec<Facts>) -> Self {
        let count = lock.packages.len();
        let fits = packages.len() == count && packages.iter().flat_map(|facts| &facts.depends).all(|place| *place < count);
        let packages = if fits { packages } else { Vec::new() };
        Self { image, lock, packages, releases: Vec::new(), inputs: Value::Null, builder: None }
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

    /// Writes the document to `path`, whole or not at all, in place of an older one. Returns its length, and what it takes on disk.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn write(&self, format: BillFormat, path: &Path) -> Result<(ByteSize, ByteSize), Error> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let written = Partial::new(folder).and_then(|partial| {
            partial.as_file().write_all(self.document(format).as_bytes())?;
            partial.publish(path)
        });
        let (size, allocated) = written.map_err(|source| Error::Write { path: path.to_owned(), source })?;
        Ok((ByteSize(size), ByteSize(allocated)))
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
        self.inputs.get("codename").and_then(Value::as_str)
    }

    /// A UUID that another image does not have (RFC 9562, version 8), for one kind of document.
    fn uuid(&self, of: BillFormat) -> String {
        let disk = self
            .image
            .disk
            .map_or_else(|| self.lock.packages.iter().map(|package| package.sha256.to_string()).collect(), |disk| disk.digest.to_string());
        let name = format!("{of} {} {disk}", self.image.spec_hash);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::derive("image-composer 2026-11 bill uuid", name.as_bytes()).as_bytes()[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Whether all dependencies of the packages are known: older programs kept of each package only what it was first needed for.
    fn has_all_edges(&self) -> bool {
        self.packages.len() == self.lock.packages.len()
    }

    /// On which others each package depends, by places in the lock.
    fn edges(&self) -> Vec<Vec<usize>> {
        if self.has_all_edges() {
            return self.packages.iter().map(|facts| facts.depends.clone()).collect();
        }
        let mut edges = vec![Vec::new(); self.lock.packages.len()];
        for (place, package) in self.lock.packages.iter().enumerate() {
            if let Reason::DependencyOf(by) = &package.reason
                && let Some(by) = self.place(by)
            {
                edges[by].push(place);
            }
        }
        edges
    }

    /// The place of the package of this name; of those of several architectures the first.
    fn place(&self, name: &str) -> Option<usize> {
        self.lock.packages.iter().position(|package| package.coordinates.name() == name)
    }

    /// The licence of the package at this place of the lock, as its packager wrote it.
    fn licence(&self, place: usize) -> Option<&str> {
        self.packages.get(place)?.licence.as_deref()
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
