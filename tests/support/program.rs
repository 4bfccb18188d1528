//! The program, run in a world of its own.

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;

/// A run of the program that sees nothing of the environment of the tests: its home and its store are beneath `home`.
pub(crate) fn program(home: &Path, arguments: &[&str]) -> Command {
    let mut command = cargo_bin_cmd!("image-composer");
    command.env_clear().env("HOME", home).env("IMAGE_COMPOSER_STORE", home.join("store")).args(arguments);
    command
}

/// What a run left: its exit status, standard output, standard error.
pub(crate) fn run(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    outcome(&mut program(home, arguments))
}

/// The same for a run that is set up otherwise.
pub(crate) fn outcome(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
