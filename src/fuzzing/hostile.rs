//! Small inputs that ask for much: an error, in a second of processor time, with little memory. Each runs in a process of its own, which is measured.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::seeds::{files, folder};
use super::*;
use crate::digest::Sha256;
use crate::format::blob::{BlobKind, Header, PackageName};
use crate::format::bundle::{BlobEntry, Contents, Frame, FrameKind, ImageItem, PackageItem, SpecKey};
use crate::root::RpmBuilder;
use crate::root::testing::ar;

/// The most memory that a process may have taken, in KiB: what the program itself takes, and 64 MiB.
const MEMORY: u64 = 64 << 10;

/// The most processor time, in hundredths of a second.
const TIME: u64 = 100;

/// Names the input in a process that is measured.
const INPUT: &str = "IMAGE_COMPOSER_HOSTILE_INPUT";

const GIB: u64 = 1 << 30;

/// Runs a function of these tests on these bytes in a process of its own, and returns what it measured.
fn measured(target: &str, bytes: &[u8]) -> (bool, u64, u64) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fuzzing::hostile::one_measured_run", "--nocapture", "--test-threads=1"])
        .env(INPUT, format!("{target}:{}", file.path().display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("measured ")).unwrap_or_else(|| panic!("{target}: {output:?}")).1;
    let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    (numbers[0] == 1, numbers[1], numbers[2])
}

/// Not a test by itself: the process that [`measured`] starts.
#[test]
fn one_measured_run() {
    let Ok(input) = std::env::var(INPUT) else { return };
    let (target, path) = input.split_once(':').unwrap();
    let begun = (status("VmHWM:"), processor_time());
    let accepted = match target {
        "import" => import(Path::new(path)),
        "blob file" => crate::store::open_file(Path::new(path), &Digest::of(b"another")).and_then(crate::store::BlobReader::finish).is_ok(),
        "document" => crate::store::open_file(Path::new(path), &Digest::of(b"another")).and_then(|blob| blob.read_all(1 << 20)).is_ok(),
        _ => {
            let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
            run(&fs::read(path).unwrap())
        }
    };
    let line = format!("measured {} {} {}\n", u8::from(accepted), status("VmHWM:") - begun.0, processor_time() - begun.1);
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// User and system time of the process in hundredths of a second (`proc_pid_stat(5)`, fields 14 and 15).
fn processor_time() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Imports a compressed disk of at most 64 MiB.
fn import(path: &Path) -> bool {
    use crate::transfer::{ImportRequest, import};
    let dir = tempfile::tempdir().unwrap();
    let store = crate::store::Store::open(&dir.path().join("store")).unwrap();
    let request =
        ImportRequest { path: path.to_owned(), format: None, name: None, spec: None, max_size: crate::units::ByteSize(64 << 20), replace: false };
    import(&store, &request, &crate::progress::Silent, &Cancel::default()).is_ok()
}

/// `len` times this byte as a zstd frame.
fn repeated(byte: u8, len: u64) -> Vec<u8> {
    let mut frame = zeros::encode(len);
    frame[14..].iter_mut().skip(3).step_by(4).for_each(|value| *value = byte);
    frame
}

/// The header of an entry of a tar archive, whose size is written in binary as GNU tar does it.
fn tar_header(kind: u8, name: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.as_old_mut().size = [0; 12];
    header.as_old_mut().size[0] = 0x80;
    header.as_old_mut().size[4..].copy_from_slice(&size.to_be_bytes());
    if let (b'S', Some(gnu)) = (kind, header.as_gnu_mut()) {
        gnu.realsize[0] = 0x80;
        gnu.realsize[4..].copy_from_slice(&(1_u64 << 60).to_be_bytes());
    }
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn control() -> Vec<u8> {
    control_of(b"Package: demo\nVersion: 1\nArchitecture: all\n")
}

fn control_of(stanza: &[u8]) -> Vec<u8> {
    let mut tar = tar_header(b'0', "control", stanza.len() as u64);
    tar.extend_from_slice(stanza);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// A package with this control part and this data part.
fn deb_of(control: (&str, &[u8]), data: (&str, &[u8])) -> Vec<u8> {
    let names = [format!("control.tar{}", control.0), format!("data.tar{}", data.0)];
    ar(&[("debian-binary", b"2.0\n"), (&names[0], control.1), (&names[1], data.1)])
}

/// A package that is a file of zeros.
fn rpm_with_zeros(compression: &'static str) -> Vec<u8> {
    RpmBuilder::new("bomb", "1", "1").file("/zeros", &vec![0; 256 << 20], 0o644).compression(compression).build()
}

/// A package whose first header says that it has so many entries, and so many bytes.
fn rpm_with_header(lengths: [u32; 2]) -> Vec<u8> {
    let mut package = RpmBuilder::new("demo", "1", "1").build();
    package.splice(96 + 8..96 + 16, lengths.iter().flat_map(|length| length.to_be_bytes()));
    package
}

/// A package of 15,000 files in a folder whose name is as long as it may be.
fn long_paths() -> Vec<u8> {
    let mut package = RpmBuilder::new("demo", "1", "1");
    package.one_folder = Some(format!("/{}/", "a".repeat(4000)));
    (0..15_000).fold(package, |package, number| package.file(&format!("/{number}"), b"", 0o644)).build()
}

/// A zstd file of these bytes, and then so many zeros.
fn zst_of(bytes: &[u8], zeros: u64) -> Vec<u8> {
    let mut file = zstd::bulk::compress(bytes, 3).unwrap();
    (0..zeros / GIB).for_each(|_| file.extend(zeros::encode(GIB)));
    file
}

/// A gzip file of these bytes, and then a gibibyte of zeros: a piece of 16 MiB that ends on a byte, so often.
fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.write_all(&vec![0; 1 << 16]).unwrap();
    encoder.flush().unwrap();
    let begun = encoder.get_ref().len();
    encoder.write_all(&vec![0; 16 << 20]).unwrap();
    encoder.flush().unwrap();
    let mut file = encoder.get_ref().clone();
    let piece = file.split_off(begun);
    (0..64).for_each(|_| file.extend_from_slice(&piece));
    file
}

fn xz_of(bytes: &[u8], zeros: u64) -> Vec<u8> {
    let mut file = Vec::new();
    liblzma::read::XzEncoder::new(bytes.chain(io::repeat(0).take(zeros)), 0).read_to_end(&mut file).unwrap();
    file
}

fn package_name(name: &str) -> PackageName {
    let text = str::to_owned;
    PackageName { name: text(name), version: text("1"), arch: text("amd64"), repository: text("debian"), sha256: Sha256::of(b"") }
}

/// A bundle of one package whose file is the header and these frames, and says to have so many raw bytes.
fn bundle_of_package(frames: &[u8], raw_len: u64) -> Vec<u8> {
    let file = [blob::encode_head(&Header::unnamed(BlobKind::Document)).unwrap().as_slice(), frames].concat();
    let digest = Digest::of(b"package");
    let contents = Contents { packages: vec![PackageItem { blob: digest, name: package_name("demo") }], ..Contents::default() };
    let table = Table { contents, blobs: vec![BlobEntry { digest, stored_len: file.len() as u64, raw_len }], frames: Vec::new() };
    [table.encode().unwrap().as_slice(), &skippable::head(file.len()).unwrap(), &file, &[0; END_LEN]].concat()
}

/// A bundle of a disk that is one chunk: this frame, with this digest and length.
fn bundle_of_chunk(stored: &[u8], digest: Digest, raw_len: u64) -> Vec<u8> {
    let parts = ["record", "manifest", "lock", "annotations"].map(|part| (Digest::of(part.as_bytes()), part));
    let [record, manifest, lock, annotations] = parts.map(|(digest, _)| digest);
    let spec_hash = SpecKey(Digest::of(b"spec"));
    let image = ImageItem { spec_hash, record, manifest, lock, annotations };
    let file =
        |raw: &str| [blob::encode_head(&Header::unnamed(BlobKind::Document)).unwrap(), zstd::bulk::compress(raw.as_bytes(), 3).unwrap()].concat();
    let entry = |(digest, raw): (Digest, &str)| BlobEntry { digest, stored_len: file(raw).len() as u64, raw_len: raw.len() as u64 };
    let frame = Frame { kind: FrameKind::Chunk, digest, stored_len: stored.len() as u32, raw_len };
    let contents = Contents { disk: Some(spec_hash), images: vec![image], ..Contents::default() };
    let table = Table { contents, blobs: parts.map(entry).to_vec(), frames: vec![frame] };
    let mut bundle = table.encode().unwrap();
    for (_, raw) in parts {
        let file = file(raw);
        bundle.extend_from_slice(&skippable::head(file.len()).unwrap());
        bundle.extend_from_slice(&file);
    }
    bundle.extend_from_slice(stored);
    bundle.extend_from_slice(&[0; END_LEN]);
    bundle
}

/// What asks for much, with the function that reads it.
fn inputs() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let tar = tar_header(b'0', "./zeros", 64 * GIB);
    let good = control();
    let described = |kind: u8| zst_of(&tar_header(kind, "x", GIB), 2 * GIB);
    let mut wide = vec![0x9a, 0x00, 0x07, 0xff, 0xff];
    wide.resize(wide.len() + (1 << 19), 0xf6);
    let many: Vec<u8> = (0..60_000).flat_map(|number| format!("a{number}: 1\n").into_bytes()).collect();
    let blob_file = [blob::encode_head(&Header::unnamed(BlobKind::Package)).unwrap(), zeros::encode(GIB)].concat();
    let mut endless = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &good)]);
    let size = endless.len() - good.len() - 12;
    endless[size..size + 10].copy_from_slice(b"9999999999");
    let laughs = (1..30).flat_map(|level| format!("a{level}: &a{level} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n", level - 1).into_bytes());
    let laughs = b"a0: &a0 [x]\n".iter().copied().chain(laughs).collect();
    vec![
        ("deb", "zst bomb as data", deb_of(("", &good), (".zst", &zst_of(&tar, GIB)))),
        ("deb", "gzip bomb as data", deb_of(("", &good), (".gz", &gzip_of(&tar)))),
        ("deb", "xz bomb as data", deb_of(("", &good), (".xz", &xz_of(&tar, 128 << 20)))),
        ("deb", "zst bomb as control", deb_of((".zst", &zst_of(&tar_header(b'0', "control", 16 << 20), GIB)), ("", &[]))),
        ("deb", "many fields", deb_of((".zst", &zstd::bulk::compress(&control_of(&many), 3).unwrap()), ("", &[]))),
        ("packages", "many fields", many.clone()),
        ("release", "many fields", many),
        ("primary", "100,000 elements in each other", b"<package>".repeat(100_000)),
        ("primary", "a name that does not end", [b"<metadata><package><name>".to_vec(), vec![b'a'; 2_000_000]].concat()),
        ("primary", "many attributes", [b"<metadata ".to_vec(), b"a=\"\" ".repeat(300_000), b">".to_vec()].concat()),
        ("primary", "entities of entities", b"<!DOCTYPE a [<!ENTITY b \"cc\"><!ENTITY a \"&b;&b;\">]><metadata>&a;</metadata>".to_vec()),
        ("repomd", "100,000 elements in each other", b"<data>".repeat(100_000)),
        ("deb", "long name", deb_of(("", &good), (".zst", &described(b'L')))),
        ("deb", "long link", deb_of(("", &good), (".zst", &described(b'K')))),
        ("deb", "PAX header", deb_of(("", &good), (".zst", &described(b'x')))),
        ("deb", "PAX header for all", deb_of(("", &good), (".zst", &described(b'g')))),
        ("deb", "long name in control", deb_of((".zst", &described(b'L')), ("", &[]))),
        ("deb", "sparse file", deb_of(("", &good), ("", &tar_header(b'S', "./sparse", 0)))),
        ("deb", "sparse file in control", deb_of(("", &tar_header(b'S', "sparse", 0)), ("", &[]))),
        ("deb", "entry of 2^62", deb_of(("", &good), ("", &tar_header(b'0', "./long", 1 << 62)))),
        ("deb", "endless member", endless),
        ("rpm", "zst bomb", rpm_with_zeros("zstd")),
        ("rpm", "gzip bomb", rpm_with_zeros("gzip")),
        ("rpm", "header of 4 GiB", rpm_with_header([u32::MAX, u32::MAX])),
        ("rpm", "header of 60 MiB that is not there", rpm_with_header([0xffff, 60 << 20])),
        ("rpm", "long paths", long_paths()),
        ("cbor", "100,000 arrays", vec![0x81; 100_000]),
        ("cbor", "too many items", wide),
        ("blob", "100,000 arrays", vec![0x81; 100_000]),
        ("record", "100,000 arrays", vec![0x81; 100_000]),
        ("manifest", "100,000 arrays", vec![0x81; 100_000]),
        ("blob file", "bomb", blob_file.clone()),
        ("document", "bomb", blob_file),
        ("bundle", "bomb as a blob", bundle_of_package(&zeros::encode(GIB), 1 << 20)),
        ("bundle", "bomb as a long blob", bundle_of_package(&zeros::encode(GIB), GIB)),
        ("bundle", "bomb as a chunk", bundle_of_chunk(&zeros::encode(GIB), Digest::of(b""), packs::CHUNK_LIMIT.into())),
        ("bundle", "chunk with another digest", bundle_of_chunk(&zstd::bulk::compress(b"chunk", 3).unwrap(), Digest::of(b"other"), 5)),
        ("bundle", "table that is not there", [skippable::head(140 << 20).unwrap().as_slice(), b"ICBNDL\0\x01"].concat()),
        ("import", "bomb", repeated(0x55, GIB)),
        ("import", "bomb of zeros", zeros::encode(GIB)),
        ("spec", "100,000 lists", b"[".repeat(100_000)),
        ("spec", "lists of lists", laughs),
        ("relation", "100,000 parentheses", b"a (".repeat(100_000)),
        ("signature", "armour of nothing", [&[0; 8][..], b"-----BEGIN PGP SIGNED MESSAGE-----\n\n", &b"-\n".repeat(100_000)].concat()),
    ]
}

#[test]
fn little_is_taken_by_what_asks_for_much() {
    for (target, what, bytes) in inputs() {
        assert!(bytes.len() <= 2 << 20, "{target}, {what}: {}", bytes.len());
        let (accepted, memory, time) = measured(target, &bytes);
        assert!(!accepted, "{target}, {what}: accepted");
        assert!(memory < MEMORY && time < TIME, "{target}, {what}: {memory} KiB, {time} hundredths of a second");
    }
}

/// The measurement finds what it shall find.
#[test]
fn what_takes_much_is_measured() {
    let (accepted, memory, _) = measured("deb", &vec![0; 100 << 20]);
    assert!(!accepted && memory > MEMORY, "{memory}");
}

/// Files that once did harm, or that look as if they could. `README.md` says of each what it is.
#[test]
fn hostile_files_are_refused() {
    let said = fs::read_to_string(folder("fixtures/hostile/README.md")).unwrap();
    let mut count = 0;
    for (target, run) in TARGETS {
        let folder = folder("fixtures/hostile").join(target);
        if !folder.is_dir() {
            continue;
        }
        for (name, bytes) in files(&folder) {
            assert!(said.contains(&format!("`{target}/{name}`")), "{target}/{name} is not in README.md");
            assert!(!run(&bytes), "{target}/{name} was accepted");
            count += 1;
        }
    }
    assert_eq!(count, said.matches("\n| `").count(), "README.md has a file that is not there");
}
