//! The command line.

fn main() -> std::process::ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(status) = image_composer::root::sandbox::hidden_command(&arguments) {
        return status.into();
    }
    if arguments.first().is_some_and(|argument| argument == image_composer::root::sandbox::WORKER) {
        return image_composer::build::worker::serve().into();
    }
    std::process::ExitCode::from(2)
}
