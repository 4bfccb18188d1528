//! The blocks that are not taken: handed out from the first to the last, so that what is written in order lies in order.

use std::ops::Range;

use super::geometry::Geometry;

/// There are not as many blocks left as were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// Free space. A block is in use exactly if it is before the next one to hand out, or has its place by the [`Geometry`].
#[derive(Debug)]
pub(super) struct Space {
    /// What has its place, in order.
    fixed: Vec<Range<u64>>,
    /// How many of `fixed` lie before `next`.
    passed: usize,
    next: u64,
    end: u64,
    free: u64,
}

impl Space {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let fixed = geometry.fixed();
        let free = geometry.blocks - fixed.iter().map(|range| range.end - range.start).sum::<u64>();
        Self { fixed, passed: 0, next: 0, end: geometry.blocks, free }
    }

    /// How many blocks are left.
    pub(super) fn free(&self) -> u64 {
        self.free
    }

    /// Takes so many blocks, in as few pieces as there can be.
    pub(super) fn take(&mut self, mut blocks: u64) -> Result<Vec<Range<u64>>, Full> {
        self.free = self.free.checked_sub(blocks).ok_or(Full)?;
        let mut taken = Vec::with_capacity(1);
        while blocks > 0 {
            let end = self.fixed.get(self.passed).map_or(self.end, |range| range.start);
            let piece = self.next..(self.next + blocks).min(end);
            blocks -= piece.end - piece.start;
            self.next = piece.end;
            if !piece.is_empty() {
                taken.push(piece);
            }
            if self.next == end
                && let Some(range) = self.fixed.get(self.passed)
            {
                self.next = range.end;
                self.passed += 1;
            }
        }
        Ok(taken)
    }

    /// Takes one block.
    pub(super) fn take_one(&mut self) -> Result<u64, Full> {
        self.take(1)?.first().map(|piece| piece.start).ok_or(Full)
    }

    /// The blocks among `within` that are in use, as ranges in order.
    pub(super) fn used<'a>(&'a self, within: &'a Range<u64>) -> impl Iterator<Item = Range<u64>> + 'a {
        let rest = &self.fixed[self.passed..];
        let first = rest.partition_point(|range| range.end <= within.start);
        let fixed = rest[first..].iter().take_while(|range| range.start < within.end);
        let meet = |range: Range<u64>| range.start.max(within.start)..range.end.min(within.end);
        std::iter::once(0..self.next).chain(fixed.cloned()).map(meet).filter(|range| !range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_around_what_has_its_place() {
        let mut space = Space { fixed: vec![0..10, 15..20, 40..41], passed: 0, next: 0, end: 50, free: 34 };
        assert_eq!(space.take(3).unwrap(), [Range { start: 10, end: 13 }]);
        assert_eq!(space.take(4).unwrap(), [13..15, 20..22]);
        assert_eq!(space.used(&(0..50)).collect::<Vec<_>>(), [0..22, 40..41]);
        assert_eq!(space.used(&(21..41)).collect::<Vec<_>>(), [21..22, 40..41]);
        assert_eq!(space.take(18).unwrap(), [Range { start: 22, end: 40 }]);
        assert_eq!(space.take(10), Err(Full));
        assert_eq!(space.take_one(), Ok(41));
        assert_eq!(space.free(), 8);
        assert_eq!(space.take(8).unwrap(), [Range { start: 42, end: 50 }]);
        assert_eq!((space.take_one(), space.take(0)), (Err(Full), Ok(Vec::new())));
        assert_eq!(space.used(&(0..50)).collect::<Vec<_>>(), [Range { start: 0, end: 50 }]);
    }
}
