//! What the library tells the face while it works, and how the face tells the library to stop.
//!
//! The library never prints: it reports [`Event`]s to a [`Progress`], and `ui/` makes bars or lines of them.

mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use tally::{Tally, label};

/// A part of the work that a person may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Repository metadata; counted in bytes, total unknown.
    Metadata,
    /// Choosing packages; not counted.
    Resolve,
    /// Another build makes the same; not counted.
    Wait,
    /// Packages; counted in bytes.
    Download,
    /// Packages onto the root tree; counted in bytes of package files.
    Unpack,
    /// Maintainer scripts; counted in packages.
    Configure,
    /// Users, files, commands, the initrd; not counted.
    Customize,
    /// File systems and boot loader; not counted.
    Disk,
    /// Cutting and compressing the image into the store; counted in bytes of the disk.
    Keep,
    /// Writing output files; counted in bytes of the disk.
    Write,
    /// Writing a disk in another format; counted in bytes of the disk.
    Convert,
    /// Compressing an output file; counted in its bytes.
    Compress,
    /// Reading a disk image that is imported; counted in bytes of the disk, or of the file where it is compressed as a whole.
    Read,
    /// Writing or reading a bundle; counted in its bytes.
    Bundle,
    /// Reading what the store keeps, to check it or to make its index again; counted in bytes of files.
    Inspect,
    /// Taking away what went from the store; counted in bytes of files.
    Remove,
    /// Writing the needed part of packs anew; counted in bytes of it.
    Rewrite,
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A phase begins; `total` is in the phase's own unit, where it is known.
    Start {
        /// Which.
        phase: Phase,
        /// How much there is to do.
        total: Option<u64>,
    },
    /// A phase went on.
    Advance {
        /// Which.
        phase: Phase,
        /// By how much since the last report.
        by: u64,
    },
    /// One of the things that a phase consists of is done.
    Item {
        /// Which phase: [`Phase::Download`] and [`Phase::Unpack`] have packages, [`Phase::Configure`] packages and programs of the image.
        phase: Phase,
        /// The package or the program.
        name: &'a str,
        /// How long its file is in bytes; 0 where it has none.
        bytes: u64,
        /// How long it took, until now.
        took: Duration,
    },
    /// A phase is over.
    Finish {
        /// Which.
        phase: Phase,
    },
    /// Something that a person should know, and that is no error.
    Warning(&'a str),
    /// Something that a person may want to know meanwhile.
    Talk(&'a str),
    /// Something for the log alone, such as where a package came from.
    Note(&'a str),
    /// A line that a program of the image printed, as it came. Which program: the last note before says so.
    Output(&'a str),
}

/// Takes reports from any thread.
pub trait Progress: Sync {
    /// Takes one report; must return quickly.
    fn report(&self, event: Event<'_>);
}

/// Takes reports and forgets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _event: Event<'_>) {}
}

/// A request to stop, shared by all threads of a command. Work checks it at least ten times a second.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    /// The request to stop the whole that this is a part of.
    whole: Option<Arc<Cancel>>,
}

/// The user asked to stop (Ctrl-C, or a polite signal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Cancelled;

impl Cancel {
    /// Asks all work to stop.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// A request for a part of the work: it stops with the whole, and can be asked to stop alone.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { flag: Arc::default(), whole: Some(Arc::new(self.clone())) }
    }

    /// Ends the work with `?` when it was asked to stop.
    ///
    /// # Errors
    /// [`Cancelled`] once [`Cancel::cancel`] was called, of this or of the whole that it is a part of.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.flag.load(Ordering::Relaxed) { Err(Cancelled) } else { self.whole.as_ref().map_or(Ok(()), |whole| whole.check()) }
    }

    /// The flag itself, for a signal handler.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stops_with_the_whole_and_alone() {
        let whole = Cancel::default();
        let (part, other) = (whole.part(), whole.part().part());
        part.cancel();
        assert_eq!((part.check(), other.check(), whole.check()), (Err(Cancelled), Ok(()), Ok(())));
        whole.cancel();
        assert_eq!((other.check(), whole.check()), (Err(Cancelled), Err(Cancelled)));
    }
}
