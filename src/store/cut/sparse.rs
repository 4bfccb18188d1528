//! The digest of a whole disk, of which most may be zeros that nobody has written.
//!
//! BLAKE3 is a tree over chunks of 1 KiB, and each chunk's number is part of its value: the zeros of one place do not have the value of those of another. But
//! they have the same in every file. So the values of all units of zeros of the first 64 GiB are a table, and these need not be hashed. (A disk of 4 GiB with
//! 300 MB in it: 1.6 s of processor time less.) The digest is that of all bytes.

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::ZEROS;
use crate::digest::Digest;

/// The length of a unit in bytes: a subtree of 16,384 chunks.
const UNIT: u64 = 16 << 20;

/// The values of units of zeros, by their numbers. (Where they are wrong, the last of the tests below says where the right ones are.)
static KNOWN: &[u8] = include_bytes!("zeros.bin");

/// A BLAKE3 hasher that takes zeros by their number.
#[derive(Debug, Default)]
pub(super) struct SparseHasher {
    /// The units that are complete, joined to subtrees as far as it is known that more follows, the largest first.
    subtrees: Vec<ChainingValue>,
    /// How many units these are.
    units: u64,
    /// The unit that is begun, and how many bytes it has.
    unit: blake3::Hasher,
    filled: u64,
}

impl SparseHasher {
    /// Takes the next bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let part;
            (part, bytes) = bytes.split_at(self.room().min(bytes.len() as u64) as usize);
            self.unit.update(part);
            self.filled += part.len() as u64;
        }
    }

    /// Takes so many zeros; on all threads where they must be hashed.
    pub(super) fn update_zeros(&mut self, mut count: u64) {
        while count > 0 {
            let room = self.room();
            // The only unit of a file would be its root, which has another value.
            let is_whole = room == UNIT && count >= UNIT && self.units + count / UNIT > 1;
            let part = if let Some(value) = known(self.units).filter(|_| is_whole) {
                self.push(value);
                UNIT
            } else {
                let part = count.min(room).min(ZEROS.len() as u64);
                self.unit.update_rayon(&ZEROS[..part as usize]);
                self.filled += part;
                part
            };
            count -= part;
        }
    }

    /// The digest of all bytes so far.
    pub(super) fn finalize(&self) -> Digest {
        if self.units == 0 {
            return self.unit.finalize().into();
        }
        let mut left = self.subtrees.clone();
        let mut right = if self.filled > 0 {
            join(&mut left, self.units);
            self.unit.finalize_non_root()
        } else {
            left.pop().expect("as many as units that are not joined")
        };
        while left.len() > 1 {
            right = merge_subtrees_non_root(&left.pop().expect("there are two"), &right, Mode::Hash);
        }
        merge_subtrees_root(&left[0], &right, Mode::Hash).into()
    }

    /// How many bytes the unit can take; it is a new one where the one before is full.
    fn room(&mut self) -> u64 {
        if self.filled == UNIT {
            self.push(self.unit.finalize_non_root());
        }
        UNIT - self.filled
    }

    /// Something follows the unit with this value.
    fn push(&mut self, value: ChainingValue) {
        join(&mut self.subtrees, self.units);
        self.subtrees.push(value);
        self.units += 1;
        self.unit = blake3::Hasher::new();
        self.unit.set_input_offset(self.units * UNIT);
        self.filled = 0;
    }
}

/// Joins subtrees of so many units where something follows them: as many are left as the number has bits that are set (BLAKE3, §5.1.2).
fn join(subtrees: &mut Vec<ChainingValue>, units: u64) {
    while subtrees.len() > units.count_ones() as usize {
        let (right, left) = (subtrees.pop().expect("there are two"), subtrees.pop().expect("there are two"));
        subtrees.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
    }
}

/// The value of a unit of zeros.
fn known(unit: u64) -> Option<ChainingValue> {
    let (values, _) = KNOWN.as_chunks::<32>();
    values.get(usize::try_from(unit).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// What the table must have for a unit.
    fn value(unit: u64) -> ChainingValue {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(unit * UNIT);
        for _ in 0..UNIT / ZEROS.len() as u64 {
            hasher.update(&ZEROS);
        }
        hasher.finalize_non_root()
    }

    /// The digest of data and zeros by this hasher and by BLAKE3's own; of the data, each part is as long as it says.
    fn both(parts: &[(bool, u64)]) -> (Digest, Digest) {
        let (mut sparse, mut plain) = (SparseHasher::default(), blake3::Hasher::new());
        for (is_data, length) in parts {
            let bytes = vec![if *is_data { 7 } else { 0 }; *length as usize];
            plain.update_rayon(&bytes);
            if *is_data { sparse.update(&bytes) } else { sparse.update_zeros(*length) }
        }
        (sparse.finalize(), plain.finalize().into())
    }

    #[test]
    fn zeros_by_their_number_are_zeros() {
        for length in [0, 1, 1024, UNIT - 1, UNIT, UNIT + 1, 2 * UNIT - 1, 2 * UNIT, 3 * UNIT, 4 * UNIT, 4 * UNIT + 512, 5 * UNIT, 7 * UNIT + 3] {
            let (sparse, plain) = both(&[(false, length)]);
            assert_eq!(sparse, plain, "{length}");
            let (sparse, plain) = both(&[(false, length / 2), (false, length - length / 2)]);
            assert_eq!(sparse, plain, "{length} in two parts");
        }
    }

    #[test]
    fn data_may_stand_anywhere_between_them() {
        for parts in [
            &[(true, UNIT), (false, UNIT)][..],
            &[(false, UNIT), (true, 1)],
            &[(true, 1), (false, 4 * UNIT), (true, 1)],
            &[(false, 2 * UNIT), (true, 2 * UNIT)],
            &[(true, 3 * UNIT), (false, 2 * UNIT)],
            &[(true, 5), (false, UNIT - 5), (false, 3 * UNIT), (true, 512), (false, UNIT)],
            &[(false, UNIT + 4096), (true, 9000), (false, 4 * UNIT - 13096), (true, 34 << 10)],
        ] {
            let (sparse, plain) = both(parts);
            assert_eq!(sparse, plain, "{parts:?}");
        }
    }

    #[test]
    fn beyond_the_table_zeros_are_hashed() {
        let units = (KNOWN.len() / 32) as u64;
        assert_eq!(units * UNIT, 64 << 30);
        assert_eq!(known(units), None);
        let mut two = [SparseHasher::default(), SparseHasher::default()];
        two[0].update_zeros((units + 1) * UNIT);
        two[1].update_zeros(units * UNIT);
        two[1].update(&vec![0; UNIT as usize]);
        assert_eq!(two[0].finalize(), two[1].finalize());
    }

    #[test]
    fn the_table_is_right() {
        let right: Vec<u8> = (0..(64_u64 << 30) / UNIT).into_par_iter().flat_map_iter(value).collect();
        if KNOWN != right {
            let path = std::env::temp_dir().join("zeros.bin");
            std::fs::write(&path, right).unwrap();
            panic!("zeros.bin is wrong; what it must be is in {}", path.display());
        }
    }
}
