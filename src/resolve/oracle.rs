//! The judgement of apt: `tests/system/resolver.sh` lets it resolve sets of packages on an empty system, and this test compares.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{Request, resolve};
use crate::repo::{Archive, PackageRecord, deb};

/// Differences that are meant to be: the set, the package, which of us has it. apt decides on alternatives in the order in which it comes by them; we
/// decide last, so that one which is needed anyway is enough. Here `xorg` depends on `xterm | x-terminal-emulator`, which gnome-terminal provides.
const REASONED: [(&str, &str, &str); 2] =
    [("task-gnome-desktop+recommends", "xterm", "apt has"), ("task-gnome-desktop+recommends", "libutempter0", "apt has")];

#[test]
#[ignore = "needs apt's lists: run by tests/system/resolver.sh"]
fn chooses_what_apt_chooses() {
    let dir = std::env::var("RESOLVER_ORACLE").expect("set by tests/system/resolver.sh");
    let dir = Path::new(&dir);
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let arch = read("arch").trim().to_owned();
    let mut records: Vec<PackageRecord> = Vec::new();
    for line in read("indexes").lines() {
        let [id, pin, file] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let archive = Arc::new(Archive { id: id.to_owned(), mirrors: Vec::new(), pin: pin.parse().unwrap() });
        let list = Arc::new(deb::packages::parse(&std::fs::read(dir.join(file)).unwrap(), id, &arch).unwrap());
        records.extend(list.records(&archive, |_| true).unwrap());
    }
    let (mut passed, mut failed) = (0, 0);
    let mut sets: Vec<_> = std::fs::read_dir(dir.join("sets")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    sets.sort();
    for set in &sets {
        let (name, recommends) = set.strip_suffix("+recommends").map_or((set.as_str(), false), |name| (name, true));
        let request = Request {
            wanted: vec![name.to_owned()],
            kernel: None,
            packaging: crate::root::Packaging::Deb,
            arch: arch.clone(),
            recommends,
            essentials: true,
            looked_up: BTreeSet::new(),
        };
        let started = Instant::now();
        let ours = resolve(&request, &records, &[]);
        let took = started.elapsed();
        let ours: BTreeSet<String> = match ours {
            Ok(resolution) => {
                resolution.lock.packages.iter().map(|package| format!("{} {}", package.coordinates.name(), package.coordinates.version())).collect()
            }
            Err(error) => {
                println!("{set}: {error}");
                BTreeSet::new()
            }
        };
        let apts: BTreeSet<String> = read(&format!("sets/{set}")).lines().map(str::to_owned).collect();
        let mut differences: Vec<String> = apts.difference(&ours).map(|package| format!("only apt has {package}")).collect();
        differences.extend(ours.difference(&apts).map(|package| format!("only we have {package}")));
        differences
            .retain(|difference| !REASONED.iter().any(|(of, package, who)| of == set && difference.starts_with(&format!("only {who} {package} "))));
        println!("{set}: {} of {} packages in {took:.0?}, {} differences", ours.len(), records.len(), differences.len());
        for difference in &differences {
            println!("  {difference}");
        }
        if differences.is_empty() && !ours.is_empty() { passed += 1 } else { failed += 1 }
    }
    println!("{passed} passed, {failed} failed");
    assert!(passed > 0 && failed == 0);
}
