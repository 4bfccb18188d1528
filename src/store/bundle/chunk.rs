//! Frames of chunks, proven without being kept.

use std::cell::RefCell;

use crate::digest::Digest;
use crate::format::bundle::Frame;
use crate::store::Problem;

thread_local! {
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::default());
}

#[derive(Default)]
struct Decoder {
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    raw: Vec<u8>,
}

/// Decodes one chunk, proves that it has this digest and length, and shows it to `look`.
pub(in crate::store) fn decode<T>(stored: &[u8], digest: &Digest, raw_len: u64, look: impl FnOnce(&[u8]) -> T) -> Result<T, Problem> {
    DECODER.with_borrow_mut(|Decoder { decompressor, raw }| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(Problem::Compression)?),
        };
        raw.clear();
        raw.reserve_exact(raw_len as usize);
        decompressor.decompress_to_buffer(stored, raw).map_err(Problem::Compression)?;
        let found = Digest::of(raw);
        if raw.len() as u64 != raw_len {
            return Err(Problem::Length { expected: raw_len, found: raw.len() as u64 });
        }
        if found != *digest {
            return Err(Problem::Digest { found });
        }
        Ok(look(raw))
    })
}

/// Proves a frame of a bundle.
pub(super) fn prove(stored: &[u8], frame: &Frame) -> Result<(), Problem> {
    if frame.kind.is_chunk() {
        return decode(stored, &frame.digest, frame.raw_len, |_| ());
    }
    let found = Digest::of(stored);
    if found == frame.digest { Ok(()) } else { Err(Problem::Digest { found }) }
}
