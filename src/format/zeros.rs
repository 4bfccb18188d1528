//! A zstd frame of zeros: how a hole of an image stands in a file that `zstd -d` reads.
//!
//! Every block says “this byte, so many times” (RFC 8878 §3.1.1.2) in 4 bytes for 128 KiB, so a hole of 60 GiB takes 2 MB. The window is the smallest
//! that allows such blocks, so that a decoder needs no more memory for a long hole than for a short one.

/// Zeros in one frame at most, when written: what somebody decodes who wants only a part of it.
pub const ZEROS_LEN: u64 = 1 << 30;

/// The longest block that zstd allows.
const BLOCK_LEN: u64 = 128 << 10;

/// Magic number, then the descriptor: content size in 8 bytes, no single segment, no checksum, no dictionary; a window of 128 KiB.
const HEAD: [u8; 6] = [0x28, 0xB5, 0x2F, 0xFD, 0xC0, 0x38];

/// Type of a block: the next byte, repeated.
const RLE: u32 = 1;

/// The frame of `len` zeros.
pub fn encode(len: u64) -> Vec<u8> {
    let blocks = len.div_ceil(BLOCK_LEN).max(1);
    let mut frame = Vec::with_capacity(HEAD.len() + 8 + blocks as usize * 4);
    frame.extend_from_slice(&HEAD);
    frame.extend_from_slice(&len.to_le_bytes());
    for block in 0..blocks {
        let length = (len - block * BLOCK_LEN).min(BLOCK_LEN) as u32;
        let last = u32::from(block + 1 == blocks);
        frame.extend_from_slice(&(length << 3 | RLE << 1 | last).to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_to_so_many_zeros() {
        for len in [0, 1, 4096, BLOCK_LEN, BLOCK_LEN + 1, 3 * BLOCK_LEN - 1] {
            let frame = encode(len);
            assert_eq!(zstd::zstd_safe::get_frame_content_size(&frame).unwrap(), Some(len));
            assert_eq!(zstd::decode_all(frame.as_slice()).unwrap(), vec![0; len as usize]);
        }
    }

    #[test]
    fn is_small() {
        assert_eq!(encode(ZEROS_LEN).len(), 14 + 4 * 8192);
        assert_eq!(encode(3), [0x28, 0xB5, 0x2F, 0xFD, 0xC0, 0x38, 3, 0, 0, 0, 0, 0, 0, 0, 0x1B, 0, 0, 0]);
    }
}
