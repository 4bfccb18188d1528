//! What commands work with: the face, the environment, the configuration, the store.

use std::cell::OnceCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image_composer::build;
use image_composer::config::{self, Config, Environment, Setting};
use image_composer::progress::Cancel;
use image_composer::root;
use image_composer::store::{Options, Store, Waiting};

use super::{Error, Result};
use crate::ui::{Ui, View};

/// The last second of the year 2107: FAT, which boot partitions have, knows no later time.
const LATEST_TIME: u64 = 4_354_819_199;

/// One run of the program.
pub(super) struct Session {
    pub(super) ui: Ui,
    /// What shows the progress of the command; shared, because the store says there for whom it waits.
    pub(super) view: Arc<View>,
    environment: Environment,
    config_file: Option<PathBuf>,
    store: Option<PathBuf>,
    config: OnceCell<Config>,
}

impl Session {
    pub(super) fn new(ui: Ui, environment: Environment, config_file: Option<PathBuf>, store: Option<PathBuf>) -> Self {
        Self { ui, view: Arc::new(ui.view()), environment, config_file, store, config: OnceCell::new() }
    }

    /// Every key of the configuration, with where its value is from.
    pub(super) fn settings(&self) -> Result<Vec<Setting>> {
        // Says what has no effect.
        self.config()?;
        Ok(config::load(&self.environment, self.config_file.as_deref())?.settings())
    }

    /// The configuration of all layers but the flags. Says what has no effect in it, the first time.
    pub(super) fn config(&self) -> Result<Config> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let configuration = config::load(&self.environment, self.config_file.as_deref())?;
        for warning in &configuration.warnings {
            self.ui.warn(&warning.to_string());
        }
        for file in &configuration.files {
            self.ui.detail(|| format!("configuration: {}", file.display()));
        }
        Ok(self.config.get_or_init(|| configuration.config).clone())
    }

    /// A file for a log, emptied; before anything else is done, so that no build of minutes ends without its log.
    pub(super) fn log_file(path: &Path) -> Result<Arc<File>> {
        File::create(path).map(Arc::new).map_err(|error| {
            Error::usage(
                format!("cannot write the log file {}: {error}", path.display()),
                "name a file in a folder that is there and that you may write to",
            )
        })
    }

    /// The folder of the store: `--store`, else what the environment says; absolute.
    pub(super) fn store_dir(&self) -> Result<PathBuf> {
        let dir = match &self.store {
            Some(dir) => dir.clone(),
            None => self.environment.store_dir()?,
        };
        std::path::absolute(&dir).map_err(|error| {
            let message = format!("“{}” cannot be the folder of the store: {error}", dir.display());
            Error::usage(message, "name a folder with --store or IMAGE_COMPOSER_STORE")
        })
    }

    /// The store as configured, made if it is not there. Waits for other processes until `cancel`.
    pub(super) fn open_store(&self, config: &Config, cancel: &Cancel) -> Result<Store> {
        let mut store = self.open(&self.store_dir()?, cancel)?;
        store.set_compression_level(config.storage.compression_level);
        Ok(store)
    }

    /// The store, if it is there: who only looks makes none.
    pub(super) fn existing_store(&self) -> Result<Option<Store>> {
        self.existing_store_until(&Cancel::default())
    }

    /// The store, if it is there. Waits for other processes until `cancel`.
    pub(super) fn existing_store_until(&self, cancel: &Cancel) -> Result<Option<Store>> {
        let dir = self.store_dir()?;
        let empty = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_none());
        if dir.exists() && !empty { self.open(&dir, cancel).map(Some) } else { Ok(None) }
    }

    /// The folder of a store, for those who do not open it as others do.
    pub(super) fn store_that_is_there(&self) -> Result<PathBuf> {
        let dir = self.store_dir()?;
        if dir.exists() {
            return Ok(dir);
        }
        Err(Error::usage(format!("there is no store at {}", dir.display()), "name its folder with --store or IMAGE_COMPOSER_STORE"))
    }

    /// How the store waits for other processes: until `cancel`, and not without saying so.
    pub(super) fn options(&self, cancel: &Cancel) -> Result<Options> {
        let view = Arc::clone(&self.view);
        let on_wait = move |waiting: &Waiting<'_>| view.say(&format!("waiting for {}, which writes to {}", waiting.holder, waiting.store.display()));
        Ok(Options { on_wait: Arc::new(on_wait), cancel: cancel.clone(), ..Options::from_env()? })
    }

    fn open(&self, dir: &Path, cancel: &Cancel) -> Result<Store> {
        if dir.metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(Error::usage(
                format!("{} is no folder, and so no store", dir.display()),
                "name a folder with --store or IMAGE_COMPOSER_STORE",
            ));
        }
        let store = Store::open_with(dir, self.options(cancel)?)?;
        self.ui.detail(|| format!("store: {}", dir.display()));
        if let Err(error) = root::remove_leftovers(&store.leftovers()?, cancel) {
            cancel.check().map_err(image_composer::store::Error::from)?;
            let hint = error.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
            self.ui.warn(&format!("what interrupted builds have left in the store {} stays: {error}{hint}", dir.display()));
        }
        Ok(store)
    }

    /// What would make room in the store. Nothing where that cannot be said: another error is told already.
    pub(super) fn room_hint(&self) -> Option<String> {
        let config = config::load(&self.environment, self.config_file.as_deref()).ok()?.config;
        build::room_hint(&self.existing_store().ok()??, &config.storage.limits())
    }

    /// Says what was found damaged in the store on the way.
    pub(super) fn warn_of_damage(&self, store: &Store) {
        for damage in store.take_damage() {
            self.ui.warn(&format!("{damage}; it counts as missing from now on"));
        }
    }

    /// `SOURCE_DATE_EPOCH`: the latest time of any file in an image (reproducible-builds.org), in seconds since the epoch.
    pub(super) fn source_date_epoch(&self) -> Result<Option<u64>> {
        let Some(text) = self.environment.get("SOURCE_DATE_EPOCH") else { return Ok(None) };
        let digits = text.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(seconds) if seconds <= LATEST_TIME => Ok(Some(seconds)),
            _ => Err(Error::usage(
                format!("SOURCE_DATE_EPOCH is “{}”, which is no time", text.to_string_lossy()),
                format!("write whole seconds since 1970, at most {LATEST_TIME} (the end of 2107), or unset it"),
            )),
        }
    }
}
