//! Lists: what an index says of its packages, in a form that is read a dozen times faster than the index.
//!
//! A list is made of an index once, when that is read for the first time, and kept beside it with the digest of what it was made from
//! (`load/kept.rs`). It has what this program needs of each package, in the order of the index:
//!
//! ```text
//!  head   “ICLIST” and version (2 bytes) │ packaging │ architecture │ names without a digest │ unusable names with reasons │ number of rows
//!  row    name │ version │ architecture │ filename │ SHA-256 │ size │ installed size │ flags │ licence │ provides │ relations
//!  row    …
//! ```
//!
//! Numbers and texts are those of [`leb128`]. A row's relations are made when somebody looks at them: of 63,000 packages a build looks at some hundreds. Of
//! Debian packages they stand there as the six texts of their fields, which were checked when the list was made, and of RPM packages as what they mean.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::deb::packages::{self, plain_filename};
use super::record::{AnyOf, Archive, Comparison, Conditional, LazyRelations, MultiArch, PackageRecord, Priority, Provide, Relations, Requirement};
use crate::cache::{Coordinates, CoordinatesError};
use crate::digest::Sha256;
use crate::format::leb128::{Reader, put_bytes, put_number, put_text};
use crate::root::Packaging;

/// How a list begins. The last two bytes are its version, which changes with its form and with what this program reads in an index.
const MAGIC: &[u8; 8] = b"ICLIST\x00\x01";

/// The shortest row in bytes: a digest, and eleven lengths and numbers.
const ROW_MIN: usize = 43;

/// How deep requirements may be in each other. Those of rpm have one level: `with` and `without`.
const DEPTH_LIMIT: usize = 4;

/// A list of packages.
pub struct List {
    bytes: Vec<u8>,
    /// Where the rows begin.
    rows: usize,
    /// How many there are, as it says.
    count: usize,
    head: Head,
}

/// Rows of a list, as they are written.
#[derive(Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    count: usize,
}

/// What a list says before its first row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Whose packages they are.
    pub(crate) packaging: Packaging,
    /// The architecture of the systems that they are for.
    pub(crate) arch: String,
    /// The names of packages that carry no SHA-256 digest: nothing proves their files, so they are left out.
    pub(crate) unproven: Vec<String>,
    /// Packages whose description cannot be used, each with the reason; they are left out, too.
    pub(crate) unusable: Vec<(String, String)>,
}

/// A package as a list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) arch: &'a str,
    pub(super) filename: &'a str,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) installed_size: u64,
    pub(super) priority: Priority,
    pub(super) essential: bool,
    pub(super) multi_arch: MultiArch,
    pub(super) licence: Option<&'a str>,
    pub(super) provides: Cow<'a, [Provide]>,
    /// Empty where there are none.
    pub(super) relations: Cow<'a, [u8]>,
}

/// Bytes that are no list of this version of the program.
#[derive(Debug, thiserror::Error)]
#[error("it is no list of packages that this program can read")]
pub struct Unreadable;

impl List {
    /// The list with this head and these rows.
    pub(super) fn new(head: Head, parts: &[Rows]) -> Self {
        let mut bytes = MAGIC.to_vec();
        head.write(&mut bytes);
        let count = parts.iter().map(|rows| rows.count).sum();
        put_number(&mut bytes, count as u64);
        let rows = bytes.len();
        for part in parts {
            bytes.extend_from_slice(&part.bytes);
        }
        Self { bytes, rows, count, head }
    }

    /// The list of these records.
    pub(crate) fn of_records(head: Head, records: &[PackageRecord]) -> Self {
        let mut rows = Rows::default();
        for record in records {
            rows.push(&Row::of(record));
        }
        Self::new(head, &[rows])
    }

    /// The list that these bytes are; its rows are looked at when they are asked for.
    ///
    /// # Errors
    /// Other bytes, and those of another version of the program.
    pub fn read(bytes: Vec<u8>) -> Result<Self, Unreadable> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Unreadable)?;
        let mut reader = Reader::new(rest);
        let head = Head::read(&mut reader).ok_or(Unreadable)?;
        let count = reader.number().and_then(|count| usize::try_from(count).ok()).ok_or(Unreadable)?;
        let rows = MAGIC.len() + reader.offset();
        Ok(Self { bytes, rows, count, head })
    }

    /// Its bytes, to be kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says before its first row.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The packages whose names `takes` wants, as `archive` has them.
    ///
    /// # Errors
    /// Rows that are none.
    pub fn records(self: &Arc<Self>, archive: &Arc<Archive>, takes: impl Fn(&str) -> bool) -> Result<Vec<PackageRecord>, Unreadable> {
        let mut reader = Reader::new(&self.bytes);
        reader.take(self.rows).ok_or(Unreadable)?;
        let mut records = Vec::with_capacity(self.count.min(self.bytes.len() / ROW_MIN));
        for _ in 0..self.count {
            let row = Row::read(&mut reader).ok_or(Unreadable)?;
            if takes(row.name) {
                let end = reader.offset();
                let relations = LazyRelations::later(self, end - row.relations.len()..end);
                records.push(row.record(archive, relations).map_err(|_| Unreadable)?);
            }
        }
        if reader.is_at_end() { Ok(records) } else { Err(Unreadable) }
    }

    /// The relations that stand at a place of it.
    pub(super) fn relations(&self, place: Range<usize>) -> Relations {
        let bytes = &self.bytes[place];
        if bytes.is_empty() {
            return Relations::default();
        }
        let relations = match self.head.packaging {
            Packaging::Deb => packages::relations_of(bytes, &self.head.arch),
            Packaging::Rpm => read_relations(bytes),
        };
        relations.unwrap_or_else(unreadable)
    }
}

/// Of a package whose relations another version of this program could read, and this one cannot: it needs what nobody has, so nothing can be built on it, and
/// who asks for it is told so.
fn unreadable() -> Relations {
    let name = "relations that this program can read".to_owned();
    let requirement = Requirement { name, arch: None, version: None, with: Vec::new(), without: Vec::new() };
    Relations { depends: vec![AnyOf(vec![requirement])], ..Relations::default() }
}

impl Rows {
    /// Appends a row.
    pub(super) fn push(&mut self, row: &Row<'_>) {
        row.write(&mut self.bytes);
        self.count += 1;
    }
}

impl Head {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self.packaging {
            Packaging::Deb => 0,
            Packaging::Rpm => 1,
        });
        put_text(out, &self.arch);
        put_list(out, &self.unproven, |out, name| put_text(out, name));
        put_list(out, &self.unusable, |out, (name, reason)| {
            put_text(out, name);
            put_text(out, reason);
        });
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let packaging = match from.byte()? {
            0 => Packaging::Deb,
            1 => Packaging::Rpm,
            _ => return None,
        };
        let arch = from.text()?.to_owned();
        let unproven = list(from, |from| Some(from.text()?.to_owned()))?;
        let unusable = list(from, |from| Some((from.text()?.to_owned(), from.text()?.to_owned())))?;
        Some(Self { packaging, arch, unproven, unusable })
    }
}

impl<'a> Row<'a> {
    /// The row of a record.
    fn of(record: &'a PackageRecord) -> Self {
        let mut relations = Vec::new();
        if *record.relations != Relations::default() {
            write_relations(&mut relations, &record.relations);
        }
        Self {
            name: record.coordinates.name(),
            version: record.coordinates.version(),
            arch: record.coordinates.arch(),
            filename: &record.filename,
            sha256: record.sha256,
            size: record.size,
            installed_size: record.installed_size,
            priority: record.priority,
            essential: record.essential,
            multi_arch: record.multi_arch,
            licence: record.licence.as_deref(),
            provides: Cow::Borrowed(&record.provides),
            relations: Cow::Owned(relations),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for text in [self.name, self.version, self.arch, self.filename] {
            put_text(out, text);
        }
        out.extend_from_slice(self.sha256.as_bytes());
        put_number(out, self.size);
        put_number(out, self.installed_size);
        out.push(priority_bits(self.priority) | u8::from(self.essential) << 3 | multi_arch_bits(self.multi_arch) << 4);
        put_text(out, self.licence.unwrap_or_default());
        put_list(out, &self.provides, |out, Provide { name, version }| {
            put_text(out, name);
            put_version(out, version.as_ref());
        });
        put_bytes(out, &self.relations);
    }

    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let (name, version, arch) = (from.text()?, from.text()?, from.text()?);
        let filename = plain_filename(from.text()?).ok()?;
        let sha256 = Sha256::from_bytes(*from.take(32)?.first_chunk()?);
        let (size, installed_size, flags) = (from.number()?, from.number()?, from.byte()?);
        let (priority, essential, multi_arch) = (priority_of(flags & 7)?, flags & 8 != 0, multi_arch_of(flags >> 4)?);
        let licence = Some(from.text()?).filter(|licence| !licence.is_empty());
        let provides = list(from, |from| Some(Provide { name: from.text()?.to_owned(), version: version_of(from)? }))?.into();
        let relations = Cow::Borrowed(from.bytes()?);
        Some(Self { name, version, arch, filename, sha256, size, installed_size, priority, essential, multi_arch, licence, provides, relations })
    }

    /// The package, as `archive` has it.
    pub(super) fn record(self, archive: &Arc<Archive>, relations: LazyRelations) -> Result<PackageRecord, CoordinatesError> {
        Ok(PackageRecord {
            coordinates: Coordinates::new(self.name, self.version, self.arch, &archive.id)?,
            sha256: self.sha256,
            size: self.size,
            filename: self.filename.to_owned(),
            installed_size: self.installed_size,
            priority: self.priority,
            essential: self.essential,
            multi_arch: self.multi_arch,
            licence: self.licence.map(Into::into),
            provides: self.provides.into_owned(),
            relations,
            archive: Arc::clone(archive),
        })
    }
}

/// Appends how many there are, and each.
fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_number(out, items.len() as u64);
    for item in items {
        put(out, item);
    }
}

/// Reads what [`put_list`] wrote. Nothing is set aside for items that are not there.
fn list<'a, T>(from: &mut Reader<'a>, read: impl Fn(&mut Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
    let count = from.number()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(read(from)?);
    }
    Some(items)
}

fn put_version(out: &mut Vec<u8>, version: Option<&(Comparison, String)>) {
    let Some((comparison, version)) = version else { return out.push(0) };
    out.push(match comparison {
        Comparison::Earlier => 1,
        Comparison::EarlierOrEqual => 2,
        Comparison::Equal => 3,
        Comparison::LaterOrEqual => 4,
        Comparison::Later => 5,
    });
    put_text(out, version);
}

#[expect(clippy::option_option, reason = "outside whether it can be read, inside whether there is one")]
fn version_of(from: &mut Reader<'_>) -> Option<Option<(Comparison, String)>> {
    let comparison = match from.byte()? {
        0 => return Some(None),
        1 => Comparison::Earlier,
        2 => Comparison::EarlierOrEqual,
        3 => Comparison::Equal,
        4 => Comparison::LaterOrEqual,
        5 => Comparison::Later,
        _ => return None,
    };
    Some(Some((comparison, from.text()?.to_owned())))
}

fn priority_bits(priority: Priority) -> u8 {
    match priority {
        Priority::Required => 0,
        Priority::Important => 1,
        Priority::Standard => 2,
        Priority::Optional => 3,
        Priority::Extra => 4,
    }
}

fn priority_of(bits: u8) -> Option<Priority> {
    [Priority::Required, Priority::Important, Priority::Standard, Priority::Optional, Priority::Extra].get(usize::from(bits)).copied()
}

fn multi_arch_bits(multi_arch: MultiArch) -> u8 {
    match multi_arch {
        MultiArch::No => 0,
        MultiArch::Same => 1,
        MultiArch::Foreign => 2,
        MultiArch::Allowed => 3,
    }
}

fn multi_arch_of(bits: u8) -> Option<MultiArch> {
    [MultiArch::No, MultiArch::Same, MultiArch::Foreign, MultiArch::Allowed].get(usize::from(bits)).copied()
}

/// Relations as what they mean.
fn write_relations(out: &mut Vec<u8>, relations: &Relations) {
    let Relations { pre_depends, depends, recommends, supplements, conflicts, breaks, replaces, conditional } = relations;
    for any_ofs in [pre_depends, depends, recommends] {
        put_list(out, any_ofs, |out, AnyOf(alternatives)| put_list(out, alternatives, put_requirement));
    }
    put_list(out, supplements, |out, way| put_list(out, way, put_requirement));
    for requirements in [conflicts, breaks, replaces] {
        put_list(out, requirements, put_requirement);
    }
    put_list(out, conditional, |out, Conditional { when, then: AnyOf(alternatives) }| {
        put_list(out, when, put_requirement);
        put_list(out, alternatives, put_requirement);
    });
}

/// Reads what [`write_relations`] wrote.
fn read_relations(bytes: &[u8]) -> Option<Relations> {
    let mut from = Reader::new(bytes);
    let from = &mut from;
    let requirements = |from: &mut Reader<'_>| list(from, |from| requirement(from, DEPTH_LIMIT));
    let any_of = |from: &mut Reader<'_>| requirements(from).filter(|alternatives| !alternatives.is_empty()).map(AnyOf);
    let relations = Relations {
        pre_depends: list(from, any_of)?,
        depends: list(from, any_of)?,
        recommends: list(from, any_of)?,
        supplements: list(from, requirements)?,
        conflicts: requirements(from)?,
        breaks: requirements(from)?,
        replaces: requirements(from)?,
        conditional: list(from, |from| Some(Conditional { when: requirements(from)?, then: any_of(from)? }))?,
    };
    from.is_at_end().then_some(relations)
}

fn put_requirement(out: &mut Vec<u8>, Requirement { name, arch, version, with, without }: &Requirement) {
    put_text(out, name);
    put_text(out, arch.as_deref().unwrap_or_default());
    put_version(out, version.as_ref());
    put_list(out, with, put_requirement);
    put_list(out, without, put_requirement);
}

fn requirement(from: &mut Reader<'_>, depth: usize) -> Option<Requirement> {
    let inner = depth.checked_sub(1)?;
    let name = from.text()?.to_owned();
    let arch = Some(from.text()?).filter(|arch| !arch.is_empty()).map(str::to_owned);
    let version = version_of(from)?;
    let with = list(from, |from| requirement(from, inner))?;
    let without = list(from, |from| requirement(from, inner))?;
    Some(Requirement { name, arch, version, with, without })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
