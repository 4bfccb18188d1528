//! Random small universes against a checker that knows nothing of the code it checks, and against trying everything.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Error, Reason, Request, resolve};
use crate::cache::Coordinates;
use crate::digest::Sha256;
use crate::repo::{AnyOf, Archive, Comparison, MultiArch, PackageRecord, Priority, Provide, Relations, Requirement};
use crate::version;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const VIRTUAL: [&str; 2] = ["v", "w"];
const VERSIONS: [&str; 3] = ["1", "1.0~rc1", "2:0.5-1"];

fn a_version() -> impl Strategy<Value = String> {
    select(&VERSIONS[..]).prop_map(str::to_owned)
}

fn a_requirement() -> impl Strategy<Value = Requirement> {
    let comparison = select(&[Comparison::Earlier, Comparison::EarlierOrEqual, Comparison::Equal, Comparison::LaterOrEqual, Comparison::Later][..]);
    let names = [&NAMES[..], &VIRTUAL[..]].concat();
    (select(names), option::weighted(0.3, (comparison, a_version()))).prop_map(|(name, version)| Requirement {
        name: name.to_owned(),
        arch: None,
        version,
        with: Vec::new(),
        without: Vec::new(),
    })
}

fn alternatives() -> impl Strategy<Value = Vec<AnyOf>> {
    vec(vec(a_requirement(), 1..=2).prop_map(AnyOf), 0..=2)
}

fn a_record() -> impl Strategy<Value = PackageRecord> {
    let provide = (select([&NAMES[..], &VIRTUAL[..], &VIRTUAL[..]].concat()), option::of(a_version()))
        .prop_map(|(name, version)| Provide { name: name.to_owned(), version: version.map(|version| (Comparison::Equal, version)) });
    let priority = select(&[Priority::Required, Priority::Optional][..]);
    let kinds = (select(&NAMES[..]), a_version(), priority, prop::bool::weighted(0.1), select(&[500, 500, 500, 900][..]));
    let relations = (alternatives(), alternatives(), alternatives(), vec(a_requirement(), 0..=1), vec(a_requirement(), 0..=1), vec(provide, 0..=1));
    (kinds, relations).prop_map(|((name, version, priority, essential, pin), (pre_depends, depends, recommends, conflicts, breaks, provides))| {
        let repository = format!("archive-{pin}");
        PackageRecord {
            sha256: Sha256::of(format!("{name} {version} {pin}").as_bytes()),
            coordinates: Coordinates::new(name, &version, "all", &repository).unwrap(),
            size: 1,
            filename: "p.deb".to_owned(),
            installed_size: 1,
            priority,
            essential,
            multi_arch: MultiArch::No,
            licence: None,
            provides,
            relations: Relations {
                pre_depends,
                depends,
                recommends,
                conflicts,
                breaks,
                supplements: Vec::new(),
                replaces: Vec::new(),
                conditional: Vec::new(),
            }
            .into(),
            archive: Arc::new(Archive { id: repository, mirrors: Vec::new(), pin }),
        }
    })
}

/// Each package once: two different packages with the same coordinates are no universe.
fn a_universe() -> impl Strategy<Value = Vec<PackageRecord>> {
    vec(a_record(), 1..=9).prop_map(|mut records| {
        records.sort_by(|a, b| a.coordinates.cmp(&b.coordinates));
        records.dedup_by(|a, b| a.coordinates == b.coordinates);
        records
    })
}

fn fits(requirement: &Requirement, offered: Option<&str>) -> bool {
    match (&requirement.version, offered) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some((comparison, wanted)), Some(offered)) => {
            let order = version::compare(offered, wanted);
            match comparison {
                Comparison::Earlier => order.is_lt(),
                Comparison::EarlierOrEqual => order.is_le(),
                Comparison::Equal => order.is_eq(),
                Comparison::LaterOrEqual => order.is_ge(),
                Comparison::Later => order.is_gt(),
            }
        }
    }
}

fn is_meant(requirement: &Requirement, record: &PackageRecord) -> bool {
    let by_name = record.coordinates.name() == requirement.name && fits(requirement, Some(record.coordinates.version()));
    by_name
        || record
            .provides
            .iter()
            .any(|provide| provide.name == requirement.name && fits(requirement, provide.version.as_ref().map(|(_, version)| version.as_str())))
}

/// What is wrong with an installation of these packages.
fn fault(set: &[&PackageRecord]) -> Option<String> {
    for record in set {
        for any_of in record.relations.pre_depends.iter().chain(&record.relations.depends) {
            if !set.iter().any(|other| any_of.0.iter().any(|requirement| is_meant(requirement, other))) {
                return Some(format!("{} lacks {any_of:?}", record.coordinates));
            }
        }
        for other in set.iter().filter(|other| !std::ptr::eq(**other, *record)) {
            if other.coordinates.name() == record.coordinates.name() {
                return Some(format!("{} and {}", record.coordinates, other.coordinates));
            }
            if record.relations.conflicts.iter().chain(&record.relations.breaks).any(|requirement| is_meant(requirement, other)) {
                return Some(format!("{} excludes {}", record.coordinates, other.coordinates));
            }
        }
    }
    None
}

/// Whether any installation has one of each wanted name, and of each essential one.
fn is_possible(records: &[PackageRecord], names: &[String]) -> bool {
    (0u32..1 << records.len()).any(|bits| {
        let set: Vec<_> = records.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, record)| record).collect();
        names.iter().all(|name| set.iter().any(|record| record.coordinates.name() == name)) && fault(&set).is_none()
    })
}

/// The names whose best version is essential.
fn essentials(records: &[PackageRecord]) -> Vec<String> {
    let best = |a: &&PackageRecord, b: &&PackageRecord| {
        (a.archive.pin.cmp(&b.archive.pin)).then_with(|| version::compare(a.coordinates.version(), b.coordinates.version()))
    };
    let of = |name: &&str| records.iter().filter(|record| record.coordinates.name() == *name).max_by(best).filter(|record| record.essential);
    NAMES.iter().filter_map(of).map(|record| record.coordinates.name().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn solutions_hold_and_failures_are_true(records in a_universe(), wanted in vec(select(&NAMES[..]), 1..=3), recommends: bool, shuffle: u64) {
        let mut names: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        names.retain(|name| records.iter().any(|record| record.coordinates.name() == name));
        let request = Request { wanted: names.clone(), kernel: None, packaging: crate::root::Packaging::Deb, arch: "amd64".to_owned(), recommends, essentials: true, looked_up: BTreeSet::new() };
        let result = resolve(&request, &records, &[]);
        names.extend(essentials(&records));

        let mut shuffled = records.clone();
        shuffled.sort_by_key(|record| blake3::hash(format!("{shuffle} {}", record.coordinates).as_bytes()).as_bytes().to_owned());
        let again = resolve(&Request { wanted: request.wanted.iter().rev().cloned().collect(), ..request }, &shuffled, &[]);
        prop_assert_eq!(again.as_ref().map(|resolution| &resolution.lock), result.as_ref().map(|resolution| &resolution.lock));

        match result {
            Ok(resolution) => {
                let set: Vec<_> = resolution.chosen.iter().map(|&at| &records[at]).collect();
                prop_assert_eq!(fault(&set), None);
                for name in &names {
                    prop_assert!(set.iter().any(|record| record.coordinates.name() == name), "{} is not there", name);
                }
                for package in &resolution.lock.packages {
                    let held = match &package.reason {
                        Reason::Essential => essentials(&records).iter().any(|name| name == package.coordinates.name()),
                        Reason::Wanted => names.iter().any(|name| name == package.coordinates.name()),
                        Reason::Obsoletes(_) | Reason::Supplements(_) => false,
                        Reason::DependencyOf(name) => asks_for(&set, name, package.coordinates.name(), true),
                        Reason::RecommendedBy(name) => recommends && asks_for(&set, name, package.coordinates.name(), false),
                    };
                    prop_assert!(held, "{:?}", package);
                }
            }
            Err(Error::Unsatisfiable(sentences)) => {
                prop_assert!(!is_possible(&records, &names), "{:?}", sentences);
                prop_assert!(sentences.len() > 1 || sentences[0].contains("needs"), "{:?}", sentences);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

/// Whether the package `from` of a set asks for the package `to` of it.
fn asks_for(set: &[&PackageRecord], from: &str, to: &str, hard: bool) -> bool {
    let named = |name: &str| set.iter().find(|record| record.coordinates.name() == name);
    let (Some(from), Some(to)) = (named(from), named(to)) else { return false };
    let relations = &from.relations;
    let list: Vec<_> = if hard { relations.pre_depends.iter().chain(&relations.depends).collect() } else { relations.recommends.iter().collect() };
    list.iter().any(|any_of| any_of.0.iter().any(|requirement| is_meant(requirement, to)))
}
