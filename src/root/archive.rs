//! What the readers of all kinds of packages share: whose bytes they read, and how these are decompressed.

use std::io::{self, Read};

use super::plan::{Package, Source};
use super::{Error, bounded};
use crate::digest::Digest;
use crate::store;

/// Needed to decompress the largest dictionaries that `dpkg-deb` and `rpmbuild` write (`xz -9` needs 65 MiB).
const XZ_MEMORY: u64 = 80 << 20;

/// Whose bytes are read, for errors.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The package's name and version.
    package: String,
    /// Its blob, where it lies in the store.
    blob: Option<Digest>,
}

impl Origin {
    /// Waits until the package has come.
    pub(super) fn of(package: &Package) -> Self {
        let blob = match package.supply.wait() {
            Ok(Source::Blob { digest, .. } | Source::Plain { digest, .. }) => Some(*digest),
            Ok(Source::File(_) | Source::Installed) | Err(_) => None,
        };
        Self { package: format!("{} {}", package.coordinates.name(), package.coordinates.version()), blob }
    }

    /// For bytes that are in no store.
    pub(super) fn named(package: &str) -> Self {
        Self { package: package.to_owned(), blob: None }
    }

    pub(super) fn unreadable(&self, source: io::Error) -> Error {
        Error::Unreadable { package: self.package.clone(), blob: self.blob, source }
    }

    pub(super) fn bad(&self, problem: impl Into<String>) -> Error {
        Error::BadPackage { package: self.package.clone(), problem: problem.into() }
    }
}

/// The bytes of a package, which are waited for.
pub(super) fn open(package: &Package, origin: &Origin) -> Result<Box<dyn Read>, Error> {
    let unreadable = |source| origin.unreadable(source);
    Ok(match package.supply.wait()? {
        Source::Blob { path, digest } | Source::Plain { path, digest } => {
            Box::new(store::open_file(path, digest).map_err(|error| unreadable(io::Error::other(error)))?)
        }
        Source::File(path) => Box::new(std::fs::File::open(path).map_err(unreadable)?),
        Source::Installed => return Err(unreadable(io::ErrorKind::NotFound.into())),
    })
}

/// Decompresses a part of a package, which has `len` bytes, by the ending of its name; within bounds ([`bounded`]).
pub(super) fn decoder<'r>(origin: &Origin, compression: &str, input: impl Read + 'r, len: u64) -> Result<Box<dyn Read + 'r>, Error> {
    let unreadable = |source| origin.unreadable(source);
    let decoder: Box<dyn Read + 'r> = match compression {
        "" => Box::new(input),
        ".gz" => Box::new(flate2::read::GzDecoder::new(input)),
        ".xz" | ".lzma" => {
            let stream = if compression == ".xz" {
                liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)
            } else {
                liblzma::stream::Stream::new_lzma_decoder(XZ_MEMORY)
            };
            Box::new(liblzma::read::XzDecoder::new_stream(input, stream.map_err(|error| unreadable(error.into()))?))
        }
        ".zst" => Box::new(zstd::stream::read::Decoder::new(input).map_err(unreadable)?),
        other => {
            let problem = format!("“{other}” is a compression that this program does not read (it reads .gz, .xz and .zst)");
            return Err(origin.bad(problem));
        }
    };
    Ok(Box::new(bounded::Decoded::new(decoder, len)))
}
