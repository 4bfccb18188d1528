//! The way of a miss: from repositories to a raw disk.

use std::path::Path;

use super::output::OutputDir;
use super::{Build, Chosen, Error, MissReason, PackageCounts, Report, Resolved, RootOutcome, packages, plan, room, root, tidy, worker};
use crate::bill::Facts;
use crate::fetch::Client;
use crate::repo::PackageRecord;
use crate::resolve::{Lock, Matched};
use crate::root::Source;
use crate::root::sandbox::Mapping;
use crate::store::{Options, Store};
use crate::units::ByteSize;

/// How often a build begins again because packages in the store turn out to be damaged. A disk that damages more is no place for a store.
const ATTEMPTS: u32 = 5;

/// A raw disk that was made.
pub(super) struct Made {
    pub(super) lock: Lock,
    pub(super) facts: Vec<Facts>,
    pub(super) counts: PackageCounts,
    pub(super) root: Option<RootOutcome>,
    pub(super) matched: Vec<Matched>,
    /// Who made it.
    pub(super) worker: worker::Leaving,
}

impl Build<'_> {
    /// The way of a miss: from repositories to the output files.
    pub(super) fn build(&self, because: MissReason, resolved: Option<Box<Resolved>>) -> Result<Report, Error> {
        // What the host must have, before anything is downloaded.
        let mapping = Mapping::of_this_process()?;
        let scratch = self.scratch()?;
        let client = self.client()?;
        let chosen = self.choose(&client, scratch.path(), resolved)?;
        room::check(&self.request.spec.spec, installed_size(&chosen.records))?;
        let time = self.time(&chosen.lock);
        let dir = OutputDir::prepare(self.request)?;
        let raw = dir.partial()?;
        let made = self.make(&mapping, &client, scratch.path(), chosen, time, raw.path())?;
        self.finish(because, made, time, &dir, raw)
    }

    /// The raw disk of these packages, in the file `raw`.
    pub(super) fn make(&self, mapping: &Mapping, client: &Client, scratch: &Path, chosen: Chosen, time: u64, raw: &Path) -> Result<Made, Error> {
        let Chosen { lock, records, matched, facts, mut gathered } = chosen;
        let installed = installed_size(&records);
        let roots = self.roots.map(|store| root::Roots::new(store, self.request, &records, time, self.progress, self.cancel)).transpose()?;
        let layout = plan::disk(&self.request.spec, *self.request.spec.hash(self.request.source_date_epoch).digest(), time);
        let bill = self.bill_inside(&lock, &facts, time, scratch)?;
        let root = |records: &[PackageRecord], sources| {
            let mut plan = plan::root(&self.request.spec, records, sources, time, self.request.workers.unpack);
            // First, so that a file of the spec can take its place.
            plan.files.splice(0..0, bill.clone());
            plan
        };
        let task = |records: &[PackageRecord], sources, start| worker::Task {
            root: root(records, sources),
            start,
            layout: layout.clone(),
            boot: plan::boot(&self.request.spec),
            disk: std::path::absolute(raw).unwrap_or_else(|_| raw.to_owned()),
            scratch: scratch.to_owned(),
            estimate: installed,
        };
        let mut counts = PackageCounts { total: records.len(), ..PackageCounts::default() };
        let mut attempts = ATTEMPTS;
        let mut taken = roots.as_ref().map(|roots| roots.take(usize::MAX)).transpose()?.unwrap_or_default();
        loop {
            let places = roots.as_ref().map(|roots| roots.places(scratch, installed, &taken)).unwrap_or_default();
            let start = worker::Start { tree: taken.tree.as_ref().map(|(_, parts)| parts.clone()), stages: taken.stages, save: places.clone() };
            let task = if taken.is_whole {
                task(&[], Vec::new(), start)
            } else {
                let again = || self.sources(client, &records, taken.stages, scratch);
                let (sources, found) = gathered.take().map_or_else(again, Ok)?;
                counts = found.after(counts);
                task(&records, sources, start)
            };
            let keeping = roots.as_ref().map(|roots| root::Keeping::new(roots, &lock, &records, &places));
            let keep = |stage| keeping.iter().for_each(|keeping| keeping.keep(stage));
            match worker::run(mapping, &task, &keep, self.progress, self.cancel) {
                Ok(worker) => {
                    if let Some(roots) = &roots {
                        roots.count(&taken);
                    }
                    let root = keeping.map(|keeping| match (taken.stages, keeping.has_kept()) {
                        _ if taken.is_whole => RootOutcome::Hit,
                        (0, kept) => RootOutcome::Installed { kept },
                        (_, kept) => RootOutcome::Base { kept },
                    });
                    return Ok(Made { lock, facts, counts, root, matched, worker });
                }
                // The store has damaged bytes: they are marked as lost, and the package is fetched again.
                Err(Error::Worker(failure)) if attempts > 1 && self.lost(&failure)? => attempts -= 1,
                Err(Error::Worker(failure)) if failure.unreadable_root && taken.tree.is_some() => {
                    taken = roots.as_ref().map(|roots| roots.take_instead_of(&taken)).transpose()?.unwrap_or_default();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the bytes of the packages are; those of the first `stages` are installed already.
    fn sources(&self, client: &Client, records: &[PackageRecord], stages: usize, scratch: &Path) -> Result<(Vec<Source>, PackageCounts), Error> {
        let to_install: Vec<bool> = plan::relations(&self.request.spec, records).iter().map(|relations| relations.stage >= stages).collect();
        let wanted: Vec<PackageRecord> = records.iter().zip(&to_install).filter(|(_, wanted)| **wanted).map(|(record, _)| record.clone()).collect();
        let gathered = packages::gather(self.request, self.packages, client, &wanted, scratch, self.progress, self.cancel);
        let (sources, counts) = gathered.map_err(|error| match error {
            Error::NotAvailableOffline { missing, spec, .. } => Error::NotAvailableOffline { missing, total: records.len(), spec },
            other => other,
        })?;
        let mut sources = sources.into_iter();
        let each = to_install.into_iter().map(|wanted| if wanted { sources.next() } else { None }.unwrap_or(Source::Installed));
        Ok((each.collect(), PackageCounts { total: records.len(), ..counts }))
    }

    /// The same for a store that has no room for what the build needs: it is only looked at then, and the rest lies among the temporary files.
    pub(super) fn build_beside(&self, because: MissReason, full: Error) -> Result<Report, Error> {
        let Some(store) = self.packages.or(self.images).filter(|store| store.is_writable()) else { return Err(full) };
        let options = Options { cancel: self.cancel.clone(), look_only: true, ..Options::from_env()? };
        let looking = Store::open_with(store.dir(), options)?;
        let room = tidy::room_hint(store, &self.request.limits).map_or_else(String::new, |hint| format!("; {hint}"));
        self.warn(&format!("there is no room in the store {}: the build goes on beside it, and keeps nothing{room}", store.dir().display()));
        let packages = self.packages.map(|_| &looking);
        Build {
            request: self.request,
            hash: self.hash,
            images: None,
            packages,
            roots: None,
            journal: self.journal,
            progress: self.progress,
            cancel: self.cancel,
            begun: self.begun,
        }
        .build(because, None)
    }

    /// The latest time of any file: what the environment says, else the date of the newest repository.
    pub(super) fn time(&self, lock: &Lock) -> u64 {
        self.request.source_date_epoch.unwrap_or_else(|| lock.releases.iter().map(|release| release.date).max().unwrap_or(0))
    }

    /// Whether the worker failed because of a blob that is damaged; it is marked as lost.
    fn lost(&self, failure: &worker::WorkerFailure) -> Result<bool, Error> {
        match (self.packages, &failure.unreadable_blob) {
            (Some(store), Some(digest)) => match store.verify_blob(digest) {
                Err(error) if error.is_damage() => Ok(true),
                other => other.map(|()| false).map_err(Error::from),
            },
            _ => Ok(false),
        }
    }
}

/// What packages take when they are installed, as they say.
pub(super) fn installed_size(records: &[PackageRecord]) -> ByteSize {
    ByteSize(records.iter().fold(0, |sum: u64, record| sum.saturating_add(record.installed_size)))
}
