//! Chooses what goes. Nothing is changed here.

use std::collections::HashSet;
use std::time::Duration;

use super::candidates::{self, Candidate, Table, Worth};
use super::plan::{Entry, Limit, Name, Plan, Reason, Sizes};
use super::{Clean, Limits};
use crate::cache::{Pinnable, Result, package, plain};
use crate::format::blob::BlobKind;
use crate::format::totals::{Class, State};
use crate::store::{self, Foresight, Object, ReadTxn, Store, Stray, StrayKind};

/// What counts as packages.
const PACKAGES: [BlobKind; 3] = [BlobKind::Package, BlobKind::Metadata, BlobKind::Alias];

/// What counts as images, besides packs.
const IMAGES: [BlobKind; 4] = [BlobKind::Manifest, BlobKind::Image, BlobKind::Root, BlobKind::Document];

/// How long an unfinished download waits for somebody to go on with it, in seconds.
const PARTIAL_AGE: u64 = 7 * 24 * 3600;

/// Plans a collection by limits. With `strays` the store's directories are searched for files that nothing knows, too.
///
/// # Errors
/// An index that cannot be read, a directory that cannot be listed.
pub fn plan(store: &Store, limits: &Limits, strays: bool) -> Result<Plan> {
    let txn = store.read()?;
    let held = store.held_now(&txn)?;
    let mut choice = Choice::begin(store, &txn, &held)?;
    let (mut images, mut roots) = candidates::images(&txn)?;
    for candidates in [&mut images, &mut roots] {
        candidates.sort_by(|a, b| a.turn().cmp(&b.turn()));
    }
    let roots = choice.roots(roots, limits)?;
    let (images, roots) = choice.images(images, roots, limits)?;
    let mut others = choice.packages(limits, &images)?;
    others.extend(roots);
    choice.room(limits, images, others)?;
    if strays {
        let quarantined = limits.package_age.map_or(0, |age| age.as_secs());
        choice.strays(Reason::Age, |stray, now| match stray.kind {
            StrayKind::Orphan => true,
            StrayKind::Partial => now.saturating_sub(stray.since) >= PARTIAL_AGE,
            StrayKind::Quarantined => quarantined > 0 && now.saturating_sub(stray.since) >= quarantined,
        })?;
    }
    Ok(choice.end())
}

/// Plans the removal of whole classes of names.
///
/// # Errors
/// As for [`plan`].
pub fn plan_clean(store: &Store, clean: &Clean) -> Result<Plan> {
    let txn = store.read()?;
    let held = store.held_now(&txn)?;
    let mut choice = Choice::begin(store, &txn, &held)?;
    let (images, roots) = candidates::images(&txn)?;
    let mut names = if clean.images { images } else { Vec::new() };
    names.extend(roots.into_iter().filter(|_| clean.roots));
    if clean.packages || clean.rest {
        let is_of_package = |candidate: &Candidate| candidate.table == Table::Packages || candidate.worth == Worth::Plain;
        let wanted = |candidate: &Candidate| if is_of_package(candidate) { clean.packages } else { clean.rest };
        names.extend(candidates::packages(&txn, None)?.into_iter().filter(wanted));
    }
    for candidate in names {
        choice.remove(&candidate, Reason::Asked)?;
    }
    if clean.rest {
        choice.strays(Reason::Asked, |_, _| true)?;
    }
    Ok(choice.end())
}

/// Plans the removal of images and packages by name, and of what nothing refers to.
///
/// # Errors
/// As for [`plan`].
pub fn plan_removal(store: &Store, names: &[Pinnable]) -> Result<Plan> {
    let txn = store.read()?;
    let held = store.held_now(&txn)?;
    let mut choice = Choice::begin(store, &txn, &held)?;
    let key = |name: &Pinnable| match name {
        Pinnable::Image(image) => (Table::Images, image.spec_hash.digest().as_bytes().to_vec()),
        Pinnable::Package(coordinates) => (Table::Packages, package::key(coordinates)),
    };
    let mut keys: HashSet<(Table, Vec<u8>)> = names.iter().map(key).collect();
    // Packages come before what was made of them, which goes with them.
    for candidate in candidates::images(&txn)?.0.into_iter().chain(candidates::packages(&txn, None)?) {
        if keys.contains(&(candidate.table, candidate.key.clone()))
            && choice.remove(&candidate, Reason::Asked)?
            && let Some(Name::Package(coordinates)) = candidate.name(store)
        {
            keys.insert((Table::Metadata, plain::key(&coordinates)?));
        }
    }
    Ok(choice.end())
}

/// A plan in the making.
struct Choice<'a> {
    store: &'a Store,
    held: &'a HashSet<Object>,
    foresight: Foresight<'a>,
    plan: Plan,
    now: u64,
    pack_bytes: u64,
    /// Bytes that packs must give, whatever it takes.
    wanted: u64,
}

impl<'a> Choice<'a> {
    fn begin(store: &'a Store, txn: &'a ReadTxn<'a>, held: &'a HashSet<Object>) -> Result<Self> {
        let mut foresight = Foresight::new(store, txn, held)?;
        let mut plan = Plan::default();
        for (digest, _) in txn.unreferenced()?.into_iter().filter(|(digest, _)| !held.contains(&Object::Blob(*digest))) {
            plan.unreferenced.0 += 1;
            plan.unreferenced.1 += foresight.drop_blob(&digest)?;
        }
        let mut pack_bytes = 0;
        for (total, amount) in txn.totals()?.into_iter().filter(|(total, _)| total.state != State::Lost) {
            match total.class {
                Class::Blob(kind) if PACKAGES.contains(&kind) => plan.before.packages += amount.stored_len,
                Class::Blob(_) => plan.before.images += amount.stored_len,
                Class::Pack => pack_bytes += amount.stored_len,
                Class::Chunk => {}
            }
        }
        plan.before.images += pack_bytes;
        Ok(Self { store, held, foresight, plan, now: store::now(), pack_bytes, wanted: 0 })
    }

    /// Lets a name go, unless it is pinned or in use. Says whether it goes.
    fn remove(&mut self, candidate: &Candidate, because: Reason) -> Result<bool> {
        if candidate.pinned {
            self.plan.kept.pinned += 1;
            return Ok(false);
        }
        if candidate.blobs.iter().any(|blob| self.held.contains(&Object::Blob(*blob))) {
            self.plan.kept.in_use += 1;
            return Ok(false);
        }
        let Some(name) = candidate.name(self.store) else { return Ok(false) };
        let mut bytes = 0;
        for blob in &candidate.blobs {
            bytes += self.foresight.release(blob)?;
        }
        let (last_used, uses) = (candidate.last_used, candidate.uses);
        self.plan.entries.push(Entry { name, because, bytes, last_used, uses, blob: candidate.blobs[0] });
        Ok(true)
    }

    /// Lets those go that were not used for so long; returns the others.
    fn by_age(&mut self, candidates: Vec<Candidate>, age: Option<Duration>) -> Result<Vec<Candidate>> {
        let Some(before) = age.map(|age| self.now.saturating_sub(age.as_secs())) else { return Ok(candidates) };
        let mut left = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            if candidate.last_used >= before || !self.remove(&candidate, Reason::Age)? {
                left.push(candidate);
            }
        }
        Ok(left)
    }

    /// Root trees by age and number; returns those that stay.
    fn roots(&mut self, roots: Vec<Candidate>, limits: &Limits) -> Result<Vec<Candidate>> {
        let roots = self.by_age(roots, limits.root_age)?;
        let mut surplus = limits.root_count.map_or(0, |count| (roots.len() as u64).saturating_sub(count));
        let mut left = Vec::with_capacity(roots.len());
        for root in roots {
            if surplus > 0 && self.remove(&root, Reason::Count)? {
                surplus -= 1;
            } else {
                left.push(root);
            }
        }
        if surplus > 0 {
            self.plan.unmet.push(Limit::RootCount);
        }
        Ok(left)
    }

    /// Images by age, number and size; returns those that stay. Root trees lie in the same packs, count for the same size, and go before any image.
    fn images(&mut self, images: Vec<Candidate>, roots: Vec<Candidate>, limits: &Limits) -> Result<(Vec<Candidate>, Vec<Candidate>)> {
        let images = self.by_age(images, limits.image_age)?;
        let mut surplus = limits.image_count.map_or(0, |count| (images.len() as u64).saturating_sub(count));
        let too_large = |choice: &Self| limits.image_bytes.is_some_and(|limit| choice.image_bytes() > limit);
        let target = limits.image_bytes.map_or(u64::MAX, nine_tenths);
        let mut left_roots = Vec::with_capacity(roots.len());
        for root in roots {
            let goes = too_large(self) && self.live_image_bytes() > target;
            if !goes || !self.remove(&root, Reason::Size)? {
                left_roots.push(root);
            }
        }
        let mut shrink = surplus == 0 && too_large(self);
        let mut left = Vec::with_capacity(images.len());
        for image in images {
            let because = match () {
                () if surplus > 0 => Reason::Count,
                () if shrink && self.live_image_bytes() > target => Reason::Size,
                () => {
                    left.push(image);
                    continue;
                }
            };
            if !self.remove(&image, because)? {
                left.push(image);
                continue;
            }
            surplus = surplus.saturating_sub(1);
            shrink = surplus == 0 && (shrink || too_large(self));
        }
        if surplus > 0 {
            self.plan.unmet.push(Limit::ImageCount);
        }
        if too_large(self) {
            // What is live fits, but for what packs have beside it: those with the most to give are written anew.
            self.wanted = self.pack_bytes.saturating_sub(target.saturating_sub(self.image_blob_bytes()));
            if limits.image_bytes.is_some_and(|limit| self.image_bytes() > limit) {
                self.plan.unmet.push(Limit::ImageSize);
            }
        }
        Ok((left, left_roots))
    }

    /// Packages and metadata by age and size; returns those that stay, in the order in which they would go, where that is known.
    fn packages(&mut self, limits: &Limits, images: &[Candidate]) -> Result<Vec<Candidate>> {
        let over = limits.package_bytes.is_some_and(|limit| self.package_bytes() > limit) || limits.min_free.is_some();
        let before = limits.package_age.map(|age| self.now.saturating_sub(age.as_secs()));
        if !over && before.is_none() {
            return Ok(Vec::new());
        }
        let mut found = candidates::packages(self.foresight.txn(), if over { None } else { before })?;
        if over {
            candidates::mark_named(self.store, &mut found, images);
        }
        found.sort_by(|a, b| a.turn().cmp(&b.turn()));
        let packages = self.by_age(found, limits.package_age)?;
        let Some(limit) = limits.package_bytes.filter(|limit| self.package_bytes() > *limit) else { return Ok(packages) };
        let mut left = Vec::with_capacity(packages.len());
        for package in packages {
            if self.package_bytes() <= nine_tenths(limit) || !self.remove(&package, Reason::Size)? {
                left.push(package);
            }
        }
        if self.package_bytes() > limit {
            self.plan.unmet.push(Limit::PackageSize);
        }
        Ok(left)
    }

    /// Whatever there is, until the file system has room.
    fn room(&mut self, limits: &Limits, images: Vec<Candidate>, others: Vec<Candidate>) -> Result<()> {
        let Some(min_free) = limits.min_free else { return Ok(()) };
        let free = self.store.free_bytes()?;
        if free.saturating_add(self.freed()) >= min_free {
            return Ok(());
        }
        let target = min_free.saturating_add(min_free / 10);
        let mut all = others;
        all.extend(images);
        all.sort_by(|a, b| a.turn().cmp(&b.turn()));
        for candidate in all {
            let live = self.foresight.live_len() + self.image_blob_bytes() + self.package_bytes();
            let gone = (self.plan.before.images + self.plan.before.packages).saturating_sub(live);
            if free.saturating_add(gone) >= target {
                break;
            }
            self.remove(&candidate, Reason::Room)?;
        }
        let blobs = self.freed() - self.foresight.packs(self.wanted).freed;
        self.wanted = self.wanted.max(target.saturating_sub(free).saturating_sub(blobs));
        if free.saturating_add(self.freed()) < min_free {
            self.plan.unmet.push(Limit::MinFree);
        }
        Ok(())
    }

    fn strays(&mut self, because: Reason, goes: impl Fn(&Stray, u64) -> bool) -> Result<()> {
        for stray in self.store.strays()? {
            if !goes(&stray, self.now) {
                continue;
            }
            let name = match stray.kind {
                StrayKind::Orphan => Name::Orphan(stray.path),
                StrayKind::Partial => Name::Partial(stray.path),
                StrayKind::Quarantined => Name::Quarantined(stray.path),
            };
            let because = if stray.kind == StrayKind::Orphan { Reason::Leftover } else { because };
            let blob = crate::digest::Digest::of(b"");
            self.plan.entries.push(Entry { name, because, bytes: stray.len, last_used: stray.since, uses: 0, blob });
        }
        Ok(())
    }

    fn package_bytes(&self) -> u64 {
        self.plan.before.packages.saturating_sub(self.foresight.freed(&PACKAGES))
    }

    fn image_blob_bytes(&self) -> u64 {
        (self.plan.before.images - self.pack_bytes).saturating_sub(self.foresight.freed(&IMAGES))
    }

    /// Bytes on disk of images, if nothing else went.
    fn image_bytes(&self) -> u64 {
        self.image_blob_bytes() + self.pack_bytes - self.foresight.packs(self.wanted).freed
    }

    /// The same, if packs had nothing in them that nobody needs.
    fn live_image_bytes(&self) -> u64 {
        self.image_blob_bytes() + self.foresight.live_len()
    }

    fn freed(&self) -> u64 {
        (self.plan.before.packages + self.plan.before.images).saturating_sub(self.package_bytes() + self.image_bytes())
    }

    fn end(self) -> Plan {
        let after = Sizes { packages: self.package_bytes(), images: self.image_bytes() };
        let freed = self.freed();
        let outlook = self.foresight.packs(self.wanted);
        let mut plan = self.plan;
        let strays = plan.entries.iter().filter(|entry| matches!(entry.name, Name::Orphan(_) | Name::Partial(_) | Name::Quarantined(_)));
        plan.freed = freed + strays.map(|entry| entry.bytes).sum::<u64>();
        plan.after = after;
        (plan.empty_packs, plan.half_packs, plan.rewritten) = (outlook.empty, outlook.rewritten.len() as u64, outlook.rewritten);
        plan
    }
}

fn nine_tenths(limit: u64) -> u64 {
    limit - limit / 10
}
