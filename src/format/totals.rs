//! Counters of the index: how much of what there is, kept up with every row that comes or goes, so that nobody has to walk to know.
//!
//! A total stands under what it counts and in which state that is. Adding up the rows of the index gives the same numbers.

use super::FormatError;
use super::blob::BlobKind;
use super::row::{BlobRow, ChunkRow, PackRow, Reader, Row, Writer};
use crate::digest::Digest;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Blobs of a kind, under its number.
    Blob(BlobKind),
    /// Chunks, under 7. Their stored length is that of their frames.
    Chunk,
    /// Packs, under 8: state [`State::Own`] alone. Their raw length is [`PackRow::live_len`].
    Pack,
}

/// In which state it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing refers to it.
    Free = 0,
    /// One thing refers to it.
    Own = 1,
    /// Several things refer to it.
    Shared = 2,
    /// It was found damaged or missing.
    Lost = 3,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Raw bytes.
    pub raw_len: u64,
    /// Bytes as stored.
    pub stored_len: u64,
}

/// A total. Key: [`Total`], two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalRow(pub Amount);

/// The key of a [`TotalRow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Total {
    /// What is counted.
    pub class: Class,
    /// In which state.
    pub state: State,
}

/// What one row adds to the counters of the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// To a total.
    pub total: Option<(Total, Amount)>,
    /// To the live bytes of a pack.
    pub live: Option<(Digest, u64)>,
}

impl Total {
    /// The two bytes of the key.
    pub fn key(self) -> [u8; 2] {
        let class = match self.class {
            Class::Blob(kind) => kind.number(),
            Class::Chunk => 7,
            Class::Pack => 8,
        };
        [class, self.state as u8]
    }

    /// The total with this key.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let &[class, state] = key else { return None };
        let class = match class {
            7 => Class::Chunk,
            8 => Class::Pack,
            kind => Class::Blob(BlobKind::from_number(kind)?),
        };
        let state = [State::Free, State::Own, State::Shared, State::Lost].into_iter().find(|known| *known as u8 == state)?;
        Some(Self { class, state })
    }
}

impl State {
    fn of(lost: bool, references: u32) -> Self {
        match (lost, references) {
            (true, _) => Self::Lost,
            (false, 0) => Self::Free,
            (false, 1) => Self::Own,
            (false, _) => Self::Shared,
        }
    }
}

impl Amount {
    /// One thing.
    pub fn one(raw_len: u64, stored_len: u64) -> Self {
        Self { count: 1, raw_len, stored_len }
    }

    /// With another one more.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            raw_len: self.raw_len.saturating_add(other.raw_len),
            stored_len: self.stored_len.saturating_add(other.stored_len),
        }
    }

    /// Without another one that was in it.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_sub(other.count),
            raw_len: self.raw_len.saturating_sub(other.raw_len),
            stored_len: self.stored_len.saturating_sub(other.stored_len),
        }
    }
}

impl BlobRow {
    pub(super) fn counted(&self) -> Share {
        let total = Total { class: Class::Blob(self.kind), state: State::of(self.lost, self.references) };
        Share { total: Some((total, Amount::one(self.raw_len, self.stored_len))), live: None }
    }
}

impl ChunkRow {
    pub(super) fn counted(&self) -> Share {
        let stored_len = u64::from(self.stored_len);
        let total = Total { class: Class::Chunk, state: State::of(self.lost, self.references) };
        let live = (!self.lost && self.references > 0).then_some((self.pack, stored_len));
        Share { total: Some((total, Amount::one(self.raw_len.into(), stored_len))), live }
    }
}

impl PackRow {
    pub(super) fn counted(&self) -> Share {
        let total = Total { class: Class::Pack, state: State::Own };
        Share { total: Some((total, Amount::one(self.live_len, self.stored_len))), live: None }
    }
}

impl Row for TotalRow {
    const TABLE: &'static str = "totals";

    fn encode(&self) -> Vec<u8> {
        let Amount { count, raw_len, stored_len } = self.0;
        Writer::row().put(count.to_le_bytes()).put(raw_len.to_le_bytes()).put(stored_len.to_le_bytes()).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of the totals")?;
        let total = Self(Amount { count: row.u64()?, raw_len: row.u64()?, stored_len: row.u64()? });
        row.end(total)
    }
}

/// What a cache was good for since the store was made. Key: 1 byte (1 packages, 2 images).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// When the first was counted, seconds since the epoch.
    pub since: u64,
    /// How often something was there.
    pub hits: u64,
    /// How often it was not.
    pub misses: u64,
    /// Bytes that were not fetched (packages: of their files), or not built (images: of their disks).
    pub saved_bytes: u64,
    /// Milliseconds that building would have taken longer; 0 for packages.
    pub saved_millis: u64,
}

impl Row for UsageRow {
    const TABLE: &'static str = "usage";

    fn encode(&self) -> Vec<u8> {
        let Self { since, hits, misses, saved_bytes, saved_millis } = *self;
        [since, hits, misses, saved_bytes, saved_millis].into_iter().fold(Writer::row(), |row, number| row.put(number.to_le_bytes())).0
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut row = Reader::row(bytes, "row of the usage")?;
        let usage = Self { since: row.u64()?, hits: row.u64()?, misses: row.u64()?, saved_bytes: row.u64()?, saved_millis: row.u64()? };
        row.end(usage)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_what_they_were() {
        let total = |class, state| Total { class, state };
        for (total, key) in [
            (total(Class::Blob(BlobKind::Package), State::Free), [1, 0]),
            (total(Class::Blob(BlobKind::Alias), State::Shared), [6, 2]),
            (total(Class::Chunk, State::Lost), [7, 3]),
            (total(Class::Pack, State::Own), [8, 1]),
            (total(Class::Blob(BlobKind::Root), State::Own), [9, 1]),
        ] {
            assert_eq!((total.key(), Total::from_key(&key)), (key, Some(total)));
        }
        for wrong in [[0, 0].as_slice(), &[10, 0], &[1, 4], &[1], &[1, 0, 0]] {
            assert_eq!(Total::from_key(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn rows_round_trip(numbers in any::<[u64; 5]>(), bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let [count, raw_len, stored_len, ..] = numbers;
            let total = TotalRow(Amount { count, raw_len, stored_len });
            prop_assert_eq!((total.encode().len(), TotalRow::decode(&total.encode()).unwrap()), (25, total));
            let [since, hits, misses, saved_bytes, saved_millis] = numbers;
            let usage = UsageRow { since, hits, misses, saved_bytes, saved_millis };
            prop_assert_eq!((usage.encode().len(), UsageRow::decode(&usage.encode()).unwrap()), (41, usage));
            let _ = (TotalRow::decode(&bytes), UsageRow::decode(&bytes));
        }
    }
}
