//! Files that lie: each field at its limits, tables that point anywhere, ends that are missing. An error comes, and soon; never a panic, never much memory.

use std::fs;

use proptest::prelude::*;

use super::fixtures::READ;
use super::tests::UNBOUNDED;
use super::*;

/// Above this, a walk stops: a test's time is bounded too.
const RUNS: u64 = 100_000;

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/disks/{name}.zst", env!("CARGO_MANIFEST_DIR"));
    zstd::decode_all(fs::File::open(path).unwrap()).unwrap()
}

/// Reads all of a disk, as [`unpack()`] does, but into nothing.
fn walk(bytes: &[u8], format: Format) -> Result<u64, Problem> {
    let mut disk = open(&bytes, format)?;
    let (mut offset, mut runs, mut buffer) = (0, 0, Vec::new());
    while offset < disk.len() && runs < RUNS {
        let (len, run) = disk.run(offset)?;
        assert!(len > 0 && offset + len <= disk.len(), "a run is in the disk");
        if run != Run::Zeros {
            buffer.resize(len.min(2 << 20) as usize, 0);
            disk.read(run, 0, &mut buffer)?;
        }
        offset += len;
        runs += 1;
    }
    Ok(disk.len())
}

/// What is said of a file in which these bytes stand at this offset.
fn said(name: &str, format: Format, at: usize, change: &[u8]) -> String {
    let mut bytes = bytes(name);
    bytes[at..at + change.len()].copy_from_slice(change);
    walk(&bytes, format).map_or_else(|problem| problem.to_string(), |len| format!("a disk of {len}"))
}

#[test]
fn fields_of_qcow2_are_bounded() {
    let said = |at, change: &[u8]| said("plain.qcow2", Format::Qcow2, at, change);
    assert_eq!(said(0, b"QFI\xfa"), "it has not the signature of qcow2");
    assert_eq!(said(4, &9_u32.to_be_bytes()), "it has version 9 of the format; 2 and 3 are known");
    for bits in [0_u32, 8, 22, 63, u32::MAX] {
        assert_eq!(said(20, &bits.to_be_bytes()), "the length of its clusters is out of bounds");
    }
    assert_eq!(said(24, &u64::MAX.to_be_bytes()), "its L1 table is too short for its disk");
    assert_eq!(said(36, &u32::MAX.to_be_bytes()), "its L1 table is out of bounds");
    assert_eq!(said(36, &(4_u32 << 20).to_be_bytes()), "it ends too early", "an L1 table of 32 MiB is not in the file");
    assert_eq!(said(40, &u64::MAX.to_be_bytes()), "its L1 table is out of bounds");
    assert_eq!(said(40, &(u64::MAX << 16).to_be_bytes()), "it ends too early");
    assert_eq!(said(72, &(1_u64 << 63).to_be_bytes()), "it has features that are not known (bits 0x8000000000000000)");
    assert_eq!(said(72, &2_u64.to_be_bytes()), "it is marked as corrupt");
    assert_eq!(said(72, &1_u64.to_be_bytes()), "a disk of 3146752", "refcounts may be wrong for a reader");
}

#[test]
fn tables_of_qcow2_point_into_the_file() {
    let original = bytes("plain.qcow2");
    let number = |at: usize| u64::from_be_bytes(original[at..at + 8].try_into().unwrap());
    let l1 = number(40) as usize;
    let l2 = (number(l1) & 0x00ff_ffff_ffff_fe00) as usize;
    let said = |at, change: u64| said("plain.qcow2", Format::Qcow2, at, &change.to_be_bytes());
    assert_eq!(said(l1, 1 << 63 | 1 << 40), "it ends too early");
    assert_eq!(said(l1, 1 << 9), "an L2 table does not begin with a cluster");
    assert_eq!(said(l2, 1 << 63 | 1 << 40), "it ends too early");
    assert_eq!(said(l2, 1 << 9), "a cluster does not begin where clusters do");
    assert_eq!(said(l2, 1 << 62 | 1 << 50), "it ends too early");
    assert_eq!(said(l2, u64::MAX), "it ends too early");
    assert_eq!(said(l2, 1 << 62), "its compressed bytes cannot be read", "the header is no deflated cluster");
    // A table that is its own cluster is only bytes: there is nowhere to go in a circle.
    assert_eq!(said(l2, l2 as u64 | 1 << 63), "a disk of 3146752");
}

#[test]
fn what_lies_beyond_the_end_is_told_before_it_is_read() {
    for (name, format, at, entry) in [
        ("dynamic.vdi", Format::Vdi, 0x200, 0xffff_fffd_u32.to_le_bytes().to_vec()),
        ("plain.qcow2", Format::Qcow2, 4 << 16, (1_u64 << 62 | 1 << 40).to_be_bytes().to_vec()),
        ("plain.qcow2", Format::Qcow2, 4 << 16, (1_u64 << 40).to_be_bytes().to_vec()),
    ] {
        let mut bytes = bytes(name);
        bytes[at..at + entry.len()].copy_from_slice(&entry);
        let bytes = bytes.as_slice();
        assert!(matches!(open(&bytes, format).unwrap().run(0), Err(Problem::CutOff)), "{name}");
    }
}

#[test]
fn a_part_that_is_used_twice_is_refused_before_it_fills_the_disk() {
    let mut bytes = bytes("plain.qcow2");
    let l1 = u64::from_be_bytes(bytes[40..48].try_into().unwrap()) as usize;
    let l2 = u64::from_be_bytes(bytes[l1..l1 + 8].try_into().unwrap()) as usize & !(1 << 63);
    let cluster: [u8; 8] = bytes[l2..l2 + 8].try_into().unwrap();
    for entry in bytes[l2..l2 + 48 * 8].as_chunks_mut::<8>().0 {
        *entry = cluster;
    }
    let path = tempfile::NamedTempFile::new().unwrap();
    fs::write(path.path(), bytes).unwrap();
    let error = super::tests::unpacked(path.path(), None, UNBOUNDED).unwrap_err();
    assert!(matches!(&error, Error::Unreadable { problem: Problem::Wrong(what), .. } if what.contains("used twice")), "{error}");
}

#[test]
fn fields_of_vdi_are_bounded() {
    let said = |at, change: &[u8]| said("dynamic.vdi", Format::Vdi, at, change);
    assert_eq!(said(0x40, &[0; 4]), "it has not the signature of VDI");
    assert_eq!(said(0x44, &[0, 0, 2, 0]), "it has version 2.0 of the format; 1.1 is known");
    assert_eq!(said(0x4c, &[4]), "it is no image of its own (a snapshot, a difference; kind 4)");
    assert_eq!(said(0x1b8, &[1]), "it stands on another image");
    for block in [0_u32, 3, 256, 1 << 31, u32::MAX] {
        assert_eq!(said(0x178, &block.to_le_bytes()), "the length of its blocks is out of bounds");
    }
    assert_eq!(said(0x170, &u64::MAX.to_le_bytes()), "its map is too short for its disk");
    assert_eq!(said(0x180, &u32::MAX.to_le_bytes()), "it ends too early");
    assert_eq!(said(0x154, &u32::MAX.to_le_bytes()), "it ends too early");
    assert_eq!(said(0x158, &u32::MAX.to_le_bytes()), "it ends too early");
    assert_eq!(said(0x200, &0xffff_fffd_u32.to_le_bytes()), "it ends too early");
}

#[test]
fn fields_of_vhd_are_bounded() {
    // The checksums are made to hold, so that what they guard is looked at.
    let said = |at: usize, change: &[u8]| {
        let mut bytes = bytes("dynamic.vhd");
        bytes[at..at + change.len()].copy_from_slice(change);
        for (begin, len, sum_at) in [(0, 512, 64), (512, 1024, 36)] {
            bytes[begin + sum_at..begin + sum_at + 4].fill(0);
            let sum = !bytes[begin..begin + len].iter().fold(0_u32, |sum, byte| sum + u32::from(*byte));
            bytes[begin + sum_at..begin + sum_at + 4].copy_from_slice(&sum.to_be_bytes());
        }
        walk(&bytes, Format::Vhd).map_or_else(|problem| problem.to_string(), |len| format!("a disk of {len}"))
    };
    assert_eq!(said(0, b"conectix"), "a disk of 3146752");
    assert_eq!(said(60, &4_u32.to_be_bytes()), "it stands on another image (a differencing disk)");
    assert_eq!(said(60, &7_u32.to_be_bytes()), "it is of a kind that is not known (7)");
    assert_eq!(said(16, &u64::MAX.to_be_bytes()), "it ends too early");
    assert_eq!(said(16, &0_u64.to_be_bytes()), "it has no header");
    assert_eq!(said(48, &u64::MAX.to_be_bytes()), "its table is too short for its disk");
    assert_eq!(said(512 + 16, &u64::MAX.to_be_bytes()), "it ends too early");
    assert_eq!(said(512 + 28, &u32::MAX.to_be_bytes()), "it ends too early");
    for block in [0_u32, 512, 3 << 20, 1 << 31] {
        assert_eq!(said(512 + 32, &block.to_be_bytes()), "the length of its blocks is out of bounds");
    }
    assert_eq!(said(1536, &0xffff_fffe_u32.to_be_bytes()), "it ends too early", "a block beyond the end");
    assert_eq!(super::hostile::said("dynamic.vhd", Format::Vhd, 48, &[1]), "the checksum of its footer does not hold");
    assert_eq!(super::hostile::said("dynamic.vhd", Format::Vhd, 512 + 32, &[1]), "the checksum of its header does not hold");
    let fixed = bytes("fixed.vhd");
    assert!(walk(&fixed[512..], Format::Vhd).is_err(), "a fixed disk that lost its beginning");
}

#[test]
fn fields_of_vhdx_are_bounded() {
    let said = |at, change: &[u8]| said("dynamic.vhdx", Format::Vhdx, at, change);
    assert_eq!(said(0, b"vhdxfilf"), "it has not the signature of VHDX");
    let mut broken = bytes("dynamic.vhdx");
    broken[64 << 10] = 0;
    assert!(walk(&broken, Format::Vhdx).is_ok(), "one header is enough");
    broken[128 << 10] = 0;
    assert_eq!(walk(&broken, Format::Vhdx).unwrap_err().to_string(), "both its headers are damaged");
    let mut broken = bytes("dynamic.vhdx");
    broken[192 << 10] = 0;
    assert!(walk(&broken, Format::Vhdx).is_ok(), "one table of regions is enough");
    broken[256 << 10] = 0;
    assert_eq!(walk(&broken, Format::Vhdx).unwrap_err().to_string(), "both its tables of regions are damaged");

    // A log that is not empty: its identifier is no zeros.
    let mut unclosed = bytes("dynamic.vhdx");
    for at in [64 << 10, 128 << 10] {
        unclosed[at + 48] = 1;
        let sum = vhdx::checksum(&unclosed[at..at + 4096]);
        unclosed[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
    }
    let problem = walk(&unclosed, Format::Vhdx).unwrap_err();
    assert!(problem.to_string().starts_with("its log is not empty") && problem.hint("x".as_ref()).unwrap().ends_with("qemu-img check -r all x"));

    let metadata = bytes("dynamic.vhdx").windows(8).position(|bytes| bytes == b"metadata").unwrap();
    assert_eq!(said(metadata, b"?"), "its metadata are damaged");
    assert_eq!(said(metadata + 10, &[0, 0]), "its metadata lack the length of the disk, of its blocks or of its sectors");
    assert_eq!(said(metadata + 32 + 16, &u32::MAX.to_le_bytes()), "an item of its metadata is out of bounds");
}

#[test]
fn fields_of_vmdk_are_bounded() {
    let said = |at, change: &[u8]| said("sparse.vmdk", Format::Vmdk, at, change);
    assert_eq!(said(0, b"KDMW"), "it has not the signature of VMDK");
    assert_eq!(said(4, &4_u32.to_le_bytes()), "it has version 4 of the format; 1 to 3 are known");
    assert_eq!(said(12, &u64::MAX.to_le_bytes()), "a length in its header is out of bounds");
    assert_eq!(said(12, &(u64::MAX >> 9).to_le_bytes()), "it ends too early", "a directory for so many grains is not in the file");
    for grain in [0_u64, 3, 1 << 13, u64::MAX] {
        assert!(said(20, &grain.to_le_bytes()).ends_with("out of bounds"));
    }
    for entries in [0_u32, 1 << 17, u32::MAX] {
        assert_eq!(said(44, &entries.to_le_bytes()), "the length of its grains or of its grain tables is out of bounds");
    }
    assert_eq!(said(28, &u64::MAX.to_le_bytes()), "it ends too early");
    assert_eq!(said(36, &u64::MAX.to_le_bytes()), "its descriptor is too long");
    assert_eq!(said(56, &(1_u64 << 40).to_le_bytes()), "it ends too early");
    assert_eq!(said(56, &u64::MAX.to_le_bytes()), "it ends too early", "there is no footer");
    let text = |from: &str, to: &str| {
        let mut bytes = bytes("sparse.vmdk");
        let at = bytes.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        walk(&bytes, Format::Vmdk).unwrap_err().to_string()
    };
    assert_eq!(text("parentCID=f", "parentCID=0"), "it stands on another image (a snapshot)");
    assert_eq!(text("monolithicSparse", "monolithicSparsf"), "its kind is monolithicSparsf, whose data lie in other files");
    assert_eq!(text("createType", "CreateType"), "its descriptor does not say what kind of disk it is");
    assert_eq!(text("#DDB\n", "RW 9\n"), "its kind is monolithicSparse, whose data lie in other files");
}

#[test]
fn every_file_that_is_cut_off_is_told() {
    for (name, format) in READ {
        let bytes = bytes(name);
        for keep in (0..16).map(|part| bytes.len() * part / 16) {
            // The end of some files is not needed: a copy of the footer, zeros of a last block.
            if let Err(problem) = walk(&bytes[..keep], format) {
                assert!(!matches!(problem, Problem::Io(_)), "{name}: {problem:?}");
            } else {
                assert!(keep > bytes.len() / 2, "{name} is not whole with {keep} of {} bytes", bytes.len());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_changed_nothing_panics(
        which in 0..READ.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..64, proptest::collection::vec(any::<u8>(), 1..9)), 1..6),
        to in any::<prop::sample::Index>(),
    ) {
        let (name, format) = READ[which];
        let mut bytes = bytes(name);
        // What structures there are is at the beginning, and in VHDX and streams somewhere behind.
        let zeros = [0; 64];
        let places: Vec<usize> = bytes.chunks(64).enumerate().filter(|(at, line)| *at < 32 || **line != zeros).map(|(at, _)| at * 64).collect();
        for (at, within, change) in changes {
            let at = places[at.index(places.len())] + within;
            for (place, byte) in bytes.iter_mut().skip(at).zip(change) {
                *place = byte;
            }
        }
        let _ = walk(&bytes, format);
        bytes.truncate(to.index(bytes.len()));
        let _ = walk(&bytes, format);
    }

    #[test]
    fn no_bytes_are_taken_for_a_disk_with_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = recognise(&bytes.as_slice());
        for format in Format::ALL {
            let _ = walk(&bytes, format);
        }
    }
}
