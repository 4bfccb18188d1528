//! Progress of a build, as bars or as lines.
//!
//! ```text
//!  library ─ Event ─► View ─┬─ bars.rs   a terminal: one bar for each phase under way, a line for each that is over
//!                           ├─ lines.rs  elsewhere: a line when a phase begins and ends, and one every few seconds between
//!                           ├─ objects.rs  JSON, for programs
//!                           └─ nothing but warnings
//! ```

mod bars;
mod lines;
pub(super) mod objects;

use image_composer::progress::{Event, Progress};

use super::stream::{Stream, talk};
use super::text;
use bars::Bars;
use lines::Lines;
use objects::Objects;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// JSON, an object a line; also warnings, errors and the closing line.
    Json,
    /// Not at all; warnings and the closing line stay.
    None,
}

/// Shows the progress of one command, and its warnings.
pub(crate) struct View {
    stream: Stream,
    kind: Kind,
}

enum Kind {
    Bars(Bars),
    Lines(Lines),
    Objects(Objects),
    WarningsOnly,
    Quiet,
}

impl View {
    /// A view on standard error.
    pub(super) fn new(mode: ProgressMode, stream: Stream) -> Self {
        let kind = match mode {
            ProgressMode::Auto if stream.terminal => Kind::Bars(Bars::new()),
            ProgressMode::Auto | ProgressMode::Plain => Kind::Lines(Lines::new()),
            ProgressMode::Json => Kind::Objects(Objects::new()),
            ProgressMode::None => Kind::WarningsOnly,
        };
        Self { stream, kind }
    }

    /// A view that shows nothing at all.
    pub(super) fn quiet(stream: Stream) -> Self {
        Self { stream, kind: Kind::Quiet }
    }

    /// Shows a line amid the progress.
    pub(crate) fn say(&self, line: &str) {
        match &self.kind {
            Kind::Objects(_) => self.line(&objects::message(line)),
            _ => self.line(&text::printable(line)),
        }
    }

    /// Takes the bars of what was broken off from the terminal. To be called before anything else is said.
    pub(crate) fn close(&self) {
        if let Kind::Bars(bars) = &self.kind {
            bars.clear();
        }
    }

    fn line(&self, line: &str) {
        match &self.kind {
            Kind::Bars(bars) => bars.line(line),
            Kind::Lines(_) | Kind::Objects(_) | Kind::WarningsOnly => talk(line),
            Kind::Quiet => {}
        }
    }
}

impl Progress for View {
    fn report(&self, event: Event<'_>) {
        let line = match (&self.kind, event) {
            (Kind::Objects(objects), event) => objects.report(event),
            (_, Event::Note(_) | Event::Output(_) | Event::Item { .. }) => None,
            (_, Event::Warning(message)) => Some(self.stream.warning(message)),
            (Kind::Bars(_) | Kind::Lines(_), Event::Talk(line)) => Some(text::printable(line).into_owned()),
            (Kind::Bars(bars), event) => bars.report(event),
            (Kind::Lines(lines), event) => lines.report(event),
            (Kind::WarningsOnly | Kind::Quiet, _) => None,
        };
        if let Some(line) = line {
            self.line(&line);
        }
    }
}
