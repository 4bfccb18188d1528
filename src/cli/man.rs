//! `man DIR`: the manual pages.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::{Cli, Error, Result, Session};

/// Write the manual pages of all commands into a folder
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The folder; made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer man ~/.local/share/man/man1 && man image-composer-cache-gc";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let dir = &arguments.dir;
    let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written
        .map_err(|error| Error::usage(format!("cannot write manual pages into {}: {error}", dir.display()), "name a folder that you may write to"))?;
    session.ui.say(&format!("wrote the manual pages to {}", dir.display()));
    Ok(())
}
