//! A standard stream, and what can be shown on it.

use std::io::{self, Write as _};

use clap::builder::styling::{AnsiColor, Style};
use image_composer::config::Environment;

use super::text;

/// What standard output or standard error leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Whether a person looks at a terminal that can move its cursor.
    pub(super) terminal: bool,
    /// Whether colours are wanted.
    pub(super) colour: bool,
}

/// Headings and places.
pub(super) const STRONG: Style = Style::new().bold();
/// The word “error”.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The word “warning”.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// The word “hint”.
pub(super) const HINT: Style = AnsiColor::Cyan.on_default().bold();

impl Stream {
    /// A stream in this environment: no colours with `NO_COLOR` set, neither colours nor bars on a dumb terminal.
    pub(super) fn new(terminal: bool, environment: &Environment) -> Self {
        let terminal = terminal && environment.get("TERM").is_none_or(|term| term != "dumb");
        Self { terminal, colour: terminal && environment.get("NO_COLOR").is_none() }
    }

    /// A stream that leads to a file or a pipe.
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { terminal: false, colour: false };

    /// The text made harmless, and in this style where colours are wanted.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        let text = text::printable(text);
        if self.colour { format!("{style}{text}{style:#}") } else { text.into_owned() }
    }

    /// A warning in one line.
    pub(super) fn warning(self, message: &str) -> String {
        format!("{} {}", self.paint(WARNING, "warning:"), text::printable(message))
    }
}

/// Writes a line of talk to standard error, as it is.
pub(super) fn talk(line: &str) {
    // When standard error is closed, there is nobody to talk to, and the work goes on.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let stream = |terminal, variables: &[(&str, &str)]| {
            let environment = Environment::new(variables.iter().copied(), false, Path::new("/none"));
            let Stream { terminal, colour } = Stream::new(terminal, &environment);
            (terminal, colour)
        };
        assert_eq!(stream(true, &[("TERM", "xterm")]), (true, true));
        assert_eq!(stream(true, &[("NO_COLOR", "1")]), (true, false));
        assert_eq!(stream(true, &[("NO_COLOR", "")]), (true, true));
        assert_eq!(stream(true, &[("TERM", "dumb")]), (false, false));
        assert_eq!(stream(false, &[("TERM", "xterm")]), (false, false));
    }

    #[test]
    fn a_style_ends_where_its_text_ends() {
        let coloured = Stream { terminal: true, colour: true };
        assert_eq!(coloured.paint(STRONG, "a"), "\u{1b}[1ma\u{1b}[0m");
        assert_eq!(Stream::PLAIN.paint(STRONG, "a"), "a");
    }
}
