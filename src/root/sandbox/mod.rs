//! Where packages' scripts run: nothing of the host but processor time.
//!
//! Three processes stand between the program and a script, each this program again with a hidden command:
//!
//! ```text
//!  image-composer build
//!    └─ entrance     new user, mount, pid, network, IPC and UTS namespaces; waits until its parent has mapped the users
//!         └─ worker  pid 1 of them: unpacks, writes the disk; still sees the host's files (it runs none of the image's code)
//!              └─ door     new mount and pid namespaces again, one for each command
//!                   └─ cell     pid 1: the tree is its root, the host's file system is gone; runs the command
//! ```
//!
//! Scripts are root of the tree's files and little more: `rights` says what they may do.
//!
//! When the program dies, however it dies, the kernel ends the entrance (parent-death signal), with the worker's pid namespace all that is in it, and
//! with its mount namespace every mount. Nothing is left to clean.

mod cell;
mod loopback;
mod namespace;
mod program;
mod rights;

use std::ffi::OsStr;

pub use cell::{Cell, Stub, cell, door};
pub use namespace::{Mapping, Pipes, Worker, entrance};
pub(super) use namespace::{mount_memory, settle as settle_worker};
#[cfg(test)]
pub(crate) use program::find as find_program;

/// The hidden commands' names, as first argument.
pub const ENTRANCE: &str = "__entrance";
/// See [`ENTRANCE`].
pub const WORKER: &str = "__worker";
/// The worker that only removes what killed ones have left.
pub(super) const REMOVER: &str = "__remover";
/// See [`ENTRANCE`].
pub const DOOR: &str = "__door";
/// See [`ENTRANCE`].
pub const CELL: &str = "__cell";

/// A sandbox that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A program of the host that ordinary users need is missing.
    #[error("the program {program} is missing; an ordinary user needs it to install packages with more than one owner")]
    MissingProgram {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The user has no range of subordinate ids.
    #[error("{user} has no range of at least 65536 subordinate ids in {file}")]
    NoSubordinateIds {
        /// The user's name, or number.
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
    },
    /// The kernel or a helper refused a step.
    #[error("the sandbox for package scripts cannot be made: {step}")]
    Refused {
        /// What was tried.
        step: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A process of the sandbox ended before its work was done.
    #[error("the sandbox for package scripts ended early: {reason}")]
    Ended {
        /// What is known of it.
        reason: String,
    },
}

impl SandboxError {
    fn refused(step: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let step = step.into();
        move |source| Self::Refused { step, source }
    }

    fn os(step: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let step = step.into();
        move |errno| Self::Refused { step, source: errno.into() }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::MissingProgram { package, .. } => Some(format!("install the package “{package}” (apt install {package}), or run as root")),
            Self::NoSubordinateIds { user, file } => Some(format!(
                "give the user a range, as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user} (it is kept in {file}), or run as root"
            )),
            Self::Refused { source, .. }
                if matches!(source.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::StorageFull)
                    || source.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error()) =>
            {
                Some(
                    "user namespaces must be allowed: look at the sysctls kernel.unprivileged_userns_clone, \
                     kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces; a container must be started with the right to mount"
                        .to_owned(),
                )
            }
            Self::Ended { reason } if reason.contains("mount /proc") => Some(
                "the host's /proc is partly covered, as it is in a container: start the container with its system paths unconfined, or with all rights"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Runs a hidden command, if the arguments are one; returns the exit status of the process.
///
/// `main` calls this before it does anything else: a process that makes a user namespace must have one thread only.
pub fn hidden_command(arguments: &[std::ffi::OsString]) -> Option<u8> {
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().and_then(|argument| argument.to_str())? {
        ENTRANCE => Some(entrance(rest)),
        REMOVER => Some(super::leftovers::remover()),
        DOOR => Some(door(rest)),
        CELL => Some(cell(rest)),
        _ => None,
    }
}

/// This program, to be started again as one of the processes above.
fn this_program(command: &str) -> std::process::Command {
    let mut program = std::process::Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut program, OsStr::new("image-composer"));
    program.arg(command);
    program
}

/// Asks the kernel to end this process when its parent ends.
fn die_with_parent() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}
