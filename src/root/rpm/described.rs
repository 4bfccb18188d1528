//! What a package says of its relations to others.

use std::io::{self, Read};

use super::header::{Header, Tag};
use super::package::Rpm;
use crate::root::Error;
use crate::root::archive::Origin;

/// A relation: a name, and perhaps versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The name, or a rich dependency in brackets.
    pub name: String,
    /// Bits of `rpmsenseFlags`: 2 is less, 4 greater, 8 equal.
    pub flags: u64,
    /// `[epoch:]version[-release]`; empty where there is none.
    pub version: String,
}

/// The description of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// `[epoch:]version-release`.
    pub version: String,
    /// Its architecture.
    pub arch: String,
    /// Bytes of its files.
    pub installed: u64,
    /// Its licence as the packager wrote it; empty where nobody did.
    pub licence: String,
    /// What it stands for.
    pub provides: Vec<Relation>,
    /// What it needs.
    pub requires: Vec<Relation>,
    /// What it cannot be beside.
    pub conflicts: Vec<Relation>,
    /// What it takes the place of.
    pub obsoletes: Vec<Relation>,
    /// What it is better with.
    pub recommends: Vec<Relation>,
    /// With what it is better to have it.
    pub supplements: Vec<Relation>,
    /// The absolute paths of its files.
    pub files: Vec<String>,
}

impl Described {
    /// Reads the headers of a package of `len` bytes; `package` names it in errors.
    ///
    /// # Errors
    /// What cannot be read, and what is no binary package.
    pub fn read(package: &str, input: impl Read, len: u64) -> Result<Self, Error> {
        let origin = Origin::named(package);
        let rpm = Rpm::read(origin.clone(), input, len)?;
        let (name, version, arch) = rpm.identity()?;
        Self::of(&rpm.header, rpm.contents.entries.iter().map(|entry| format!("/{}", entry.path)).collect())
            .map(|described| Self { name, version, arch, ..described })
            .map_err(|source| origin.bad(source.to_string()))
    }

    fn of(header: &Header, files: Vec<String>) -> io::Result<Self> {
        let installed = header.number(Tag::LONG_SIZE)?.or(header.number(Tag::SIZE)?).unwrap_or_default();
        Ok(Self {
            installed,
            // Nothing depends on it: one that cannot be read is no reason to refuse the package.
            licence: header.text(Tag::LICENSE).ok().flatten().unwrap_or_default().to_owned(),
            provides: relations(header, [Tag::PROVIDES, Tag::PROVIDE_FLAGS, Tag::PROVIDE_VERSIONS])?,
            requires: relations(header, [Tag::REQUIRES, Tag::REQUIRE_FLAGS, Tag::REQUIRE_VERSIONS])?,
            conflicts: relations(header, [Tag::CONFLICTS, Tag::CONFLICT_FLAGS, Tag::CONFLICT_VERSIONS])?,
            obsoletes: relations(header, [Tag::OBSOLETES, Tag::OBSOLETE_FLAGS, Tag::OBSOLETE_VERSIONS])?,
            recommends: relations(header, [Tag::RECOMMENDS, Tag::RECOMMEND_FLAGS, Tag::RECOMMEND_VERSIONS])?,
            supplements: relations(header, [Tag::SUPPLEMENTS, Tag::SUPPLEMENT_FLAGS, Tag::SUPPLEMENT_VERSIONS])?,
            files,
            ..Self::default()
        })
    }
}

/// A package as rpm's database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// `[epoch:]version-release`.
    pub version: String,
    /// Its architecture.
    pub arch: String,
    /// Bytes of its files.
    pub size: u64,
}

impl Installed {
    /// Reads a header as the database has it: that of a package, without what begins it there.
    ///
    /// # Errors
    /// `InvalidData` for what is no header.
    pub fn read(stored: &[u8]) -> io::Result<Self> {
        let header = Header::stored(stored)?;
        let (name, version, arch) = header.identity()?;
        let size = header.number(Tag::LONG_SIZE)?.or(header.number(Tag::SIZE)?).unwrap_or_default();
        Ok(Self { name, version, arch, size })
    }
}

/// Three lists of the same length; of names alone nothing is known but these.
fn relations(header: &Header, [names, flags, versions]: [Tag; 3]) -> io::Result<Vec<Relation>> {
    let (names, flags, versions) = (header.texts(names)?, header.numbers(flags)?, header.texts(versions)?);
    if [flags.len(), versions.len()].into_iter().any(|len| len != 0 && len != names.len()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its relations have names, signs and versions in different numbers"));
    }
    let relation = |(at, name): (usize, &&str)| Relation {
        name: (*name).to_owned(),
        flags: flags.get(at).copied().unwrap_or_default(),
        version: versions.get(at).copied().unwrap_or_default().to_owned(),
    };
    Ok(names.iter().enumerate().map(relation).collect())
}
