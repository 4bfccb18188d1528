//! What `fetch` shows.

use std::error::Error as _;
use std::io;
use std::path::Path;

use image_composer::build::{Collection, Fetched};
use image_composer::units::human_duration;

use super::{Ui, data, json, text};
use crate::cli;

impl Ui {
    /// Says what was fetched for one spec.
    pub(crate) fn fetched(self, path: &Path, fetched: &Fetched) {
        self.say(&line(path, fetched));
    }
}

/// Shows the whole outcome as JSON.
pub(crate) fn fetched_json(fetched: &[(&Path, Fetched)], failed: &[(&Path, cli::Error)], collection: Option<&Collection>) -> io::Result<()> {
    let specs = fetched.iter().map(|(path, fetched)| json::Fetch::new(path, fetched)).collect();
    let failed = failed.iter().map(|(path, error)| json::NotFetched { path: path.to_string_lossy().into_owned(), error: causes(error) }).collect();
    data::json(&json::Fetches { specs, failed, collection })
}

/// `specs/edge.yml: 148 packages are in the store (3 fetched, 1.20 MiB), 0.9 s`.
fn line(path: &Path, fetched: &Fetched) -> String {
    let counts = &fetched.packages;
    let news = match counts.fetched {
        0 => "nothing was to be fetched".to_owned(),
        number => format!("{number} fetched, {}", counts.fetched_bytes),
    };
    let all = text::count(counts.total as u64, "package");
    format!("{}: {all} in the store ({news}), {}", path.display(), human_duration(fetched.duration))
}

/// An error and its causes in one line.
fn causes(error: &cli::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use image_composer::build::PackageCounts;
    use image_composer::cache::SpecHash;
    use image_composer::digest::Digest;
    use image_composer::units::ByteSize;

    use super::*;

    fn fetched(number: usize) -> Fetched {
        Fetched {
            spec_hash: SpecHash::from(Digest::of(b"spec")),
            name: "edge".to_owned(),
            version: "1.0".to_owned(),
            packages: PackageCounts { total: 148, fetched: number, fetched_bytes: ByteSize(number as u64 * (1 << 20)), present: 148 - number },
            needed: Vec::new(),
            releases: Vec::new(),
            duration: Duration::from_millis(900),
        }
    }

    #[test]
    fn one_line_for_each_spec() {
        let path = Path::new("edge.yml");
        assert_eq!(line(path, &fetched(3)), "edge.yml: 148 packages in the store (3 fetched, 3.00 MiB), 0.9 s");
        assert_eq!(line(path, &fetched(0)), "edge.yml: 148 packages in the store (nothing was to be fetched), 0.9 s");
    }

    #[test]
    fn the_json_of_a_fetch_is_a_promise() {
        let failed = json::NotFetched { path: "other.yml".to_owned(), error: "it is gone".to_owned() };
        let fetched = fetched(3);
        insta::assert_json_snapshot!(json::Fetches {
            specs: vec![json::Fetch::new(Path::new("edge.yml"), &fetched)],
            failed: vec![failed],
            collection: None
        });
    }
}
