//! What happened during a build, in its order: the times of the phases, the warnings, and the log.
//!
//! ```text
//!     0.412  repository metadata: 8.98 MiB in 0.4 s
//!     3.117  dpkg --configure
//!          | Setting up libc6:amd64 (2.36-9+deb12u10) ...
//! ```
//!
//! Seconds since the begin of the build stand before each line. What must not be read by others is taken out on the way in: passwords, and the
//! credentials in addresses.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::timings::{ITEMS_LIMIT, ItemSpan, PhaseSpan, Timings};
use crate::progress::{Event, Phase, Progress, Tally};
use crate::text;
use crate::time;

/// The longest log that is kept with an image, in bytes; hundreds of times what a large image has. A log file has all of it.
const KEPT_LIMIT: usize = 8 << 20;

/// Passes reports on and keeps what is worth it.
pub(super) struct Journal<'a> {
    next: &'a dyn Progress,
    begun: Instant,
    /// Texts that no line may have.
    secrets: Vec<String>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    phases: Vec<(Tally, Instant, Option<Duration>)>,
    items: Vec<ItemSpan>,
    warnings: Vec<String>,
    text: String,
    /// How many lines the text has no room for.
    left_out: u64,
    file: Option<Arc<File>>,
    /// Why the file has not all lines.
    broken: Option<std::io::Error>,
}

impl<'a> Journal<'a> {
    /// A journal that begins now, and also writes its log to `file`. The texts of `secrets` do not get into it.
    pub(super) fn new(next: &'a dyn Progress, file: Option<Arc<File>>, secrets: Vec<String>) -> Self {
        Self { next, begun: Instant::now(), secrets, notes: Mutex::new(Notes { file, ..Notes::default() }) }
    }

    /// What has happened until now, and when.
    pub(super) fn timings(&self) -> Timings {
        let notes = self.lock();
        let span = |(tally, start, took): &(Tally, Instant, Option<Duration>)| PhaseSpan {
            phase: tally.phase,
            begun: start.duration_since(self.begun),
            took: took.unwrap_or_else(|| start.elapsed()),
        };
        Timings { phases: notes.phases.iter().map(span).collect(), items: notes.items.clone() }
    }

    /// All warnings.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.lock().warnings.clone()
    }

    /// The log until now.
    pub(super) fn text(&self) -> String {
        let notes = self.lock();
        let rest = match notes.left_out {
            0 => String::new(),
            lines => format!("… and {} that there was no room for\n", text::count(lines, "line")),
        };
        notes.text.clone() + &rest
    }

    /// Writes a line into the log alone.
    pub(super) fn note(&self, line: &str) {
        let mut notes = self.lock();
        self.line(&mut notes, line);
    }

    /// Says why the log file is not whole, if it is not.
    pub(super) fn close(&self) {
        let broken = self.lock().broken.take();
        if let Some(error) = broken {
            self.report(Event::Warning(&format!("the log file is not complete: {error}")));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        // The notes are whole between any two statements, so a panic elsewhere has not broken them.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, notes: &mut Notes, line: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        self.append(notes, &format!("{seconds:10.3}  "), line);
    }

    /// Each line of the text, behind this mark.
    fn append(&self, notes: &mut Notes, mark: &str, text: &str) {
        for line in text.split('\n') {
            let line = format!("{mark}{}\n", text::printable(&self.without_secrets(line)));
            if notes.text.len() + line.len() <= KEPT_LIMIT && notes.left_out == 0 {
                notes.text.push_str(&line);
            } else {
                notes.left_out += 1;
            }
            if let Some(file) = &mut notes.file
                && let Err(error) = file.write_all(line.as_bytes())
            {
                (notes.file, notes.broken) = (None, Some(error));
            }
        }
    }

    fn without_secrets(&self, line: &str) -> String {
        let mut line = without_credentials(line);
        for secret in &self.secrets {
            if line.contains(secret) {
                line = line.replace(secret, "…");
            }
        }
        line
    }
}

/// The first line of a log.
pub(super) fn heading(what: &str) -> String {
    format!("{}: {} {}, {what}", time::moment(time::now()), env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}

/// The line, with each `scheme://user:password@host` as `scheme://…@host`.
fn without_credentials(line: &str) -> String {
    let mut parts = line.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("://");
        let authority = part.find(|character: char| character == '/' || character.is_whitespace()).unwrap_or(part.len());
        match part[..authority].rfind('@') {
            Some(at) => shown.extend(["…", &part[at..]]),
            None => shown.push_str(part),
        }
    }
    shown
}

impl Progress for Journal<'_> {
    fn report(&self, event: Event<'_>) {
        let mut notes = self.lock();
        match event {
            Event::Start { phase, total } => {
                let tally = Tally::new(phase, total, self.begun.elapsed());
                notes.phases.push((tally, Instant::now(), None));
                self.line(&mut notes, &tally.begin());
            }
            Event::Advance { phase, by } => {
                if let Some((tally, ..)) = notes.under_way(phase) {
                    tally.advance(by);
                }
            }
            Event::Item { phase, name, bytes, took } => {
                if notes.items.len() < ITEMS_LIMIT {
                    let begun = self.begun.elapsed().saturating_sub(took);
                    notes.items.push(ItemSpan { phase, name: self.without_secrets(name), bytes, begun, took });
                }
            }
            Event::Finish { phase } => {
                if let Some((tally, start, took)) = notes.under_way(phase) {
                    *took = Some(start.elapsed());
                    let line = tally.end(self.begun.elapsed());
                    self.line(&mut notes, &line);
                }
            }
            Event::Warning(text) => {
                notes.warnings.push(text.to_owned());
                self.line(&mut notes, &format!("warning: {text}"));
            }
            Event::Talk(text) | Event::Note(text) => self.line(&mut notes, text),
            Event::Output(line) => self.append(&mut notes, "         | ", line),
        }
        drop(notes);
        self.next.report(event);
    }
}

impl Notes {
    fn under_way(&mut self, phase: Phase) -> Option<&mut (Tally, Instant, Option<Duration>)> {
        self.phases.iter_mut().rev().find(|(tally, _, took)| tally.phase == phase && took.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// The log without its times.
    fn lines(journal: &Journal<'_>) -> Vec<String> {
        journal.text().lines().map(|line| line.chars().skip(if line.contains('|') { 9 } else { 12 }).collect()).collect()
    }

    #[test]
    fn the_log_has_everything_in_its_order_and_no_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let journal = Journal::new(&Silent, Some(Arc::new(File::create(&path).unwrap())), vec!["$6$salt$hash".to_owned()]);
        journal.report(Event::Start { phase: Phase::Configure, total: Some(2) });
        journal.report(Event::Note("dpkg --configure"));
        journal.report(Event::Output("Setting up a ..."));
        journal.report(Event::Output("root:$6$salt$hash\u{1b}[2J"));
        journal.report(Event::Warning("http://me:secret@h/debian is slow"));
        journal.report(Event::Output("Setting up b ..."));
        journal.report(Event::Advance { phase: Phase::Configure, by: 2 });
        journal.report(Event::Item { phase: Phase::Configure, name: "b", bytes: 7, took: Duration::ZERO });
        journal.report(Event::Finish { phase: Phase::Configure });
        journal.report(Event::Note("two\nlines"));
        assert_eq!(
            lines(&journal),
            [
                "configuring packages: 2 packages",
                "dpkg --configure",
                "| Setting up a ...",
                "| root:…\\u{1b}[2J",
                "warning: http://…@h/debian is slow",
                "| Setting up b ...",
                "configuring packages: 2 packages in 0.0 s",
                "two",
                "lines",
            ]
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), journal.text());
        let Timings { phases, items } = journal.timings();
        assert_eq!((journal.warnings().len(), phases.len()), (1, 1));
        assert_eq!((items[0].phase, items[0].name.as_str(), items[0].bytes, items.len()), (Phase::Configure, "b", 7, 1));
    }

    #[test]
    fn credentials_of_addresses_are_left_out() {
        for (line, shown) in [
            ("plain", "plain"),
            ("http://h/a@b", "http://h/a@b"),
            ("get https://me:pa@ss@h:80/x and ftp://you@i", "get https://…@h:80/x and ftp://…@i"),
            ("://@", "://…@"),
        ] {
            assert_eq!(without_credentials(line), shown);
        }
    }

    #[test]
    fn a_log_without_end_is_cut() {
        let journal = Journal::new(&Silent, None, Vec::new());
        let long = "x".repeat(1 << 20);
        for _ in 0..9 {
            journal.note(&long);
        }
        assert!(journal.text().len() <= KEPT_LIMIT + 100 && journal.text().ends_with("… and 2 lines that there was no room for\n"));
    }

    #[test]
    fn a_log_file_that_is_full_is_told_once() {
        let journal = Journal::new(&Silent, Some(Arc::new(File::options().write(true).open("/dev/full").unwrap())), Vec::new());
        journal.note("one");
        journal.note("two");
        journal.close();
        journal.close();
        assert_eq!(journal.warnings().len(), 1);
    }
}
