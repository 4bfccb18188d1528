//! The extended attributes of a file: behind the fields of its inode, in a block of their own, and long values in inodes of theirs.

use super::{Ext, Inode};
use crate::format::attributes::{self, VALUE_LIMIT, Value};
use crate::inspect::node::{Attributes, Node};
use crate::inspect::problem::{Problem, Result};

/// What all attributes of a file may have together, in bytes: several times what `listxattr(2)` can name.
const LIMIT: usize = 1 << 20;

impl Ext<'_> {
    /// The attributes of a node that has some.
    pub(in crate::inspect) fn attributes(&self, node: &Node) -> Result<Attributes> {
        let bytes = self.inode_bytes(node.handle as u32)?;
        let inode = Inode::decode(&bytes).ok_or(Problem::CutOff)?;
        let mut found = attributes::of_inode(&bytes).map_err(Problem::Wrong)?;
        if inode.attributes != 0 {
            let at = inode.attributes.checked_mul(self.superblock.block).ok_or(Problem::CutOff)?;
            found.extend(attributes::of_block(&self.volume.read(at, self.superblock.block)?).map_err(Problem::Wrong)?);
        }
        let mut all = Attributes::new();
        let mut left = LIMIT;
        for (name, value) in found {
            let value = match value {
                Value::Here(value) => value,
                Value::Inode(number, len) => self.long_value(number, len)?,
            };
            left = left
                .checked_sub(name.len() + value.len())
                .ok_or_else(|| Problem::Unsupported("more extended attributes than are read".to_owned()))?;
            if all.insert(name, value).is_some() {
                return Err(Problem::Wrong("a file has an extended attribute twice"));
            }
        }
        Ok(all)
    }

    fn long_value(&self, number: u32, len: u32) -> Result<Vec<u8>> {
        let inode = self.inode(number)?;
        if inode.size != u64::from(len) || inode.kind() != 0o100_000 {
            return Err(Problem::Wrong("an extended attribute is not as long as its inode"));
        }
        self.volume.read_runs(&self.map(&inode)?, VALUE_LIMIT.into())
    }
}
