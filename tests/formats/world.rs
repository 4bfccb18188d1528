//! The store that is read: made through the library, and closed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image_composer::cache::{Coordinates, ImageCache, MetadataAttributes, MetadataCache, NewImage, PackageCache, ReleaseDate, SpecHash};
use image_composer::digest::Sha256;
use image_composer::progress::{Cancel, Silent};
use image_composer::store::Store;

/// A disk of 5 MiB: data, a hole, the same data again, an odd end.
pub(crate) fn disk() -> Vec<u8> {
    let mut noise = vec![0; 1 << 20];
    blake3::Hasher::new().update(b"disk").finalize_xof().fill(&mut noise);
    let mut disk = noise.clone();
    disk.resize(3 << 20, 0);
    disk.extend_from_slice(&noise);
    disk.resize((5 << 20) - 17, 7);
    disk
}

pub(crate) fn make(dir: &Path) {
    let store = Store::open(&dir.join("store")).unwrap();
    let packages = PackageCache::new(&store);
    for repository in ["debian", "debian-security"] {
        let name = Coordinates::new("hello", "2.10-3", "amd64", repository).unwrap();
        packages.insert(&name, &Sha256::of(b"the package"), &mut &b"the package"[..]).unwrap();
    }
    let attributes = MetadataAttributes { etag: Some("\"1\"".to_owned()), last_modified: None, verified_by: vec!["ABCD".to_owned()] };
    MetadataCache::new(&store).insert("debian", "dists/bookworm/InRelease", b"Origin: Debian\n", &attributes).unwrap();
    let new = NewImage {
        name: "minimal".to_owned(),
        version: "1.0".to_owned(),
        dist: "debian12".to_owned(),
        arch: "x86_64".to_owned(),
        annotations: b"the annotations".to_vec(),
        lock: b"the lock".to_vec(),
        build_time: Duration::from_secs(30),
        source_date: 1_600_000_000,
        releases: vec![ReleaseDate { archive: "debian".to_owned(), suite: "bookworm".to_owned(), date: 1_690_000_000 }],
        imported: None,
    };
    fs::write(dir.join("disk.raw"), disk()).unwrap();
    let images = ImageCache::new(&store);
    let image = images.insert(&SpecHash::of_canonical(b"the spec"), &new, &dir.join("disk.raw"), &Silent, &Cancel::default()).unwrap();
    // A second image shares what the first one has, and has something of its own.
    fs::write(dir.join("disk.raw"), [disk(), vec![9; 100_000]].concat()).unwrap();
    images.insert(&SpecHash::of_canonical(b"another spec"), &new, &dir.join("disk.raw"), &Silent, &Cancel::default()).unwrap();
    packages.count(3, 2, 1000);
    images.count_hit(&image, Duration::from_secs(1));
    images.mark_used(&image.spec_hash);
    store.flush().unwrap();
}
