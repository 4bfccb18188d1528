//! From a file to a complete spec.

use std::path::{Path, PathBuf};

use super::{Spec, complete, extends, hash, read};
use crate::cache::SpecHash;
use crate::digest::Digest;
use crate::distro::Profile;
use crate::yaml::{self, Diagnostic, ReadError, Report};

/// A spec that is complete and checked.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file that it was read from, as it was named.
    pub path: PathBuf,
    /// What it says, with the profile's defaults.
    pub spec: Spec,
    /// The profile that completed it: `spec.target.dist`.
    pub profile: &'static Profile,
}

impl Loaded {
    /// The key of the image. `source_date_epoch` is the time in seconds that the build clamps file times to, where the user gave one
    /// (`SOURCE_DATE_EPOCH`).
    pub fn hash(&self, source_date_epoch: Option<u64>) -> SpecHash {
        hash::hash(&self.spec, self.profile, source_date_epoch)
    }

    /// The digest of what decides on the packages: as long as it stays, a lock is this spec's.
    pub fn package_inputs(&self) -> Digest {
        hash::package_inputs(&self.spec, self.profile)
    }

    /// All that the hash is made from, as JSON: an object with `builder_epoch`, `source_date_epoch`, `spec`, `codename` and `archives`.
    pub fn inputs(&self, source_date_epoch: Option<u64>) -> serde_json::Value {
        hash::inputs(&self.spec, self.profile, source_date_epoch)
    }
}

/// A spec that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file has mistakes: all of them, in the order of the file, one a line as `file:line:column: message; hint`. Hints are already in it.
    #[error("{}", lines(.0))]
    Invalid(Vec<Diagnostic>),
}

impl LoadError {
    /// The mistakes of the file; none if it could not be read.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Read(_) => &[],
            Self::Invalid(diagnostics) => diagnostics,
        }
    }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads, checks and completes the spec at `path`. The files that it extends, and local files that they name, are looked up beside the file
/// that names them; nothing else is read.
///
/// # Errors
/// A file that cannot be read, or all the mistakes in it.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let text = yaml::read(path)?;
    parse(&text, path)
}

/// Checks and completes a spec with this text; `path` is where it was read from.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Loaded, LoadError> {
    let report = Report::new(path);
    let draft = extends::tree(text, path, &report).and_then(|root| read::document(&root, &report));
    match draft {
        Some(draft) if report.is_empty() => {
            let profile = draft.profile;
            Ok(Loaded { path: path.to_owned(), spec: complete::complete(draft), profile })
        }
        _ => Err(LoadError::Invalid(report.into_diagnostics())),
    }
}
