//! What holds for all commands: usage, help, streams.

use std::fs::File;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::program::run;

const SPEC: &str = "fixtures/specs/debian12-minimal.yml";

#[test]
fn wrong_usage_ends_with_2_and_says_what_was_perhaps_meant() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (["buidl", "a.yml"], "'build'"),
        (["build", "--offlin"], "'--offline'"),
        (["cache", "lst"], "'list'"),
        (["validate", "--progress=fancy"], "auto, plain, json, none"),
    ] {
        let (status, out, err) = run(home.path(), &arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.starts_with("error: ") && err.contains(expected), "{arguments:?}: {err}");
    }
}

#[test]
fn progress_as_json_is_one_object_a_line() {
    let home = tempfile::tempdir().unwrap();
    let (status, out, err) = run(home.path(), &["build", "none.yml", "--progress", "json", "-v"]);
    assert_eq!((status, out.as_str()), (2, ""));
    let lines: Vec<serde_json::Value> = err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["event"], &lines[0]["diagnostics"]), (&json!("error"), &json!([])), "{err}");
    let (_, _, err) = run(home.path(), &["cache", "list", "--progress", "json"]);
    assert_eq!(err, "{\"event\":\"message\",\"message\":\"no images in the cache\"}\n");
}

#[test]
fn help_is_data() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [["help", "build"], ["build", "--help"]] {
        let (status, out, err) = run(home.path(), &arguments);
        assert_eq!((status, err.as_str()), (0, ""));
        assert!(out.contains("\nExamples:\n") && out.contains("--no-package-cache") && !out.contains('\u{1b}'), "{out}");
    }
    let (status, out, _) = run(home.path(), &["--version"]);
    assert_eq!((status, out.trim_end()), (0, concat!("image-composer ", env!("CARGO_PKG_VERSION"))));
}

/// A validation with its standard output led elsewhere: its exit status and standard error.
fn validate(spec: &str, stdout: impl Into<Stdio>) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_image-composer"));
    command.env_clear().env("HOME", "/nonexistent").arg("validate").arg(spec);
    let output = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let closed = || std::io::pipe().unwrap().1;
    assert_eq!(validate(SPEC, closed()), (0, String::new()));
    assert_eq!(validate("none.yml", closed()), (2, "error: the spec cannot be used\n".to_owned()));
}

#[test]
fn output_that_is_lost_is_an_error() {
    let (status, err) = validate(SPEC, File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(status, 1);
    assert!(err.starts_with("error: cannot write to standard output: "), "{err}");
}
