//! `cache gc` and `cache clean`, and what the limits made go after other commands.

use image_composer::cache::collect::{Collected, Entry, Kept, Limit, Name, Reason, Sizes};
use serde::Serialize;

use crate::ui::collect::Outcome;

/// `cache gc` and `cache clean`.
#[derive(Serialize)]
pub(in crate::ui) struct Collection<'a> {
    /// Whether nothing was changed.
    dry_run: bool,
    /// The names that go, in their order.
    entries: Vec<Gone<'a>>,
    /// What nothing referred to before.
    unreferenced: Blobs,
    packs: Packs,
    /// Bytes on disk before, and after all of the plan.
    before: Bytes,
    after: Bytes,
    /// What stays although its turn had come.
    kept: Stayed,
    /// Limits that are not met even so.
    unmet: &'a [Limit],
    /// Bytes on disk that the plan frees.
    would_free: u64,
    /// Null for a dry run.
    done: Option<Done>,
    seconds: f64,
}

/// A name that goes.
#[derive(Serialize)]
struct Gone<'a> {
    #[serde(flatten)]
    name: What<'a>,
    /// `age`, `size`, `count`, `room`, `asked` or `leftover`.
    because: &'static str,
    /// Bytes that nothing else needs.
    bytes: u64,
    last_used: u64,
    uses: u32,
}

#[derive(Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum What<'a> {
    Package { name: &'a str, version: &'a str, arch: &'a str, repository: &'a str },
    Metadata { archive: &'a str, path: &'a str },
    Plain { archive: &'a str, package: &'a str },
    Image { spec_hash: String, name: &'a str, version: &'a str },
    Root { key: String, name: &'a str },
    Partial { path: String },
    Quarantined { path: String },
    Orphan { path: String },
}

#[derive(Serialize)]
struct Blobs {
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Packs {
    /// Removed whole.
    empty: u64,
    /// Written anew without what nothing needs.
    rewritten: u64,
}

#[derive(Serialize)]
struct Bytes {
    packages: u64,
    images: u64,
}

#[derive(Serialize)]
struct Stayed {
    pinned: u64,
    in_use: u64,
}

#[derive(Serialize)]
struct Done {
    /// How many names went.
    removed: u64,
    /// How many of the plan stayed, because they were used or pinned since.
    stayed: u64,
    /// Bytes on disk.
    freed: u64,
}

impl<'a> Collection<'a> {
    pub(in crate::ui) fn new(outcome: &Outcome<'a>) -> Self {
        let plan = outcome.plan;
        let bytes = |Sizes { packages, images }: Sizes| Bytes { packages, images };
        let Kept { pinned, in_use } = plan.kept;
        let (count, unreferenced) = plan.unreferenced;
        Self {
            dry_run: outcome.done.is_none(),
            entries: plan.entries.iter().map(Gone::from).collect(),
            unreferenced: Blobs { count, bytes: unreferenced },
            packs: Packs { empty: plan.empty_packs, rewritten: plan.half_packs },
            before: bytes(plan.before),
            after: bytes(plan.after),
            kept: Stayed { pinned, in_use },
            unmet: &plan.unmet,
            would_free: plan.freed,
            done: outcome.done.map(|Collected { removed, changed, freed }| Done { removed, stayed: changed, freed }),
            seconds: outcome.took.as_secs_f64(),
        }
    }
}

impl<'a> From<&'a Entry> for Gone<'a> {
    fn from(entry: &'a Entry) -> Self {
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let name = match &entry.name {
            Name::Package(package) => {
                let (name, version, arch, repository) = (package.name(), package.version(), package.arch(), package.repository());
                What::Package { name, version, arch, repository }
            }
            Name::Metadata { archive, path } => What::Metadata { archive, path },
            Name::Plain { archive, package } => What::Plain { archive, package },
            Name::Image { spec_hash, name, version } => What::Image { spec_hash: spec_hash.to_string(), name, version },
            Name::Root { key, name } => What::Root { key: key.to_string(), name },
            Name::Partial(file) => What::Partial { path: path(file) },
            Name::Quarantined(file) => What::Quarantined { path: path(file) },
            Name::Orphan(file) => What::Orphan { path: path(file) },
        };
        let because = match entry.because {
            Reason::Age => "age",
            Reason::Size => "size",
            Reason::Count => "count",
            Reason::Room => "room",
            Reason::Asked => "asked",
            Reason::Leftover => "leftover",
        };
        Self { name, because, bytes: entry.bytes, last_used: entry.last_used, uses: entry.uses }
    }
}
