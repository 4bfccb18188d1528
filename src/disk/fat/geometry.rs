//! Where things lie on a FAT file system, and its first sectors.

use super::folder::Plan;
use super::{Error, Out, Partition, SECTOR};

/// The smallest partition that we format: below it a driver would see FAT12.
pub(super) const SMALLEST: u64 = 4 << 20;

/// The largest partition that is formatted with 16 bits: 65,524 clusters of 32 KiB, the largest that every driver takes.
pub(in crate::disk) const LARGEST_FAT16: u64 = (2 << 30) - (1 << 20);

/// With fewer clusters it is FAT16 (and no FAT16 has so many). A few more are kept away from the border, as Microsoft advises.
const FAT32_CLUSTERS: u64 = 65_525 + 16;

/// Entries of the root folder on FAT16, which has its own place: what every formatter takes.
const FAT16_ROOT_ENTRIES: u64 = 512;

/// The reserved sectors of FAT32: boot sector, `FSInfo`, and their backups at 6 and 7.
const FAT32_RESERVED: u64 = 32;

/// Data begins at a multiple of 4 KiB, so that no cluster crosses a page or a sector of a modern disk.
const DATA_ALIGNMENT: u64 = 8;

/// Width of an entry of the FAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fat16,
    Fat32,
}

/// Where things lie; in sectors of 512 bytes from the start of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) kind: Kind,
    pub(super) clusters: u64,
    total: u64,
    cluster_sectors: u64,
    reserved: u64,
    fat_sectors: u64,
}

impl Geometry {
    /// The geometry for a partition of `len` bytes, with 32 bits where there are clusters enough for them and they are not excluded; none if it is smaller
    /// than [`SMALLEST`], or too large for 16 bits.
    pub(super) fn of(len: u64, only_16_bits: bool) -> Option<Self> {
        if len < SMALLEST {
            return None;
        }
        // Sector counts have 32 bits: what is beyond 2 TiB stays unused.
        let total = (len / SECTOR).min(u64::from(u32::MAX));
        let largest = match len >> 30 {
            0..8 => 8,
            8..16 => 16,
            16..32 => 32,
            _ => 64,
        };
        let sizes = [64, 32, 16, 8, 4, 2, 1];
        let fat32 = sizes.into_iter().filter(|size| *size <= largest).map(|size| Self::with(Kind::Fat32, total, size));
        let fat16 = sizes.into_iter().rev().map(|size| Self::with(Kind::Fat16, total, size));
        let wide = fat32.filter(|it| !only_16_bits && it.clusters >= FAT32_CLUSTERS);
        wide.chain(fat16.filter(|it| it.clusters < FAT32_CLUSTERS - 32)).next()
    }

    fn with(kind: Kind, total: u64, cluster_sectors: u64) -> Self {
        let (reserved, width) = match kind {
            Kind::Fat16 => (1, 2),
            Kind::Fat32 => (FAT32_RESERVED, 4),
        };
        // Room for more clusters than there will be: the FATs themselves take some sectors away.
        let fat_sectors = ((total / cluster_sectors + 2) * width).div_ceil(SECTOR);
        let mut geometry = Self { kind, clusters: 0, total, cluster_sectors, reserved, fat_sectors };
        let data = geometry.data_start();
        geometry.reserved += data.next_multiple_of(DATA_ALIGNMENT) - data;
        geometry.clusters = total.saturating_sub(geometry.data_start()) / cluster_sectors;
        geometry
    }

    /// Bytes of a cluster.
    pub(super) fn cluster_len(&self) -> u64 {
        self.cluster_sectors * SECTOR
    }

    /// Entries of the root folder where it has its own place.
    pub(super) fn fixed_root_entries(&self) -> Option<u64> {
        (self.kind == Kind::Fat16).then_some(FAT16_ROOT_ENTRIES)
    }

    /// The byte offset of a root folder that has its own place.
    pub(super) fn root_folder_start(&self) -> u64 {
        (self.reserved + 2 * self.fat_sectors) * SECTOR
    }

    /// The byte offset of a cluster; the first is number 2.
    pub(super) fn cluster_start(&self, cluster: u64) -> u64 {
        self.data_start() * SECTOR + (cluster - 2) * self.cluster_len()
    }

    fn data_start(&self) -> u64 {
        self.reserved + 2 * self.fat_sectors + self.fixed_root_entries().unwrap_or(0) * 32 / SECTOR
    }

    /// Writes everything before the data: boot sector, `FSInfo`, both FATs.
    pub(super) fn write_head(&self, out: &Out<'_>, partition: &Partition, volume_id: u32, label: Option<[u8; 11]>, plan: &Plan) -> Result<(), Error> {
        let boot = self.boot_sector(partition, volume_id, label);
        out.write(&boot, 0)?;
        if self.kind == Kind::Fat32 {
            let info = self.info_sector(plan);
            out.write(&info, SECTOR)?;
            out.write(&boot, 6 * SECTOR)?;
            out.write(&info, 7 * SECTOR)?;
        }
        let fat = self.allocation_table(plan);
        out.write(&fat, self.reserved * SECTOR)?;
        out.write(&fat, (self.reserved + self.fat_sectors) * SECTOR)
    }

    fn boot_sector(&self, partition: &Partition, volume_id: u32, label: Option<[u8; 11]>) -> [u8; 512] {
        let mut sector = [0; 512];
        let mut put = |offset: usize, bytes: &[u8]| sector[offset..offset + bytes.len()].copy_from_slice(bytes);
        let small = |number: u64| (number as u16).to_le_bytes();
        let large = |number: u64| (number as u32).to_le_bytes();
        put(3, b"IMGCOMPR");
        put(11, &small(SECTOR));
        put(13, &[self.cluster_sectors as u8]);
        put(14, &small(self.reserved));
        put(16, &[2]);
        put(17, &small(self.fixed_root_entries().unwrap_or(0)));
        put(21, &[0xf8]);
        put(24, &small(63));
        put(26, &small(255));
        // Sectors before the partition, for firmware of another age; a partition beyond 2 TiB cannot be told.
        put(28, &u32::try_from(partition.start / SECTOR).unwrap_or(0).to_le_bytes());
        // Only where 16 bits are too few may the 32-bit field be used, and only on FAT16 may the other.
        match (self.kind, u16::try_from(self.total)) {
            (Kind::Fat16, Ok(total)) => put(19, &total.to_le_bytes()),
            _ => put(32, &large(self.total)),
        }
        let rest = match self.kind {
            Kind::Fat16 => {
                put(0, &[0xeb, 0x3c, 0x90]);
                put(22, &small(self.fat_sectors));
                36
            }
            Kind::Fat32 => {
                put(0, &[0xeb, 0x58, 0x90]);
                put(36, &large(self.fat_sectors));
                put(44, &large(2));
                put(48, &small(1));
                put(50, &small(6));
                64
            }
        };
        put(rest, &[0x80, 0, 0x29]);
        put(rest + 3, &volume_id.to_le_bytes());
        put(rest + 7, &label.unwrap_or(*b"NO NAME    "));
        put(rest + 18, if self.kind == Kind::Fat16 { b"FAT16   " } else { b"FAT32   " });
        put(510, &[0x55, 0xaa]);
        sector
    }

    fn info_sector(&self, plan: &Plan) -> [u8; 512] {
        let mut sector = [0; 512];
        sector[..4].copy_from_slice(b"RRaA");
        sector[484..488].copy_from_slice(b"rrAa");
        sector[488..492].copy_from_slice(&((self.clusters + 2 - plan.next_cluster) as u32).to_le_bytes());
        sector[492..496].copy_from_slice(&(plan.next_cluster as u32).to_le_bytes());
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    /// The used beginning of the FAT: each piece is a chain of neighbours.
    fn allocation_table(&self, plan: &Plan) -> Vec<u8> {
        let mut table = Vec::with_capacity(plan.next_cluster as usize * 4);
        let mut push = |entry: u32| match self.kind {
            Kind::Fat16 => table.extend_from_slice(&(entry as u16).to_le_bytes()),
            Kind::Fat32 => table.extend_from_slice(&(entry & 0x0fff_ffff).to_le_bytes()),
        };
        push(0xffff_fff8);
        push(0xffff_ffff);
        for piece in &plan.pieces {
            if let Some(first) = piece.cluster {
                for next in first + 1..first + piece.clusters {
                    push(next as u32);
                }
                push(0xffff_ffff);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_clusters_says_which_kind_it_is() {
        let mib = |count: u64| Geometry::of(count << 20, false).unwrap();
        assert!(Geometry::of((4 << 20) - 512, false).is_none());
        for count in (4..600).chain([1024, 2000, 8191, 8192, 16_384, 32_768, 1 << 20, 1 << 22]) {
            let geometry = mib(count);
            let expected = if count < 33 { Kind::Fat16 } else { Kind::Fat32 };
            assert_eq!(geometry.kind, expected, "{count} MiB");
            match geometry.kind {
                Kind::Fat16 => assert!((4085 + 16..65_525 - 16).contains(&geometry.clusters), "{count} MiB: {geometry:?}"),
                Kind::Fat32 => assert!((65_525 + 16..0x0fff_fff0).contains(&geometry.clusters), "{count} MiB: {geometry:?}"),
            }
            let width = if geometry.kind == Kind::Fat16 { 2 } else { 4 };
            assert!(geometry.fat_sectors * SECTOR / width >= geometry.clusters + 2, "{count} MiB: the FAT has an entry for each cluster");
            assert_eq!(geometry.cluster_start(2) % 4096, 0);
            assert!(geometry.cluster_start(geometry.clusters + 2) <= count << 20);
        }
        assert_eq!(mib(512).cluster_len(), 4096);
        assert_eq!(mib(64).cluster_len(), 512);

        for count in [4, 16, 64, 512, 1024, 2047] {
            let geometry = Geometry::of(count << 20, true).unwrap();
            assert!(geometry.kind == Kind::Fat16 && (4085 + 16..65_525 - 16).contains(&geometry.clusters), "{count} MiB: {geometry:?}");
        }
        assert!(Geometry::of(LARGEST_FAT16, true).is_some() && Geometry::of(4 << 30, true).is_none());
    }
}
