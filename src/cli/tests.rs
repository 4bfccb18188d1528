//! Tests of the command line as a whole.

use std::collections::BTreeSet;
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

/// Every command that does something, by the words that name it.
fn commands() -> Vec<(Vec<String>, clap::Command)> {
    fn collect(command: &clap::Command, words: &[String], found: &mut Vec<(Vec<String>, clap::Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let words = [words, &[sub.get_name().to_owned()]].concat();
            collect(sub, &words, found);
            found.push((words, sub.clone()));
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut found = Vec::new();
    collect(&command, &[], &mut found);
    found
}

fn flags(command: &clap::Command) -> BTreeSet<String> {
    command.get_arguments().filter_map(|argument| argument.get_long()).map(|long| format!("--{long}")).collect()
}

#[test]
fn every_command_has_examples() {
    for (words, command) in commands() {
        let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let example = format!("image-composer {}", words.join(" "));
        assert!(help.starts_with("Examples:\n") && help.contains(&example), "the help of {words:?} has no example");
    }
}

const README: &str = include_str!("../../README.md");

/// What stands between backquotes in a text outside of blocks of code, and the lines of those blocks.
fn code(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut spans, mut lines) = (Vec::new(), Vec::new());
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 0 {
            spans.extend(part.split('`').skip(1).step_by(2));
        } else {
            lines.extend(part.lines().skip(1));
        }
    }
    (spans, lines)
}

/// The words of each command line of this program that a line of a shell has.
fn command_lines(line: &str) -> Vec<Vec<&str>> {
    let line = line.split("    #").next().unwrap_or_default().trim_start_matches("$ ");
    let own = |part: &str| ["image-composer ", "cargo run --release -- "].iter().any(|name| part.starts_with(name));
    let parts = line.split("&&").map(str::trim).filter(|part| own(part));
    parts
        .map(|part| part.strip_prefix("cargo run --release -- ").unwrap_or(part.trim_start_matches("image-composer ")).split_whitespace().collect())
        .collect()
}

#[test]
fn the_command_lines_of_the_readme_are_understood() {
    let (spans, lines) = code(README);
    let mut parsed = 0;
    for words in spans.iter().chain(&lines).flat_map(|line| command_lines(line)) {
        match Cli::try_parse_from([&["image-composer"], words.as_slice()].concat()) {
            Ok(_) => {}
            Err(error) => assert!(!error.use_stderr(), "{words:?}: {error}"),
        }
        parsed += 1;
    }
    assert!(parsed >= 7, "{parsed}");
}

#[test]
fn the_readme_has_every_command_and_no_flag_that_there_is_not() {
    let commands = commands();
    let mut all: BTreeSet<String> = commands.iter().flat_map(|(_, command)| flags(command)).collect();
    all.extend(["--release".to_owned(), "--help".to_owned()]);
    let is_flag = |char: char| char.is_ascii_lowercase() || char == '-';
    for text in README.split("--").skip(1).filter(|text| text.starts_with(|char: char| char.is_ascii_lowercase())) {
        let flag = format!("--{}", text.split(|char| !is_flag(char)).next().unwrap());
        assert!(all.contains(&flag), "there is no flag {flag}");
    }

    let table = README.split("| command | what it does |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut told = BTreeSet::new();
    for cell in table.lines().skip(2).map(|row| row.trim_start_matches('|').replace("\\|", "/")) {
        let cell = cell.split('|').next().unwrap().to_owned();
        let (spans, _) = code(&cell);
        let first: Vec<&str> = spans[0].split([' ', '[', '…']).filter(|word| !word.is_empty()).collect();
        let named = |(words, command): &(Vec<String>, clap::Command)| {
            first.starts_with(&words.iter().map(String::as_str).collect::<Vec<_>>()) && !command.has_subcommands()
        };
        let (words, command) = commands.iter().find(|command| named(command)).unwrap_or_else(|| panic!("there is no command {:?}", spans[0]));
        for flag in cell.split([' ', '[', ']', '`', ',', '…']).filter(|word| word.starts_with("--")) {
            assert!(flags(command).contains(flag), "{words:?} has no {flag}");
        }
        told.insert(words.clone());
        // Others of the same cell stand without the words before their own.
        told.extend(spans[1..].iter().map(|span| [&words[..words.len() - 1], &[(*span).to_owned()]].concat()));
    }
    for (words, command) in commands.iter().filter(|(_, command)| !command.has_subcommands()) {
        assert!(told.contains(words), "the README says nothing of {words:?} ({})", command.get_name());
    }
}
