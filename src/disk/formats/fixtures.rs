//! What other programs wrote: `fixtures/disks/`, made by `fixtures/disks/make`.

use std::fs::{self, File};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::tests::{UNBOUNDED, unpacked};
use super::*;
use crate::progress::{Cancel, Silent};

/// A file of the folder, decompressed.
fn fixture(name: &str) -> NamedTempFile {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/disks/{name}.zst"));
    let out = NamedTempFile::new().unwrap();
    let file = File::open(&path).unwrap();
    compression::decompress(Compression::Zst, (&file, &path), (out.as_file(), out.path()), UNBOUNDED, &Silent, &Cancel::default()).unwrap();
    out
}

/// The files that hold the disk, and what they are.
pub(super) const READ: [(&str, Format); 17] = [
    ("plain.qcow2", Format::Qcow2),
    ("v2.qcow2", Format::Qcow2),
    ("small-clusters.qcow2", Format::Qcow2),
    ("large-clusters.qcow2", Format::Qcow2),
    ("zlib.qcow2", Format::Qcow2),
    ("zstd.qcow2", Format::Qcow2),
    ("zstd-large.qcow2", Format::Qcow2),
    ("dynamic.vhd", Format::Vhd),
    ("fixed.vhd", Format::Vhd),
    ("dynamic.vhdx", Format::Vhdx),
    ("small-blocks.vhdx", Format::Vhdx),
    ("fixed.vhdx", Format::Vhdx),
    ("sparse.vmdk", Format::Vmdk),
    ("zeroed-grain.vmdk", Format::Vmdk),
    ("stream.vmdk", Format::Vmdk),
    ("dynamic.vdi", Format::Vdi),
    ("static.vdi", Format::Vdi),
];

#[test]
fn what_qemu_img_wrote_is_read() {
    let expected = fs::read(fixture("disk.raw").path()).unwrap();
    for (name, format) in READ {
        let file = fixture(name);
        assert_eq!(recognise(&FileSource::new(file.reopen().unwrap()).unwrap()).unwrap(), format, "{name}");
        let out = unpacked(file.path(), None, UNBOUNDED).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(fs::read(out.path()).unwrap() == expected, "{name}");
    }
}

#[test]
fn disks_are_read_here_and_there() {
    let expected = fs::read(fixture("disk.raw").path()).unwrap();
    for (name, format) in READ {
        let file = FileSource::new(fixture(name).reopen().unwrap()).unwrap();
        let disk = DiskSource::new(open(&file, format).unwrap());
        assert_eq!(disk.len(), expected.len() as u64);
        // Backwards and across the borders of all blocks.
        for at in (0..expected.len()).rev().step_by(50_021) {
            let mut buffer = vec![1; 70_000.min(expected.len() - at)];
            disk.fill(&mut buffer, at as u64).unwrap();
            assert!(buffer == expected[at..at + buffer.len()], "{name} at {at}");
        }
        assert_eq!(disk.fill(&mut [0; 2], disk.len() - 1).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof, "{name}");
    }
}

#[test]
fn a_vhd_whose_length_was_rounded_up_to_its_geometry_is_read() {
    let expected = fs::read(fixture("disk.raw").path()).unwrap();
    let disk = fs::read(unpacked(fixture("geometry.vhd").path(), None, UNBOUNDED).unwrap().path()).unwrap();
    assert!(disk.len() > expected.len() && disk.starts_with(&expected) && disk[expected.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_sector_that_a_dynamic_vhd_never_wrote_is_zero() {
    let file = fixture("dynamic.vhd");
    let mut bytes = fs::read(file.path()).unwrap();
    let block = u32::from_be_bytes(bytes[1536..1540].try_into().unwrap()) as usize * 512;
    assert_eq!(bytes[block], 0xff, "qemu-img marks all sectors of a block");
    bytes[block + 120 / 8] = 0b0111_1111;
    fs::write(file.path(), bytes).unwrap();
    let mut expected = fs::read(fixture("disk.raw").path()).unwrap();
    assert_ne!(expected[120 * 512], 0);
    expected[120 * 512..121 * 512].fill(0);
    let out = unpacked(file.path(), None, UNBOUNDED).unwrap();
    assert!(fs::read(out.path()).unwrap() == expected);
}

#[test]
fn a_cluster_of_qcow2_that_is_marked_as_zeros_is_zero() {
    let file = fixture("plain.qcow2");
    let mut bytes = fs::read(file.path()).unwrap();
    let number = |bytes: &[u8], at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) & !(1 << 63);
    let l2 = number(&bytes, number(&bytes, 40) as usize) as usize;
    bytes[l2 + 7] |= 1;
    fs::write(file.path(), bytes).unwrap();
    let mut expected = fs::read(fixture("disk.raw").path()).unwrap();
    expected[..64 << 10].fill(0);
    assert!(fs::read(unpacked(file.path(), None, UNBOUNDED).unwrap().path()).unwrap() == expected);
}

#[test]
fn what_needs_more_than_the_file_is_refused_by_name() {
    for (name, said) in [
        ("backed.qcow2", "it stands on a backing file"),
        ("data.qcow2", "its data lie in another file"),
        ("encrypted.qcow2", "it is encrypted"),
        ("extended.qcow2", "it has extended L2 entries"),
        ("split.vmdk", "it is only the descriptor of a VMDK"),
        ("split-part.vmdk", "it is one part of a disk"),
        ("child.vmdk", "it stands on another image"),
    ] {
        let file = fixture(name);
        let error = unpacked(file.path(), None, UNBOUNDED).unwrap_err();
        assert!(error.to_string().contains(said), "{name}: {error}");
        assert!(error.hint().unwrap().contains(&format!("qemu-img convert -O qcow2 {}", file.path().display())), "{name}");
    }
}
