//! A folder of packages as a repository: without an index and a signature, because each package says itself what it is.
//!
//! What a package says and the digest of its bytes come from one pass over its file, so that they belong together. Whoever takes the file later compares
//! with that digest, as with one that an index states: what has changed in between is never used.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use reqwest::Url;

use super::deb::packages::{self, Problem};
use super::rpm::primary;
use crate::digest::{Sha256, Sha256Reader};
use crate::repo::record::{Archive, PackageRecord};
use crate::root::{self, Described, Packaging};

/// A package file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is a folder, a device, or the like.
    #[error("it is no file")]
    NoFile,
    /// It is no package.
    #[error(transparent)]
    Package(#[from] root::Error),
    /// It is a package with a field that no package can have.
    #[error("its control file cannot be used")]
    Control(#[from] Problem),
    /// The same of an RPM package.
    #[error("its header cannot be used: {0}")]
    Header(String),
}

/// The repository that a folder is. `path` must be absolute; none if it has no address.
pub fn archive(id: &str, path: &Path, pin: i32) -> Option<Archive> {
    let address = Url::from_file_path(path).ok()?;
    Some(Archive { id: id.to_owned(), mirrors: vec![address.into()], pin })
}

/// Reads the package file `name` in the folder of `archive`: the digest of its bytes, and the package; none if it is for another architecture than `arch`
/// (`amd64`, `x86_64`). A signature in it is not looked at: the digest in the spec's hash stands for the bytes.
///
/// # Errors
/// A file that is no package, or one with a field that no package can have.
pub fn read(
    folder: &Path,
    name: &str,
    archive: &Arc<Archive>,
    packaging: Packaging,
    arch: &str,
) -> Result<(Sha256, Option<PackageRecord>), FolderError> {
    let path = folder.join(name);
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if !std::fs::metadata(&path)?.is_file() {
        return Err(FolderError::NoFile);
    }
    let file = File::open(&path)?;
    let length = file.metadata()?.len();
    let mut reader = Sha256Reader::new(file);
    let said = match packaging {
        Packaging::Deb => Said::Control(root::control_fields(name, &mut reader, length)?),
        Packaging::Rpm => Said::Header(Box::new(Described::read(name, &mut reader, length)?)),
    };
    io::copy(&mut reader, &mut io::sink())?;
    let (size, sha256) = (reader.length(), reader.digest());
    let filename = Url::from_file_path(&path).ok().and_then(|address| Some(address.path_segments()?.next_back()?.to_owned()));
    let filename = filename.ok_or_else(|| Problem::Filename(name.to_owned()))?;
    let record = match said {
        Said::Control(control) => packages::of_control(&control, &filename, size, sha256, archive, arch)?,
        Said::Header(described) => primary::of_header(*described, &filename, size, sha256, archive, arch).map_err(FolderError::Header)?,
    };
    Ok((sha256, record))
}

/// What a package says of itself.
enum Said {
    Control(Vec<(String, String)>),
    Header(Box<Described>),
}
