//! `cache gc`: what is over the limits goes.

use std::time::{Duration, Instant};

use clap::Args;
use image_composer::cache::collect::{self, Limits};
use image_composer::config::Config;
use image_composer::progress::Cancel;
use image_composer::units::{Age, ByteSize, Limit};

use crate::cli::{Result, Session, signals};
use crate::ui::{Asked, Outcome};

/// Remove what is over the limits, and what nothing needs
///
/// The limits are those of the configuration, which hold after every build as well; options win over them. Packages go by last use, then by number of uses,
/// those that no kept image has before the others, and what is kept of them decompressed before all; images by last use. A cache that is too large goes down to nine tenths of its limit. What is pinned or in
/// use stays. Then goes what nothing refers to: chunks of images that are gone, interrupted downloads of a week ago, leftovers of crashes.
///
/// Prints what goes and why, summed up; with --verbose each of it. On a terminal a table; elsewhere columns separated by tabs, without headings: what, why, how
/// many, bytes; with --verbose what, name, why, bytes, last used, uses.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Only show what would go
    #[arg(long)]
    dry_run: bool,

    /// How much packages may take on disk, and how much images may, each; “unlimited” for any size
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Limit<ByteSize>>,

    /// How long packages, images and roots stay that nobody uses, such as 12h, 30d or 2w; “unlimited” for any age
    #[arg(long, value_name = "AGE")]
    max_age: Option<Limit<Age>>,

    /// How many images stay; “unlimited” for any number
    #[arg(long, value_name = "N", value_parser = number)]
    max_images: Option<Limit<u64>>,

    /// How many roots stay; “unlimited” for any number
    #[arg(long, value_name = "N", value_parser = number)]
    max_roots: Option<Limit<u64>>,

    /// How much shall be free on the file system of the store; 0 is no wish
    #[arg(long, value_name = "SIZE")]
    min_free: Option<ByteSize>,

    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache gc --dry-run
  image-composer cache gc --max-size 5GB --max-images 3
  image-composer cache gc --max-age 2w --min-free 20GB -v

GB is 10^9 bytes, GiB is 2^30.

JSON: {dry_run, entries: [{what: package|metadata|image|root|partial|quarantined|orphan, …, because: age|size|count|room|asked|leftover, \
bytes, last_used, uses}], unreferenced: {count, bytes}, packs: {empty, rewritten}, before: {packages, images}, after: {packages, \
images}, kept: {pinned, in_use}, unmet: [package_size|image_size|image_count|root_count|min_free], would_free, done: {removed, stayed, \
freed} or null, seconds}. A package has name, version, arch and repository, a file of metadata archive and path, an image \
spec_hash, name and version, a root key and name, the others a path. Bytes of an entry are those that nothing else needs; would_free is what all of \
it frees on disk. Fields may be added, none goes.";

pub(super) fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result {
    let begun = Instant::now();
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let asked = Asked { dry_run: arguments.dry_run, json: arguments.json };
    let Some(store) = session.existing_store_until(&cancel)? else {
        return Ok(session.ui.no_store_to_collect(asked)?);
    };
    // Leftovers are looked for where they can be removed: other users may not even look.
    let plan = collect::plan(&store, &arguments.over(config.storage.limits()), store.is_writable())?;
    let done = if arguments.dry_run { None } else { Some(collect::carry_out(&store, &plan, &*session.view, &cancel)) };
    session.view.close();
    session.warn_of_damage(&store);
    let outcome = Outcome { plan: &plan, done: done.transpose()?, took: begun.elapsed() };
    Ok(session.ui.collected(&outcome, asked)?)
}

fn number(text: &str) -> std::result::Result<Limit<u64>, &'static str> {
    text.parse().map_err(|_| "write a whole number, or “unlimited”")
}

impl Arguments {
    /// The limits that hold: those of the command line over those of the configuration.
    fn over(&self, mut limits: Limits) -> Limits {
        if let Some(size) = self.max_size {
            let bytes = size.into_option().map(|size| size.0);
            (limits.package_bytes, limits.image_bytes) = (bytes, bytes);
        }
        if let Some(age) = self.max_age {
            let age = age.into_option().map(|age| Duration::from_secs(age.0));
            (limits.package_age, limits.image_age, limits.root_age) = (age, age, age);
        }
        if let Some(count) = self.max_images {
            limits.image_count = count.into_option();
        }
        if let Some(count) = self.max_roots {
            limits.root_count = count.into_option();
        }
        if let Some(size) = self.min_free {
            limits.min_free = (size.0 > 0).then_some(size.0);
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_win_over_the_configuration() {
        let configured = Config::default().storage.limits();
        let none = Arguments { dry_run: false, max_size: None, max_age: None, max_images: None, max_roots: None, min_free: None, json: false };
        assert_eq!(none.over(configured), configured);
        let all = Arguments {
            max_size: Some(Limit::At(ByteSize(5))),
            max_age: Some(Limit::At(Age(7))),
            max_images: Some(Limit::At(0)),
            max_roots: Some(Limit::At(2)),
            min_free: Some(ByteSize(9)),
            ..none
        };
        let (bytes, age) = (Some(5), Some(Duration::from_secs(7)));
        let expected = Limits {
            package_bytes: bytes,
            package_age: age,
            image_bytes: bytes,
            image_age: age,
            image_count: Some(0),
            root_age: age,
            root_count: Some(2),
            min_free: Some(9),
        };
        assert_eq!(all.over(configured), expected);
        let lifted = Arguments {
            max_size: Some(Limit::Unlimited),
            max_age: Some(Limit::Unlimited),
            max_images: Some(Limit::Unlimited),
            max_roots: Some(Limit::Unlimited),
            min_free: Some(ByteSize(0)),
            ..all
        };
        assert_eq!(lifted.over(expected), Limits::default());
    }
}
