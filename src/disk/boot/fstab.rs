//! `/etc/fstab`: a line for each partition that is mounted or swapped to, by the UUID of its file system.

use std::fmt::Write as _;

use super::grow;
use super::{Error, Tree};
use crate::disk::kind::FileSystem;
use crate::disk::layout::Layout;

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
    let lines = layout.partitions.iter().filter_map(|partition| {
        let filesystem = partition.filesystem?;
        let (place, pass) = match &partition.mount_point {
            None if filesystem == FileSystem::Swap => ("none", 0),
            mount_point => (mount_point.as_deref()?, if mount_point.as_deref() == Some("/") { 1 } else { 2 }),
        };
        Some((place, partition, filesystem, pass))
    });
    let mut lines: Vec<_> = lines.collect();
    // What is mounted beneath another comes after it, and swap after all.
    lines.sort_by_key(|(place, ..)| (*place == "none", *place));
    let last = grow::grows(layout).map(|last| &last.name);
    for (place, partition, filesystem, pass) in lines {
        if place != "none" && own.iter().any(|line| line.split_whitespace().nth(1) == Some(place)) {
            continue;
        }
        let usual = if filesystem == FileSystem::Swap { "sw" } else { "defaults" };
        let options = if partition.mount_options.is_empty() { usual } else { &partition.mount_options };
        let grows = if last == Some(&partition.name) { format!(",{}", grow::OPTION) } else { String::new() };
        let (uuid, kind) = (layout.filesystem_uuid(partition), filesystem.fstab());
        writeln!(text, "UUID={uuid} {place} {kind} {options}{grows} 0 {pass}").expect("writing to a string cannot fail");
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
