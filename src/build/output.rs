//! Output files: they appear whole under their names, or not at all.

use std::path::PathBuf;

use super::report::Output;
use super::{Error, Request};
use crate::digest::Digest;
use crate::disk::formats::{Format, Raw, compression};
use crate::progress::{Cancel, Progress};
use crate::spec::model::Artifact;
use crate::transfer::convert::convert;
use crate::transfer::partial::{Partial, remove_stale};
use crate::units::ByteSize;

/// The folder that the outputs of one build go to.
#[derive(Debug)]
pub(super) struct OutputDir {
    path: PathBuf,
    stem: String,
}

impl OutputDir {
    /// Makes the folder if it is not there, and removes what killed builds left in it.
    pub(super) fn prepare(request: &Request) -> Result<Self, Error> {
        let path = request.output_dir.clone();
        std::fs::create_dir_all(&path).map_err(Error::output(&path))?;
        remove_stale(&path).map_err(Error::output(&path))?;
        let image = &request.spec.spec.image;
        Ok(Self { path, stem: format!("{}-{}", image.name, image.version) })
    }

    /// A new, empty, unfinished file.
    pub(super) fn partial(&self) -> Result<Partial, Error> {
        Partial::new(&self.path).map_err(Error::output(&self.path))
    }

    /// The final name of an artifact.
    pub(super) fn name(&self, artifact: Artifact) -> PathBuf {
        self.path.join(format!("{}.{artifact}", self.stem))
    }

    /// Gives a finished file its name, in place of an older one.
    pub(super) fn publish(&self, partial: Partial, artifact: Artifact) -> Result<Output, Error> {
        let path = self.name(artifact);
        let (size, allocated) = partial.publish(&path).map_err(Error::output(&path))?;
        Ok(Output { path, size: ByteSize(size), allocated: ByteSize(allocated) })
    }
}

/// Makes all artifacts of the raw disk `raw`, which is one of them or only their source, and returns them in the order of the spec. `digest` is the disk's,
/// where it is known: identifiers in other formats derive from it.
pub(super) fn write_all(
    dir: &OutputDir,
    artifacts: &[Artifact],
    raw: Partial,
    digest: Option<Digest>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Output>, Error> {
    // All are written before the first gets its name: a failure leaves the older files as they were.
    let mut converted = Vec::new();
    let seed = match digest {
        Some(digest) => digest,
        // Only where nothing needs it, or the disk is kept nowhere.
        None if artifacts.iter().all(|artifact| !artifact.contents.has_identifiers()) => Digest::of(b""),
        None => digest_of(&raw)?,
    };
    let plain = Artifact::from(Format::Raw);
    for artifact in artifacts.iter().copied().filter(|artifact| *artifact != plain) {
        let converted_disk = if artifact.is_raw_inside() { None } else { Some(dir.partial()?) };
        if let Some(partial) = &converted_disk {
            convert::<Error>(&raw, partial, artifact.contents, seed, progress, cancel)?;
        }
        let partial = match (artifact.compression, converted_disk) {
            (None, Some(partial)) => partial,
            (None, None) => continue,
            (Some(how), partial) => {
                let inner = partial.as_ref().unwrap_or(&raw);
                let compressed = dir.partial()?;
                compression::compress(
                    (how, artifact.frames()),
                    Raw::new(inner.as_file(), inner.path())?,
                    (compressed.as_file(), compressed.path()),
                    progress,
                    cancel,
                )?;
                compressed
            }
        };
        converted.push((artifact, partial));
    }
    if artifacts.contains(&plain) {
        converted.push((plain, raw));
    }
    converted.sort_by_key(|(artifact, _)| artifacts.iter().position(|other| other == artifact));
    converted.into_iter().map(|(artifact, partial)| dir.publish(partial, artifact)).collect()
}

pub(super) fn digest_of(raw: &Partial) -> Result<Digest, Error> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(raw.path()).map_err(Error::output(raw.path()))?;
    Ok(hasher.finalize().into())
}
