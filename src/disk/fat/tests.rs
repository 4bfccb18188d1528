//! What is written is read back by a reader that shares no code with the writer, by `fsck.fat` and by mtools.

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::disk::layout::tests::layout;
use crate::root::sandbox::find_program;

const IDENTITY: Identity = Identity { volume_id: 0x1234_abcd, time: 1_700_000_001 };

struct Disk {
    file: tempfile::NamedTempFile,
    start: u64,
}

fn try_write(len: u64, files: &[(&str, Source)], tree: &Tree) -> Result<Disk, Error> {
    let mut partition = layout(1 << 30).partitions.remove(0);
    partition.len = len;
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(partition.start + len).unwrap();
    let files: Vec<FatFile> = files.iter().map(|(path, source)| FatFile { path: (*path).to_owned(), source: copied(source) }).collect();
    write((file.as_file(), file.path()), &partition, IDENTITY, &files, tree, &Cancel::default())?;
    Ok(Disk { file, start: partition.start })
}

fn copied(source: &Source) -> Source {
    match source {
        Source::Bytes(bytes) => Source::Bytes(bytes.clone()),
        Source::Tree(path) => Source::Tree(path.clone()),
    }
}

fn write_bytes(len: u64, files: &[(&str, &[u8])]) -> Result<Disk, Error> {
    let files: Vec<(&str, Source)> = files.iter().map(|(path, bytes)| (*path, Source::Bytes(bytes.to_vec()))).collect();
    try_write(len, &files, &Tree::open(&std::env::temp_dir()).unwrap())
}

/// A reader of FAT16 and FAT32, as small as can be.
struct Reader {
    bytes: Vec<u8>,
    cluster_len: usize,
    data: usize,
    fat: usize,
    wide: bool,
}

impl Reader {
    fn open(disk: &Disk) -> Self {
        let bytes = std::fs::read(disk.file.path()).unwrap()[disk.start as usize..].to_vec();
        let number = |offset: usize, width: usize| bytes[offset..offset + width].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (reserved, cluster_len) = (number(14, 2) * 512, number(13, 1) * 512);
        let wide = number(22, 2) == 0;
        let fat_len = if wide { number(36, 4) } else { number(22, 2) } * 512;
        let data = reserved + 2 * fat_len + number(17, 2) * 32;
        assert_eq!(bytes[reserved..reserved + fat_len], bytes[reserved + fat_len..reserved + 2 * fat_len], "both FATs are the same");
        Self { cluster_len, data, fat: reserved, wide, bytes }
    }

    fn chain(&self, first: usize) -> Vec<u8> {
        let (mut cluster, mut content) = (first, Vec::new());
        let (width, end) = if self.wide { (4, 0x0fff_fff8) } else { (2, 0xfff8) };
        while cluster != 0 && cluster < end {
            let at = self.data + (cluster - 2) * self.cluster_len;
            content.extend_from_slice(&self.bytes[at..at + self.cluster_len]);
            let entry = &self.bytes[self.fat + cluster * width..][..width];
            cluster = entry.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        }
        content
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let root = if self.wide { self.chain(2) } else { self.bytes[self.data - 512 * 32..self.data].to_vec() };
        self.walk(&root, "", &mut files);
        files
    }

    fn walk(&self, folder: &[u8], path: &str, files: &mut BTreeMap<String, Vec<u8>>) {
        let mut long: Vec<u16> = Vec::new();
        for entry in folder.chunks_exact(32).take_while(|entry| entry[0] != 0) {
            if entry[11] == 0x0f {
                let units = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30].map(|at| u16::from_le_bytes([entry[at], entry[at + 1]]));
                long.splice(0..0, units.into_iter().take_while(|unit| *unit != 0));
                continue;
            }
            let short = [&entry[..8], &entry[8..11]].map(|part| String::from_utf8_lossy(part).trim_end().to_owned());
            let short = if short[1].is_empty() { short[0].clone() } else { short.join(".") };
            let units: Vec<u16> = std::mem::take(&mut long);
            let name = if units.is_empty() { short } else { String::from_utf16(&units).unwrap() };
            let number = |at: usize| usize::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
            let (first, len) = (number(20) << 16 | number(26), number(30) << 16 | number(28));
            match entry[11] {
                0x08 => assert_eq!(&entry[..11], b"EFI        "),
                0x10 if name == "." || name == ".." => {}
                0x10 => self.walk(&self.chain(first), &format!("{path}{name}/"), files),
                _ => {
                    let mut content = self.chain(first);
                    assert!(content.len() >= len && content.len() < len + self.cluster_len);
                    content.truncate(len);
                    files.insert(format!("{path}{name}"), content);
                }
            }
        }
    }
}

/// What `fsck.fat` says against a disk; none where there is no such program.
fn complaint(disk: &Disk) -> Option<String> {
    let fsck = find_program("fsck.fat")?;
    let part = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(part.path(), &std::fs::read(disk.file.path()).unwrap()[disk.start as usize..]).unwrap();
    let output = Command::new(fsck).arg("-nv").arg(part.path()).output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_boot_partition_is_read_back() {
    let kernel: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let files: [(&str, &[u8]); 5] = [
        ("EFI/BOOT/BOOTX64.EFI", b"MZ"),
        ("EFI/systemd/systemd-bootx64.efi", b"MZ"),
        ("debian/6.1.0-50-cloud-amd64/linux", &kernel),
        ("loader/entries/debian-6.1.0-50-cloud-amd64.conf", b"title x\n"),
        ("loader/empty", b""),
    ];
    for len in [4 << 20, 16 << 20, 64 << 20, 300 << 20] {
        let disk = write_bytes(len, &files).unwrap();
        let expected: BTreeMap<String, Vec<u8>> = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
        assert_eq!(Reader::open(&disk).files(), expected, "{len} bytes");
        assert_eq!(complaint(&disk), None, "{len} bytes");
    }
}

#[test]
fn mtools_agrees_on_names_times_label_and_serial_number() {
    let Some(mdir) = find_program("mdir") else { return };
    let disk = write_bytes(64 << 20, &[("EFI/a Long name.Conf", b"x")]).unwrap();
    let image = format!("{}@@{}", disk.file.path().display(), disk.start);
    let output = Command::new(mdir).env("TZ", "UTC").args(["-i", &image, "::/EFI"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for expected in ["is EFI", "1234-ABCD", "ALONGN~1 CON", "2023-11-14  22:13", "a Long name.Conf"] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn free_space_is_never_written() {
    use std::os::unix::fs::MetadataExt;
    let disk = write_bytes(512 << 20, &[("EFI/BOOT/BOOTX64.EFI", &[1; 5000])]).unwrap();
    assert!(disk.file.as_file().metadata().unwrap().blocks() * 512 < 256 << 10);
}

#[test]
fn says_how_much_is_missing() {
    let error = write_bytes(4 << 20, &[("a", &vec![1; 6 << 20])]).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "partition “esp” of 4.00 MiB is too small: 3.00 MiB more are needed");
    assert!(error.hint().unwrap().contains("at least 3.00 MiB larger"));
    let error = write_bytes(1 << 20, &[]).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "partition “esp” of 1.00 MiB is too small: 3.00 MiB more are needed");
    // And no more than that is missing.
    assert!(write_bytes(7 << 20, &[("a", &vec![1; 6 << 20])]).is_ok());
}

#[test]
fn refuses_names_that_clash_or_do_not_exist_on_fat() {
    for (first, second) in [("EFI/boot", "efi/BOOT"), ("EFI", "EFI/BOOT"), ("EFI/BOOT", "EFI"), ("a", "b:c"), ("a", "b//c"), ("a", "../b"), ("a", "")]
    {
        let result = write_bytes(8 << 20, &[(first, b"1"), (second, b"2")]);
        assert!(matches!(result, Err(Error::FatName { .. })), "{first} and {second}");
    }
    let too_many: Vec<String> = (0..600).map(|number| format!("{number}")).collect();
    let too_many: Vec<(&str, &[u8])> = too_many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(write_bytes(8 << 20, &too_many).is_err(), "the root folder of FAT16 has 512 entries");
    assert_eq!(Reader::open(&write_bytes(64 << 20, &too_many).unwrap()).files().len(), 600);
}

#[test]
fn files_come_from_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::open(folder.path()).unwrap();
    tree.write("boot/vmlinuz", b"kernel", 0o600).unwrap();
    let disk = try_write(8 << 20, &[("linux", Source::Tree("boot/vmlinuz".to_owned()))], &tree).unwrap();
    assert_eq!(Reader::open(&disk).files()["linux"], b"kernel");
    assert!(try_write(8 << 20, &[("linux", Source::Tree("boot/none".to_owned()))], &tree).is_err());
}

/// Long and short names, in up to two folders.
const PATHS: &str = "[a-zA-Z0-9é._~ -]{0,20}[a-z0-9](/[A-Z]{1,9}[.][a-z]{1,4}){0,2}";

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_written_is_read_back(
        files in proptest::collection::btree_map(PATHS, proptest::collection::vec(any::<u8>(), 0..3000), 0..40),
        len in (4_u64..40).prop_map(|mib| mib << 20),
    ) {
        let list: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        // Clashes and odd names are refused, which is another test.
        if let Ok(disk) = write_bytes(len, &list) {
            prop_assert_eq!(Reader::open(&disk).files(), files);
            prop_assert_eq!(complaint(&disk), None);
        }
    }
}
