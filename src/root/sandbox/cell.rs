//! One command with the tree as its root.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use super::{CELL, DOOR, SandboxError, die_with_parent, rights, this_program};
use crate::progress::{Cancel, Event, Phase, Progress, Silent};
use crate::root::Error;

/// How much of a program's output an error shows: the end of it, in bytes.
const OUTPUT_LIMIT: usize = 8 << 10;
/// The exit status of a door or cell that could not do its work; what it writes to standard error says why. (Those from 125 on have a meaning for shells, and
/// coreutils.)
const BROKEN: u8 = 97;

/// The exit statuses that stand for signals, as in shells: 128 and the signal's number. Those above them are a program's own.
const SIGNALS: std::ops::RangeInclusive<i32> = 129..=128 + 64;

/// A tree to run commands in.
#[derive(Clone)]
pub struct Cell<'p> {
    room: Room,
    /// Who hears what commands print.
    progress: &'p dyn Progress,
}

/// What the processes of a cell must know.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Room {
    /// The tree on the host.
    root: PathBuf,
    /// The whole environment of the commands.
    environment: BTreeMap<String, String>,
    /// Programs of the tree that do something else while the cell is open.
    stubs: Vec<Stub>,
    /// Another tree, and the directory of this one where it is mounted.
    inner: Option<(PathBuf, String)>,
}

/// A program of the tree that is covered by a script, without a trace in the tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stub {
    /// The program, absolute; nothing happens where the tree does not have it.
    pub program: String,
    /// The script that runs in its place.
    pub script: String,
}

impl<'p> Cell<'p> {
    /// A cell with the environment of a quiet installation. `time` is `SOURCE_DATE_EPOCH`.
    pub fn new(root: &Path, time: u64) -> Self {
        let environment = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("TERM", "dumb"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
            ("SOURCE_DATE_EPOCH", &time.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { room: Room { root: root.to_owned(), environment: environment.into(), stubs: Vec::new(), inner: None }, progress: &Silent }
    }

    /// The same cell, whose commands' output is reported line by line.
    #[must_use]
    pub fn reporting_to(self, progress: &'p dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// The same cell with one more variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.room.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same cell with a stub.
    #[must_use]
    pub fn with_stub(mut self, program: &str, script: &str) -> Self {
        self.room.stubs.push(Stub { program: program.to_owned(), script: script.to_owned() });
        self
    }

    /// The same cell with another tree mounted at a directory of the first, beside its root: for a program that makes that tree its root (`chroot(2)`),
    /// and finds `/proc`, `/dev` and `/run` there.
    #[must_use]
    pub fn with_tree(mut self, tree: &Path, at: &str) -> Self {
        self.room.inner = Some((tree.to_owned(), at.to_owned()));
        self
    }

    /// Runs a command that takes its time, and reports how long it took as an item of [`Phase::Configure`].
    ///
    /// # Errors
    /// As [`Cell::run`].
    pub fn run_timed(&self, what: &str, command: &[&str], cancel: &Cancel) -> Result<(), Error> {
        let begun = Instant::now();
        self.run(what, command, b"", &mut |_| {}, cancel)?;
        self.progress.report(Event::Item { phase: Phase::Configure, name: what, bytes: 0, took: begun.elapsed() });
        Ok(())
    }

    /// Runs a command, gives it `input`, and hands each line that it prints (on either stream) to `line`.
    ///
    /// # Errors
    /// [`Error::Script`] with the end of the output if it ends with an error; `what` names it there.
    pub fn run(&self, what: &str, command: &[&str], input: &[u8], line: &mut dyn FnMut(&str), cancel: &Cancel) -> Result<(), Error> {
        cancel.check()?;
        self.progress.report(Event::Note(what));
        let description = serde_json::to_string(&self.room).map_err(|error| SandboxError::Ended { reason: error.to_string() })?;
        let (reader, writer) = std::io::pipe().map_err(SandboxError::refused("make a pipe"))?;
        let errors = writer.try_clone().map_err(SandboxError::refused("make a pipe"))?;
        let mut door = this_program(DOOR);
        // Scripts could read the environment of the cell's first process; the host's may hold secrets.
        door.env_clear();
        door.arg(description).args(command).stdin(Stdio::piped()).stdout(writer).stderr(errors);
        let mut child = door.spawn().map_err(SandboxError::refused("start a process"))?;
        // The command holds the only other ends of the pipe: reading ends when it and all that it started have ended.
        drop(door);
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input is free to.
            let _ = stdin.write_all(input);
        }
        let mut tail = Vec::new();
        let mut output = BufReader::new(reader);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            // A line without end is handed on in pieces.
            let count = (&mut output).take(1 << 16).read_until(b'\n', &mut bytes).map_err(SandboxError::refused("read a command's output"))?;
            if count == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&bytes);
            self.progress.report(Event::Output(text.trim_end()));
            line(text.trim_end());
            tail.extend_from_slice(&bytes);
            if tail.len() > 2 * OUTPUT_LIMIT {
                tail.drain(..tail.len() - OUTPUT_LIMIT);
            }
        }
        let status = child.wait().map_err(SandboxError::refused("wait for a command"))?;
        cancel.check()?;
        if status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&tail[tail.len().saturating_sub(OUTPUT_LIMIT)..]).trim().to_owned();
        let status = match status.code() {
            Some(code) if code == i32::from(BROKEN) => return Err(SandboxError::Ended { reason: output }.into()),
            Some(code) if SIGNALS.contains(&code) => format!("signal {}", code - 128),
            Some(code) => format!("exit status {code}"),
            None => "a signal".to_owned(),
        };
        Err(Error::Script { what: what.to_owned(), status, output })
    }
}

/// The door: new mount and pid namespaces, whose first process is the cell. Returns the command's exit status.
pub fn door(arguments: &[OsString]) -> u8 {
    complain((|| {
        let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
        nix::sched::unshare(flags).map_err(|errno| SandboxError::Refused { step: "new namespaces".to_owned(), source: errno.into() })?;
        rustix::thread::set_thread_groups(&[]).map_err(SandboxError::os("drop the groups of the host"))?;
        die_with_parent().map_err(SandboxError::os("tie a process to its parent"))?;
        let status = this_program(CELL).args(arguments).status().map_err(SandboxError::refused("start a process"))?;
        Ok(exit_status(status))
    })())
}

/// The cell: the tree becomes the root, the host's files go, the command runs. Returns its exit status.
pub fn cell(arguments: &[OsString]) -> u8 {
    complain((|| {
        die_with_parent().map_err(SandboxError::os("tie a process to its parent"))?;
        let broken = || SandboxError::Ended { reason: "it was started without a command".to_owned() };
        let (description, command) = arguments.split_first().ok_or_else(broken)?;
        let (program, arguments) = command.split_first().ok_or_else(broken)?;
        let room: Room = serde_json::from_str(&description.to_string_lossy()).map_err(|error| SandboxError::Ended { reason: error.to_string() })?;
        room.lock_in()?;
        rights::give_up_capabilities()?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&room.environment).current_dir("/");
        let mut child = command.spawn().map_err(SandboxError::refused(format!("run {}", program.to_string_lossy())))?;
        // This process is the init of its namespace: what scripts left in the background is inherited by it, and ends with it.
        let status = child.wait().map_err(SandboxError::refused("wait for a command"))?;
        Ok(exit_status(status))
    })())
}

impl Room {
    /// Makes the tree the root of this process, with a `/proc` and a `/dev` of its own.
    fn lock_in(&self) -> Result<(), SandboxError> {
        let step = |what: &'static str| SandboxError::os(what);
        let root = &self.root;
        let inside = |path: &str| root.join(path);
        rustix::mount::mount_bind_recursive(root, root).map_err(step("mount the tree"))?;
        self.mount_checked("proc", "proc", rights::PROC, c"")?;
        rights::restrict_proc(&inside("proc"))?;
        self.mount_checked("tmpfs", "dev", MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=0755,size=1m")?;
        self.mount_checked("tmpfs", "run", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755,size=64m")?;
        for device in ["null", "zero", "full", "random", "urandom", "tty"] {
            let place = inside(&format!("dev/{device}"));
            rustix::fs::open(&place, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o666))
                .map_err(step("make a device's place"))?;
            rustix::mount::mount_bind(format!("/dev/{device}"), &place).map_err(step("bring a device in"))?;
            rights::read_only(&place, MountFlags::NOSUID | MountFlags::NOEXEC)?;
        }
        for (link, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            rustix::fs::symlink(target, inside(&format!("dev/{link}"))).map_err(step("link a device"))?;
        }
        for dir in ["dev/shm", "run/lock"] {
            rustix::fs::mkdir(inside(dir), Mode::from_raw_mode(0o1777)).map_err(step("make a directory"))?;
        }
        if let Some((tree, at)) = &self.inner {
            rustix::mount::mount_bind(tree, inside(at)).map_err(step("mount the inner tree"))?;
            for name in ["dev", "proc", "run"] {
                let place = inside(at).join(name);
                is_directory(&place, &format!("the inner tree's /{name}"))?;
                rustix::mount::mount_bind_recursive(inside(name), &place).map_err(step("mount into the inner tree"))?;
            }
        }
        rustix::process::chdir(root).map_err(step("enter the tree"))?;
        // The old root is stacked beneath the new one, and taken away from there (pivot_root(2), “.” twice).
        rustix::process::pivot_root(".", ".").map_err(step("make the tree the root"))?;
        rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(step("leave the host's file system"))?;
        rustix::process::chdir("/").map_err(step("enter the tree"))?;
        for (number, stub) in self.stubs.iter().enumerate() {
            if Path::new(&stub.program).exists() {
                let script = format!("/run/stub-{number}");
                let fd = rustix::fs::open(&script, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o755))
                    .map_err(step("write a stub"))?;
                std::fs::File::from(fd).write_all(stub.script.as_bytes()).map_err(SandboxError::refused("write a stub"))?;
                rustix::mount::mount_bind(&script, &stub.program).map_err(step("place a stub"))?;
            }
        }
        Ok(())
    }

    /// Mounts over a directory of the tree that must be one itself: a link there could name a place of the host.
    fn mount_checked(&self, kind: &str, at: &str, flags: MountFlags, options: &std::ffi::CStr) -> Result<(), SandboxError> {
        let place = self.root.join(at);
        is_directory(&place, &format!("the tree's /{at}"))?;
        rustix::mount::mount(kind, &place, kind, flags, options).map_err(SandboxError::os(format!("mount /{at}")))
    }
}

/// Checks that there is a directory, and no link to one.
fn is_directory(place: &Path, what: &str) -> Result<(), SandboxError> {
    let no_link = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(place, no_link, Mode::empty()).map(drop).map_err(SandboxError::os(what))
}

/// Says why a step was refused, where the worker reads it.
fn complain(result: Result<u8, SandboxError>) -> u8 {
    result.unwrap_or_else(|error| {
        let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        // There is nobody else to tell.
        let _ = writeln!(std::io::stderr(), "{error}: {reason}");
        BROKEN
    })
}

fn exit_status(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
