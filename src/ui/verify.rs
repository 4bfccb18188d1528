//! What `cache verify` shows.

use std::io;
use std::time::Duration;

use image_composer::cache::verify::{Owner, Verification, owner_of};
use image_composer::digest::Digest;
use image_composer::store::{Checked, Findings, Object, Repaired, WrongRow};
use image_composer::units::{ByteSize, human_duration};
use serde::Serialize;

use super::{Ui, data, problem, text};

impl Ui {
    /// Shows the findings: a line for each, or everything as JSON, and a closing line with numbers.
    pub(crate) fn verified(self, outcome: &Verification, took: Duration, json: bool) -> io::Result<()> {
        if json {
            data::json(&Report::new(outcome, took))?;
        } else {
            data::text(&lines(outcome).iter().map(|line| text::printable(line).into_owned() + "\n").collect::<String>())?;
        }
        self.say(&closing_line(outcome, took));
        if let Some(repaired) = &outcome.repaired {
            self.say(&repair_line(repaired));
        }
        Ok(())
    }
}

/// Shows that there is no store to verify.
pub(crate) fn nothing_to_verify(ui: Ui, json: bool) -> io::Result<()> {
    let nothing = Verification { findings: Findings::default(), owners: Vec::new(), repaired: None };
    ui.verified(&nothing, Duration::ZERO, json)
}

fn lines(outcome: &Verification) -> Vec<String> {
    let Findings { damaged, framing, rows, names, images, counts, counters, orphans, strangers, .. } = &outcome.findings;
    let mut lines = Vec::new();
    for (damage, owners) in damaged.iter().zip(&outcome.owners) {
        let what = if let Object::Chunk(digest) = damage.object { format!("chunk {} in ", digest.short()) } else { String::new() };
        lines.push(format!("damaged: {what}{}: {}", damage.path.display(), problem::chain(&damage.problem)));
        if owners.is_empty() {
            lines.push("  nothing needs it".to_owned());
        }
        lines.extend(owners.iter().map(|owner| format!("  {}: {}", called(owner), owner.remedy())));
    }
    for framing in framing {
        let (path, problem) = (framing.damage.path.display(), problem::chain(&framing.damage.problem));
        lines.push(format!("damaged: {path}: {problem}; the chunks in it are whole, and --repair writes the pack again"));
    }
    for row in rows {
        let (kind, digest) = row_object(row);
        lines.push(format!("wrong in the index: {kind} {digest}: its row says something else than its file"));
    }
    for wrong in names {
        let name = owner_of(&wrong.name, &outcome.findings).map_or_else(|| "a name".to_owned(), |owner| called(&owner));
        lines.push(format!("wrong in the index: {name}: {}", wrong.reason));
    }
    for (key, _) in images {
        if let Some(owner) = owner_of(&image_composer::store::Name::Image(*key), &outcome.findings) {
            lines.push(format!("incomplete: {}: {}", called(&owner), owner.remedy()));
        }
    }
    for count in counts {
        let (kind, digest) = object(&count.object);
        lines.push(format!("wrong in the index: {kind} {digest}: {} references instead of {}", count.found, count.counted));
    }
    if *counters > 0 {
        lines.push(format!("wrong in the index: {counters} counters are not what its rows add up to"));
    }
    lines.extend(orphans.iter().map(|orphan| format!("orphan: {}, {}", orphan.path.display(), ByteSize(orphan.len))));
    lines.extend(strangers.iter().map(|path| format!("not of a store: {}", path.display())));
    lines
}

fn called(owner: &Owner) -> String {
    match owner {
        Owner::Package(coordinates) => coordinates.to_string(),
        Owner::Metadata { archive, path } => format!("{path} of {archive}"),
        Owner::Image(image) => match &image.name {
            Some((name, version)) => format!("image {} ({name} {version})", image.spec_hash.short()),
            None => format!("image {}", image.spec_hash.short()),
        },
    }
}

pub(super) fn object(object: &Object) -> (&'static str, String) {
    match object {
        Object::Blob(digest) => ("blob", digest.to_string()),
        Object::Chunk(digest) => ("chunk", digest.to_string()),
        Object::Pack(digest) => ("pack", digest.to_string()),
    }
}

fn row_object(row: &WrongRow) -> (&'static str, String) {
    match row {
        WrongRow::Blob(digest) => ("blob", digest.to_string()),
        WrongRow::Chunk(digest, _) => ("chunk", digest.to_string()),
        WrongRow::Pack(digest) => ("pack", digest.to_string()),
        WrongRow::Image(digest) => ("image", digest.to_string()),
    }
}

fn closing_line(outcome: &Verification, took: Duration) -> String {
    let Checked { blobs, packs, chunks, bytes } = outcome.findings.checked;
    let [blobs, packs, chunks] = [(blobs, "blob"), (packs, "pack"), (chunks, "chunk")].map(|(number, noun)| text::count(number, noun));
    let Findings { damaged, framing, rows, names, images, counts, counters, orphans, .. } = &outcome.findings;
    let found = [
        (damaged.len() + framing.len(), "damaged"),
        (rows.len() + names.len() + counts.len() + *counters as usize, "wrong in the index"),
        (images.len(), "incomplete"),
        (orphans.len(), "that nothing knows"),
    ];
    let found: Vec<String> = found.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    let found = if found.is_empty() { "all is well".to_owned() } else { found.join(", ") };
    format!("checked {blobs}, {packs} and {chunks}, {} in {}: {found}", ByteSize(bytes), human_duration(took))
}

fn repair_line(repaired: &Repaired) -> String {
    let Repaired { given_up, corrected, names_removed, images_marked, orphans_removed, bytes_freed, names_written } = *repaired;
    let done = [
        (given_up, "counted as missing"),
        (corrected, "corrected"),
        (names_removed, "names removed"),
        (names_written, "names written"),
        (images_marked, "images to be built again"),
        (orphans_removed, "orphans removed"),
    ];
    let done: Vec<String> = done.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    if done.is_empty() {
        "repair: there was nothing to do".to_owned()
    } else {
        format!("repair: {}, {} freed", done.join(", "), ByteSize(bytes_freed))
    }
}

/// `cache verify --json`. Promised: fields may come, none goes.
#[derive(Serialize)]
struct Report {
    checked: Numbers,
    damaged: Vec<Damaged>,
    /// Wrong in a pack or in the index, and put right by `--repair` without loss.
    mendable: Vec<Mendable>,
    names: Vec<WrongName>,
    images: Vec<Belongs>,
    counts: Vec<Count>,
    /// How many counters of the index are wrong.
    counters: u64,
    orphans: Vec<Orphan>,
    strangers: Vec<String>,
    unwritten_names: usize,
    known_lost: u64,
    repaired: Option<Mended>,
    seconds: f64,
}

#[derive(Serialize)]
struct Numbers {
    blobs: u64,
    packs: u64,
    chunks: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Damaged {
    object: &'static str,
    digest: String,
    path: String,
    problem: String,
    belongs_to: Vec<Belongs>,
}

#[derive(Serialize)]
struct Belongs {
    kind: &'static str,
    /// As people write it; null for an image whose record is lost.
    name: Option<String>,
    /// Of an image.
    spec_hash: Option<String>,
    remedy: &'static str,
}

#[derive(Serialize)]
struct Mendable {
    object: &'static str,
    digest: String,
    problem: String,
}

#[derive(Serialize)]
struct WrongName {
    kind: &'static str,
    name: Option<String>,
    problem: &'static str,
}

#[derive(Serialize)]
struct Count {
    object: &'static str,
    digest: String,
    found: u32,
    counted: u32,
}

#[derive(Serialize)]
struct Orphan {
    path: String,
    size: u64,
}

#[derive(Serialize)]
struct Mended {
    given_up: u64,
    corrected: u64,
    names_removed: u64,
    names_written: u64,
    images_marked: u64,
    orphans_removed: u64,
    bytes_freed: u64,
}

impl From<&Owner> for Belongs {
    fn from(owner: &Owner) -> Self {
        let remedy = owner.remedy();
        match owner {
            Owner::Package(coordinates) => Self { kind: "package", name: Some(coordinates.to_string()), spec_hash: None, remedy },
            Owner::Metadata { archive, path } => Self { kind: "metadata", name: Some(format!("{archive} {path}")), spec_hash: None, remedy },
            Owner::Image(image) => {
                let name = image.name.as_ref().map(|(name, version)| format!("{name} {version}"));
                Self { kind: "image", name, spec_hash: Some(image.spec_hash.to_string()), remedy }
            }
        }
    }
}

impl Report {
    fn new(outcome: &Verification, took: Duration) -> Self {
        let findings = &outcome.findings;
        let Checked { blobs, packs, chunks, bytes } = findings.checked;
        let damaged = findings.damaged.iter().zip(&outcome.owners).map(|(damage, owners)| {
            let (object, digest) = object(&damage.object);
            let (path, problem) = (damage.path.to_string_lossy().into_owned(), problem::chain(&damage.problem));
            Damaged { object, digest, path, problem, belongs_to: owners.iter().map(Belongs::from).collect() }
        });
        let framing = findings.framing.iter().map(|framing| {
            let (object, digest) = object(&framing.damage.object);
            Mendable { object, digest, problem: problem::chain(&framing.damage.problem) }
        });
        let rows = findings.rows.iter().map(|row| {
            let (object, digest) = row_object(row);
            Mendable { object, digest, problem: "its row says something else than its file".to_owned() }
        });
        let name = |wrong: &image_composer::store::WrongName| {
            let belongs = owner_of(&wrong.name, findings).as_ref().map(Belongs::from);
            let kind = belongs.as_ref().map_or("unknown", |belongs| belongs.kind);
            WrongName { kind, name: belongs.and_then(|belongs| belongs.name.or(belongs.spec_hash)), problem: wrong.reason }
        };
        let image = |(key, _): &(Digest, Digest)| owner_of(&image_composer::store::Name::Image(*key), findings).as_ref().map(Belongs::from);
        let count = |count: &image_composer::store::WrongCount| {
            let (object, digest) = object(&count.object);
            Count { object, digest, found: count.found, counted: count.counted }
        };
        let orphan = |orphan: &image_composer::store::Orphan| Orphan { path: orphan.path.to_string_lossy().into_owned(), size: orphan.len };
        let mended = |repaired: &Repaired| {
            let Repaired { given_up, corrected, names_removed, images_marked, names_written, orphans_removed, bytes_freed } = *repaired;
            Mended { given_up, corrected, names_removed, names_written, images_marked, orphans_removed, bytes_freed }
        };
        Self {
            checked: Numbers { blobs, packs, chunks, bytes },
            damaged: damaged.collect(),
            mendable: framing.chain(rows).collect(),
            names: findings.names.iter().map(name).collect(),
            images: findings.images.iter().filter_map(image).collect(),
            counts: findings.counts.iter().map(count).collect(),
            counters: findings.counters,
            orphans: findings.orphans.iter().map(orphan).collect(),
            strangers: findings.strangers.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            unwritten_names: findings.unwritten.len(),
            known_lost: findings.known_lost,
            repaired: outcome.repaired.as_ref().map(mended),
            seconds: took.as_secs_f64(),
        }
    }
}
