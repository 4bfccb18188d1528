//! One run of the distribution's `rpm` over all packages, and what it says meanwhile.

use std::collections::{BTreeSet, HashSet};

use super::Headers;
use super::workshop::{IMAGE, PACKAGES, Workshop};
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::root::Error;
use crate::root::plan::Plan;
use crate::root::sandbox::Cell;
use crate::tree::Tree;

/// The most that is kept of what is said while one package is installed, in bytes.
const SECTION_LIMIT: usize = 8 << 10;

/// A run of `rpm`.
pub(super) struct Transaction<'a> {
    pub(super) workshop: &'a Workshop,
    pub(super) tree: &'a Tree,
    pub(super) plan: &'a Plan,
    pub(super) headers: &'a Headers,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a Cancel,
}

/// The name of a package file in the workshop.
pub(super) fn file_name(number: usize) -> String {
    format!("{PACKAGES}/{number:05}.rpm")
}

/// A script that failed.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    script: String,
    package: String,
    status: String,
}

impl Transaction<'_> {
    /// Installs all packages.
    ///
    /// # Errors
    /// [`Error::Script`] also where a script failed and `rpm` went on, as it does after all but `%pretrans` and `%pre`.
    pub(super) fn run(&self) -> Result<(), Error> {
        let root = format!("/{IMAGE}");
        // The package files as a whole were checked before they came here, and the files in them are meanwhile (`Installation::check_payloads`).
        let mut command = vec!["rpm", "--root", &root, "--nosignature", "--nodigest"];
        if self.headers.comparable {
            command.push("--nofiledigest");
        }
        // Devices, which nobody may make in a user namespace.
        let left_out = format!("_netsharedpath {}", self.headers.devices.join(":"));
        if !self.headers.devices.is_empty() {
            command.extend(["--define", &left_out]);
        }
        command.extend(["--install", "--verbose"]);
        let files: Vec<String> = (0..self.plan.packages.len()).map(|number| format!("/{}", file_name(number))).collect();
        command.extend(files.iter().map(String::as_str));
        // What it says of each package when it begins with it.
        let names: HashSet<String> = self
            .plan
            .packages
            .iter()
            .map(|package| {
                let coordinates = &package.coordinates;
                format!("{}-{}.{}", coordinates.name(), coordinates.version(), coordinates.arch())
            })
            .collect();
        let mut failures: Vec<(Failure, String)> = Vec::new();
        let (mut section, mut warned) = (String::new(), BTreeSet::new());
        let mut line = |line: &str| {
            if names.contains(line) {
                self.progress.report(Event::Advance { phase: Phase::Configure, by: 1 });
                section.clear();
            } else if let Some(failure) = failure(line) {
                failures.push((failure, std::mem::take(&mut section)));
            } else if line.starts_with("warning: ") && warned.insert(line.to_owned()) {
                self.progress.report(Event::Warning(&format!("rpm: {line}")));
            } else if section.len() < SECTION_LIMIT {
                section.extend([line, "\n"]);
            }
        };
        let result = self.cell().run("rpm --install", &command, b"", &mut line, self.cancel);
        match failures.into_iter().next() {
            Some((Failure { script, package, status }, output)) => {
                self.cancel.check()?;
                Err(Error::Script { what: format!("the {script} scriptlet of {package}"), status, output: output.trim_end().to_owned() })
            }
            None => result,
        }
    }

    /// Compares what the database says is installed with the plan.
    pub(super) fn check(&self) -> Result<(), Error> {
        let root = format!("/{IMAGE}");
        let command = ["rpm", "--root", &root, "--query", "--all", "--nosignature", "--nodigest", "--queryformat", "%{NAME} %{EVR} %{ARCH}\n"];
        let mut found = BTreeSet::new();
        let mut line = |line: &str| {
            found.insert(line.replacen(" 0:", " ", 1));
        };
        self.cell().run("rpm --query", &command, b"", &mut line, self.cancel)?;
        let expected: BTreeSet<String> = self
            .plan
            .packages
            .iter()
            .map(|package| package.coordinates.clone())
            .map(|coordinates| format!("{} {} {}", coordinates.name(), coordinates.version(), coordinates.arch()).replacen(" 0:", " ", 1))
            .collect();
        let differing: Vec<&str> = expected.symmetric_difference(&found).map(String::as_str).collect();
        if differing.is_empty() {
            return Ok(());
        }
        let output = format!("installed or chosen, and not both: {}", differing.join(", "));
        Err(Error::Script { what: "rpm --install".to_owned(), status: "another set of packages than was chosen".to_owned(), output })
    }

    /// `rpm` runs in the workshop. The scripts run in the image's tree, which it makes their root.
    fn cell(&self) -> Cell<'_> {
        Cell::new(self.workshop.tree.path(), self.plan.time)
            .reporting_to(self.progress)
            .with_tree(self.tree.path(), IMAGE)
            // `kernel-install(8)`: the image's kernels get their initrds and their boot entries later, and once.
            .with_variable("KERNEL_INSTALL_BYPASS", "1")
            .with_variable("SYSTEMD_OFFLINE", "1")
    }
}

/// The script that a line says has failed: `warning: %post(demo-1-1.noarch) scriptlet failed, exit status 3`, or for one in Lua
/// `error: lua script failed: [string "%pretrans(demo-1-1.noarch)"]:1: …`.
fn failure(line: &str) -> Option<Failure> {
    let rest = line.strip_prefix("warning: ").or_else(|| line.strip_prefix("error: "))?;
    let (named, status) = match rest.strip_prefix("lua script failed: [string \"") {
        Some(rest) => rest.split_once("\"]:")?,
        None => rest.split_once(" scriptlet failed, ")?,
    };
    let (script, package) = named.split_once('(')?;
    // Lua cuts long names off.
    let package = package.strip_suffix(')').unwrap_or(package);
    script.starts_with('%').then(|| Failure { script: script.to_owned(), package: package.to_owned(), status: status.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_scripts_are_found_in_what_rpm_says() {
        let failed = |line| failure(line).map(|failure| (failure.script, failure.package, failure.status));
        let expected = |script: &str, package: &str, status: &str| Some((script.to_owned(), package.to_owned(), status.to_owned()));
        assert_eq!(
            failed("warning: %post(broken-1-1.noarch) scriptlet failed, exit status 3"),
            expected("%post", "broken-1-1.noarch", "exit status 3")
        );
        assert_eq!(failed("error: %pre(a-2:1~rc1-1.x86_64) scriptlet failed, signal 9"), expected("%pre", "a-2:1~rc1-1.x86_64", "signal 9"));
        let lua = "error: lua script failed: [string \"%pretrans(a-1-1.noarch)\"]:1: attempt to call a nil value (global 'f')";
        assert_eq!(failed(lua), expected("%pretrans", "a-1-1.noarch", "1: attempt to call a nil value (global 'f')"));
        let cut = "error: lua script failed: [string \"%posttrans(a-package-with-a-very-long-name-that-is-cut-off-so...\"]:1: why";
        assert_eq!(failed(cut), expected("%posttrans", "a-package-with-a-very-long-name-that-is-cut-off-so...", "1: why"));
        for line in ["warning: user alice does not exist - using root", "a-1-1.noarch", "this scriptlet failed, exit status 1", ""] {
            assert_eq!(failed(line), None, "{line}");
        }
    }
}
