//! The image that an `ID` on the command line means, or whatever else a word does.

use image_composer::cache::{Found, ImageCache, ImageRecord, Pinnable, images_named, packages_called};
use image_composer::progress::Cancel;
use image_composer::store::Store;

use crate::cli::{Error, Result, Session};

/// The shortest text that can be an id with a slip: in fewer digits anything is near to everything.
const NEAR_FROM: usize = 6;

/// The store, and the image in it whose id begins so.
///
/// # Errors
/// [`Error::NoSuchImage`] or [`Error::Ambiguous`], with what was perhaps meant.
pub(in crate::cli) fn image(session: &Session, id: &str, cancel: &Cancel) -> Result<(Store, ImageRecord)> {
    let Some(store) = session.existing_store_until(cancel)? else { return Err(not_found(id, &[])) };
    let image = in_store(&store, id)?;
    Ok((store, image))
}

/// The image in a store whose id begins so.
///
/// # Errors
/// As for [`image`].
pub(in crate::cli) fn in_store(store: &Store, id: &str) -> Result<ImageRecord> {
    let cache = ImageCache::new(store);
    let found = if id.is_empty() { Found::None } else { cache.find(id)? };
    match found {
        Found::One(image) => Ok(*image),
        Found::Ambiguous(candidates) => Err(Error::Ambiguous { id: id.to_owned(), candidates }),
        Found::None => Err(not_found(id, &cache.list()?)),
    }
}

/// The image whose id begins with the word, damaged ones too, or the packages that are called so.
///
/// # Errors
/// [`Error::NoSuchEntry`] or [`Error::Ambiguous`], with what was perhaps meant; a word that means both kinds of things.
pub(super) fn entries(store: &Store, word: &str) -> Result<Vec<Pinnable>> {
    let mut images = images_named(store, word)?;
    let packages = packages_called(store, word)?;
    match (images.len(), packages.as_slice()) {
        (0, []) => {
            let names = "images go by their ids, which “image-composer cache list” shows, packages by name, name=version or name:architecture";
            Err(no_entry(word, meant(word, &ImageCache::new(store).list()?).unwrap_or_else(|| names.to_owned())))
        }
        (0, _) => Ok(packages.into_iter().map(Pinnable::Package).collect()),
        (1, []) => Ok(images.pop().map(Pinnable::Image).into_iter().collect()),
        (_, []) => Err(Error::Ambiguous { id: word.to_owned(), candidates: images.into_iter().map(|image| image.spec_hash).collect() }),
        (_, [package, ..]) => {
            let hint = format!("give more digits of the id, or the package’s architecture, as in {word}:{}", package.arch());
            Err(Error::usage(format!("“{word}” may mean a package, and an image whose id begins so"), hint))
        }
    }
}

/// Nothing is called so.
pub(super) fn no_entry(word: &str, hint: impl Into<String>) -> Error {
    Error::NoSuchEntry { word: word.chars().take(80).collect(), hint: hint.into() }
}

/// Nothing has this id; the hint says which image was perhaps meant.
pub(in crate::cli) fn not_found(id: &str, images: &[ImageRecord]) -> Error {
    let hint = if let Some(hint) = meant(id, images) {
        hint
    } else if images.is_empty() {
        "there are no images in the cache; “image-composer build SPEC” makes one".to_owned()
    } else {
        "“image-composer cache list” shows the ids of all images".to_owned()
    };
    Error::NoSuchImage { id: id.chars().take(80).collect(), hint }
}

/// Which image has this for a name, or almost for an id.
fn meant(id: &str, images: &[ImageRecord]) -> Option<String> {
    if let Some(image) = images.iter().find(|image| image.name == id) {
        return Some(format!("the image {} {} has the id {}", image.name, image.version, image.spec_hash.short()));
    }
    nearest(id, images).map(|image| format!("did you mean {}, {} {}?", image.spec_hash.short(), image.name, image.version))
}

/// The image whose id begins almost so.
fn nearest<'i>(id: &str, images: &'i [ImageRecord]) -> Option<&'i ImageRecord> {
    if !(NEAR_FROM..=64).contains(&id.len()) || !id.is_ascii() {
        return None;
    }
    let distance = |image: &ImageRecord| strsim::osa_distance(&id.to_ascii_lowercase(), &image.spec_hash.to_string()[..id.len()]);
    images
        .iter()
        .map(|image| (distance(image), image))
        .filter(|(distance, _)| *distance <= 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, image)| image)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use image_composer::cache::SpecHash;
    use image_composer::digest::Digest;

    use super::*;

    fn image(name: &str) -> ImageRecord {
        let digest = Digest::of(name.as_bytes());
        ImageRecord {
            spec_hash: SpecHash::from(digest),
            name: name.to_owned(),
            version: "1.0".to_owned(),
            dist: "debian12".to_owned(),
            arch: "x86_64".to_owned(),
            raw_len: 0,
            data_len: 0,
            own_bytes: 0,
            raw_digest: digest,
            manifest: digest,
            lock: digest,
            annotations: digest,
            built_at: 0,
            last_used: 0,
            uses: 0,
            build_time: Duration::ZERO,
            source_date: 0,
            releases: Vec::new(),
            imported: None,
            pinned: false,
        }
    }

    #[test]
    fn the_hint_says_what_was_perhaps_meant() {
        let images = [image("minimal"), image("server")];
        let id = images[1].spec_hash.short();
        let slip = format!("{}{}", &id[1..2], &id[0..1]) + &id[2..];
        let hint = |id: &str, images: &[ImageRecord]| match not_found(id, images) {
            Error::NoSuchImage { hint, .. } => hint,
            other => panic!("{other}"),
        };
        assert_eq!(hint("server", &images), format!("the image server 1.0 has the id {id}"));
        assert_eq!(hint(&slip, &images), format!("did you mean {id}, server 1.0?"));
        assert_eq!(hint("0000", &images), "“image-composer cache list” shows the ids of all images");
        assert!(hint("0000", &[]).starts_with("there are no images"));
    }
}
