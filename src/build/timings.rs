//! How long each phase took, noted on the way of the reports to the face.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::progress::{Event, Phase, Progress};

/// Passes reports on and keeps the times and warnings.
pub(super) struct Timings<'a> {
    next: &'a dyn Progress,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    phases: Vec<(Phase, Instant, Option<Duration>)>,
    warnings: Vec<String>,
}

impl<'a> Timings<'a> {
    pub(super) fn new(next: &'a dyn Progress) -> Self {
        Self { next, notes: Mutex::default() }
    }

    /// The phases in the order in which they began, and all warnings.
    pub(super) fn into_parts(self) -> (Vec<(Phase, Duration)>, Vec<String>) {
        let notes = self.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let phases = notes.phases.into_iter().map(|(phase, start, took)| (phase, took.unwrap_or_else(|| start.elapsed()))).collect();
        (phases, notes.warnings)
    }
}

impl Progress for Timings<'_> {
    fn report(&self, event: Event<'_>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Start { phase, .. } => notes.phases.push((phase, Instant::now(), None)),
            Event::Finish { phase } => {
                if let Some((_, start, took)) = notes.phases.iter_mut().rev().find(|(other, _, took)| *other == phase && took.is_none()) {
                    *took = Some(start.elapsed());
                }
            }
            Event::Warning(text) => notes.warnings.push(text.to_owned()),
            Event::Advance { .. } => {}
        }
        drop(notes);
        self.next.report(event);
    }
}
