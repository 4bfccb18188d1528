//! dpkg's database beneath `/var/lib/dpkg`, written as dpkg itself would (formats: `dpkg(1)`, `deb-triggers(5)`, `dpkg-divert(1)`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::Error;
use super::deb::Control;
use super::plan::Package;
use crate::tree::Tree;

/// Where the database lies.
const ADMIN: &str = "var/lib/dpkg";

/// What another place dpkg was told to use for a file.
#[derive(Debug, Default)]
pub(super) struct Diversions(HashMap<PathBuf, (PathBuf, String)>);

impl Diversions {
    /// Reads the diversions that scripts have made so far.
    pub(super) fn load(tree: &Tree) -> Result<Self, Error> {
        let text = tree.read_text(&format!("{ADMIN}/diversions"))?;
        let lines: Vec<&str> = text.lines().collect();
        let bare = |path: &str| PathBuf::from(path.trim_start_matches('/'));
        let diversions = lines.chunks_exact(3).map(|three| (bare(three[0]), (bare(three[1]), three[2].to_owned()))).collect();
        Ok(Self(diversions))
    }

    /// Where a package's path goes: a diversion holds for all packages but the one that made it.
    pub(super) fn place(&self, path: &Path, package: &str) -> PathBuf {
        match self.0.get(path) {
            Some((other, by)) if by != package => other.clone(),
            _ => path.to_owned(),
        }
    }

    /// Whether a package has diverted this path to have it for itself.
    pub(super) fn is_by(&self, path: &Path, package: &str) -> bool {
        self.0.get(path).is_some_and(|(_, by)| by == package)
    }
}

/// A package that was unpacked, as the database shall know it.
pub(super) struct Unpacked<'a> {
    pub(super) package: &'a Package,
    pub(super) control: &'a Control,
    /// Absolute paths in the order of the archive.
    pub(super) paths: Vec<String>,
}

impl Unpacked<'_> {
    /// The name of its files in the database.
    fn info_name(&self) -> String {
        info_name(self.package)
    }

    /// Its name in the database of triggers.
    fn trigger_name(&self) -> String {
        info_name(self.package)
    }
}

/// The name of a package's files in the database: with the architecture where several may be installed.
pub(super) fn info_name(package: &Package) -> String {
    let coordinates = &package.coordinates;
    if package.multi_arch_same { format!("{}:{}", coordinates.name(), coordinates.arch()) } else { coordinates.name().to_owned() }
}

/// The paths in a package's `conffiles`.
pub(super) fn conffiles(control: &Control) -> Vec<String> {
    let text = control.files.get("conffiles").map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    // A line may begin with a flag (`remove-on-upgrade`): such a file is not in the package.
    text.lines().map(str::trim_end).filter(|line| line.starts_with('/')).map(str::to_owned).collect()
}

/// Makes an empty database.
pub(super) fn create(tree: &Tree, arch: &str) -> Result<(), Error> {
    for dir in ["alternatives", "info", "parts", "triggers", "updates"] {
        tree.create_dirs(Path::new(&format!("{ADMIN}/{dir}")))?;
    }
    tree.write(format!("{ADMIN}/info/format"), b"1\n", 0o644)?;
    tree.write(format!("{ADMIN}/arch"), format!("{arch}\n").as_bytes(), 0o644)?;
    for file in ["status", "available", "diversions", "statoverride", "triggers/File", "triggers/Unincorp"] {
        tree.write(format!("{ADMIN}/{file}"), b"", 0o644)?;
    }
    Ok(())
}

/// Writes the scripts and other control files of packages, so that scripts can run before anything is unpacked.
pub(super) fn write_control(tree: &Tree, package: &Package, control: &Control) -> Result<(), Error> {
    let base = format!("{ADMIN}/info/{}", info_name(package));
    for (name, bytes) in &control.files {
        let mode = if matches!(name.as_str(), "preinst" | "postinst" | "prerm" | "postrm" | "config") { 0o755 } else { 0o644 };
        tree.write(format!("{base}.{name}"), bytes, mode)?;
    }
    Ok(())
}

/// Enters unpacked packages into the database: their lists, their state, and the triggers that they are interested in.
///
/// `lost` are paths that a package ships and that another one replaced.
pub(super) fn record(tree: &Tree, unpacked: &[Unpacked<'_>], lost: &HashMap<usize, Vec<PathBuf>>, numbers: &[usize]) -> Result<(), Error> {
    let mut status = String::new();
    let mut interests = Interests::load(tree)?;
    for (entry, number) in unpacked.iter().zip(numbers) {
        let lost: HashSet<&Path> = lost.get(number).into_iter().flatten().map(PathBuf::as_path).collect();
        let mut list = String::new();
        for path in entry.paths.iter().filter(|path| !lost.contains(Path::new(path.trim_start_matches('/')))) {
            list.push_str(path);
            list.push('\n');
        }
        tree.write(format!("{ADMIN}/info/{}.list", entry.info_name()), list.as_bytes(), 0o644)?;
        status.push_str(&entry.control.stanza.unpacked_status(&conffiles(entry.control)));
        interests.add(entry);
    }
    tree.append(format!("{ADMIN}/status"), status.as_bytes())?;
    interests.store(tree)
}

/// What an installed package has, by its list: relative paths, without the root itself.
pub(super) fn list(tree: &Tree, package: &Package) -> Result<Vec<PathBuf>, Error> {
    let text = tree.read_text(&format!("{ADMIN}/info/{}.list", info_name(package)))?;
    Ok(text.lines().map(|line| line.trim_start_matches('/')).filter(|line| !matches!(*line, "" | ".")).map(PathBuf::from).collect())
}

/// Takes paths that another package has now out of the list of an installed one.
pub(super) fn forget(tree: &Tree, package: &Package, lost: &[PathBuf]) -> Result<(), Error> {
    let name = format!("{ADMIN}/info/{}.list", info_name(package));
    let text = tree.read_text(&name)?;
    let left = text.lines().filter(|line| !lost.iter().any(|path| Path::new(line.trim_start_matches('/')) == path));
    let left: String = left.flat_map(|line| [line, "\n"]).collect();
    Ok(tree.write(&name, left.as_bytes(), 0o644)?)
}

/// Which packages want to be told of which triggers.
pub(super) struct Interests {
    /// Trigger name → packages with their options; names that begin with a slash are paths.
    triggers: BTreeMap<String, Vec<String>>,
}

impl Interests {
    fn load(tree: &Tree) -> Result<Self, Error> {
        let mut triggers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in tree.read_text(&format!("{ADMIN}/triggers/File"))?.lines() {
            if let Some((path, package)) = line.rsplit_once(' ') {
                triggers.entry(path.to_owned()).or_default().push(package.to_owned());
            }
        }
        for name in tree.list(format!("{ADMIN}/triggers"))?.into_iter().map(|entry| entry.name) {
            if !matches!(name.as_str(), "File" | "Unincorp" | "Lock") {
                let packages = tree.read_text(&format!("{ADMIN}/triggers/{name}"))?;
                triggers.entry(name).or_default().extend(packages.lines().map(str::to_owned));
            }
        }
        Ok(Self { triggers })
    }

    fn add(&mut self, entry: &Unpacked<'_>) {
        let Some(text) = entry.control.files.get("triggers") else { return };
        for line in String::from_utf8_lossy(text).lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(directive), Some(name)) = (words.next(), words.next()) else { continue };
            let option = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            // A name becomes a file name beneath triggers/ unless it is a path (`deb-triggers(5)`).
            if name.starts_with('/') || !name.contains('/') && !name.starts_with('.') {
                let package = format!("{}{option}", entry.trigger_name());
                let packages = self.triggers.entry(name.to_owned()).or_default();
                if !packages.contains(&package) {
                    packages.push(package);
                }
            }
        }
    }

    fn store(&self, tree: &Tree) -> Result<(), Error> {
        let mut paths = String::new();
        for (name, packages) in &self.triggers {
            if name.starts_with('/') {
                for package in packages {
                    paths.extend([name, " ", package, "\n"]);
                }
            } else {
                tree.write(format!("{ADMIN}/triggers/{name}"), (packages.join("\n") + "\n").as_bytes(), 0o644)?;
            }
        }
        Ok(tree.write(format!("{ADMIN}/triggers/File"), paths.as_bytes(), 0o644)?)
    }
}

/// The file triggers that unpacking these paths sets off, sorted.
pub(super) fn activated(tree: &Tree, unpacked: &[Unpacked<'_>]) -> Result<Vec<String>, Error> {
    let interests = Interests::load(tree)?;
    let mut activated = Vec::new();
    for trigger in interests.triggers.keys().filter(|name| name.starts_with('/')) {
        let below = format!("{trigger}/");
        let hit = |path: &String| path == trigger || path.starts_with(&below);
        if unpacked.iter().any(|entry| entry.paths.iter().any(hit)) {
            activated.push(trigger.clone());
        }
    }
    Ok(activated)
}

#[cfg(test)]
#[path = "dpkg_tests.rs"]
mod tests;
