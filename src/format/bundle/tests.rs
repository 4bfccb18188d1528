use proptest::prelude::*;

use super::*;
use crate::digest::Sha256;

fn package(name: &str, blob: Digest) -> PackageItem {
    let text = str::to_owned;
    let name = PackageName { name: text(name), version: text("1"), arch: text("amd64"), repository: text("debian"), sha256: Sha256::of(b"") };
    PackageItem { blob, name }
}

fn blob(text: &str) -> BlobEntry {
    BlobEntry { digest: Digest::of(text.as_bytes()), stored_len: 10, raw_len: 20 }
}

fn image() -> (ImageItem, Vec<BlobEntry>) {
    let blobs: Vec<_> = ["record", "manifest", "lock", "annotations"].map(blob).to_vec();
    let [record, manifest, lock, annotations] = [0, 1, 2, 3].map(|at: usize| blobs[at].digest);
    (ImageItem { spec_hash: SpecKey(Digest::of(b"spec")), record, manifest, lock, annotations }, blobs)
}

fn frame(kind: FrameKind) -> Frame {
    Frame { kind, digest: Digest::of(b"chunk"), stored_len: 100, raw_len: 4096 }
}

fn table() -> Table {
    let (image, mut blobs) = image();
    let contents = Contents {
        created_at: 7,
        disk: Some(image.spec_hash),
        images: vec![image],
        packages: vec![package("a", Digest::of(b"a")), package("b", Digest::of(b"a"))],
        metadata: Vec::new(),
    };
    blobs.push(blob("a"));
    Table { contents, blobs, frames: vec![frame(FrameKind::Chunk), frame(FrameKind::Hole), frame(FrameKind::Part), frame(FrameKind::Beside)] }
}

fn decode(bytes: &[u8]) -> Result<Table, FormatError> {
    let len = table_content_len(bytes)?;
    Table::decode(bytes.get(skippable::HEAD_LEN..skippable::HEAD_LEN + len).ok_or(FormatError::CutOff { what: "bundle" })?)
}

/// A table as a hostile program would write it: everything under the right digest.
fn forged(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = table().encode().unwrap();
    change(&mut bytes);
    let len = bytes.len() - skippable::HEAD_LEN;
    bytes[4..8].copy_from_slice(&(len as u32).to_le_bytes());
    let proven = skippable::HEAD_LEN + PROVEN_FROM;
    let digest = Digest::of(&bytes[proven..]);
    bytes[proven - 32..proven].copy_from_slice(digest.as_bytes());
    bytes
}

#[test]
fn has_these_bytes() {
    let table = Table { contents: Contents::default(), blobs: Vec::new(), frames: Vec::new() };
    let document = b"\xa5\x64disk\xf6\x66images\x80\x68metadata\x80\x68packages\x80\x6acreated_at\x00";
    let mut proven = 167_u64.to_le_bytes().to_vec();
    for number in [0, 0, document.len() as u32, 0] {
        proven.extend_from_slice(&number.to_le_bytes());
    }
    proven.extend_from_slice(document);
    let mut expected = b"\x50\x2a\x4d\x18\x6f\0\0\0ICBNDL\0\x01".to_vec();
    expected.extend_from_slice(Digest::of(&proven).as_bytes());
    expected.extend_from_slice(&proven);
    assert_eq!(table.encode().unwrap(), expected);
    assert_eq!((table.bundle_len().unwrap(), expected.len()), (167, 119));
    let end = encode_end(&Digest::of(b"all"));
    assert_eq!((&end[..16], &end[16..]), (b"\x50\x2a\x4d\x18\x28\0\0\0ICBNDL\0\x01".as_slice(), Digest::of(b"all").as_bytes().as_slice()));
    assert!(is_bundle(&expected[..16]) && !is_bundle(&expected[..14]) && !is_bundle(&[0; 16]));
}

#[test]
fn round_trips_and_finds_every_flipped_bit() {
    let table = table();
    let bytes = table.encode().unwrap();
    assert_eq!(decode(&bytes).unwrap(), table);
    assert_eq!(table.bundle_len().unwrap(), bytes.len() as u64 + 5 * 18 + 3 * 100 + 108 + 48);
    for at in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[at / 8] ^= 1 << (at % 8);
        assert!(decode(&bad).is_err(), "bit {at}");
    }
    for cut in 0..bytes.len() {
        assert!(decode(&bytes[..cut]).is_err());
    }
}

#[test]
fn refuses_what_does_not_belong_together() {
    let refused = |change: &dyn Fn(&mut Table)| {
        let mut table = table();
        change(&mut table);
        assert!(table.encode().is_err(), "{table:?}");
    };
    refused(&|table| table.contents.packages.reverse());
    refused(&|table| table.contents.packages[1] = table.contents.packages[0].clone());
    refused(&|table| table.contents.packages[0].blob = Digest::of(b"nowhere"));
    for part in ["manifest", "record"] {
        refused(&|table| table.contents.packages.push(package("c", Digest::of(part.as_bytes()))));
    }
    refused(&|table| table.blobs.push(blob("nobody's")));
    refused(&|table| table.blobs.push(blob("a")));
    refused(&|table| table.contents.disk = None);
    refused(&|table| table.contents.disk = Some(SpecKey(Digest::of(b"another"))));
    refused(&|table| table.frames[0].stored_len = pack::FRAME_LIMIT + 1);
    refused(&|table| table.frames[0].raw_len = u64::from(pack::CHUNK_LIMIT) + 1);
    refused(&|table| table.frames[0].raw_len = 0);
    refused(&|table| table.blobs[0].stored_len = u64::MAX);
    refused(&|table| table.blobs[0].stored_len = 0);
}

#[test]
fn hostile_tables_end_at_once() {
    let counts = skippable::HEAD_LEN + PROVEN_FROM + 8;
    let cases = [
        forged(|bytes| bytes[counts..counts + 4].copy_from_slice(&u32::MAX.to_le_bytes())),
        forged(|bytes| bytes[counts + 4..counts + 8].copy_from_slice(&u32::MAX.to_le_bytes())),
        forged(|bytes| bytes[counts + 8..counts + 12].copy_from_slice(&u32::MAX.to_le_bytes())),
        forged(|bytes| bytes[counts + 12] = 1),
        forged(|bytes| bytes[counts - 8] ^= 1),
        forged(|bytes| bytes.push(0)),
        forged(|bytes| {
            bytes.truncate(counts);
            for number in [0, 0, 100_000, 0_u32] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.resize(bytes.len() + 100_000, 0x81);
        }),
    ];
    for case in cases {
        assert!(decode(&case).is_err());
    }
    assert!(table_content_len(b"\x50\x2a\x4d\x18\xff\xff\xff\xff").is_err());
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let _ = decode(&forged(|table| { table.truncate(skippable::HEAD_LEN + PROVEN_FROM); table.extend_from_slice(&bytes); }));
    }
}
