//! Decoding of single blocks into memory that they must fill.

use std::io::{self, Read as _};

use flate2::{Decompress, FlushDecompress};

/// Decodes deflated bytes until `raw` is full; what comes after them is left alone.
pub(super) fn inflate(mut decoder: Decompress, packed: &[u8], raw: &mut [u8]) -> io::Result<()> {
    loop {
        let (read, written) = (decoder.total_in(), decoder.total_out());
        decoder.decompress(&packed[read as usize..], &mut raw[written as usize..], FlushDecompress::None)?;
        if decoder.total_out() == raw.len() as u64 {
            return Ok(());
        }
        if (read, written) == (decoder.total_in(), decoder.total_out()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Decodes one zstd frame until `raw` is full. The decoder's memory is bounded by what a frame of that length may ask for.
pub(super) fn unzstd(packed: &[u8], raw: &mut [u8]) -> io::Result<()> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?.single_frame();
    decoder.window_log_max(21)?;
    decoder.read_exact(raw)
}
