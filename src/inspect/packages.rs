//! Which packages are installed: from dpkg's or rpm's own database, or from what is kept with an image of the cache.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::disk::Disk;
use super::problem::{Problem, Result};
use super::rpm_database;
use crate::repo::deb::control::{Item, Scanner};
use crate::resolve::{Lock, PackageChange};

/// The longest database that is read, in bytes: that of fifty thousand packages.
const LIMIT: u64 = 128 << 20;

const DPKG: &str = "/var/lib/dpkg/status";

/// Where rpm has its database: today, and before.
const RPM: [&str; 2] = ["/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite"];

/// What lies beside a database that was not closed: some of what is in it.
const UNCLOSED: [&str; 2] = ["-wal", "-journal"];

/// Where older versions of rpm, and SUSE's, have theirs, which are no files of `SQLite`.
const UNREAD: [&str; 3] = ["/usr/lib/sysimage/rpm/Packages.db", "/var/lib/rpm/Packages.db", "/var/lib/rpm/Packages"];

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `all`, `noarch`.
    pub arch: String,
    /// What it takes installed, in bytes, as its packager estimated it.
    pub size: u64,
}

/// The packages of an image, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Packages {
    /// Who says so.
    pub source: PackageSource,
    /// Sorted by name.
    pub list: Vec<Package>,
}

/// Who says which packages are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageSource {
    /// The database of dpkg in the image.
    Dpkg,
    /// The database of rpm in the image.
    Rpm,
    /// What is kept with the image.
    Record,
    /// Nobody: rpm's database is in the image, and is of a kind that is not read, or was not closed.
    UnreadRpm,
    /// Nobody: there is no database.
    Nothing,
}

/// The packages of a disk. `lock` is what is kept with an image of the cache.
pub(super) fn read(disk: &Disk<'_>, lock: Option<&Lock>) -> Result<Packages> {
    if let Some(found) = disk.find(DPKG.as_bytes()) {
        let status = disk.content(found, LIMIT)?.ok_or(Problem::Wrong("the database of dpkg is no file of a bearable length"))?;
        return Ok(Packages { source: PackageSource::Dpkg, list: installed(&status)? });
    }
    let rpm = RPM.iter().find_map(|path| Some((path, disk.find(path.as_bytes())?)));
    let is_closed = |path: &str| UNCLOSED.iter().all(|end| disk.find(format!("{path}{end}").as_bytes()).is_none_or(|at| disk.node(at).size == 0));
    if let Some((_, found)) = rpm.filter(|(path, _)| is_closed(path)) {
        let database = disk.content(found, LIMIT)?.ok_or(Problem::Wrong("the database of rpm is no file of a bearable length"))?;
        return Ok(Packages { source: PackageSource::Rpm, list: rpm_database::packages(&database)? });
    }
    if let Some(lock) = lock.filter(|lock| !lock.packages.is_empty()) {
        return Ok(Packages { source: PackageSource::Record, list: of_lock(lock) });
    }
    let has_rpm = rpm.is_some() || UNREAD.iter().any(|path| disk.find(path.as_bytes()).is_some());
    Ok(Packages { source: if has_rpm { PackageSource::UnreadRpm } else { PackageSource::Nothing }, list: Vec::new() })
}

/// The packages of a lock.
fn of_lock(lock: &Lock) -> Vec<Package> {
    let package = |locked: &crate::resolve::LockedPackage| {
        let (name, version, arch) = (locked.coordinates.name(), locked.coordinates.version(), locked.coordinates.arch());
        Package { name: name.to_owned(), version: version.to_owned(), arch: arch.to_owned(), size: locked.installed_size }
    };
    let mut list: Vec<Package> = lock.packages.iter().map(package).collect();
    list.sort();
    list
}

/// The paragraphs of dpkg's database whose package is unpacked, configured or not.
fn installed(status: &[u8]) -> Result<Vec<Package>> {
    let mut list = Vec::new();
    let mut current = (Package { name: String::new(), version: String::new(), arch: String::new(), size: 0 }, false);
    for item in Scanner::new(status) {
        match item.map_err(|_| Problem::Wrong("the database of dpkg has a line that is no field"))? {
            Item::Field(field) => {
                let value = || String::from_utf8_lossy(field.value).into_owned();
                match () {
                    () if field.is("Package") => current.0.name = value(),
                    () if field.is("Version") => current.0.version = value(),
                    () if field.is("Architecture") => current.0.arch = value(),
                    () if field.is("Installed-Size") => current.0.size = value().parse::<u64>().unwrap_or(0).saturating_mul(1024),
                    () if field.is("Status") => current.1 = !["not-installed", "config-files"].iter().any(|state| value().ends_with(state)),
                    () => {}
                }
            }
            Item::End => {
                let (package, is_there) =
                    std::mem::replace(&mut current, (Package { name: String::new(), version: String::new(), arch: String::new(), size: 0 }, false));
                if is_there && !package.name.is_empty() {
                    list.push(package);
                }
            }
        }
    }
    list.sort();
    Ok(list)
}

/// How packages differ, by name and architecture; several versions of one, as rpm has of kernels, are each for themselves.
pub(super) fn changes(before: &[Package], after: &[Package]) -> Vec<PackageChange> {
    let by_name = |packages: &[Package]| {
        let mut names: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for package in packages {
            names.entry((package.name.clone(), package.arch.clone())).or_default().insert(package.version.clone());
        }
        names
    };
    let (old, new) = (by_name(before), by_name(after));
    let none = BTreeSet::new();
    let mut changes = Vec::new();
    for key @ (name, _) in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (old.get(key).unwrap_or(&none), new.get(key).unwrap_or(&none));
        let mut gone: Vec<_> = old.difference(new).cloned().collect();
        let mut come: Vec<_> = new.difference(old).cloned().collect();
        while let (Some(_), Some(_)) = (gone.first(), come.first()) {
            changes.push(PackageChange::Changed { name: name.clone(), from: gone.remove(0), to: come.remove(0) });
        }
        changes.extend(gone.into_iter().map(|version| PackageChange::Removed { name: name.clone(), version }));
        changes.extend(come.into_iter().map(|version| PackageChange::Added { name: name.clone(), version }));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = b"Package: b\nStatus: install ok installed\nInstalled-Size: 3\nArchitecture: all\nVersion: 1:2\nDescription: x\n y\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n\
        Package: a\nStatus: install ok unpacked\nVersion: 1\nArchitecture: amd64\n";

    #[test]
    fn what_is_installed_is_listed() {
        let list = installed(STATUS).unwrap();
        let text: Vec<_> = list.iter().map(|package| format!("{} {} {} {}", package.name, package.version, package.arch, package.size)).collect();
        assert_eq!(text, ["a 1 amd64 0", "b 1:2 all 3072"]);
        assert!(installed(b"no field\n").is_err());
    }

    #[test]
    fn packages_differ_by_name_and_architecture() {
        let package = |name: &str, version: &str, arch: &str| Package { name: name.into(), version: version.into(), arch: arch.into(), size: 0 };
        let before = [package("a", "1", "amd64"), package("b", "1", "all"), package("k", "1", "x"), package("k", "2", "x")];
        let after = [package("a", "2", "amd64"), package("a", "2", "i386"), package("k", "2", "x"), package("k", "3", "x")];
        let name = |name: &str| name.to_owned();
        let expected = [
            PackageChange::Changed { name: name("a"), from: name("1"), to: name("2") },
            PackageChange::Added { name: name("a"), version: name("2") },
            PackageChange::Removed { name: name("b"), version: name("1") },
            PackageChange::Changed { name: name("k"), from: name("1"), to: name("3") },
        ];
        assert_eq!(changes(&before, &after), expected);
        assert!(changes(&before, &before).is_empty());
    }
}
