//! A draft and a profile make a spec.

use std::collections::BTreeSet;

use super::draft::{Draft, SystemDraft, UserDraft};
use super::model::{CacheUse, Disk, Image, ImageType, Kernel, NetworkBackend, PartitionTable, Spec, System, Target, User};
use super::{layout, names};
use crate::distro::{BootProvider, Profile};
use crate::resolve;

/// The command line of a kernel whose spec has none: the last console is the main one.
const DEFAULT_CMDLINE: &str = "console=tty0 console=ttyS0,115200";

/// Packages of profiles that a system which does not start from its disk has no use for.
const MAKERS_OF_INITRDS: [&str; 3] = ["dracut", "dracut-config-generic", "initramfs-tools"];

/// Fills in what the draft leaves open.
pub(super) fn complete(draft: Draft) -> Spec {
    let Draft { image, target, profile, disk, system, repositories, folders, metadata, cache } = draft;
    let bootloader = (target.image_type == ImageType::Raw).then(|| system.bootloader.unwrap_or(BootProvider::SystemdBoot));
    let table = disk.table.unwrap_or(PartitionTable::Gpt);
    let disk = Disk {
        name: disk.name,
        size: disk.size.unwrap_or(layout::DEFAULT_SIZE),
        table,
        partitions: disk.partitions.unwrap_or_else(|| layout::default_partitions(table, bootloader)),
        extend_last_partition: disk.extend_last_partition,
        artifacts: disk.artifacts.unwrap_or_else(|| target.image_type.default_artifacts()),
    };
    let mut system = complete_system(system, bootloader, &image, &target, profile);
    if disk.extend_last_partition {
        let packages = system.packages.into_iter().chain(profile.growing.iter().map(|package| (*package).to_owned()));
        system.packages = packages.collect::<BTreeSet<_>>().into_iter().collect();
    }
    let cache = CacheUse { packages: cache.packages.unwrap_or(true), images: cache.images.unwrap_or(true) };
    Spec { image, target, disk, system, repositories, folders, metadata, cache }
}

fn complete_system(draft: SystemDraft, bootloader: Option<BootProvider>, image: &Image, target: &Target, profile: &Profile) -> System {
    let owned = |packages: &[&str]| packages.iter().map(|package| (*package).to_owned()).collect::<Vec<_>>();
    let mut packages: BTreeSet<String> = draft.packages.into_iter().collect();
    let makes_initrds = |name: &str| MAKERS_OF_INITRDS.contains(&name);
    packages.extend(owned(profile.base_packages).into_iter().filter(|name| bootloader.is_some() || !makes_initrds(name)));
    packages.extend(bootloader.iter().flat_map(|provider| owned(profile.boot_packages(target.arch, *provider))));
    let own_kernel = || if target.image_type == ImageType::Wsl2 { Vec::new() } else { owned(profile.kernel_packages(target.arch)) };
    let mut kernel_packages = draft.kernel_packages.unwrap_or_else(own_kernel);
    let kernel = draft.kernel_version.map(|version| {
        let (mut names, others): (Vec<_>, Vec<_>) = kernel_packages.drain(..).partition(|name| resolve::is_kernel(name));
        kernel_packages = others;
        names.sort_unstable();
        names.dedup();
        Kernel { version, names }
    });
    packages.extend(kernel_packages);
    if let Some(network) = &draft.network {
        // Without it nobody reads the name servers, neither those of the spec nor those of DHCP.
        packages.insert("systemd-resolved".to_owned());
        if network.backend == NetworkBackend::Netplan {
            packages.insert("netplan.io".to_owned());
        }
    }
    if draft.users.iter().any(|user| user.sudo) {
        packages.insert("sudo".to_owned());
    }
    System {
        name: draft.name.unwrap_or_else(|| "default".to_owned()),
        description: draft.description,
        hostname: draft.hostname.unwrap_or_else(|| names::hostname_of_image(&image.name)),
        network: draft.network,
        packages: packages.into_iter().collect(),
        recommends: draft.recommends,
        users: draft.users.into_iter().map(|user| complete_user(user, image)).collect(),
        additional_files: draft.additional_files,
        configurations: draft.configurations,
        kernel,
        modules: draft.modules,
        cmdline: draft.cmdline.unwrap_or_else(|| bootloader.map_or("", |_| DEFAULT_CMDLINE).to_owned()),
        bootloader,
        sbom: draft.sbom,
    }
}

fn complete_user(draft: UserDraft, image: &Image) -> User {
    let UserDraft { name, password, password_max_age, groups, sudo, home, shell, ssh_authorized_keys } = draft;
    let password = password.map(|written| written.into_password(&image.name, &name));
    let groups = groups.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    User { name, password, password_max_age, groups, sudo, home, shell, ssh_authorized_keys }
}
