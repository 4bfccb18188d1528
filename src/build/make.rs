//! The way of a miss: from repositories to a raw disk.

use std::path::Path;
use std::sync::mpsc;

use super::error::with_causes;
use super::output::OutputDir;
use super::packages::Gathering;
use super::plain::Plain;
use super::worker::Arrival;
use super::{Build, Chosen, Error, MissReason, PackageCounts, Report, Resolved, RootOutcome, plan, room, root, tidy, worker};
use crate::bill::Facts;
use crate::distro::Packaging;
use crate::fetch::Client;
use crate::progress::Cancel;
use crate::repo::PackageRecord;
use crate::resolve::{Lock, Matched};
use crate::root::Source;
use crate::root::sandbox::Mapping;
use crate::store::{Claim, Options, Shared, Store};
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
    /// What the disk has of a kept root.
    pub(super) shared: Option<Shared>,
    /// Who made it.
    pub(super) worker: worker::Leaving,
}

/// The packages that a worker installs.
#[derive(Default)]
struct Supplies<'a> {
    /// Where each is, by their places in the plan; none where it is still to be fetched, or decompressed.
    sources: Vec<Option<Source>>,
    /// Those that are not installed yet; none where all had been gathered before.
    rest: Option<Rest<'a>>,
    /// Those that are there, and handed on decompressed.
    plain: Option<Plain<'a>>,
}

/// Packages that are fetched while the first of them are installed.
struct Rest<'a> {
    gathering: Gathering<'a>,
    /// The place of each in the plan.
    places: Vec<usize>,
    /// When each is wanted.
    turns: Vec<usize>,
}

impl Supplies<'_> {
    /// Whether the worker failed because of a package that it was given decompressed.
    fn gave_plain(&self, failure: &worker::WorkerFailure) -> bool {
        self.plain.as_ref().zip(failure.unreadable_blob.as_ref()).is_some_and(|(plain, blob)| plain.gave(blob))
    }
}

impl Rest<'_> {
    fn fetch(&self, arrivals: &mpsc::Sender<Arrival>, cancel: &Cancel) -> Result<(), Error> {
        // A worker that has failed wants no more.
        let arrived = |number: usize, source| drop(arrivals.send(Arrival { package: self.places[number], source }));
        self.gathering.fetch(|number| self.turns[number], &arrived, cancel)
    }
}

impl Build<'_> {
    /// The way of a miss: from repositories to the output files.
    pub(super) fn build(&self, because: MissReason, resolved: Option<Box<Resolved>>, claim: Option<Claim>) -> Result<Report, Error> {
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
        self.finish((because, made), time, &dir, raw, claim)
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
        let (mut taken, claims) = roots.as_ref().map(root::Roots::take_or_claim).transpose()?.unwrap_or_default();
        let (mut defers, mut takes_plain) = (true, true);
        loop {
            let places = roots.as_ref().map(|roots| roots.places(scratch, installed, &taken)).unwrap_or_default();
            let tree = taken.tree.as_ref().map(|(_, parts)| parts.clone());
            let start = worker::Start { tree, stages: taken.stages, defers, save: places.clone() };
            let supplies = if taken.is_whole {
                Supplies::default()
            } else if let Some((sources, found)) = gathered.take() {
                counts = found;
                Supplies { sources: sources.into_iter().map(Some).collect(), ..Supplies::default() }
            } else {
                self.supplies(client, &records, taken.stages, scratch)?
            };
            let mut supplies = if takes_plain { self.plainly(supplies, &records) } else { supplies };
            let task = task(if taken.is_whole { &[] } else { &records }, std::mem::take(&mut supplies.sources), start);
            let keeping = roots.as_ref().map(|roots| root::Keeping::new(roots, &lock, &records, &places, &claims));
            let keep = |stage, problem: Option<String>| keeping.iter().for_each(|keeping| keeping.keep(stage, problem.as_deref()));
            let outcome = self.run(mapping, &task, (supplies.rest.as_ref(), supplies.plain.as_ref()), &keep);
            if let Some(plain) = &supplies.plain {
                plain.note(self.progress);
            }
            if let Some(rest) = &supplies.rest {
                rest.gathering.note_fetched();
                counts = PackageCounts { total: records.len(), ..rest.gathering.counts().after(counts) };
            }
            match outcome {
                Ok(mut worker) => {
                    if let Some(roots) = &roots {
                        roots.count(&taken);
                    }
                    let root = keeping.map(|keeping| match (taken.stages, keeping.has_kept()) {
                        _ if taken.is_whole => RootOutcome::Hit,
                        (0, kept) => RootOutcome::Installed { kept },
                        (_, kept) => RootOutcome::Base { kept },
                    });
                    let stretches = std::mem::take(&mut worker.shared);
                    let shared = taken.tree.map(|(root, _)| Shared { manifest: root.manifest, stretches });
                    return Ok(Made { lock, facts, counts, root, matched, shared, worker });
                }
                // The store has damaged bytes: they are marked as lost, and the package is fetched again.
                Err(Error::Worker(failure)) if supplies.gave_plain(&failure) => {
                    self.lost(&failure)?;
                    takes_plain = false;
                }
                Err(Error::Worker(failure)) if attempts > 1 && self.lost(&failure)? => attempts -= 1,
                Err(Error::Worker(failure)) if failure.unreadable_root && taken.tree.is_some() => {
                    taken = roots.as_ref().map(|roots| roots.take_instead_of(&taken)).transpose()?.unwrap_or_default();
                }
                // With all of the root laid down it may go well.
                Err(Error::Worker(failure)) if failure.touched_deferred => {
                    self.journal.note(&format!("the whole root is laid down after all: {failure}"));
                    defers = false;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs the worker, and brings what it lacks meanwhile.
    fn run(
        &self,
        mapping: &Mapping,
        task: &worker::Task,
        (rest, plain): (Option<&Rest<'_>>, Option<&Plain<'_>>),
        keep: &(dyn Fn(usize, Option<String>) + Sync),
    ) -> Result<worker::Leaving, Error> {
        let (sender, arrivals) = mpsc::channel();
        let cancel = self.cancel.part();
        // They end with those who send: then the worker knows that nothing more will come.
        let others = sender.clone();
        std::thread::scope(|scope| {
            let fetching = scope.spawn(|| {
                let sender = sender;
                let fetched = rest.map_or(Ok(()), |rest| rest.fetch(&sender, &cancel));
                if fetched.is_err() {
                    cancel.cancel();
                }
                fetched
            });
            scope.spawn(|| {
                let sender = others;
                // A worker that has failed wants no more.
                let arrived = |package, source| drop(sender.send(Arrival { package, source }));
                if let Some(plain) = plain {
                    plain.make(&arrived, &cancel);
                }
            });
            let worked = worker::run(mapping, task, arrivals, keep, self.progress, self.cancel);
            if worked.is_err() {
                cancel.cancel();
            }
            match fetching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                // That the worker got no more is no reason.
                Err(error) if !error.is_cancelled() => Err(error),
                fetched => worked.and_then(|worker| fetched.map(|()| worker)),
            }
        })
    }

    /// Where the packages are; those of the first `stages` are installed already.
    fn supplies<'a>(&'a self, client: &'a Client, records: &'a [PackageRecord], stages: usize, scratch: &'a Path) -> Result<Supplies<'a>, Error> {
        let relations = plan::relations(&self.request.spec, records);
        let places: Vec<usize> = (0..records.len()).filter(|&place| relations[place].stage >= stages).collect();
        let wanted = places.iter().map(|&place| &records[place]).collect();
        let gathering = Gathering::begin(self.request, self.packages, client, wanted, scratch, self.progress, self.cancel);
        let gathering = gathering.map_err(|error| match error {
            Error::NotAvailableOffline { missing, spec, .. } => Error::NotAvailableOffline { missing, total: records.len(), spec },
            other => other,
        })?;
        let mut sources = vec![Some(Source::Installed); records.len()];
        for (&place, source) in places.iter().zip(gathering.sources()) {
            sources[place].clone_from(source);
        }
        let turns = places.iter().map(|&place| relations[place].turn()).collect();
        Ok(Supplies { sources, rest: Some(Rest { gathering, places, turns }), plain: None })
    }

    /// With packages that are decompressed already, and others that are to be kept so, where the store is one that keeps.
    fn plainly<'a>(&'a self, mut supplies: Supplies<'a>, records: &'a [PackageRecord]) -> Supplies<'a> {
        // RPM packages are read by rpm itself; with the whole root kept, there are none.
        let is_wanted = self.request.spec.profile.packaging == Packaging::Deb && !supplies.sources.is_empty();
        if let Some(store) = self.packages.filter(|_| is_wanted) {
            let relations = plan::relations(&self.request.spec, records);
            let turn = |place: usize| relations[place].turn();
            match Plain::begin(self.request, store, records, turn, &mut supplies.sources) {
                Ok(plain) => supplies.plain = Some(plain),
                Err(error) => self.journal.note(&format!("no package is kept decompressed: {}", with_causes(&error))),
            }
        }
        supplies
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
        .build(because, None, None)
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
