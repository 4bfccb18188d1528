//! The command line of image-composer: parse, run, map the error to an exit code.

mod cli;
mod ui;

use std::process::ExitCode;

use image_composer::build::worker;
use image_composer::root::sandbox;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // Before anything else: these processes must have one thread.
    let own = arguments.get(1..).unwrap_or_default();
    if let Some(status) = sandbox::hidden_command(own) {
        return status.into();
    }
    if own.first().is_some_and(|argument| argument == sandbox::WORKER) {
        return worker::serve().into();
    }
    cli::main(arguments).into()
}
