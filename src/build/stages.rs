//! In which stages the packages of a spec are installed.
//!
//! The tree after each stage is kept, and a spec whose packages are the same up to there begins with it. So what most specs have in common comes first, then
//! what takes long, and last what is soon installed again when a small package is added to the spec, or a new version of one comes.

use std::collections::BTreeSet;

use super::relations::Chosen;
use crate::repo::{PackageRecord, pattern};
use crate::resolve;
use crate::spec::Loaded;

/// How much an entry of a spec brings that is large: bytes, as packages say that they take.
const LARGE: u64 = 16 << 20;

/// The stage of each package, in their order; no number below the highest is left out.
///
/// The first has what the profile wants: its own packages, kernel and boot loader. The next has the large entries of the spec with all that they need: each is
/// measured for itself, so that what else the spec has is nothing to them. The last has what is left.
pub(super) fn of(chosen: &Chosen<'_>, loaded: &Loaded) -> Vec<usize> {
    let (profile, target, system) = (loaded.profile, &loaded.spec.target, &loaded.spec.system);
    let boot = system.bootloader.map_or(&[][..], |provider| profile.boot_packages(target.arch, provider));
    let is_base = |record: &PackageRecord| {
        let name = record.coordinates.name();
        record.essential || profile.base_packages.contains(&name) || boot.contains(&name) || resolve::is_kernel(name)
    };
    let base = chosen.closure(is_base, false);
    let brought_by = |entry: &String| -> BTreeSet<usize> {
        let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
        &chosen.closure(|record| pattern::matches(name, record.coordinates.name()), system.recommends) - &base
    };
    let records = chosen.records();
    // What packages say may be anything.
    let size = |numbers: &BTreeSet<usize>| numbers.iter().fold(0, |sum: u64, &number| sum.saturating_add(records[number].installed_size));
    let large: BTreeSet<usize> = system.packages.iter().map(brought_by).filter(|brought| size(brought) >= LARGE).flatten().collect();
    let last = if large.is_empty() { 1 } else { 2 };
    let of = |number| match (base.contains(&number), large.contains(&number)) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => last,
    };
    (0..records.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::tests::records;

    const UNIVERSE: &str = "\
        Package: base-files
        Essential: yes
        Installed-Size: 30000

        Package: curl
        Depends: libcurl4
        Installed-Size: 500

        Package: docker
        Depends: runc
        Recommends: zfs
        Installed-Size: 9000

        Package: libcurl4
        Installed-Size: 900

        Package: runc
        Depends: base-files
        Installed-Size: 9000

        Package: zfs
        Installed-Size: 4";

    fn stages(system: &str) -> Vec<(String, usize)> {
        let text = format!("image: {{name: a, version: '1'}}\ntarget: {{dist: debian12, arch: x86_64}}\nsystemConfig: {{{system}}}\n");
        let loaded = crate::spec::parse(&text, std::path::Path::new("a.yml")).unwrap();
        let records = records("debian", 500, UNIVERSE);
        let stages = of(&Chosen::new(&records), &loaded);
        records.iter().map(|record| record.coordinates.name().to_owned()).zip(stages).collect()
    }

    fn expect(system: &str, expected: [usize; 6]) {
        let names = ["base-files", "curl", "docker", "libcurl4", "runc", "zfs"];
        assert_eq!(stages(system), names.map(str::to_owned).into_iter().zip(expected).collect::<Vec<_>>(), "{system}");
    }

    #[test]
    fn what_is_large_comes_before_what_is_small() {
        expect("packages: [curl, docker]", [0, 2, 1, 2, 1, 2]);
        expect("packages: [curl, docker=1*]", [0, 2, 1, 2, 1, 2]);
        expect("packages: [curl, 'dock*']", [0, 2, 1, 2, 1, 2]);
        expect("packages: [curl]", [0, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn sizes_without_end_are_large() {
        let loaded = crate::spec::parse(
            "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\nsystemConfig: {packages: [aa]}\n",
            "a.yml".as_ref(),
        );
        let mut records = records("debian", 500, "Package: aa\nDepends: bb\n\nPackage: bb\n\nPackage: cc");
        for record in &mut records {
            record.installed_size = u64::MAX;
        }
        assert_eq!(of(&Chosen::new(&records), &loaded.unwrap()), [1, 1, 2]);
    }

    #[test]
    fn what_is_recommended_comes_with_what_recommends_it() {
        expect("packages: [docker], installRecommends: true", [0, 2, 1, 2, 1, 1]);
    }
}
