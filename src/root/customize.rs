//! What the spec asks for on top of the packages: host name, users, files, commands, and the initrds that see all of it.

use std::io::{Read as _, Write as _};
use std::path::Path;

use super::Error;
use super::install::INITRD_LATER;
use super::plan::{File, Plan, User};
use super::sandbox::Cell;
use crate::digest::Digest;
use crate::progress::Cancel;
use crate::tree::Tree;

/// Applies the spec's own part to an installed tree.
pub(super) fn customize(tree: &Tree, plan: &Plan, cancel: &Cancel) -> Result<(), Error> {
    let cell = Cell::new(tree.path(), plan.time);
    hostname(tree, &plan.hostname)?;
    for user in &plan.users {
        make_user(tree, &cell, user, cancel)?;
    }
    for file in &plan.files {
        copy_file(tree, file)?;
    }
    let quiet = cell.clone().with_stub(INITRD_LATER.0, INITRD_LATER.1);
    for command in &plan.commands {
        quiet.run(&format!("the command “{command}” of configurations"), &["/bin/sh", "-c", command], b"", &mut |_| {}, cancel)?;
    }
    initrds(tree, &cell, cancel)
}

fn hostname(tree: &Tree, name: &str) -> Result<(), Error> {
    tree.write("etc/hostname", format!("{name}\n").as_bytes(), 0o644)?;
    let hosts = format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    );
    Ok(tree.write("etc/hosts", hosts.as_bytes(), 0o644)?)
}

fn make_user(tree: &Tree, cell: &Cell, user: &User, cancel: &Cancel) -> Result<(), Error> {
    let run = |command: &[&str], input: &[u8]| cell.run(&format!("{} for user {}", command[0], user.name), command, input, &mut |_| {}, cancel);
    let groups = user.groups.join(",");
    if account(tree, &user.name)?.is_some() {
        for (option, value) in [("--home", &user.home), ("--shell", &user.shell)] {
            if let Some(value) = value {
                run(&["usermod", option, value, &user.name], b"")?;
            }
        }
    } else {
        let shell = user.shell.as_deref().unwrap_or("/bin/bash");
        let mut command = vec!["useradd", "--create-home", "--user-group", "--shell", shell];
        if let Some(home) = &user.home {
            command.extend(["--home-dir", home]);
        }
        command.push(&user.name);
        run(&command, b"")?;
    }
    if !groups.is_empty() {
        run(&["usermod", "--append", "--groups", &groups, &user.name], b"")?;
    }
    // The hash goes through a pipe: a command line can be read by others.
    let password = user.password.as_ref().map_or("!", |hash| hash.0.as_str());
    run(&["chpasswd", "--encrypted"], format!("{}:{password}\n", user.name).as_bytes())?;
    if user.sudo {
        if !tree.exists("usr/bin/sudo") {
            return Err(Error::Unfulfilled {
                problem: format!("user {} has “sudo: true”, but the image has no sudo", user.name),
                hint: "add “sudo” to systemConfig.packages".to_owned(),
            });
        }
        tree.write(format!("etc/sudoers.d/90-{}", user.name), format!("{} ALL=(ALL:ALL) NOPASSWD: ALL\n", user.name).as_bytes(), 0o440)?;
    }
    if !user.ssh_authorized_keys.is_empty() {
        authorize(tree, user)?;
    }
    Ok(())
}

fn authorize(tree: &Tree, user: &User) -> Result<(), Error> {
    let unknown = || Error::Unfulfilled {
        problem: format!("user {} has no line in /etc/passwd after it was made", user.name),
        hint: "see whether a package of the spec replaces useradd".to_owned(),
    };
    let (uid, gid, home) = account(tree, &user.name)?.ok_or_else(unknown)?;
    let dir = Path::new(&home).join(".ssh");
    let file = dir.join("authorized_keys");
    let mut keys: String = user.ssh_authorized_keys.iter().map(|key| key.trim()).collect::<Vec<_>>().join("\n");
    keys.push('\n');
    tree.write(&file, keys.as_bytes(), 0o600)?;
    tree.set_mode(&dir, 0o700)?;
    for path in [&dir, &file] {
        tree.set_owner(path, uid, gid)?;
    }
    Ok(())
}

/// Numbers and home directory of a user of the tree.
fn account(tree: &Tree, name: &str) -> Result<Option<(u32, u32, String)>, Error> {
    Ok(tree.read_text("etc/passwd")?.lines().find_map(|line| {
        let words: Vec<&str> = line.split(':').collect();
        match words[..] {
            [user, _, uid, gid, _, home, _] if user == name => Some((uid.parse().ok()?, gid.parse().ok()?, home.to_owned())),
            _ => None,
        }
    }))
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
