//! The only place that prints.
//!
//! Standard output carries data: what the command was asked for, as text or as JSON. Standard error carries talk: progress, warnings, errors and closing
//! lines. Text from outside (specs, servers, package scripts) is made harmless for terminals on its way ([`text::printable`]).

mod build;
mod bundle;
mod collect;
mod data;
mod diff;
mod fetch;
mod images;
mod inspect;
mod json;
mod lock;
mod pin;
mod problem;
pub(crate) mod progress;
mod resolved;
mod settings;
mod stream;
mod table;
mod timings;
mod transfer;
mod upkeep;
mod usage;
mod validate;
mod verify;
mod why;

use std::io::{self, IsTerminal as _};

use image_composer::config::Environment;
use image_composer::{text, time};

pub(crate) use collect::{Asked, Outcome};
pub(crate) use data::{json as schema, text as verbatim};
pub(crate) use fetch::fetched_json;
pub(crate) use images::{About, log, store_dir};
pub(crate) use pin::Pinned;
pub(crate) use problem::Problem;
pub(crate) use progress::{ProgressMode, View};
pub(crate) use resolved::resolved;
pub(crate) use timings::page as timings_page;
pub(crate) use validate::Verdict;
pub(crate) use verify::nothing_to_verify;
pub(crate) use why::Why;

use stream::Stream;

/// What the user asked for about talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Verbosity {
    /// Data and errors only.
    Quiet,
    /// Also progress, warnings and closing lines.
    #[default]
    Normal,
    /// Also which files were read, why a cache missed, and how long each phase took.
    Verbose,
}

/// The face: both standard streams, and how much to say on them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    out: Stream,
    err: Stream,
    progress: ProgressMode,
    verbosity: Verbosity,
}

impl Ui {
    /// A face on the streams of this process.
    pub(crate) fn new(environment: &Environment, progress: ProgressMode, verbosity: Verbosity) -> Self {
        let stream = |terminal| Stream::new(terminal, environment);
        Self { out: stream(io::stdout().is_terminal()), err: stream(io::stderr().is_terminal()), progress, verbosity }
    }

    /// What shows the progress of one command.
    pub(crate) fn view(self) -> View {
        match self.verbosity {
            Verbosity::Quiet => View::quiet(self.err),
            Verbosity::Normal | Verbosity::Verbose => View::new(self.progress, self.err),
        }
    }

    /// A line of talk.
    pub(crate) fn say(self, line: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.talk(line);
        }
    }

    /// A line for those who asked for more.
    pub(crate) fn detail(self, line: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose {
            self.talk(&line());
        }
    }

    /// Something that a person should know.
    pub(crate) fn warn(self, message: &str) {
        if self.verbosity > Verbosity::Quiet {
            stream::talk(&match self.progress {
                ProgressMode::Json => progress::objects::warning(message),
                _ => self.err.warning(message),
            });
        }
    }

    /// Why the command failed; also when nothing else is to be said.
    pub(crate) fn fail(self, problem: &Problem<'_>) {
        stream::talk(&match self.progress {
            ProgressMode::Json => progress::objects::error(problem),
            _ => problem.render(self.err),
        });
    }

    fn talk(self, line: &str) {
        match self.progress {
            ProgressMode::Json => stream::talk(&progress::objects::message(line)),
            _ => stream::talk(&text::printable(line)),
        }
    }
}

/// Whether standard output is a terminal.
pub(crate) fn out_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Standard output, for data that is too long for memory.
pub(crate) fn out() -> impl io::Write {
    io::stdout().lock()
}

/// Shows what the parser of the command line says: help on standard output, mistakes on standard error.
pub(crate) fn usage(error: &clap::Error) {
    // Nobody is left to be told that it could not be told.
    let _ = error.print();
}
