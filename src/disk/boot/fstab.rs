//! `/etc/fstab`: a line for each partition, by the UUID of its file system.

use std::fmt::Write as _;

use super::{Error, Tree};
use crate::disk::layout::{FileSystem, Layout};

const PATH: &str = "etc/fstab";

/// The file with a line for each partition. Lines that the tree's own has are kept, and win for a mount point that they name.
pub(super) fn file(tree: &Tree, layout: &Layout) -> Result<(String, Vec<u8>), Error> {
    let bytes = tree.read(PATH)?.unwrap_or_default();
    let there = String::from_utf8(bytes).map_err(|_| Error::BadFile { path: format!("/{PATH}"), problem: "is not UTF-8".to_owned() })?;
    Ok((PATH.to_owned(), merged(&there, layout).into_bytes()))
}

fn merged(there: &str, layout: &Layout) -> String {
    let own: Vec<&str> = there.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()).collect();
    let mut text = "# <file system> <mount point> <type> <options> <dump> <pass>\n".to_owned();
    let mut partitions: Vec<_> = layout.partitions.iter().collect();
    // What is mounted beneath another comes after it.
    partitions.sort_by_key(|partition| &partition.mount_point);
    for partition in partitions {
        if own.iter().any(|line| line.split_whitespace().nth(1) == Some(&partition.mount_point)) {
            continue;
        }
        let (kind, pass) = match partition.filesystem {
            FileSystem::Ext4 if partition.mount_point == "/" => ("ext4", 1),
            FileSystem::Ext4 => ("ext4", 2),
            FileSystem::Fat32 => ("vfat", 2),
        };
        let options = if partition.mount_options.is_empty() { "defaults" } else { &partition.mount_options };
        let uuid = layout.filesystem_uuid(partition);
        writeln!(text, "UUID={uuid} {} {kind} {options} 0 {pass}", partition.mount_point).expect("writing to a string cannot fail");
    }
    for line in own {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::tests::layout;

    #[test]
    fn has_a_line_for_each_partition() {
        insta::assert_snapshot!(merged("# UNCONFIGURED FSTAB FOR BASE SYSTEM\n", &layout(1 << 30)), @r"
        # <file system> <mount point> <type> <options> <dump> <pass>
        UUID=8623ef66-a44d-8749-8781-07c05a68e0c6 / ext4 errors=remount-ro 0 1
        UUID=27C7-7074 /boot/efi vfat umask=0077 0 2
        ");
    }

    #[test]
    fn keeps_the_lines_that_the_tree_has() {
        let text = merged("tmpfs /tmp tmpfs nodev 0 0\n LABEL=root / ext4 ro 0 1", &layout(1 << 30));
        assert_eq!(text.lines().filter(|line| line.contains(" / ")).count(), 1);
        assert!(text.ends_with("tmpfs /tmp tmpfs nodev 0 0\n LABEL=root / ext4 ro 0 1\n"), "{text}");
    }
}
