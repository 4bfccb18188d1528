//! Programs of the host: where they are, and running them so that none outlives us.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::error::Error;
use crate::progress::Cancel;

/// Where programs are that an ordinary user's `PATH` may lack.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// How much of a program's output is kept: its end.
const OUTPUT_LIMIT: usize = 64 << 10;

/// How long a request to stop may go unseen.
const POLL: Duration = Duration::from_millis(50);

/// A program that must be on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// Its name.
    pub program: &'static str,
    /// The package that has it on Debian and its derivatives.
    pub debian_package: &'static str,
}

impl Requirement {
    /// Whether the program is there.
    pub fn is_met(&self) -> bool {
        find(self.program).is_some()
    }

    /// How to get it.
    pub fn hint(&self) -> String {
        format!("install the package {} (on Debian and Ubuntu: apt install {})", self.debian_package, self.debian_package)
    }
}

/// Makes ext4.
pub(super) const MKE2FS: Requirement = Requirement { program: "mke2fs", debian_package: "e2fsprogs" };
/// Ties the life of a program to ours.
pub(super) const SETPRIV: Requirement = Requirement { program: "setpriv", debian_package: "util-linux" };

/// The programs that [`super::write`] runs, so that a missing one can be named before anything is downloaded.
pub fn requirements() -> Vec<Requirement> {
    vec![MKE2FS, SETPRIV]
}

/// The path of a program: in `PATH`, or where system programs are.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join(program)).find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Runs a program with nothing of our environment but what `environment` says, and waits for it. It gets no input, is killed when `cancel` says so,
/// and is killed by the kernel should this process end before it. Returns what it printed (the end of it), on both its outputs.
///
/// It stands in a process group of its own: a Ctrl-C at the terminal reaches us alone, and we decide.
pub(super) fn run(what: Requirement, arguments: &[&std::ffi::OsStr], environment: &[(&str, String)], cancel: &Cancel) -> Result<String, Error> {
    cancel.check()?;
    let program = find(what.program).ok_or(Error::NoProgram(what))?;
    let setpriv = find(SETPRIV.program).ok_or(Error::NoProgram(SETPRIV))?;
    let start = Error::io::<std::io::Error>;
    let (mut reader, writer) = std::io::pipe().map_err(start("make a pipe for", &program))?;
    let mut command = Command::new(&setpriv);
    // A safe way to PR_SET_PDEATHSIG: the standard library offers none.
    command.args(["--pdeathsig", "KILL", "--"]).arg(&program).args(arguments);
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(start("make a pipe for", &program))?).stderr(writer);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(start("run", &program))?;
    // The command holds the writing ends of the pipe; the reader must see its end when the child is gone.
    drop(command);

    let (sender, receiver) = mpsc::channel();
    let listener = std::thread::spawn(move || {
        let tail = read_tail(&mut reader);
        // The receiver is gone when the wait was given up: then nobody wants the output.
        let _ = sender.send(tail);
    });
    let output = loop {
        match receiver.recv_timeout(POLL) {
            Ok(tail) => break tail,
            Err(RecvTimeoutError::Timeout) => {
                if let Err(cancelled) = cancel.check() {
                    end(&mut child, &program)?;
                    return Err(cancelled.into());
                }
            }
            Err(RecvTimeoutError::Disconnected) => break Vec::new(),
        }
    };
    let status = child.wait().map_err(start("wait for", &program))?;
    // It has sent all that it had, so it is at its end.
    let _ = listener.join();
    let output = String::from_utf8_lossy(&output).into_owned();
    if status.success() { Ok(output) } else { Err(Error::Program { program: what.program, status: in_words(status), output }) }
}

fn end(child: &mut Child, program: &Path) -> Result<(), Error> {
    child.kill().map_err(Error::io("stop", program))?;
    child.wait().map_err(Error::io("wait for", program))?;
    Ok(())
}

/// Reads to the end and keeps the last [`OUTPUT_LIMIT`] bytes.
fn read_tail(reader: &mut impl Read) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return tail,
            Ok(count) => {
                tail.extend_from_slice(&buffer[..count]);
                let excess = tail.len().saturating_sub(OUTPUT_LIMIT);
                tail.drain(..excess);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // The output is for people only: what was read is better than nothing.
            Err(_) => return tail,
        }
    }
}

fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::time::Instant;

    use super::*;

    const SH: Requirement = Requirement { program: "sh", debian_package: "dash" };

    fn sh(script: &str, cancel: &Cancel) -> Result<String, Error> {
        run(SH, &[OsStr::new("-c"), OsStr::new(script)], &[("ANSWER", "42".to_owned())], cancel)
    }

    #[test]
    fn gives_both_outputs_and_the_environment_it_was_told() {
        assert_eq!(sh("echo $ANSWER; echo $HOME$CARGO >&2", &Cancel::default()).unwrap(), "42\n\n");
    }

    #[test]
    fn shows_the_end_of_the_output_of_a_failure() {
        let error = sh("yes | head -c 100000; echo the end; exit 3", &Cancel::default()).unwrap_err();
        assert_eq!(error.to_string(), "sh failed with exit code 3");
        assert!(error.output().unwrap().ends_with("the end\n"));
        assert!(error.output().unwrap().len() <= OUTPUT_LIMIT);
        assert_eq!(sh("kill -9 $$", &Cancel::default()).unwrap_err().to_string(), "sh failed with signal 9");
    }

    #[test]
    fn ends_at_once_when_asked_to_stop() {
        let cancel = Cancel::default();
        let begin = Instant::now();
        let result = std::thread::scope(|scope| {
            let run = scope.spawn(|| sh("exec sleep 60", &cancel));
            cancel.cancel();
            run.join().unwrap()
        });
        assert!(matches!(result, Err(Error::Cancelled(_))));
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn the_kernel_kills_it_should_we_end() {
        let told = run(SETPRIV, &[OsStr::new("--dump")], &[], &Cancel::default()).unwrap();
        assert!(told.lines().any(|line| line.contains("Parent death signal") && line.contains("KILL")), "{told}");
    }

    #[test]
    fn names_the_package_of_a_missing_program() {
        let nothing = Requirement { program: "no-such-program", debian_package: "no-such-package" };
        let error = run(nothing, &[], &[], &Cancel::default()).unwrap_err();
        assert_eq!(error.to_string(), "the program no-such-program is missing on this machine");
        assert!(error.hint().unwrap().contains("apt install no-such-package"));
    }
}
