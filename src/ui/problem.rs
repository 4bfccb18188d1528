//! Why a command failed, as a person reads it.
//!
//! ```text
//! spec.yml:3:5: a mistake, one a line
//! error: what failed: why: and why that
//!   | the end of what a script printed
//! hint: what to do
//! ```

use std::error::Error;

use image_composer::yaml::Diagnostic;

use super::stream::{ERROR, HINT, STRONG, Stream};
use super::text;

/// An error and what belongs to it.
pub(crate) struct Problem<'a> {
    /// What failed, with its sources.
    pub(crate) error: &'a dyn Error,
    /// Mistakes in files, to be shown before.
    pub(crate) diagnostics: &'a [Diagnostic],
    /// The end of what a failed program printed.
    pub(crate) output: Option<&'a str>,
    /// The way out.
    pub(crate) hint: Option<String>,
}

impl Problem<'_> {
    /// The lines, without a newline at the end.
    pub(super) fn render(&self, stream: Stream) -> String {
        let mut lines: Vec<String> = self.diagnostics.iter().map(|diagnostic| line(diagnostic, stream)).collect();
        lines.push(format!("{} {}", stream.paint(ERROR, "error:"), text::printable(&chain(self.error))));
        let output = self.output.unwrap_or_default();
        lines.extend(output.lines().map(|line| format!("  | {}", text::printable(line.trim_end()))));
        if let Some(hint) = &self.hint {
            lines.push(format!("{} {}", stream.paint(HINT, "hint:"), text::printable(hint)));
        }
        lines.join("\n")
    }
}

/// A mistake in a file: `file:line:column: message; hint`.
pub(super) fn line(diagnostic: &Diagnostic, stream: Stream) -> String {
    let whole = diagnostic.to_string();
    let place = match (diagnostic.line, diagnostic.column) {
        (Some(line), Some(column)) => format!("{}:{line}:{column}:", diagnostic.path.display()),
        _ => format!("{}:", diagnostic.path.display()),
    };
    match whole.strip_prefix(&place) {
        Some(rest) => stream.paint(STRONG, &place) + &text::printable(rest),
        None => text::printable(&whole).into_owned(),
    }
}

/// The error and its sources, joined by colons. A source that is already told in the words above it is not told again. Beneath an error of several lines,
/// each source has a line of its own.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut last = told.clone();
    let mut next = error.source();
    while let Some(source) = next {
        let message = source.to_string();
        if !last.contains(&message) {
            told = if told.contains('\n') { format!("{told}\n  {message}") } else { format!("{told}: {message}") };
            last = message;
        }
        next = source.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use image_composer::yaml::ReadError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("the mirror cannot be used")]
        Outer(#[source] Box<Layer>),
        #[error(transparent)]
        Transparent(Box<Layer>),
        #[error("2 of 143 packages are not in the store:\n  a=1:all (debian)\n  b=2:all (debian)")]
        List(#[source] io::Error),
        #[error("http://mirror/debian: cannot connect")]
        Inner(#[source] io::Error),
    }

    fn refused() -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")
    }

    fn shown(error: &dyn Error, output: Option<&str>, hint: Option<&str>, stream: Stream) -> String {
        Problem { error, diagnostics: &[], output, hint: hint.map(str::to_owned) }.render(stream)
    }

    #[test]
    fn every_source_is_told_once() {
        let inner = Layer::Transparent(Box::new(Layer::Inner(refused())));
        let error = Layer::Outer(Box::new(inner));
        insta::assert_snapshot!(shown(&error, None, Some("name another mirror"), Stream::PLAIN), @r"
        error: the mirror cannot be used: http://mirror/debian: cannot connect: connection refused
        hint: name another mirror
        ");
        insta::assert_snapshot!(shown(&Layer::List(refused()), None, None, Stream::PLAIN), @r"
        error: 2 of 143 packages are not in the store:
          a=1:all (debian)
          b=2:all (debian)
          connection refused
        ");
        let error = ReadError::Io { path: PathBuf::from("spec.yml"), source: io::ErrorKind::NotFound.into() };
        insta::assert_snapshot!(shown(&error, None, None, Stream::PLAIN), @"error: cannot read spec.yml: entity not found");
    }

    #[test]
    fn the_output_of_a_script_is_set_apart_and_harmless() {
        let error = io::Error::other("postinst of foo failed with exit status 1");
        let output = "Setting up\u{1b}[31m foo\r\n\n\u{7}broken\n";
        insta::assert_snapshot!(shown(&error, Some(output), None, Stream::PLAIN), @r"
        error: postinst of foo failed with exit status 1
          | Setting up\u{1b}[31m foo
          | 
          | \u{7}broken
        ");
    }

    #[test]
    fn mistakes_come_first_with_their_places() {
        let diagnostics = [
            Diagnostic {
                path: "bad.yml".into(),
                line: Some(3),
                column: Some(5),
                message: "unknown key “hostnam”".to_owned(),
                hint: Some("did you mean “hostname”?".to_owned()),
            },
            Diagnostic { path: "bad.yml".into(), line: None, column: None, message: "50 more".to_owned(), hint: None },
        ];
        let error = io::Error::other("bad.yml cannot be used");
        let problem = Problem { error: &error, diagnostics: &diagnostics, output: None, hint: Some("h".to_owned()) };
        insta::assert_snapshot!(problem.render(Stream::PLAIN), @r"
        bad.yml:3:5: unknown key “hostnam”; did you mean “hostname”?
        bad.yml: 50 more
        error: bad.yml cannot be used
        hint: h
        ");
        let coloured = problem.render(Stream { terminal: true, colour: true });
        insta::assert_snapshot!(coloured.escape_debug());
    }
}
