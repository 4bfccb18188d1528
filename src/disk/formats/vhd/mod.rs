//! VHD, the format of Virtual PC, Hyper-V and Azure (Microsoft's “Virtual Hard Disk Image Format Specification”, version 1.0). Numbers are big-endian.
//!
//! ```text
//! fixed    the disk │ footer
//! dynamic  footer │ header │ a sector number (u32) for each block │ blocks: a bitmap of their sectors, their bytes │ footer
//! ```
//!
//! Written is the fixed kind, because Azure takes no other; zeros are holes of the file.

mod read;

pub(super) use read::open;

use super::bytes::Header;
use super::{Conversion, Result};

pub(super) const COOKIE: [u8; 8] = *b"conectix";

/// The length of a footer.
pub(super) const FOOTER: usize = 512;

const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// Where the checksum is in a footer.
const CHECKSUM_AT: usize = 64;

/// The most that Hyper-V and Azure take.
const LARGEST: u64 = 2040 << 30;

/// Which program made the file. QEMU believes the length that the footer says from a few programs alone, Hyper-V among them; from all others it takes
/// the geometry, which hardly any length fits.
const CREATOR: &[u8; 4] = b"win ";
const CREATOR_VERSION: u32 = 0x000a_0000;
const CREATOR_SYSTEM: &[u8; 4] = b"Wi2k";

/// Whether VHD holds a disk of that length.
pub(super) fn holds(len: u64) -> bool {
    len.is_multiple_of(512) && len <= LARGEST
}

/// Writes the disk as a fixed VHD.
pub(super) fn write(job: &Conversion<'_>) -> Result<()> {
    let size = job.raw.len();
    job.copy()?;
    job.out.put(size, &footer(size, job.uuid("vhd").as_bytes()).0)
}

fn footer(size: u64, id: &[u8; 16]) -> Header<FOOTER> {
    let mut footer = Header::new();
    // The features: a bit that is always set.
    footer.set(0, COOKIE).set(8, 2_u32.to_be_bytes()).set(12, 0x0001_0000_u32.to_be_bytes()).set(16, u64::MAX.to_be_bytes());
    // Made at the beginning of the year 2000, the first moment that there is.
    footer.set(28, CREATOR).set(32, CREATOR_VERSION.to_be_bytes()).set(36, CREATOR_SYSTEM);
    footer.set(40, size.to_be_bytes()).set(48, size.to_be_bytes()).set(56, geometry(size / 512)).set(60, FIXED.to_be_bytes());
    footer.set(68, id);
    let sum = checksum(&footer.0, CHECKSUM_AT);
    footer.set(CHECKSUM_AT, sum.to_be_bytes());
    footer
}

/// The complement of the sum of all bytes but the checksum's own.
fn checksum(bytes: &[u8], at: usize) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    !sum(&bytes[..at]).wrapping_add(sum(&bytes[at + 4..]))
}

/// Cylinders, heads and sectors of a track, as the specification's appendix has them.
fn geometry(sectors: u64) -> [u8; 4] {
    let sectors = sectors.min(65_535 * 16 * 255);
    let (cylinders_by_heads, heads, track) = if sectors >= 65_535 * 16 * 63 {
        (sectors / 255, 16, 255)
    } else {
        let mut track = 17;
        let mut by_heads = sectors / track;
        let mut heads = by_heads.div_ceil(1024).max(4);
        if by_heads >= heads * 1024 || heads > 16 {
            (track, heads) = (31, 16);
            by_heads = sectors / track;
        }
        if by_heads >= heads * 1024 {
            (track, heads) = (63, 16);
            by_heads = sectors / track;
        }
        (by_heads, heads, track)
    };
    let cylinders = ((cylinders_by_heads / heads) as u16).to_be_bytes();
    [cylinders[0], cylinders[1], heads as u8, track as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometry_is_that_of_the_appendix() {
        // As “qemu-img create -f vpc” writes it for the same numbers of sectors.
        let expected = [
            (2_108, 31, 4, 17),
            (81_940, 964, 5, 17),
            (204_816, 1_004, 12, 17),
            (1_024_128, 1_016, 16, 63),
            (4_195_296, 4_162, 16, 63),
            (83_888_880, 20_561, 16, 255),
        ];
        for (sectors, cylinders, heads, track) in expected {
            let [high, low, others @ ..] = geometry(sectors);
            assert_eq!((u16::from_be_bytes([high, low]), others), (cylinders, [heads, track]), "{sectors} sectors");
        }
        assert_eq!(geometry(u64::MAX), [0xff, 0xff, 16, 255]);
    }

    #[test]
    fn a_footer_has_these_bytes() {
        let footer = footer(64 << 20, &[7; 16]);
        let mut expected = b"conectix\0\0\0\x02\0\x01\0\0".to_vec();
        expected.extend_from_slice(&[0xff; 8]);
        expected.extend_from_slice(b"\0\0\0\0win \0\x0a\0\0Wi2k\0\0\0\0\x04\0\0\0\0\0\0\0\x04\0\0\0");
        assert_eq!(footer.0[..56], expected);
        assert_eq!(footer.0[60..64], [0, 0, 0, 2]);
        assert_eq!(footer.0[68..84], [7; 16]);
        assert!(footer.0[84..].iter().all(|byte| *byte == 0));
        let sum: u32 = footer.0.iter().enumerate().filter(|(at, _)| !(64..68).contains(at)).map(|(_, byte)| u32::from(*byte)).sum();
        assert_eq!(footer.u32_be(CHECKSUM_AT), !sum);
    }
}
