//! `cache pin` and `cache unpin`.

use image_composer::cache::Pinnable;
use serde::Serialize;

use crate::ui::pin::Pinned;

/// `cache pin` and `cache unpin`.
#[derive(Serialize)]
pub(in crate::ui) struct Pins<'a> {
    /// Whether the entries are pinned now.
    pinned: bool,
    images: Vec<PinnedImage<'a>>,
    packages: Vec<PinnedPackage<'a>>,
}

#[derive(Serialize)]
struct PinnedImage<'a> {
    spec_hash: String,
    name: &'a str,
    version: &'a str,
    /// Whether it was not so before.
    changed: bool,
}

#[derive(Serialize)]
struct PinnedPackage<'a> {
    name: &'a str,
    version: &'a str,
    arch: &'a str,
    repository: &'a str,
    /// Whether it was not so before.
    changed: bool,
}

impl<'a> Pins<'a> {
    pub(in crate::ui) fn new(words: &'a [Pinned<'a>], pinned: bool) -> Self {
        let mut pins = Self { pinned, images: Vec::new(), packages: Vec::new() };
        for (entry, changed) in words.iter().flat_map(|word| &word.entries) {
            let changed = *changed;
            match entry {
                Pinnable::Image(image) => {
                    pins.images.push(PinnedImage { spec_hash: image.spec_hash.to_string(), name: &image.name, version: &image.version, changed });
                }
                Pinnable::Package(package) => {
                    let (name, version, arch, repository) = (package.name(), package.version(), package.arch(), package.repository());
                    pins.packages.push(PinnedPackage { name, version, arch, repository, changed });
                }
            }
        }
        pins
    }
}
