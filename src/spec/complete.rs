//! A draft and a profile make a spec.

use std::collections::BTreeSet;

use super::draft::{Draft, SystemDraft, UserDraft};
use super::model::{CacheUse, Disk, Image, Kernel, NetworkBackend, PartitionTable, Spec, System, User};
use super::{layout, names};
use crate::disk::formats::Format;
use crate::distro::{Architecture, BootProvider, Profile};
use crate::resolve;

/// The command line of a kernel whose spec has none: the last console is the main one.
const DEFAULT_CMDLINE: &str = "console=tty0 console=ttyS0,115200";

/// Fills in what the draft leaves open.
pub(super) fn complete(draft: Draft) -> Spec {
    let Draft { image, target, profile, disk, system, repositories, folders, metadata, cache } = draft;
    let bootloader = system.bootloader.unwrap_or(BootProvider::SystemdBoot);
    let table = disk.table.unwrap_or(PartitionTable::Gpt);
    let disk = Disk {
        name: disk.name,
        size: disk.size.unwrap_or(layout::DEFAULT_SIZE),
        table,
        partitions: disk.partitions.unwrap_or_else(|| layout::default_partitions(table, bootloader)),
        extend_last_partition: disk.extend_last_partition,
        artifacts: disk.artifacts.unwrap_or_else(|| vec![Format::Raw.into()]),
    };
    let mut system = complete_system(system, bootloader, &image, target.arch, profile);
    if disk.extend_last_partition {
        let packages = system.packages.into_iter().chain(profile.growing.iter().map(|package| (*package).to_owned()));
        system.packages = packages.collect::<BTreeSet<_>>().into_iter().collect();
    }
    let cache = CacheUse { packages: cache.packages.unwrap_or(true), images: cache.images.unwrap_or(true) };
    Spec { image, target, disk, system, repositories, folders, metadata, cache }
}

fn complete_system(draft: SystemDraft, bootloader: BootProvider, image: &Image, arch: Architecture, profile: &Profile) -> System {
    let owned = |packages: &[&str]| packages.iter().map(|package| (*package).to_owned()).collect::<Vec<_>>();
    let mut packages: BTreeSet<String> = draft.packages.into_iter().collect();
    packages.extend(owned(profile.base_packages));
    packages.extend(owned(profile.boot_packages(arch, bootloader)));
    let mut kernel_packages = draft.kernel_packages.unwrap_or_else(|| owned(profile.kernel_packages(arch)));
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
        cmdline: draft.cmdline.unwrap_or_else(|| DEFAULT_CMDLINE.to_owned()),
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
