//! Why a command failed, and with which status the program ends.

use std::io;
use std::path::PathBuf;

use image_composer::cache::{self, SpecHash};
use image_composer::config::{ConfigError, NoStoreError};
use image_composer::spec::LoadError;
use image_composer::text::word;
use image_composer::yaml::{Diagnostic, ReadError};
use image_composer::{bill, build, inspect, store, transfer};

use super::exit;
use crate::ui::Problem;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something on the command line or in the environment that the parser cannot see.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// The way out.
        hint: String,
    },
    /// A spec or a configuration file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// A spec or configuration files with mistakes.
    #[error("{what} cannot be used")]
    Mistakes {
        /// Which file, or “the configuration”.
        what: String,
        /// All of them.
        diagnostics: Vec<Diagnostic>,
    },
    /// Some of the validated specs cannot be used; the mistakes are told already.
    #[error("{}", if *.total == 1 { "the spec cannot be used".to_owned() } else { format!("{failed} of {total} specs cannot be used") })]
    Invalid {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// Some of the specs could not be fetched; why is told already.
    #[error("{} of {total} specs could not be fetched:{}", .failed.len(), paths(.failed))]
    NotFetched {
        /// Which.
        failed: Vec<PathBuf>,
        /// Of how many.
        total: usize,
        /// The exit status of the first.
        code: u8,
    },
    /// Nothing says where the store is.
    #[error(transparent)]
    NoStore(#[from] NoStoreError),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The caches.
    #[error(transparent)]
    Cache(cache::Error),
    /// The build.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// There is no bill of an image.
    #[error(transparent)]
    Bill(#[from] bill::Error),
    /// A bill of an image that was built and could not be kept.
    #[error("there is no bill of {name}: the image is not in the cache")]
    NotKept {
        /// What the spec calls it.
        name: String,
    },
    /// An image that leaves or comes in.
    #[error(transparent)]
    Transfer(transfer::Error),
    /// No image has such an id.
    #[error("no image in the cache has the id “{id}”")]
    NoSuchImage {
        /// What was asked for.
        id: String,
        /// The way out.
        hint: String,
    },
    /// Neither an image nor a package is called so.
    #[error("nothing in the store is called “{word}”")]
    NoSuchEntry {
        /// What was asked for.
        word: String,
        /// The way out.
        hint: String,
    },
    /// The log of an image is not there.
    #[error("the image {image} has no log")]
    NoLog {
        /// Its short id.
        image: String,
        /// Why not, and what to do.
        hint: String,
    },
    /// Several images have an id that begins so.
    #[error("“{id}” may mean any of {} images:{}", .candidates.len(), lines(.candidates))]
    Ambiguous {
        /// What was asked for.
        id: String,
        /// What it may mean, sorted.
        candidates: Vec<SpecHash>,
    },
    /// The database of the index broke on what it read.
    #[error("the index {} is damaged: its database says “{reason}”", .path.display())]
    BrokenIndex {
        /// Its file.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// The store was checked and is damaged; what was found is told already.
    #[error("the store {} damaged", if *.repaired { "was" } else { "is" })]
    StoreDamaged {
        /// Whether it was mended.
        repaired: bool,
    },
    /// There is no lock of a spec.
    #[error("the lock {} is not there", super::lock::path_of(.spec).display())]
    NoLock {
        /// The spec.
        spec: PathBuf,
    },
    /// A lock file that cannot be read, used or written.
    #[error("the lock {} {problem}", .path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An image that cannot be looked into.
    #[error(transparent)]
    Inspect(inspect::Error),
    /// Parts of an image that cannot be read; which is told already.
    #[error("{} of {image} cannot be read", if *.parts == 1 { "a part".to_owned() } else { format!("{parts} parts") })]
    Unread {
        /// The file, or the id of the image.
        image: String,
        /// How many.
        parts: usize,
    },
    /// A check that built another image; how it differs is told already.
    #[error("the image {image} is not the same when it is built again")]
    NotTheSame {
        /// Its short id.
        image: String,
    },
    /// Something that was asked for, and told, differs.
    #[error("the lock would change")]
    Differs {
        /// The exit status.
        code: u8,
    },
    /// Signals cannot be caught.
    #[error("cannot listen for Ctrl-C")]
    Signals(#[source] io::Error),
    /// Standard output is closed or full.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl Error {
    /// The error of a command line that is wrong in itself.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// The error of a lock file.
    pub(super) fn lock(path: &std::path::Path, problem: String) -> Self {
        Self::Lock { path: path.to_owned(), problem }
    }

    /// With which status the program ends.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. }
            | Self::Unreadable(_)
            | Self::Mistakes { .. }
            | Self::Invalid { .. }
            | Self::NoStore(_)
            | Self::Ambiguous { .. }
            | Self::NoLock { .. }
            | Self::Lock { .. }
            | Self::Cache(cache::Error::Taken(_)) => exit::USAGE,
            Self::NoSuchImage { .. }
            | Self::NoSuchEntry { .. }
            | Self::NoLog { .. }
            | Self::Cache(cache::Error::NoImage(_) | cache::Error::NoPackage(_)) => exit::NOT_FOUND,
            Self::Bill(error) => of_bill(error),
            Self::NotFetched { code, .. } | Self::Differs { code } => *code,
            Self::Store(error) => of_store(error),
            Self::BrokenIndex { .. }
            | Self::StoreDamaged { .. }
            | Self::Unread { .. }
            | Self::NotTheSame { .. }
            | Self::Cache(cache::Error::Mismatch { .. }) => exit::INTEGRITY,
            Self::Cache(cache::Error::Bundle(error)) if error.is_integrity() => exit::INTEGRITY,
            Self::Build(error) => error.exit_code(),
            Self::Transfer(error) => of_transfer(error),
            Self::Inspect(error) => of_inspect(error),
            Self::Cache(_) | Self::NotKept { .. } | Self::Signals(_) | Self::Output(_) => exit::FAILED,
        }
    }

    /// Whether the store has no room for something.
    pub(super) fn is_without_room(&self) -> bool {
        match self {
            Self::Store(error) => error.is_full(),
            Self::Build(error) => error.is_without_room(),
            _ => false,
        }
    }

    /// How it is shown.
    pub(super) fn problem(&self) -> Problem<'_> {
        let diagnostics = if let Self::Mistakes { diagnostics, .. } = self { diagnostics.as_slice() } else { &[] };
        let output = if let Self::Build(error) = self { error.output_tail() } else { None };
        Problem { error: self, diagnostics, output, hint: self.hint() }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::NoSuchImage { hint, .. } | Self::NoSuchEntry { hint, .. } | Self::NoLog { hint, .. } => {
                Some(hint.clone())
            }
            Self::NoStore(error) => error.hint(),
            Self::BrokenIndex { .. } => Some(store::REBUILD_HINT.to_owned()),
            Self::Store(error) => error.hint(),
            Self::Cache(error) => error.hint(),
            Self::Build(error) => error.hint(),
            Self::Bill(error) => error.hint(),
            Self::NotKept { .. } => {
                Some("its files are written; make room in the store or raise the limits of the image cache, and build again".to_owned())
            }
            Self::Transfer(error) => error.hint(),
            Self::Inspect(error) => error.hint(),
            Self::Unread { .. } => Some("copy or fetch it again; what is shown is what can be read".to_owned()),
            Self::Ambiguous { .. } => Some("give more digits".to_owned()),
            Self::StoreDamaged { repaired: false } => Some("“image-composer cache verify --repair” mends what can be mended".to_owned()),
            Self::Unreadable(error) => error.hint(),
            Self::NoLock { spec } => Some(format!("make it with: image-composer lock {}", word(spec))),
            Self::Lock { .. } => Some("make it anew: image-composer lock SPEC --upgrade".to_owned()),
            Self::NotTheSame { .. } => {
                Some("look for what writes these files: a command of the spec, a package’s script, a local file that changes".to_owned())
            }
            Self::Differs { .. } => Some("without --diff it is written".to_owned()),
            Self::StoreDamaged { repaired: true }
            | Self::Mistakes { .. }
            | Self::Invalid { .. }
            | Self::NotFetched { .. }
            | Self::Signals(_)
            | Self::Output(_) => None,
        }
    }
}

fn of_bill(error: &bill::Error) -> u8 {
    match error {
        bill::Error::Imported(_) => exit::NOT_FOUND,
        bill::Error::Damaged { .. } => exit::INTEGRITY,
        bill::Error::Write { .. } | bill::Error::Cache(_) => exit::FAILED,
    }
}

fn of_store(error: &store::Error) -> u8 {
    match error {
        error if error.is_busy() => exit::BUSY,
        error if error.is_of_index() => exit::INTEGRITY,
        store::Error::Cancelled(_) => exit::INTERRUPTED,
        store::Error::Damaged(_) => exit::INTEGRITY,
        store::Error::NotAStore(_) | store::Error::Unformatted(_) | store::Error::Newer { .. } | store::Error::LockTimeout(_) => exit::USAGE,
        _ => exit::FAILED,
    }
}

fn of_inspect(error: &inspect::Error) -> u8 {
    match error {
        inspect::Error::Cancelled(_) | inspect::Error::Format(image_composer::disk::formats::Error::Cancelled(_)) => exit::INTERRUPTED,
        error if error.is_damage() => exit::INTEGRITY,
        error if error.is_usage() => exit::USAGE,
        _ => exit::FAILED,
    }
}

fn of_transfer(error: &transfer::Error) -> u8 {
    use transfer::Error::{Cancelled, Empty, Exists, Format, Inspect, Io, Misnamed, NoDisk, NoFormat, NotAFile, OtherSize, Store};
    match error {
        Store(error) => of_store(error),
        Cancelled(_) => exit::INTERRUPTED,
        Format(error) if error.is_damage() => exit::INTEGRITY,
        Inspect(error) => of_inspect(error),
        Empty(_) | NoFormat(_) | Exists(_) | NotAFile(_) | Misnamed { .. } | NoDisk { .. } | OtherSize { .. } => exit::USAGE,
        Io { source, .. } if source.kind() == io::ErrorKind::NotFound => exit::USAGE,
        _ => exit::FAILED,
    }
}

impl From<transfer::Error> for Error {
    fn from(error: transfer::Error) -> Self {
        match error {
            transfer::Error::Store(error) => Self::Store(error),
            transfer::Error::Cache(error) => error.into(),
            other => Self::Transfer(other),
        }
    }
}

impl From<inspect::Error> for Error {
    fn from(error: inspect::Error) -> Self {
        match error {
            inspect::Error::Cache(error) => error.into(),
            other => Self::Inspect(other),
        }
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Read(error) => Self::Unreadable(error),
            LoadError::Invalid(diagnostics) => {
                let what = diagnostics.first().map_or_else(|| "the spec".to_owned(), |diagnostic| diagnostic.path.display().to_string());
                Self::Mistakes { what, diagnostics }
            }
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Read(error) => Self::Unreadable(error),
            ConfigError::Invalid(diagnostics) => Self::Mistakes { what: "the configuration".to_owned(), diagnostics },
        }
    }
}

impl From<cache::Error> for Error {
    fn from(error: cache::Error) -> Self {
        match error {
            cache::Error::Store(error) => Self::Store(error),
            other => Self::Cache(other),
        }
    }
}

fn lines(candidates: &[SpecHash]) -> String {
    candidates.iter().fold(String::new(), |lines, hash| lines + "\n  " + &hash.to_string())
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().fold(String::new(), |lines, path| format!("{lines}\n  {}", path.display()))
}
