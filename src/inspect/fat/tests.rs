//! File systems that `mkfs.fat` and mtools made (`fixtures/filesystems/make`).

use super::super::filesystem::{Content, FileSystem, open};
use super::super::tests::fixture;
use super::*;
use crate::digest::Sha256;

const LONG: &str = "/a folder with a long name/A File With A Longer Name — und Umlauten äöü.text";

fn names(filesystem: &FileSystem<'_>) -> Vec<String> {
    let nodes = filesystem.nodes(Limits::USUAL, &Cancel::default()).unwrap();
    let mut names: Vec<_> = nodes.iter().skip(1).map(|node| String::from_utf8(node.path.clone()).unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_mtools_wrote_is_read() {
    for (name, len) in [("fat12", 2 << 20), ("fat16", 8 << 20), ("fat32", 40 << 20)] {
        let bytes = fixture(name);
        assert_eq!(bytes.len(), len);
        let source = bytes.as_slice();
        let volume = Volume::whole(&source);
        let Content::FileSystem(filesystem) = open(volume).unwrap() else { panic!("{name} is not known") };
        assert_eq!((filesystem.kind(), filesystem.label().as_str(), filesystem.uuid().as_str()), (name, "TINY", "1234-ABCD"));
        let expected = [
            "/EFI",
            "/EFI/BOOT",
            "/EFI/BOOT/BOOTX64.EFI",
            "/a folder with a long name",
            LONG,
            "/loader",
            "/loader/entries",
            "/loader/entries/debian.conf",
            "/lower.txt",
        ];
        assert_eq!(names(&filesystem), expected, "{name}");
        let nodes = filesystem.nodes(Limits::USUAL, &Cancel::default()).unwrap();
        let node = nodes.iter().find(|node| node.path == LONG.as_bytes()).unwrap();
        let content = volume.read_runs(&filesystem.runs(node).unwrap(), u64::MAX).unwrap();
        let numbers = (1..=60_000).map(|number| number.to_string()).collect::<Vec<_>>().join("\n") + "\n";
        assert_eq!(Sha256::of(&content), Sha256::of(numbers.as_bytes()), "{name}");
        let used = filesystem.used(&Cancel::default()).unwrap();
        assert!((content.len() as u64..content.len() as u64 + 700_000).contains(&used), "{name}: {used}");
    }
}

#[test]
fn short_names_have_the_letters_of_their_code_page() {
    let bytes = fixture("small-fat12");
    let source = bytes.as_slice();
    let Content::FileSystem(filesystem) = open(Volume::whole(&source)).unwrap() else { panic!() };
    assert!(names(&filesystem).iter().any(|name| name.to_lowercase().ends_with("/äöü")), "{:?}", names(&filesystem));
}

#[test]
fn clusters_in_a_circle_end() {
    let mut bytes = fixture("small-fat16");
    // Every entry of both tables leads to the cluster 3.
    let (reserved, per_table) = (usize::from(short(&bytes, 14).unwrap()) * 512, usize::from(short(&bytes, 22).unwrap()) * 512);
    for entry in bytes[reserved + 4..reserved + per_table].chunks_exact_mut(2) {
        entry.copy_from_slice(&3_u16.to_le_bytes());
    }
    let source = bytes.as_slice();
    let Content::FileSystem(filesystem) = open(Volume::whole(&source)).unwrap() else { panic!() };
    assert!(filesystem.nodes(Limits::USUAL, &Cancel::default()).is_err());
}
