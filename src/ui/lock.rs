//! What `lock` shows.

use std::io;
use std::path::Path;

use image_composer::build::Locked;
use image_composer::resolve::PackageChange;
use serde::Serialize;

use super::{Ui, data, text};

/// `lock --json`.
#[derive(Serialize)]
struct Document<'a> {
    path: String,
    /// How many the lock has.
    packages: usize,
    /// Whether the file is another one now.
    written: bool,
    changes: &'a [PackageChange],
}

impl Ui {
    /// Shows how the lock at `path` differs from the one before.
    pub(crate) fn locked(self, path: &Path, locked: &Locked, written: bool, json: bool) -> io::Result<()> {
        let packages = locked.file.lock.packages.len();
        if json {
            return data::json(&Document { path: path.to_string_lossy().into_owned(), packages, written, changes: &locked.changes });
        }
        data::text(&locked.changes.iter().map(line).collect::<String>())?;
        let all = text::count(packages as u64, "package");
        let what = match locked.changes.len() {
            0 => "nothing changes".to_owned(),
            number => text::count(number as u64, "change"),
        };
        self.say(&format!("{}{}: {all}, {what}", if written { "wrote " } else { "" }, path.display()));
        Ok(())
    }
}

pub(super) fn line(change: &PackageChange) -> String {
    match change {
        PackageChange::Added { name, version } => format!("+ {name} {version}\n"),
        PackageChange::Removed { name, version } => format!("- {name} {version}\n"),
        PackageChange::Changed { name, from, to } => format!("~ {name} {from} -> {to}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_line() {
        let text = |text: &str| text.to_owned();
        assert_eq!(line(&PackageChange::Added { name: text("vim"), version: text("9") }), "+ vim 9\n");
        assert_eq!(line(&PackageChange::Removed { name: text("vim"), version: text("9") }), "- vim 9\n");
        assert_eq!(line(&PackageChange::Changed { name: text("vim"), from: text("8"), to: text("9") }), "~ vim 8 -> 9\n");
    }
}
