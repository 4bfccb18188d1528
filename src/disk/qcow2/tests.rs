//! What is written is read back by a reader of its own and judged by `qemu-img`.

use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::disk::program;
use crate::progress::Silent;

fn written(size: u64, pieces: &[(u64, &[u8])]) -> Result<tempfile::NamedTempFile, Qcow2Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = Writer::new(file.as_file(), file.path(), size)?;
    for (offset, bytes) in pieces {
        writer.write(*offset, bytes)?;
    }
    writer.finish()?;
    Ok(file)
}

fn number(bytes: &[u8], at: u64) -> u64 {
    u64::from_be_bytes(bytes[at as usize..at as usize + 8].try_into().unwrap())
}

/// Reads the disk back, and checks that each cluster is used once and counted once.
fn read_back(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(&bytes[..8], b"QFI\xfb\0\0\0\x03");
    let (size, l1, table) = (number(&bytes, 24), number(&bytes, 40), number(&bytes, 48));
    let l1_len = number(&bytes, 32) & 0xffff_ffff;
    let mut disk = vec![0; size as usize];
    let mut used = vec![0; bytes.len() / CLUSTER as usize];
    let mut mark = |offset: u64, len: u64| (offset / CLUSTER..(offset + len).div_ceil(CLUSTER)).for_each(|cluster| used[cluster as usize] += 1);
    mark(0, 1);
    mark(l1, l1_len * 8);
    for upper in 0..l1_len {
        let l2 = number(&bytes, l1 + upper * 8) & !COPIED;
        if l2 == 0 {
            continue;
        }
        mark(l2, CLUSTER);
        for lower in 0..L2_ENTRIES {
            let entry = number(&bytes, l2 + lower * 8);
            if entry != 0 {
                assert_ne!(entry & COPIED, 0);
                let place = entry & !COPIED;
                mark(place, CLUSTER);
                let at = (upper * L2_ENTRIES + lower) * CLUSTER;
                let len = CLUSTER.min(size - at);
                disk[at as usize..(at + len) as usize].copy_from_slice(&bytes[place as usize..(place + len) as usize]);
            }
        }
    }
    mark(table, (number(&bytes, 56) >> 32) * CLUSTER);
    let mut counts = Vec::new();
    for at in (table..table + (number(&bytes, 56) >> 32) * CLUSTER).step_by(8) {
        let block = number(&bytes, at);
        if block != 0 {
            mark(block, CLUSTER);
            counts.extend(bytes[block as usize..(block + CLUSTER) as usize].chunks_exact(2).map(|count| u16::from_be_bytes([count[0], count[1]])));
        }
    }
    assert!(used.iter().all(|count| *count == 1), "each cluster is used once");
    assert!(counts.iter().take(used.len()).all(|count| *count == 1) && counts.iter().skip(used.len()).all(|count| *count == 0));
    disk
}

#[test]
fn qemu_img_finds_no_error_and_the_same_disk() {
    let Some(qemu_img) = program::find("qemu-img") else { return };
    let raw = tempfile::NamedTempFile::new().unwrap();
    let size = (3 << 30) + 512;
    raw.as_file().set_len(size).unwrap();
    for offset in [0, 70_000, (512 << 20) - 1, 2 << 30, size - 1] {
        raw.as_file().write_all_at(b"x", offset).unwrap();
    }
    raw.as_file().write_all_at(&vec![7; 5 << 20], 1 << 30).unwrap();
    let out = tempfile::NamedTempFile::new().unwrap();
    convert((raw.as_file(), raw.path()), (out.as_file(), out.path()), &Silent, &Cancel::default()).unwrap();
    let judge = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    };
    judge(Command::new(&qemu_img).args(["check", "-f", "qcow2"]).arg(out.path()));
    judge(Command::new(&qemu_img).args(["compare", "-f", "qcow2", "-F", "raw"]).arg(out.path()).arg(raw.path()));
    assert!(out.as_file().metadata().unwrap().len() < 7 << 20);
}

#[test]
fn zeros_take_no_room() {
    let empty = written(1 << 30, &[]).unwrap();
    let zeros = written(1 << 30, &[(0, &vec![0; 1 << 20])]).unwrap();
    assert_eq!(std::fs::read(empty.path()).unwrap(), std::fs::read(zeros.path()).unwrap());
    assert_eq!(empty.as_file().metadata().unwrap().len(), 4 * CLUSTER, "header, L1, refcount block, refcount table");
    assert!(read_back(empty.path()).iter().all(|byte| *byte == 0));
}

#[test]
fn refuses_sizes_and_pieces_that_cannot_be() {
    for size in [511, !511, LARGEST + 512] {
        assert!(matches!(written(size, &[]), Err(Qcow2Error::Size(_))));
    }
    assert!(written(LARGEST, &[]).is_ok());
    for pieces in [&[(10, &b"abc"[..]), (12, b"d")][..], &[(1023, b"ab")], &[(u64::MAX, b"ab")]] {
        assert!(matches!(written(1024, pieces), Err(Qcow2Error::Order(_))));
    }
}

#[test]
fn stops_when_asked() {
    let (raw, out) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    raw.as_file().write_all_at(&[1; 512], 0).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let result = convert((raw.as_file(), raw.path()), (out.as_file(), out.path()), &Silent, &cancel);
    assert!(matches!(result, Err(Qcow2Error::Cancelled(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn the_disk_is_read_back_however_it_was_cut(
        runs in proptest::collection::vec((0_u64..400_000, 0_usize..200_000, any::<u8>()), 0..8),
        cut in 1_usize..100_000,
    ) {
        let mut disk = Vec::new();
        let mut whole = Vec::new();
        for (gap, len, byte) in runs {
            disk.resize(disk.len() + gap as usize, 0);
            whole.push((disk.len() as u64, len));
            disk.resize(disk.len() + len, byte);
        }
        disk.resize(disk.len().next_multiple_of(512), 0);
        let in_runs: Vec<(u64, &[u8])> = whole.iter().map(|(offset, len)| (*offset, &disk[*offset as usize..*offset as usize + len])).collect();
        let in_cuts: Vec<(u64, &[u8])> = disk.chunks(cut).enumerate().map(|(at, bytes)| ((at * cut) as u64, bytes)).collect();
        let (a, b) = (written(disk.len() as u64, &in_runs).unwrap(), written(disk.len() as u64, &in_cuts).unwrap());
        prop_assert_eq!(std::fs::read(a.path()).unwrap(), std::fs::read(b.path()).unwrap());
        prop_assert_eq!(read_back(a.path()), disk);
    }
}
