//! A lock as a file beside its spec: text for people and for `diff`, one package a line.
//!
//! ```text
//! # image-composer lock 1
//! inputs DIGEST                                    what of the spec decides on packages
//! wants NAME                                       each name that the spec and its profile ask for
//! release ARCHIVE SUITE SECONDS DIGEST             each state of a repository that was looked at
//! package NAME VERSION ARCHITECTURE ARCHIVE SHA256 SIZE INSTALLED FILE REASON…
//! ```
//!
//! REASON is `essential`, `wanted`, `needed-by NAME`, `obsoletes NAME`, `recommended-by NAME` or `supplements NAME`, with `(essential)` behind it where the package is essential for another reason,
//! too. A file comes from anywhere: what is not as above is an error with its line.

use std::fmt::Write as _;

use super::lock::{Lock, LockedPackage, Reason};
use crate::cache::Coordinates;
use crate::digest::{Digest, Sha256};
use crate::repo::{ReleaseInfo, deb};

/// The first line; the number is the version of the format.
const HEAD: &str = "# image-composer lock 1";

/// The longest file that is read, in bytes: that of 100,000 packages.
pub const LOCK_FILE_LIMIT: u64 = 64 << 20;

/// What is in a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// The digest of what decides on packages: another one means that the file is another spec's, or that the spec has changed.
    pub inputs: Digest,
    /// The names that were asked for, sorted.
    pub wanted: Vec<String>,
    /// The packages, and the repository states.
    pub lock: Lock,
}

/// A lock file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LockFileError {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl LockFile {
    /// The text of the file. The same lock is the same text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\n# The exact packages of a spec. “image-composer lock” makes it, “image-composer build --locked” uses it.\n");
        let mut line = |arguments: std::fmt::Arguments<'_>| writeln!(text, "{arguments}").expect("a text has room");
        line(format_args!("inputs {}", self.inputs));
        for name in &self.wanted {
            line(format_args!("wants {name}"));
        }
        for ReleaseInfo { archive, suite, date, digest, keys: _ } in &self.lock.releases {
            line(format_args!("release {archive} {suite} {date} {digest}"));
        }
        for package in &self.lock.packages {
            let (name, version) = (package.coordinates.name(), package.coordinates.version());
            let (arch, archive) = (package.coordinates.arch(), package.coordinates.repository());
            let reason = &package.reason;
            let too = if package.essential && package.reason != Reason::Essential { " (essential)" } else { "" };
            let file = &package.filename;
            line(format_args!(
                "package {name} {version} {arch} {archive} {} {} {} {file} {reason}{too}",
                package.sha256, package.size, package.installed_size
            ));
        }
        text
    }

    /// Reads what [`LockFile::to_text`] wrote; lines that are empty or begin with `#` are passed over.
    ///
    /// # Errors
    /// The first line that is anything else.
    pub fn parse(text: &str) -> Result<Self, LockFileError> {
        let error = |line: usize, problem: &str| LockFileError { line, problem: problem.to_owned() };
        if text.lines().next().map(str::trim_end) != Some(HEAD) {
            return Err(error(1, &format!("this is no lock of this program: it does not begin with “{HEAD}”")));
        }
        let mut inputs = None;
        let mut file = Self { inputs: Digest::of(b""), wanted: Vec::new(), lock: Lock { packages: Vec::new(), releases: Vec::new() } };
        for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim_end())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let read = match words[..] {
                ["inputs", digest] if inputs.is_none() => {
                    digest.parse().map(|digest| inputs = Some(digest)).map_err(|_| "the digest is none".to_owned())
                }
                ["wants", name] => checked(name, "name of a package").map(|name| file.wanted.push(name)),
                ["release", archive, suite, date, digest] => release(archive, suite, date, digest).map(|release| file.lock.releases.push(release)),
                ["package", name, version, arch, archive, sha256, size, installed, path, ref reason @ ..] => {
                    package([name, version, arch, archive], sha256, [size, installed], path, reason).map(|package| file.lock.packages.push(package))
                }
                _ => Err("this is no line of a lock".to_owned()),
            };
            read.map_err(|problem| error(number, &problem))?;
        }
        file.inputs = inputs.ok_or_else(|| error(text.lines().count(), "the line “inputs” is missing"))?;
        let key = |package: &LockedPackage| (package.coordinates.name().to_owned(), package.coordinates.arch().to_owned());
        if let Some(twice) = file.lock.packages.windows(2).find(|pair| key(&pair[0]) >= key(&pair[1])) {
            return Err(error(text.lines().count(), &format!("packages are not in order, or twice: {}", twice[1].coordinates)));
        }
        Ok(file)
    }
}

/// The longest name, pattern or suite in bytes.
const WORD_LIMIT: usize = 255;

/// The last second of the year 9999.
const LATEST: u64 = 253_402_300_799;

/// A word that a lock can have for `what`: it is shown, and compared with what repositories and specs say.
fn checked(word: &str, what: &str) -> Result<String, String> {
    let holds =
        !word.is_empty() && word.len() <= WORD_LIMIT && word.bytes().all(|byte| byte.is_ascii_graphic()) && !word.split('/').any(|part| part == "..");
    if holds { Ok(word.to_owned()) } else { Err(format!("“{}” cannot be the {what}", word.chars().take(80).collect::<String>().escape_debug())) }
}

fn release(archive: &str, suite: &str, date: &str, digest: &str) -> Result<ReleaseInfo, String> {
    let date = date.parse().ok().filter(|date| *date <= LATEST).ok_or_else(|| format!("“{date}” is no time"))?;
    let (archive, suite) = (checked(archive, "name of a repository")?, checked(suite, "name of a suite")?);
    let digest = digest.parse().map_err(|_| "the digest is none".to_owned())?;
    Ok(ReleaseInfo { archive, suite, date, digest, keys: Vec::new() })
}

fn package(name: [&str; 4], sha256: &str, sizes: [&str; 2], path: &str, reason: &[&str]) -> Result<LockedPackage, String> {
    let [name, version, arch, archive] = name;
    let coordinates = Coordinates::new(name, version, arch, archive).map_err(|error| error.to_string())?;
    let sha256: Sha256 = sha256.parse().map_err(|_| "the SHA-256 digest is none".to_owned())?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("“{text}” is no size"));
    let filename = deb::packages::checked_filename(path).map_err(|problem| problem.to_string())?;
    let (reason, essential) = match reason {
        [reason @ .., "(essential)"] => (reason, true),
        reason => (reason, *reason == ["essential"]),
    };
    let reason = match reason {
        ["essential"] => Reason::Essential,
        ["wanted"] => Reason::Wanted,
        ["needed-by", name] => Reason::DependencyOf(checked(name, "name of a package")?),
        ["obsoletes", name] => Reason::Obsoletes(checked(name, "name of a package")?),
        ["recommended-by", name] => Reason::RecommendedBy(checked(name, "name of a package")?),
        ["supplements", name] => Reason::Supplements(checked(name, "name of a package")?),
        _ => return Err("the reason is none".to_owned()),
    };
    let (size, installed_size) = (number(sizes[0])?, number(sizes[1])?);
    Ok(LockedPackage { coordinates, sha256, size, filename, installed_size, essential, reason })
}

/// How a package differs between two locks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum PackageChange {
    /// Only the later lock has it.
    Added {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Only the earlier lock has it.
    Removed {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Both have it, with another version, archive or content.
    Changed {
        /// Its name.
        name: String,
        /// The version before.
        from: String,
        /// The version now.
        to: String,
    },
}

/// How the packages of a lock differ from those of an earlier one, by name.
pub fn changes(before: &Lock, after: &Lock) -> Vec<PackageChange> {
    let key = |package: &LockedPackage| (package.coordinates.name().to_owned(), package.coordinates.arch().to_owned());
    let old: std::collections::BTreeMap<_, _> = before.packages.iter().map(|package| (key(package), package)).collect();
    let new: std::collections::BTreeMap<_, _> = after.packages.iter().map(|package| (key(package), package)).collect();
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let change = |key: &(String, String)| {
        let name = key.0.clone();
        let version = |package: &LockedPackage| package.coordinates.version().to_owned();
        match (old.get(key), new.get(key)) {
            (Some(before), Some(after)) if before.sha256 == after.sha256 && before.coordinates == after.coordinates => None,
            (Some(before), Some(after)) => Some(PackageChange::Changed { name, from: version(before), to: version(after) }),
            (Some(before), None) => Some(PackageChange::Removed { name, version: version(before) }),
            (None, Some(after)) => Some(PackageChange::Added { name, version: version(after) }),
            (None, None) => None,
        }
    };
    keys.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn locked(name: &str, version: &str, reason: Reason) -> LockedPackage {
        LockedPackage {
            coordinates: Coordinates::new(name, version, "amd64", "debian").unwrap(),
            sha256: Sha256::of(version.as_bytes()),
            size: 5,
            filename: format!("pool/{name}%20{version}.deb"),
            installed_size: 7,
            essential: name == "libc6",
            reason,
        }
    }

    fn file() -> LockFile {
        let packages = vec![
            locked("bash", "5.2-1", Reason::Essential),
            locked("curl", "7.88", Reason::Wanted),
            locked("libc6", "2.36", Reason::DependencyOf("bash".to_owned())),
            locked("new", "2-1", Reason::Obsoletes("old".to_owned())),
            locked("tip", "1", Reason::RecommendedBy("curl".to_owned())),
        ];
        let mut packages = packages;
        packages[0].essential = true;
        let digest = Digest::of(b"release");
        let releases =
            vec![ReleaseInfo { archive: "debian".to_owned(), suite: "bookworm".to_owned(), date: 1_700_000_000, digest, keys: Vec::new() }];
        LockFile { inputs: Digest::of(b"inputs"), wanted: vec!["curl".to_owned()], lock: Lock { packages, releases } }
    }

    #[test]
    fn round_trips() {
        let text = file().to_text();
        assert_eq!(LockFile::parse(&text).unwrap(), file());
        assert!(text.contains("needed-by bash (essential)\n"), "{text}");
        assert_eq!(LockFile::parse(&text.replace("wants", "\n# a remark\nwants")).unwrap(), file());
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let text = file().to_text();
        for (from, to, line, problem) in [
            ("lock 1", "lock 2", 1, "does not begin with"),
            ("inputs", "input", 3, "no line of a lock"),
            ("wants curl", "wants", 4, "no line of a lock"),
            ("1700000000", "then", 5, "no time"),
            ("pool/bash", "../bash", 6, "leads out of the archive"),
            ("pool/bash", "%2e%2e/bash", 6, "leads out of the archive"),
            ("pool/bash", "pool?bash", 6, "leads out of the archive"),
            ("bash 5.2-1", "a/b 5.2-1", 6, "cannot be the name"),
            (" 5 7 pool/curl", " 5 x pool/curl", 7, "no size"),
            ("wants curl", "wants cu\u{7}rl", 4, "“cu\\u{7}rl” cannot be the name of a package"),
            ("release debian", "release ../debian", 5, "cannot be the name of a repository"),
            (" bookworm ", " ü ", 5, "cannot be the name of a suite"),
            ("1700000000", "99999999999999", 5, "no time"),
            ("needed-by bash", "needed-by \u{1b}[31m", 8, "cannot be the name of a package"),
            (" amd64 debian ", " amd64 de\u{202e}bian ", 6, "cannot be the repository"),
            ("wanted\n", "wished\n", 7, "the reason is none"),
            ("package curl", "package zcurl", 10, "not in order"),
        ] {
            let error = LockFile::parse(&text.replacen(from, to, 1)).unwrap_err();
            assert!(error.line == line && error.problem.contains(problem), "{from}: {error}");
        }
    }

    fn word() -> impl Strategy<Value = String> {
        "[a-z0-9][a-z0-9+.:~-]{0,8}"
    }

    fn a_package() -> impl Strategy<Value = LockedPackage> {
        let reason = prop_oneof![
            Just(Reason::Essential),
            Just(Reason::Wanted),
            word().prop_map(Reason::DependencyOf),
            word().prop_map(Reason::Obsoletes),
            word().prop_map(Reason::RecommendedBy),
            word().prop_map(Reason::Supplements),
        ];
        let name = (word(), word(), prop_oneof![Just("amd64"), Just("all")], prop_oneof![Just("debian"), Just("host/path")]);
        (name, any::<[u8; 32]>(), any::<u64>(), any::<u64>(), "[a-z]{1,5}(/[a-z%+]{1,5}){0,2}", any::<bool>(), reason).prop_map(
            |((name, version, arch, archive), sha256, size, installed_size, filename, essential, reason)| LockedPackage {
                coordinates: Coordinates::new(&name, &version, arch, archive).unwrap(),
                sha256: Sha256::from_bytes(sha256),
                size,
                filename,
                installed_size,
                essential: essential || reason == Reason::Essential,
                reason,
            },
        )
    }

    fn a_file() -> impl Strategy<Value = LockFile> {
        let release = (word(), word(), 0..=LATEST, any::<[u8; 32]>()).prop_map(|(archive, suite, date, digest)| ReleaseInfo {
            archive,
            suite,
            date,
            digest: Digest::from_bytes(digest),
            keys: Vec::new(),
        });
        let lists = (vec(word(), 0..4), vec(a_package(), 0..6), vec(release, 0..3));
        (any::<[u8; 32]>(), lists).prop_map(|(inputs, (wanted, mut packages, releases))| {
            let key = |package: &LockedPackage| (package.coordinates.name().to_owned(), package.coordinates.arch().to_owned());
            packages.sort_by_key(key);
            packages.dedup_by_key(|package| key(package));
            LockFile { inputs: Digest::from_bytes(inputs), wanted, lock: Lock { packages, releases } }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(file in a_file()) {
            prop_assert_eq!(LockFile::parse(&file.to_text()).unwrap(), file);
        }

        /// Whatever is changed in a file, it is refused, or is a lock that would be written so that it is read again.
        #[test]
        fn changed_files_are_refused_or_locks(file in a_file(), changes in vec((any::<prop::sample::Index>(), 0..4_usize, ".{0,4}"), 1..5)) {
            let mut text: Vec<char> = file.to_text().chars().collect();
            for (place, length, with) in changes {
                let place = place.index(text.len() + 1);
                text.splice(place..(place + length).min(text.len()), with.chars());
            }
            crate::fuzzing::lock(text.into_iter().collect::<String>().as_bytes());
        }
    }

    #[test]
    fn changes_are_told_by_name() {
        let before = file().lock;
        let mut after = before.clone();
        after.packages[1] = locked("curl", "7.89", Reason::Wanted);
        after.packages[4] = locked("vim", "9", Reason::Wanted);
        let text = |name: &str| name.to_owned();
        assert_eq!(
            changes(&before, &after),
            [
                PackageChange::Changed { name: text("curl"), from: text("7.88"), to: text("7.89") },
                PackageChange::Removed { name: text("tip"), version: text("1") },
                PackageChange::Added { name: text("vim"), version: text("9") },
            ]
        );
        assert_eq!(changes(&before, &before), []);
    }
}
