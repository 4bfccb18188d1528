//! Whether what is to be installed can fit at all, before anything of it is downloaded.

use super::Error;
use crate::spec::model::{FileSystem, Partition, Spec};
use crate::units::ByteSize;

/// What packages say of their size when installed is a lower bound of what they take: measured, 340 MiB that became 385 MiB of ext4 (156 packages of
/// Debian 12, with the initrd). A twentieth is left to packages that count a KiB for each link, and sparse files.
const CERTAIN_PERCENT: u64 = 95;

/// Refuses a spec whose packages, `installed` bytes by their own account, are larger than all its file systems together. What it lets pass may still be too large: the disk's own room says so
/// exactly, later.
///
/// # Errors
/// [`Error::NoRoomOnDisk`], with what is missing at least.
pub(super) fn check(spec: &Spec, installed: ByteSize) -> Result<(), Error> {
    let needs = installed.0 / 100 * CERTAIN_PERCENT;
    let holds = |partition: &&Partition| partition.mount_point.is_some() && partition.filesystem.is_some_and(FileSystem::is_ext);
    let len = |partition: &Partition| partition.end.unwrap_or(spec.disk.size).0.saturating_sub(partition.start.0);
    let has = spec.disk.partitions.iter().filter(holds).map(len).fold(0, u64::saturating_add);
    if needs <= has {
        return Ok(());
    }
    let missing = (needs - has).next_multiple_of(1 << 20);
    Err(Error::NoRoomOnDisk { installed, has: ByteSize(has), missing: ByteSize(missing) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(disk: &str) -> Spec {
        let text = format!("image: {{name: a, version: '1'}}\ntarget: {{dist: debian12, arch: x86_64}}\ndisk: {disk}\n");
        crate::spec::parse(&text, std::path::Path::new("a.yml")).unwrap().spec
    }

    fn mebibytes(count: u64) -> ByteSize {
        ByteSize(count << 20)
    }

    #[test]
    fn what_cannot_fit_is_refused_with_what_is_missing() {
        let spec = spec("{size: 2GiB}");
        check(&spec, mebibytes(1500)).unwrap();
        // 1535 MiB of root: 95 % of 1700 are 1615.
        let error = check(&spec, mebibytes(1700)).unwrap_err();
        assert_eq!(error.to_string(), "the packages take 1.66 GiB when installed, and the disk's file systems have 1.50 GiB");
        assert_eq!(error.hint().unwrap(), "make disk.size and the partition for them at least 80.0 MiB larger, or install less");
        assert!(check(&spec, ByteSize(u64::MAX)).is_err());
    }

    #[test]
    fn all_mounted_file_systems_count() {
        let disk = |mount: &str| {
            format!(
                "{{size: 2GiB, partitions: [{{id: esp, type: esp, start: 1MiB, end: 65MiB, fsType: fat32, mountPoint: /efi}}, \
                 {{id: root, type: linux, start: 65MiB, end: 1089MiB, fsType: ext4, mountPoint: /}}, \
                 {{id: other, type: linux, start: 1089MiB, end: '0', fsType: ext4{mount}}}]}}"
            )
        };
        check(&spec(&disk(", mountPoint: /opt")), mebibytes(1500)).unwrap();
        assert!(check(&spec(&disk("")), mebibytes(1500)).is_err());
    }
}
