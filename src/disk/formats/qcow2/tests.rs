//! What is written is read back by a reader of its own, which counts clusters.

use std::path::Path;

use super::COPIED;
use super::write::{CLUSTER, L2_ENTRIES, LARGEST};
use crate::disk::formats::tests::{convert, sparse};
use crate::disk::formats::{Error, Format};

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
fn each_cluster_is_used_once_and_counted_once() {
    let size = (513 << 20) + 512;
    let pieces = [(0, 1), (70_000, 200_000), ((512 << 20) - 1, 2), (size - 1, 1)];
    let raw = sparse(size, &pieces);
    let out = convert(&raw, Format::Qcow2).unwrap();
    assert!(read_back(out.path()) == std::fs::read(raw.path()).unwrap());
}

#[test]
fn zeros_take_no_room() {
    let empty = convert(&sparse(1 << 30, &[]), Format::Qcow2).unwrap();
    let zeros = sparse(0, &[]);
    std::fs::write(zeros.path(), vec![0; 1 << 20]).unwrap();
    zeros.as_file().set_len(1 << 30).unwrap();
    let zeros = convert(&zeros, Format::Qcow2).unwrap();
    assert_eq!(std::fs::read(empty.path()).unwrap(), std::fs::read(zeros.path()).unwrap());
    assert_eq!(empty.as_file().metadata().unwrap().len(), 4 * CLUSTER, "header, L1, refcount block, refcount table");
}

#[test]
fn refuses_sizes_that_cannot_be() {
    for size in [511, LARGEST + 512] {
        let raw = tempfile::NamedTempFile::new().unwrap();
        // Files of that length are not on every file system.
        if raw.as_file().set_len(size).is_ok() {
            assert!(matches!(convert(&raw, Format::Qcow2), Err(Error::Size { .. })));
        }
    }
}
