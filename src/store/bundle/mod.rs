//! Bundles (`format/bundle.rs`): objects of a store on their way to another one, byte for byte as they lie here.
//!
//! ```text
//!  plan.rs ─► what goes in, and how long it is ─► write.rs ─► file or pipe ─► read.rs ─► proven objects ─► stage.rs ─► publish.rs
//! ```
//!
//! Nothing is compressed again on the way, and nothing is believed: who writes proves every object before its last byte is out, and who reads proves
//! it again before anybody sees it.

mod carry;
pub(super) mod chunk;
mod error;
mod hashed;
mod plan;
mod publish;
mod read;
mod stage;
mod write;

pub use error::BundleError;
pub use plan::BundlePlan;
pub(crate) use publish::Arrived;
pub use read::BundleReader;
pub(crate) use stage::Wanted;

/// Compressed bytes of frames that are read, proven and written at a time; two such batches are in memory.
const BATCH: u64 = 8 << 20;

/// The largest number of leading frames that have about [`BATCH`] bytes together; one at least where there is one.
fn batch_len(lengths: impl Iterator<Item = u64>) -> usize {
    let mut total = 0;
    lengths
        .take_while(|length| {
            let begun = total < BATCH;
            total += length;
            begun
        })
        .count()
}
