//! Progress as JSON: one object a line. These lines are promised: kinds of events and fields may come, none goes or changes its meaning.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use image_composer::progress::{Event, Phase, Tally};
use image_composer::yaml::Diagnostic;
use serde::Serialize;

use crate::ui::Problem;
use crate::ui::problem::chain;

/// A phase has at most one line in this time that says how far it is.
const INTERVAL: Duration = Duration::from_millis(500);

/// A line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    /// A phase begins.
    Start { phase: Phase, unit: Option<&'static str>, total: Option<u64> },
    /// A phase goes on.
    Advance { phase: Phase, done: u64, total: Option<u64> },
    /// A phase is over.
    Finish { phase: Phase, done: u64, seconds: f64 },
    /// Something that a person should know.
    Warning { message: &'a str },
    /// A line of talk, such as the closing line.
    Message { message: &'a str },
    /// Why the command failed.
    Error { message: String, diagnostics: &'a [Diagnostic], output: Option<&'a str>, hint: Option<&'a str> },
}

impl Line<'_> {
    fn text(&self) -> String {
        // A path that is not UTF-8 is the only thing in it that JSON cannot say.
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"event\":\"message\",\"message\":\"{error}\"}}"))
    }
}

/// A line of talk.
pub(in crate::ui) fn message(message: &str) -> String {
    Line::Message { message }.text()
}

/// A warning.
pub(in crate::ui) fn warning(message: &str) -> String {
    Line::Warning { message }.text()
}

/// Why a command failed.
pub(in crate::ui) fn error(problem: &Problem<'_>) -> String {
    let Problem { error, diagnostics, output, hint } = problem;
    Line::Error { message: chain(*error), diagnostics, output: *output, hint: hint.as_deref() }.text()
}

/// Turns events into lines.
pub(super) struct Objects {
    begun: Instant,
    /// The phases under way, when each began, and when each was last told.
    under_way: Mutex<Vec<(Tally, Duration, Duration)>>,
}

impl Objects {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), under_way: Mutex::default() }
    }

    /// The line that an event is worth now.
    pub(super) fn report(&self, event: Event<'_>) -> Option<String> {
        // The list is whole between any two statements, so a panic elsewhere has not broken it.
        take(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner), event, self.begun.elapsed())
    }
}

fn take(under_way: &mut Vec<(Tally, Duration, Duration)>, event: Event<'_>, now: Duration) -> Option<String> {
    let line = match event {
        Event::Start { phase, total } => {
            under_way.retain(|(tally, ..)| tally.phase != phase);
            let tally = Tally::new(phase, total, now);
            under_way.push((tally, now, now));
            Line::Start { phase, unit: tally.unit(), total }
        }
        Event::Advance { phase, by } => {
            let (tally, _, told) = under_way.iter_mut().find(|(tally, ..)| tally.phase == phase)?;
            tally.advance(by);
            if now < *told + INTERVAL {
                return None;
            }
            *told = now;
            Line::Advance { phase, done: tally.done, total: tally.total }
        }
        Event::Finish { phase } => {
            let place = under_way.iter().position(|(tally, ..)| tally.phase == phase)?;
            let (tally, started, _) = under_way.remove(place);
            Line::Finish { phase, done: tally.done, seconds: now.saturating_sub(started).as_secs_f64() }
        }
        Event::Warning(message) => Line::Warning { message },
        Event::Talk(message) => Line::Message { message },
        Event::Note(_) | Event::Output(_) | Event::Item { .. } => return None,
    };
    Some(line.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_a_promise() {
        let mut under_way = Vec::new();
        let mut lines = Vec::new();
        let mut report = |event, millis| lines.extend(take(&mut under_way, event, Duration::from_millis(millis)));
        report(Event::Start { phase: Phase::Download, total: Some(4096) }, 0);
        report(Event::Start { phase: Phase::Resolve, total: None }, 0);
        report(Event::Advance { phase: Phase::Download, by: 1024 }, 100);
        report(Event::Advance { phase: Phase::Download, by: 1024 }, 600);
        report(Event::Note("nothing"), 600);
        report(Event::Output("nothing"), 600);
        report(Event::Warning("a \"mirror\"\nis slow"), 700);
        report(Event::Talk("process 7 builds the same image"), 700);
        report(Event::Finish { phase: Phase::Resolve }, 800);
        report(Event::Finish { phase: Phase::Download }, 1500);
        report(Event::Finish { phase: Phase::Download }, 1500);
        report(Event::Start { phase: Phase::Configure, total: Some(3) }, 1500);
        lines.push(message("done"));
        let failure = std::io::Error::other("it broke");
        let mistake = Diagnostic { path: "a.yml".into(), line: Some(2), column: Some(3), message: "unknown key".to_owned(), hint: None };
        lines.push(error(&Problem { error: &failure, diagnostics: &[mistake], output: Some("end"), hint: Some("mend it".to_owned()) }));
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"event":"start","phase":"download","unit":"bytes","total":4096}
        {"event":"start","phase":"resolve","unit":null,"total":null}
        {"event":"advance","phase":"download","done":2048,"total":4096}
        {"event":"warning","message":"a \"mirror\"\nis slow"}
        {"event":"message","message":"process 7 builds the same image"}
        {"event":"finish","phase":"resolve","done":0,"seconds":0.8}
        {"event":"finish","phase":"download","done":2048,"seconds":1.5}
        {"event":"start","phase":"configure","unit":"packages","total":3}
        {"event":"message","message":"done"}
        {"event":"error","message":"it broke","diagnostics":[{"path":"a.yml","line":2,"column":3,"message":"unknown key","hint":null}],"output":"end","hint":"mend it"}
        "#);
    }
}
