//! Tests of the command line as a whole.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::*;

/// The help of every command, as it is on a terminal of 100 columns.
#[test]
fn the_reference_of_all_commands() {
    fn collect(command: &mut clap::Command, name: &str, text: &mut String) {
        writeln!(text, "\n==== {name} ====\n{}", command.render_long_help()).unwrap();
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            let name = format!("{name} {}", sub.get_name());
            collect(sub, &name, text);
        }
    }
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = String::new();
    collect(&mut command, "image-composer", &mut text);
    insta::assert_snapshot!(text);
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_stand_anywhere() {
    let parse = |arguments: &[&str]| Cli::try_parse_from([&["image-composer"], arguments].concat());
    let before = parse(&["--store", "/s", "-v", "cache", "dir"]).unwrap();
    let after = parse(&["cache", "dir", "-v", "--store", "/s"]).unwrap();
    assert_eq!(format!("{:?}", before.global), format!("{:?}", after.global));
}

#[test]
fn what_contradicts_is_refused() {
    for arguments in [
        ["build", "a.yml", "--rebuild", "--no-cache"].as_slice(),
        &["build", "a.yml", "--rebuild", "--no-image-cache"],
        &["build", "a.yml", "--workers", "0"],
        &["build", "a.yml", "--workers", "65"],
        &["build"],
        &["build", "a.yml", "b.yml"],
        &["validate"],
        &["cache"],
        &["cache", "info"],
        &["-q", "-v", "cache", "dir"],
        &["-q", "--progress", "plain", "cache", "dir"],
        &["--progress", "fancy", "cache", "dir"],
        &["__worker"],
        &[],
    ] {
        let error = Cli::try_parse_from([&["image-composer"], arguments].concat()).unwrap_err();
        assert!(error.use_stderr() && error.exit_code() == i32::from(exit::USAGE), "{arguments:?}: {error}");
    }
}
