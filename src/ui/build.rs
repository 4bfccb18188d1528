//! What `build` shows when it is done.

use std::io;
use std::time::Duration;

use image_composer::build::{Difference, ImageOutcome, MissReason, Nearest, PackageCounts, Report, RootOutcome};
use image_composer::cache::ReleaseDate;
use image_composer::progress::label;
use image_composer::resolve::Matched;
use image_composer::units::human_duration;

use super::{Ui, data, json, text, time};

/// The most differences from a kept image that are named.
const DIFFERENCES: usize = 3;

/// The most archives that the closing line names.
const ARCHIVES: usize = 3;

impl Ui {
    /// Shows the outcome: talk first, then the output files as data, a path a line, or everything as JSON.
    pub(crate) fn built(self, report: &Report, json: bool) -> io::Result<()> {
        for line in details(report) {
            self.detail(|| line);
        }
        for Matched { wanted, packages } in &report.matched {
            self.say(&format!("{wanted}: {}", packages.join(", ")));
        }
        if let Some(line) = report.nearest.as_ref().and_then(|near| why_built(near, time::now())) {
            self.say(&line);
        }
        self.say(&closing_line(report, time::now()));
        self.limits_kept(report.collection.as_ref());
        if json {
            return data::json(&json::Build::from(report));
        }
        report.outputs.iter().try_for_each(|output| data::path(&output.path))
    }
}

/// Why there was no hit although an image of that name is kept: the first differences from it.
fn why_built(near: &Nearest, now: u64) -> Option<String> {
    let Nearest { image, differences, same_name: true } = near else { return None };
    let mut shown: Vec<String> = differences.iter().take(DIFFERENCES).map(short).collect();
    if differences.len() > DIFFERENCES {
        shown.push(format!("{} more (image-composer cache why)", differences.len() - DIFFERENCES));
    }
    let built = time::ago(image.built_at, now);
    (!shown.is_empty()).then(|| format!("image cache: no hit; {}, built {built}, has another {}", image.spec_hash.short(), shown.join("; ")))
}

/// A difference in at most so many letters as leave the line readable.
fn short(difference: &Difference) -> String {
    let text = difference.to_string();
    if text.chars().count() <= 100 { text } else { format!("{}…", text.chars().take(99).collect::<String>()) }
}

/// One line with numbers.
fn closing_line(report: &Report, now: u64) -> String {
    let took = human_duration(report.duration);
    let hash = report.spec_hash.short();
    match &report.image {
        ImageOutcome::Hit { built_at, imported, .. } => {
            let (came, from) = match imported {
                None => ("built", archives(&report.releases)),
                Some(import) => ("imported", format!(" from {}", import.file)),
            };
            format!("image cache: hit {hash}, {came} {}{from}, {} in {took}", time::ago(*built_at, now), report.disk_size)
        }
        ImageOutcome::Built { because, kept } => {
            let packages = report.packages.as_ref().map_or_else(String::new, |counts| format!(": {}", packages(counts, report.root)));
            let kept = match (kept, because) {
                (true, _) => format!("image kept as {hash}"),
                (false, MissReason::CacheOff) => "image not kept, the image cache is off".to_owned(),
                (false, _) => "image not kept".to_owned(),
            };
            format!("built {} {} in {took}{packages}, {kept}", report.name, report.version)
        }
    }
}

/// `143 packages (3 fetched, 1.20 MiB; 140 from the package cache)`, `143 packages from a kept root`, or of both.
fn packages(counts: &PackageCounts, root: Option<RootOutcome>) -> String {
    if root == Some(RootOutcome::Hit) {
        return format!("{} from a kept root", text::count(counts.total as u64, "package"));
    }
    let fetched = match counts.fetched {
        0 => "0 fetched, ".to_owned(),
        number => format!("{number} fetched, {}; ", counts.fetched_bytes),
    };
    let kept = match root {
        Some(RootOutcome::Base { .. }) => format!("{} from a kept root, ", counts.total.saturating_sub(counts.fetched + counts.present)),
        _ => String::new(),
    };
    format!("{} ({kept}{fetched}{} from the package cache)", text::count(counts.total as u64, "package"), counts.present)
}

/// ` from debian 2026-11-15, debian-security 2026-11-20`: each archive with the date of its newest suite.
fn archives(releases: &[ReleaseDate]) -> String {
    let mut newest: Vec<(&str, u64)> = Vec::new();
    for release in releases {
        match newest.iter_mut().find(|(archive, _)| *archive == release.archive) {
            Some((_, date)) => *date = release.date.max(*date),
            None => newest.push((&release.archive, release.date)),
        }
    }
    let mut named: Vec<String> = newest.iter().take(ARCHIVES).map(|(archive, date)| format!("{archive} {}", time::day(*date))).collect();
    if newest.len() > ARCHIVES {
        named.push(format!("{} more", newest.len() - ARCHIVES));
    }
    if named.is_empty() { String::new() } else { format!(" from {}", named.join(", ")) }
}

/// What `--verbose` adds: why the image cache missed, the time of each phase, the size of each file.
fn details(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let hash = report.spec_hash;
    match &report.image {
        ImageOutcome::Hit { imported: Some(import), .. } => {
            lines.push(format!("image cache: hit {hash}, imported from {} ({})", import.file, import.format));
        }
        ImageOutcome::Hit { build_seconds, .. } => {
            lines.push(format!("image cache: {hash} took {} to build", human_duration(Duration::from_secs(*build_seconds))));
        }
        ImageOutcome::Built { because, .. } => {
            lines.push(format!("image cache: no hit for {hash}: {because}"));
        }
    }
    lines.extend(report.releases.iter().map(|release| {
        let ReleaseDate { archive, suite, date } = release;
        format!("metadata: {archive} {suite} of {}", time::moment(*date))
    }));
    lines.extend(report.timings.sums().iter().map(|(phase, took)| format!("{}: {}", label(*phase), human_duration(*took))));
    lines.extend(report.outputs.iter().map(|output| format!("{}: {}, {} on disk", output.path.display(), output.size, output.allocated)));
    lines
}

#[cfg(test)]
mod tests {
    use image_composer::build::{Change, Collection, Output};
    use image_composer::cache::SpecHash;
    use image_composer::cache::collect::Limit;
    use image_composer::digest::Digest;
    use image_composer::units::ByteSize;

    use super::*;

    const BUILT_AT: u64 = 1_795_162_530;

    fn report(image: ImageOutcome, packages: Option<PackageCounts>) -> Report {
        let release = |archive: &str, suite: &str, date| ReleaseDate { archive: archive.to_owned(), suite: suite.to_owned(), date };
        Report {
            spec_hash: SpecHash::from(Digest::of(b"spec")),
            name: "minimal".to_owned(),
            version: "1.0".to_owned(),
            image,
            packages,
            root: None,
            matched: Vec::new(),
            releases: vec![
                release("debian", "bookworm", BUILT_AT - 9 * 86_400),
                release("debian", "bookworm-updates", BUILT_AT - 5 * 86_400),
                release("debian-security", "bookworm-security", BUILT_AT),
            ],
            image_digest: Some(Digest::of(b"disk")),
            disk_size: ByteSize(2 << 30),
            outputs: vec![Output { path: "out/minimal-1.0.raw".into(), size: ByteSize(2 << 30), allocated: ByteSize(400 << 20) }],
            duration: Duration::from_millis(900),
            timings: crate::ui::timings::tests::timings(),
            warnings: vec!["careful".to_owned()],
            collection: None,
            nearest: None,
        }
    }

    #[test]
    fn a_miss_says_what_is_another() {
        let image = crate::ui::images::tests::image("minimal", 1);
        let items = |input: &str, added: &str| Difference {
            input: input.to_owned(),
            change: Change::Items { added: vec![added.to_owned()], removed: Vec::new() },
        };
        let mut differences = vec![items("systemConfig.packages", "curl"), items("configurations", &"x".repeat(200))];
        let near = |differences: &[Difference], same_name| Nearest { image: image.clone(), same_name, differences: differences.to_vec() };
        let line = why_built(&near(&differences, true), image.built_at + 3600).unwrap();
        assert!(
            line.starts_with(&format!(
                "image cache: no hit; {}, built 1 h ago, has another systemConfig.packages: + curl; ",
                image.spec_hash.short()
            )),
            "{line}"
        );
        assert!(line.ends_with("x…") && line.len() < 220, "{line}");
        differences.extend([items("a", "b"), items("c", "d")]);
        assert!(why_built(&near(&differences, true), image.built_at).unwrap().ends_with("; a: + b; 1 more (image-composer cache why)"));
        assert_eq!(why_built(&near(&differences, false), 0), None);
        assert_eq!(why_built(&near(&[], true), 0), None);
    }

    fn hit() -> Report {
        report(ImageOutcome::Hit { built_at: BUILT_AT, build_seconds: 34, imported: None }, None)
    }

    fn built(because: MissReason, kept: bool, fetched: usize) -> Report {
        let counts = PackageCounts { total: 143, fetched, fetched_bytes: ByteSize(fetched as u64 * (1 << 20)), present: 143 - fetched };
        Report { duration: Duration::from_secs(34), ..report(ImageOutcome::Built { because, kept }, Some(counts)) }
    }

    #[test]
    fn one_line_says_it_all() {
        let lines = [
            hit(),
            Report { releases: Vec::new(), ..hit() },
            built(MissReason::NotThere, true, 0),
            built(MissReason::Damaged, true, 3),
            built(MissReason::CacheOff, false, 143),
            built(MissReason::NotThere, false, 1),
        ];
        let lines: Vec<_> = lines.iter().map(|report| closing_line(report, BUILT_AT + 2 * 86_400)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn many_archives_are_counted() {
        let releases: Vec<_> =
            (0..5).map(|number| ReleaseDate { archive: format!("a{number}"), suite: "s".to_owned(), date: number * 86_400 }).collect();
        assert_eq!(archives(&releases), " from a0 1970-01-01, a1 1970-01-02, a2 1970-01-03, 2 more");
    }

    #[test]
    fn verbose_adds_reasons_and_times() {
        insta::assert_snapshot!([details(&hit()), details(&built(MissReason::Rebuild, true, 0))].concat().join("\n"));
    }

    #[test]
    fn the_json_of_a_build_is_a_promise() {
        let collection = Collection { packages: 3, plain: 0, images: 1, roots: 0, freed: ByteSize(1 << 30), unmet: vec![Limit::PackageSize] };
        let both = [hit(), Report { collection: Some(collection), ..built(MissReason::NotThere, true, 3) }];
        insta::assert_json_snapshot!(both.each_ref().map(json::Build::from));
    }
}
