//! Why a build failed, what to do, and with which exit code the program ends.

use std::path::{Path, PathBuf};

use super::locked::Disagreement;
use super::signatures::Unproven;
use super::worker::WorkerFailure;
use crate::cache::{self, Coordinates};
use crate::distro::Packaging;
use crate::root::sandbox::SandboxError;
use crate::text::word;
use crate::units::ByteSize;
use crate::{disk, fetch, inspect, repo, resolve, store};

/// A build that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address is known for an archive of the profile.
    #[error("no address is known for the archive “{archive}” of {profile}")]
    NoMirror {
        /// The archive.
        archive: String,
        /// The profile.
        profile: String,
    },
    /// The host's apt configuration cannot be read.
    #[error("the host's apt configuration cannot be used")]
    AptSources(#[from] repo::deb::sources::SourcesError),
    /// A keyring cannot be used.
    #[error("the keyring of the archive “{archive}” cannot be used")]
    Keyring {
        /// The archive.
        archive: String,
        /// The package that has it, where it is the profile's own, and of what kind that is.
        package: Option<(Packaging, &'static str)>,
        /// Why not.
        source: repo::keyring::KeyringError,
    },
    /// Repositories of the spec that nothing proves: a line of each.
    #[error("{}", .0.join("; "))]
    Untrusted(Vec<String>),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] fetch::Error),
    /// Repository metadata.
    #[error(transparent)]
    Repository(#[from] repo::Error),
    /// Repository metadata that is not in the store.
    #[error("{missing}")]
    MetadataOffline {
        /// All of it.
        missing: Box<repo::Error>,
        /// The spec.
        spec: PathBuf,
    },
    /// No set of packages fulfils the spec.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// A lock that is not this spec's, or not this spec's any more.
    #[error("the lock of {} was made for other packages{}", .spec.display(), differing(.disagreement))]
    LockDisagrees {
        /// The spec.
        spec: PathBuf,
        /// What differs.
        disagreement: Disagreement,
    },
    /// A package that is not what its lock says.
    #[error("{package} is not what the lock says: {problem}")]
    LockedPackage {
        /// What the lock calls it.
        package: String,
        /// What is wrong with it.
        problem: String,
    },
    /// RPM packages that no key of their repository has signed.
    #[error("{} not proven by a signature:{}", if .0.len() == 1 { "a package is".to_owned() } else { format!("{} packages are", .0.len()) }, unproven(.0))]
    Unproven(Vec<Unproven>),
    /// A package to renew that the lock does not have.
    #[error("the lock has no package “{0}”")]
    NotInLock(String),
    /// More packages than the disk can hold.
    #[error("the packages take {installed} when installed, and the disk's file systems have {has}")]
    NoRoomOnDisk {
        /// What the packages say that they take.
        installed: ByteSize,
        /// The length of all partitions that are mounted, but for FAT.
        has: ByteSize,
        /// What is missing, at least.
        missing: ByteSize,
    },
    /// Packages that are not in the store.
    #[error("{} of {total} packages are not in the store, and the build is offline:{}", .missing.len(), list(.missing))]
    NotAvailableOffline {
        /// All of them.
        missing: Vec<Coordinates>,
        /// How many packages the image has.
        total: usize,
        /// The spec.
        spec: PathBuf,
    },
    /// Packages that could not be fetched.
    #[error(transparent)]
    Download(#[from] fetch::DownloadError),
    /// The sandbox cannot be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerFailure),
    /// The layout, or another format of the disk.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// Another format of the disk.
    #[error(transparent)]
    Format(#[from] disk::formats::Error),
    /// The caches.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// No image is kept that a check could compare with.
    #[error("no image of {} is kept, so there is nothing to check", .0.display())]
    NothingToCheck(PathBuf),
    /// A check that cannot look into an image.
    #[error(transparent)]
    Inspect(#[from] inspect::Error),
    /// A scratch directory outside the store.
    #[error("no temporary directory can be made")]
    Scratch(#[source] std::io::Error),
    /// An output file.
    #[error("cannot write {}", .path.display())]
    Output {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] crate::progress::Cancelled),
}

impl Error {
    pub(super) fn output(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Output { path, source }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoMirror { archive, .. } => Some(format!(
                "give one with --mirror {archive}=URL, or with mirrors.{archive} in the configuration; it is the address above “dists/”"
            )),
            Self::AptSources(error) => error.hint(),
            Self::Keyring { package: Some((Packaging::Rpm, package)), archive, .. } => Some(format!(
                "name a file with the keys of {archive} with keyrings.{archive} in the configuration: the distribution's package “{package}” has it"
            )),
            Self::Keyring { package: Some((Packaging::Deb, package)), archive, .. } => Some(format!(
                "install the package “{package}” (apt install {package}), or name a keyring file with keyrings.{archive} in the configuration"
            )),
            Self::Keyring { source, .. } => source.hint(),
            Self::Untrusted(_) => Some(
                "name the file with its public key in pkey; to let whoever answers for it decide what is in the image, add --allow-untrusted"
                    .to_owned(),
            ),
            Self::Client(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Resolve(error) => error.hint(),
            Self::NotAvailableOffline { spec, .. } | Self::MetadataOffline { spec, .. } => {
                Some(format!("fetch them where there is a network: image-composer fetch {}", word(spec)))
            }
            Self::LockDisagrees { spec, .. } => Some(format!("renew it with: image-composer lock {}", word(spec))),
            Self::LockedPackage { .. } => Some("make the lock anew: image-composer lock SPEC --upgrade".to_owned()),
            Self::Unproven(unproven) => Some(unproven.iter().find_map(|unproven| unproven.cause.hint()).unwrap_or_else(|| {
                "the repository must sign its packages (rpmsign --addsign); to let it decide what is in the image, give it insecureSkipVerify: true and \
                 add --allow-untrusted"
                    .to_owned()
            })),
            Self::NotInLock(_) => Some("name packages as they stand in the lock, or use --upgrade without names for all".to_owned()),
            Self::NoRoomOnDisk { missing, .. } => {
                Some(format!("make disk.size and the partition for them at least {missing} larger, or install less"))
            }
            Self::Download(error) => error.hint(),
            Self::Sandbox(error) => error.hint(),
            Self::Worker(failure) => failure.hint.clone(),
            Self::Disk(error) => error.hint(),
            Self::Cache(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::NothingToCheck(spec) => Some(format!("build it first: image-composer build {}", word(spec))),
            Self::Inspect(error) => error.hint(),
            Self::Scratch(_) => Some("set TMPDIR to a directory with room that can be written to".to_owned()),
            Self::Output { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free space there, or choose another folder with -o".to_owned())
            }
            Self::Output { .. } => Some("choose another folder with -o".to_owned()),
            Self::Format(disk::formats::Error::Io { .. }) => Some("free space in the output folder, or choose another one with -o".to_owned()),
            Self::Format(error) => error.hint(),
            Self::Cancelled(_) => None,
        }
    }

    /// Whether the store has no room for what the build needs.
    pub fn is_without_room(&self) -> bool {
        match self {
            Self::Download(error) => error.is_full(),
            Self::Store(error) | Self::Cache(cache::Error::Store(error)) | Self::Repository(repo::Error::Cache(cache::Error::Store(error))) => {
                error.is_full()
            }
            _ => false,
        }
    }

    /// The end of what a failed program printed.
    pub fn output_tail(&self) -> Option<&str> {
        match self {
            Self::Worker(failure) => failure.output.as_deref(),
            _ => None,
        }
    }

    /// Whether the user asked to stop, in whatever room that was noticed.
    pub(super) fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled(_)
            | Self::Download(fetch::DownloadError::Cancelled(_))
            | Self::Disk(disk::Error::Cancelled(_))
            | Self::Format(disk::formats::Error::Cancelled(_))
            | Self::Store(store::Error::Cancelled(_))
            | Self::Inspect(inspect::Error::Cancelled(_))
            | Self::Cache(cache::Error::Store(store::Error::Cancelled(_))) => true,
            Self::Client(error) => error.is_cancelled(),
            Self::Repository(error) => error.is_cancelled(),
            _ => false,
        }
    }

    /// The exit code: 1 failed, 2 usage or configuration, 3 not available, 4 integrity, 5 store busy, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            _ if self.is_cancelled() => 130,
            Self::Worker(failure) if failure.unreadable_blob.is_some() || failure.unreadable_root => 4,
            Self::LockedPackage { .. } | Self::Unproven(_) => 4,
            Self::Sandbox(SandboxError::MissingProgram { .. } | SandboxError::NoSubordinateIds { .. })
            | Self::NoMirror { .. }
            | Self::Keyring { .. }
            | Self::Untrusted(_)
            | Self::AptSources(_)
            | Self::LockDisagrees { .. }
            | Self::NotInLock(_)
            | Self::Resolve(resolve::Error::Unknown(_)) => 2,
            Self::NotAvailableOffline { .. } | Self::MetadataOffline { .. } | Self::NothingToCheck(_) => 3,
            Self::Inspect(error) if error.is_damage() => 4,
            Self::Repository(error) if error.is_of_configuration() => 2,
            Self::Repository(error) if error.is_not_available() => 3,
            Self::Repository(error) if error.is_integrity() => 4,
            Self::Download(error) if error.is_integrity() => 4,
            Self::Download(error) if error.is_of_configuration() => 2,
            Self::Cache(error) if error.is_damage() => 4,
            Self::Store(error) if error.is_damage() => 4,
            Self::Cache(cache::Error::Store(error)) | Self::Store(error) if error.is_of_index() => 4,
            Self::Cache(cache::Error::Store(error)) | Self::Store(error) if error.is_busy() => 5,
            _ => 1,
        }
    }
}

/// An error and its causes in one line.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

/// `: it lacks a, b; it has c`.
fn differing(disagreement: &Disagreement) -> String {
    let Disagreement { missing, surplus } = disagreement;
    let parts = [("it lacks", missing), ("the spec no longer asks for", surplus)].into_iter().filter(|(_, names)| !names.is_empty());
    let parts: Vec<String> = parts.map(|(what, names)| format!("{what} {}", names.join(", "))).collect();
    if parts.is_empty() { ": repositories, architecture or kernel are others".to_owned() } else { format!(": {}", parts.join("; ")) }
}

fn list(packages: &[Coordinates]) -> String {
    packages.iter().fold(String::new(), |list, package| format!("{list}\n  {package}"))
}

/// The most packages that are named one by one for the same kind of problem.
const NAMED: usize = 10;

fn unproven(packages: &[Unproven]) -> String {
    let named =
        packages.iter().take(NAMED).fold(String::new(), |list, Unproven { package, cause }| format!("{list}\n  {package}: {}", with_causes(cause)));
    if packages.len() > NAMED { format!("{named}\n  and {} more", packages.len() - NAMED) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Cancelled;

    #[test]
    fn an_interruption_has_its_exit_code_wherever_it_is_noticed() {
        for error in [
            Error::from(Cancelled),
            fetch::DownloadError::from(Cancelled).into(),
            disk::Error::from(Cancelled).into(),
            disk::formats::Error::from(Cancelled).into(),
            store::Error::from(Cancelled).into(),
            cache::Error::from(store::Error::from(Cancelled)).into(),
            repo::Error::from(Cancelled).into(),
        ] {
            assert_eq!(error.exit_code(), 130, "{error:?}");
        }
    }
}
