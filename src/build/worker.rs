//! The worker: the part of a build that runs inside the sandbox's namespaces, and how the program speaks with it.
//!
//! The program writes one [`Task`] as JSON to the worker's standard input, then a line for each package that has come since ([`Arrival`]), and closes it; the
//! worker answers with one [`Message`] as JSON per line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::with_causes;
use crate::deferred::Deferred;
use crate::digest::Digest;
use crate::disk;
use crate::progress::{Cancel, Event, Phase, Progress};
use crate::root::sandbox::{Cell, Mapping, Pipes, SandboxError, WORKER, Worker};
use crate::root::{self, Plan, Source, Workspace};
use crate::store::{Parts, Stretch};
use crate::tree::Tree;
use crate::units::ByteSize;

/// How long a worker that gives up waits for a program of the image, and takes to remove its tree, at most.
const GRACE: Duration = Duration::from_secs(5);

/// What the worker shall do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    /// The root tree to make.
    pub root: Plan,
    /// What it begins with.
    pub start: Start,
    /// The disk to make of it.
    pub layout: disk::Layout,
    /// How it starts, where it does so from its disk.
    pub boot: Option<disk::Boot>,
    /// The empty file that becomes the raw disk; absolute.
    pub disk: PathBuf,
    /// A directory of this build alone, for the work tree and small files.
    pub scratch: PathBuf,
    /// What the packages take when they are unpacked, in bytes.
    pub estimate: ByteSize,
}

/// What a root tree is made of: a saved one, and then the stages of the plan that it lacks.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Start {
    /// Where in the store the saved tree lies; none for an empty tree.
    pub tree: Option<Parts>,
    /// How many stages it has.
    pub stages: usize,
    /// Whether its long files may have no bytes for the time being, where no program of the image needs them.
    pub defers: bool,
    /// Where the tree is written after which stage: absolute; not there yet.
    pub save: BTreeMap<usize, PathBuf>,
}

/// A package that was on its way when the worker began, or was still to be decompressed, has come.
#[derive(Debug, Serialize, Deserialize)]
pub struct Arrival {
    /// Its place in the plan.
    pub package: usize,
    /// Where its bytes are.
    pub source: Source,
}

/// What the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Start {
        phase: Phase,
        total: Option<u64>,
    },
    Advance {
        phase: Phase,
        by: u64,
    },
    Item {
        phase: Phase,
        name: String,
        bytes: u64,
        took: Duration,
    },
    Finish {
        phase: Phase,
    },
    Warning(String),
    Note(String),
    Output(String),
    /// The tree after this stage is in its file, or why it is not.
    Saved(usize, Option<String>),
    /// The disk is made, with these stretches of the saved tree.
    Done(Vec<Stretch>),
    Failed(WorkerFailure),
}

/// An error of the worker, as it crosses the process border.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct WorkerFailure {
    /// The error with its causes.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    /// The end of what a failed program printed.
    pub output: Option<String>,
    /// The blob whose bytes could not be read, where that was the problem.
    pub unreadable_blob: Option<Digest>,
    /// Whether the saved tree could not be read.
    pub unreadable_root: bool,
    /// Whether a file of the saved tree was needed that was not laid down: that may be why.
    pub touched_deferred: bool,
}

/// Sends reports through standard output.
struct Wire;

impl Progress for Wire {
    fn report(&self, event: Event<'_>) {
        send(&match event {
            Event::Start { phase, total } => Message::Start { phase, total },
            Event::Advance { phase, by } => Message::Advance { phase, by },
            Event::Item { phase, name, bytes, took } => Message::Item { phase, name: name.to_owned(), bytes, took },
            Event::Finish { phase } => Message::Finish { phase },
            Event::Warning(text) => Message::Warning(text.to_owned()),
            Event::Talk(text) | Event::Note(text) => Message::Note(text.to_owned()),
            Event::Output(line) => Message::Output(line.to_owned()),
        });
    }
}

fn send(message: &Message) {
    let mut line = serde_json::to_vec(message).expect("plain values");
    line.push(b'\n');
    if std::io::stdout().write_all(&line).is_err() {
        // Nobody listens: the program has died, perhaps before this process had asked to end with it.
        std::process::exit(1);
    }
}

/// The worker's side. Returns the process's exit status.
pub fn serve() -> u8 {
    match work() {
        Ok(shared) => {
            send(&Message::Done(shared));
            0
        }
        Err(failure) => {
            send(&Message::Failed(failure));
            1
        }
    }
}

fn work() -> Result<Vec<Stretch>, WorkerFailure> {
    let (mut input, mut text) = (BufReader::new(std::io::stdin()), Vec::new());
    input.read_until(b'\n', &mut text).map_err(|error| WorkerFailure::plain(&error))?;
    let task: Arc<Task> = serde_json::from_slice(&text).map(Arc::new).map_err(|error| WorkerFailure::plain(&error))?;
    let cancel = Cancel::default();
    let workspace = Workspace::prepare(&task.scratch, task.estimate).map_err(|error| WorkerFailure::root(&error))?;
    let (receiving, stop) = (Arc::clone(&task), cancel.clone());
    std::thread::spawn(move || {
        if !receive(input, &receiving.root.packages) {
            // The program has given up, and knows why.
            stop.cancel();
            std::thread::sleep(GRACE);
            std::process::exit(1);
        }
    });
    let mut deferred = Deferred::default();
    make(&task, &workspace, &mut deferred, &cancel).map_err(|failure| WorkerFailure { touched_deferred: deferred.check().is_err(), ..failure })
}

/// Whether no program will run but those that this program knows: scripts of packages, commands of the spec, dracut (which always runs) and GRUB (which makes
/// an image of its own) may need any file of the tree.
fn is_quiet(task: &Task) -> bool {
    let Plan { packaging, packages, commands, .. } = &task.root;
    let has_grub = task.boot.as_ref().is_some_and(|boot| boot.provider != disk::Provider::SystemdBoot);
    *packaging == root::Packaging::Deb && packages.is_empty() && commands.is_empty() && task.start.save.is_empty() && !has_grub
}

/// Makes the tree, and then the disk of it; returns what this has of the saved tree.
fn make(task: &Task, workspace: &Workspace, deferred: &mut Deferred, cancel: &Cancel) -> Result<Vec<Stretch>, WorkerFailure> {
    let of_root = |error: root::Error| WorkerFailure::root(&error);
    let tree = Tree::open(workspace.tree()).map_err(|error| WorkerFailure::plain(&error))?;
    let Start { tree: start, stages, defers, save } = &task.start;
    let done = |stage| {
        let Some(path) = save.get(&stage) else { return };
        send(&Message::Saved(stage, root::save(&tree, path, cancel).err().map(|error| with_causes(&error))));
    };
    if let Some(saved) = start {
        *deferred = root::restore(&tree, saved.clone(), *defers && is_quiet(task), &Wire, cancel).map_err(of_root)?;
    }
    root::install((&tree, &workspace.beside()), &task.root, *stages, &done, &Wire, cancel).map_err(of_root)?;
    root::customize(&tree, &task.root, deferred, &Wire, cancel).map_err(of_root)?;
    root::settle(&tree, &task.root).map_err(of_root)?;
    let cell = Cell::new(workspace.tree(), task.root.time).reporting_to(&Wire);
    let mut run = |command: &[&str]| {
        let mut output = Vec::new();
        let mut line = |line: &str| {
            output.extend_from_slice(line.as_bytes());
            output.push(b'\n');
        };
        cell.run(command[0], command, b"", &mut line, cancel)?;
        Ok(output)
    };
    let (layout, boot, out, scratch) = (&task.layout, task.boot.as_ref(), &*task.disk, &*task.scratch);
    let job = disk::Job { tree: workspace.tree(), deferred, layout, boot, out, scratch };
    disk::write(job, &mut run, &Wire, cancel).map(|report| report.shared).map_err(|error| WorkerFailure::disk(&error))
}

/// Hands on packages as they come, and says whether all have.
fn receive(input: impl BufRead, packages: &[root::Package]) -> bool {
    for arrival in input.lines().map_while(|line| serde_json::from_str::<Arrival>(&line.ok()?).ok()) {
        let Some(package) = packages.get(arrival.package) else { break };
        package.supply.arrive(arrival.source);
    }
    for package in packages {
        package.supply.give_up();
    }
    packages.iter().all(|package| package.supply.is_there())
}

impl WorkerFailure {
    fn plain(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { message: with_causes(error), hint: None, output: None, unreadable_blob: None, unreadable_root: false, touched_deferred: false }
    }

    fn root(error: &root::Error) -> Self {
        let output = error.output().map(str::to_owned);
        let unreadable_root = matches!(error, root::Error::UnreadableRoot(_));
        Self { hint: error.hint(), output, unreadable_blob: error.unreadable_blob(), unreadable_root, ..Self::plain(error) }
    }

    fn disk(error: &disk::Error) -> Self {
        Self { hint: error.hint(), unreadable_root: matches!(error, disk::Error::UnreadableRoot(_)), ..Self::plain(error) }
    }
}

/// A worker that has done its work. What it takes to end (a tree in memory is given back page by page) is waited for when this is dropped.
#[must_use = "dropping it waits for the worker's end"]
pub struct Leaving {
    /// What the disk has of the saved tree.
    pub shared: Vec<Stretch>,
    end: Option<JoinHandle<()>>,
}

impl Leaving {
    fn begin(mut worker: Worker, shared: Vec<Stretch>) -> Self {
        // How it ends does not matter any more.
        Self { shared, end: Some(std::thread::spawn(move || drop(worker.wait()))) }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = self.end.take().map(JoinHandle::join);
    }
}

/// Hands a task to a new worker, passes its reports on, and waits until it is done. `saved` is called, beside it, once the tree after a stage is saved, or with the
/// reason why it cannot be.
///
/// `arrivals` has the packages that the task lacks; if it ends before they have come, the worker gives up.
pub fn run(
    mapping: &Mapping,
    task: &Task,
    arrivals: mpsc::Receiver<Arrival>,
    saved: &(dyn Fn(usize, Option<String>) + Sync),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Leaving, super::Error> {
    let (mut worker, Pipes { mut stdin, stdout, mut stderr }) = Worker::start(mapping, WORKER)?;
    let text = serde_json::to_string(task).map_err(|error| SandboxError::Ended { reason: error.to_string() })?;
    let (sender, messages) = mpsc::channel();
    // The first of these three ends with the arrivals, the others with the worker at the latest.
    std::thread::spawn(move || {
        let later = arrivals.into_iter().map_while(|arrival| serde_json::to_string(&arrival).ok());
        for mut line in std::iter::once(text).chain(later) {
            line.push('\n');
            // A worker that dies does not read: its end is noticed below.
            if stdin.write_all(line.as_bytes()).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(message) = serde_json::from_str::<Message>(&line)
                && sender.send(message).is_err()
            {
                break;
            }
        }
    });
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        // What it says there is only shown if it dies.
        let _ = stderr.read_to_string(&mut said);
        said
    });
    let outcome = std::thread::scope(|scope| {
        let outcome = listen(&messages, &|stage, problem| drop(scope.spawn(move || saved(stage, problem))), progress, cancel);
        if outcome.is_err() {
            worker.kill();
        }
        outcome
    });
    let error = match outcome {
        Ok(shared) => return Ok(Leaving::begin(worker, shared)),
        Err(error) => error,
    };
    // Nothing of it is at work any more once nobody can write there.
    drop(messages);
    let said = said.join().unwrap_or_default();
    Err(match error {
        super::Error::Sandbox(SandboxError::Ended { .. }) => {
            let said = said.trim();
            let reason = if said.is_empty() { "it was killed; perhaps the host is out of memory" } else { said };
            SandboxError::Ended { reason: reason.to_owned() }.into()
        }
        other => other,
    })
}

fn listen(
    messages: &mpsc::Receiver<Message>,
    saved: &dyn Fn(usize, Option<String>),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Stretch>, super::Error> {
    loop {
        cancel.check()?;
        match messages.recv_timeout(Duration::from_millis(50)) {
            Ok(Message::Start { phase, total }) => progress.report(Event::Start { phase, total }),
            Ok(Message::Advance { phase, by }) => progress.report(Event::Advance { phase, by }),
            Ok(Message::Item { phase, name, bytes, took }) => progress.report(Event::Item { phase, name: &name, bytes, took }),
            Ok(Message::Finish { phase }) => progress.report(Event::Finish { phase }),
            Ok(Message::Warning(text)) => progress.report(Event::Warning(&text)),
            Ok(Message::Note(text)) => progress.report(Event::Note(&text)),
            Ok(Message::Output(line)) => progress.report(Event::Output(&line)),
            Ok(Message::Saved(stage, problem)) => saved(stage, problem),
            Ok(Message::Done(shared)) => return Ok(shared),
            Ok(Message::Failed(failure)) => {
                cancel.check()?;
                return Err(failure.into());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                cancel.check()?;
                return Err(SandboxError::Ended { reason: String::new() }.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::testing::package;

    #[test]
    fn packages_are_waited_for_until_nothing_more_can_come() {
        let packages = || ["first", "second"].map(|name| root::Package { supply: None.into(), ..package(name) });
        let line = |package| {
            let arrival = Arrival { package, source: Source::File("/a.deb".into()) };
            format!("{}\n", serde_json::to_string(&arrival).unwrap())
        };
        let whole = packages();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| matches!(whole[1].supply.wait(), Ok(Source::File(_))));
            assert!(receive((line(1) + &line(0)).as_bytes(), &whole));
            assert!(waits.join().unwrap());
        });
        for (input, there) in [(line(0), [true, false]), (line(1) + "{", [false, true]), (line(2) + &line(0), [false, false])] {
            let cut = packages();
            assert!(!receive(input.as_bytes(), &cut), "{input}");
            assert_eq!(cut.map(|package| package.supply.wait().is_ok()), there, "{input}");
        }
    }
}
