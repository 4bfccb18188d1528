//! Packages files: the index of an archive's packages for one architecture (Debian repository format, “Packages indices”).
//!
//! The text was checked against a signed Release before it comes here; it is still read as hostile, because a signature says who wrote it and not
//! that it is well formed.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::control::{Field, Item, Scanner, line_of};
use super::relation::{self, RelationError};
use crate::cache::{Coordinates, CoordinatesError};
use crate::digest::{ParseDigestError, Sha256};
use crate::repo::record::{AnyOf, Archive, LazyRelations, MultiArch, PackageRecord, Priority, RelationSource, Relations, Requirement};

/// Bytes that one thread reads at a time: small enough to spread an index of 50 MB, large enough that joining the parts costs nothing.
const PART: usize = 1 << 20;

/// The longest path of a package file in bytes. Debian's longest are below 250.
const FILENAME_LIMIT: usize = 1024;

/// What is in a Packages file.
#[derive(Debug, Default)]
pub struct Packages {
    /// In the order of the file. Packages of other architectures are left out.
    pub records: Vec<PackageRecord>,
    /// The names of packages that carry no SHA-256 digest: nothing proves their files, so they are left out.
    pub unproven: Vec<String>,
}

/// A Packages file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}{}", package.as_ref().map(|name| format!(", package {name}")).unwrap_or_default())]
pub struct PackagesError {
    /// The line where the problem, or the package that has it, begins; counted from 1.
    pub line: usize,
    /// The package, if its name is known.
    pub package: Option<String>,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

/// What can be wrong with one package of an index.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A line belongs to no field.
    #[error("this is no field (“Name: value”)")]
    Syntax,
    /// A field that every package has is not there.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field is there twice.
    #[error("the field {0} is there twice")]
    Twice(&'static str),
    /// A field has a value that it cannot have.
    #[error("“{value}” is no value of the field {field}")]
    Value {
        /// Which field.
        field: &'static str,
        /// The refused value, cut to 80 characters.
        value: String,
    },
    /// Name, version or architecture are none.
    #[error(transparent)]
    Coordinates(#[from] CoordinatesError),
    /// The digest is none.
    #[error("the field SHA256 cannot be read")]
    Digest(#[from] ParseDigestError),
    /// The file would lie outside the archive.
    #[error("the file name “{0}” leads out of the archive")]
    Filename(String),
    /// A relation cannot be read.
    #[error("the field {field} cannot be read")]
    Relation {
        /// Which field.
        field: &'static str,
        /// Why not.
        source: RelationError,
    },
}

/// A Packages file, kept for the relations of its packages.
struct List {
    text: Arc<Vec<u8>>,
    arch: String,
}

/// What is known of a Packages file before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing: all of it is checked.
    New,
    /// That it was read before, and kept: its relations are checked when somebody looks at them.
    Kept,
}

/// Reads a Packages file of `archive` for systems of the architecture `arch`. The relations are made when somebody looks at them.
pub fn parse(text: &Arc<Vec<u8>>, archive: &Arc<Archive>, arch: &str, known: Known) -> Result<Packages, PackagesError> {
    let list: Arc<dyn RelationSource> = Arc::new(List { text: Arc::clone(text), arch: arch.to_owned() });
    let parts: Vec<Result<Packages, PackagesError>> = split(text)
        .into_par_iter()
        .map(|(start, part)| {
            let described = |stanza: &Stanza<'_>, place: Range<usize>| {
                if known == Known::New {
                    stanza.check_relations(arch)?;
                }
                Ok(LazyRelations::later(Arc::clone(&list), start + place.start..start + place.end))
            };
            parse_part(part, archive, arch, &described).map_err(|error| PackagesError { line: error.line + line_of(text, start) - 1, ..error })
        })
        .collect();
    let mut all = Packages::default();
    for part in parts {
        let part = part?;
        all.records.extend(part.records);
        all.unproven.extend(part.unproven);
    }
    Ok(all)
}

impl RelationSource for List {
    fn relations(&self, place: Range<usize>) -> Relations {
        let mut stanza = Stanza::default();
        for item in Scanner::new(&self.text[place]) {
            if let Ok(Item::Field(field)) = item {
                // One that is there twice was refused when the list was read.
                let _ = stanza.take(field);
            }
        }
        stanza.relations(&self.arch).unwrap_or_else(|_| unreadable())
    }
}

/// The package whose control file has these fields, in the words of the Packages file that would list it as `filename`; none if it is for another
/// architecture. What the control file says about its own package file does not count.
///
/// # Errors
/// A field that no package can have.
pub fn of_control(
    control: &[(String, String)],
    filename: &str,
    size: u64,
    sha256: Sha256,
    archive: &Arc<Archive>,
    arch: &str,
) -> Result<Option<PackageRecord>, Problem> {
    let (size, sha256) = (size.to_string(), sha256.to_string());
    let mut stanza = Stanza::default();
    for (name, value) in control {
        let field = Field { name: name.as_bytes(), value: value.as_bytes(), offset: 0 };
        stanza.take(field).map_err(|(.., problem)| problem)?;
    }
    (stanza.filename, stanza.size, stanza.sha256) = (Some(filename.as_bytes()), Some(size.as_bytes()), Some(sha256.as_bytes()));
    match stanza.record(archive, arch, |stanza| Ok(stanza.relations(arch)?.into()))? {
        Outcome::Record(record) => Ok(Some(*record)),
        Outcome::Skipped | Outcome::Unproven(_) => Ok(None),
    }
}

/// Cuts `text` at the ends of paragraphs into parts of about [`PART`] bytes, each with its offset.
fn split(text: &[u8]) -> Vec<(usize, &[u8])> {
    let mut parts = Vec::with_capacity(text.len() / PART + 1);
    let mut start = 0;
    while start < text.len() {
        let end =
            text.get(start + PART..).and_then(|rest| memchr::memmem::find(rest, b"\n\n")).map_or(text.len(), |length| start + PART + length + 2);
        parts.push((start, &text[start..end]));
        start = end;
    }
    parts
}

/// Of a package that another version of this program could read, and this one cannot: it needs what nobody has, so nothing can be built on it, and who
/// asks for it is told so.
fn unreadable() -> Relations {
    let name = "relations that this program can read".to_owned();
    Relations {
        depends: vec![AnyOf(vec![Requirement { name, arch: None, version: None, with: Vec::new(), without: Vec::new() }])],
        ..Relations::default()
    }
}

fn parse_part<'a>(
    text: &'a [u8],
    archive: &Arc<Archive>,
    arch: &str,
    described: &impl Fn(&Stanza<'a>, Range<usize>) -> Result<LazyRelations, Problem>,
) -> Result<Packages, PackagesError> {
    let mut packages = Packages::default();
    let mut stanza = Stanza::default();
    let mut scanner = Scanner::new(text);
    while let Some(item) = scanner.next() {
        let item = item.map_err(|error| PackagesError { line: error.line, package: None, problem: Problem::Syntax })?;
        let done = match item {
            Item::Field(field) => {
                stanza.start.get_or_insert(field.offset);
                stanza.take(field).map(|()| Outcome::Skipped)
            }
            Item::End => {
                let stanza = std::mem::take(&mut stanza);
                let start = stanza.start.unwrap_or_default();
                let described = |stanza: &Stanza<'a>| described(stanza, start..scanner.offset());
                stanza.record(archive, arch, described).map_err(|problem| (start, stanza.package.map(shown), problem))
            }
        };
        match done {
            Ok(Outcome::Skipped) => {}
            Ok(Outcome::Record(record)) => packages.records.push(*record),
            Ok(Outcome::Unproven(name)) => packages.unproven.push(name),
            Err((offset, package, problem)) => return Err(PackagesError { line: line_of(text, offset), package, problem }),
        }
    }
    Ok(packages)
}

enum Outcome {
    Record(Box<PackageRecord>),
    Unproven(String),
    Skipped,
}

type Refusal = (usize, Option<String>, Problem);

macro_rules! stanza {
    ($($member:ident: $name:literal),+ $(,)?) => {
        /// The fields of one package that matter to us, as they are written.
        #[derive(Default)]
        struct Stanza<'a> {
            start: Option<usize>,
            $($member: Option<&'a [u8]>,)+
        }

        impl<'a> Stanza<'a> {
            /// Notes the field, if it matters.
            fn take(&mut self, field: Field<'a>) -> Result<(), Refusal> {
                let (place, name) = match field.name.len() {
                    $(length if length == $name.len() && field.is($name) => (&mut self.$member, $name),)+
                    _ => return Ok(()),
                };
                if place.replace(field.value).is_some() {
                    return Err((field.offset, self.package.map(shown), Problem::Twice(name)));
                }
                Ok(())
            }
        }
    };
}

stanza! {
    package: "Package",
    version: "Version",
    architecture: "Architecture",
    filename: "Filename",
    size: "Size",
    sha256: "SHA256",
    installed_size: "Installed-Size",
    priority: "Priority",
    essential: "Essential",
    multi_arch: "Multi-Arch",
    pre_depends: "Pre-Depends",
    depends: "Depends",
    recommends: "Recommends",
    conflicts: "Conflicts",
    breaks: "Breaks",
    replaces: "Replaces",
    provides: "Provides",
}

impl Stanza<'_> {
    /// The package, with what `described` makes of its relations.
    fn record(
        &self,
        archive: &Arc<Archive>,
        arch: &str,
        described: impl FnOnce(&Self) -> Result<LazyRelations, Problem>,
    ) -> Result<Outcome, Problem> {
        let name = required("Package", self.package)?;
        let architecture = required("Architecture", self.architecture)?;
        if architecture != arch && architecture != "all" {
            return Ok(Outcome::Skipped);
        }
        let coordinates = Coordinates::new(name, required("Version", self.version)?, architecture, &archive.id)?;
        let Some(sha256) = self.sha256 else { return Ok(Outcome::Unproven(name.to_owned())) };
        Ok(Outcome::Record(Box::new(PackageRecord {
            coordinates,
            sha256: text("SHA256", sha256)?.parse()?,
            size: number("Size", required("Size", self.size)?)?,
            filename: checked_filename(required("Filename", self.filename)?)?,
            // Kibibytes; packages without the field exist.
            installed_size: match self.installed_size {
                Some(value) => number("Installed-Size", text("Installed-Size", value)?)?.saturating_mul(1024),
                None => 0,
            },
            priority: self.priority.map(priority_of).unwrap_or_default(),
            essential: self.essential.is_some_and(|value| value.eq_ignore_ascii_case(b"yes")),
            multi_arch: self.multi_arch.map(multi_arch_of).unwrap_or_default(),
            licence: None,
            provides: relations("Provides", self.provides, arch, relation::provides)?,
            relations: described(self)?,
            archive: Arc::clone(archive),
        })))
    }

    fn relations(&self, arch: &str) -> Result<Relations, Problem> {
        let any_ofs = |field, value| relations(field, value, arch, relation::any_ofs);
        let requirements = |field, value| relations(field, value, arch, relation::requirements);
        Ok(Relations {
            pre_depends: any_ofs("Pre-Depends", self.pre_depends)?,
            depends: any_ofs("Depends", self.depends)?,
            recommends: any_ofs("Recommends", self.recommends)?,
            conflicts: requirements("Conflicts", self.conflicts)?,
            breaks: requirements("Breaks", self.breaks)?,
            replaces: requirements("Replaces", self.replaces)?,
            supplements: Vec::new(),
            conditional: Vec::new(),
        })
    }

    /// The errors of [`Self::relations`], and nothing made: a tenth of the work.
    fn check_relations(&self, arch: &str) -> Result<(), Problem> {
        let with_alternatives = [("Pre-Depends", self.pre_depends), ("Depends", self.depends), ("Recommends", self.recommends)];
        let without = [("Conflicts", self.conflicts), ("Breaks", self.breaks), ("Replaces", self.replaces)];
        let fields = with_alternatives.map(|field| (field, true)).into_iter().chain(without.map(|field| (field, false)));
        for ((field, value), alternatives) in fields {
            let Some(value) = value else { continue };
            relation::check(text(field, value)?, arch, alternatives).map_err(|source| Problem::Relation { field, source })?;
        }
        Ok(())
    }
}

fn required<'a>(field: &'static str, value: Option<&'a [u8]>) -> Result<&'a str, Problem> {
    text(field, value.filter(|value| !value.is_empty()).ok_or(Problem::Missing(field))?)
}

fn text<'a>(field: &'static str, value: &'a [u8]) -> Result<&'a str, Problem> {
    std::str::from_utf8(value).map_err(|_| Problem::Value { field, value: shown(value) })
}

fn number(field: &'static str, value: &str) -> Result<u64, Problem> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit()).then_some(value);
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| Problem::Value { field, value: shown(value.as_bytes()) })
}

fn relations<T>(
    field: &'static str,
    value: Option<&[u8]>,
    arch: &str,
    read: impl Fn(&str, &str) -> Result<Vec<T>, RelationError>,
) -> Result<Vec<T>, Problem> {
    let Some(value) = value else { return Ok(Vec::new()) };
    read(text(field, value)?, arch).map_err(|source| Problem::Relation { field, source })
}

/// The path of a package file: relative, plain, and inside the archive.
///
/// # Errors
/// [`Problem::Filename`].
pub fn checked_filename(path: &str) -> Result<String, Problem> {
    // Flat repositories write `./name.deb`.
    let mut plain = path;
    while let Some(rest) = plain.strip_prefix("./") {
        plain = rest;
    }
    let inside = plain.len() <= FILENAME_LIMIT
        && plain.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        // Not even a server may see another path than this: no white space, no query, no fragment, no escape.
        && plain.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#'))
        && !path.starts_with('/')
        && !escapes_to_dots(plain);
    if inside { Ok(plain.to_owned()) } else { Err(Problem::Filename(shown(path.as_bytes()))) }
}

/// Whether a part would be `.` or `..` after a server has undone its percent escapes (`%2e`), or holds an escaped slash.
fn escapes_to_dots(path: &str) -> bool {
    // Nearly none has an escape, and there are 64,000 of them.
    if !path.contains('%') {
        return false;
    }
    let path = path.to_ascii_lowercase();
    path.contains("%2f")
        || path.contains("%5c")
        || path.contains("%00")
        || path.split('/').any(|part| matches!(part.replace("%2e", ".").as_str(), "." | ".."))
}

fn priority_of(value: &[u8]) -> Priority {
    match value.to_ascii_lowercase().as_slice() {
        b"required" => Priority::Required,
        b"important" => Priority::Important,
        b"standard" => Priority::Standard,
        b"extra" => Priority::Extra,
        _ => Priority::Optional,
    }
}

fn multi_arch_of(value: &[u8]) -> MultiArch {
    match value.to_ascii_lowercase().as_slice() {
        b"same" => MultiArch::Same,
        b"foreign" => MultiArch::Foreign,
        b"allowed" => MultiArch::Allowed,
        _ => MultiArch::No,
    }
}

fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(value).chars().take(80).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
#[path = "packages_tests.rs"]
mod tests;
