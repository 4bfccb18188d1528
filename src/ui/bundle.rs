//! What is shown of bundles.

use std::io;
use std::path::Path;
use std::time::Duration;

use image_composer::build::Collection;
use image_composer::cache::bundle::{Counts, ImportedBundle, Outcome};
use image_composer::store::BundlePlan;
use image_composer::units::{ByteSize, human_duration};

use super::{Ui, data, json, text};

impl Ui {
    /// Shows which bundle was written, or would be: a line, then its path as data or everything as JSON. Standard output has no path, and shows nothing.
    pub(crate) fn bundle_exported(self, plan: &BundlePlan, path: Option<&Path>, dry_run: bool, took: Duration, json: bool) -> io::Result<()> {
        let contents = plan.contents();
        let counts = (contents.images.len(), contents.packages.len(), contents.metadata.len());
        self.say(&export_line(counts, ByteSize(plan.bundle_len()), (!dry_run).then_some(took)));
        match path {
            _ if json => data::json(&json::BundleExport::new(plan, path, dry_run, took)),
            Some(path) if !dry_run => data::path(path),
            _ => Ok(()),
        }
    }

    /// Shows what came in with a bundle: warnings, a line, then the ids of its images as data or everything as JSON.
    pub(crate) fn bundle_imported(self, imported: &ImportedBundle, collection: Option<&Collection>, took: Duration, json: bool) -> io::Result<()> {
        for warning in conflicts(imported) {
            self.warn(&warning);
        }
        self.say(&import_line(imported, took));
        self.limits_kept(collection);
        if json {
            return data::json(&json::BundleImport::new(imported, collection, took));
        }
        data::text(&imported.images.iter().fold(String::new(), |lines, image| lines + &image.spec_hash.to_string() + "\n"))
    }
}

fn export_line((images, packages, metadata): (usize, usize, usize), len: ByteSize, took: Option<Duration>) -> String {
    let [images, packages] = [(images, "image"), (packages, "package")].map(|(number, noun)| text::count(number as u64, noun));
    let metadata = text::count(metadata as u64, "file");
    let what = format!("{images}, {packages} and {metadata} of metadata, {len}");
    match took {
        Some(took) => format!("wrote a bundle of {what}, {}", human_duration(took)),
        None => format!("the bundle would have {what}"),
    }
}

fn import_line(imported: &ImportedBundle, took: Duration) -> String {
    let new = |outcome: &Outcome| matches!(outcome, Outcome::Added | Outcome::Replaced);
    let images = imported.images.iter().filter(|image| new(&image.outcome)).count();
    let ImportedBundle { packages, metadata, added, bundle_len, .. } = imported;
    if images + packages.added + metadata.added == 0 && added.0 == 0 {
        return format!("the store has all of the bundle already, {}", human_duration(took));
    }
    let of = |new: usize, all: usize, noun: &str| format!("{new} of {}", text::count(all as u64, noun));
    let all = |counts: &Counts| counts.added + counts.present + counts.kept;
    format!(
        "imported {}, {} and {} of metadata from a bundle of {bundle_len}; the store grew by {added}, {}",
        of(images, imported.images.len(), "image"),
        of(packages.added, all(packages), "package"),
        of(metadata.added, all(metadata), "file"),
        human_duration(took)
    )
}

/// What stayed as it was although the bundle has something else.
fn conflicts(imported: &ImportedBundle) -> Vec<String> {
    let images = imported.images.iter().filter(|image| image.outcome == Outcome::Conflict);
    let mut warnings: Vec<String> = images
        .map(|image| {
            format!(
                "the cache has another image {}, which stays; --force puts {} {} in its place",
                image.spec_hash.short(),
                image.name,
                image.version
            )
        })
        .collect();
    if imported.packages.kept > 0 {
        let packages = text::count(imported.packages.kept as u64, "package");
        warnings.push(format!("{packages} of the bundle differ from those of the same names in the store, which stay; --force replaces them"));
    }
    if imported.metadata.kept > 0 {
        warnings.push("the store fetched some of the metadata later than the bundle did; it stays as it is".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use image_composer::cache::SpecHash;
    use image_composer::cache::bundle::ImportedImage;
    use image_composer::digest::Digest;

    use super::*;

    fn imported(outcome: Outcome, kept: usize) -> ImportedBundle {
        let image = ImportedImage { spec_hash: SpecHash::from(Digest::of(b"spec")), name: "edge".to_owned(), version: "1.0".to_owned(), outcome };
        let counts = Counts { added: 3, present: 4, kept };
        ImportedBundle { images: vec![image], packages: counts, metadata: counts, bundle_len: ByteSize(9 << 20), added: ByteSize(1 << 20) }
    }

    #[test]
    fn lines_and_warnings() {
        let took = Duration::from_millis(900);
        assert_eq!(
            export_line((1, 148, 9), ByteSize(1 << 20), Some(took)),
            "wrote a bundle of 1 image, 148 packages and 9 files of metadata, 1.00 MiB, 0.9 s"
        );
        assert_eq!(export_line((0, 1, 0), ByteSize(1 << 20), None), "the bundle would have 0 images, 1 package and 0 files of metadata, 1.00 MiB");
        assert_eq!(
            import_line(&imported(Outcome::Added, 0), took),
            "imported 1 of 1 image, 3 of 7 packages and 3 of 7 files of metadata from a bundle of 9.00 MiB; the store grew by 1.00 MiB, 0.9 s"
        );
        let nothing = Counts { added: 0, present: 7, kept: 0 };
        let nothing = ImportedBundle { packages: nothing, metadata: nothing, added: ByteSize(0), ..imported(Outcome::Present, 0) };
        assert_eq!(import_line(&nothing, took), "the store has all of the bundle already, 0.9 s");
        assert!(conflicts(&nothing).is_empty());
        insta::assert_snapshot!(conflicts(&imported(Outcome::Conflict, 2)).join("\n"));
    }

    #[test]
    fn the_json_of_an_import_is_a_promise() {
        insta::assert_json_snapshot!(json::BundleImport::new(&imported(Outcome::Replaced, 1), None, Duration::from_millis(900)));
    }
}
