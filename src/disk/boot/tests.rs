//! Boot loaders installed into small trees.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::disk::kind::{FileSystem, PartitionKind, PartitionTable};
use crate::disk::layout::Layout;
use crate::disk::layout::tests::layout;

struct Made {
    folder: tempfile::TempDir,
    tree: Tree,
    installed: Installed,
    commands: Vec<Vec<String>>,
}

fn tree(files: &[&str]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::open(folder.path()).unwrap();
    for path in files {
        tree.write(path, path.as_bytes(), 0o644).unwrap();
    }
    tree.write("etc/os-release", b"ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n", 0o644).unwrap();
    (folder, tree)
}

const COMMON: [&str; 4] =
    ["boot/vmlinuz-6.1.0-9-amd64", "boot/initrd.img-6.1.0-9-amd64", "boot/vmlinuz-6.1.0-10-amd64", "boot/initrd.img-6.1.0-10-amd64"];
const SYSTEMD: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
const GRUB: [&str; 2] = ["usr/lib/grub/x86_64-efi/kernel.img", "usr/bin/grub-mkimage"];

fn install_into(folder: tempfile::TempDir, tree: Tree, provider: Provider, cmdline: &str) -> Result<Made, Error> {
    install_on(&layout(1 << 30), folder, tree, provider, cmdline)
}

fn install_on(layout: &Layout, folder: tempfile::TempDir, tree: Tree, provider: Provider, cmdline: &str) -> Result<Made, Error> {
    let boot = Boot { provider, cmdline: cmdline.to_owned(), title: String::new() };
    let mut commands = Vec::new();
    let at = folder.path().to_owned();
    let mut run = |command: &[&str]| {
        commands.push(command.iter().map(|word| (*word).to_owned()).collect());
        std::fs::write(at.join(command[8].trim_start_matches('/')), "MZ")?;
        Ok(Vec::new())
    };
    let installed = install(&tree, layout.check(Some(provider)).unwrap(), &boot, &mut run)?;
    Ok(Made { folder, tree, installed, commands })
}

fn made(files: &[&str], provider: Provider) -> Result<Made, Error> {
    let (folder, tree) = tree(&[&COMMON[..], files].concat());
    install_into(folder, tree, provider, "quiet  console=ttyS0,115200n8")
}

impl Made {
    /// What a file of the EFI system partition is: its bytes, or where in the tree it comes from.
    fn esp(&self) -> BTreeMap<String, String> {
        let what = |source: &Source| match source {
            Source::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            Source::Tree(path) => format!("= /{path}"),
        };
        self.installed.esp.iter().map(|file| (file.path.clone(), what(&file.source))).collect()
    }

    fn shown(&self, paths: &[&str]) -> String {
        let mut text = String::new();
        for (path, content) in self.esp() {
            writeln!(text, "esp:{path}\n  {}", content.trim_end().replace('\n', "\n  ")).unwrap();
        }
        for path in paths {
            let content = String::from_utf8(self.tree.read(path).unwrap().unwrap()).unwrap();
            writeln!(text, "/{path}\n  {}", content.trim_end().replace('\n', "\n  ")).unwrap();
        }
        text
    }
}

#[test]
fn systemd_boot_is_laid_out_as_kernel_install_does() {
    let made = made(&[SYSTEMD], Provider::SystemdBoot).unwrap();
    assert_eq!(made.installed.kernels, ["6.1.0-10-amd64", "6.1.0-9-amd64"]);
    insta::assert_snapshot!(made.shown(&["etc/kernel/cmdline", "etc/kernel/entry-token", "etc/fstab"]), @r#"
    esp:EFI/BOOT/BOOTX64.EFI
      = /usr/lib/systemd/boot/efi/systemd-bootx64.efi
    esp:EFI/systemd/systemd-bootx64.efi
      = /usr/lib/systemd/boot/efi/systemd-bootx64.efi
    esp:debian/6.1.0-10-amd64/initrd.img-6.1.0-10-amd64
      = /boot/initrd.img-6.1.0-10-amd64
    esp:debian/6.1.0-10-amd64/linux
      = /boot/vmlinuz-6.1.0-10-amd64
    esp:debian/6.1.0-9-amd64/initrd.img-6.1.0-9-amd64
      = /boot/initrd.img-6.1.0-9-amd64
    esp:debian/6.1.0-9-amd64/linux
      = /boot/vmlinuz-6.1.0-9-amd64
    esp:loader/entries.srel
      type1
    esp:loader/entries/debian-6.1.0-10-amd64.conf
      title      Debian GNU/Linux 12 (bookworm)
      version    6.1.0-10-amd64
      sort-key   debian
      options    root=UUID=8623ef66-a44d-8749-8781-07c05a68e0c6 quiet console=ttyS0,115200n8
      linux      /debian/6.1.0-10-amd64/linux
      initrd     /debian/6.1.0-10-amd64/initrd.img-6.1.0-10-amd64
    esp:loader/entries/debian-6.1.0-9-amd64.conf
      title      Debian GNU/Linux 12 (bookworm)
      version    6.1.0-9-amd64
      sort-key   debian
      options    root=UUID=8623ef66-a44d-8749-8781-07c05a68e0c6 quiet console=ttyS0,115200n8
      linux      /debian/6.1.0-9-amd64/linux
      initrd     /debian/6.1.0-9-amd64/initrd.img-6.1.0-9-amd64
    esp:loader/loader.conf
      timeout 1
    /etc/kernel/cmdline
      root=UUID=8623ef66-a44d-8749-8781-07c05a68e0c6 quiet console=ttyS0,115200n8
    /etc/kernel/entry-token
      debian
    /etc/fstab
      # <file system> <mount point> <type> <options> <dump> <pass>
      UUID=8623ef66-a44d-8749-8781-07c05a68e0c6 / ext4 errors=remount-ro 0 1
      UUID=27C7-7074 /boot/efi vfat umask=0077 0 2
    "#);
}

#[test]
fn grub_finds_its_configuration_by_the_root_file_system() {
    let made = made(&GRUB, Provider::Grub).unwrap();
    assert_eq!(made.commands.len(), 1);
    let command = made.commands[0].join(" ");
    assert!(
        command.starts_with("grub-mkimage -O x86_64-efi -p /boot/grub -c /boot/grub/x86_64-efi/load.cfg -o /boot/grub/x86_64-efi/core.efi "),
        "{command}"
    );
    for module in ["part_gpt", "ext2", "fat", "search_fs_uuid", "normal", "linux", "serial"] {
        assert!(made.commands[0].iter().any(|word| word == module), "{module}");
    }
    insta::assert_snapshot!(made.shown(&["boot/grub/x86_64-efi/load.cfg", "boot/grub/grub.cfg", "etc/default/grub.d/50-image.cfg"]), @r#"
    esp:EFI/BOOT/BOOTX64.EFI
      = /boot/grub/x86_64-efi/core.efi
    esp:EFI/debian/grubx64.efi
      = /boot/grub/x86_64-efi/core.efi
    /boot/grub/x86_64-efi/load.cfg
      search.fs_uuid 8623ef66-a44d-8749-8781-07c05a68e0c6 root
      set prefix=($root)/boot/grub
    /boot/grub/grub.cfg
      set default=0
      set timeout=1
      serial --unit=0 --speed=115200
      terminal_input console serial
      terminal_output console serial
      search --no-floppy --fs-uuid --set=root 8623ef66-a44d-8749-8781-07c05a68e0c6
      
      menuentry 'Debian GNU/Linux 12 (bookworm), with Linux 6.1.0-10-amd64' {
      	linux /boot/vmlinuz-6.1.0-10-amd64 'root=UUID=8623ef66-a44d-8749-8781-07c05a68e0c6' 'quiet' 'console=ttyS0,115200n8'
      	initrd /boot/initrd.img-6.1.0-10-amd64
      }
      
      menuentry 'Debian GNU/Linux 12 (bookworm), with Linux 6.1.0-9-amd64' {
      	linux /boot/vmlinuz-6.1.0-9-amd64 'root=UUID=8623ef66-a44d-8749-8781-07c05a68e0c6' 'quiet' 'console=ttyS0,115200n8'
      	initrd /boot/initrd.img-6.1.0-9-amd64
      }
    /etc/default/grub.d/50-image.cfg
      GRUB_DISTRIBUTOR=Debian
      GRUB_TIMEOUT=1
      GRUB_CMDLINE_LINUX_DEFAULT=
      GRUB_CMDLINE_LINUX='quiet console=ttyS0,115200n8'
      GRUB_TERMINAL='console serial'
      GRUB_SERIAL_COMMAND='serial --unit=0 --speed=115200'
    "#);
}

/// `/boot`, `/home` and swap of their own, and a last partition that grows.
fn many() -> Layout {
    let mut layout = layout(1 << 30);
    let mut add = |name: &str, kind, filesystem, mount_point: Option<&str>, options: &str, start: u64| {
        layout.partitions.push(Partition {
            name: name.to_owned(),
            table_name: name.to_owned(),
            kind,
            start: start << 20,
            len: 64 << 20,
            filesystem: Some(filesystem),
            label: None,
            mount_point: mount_point.map(str::to_owned),
            mount_options: options.to_owned(),
        });
    };
    add("swap", PartitionKind::Swap, FileSystem::Swap, None, "", 600);
    add("boot", PartitionKind::Linux, FileSystem::Ext2, Some("/boot"), "nodev", 700);
    add("home", PartitionKind::Home, FileSystem::Ext4, Some("/home"), "", 800);
    layout.partitions[1].len = 400 << 20;
    layout.extend_last_partition = true;
    layout
}

const GROWING: [&str; 2] = ["usr/bin/systemd-repart", "usr/lib/systemd/systemd-growfs"];

#[test]
fn a_boot_partition_is_where_grub_looks() {
    let (folder, tree) = tree(&[&COMMON[..], &GRUB, &GROWING].concat());
    let made = install_on(&many(), folder, tree, Provider::Grub, "").unwrap();
    assert_eq!(made.commands[0][3..5], ["-p", "/grub"]);
    let shown = made.shown(&["boot/grub/x86_64-efi/load.cfg", "boot/grub/grub.cfg", "etc/fstab", "usr/lib/repart.d/50-image.conf"]);
    let shown = shown.split_once("/boot/grub/x86_64-efi/load.cfg\n").unwrap().1;
    insta::assert_snapshot!(shown);
}

#[test]
fn a_bios_finds_grub_where_it_looks() {
    let mut layout = Layout { table: PartitionTable::Mbr, ..layout(1 << 30) };
    layout.partitions.remove(0);
    let pc = ["usr/lib/grub/i386-pc/boot.img", "usr/bin/grub-mkimage"];
    let (folder, tree) = tree(&[&COMMON[..], &pc].concat());
    let made = install_on(&layout, folder, tree, Provider::GrubBios, "").unwrap();
    assert!(made.commands[0].iter().any(|word| word == "biosdisk") && made.commands[0][2] == "i386-pc", "{:?}", made.commands);
    let bios = made.installed.bios.as_ref().unwrap();
    assert_eq!((bios.boot.as_slice(), bios.core.as_slice()), (&b"usr/lib/grub/i386-pc/boot.img"[..], &b"MZ"[..]));
    assert!(made.installed.esp.is_empty());

    let (folder, tree) = self::tree(&COMMON);
    let error = install_on(&layout, folder, tree, Provider::GrubBios, "").map(|_| ()).unwrap_err();
    assert_eq!(error.hint().unwrap(), "add “grub-pc-bin” to the packages");
    let (folder, tree) = self::tree(&[&COMMON[..], &[SYSTEMD]].concat());
    let error = install_on(&many(), folder, tree, Provider::SystemdBoot, "").map(|_| ()).unwrap_err();
    assert_eq!(error.hint().unwrap(), "add “systemd-repart” to the packages");
}

#[test]
fn names_the_package_of_what_is_missing() {
    for (files, provider, package) in [
        (&[][..], Provider::SystemdBoot, "systemd-boot-efi"),
        (&[], Provider::Grub, "grub-efi-amd64-bin"),
        (&GRUB[..1], Provider::Grub, "grub-common"),
    ] {
        let error = made(files, provider).map(|_| ()).unwrap_err();
        assert_eq!(error.hint().unwrap(), format!("add “{package}” to the packages"), "{error}");
    }
}

#[test]
fn a_failure_in_the_sandbox_names_the_command() {
    let (_folder, tree) = tree(&[&COMMON[..], &GRUB].concat());
    let boot = Boot { provider: Provider::Grub, cmdline: String::new(), title: String::new() };
    let error =
        install(&tree, layout(1 << 30).check(Some(boot.provider)).unwrap(), &boot, &mut |_| Err("no such module".into())).map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("“grub-mkimage -O x86_64-efi"), "{error}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no such module");
    let error = install(&tree, layout(1 << 30).check(Some(boot.provider)).unwrap(), &boot, &mut |_| Ok(Vec::new())).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "/boot/grub/x86_64-efi/core.efi in the image was not written by grub-mkimage");
}

#[test]
fn what_a_user_writes_is_never_a_command() {
    let (folder, tree) = tree(&[&COMMON[..], &GRUB].concat());
    let made = install_into(folder, tree, Provider::Grub, "a='b' $(reboot) ; {x} \"y\" \\").unwrap();
    let text = String::from_utf8(made.tree.read("boot/grub/grub.cfg").unwrap().unwrap()).unwrap();
    assert!(text.contains(r#" 'a='\''b'\''' '$(reboot)' ';' '{x}' '"y"' '\'"#), "{text}");
    for cmdline in ["quiet\ninit=/bin/sh", "a\0b", &"x".repeat(2048)] {
        let (folder, tree) = self::tree(&[&COMMON[..], &GRUB].concat());
        let result = install_into(folder, tree, Provider::Grub, cmdline);
        assert!(matches!(result, Err(Error::Unusable { .. })), "{cmdline:?}");
    }
}

#[test]
fn files_beneath_the_mount_point_move_to_the_partition() {
    let own = ["boot/efi/loader/loader.conf", "boot/efi/firmware/config.txt"];
    let made = made(&[&[SYSTEMD][..], &own].concat(), Provider::SystemdBoot).unwrap();
    assert_eq!(made.esp()["loader/loader.conf"], "= /boot/efi/loader/loader.conf");
    assert_eq!(made.esp()["firmware/config.txt"], "= /boot/efi/firmware/config.txt");
    assert!(made.esp().contains_key("EFI/BOOT/BOOTX64.EFI"), "what we write is there too");
}

#[test]
fn a_hostile_tree_leads_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    for path in ["vmlinuz-6.1", "initrd.img-6.1", "fstab"] {
        std::fs::write(outside.path().join(path), "host").unwrap();
    }
    let (folder, tree) = tree(&[SYSTEMD]);
    std::os::unix::fs::symlink(outside.path(), folder.path().join("boot")).unwrap();
    let error = install_into(folder, tree, Provider::SystemdBoot, "").map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "the host's kernel must not be seen: {error}");

    let (folder, tree) = self::tree(&[&COMMON[..], &[SYSTEMD]].concat());
    std::os::unix::fs::symlink(outside.path().join("fstab"), folder.path().join("etc/fstab")).unwrap();
    install_into(folder, tree, Provider::SystemdBoot, "").unwrap();
    assert_eq!(std::fs::read_to_string(outside.path().join("fstab")).unwrap(), "host");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 3);
}

/// The names of the RPM distributions: `grub2` in programs and folders, and initrds of dracut.
#[test]
fn grub_of_an_rpm_distribution_has_its_own_names() {
    let kernel = ["boot/vmlinuz-6.12.0-1.el10.x86_64", "boot/initramfs-6.12.0-1.el10.x86_64.img", "usr/bin/rpm"];
    let of = |files: &[&str]| {
        let (folder, tree) = tree(&[&kernel[..], files].concat());
        install_into(folder, tree, Provider::Grub, "quiet")
    };
    let made = of(&["usr/lib/grub/x86_64-efi/kernel.img", "usr/bin/grub2-mkimage"]).unwrap();
    let command = made.commands[0].join(" ");
    let expected = "grub2-mkimage -O x86_64-efi -p /boot/grub2 -c /boot/grub2/x86_64-efi/load.cfg -o /boot/grub2/x86_64-efi/core.efi ";
    assert!(command.starts_with(expected), "{command}");
    let shown = made.shown(&["boot/grub2/grub.cfg", "etc/default/grub"]);
    assert!(shown.contains("linux /boot/vmlinuz-6.12.0-1.el10.x86_64 "), "{shown}");
    assert!(shown.contains("initrd /boot/initramfs-6.12.0-1.el10.x86_64.img"), "{shown}");
    assert!(shown.contains("automatically generated by grub2-mkconfig"), "{shown}");
    let mode = |path: &str| std::fs::metadata(made.folder.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("boot/grub2/grub.cfg"), mode("etc/default/grub")), (0o400, 0o644));
    let missing = |files: &[&str]| of(files).err().expect("refused").hint().unwrap();
    assert!(missing(&["usr/bin/grub2-mkimage"]).contains("grub2-efi-x64-modules"));
    assert!(missing(&["usr/lib/grub/x86_64-efi/kernel.img"]).contains("grub2-tools"));
}
