//! Everything that is read of a disk, from any bytes: for the fuzz target and the tests of hostile input.

use super::disk::Disk;
use super::node::{Kind, Limits};
use super::problem::Problem;
use super::{boot, packages, report, system};
use crate::disk::formats::Source;
use crate::progress::Cancel;

/// Of each file, so much is read.
const CONTENT: u64 = 64 << 10;

/// Reads a disk as `inspect` does, and of its files what `diff` would; returns how many names it has.
///
/// # Errors
/// The first part that cannot be read.
///
/// # Panics
/// Where what was read is not what it says of itself.
pub fn examine(source: &dyn Source, limits: Limits) -> Result<usize, Problem> {
    let mut disk = Disk::read(source, limits, &Cancel::default())?;
    let first = if disk.problems.is_empty() { None } else { Some(disk.problems.remove(0).1) };
    let read = (boot::read(&disk), packages::read(&disk, None), system::users(&disk), system::os(&disk), system::hostname(&disk));
    let _ = (boot::kernels(&disk), report::totals(&disk), disk.parts.iter().map(report::partition).count());
    let mut content = Ok(());
    for at in disk.tree.values() {
        let node = disk.node(*at);
        let part = &disk.parts[at.0];
        content = content.and(part.attributes(node).map(|attributes| drop(super::attributes::shown(&attributes))));
        let Some(files) = part.files.as_ref().filter(|_| node.kind == Kind::File) else { continue };
        let runs = files.filesystem.runs(node);
        if let Ok(runs) = &runs {
            assert_eq!(runs.iter().map(|run| run.len).sum::<u64>(), node.size, "the runs are the file");
            assert!(runs.iter().all(|run| run.at.is_none_or(|at| at + run.len <= part.volume.len)), "all runs are in the volume");
        }
        content = content.and(runs.and_then(|runs| part.volume.read_runs(&runs, CONTENT)).map(drop));
    }
    assert!(disk.tree.values().all(|at| disk.node(*at).path.len() < 1 << 16), "paths are bounded");
    match first {
        Some(problem) => Err(problem),
        None => read
            .0
            .map(drop)
            .and(read.1.map(drop))
            .and(read.2.map(drop))
            .and(read.3.map(drop))
            .and(read.4.map(drop))
            .and(content)
            .map(|()| disk.tree.len()),
    }
}
