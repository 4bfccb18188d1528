//! The options of all commands that ask repositories, and the request that they make of a spec.

use std::path::PathBuf;

use clap::Args;
use image_composer::build::{Caches, Request, Workers};
use image_composer::config::Config;
use image_composer::spec::Loaded;

use super::Result;
use super::mirror::{self, Mirror};

/// How repositories are asked.
#[derive(Debug, Default, Args)]
pub(super) struct Network {
    /// Use this address for an archive, instead of the configuration's and the host's; may be given several times
    #[arg(long, value_name = "ARCHIVE=URL")]
    mirror: Vec<String>,

    /// Fetch so many packages at a time (1 to 64; 8 unless configured otherwise)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,

    /// Accept repository metadata whose Valid-Until has passed, or that is older than what the store has
    #[arg(long)]
    allow_expired: bool,

    /// Take packages from repositories that the spec says not to verify (insecureSkipVerify, [trusted=yes]), although nothing proves them
    #[arg(long)]
    allow_untrusted: bool,
}

impl Network {
    /// The options of a command that never asks anybody.
    pub(super) fn none(allow_expired: bool, allow_untrusted: bool) -> Self {
        Self { allow_expired, allow_untrusted, ..Self::default() }
    }

    /// The addresses, checked.
    pub(super) fn mirrors(&self) -> Result<Vec<Mirror>> {
        self.mirror.iter().map(|text| Mirror::parse(text)).collect()
    }

    /// What is to be done for a spec; `mirrors` are those that it can use.
    ///
    /// # Errors
    /// A mirror that would have no effect.
    pub(super) fn request(&self, spec: Loaded, config: &Config, mirrors: Vec<Mirror>, caches: Caches, offline: bool) -> Result<Request> {
        let mut addresses = config.mirrors.clone();
        mirror::apply(mirrors, spec.profile, &mut addresses)?;
        Ok(Request {
            spec,
            locked: None,
            output_dir: PathBuf::from("."),
            caches,
            limits: config.storage.limits(),
            offline,
            refresh: false,
            rebuild: false,
            workers: Workers {
                fetch: self.workers.map_or(config.workers, usize::from),
                unpack: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            },
            mirrors: addresses,
            keyrings: config.keyrings.clone(),
            proxy: config.proxy.as_ref().map(|proxy| proxy.address().to_owned()),
            tls: config.tls.clone(),
            allow_expired: self.allow_expired,
            allow_untrusted: self.allow_untrusted,
            source_date_epoch: None,
            log: None,
        })
    }
}
