//! Compressed indexes, bounded.

use std::io::Read;

use super::INDEX_LIMIT;
use crate::repo::error::Cause;

/// What an xz decoder may take: the largest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// The largest window of a zstd frame, as a power of two: 128 MiB, what `zstd` itself accepts by default.
const ZSTD_WINDOW: u32 = 27;

/// How an index is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Zstd,
    Xz,
    Gzip,
    None,
}

impl Compression {
    /// All of them, best first. Debian 12's main index (50 MB) is 8.8 MB in xz and takes 0.47 s to decode, 12.1 MB in gzip and 0.24 s: below
    /// 14 MB/s xz is there first, above it costs a quarter of a second, once: what was read of it is kept. zstd is near xz in size and takes 0.04 s.
    pub(super) const ALL: [Self; 4] = [Self::Zstd, Self::Xz, Self::Gzip, Self::None];

    /// The end of the file's name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Xz => ".xz",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }

    /// The decompressed bytes; never more than `limit`.
    pub(super) fn decode(self, bytes: &[u8], limit: Option<u64>) -> Result<Vec<u8>, Cause> {
        let limit = limit.unwrap_or(INDEX_LIMIT).min(INDEX_LIMIT);
        read(self.reader(bytes)?, limit)
    }

    /// How a file of this name is compressed; none where this program does not know it.
    pub(super) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let known = [Self::Zstd, Self::Xz, Self::Gzip].into_iter().find(|known| name.ends_with(known.suffix()));
        known.or_else(|| (name.rsplit('.').next() == Some("xml")).then_some(Self::None))
    }

    /// The decompressed bytes as a stream without an end of its own: a small file can become a long one.
    pub(super) fn reader(self, bytes: &[u8]) -> Result<Box<dyn Read + '_>, Cause> {
        Ok(match self {
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(Cause::Decompress)?;
                decoder.window_log_max(ZSTD_WINDOW).map_err(Cause::Decompress)?;
                Box::new(decoder)
            }
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED);
                let stream = stream.map_err(|error| Cause::Decompress(error.into()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(bytes, stream))
            }
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
            Self::None => Box::new(bytes),
        })
    }
}

fn read(source: impl Read, limit: u64) -> Result<Vec<u8>, Cause> {
    let mut raw = Vec::new();
    let read = source.take(limit + 1).read_to_end(&mut raw).map_err(Cause::Decompress)?;
    if read as u64 > limit { Err(Cause::TooLong { limit }) } else { Ok(raw) }
}
