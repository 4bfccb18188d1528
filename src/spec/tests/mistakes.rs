//! Wrong specs, and exactly what a user reads about each.

use std::fmt::Write as _;
use std::path::Path;

use super::{fixtures, parse};
use crate::spec::{LoadError, load};

/// What stands before the specs below, so that they need not repeat it: two lines.
const HEAD: &str = "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\n";

/// A title, and a spec of which only that is wrong; one that begins with `image:`, `target:` or `!` has no head before it.
pub(super) const WRONG: &[(&str, &str)] = &[
    ("an empty file", "!"),
    ("a list", "!- a\n- b\n"),
    ("two sections are missing", "!systemConfig:\n  name: a\n"),
    ("fields are missing", "!image:\n  name: a\ntarget:\n  os: debian\n"),
    ("a version that is a number", "image: {name: a, version: 1.0}\ntarget: {dist: debian12, arch: x86_64}\n"),
    ("names that cannot be file names", "image: {name: ../a, version: '1/2'}\ntarget: {dist: debian12, arch: x86_64}\n"),
    ("a mistyped distribution", "image: {name: a, version: '1'}\ntarget: {os: debain, dist: debain12, arch: amd64}\n"),
    (
        "a distribution without a profile",
        "image: {name: a, version: '1'}\ntarget: {os: wind-river-elxr, dist: elxr12, arch: armv7hl, imageType: iso}\n",
    ),
    ("the wrong family", "image: {name: a, version: '1'}\ntarget: {os: ubuntu, dist: debian12, arch: x86_64}\n"),
    ("a processor that a profile has not", "image: {name: a, version: '1'}\ntarget: {dist: ubuntu24, arch: aarch64}\n"),
    ("a mistyped section", "systemconfig: {}\nquux: 1\n"),
    ("a merge key", "systemConfig:\n  <<: {name: a}\n"),
    ("sections that are not supported", "metadata: text\nbaseline: {mode: overlay}\noverlayPolicy: {}\n"),
    ("sections of a wrong type", "disk: 4GiB\nsystemConfig: [a]\npackageRepositories: {}\nbuild: true\n"),
    ("sizes", "disk:\n  size: 4 parsecs\n"),
    ("a size that is a fraction", "disk:\n  size: 1.5\n"),
    ("a size that is too much", "disk:\n  size: 17TiB\n"),
    ("a disk too small for the default layout", "disk:\n  size: 512MiB\n"),
    (
        "disk fields that are not supported",
        "disk:\n  path: /dev/sda\n  maxSize: 8GiB\n  partitionTableType: mbr\n  extendLastPartitionToFillDisk: true\n",
    ),
    ("artifacts", "disk:\n  artifacts:\n    - type: raw\n      compression: gz\n    - type: vhdx\n    - type: qcow\n    - type: raw\n    - {}\n"),
    ("an artifact that cannot hold the disk", "disk:\n  size: 3TiB\n  artifacts: [ { type: vhdx }, { type: vhd }, { type: vmdk } ]\n"),
    ("no artifact", "disk:\n  artifacts: []\n"),
    (
        "what means nothing in memory",
        "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64, imageType: img}\ndisk: {size: 64MiB, partitions: [], artifacts: [{type: qcow2}]}\n\
         systemConfig: {bootloader: {}, kernel: {cmdline: quiet, enableExtraModules: xe}}\n",
    ),
    (
        "what means nothing to Windows",
        "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64, imageType: wsl2}\ndisk: {partitionTableType: gpt, artifacts: [{type: initrd}]}\n\
         systemConfig: {bootloader: {provider: grub}, kernel: {}, network: {}}\n",
    ),
    (
        "partitions that miss fields",
        "disk:\n  partitions:\n    - id: a\n    - {id: b, type: linux-home, typeUUID: x, start: 1MiB, end: x, fsType: xfs, mountPoint: home, fsLabel: 5, flags: boot}\n",
    ),
    (
        "types by GUIDs that are unknown, of another processor, and not the type",
        "\
disk:
  partitions:
    - {id: esp, type: esp, typeUUID: '8304', start: 1MiB, end: 100MiB, fsType: fat32, mountPoint: /efi}
    - {id: home, typeUUID: 933ac7e1-2eb4-4f13-b844-0e14e2aef915, start: 100MiB, end: 1GiB, fsType: ext4, mountPoint: /home}
    - {id: root, typeUUID: B921B045-1DF0-41C3-AF44-4C6F280D3FAE, start: 1GiB, end: '0', fsType: ext4, mountPoint: /}
",
    ),
    (
        "partitions that overlap and end beyond the disk",
        "\
disk:
  size: 2GiB
  partitions:
    - {id: esp, type: esp, start: 0, end: 100MiB, fsType: fat32, mountPoint: /boot}
    - {id: root, type: linux-root-amd64, start: 99MiB, end: 2GiB, fsType: ext4, mountPoint: /mnt}
",
    ),
    (
        "partitions that are unaligned, double and too many",
        "\
disk:
  partitions:
    - {id: esp, type: esp, start: 1MiB, end: 100000000, fsType: vfat, mountPoint: /efi}
    - {id: esp, type: esp, start: 200MiB, end: 210MiB, fsType: vfat, mountPoint: /efi}
    - {id: root, type: linux-root-amd64, start: 300000001, end: 200MiB, fsType: ext4, mountPoint: /}
",
    ),
    (
        "partitions after the rest of the disk",
        "\
disk:
  partitions:
    - {id: root, type: linux-root-amd64, start: 1MiB, end: '0', fsType: ext4, mountPoint: /}
    - {id: esp, type: esp, start: 1GiB, end: '0', fsType: fat32, mountPoint: /boot/efi}
",
    ),
    ("no root and no EFI system partition", "disk:\n  partitions: []\n"),
    (
        "partitions for another processor, with wrong file systems, labels, names and flags",
        "\
disk:
  partitions:
    - {id: esp, type: esp, start: 1MiB, end: 513MiB, fsType: fat32, mountPoint: /boot/efi, fsLabel: lower, flags: [esp, hidden]}
    - {id: root, name: a, label: b, type: linux-root-arm64, start: 513MiB, end: '0', fsType: vfat, mountPoint: /, flags: [boot], mountOptions: a b}
",
    ),
    ("packages", "systemConfig:\n  packages:\n    - Bash\n    - a*=1\n    - curl>=8.0\n    - gcc:arm64\n    - 7zip\n    - 7\n    - yes please\n"),
    ("packages as one text", "systemConfig:\n  packages: curl wget\n"),
    ("host names", "systemConfig:\n  hostname: my_host\n"),
    ("a number as host name", "systemConfig:\n  hostname: 12\n"),
    (
        "system fields that are not supported",
        "systemConfig:\n  proxy: {}\n  fde: {enabled: true}\n  immutability: {enabled: true}\n  cloudInit: {enabled: true}\n  initramfs: {template: a}\n",
    ),
    (
        "the network",
        "\
systemConfig:
  network:
    backend: NetworkManager
    interfaces:
      - {name: a b, dhcp4: yes, addresses: [10.0.0.1, 10.0.0.1/33, 'fd00::1/129', 10.0.0.1/+8]}
      - {name: eth0, gateway4: 'fd00::1', gateway6: here, mtu: 9000}
      - {name: eth0, routes: [{to: 10.0.0.0/8, via: 'fd00::1'}, {to: everywhere}], nameservers: example.org}
",
    ),
    (
        "users",
        "\
systemConfig:
  users:
    - name: Alice
      sudo: yes
      groups: [Adm, '<sudo>']
      home: home/alice
      shell: /bin/ba:sh
      passwordMaxAge: -1
      startupScript: /bin/a
    - name: bob
      shell: /bin/ba:sh
    - name: bob
    - password: x
    - name: root
      home: /home/root
",
    ),
    (
        "passwords",
        "\
systemConfig:
  users:
    - {name: a, password: 271828}
    - {name: b, password: $6$hunter2}
    - {name: c, password: hunter2, hash_algo: bcrypt}
    - {name: d, password: '!'}
    - {name: e, password: \"hunter2\\n\"}
    - {name: f, password: hunter2, hash_algo: sha51}
    - {name: g, password: [hunter2]}
",
    ),
    (
        "keys",
        "systemConfig:\n  users:\n    - name: a\n      sshAuthorizedKeys: [hunter2, '-----BEGIN OPENSSH PRIVATE KEY-----', 5]\n      sshAuthorizedKeysFiles: [a.pub]\n",
    ),
    (
        "files",
        "\
systemConfig:
  additionalFiles:
    - {local: files/none, final: /etc/none}
    - {local: files, final: /etc/files, mode: u+x, owner: 'a:b:c'}
    - {local: files/motd, final: /etc/mode, mode: 888}
    - {local: files/motd, final: etc/motd}
    - {local: files/motd, final: /etc/../motd}
    - {local: files/motd, final: /etc/}
    - {local: files/motd, final: /etc/motd}
    - {local: files/motd, final: /etc/motd}
    - {local: files/motd, final: /etc/motd/a}
    - {local: '', final: /a, stage: pre-initramfs}
    - {local: /dev/null, final: /dev/null}
    - {local: files, final: /srv}
    - {local: files/motd, final: /srv/motd}
    - {local: files/motd, final: /}
    - files/motd
",
    ),
    ("commands", "systemConfig:\n  configurations:\n    - echo a\n    - command: echo\n    - cmd: ''\n    - cmd: [echo]\n"),
    (
        "the kernel",
        "systemConfig:\n  kernel:\n    version: v6\n    name: linux\n    enableExtraModules: xe, ../a\n    uki: true\n    packages: []\n    cmdline: |\n      quiet\n      splash\n",
    ),
    ("a bill that no image can have", "systemConfig:\n  sbom: provenance\n"),
    ("bills", "systemConfig:\n  sbom: [spdx]\n"),
    ("a version of no kernel", "systemConfig:\n  kernel:\n    version: 6.1\n    packages: [linux-firmware]\n"),
    ("the root in the command line", "systemConfig:\n  kernel:\n    cmdline: quiet root=/dev/sda2\n"),
    (
        "disks that a BIOS starts",
        "disk:\n  partitionTableType: mbr\n  size: 3TiB\n  extendLastPartitionToFillDisk: true\n  partitions:\n    \
         - {id: a, type: linux, start: 1MiB, end: 65MiB, fsType: ext4}\n    - {id: b, type: linux, start: 65MiB, end: 129MiB, fsType: ext4}\n    \
         - {id: c, type: linux, start: 129MiB, end: 193MiB, fsType: ext4}\n    - {id: d, type: linux, start: 193MiB, end: 257MiB, fsType: ext4}\n    \
         - {id: e, type: linux-root-amd64, start: 257MiB, end: '0', fsType: ext4, mountPoint: /}\n\
         systemConfig:\n  bootloader: {bootType: legacy, provider: systemd-boot}\n",
    ),
    (
        "a BIOS and a GPT without a place for GRUB",
        "disk:\n  partitions:\n    - {id: root, type: linux, start: 1MiB, end: '0', fsType: ext4, mountPoint: /}\n\
         systemConfig:\n  bootloader: {bootType: legacy}\n",
    ),
    (
        "partitions that cannot be what they shall be",
        "disk:\n  extendLastPartitionToFillDisk: true\n  partitions:\n    \
         - {id: esp, type: esp, start: 1MiB, end: 65MiB, fsType: ext4, mountPoint: /efi}\n    \
         - {id: swap, type: linux-swap, start: 65MiB, end: 129MiB, mountPoint: /swap}\n    \
         - {id: usr, type: linux, start: 129MiB, end: 193MiB, fsType: ext4, mountPoint: /usr/lib}\n    \
         - {id: bios, type: bios, start: 193MiB, end: 194MiB, fsLabel: GRUB}\n    \
         - {id: xfs, type: linux, start: 194MiB, end: 294MiB, fsType: xfs, mountPoint: /srv}\n    \
         - {id: paging, type: linux-swap, start: 294MiB, end: 300MiB, fsType: ext4}\n    \
         - {id: nothing, type: linux-var, start: 300MiB, end: 400MiB, fsType: none, mountPoint: /var}\n    \
         - {id: root, type: linux-root-amd64, start: 400MiB, end: '0', fsType: ext4}\n",
    ),
    (
        "partitions at the same place and a last one that cannot grow",
        "disk:\n  extendLastPartitionToFillDisk: true\n  partitions:\n    \
         - {id: esp, type: esp, start: 1MiB, end: 65MiB, fsType: fat16, mountPoint: /efi}\n    \
         - {id: root, type: linux, start: 65MiB, end: 1GiB, fsType: vfat, mountPoint: /}\n    \
         - {id: a, type: linux-home, start: 1GiB, end: 1030MiB, fsType: ext4, mountPoint: /home}\n    \
         - {id: b, type: linux, start: 1030MiB, end: 1032MiB, fsType: ext4, mountPoint: /home}\n    \
         - {id: c, type: linux-swap, start: 1032MiB, end: '0', fsType: swap, mountPoint: none}\n    \
         ",
    ),
    ("the boot loader", "systemConfig:\n  bootloader:\n    bootType: legacy\n    provider: grub2\n    bootEntryPolicy: preserve\n"),
    (
        "repositories",
        "\
packageRepositories:
  - {codename: a, url: 'https://me:hunter2@h/d', pkey: files/motd}
  - {codename: a, url: 'https://h/d', pkey: 'https://h/key.gpg'}
  - {codename: a, url: 'ftp://h/d', pkey: '[trusted=yes]'}
  - {codename: ../a, url: 'https://h/d', pkey: none.gpg, priority: high, component: ''}
  - {id: debian, codename: b, url: 'https://h/d', pkey: files/motd}
  - {codename: b, url: 'https://h/d', pkey: files/motd}
  - {codename: b, url: 'https://h/d/', pkey: files/motd}
  - {id: h/d, codename: c, url: 'https://other/d', pkey: files/motd}
  - {codename: f/, url: 'https://h/f', component: main, pkeys: [files/motd, none.gpg], allowPackages: ['a b', 'b*']}
  - {codename: g, url: 'https://h/g', pkeys: []}
  - {codename: c, path: /none, pkeys: [a], allowPackages: [a], insecureSkipVerify: true}
  - {codename: t, url: 'https://h/t', pkey: '[trusted=no]'}
  - {codename: t, url: 'https://h/t', pkeys: ['[trusted=yes]']}
  - {codename: t, url: 'https://h/t', pkey: files/motd, insecureSkipVerify: true}
  - {codename: t, url: 'https://h/t', pkey: '[trusted=yes]', pkeys: [files/motd]}
  - {codename: t, url: 'https://h/t', insecureSkipVerify: false}
  - {codename: t, url: 'https://h/t', insecureSkipVerify: 'yes'}
  - {codename: t, metalink: 'https://h/list?repo=t', pkey: files/motd}
",
    ),
    ("the caches", "build:\n  cache:\n    use_package_cache: off\n    use_images_cache: true\n  jobs: 4\n"),
    ("a tab", "systemConfig:\n\tname: a\n"),
    ("a key twice", "systemConfig:\n  name: a\n  name: b\n  hostnam: h\n"),
    ("two documents", "---\nimage: {}\n"),
    ("a tag", "systemConfig: {name: !!str 5}\n"),
    ("a quotation mark too few", "systemConfig: {name: 'a}\n"),
];

/// One of them as a file has it.
pub(super) fn whole(text: &str) -> String {
    match text.strip_prefix('!') {
        Some(whole) => whole.to_owned(),
        None if text.starts_with("image:") => text.to_owned(),
        None => HEAD.to_owned() + text,
    }
}

#[test]
fn each_is_told_exactly() {
    let folder = format!("{}/", fixtures().display());
    let mut told = String::new();
    for (title, text) in WRONG {
        let error = parse(&whole(text)).expect_err(title).to_string();
        assert!(!error.contains("hunter2") && !error.contains("271828"), "a secret is shown: {error}");
        let _ = write!(told, "# {title}\n{}\n\n", error.replace(&folder, ""));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yml");
    std::fs::write(&path, b"image:\n  name: \xff\xfe\n").unwrap();
    let error = load(&path).unwrap_err();
    assert!(matches!(&error, LoadError::Read(_)) && error.diagnostics().is_empty());
    assert!(error.to_string().ends_with("a.yml is not UTF-8: line 2 has a byte that is no text"), "{error}");
    assert!(load(Path::new("/dev/zero")).is_err_and(|error| error.to_string() == "/dev/zero is not a regular file"));
}
