//! `completions SHELL`: what makes a shell ask this program how a command line goes on, and the answers.

use std::ffi::{OsStr, OsString};

use clap::{Args, CommandFactory as _};
use clap_complete::CompleteEnv;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::Shells;
use image_composer::cache::{ImageCache, PackageCache};
use image_composer::config::Environment;
use image_composer::store::{Options, Store};

use super::{Cli, Error, Result};
use crate::ui;

/// The variable by which a shell says that it asks, and which shell it is.
const ASKING: &str = "IMAGE_COMPOSER_COMPLETE";

const NAME: &str = "image-composer";

/// Print what makes a shell complete command lines, with the ids of kept images
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    shell: String,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  source <(image-composer completions bash)                                       in ~/.bashrc
  source <(image-composer completions zsh)                                        in ~/.zshrc
  image-composer completions fish > ~/.config/fish/completions/image-composer.fish

Ids are those of the store that IMAGE_COMPOSER_STORE names, else of the user's own.";

pub(super) fn run(arguments: &Arguments) -> Result {
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(&arguments.shell) else {
        return Err(Error::usage(format!("there are no completions for {}", arguments.shell), "see “image-composer help completions”"));
    };
    let mut script = Vec::new();
    shell.write_registration(ASKING, NAME, NAME, NAME, &mut script)?;
    Ok(ui::verbatim(&String::from_utf8_lossy(&script))?)
}

/// Answers a shell, if one asks.
pub(super) fn answer(arguments: &[OsString]) -> bool {
    // An answer that fails is none: there is nobody to tell.
    CompleteEnv::with_factory(Cli::command).var(ASKING).try_complete(arguments.iter().cloned(), None).unwrap_or(true)
}

/// The kept images.
pub(super) fn images() -> Vec<CompletionCandidate> {
    let candidate = |image: image_composer::cache::ImageRecord| {
        CompletionCandidate::new(image.spec_hash.short()).help(Some(format!("{} {}", image.name, image.version).into()))
    };
    let images = store().and_then(|store| ImageCache::new(&store).list().ok()).unwrap_or_default();
    images.into_iter().map(candidate).collect()
}

/// The kept images, and files.
pub(super) fn images_and_files(current: &OsStr) -> Vec<CompletionCandidate> {
    let begins =
        |candidate: &CompletionCandidate| current.to_str().is_some_and(|current| candidate.get_value().to_string_lossy().starts_with(current));
    images().into_iter().filter(begins).chain(PathCompleter::file().complete(current)).collect()
}

/// The kept images, and the names of the kept packages.
pub(super) fn images_and_packages() -> Vec<CompletionCandidate> {
    let packages = store().and_then(|store| PackageCache::new(&store).list().ok()).unwrap_or_default();
    let mut names: Vec<String> = packages.into_iter().map(|package| package.coordinates.name().to_owned()).collect();
    names.dedup();
    images().into_iter().chain(names.into_iter().map(CompletionCandidate::new)).collect()
}

/// The store, only looked at.
fn store() -> Option<Store> {
    let dir = Environment::of_process().store_dir().ok().filter(|dir| dir.is_dir())?;
    Store::open_with(&dir, Options { look_only: true, ..Options::from_env().ok()? }).ok()
}
