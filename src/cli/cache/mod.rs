//! `cache`: what the store keeps.

mod bundle;
mod clean;
mod dir;
mod du;
mod export;
mod find;
mod gc;
mod import;
mod info;
mod list;
mod pin;
mod stats;

use clap::{Args, Subcommand};

use super::{Result, Session};

/// See what is kept
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Arguments),
    Info(info::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Du(du::Arguments),
    Stats(stats::Arguments),
    Gc(gc::Arguments),
    Clean(clean::Arguments),
    Pin(pin::Pin),
    Unpin(pin::Unpin),
    Dir(dir::Arguments),
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let config = session.config()?;
    match &arguments.command {
        Command::List(arguments) => list::run(session, arguments),
        Command::Info(arguments) => info::run(session, arguments),
        Command::Export(arguments) => export::run(session, arguments),
        Command::Import(arguments) => import::run(session, &config, arguments),
        Command::Du(arguments) => du::run(session, &config, arguments),
        Command::Stats(arguments) => stats::run(session, arguments),
        Command::Gc(arguments) => gc::run(session, &config, arguments),
        Command::Clean(arguments) => clean::run(session, arguments),
        Command::Pin(arguments) => pin::pin(session, arguments),
        Command::Unpin(arguments) => pin::unpin(session, arguments),
        Command::Dir(arguments) => dir::run(session, arguments),
    }
}
