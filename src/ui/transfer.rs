//! What `cache export` and `cache import` show.

use std::io;
use std::time::Duration;

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
    pub(crate) fn imported(self, imported: &Imported, took: Duration, json: bool) -> io::Result<()> {
        if let Some(warning) = vouched(imported) {
            self.warn(&warning);
        }
        self.say(&import_line(imported, took));
        if json { data::json(&json::Import::new(imported, took)) } else { data::text(&format!("{}\n", imported.image.spec_hash)) }
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
