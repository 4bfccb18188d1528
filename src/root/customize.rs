//! What the spec asks for on top of the packages: host name, users, files, commands, and the initrds that see all of it.

use std::io::{Read as _, Write as _};
use std::path::Path;

use super::install::INITRD_LATER;
use super::plan::{File, Plan};
use super::sandbox::Cell;
use super::{Error, users};
use crate::digest::Digest;
use crate::progress::Cancel;
use crate::tree::Tree;

/// Applies the spec's own part to an installed tree.
pub(super) fn customize(tree: &Tree, plan: &Plan, cancel: &Cancel) -> Result<(), Error> {
    let cell = Cell::new(tree.path(), plan.time);
    hostname(tree, &plan.hostname)?;
    for user in &plan.users {
        users::make(tree, &cell, user, cancel)?;
    }
    for file in &plan.files {
        copy_file(tree, file)?;
    }
    let quiet = cell.clone().with_stub(INITRD_LATER.0, INITRD_LATER.1);
    for command in &plan.commands {
        quiet.run(&format!("the command “{command}” of configurations"), &["/bin/sh", "-c", command], b"", &mut |_| {}, cancel)?;
    }
    users::check_login_programs(tree, &plan.users)?;
    initrds(tree, &cell, cancel)
}

fn hostname(tree: &Tree, name: &str) -> Result<(), Error> {
    tree.write("etc/hostname", format!("{name}\n").as_bytes(), 0o644)?;
    let hosts = format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    );
    Ok(tree.write("etc/hosts", hosts.as_bytes(), 0o644)?)
}

/// Copies a file of the host, and checks on the way that it is still the one that the spec's hash speaks of.
fn copy_file(tree: &Tree, file: &File) -> Result<(), Error> {
    let mut from = std::fs::File::open(&file.local).map_err(Error::io("read", &file.local))?;
    let destination = Path::new(&file.destination);
    let mut to = tree.create(destination, file.mode)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = from.read(&mut buffer).map_err(Error::io("read", &file.local))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(crate::tree::Error::at("write", destination))?;
    }
    if Digest::from(hasher.finalize()) != file.digest {
        return Err(Error::Unfulfilled {
            problem: format!("{} changed while the image was built", file.local.display()),
            hint: "build again".to_owned(),
        });
    }
    Ok(())
}

/// Makes the initrd of every kernel, once, after everything that it copies is in place.
fn initrds(tree: &Tree, cell: &Cell, cancel: &Cancel) -> Result<(), Error> {
    if !tree.exists("usr/sbin/update-initramfs") {
        return Ok(());
    }
    for version in tree.list("usr/lib/modules")?.into_iter().map(|entry| entry.name) {
        if tree.exists(format!("boot/vmlinuz-{version}")) {
            cell.run(&format!("update-initramfs for kernel {version}"), &["update-initramfs", "-c", "-k", &version], b"", &mut |_| {}, cancel)?;
        }
    }
    Ok(())
}
