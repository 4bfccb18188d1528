//! Where the time of a build went: as a table, and as a page for browsers.
//!
//! The page is one file without scripts and without anything from elsewhere: a drawing in SVG with a row for each phase, and beneath it rows for what was
//! done side by side.

use std::fmt::Write as _;
use std::time::Duration;

use image_composer::build::{ImageOutcome, ItemSpan, Report, RootOutcome, Timings};
use image_composer::progress::{Phase, label};
use image_composer::units::{ByteSize, human_duration};

use super::table::{Align, table};
use super::{Ui, stream::Stream};

/// How many items the table and the page name.
const SLOWEST: usize = 5;
const SLOWEST_ON_PAGE: usize = 40;

/// The drawing, in pixels.
const LEFT: f64 = 190.0;
const WIDTH: f64 = 960.0;
const ROW: f64 = 18.0;

/// Rows of one kind of item, at most; what does not find room is in the list beneath the drawing.
const LANES: usize = 32;

/// What overlaps by less was done one after the other: reports take their time on the way.
const DELAY: Duration = Duration::from_millis(10);

/// What is done side by side, and its heading.
const SIDE_BY_SIDE: [(Phase, &str); 3] = [(Phase::Download, "fetched"), (Phase::Unpack, "unpacked"), (Phase::Configure, "scripts and programs")];

const STYLE: &str = "\
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1180px;color:#222;background:#fff}\
h1{font-size:1.3em}h2{font-size:1.05em;margin-top:1.6em}\
table{border-collapse:collapse}td,th{padding:2px 12px 2px 0;text-align:left}td.n,th.n{text-align:right}\
svg{display:block}svg text{font-size:11px;fill:#222}\
.grid{stroke:#ddd}.phase{fill:#4c78a8}.download{fill:#72b7b2}.unpack{fill:#54a24b}.configure{fill:#e8963d}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}svg text{fill:#ddd}.grid{stroke:#444}}";

impl Ui {
    /// Shows the table.
    pub(crate) fn timings(self, report: &Report) {
        for line in summary(report, self.err).lines() {
            self.say(line);
        }
    }
}

/// Each phase, and the slowest of what they did.
fn summary(report: &Report, stream: Stream) -> String {
    let whole = report.duration.as_secs_f64().max(f64::MIN_POSITIVE);
    let row = |name: &str, took: Duration| [name.to_owned(), human_duration(took), format!("{:.0} %", 100.0 * took.as_secs_f64() / whole)];
    let mut rows: Vec<[String; 3]> = report.timings.sums().iter().map(|(phase, took)| row(label(*phase), *took)).collect();
    rows.push(row("all together", report.duration));
    let mut text = table([("PHASE", Align::Left), ("TOOK", Align::Right), ("OF ALL", Align::Right)], &rows, stream);
    let slowest = slowest(&report.timings, SLOWEST);
    if !slowest.is_empty() {
        let named: Vec<String> = slowest.iter().map(|item| format!("{} {} ({})", item.name, human_duration(item.took), label(item.phase))).collect();
        let _ = writeln!(text, "slowest: {}", named.join(", "));
    }
    text
}

fn slowest(timings: &Timings, count: usize) -> Vec<&ItemSpan> {
    let mut items: Vec<&ItemSpan> = timings.items.iter().collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.took));
    items.truncate(count);
    items
}

/// The page.
pub(crate) fn page(report: &Report) -> String {
    let title = escaped(&format!("{} {}: {}", report.name, report.version, human_duration(report.duration)));
    let mut html =
        format!("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body>\n");
    let _ = writeln!(html, "<h1>{title}</h1>\n<p>{}</p>", escaped(&came(report)));
    html += &drawing(report);
    html += "<h2>Phases</h2>\n<table><tr><th>phase</th><th class=\"n\">took</th></tr>\n";
    for (phase, took) in report.timings.sums() {
        let _ = writeln!(html, "<tr><td>{}</td><td class=\"n\">{}</td></tr>", label(phase), seconds(took));
    }
    html += "</table>\n";
    let slowest = slowest(&report.timings, SLOWEST_ON_PAGE);
    if !slowest.is_empty() {
        html += "<h2>Slowest</h2>\n<table><tr><th>what</th><th>phase</th><th class=\"n\">file</th><th class=\"n\">began</th><th class=\"n\">took</th></tr>\n";
        for item in slowest {
            let size = if item.bytes == 0 { String::new() } else { ByteSize(item.bytes).to_string() };
            let (name, phase) = (escaped(&item.name), label(item.phase));
            let (begun, took) = (seconds(item.begun), seconds(item.took));
            let _ = writeln!(
                html,
                "<tr><td>{name}</td><td>{phase}</td><td class=\"n\">{size}</td><td class=\"n\">{begun}</td><td class=\"n\">{took}</td></tr>"
            );
        }
        html += "</table>\n";
    }
    html + "</body></html>\n"
}

/// What hit and what missed.
fn came(report: &Report) -> String {
    let ImageOutcome::Built { because, .. } = &report.image else {
        return format!("image cache: hit {}", report.spec_hash.short());
    };
    let root = match report.root {
        Some(RootOutcome::Hit) => "; root cache: hit",
        Some(RootOutcome::Base { .. }) => "; root cache: hit for a part of the packages",
        Some(RootOutcome::Installed { .. }) => "; root cache: no hit",
        None => "",
    };
    let packages = report.packages.as_ref().map_or_else(String::new, |counts| {
        format!("; {} packages, {} fetched ({}), {} from the package cache", counts.total, counts.fetched, counts.fetched_bytes, counts.present)
    });
    format!("image cache: no hit: {because}{root}{packages}")
}

/// The rows of the drawing from the top.
struct Rows {
    svg: String,
    y: f64,
    /// Pixels for each second.
    scale: f64,
}

impl Rows {
    fn name(&mut self, name: &str) {
        let _ = writeln!(self.svg, "<text x=\"0\" y=\"{:.0}\">{}</text>", self.y + ROW * 0.7, escaped(name));
    }

    /// `inside` stands in the bar where it fits.
    fn bar(&mut self, class: &str, begun: Duration, took: Duration, what: &str, inside: &str) {
        let (x, width) = (LEFT + begun.as_secs_f64() * self.scale, (took.as_secs_f64() * self.scale).max(1.0));
        let (y, height) = (self.y + 2.0, ROW - 4.0);
        let title = escaped(&format!("{what}: {} from {}", seconds(took), seconds(begun)));
        let _ = write!(
            self.svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{height:.0}\"><title>{title}</title></rect>"
        );
        // Names only where they fit, about six pixels a letter.
        let room = u32::try_from(inside.chars().count()).map_or(f64::INFINITY, f64::from) * 6.0 + 6.0;
        if width > room {
            let _ = write!(self.svg, "<text x=\"{:.1}\" y=\"{:.0}\">{}</text>", x + 3.0, self.y + ROW * 0.7, escaped(inside));
        }
        self.svg.push('\n');
    }
}

fn drawing(report: &Report) -> String {
    let whole = report.duration.as_secs_f64().max(0.001);
    let mut rows = Rows { svg: String::new(), y: ROW, scale: (WIDTH - 10.0) / whole };
    for (phase, _) in report.timings.sums() {
        rows.name(label(phase));
        for span in report.timings.phases.iter().filter(|span| span.phase == phase) {
            rows.bar("phase", span.begun, span.took, label(phase), &seconds(span.took));
        }
        rows.y += ROW;
    }
    for (phase, heading) in SIDE_BY_SIDE {
        let class = match phase {
            Phase::Download => "download",
            Phase::Unpack => "unpack",
            _ => "configure",
        };
        let lanes = lanes(report.timings.items.iter().filter(|item| item.phase == phase).collect());
        if !lanes.is_empty() {
            rows.y += ROW * 0.5;
            rows.name(heading);
        }
        for lane in lanes {
            for item in lane {
                rows.bar(class, item.begun, item.took, &item.name, &item.name);
            }
            rows.y += ROW;
        }
    }
    let height = rows.y + 4.0;
    let mut svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{height:.0}\" role=\"img\">\n", LEFT + WIDTH + 10.0);
    let step = step(whole);
    for second in (0..).map(|number| f64::from(number) * step).take_while(|second| *second <= whole) {
        let x = LEFT + second * rows.scale;
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"14\" y2=\"{height:.0}\"/><text x=\"{x:.1}\" y=\"11\">{second} s</text>"
        );
    }
    svg + &rows.svg + "</svg>\n"
}

/// Seconds between two lines of the grid: about ten of them.
fn step(whole: f64) -> f64 {
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0].into_iter().find(|step| whole / step <= 12.0).unwrap_or(whole / 10.0)
}

/// Rows in which nothing overlaps: as many as were under way at once.
fn lanes(mut items: Vec<&ItemSpan>) -> Vec<Vec<&ItemSpan>> {
    items.sort_by_key(|item| item.begun);
    let mut lanes: Vec<Vec<&ItemSpan>> = Vec::new();
    for item in items {
        let free = lanes.iter().position(|lane| lane.last().is_none_or(|last| last.begun + last.took <= item.begun + DELAY));
        match free {
            Some(free) => lanes[free].push(item),
            None if lanes.len() < LANES => lanes.push(vec![item]),
            None => {}
        }
    }
    lanes
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// Text for HTML, in elements and in attributes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
pub(super) mod tests {
    use image_composer::build::{MissReason, PackageCounts, PhaseSpan};
    use image_composer::cache::SpecHash;
    use image_composer::digest::Digest;

    use super::*;

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// One phase.
    pub(in crate::ui) fn timings() -> Timings {
        Timings { phases: vec![PhaseSpan { phase: Phase::Write, begun: millis(0), took: millis(800) }], items: Vec::new() }
    }

    fn item(phase: Phase, name: &str, bytes: u64, begun: u64, took: u64) -> ItemSpan {
        ItemSpan { phase, name: name.to_owned(), bytes, begun: millis(begun), took: millis(took) }
    }

    fn report() -> Report {
        let span = |phase, begun, took| PhaseSpan { phase, begun: millis(begun), took: millis(took) };
        Report {
            spec_hash: SpecHash::from(Digest::of(b"spec")),
            name: "edge<1>".to_owned(),
            version: "1.0".to_owned(),
            image: ImageOutcome::Built { because: MissReason::NotThere, kept: true },
            packages: Some(PackageCounts { total: 3, fetched: 2, fetched_bytes: ByteSize(3 << 20), present: 1 }),
            root: Some(RootOutcome::Installed { kept: true }),
            matched: Vec::new(),
            releases: Vec::new(),
            image_digest: None,
            disk_size: ByteSize(1 << 30),
            outputs: Vec::new(),
            duration: millis(10_000),
            timings: Timings {
                phases: vec![
                    span(Phase::Download, 500, 1500),
                    span(Phase::Unpack, 2000, 2000),
                    span(Phase::Configure, 3000, 4000),
                    span(Phase::Unpack, 7000, 500),
                ],
                items: vec![
                    item(Phase::Download, "libc6", 2 << 20, 500, 1000),
                    item(Phase::Download, "bash", 1 << 20, 500, 400),
                    item(Phase::Download, "less", 1 << 20, 900, 1100),
                    item(Phase::Unpack, "a & b", 1 << 20, 2000, 700),
                    item(Phase::Configure, "update-initramfs for kernel 6.1", 0, 4000, 3000),
                ],
            },
            warnings: Vec::new(),
            collection: None,
            nearest: None,
        }
    }

    #[test]
    fn the_table_has_phases_and_what_was_slowest() {
        insta::assert_snapshot!(summary(&report(), Stream::PLAIN), @r"
        PHASE                  TOOK  OF ALL
        fetching packages     1.5 s    15 %
        unpacking packages    2.5 s    25 %
        configuring packages  4.0 s    40 %
        all together           10 s   100 %
        slowest: update-initramfs for kernel 6.1 3.0 s (configuring packages), less 1.1 s (fetching packages), libc6 1.0 s (fetching packages), a & b 0.7 s (unpacking packages), bash 0.4 s (fetching packages)
        ");
    }

    #[test]
    fn the_page_is_whole_and_its_text_is_no_markup() {
        insta::assert_snapshot!("the_page_is_whole", page(&report()));
    }

    #[test]
    fn what_overlaps_has_rows_of_its_own() {
        let report = report();
        let names =
            |lanes: Vec<Vec<&ItemSpan>>| lanes.iter().map(|lane| lane.iter().map(|item| item.name.clone()).collect()).collect::<Vec<Vec<_>>>();
        let downloads = report.timings.items.iter().filter(|item| item.phase == Phase::Download).collect();
        assert_eq!(names(lanes(downloads)), [vec!["libc6"], vec!["bash", "less"]]);
    }

    #[test]
    fn a_build_without_phases_has_a_page() {
        let empty = Report { timings: Timings::default(), duration: Duration::ZERO, ..report() };
        assert!(page(&empty).ends_with("</html>\n") && !page(&empty).contains("NaN"));
    }
}
