//! The initrd of every kernel, and the modules that the spec wants in it.
//!
//! It takes half as long as all else, and depends on little of what specs add to their packages. So it is made with the packages, stays with them in the
//! root cache, and is made again only where something has changed that it could depend on. What decides is the changes alone, never whether the root was
//! kept: the image is the same.

use std::path::{Path, PathBuf};

use super::Error;
use super::sandbox::Cell;
use crate::progress::Cancel;
use crate::tree::Tree;

/// Where each kernel has its modules.
const MODULES: &str = "usr/lib/modules";

/// What makes initrds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// Debian's, `update-initramfs(8)`.
    InitramfsTools,
    /// That of the RPM distributions, `dracut(8)`.
    Dracut,
}

impl Maker {
    /// The one that the tree has.
    fn of(tree: &Tree) -> Option<Self> {
        match (tree.exists("usr/bin/dracut"), tree.exists("usr/sbin/update-initramfs")) {
            (true, _) => Some(Self::Dracut),
            (false, true) => Some(Self::InitramfsTools),
            (false, false) => None,
        }
    }
}

/// Of initramfs-tools' default level, 9, an initrd of 52 MB takes 1.2 s of processor time and 13.3 MB; of this one 0.25 s and 15.0 MB. A level in the image's
/// own configuration wins.
const COMPRESSION: (&str, &str) = ("COMPRESSLEVEL", "3");

/// Where packages and administrators put what takes part in the making.
const HOOKS: [&str; 2] = ["usr/share/initramfs-tools/hooks", "etc/initramfs-tools/hooks"];

/// Hooks of Debian and Ubuntu of which is known that nothing in [`INDIFFERENT`] means anything to them. (One that copies users and keys is that of
/// dropbear-initramfs.)
const KNOWN_HOOKS: [&str; 20] = [
    "amd64_microcode",
    "btrfs",
    "console_setup",
    "dmsetup",
    "fixrtc",
    "framebuffer",
    "fsck",
    "fuse",
    "intel_microcode",
    "iscsi",
    "keymap",
    "klibc-utils",
    "kmod",
    "lvm2",
    "mdadm",
    "ntfs_3g",
    "resume",
    "thermal",
    "udev",
    "zz-busybox",
];

/// Files, and folders with all in them, that `mkinitramfs` and the known hooks neither copy nor look for.
const INDIFFERENT: [&str; 28] = [
    "etc/.pwd.lock",
    "etc/group",
    "etc/group-",
    "etc/gshadow",
    "etc/gshadow-",
    "etc/hostname",
    "etc/hosts",
    "etc/issue",
    "etc/issue.net",
    "etc/machine-id",
    "etc/motd",
    "etc/passwd",
    "etc/passwd-",
    "etc/resolv.conf",
    "etc/shadow",
    "etc/shadow-",
    "etc/ssh",
    "etc/subgid",
    "etc/subgid-",
    "etc/subuid",
    "etc/subuid-",
    "etc/sudoers",
    "etc/sudoers.d",
    "etc/systemd/system",
    "home",
    "root",
    "srv",
    "var",
];

/// Makes the initrds of a tree of packages, where it can be told what makes them others.
pub(super) fn make_early(tree: &Tree, cell: &Cell<'_>, cancel: &Cancel) -> Result<(), Error> {
    if is_understood(tree)? { make_all(tree, cell, cancel) } else { Ok(()) }
}

/// Makes the initrd of every kernel, after everything that it copies is in place, unless those from [`make_early`] are the same. `changes` is what has
/// changed since.
pub(super) fn make(tree: &Tree, changes: &[PathBuf], cell: &Cell<'_>, cancel: &Cancel) -> Result<(), Error> {
    if is_understood(tree)? && changes.iter().all(|path| is_indifferent(path)) { Ok(()) } else { make_all(tree, cell, cancel) }
}

/// Whether it is known what the initrds of a tree depend on. Of dracut it is not: any of its modules may look at anything.
fn is_understood(tree: &Tree) -> Result<bool, Error> {
    Ok(Maker::of(tree) == Some(Maker::InitramfsTools) && has_known_hooks(tree)?)
}

fn has_known_hooks(tree: &Tree) -> Result<bool, Error> {
    let mut names = Vec::new();
    for folder in HOOKS {
        names.extend(tree.list(folder)?.into_iter().map(|entry| entry.name));
    }
    Ok(names.iter().all(|name| KNOWN_HOOKS.contains(&name.as_str())))
}

/// Whether no initrd depends on this path, relative to the tree. Of the files for networkd those that name interfaces are copied, and no others.
fn is_indifferent(path: &Path) -> bool {
    let networks = path.starts_with("etc/systemd/network") && path.extension().is_some_and(|ending| ending == "network" || ending == "netdev");
    // Folders on the way to such files come into being with them.
    let on_the_way = ["etc/systemd", "etc/systemd/network", "etc/netplan"].iter().any(|folder| path == Path::new(folder));
    networks || on_the_way || path.starts_with("etc/netplan") || INDIFFERENT.iter().any(|known| path.starts_with(known))
}

fn make_all(tree: &Tree, cell: &Cell<'_>, cancel: &Cancel) -> Result<(), Error> {
    let Some(maker) = Maker::of(tree) else { return Ok(()) };
    let cell = cell.clone().with_variable(COMPRESSION.0, COMPRESSION.1);
    for version in kernels(tree)? {
        match maker {
            Maker::InitramfsTools => {
                let command = ["update-initramfs", "-c", "-k", &version];
                cell.run(&format!("update-initramfs for kernel {version}"), &command, b"", &mut |_| {}, cancel)?;
            }
            Maker::Dracut => {
                copy_kernel(tree, &version)?;
                // The image starts on other machines than this one, which has no zstd for it where the image has none.
                let compression = if tree.exists("usr/bin/zstd") { "--zstd" } else { "--gzip" };
                let image = format!("/boot/initramfs-{version}.img");
                let command = ["dracut", "--force", "--no-hostonly", "--reproducible", compression, &image, &version];
                cell.run(&format!("dracut for kernel {version}"), &command, b"", &mut |_| {}, cancel)?;
            }
        }
    }
    Ok(())
}

/// Copies a kernel from its modules to `/boot`, as `kernel-install(8)` does where there is no other place for it.
fn copy_kernel(tree: &Tree, version: &str) -> Result<(), Error> {
    let (from, to) = (format!("{MODULES}/{version}/vmlinuz"), format!("boot/vmlinuz-{version}"));
    if !tree.exists(&to)
        && let Some(kernel) = tree.read(&from)?
    {
        tree.write(&to, &kernel, 0o755)?;
    }
    Ok(())
}

/// Names modules to what makes the initrds: it copies them with all that they need, and loads them first (`initramfs-tools(7)`, `force_drivers` of
/// `dracut.conf(5)`).
///
/// # Errors
/// A module that a kernel does not have: nobody else would say anything.
pub(super) fn modules(tree: &Tree, modules: &[String]) -> Result<(), Error> {
    if modules.is_empty() {
        return Ok(());
    }
    let Some(maker) = Maker::of(tree) else {
        return Err(Error::Unfulfilled {
            problem: "systemConfig.kernel.enableExtraModules needs initramfs-tools or dracut, and the image has neither".to_owned(),
            hint: "bring a file of /etc/modules-load.d with additionalFiles instead".to_owned(),
        });
    };
    for version in kernels(tree)? {
        let (dep, builtin) = (format!("{MODULES}/{version}/modules.dep"), format!("{MODULES}/{version}/modules.builtin"));
        let lists = [tree.read_text(&dep)?, tree.read_text(&builtin)?];
        let missing: Vec<&str> = modules.iter().filter(|name| !lists.iter().any(|list| lists_module(list, name))).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(Error::Unfulfilled {
                problem: format!("the kernel {version} has no module {}", missing.join(" and no ")),
                hint: "leave it out of systemConfig.kernel.enableExtraModules, or name a kernel that has it in kernel.packages".to_owned(),
            });
        }
    }
    match maker {
        Maker::InitramfsTools => {
            let lines = modules.iter().fold(String::new(), |lines, name| lines + name + "\n");
            tree.create_dirs("etc/initramfs-tools")?;
            Ok(tree.append("etc/initramfs-tools/modules", lines.as_bytes())?)
        }
        Maker::Dracut => {
            let line = format!("force_drivers+=\" {} \"\n", modules.join(" "));
            Ok(tree.write("etc/dracut.conf.d/50-image.conf", line.as_bytes(), 0o644)?)
        }
    }
}

/// Whether a list of `modules.dep` or `modules.builtin` has a module; in its name, `-` is as good as `_`.
fn lists_module(list: &str, name: &str) -> bool {
    let alike = |name: &str| name.replace('-', "_");
    let wanted = alike(name);
    list.lines().any(|line| {
        let file = line.split(':').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        file.split_once(".ko").is_some_and(|(module, _)| module.len() == wanted.len() && alike(module) == wanted)
    })
}

fn kernels(tree: &Tree) -> Result<Vec<String>, Error> {
    let versions = tree.list(MODULES)?.into_iter().map(|entry| entry.name);
    Ok(versions.filter(|version| tree.exists(format!("boot/vmlinuz-{version}")) || tree.exists(format!("{MODULES}/{version}/vmlinuz"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_initrd_could_depend_on_is_told_from_what_it_cannot() {
        for path in ["etc/passwd", "home/me/.ssh/authorized_keys", "etc/systemd/network", "etc/systemd/network/10.network", "var/lib/x", "etc/motd"] {
            assert!(is_indifferent(Path::new(path)), "{path}");
        }
        for path in [
            "etc/fstab",
            "etc/crypttab",
            "etc/initramfs-tools/modules",
            "etc/initramfs-tools/hooks/mine",
            "etc/modprobe.d/a.conf",
            "etc/systemd/network/10.link",
            "etc/udev/rules.d/1.rules",
            "boot/initrd.img-6.1",
            "usr/local/sbin/blkid",
            "usr/bin/x",
            "lib",
            "etc/passwd.d",
        ] {
            assert!(!is_indifferent(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn an_unknown_hook_may_depend_on_anything() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        tree.write("usr/share/initramfs-tools/hooks/udev", b"", 0o755).unwrap();
        assert!(has_known_hooks(&tree).unwrap());
        tree.write("etc/initramfs-tools/hooks/dropbear", b"", 0o755).unwrap();
        assert!(!has_known_hooks(&tree).unwrap());
    }

    #[test]
    fn a_module_that_a_kernel_has_not_is_told() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        for (path, text) in [
            ("usr/sbin/update-initramfs", ""),
            ("boot/vmlinuz-6.1", ""),
            ("usr/lib/modules/6.1/modules.dep", "kernel/a/snd-hda-intel.ko.xz: kernel/b/snd.ko.xz\nkernel/xe.ko:\n"),
            ("usr/lib/modules/6.1/modules.builtin", "kernel/c/ext4.ko\n"),
            ("usr/lib/modules/6.5/modules.dep", ""),
            ("etc/initramfs-tools/modules", "# comment\n"),
        ] {
            tree.write(path, text.as_bytes(), 0o644).unwrap();
        }
        let wanted = |names: &[&str]| modules(&tree, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        wanted(&["snd_hda_intel", "xe", "ext4"]).unwrap();
        assert_eq!(tree.read_text("etc/initramfs-tools/modules").unwrap(), "# comment\nsnd_hda_intel\nxe\next4\n");
        let error = wanted(&["snd", "xe", "i915"]).unwrap_err();
        assert_eq!(error.to_string(), "the kernel 6.1 has no module snd and no i915");
    }
    #[test]
    fn dracut_is_told_the_modules_and_finds_its_kernel() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        for (path, text) in [
            ("usr/bin/dracut", ""),
            ("usr/lib/modules/6.6-1.azl3/vmlinuz", "kernel"),
            ("usr/lib/modules/6.6-1.azl3/modules.dep", "kernel/xe.ko.xz:\n"),
        ] {
            tree.write(path, text.as_bytes(), 0o644).unwrap();
        }
        modules(&tree, &["xe".to_owned()]).unwrap();
        assert_eq!(tree.read_text("etc/dracut.conf.d/50-image.conf").unwrap(), "force_drivers+=\" xe \"\n");
        assert_eq!(kernels(&tree).unwrap(), ["6.6-1.azl3"]);
        assert!(!is_understood(&tree).unwrap(), "its initrd is made at the end, always");
        copy_kernel(&tree, "6.6-1.azl3").unwrap();
        assert_eq!(tree.read_text("boot/vmlinuz-6.6-1.azl3").unwrap(), "kernel");
    }
}
