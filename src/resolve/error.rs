//! Why no set of packages fits.

use std::collections::BTreeSet;
use std::fmt;

/// Why packages could not be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Some of what is wanted does not exist; all of it is listed.
    #[error("{}", Lines("not in the repositories:", .0))]
    Unknown(Vec<UnknownName>),
    /// It is not known who has these files: see [`super::Request::looked_up`].
    #[error("it is not known which packages have these files: {}", .0.iter().map(String::as_str).collect::<Vec<_>>().join(", "))]
    Files(BTreeSet<String>),
    /// What is wanted cannot be installed together.
    #[error("{}", Lines("the packages cannot be installed together:", .0))]
    Unsatisfiable(
        /// The chain in sentences, from what is wanted to what stands in its way.
        Vec<String>,
    ),
    /// The solver's answer does not hold: a bug.
    #[error("the solver chose {package} {fault}: this is a bug")]
    Unsound {
        /// The package that was chosen.
        package: String,
        /// What it lacks, or does not go with.
        fault: String,
    },
}

/// Something wanted that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// As it was wanted: `name` or `name=version`.
    pub wanted: String,
    /// Why it cannot be had.
    pub why: Unavailable,
}

/// Why a name cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// No package has this name, and none provides it.
    NoPackage {
        /// The names that look most like it, the nearest first.
        nearest: Vec<String>,
    },
    /// The package is there in other versions only.
    NoVersion {
        /// These, best first.
        available: Vec<String>,
    },
    /// It is a pattern that means too many packages.
    TooMany {
        /// So many.
        count: usize,
        /// The most that it may mean.
        limit: usize,
    },
    /// It is a virtual package that several packages provide.
    Virtual {
        /// These, in the order of preference.
        providers: Vec<String>,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(names) if names.iter().any(|name| matches!(name.why, Unavailable::Virtual { .. })) => {
                Some("name one of the packages that provide it".to_owned())
            }
            Self::Unknown(_) => Some("check the names, the components and the suites of the repositories".to_owned()),
            Self::Unsatisfiable(_) => {
                Some("remove one of the packages that stand against each other, or add a repository that has what is missing".to_owned())
            }
            Self::Files(_) | Self::Unsound { .. } => None,
        }
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, why } = self;
        match why {
            Unavailable::NoPackage { nearest } if nearest.is_empty() => write!(f, "{wanted}"),
            Unavailable::NoPackage { nearest } => write!(f, "{wanted} (did you mean {}?)", nearest.join(" or ")),
            Unavailable::NoVersion { available } => write!(f, "{wanted} (there is {})", available.join(", ")),
            Unavailable::TooMany { count, limit } => write!(f, "{wanted} (means {count} packages, and more than {limit} is hardly meant)"),
            Unavailable::Virtual { providers } => write!(f, "{wanted} (a virtual package, provided by {})", providers.join(", ")),
        }
    }
}

struct Lines<'a, T>(&'static str, &'a [T]);

impl<T: fmt::Display> fmt::Display for Lines<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        self.1.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
