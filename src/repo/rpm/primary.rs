//! `primary.xml`: the packages of a repository, read as a stream.
//!
//! The file was checked against a signed `repomd.xml` before it comes here; it is still read as hostile, because a signature says who wrote it and not that
//! it is well formed.

use std::io::BufRead;
use std::sync::Arc;

use super::dependency::{self, Meaning};
use super::xml::{Element, Step, Steps, XmlError};
use crate::cache::Coordinates;
use crate::digest::Sha256;
use crate::repo::deb::packages::checked_filename;
use crate::repo::record::{AnyOf, Archive, Comparison, LICENCE_LIMIT, MultiArch, PackageRecord, Priority, Provide, Relations, Requirement};
use crate::root::{Described, Relation};

/// The most packages of a repository. The largest have 70,000.
const PACKAGE_LIMIT: usize = 1 << 20;

/// The most dependencies, provides and files of one package. A kernel's modules provide 10,000.
const ENTRY_LIMIT: usize = 1 << 18;

/// What rpm itself must know to install a package, and every rpm since 4.18 does.
const KNOWN_FEATURES: [&str; 21] = [
    "BuiltinLuaScripts",
    "CaretInVersions",
    "CompressedFileNames",
    "ConcurrentAccess",
    "DynamicBuildRequires",
    "ExplicitPackageProvide",
    "FileCaps",
    "FileDigests",
    "HeaderLoadSortsTags",
    "LargeFiles",
    "PartialHardlinkSets",
    "PayloadFilesHavePrefix",
    "PayloadIsBzip2",
    "PayloadIsLzma",
    "PayloadIsXz",
    "PayloadIsZstd",
    "RichDependencies",
    "ScriptletExpansion",
    "ScriptletInterpreterArgs",
    "TildeInVersions",
    "VersionedDependencies",
];

/// What is in a `primary.xml`.
#[derive(Debug, Default)]
pub struct Packages {
    /// In the order of the file. Packages of other architectures are left out.
    pub records: Vec<PackageRecord>,
    /// The names of packages that carry no SHA-256 digest: nothing proves their files, so they are left out.
    pub unproven: Vec<String>,
    /// Packages whose description cannot be used, each with the reason; they are left out, too.
    pub unusable: Vec<(String, String)>,
}

/// Reads the packages for systems of the architecture `arch`; those of `noarch` are for all.
///
/// # Errors
/// The first place that cannot be read, with the package that is described there.
pub fn parse(input: impl BufRead, archive: &Arc<Archive>, arch: &str) -> Result<Packages, XmlError> {
    let mut steps = Steps::new(input);
    let mut packages = Packages::default();
    let mut draft: Option<Draft> = None;
    let mut is_metadata = false;
    loop {
        let step = steps.next().map_err(|error| named(error, draft.as_ref()))?;
        match step {
            Step::Open(element) if element.name == "metadata" => is_metadata = true,
            Step::Open(element) if element.name == "package" && draft.is_none() => draft = Some(Draft::default()),
            Step::Close(name) if name == "package" => {
                let Some(done) = draft.take() else { continue };
                let name = cut(done.name.trim());
                match done.finish(archive, arch) {
                    Ok(Outcome::Record(record)) => packages.records.push(*record),
                    Ok(Outcome::Unproven(name)) => packages.unproven.push(name),
                    Ok(Outcome::Skipped) => {}
                    Err(problem) => packages.unusable.push((name, problem)),
                }
                if packages.records.len() + packages.unusable.len() > PACKAGE_LIMIT {
                    return Err(steps.error(format!("it has more than {PACKAGE_LIMIT} packages")));
                }
            }
            Step::End => break,
            step => {
                if let Some(draft) = draft.as_mut().filter(|draft| draft.problem.is_none() || draft.is_named_by(&step)) {
                    draft.problem = draft.take(step).err().or(draft.problem.take());
                }
            }
        }
    }
    if is_metadata { Ok(packages) } else { Err(steps.error("it is no list of packages")) }
}

/// A hostile name is not told whole.
fn cut(name: &str) -> String {
    name.chars().take(80).collect()
}

fn named(error: XmlError, draft: Option<&Draft>) -> XmlError {
    XmlError { package: draft.map(|draft| draft.name.trim().to_owned()).filter(|name| !name.is_empty()), ..error }
}

/// The package with this header, as the `primary.xml` that would list it as `filename`; none if it is for another architecture than `arch`.
///
/// # Errors
/// Why no list could have it.
pub fn of_header(
    described: Described,
    filename: &str,
    size: u64,
    sha256: Sha256,
    archive: &Arc<Archive>,
    arch: &str,
) -> Result<Option<PackageRecord>, String> {
    let Described { name, version, arch: own_arch, installed, licence, provides, requires, conflicts, obsoletes, recommends, supplements, files } =
        described;
    let location = checked_path(filename).ok_or_else(|| format!("“{filename}” leads out of the repository"))?;
    let mut draft = Draft { name, arch: own_arch, version: Some(version), installed, licence, ..Draft::default() };
    (draft.checksum, draft.is_sha256, draft.size, draft.location) = (sha256.to_string(), true, Some(size), Some(location));
    let lists = [
        (List::Provides, provides),
        (List::Requires, requires),
        (List::Conflicts, conflicts),
        (List::Obsoletes, obsoletes),
        (List::Recommends, recommends),
        (List::Supplements, supplements),
    ];
    for (list, relations) in lists {
        for Relation { name, flags, version } in relations {
            // The bits of a comparison (`rpmds.h`); the others say when a relation counts.
            let comparison = match flags & 0xe {
                0x2 => Some(Comparison::Earlier),
                0xa => Some(Comparison::EarlierOrEqual),
                0x8 => Some(Comparison::Equal),
                0xc => Some(Comparison::LaterOrEqual),
                0x4 => Some(Comparison::Later),
                _ => None,
            };
            let version = version.strip_prefix("0:").unwrap_or(&version).to_owned();
            draft.relation(list, &name, comparison.zip(Some(version).filter(|version| !version.is_empty())))?;
        }
    }
    for name in files {
        draft.count()?;
        draft.provides.push(Provide { name, version: None });
    }
    match draft.finish(archive, arch)? {
        Outcome::Record(record) => Ok(Some(*record)),
        Outcome::Unproven(_) | Outcome::Skipped => Ok(None),
    }
}

/// A path beneath the repository's address, if it is one.
pub(super) fn checked_path(path: &str) -> Option<String> {
    // `scheme://` has an empty part, which is refused.
    checked_filename(path).ok()
}

enum Outcome {
    Record(Box<PackageRecord>),
    Unproven(String),
    Skipped,
}

/// Which list an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Provides,
    Requires,
    Conflicts,
    Obsoletes,
    Recommends,
    Supplements,
}

/// One package while it is read.
#[derive(Debug, Default)]
struct Draft {
    name: String,
    arch: String,
    version: Option<String>,
    checksum: String,
    is_sha256: bool,
    location: Option<String>,
    size: Option<u64>,
    installed: u64,
    licence: String,
    provides: Vec<Provide>,
    relations: Relations,
    entries: usize,
    list: Option<List>,
    /// The element whose text is being read.
    open: String,
    file: String,
    /// Why it cannot be used; the rest of it is only read for its name and architecture.
    problem: Option<String>,
}

impl Draft {
    /// Whether a step still says what the package is, when nothing else of it matters any more.
    fn is_named_by(&self, step: &Step) -> bool {
        match step {
            Step::Open(element) => matches!(element.name.as_str(), "name" | "arch"),
            Step::Text(_) => matches!(self.open.as_str(), "name" | "arch"),
            Step::Close(name) => matches!(name.as_str(), "name" | "arch"),
            Step::End => false,
        }
    }

    fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Open(element) => self.open(&element)?,
            Step::Text(text) => match self.open.as_str() {
                "name" => self.name.push_str(&text),
                "arch" => self.arch.push_str(&text),
                "checksum" => self.checksum.push_str(&text),
                "file" => self.file.push_str(&text),
                "license" if self.licence.len() <= LICENCE_LIMIT => self.licence.push_str(&text),
                _ => {}
            },
            Step::Close(name) => {
                match name.as_str() {
                    "file" => {
                        let name = std::mem::take(&mut self.file);
                        self.count()?;
                        self.provides.push(Provide { name, version: None });
                    }
                    "provides" | "requires" | "conflicts" | "obsoletes" | "recommends" | "supplements" => self.list = None,
                    _ => {}
                }
                self.open.clear();
            }
            Step::End => {}
        }
        Ok(())
    }

    fn open(&mut self, element: &Element) -> Result<(), String> {
        let number = |name: &str| element.attribute(name).and_then(|text| text.parse::<u64>().ok());
        match element.name.as_str() {
            "version" => self.version = Some(version(element).ok_or("it has no version")?),
            "checksum" => self.is_sha256 = element.attribute("type") == Some("sha256"),
            "location" => {
                if let Some(base) = element.attribute("base") {
                    return Err(format!("its file is not beneath the repository but at {base}, which is not supported"));
                }
                let href = element.attribute("href").unwrap_or_default();
                self.location = Some(checked_path(href).ok_or_else(|| format!("“{href}” leads out of the repository"))?);
            }
            "size" => {
                self.size = number("package");
                self.installed = number("installed").unwrap_or_default();
            }
            "provides" => self.list = Some(List::Provides),
            "requires" => self.list = Some(List::Requires),
            "conflicts" => self.list = Some(List::Conflicts),
            "obsoletes" => self.list = Some(List::Obsoletes),
            "recommends" => self.list = Some(List::Recommends),
            "supplements" => self.list = Some(List::Supplements),
            "entry" => self.entry(element)?,
            _ => {}
        }
        self.open.clone_from(&element.name);
        Ok(())
    }

    fn count(&mut self) -> Result<(), String> {
        self.entries += 1;
        if self.entries > ENTRY_LIMIT { Err(format!("it has more than {ENTRY_LIMIT} dependencies and files")) } else { Ok(()) }
    }

    fn entry(&mut self, element: &Element) -> Result<(), String> {
        // Suggestions and enhancements, which dnf does not follow either, have lists of their own.
        let Some(list) = self.list else { return Ok(()) };
        let name = element.attribute("name").unwrap_or_default();
        let comparison = match element.attribute("flags") {
            None => None,
            Some("LT") => Some(Comparison::Earlier),
            Some("LE") => Some(Comparison::EarlierOrEqual),
            Some("EQ") => Some(Comparison::Equal),
            Some("GE") => Some(Comparison::LaterOrEqual),
            Some("GT") => Some(Comparison::Later),
            Some(other) => return Err(format!("the dependency {name} compares with “{other}”, which is no comparison")),
        };
        self.relation(list, name, comparison.zip(version(element)))
    }

    fn relation(&mut self, list: List, name: &str, version: Option<(Comparison, String)>) -> Result<(), String> {
        self.count()?;
        if name.is_empty() {
            return Err("a dependency has no name".to_owned());
        }
        if name.starts_with('(') {
            self.expression(list, name);
            return Ok(());
        }
        if list == List::Provides {
            self.provides.push(Provide { name: name.to_owned(), version });
            return Ok(());
        }
        let feature = name.strip_prefix("rpmlib(").and_then(|feature| feature.strip_suffix(')'));
        if list == List::Requires && feature.is_some_and(|feature| KNOWN_FEATURES.contains(&feature)) {
            return Ok(());
        }
        let requirement = Requirement { name: name.to_owned(), arch: None, version, with: Vec::new(), without: Vec::new() };
        match list {
            List::Requires => self.relations.depends.push(AnyOf(vec![requirement])),
            List::Recommends => self.relations.recommends.push(AnyOf(vec![requirement])),
            List::Supplements => self.relations.supplements.push(vec![requirement]),
            List::Conflicts => self.relations.conflicts.push(requirement),
            List::Obsoletes | List::Provides => self.relations.replaces.push(requirement),
        }
        Ok(())
    }

    fn expression(&mut self, list: List, text: &str) {
        if list == List::Conflicts
            && let Some(conditional) = dependency::unless(text)
        {
            self.relations.conditional.extend(conditional);
            return;
        }
        if list == List::Supplements {
            // One that cannot be known never holds.
            self.relations.supplements.extend(dependency::ways_of(text).unwrap_or_default());
            return;
        }
        let Meaning { mut any_of, conditional } = dependency::rich(text);
        match list {
            // What is wished under a condition, or in a way that is not known, is not wished.
            List::Recommends if conditional.is_empty() && any_of.iter().all(|any_of| any_of.0.iter().all(|one| one.name != text)) => {
                self.relations.recommends.extend(any_of);
            }
            List::Recommends => {}
            List::Requires => {
                self.relations.depends.extend(any_of);
                self.relations.conditional.extend(conditional);
            }
            // Whoever is one of the alternatives is excluded.
            List::Conflicts if conditional.is_empty() && any_of.len() == 1 => {
                let excluded = any_of.remove(0).0;
                if excluded.iter().any(|one| one.name == text) { self.stop(text) } else { self.relations.conflicts.extend(excluded) }
            }
            List::Conflicts | List::Obsoletes | List::Provides | List::Supplements => self.stop(text),
        }
    }

    /// Makes the package one that cannot be installed, because an expression of it is not known: it is needed, and nothing provides it.
    fn stop(&mut self, text: &str) {
        self.relations.depends.push(AnyOf(vec![Requirement {
            name: text.to_owned(),
            arch: None,
            version: None,
            with: Vec::new(),
            without: Vec::new(),
        }]));
    }

    fn finish(self, archive: &Arc<Archive>, arch: &str) -> Result<Outcome, String> {
        let (name, own_arch) = (self.name.trim(), self.arch.trim());
        if own_arch != arch && own_arch != "noarch" {
            return Ok(Outcome::Skipped);
        }
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let version = self.version.ok_or("it has no version")?;
        // Versions are in an order only where all have a release; rpm makes no package without one.
        if !version.contains('-') {
            return Err(format!("its version {version} has no release"));
        }
        let coordinates = Coordinates::new(name, &version, own_arch, &archive.id).map_err(|error| error.to_string())?;
        if !self.is_sha256 {
            return Ok(Outcome::Unproven(name.to_owned()));
        }
        let licence = Some(self.licence.trim()).filter(|text| !text.is_empty() && text.len() <= LICENCE_LIMIT);
        let sha256: Sha256 = self.checksum.trim().parse().map_err(|_| "its digest is none")?;
        Ok(Outcome::Record(Box::new(PackageRecord {
            coordinates,
            sha256,
            size: self.size.ok_or("it has no size")?,
            filename: self.location.ok_or("it has no location")?,
            installed_size: self.installed,
            priority: Priority::default(),
            essential: false,
            multi_arch: MultiArch::No,
            licence: licence.map(Into::into),
            provides: self.provides,
            relations: self.relations.into(),
            archive: Arc::clone(archive),
        })))
    }
}

/// `[epoch:]version[-release]`, the epoch only where it is not 0.
fn version(element: &Element) -> Option<String> {
    let version = element.attribute("ver").filter(|version| !version.is_empty())?;
    let epoch = element.attribute("epoch").filter(|epoch| !epoch.is_empty() && *epoch != "0").map_or(String::new(), |epoch| format!("{epoch}:"));
    let release = element.attribute("rel").filter(|release| !release.is_empty()).map_or(String::new(), |release| format!("-{release}"));
    Some(format!("{epoch}{version}{release}"))
}

#[cfg(test)]
#[path = "primary_tests.rs"]
pub(crate) mod tests;
