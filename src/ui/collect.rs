//! What `cache gc` and `cache clean` show, and what a command says when the limits made something go.

use std::io;
use std::time::Duration;

use image_composer::build::Collection;
use image_composer::cache::collect::{Collected, Entry, Limit, Name, Plan, Reason};
use image_composer::units::{ByteSize, human_duration};

use super::stream::Stream;
use super::table::{Align, tabbed, table};
use super::{Ui, Verbosity, data, json, text, time};

/// How a collection was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Only to be shown.
    pub(crate) dry_run: bool,
    /// As JSON.
    pub(crate) json: bool,
}

/// What a collection would do, or did.
pub(crate) struct Outcome<'a> {
    pub(crate) plan: &'a Plan,
    /// None for a dry run.
    pub(crate) done: Option<Collected>,
    pub(crate) took: Duration,
}

impl Ui {
    /// Shows what goes and why as data, and says what was done.
    pub(crate) fn collected(self, outcome: &Outcome<'_>, asked: Asked) -> io::Result<()> {
        let plan = outcome.plan;
        if asked.json {
            data::json(&json::Collection::new(outcome))?;
        } else if self.verbosity == Verbosity::Verbose {
            data::text(&each(plan, self.out, time::now()))?;
        } else {
            data::text(&summed(plan, self.out))?;
        }
        self.detail(|| format!("packs: {} removed, {} written anew", plan.empty_packs, plan.half_packs));
        self.say(&closing_line(outcome));
        if let Some(line) = kept_line(plan) {
            self.say(&line);
        }
        self.unmet(&plan.unmet);
        Ok(())
    }

    /// There is nothing to collect from.
    pub(crate) fn no_store_to_collect(self, asked: Asked) -> io::Result<()> {
        self.say("there is no store, so there is nothing to remove");
        if !asked.json {
            return Ok(());
        }
        let done = (!asked.dry_run).then(Collected::default);
        data::json(&json::Collection::new(&Outcome { plan: &Plan::default(), done, took: Duration::ZERO }))
    }

    /// Says what went so that the caches keep to their limits.
    pub(crate) fn limits_kept(self, collection: Option<&Collection>) {
        let Some(collection) = collection else { return };
        if let Some(line) = limits_line(collection) {
            self.say(&line);
        }
        self.unmet(&collection.unmet);
    }

    fn unmet(self, unmet: &[Limit]) {
        for limit in unmet {
            let what = match limit {
                Limit::PackageSize => "packages take more than their limit",
                Limit::ImageSize => "images take more than their limit",
                Limit::ImageCount => "there are more images than the limit",
                Limit::RootCount => "there are more roots than the limit",
                Limit::MinFree => "less is free on the file system than shall be",
            };
            self.warn(&format!("{what}: what is left is pinned or in use"));
        }
    }
}

/// `limits: removed 3 packages and 1 image, 1.20 GiB`; nothing where only a limit is still not met.
fn limits_line(collection: &Collection) -> Option<String> {
    let Collection { packages, plain, images, roots, freed, .. } = collection;
    // Leftovers that no limit asked for are worth a line only where they took room.
    if *packages + *plain + *images + *roots == 0 && freed.0 < ByteSize::MIB.0 {
        return None;
    }
    let names = [(*packages, "package"), (*plain, "decompressed package"), (*images, "image"), (*roots, "root")]
        .into_iter()
        .filter(|(number, _)| *number > 0);
    let what = listed(&names.map(|(number, noun)| text::count(number as u64, noun)).collect::<Vec<_>>());
    Some(format!("limits: removed {}, {freed}", what.as_deref().unwrap_or("what nothing needs")))
}

/// `removed 12 packages and 1 image: 620 MiB, 0.1 s`.
fn closing_line(outcome: &Outcome<'_>) -> String {
    let plan = outcome.plan;
    if plan.is_empty() {
        let (packages, images) = (ByteSize(plan.before.packages), ByteSize(plan.before.images));
        return format!("nothing to remove: packages take {packages}, images {images}");
    }
    let count = |(class, noun): (&str, &str)| {
        let number = plan.entries.iter().filter(|entry| self::class(&entry.name) == class).count();
        (number > 0).then(|| text::count(number as u64, noun))
    };
    let names: Vec<String> = NOUNS.into_iter().filter_map(count).collect();
    let what = listed(&names).unwrap_or_else(|| "what nothing needs".to_owned());
    match &outcome.done {
        None => format!("would remove {what}: {}", ByteSize(plan.freed)),
        Some(done) => {
            let but = match done.changed {
                0 => String::new(),
                number => format!(", but for {number} that a command used or pinned meanwhile"),
            };
            format!("removed {what}{but}: {}, {}", ByteSize(done.freed), human_duration(outcome.took))
        }
    }
}

/// What stays although its turn had come.
fn kept_line(plan: &Plan) -> Option<String> {
    let kept = [(plan.kept.pinned, "pinned"), (plan.kept.in_use, "in use")].into_iter().filter(|(number, _)| *number > 0);
    listed(&kept.map(|(number, why)| format!("{number} {why}")).collect::<Vec<_>>()).map(|what| format!("{what} stayed"))
}

/// `a, b and c`.
fn listed(parts: &[String]) -> Option<String> {
    match parts {
        [] => None,
        [one] => Some(one.clone()),
        [most @ .., last] => Some(format!("{} and {last}", most.join(", "))),
    }
}

/// The classes, and what one of each is.
const NOUNS: [(&str, &str); 8] = [
    ("packages", "package"),
    ("plain", "decompressed package"),
    ("metadata", "metadata file"),
    ("images", "image"),
    ("roots", "root"),
    ("partial downloads", "interrupted download"),
    ("damaged files", "damaged file"),
    ("leftovers", "leftover"),
];

fn class(name: &Name) -> &'static str {
    match name {
        Name::Package(_) => "packages",
        Name::Plain { .. } => "plain",
        Name::Metadata { .. } => "metadata",
        Name::Image { .. } => "images",
        Name::Root { .. } => "roots",
        Name::Partial(_) => "partial downloads",
        Name::Quarantined(_) => "damaged files",
        Name::Orphan(_) => "leftovers",
    }
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Age => "not used for long",
        Reason::Size => "over the size",
        Reason::Count => "over the number",
        Reason::Room => "too little room",
        Reason::Asked => "asked for",
        Reason::Leftover => "left over",
    }
}

/// A row for each class and reason.
fn summed(plan: &Plan, stream: Stream) -> String {
    let mut sums: Vec<(&str, &str, u64, u64)> = Vec::new();
    for Entry { name, because, bytes, .. } in &plan.entries {
        let (class, why) = (class(name), why(*because));
        match sums.iter_mut().find(|(known, reason, ..)| (*known, *reason) == (class, why)) {
            Some((_, _, count, sum)) => (*count, *sum) = (*count + 1, sum.saturating_add(*bytes)),
            None => sums.push((class, why, 1, *bytes)),
        }
    }
    if plan.unreferenced.0 > 0 {
        sums.push(("blobs", "nothing refers to them", plan.unreferenced.0, plan.unreferenced.1));
    }
    let size = |bytes: u64| if stream.terminal { ByteSize(bytes).to_string() } else { bytes.to_string() };
    let rows: Vec<_> =
        sums.iter().map(|(class, why, count, bytes)| [(*class).to_owned(), (*why).to_owned(), count.to_string(), size(*bytes)]).collect();
    match (stream.terminal, rows.is_empty()) {
        (_, true) => String::new(),
        (true, false) => table([("WHAT", Align::Left), ("WHY", Align::Left), ("COUNT", Align::Right), ("SIZE", Align::Right)], &rows, stream),
        (false, false) => tabbed(&rows),
    }
}

/// A row for each name.
fn each(plan: &Plan, stream: Stream, now: u64) -> String {
    let size = |bytes: u64| if stream.terminal { ByteSize(bytes).to_string() } else { bytes.to_string() };
    let used = |when: u64| if stream.terminal { time::ago(when, now) } else { time::moment(when) };
    let mut rows: Vec<[String; 6]> = plan
        .entries
        .iter()
        .map(|entry| {
            let name = text::printable(&self::name(&entry.name)).replace(['\t', '\n'], " ");
            let (class, why) = (class(&entry.name).to_owned(), why(entry.because).to_owned());
            [class, name, why, size(entry.bytes), used(entry.last_used), entry.uses.to_string()]
        })
        .collect();
    if plan.unreferenced.0 > 0 {
        let (count, bytes) = plan.unreferenced;
        let [blobs, why, dash] = ["blobs", "nothing refers to them", "-"].map(str::to_owned);
        rows.push([blobs, text::count(count, "blob"), why, size(bytes), dash.clone(), dash]);
    }
    let columns = [
        ("WHAT", Align::Left),
        ("NAME", Align::Left),
        ("WHY", Align::Left),
        ("SIZE", Align::Right),
        ("LAST USED", Align::Left),
        ("USES", Align::Right),
    ];
    match (stream.terminal, rows.is_empty()) {
        (_, true) => String::new(),
        (true, false) => table(columns, &rows, stream),
        (false, false) => tabbed(&rows),
    }
}

fn name(name: &Name) -> String {
    match name {
        Name::Package(coordinates) => coordinates.to_string(),
        Name::Metadata { archive, path } => format!("{archive} {path}"),
        Name::Plain { archive, package } => format!("{package} ({archive})"),
        Name::Root { key, name } => format!("{} {name}", key.short()).trim_end().to_owned(),
        Name::Image { spec_hash, name, version } => format!("{} {name} {version}", spec_hash.short()).trim_end().to_owned(),
        Name::Partial(path) | Name::Quarantined(path) | Name::Orphan(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use image_composer::cache::collect::{Clean, Kept, Sizes, plan_clean};
    use image_composer::cache::{Coordinates, PackageCache, SpecHash};
    use image_composer::digest::{Digest, Sha256};
    use image_composer::store::Store;

    use super::*;

    const NOW: u64 = 1_795_162_530;
    const TERMINAL: Stream = Stream { terminal: true, colour: false };

    /// An entry of a real plan, which only the library can make; everything that is shown of it is set by the tests.
    fn entry() -> Entry {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let coordinates = Coordinates::new("libc6", "2.36-9", "amd64", "debian").unwrap();
        PackageCache::new(&store).insert(&coordinates, &Sha256::of(b"libc6"), &mut b"libc6".as_slice()).unwrap();
        store.flush().unwrap();
        let clean = Clean { packages: true, ..Clean::default() };
        let mut entry = plan_clean(&store, &clean).unwrap().entries.remove(0);
        (entry.last_used, entry.uses) = (NOW - 40 * 86_400, 3);
        entry
    }

    fn plan() -> Plan {
        let package = entry();
        let other = |name, because, bytes| {
            let mut entry = package.clone();
            (entry.name, entry.because, entry.bytes) = (name, because, bytes);
            entry
        };
        let image = Name::Image { spec_hash: SpecHash::from(Digest::of(b"spec")), name: "edge".to_owned(), version: "1.0".to_owned() };
        let metadata = Name::Metadata { archive: "debian".to_owned(), path: "dists/bookworm/InRelease".to_owned() };
        let mut plan = Plan::default();
        plan.entries = vec![
            other(package.name.clone(), Reason::Age, 1 << 20),
            other(image, Reason::Count, 300 << 20),
            other(package.name.clone(), Reason::Size, 3 << 20),
            other(package.name.clone(), Reason::Size, 4 << 20),
            other(metadata, Reason::Asked, 9 << 20),
            other(Name::Partial("/s/partials/a".into()), Reason::Age, 5_000),
            other(Name::Quarantined("/s/quarantine/b\u{1b}".into()), Reason::Age, 6_000),
            other(Name::Orphan("/s/packs/c".into()), Reason::Leftover, 7_000),
        ];
        plan.unreferenced = (2, 12_000);
        (plan.empty_packs, plan.half_packs, plan.freed) = (1, 2, 318 << 20);
        plan.before = Sizes { packages: 500 << 20, images: 900 << 20 };
        plan.after = Sizes { packages: 492 << 20, images: 600 << 20 };
        plan.kept = Kept { pinned: 2, in_use: 1 };
        plan.unmet = vec![Limit::MinFree];
        plan
    }

    fn line(plan: &Plan, done: Option<Collected>) -> String {
        closing_line(&Outcome { plan, done, took: Duration::from_millis(140) })
    }

    #[test]
    fn what_goes_is_summed_up_or_told_one_by_one() {
        let plan = plan();
        insta::assert_snapshot!(summed(&plan, TERMINAL));
        insta::assert_snapshot!(summed(&plan, Stream::PLAIN).replace('\t', "→"));
        insta::assert_snapshot!(each(&plan, TERMINAL, NOW));
        insta::assert_snapshot!(each(&plan, Stream::PLAIN, NOW).replace('\t', "→"));
        let nothing = Plan::default();
        assert_eq!(summed(&nothing, TERMINAL) + &each(&nothing, TERMINAL, NOW) + &summed(&nothing, Stream::PLAIN), "");
    }

    #[test]
    fn one_line_says_what_was_done() {
        let plan = plan();
        let mut leftovers = Plan::default();
        (leftovers.unreferenced, leftovers.freed) = ((2, 12_000), 12_000);
        let done = |changed| Some(Collected { removed: 8 - changed, changed, freed: 310 << 20 });
        let mut nothing = Plan::default();
        nothing.before = plan.before;
        let lines = [line(&plan, None), line(&plan, done(0)), line(&plan, done(2)), line(&leftovers, None), line(&nothing, None)];
        insta::assert_snapshot!(lines.join("\n"));
        assert_eq!(kept_line(&plan).as_deref(), Some("2 pinned and 1 in use stayed"));
        assert_eq!(kept_line(&leftovers), None);
    }

    #[test]
    fn other_commands_say_it_in_one_line_or_not_at_all() {
        let collection = |packages, images, freed| Collection { packages, plain: 0, images, roots: 0, freed: ByteSize(freed), unmet: Vec::new() };
        assert_eq!(limits_line(&collection(3, 1, 1_288_490_189)).as_deref(), Some("limits: removed 3 packages and 1 image, 1.20 GiB"));
        assert_eq!(limits_line(&collection(0, 2, 1 << 20)).as_deref(), Some("limits: removed 2 images, 1.00 MiB"));
        assert_eq!(limits_line(&collection(0, 0, 558)), None);
        assert_eq!(limits_line(&collection(0, 0, 1 << 20)).as_deref(), Some("limits: removed what nothing needs, 1.00 MiB"));
        assert_eq!(limits_line(&Collection { unmet: vec![Limit::ImageCount], ..collection(0, 0, 0) }), None);
    }

    #[test]
    fn the_json_of_a_collection_is_a_promise() {
        let plan = plan();
        let done = Some(Collected { removed: 6, changed: 2, freed: 310 << 20 });
        insta::assert_json_snapshot!(json::Collection::new(&Outcome { plan: &plan, done, took: Duration::from_millis(140) }));
        insta::assert_json_snapshot!(json::Collection::new(&Outcome { plan: &Plan::default(), done: None, took: Duration::ZERO }));
    }
}
