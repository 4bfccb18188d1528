//! What changes the spec hash, and what does not.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::{fixtures, parse};
use crate::digest::{Digest, Sha256};
use crate::disk::formats::{Compression, Format};
use crate::spec::model::*;
use crate::spec::{Loaded, load};

fn hash_of(text: &str) -> String {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}")).hash(None).to_string()
}

/// A spec in which every optional field is there.
pub(crate) fn full() -> Loaded {
    let mut loaded = load(&fixtures().join("debian12-grub.yml")).unwrap_or_else(|error| panic!("{error}"));
    let user = &mut loaded.spec.system.users[1];
    user.home = Some("/home/alice".to_owned());
    let ip = |last| std::net::IpAddr::from([10, 0, 0, last]);
    let interface = Interface {
        name: "eth0".to_owned(),
        dhcp4: false,
        dhcp6: false,
        addresses: vec![Subnet(ip(2), 24)],
        routes: vec![Route { to: None, via: ip(1) }],
        nameservers: vec![ip(3)],
    };
    loaded.spec.system.network = Some(Network { backend: NetworkBackend::SystemdNetworkd, interfaces: vec![interface] });
    loaded.spec.repositories.push(PackageRepository {
        id: "h/d".to_owned(),
        url: "https://h/d".to_owned(),
        list: None,
        codename: "stable".to_owned(),
        components: vec!["main".to_owned()],
        keys: vec![RepositoryKey { path: "/k".into(), digest: Digest::of(b"k") }],
        unverified: None,
        allow_packages: Vec::new(),
        exclude_packages: Vec::new(),
        priority: 500,
    });
    loaded.spec.folders.push(PackageFolder {
        id: "debs".to_owned(),
        path: "/debs".into(),
        packages: vec![PackageFile { file: "a.deb".to_owned(), digest: Sha256::of(b"a"), package: None }],
        allow_packages: Vec::new(),
        exclude_packages: Vec::new(),
        priority: 500,
    });
    loaded
}

/// Every field of the model, changed one at a time. The patterns name every field, so that a new one does not compile before it is decided here.
pub(crate) fn changes(spec: &Spec) -> Vec<(&'static str, Spec)> {
    let mut changes: Vec<(&'static str, Spec)> = Vec::new();
    macro_rules! change {
        ($what:literal, $($place:ident).+ $([$index:literal] . $field:ident)? = $value:expr) => {{
            let mut changed = spec.clone();
            changed.$($place).+ $([$index].$field)? = $value;
            changes.push(($what, changed));
        }};
    }
    let Spec { image, target, disk, system, repositories: _, folders: _, metadata: _, cache: _ } = spec;
    change!("metadata", metadata = Some(serde_json::json!({"keywords": ["edge"]})));

    let Image { name: _, version: _ } = image;
    change!("image.name", image.name = "other".to_owned());
    change!("image.version", image.version = "2".to_owned());

    let Target { os: _, dist: _, arch: _, image_type: _ } = target;
    change!("target.image_type", target.image_type = ImageType::Img);
    change!("another target.image_type", target.image_type = ImageType::Wsl2);
    change!("target.os", target.os = "other".to_owned());
    change!("target.dist", target.dist = "other".to_owned());
    change!("target.arch", target.arch = Architecture::Aarch64);

    let Disk { name: _, size: _, table: _, partitions, extend_last_partition: _, artifacts: _ } = disk;
    change!("disk.name", disk.name = None);
    change!("disk.size", disk.size = crate::units::ByteSize(1 << 40));
    change!("disk.table", disk.table = PartitionTable::Mbr);
    change!("disk.extend_last_partition", disk.extend_last_partition = true);
    change!("disk.artifacts", disk.artifacts = vec![Format::Raw.into()]);
    let compressed = |how| vec![Artifact { contents: Format::Raw.into(), compression: Some(how) }];
    change!("the compression of disk.artifacts", disk.artifacts = compressed(Compression::Gz));
    change!("another compression of disk.artifacts", disk.artifacts = compressed(Compression::Xz));
    change!("the order of disk.artifacts", disk.artifacts = vec![Format::Qcow2.into(), Format::Raw.into()]);
    let Partition { id: _, name: _, kind: _, start: _, end: _, filesystem: _, label: _, mount_point: _, mount_options: _ } = &partitions[0];
    change!("partition.id", disk.partitions[0].id = "other".to_owned());
    change!("partition.name", disk.partitions[0].name = "other".to_owned());
    change!("partition.kind", disk.partitions[0].kind = PartitionKind::LinuxRoot);
    change!("partition.start", disk.partitions[0].start = crate::units::ByteSize(2 << 20));
    change!("partition.end", disk.partitions[0].end = None);
    change!("partition.filesystem", disk.partitions[0].filesystem = Some(FileSystem::Ext4));
    change!("no partition.filesystem", disk.partitions[0].filesystem = None);
    change!("partition.label", disk.partitions[0].label = None);
    change!("partition.mount_point", disk.partitions[0].mount_point = Some("/efi".to_owned()));
    change!("no partition.mount_point", disk.partitions[0].mount_point = None);
    change!("partition.mount_options", disk.partitions[0].mount_options = "ro".to_owned());

    let System {
        name: _,
        description: _,
        hostname: _,
        network: _,
        packages: _,
        recommends: _,
        users,
        additional_files,
        configurations: _,
        kernel: _,
        modules: _,
        cmdline: _,
        bootloader: _,
        sbom: _,
    } = system;
    change!("system.name", system.name = "other".to_owned());
    change!("system.description", system.description = None);
    change!("system.hostname", system.hostname = "other".to_owned());
    change!("system.packages", system.packages = vec!["other".to_owned()]);
    change!("system.recommends", system.recommends = true);
    change!("system.configurations", system.configurations = Vec::new());
    let kernel = |version: &str, name: &str| Some(Kernel { version: version.to_owned(), names: vec![name.to_owned()] });
    change!("system.kernel", system.kernel = kernel("6.1", "linux-image-amd64"));
    change!("kernel.version", system.kernel = kernel("6.2", "linux-image-amd64"));
    change!("kernel.names", system.kernel = kernel("6.1", "linux-image-cloud-amd64"));
    change!("system.modules", system.modules = vec!["xe".to_owned()]);
    change!("system.cmdline", system.cmdline = "quiet".to_owned());
    change!("system.bootloader", system.bootloader = Some(BootProvider::SystemdBoot));
    change!("bootloader.bootType", system.bootloader = Some(BootProvider::GrubBios));
    change!("no bootloader", system.bootloader = None);
    change!("system.sbom", system.sbom = Some(Sbom::Spdx));
    change!("another system.sbom", system.sbom = Some(Sbom::CycloneDx));
    change!("system.network", system.network = None);
    changes.extend(network_changes(spec));
    let User { name: _, password: _, password_max_age: _, groups: _, sudo: _, home: _, shell: _, ssh_authorized_keys: _ } = &users[1];
    change!("user.name", system.users[1].name = "other".to_owned());
    change!("user.password", system.users[1].password = Some(Password("$6$a$b".to_owned())));
    change!("a locked user.password", system.users[1].password = None);
    change!("user.password_max_age", system.users[1].password_max_age = Some(1));
    change!("user.groups", system.users[1].groups = Vec::new());
    change!("user.sudo", system.users[1].sudo = false);
    change!("user.home", system.users[1].home = None);
    change!("user.shell", system.users[1].shell = None);
    change!("user.ssh_authorized_keys", system.users[1].ssh_authorized_keys = Vec::new());
    let AdditionalFile { local: _, content: _, mode: _, owner: _, destination: _ } = &additional_files[0];
    change!("file.content", system.additional_files[0].content = Content::File(Digest::of(b"other")));
    change!("a folder", system.additional_files[0].content = Content::Folder);
    change!("a link", system.additional_files[0].content = Content::Link("a".to_owned()));
    change!("the target of a link", system.additional_files[0].content = Content::Link("b".to_owned()));
    change!("file.owner", system.additional_files[0].owner = Some("0:0".to_owned()));
    change!("file.mode", system.additional_files[0].mode = 0o4755);
    change!("file.destination", system.additional_files[0].destination = "/other".to_owned());
    changes.extend(repository_changes(spec));
    changes
}

/// The same for the fields of repositories.
fn repository_changes(spec: &Spec) -> Vec<(&'static str, Spec)> {
    let mut changes = Vec::new();
    let Spec { repositories, folders, .. } = spec;
    macro_rules! change {
        ($what:literal, $($place:tt)+) => {{
            let mut changed = spec.clone();
            changed.$($place)+;
            changes.push(($what, changed));
        }};
    }
    let PackageRepository {
        id: _,
        url: _,
        list: _,
        codename: _,
        components: _,
        keys,
        unverified: _,
        allow_packages: _,
        exclude_packages: _,
        priority: _,
    } = &repositories[0];
    change!("repository.id", repositories[0].id = "other".to_owned());
    change!("repository.url", repositories[0].url = "https://other".to_owned());
    change!("repository.list", repositories[0].list = Some(crate::repo::MirrorListKind::Metalink));
    change!("repository.codename", repositories[0].codename = "other".to_owned());
    change!("repository.components", repositories[0].components = Vec::new());
    let RepositoryKey { path: _, digest: _ } = &keys[0];
    change!("key.digest", repositories[0].keys = vec![RepositoryKey { path: "/k".into(), digest: Digest::of(b"other") }]);
    let unverified = Unverified { switch: "insecureSkipVerify: true", file: "a.yml".into(), line: 1 };
    let Unverified { switch: _, file: _, line: _ } = &unverified;
    change!("repository.unverified", repositories[0].unverified = Some(unverified));
    change!("repository.allow_packages", repositories[0].allow_packages = vec!["a".to_owned()]);
    change!("repository.exclude_packages", repositories[0].exclude_packages = vec!["a".to_owned()]);
    change!("repository.priority", repositories[0].priority = 501);

    let PackageFolder { id: _, path: _, packages, allow_packages: _, exclude_packages: _, priority: _ } = &folders[0];
    change!("folder.id", folders[0].id = "other".to_owned());
    change!("folder.allow_packages", folders[0].allow_packages = vec!["a".to_owned()]);
    change!("folder.exclude_packages", folders[0].exclude_packages = vec!["a".to_owned()]);
    change!("folder.priority", folders[0].priority = 501);
    let PackageFile { file: _, digest: _, package: _ } = &packages[0];
    let package = |file: &str, bytes: &[u8]| PackageFile { file: file.to_owned(), digest: Sha256::of(bytes), package: None };
    change!("package.file", folders[0].packages = vec![package("b.deb", b"a")]);
    change!("package.digest", folders[0].packages = vec![package("a.deb", b"b")]);
    change!("one more package", folders[0].packages = vec![package("a.deb", b"a"), package("b.deb", b"b")]);
    change!("no folder", folders = Vec::new());
    changes
}

/// The same for the fields of a network.
fn network_changes(spec: &Spec) -> Vec<(&'static str, Spec)> {
    let mut changes = Vec::new();
    let Some(network) = &spec.system.network else { return changes };
    let Network { backend: _, interfaces } = network;
    macro_rules! change_network {
        ($what:literal, $($place:tt)+) => {{
            let mut changed = spec.clone();
            let network = changed.system.network.as_mut().unwrap();
            network.$($place)+;
            changes.push(($what, changed));
        }};
    }
    change_network!("network.backend", backend = NetworkBackend::Netplan);
    let Interface { name: _, dhcp4: _, dhcp6: _, addresses: _, routes, nameservers: _ } = &interfaces[0];
    let Route { to: _, via: _ } = &routes[0];
    change_network!("interface.name", interfaces[0].name = "other".to_owned());
    change_network!("interface.dhcp4", interfaces[0].dhcp4 = true);
    change_network!("interface.dhcp6", interfaces[0].dhcp6 = true);
    change_network!("interface.addresses", interfaces[0].addresses = Vec::new());
    change_network!("the prefix of an address", interfaces[0].addresses[0].1 = 25);
    change_network!("route.to", interfaces[0].routes[0].to = Some(Subnet([10, 1, 0, 0].into(), 16)));
    change_network!("route.via", interfaces[0].routes[0].via = [10, 0, 0, 9].into());
    change_network!("interface.nameservers", interfaces[0].nameservers = Vec::new());
    changes
}

#[test]
fn other_spellings_of_a_disk_are_the_same() {
    let disk = |size: &str, esp: &str, root: &str, extra: &str| {
        hash_of(&format!(
            "image: {{name: a, version: '1'}}\ntarget: {{dist: debian12, arch: x86_64}}\ndisk:\n  size: {size}\n{extra}  partitions:\n    \
             - {{id: esp, {esp}, start: 1MiB, end: 101 MiB, fsType: vfat, mountPoint: /efi}}\n    \
             - {{id: root, {root}, start: 101M, end: '0', fsType: ext4, mountPoint: /}}\n"
        ))
    };
    let plain = disk("4GiB", "type: esp", "type: linux-root-amd64", "");
    assert_eq!(plain, disk("4096 MiB", "typeUUID: C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "typeUUID: 4f68bce3-e8cd-4db1-96e7-fbcaf984b709", ""));
    assert_eq!(plain, disk("4G", "typeUUID: EF00", "type: linux-root-amd64, typeUUID: '8304'", "  extendLastPartitionToFillDisk: false\n"));
    assert_ne!(plain, disk("4GB", "type: esp", "type: linux-root-amd64", ""), "GB is a power of 1000");
}

/// As templates of other programs have them.
#[test]
fn other_ways_of_saying_the_same_are_the_same() {
    let with = |rest: &str| hash_of(&format!("image: {{name: a, version: '1'}}\ntarget: {{dist: debian12, arch: x86_64}}\n{rest}"));
    let packages = |package: &str| with(&format!("systemConfig: {{packages: ['{package}']}}\n"));
    assert_eq!(packages("less=590-2"), packages("less_590-2"));
    assert_ne!(packages("less=590-2"), packages("less"));
    let boot = |kind: &str| {
        with(&format!(
            "disk:\n  partitions:\n    - {{id: esp, type: esp, start: 1MiB, end: 101MiB, fsType: vfat, mountPoint: /efi}}\n    \
             - {{id: boot, {kind}, start: 101MiB, end: 301MiB, fsType: ext4, mountPoint: /boot, flags: []}}\n    \
             - {{id: root, type: linux, start: 301MiB, end: '0', fsType: ext4, mountPoint: /}}\n"
        ))
    };
    assert_eq!(boot("type: xbootldr"), boot("type: linux, typeUUID: bc13c2ff-59e6-4262-a352-b275fd6f7172"));
    assert_ne!(boot("type: xbootldr"), boot("type: linux"));
    let compressed = |how: &str| with(&format!("disk: {{artifacts: [{{type: raw{how}}}]}}\n"));
    assert_eq!(compressed(", compression: zstd"), compressed(", compression: zst"));
    assert_eq!(compressed(", compression: none"), compressed(""));
}

#[test]
fn every_field_changes_it() {
    let loaded = full();
    let mut seen = std::collections::BTreeMap::from([(loaded.hash(None), "nothing")]);
    for (what, spec) in changes(&loaded.spec) {
        let changed = Loaded { spec, ..loaded.clone() };
        if let Some(other) = seen.insert(changed.hash(None), what) {
            panic!("{what} gives the same hash as {other}");
        }
    }
    assert!(!seen.contains_key(&loaded.hash(Some(0))), "the build's time is a part");
    assert_ne!(loaded.hash(Some(0)), loaded.hash(Some(1)));
    let profile = crate::distro::find("debian13").unwrap();
    assert!(!seen.contains_key(&Loaded { profile, ..loaded }.hash(None)), "the profile's archives are a part");
}

#[test]
fn what_the_image_does_not_show_does_not_change_it() {
    let loaded = full();
    let mut other = loaded.clone();
    other.path = "/elsewhere/spec.yml".into();
    other.spec.cache = CacheUse { packages: false, images: false };
    other.spec.system.additional_files[0].local = "/elsewhere".into();
    other.spec.repositories[0].keys[0].path = "/elsewhere".into();
    other.spec.folders[0].path = "/elsewhere".into();
    assert_eq!(other.hash(None), loaded.hash(None));
}

#[test]
fn it_stays_the_same_from_release_to_release() {
    // A change here makes every kept image a miss: raise BUILDER_EPOCH, and say why in the commit.
    let text = "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\n";
    assert_eq!(hash_of(text), "d8dcc52716b2f36fca1c19173a0b0b761f106cdc9fb203f1e8c825a1c28cf073");
}

#[test]
fn a_folder_does_not_change_it_and_a_file_does() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
image: {name: a, version: '1'}
target: {dist: debian12, arch: x86_64}
systemConfig:
  additionalFiles: [{local: a, final: /a}]
packageRepositories: [{codename: a, url: 'https://h/d', pkey: KEY}]
";
    let hash_in = |name: &str, file: &str, mode, key: &str| {
        let folder = folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        // A key's place is written in both ways.
        let place = if name == "one" { "k".to_owned() } else { format!("file://{}/k", folder.display()) };
        fs::write(folder.join("spec.yml"), text.replace("KEY", &place)).unwrap();
        fs::write(folder.join("a"), file).unwrap();
        fs::set_permissions(folder.join("a"), fs::Permissions::from_mode(mode)).unwrap();
        fs::write(folder.join("k"), key).unwrap();
        load(&folder.join("spec.yml")).unwrap_or_else(|error| panic!("{error}")).hash(None)
    };
    let first = hash_in("one", "a", 0o644, "k");
    assert_eq!(first, hash_in("two", "a", 0o644, "k"));
    assert_ne!(first, hash_in("two", "b", 0o644, "k"));
    assert_ne!(first, hash_in("two", "a", 0o755, "k"));
    assert_ne!(first, hash_in("two", "a", 0o644, "l"));
}

#[test]
fn whatever_is_in_a_folder_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = |fields: &str| {
        format!(
            "image: {{name: a, version: '1'}}\ntarget: {{dist: debian12, arch: x86_64}}\nsystemConfig:\n  additionalFiles: [{{local: d, final: /opt/{fields}}}]\n"
        )
    };
    let below = |path: &str| folder.path().join("d").join(path);
    let set_mode = |path: &str, mode| fs::set_permissions(below(path), fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir_all(below("sub")).unwrap();
    fs::write(below("sub/file"), "a").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", below("link")).unwrap();
    set_mode("sub", 0o755);
    set_mode("sub/file", 0o644);
    let load_with = |fields: &str| {
        fs::write(folder.path().join("spec.yml"), text(fields)).unwrap();
        load(&folder.path().join("spec.yml"))
    };
    let hash = || load_with("").unwrap_or_else(|error| panic!("{error}")).hash(None);
    let mut seen = vec![hash()];
    let mut changed = |what: &str| {
        let hash = hash();
        assert!(!seen.contains(&hash), "{what}");
        seen.push(hash);
    };
    fs::write(below("sub/file"), "b").unwrap();
    changed("contents");
    set_mode("sub/file", 0o600);
    changed("the mode of a file");
    set_mode("sub", 0o700);
    changed("the mode of a folder");
    fs::remove_file(below("link")).unwrap();
    std::os::unix::fs::symlink("/etc/group", below("link")).unwrap();
    changed("the target of a link");
    fs::create_dir(below("empty")).unwrap();
    changed("an empty folder");
    fs::rename(below("sub/file"), below("sub/other")).unwrap();
    changed("a name");

    let files = load_with(", mode: 0640, owner: 'root:33'").unwrap_or_else(|error| panic!("{error}")).spec.system.additional_files;
    let told: Vec<_> = files.iter().map(|file| (file.destination.as_str(), file.mode, file.owner.as_deref())).collect();
    let owner = Some("root:33");
    let expected = [
        ("/opt", 0o750, owner),
        ("/opt/empty", 0o750, owner),
        ("/opt/link", 0o777, owner),
        ("/opt/sub", 0o750, owner),
        ("/opt/sub/other", 0o640, owner),
    ];
    assert_eq!(told, expected);
    rustix::fs::mknodat(rustix::fs::CWD, below("sub/pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644), 0).unwrap();
    let error = load_with("").unwrap_err().to_string();
    assert!(error.contains("neither a file nor a folder nor a link") && error.trim_end().ends_with("d/sub/pipe"), "{error}");
}

#[test]
fn that_nothing_is_verified_changes_it_however_it_is_spelled() {
    let with = |fields: &str| {
        let text = format!(
            "image: {{name: a, version: '1'}}\ntarget: {{dist: debian12, arch: x86_64}}\npackageRepositories:\n- {{codename: a, url: 'https://h/d', {fields}}}\n"
        );
        let spec = parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let unverified = spec.spec.repositories[0].unverified.clone();
        (spec.hash(None), unverified.map(|unverified| (unverified.switch, unverified.line)))
    };
    let (checked, none) = with("pkey: files/motd");
    assert_eq!((with("pkey: files/motd, insecureSkipVerify: false"), none), ((checked, None), None));
    let (unchecked, switch) = with("insecureSkipVerify: true");
    assert_eq!(switch, Some(("insecureSkipVerify: true", 4)));
    assert_ne!(unchecked, checked);
    assert_eq!(with("pkey: '[trusted=yes]'"), (unchecked, Some(("pkey: \"[trusted=yes]\"", 4))));
    assert_eq!(with("pkey: '[trusted=yes]', insecureSkipVerify: true").0, unchecked);
}

#[test]
fn the_spelling_of_defaults_does_not_change_it() {
    let short = hash_of("image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\n");
    let long = "\
image: {name: a, version: '1'}
target: {os: debian, dist: debian12, arch: x86_64, imageType: raw}
disk:
  size: 4096 MiB
  partitionTableType: gpt
  artifacts: [{type: raw}]
  partitions:
    - {id: esp, type: esp, start: 1048576, end: 513M, fsType: vfat, mountPoint: /boot/efi, mountOptions: umask=0077, flags: [esp]}
    - {id: root, type: linux-root-amd64, start: 513 MiB, end: '0', fsType: ext4, mountPoint: /}
systemConfig:
  name: default
  hostname: a
  packages: [apt, systemd-boot, apt]
  users: []
  immutability: {enabled: false}
  kernel: {packages: [linux-image-amd64], cmdline: ' console=tty0  console=ttyS0,115200'}
  bootloader: {bootType: efi, provider: systemd-boot}
packageRepositories:
build:
  cache: {use_image_cache: false}
";
    assert_eq!(hash_of(long), short);
}

/// The lines of a spec as groups that may stand in any order, for `{size}` to be spelled in many ways.
const SECTIONS: [&[&str]; 4] = [
    &["image:", "  name: a", "  version: '1'"],
    &["target:", "  dist: debian12", "  arch: x86_64"],
    &["disk:", "  name: d", "  size: {size}"],
    &["systemConfig:", "  hostname: h", "  packages: [curl, bash]"],
];

proptest! {
    #[test]
    fn comments_order_and_spelling_do_not_change_it(
        order in Just([0_usize, 1, 2, 3]).prop_shuffle(),
        reversed in any::<[bool; 4]>(),
        size in prop::sample::select(vec!["8GiB", "8 GiB", "8G", "8192MiB", "8192 m", "8388608k", "8589934592", "'8GiB'", "\"8 gib\""]),
        comments in prop::collection::vec("[ a-z:#\\[{'\"]{0,12}", 12),
        end in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let mut comments = comments.iter().cycle();
        let mut text = String::new();
        for section in order {
            let mut lines = SECTIONS[section].to_vec();
            if reversed[section] {
                lines[1..].reverse();
            }
            for line in lines {
                let (above, beside) = (comments.next().unwrap(), comments.next().unwrap());
                let _ = write!(text, "# {above}{end}{} # {beside}{end}", line.replace("{size}", size));
            }
        }
        let plain = SECTIONS.concat().join("\n").replace("{size}", "8GiB");
        prop_assert_eq!(hash_of(&text), hash_of(&plain));
    }
}
