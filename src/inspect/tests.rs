//! Whole disks: what is told of them, how two differ, and what comes of damaged ones.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::disk::formats::{Raw, Source};
use crate::progress::{Cancel, Silent};

/// A disk of `fixtures/filesystems/`.
pub(super) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/filesystems/{name}.zst"));
    zstd::decode_all(fs::File::open(path).unwrap()).unwrap()
}

/// What is in them.
pub(super) fn tree() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/filesystems/tree")).unwrap()
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open(file: &tempfile::NamedTempFile, name: &str) -> Input<'static> {
    Input::file(file.path(), &Silent, &Cancel::default()).unwrap().called(name)
}

fn inspected(bytes: &[u8]) -> Inspection {
    inspect(&open(&file(bytes), "disk"), 3, Limits::USUAL, &Cancel::default()).unwrap()
}

fn differ(a: &[u8], b: &[u8]) -> Difference {
    let (a, b) = (file(a), file(b));
    diff(&open(&a, "a"), &open(&b, "b"), Options::default(), Limits::USUAL, &Cancel::default()).unwrap()
}

#[test]
fn all_of_a_disk_is_told_and_no_password() {
    let inspection = inspected(&fixture("disk-gpt"));
    let json = serde_json::to_string(&inspection).unwrap();
    assert!(!json.contains("NOBODYMAYSEETHIS") && !json.contains("$6$"), "{json}");
    insta::assert_json_snapshot!("disk_gpt", inspection);
    insta::assert_json_snapshot!("disk_mbr", inspected(&fixture("disk-mbr")).partitions);
}

#[test]
fn the_backup_of_a_table_is_read() {
    let mut bytes = fixture("disk-gpt");
    let whole = inspected(&bytes);
    bytes[512..1024].fill(0);
    let inspection = inspected(&bytes);
    assert_eq!(inspection.partitions, whole.partitions);
    assert_eq!(inspection.remarks, ["the partition table: the first GPT is damaged: this is the backup"]);
    let end = bytes.len();
    bytes[end - 512..].fill(0);
    let inspection = inspected(&bytes);
    assert_eq!((inspection.problems[0].place.as_str(), inspection.problems[0].damage), ("the partition table", true));
}

#[test]
fn a_disk_that_is_cut_off_is_told_as_far_as_it_goes() {
    let bytes = fixture("disk-gpt");
    for len in [1, 511, 512, 40_000, 1 << 20, 4 << 20, 5 << 20, 9 << 20, 15 << 20, (16 << 20) + 9000] {
        let inspection = inspected(&bytes[..len]);
        assert!(len < 40_000 || inspection.problems.iter().any(|problem| problem.damage), "{len}: {:?}", inspection.problems);
    }
    let cut = file(&bytes[..5 << 20]);
    let whole = file(&bytes);
    let error = diff(&open(&whole, "a"), &open(&cut, "b"), Options::default(), Limits::USUAL, &Cancel::default()).unwrap_err();
    assert!(error.is_damage() && error.to_string().contains(" of b cannot be read: ") && error.hint().is_some(), "{error}");
}

#[test]
fn the_same_disks_are_the_same_in_every_format() {
    let bytes = fixture("disk-gpt");
    let raw = file(&bytes);
    assert!(differ(&bytes, &bytes).same);
    for format in [crate::disk::formats::Format::Qcow2, crate::disk::formats::Format::Vmdk, crate::disk::formats::Format::Vdi] {
        let other = tempfile::NamedTempFile::new().unwrap();
        let seed = crate::digest::Digest::of(b"");
        let (from, out) = (Raw::new(raw.as_file(), raw.path()).unwrap(), crate::disk::formats::Out::new(other.as_file(), other.path()).unwrap());
        let conversion = crate::disk::formats::Conversion { raw: from, out, seed, progress: &Silent, cancel: &Cancel::default() };
        crate::disk::formats::convert(&conversion, format).unwrap();
        let difference = diff(&open(&raw, "a"), &open(&other, "b"), Options::default(), Limits::USUAL, &Cancel::default()).unwrap();
        assert!(difference.same && !difference.has_visible() && difference.folders.is_empty(), "{format}");
    }
    let compressed = file(&zstd::encode_all(bytes.as_slice(), 1).unwrap());
    let input = open(&compressed, "b");
    assert_eq!(input.format().unwrap().to_string(), "raw.zst");
    assert!(diff(&open(&raw, "a"), &input, Options::default(), Limits::USUAL, &Cancel::default()).unwrap().same);
}

/// Changes these bytes wherever they are.
fn change(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let places: Vec<usize> = memchr::memmem::find_iter(bytes, old).collect();
    assert!(!places.is_empty() && old.len() == new.len(), "{}", String::from_utf8_lossy(old));
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
}

#[test]
fn what_differs_is_told_by_its_path() {
    let bytes = fixture("disk-gpt");
    let mut other = bytes.clone();
    change(&mut other, b"tiny\n", b"mini\n");
    change(&mut other, b"Version: 590-2", b"Version: 591-1");
    change(&mut other, b"title Debian\n", b"title debian\n");
    change(&mut other, b"number 299", b"number 999");
    let difference = differ(&bytes, &other);
    let lines: Vec<_> =
        difference.files.iter().map(|file| format!("{:?} {} {:?} {}", file.change, file.partition.unwrap(), file.what, file.path)).collect();
    let many = "/many/a file with a name of some length, number";
    assert_eq!(
        lines,
        [
            "Changed 1 [\"content\"] /boot/efi/loader/entries/debian.conf".to_owned(),
            "Changed 2 [\"content\"] /etc/hostname".to_owned(),
            format!("Removed 2 [] {many} 299"),
            format!("Added 2 [] {many} 999"),
            "Changed 2 [\"content\"] /var/lib/dpkg/status".to_owned(),
        ]
    );
    insta::assert_json_snapshot!("packages_that_differ", difference.packages);
    let first = difference.first_byte.unwrap();
    assert_eq!(first.partition, Some(1));
    assert_eq!(bytes[..first.offset as usize], other[..first.offset as usize]);
    assert_ne!(bytes[first.offset as usize], other[first.offset as usize]);
}

#[test]
fn extended_attributes_differ_by_name_and_value() {
    let bytes = fixture("small-attributes");
    let mut other = bytes.clone();
    change(&mut other, b"kept", b"lost");
    change(&mut other, &[1, 0, 0, 2, 0, 0x20, 0, 0], &[0, 0, 0, 2, 0, 0x10, 0, 0]);
    change(&mut other, &[b'b'; 200], &[b'c'; 200]);
    change(&mut other, &[b'l'; 3000], &[b'm'; 3000]);
    let difference = differ(&bytes, &other);
    let changed: Vec<_> = difference.files.iter().map(|file| (file.path.as_str(), file.what.as_slice())).collect();
    assert_eq!(changed, [("/folder", &["attributes"][..]), ("/long", &["attributes"]), ("/ping", &["attributes"])]);
    let shown = |state: &Option<FileState>| {
        let all = state.as_ref().unwrap().attributes.iter().map(|attribute| format!("{} {}", attribute.name, attribute.value));
        all.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(shown(&difference.files[2].from), "security.capability cap_net_raw=ep, user.note kept");
    assert_eq!(shown(&difference.files[2].to), "security.capability cap_net_admin=p, user.note lost");
}

#[test]
fn bytes_of_no_file_differ_in_a_place_only() {
    let bytes = fixture("disk-gpt");
    let mut other = bytes.clone();
    // Of the boot sector of the EFI partition, behind what is read of it.
    other[64 * 512 + 300] ^= 1;
    let difference = differ(&bytes, &other);
    assert!(!difference.same && !difference.has_visible());
    assert_eq!(difference.first_byte, Some(FirstByte { offset: 64 * 512 + 300, partition: Some(1) }));
}

#[test]
fn other_file_systems_with_the_same_tree_differ_in_nothing_that_is_in_them() {
    let difference = differ(&fixture("ext2-1k"), &fixture("ext4-4k"));
    assert_eq!(difference.files, []);
    assert_eq!(difference.packages, Some(Vec::new()));
    assert_eq!(difference.partitions.len(), 1);
    assert!(!difference.same && difference.first_byte.is_none());
}

#[test]
fn what_is_no_image_is_refused() {
    let cancel = Cancel::default();
    let refused = |path: &Path| Input::file(path, &Silent, &cancel).err().unwrap();
    assert!(matches!(refused(Path::new("/dev/null")), Error::NotAFile(_)));
    assert!(matches!(refused(Path::new("/")), Error::NotAFile(_)));
    assert!(matches!(refused(file(b"").path()), Error::Empty(_)));
    let error = refused(Path::new("/nowhere"));
    assert!(error.is_usage() && error.hint().is_some());
    assert!(refused(file(b"QFI\xfb\0\0\0\x03").path()).is_damage());
    let nothing = inspected(&[7; 5000]);
    assert!(nothing.problems.is_empty() && nothing.table.is_none() && nothing.partitions[0].filesystem.is_none());
}

/// A disk with other bytes in places.
struct Patched<'a> {
    bytes: &'a [u8],
    patches: Vec<(usize, Vec<u8>)>,
}

impl Source for Patched<'_> {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        Source::fill(&self.bytes, buffer, offset)?;
        let begin = offset as usize;
        for (at, patch) in &self.patches {
            for (place, byte) in (*at..).zip(patch) {
                if (begin..begin + buffer.len()).contains(&place) {
                    buffer[place - begin] = *byte;
                }
            }
        }
        Ok(())
    }
}

const FEW: Limits = Limits { names: 5000, bytes: 4 << 20 };

/// Each field of what says where things are, at its limits. Of disks only the tables: their file systems are those before.
#[test]
fn fields_that_lie_are_found_out() {
    const ALL: [std::ops::Range<usize>; 2] = [0..usize::MAX, 0..0];
    for (name, [first, second]) in [
        ("small-ext2", ALL),
        ("small-ext4", ALL),
        ("small-attributes", ALL),
        ("small-fat12", ALL),
        ("small-fat16", ALL),
        ("small-gpt", [0..64 * 512, 0..0]),
        ("small-mbr", [440..512, 2112 * 512 + 440..2113 * 512]),
    ] {
        let bytes = fixture(name);
        assert!(examine(&bytes.as_slice(), FEW).is_ok(), "{name}");
        let used = bytes.chunks(64).enumerate().filter(|(_, line)| line.iter().any(|byte| *byte != 0)).map(|(line, _)| line * 64);
        let fields = used.flat_map(|line| (line..line + 64).step_by(4)).filter(|at| first.contains(at) || second.contains(at));
        for at in fields {
            for value in [0_u32, 1, 0x7fff_ffff, u32::MAX] {
                let _ = examine(&Patched { bytes: &bytes, patches: vec![(at, value.to_le_bytes().to_vec())] }, FEW);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn bytes_that_lie_are_found_out(
        name in prop::sample::select(vec!["small-ext2", "small-ext4", "small-attributes", "small-fat12", "small-fat16", "small-gpt", "small-mbr"]),
        patches in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..9)), 1..12),
        len in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = fixture(name);
        let used: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
        let patches = patches.into_iter().map(|(index, patch)| (used[index.index(used.len())], patch)).collect();
        if let Some(len) = len {
            bytes.truncate(len.index(bytes.len()));
        }
        let _ = examine(&Patched { bytes: &bytes, patches }, FEW);
    }
}
