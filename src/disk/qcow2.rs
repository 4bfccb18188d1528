//! A raw disk as qcow2, version 3 (QEMU's `docs/interop/qcow2.txt`): only clusters that hold something are written.
//!
//! ```text
//! header │ L1 table │ L2 table, its data clusters │ L2 table, its data clusters │ … │ refcount blocks │ refcount table
//! ```
//!
//! The disk is given front to back ([`Writer::write`]), in pieces of any length, and what is left out is zero; memory stays below one L2 table and
//! the L1 table, whatever the size of the disk. The same disk gives the same bytes, however it was cut into pieces. Nothing is encrypted, compressed
//! or shared: every cluster of the file is used once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::progress::{Cancel, Cancelled, Event, Phase, Progress};
use crate::units::ByteSize;

/// QEMU's own default: 64 KiB.
const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;

/// Entries of 8 bytes in a cluster: one L2 table spans 512 MiB of the disk.
const L2_ENTRIES: u64 = CLUSTER / 8;

/// Refcounts of 16 bits in a cluster.
const REFCOUNTS: u64 = CLUSTER / 2;

/// In an entry of L1 and L2: the cluster is used once and may be written in place.
const COPIED: u64 = 1 << 63;

/// QEMU refuses an L1 table above 32 MiB: 2 PiB of disk.
const LARGEST: u64 = (32 << 20) / 8 * L2_ENTRIES * CLUSTER;

/// Bytes of the header of version 3 without extensions.
const HEADER_LEN: u32 = 104;

/// Bytes copied at a time by [`convert`].
const BUFFER: usize = 1 << 20;

/// A disk that could not be written as qcow2.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// The operating system refused something.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not a whole number of sectors, or more than QEMU opens.
    #[error("a disk of {0} cannot be written as qcow2: the size must be a multiple of 512 bytes, at most 2 PiB")]
    Size(ByteSize),
    /// A piece that does not come after the one before, or goes beyond the disk's end.
    #[error("the pieces of the disk are not in order at byte {0}")]
    Order(u64),
    /// The user asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Qcow2Error {
    fn io<E: Into<std::io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}

/// Writes one qcow2 file.
#[derive(Debug)]
#[must_use = "a qcow2 file is not readable before `finish`"]
pub struct Writer<'a> {
    out: &'a File,
    path: &'a Path,
    size: u64,
    /// The next free cluster of the file.
    free: u64,
    l1: Vec<u64>,
    l2: Vec<u64>,
    /// Which L2 table is in `l2`, and its cluster once one of its clusters holds something.
    l2_index: u64,
    l2_cluster: Option<u64>,
    /// The cluster of the disk that is being gathered, and its bytes.
    index: u64,
    cluster: Vec<u8>,
    /// All before this offset was given.
    position: u64,
}

impl<'a> Writer<'a> {
    /// A writer of a disk of `size` bytes into `out`, which is emptied. `path` is its place, for errors.
    ///
    /// # Errors
    /// [`Qcow2Error::Size`], or what the operating system says.
    pub fn new(out: &'a File, path: &'a Path, size: u64) -> Result<Self, Qcow2Error> {
        if !size.is_multiple_of(512) || size > LARGEST {
            return Err(Qcow2Error::Size(ByteSize(size)));
        }
        out.set_len(0).map_err(Qcow2Error::io("empty", path))?;
        let l1 = vec![0; size.div_ceil(L2_ENTRIES * CLUSTER) as usize];
        Ok(Self {
            out,
            path,
            size,
            free: 1 + (l1.len() as u64 * 8).div_ceil(CLUSTER),
            l1,
            l2: vec![0; L2_ENTRIES as usize],
            l2_index: 0,
            l2_cluster: None,
            index: 0,
            cluster: vec![0; CLUSTER as usize],
            position: 0,
        })
    }

    /// Takes the bytes at `offset` of the disk. Offsets ascend; what is left out between them is zero.
    ///
    /// # Errors
    /// [`Qcow2Error::Order`], or what the operating system says.
    pub fn write(&mut self, offset: u64, mut bytes: &[u8]) -> Result<(), Qcow2Error> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| offset >= self.position && *end <= self.size);
        self.position = end.ok_or(Qcow2Error::Order(offset))?;
        let mut offset = offset;
        while !bytes.is_empty() {
            if offset / CLUSTER != self.index {
                self.flush()?;
                self.index = offset / CLUSTER;
            }
            let within = (offset % CLUSTER) as usize;
            let (now, rest) = bytes.split_at(bytes.len().min(CLUSTER as usize - within));
            self.cluster[within..within + now.len()].copy_from_slice(now);
            offset += now.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Writes the tables; the file is whole after this. It is not synced.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn finish(mut self) -> Result<(), Qcow2Error> {
        self.flush()?;
        self.flush_l2()?;
        let l1 = big_endian(&self.l1);
        self.put(1, &l1)?;
        self.put_refcounts()
    }

    /// Writes the gathered cluster, unless it is zero, and clears it.
    fn flush(&mut self) -> Result<(), Qcow2Error> {
        if is_zero(&self.cluster) {
            return Ok(());
        }
        if self.index / L2_ENTRIES != self.l2_index {
            self.flush_l2()?;
            self.l2_index = self.index / L2_ENTRIES;
        }
        if self.l2_cluster.is_none() {
            self.l2_cluster = Some(self.take());
        }
        let place = self.take();
        self.l2[(self.index % L2_ENTRIES) as usize] = (place * CLUSTER) | COPIED;
        self.put(place, &self.cluster)?;
        self.cluster.fill(0);
        Ok(())
    }

    fn flush_l2(&mut self) -> Result<(), Qcow2Error> {
        if let Some(cluster) = self.l2_cluster.take() {
            self.l1[self.l2_index as usize] = (cluster * CLUSTER) | COPIED;
            let table = big_endian(&self.l2);
            self.put(cluster, &table)?;
            self.l2.fill(0);
        }
        Ok(())
    }

    /// Every cluster has the refcount one, those that hold the refcounts too.
    fn put_refcounts(&mut self) -> Result<(), Qcow2Error> {
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
        self.out.set_len(total * CLUSTER).map_err(Qcow2Error::io("size", self.path))?;
        self.put(0, &self.header((content + blocks) * CLUSTER, table))
    }

    fn header(&self, refcount_table: u64, refcount_clusters: u64) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_LEN as usize + 8);
        header.extend_from_slice(b"QFI\xfb");
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

    fn put(&self, cluster: u64, bytes: &[u8]) -> Result<(), Qcow2Error> {
        self.out.write_all_at(bytes, cluster * CLUSTER).map_err(Qcow2Error::io("write", self.path))
    }
}

/// Writes a raw disk file as qcow2. Holes of the file are not read. Reports [`Phase::Write`] in bytes of the disk.
///
/// # Errors
/// See [`Qcow2Error`].
pub fn convert(raw: (&File, &Path), out: (&File, &Path), progress: &dyn Progress, cancel: &Cancel) -> Result<(), Qcow2Error> {
    let size = raw.0.metadata().map_err(Qcow2Error::io("read", raw.1))?.len();
    progress.report(Event::Start { phase: Phase::Write, total: Some(size) });
    let mut writer = Writer::new(out.0, out.1, size)?;
    let mut buffer = vec![0; BUFFER];
    let mut offset = 0;
    while let Some((start, end)) = next_data(raw, offset, size)? {
        progress.report(Event::Advance { phase: Phase::Write, by: start - offset });
        offset = start;
        while offset < end {
            cancel.check()?;
            let count = buffer.len().min((end - offset) as usize);
            raw.0.read_exact_at(&mut buffer[..count], offset).map_err(Qcow2Error::io("read", raw.1))?;
            writer.write(offset, &buffer[..count])?;
            offset += count as u64;
            progress.report(Event::Advance { phase: Phase::Write, by: count as u64 });
        }
    }
    writer.finish()?;
    progress.report(Event::Advance { phase: Phase::Write, by: size - offset });
    progress.report(Event::Finish { phase: Phase::Write });
    Ok(())
}

/// The next run of the file that is no hole.
fn next_data((file, path): (&File, &Path), from: u64, size: u64) -> Result<Option<(u64, u64)>, Qcow2Error> {
    if from >= size {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(start) if start < size => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(Qcow2Error::io("read", path)(errno)),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start)).map_err(Qcow2Error::io("read", path))?;
    Ok(Some((start, end.min(size))))
}

fn is_zero(bytes: &[u8]) -> bool {
    // The compiler makes wide comparisons of it.
    bytes.iter().all(|byte| *byte == 0)
}

fn big_endian(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests;
