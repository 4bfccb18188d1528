//! Asking which mirrors an archive has.

use super::mirrors::Tried;
use super::rpm::proves_itself;
use super::{ArchiveConfig, Load, LoadOptions, MirrorList, MirrorListKind};
use crate::digest::Sha256;
use crate::fetch::Client;
use crate::progress::{Cancel, Progress};
use crate::repo::error::{Cause, Error};
use crate::repo::rpm::mirrors;

/// The longest list of mirrors, in bytes. Fedora's of one country are below 100 KB.
const LIST_LIMIT: u64 = 4 << 20;

/// What a metalink says of a repository.
pub(super) struct Vouched {
    /// The digests that its `repomd.xml` may have.
    pub(super) repomd: Vec<Sha256>,
    /// Whether the metalink comes from an address that proves itself: then what it vouches for is proven, wherever that comes from.
    pub(super) proves: bool,
}

/// The same archives with the mirrors that their lists name; offline nobody is asked.
///
/// # Errors
/// A list that does not come, or names none.
pub fn with_mirrors(
    archives: &[ArchiveConfig],
    client: &Client,
    options: &LoadOptions,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<ArchiveConfig>, Error> {
    Load { client, cache: None, options, arch: "", progress, cancel, vouched: std::collections::HashMap::new() }.with_mirrors(archives)
}

impl Load<'_> {
    /// As [`with_mirrors`]; what metalinks vouch for is noted.
    pub(super) fn with_mirrors(&mut self, archives: &[ArchiveConfig]) -> Result<Vec<ArchiveConfig>, Error> {
        let mut known = archives.to_vec();
        for config in known.iter_mut().filter(|_| !self.options.offline) {
            let Some(MirrorList { url, kind }) = &config.list else { continue };
            let suite = config.suites.first().map_or("./", |suite| suite.name.as_str());
            let found = self.first_of(config, suite, [url], |url| {
                let text = self.whole(url, LIST_LIMIT).map_err(|error| Tried::of(url, error))?;
                let read = match kind {
                    MirrorListKind::Metalink => mirrors::metalink(&text),
                    MirrorListKind::Mirrorlist => mirrors::mirrorlist(&text),
                };
                read.map_err(|error| Tried::of(url, Cause::Mirrors(error)))
            })?;
            if *kind == MirrorListKind::Metalink {
                self.vouched.insert(config.id.clone(), Vouched { repomd: found.repomd, proves: proves_itself(url) });
            }
            config.mirrors = found.addresses;
        }
        Ok(known)
    }
}
