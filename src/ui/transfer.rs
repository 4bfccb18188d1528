//! What `cache export` and `cache import` show.

use std::io;
use std::time::Duration;

use image_composer::build::Collection;
use image_composer::transfer::{Exported, Imported};
use image_composer::units::{ByteSize, human_duration};

use super::{Ui, data, json};

impl Ui {
    /// Shows which file was written: a closing line, then its path as data or everything as JSON.
    pub(crate) fn exported(self, exported: &Exported, took: Duration, json: bool) -> io::Result<()> {
        self.say(&export_line(exported, took));
        if json { data::json(&json::Export::new(exported, took)) } else { data::path(&exported.plan.path) }
    }

    /// Shows what was imported: a closing line, then the image’s id as data or everything as JSON.
    pub(crate) fn imported(self, imported: &Imported, collection: Option<&Collection>, took: Duration, json: bool) -> io::Result<()> {
        if let Some(warning) = vouched(imported) {
            self.warn(&warning);
        }
        self.say(&import_line(imported, took));
        self.limits_kept(collection);
        if json { data::json(&json::Import::new(imported, collection, took)) } else { data::text(&format!("{}\n", imported.image.spec_hash)) }
    }
}

fn export_line(exported: &Exported, took: Duration) -> String {
    let image = &exported.plan.image;
    let (format, disk, allocated) = (exported.plan.format, ByteSize(image.raw_len), exported.allocated);
    format!("exported {} as {format}: a disk of {disk} in {allocated}, {}", image.spec_hash.short(), human_duration(took))
}

fn import_line(imported: &Imported, took: Duration) -> String {
    let image = &imported.image;
    let (id, disk) = (image.spec_hash.short(), ByteSize(image.raw_len));
    if imported.present {
        return format!("{id} is in the cache already: nothing was changed");
    }
    let own = ByteSize(image.own_bytes);
    format!("imported a disk of {disk} ({}) as {id}, the store grew by {own}, {}", imported.format, human_duration(took))
}

/// What a person should know of an image that stands for a spec and was not built from it.
fn vouched(imported: &Imported) -> Option<String> {
    let image = &imported.image;
    let is_of_spec = image.imported.is_some() && !image.dist.is_empty();
    is_of_spec.then(|| format!("builds of {} {} will take this image: that it is what the spec says is your word alone", image.name, image.version))
}

#[cfg(test)]
mod tests {
    use image_composer::disk::formats::{Compression, FileFormat, Format};
    use image_composer::transfer::Plan;

    use super::*;
    use crate::ui::images::tests::{image, imported};

    const TOOK: Duration = Duration::from_millis(1_240);

    fn exported() -> Exported {
        let format = FileFormat { contents: Format::Qcow2.into(), compression: Some(Compression::Zst) };
        let plan = Plan { image: image("minimal", 2), path: "out/edge.qcow2.zst".into(), format, replaces: false };
        Exported { plan, size: ByteSize(151 << 20), allocated: ByteSize(151 << 20) }
    }

    fn all() -> [Imported; 3] {
        let format = FileFormat::from(Format::Qcow2);
        let of_spec = image_composer::cache::ImageRecord { dist: "debian12".to_owned(), version: "1.0".to_owned(), ..imported() };
        [(imported(), false), (imported(), true), (of_spec, false)].map(|(image, present)| Imported { image, format, present })
    }

    #[test]
    fn one_line_says_what_was_done() {
        let lines = all().map(|imported| format!("{}\n{:?}", import_line(&imported, TOOK), vouched(&imported))).join("\n");
        insta::assert_snapshot!(format!("{}\n{lines}", export_line(&exported(), TOOK)));
    }

    #[test]
    fn the_json_of_both_is_a_promise() {
        insta::assert_json_snapshot!((json::Export::new(&exported(), TOOK), json::Import::new(&all()[0], None, TOOK)));
    }
}
