//! The worker's namespaces, and who is who in them.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use nix::sched::CloneFlags;

use super::{ENTRANCE, SandboxError, die_with_parent, loopback, program, rights, this_program};

/// How many ids an image needs: 0 to 65535.
const IDS: u32 = 65_536;

/// Which users of the host stand behind those of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapping {
    /// The program runs as root: every number means the same inside and outside.
    Identity,
    /// The program runs as an ordinary user: it is root inside, and its subordinate ids are the others.
    Subordinate {
        /// The user's own number.
        uid: u32,
        /// The user's own group.
        gid: u32,
        /// The first of its subordinate user ids; there are at least 65535.
        first_uid: u32,
        /// The first of its subordinate group ids; there are at least 65535.
        first_gid: u32,
    },
}

impl Mapping {
    /// How this process can map users.
    ///
    /// # Errors
    /// What the host lacks for an ordinary user.
    pub fn of_this_process() -> Result<Self, SandboxError> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        if uid == 0 {
            return Ok(Self::Identity);
        }
        for program in ["newuidmap", "newgidmap"] {
            if program::find(program).is_none() {
                return Err(SandboxError::MissingProgram { program, package: "uidmap" });
            }
        }
        let user = user_name(uid);
        let range = |file: &'static str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            subordinate_range(&text, user.as_deref(), uid)
                .ok_or_else(|| SandboxError::NoSubordinateIds { user: user.clone().unwrap_or_else(|| uid.to_string()), file })
        };
        Ok(Self::Subordinate { uid, gid, first_uid: range("/etc/subuid")?, first_gid: range("/etc/subgid")? })
    }

    /// Writes the maps of a process that waits in its new user namespace.
    fn apply(&self, pid: u32) -> Result<(), SandboxError> {
        match self {
            Self::Identity => {
                for kind in ["uid_map", "gid_map"] {
                    // Whatever this process can see, as it sees it: in a container that may be less than everything.
                    let own = format!("/proc/self/{kind}");
                    let text = std::fs::read_to_string(&own).map_err(SandboxError::refused(format!("read {own}")))?;
                    let map: String = text
                        .lines()
                        .filter_map(|line| {
                            let mut words = line.split_whitespace();
                            let (inside, _, count) = (words.next()?, words.next()?, words.next()?);
                            Some(format!("{inside} {inside} {count}\n"))
                        })
                        .collect();
                    let path = format!("/proc/{pid}/{kind}");
                    std::fs::write(&path, map).map_err(SandboxError::refused("map the users of the namespace"))?;
                }
                Ok(())
            }
            Self::Subordinate { uid, gid, first_uid, first_gid } => {
                for (program, own, first) in [("newuidmap", uid, first_uid), ("newgidmap", gid, first_gid)] {
                    let path = program::find(program).ok_or(SandboxError::MissingProgram { program, package: "uidmap" })?;
                    let words = [pid, 0, *own, 1, 1, *first, IDS - 1].map(|number| number.to_string());
                    let output = Command::new(path).args(words).output().map_err(SandboxError::refused(format!("run {program}")))?;
                    if !output.status.success() {
                        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                        return Err(SandboxError::Refused { step: format!("{program} was refused"), source: io::Error::other(said) });
                    }
                }
                Ok(())
            }
        }
    }
}

/// The first id of a range that is large enough, from the text of `/etc/subuid` (`subuid(5)`: `name-or-number:first:count`).
fn subordinate_range(text: &str, user: Option<&str>, uid: u32) -> Option<u32> {
    let number = uid.to_string();
    text.lines().find_map(|line| {
        let mut words = line.split(':');
        let owner = words.next()?;
        let (first, count): (u32, u32) = (words.next()?.trim().parse().ok()?, words.next()?.trim().parse().ok()?);
        ((Some(owner) == user || owner == number) && count >= IDS - 1).then_some(first)
    })
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = uid.to_string();
    let local = passwd.lines().find_map(|line| {
        let mut words = line.split(':');
        let name = words.next()?;
        (words.nth(1)? == uid).then(|| name.to_owned())
    });
    // A user of a directory service stands in no file, but its login has set the variable.
    local.or_else(|| std::env::var("USER").ok())
}

/// A worker in its namespaces, ready to be told what to do on its standard input.
#[must_use = "dropping it ends the worker"]
pub struct Worker {
    child: Child,
}

/// The ends of a worker's pipes.
#[derive(Debug)]
pub struct Pipes {
    /// What the worker reads.
    pub stdin: ChildStdin,
    /// What it answers.
    pub stdout: ChildStdout,
    /// What it says when it dies.
    pub stderr: ChildStderr,
}

impl Worker {
    /// Starts the worker with the hidden command that `main` gives to it.
    pub fn start(mapping: &Mapping, command: &str) -> Result<(Self, Pipes), SandboxError> {
        let mut entrance = this_program(ENTRANCE);
        entrance.arg(command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = entrance.spawn().map_err(SandboxError::refused("start a process"))?;
        let ends = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
        let mut worker = Self { child };
        let ((stdin, stdout), stderr) = ends.ok_or_else(|| SandboxError::Ended { reason: "it has no pipes".to_owned() })?;
        let mut pipes = Pipes { stdin, stdout, stderr };
        let mut ready = [0];
        if pipes.stdout.read_exact(&mut ready).is_err() {
            return Err(worker.why_it_ended(pipes.stderr));
        }
        mapping.apply(worker.child.id())?;
        pipes.stdin.write_all(b"\n").map_err(SandboxError::refused("speak to the worker"))?;
        Ok((worker, pipes))
    }

    /// Ends it at once, with everything in its namespaces.
    pub fn kill(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<std::process::ExitStatus, SandboxError> {
        self.child.wait().map_err(SandboxError::refused("wait for the worker"))
    }

    fn why_it_ended(&mut self, stderr: ChildStderr) -> SandboxError {
        let mut said = String::new();
        // Whatever could be read is better than nothing.
        let _ = stderr.take(4096).read_to_string(&mut said);
        self.kill();
        let refused = said.trim().rsplit_once("os error ").and_then(|(_, number)| number.trim_end_matches(')').parse().ok());
        match refused {
            Some(number) => SandboxError::Refused { step: "new namespaces".to_owned(), source: io::Error::from_raw_os_error(number) },
            None => SandboxError::Ended { reason: if said.trim().is_empty() { "it said nothing".to_owned() } else { said.trim().to_owned() } },
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The entrance: makes the namespaces, waits for the maps, becomes the parent of the worker. Returns the worker's exit status.
pub fn entrance(arguments: &[OsString]) -> u8 {
    match enter(arguments) {
        Ok(status) => status,
        Err(error) => {
            // The parent reads it from the pipe.
            let _ = writeln!(io::stderr(), "{error}: {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default());
            1
        }
    }
}

fn enter(arguments: &[OsString]) -> Result<u8, SandboxError> {
    let command = arguments.first().and_then(|argument| argument.to_str()).unwrap_or(super::WORKER);
    rights::close_inherited()?;
    // A session of its own: Ctrl-C at the terminal is for the program, which then ends the worker; and no script can reach the terminal.
    rustix::process::setsid().map_err(SandboxError::os("leave the terminal"))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    nix::sched::unshare(all).map_err(|errno| SandboxError::Refused { step: "new namespaces".to_owned(), source: errno.into() })?;
    // The host's own name has no place in what scripts write.
    rustix::system::sethostname(b"localhost").map_err(SandboxError::os("name the machine"))?;
    loopback::set_up()?;
    // After unshare, because a change of credentials clears it (prctl(2)).
    die_with_parent().map_err(SandboxError::os("tie the worker to its parent"))?;
    let mut stdout = io::stdout();
    stdout.write_all(b"r").and_then(|()| stdout.flush()).map_err(SandboxError::refused("speak to the parent"))?;
    // Exactly one byte: what follows is for the worker. The parent's end of the pipe closes if it gives up.
    let mut go = [0];
    if rustix::io::read(rustix::stdio::stdin(), &mut go).map_err(SandboxError::os("hear from the parent"))? == 0 {
        return Ok(1);
    }
    // The worker keeps the user's groups: files of the spec, and the place of the output, can be open to one of them alone.
    let status = this_program(command).status().map_err(SandboxError::refused("start the worker"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Prepares the worker's own mount namespace: nothing that is mounted from here on is seen outside.
pub(in crate::root) fn settle() -> Result<(), SandboxError> {
    die_with_parent().map_err(SandboxError::os("tie the worker to its parent"))?;
    let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(SandboxError::os("make the mounts private"))
}

/// Mounts an empty file system in memory over a directory; it ends with the worker.
pub(in crate::root) fn mount_memory(at: &Path, bytes: u64) -> Result<(), SandboxError> {
    // No size at all would be no limit (`tmpfs(5)`).
    let options = std::ffi::CString::new(format!("mode=0755,size={}", bytes.max(1))).expect("no NUL in it");
    rustix::mount::mount("tmpfs", at, "tmpfs", rustix::mount::MountFlags::NODEV, options.as_c_str())
        .map_err(SandboxError::os("a file system in memory for the work tree"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_range_of_a_user() {
        let text = "alice:100000:65536\nbob:1:10\n1002:300000:65536\nbob:200000:65536\n";
        assert_eq!(subordinate_range(text, Some("alice"), 1000), Some(100_000));
        assert_eq!(subordinate_range(text, Some("bob"), 1001), Some(200_000), "the first range is too small");
        assert_eq!(subordinate_range(text, None, 1002), Some(300_000));
        assert_eq!(subordinate_range(text, Some("carol"), 1003), None);
    }
}
