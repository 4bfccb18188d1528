//! What the spec asks for on top of the packages: host name, users, files, commands, and the initrds where they would be others with it.

use super::changes::Snapshot;
use super::install::INITRD_LATER;
use super::plan::{Plan, Platform};
use super::sandbox::Cell;
use super::{Error, files, initrd, network, saved, users, wsl};
use crate::deferred::Deferred;
use crate::progress::{Cancel, Progress};
use crate::tree::Tree;

/// Applies the spec's own part to an installed tree. Files that are not laid down yet are, where initrds are made.
pub(super) fn customize(tree: &Tree, plan: &Plan, deferred: &mut Deferred, progress: &dyn Progress, cancel: &Cancel) -> Result<(), Error> {
    let cell = Cell::new(tree.path(), plan.time).reporting_to(progress);
    let snapshot = Snapshot::take(tree)?;
    hostname(tree, &plan.hostname)?;
    if plan.platform == Platform::Wsl {
        wsl::set_up(tree, plan)?;
    }
    if let Some(network) = &plan.network {
        network::set_up(tree, &cell, network, cancel)?;
    }
    for user in &plan.users {
        users::make(tree, &cell, user, cancel)?;
    }
    for file in &plan.files {
        files::copy(tree, file)?;
    }
    let quiet = cell.clone().with_stub(INITRD_LATER.0, INITRD_LATER.1);
    for command in &plan.commands {
        quiet.run(&format!("the command “{command}” of configurations"), &["/bin/sh", "-c", command], b"", &mut |_| {}, cancel)?;
    }
    users::check_login_programs(tree, &plan.users)?;
    initrd::modules(tree, &plan.modules)?;
    let changes = snapshot.changes(tree)?;
    if initrd::are_same(tree, &changes)? {
        return Ok(());
    }
    if plan.platform == Platform::Disk {
        saved::lay_down(tree, deferred, cancel)?;
    }
    initrd::make_all(tree, plan.platform, &cell, cancel)
}

fn hostname(tree: &Tree, name: &str) -> Result<(), Error> {
    tree.write("etc/hostname", format!("{name}\n").as_bytes(), 0o644)?;
    let hosts = format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    );
    Ok(tree.write("etc/hosts", hosts.as_bytes(), 0o644)?)
}
