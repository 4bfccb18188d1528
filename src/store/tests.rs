//! The store as its callers see it: what comes out is what went in, and what is broken is found.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;
use crate::format::blob::{BlobKind, Header};
use crate::format::manifest::{Extent, Manifest};
use crate::format::row::{ChunkRow, Row};
use crate::progress::{Cancel, Silent};

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn put(store: &Store, bytes: &[u8]) -> Digest {
    let staged = store.stage_bytes(Header::unnamed(BlobKind::Document), bytes).unwrap();
    let txn = store.write().unwrap();
    txn.publish(store, &staged, 1).unwrap();
    txn.commit().unwrap();
    staged.digest
}

fn row<R: Row>(store: &Store, digest: &Digest) -> Option<R> {
    store.read().unwrap().get::<R>(digest.as_bytes()).unwrap()
}

fn read(store: &Store, digest: &Digest) -> Result<Vec<u8>> {
    store.read_blob(digest, 1 << 30)
}

#[test]
fn blobs_come_out_as_they_went_in() {
    let (_dir, store) = store();
    for len in [0, 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9 << 20] {
        let bytes = noise(len, 1);
        let digest = put(&store, &bytes);
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(read(&store, &digest).unwrap(), bytes, "{len}");
        store.verify_blob(&digest).unwrap();
    }
    assert!(store.take_damage().is_empty());
}

#[test]
fn other_programs_can_read_a_blob() {
    let (_dir, store) = store();
    let bytes = noise(5 << 20, 2);
    let digest = put(&store, &bytes);
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(fs::File::open(store.blob_path(&digest)).unwrap()).unwrap().read_to_end(&mut plain).unwrap();
    assert_eq!(plain, bytes);
}

#[test]
fn a_reader_that_stops_early_can_still_prove_what_it_read() {
    let (_dir, store) = store();
    let digest = put(&store, &noise(5 << 20, 3));
    let mut reader = store.open_blob(&digest).unwrap();
    reader.read_exact(&mut [0; 100]).unwrap();
    reader.finish().unwrap();
    let mut reader = open_file(&store.blob_path(&digest), &Digest::of(b"another")).unwrap();
    reader.read_exact(&mut [0; 100]).unwrap();
    assert!(reader.finish().unwrap_err().is_damage());
}

#[test]
fn every_flipped_bit_of_a_blob_is_found_or_harmless() {
    let (_dir, store) = store();
    let bytes = b"the quick brown fox jumps over the lazy dog; the quick brown fox".to_vec();
    let digest = put(&store, &bytes);
    let path = store.dir().join("flipped");
    let file = fs::read(store.blob_path(&digest)).unwrap();
    let mut harmless = 0;
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        match open_file(&path, &digest).and_then(|reader| reader.read_all(1 << 20)) {
            // zstd has bits that decoders must ignore, and two ways to say the same.
            Ok(read) => {
                assert_eq!(read, bytes);
                harmless += 1;
            }
            Err(error) => assert!(error.is_damage(), "{error}"),
        }
    }
    assert!(harmless < 8, "{harmless}");
    for len in 0..file.len() {
        fs::write(&path, &file[..len]).unwrap();
        assert!(open_file(&path, &digest).and_then(|reader| reader.read_all(1 << 20)).unwrap_err().is_damage(), "{len}");
    }
}

#[test]
fn a_damaged_blob_is_put_aside_and_mended_by_the_same_bytes() {
    let (_dir, store) = store();
    let bytes = noise(100_000, 4);
    let digest = put(&store, &bytes);
    let path = store.blob_path(&digest);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"x", 50_000).unwrap();
    assert!(read(&store, &digest).unwrap_err().is_damage());
    assert!(!path.exists());
    assert_eq!(fs::read_dir(store.dir().join("quarantine")).unwrap().count(), 1);
    assert!(row::<BlobRow>(&store, &digest).unwrap().lost);
    assert!(store.intact_blob(&store.read().unwrap(), &digest).unwrap().is_none());
    assert_eq!(store.take_damage().len(), 1);

    put(&store, &bytes);
    assert_eq!(read(&store, &digest).unwrap(), bytes);
    assert_eq!(row::<BlobRow>(&store, &digest).unwrap().references, 2, "the first reference was kept");
}

#[test]
fn a_missing_file_is_a_miss() {
    let (_dir, store) = store();
    let digest = put(&store, b"x");
    fs::remove_file(store.blob_path(&digest)).unwrap();
    assert!(store.intact_blob(&store.read().unwrap(), &digest).unwrap().is_none());
    assert!(matches!(store.take_damage().as_slice(), [Damage { problem: Problem::Missing, .. }]));
    assert!(store.take_damage().is_empty());
}

#[test]
fn an_orphan_of_a_crash_is_harmless() {
    let (_dir, store) = store();
    let bytes = noise(1000, 5);
    // As after SIGKILL between the rename and the commit: a file without a row.
    let staged = store.stage_bytes(Header::unnamed(BlobKind::Document), &bytes).unwrap();
    let txn = store.write().unwrap();
    txn.publish(&store, &staged, 1).unwrap();
    drop(txn);
    let digest = staged.digest;
    assert!(store.blob_path(&digest).exists() && row::<BlobRow>(&store, &digest).is_none());
    // Garbage in its place, as after a power cut, is replaced as well.
    fs::write(store.blob_path(&digest), "garbage").unwrap();
    put(&store, &bytes);
    assert_eq!(read(&store, &digest).unwrap(), bytes);
}

#[test]
fn what_is_referred_to_or_held_stays() {
    let (_dir, store) = store();
    let (used, held, free) = (put(&store, b"used"), put(&store, b"held"), put(&store, b"free"));
    let txn = store.write().unwrap();
    txn.release(&held).unwrap();
    txn.release(&free).unwrap();
    txn.commit().unwrap();
    let other = Store::open(store.dir()).unwrap();
    other.hold(&[Object::Blob(held)]).unwrap();
    assert!(store.discard(&[used, held, free]).unwrap() > 0);
    assert!(store.blob_path(&used).exists() && store.blob_path(&held).exists() && !store.blob_path(&free).exists());
    assert!(row::<BlobRow>(&store, &free).is_none());
    drop(other);
    store.discard(&[held]).unwrap();
    assert!(!store.blob_path(&held).exists());
    assert_eq!(put(&store, b"free"), free);
    assert_eq!(store.empty_trash(&Silent).unwrap(), 0, "storing it again took it out of the trash");
    assert!(store.blob_path(&free).exists());
}

#[test]
fn scratch_goes_when_it_is_dropped() {
    let (_dir, store) = store();
    let scratch = store.scratch().unwrap();
    let path = scratch.path().to_owned();
    fs::create_dir_all(path.join("a/b")).unwrap();
    assert!(path.starts_with(store.dir()));
    drop(store);
    assert!(path.exists(), "a scratch directory outlives the store that made it");
    drop(scratch);
    assert!(!path.exists());
}

#[test]
fn a_busy_store_is_an_error_that_names_the_other() {
    let (_dir, store) = store();
    let told = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&told);
    let on_wait: Arc<dyn Fn(&Waiting<'_>) + Send + Sync> = Arc::new(move |waiting| lines.lock().unwrap().push(waiting.holder.to_owned()));
    let other =
        Store::open_with(store.dir(), Options { lock_timeout: Duration::from_millis(1200), on_wait, cancel: Cancel::default(), look_only: false })
            .unwrap();
    let txn = store.write().unwrap();
    let error = other.write().err().unwrap();
    assert!(matches!(&error, Error::Busy { holder, .. } if holder.starts_with(&format!("process {}", std::process::id()))), "{error}");
    assert!(error.hint().unwrap().contains(LOCK_TIMEOUT));
    assert_eq!(told.lock().unwrap().len(), 1);
    drop(txn);
    assert!(other.write().is_ok());
}

#[test]
fn a_wait_for_another_process_ends_when_the_user_stops() {
    let (_dir, store) = store();
    let options = Options::from_env().unwrap();
    let cancel = options.cancel.clone();
    let other = Store::open_with(store.dir(), Options { lock_timeout: Duration::from_secs(5), ..options }).unwrap();
    let txn = store.write().unwrap();
    cancel.cancel();
    assert!(matches!(other.write().err().unwrap(), Error::Cancelled(_)));
    drop(txn);
    assert!(other.write().is_ok(), "what can be done at once is no wait");
}

/// An image with data, zeros that are written and zeros that are not, at odd places.
pub(super) fn image(dir: &Path, seed: u64) -> (PathBuf, Vec<u8>) {
    let mut bytes = vec![0; (24 << 20) + 777];
    bytes[..3 << 20].copy_from_slice(&noise(3 << 20, seed));
    bytes[5 << 20..6 << 20].copy_from_slice(&noise(1 << 20, seed + 1));
    bytes[(6 << 20) + 8192..(8 << 20) + 5].copy_from_slice(&noise((2 << 20) + 5 - 8192, seed + 2));
    bytes[20 << 20..21 << 20].copy_from_slice(&noise(1 << 20, seed));
    let path = dir.join(format!("{seed}.raw"));
    let file = fs::File::create(&path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all_at(&bytes[..9 << 20], 0).unwrap();
    file.write_all_at(&bytes[20 << 20..21 << 20], 20 << 20).unwrap();
    (path, bytes)
}

pub(crate) fn keep(store: &Store, raw: &Path) -> (Manifest, u64) {
    let image = store.stage_image(raw, None, &Silent, &Cancel::default()).unwrap();
    let txn = store.write().unwrap();
    assert!(txn.publish_image(store, &image).unwrap());
    txn.commit().unwrap();
    (store.read_manifest(&image.manifest.digest).unwrap(), image.own_bytes())
}

fn restore(store: &Store, manifest: &Manifest, out: &Path) -> Result<()> {
    store.restore(manifest, Output { file: &fs::File::create(out).unwrap(), path: out, stays: true }, &Silent, &Cancel::default())
}

#[test]
fn images_come_out_as_they_went_in_with_their_holes() {
    let (_dir, store) = store();
    let dir = tempfile::tempdir().unwrap();
    let (raw, bytes) = image(dir.path(), 10);
    let (manifest, _) = keep(&store, &raw);
    assert_eq!((manifest.raw_len, manifest.raw_digest), (bytes.len() as u64, Digest::of(&bytes)));
    let out = dir.path().join("out.raw");
    fs::write(&out, "what was there before").unwrap();
    restore(&store, &manifest, &out).unwrap();
    assert!(fs::read(&out).unwrap() == bytes);
    assert!(fs::metadata(&out).unwrap().blocks() * 512 < 8 << 20, "holes are holes");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");

    // The same bytes without holes in the file are the same image.
    let full = dir.path().join("full.raw");
    fs::write(&full, &bytes).unwrap();
    assert_eq!(keep(&store, &full).0, manifest);
}

#[test]
fn small_and_empty_images_work() {
    let (_dir, store) = store();
    let dir = tempfile::tempdir().unwrap();
    for bytes in [vec![], vec![1], vec![0; 100], vec![0; 1 << 20], noise(40_000, 1)] {
        let raw = dir.path().join("small.raw");
        fs::write(&raw, &bytes).unwrap();
        let (manifest, _) = keep(&store, &raw);
        restore(&store, &manifest, &dir.path().join("out")).unwrap();
        assert!(fs::read(dir.path().join("out")).unwrap() == bytes);
    }
}

#[test]
fn a_similar_image_adds_little_and_counts_are_right() {
    let (_dir, store) = store();
    let dir = tempfile::tempdir().unwrap();
    let (raw, bytes) = image(dir.path(), 20);
    let (first, own) = keep(&store, &raw);
    let mut changed = bytes.clone();
    changed[1 << 20..(1 << 20) + 100].copy_from_slice(&noise(100, 99));
    changed.splice(2 << 20..2 << 20, noise(4096, 98));
    let second_raw = dir.path().join("second.raw");
    fs::write(&second_raw, &changed).unwrap();
    let (second, added) = keep(&store, &second_raw);
    assert!(added * 4 < own, "{added} of {own}");
    let out = dir.path().join("out.raw");
    restore(&store, &second, &out).unwrap();
    assert!(fs::read(&out).unwrap() == changed);

    let named =
        |manifest: &Manifest, digest: &Digest| manifest.extents.iter().any(|extent| matches!(extent, Extent::Chunk { digest: d, .. } if d == digest));
    for extent in first.extents.iter().chain(&second.extents) {
        if let Extent::Chunk { digest, .. } = extent {
            let expected = u32::from(named(&first, digest)) + u32::from(named(&second, digest));
            assert_eq!(row::<ChunkRow>(&store, digest).unwrap().references, expected);
        }
    }
    keep(&store, &raw);
    let Some(Extent::Chunk { digest, .. }) = first.extents.first() else { panic!("the image begins with data") };
    assert!(row::<ChunkRow>(&store, digest).unwrap().references <= 2, "the same manifest counts once");
}

#[test]
fn a_flipped_bit_in_a_pack_is_found_and_mended_by_the_next_ingest() {
    let (_dir, store) = store();
    let dir = tempfile::tempdir().unwrap();
    let (raw, bytes) = image(dir.path(), 30);
    let (manifest, _) = keep(&store, &raw);
    let pack = fs::read_dir(store.dir().join("packs")).unwrap().next().unwrap().unwrap().path();
    let mut content = fs::read(&pack).unwrap();
    content[1 << 20] ^= 4;
    fs::OpenOptions::new().write(true).open(&pack).unwrap().write_all(&content).unwrap();
    let out = dir.path().join("out.raw");
    assert!(restore(&store, &manifest, &out).unwrap_err().is_damage());
    assert!(restore(&store, &manifest, &out).unwrap_err().is_damage(), "it is remembered");
    assert_eq!(store.take_damage().len(), 1);
    let (again, added) = keep(&store, &raw);
    assert_eq!(again, manifest);
    assert!(added < 2 << 20, "only the lost chunk is stored again: {added}");
    restore(&store, &manifest, &out).unwrap();
    assert!(fs::read(&out).unwrap() == bytes);
}

#[test]
fn a_pack_that_is_gone_or_cut_off_is_found_and_mended() {
    let (_dir, store) = store();
    let dir = tempfile::tempdir().unwrap();
    let (raw, bytes) = image(dir.path(), 40);
    let (manifest, _) = keep(&store, &raw);
    let out = dir.path().join("out.raw");
    for gone in [true, false] {
        let pack = fs::read_dir(store.dir().join("packs")).unwrap().next().unwrap().unwrap().path();
        if gone {
            fs::remove_file(&pack).unwrap();
        } else {
            fs::OpenOptions::new().write(true).open(&pack).unwrap().set_len(1000).unwrap();
        }
        assert!(restore(&store, &manifest, &out).unwrap_err().is_damage());
        keep(&store, &raw);
        restore(&store, &manifest, &out).unwrap();
        assert!(fs::read(&out).unwrap() == bytes);
    }
}

#[test]
fn stopping_leaves_nothing() {
    let (_dir, store) = store();
    let dir = tempfile::tempdir().unwrap();
    let (raw, _) = image(dir.path(), 50);
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(matches!(store.stage_image(&raw, None, &Silent, &cancel), Err(Error::Cancelled(_))));
    let (manifest, _) = keep(&store, &raw);
    let out = tempfile::tempfile().unwrap();
    assert!(matches!(
        store.restore(&manifest, Output { file: &out, path: Path::new("out"), stays: true }, &Silent, &cancel),
        Err(Error::Cancelled(_))
    ));
    let tmp: Vec<_> = fs::read_dir(store.dir().join("tmp")).unwrap().map(|dir| fs::read_dir(dir.unwrap().path()).unwrap().count()).collect();
    assert_eq!(tmp, [0]);
}

/// A plan may name a pack that has come to life again by the time it is carried out.
#[test]
fn a_pack_that_is_all_live_is_not_its_own_replacement() {
    let (_dir, store) = store();
    let dir = tempfile::tempdir().unwrap();
    let (raw, bytes) = image(dir.path(), 60);
    let (manifest, _) = keep(&store, &raw);
    let mut named = Vec::new();
    store
        .read()
        .unwrap()
        .scan::<crate::format::row::PackRow>(&[], |key, _| {
            named.push(Digest::from_bytes(key.try_into().unwrap()));
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(store.sweep(&named, &Silent, &Cancel::default()).unwrap(), 0);
    let out = dir.path().join("out.raw");
    restore(&store, &manifest, &out).unwrap();
    assert!(fs::read(&out).unwrap() == bytes);
}

#[test]
fn the_level_changes_the_room_that_an_image_takes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let lines: Vec<String> = (0..60_000_u64).map(|number| format!("{} {}", number * number, number % 97)).collect();
    let text = lines.join("\n");
    fs::write(&raw, &text).unwrap();
    let stored = [1, 19].map(|level| {
        let (_dir, mut store) = store();
        store.set_compression_level(level);
        let (manifest, image) = keep(&store, &raw);
        restore(&store, &manifest, &dir.path().join("out")).unwrap();
        assert!(fs::read(dir.path().join("out")).unwrap() == text.as_bytes());
        (manifest.raw_digest, image)
    });
    assert_eq!(stored[0].0, stored[1].0);
    assert!(stored[1].1 < stored[0].1, "{stored:?}");
}

#[test]
fn how_much_room_is_missing_is_told_where_it_is_known() {
    let (_dir, store) = store();
    let full = || Error::io("write", &store.dir().join("x"))(std::io::Error::from(std::io::ErrorKind::StorageFull));
    let error = store.lacking(full(), u64::MAX);
    let Error::NoRoom { missing, free, .. } = &error else { panic!("{error:?}") };
    assert!(missing.checked_add(*free) == Some(u64::MAX) && error.is_full() && error.hint().is_some());
    assert!(error.to_string().contains(" lacks about 16.0 EiB: "), "{error}");
    assert!(matches!(store.lacking(full(), 0), Error::Io { .. }), "nothing is known of it");
    assert!(matches!(store.lacking(Error::Vanished, u64::MAX), Error::Vanished));
}
