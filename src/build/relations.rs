//! Who in a chosen set of packages satisfies whose relations.

use std::collections::{BTreeSet, HashMap};

use crate::repo::{AnyOf, PackageRecord, Requirement};
use crate::resolve::version_fits;

/// A chosen set, looked up by real and virtual names. Packages are named by their place in it.
pub(super) struct Chosen<'r> {
    records: &'r [PackageRecord],
    /// Name → package, and the version that the name stands for (none for a virtual package without one).
    names: HashMap<&'r str, Vec<(usize, Option<&'r str>)>>,
}

impl<'r> Chosen<'r> {
    pub(super) fn new(records: &'r [PackageRecord]) -> Self {
        let mut names: HashMap<&str, Vec<(usize, Option<&str>)>> = HashMap::new();
        for (number, record) in records.iter().enumerate() {
            names.entry(record.coordinates.name()).or_default().push((number, Some(record.coordinates.version())));
        }
        // After all real packages, so that these come first.
        for (number, record) in records.iter().enumerate() {
            for provide in &record.provides {
                names.entry(&provide.name).or_default().push((number, provide.version.as_ref().map(|(_, version)| version.as_str())));
            }
        }
        Self { records, names }
    }

    /// Who satisfies a requirement, real packages first.
    fn satisfying(&self, requirement: &Requirement) -> impl Iterator<Item = usize> {
        let candidates = self.names.get(requirement.name.as_str()).map_or(&[][..], Vec::as_slice);
        candidates.iter().filter(|(_, version)| version_fits(crate::root::Packaging::Deb, requirement, *version)).map(|(number, _)| *number)
    }

    /// For each group of alternatives, the first that is in the set.
    pub(super) fn needs(&self, number: usize, groups: &[AnyOf]) -> Vec<usize> {
        let needed: BTreeSet<usize> =
            groups.iter().filter_map(|AnyOf(alternatives)| alternatives.iter().find_map(|requirement| self.satisfying(requirement).next())).collect();
        needed.into_iter().filter(|&other| other != number).collect()
    }

    /// All that a package says it replaces.
    pub(super) fn replaced_by(&self, number: usize) -> Vec<usize> {
        let replaces = &self.records[number].relations.replaces;
        let replaced: BTreeSet<usize> = replaces.iter().flat_map(|requirement| self.satisfying(requirement)).collect();
        replaced.into_iter().filter(|&other| other != number).collect()
    }

    /// The packages.
    pub(super) fn records(&self) -> &'r [PackageRecord] {
        self.records
    }

    /// The packages that are meant, and all that they need; with `recommends` also what they recommend.
    pub(super) fn closure(&self, meant: impl Fn(&PackageRecord) -> bool, recommends: bool) -> BTreeSet<usize> {
        let mut closure = BTreeSet::new();
        let mut open: Vec<usize> = (0..self.records.len()).filter(|&number| meant(&self.records[number])).collect();
        while let Some(number) = open.pop() {
            if closure.insert(number) {
                let relations = &self.records[number].relations;
                open.extend(self.needs(number, &relations.pre_depends));
                open.extend(self.needs(number, &relations.depends));
                if recommends {
                    open.extend(self.needs(number, &relations.recommends));
                }
            }
        }
        closure
    }
}
