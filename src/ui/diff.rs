//! What `diff` shows.

use std::collections::BTreeSet;
use std::io;

use image_composer::build::{Checked, PackageCounts};
use image_composer::inspect::{Change, Difference, FileChange, FileState, FolderChange, PartitionReport};
use image_composer::units::{ByteSize, human_duration};
use serde::Serialize;

use super::stream::Stream;
use super::table::{Align, table};
use super::{Ui, data, lock, text};

/// Files that are shown where not all are asked for.
const SHOWN: usize = 50;

/// Files that a check shows.
const FIRST: usize = 10;

/// Folders that are shown.
const FOLDERS: usize = 10;

impl Ui {
    /// Shows how two images differ; `all` is whether to show all files.
    pub(crate) fn difference(self, difference: &Difference, all: bool, json: bool) -> io::Result<()> {
        if json {
            return data::json(difference);
        }
        data::text(&report(difference, if all { usize::MAX } else { SHOWN }, self.out))?;
        self.say(&summary(difference));
        Ok(())
    }
}

impl Ui {
    /// Shows what came of a build beside a kept image: its first differences, or that there are none.
    pub(crate) fn checked(self, checked: &Checked, json: bool) -> io::Result<()> {
        let id = checked.kept.spec_hash.short();
        let took = human_duration(checked.duration);
        match &checked.difference {
            None => self.say(&format!("{id} is the same, byte by byte, when it is built again: {}, {took}", ByteSize(checked.kept.raw_len))),
            Some(difference) => self.say(&format!("{}, {took}", summary(difference))),
        }
        if json {
            return data::json(&CheckedDocument::new(checked));
        }
        checked.difference.iter().try_for_each(|difference| data::text(&first_differences(difference)))
    }
}

/// `build --check --json`.
#[derive(Serialize)]
struct CheckedDocument<'a> {
    /// `same` or `differs`.
    outcome: &'static str,
    spec_hash: String,
    name: &'a str,
    version: &'a str,
    /// BLAKE3 of the kept disk.
    image_digest: String,
    /// BLAKE3 of the disk that was built beside it.
    built_digest: String,
    /// `{"total", "fetched", "fetched_bytes", "present"}`.
    packages: &'a PackageCounts,
    /// As `diff --json` has it; null where the outcome is `same`.
    difference: Option<&'a Difference>,
    seconds: f64,
}

impl<'a> CheckedDocument<'a> {
    fn new(of: &'a Checked) -> Self {
        Self {
            outcome: if of.difference.is_some() { "differs" } else { "same" },
            spec_hash: of.kept.spec_hash.to_string(),
            name: &of.kept.name,
            version: &of.kept.version,
            image_digest: of.kept.raw_digest.to_string(),
            built_digest: of.digest.to_string(),
            packages: &of.packages,
            difference: of.difference.as_ref(),
            seconds: of.duration.as_secs_f64(),
        }
    }
}

/// The first files that differ, with their partitions; the first byte where no file does.
fn first_differences(of: &Difference) -> String {
    let place = |number: Option<u32>| number.map_or_else(String::new, |number| format!("partition {number}: "));
    let lines = of.files.iter().take(FIRST).map(|change| place(change.partition) + &file(change));
    let lines: String = lines.chain(rest(of, FIRST, "--json has them all")).collect();
    match &of.first_byte {
        Some(first) if of.files.is_empty() => {
            format!("{}byte {} of the disk, which belongs to no file that is read\n", place(first.partition), first.offset)
        }
        None if of.files.is_empty() => format!("the disk: {} -> {} bytes\n", of.size.from, of.size.to),
        _ => lines,
    }
}

/// One line of what differs.
pub(super) fn summary(of: &Difference) -> String {
    let pair = format!("{} and {}", of.images.from, of.images.to);
    if of.same {
        return format!("{pair} are the same, byte by byte");
    }
    if !of.has_visible() {
        return format!("{pair} have the same partitions, packages and files{}", first_byte(of));
    }
    let packages = of.packages.as_ref().map_or_else(|| "packages are not known".to_owned(), |packages| text::count(packages.len() as u64, "package"));
    let files = text::count(of.files.len() as u64, "file");
    let (from, to) = (of.files_total.from.bytes, of.files_total.to.bytes);
    let bytes = if from == to { "as many bytes".to_owned() } else { format!("{} of content", growth(from, to)) };
    format!("{pair} differ: {packages}, {files}, {bytes}")
}

fn first_byte(of: &Difference) -> String {
    let Some(first) = &of.first_byte else { return format!(", and disks of {} and {} bytes", of.size.from, of.size.to) };
    let place = first.partition.map_or_else(|| "outside of partitions".to_owned(), |number| format!("in partition {number}"));
    format!("; the first byte that differs is at {} ({place}), and belongs to no file that is read", first.offset)
}

pub(super) fn report(of: &Difference, shown: usize, stream: Stream) -> String {
    let mut sections = Vec::new();
    sections.push(of.packages.iter().flatten().map(lock::line).collect::<String>());
    sections.push(of.partitions.iter().map(|change| partition(change.number, change.from.as_ref(), change.to.as_ref())).collect());
    sections.push(of.files.iter().take(shown).map(file).chain(rest(of, shown, "--all shows them")).collect());
    let row = |folder: &FolderChange| {
        let size = |bytes| ByteSize(bytes).to_string();
        [growth(folder.from, folder.to), size(folder.from), size(folder.to), text::printable(&folder.path).replace(['\t', '\n'], " ")]
    };
    let rows: Vec<_> = telling(&of.folders).into_iter().take(FOLDERS).map(row).collect();
    if !rows.is_empty() {
        sections.push(table([("GROWTH", Align::Right), ("BEFORE", Align::Right), ("AFTER", Align::Right), ("FOLDER", Align::Left)], &rows, stream));
    }
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

/// How many files are not shown, and how they are.
fn rest(of: &Difference, shown: usize, how: &str) -> Option<String> {
    of.files.len().checked_sub(shown).filter(|rest| *rest > 0).map(|rest| format!("… and {rest} more: {how}\n"))
}

/// `+1.20 MiB`.
fn growth(from: u64, to: u64) -> String {
    format!("{}{}", if to < from { "-" } else { "+" }, ByteSize(from.abs_diff(to)))
}

/// Folders that say more than one beneath them does: where nine tenths of the bytes are in one folder, that one is told.
fn telling(folders: &[FolderChange]) -> Vec<&FolderChange> {
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| if parent.is_empty() { "/".to_owned() } else { parent.to_owned() });
    let explains = |child: &FolderChange, of: &FolderChange| {
        let (part, all) = (child.from.abs_diff(child.to), of.from.abs_diff(of.to));
        (child.to > child.from) == (of.to > of.from) && part <= all && u128::from(part) * 10 >= u128::from(all) * 9
    };
    let mut beneath: std::collections::HashMap<String, Vec<&FolderChange>> = std::collections::HashMap::new();
    for folder in folders.iter().filter(|folder| folder.path != "/") {
        if let Some(parent) = parent(&folder.path) {
            beneath.entry(parent).or_default().push(folder);
        }
    }
    let is_explained =
        |folder: &&FolderChange| beneath.get(&folder.path).is_some_and(|children| children.iter().any(|child| explains(child, folder)));
    folders.iter().filter(|folder| !is_explained(folder)).collect()
}

fn partition(number: Option<u32>, from: Option<&PartitionReport>, to: Option<&PartitionReport>) -> String {
    let name = number.map_or_else(|| "the disk".to_owned(), |number| format!("partition {number}"));
    let shape = |of: &PartitionReport| {
        let filesystem = of.filesystem.as_ref().map_or("nothing that is known", |filesystem| filesystem.kind.as_str());
        let at = if of.number.is_some() { format!(" at {}", of.start) } else { String::new() };
        let place = of.mount_point.as_ref().map(|place| format!(" for {place}")).unwrap_or_default();
        format!("{} {filesystem}{at}, {}{place}", of.kind, ByteSize(of.size)).trim_start().to_owned()
    };
    let line = match (from, to) {
        (None, Some(to)) => format!("+ {name}: {}", shape(to)),
        (Some(from), None) => format!("- {name}: {}", shape(from)),
        (Some(from), Some(to)) => format!("~ {name}: {} -> {}", shape(from), shape(to)),
        (None, None) => String::new(),
    };
    text::printable(&line).replace(['\t', '\n'], " ") + "\n"
}

/// A line for a file that differs.
pub(super) fn file(of: &FileChange) -> String {
    let size = |state: &Option<FileState>| match state {
        Some(state) if state.kind == "file" => format!(", {}", ByteSize(state.size)),
        Some(state) => format!(", {}", state.kind),
        None => String::new(),
    };
    let line = match of.change {
        Change::Added => format!("+ {}{}", of.path, size(&of.to)),
        Change::Removed => format!("- {}{}", of.path, size(&of.from)),
        Change::Changed => format!("~ {}: {}", of.path, of.what.iter().map(|what| how(what, of)).collect::<Vec<_>>().join(", ")),
    };
    text::printable(&line).replace(['\t', '\n'], " ") + "\n"
}

fn how(what: &str, of: &FileChange) -> String {
    let (Some(from), Some(to)) = (&of.from, &of.to) else { return what.to_owned() };
    let none = "none";
    match what {
        "content" if from.size == to.size => format!("content, {} as before", ByteSize(to.size)),
        "content" => format!("content, {} -> {}", ByteSize(from.size), ByteSize(to.size)),
        "mode" => format!("mode {} -> {}", from.mode.as_deref().unwrap_or(none), to.mode.as_deref().unwrap_or(none)),
        "owner" => format!("owner {}:{} -> {}:{}", from.uid, from.gid, to.uid, to.gid),
        "attributes" => attributes(from, to),
        "link" => format!("link to {} -> {}", from.target.as_deref().unwrap_or(none), to.target.as_deref().unwrap_or(none)),
        "kind" => format!("{} -> {}", from.kind, to.kind),
        "time" => format!("changed at {} -> {}", from.modified, to.modified),
        other => other.to_owned(),
    }
}

/// The extended attributes that differ.
fn attributes(from: &FileState, to: &FileState) -> String {
    let value = |state: &FileState, name: &str| state.attributes.iter().find(|attribute| attribute.name == name).map(|found| found.value.clone());
    let names: BTreeSet<&String> = from.attributes.iter().chain(&to.attributes).map(|attribute| &attribute.name).collect();
    let values = names.into_iter().map(|name| (name, value(from, name), value(to, name))).filter(|(_, from, to)| from != to);
    let shown = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    values.map(|(name, from, to)| format!("{name} {} -> {}", shown(from), shown(to))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use image_composer::inspect::{Attribute, FirstByte, Pair, Totals};
    use image_composer::resolve::PackageChange;

    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn state(kind: &'static str, size: u64, mode: u16) -> FileState {
        FileState {
            kind,
            size,
            mode: Some(format!("{mode:04o}")),
            uid: 0,
            gid: 0,
            target: (kind == "link").then(|| format!("to{size}")),
            attributes: Vec::new(),
            modified: 5,
        }
    }

    fn with_capability(value: Option<&str>) -> FileState {
        let attribute = |name: &str, value: &str| Attribute { name: text(name), value: text(value) };
        let attributes = [Some(attribute("user.note", "kept")), value.map(|value| attribute("security.capability", value))];
        FileState { attributes: attributes.into_iter().flatten().collect(), ..state("file", 1, 0o755) }
    }

    fn change(path: &str, change: Change, what: &[&'static str], from: Option<FileState>, to: Option<FileState>) -> FileChange {
        FileChange { path: text(path), partition: Some(2), change, what: what.to_vec(), from, to }
    }

    pub(super) fn difference() -> Difference {
        let folder = |path: &str, from, to| FolderChange { path: text(path), from, to };
        Difference {
            same: false,
            images: Pair { from: text("3f9a12c4e01b"), to: text("b.raw") },
            size: Pair { from: 1 << 30, to: 1 << 30 },
            used: Pair { from: 500 << 20, to: 501 << 20 },
            files_total: Pair { from: Totals { count: 10, bytes: 1 << 20 }, to: Totals { count: 11, bytes: 2 << 20 } },
            packages: Some(vec![PackageChange::Added { name: text("less"), version: text("590-2") }]),
            partitions: Vec::new(),
            files: vec![
                change("/a", Change::Added, &[], None, Some(state("file", 2048, 0o644))),
                change("/b", Change::Removed, &[], Some(state("folder", 0, 0o755)), None),
                change("/c", Change::Changed, &["content", "mode", "time"], Some(state("file", 1, 0o644)), Some(state("file", 2, 0o755))),
                change("/cap", Change::Changed, &["attributes"], Some(with_capability(None)), Some(with_capability(Some("cap_net_raw=ep")))),
                change("/d\u{1b}", Change::Changed, &["link"], Some(state("link", 1, 0o777)), Some(state("link", 2, 0o777))),
                change("/e", Change::Changed, &["kind", "owner"], Some(state("file", 1, 0o777)), Some(state("link", 2, 0o777))),
            ],
            folders: vec![
                folder("/", 1 << 20, 2 << 20),
                folder("/usr", 1 << 20, 2 << 20),
                folder("/usr/a", 0, 700 << 10),
                folder("/usr/b", 0, 324 << 10),
            ],
            first_byte: Some(FirstByte { offset: 1234, partition: Some(2) }),
        }
    }

    #[test]
    fn what_differs_is_a_line_each() {
        let mut of = difference();
        let whole = format!("{}\n{}", report(&of, 5, Stream::PLAIN), summary(&of));
        (of.packages, of.files) = (Some(Vec::new()), Vec::new());
        let hidden = summary(&of);
        of.same = true;
        let shown = [whole, hidden, summary(&of)].join("\n");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn the_json_is_a_promise() {
        insta::assert_json_snapshot!(difference());
    }
}
