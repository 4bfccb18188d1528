//! Whether the bytes of two files, or of two disks, are the same.

use std::collections::HashMap;

use super::Comparison;
use crate::inspect::disk::Disk;
use crate::inspect::error::Result;
use crate::inspect::node::Attributes;
use crate::inspect::open::Input;
use crate::inspect::problem::Problem;
use crate::inspect::volume::{Run, Volume};

/// Bytes that are compared at a time.
const STEP: u64 = 1 << 20;

/// How often all bytes of a disk may be read: files that share blocks could go on for years. Names of one file are compared once, but with each file that
/// they are in the other image.
const READ_LIMIT: u64 = 4;

/// A file system and a file of it.
type Handle = (usize, u64);

/// The contents of two disks that are compared.
pub(super) struct Contents<'a, 'd> {
    of: &'a Comparison<'a, 'd>,
    known: HashMap<(Handle, Handle), bool>,
    left: u64,
    buffers: [Vec<u8>; 2],
}

impl<'a, 'd> Contents<'a, 'd> {
    pub(super) fn new(of: &'a Comparison<'a, 'd>) -> Self {
        let left = of.from.volume.len.max(of.to.volume.len).saturating_mul(READ_LIMIT);
        Self { of, known: HashMap::new(), left, buffers: [Vec::new(), Vec::new()] }
    }

    /// Whether two files of the same length have the same bytes.
    pub(super) fn are_same(&mut self, from: (usize, usize), to: (usize, usize)) -> Result<bool> {
        let key = ((from.0, self.of.from.node(from).handle), (to.0, self.of.to.node(to).handle));
        if self.of.from.node(from).size == 0 {
            return Ok(true);
        }
        if let Some(same) = self.known.get(&key) {
            return Ok(*same);
        }
        let (a, b) = (runs(self.of.a, self.of.from, from)?, runs(self.of.b, self.of.to, to)?);
        let same = self.compare((&a, &self.of.from.parts[from.0].volume), (&b, &self.of.to.parts[to.0].volume))?;
        self.known.insert(key, same);
        Ok(same)
    }

    /// The extended attributes of a name, which count as what is read of its disk.
    pub(super) fn attributes(&mut self, input: &Input<'_>, disk: &Disk<'_>, at: (usize, usize)) -> Result<Attributes> {
        let (node, part) = (disk.node(at), &disk.parts[at.0]);
        let error = |problem| input.error(&String::from_utf8_lossy(&node.path), problem);
        let attributes = part.attributes(node).map_err(error)?;
        let len: usize = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.left = self.left.checked_sub(len as u64).ok_or(Problem::Wrong("its files share extended attributes")).map_err(error)?;
        Ok(attributes)
    }

    fn compare(&mut self, a: (&[Run], &Volume<'_>), b: (&[Run], &Volume<'_>)) -> Result<bool> {
        let (mut a, mut b) = (Cursor { runs: a.0, skip: 0, volume: a.1 }, Cursor { runs: b.0, skip: 0, volume: b.1 });
        let [left, right] = &mut self.buffers;
        while let (Some(of_a), Some(of_b)) = (a.rest(), b.rest()) {
            let both_zero = of_a.at.is_none() && of_b.at.is_none();
            let len = of_a.len.min(of_b.len).min(if both_zero { u64::MAX } else { STEP });
            if !both_zero {
                self.of.cancel.check()?;
                let Some(rest) = self.left.checked_sub(len) else {
                    return Err(self.of.b.error("the map of files", Problem::Wrong("its files share blocks")));
                };
                self.left = rest;
                a.fill(left, len).map_err(|problem| self.of.a.error("a file", problem))?;
                b.fill(right, len).map_err(|problem| self.of.b.error("a file", problem))?;
                if left != right {
                    return Ok(false);
                }
            }
            a.advance(len);
            b.advance(len);
        }
        Ok(true)
    }
}

/// Where the content of a file lies.
fn runs(input: &Input<'_>, disk: &Disk<'_>, at: (usize, usize)) -> Result<Vec<Run>> {
    let node = disk.node(at);
    let files = disk.parts[at.0].files.as_ref();
    let found = files.map_or(Ok(Vec::new()), |files| files.filesystem.runs(node));
    found.map_err(|problem| input.error(&String::from_utf8_lossy(&node.path), problem))
}

/// What is still to be read of a file.
struct Cursor<'a> {
    runs: &'a [Run],
    skip: u64,
    volume: &'a Volume<'a>,
}

impl Cursor<'_> {
    /// The run that comes next, from here on.
    fn rest(&self) -> Option<Run> {
        let run = self.runs.first()?;
        Some(Run { len: run.len - self.skip, at: run.at.map(|at| at + self.skip) })
    }

    fn fill(&self, buffer: &mut Vec<u8>, len: u64) -> Result<(), Problem> {
        if buffer.len() as u64 != len {
            buffer.resize(len as usize, 0);
        }
        if let Some(at) = self.rest().and_then(|run| run.at) {
            return self.volume.fill(buffer, at);
        }
        buffer.fill(0);
        Ok(())
    }

    fn advance(&mut self, len: u64) {
        self.skip += len;
        if self.runs.first().is_some_and(|run| run.len == self.skip) {
            (self.runs, self.skip) = (&self.runs[1..], 0);
        }
    }
}

/// The offset of the first byte that differs between two disks of the same length.
pub(super) fn first_difference(of: &Comparison<'_, '_>) -> Result<Option<u64>> {
    let len = of.from.volume.len;
    let whole = [Run { len, at: Some(0) }];
    let (mut a, mut b) = (Cursor { runs: &whole, skip: 0, volume: &of.from.volume }, Cursor { runs: &whole, skip: 0, volume: &of.to.volume });
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut offset = 0;
    while offset < len {
        of.cancel.check()?;
        let step = STEP.min(len - offset);
        a.fill(&mut left, step).map_err(|problem| of.a.error("the disk", problem))?;
        b.fill(&mut right, step).map_err(|problem| of.b.error("the disk", problem))?;
        if left != right {
            return Ok(left.iter().zip(&right).position(|(a, b)| a != b).map(|at| offset + at as u64));
        }
        a.advance(step);
        b.advance(step);
        offset += step;
    }
    Ok(None)
}
