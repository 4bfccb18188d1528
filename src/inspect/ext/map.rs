//! Which blocks a file has: by extents, or by the three levels of indirect blocks of ext2 and ext3.

use crate::format::ext::{ExtentNode, Inode};
use crate::format::number::long;
use crate::inspect::problem::{Problem, Result};
use crate::inspect::volume::{Run, Volume, push};

/// Blocks of a map that are read at most: those of a file of a terabyte, or of one in a hundred thousand pieces.
const NODES_LIMIT: u32 = 1 << 18;

/// Blocks that an inode names itself.
const DIRECT: usize = 12;

/// The content of an inode, holes and all, up to its size.
pub(super) fn runs(volume: &Volume<'_>, block: u64, inode: &Inode) -> Result<Vec<Run>> {
    let mut map = Map { volume, block, size: inode.size, runs: Vec::new(), at: 0, nodes_left: NODES_LIMIT };
    if inode.flags & Inode::EXTENTS != 0 {
        map.extents(&inode.map, 5)?;
    } else {
        map.blocks(&inode.map[..DIRECT * 4])?;
        for level in 1..=3_u32 {
            map.indirect(long(&inode.map, (DIRECT + level as usize - 1) * 4).unwrap_or_default(), level)?;
        }
    }
    map.hole(inode.size - map.at.min(inode.size));
    Ok(map.runs)
}

struct Map<'a> {
    volume: &'a Volume<'a>,
    block: u64,
    size: u64,
    runs: Vec<Run>,
    /// How many bytes the runs have.
    at: u64,
    nodes_left: u32,
}

impl Map<'_> {
    /// Appends bytes that are at this block; what is beyond the size of the file is left out.
    fn data(&mut self, physical: u64, blocks: u64) -> Result<()> {
        let len = blocks.saturating_mul(self.block).min(self.size.saturating_sub(self.at));
        let at = physical.checked_mul(self.block).filter(|at| at.checked_add(len).is_some_and(|end| end <= self.volume.len));
        push(&mut self.runs, Run { len, at: Some(at.ok_or(Problem::CutOff)?) });
        self.at += len;
        Ok(())
    }

    fn hole(&mut self, len: u64) {
        let len = len.min(self.size.saturating_sub(self.at));
        push(&mut self.runs, Run { len, at: None });
        self.at += len;
    }

    fn node(&mut self, block: u64) -> Result<Vec<u8>> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or(Problem::Wrong("the map of a file is too long"))?;
        self.volume.read(block.checked_mul(self.block).ok_or(Problem::CutOff)?, self.block)
    }

    fn extents(&mut self, node: &[u8], depth: u16) -> Result<()> {
        let wrong = Problem::Wrong("the extents of a file contradict themselves");
        let Some(node) = ExtentNode::decode(node).filter(|node| node.depth <= depth) else { return Err(wrong) };
        if node.depth == 0 {
            for extent in node.extents() {
                let logical = extent.logical.saturating_mul(self.block);
                if logical >= self.size {
                    // Blocks that are kept for what a file may become.
                    break;
                }
                let gap = logical.checked_sub(self.at).ok_or(Problem::Wrong("the extents of a file are not in their order"))?;
                self.hole(gap);
                if extent.unwritten {
                    self.hole(extent.blocks.saturating_mul(self.block));
                } else {
                    self.data(extent.physical, extent.blocks)?;
                }
            }
            return Ok(());
        }
        for below in node.below() {
            let bytes = self.node(below)?;
            self.extents(&bytes, node.depth - 1)?;
        }
        Ok(())
    }

    /// Blocks whose numbers stand one after the other; zero is a hole.
    fn blocks(&mut self, numbers: &[u8]) -> Result<()> {
        for at in (0..numbers.len()).step_by(4) {
            if self.at >= self.size {
                break;
            }
            match long(numbers, at).unwrap_or_default() {
                0 => self.hole(self.block),
                number => self.data(number.into(), 1)?,
            }
        }
        Ok(())
    }

    /// A block of such numbers, `level` levels above the file.
    fn indirect(&mut self, block: u32, level: u32) -> Result<()> {
        if self.at >= self.size {
            return Ok(());
        }
        let each = self.block / 4;
        if block == 0 {
            self.hole(each.pow(level).saturating_mul(self.block));
            return Ok(());
        }
        let numbers = self.node(block.into())?;
        if level == 1 {
            return self.blocks(&numbers);
        }
        for at in (0..numbers.len()).step_by(4) {
            self.indirect(long(&numbers, at).unwrap_or_default(), level - 1)?;
        }
        Ok(())
    }
}
