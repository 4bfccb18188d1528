//! What reads bytes that come from outside, each as a function of bytes alone: for the fuzz targets in `fuzz/`, and for the tests of hostile input.
//! Not a part of the library: it is there in tests and with the feature `fuzzing` only.
//!
//! A target says whether the bytes were accepted, and panics where something is wrong: where bytes that were accepted are not what would be written,
//! or where a part says something of itself that is not so. What stands under a digest gets the right one first, or no change would get past it.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a target says that something is wrong")]

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use crate::digest::Digest;
use crate::disk::formats::{self, Format, Run, Source};
use crate::format::bundle::{END_LEN, Table};
use crate::format::manifest::{Extent, Manifest};
use crate::format::record::ImageDocument;
use crate::format::row::{BlobRow, ChunkRow, HoldRow, ImageRow, MetadataRow, PackRow, PackageRow, Row, TrashRow};
use crate::format::totals::{TotalRow, UsageRow};
use crate::format::{blob, bundle as bundles, cbor, pack as packs, skippable, tree, zeros};
use crate::progress::Cancel;
use crate::repo::deb::{packages as indexes, relation, release as releases, sources as apt};
use crate::repo::list::{Head, List};
use crate::repo::{Archive, Keyring, PackageRecord, rpm as rpms, signature as signatures};
use crate::resolve::{Lock, LockFile};
use crate::root::Packaging;
use crate::store::BundleReader;

/// Reads bytes, and says whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// All targets by their names: those of the files in `fuzz/fuzz_targets/`, and of the folders of seeds.
pub const TARGETS: [(&str, Target); 22] = [
    ("blob", blob),
    ("bundle", bundle),
    ("cbor", cbor),
    ("deb", deb),
    ("disk", disk),
    ("frames", frames),
    ("inspect", inspect),
    ("lock", lock),
    ("manifest", manifest),
    ("pack", pack),
    ("packages", packages),
    ("primary", primary),
    ("record", record),
    ("relation", relation),
    ("release", release),
    ("repomd", repomd),
    ("row", row),
    ("rpm", rpm),
    ("signature", signature),
    ("sources", sources),
    ("spec", spec),
    ("tree", tree),
];

/// Canonical CBOR, as any value and as the largest document of ours.
pub fn cbor(bytes: &[u8]) -> bool {
    let _ = cbor::decode::<Lock>(bytes, bytes.len());
    let Ok(value) = cbor::decode::<serde_cbor::Value>(bytes, bytes.len()) else { return false };
    assert_eq!(cbor::encode(&value).expect("it was read"), bytes);
    true
}

/// The header of a blob; and a further name of one, which is such a header in another document.
pub fn blob(bytes: &[u8]) -> bool {
    let _ = blob::Alias::decode(bytes).map(|alias| assert_eq!(alias.encode().expect("it was read"), bytes));
    let _ = blob::decode_head(bytes);
    let mut content = b"ICBLOB\0\x01".to_vec();
    content.extend_from_slice(Digest::of(bytes).as_bytes());
    content.extend_from_slice(bytes);
    let Ok(header) = blob::decode_head(&content) else { return false };
    let head = blob::encode_head(&header).expect("it was read");
    assert_eq!(&head[skippable::HEAD_LEN..], content);
    assert_eq!(blob::head_content_len(&head).expect("it was written"), content.len());
    true
}

/// The table of a pack.
pub fn pack(bytes: &[u8]) -> bool {
    let _ = (packs::check_head(bytes), packs::decode_trailer(bytes));
    let table = &bytes[..bytes.len() - bytes.len() % packs::ENTRY_LEN];
    let trailer = packs::Trailer { id: Digest::of(table), entries: (table.len() / packs::ENTRY_LEN) as u32 };
    let mut footer = skippable::head(table.len() + packs::TRAILER_LEN).expect("it is short").to_vec();
    footer.extend_from_slice(table);
    let stored = |entry: &[u8]| u64::from(u32::from_le_bytes(entry[40..44].try_into().expect("four bytes")));
    let frames: u64 = table.chunks_exact(packs::ENTRY_LEN).map(stored).sum();
    let file_len = packs::HEAD_LEN + frames + (footer.len() + packs::TRAILER_LEN) as u64;
    let Ok(entries) = packs::decode_table(&footer, &trailer, file_len) else { return false };
    let (id, written) = packs::encode_footer(&entries).expect("it was read");
    assert_eq!((id, &written[..footer.len()]), (trailer.id, footer.as_slice()));
    assert_eq!(packs::decode_trailer(&written[footer.len()..]).expect("it was written"), trailer);
    assert!(packs::decode_table(&footer, &trailer, file_len + 1).is_err());
    true
}

/// A lock file.
pub fn lock(bytes: &[u8]) -> bool {
    let Some(file) = std::str::from_utf8(bytes).ok().and_then(|text| LockFile::parse(text).ok()) else { return false };
    assert_eq!(LockFile::parse(&file.to_text()).expect("it was read"), file);
    true
}

/// A manifest.
pub fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::decode(bytes) else { return false };
    assert_eq!(manifest.encode().expect("it was read"), bytes);
    assert_eq!(manifest.extents.iter().map(Extent::length).sum::<u64>(), manifest.raw_len);
    true
}

/// The head and the table of a root tree.
pub fn tree(bytes: &[u8]) -> bool {
    let Some((head, table)) = bytes.split_at_checked(tree::HEAD_LEN) else { return false };
    let Ok(head) = tree::Head::decode(head, table.len() as u64 + (1 << 20)) else { return false };
    let Ok(entries) = tree::decode(table, &head) else { return false };
    assert_eq!(tree::encode(&entries).expect("it was read"), table);
    assert!(tree::files(&entries).iter().all(|range| range.start < range.end && range.end <= head.offset));
    true
}

/// An image record.
pub fn record(bytes: &[u8]) -> bool {
    let Ok(record) = ImageDocument::decode(bytes) else { return false };
    assert_eq!(record.encode().expect("it was read"), bytes);
    true
}

/// Rows of the index.
pub fn row(bytes: &[u8]) -> bool {
    fn of<R: Row>(bytes: &[u8]) -> bool {
        R::decode(bytes).is_ok_and(|row| {
            assert_eq!(row.encode(), bytes);
            true
        })
    }
    let known = [
        of::<BlobRow>,
        of::<ChunkRow>,
        of::<PackRow>,
        of::<PackageRow>,
        of::<ImageRow>,
        of::<MetadataRow>,
        of::<HoldRow>,
        of::<TrashRow>,
        of::<TotalRow>,
        of::<UsageRow>,
    ];
    known.iter().filter(|read| read(bytes)).count() > 0
}

/// Skippable frames one after the other, and frames of zeros.
pub fn frames(mut bytes: &[u8]) -> bool {
    if let Some(len) = bytes.first_chunk().map(|len| u64::from(u32::from_le_bytes(*len)) % (300 << 10)) {
        let mut raw = 0;
        let mut decoder = zstd::stream::read::Decoder::new(io::Cursor::new(zeros::encode(len))).expect("memory");
        let mut buffer = [0; 4096];
        while let read @ 1.. = decoder.read(&mut buffer).expect("it is a frame") {
            assert!(buffer[..read].iter().all(|byte| *byte == 0));
            raw += read as u64;
        }
        assert_eq!(raw, len);
    }
    while !bytes.is_empty() {
        let Ok(len) = skippable::content_len(bytes, 1 << 20) else { return false };
        assert_eq!(bytes[..skippable::HEAD_LEN], skippable::head(len).expect("it is short"));
        let Some(rest) = bytes.get(skippable::HEAD_LEN + len..) else { return false };
        bytes = rest;
    }
    true
}

/// A whole bundle.
pub fn bundle(bytes: &[u8]) -> bool {
    let check = |mut bytes: &[u8]| BundleReader::open(&mut bytes).and_then(|reader| reader.check(&Cancel::default())).is_ok();
    let mut bundle = bytes.to_vec();
    // The table's digest and the last one are made right.
    if let Some(len) = bundle.get(..skippable::HEAD_LEN).and_then(|head| bundles::table_content_len(head).ok())
        && let Some(content) = bundle.get_mut(skippable::HEAD_LEN..skippable::HEAD_LEN + len)
        && content.len() > 40
    {
        let digest = Digest::of(&content[40..]);
        content[8..40].copy_from_slice(digest.as_bytes());
        if let Ok(table) = Table::decode(content) {
            assert_eq!(&table.encode().expect("it was read")[skippable::HEAD_LEN..], content);
        }
    }
    if let Some(end) = bundle.len().checked_sub(END_LEN) {
        let digest = Digest::of(&bundle[..end]);
        bundle[end..].copy_from_slice(&bundles::encode_end(&digest));
    }
    let accepted = check(&bundle);
    assert!(bundle == bytes || !check(bytes), "a wrong digest was believed");
    accepted
}

/// A package: `ar`, both parts, every entry.
pub fn deb(bytes: &[u8]) -> bool {
    crate::root::examine(bytes.to_vec()).is_ok()
}

/// An RPM package: both headers, the list of its files, every entry of the payload.
pub fn rpm(bytes: &[u8]) -> bool {
    let _ = crate::root::Described::read("fuzz", bytes, bytes.len() as u64);
    crate::root::examine_rpm(bytes).is_ok()
}

/// The index of a suite.
pub fn packages(bytes: &[u8]) -> bool {
    let archive = Arc::new(Archive { id: "debian".to_owned(), mirrors: Vec::new(), pin: 500 });
    let Ok(list) = indexes::parse(bytes, &archive.id, "amd64") else { return any_list(bytes, &archive) };
    let kept = List::read(list.bytes().to_vec()).expect("it was written so");
    let records = Arc::new(kept).records(&archive, |_| true).expect("it was written so");
    assert_eq!(Arc::new(list).records(&archive, |_| true).expect("it was written so"), records);
    // No Debian package has a name with a space: that is of relations that cannot be read, and all of these were.
    let is_read = |record: &PackageRecord| record.relations.depends.iter().flat_map(|any_of| &any_of.0).all(|one| !one.name.contains(' '));
    assert!(records.iter().all(|record| is_inside(&record.filename) && is_read(record)));
    true
}

/// The list of packages of an RPM repository.
pub fn primary(bytes: &[u8]) -> bool {
    let archive = Arc::new(Archive { id: "rpm".to_owned(), mirrors: Vec::new(), pin: 500 });
    let Ok(packages) = rpms::primary::parse(bytes, &archive, "x86_64") else { return any_list(bytes, &archive) };
    assert!(packages.records.iter().all(|record| is_inside(&record.filename)));
    let rpms::primary::Packages { records, unproven, unusable } = packages;
    let is_whole = unusable.is_empty();
    let head = Head { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), unproven, unusable };
    let kept = List::read(List::of_records(head.clone(), &records).bytes().to_vec()).expect("it was written so");
    assert_eq!(*kept.head(), head);
    assert_eq!(Arc::new(kept).records(&archive, |_| true).expect("it was written so"), records);
    is_whole
}

/// What could be a list that this program has made of an index.
fn any_list(bytes: &[u8], archive: &Arc<Archive>) -> bool {
    let Ok(list) = List::read(bytes.to_vec()) else { return false };
    let Ok(records) = Arc::new(list).records(archive, |_| true) else { return false };
    assert!(records.iter().all(|record| is_inside(&record.filename) && record.relations.depends.iter().all(|any_of| !any_of.0.is_empty())));
    true
}

/// A `repomd.xml`, whose signature was verified; or a metalink, which nothing proves, or a list of files.
pub fn repomd(bytes: &[u8]) -> bool {
    let wanted = BTreeSet::from(["/usr/bin/a".to_owned()]);
    let is_list = rpms::filelists::owners(bytes, &wanted).is_ok_and(|owners| owners.values().all(|files| files.len() == 1));
    if let Ok(list) = rpms::mirrors::metalink(bytes) {
        assert!(list.addresses.iter().all(|address| address.to_ascii_lowercase().starts_with("http")));
        return true;
    }
    if is_list {
        return true;
    }
    let Ok(repomd) = rpms::repomd::parse(bytes) else { return false };
    assert!(is_inside(&repomd.primary.path) && repomd.filelists.is_none_or(|file| is_inside(&file.path)));
    true
}

/// Whether a path leads nowhere but beneath an address.
fn is_inside(path: &str) -> bool {
    !path.starts_with('/') && !path.split('/').any(|part| part == "..")
}

/// Relations between packages.
pub fn relation(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let read =
        [relation::any_ofs(&text, "amd64").is_ok(), relation::requirements(&text, "amd64").is_ok(), relation::provides(&text, "amd64").is_ok()];
    read.contains(&true)
}

/// A Release file, whose signature was verified.
pub fn release(bytes: &[u8]) -> bool {
    let Ok(release) = releases::Release::parse(bytes) else { return false };
    let _ = (release.check(Some("stable"), 1 << 31), release.check_offer("main", "amd64"), release.check_valid_until(1 << 31));
    true
}

/// A keyring, and an InRelease file or a Release file and its signature, one behind the other: `keyring length u32 │ text length u32 │ …`.
pub fn signature(bytes: &[u8]) -> bool {
    let Some((lengths, rest)) = bytes.split_first_chunk::<8>() else { return false };
    let cut = |rest: &[u8], at: usize| rest.len().min(u32::from_le_bytes(lengths[at..at + 4].try_into().expect("four bytes")) as usize);
    let (keyring, rest) = rest.split_at(cut(rest, 0));
    let keyring = Keyring::parse("fuzz", keyring).unwrap_or_default();
    let (text, signature) = rest.split_at(cut(rest, 4));
    signatures::verify_cleartext(text, &keyring, 1_600_000_000).is_ok()
        | signatures::verify_detached(text, signature, &keyring, 1_600_000_000).is_ok()
}

/// The host's apt sources, in both ways to write them.
pub fn sources(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let read = ["a.list", "a.sources"]
        .map(|name| apt::parse(&text, Path::new(name)).map(|sources| apt::mirrors_for(&sources, "debian", &["stable"], &["main"])));
    read.iter().any(Result::is_ok)
}

/// A spec. Files that it names are looked for where there are none.
pub fn spec(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Ok(loaded) = crate::spec::parse(&text, Path::new("/proc/self/fdinfo/spec.yml")) else { return false };
    assert_eq!(loaded.hash(Some(1)), loaded.hash(Some(1)));
    true
}

/// A disk image of another program: `format u8 │ length of the file u32`, then what is not zero in it: `offset u32 │ length u16 │ bytes`.
pub fn disk(bytes: &[u8]) -> bool {
    let Some((&[format, a, b, c, d], rest)) = bytes.split_first_chunk::<5>() else { return false };
    let Some(format) = Format::ALL.get(usize::from(format)).copied() else { return false };
    let source = Sparse { len: u64::from(u32::from_le_bytes([a, b, c, d])), parts: parts(rest) };
    let _ = formats::recognise(&source);
    walk(&source, format).is_ok()
}

/// A raw disk with file systems: `length of the disk u32`, then what is not zero in it, as for [`disk`]. The checksums of a GPT are made right.
pub fn inspect(bytes: &[u8]) -> bool {
    const LIMITS: crate::inspect::Limits = crate::inspect::Limits { names: 1000, bytes: 1 << 20 };
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else { return false };
    let source = Sparse { len: u64::from(u32::from_le_bytes(*len)).min(64 << 20), parts: parts(rest) };
    let Some(header) = gpt(&source) else { return crate::inspect::examine(&source, LIMITS).is_ok() };
    let mut parts = source.parts;
    parts.push((512, &header));
    crate::inspect::examine(&Sparse { parts, ..source }, LIMITS).is_ok()
}

/// The header of a GPT with the right checksums.
fn gpt(disk: &Sparse<'_>) -> Option<Vec<u8>> {
    let mut header = vec![0; 512];
    disk.fill(&mut header, 512).ok().filter(|()| header.starts_with(b"EFI PART"))?;
    let number = |header: &[u8], at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let (count, len) = (number(&header, 80).min(1024), number(&header, 84).min(4096));
    let mut entries = vec![0; (count * len) as usize];
    disk.fill(&mut entries, u64::from(number(&header, 72)).checked_mul(512)?).ok()?;
    header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
    header[16..20].fill(0);
    let summed = header.get(..number(&header, 12) as usize)?;
    let sum = crc32fast::hash(summed);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    Some(header)
}

/// Reads a disk as an import does, but into nothing, and no longer than is bearable.
fn walk(source: &Sparse<'_>, format: Format) -> Result<(), formats::Problem> {
    let mut disk = formats::open(source, format)?;
    let (mut offset, mut runs, mut buffer) = (0, 0, Vec::new());
    while offset < disk.len() && runs < 2000 {
        let (len, run) = disk.run(offset)?;
        assert!(len > 0 && offset + len <= disk.len(), "a run is in the disk");
        if run != Run::Zeros {
            buffer.resize(len.min(if matches!(run, Run::Packed { .. }) { 2 << 20 } else { 4096 }) as usize, 0);
            disk.read(run, 0, &mut buffer)?;
        }
        offset += len;
        runs += 1;
    }
    Ok(())
}

/// A file of zeros, but for some parts.
struct Sparse<'a> {
    len: u64,
    parts: Vec<(u64, &'a [u8])>,
}

fn parts(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut parts = Vec::new();
    while let Some((&[a, b, c, d, e, f], rest)) = bytes.split_first_chunk::<6>() {
        let (part, following) = rest.split_at(rest.len().min(u16::from_le_bytes([e, f]).into()));
        parts.push((u64::from(u32::from_le_bytes([a, b, c, d])), part));
        bytes = following;
    }
    parts
}

impl Source for Sparse<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.len).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.fill(0);
        for &(at, part) in &self.parts {
            let (from, to) = (at.max(offset), (at + part.len() as u64).min(end));
            if from < to {
                buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(&part[(from - at) as usize..(to - at) as usize]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod seeds;
