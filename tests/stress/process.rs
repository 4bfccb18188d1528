//! Other processes: this binary, started again with a task in its environment.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The variable that has the task.
const TASK: &str = "IMAGE_COMPOSER_TEST_TASK";

/// SIGKILL.
const KILLED: i32 = 9;

/// A process that does one task on a store.
pub(super) fn process(task: &str, store: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "stress::process::a_process_with_a_task"]);
    // What those that are killed leave goes with the folder of the store.
    command.env("TMPDIR", store.parent().unwrap());
    command.env(TASK, task).env("IMAGE_COMPOSER_TEST_STORE", store).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The lines that a process wrote with this at their beginning, without it.
pub(super) fn told(output: &Output, about: &str) -> Vec<String> {
    said(output).lines().filter_map(|line| line.strip_prefix(about)).map(str::to_owned).collect()
}

/// Waits for a process, and returns what it wrote. It must have ended well.
pub(super) fn ended(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", output.status, said(&output));
    said(&output)
}

/// Whether a process was ended by SIGKILL.
pub(super) fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(KILLED)
}

pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Writes a line for the process that started this one.
#[expect(clippy::print_stdout, reason = "a test's standard output is how it is heard")]
pub(super) fn tell(line: &str) {
    println!("{line}");
}

#[test]
#[ignore = "the other processes begin here: it tests nothing by itself"]
fn a_process_with_a_task() {
    let (Ok(task), Some(store)) = (std::env::var(TASK), std::env::var_os("IMAGE_COMPOSER_TEST_STORE")) else { return };
    let words: Vec<&str> = task.split(' ').collect();
    match words.as_slice() {
        #[cfg(debug_assertions)]
        ["try", operation] => super::steps::try_and_try_again(operation, Path::new(&store)),
        ["work", seed, millis] => super::crowd::work(Path::new(&store), seed.parse().unwrap(), millis.parse().unwrap()),
        _ => panic!("no such task: {task}"),
    }
}
