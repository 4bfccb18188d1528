//! `cache`: what the store keeps, and for how long.

mod bundle;
mod clean;
mod dir;
mod du;
mod export;
pub(super) mod find;
mod gc;
mod import;
mod info;
mod list;
mod pin;
mod rebuild_index;
mod seal;
mod stats;
mod verify;
mod why;

use clap::{Args, Subcommand};

use super::{Result, Session};

/// See what is kept, take it elsewhere, and keep it within limits
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache list                     see the kept images
  image-composer cache du                       see what takes how much room
  image-composer cache gc --dry-run             see what is over the limits
  image-composer cache pin 3f9a12c4e01b         keep an image whatever the limits say
  image-composer cache export 3f9a edge.qcow2   write an image for another program

Limits hold after every build: storage.package_cache.{max_size_gb,retention_days}, \
storage.image_cache.{max_count,max_size_gb,retention_days} and storage.min_free_gb of the configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Arguments),
    Info(info::Arguments),
    Why(why::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Du(du::Arguments),
    Stats(stats::Arguments),
    Gc(gc::Arguments),
    Clean(clean::Arguments),
    Pin(pin::Pin),
    Unpin(pin::Unpin),
    Verify(verify::Arguments),
    RebuildIndex(rebuild_index::Arguments),
    Seal(seal::Arguments),
    Dir(dir::Arguments),
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let config = session.config()?;
    match &arguments.command {
        Command::List(arguments) => list::run(session, arguments),
        Command::Info(arguments) => info::run(session, arguments),
        Command::Why(arguments) => why::run(session, arguments),
        Command::Export(arguments) => export::run(session, arguments),
        Command::Import(arguments) => import::run(session, &config, arguments),
        Command::Du(arguments) => du::run(session, &config, arguments),
        Command::Stats(arguments) => stats::run(session, arguments),
        Command::Gc(arguments) => gc::run(session, &config, arguments),
        Command::Clean(arguments) => clean::run(session, arguments),
        Command::Pin(arguments) => pin::pin(session, arguments),
        Command::Unpin(arguments) => pin::unpin(session, arguments),
        Command::Verify(arguments) => verify::run(session, arguments),
        Command::RebuildIndex(arguments) => rebuild_index::run(session, arguments),
        Command::Seal(arguments) => seal::run(session, arguments),
        Command::Dir(arguments) => dir::run(session, arguments),
    }
}
