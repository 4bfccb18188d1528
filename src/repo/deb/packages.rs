//! Packages files: the index of an archive's packages for one architecture (Debian repository format, “Packages indices”).
//!
//! The text was checked against a signed Release before it comes here; it is still read as hostile, because a signature says who wrote it and not
//! that it is well formed.

use std::sync::Arc;

use rayon::prelude::*;

use super::control::{Field, Item, Scanner, line_of};
use super::relation::{self, RelationError};
use crate::cache::{Coordinates, CoordinatesError};
use crate::digest::{ParseDigestError, Sha256};
use crate::format::leb128::{Reader, put_bytes};
use crate::repo::list::{Head, List, Row, Rows};
use crate::repo::record::{Archive, MultiArch, PackageRecord, Priority, Relations};
use crate::root::Packaging;

/// Bytes that one thread reads at a time: small enough to spread an index of 50 MB, large enough that joining the parts costs nothing.
const PART: usize = 1 << 20;

/// The longest path of a package file in bytes. Debian's longest are below 250.
const FILENAME_LIMIT: usize = 1024;

/// A Packages file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}")]
pub struct PackagesError {
    /// The line where the problem begins, counted from 1.
    pub line: usize,
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

/// Reads a Packages file of the archive `archive` for systems of the architecture `arch`. Packages of other architectures are left out; those that say what none
/// can have, too, and are named.
///
/// # Errors
/// What is no list of packages.
pub fn parse(text: &[u8], archive: &str, arch: &str) -> Result<List, PackagesError> {
    let parts: Vec<Result<Part, PackagesError>> = split(text)
        .into_par_iter()
        .map(|(start, part)| parse_part(part, archive, arch).map_err(|error| PackagesError { line: error.line + line_of(text, start) - 1, ..error }))
        .collect();
    let (mut rows, mut unproven, mut unusable) = (Vec::with_capacity(parts.len()), Vec::new(), Vec::new());
    for part in parts {
        let part = part?;
        rows.push(part.rows);
        unproven.extend(part.unproven);
        unusable.extend(part.unusable);
    }
    Ok(List::new(Head { packaging: Packaging::Deb, arch: arch.to_owned(), unproven, unusable }, &rows))
}

/// The relations that a row of a list has, which [`Stanza::row`] has written.
pub(in crate::repo) fn relations_of(row: &[u8], arch: &str) -> Option<Relations> {
    let mut reader = Reader::new(row);
    let mut field = || reader.bytes().map(|value| Some(value).filter(|value| !value.is_empty()));
    let stanza = Stanza {
        pre_depends: field()?,
        depends: field()?,
        recommends: field()?,
        conflicts: field()?,
        breaks: field()?,
        replaces: field()?,
        ..Stanza::default()
    };
    stanza.relations(arch).ok().filter(|_| reader.is_at_end())
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
        stanza.take(field)?;
    }
    (stanza.filename, stanza.size, stanza.sha256) = (Some(filename.as_bytes()), Some(size.as_bytes()), Some(sha256.as_bytes()));
    match stanza.row(&archive.id, arch)? {
        Outcome::Row(row) => Ok(Some(row.record(archive, stanza.relations(arch)?.into())?)),
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

/// What is in a part of a Packages file.
#[derive(Default)]
struct Part {
    rows: Rows,
    unproven: Vec<String>,
    /// Names of packages, and what is wrong with each.
    unusable: Vec<(String, String)>,
}

fn parse_part(text: &[u8], archive: &str, arch: &str) -> Result<Part, PackagesError> {
    let mut done = Part::default();
    let (mut stanza, mut twice) = (Stanza::default(), None);
    for item in Scanner::new(text) {
        let item = item.map_err(|error| PackagesError { line: error.line, problem: Problem::Syntax })?;
        match item {
            Item::Field(field) => {
                stanza.start.get_or_insert(field.offset);
                twice = twice.or(stanza.take(field).err());
            }
            Item::End => {
                let (stanza, twice) = (std::mem::take(&mut stanza), twice.take());
                let problem = match (stanza.row(archive, arch), twice) {
                    (Ok(Outcome::Skipped), _) => continue,
                    (Err(problem), _) | (_, Some(problem)) => problem,
                    (Ok(Outcome::Row(row)), None) => {
                        done.rows.push(&row);
                        continue;
                    }
                    (Ok(Outcome::Unproven(name)), None) => {
                        done.unproven.push(name.to_owned());
                        continue;
                    }
                };
                // What has no name is no package.
                let Some(package) = stanza.package.filter(|name| !name.is_empty()) else {
                    return Err(PackagesError { line: line_of(text, stanza.start.unwrap_or_default()), problem });
                };
                done.unusable.push((shown(package), in_words(&problem)));
            }
        }
    }
    Ok(done)
}

/// A problem and its causes.
fn in_words(problem: &Problem) -> String {
    let causes = std::iter::successors(std::error::Error::source(problem), |cause| cause.source());
    causes.fold(problem.to_string(), |text, cause| format!("{text}: {cause}"))
}

enum Outcome<'a> {
    Row(Row<'a>),
    Unproven(&'a str),
    Skipped,
}

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
            ///
            /// # Errors
            /// [`Problem::Twice`].
            fn take(&mut self, field: Field<'a>) -> Result<(), Problem> {
                let (place, name) = match field.name.len() {
                    $(length if length == $name.len() && field.is($name) => (&mut self.$member, $name),)+
                    _ => return Ok(()),
                };
                if place.replace(field.value).is_some() {
                    return Err(Problem::Twice(name));
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

impl<'a> Stanza<'a> {
    /// The package as a list has it.
    fn row(&self, archive: &str, arch: &str) -> Result<Outcome<'a>, Problem> {
        let name = required("Package", self.package)?;
        let architecture = required("Architecture", self.architecture)?;
        if architecture != arch && architecture != "all" {
            return Ok(Outcome::Skipped);
        }
        let version = required("Version", self.version)?;
        Coordinates::check(name, version, architecture, archive)?;
        let Some(sha256) = self.sha256 else { return Ok(Outcome::Unproven(name)) };
        Ok(Outcome::Row(Row {
            name,
            version,
            arch: architecture,
            filename: plain_filename(required("Filename", self.filename)?)?,
            sha256: text("SHA256", sha256)?.parse()?,
            size: number("Size", required("Size", self.size)?)?,
            // Kibibytes; packages without the field exist.
            installed_size: match self.installed_size {
                Some(value) => number("Installed-Size", text("Installed-Size", value)?)?.saturating_mul(1024),
                None => 0,
            },
            priority: self.priority.map(priority_of).unwrap_or_default(),
            essential: self.essential.is_some_and(|value| value.eq_ignore_ascii_case(b"yes")),
            multi_arch: self.multi_arch.map(multi_arch_of).unwrap_or_default(),
            licence: None,
            provides: relations("Provides", self.provides, arch, relation::provides)?.into(),
            relations: self.checked_relations(arch)?.into(),
        }))
    }

    /// The fields of the relations as a row has them, checked: the errors of [`Self::relations`], and nothing made of them, which is a tenth of the work.
    fn checked_relations(&self, arch: &str) -> Result<Vec<u8>, Problem> {
        let with_alternatives = [("Pre-Depends", self.pre_depends), ("Depends", self.depends), ("Recommends", self.recommends)];
        let without = [("Conflicts", self.conflicts), ("Breaks", self.breaks), ("Replaces", self.replaces)];
        let fields = with_alternatives.map(|field| (field, true)).into_iter().chain(without.map(|field| (field, false)));
        let mut row = Vec::new();
        let mut is_empty = true;
        for ((field, value), alternatives) in fields {
            let value = value.unwrap_or_default();
            relation::check(text(field, value)?, arch, alternatives).map_err(|source| Problem::Relation { field, source })?;
            put_bytes(&mut row, value);
            is_empty &= value.is_empty();
        }
        if is_empty { Ok(Vec::new()) } else { Ok(row) }
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
    plain_filename(path).map(str::to_owned)
}

/// As [`checked_filename`].
pub(in crate::repo) fn plain_filename(path: &str) -> Result<&str, Problem> {
    // Flat repositories write `./name.deb`.
    let mut plain = path;
    while let Some(rest) = plain.strip_prefix("./") {
        plain = rest;
    }
    let is_inside = plain.len() <= FILENAME_LIMIT && has_plain_parts(plain.as_bytes()) && !path.starts_with('/') && !escapes_to_dots(plain);
    if is_inside { Ok(plain) } else { Err(Problem::Filename(shown(path.as_bytes()))) }
}

/// Whether a path has no empty part, no `.` and no `..`, and nothing that lets a server see another path than this: no white space, no query, no fragment, no
/// backslash. In one pass, because there are 64,000 of them.
fn has_plain_parts(path: &[u8]) -> bool {
    // Of the part so far.
    let (mut length, mut dots) = (0, 0);
    for &byte in path {
        match byte {
            b'/' if length == 0 || (length == dots && dots <= 2) => return false,
            b'/' => (length, dots) = (0, 0),
            b'\\' | b'?' | b'#' => return false,
            byte if !byte.is_ascii_graphic() => return false,
            byte => (length, dots) = (length + 1, dots + usize::from(byte == b'.')),
        }
    }
    length > 0 && !(length == dots && dots <= 2)
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
