//! `config`: what holds, and a file to begin with.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use image_composer::config;

use super::{Error, Result, Session};
use crate::ui;

/// Show what is configured, or write a configuration to begin with
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer config show
  image-composer config init ~/.config/image-composer/config.yaml";

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
    Init(Init),
}

/// Show every key with the value that holds, and where it is from: built in, a file and its line, or a variable
///
/// Passwords of a proxy are not shown. Archives without mirrors or a keyring of their own are left out: theirs are the host’s.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_SHOW)]
struct Show {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

const AFTER_SHOW: &str = "\
Examples:
  image-composer config show
  image-composer config show --config ci.yaml --json | jq -r '.settings[] | select(.origin.kind != \"built_in\") | .key'

JSON: {settings: [{key, value, origin: {kind: built_in|file|variable, path, line, name}}]}; sizes are in GB as in files. Fields may be added, none goes.";

/// Write a configuration with all built-in values, each with what it is for
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_INIT)]
struct Init {
    /// The file, in a folder that is there; standard output if it is not given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Write over a file that is there
    #[arg(long, requires = "file")]
    force: bool,
}

const AFTER_INIT: &str = "\
Examples:
  image-composer config init | less
  image-composer config init ~/.config/image-composer/config.yaml";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let (file, force) = match &arguments.command {
        Command::Show(Show { json }) => return Ok(session.ui.settings(&session.settings()?, *json)?),
        Command::Init(Init { file, force }) => (file, force),
    };
    let Some(file) = file else { return Ok(ui::verbatim(config::TEMPLATE)?) };
    write(file, *force).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Error::usage(format!("{} is there already", file.display()), "name another file, or write over it with --force");
        }
        Error::usage(format!("cannot write {}: {error}", file.display()), "name a file in a folder that is there and that you may write to")
    })?;
    session.ui.say(&format!("wrote {}", file.display()));
    Ok(())
}

fn write(path: &Path, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(!force).create(force).truncate(force);
    options.open(path)?.write_all(config::TEMPLATE.as_bytes())
}
