//! What `cache why` shows.

use std::fmt::Write as _;
use std::io;

use image_composer::build::{Difference, Nearest};
use image_composer::cache::{ImageRecord, SpecHash};
use image_composer::time;
use serde::Serialize;

use super::{Ui, data};

/// What was found out about a spec.
pub(crate) struct Why<'a> {
    pub(crate) hash: SpecHash,
    /// The image that a build would take.
    pub(crate) hit: Option<&'a ImageRecord>,
    /// The image that differs least, where there is no hit.
    pub(crate) nearest: Option<&'a Nearest>,
}

#[derive(Serialize)]
struct Document<'a> {
    spec_hash: String,
    hit: bool,
    nearest: Option<Near<'a>>,
}

#[derive(Serialize)]
pub(super) struct Near<'a> {
    spec_hash: String,
    name: &'a str,
    version: &'a str,
    built_at: u64,
    differences: &'a [Difference],
}

impl<'n> From<&'n Nearest> for Near<'n> {
    fn from(Nearest { image, differences, .. }: &'n Nearest) -> Self {
        Self { spec_hash: image.spec_hash.to_string(), name: &image.name, version: &image.version, built_at: image.built_at, differences }
    }
}

impl Ui {
    /// Shows why an image is there, or not.
    pub(crate) fn why(self, why: &Why<'_>, json: bool) -> io::Result<()> {
        let built = |image: &ImageRecord| format!("{} {}, built {}", image.name, image.version, time::ago(image.built_at, time::now()));
        if json {
            return data::json(&Document { spec_hash: why.hash.to_string(), hit: why.hit.is_some(), nearest: why.nearest.map(Near::from) });
        }
        match (why.hit, why.nearest) {
            (Some(image), _) => self.say(&format!("{} is in the cache: {}", why.hash.short(), built(image))),
            (None, None) => self.say(&format!("{} is not in the cache, and no image whose inputs are known is", why.hash.short())),
            (None, Some(Nearest { image, differences, .. })) => {
                self.say(&format!(
                    "{} is not in the cache; the nearest is {} ({}), from which it differs in:",
                    why.hash.short(),
                    image.spec_hash.short(),
                    built(image)
                ));
                let mut lines = String::new();
                for difference in differences {
                    writeln!(lines, "{difference}").expect("a text can always be written to");
                }
                data::text(&lines)?;
            }
        }
        Ok(())
    }
}
