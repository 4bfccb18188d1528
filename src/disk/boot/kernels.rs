//! The kernels of a tree: `/boot/vmlinuz-VERSION` with `/boot/initrd.img-VERSION`, or as dracut calls it `/boot/initramfs-VERSION.img`.

use super::{Architecture, Error, Tree, is_rpm};
use crate::version;

/// A kernel that can be booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kernel {
    /// Its version, such as `6.1.0-50-cloud-amd64`: letters, digits, `.`, `+`, `~`, `_` and `-`.
    pub(super) version: String,
    /// Its path in the tree.
    pub(super) image: String,
    /// The path of its initrd in the tree.
    pub(super) initrd: String,
}

/// What editors and package managers leave beside a kernel, and what is no kernel by itself.
const LEFTOVERS: [&str; 7] = [".old", ".bak", ".dpkg-bak", ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".efi.signed"];

/// The kernels of a tree, newest first. There is at least one, and each has its initrd.
pub(super) fn find(tree: &Tree, architecture: Architecture) -> Result<Vec<Kernel>, Error> {
    let names = tree.list("boot")?;
    let versions = names.iter().filter_map(|name| name.name.strip_prefix("vmlinuz-")).filter(|version| is_version(version));
    let initrd = |version: &str| {
        let dracut = format!("boot/initramfs-{version}.img");
        if tree.exists(&dracut) { dracut } else { format!("boot/initrd.img-{version}") }
    };
    let mut kernels: Vec<Kernel> =
        versions.map(|version| Kernel { version: version.to_owned(), image: format!("boot/vmlinuz-{version}"), initrd: initrd(version) }).collect();
    kernels.sort_by(|a, b| version::compare(&b.version, &a.version).then_with(|| b.version.cmp(&a.version)));
    if kernels.is_empty() {
        let package = if is_rpm(tree) { "kernel".to_owned() } else { format!("linux-image-{}", architecture.debian()) };
        return Err(Error::Missing { what: "a kernel".to_owned(), path: "/boot/vmlinuz-*".to_owned(), package });
    }
    for kernel in &kernels {
        if tree.file(&kernel.initrd)?.is_none() {
            let what = format!("the initrd of kernel {}", kernel.version);
            return Err(Error::Missing {
                what,
                path: format!("/{}", kernel.initrd),
                package: if is_rpm(tree) { "dracut" } else { "initramfs-tools" }.to_owned(),
            });
        }
        if tree.file(&kernel.image)?.is_none() {
            let problem = "is a symbolic link that leads nowhere".to_owned();
            return Err(Error::BadFile { path: format!("/{}", kernel.image), problem });
        }
    }
    Ok(kernels)
}

/// Whether a name that begins with `vmlinuz-` goes on as that of a kernel, and not as what is left of one.
pub(crate) fn is_version(text: &str) -> bool {
    let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~_-".contains(&byte));
    allowed && !text.is_empty() && text.len() <= 128 && !LEFTOVERS.iter().any(|end| text.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_kernels_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::open(folder.path()).unwrap();
        let ascending = ["5.10.0-9-amd64", "6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-10-cloud-amd64", "6.10~rc1-amd64", "6.10-amd64"];
        for version in ascending.into_iter().chain(["6.99.old", "a/b", "x y"].into_iter().filter(|name| !name.contains('/'))) {
            for name in ["vmlinuz", "initrd.img"] {
                tree.write(format!("boot/{name}-{version}"), b"x", 0o600).unwrap();
            }
        }
        let found: Vec<String> = find(&tree, Architecture::X86_64).unwrap().into_iter().map(|kernel| kernel.version).collect();
        assert_eq!(found, ascending.into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn names_the_package_of_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::open(folder.path()).unwrap();
        let error = find(&tree, Architecture::Aarch64).unwrap_err();
        assert_eq!(error.to_string(), "a kernel is not in the image: there is no /boot/vmlinuz-*");
        assert_eq!(error.hint().unwrap(), "add “linux-image-arm64” to the packages");
        tree.write("boot/vmlinuz-6.1", b"x", 0o600).unwrap();
        let error = find(&tree, Architecture::X86_64).unwrap_err();
        assert_eq!(error.to_string(), "the initrd of kernel 6.1 is not in the image: there is no /boot/initrd.img-6.1");
        assert!(error.hint().unwrap().contains("initramfs-tools"));
    }

    #[test]
    fn the_initrd_of_dracut_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::open(folder.path()).unwrap();
        for path in ["boot/vmlinuz-6.6.1-1.azl3", "usr/bin/rpm"] {
            tree.write(path, b"x", 0o600).unwrap();
        }
        let error = find(&tree, Architecture::X86_64).unwrap_err();
        assert!(error.hint().unwrap().contains("dracut"));
        tree.write("boot/initramfs-6.6.1-1.azl3.img", b"x", 0o600).unwrap();
        assert_eq!(find(&tree, Architecture::X86_64).unwrap()[0].initrd, "boot/initramfs-6.6.1-1.azl3.img");
    }
}
