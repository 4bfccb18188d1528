//! Identifiers that look random and are not: the same seed gives the same ones.

use std::fmt;

use crate::digest::Digest;

/// A UUID of version 8 (RFC 9562, section 5.8): its bits are a digest of a seed and a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The identifier for a purpose under a seed.
    pub fn derive(seed: &Digest, what: &str) -> Self {
        let mut bytes = seed.as_bytes().to_vec();
        bytes.extend_from_slice(what.as_bytes());
        let digest = Digest::derive("image-composer 2026-11 disk identifier", &bytes);
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&digest.as_bytes()[..16]);
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Self(uuid)
    }

    /// The bytes in the order of the text (network order).
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The identifier with these bytes, in the order of the text.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes as a partition table has them: the first three fields are little-endian (UEFI specification, appendix A).
    pub(super) fn to_guid(self) -> [u8; 16] {
        let mut guid = self.0;
        guid[..4].reverse();
        guid[4..6].reverse();
        guid[6..8].reverse();
        guid
    }

    /// The volume serial number of a FAT file system with this identity.
    pub(super) fn volume_id(self) -> u32 {
        u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }

    /// The identifier that this text names; for the constants of specifications.
    pub(super) const fn of_digits(digits: u128) -> Self {
        Self(digits.to_be_bytes())
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_shape_of_version_8() {
        let text = Uuid::derive(&Digest::of(b""), "disk").to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "8");
        assert!("89ab".contains(&text[19..20]), "{text}");
    }

    #[test]
    fn stays_what_it_was() {
        // Golden: a change here changes every image.
        assert_eq!(Uuid::derive(&Digest::of(b""), "disk").to_string(), "79089c36-320c-8701-af79-73727412d605");
    }

    #[test]
    fn turns_the_first_three_fields_around_for_the_table() {
        let uuid = Uuid::of_digits(0x00112233_4455_6677_8899_aabbccddeeff);
        assert_eq!(uuid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(uuid.to_guid()[..10], [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99]);
        assert_eq!(uuid.volume_id(), 0x0011_2233);
    }
}
