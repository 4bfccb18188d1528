//! `lock`: the exact packages of a spec, in a file beside it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use image_composer::build::{self, Caches, Renew};
use image_composer::progress::Cancel;
use image_composer::resolve::{LOCK_FILE_LIMIT, LockFile};
use image_composer::spec::{self, Loaded};

use super::network::Network;
use super::{Error, Result, Session, exit, signals};

/// Write down the exact packages of a spec
///
/// Writes SPEC.lock, one package a line with its version, digest, repository and the reason why it is there. “build --locked” uses exactly these. A lock that is
/// there keeps its versions as far as the repositories still have them and the spec still wants them.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The spec, a YAML file
    spec: PathBuf,

    /// Take the newest versions of these packages, or of all
    #[arg(long, value_name = "PACKAGE", num_args = 0..)]
    upgrade: Option<Vec<String>>,

    /// Write nothing, and show what would change; with exit code 1 if something would
    #[arg(long)]
    diff: bool,

    /// Use only what the store has, never the network
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    network: Network,

    /// Print what changes as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer lock edge.yml && image-composer build edge.yml --locked
  image-composer lock edge.yml --upgrade openssl libssl3
  image-composer lock edge.yml --upgrade --diff

Prints a line for each package that changes: + name version, - name version, or ~ name old -> new.

JSON: {path, packages, written, changes: [{change: added|removed, name, version} or {change: changed, name, from, to}]}. Fields may be added, none goes.";

/// Where the lock of a spec is.
pub(super) fn path_of(spec: &Path) -> PathBuf {
    let mut name = spec.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The lock beside a spec; none where there is none.
pub(super) fn read(path: &Path) -> Result<Option<LockFile>> {
    let unusable = |problem: String| Error::lock(path, problem);
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| unusable(format!("cannot be read: {error}")))?,
    };
    let mut text = String::new();
    file.take(LOCK_FILE_LIMIT + 1).read_to_string(&mut text).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    if text.len() as u64 > LOCK_FILE_LIMIT {
        return Err(unusable(format!("has more than {LOCK_FILE_LIMIT} bytes")));
    }
    LockFile::parse(&text).map(Some).map_err(|error| unusable(format!("cannot be used: {error}")))
}

/// The lock beside a spec that shall be kept to.
pub(super) fn required(spec: &Loaded) -> Result<LockFile> {
    let path = path_of(&spec.path);
    let file = read(&path)?.ok_or_else(|| Error::NoLock { spec: spec.path.clone() })?;
    match build::disagreement(spec, &file) {
        Some(disagreement) => Err(build::Error::LockDisagrees { spec: spec.path.clone(), disagreement }.into()),
        None => Ok(file),
    }
}

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let mirrors = arguments.network.mirrors()?;
    let config = session.config()?;
    let spec = spec::load(&arguments.spec)?;
    let packages = spec.spec.cache.packages && config.storage.package_cache.enabled;
    let caches = Caches { packages, images: false, roots: false };
    let path = path_of(&arguments.spec);
    // A lock that shall be replaced whole need not be one that can be read.
    let renew_all = arguments.upgrade.as_ref().is_some_and(Vec::is_empty);
    let before = match read(&path) {
        Err(_) if renew_all && !arguments.diff => None,
        before => before?,
    };
    let renew = match &arguments.upgrade {
        None => Renew::Nothing,
        Some(names) if names.is_empty() => Renew::All,
        Some(names) => Renew::Named(names),
    };
    let request = arguments.network.request(spec, &config, mirrors, caches, arguments.offline)?;
    // A cache that is off is not looked into.
    let store = packages.then(|| session.open_store(&config, &cancel)).transpose()?;
    let locked = build::lock(&request, store.as_ref(), before.as_ref(), renew, &*session.view, &cancel);
    session.view.close();
    if let Some(store) = &store {
        session.warn_of_damage(store);
    }
    let locked = locked?;
    let text = locked.file.to_text();
    let same = before.as_ref() == Some(&locked.file);
    if !arguments.diff && !same {
        write(&path, &text).map_err(|error| Error::lock(&path, format!("cannot be written: {error}")))?;
    }
    session.ui.locked(&path, &locked, !arguments.diff && !same, arguments.json)?;
    if arguments.diff && !locked.changes.is_empty() {
        return Err(Error::Differs { code: exit::FAILED });
    }
    Ok(())
}

/// In the place of what is there, all or nothing.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".lock-").permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
