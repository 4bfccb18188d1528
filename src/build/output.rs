//! Output files: they appear whole under their names, or not at all.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::report::Output;
use super::{Error, Request};
use crate::progress::{Cancel, Progress};
use crate::spec::model::Artifact;
use crate::units::ByteSize;

/// Where unfinished files are told from others.
const PREFIX: &str = ".image-composer-";
const SUFFIX: &str = ".partial";

/// The folder that the outputs of one build go to.
#[derive(Debug)]
pub(super) struct OutputDir {
    path: PathBuf,
    stem: String,
}

/// A file that is being written; dropped before it is published, it is removed.
#[derive(Debug)]
pub(super) struct Partial {
    file: tempfile::NamedTempFile,
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
        let mut builder = tempfile::Builder::new();
        // As any program would make the file: the umask narrows it.
        builder.prefix(PREFIX).suffix(SUFFIX).permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        loop {
            let file = builder.tempfile_in(&self.path).map_err(Error::output(&self.path))?;
            // Held while the process lives, so that others can tell it from a leftover.
            file.as_file().lock().map_err(Error::output(file.path()))?;
            // Another build may have taken it for one just before.
            if file.as_file().metadata().map_err(Error::output(file.path()))?.nlink() > 0 {
                return Ok(Partial { file });
            }
        }
    }

    /// The final name of an artifact.
    pub(super) fn name(&self, artifact: Artifact) -> PathBuf {
        self.path.join(format!("{}.{}", self.stem, artifact.extension()))
    }

    /// Gives a finished file its name, in place of an older one.
    pub(super) fn publish(&self, partial: Partial, artifact: Artifact) -> Result<Output, Error> {
        let path = self.name(artifact);
        partial.file.as_file().sync_all().map_err(Error::output(&path))?;
        let file = partial.file.persist(&path).map_err(|error| Error::Output { path: path.clone(), source: error.error })?;
        File::open(&self.path).and_then(|dir| dir.sync_all()).map_err(Error::output(&self.path))?;
        let metadata = file.metadata().map_err(Error::output(&path))?;
        Ok(Output { path, size: ByteSize(metadata.len()), allocated: ByteSize(metadata.blocks() * 512) })
    }
}

impl Partial {
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn as_file(&self) -> &File {
        self.file.as_file()
    }
}

/// Makes all artifacts of the raw disk `raw`, which is one of them or only their source, and returns them in the order of the spec.
pub(super) fn write_all(
    dir: &OutputDir,
    artifacts: &[Artifact],
    raw: Partial,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Output>, Error> {
    // All are written before the first gets its name: a failure leaves the older files as they were.
    let mut converted = Vec::new();
    for artifact in artifacts {
        if *artifact == Artifact::Qcow2 {
            let partial = dir.partial()?;
            crate::disk::qcow2::convert((raw.as_file(), raw.path()), (partial.as_file(), partial.path()), progress, cancel)?;
            converted.push((*artifact, partial));
        }
    }
    if artifacts.contains(&Artifact::Raw) {
        converted.push((Artifact::Raw, raw));
    }
    converted.sort_by_key(|(artifact, _)| artifacts.iter().position(|other| other == artifact));
    converted.into_iter().map(|(artifact, partial)| dir.publish(partial, artifact)).collect()
}

fn remove_stale(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            match File::open(entry.path()) {
                // What cannot be removed is another user's, or another build was quicker: nothing of it matters to this one.
                Ok(file) if file.try_lock().is_ok() => drop(std::fs::remove_file(entry.path())),
                // Another build writes it, or it is another user's.
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_files_in_the_making_stay() {
        let dir = tempfile::tempdir().unwrap();
        let output = OutputDir { path: dir.path().to_owned(), stem: "demo-1".to_owned() };
        let living = output.partial().unwrap();
        let stale = dir.path().join(".image-composer-dead.partial");
        std::fs::write(&stale, "half").unwrap();
        remove_stale(dir.path()).unwrap();
        assert!(living.path().exists() && !stale.exists());
        std::fs::write(living.path(), "whole").unwrap();
        let published = output.publish(living, Artifact::Raw).unwrap();
        assert_eq!(published.path, dir.path().join("demo-1.raw"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn builds_that_begin_together_leave_each_others_files_alone() {
        let dir = tempfile::tempdir().unwrap();
        let output = OutputDir { path: dir.path().to_owned(), stem: "demo-1".to_owned() };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        remove_stale(dir.path()).unwrap();
                        assert!(output.partial().unwrap().path().exists());
                    }
                });
            }
        });
    }

    #[test]
    fn a_file_that_is_not_published_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let output = OutputDir { path: dir.path().to_owned(), stem: "demo-1".to_owned() };
        drop(output.partial().unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
