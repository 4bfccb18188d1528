//! All packages that an image could have, and who satisfies what: the rules of Debian and of rpm, without any search.
//!
//! A *group* is all versions of one package, best first: the archive with the higher pin, then the higher version. The first of a group is its *candidate*, as
//! apt calls it. Every order here comes from what the packages say, never from the order in which they were given.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ranking::ranked;
use super::versions::{overlaps, version_fits};
use crate::repo::{AnyOf, Comparison, MultiArch, PackageRecord, Requirement};
use crate::root::Packaging;
use crate::version;

/// The index of a record.
pub(super) type Record = u32;
/// The index of a group.
pub(super) type Group = u32;

/// The versions that are provided; none where none is said.
type Versions<'a> = Option<(Comparison, &'a str)>;

/// Packages of one group that satisfy a requirement, best first. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Satisfiers {
    pub(super) group: Group,
    pub(super) members: Vec<Record>,
}

/// Which versions a search may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The candidate of each group.
    Candidates,
    /// Every version.
    All,
}

/// The packages of one architecture, indexed by what they are called and what they provide.
#[derive(Debug)]
pub(super) struct Universe<'a> {
    records: &'a [PackageRecord],
    arch: &'a str,
    packaging: Packaging,
    groups: Vec<Members<'a>>,
    by_name: HashMap<&'a str, Group>,
    /// Who provides a name, and in which versions; in no order.
    providers: HashMap<&'a str, Vec<(Record, Versions<'a>)>>,
    /// Who obsoletes packages of a name; in no order. Of RPM packages only.
    obsoleters: HashMap<&'a str, Vec<Record>>,
    /// The group of each record; none for records that are not part of the universe.
    group_of: Vec<Option<Group>>,
    /// Files that were asked for, and no RPM package is known to have.
    unknown_files: RefCell<BTreeSet<String>>,
}

#[derive(Debug)]
struct Members<'a> {
    name: &'a str,
    /// Best first.
    versions: Vec<Record>,
    candidate: Record,
}

impl<'a> Universe<'a> {
    /// The universe of `records` for one architecture. Records of other architectures are left out, those of archives with a negative pin, and all but one
    /// of those that are the same package.
    pub(super) fn new(records: &'a [PackageRecord], arch: &'a str, packaging: Packaging) -> Self {
        let neutral = packaging_neutral(packaging);
        let mut universe = Self {
            records,
            arch,
            packaging,
            groups: Vec::new(),
            by_name: HashMap::with_capacity(records.len()),
            providers: HashMap::new(),
            obsoleters: HashMap::new(),
            group_of: vec![None; records.len()],
            unknown_files: RefCell::default(),
        };
        for (at, record) in records.iter().enumerate() {
            if (record.coordinates.arch() != arch && record.coordinates.arch() != neutral) || record.archive.pin < 0 {
                continue;
            }
            let name = record.coordinates.name();
            let next = universe.groups.len() as Group;
            let group = *universe.by_name.entry(name).or_insert(next);
            if group == next {
                universe.groups.push(Members { name, versions: Vec::new(), candidate: at as Record });
            }
            universe.groups[group as usize].versions.push(at as Record);
        }
        for (group, members) in universe.groups.iter_mut().enumerate() {
            if members.versions.len() > 1 {
                members.versions.sort_by(|&a, &b| preference(packaging, &records[a as usize], &records[b as usize]));
                members.versions.dedup_by(|b, a| is_same(&records[*a as usize], &records[*b as usize]));
            }
            members.candidate = members.versions[0];
            for &version in &members.versions {
                universe.group_of[version as usize] = Some(group as Group);
                for provide in &records[version as usize].provides {
                    let versions = provide.version.as_ref().map(|(comparison, version)| (*comparison, version.as_str()));
                    universe.providers.entry(&provide.name).or_default().push((version, versions));
                }
                if packaging == Packaging::Rpm {
                    for obsoleted in &records[version as usize].relations.replaces {
                        universe.obsoleters.entry(&obsoleted.name).or_default().push(version);
                    }
                }
            }
        }
        universe
    }

    /// Makes another version the candidate of its group.
    pub(super) fn set_candidate(&mut self, record: Record) {
        if let Some(group) = self.group_of[record as usize] {
            self.groups[group as usize].candidate = record;
        }
    }

    /// The record with this index.
    pub(super) fn record(&self, record: Record) -> &'a PackageRecord {
        &self.records[record as usize]
    }

    /// The group of a record of the universe.
    pub(super) fn group_of(&self, record: Record) -> Group {
        self.group_of[record as usize].expect("only records of the universe are handed out")
    }

    /// Whose rules hold.
    pub(super) fn packaging(&self) -> Packaging {
        self.packaging
    }

    /// Whether packages of this architecture are used.
    pub(super) fn is_arch(&self, arch: &str) -> bool {
        arch == self.arch || arch == packaging_neutral(self.packaging)
    }

    /// The group of the packages of this name.
    pub(super) fn group(&self, name: &str) -> Option<Group> {
        self.by_name.get(name).copied()
    }

    /// The name of a group.
    pub(super) fn name(&self, group: Group) -> &'a str {
        self.groups[group as usize].name
    }

    /// All versions of a group, best first.
    pub(super) fn versions(&self, group: Group) -> &[Record] {
        &self.groups[group as usize].versions
    }

    /// The versions of a group that a search may use, best first.
    pub(super) fn in_scope(&self, group: Group, scope: Scope) -> &[Record] {
        let members = &self.groups[group as usize];
        match scope {
            Scope::Candidates => std::slice::from_ref(&members.candidate),
            Scope::All => &members.versions,
        }
    }

    /// All names of packages, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.groups.iter().map(|members| members.name)
    }

    /// The candidates that are essential, by name.
    pub(super) fn essentials(&self) -> Vec<Record> {
        let mut essentials: Vec<_> =
            self.groups.iter().filter(|group| self.record(group.candidate).essential).map(|group| (group.name, group.candidate)).collect();
        essentials.sort_unstable();
        essentials.into_iter().map(|(_, record)| record).collect()
    }

    /// The candidates that supplement others, by name. (Only RPM packages do.)
    pub(super) fn supplementing(&self) -> Vec<Record> {
        let candidates = self.groups.iter().map(|group| (group.name, group.candidate)).filter(|_| self.packaging == Packaging::Rpm);
        let mut found: Vec<_> = candidates.filter(|(_, record)| !self.record(*record).relations.supplements.is_empty()).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, record)| record).collect()
    }

    /// Who satisfies one of these alternatives, in the order of preference: on Debian as they are written, where a group can appear under several; with rpm all
    /// of them are one list, as libsolv has it.
    pub(super) fn any_of(&self, alternatives: &AnyOf, scope: Scope) -> Vec<Satisfiers> {
        let all: Vec<_> = alternatives.0.iter().flat_map(|requirement| self.satisfiers(requirement, scope)).collect();
        match self.packaging {
            Packaging::Deb => all,
            Packaging::Rpm => ranked(self, all),
        }
    }

    /// Who satisfies a requirement, in the order of preference: the package of that name before those that provide it, and these by their priority, then by
    /// their names.
    pub(super) fn satisfiers(&self, requirement: &Requirement, scope: Scope) -> Vec<Satisfiers> {
        let name = requirement.name.as_str();
        if self.packaging == Packaging::Rpm && name.starts_with('/') && !self.providers.contains_key(name) {
            self.unknown_files.borrow_mut().insert(name.to_owned());
        }
        self.find(requirement, scope, &|record| match requirement.arch.as_deref() {
            None | Some("native") => true,
            // Only who promises to serve other architectures may be asked for in any of them (deb-control(5), Multi-Arch).
            Some("any") => record.multi_arch == MultiArch::Allowed,
            Some(arch) => arch == self.arch,
        })
    }

    /// The files that were asked for, and no RPM package is known to have.
    pub(super) fn unknown_files(&self) -> BTreeSet<String> {
        self.unknown_files.borrow().clone()
    }

    /// Who `record` excludes by its Conflicts and Breaks. A package never excludes what has its own name: of that, there is one at most anyway.
    pub(super) fn excluded_by(&self, record: Record, scope: Scope) -> Vec<Satisfiers> {
        let own = self.group_of(record);
        let relations = &self.record(record).relations;
        let mut excluded = Vec::new();
        for requirement in relations.conflicts.iter().chain(&relations.breaks) {
            excluded.extend(self.excluded(requirement, scope).into_iter().filter(|satisfiers| satisfiers.group != own));
        }
        excluded
            .extend(self.obsoletes(record).filter_map(|requirement| self.obsoleted(requirement, scope)).filter(|satisfiers| satisfiers.group != own));
        excluded
    }

    /// What `record` takes the place of, so that they cannot be there together: rpm's Obsoletes.
    pub(super) fn obsoletes(&self, record: Record) -> impl Iterator<Item = &'a Requirement> {
        let obsoletes = if self.packaging == Packaging::Rpm { &self.record(record).relations.replaces[..] } else { &[] };
        obsoletes.iter()
    }

    /// Whether `record` obsoletes the package `other`.
    pub(super) fn takes_the_place(&self, record: Record, other: Record) -> bool {
        let coordinates = &self.record(other).coordinates;
        let is_meant = |entry: &Requirement| entry.name == coordinates.name() && version_fits(self.packaging, entry, Some(coordinates.version()));
        self.group_of(record) != self.group_of(other) && self.obsoletes(record).any(is_meant)
    }

    /// What can be there in the place of a group: packages whose candidate obsoletes its candidate, one for each of them. None where packages do not give way.
    pub(super) fn replacements(&self, group: Group) -> Vec<Satisfiers> {
        let candidate = self.groups[group as usize].candidate;
        let mut found: Vec<Satisfiers> = Vec::new();
        for &record in self.obsoleters.get(self.name(group)).map_or(&[][..], Vec::as_slice) {
            let other = self.group_of(record);
            let is_known = other == group || found.iter().any(|satisfiers| satisfiers.group == other);
            if !is_known && self.groups[other as usize].candidate == record && self.takes_the_place(record, candidate) {
                let members = self.versions(other).iter().copied().filter(|&version| self.takes_the_place(version, candidate)).collect();
                found.push(Satisfiers { group: other, members });
            }
        }
        found
    }

    /// Who is meant by one entry of Obsoletes: names of packages count, and not what they provide.
    pub(super) fn obsoleted(&self, requirement: &Requirement, scope: Scope) -> Option<Satisfiers> {
        let group = self.group(&requirement.name)?;
        let fits = |&record: &Record| version_fits(self.packaging, requirement, Some(self.record(record).coordinates.version()));
        let members: Vec<_> = self.in_scope(group, scope).iter().copied().filter(fits).collect();
        (!members.is_empty()).then_some(Satisfiers { group, members })
    }

    /// Sorts versions of one package, best first.
    pub(super) fn sort(&self, versions: &mut [Record]) {
        versions.sort_by(|&a, &b| preference(self.packaging, self.record(a), self.record(b)));
    }

    /// Compares two versions as the distribution does.
    pub(super) fn compare(&self, a: &str, b: &str) -> Ordering {
        version::compare_as(self.packaging, a, b)
    }

    /// Who is meant by one entry of Conflicts or Breaks.
    pub(super) fn excluded(&self, requirement: &Requirement, scope: Scope) -> Vec<Satisfiers> {
        self.find(requirement, scope, &|_| requirement.arch.as_deref().is_none_or(|arch| matches!(arch, "any" | "native") || arch == self.arch))
    }

    fn find(&self, requirement: &Requirement, scope: Scope, arch_fits: &dyn Fn(&PackageRecord) -> bool) -> Vec<Satisfiers> {
        let mut found: BTreeMap<_, Satisfiers> = BTreeMap::new();
        let named = self.group(&requirement.name);
        if let Some(group) = named {
            let fits = |&record: &Record| {
                let record = self.record(record);
                arch_fits(record) && version_fits(self.packaging, requirement, Some(record.coordinates.version()))
            };
            let members: Vec<_> = self.in_scope(group, scope).iter().copied().filter(fits).collect();
            if !members.is_empty() {
                found.insert(None, Satisfiers { group, members });
            }
        }
        for &(record, version) in self.providers.get(requirement.name.as_str()).map_or(&[][..], Vec::as_slice) {
            let group = self.group_of(record);
            if !arch_fits(self.record(record)) || !overlaps(self.packaging, requirement, version) || !self.in_scope(group, scope).contains(&record) {
                continue;
            }
            // A package may also provide its own name.
            let place = (named != Some(group)).then(|| (self.record(self.versions(group)[0]).priority, self.name(group)));
            let satisfiers = found.entry(place).or_insert_with(|| Satisfiers { group, members: Vec::new() });
            if !satisfiers.members.contains(&record) {
                satisfiers.members.push(record);
                self.sort(&mut satisfiers.members);
            }
        }
        let mut found: Vec<Satisfiers> = found.into_values().collect();
        let parts = requirement.with.iter().map(|part| (part, true)).chain(requirement.without.iter().map(|part| (part, false)));
        for (part, is_wanted) in parts {
            let fitting: Vec<Record> = self.find(part, scope, arch_fits).into_iter().flat_map(|satisfiers| satisfiers.members).collect();
            for satisfiers in &mut found {
                satisfiers.members.retain(|member| fitting.contains(member) == is_wanted);
            }
        }
        found.retain(|satisfiers| !satisfiers.members.is_empty());
        found
    }
}

/// Which of two versions of a package comes first.
fn preference(packaging: Packaging, a: &PackageRecord, b: &PackageRecord) -> Ordering {
    let native = |record: &PackageRecord| record.coordinates.arch() == packaging_neutral(packaging);
    (b.archive.pin.cmp(&a.archive.pin))
        .then_with(|| version::compare_as(packaging, b.coordinates.version(), a.coordinates.version()))
        // From here on the order means nothing, but it is always the same.
        .then_with(|| native(a).cmp(&native(b)))
        .then_with(|| a.coordinates.cmp(&b.coordinates))
        .then_with(|| a.sha256.cmp(&b.sha256))
}

/// Whether two neighbours in the order of preference are one package: in two suites of an archive, or in two archives.
fn is_same(a: &PackageRecord, b: &PackageRecord) -> bool {
    a.coordinates == b.coordinates || (a.sha256 == b.sha256 && a.coordinates.version() == b.coordinates.version())
}

/// The architecture of packages that fit every machine.
fn packaging_neutral(packaging: Packaging) -> &'static str {
    match packaging {
        Packaging::Deb => "all",
        Packaging::Rpm => "noarch",
    }
}
