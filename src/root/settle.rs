//! The last look at a tree: what scripts leave behind that differs from build to build goes, what each machine must make for itself is not there, and
//! no file is newer than the build's own time.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};

use super::Error;
use super::error::refused;
use super::install::POLICY;
use super::plan::{Packaging, Plan};
use crate::tree::{Tree, names};

/// Logs, caches, locks and copies that are of no use in an image.
const LEFTOVERS: [&str; 22] = [
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers/Lock",
    "usr/lib/sysimage/rpm/.rpm.lock",
    "var/lib/rpm/.rpm.lock",
    "var/lib/systemd/random-seed",
    "var/log/alternatives.log",
    "var/log/dpkg.log",
];

/// Host keys of the ssh server are made when it first starts, before it checks its configuration (which fails without keys).
const SSH_KEYS: &[u8] = b"[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n";

/// Removes what does not belong into an image, and clamps the times of all files to the plan's.
pub(super) fn settle(tree: &Tree, plan: &Plan) -> Result<(), Error> {
    if plan.packaging == Packaging::Deb {
        tree.remove(POLICY.0)?;
    }
    for path in LEFTOVERS {
        tree.remove(path)?;
    }
    for dir in ["tmp", "run", "dev", "proc", "sys", "var/log/apt"] {
        tree.empty_dir(dir)?;
    }
    // Empty, not missing: systemd fills it at each machine's first start (machine-id(5)).
    if tree.exists("usr/lib/systemd/systemd") {
        tree.write("etc/machine-id", b"", 0o444)?;
    }
    let mut had_keys = false;
    for name in tree.list("etc/ssh")?.into_iter().map(|entry| entry.name) {
        if name.starts_with("ssh_host_") {
            tree.remove(format!("etc/ssh/{name}"))?;
            had_keys = true;
        }
    }
    if had_keys {
        tree.write("etc/systemd/system/ssh.service.d/host-keys.conf", SSH_KEYS, 0o644)?;
    }
    // Of an RPM distribution a package says of these what they are like.
    if plan.packaging == Packaging::Deb {
        tree.set_mode(Path::new("tmp"), 0o1777)?;
        tree.set_mode(Path::new("root"), 0o700)?;
    }
    let root = tree.open_at(Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY).map_err(refused("open", "/"))?;
    clamp(&root, i64::try_from(plan.time).unwrap_or(i64::MAX)).map_err(refused("set times in", "/"))
}

/// Sets the time of each file and directory that is newer to `time`.
fn clamp(dir: &std::os::fd::OwnedFd, time: i64) -> rustix::io::Result<()> {
    for name in names(dir)? {
        let stat = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let below = rustix::fs::openat(dir, &name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            clamp(&below, time)?;
        }
        clamp_one(dir, &name, &stat, time)?;
    }
    clamp_one(dir, OsStr::new("."), &rustix::fs::fstat(dir)?, time)
}

fn clamp_one(dir: &std::os::fd::OwnedFd, name: &OsStr, stat: &rustix::fs::Stat, time: i64) -> rustix::io::Result<()> {
    // Directories are changed by everything that is made in them: their times say nothing, so they all get the same.
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let seconds = if is_directory { time } else { stat.st_mtime.min(time) };
    let stamp = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: stamp, last_modification: stamp };
    rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}
