//! The initrd of every kernel, and the modules that the spec wants in it.

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

/// Makes the initrd of every kernel, once, after everything that it copies is in place.
pub(super) fn make(tree: &Tree, cell: &Cell<'_>, cancel: &Cancel) -> Result<(), Error> {
    let Some(maker) = Maker::of(tree) else { return Ok(()) };
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
