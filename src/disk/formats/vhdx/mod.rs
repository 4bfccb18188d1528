//! VHDX, Hyper-V's format (\[MS-VHDX\]: “Virtual Hard Disk v2 (VHDX) File Format”, version 6.0). Numbers are little-endian, identifiers are GUIDs.
//!
//! ```text
//! 0        64 KiB    128 KiB   192 KiB  256 KiB   1 MiB  2 MiB      3 MiB
//! creator │ header │ header │ regions │ regions │ log │ metadata │ block table (u64 each) │ to the next MiB │ blocks of 1 MiB
//! ```

mod read;
mod write;

pub(super) use read::open;
pub(super) use write::{holds, write};

use crate::disk::Uuid;
use crate::disk::crc32c::crc32c;

pub(super) const SIGNATURE: [u8; 8] = *b"vhdxfile";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Where the two headers and the two region tables are, and how long they are.
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const HEADER_LEN: usize = 4 << 10;
const REGIONS: [u64; 2] = [192 * KIB, 256 * KIB];
const REGIONS_LEN: usize = 64 << 10;

/// Where the checksum is in a header and in a region table.
const CHECKSUM_AT: usize = 4;

/// The length of the table at the beginning of the metadata: items come after it.
const METADATA_TABLE_LEN: usize = 64 << 10;

/// The length of an entry of the tables of regions and of metadata.
const ENTRY_LEN: usize = 32;

/// The most entries of these tables.
const MAX_ENTRIES: usize = 2047;

/// The regions: where blocks lie, and what is known of the disk.
const BLOCK_TABLE: Uuid = Uuid::of_digits(0x2dc2_7766_f623_4200_9d64_115e_9bfd_4a08);
const METADATA: Uuid = Uuid::of_digits(0x8b7c_a206_4790_4b9a_b8fe_575f_050f_886e);

/// The items of the metadata.
const FILE_PARAMETERS: Uuid = Uuid::of_digits(0xcaa1_6737_fa36_4d43_b3b6_33f0_aa44_e76b);
const DISK_SIZE: Uuid = Uuid::of_digits(0x2fa5_4224_cd1b_4876_b211_5dbe_d83b_f4b8);
const DISK_ID: Uuid = Uuid::of_digits(0xbeca_12ab_b2e6_4523_93ef_c309_e000_c746);
const LOGICAL_SECTOR: Uuid = Uuid::of_digits(0x8141_bf1d_a96f_4709_ba47_f233_a8fa_ab5f);
const PHYSICAL_SECTOR: Uuid = Uuid::of_digits(0xcda3_48c7_445d_4471_9cc9_e988_5251_c556);
const PARENT_LOCATOR: Uuid = Uuid::of_digits(0xa8d3_5f2d_b30b_454d_abf7_d3d8_4834_ab0c);

/// In the entry of an item: it is of the disk, not of the file; a reader must know it.
const OF_DISK: u32 = 1 << 1;
const REQUIRED: u32 = 1 << 2;

/// In the file parameters: the disk stands on another.
const HAS_PARENT: u32 = 1 << 1;

/// The longest disk: 64 TiB.
const LARGEST: u64 = 64 << 40;

/// After how many blocks an entry of the table stands for a bitmap of sectors, which only differencing disks have.
const fn chunk_ratio(sector: u64, block: u64) -> u64 {
    (sector << 23) / block
}

/// CRC-32C of a structure, its checksum taken as zeros.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let sum = crc32c(crc32c(!0, &bytes[..CHECKSUM_AT]), &[0; 4]);
    !crc32c(sum, &bytes[CHECKSUM_AT + 4..])
}
