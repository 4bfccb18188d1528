//! What a package is called: the key of the package cache.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest part of coordinates in bytes. Debian's longest file names are below 200.
const PART_LIMIT: usize = 255;

/// Name, version, architecture and source repository of one package.
///
/// The parts are checked where they are made: never empty, at most 255 bytes, printable ASCII without `/`, and never a name that a path could step
/// through. They are still not used as paths: only `store/layout.rs` makes those, from digests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawCoordinates")]
pub struct Coordinates {
    name: String,
    version: String,
    arch: String,
    repository: String,
}

#[derive(Deserialize)]
struct RawCoordinates {
    name: String,
    version: String,
    arch: String,
    repository: String,
}

/// A part of coordinates that no package can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{value}” cannot be the {part} of a package")]
pub struct CoordinatesError {
    /// `name`, `version`, `architecture` or `repository`.
    pub part: &'static str,
    /// The refused text, cut to 80 characters.
    pub value: String,
}

impl Coordinates {
    /// Coordinates of these parts. `version` is the full version as the distribution writes it (`epoch:upstream-revision`); `repository` is the
    /// stable identity of a repository (never a mirror's address), such as `debian-security`.
    ///
    /// # Errors
    /// The first part that no package can have.
    pub fn new(name: &str, version: &str, arch: &str, repository: &str) -> Result<Self, CoordinatesError> {
        Self::check(name, version, arch, repository)?;
        Ok(Self { name: name.to_owned(), version: version.to_owned(), arch: arch.to_owned(), repository: repository.to_owned() })
    }

    /// Whether these are parts of coordinates.
    ///
    /// # Errors
    /// As [`Coordinates::new`].
    pub fn check(name: &str, version: &str, arch: &str, repository: &str) -> Result<(), CoordinatesError> {
        for (part, value) in [("name", name), ("version", version), ("architecture", arch), ("repository", repository)] {
            let printable = value.bytes().all(|byte| byte.is_ascii_graphic() && (byte != b'/' || part == "repository"));
            if value.is_empty() || value.len() > PART_LIMIT || !printable || value == "." || value == ".." {
                return Err(CoordinatesError { part, value: value.chars().take(80).collect() });
            }
        }
        Ok(())
    }

    /// The package's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The full version, epoch included.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The architecture as the distribution calls it (`amd64`, `all`).
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// The identity of the repository that the package comes from.
    pub fn repository(&self) -> &str {
        &self.repository
    }
}

impl TryFrom<RawCoordinates> for Coordinates {
    type Error = CoordinatesError;

    fn try_from(raw: RawCoordinates) -> Result<Self, Self::Error> {
        Self::new(&raw.name, &raw.version, &raw.arch, &raw.repository)
    }
}

impl fmt::Display for Coordinates {
    /// `name=version:arch (repository)`, as in `libc6=2.36-9+deb12u10:amd64 (debian)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{} ({})", self.name, self.version, self.arch, self.repository)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_parts_that_no_package_has() {
        assert!(Coordinates::new("libc6", "1:2.36-9+deb12u10~x", "amd64", "debian").is_ok());
        for (name, version, arch, repository) in
            [("", "1", "all", "d"), ("..", "1", "all", "d"), ("a/b", "1", "all", "d"), ("a", "1 2", "all", "d"), ("a", "1", "all", "\n")]
        {
            assert!(Coordinates::new(name, version, arch, repository).is_err());
        }
    }
}
