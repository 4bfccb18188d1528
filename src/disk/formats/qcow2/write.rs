//! Writes qcow2: only clusters that hold something. Every cluster of the file is used once; nothing is encrypted, compressed or shared.
//!
//! ```text
//! header │ L1 table │ L2 table, its data clusters │ L2 table, its data clusters │ … │ refcount blocks │ refcount table
//! ```
//!
//! Memory stays below one L2 table and the L1 table, whatever the size of the disk.

use super::{COPIED, HEADER_LEN, MAGIC, MAX_L1_LEN};
use crate::disk::formats::out::Out;
use crate::disk::formats::{Conversion, Result};

/// QEMU's own default: 64 KiB.
pub(super) const CLUSTER_BITS: u32 = 16;
pub(super) const CLUSTER: u64 = 1 << CLUSTER_BITS;

/// Entries of 8 bytes in a cluster: one L2 table spans 512 MiB of the disk.
pub(super) const L2_ENTRIES: u64 = CLUSTER / 8;

/// Refcounts of 16 bits in a cluster.
const REFCOUNTS: u64 = CLUSTER / 2;

/// 2 PiB of disk.
pub(super) const LARGEST: u64 = MAX_L1_LEN / 8 * L2_ENTRIES * CLUSTER;

/// A file on its way.
struct Writer<'a> {
    out: Out<'a>,
    size: u64,
    /// The next free cluster of the file.
    free: u64,
    l1: Vec<u64>,
    l2: Vec<u64>,
    /// Which L2 table is in `l2`, and its cluster once one of its clusters holds something.
    l2_index: u64,
    l2_cluster: Option<u64>,
}

/// Whether qcow2 holds a disk of that length.
pub(in crate::disk::formats) fn holds(len: u64) -> bool {
    len.is_multiple_of(512) && len <= LARGEST
}

/// Writes the disk as qcow2.
pub(in crate::disk::formats) fn write(job: &Conversion<'_>) -> Result<()> {
    let size = job.raw.len();
    let l1 = vec![0; size.div_ceil(L2_ENTRIES * CLUSTER) as usize];
    let free = 1 + (l1.len() as u64 * 8).div_ceil(CLUSTER);
    let mut writer = Writer { out: job.out, size, free, l1, l2: vec![0; L2_ENTRIES as usize], l2_index: 0, l2_cluster: None };
    job.blocks(CLUSTER as usize, |index, bytes| writer.add(index, bytes))?;
    writer.finish()
}

impl Writer<'_> {
    /// Adds a cluster of the disk that comes after all before.
    fn add(&mut self, index: u64, bytes: &[u8]) -> Result<()> {
        if index / L2_ENTRIES != self.l2_index {
            self.flush_l2()?;
            self.l2_index = index / L2_ENTRIES;
        }
        if self.l2_cluster.is_none() {
            self.l2_cluster = Some(self.take());
        }
        let place = self.take();
        self.l2[(index % L2_ENTRIES) as usize] = (place * CLUSTER) | COPIED;
        self.put(place, bytes)
    }

    /// Writes the tables; the file is whole after this.
    fn finish(mut self) -> Result<()> {
        self.flush_l2()?;
        let l1 = big_endian(&self.l1);
        self.put(1, &l1)?;
        self.put_refcounts()
    }

    fn flush_l2(&mut self) -> Result<()> {
        if let Some(cluster) = self.l2_cluster.take() {
            self.l1[self.l2_index as usize] = (cluster * CLUSTER) | COPIED;
            let table = big_endian(&self.l2);
            self.put(cluster, &table)?;
            self.l2.fill(0);
        }
        Ok(())
    }

    /// Every cluster has the refcount one, those that hold the refcounts too.
    fn put_refcounts(&mut self) -> Result<()> {
        let content = self.free;
        let (mut blocks, mut table) = (0, 0);
        // More blocks may need more blocks: settles after very few rounds.
        loop {
            let total = content + blocks + table;
            let (wanted, needed) = (total.div_ceil(REFCOUNTS), (total.div_ceil(REFCOUNTS) * 8).div_ceil(CLUSTER));
            if (wanted, needed) == (blocks, table) {
                break;
            }
            (blocks, table) = (wanted, needed);
        }
        let total = content + blocks + table;
        for block in 0..blocks {
            let used = (total - block * REFCOUNTS).min(REFCOUNTS);
            let mut bytes = vec![0; CLUSTER as usize];
            for count in bytes.chunks_exact_mut(2).take(used as usize) {
                count[1] = 1;
            }
            self.put(content + block, &bytes)?;
        }
        let entries: Vec<u64> = (content..content + blocks).map(|cluster| cluster * CLUSTER).collect();
        self.put(content + blocks, &big_endian(&entries))?;
        self.out.set_len(total * CLUSTER)?;
        self.put(0, &self.header((content + blocks) * CLUSTER, table))
    }

    fn header(&self, refcount_table: u64, refcount_clusters: u64) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_LEN as usize + 8);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&3_u32.to_be_bytes());
        // No backing file: offset and length.
        header.extend_from_slice(&[0; 12]);
        header.extend_from_slice(&CLUSTER_BITS.to_be_bytes());
        header.extend_from_slice(&self.size.to_be_bytes());
        // Not encrypted.
        header.extend_from_slice(&0_u32.to_be_bytes());
        header.extend_from_slice(&(self.l1.len() as u32).to_be_bytes());
        header.extend_from_slice(&CLUSTER.to_be_bytes());
        header.extend_from_slice(&refcount_table.to_be_bytes());
        header.extend_from_slice(&(refcount_clusters as u32).to_be_bytes());
        // No snapshots: count and offset. No feature bits: incompatible, compatible, autoclear.
        header.extend_from_slice(&[0; 12 + 24]);
        // Refcounts of 2^4 bits.
        header.extend_from_slice(&4_u32.to_be_bytes());
        header.extend_from_slice(&HEADER_LEN.to_be_bytes());
        // The end of the list of extensions.
        header.extend_from_slice(&[0; 8]);
        header
    }

    fn take(&mut self) -> u64 {
        self.free += 1;
        self.free - 1
    }

    fn put(&self, cluster: u64, bytes: &[u8]) -> Result<()> {
        self.out.put(cluster * CLUSTER, bytes)
    }
}

fn big_endian(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}
