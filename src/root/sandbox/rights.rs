//! What the tree's own code may do in its cell.
//!
//! Where the program runs as root, users have the same numbers inside and outside, and the kernel guards much of `/proc` by the number alone: who may
//! write `/proc/sys/kernel/core_pattern` owns the host. So the code gets a `/proc` and devices that it cannot write to, and none of the capabilities
//! that could change this.

use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::path::Path;

use rustix::mount::MountFlags;
use rustix::thread::CapabilitySet;

use super::SandboxError;

/// What package scripts need: files of any owner, other users' processes, becoming another user. Not among them: mounting, tracing, devices, networks.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::AUDIT_WRITE)
    .union(CapabilitySet::SETFCAP);

/// What every mount of a cell's `/proc` has.
pub(super) const PROC: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Makes a fresh `/proc` safe to show: no further user namespace can be made (it would have all capabilities again), and nothing in it can be written.
pub(super) fn restrict_proc(proc: &Path) -> Result<(), SandboxError> {
    // The limit of our own user namespace, whoever's /proc it is written through (namespaces(7)).
    let limit = proc.join("sys/user/max_user_namespaces");
    std::fs::write(&limit, "0").map_err(SandboxError::refused("forbid further user namespaces"))?;
    read_only(proc, PROC)
}

/// Makes a mount read-only. A device beneath it can still be written to; its owner and mode cannot be changed.
pub(super) fn read_only(mount: &Path, flags: MountFlags) -> Result<(), SandboxError> {
    rustix::mount::mount_remount(mount, MountFlags::BIND | MountFlags::RDONLY | flags, c"").map_err(SandboxError::os("make a mount read-only"))
}

/// Leaves what this process starts with no more than [`KEPT`].
///
/// The process itself keeps all of its capabilities: that makes it unreadable to what it starts (`ptrace(2)`, access mode checking).
pub(super) fn give_up_capabilities() -> Result<(), SandboxError> {
    let refused = || SandboxError::os("give up capabilities");
    for capability in (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number)).filter(|capability| !KEPT.contains(*capability)) {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Beyond the last one that this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(refused()(errno)),
        }
    }
    let mut own = rustix::thread::capabilities(None).map_err(refused())?;
    own.inheritable = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, own).map_err(refused())
}

/// Closes whatever this process was given beyond its three standard streams: files of the host that its starter had open.
pub(super) fn close_inherited() -> Result<(), SandboxError> {
    let refused = || SandboxError::refused("list the open files");
    let number = |name: &OsStr| name.to_str()?.parse::<RawFd>().ok();
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").map_err(refused())? {
        open.extend(number(&entry.map_err(refused())?.file_name()).filter(|fd| *fd > 2));
    }
    for fd in open {
        // One of them was the directory itself, which is closed by now.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}
