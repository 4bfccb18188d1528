//! The initrd of every kernel, and the modules that the spec wants in it.
//!
//! It takes half as long as all else, and depends on little of what specs add to the packages of their profile. So it is made with these, stays with them in
//! the root cache, and is made again only where something has changed that it could depend on. What decides is the changes alone, never whether the root was
//! kept: the image is the same.

use std::path::Path;

use super::Error;
use super::changes::Change;
use super::plan::Platform;
use super::sandbox::Cell;
use crate::progress::{Cancel, Event, Progress};
use crate::tree::Tree;

/// Where each kernel has its modules.
const MODULES: &str = "usr/lib/modules";

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

/// Where packages lay down what is new, and neither `mkinitramfs` nor a known hook looks for it; but for [`LOOKED_FOR`] and [`LOOKED_FOR_PROGRAMS`].
const OPEN: [&str; 10] =
    ["etc", "opt", "usr/bin", "usr/games", "usr/include", "usr/lib", "usr/local/lib", "usr/local/share", "usr/sbin", "usr/share"];

/// Files and folders in the [`OPEN`] places that `mkinitramfs`, the programs that it runs, and the known hooks look for. (What they open was recorded with
/// strace on Debian 12, with the packages of all hooks that it has; and read in their scripts.)
const LOOKED_FOR: [&str; 46] = [
    "etc/blkid.conf",
    "etc/console-setup",
    "etc/crypttab",
    "etc/default/console-setup",
    "etc/default/keyboard",
    "etc/default/mdadm",
    "etc/depmod.d",
    "etc/dpkg/dpkg.cfg",
    "etc/dpkg/dpkg.cfg.d",
    "etc/e2fsck.conf",
    "etc/fstab",
    "etc/fstab.d",
    "etc/initramfs",
    "etc/initramfs-tools",
    "etc/iscsi",
    "etc/kernel",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d",
    "etc/ld.so.preload",
    "etc/localtime",
    "etc/lvm",
    "etc/mdadm",
    "etc/mke2fs.conf",
    "etc/modprobe.d",
    "etc/modules",
    "etc/modules-load.d",
    "etc/nsswitch.conf",
    "etc/plymouth",
    "etc/udev",
    "etc/uswsusp.conf",
    "etc/vconsole.conf",
    "usr/lib/depmod.d",
    "usr/lib/firmware",
    "usr/lib/initramfs-tools",
    "usr/lib/kernel",
    "usr/lib/klibc",
    "usr/lib/modprobe.d",
    "usr/lib/modules",
    "usr/lib/modules-load.d",
    "usr/lib/systemd/network",
    "usr/lib/udev",
    "usr/share/consolefonts",
    "usr/share/consoletrans",
    "usr/share/initramfs-tools",
    "usr/share/keymaps",
    "usr/share/mdadm",
];

/// What the hook `keymap` alone looks for, by the program that it runs; where that is not there, it does nothing. (The package `locales` brings the file.)
const LOOKED_FOR_BY_SETUPCON: (&str, &str) = ("bin/setupcon", "etc/default/locale");

/// Where packages have rules of udev. The hooks that copy some name each of them, but for those of the administrator, which stand in the way of these.
const RULES: (&str, &str) = ("usr/lib/udev/rules.d", "etc/udev/rules.d");

/// How the names of programs begin that they look for: of compressors those of the default configuration, which nothing but files in [`LOOKED_FOR`] changes.
const LOOKED_FOR_PROGRAMS: [&str; 38] = [
    "awk",
    "blkid",
    "bootctl",
    "btrfs",
    "busybox",
    "ckbcomp",
    "cpio",
    "cryptsetup",
    "dmsetup",
    "e2fsck",
    "fsck",
    "getopt",
    "gzip",
    "hwclock",
    "iscsi",
    "iucode",
    "kbd_mode",
    "kmod",
    "ldconfig",
    "ldd",
    "loadkeys",
    "logsave",
    "lvm",
    "mdadm",
    "mdmon",
    "mkinitramfs",
    "modprobe",
    "mount",
    "nawk",
    "ntfs-3g",
    "pigz",
    "plymouth",
    "resume",
    "run-parts",
    "set",
    "sync",
    "udevadm",
    "zstd",
];

/// What packages may also change, though it was there.
const SHARED: [&str; 6] = ["etc/ld.so.cache", "etc/shells", "usr/share/applications", "usr/share/info", "usr/share/man", "usr/share/mime"];

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

/// Makes the initrds of a tree of packages, where it can be told what makes them others.
pub(super) fn make_early(tree: &Tree, platform: Platform, cell: &Cell<'_>, cancel: &Cancel) -> Result<(), Error> {
    if can_tell(tree)? { make_all(tree, platform, cell, cancel) } else { Ok(()) }
}

/// Makes the initrds again after more packages, unless those from [`make_early`] are the same; where it cannot be told, that is for [`make`]. `changes` is
/// what has changed since.
pub(super) fn renew(
    (tree, platform): (&Tree, Platform),
    changes: &[Change],
    cell: &Cell<'_>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), Error> {
    if platform != Platform::Disk || !can_tell(tree)? {
        return Ok(());
    }
    let looks = Looks::of(tree)?;
    let depends = changes.iter().find(|change| !(is_indifferent(&change.path) || looks.not_for(change)));
    if depends.is_none() && is_made(tree)? {
        return Ok(());
    }
    if let Some(change) = depends {
        progress.report(Event::Note(&format!("the initrd may depend on /{}, which is not from the packages of the profile", change.path.display())));
    }
    make_all(tree, platform, cell, cancel)
}

/// Whether the initrds that are there are those that would be made now. `changes` is what has changed since all packages were installed.
pub(super) fn are_same(tree: &Tree, changes: &[Change]) -> Result<bool, Error> {
    Ok(can_tell(tree)? && changes.iter().all(|change| is_indifferent(&change.path)))
}

/// Whether each kernel has its initrd.
fn is_made(tree: &Tree) -> Result<bool, Error> {
    Ok(kernels(tree)?.iter().all(|version| tree.exists(format!("boot/initrd.img-{version}"))))
}

/// Whether it is known what an initrd of this tree depends on. Of dracut's modules it is not.
fn can_tell(tree: &Tree) -> Result<bool, Error> {
    if Maker::of(tree) == Some(Maker::Dracut) {
        return Ok(false);
    }
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

/// What the hooks of a tree look for, beyond what they look for in all.
#[derive(Default)]
struct Looks {
    /// See [`LOOKED_FOR_BY_SETUPCON`].
    has_setupcon: bool,
    /// The texts of all hooks.
    hooks: String,
    /// The names of the administrator's rules of udev.
    rules: Vec<String>,
}

impl Looks {
    fn of(tree: &Tree) -> Result<Self, Error> {
        let mut hooks = String::new();
        for folder in HOOKS {
            for entry in tree.list(folder)? {
                hooks += &tree.read_text(&format!("{folder}/{}", entry.name))?;
            }
        }
        let rules = tree.list(RULES.1)?.into_iter().map(|entry| entry.name).collect();
        Ok(Self { has_setupcon: tree.exists(LOOKED_FOR_BY_SETUPCON.0), hooks, rules })
    }

    /// Whether no initrd depends on what packages have changed there.
    fn not_for(&self, change: &Change) -> bool {
        let path = &change.path;
        if SHARED.iter().any(|known| path.starts_with(known)) {
            return true;
        }
        // Which of several programs a name means.
        let is_alternative = path.starts_with("etc/alternatives");
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_program = is_alternative || ["usr/bin", "usr/sbin"].iter().any(|folder| path.starts_with(folder));
        let is_rule = path.parent() == Some(Path::new(RULES.0)) && !self.hooks.contains(name) && !self.rules.iter().any(|rule| rule == name);
        let looked_for = LOOKED_FOR.iter().any(|known| path.starts_with(known)) && !is_rule
            || self.has_setupcon && path.starts_with(LOOKED_FOR_BY_SETUPCON.1)
            || is_program && LOOKED_FOR_PROGRAMS.iter().any(|known| name.starts_with(known))
            // The linker looks into `usr/local/lib` first, and prefers variants of libraries for better processors.
            || path.starts_with("usr/local/lib") && name.contains(".so")
            || path.components().any(|part| part.as_os_str() == "glibc-hwcaps");
        (change.is_new || is_alternative) && !looked_for && OPEN.iter().any(|folder| path.starts_with(folder))
    }
}

/// A system that does not start from its disk needs none; its kernels are put in place all the same.
pub(super) fn make_all(tree: &Tree, platform: Platform, cell: &Cell<'_>, cancel: &Cancel) -> Result<(), Error> {
    if platform != Platform::Disk {
        return kernels(tree)?.iter().try_for_each(|version| copy_kernel(tree, version));
    }
    let Some(maker) = Maker::of(tree) else { return Ok(()) };
    let cell = cell.clone().with_variable(COMPRESSION.0, COMPRESSION.1);
    for version in kernels(tree)? {
        match maker {
            Maker::InitramfsTools => {
                let command = ["update-initramfs", "-c", "-k", &version];
                cell.run_timed(&format!("update-initramfs for kernel {version}"), &command, cancel)?;
            }
            Maker::Dracut => {
                copy_kernel(tree, &version)?;
                // The image starts on other machines than this one, which has no zstd for it where the image has none.
                let compression = if tree.exists("usr/bin/zstd") { "--zstd" } else { "--gzip" };
                let image = format!("/boot/initramfs-{version}.img");
                let command = ["dracut", "--force", "--no-hostonly", "--reproducible", compression, &image, &version];
                cell.run_timed(&format!("dracut for kernel {version}"), &command, cancel)?;
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
    fn of_packages_what_is_new_means_little_and_what_changes_much() {
        let looks = Looks { has_setupcon: false, hooks: "cp 60-block.rules".to_owned(), rules: vec!["70-mine.rules".to_owned()] };
        let depends = |path: &str, is_new| !looks.not_for(&Change { path: path.into(), is_new });
        for path in [
            "usr/bin/less",
            "usr/lib/x86_64-linux-gnu/libgit.so.1",
            "usr/share/doc/less/copyright",
            "etc/nginx/nginx.conf",
            "usr/lib/udev/rules.d/80-docker.rules",
            "usr/lib/systemd/system/nginx.service",
            "opt/x",
        ] {
            assert!(!depends(path, true), "{path}");
            assert!(depends(path, false), "{path} was there");
        }
        let locale = Change { path: LOOKED_FOR_BY_SETUPCON.1.into(), is_new: true };
        assert!(looks.not_for(&locale) && !Looks { has_setupcon: true, ..Looks::default() }.not_for(&locale));
        assert!(!depends("usr/bin/ld", true) && depends("usr/sbin/ldconfig.real", true) && !depends("usr/include/stdio.h", true));
        assert!(depends("usr/bin/setupcon", true));
        assert!(!depends("usr/local/lib/python3.11/dist-packages", true) && depends("usr/local/lib/libc.so.6", true));
        assert!(!depends("etc/dpkg/shlibs.default", true) && depends("etc/dpkg/dpkg.cfg.d/excludes", true));
        assert!(!depends("etc/ld.so.cache", false) && !depends("etc/alternatives/pager", false) && depends("etc/alternatives/awk", false));
        for path in [
            "usr/bin/busybox",
            "usr/sbin/fsck.xfs",
            "usr/bin/zstd",
            "usr/share/initramfs-tools/hooks/cryptroot",
            "usr/lib/udev/rules.d/60-block.rules",
            "usr/lib/udev/rules.d/70-mine.rules",
            "usr/lib/udev/rules.d",
            "usr/lib/udev/some_id",
            "usr/lib/modules/6.1/kernel/x.ko",
            "usr/lib/firmware/x.bin",
            "etc/modprobe.d/x.conf",
            "etc/ld.so.conf.d/x.conf",
            "usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1",
            "usr/local/bin/mv",
            "boot/x",
        ] {
            assert!(depends(path, true), "{path}");
        }
    }

    #[test]
    fn an_unknown_hook_may_depend_on_anything() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        tree.write("usr/share/initramfs-tools/hooks/udev", b"", 0o755).unwrap();
        assert!(can_tell(&tree).unwrap());
        tree.write("etc/initramfs-tools/hooks/dropbear", b"", 0o755).unwrap();
        assert!(!can_tell(&tree).unwrap());
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
        copy_kernel(&tree, "6.6-1.azl3").unwrap();
        assert_eq!(tree.read_text("boot/vmlinuz-6.6-1.azl3").unwrap(), "kernel");
    }
}
