//! A skippable frame (RFC 8878 §3.1.2): a zstd decoder steps over it, so that metadata can travel in a file that `zstd -d` still reads.
//!
//! ```text
//! 50 2A 4D 18 │ length: u32 little-endian │ length bytes
//! ```

use super::{FormatError, take};

/// The magic number of the skippable frames that we write, little-endian `0x184D2A50`; RFC 8878 fixes it.
pub const MAGIC: [u8; 4] = [0x50, 0x2A, 0x4D, 0x18];

/// The bytes before the content: magic number and length.
pub const HEAD_LEN: usize = 8;

/// The head of a skippable frame around `len` bytes.
///
/// # Errors
/// A length beyond 32 bits.
pub fn head(len: usize) -> Result<[u8; HEAD_LEN], FormatError> {
    let limit = u64::from(u32::MAX);
    let len = u32::try_from(len).map_err(|_| FormatError::Limit { what: "length of a skippable frame", found: len as u64, limit })?;
    let mut head = [0; HEAD_LEN];
    head[..4].copy_from_slice(&MAGIC);
    head[4..].copy_from_slice(&len.to_le_bytes());
    Ok(head)
}

/// The length of the content that follows this head.
///
/// # Errors
/// Another frame, or a content longer than `limit` bytes.
pub fn content_len(mut bytes: &[u8], limit: usize) -> Result<usize, FormatError> {
    let what = "skippable frame";
    if take::<4>(&mut bytes, what)? != MAGIC {
        return Err(FormatError::Magic { what });
    }
    let len = u32::from_le_bytes(take(&mut bytes, what)?) as usize;
    if len > limit {
        return Err(FormatError::Limit { what: "length of a skippable frame", found: len as u64, limit: limit as u64 });
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_the_length() {
        let bytes = head(300).unwrap();
        assert_eq!(bytes, [0x50, 0x2A, 0x4D, 0x18, 0x2C, 1, 0, 0]);
        assert_eq!(content_len(&bytes, 300).unwrap(), 300);
        assert!(matches!(content_len(&bytes, 299), Err(FormatError::Limit { .. })));
        assert!(matches!(content_len(&bytes[..7], 300), Err(FormatError::CutOff { .. })));
        assert!(matches!(content_len(&[0x28, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0], 300), Err(FormatError::Magic { .. })));
    }
}
