//! A folder of packages as a repository: without an index and a signature, because each package says itself what it is.
//!
//! What a package says and the digest of its bytes come from one pass over its file, so that they belong together. Whoever takes the file later compares
//! with that digest, as with one that an index states: what has changed in between is never used.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use reqwest::Url;

use super::packages::{self, Problem};
use crate::digest::{Sha256, Sha256Reader};
use crate::repo::record::{Archive, PackageRecord};
use crate::root;

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
}

/// The repository that a folder is. `path` must be absolute; none if it has no address.
pub fn archive(id: &str, path: &Path, pin: i32) -> Option<Archive> {
    let address = Url::from_file_path(path).ok()?;
    Some(Archive { id: id.to_owned(), mirrors: vec![address.into()], pin })
}

/// Reads the package file `name` in the folder of `archive`: the digest of its bytes, and the package; none if it is for another architecture than `arch`
/// (`amd64`).
///
/// # Errors
/// A file that is no package, or one with a field that no package can have.
pub fn read(folder: &Path, name: &str, archive: &Arc<Archive>, arch: &str) -> Result<(Sha256, Option<PackageRecord>), FolderError> {
    let path = folder.join(name);
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if !std::fs::metadata(&path)?.is_file() {
        return Err(FolderError::NoFile);
    }
    let file = File::open(&path)?;
    let length = file.metadata()?.len();
    let mut reader = Sha256Reader::new(file);
    let control = root::control_fields(name, &mut reader, length)?;
    io::copy(&mut reader, &mut io::sink())?;
    let (size, sha256) = (reader.length(), reader.digest());
    let filename = Url::from_file_path(&path).ok().and_then(|address| Some(address.path_segments()?.next_back()?.to_owned()));
    let filename = filename.ok_or_else(|| Problem::Filename(name.to_owned()))?;
    Ok((sha256, packages::of_control(&control, &filename, size, sha256, archive, arch)?))
}
