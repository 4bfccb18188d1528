//! What the worker is told: the spec and the chosen packages as plans for the rooms that carry them out.

use serde::Serialize;

use super::relations::Chosen;
use super::stages;
use crate::disk;
use crate::repo::PackageRecord;
use crate::root;
use crate::spec::{Loaded, model};

/// What a package is to the others of its root, by their numbers.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Relations {
    pub(super) stage: usize,
    essential: bool,
    multi_arch_same: bool,
    pre_depends: Vec<usize>,
    depends: Vec<usize>,
    replaces: Vec<usize>,
}

impl Relations {
    /// When a package is wanted: those with a lower number are installed before.
    pub(super) fn turn(&self) -> usize {
        2 * self.stage + usize::from(!self.essential)
    }
}

/// The relations of all packages, in their order. rpm orders its transaction itself, and has only one.
pub(super) fn relations(loaded: &Loaded, records: &[PackageRecord]) -> Vec<Relations> {
    if loaded.profile.packaging == root::Packaging::Rpm {
        return vec![Relations::default(); records.len()];
    }
    let chosen = Chosen::new(records);
    let essential = chosen.closure(|record| record.essential, false);
    let stages = stages::of(&chosen, loaded);
    let of = |(number, record): (usize, &PackageRecord)| Relations {
        stage: stages[number],
        essential: essential.contains(&number),
        multi_arch_same: record.multi_arch == crate::repo::MultiArch::Same,
        pre_depends: chosen.needs(number, &record.relations.pre_depends),
        depends: chosen.needs(number, &record.relations.depends),
        replaces: chosen.replaced_by(number),
    };
    records.iter().enumerate().map(of).collect()
}

/// The root tree of a spec. `sources` says where the bytes of each record are, as far as they are there; `time` is the latest time of any file.
pub(super) fn root(loaded: &Loaded, records: &[PackageRecord], sources: Vec<Option<root::Source>>, time: u64, workers: usize) -> root::Plan {
    let packages = records.iter().zip(sources).zip(relations(loaded, records)).map(|((record, source), relations)| root::Package {
        coordinates: record.coordinates.clone(),
        supply: source.into(),
        size: record.size,
        stage: relations.stage,
        essential: relations.essential,
        multi_arch_same: relations.multi_arch_same,
        pre_depends: relations.pre_depends,
        depends: relations.depends,
        replaces: relations.replaces,
    });
    let system = &loaded.spec.system;
    let users = system.users.iter().map(|user| root::User {
        name: user.name.clone(),
        password: user.password.as_ref().map(|password| root::PasswordHash(password.0.clone())),
        password_max_age: user.password_max_age,
        groups: user.groups.clone(),
        sudo: user.sudo,
        home: user.home.clone(),
        shell: user.shell.clone(),
        ssh_authorized_keys: user.ssh_authorized_keys.clone(),
    });
    let files = system.additional_files.iter().map(|file| root::File {
        local: file.local.clone(),
        content: match &file.content {
            model::Content::File(digest) => root::Content::File(*digest),
            model::Content::Folder => root::Content::Folder,
            model::Content::Link(target) => root::Content::Link(target.clone()),
        },
        mode: file.mode,
        owner: file.owner.clone(),
        destination: file.destination.clone(),
    });
    root::Plan {
        packaging: loaded.profile.packaging,
        packages: packages.collect(),
        arch: loaded.profile.arch(loaded.spec.target.arch).to_owned(),
        hostname: system.hostname.clone(),
        network: system.network.clone(),
        users: users.collect(),
        files: files.collect(),
        modules: system.modules.clone(),
        commands: system.configurations.clone(),
        platform: match loaded.spec.target.image_type {
            model::ImageType::Raw => root::Platform::Disk,
            model::ImageType::Img => root::Platform::Memory,
            model::ImageType::Wsl2 => root::Platform::Wsl,
        },
        time,
        workers,
    }
}

/// The disk of a spec; its identifiers derive from the spec hash.
pub(super) fn disk(loaded: &Loaded, seed: crate::digest::Digest, time: u64) -> disk::Layout {
    let disk = &loaded.spec.disk;
    let partitions = disk.partitions.iter().map(|partition| {
        // The rest of the disk ends where the backup table begins; the last mebibyte is left to it.
        let end = partition.end.map_or(disk.size.0.saturating_sub(1 << 20), |end| end.0);
        disk::Partition {
            name: partition.id.clone(),
            table_name: partition.name.clone(),
            kind: partition.kind,
            start: partition.start.0,
            len: end.saturating_sub(partition.start.0),
            filesystem: partition.filesystem,
            label: partition.label.clone(),
            mount_point: partition.mount_point.clone(),
            mount_options: partition.mount_options.clone(),
        }
    });
    disk::Layout {
        size: disk.size.0,
        table: disk.table,
        architecture: loaded.spec.target.arch.into(),
        partitions: partitions.collect(),
        extend_last_partition: disk.extend_last_partition,
        seed,
        time,
    }
}

/// How the image of a spec starts, where it does so from its disk.
pub(super) fn boot(loaded: &Loaded) -> Option<disk::Boot> {
    let provider = match loaded.spec.system.bootloader? {
        crate::distro::BootProvider::SystemdBoot => disk::Provider::SystemdBoot,
        crate::distro::BootProvider::Grub => disk::Provider::Grub,
        crate::distro::BootProvider::GrubBios => disk::Provider::GrubBios,
    };
    Some(disk::Boot { provider, cmdline: loaded.spec.system.cmdline.clone(), title: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_its_own_name_in_the_table() {
        let text = "\
image: {name: a, version: '1'}
target: {dist: debian12, arch: x86_64}
disk:
  partitions:
    - {id: esp, name: BOOTDISK, type: esp, start: 1MiB, end: 129MiB, fsType: fat32, mountPoint: /boot/efi}
    - {id: root, type: linux-root-amd64, start: 129MiB, end: '0', fsType: ext4, mountPoint: /}
";
        let loaded = crate::spec::parse(text, std::path::Path::new("a.yml")).unwrap();
        let layout = disk(&loaded, crate::digest::Digest::of(b""), 0);
        let names: Vec<_> = layout.partitions.iter().map(|partition| (partition.name.as_str(), partition.table_name.as_str())).collect();
        assert_eq!(names, [("esp", "BOOTDISK"), ("root", "root")]);
    }
}
