//! Progress as bars on a terminal.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use image_composer::progress::{Event, Phase, Tally, label};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::ui::stream::talk;

/// How often what stands still is drawn anew, so that one sees that it lives.
const TICK: Duration = Duration::from_millis(100);

/// The bars of the phases under way, beneath the lines of those that are over.
pub(super) struct Bars {
    screen: MultiProgress,
    begun: Instant,
    under_way: Mutex<Vec<Bar>>,
}

struct Bar {
    tally: Tally,
    drawn: ProgressBar,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        Self { screen: MultiProgress::with_draw_target(target), begun: Instant::now(), under_way: Mutex::default() }
    }

    /// Draws what an event changes, and returns the line that it is worth.
    pub(super) fn report(&self, event: Event<'_>) -> Option<String> {
        let now = self.begun.elapsed();
        // The list is whole between any two statements, so a panic elsewhere has not broken it.
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Start { phase, total } => {
                if let Some(before) = take(&mut under_way, phase) {
                    before.drawn.finish_and_clear();
                }
                under_way.push(self.bar(Tally::new(phase, total, now)));
            }
            Event::Advance { phase, by } => {
                if let Some(bar) = under_way.iter_mut().find(|bar| bar.tally.phase == phase) {
                    bar.tally.advance(by);
                    bar.drawn.inc(by);
                }
            }
            Event::Finish { phase } => {
                let bar = take(&mut under_way, phase)?;
                bar.drawn.finish_and_clear();
                return Some(bar.tally.end(now));
            }
            Event::Warning(_) | Event::Talk(_) | Event::Note(_) | Event::Output(_) | Event::Item { .. } => {}
        }
        None
    }

    /// Takes all bars from the screen.
    pub(super) fn clear(&self) {
        let under_way = std::mem::take(&mut *self.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        for bar in under_way {
            bar.drawn.finish_and_clear();
        }
    }

    /// Writes a line where the bars are, which then go on beneath it.
    pub(super) fn line(&self, line: &str) {
        self.screen.suspend(|| talk(line));
    }

    fn bar(&self, tally: Tally) -> Bar {
        let (template, total) = match tally.total {
            Some(total) => ("{spinner} {msg:21} [{bar:24}] {state}", total),
            None => ("{spinner} {msg:21} {state} {elapsed}", 0),
        };
        let state = move |drawn: &ProgressState, out: &mut dyn fmt::Write| {
            let mut tally = tally;
            tally.done = drawn.pos();
            // What cannot be written to the screen's own buffer cannot be shown.
            let _ = out.write_str(&tally.state_after(drawn.elapsed()));
        };
        let style = ProgressStyle::with_template(template).expect("both templates are well-formed");
        let style = style.with_key("state", state).progress_chars("=> ").tick_chars("|/-\\ ");
        let drawn = self.screen.add(ProgressBar::new(total).with_message(label(tally.phase)).with_style(style));
        drawn.enable_steady_tick(TICK);
        Bar { tally, drawn }
    }
}

fn take(under_way: &mut Vec<Bar>, phase: Phase) -> Option<Bar> {
    let place = under_way.iter().position(|bar| bar.tally.phase == phase)?;
    Some(under_way.remove(place))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use indicatif::TermLike;

    use super::*;

    /// A terminal that remembers what was written.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl Paper {
        fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            120
        }
        fn height(&self) -> u16 {
            24
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(&format!("{line}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bars_come_and_leave_a_line() {
        let paper = Paper::default();
        let bars = Bars::on(ProgressDrawTarget::term_like(Box::new(paper.clone())));
        assert_eq!(bars.report(Event::Start { phase: Phase::Configure, total: Some(4) }), None);
        assert_eq!(bars.report(Event::Advance { phase: Phase::Configure, by: 2 }), None);
        for bar in &*bars.under_way.lock().unwrap() {
            bar.drawn.force_draw();
        }
        assert!(paper.text().contains("configuring packages  [============>           ] 2 of 4 packages"), "{}", paper.text());
        bars.report(Event::Start { phase: Phase::Resolve, total: None });
        let line = bars.report(Event::Finish { phase: Phase::Configure });
        assert_eq!(line.as_deref(), Some("configuring packages: 2 packages in 0.0 s"));
        assert_eq!(bars.report(Event::Finish { phase: Phase::Configure }), None);
        let resolve = bars.under_way.lock().unwrap()[0].drawn.clone();
        bars.clear();
        assert!(resolve.is_finished());
    }
}
