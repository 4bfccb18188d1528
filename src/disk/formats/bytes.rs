//! Numbers in headers: read and written at their offsets, in the byte order that the format has.

/// The bytes of a header, and where its numbers are.
#[derive(Debug, Clone)]
pub(super) struct Header<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> Header<N> {
    /// A header of zeros.
    pub(super) fn new() -> Self {
        Self([0; N])
    }

    /// The `M` bytes at `offset`, which the header has.
    pub(super) fn get<const M: usize>(&self, offset: usize) -> [u8; M] {
        let mut bytes = [0; M];
        bytes.copy_from_slice(&self.0[offset..offset + M]);
        bytes
    }

    pub(super) fn u32_be(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.get(offset))
    }

    pub(super) fn u64_be(&self, offset: usize) -> u64 {
        u64::from_be_bytes(self.get(offset))
    }

    pub(super) fn u16_le(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.get(offset))
    }

    pub(super) fn u32_le(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.get(offset))
    }

    pub(super) fn u64_le(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.get(offset))
    }

    /// Puts bytes at `offset`: a number as `to_be_bytes` or `to_le_bytes` gives it, a signature, an identifier.
    pub(super) fn set(&mut self, offset: usize, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }
}
