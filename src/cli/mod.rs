//! The commands, one file each. They read the command line, call the library and hand what it returns to `ui/`; they decide nothing themselves.

mod broken_index;
mod build;
mod cache;
mod completions;
mod config;
mod diff;
mod error;
mod exit;
mod fetch;
mod inspect;
mod lock;
mod man;
mod mirror;
mod network;
mod resolve;
mod sbom;
mod schema;
mod session;
mod signals;
mod validate;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use image_composer::config::Environment;

use crate::ui::{self, ProgressMode, Ui, Verbosity};
pub(crate) use error::Error;
use session::Session;

/// What every command returns.
type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Builds operating-system disk images from distribution packages by a YAML spec, and never does the same work twice
#[derive(Debug, Parser)]
#[command(name = "image-composer", version, max_term_width = 100, after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

const AFTER_HELP: &str = "“image-composer help COMMAND” says more, with examples.";

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer build debian12.yml -o out/    write out/<name>-<version>.raw
  image-composer validate specs/*.yml          find the mistakes in specs
  image-composer cache list                    see the images that are kept

Standard output carries data (paths, tables, JSON), standard error carries talk.

With --progress json, standard error has one JSON object a line: {event: start, phase, unit, total}, \
{event: advance, phase, done, total}, {event: finish, phase, done, seconds}, {event: warning, message}, \
{event: message, message}, {event: error, message, diagnostics, output, hint}; unit is bytes, packages or null. \
Events and fields may be added, none goes. A command line that cannot be read is told in words all the same.

Environment:
  IMAGE_COMPOSER_STORE         the folder of the store
  IMAGE_COMPOSER_LOCK_TIMEOUT  how many seconds to wait for another process that writes to the store
  IMAGE_COMPOSER_<KEY>         any key of the configuration: storage.image_cache.enabled is
                               IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_ENABLED
  SOURCE_DATE_EPOCH            the latest time of any file in an image, in seconds since 1970
  NO_COLOR                     no colours

Exit status:
  0    done
  1    failed
  2    wrong usage, configuration or spec
  3    not found, or not available offline
  4    bytes that are not what they should be: a bad signature, digest or file of the store, an image that
       is another one when it is built again
  5    the store is busy
  130  interrupted";

/// What all commands understand.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Read this configuration file too; it wins over those of the system and the user
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Keep everything in this folder; wins over IMAGE_COMPOSER_STORE
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,

    /// How to show progress
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value_t)]
    progress: ProgressMode,

    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with_all = ["verbose", "progress"])]
    quiet: bool,

    /// Say more: which files were read, why a cache missed, how long each phase took
    #[arg(short, long, global = true)]
    verbose: bool,
}

impl Global {
    fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Arguments),
    Lock(lock::Arguments),
    Fetch(fetch::Arguments),
    Validate(validate::Arguments),
    Resolve(resolve::Arguments),
    Inspect(inspect::Arguments),
    Diff(diff::Arguments),
    Cache(cache::Arguments),
    Config(config::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Runs the program with these arguments, its own name first, and returns its exit status.
pub(crate) fn main(arguments: Vec<OsString>) -> u8 {
    // A shell that asks hears nothing of an index that is broken.
    let mut asked = false;
    let answered = broken_index::guard(
        || None,
        || {
            asked = completions::answer(&arguments);
            Ok(())
        },
    );
    if asked || answered.is_err() {
        return exit::DONE;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            ui::usage(&error);
            return if error.use_stderr() { exit::USAGE } else { exit::DONE };
        }
    };
    let environment = Environment::of_process();
    let ui = Ui::new(&environment, cli.global.progress, cli.global.verbosity());
    let session = Session::new(ui, environment, cli.global.config, cli.global.store);
    let index = || session.store_dir().ok().map(|dir| dir.join("index.redb"));
    let outcome = broken_index::guard(index, || match cli.command {
        Command::Build(arguments) => build::run(&session, arguments),
        Command::Lock(arguments) => lock::run(&session, &arguments),
        Command::Fetch(arguments) => fetch::run(&session, &arguments),
        Command::Validate(arguments) => validate::run(&session, &arguments),
        Command::Resolve(arguments) => resolve::run(&session, &arguments),
        Command::Inspect(arguments) => inspect::run(&session, &arguments),
        Command::Diff(arguments) => diff::run(&session, &arguments),
        Command::Cache(arguments) => cache::run(&session, &arguments),
        Command::Config(arguments) => config::run(&session, &arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&session, &arguments),
    });
    match outcome {
        Ok(()) => exit::DONE,
        Err(error) => {
            session.view.close();
            let mut problem = error.problem();
            if error.is_without_room() {
                problem.hint = [problem.hint.take(), session.room_hint()].into_iter().flatten().reduce(|hint, room| format!("{hint}; {room}"));
            }
            ui.fail(&problem);
            error.exit_code()
        }
    }
}
