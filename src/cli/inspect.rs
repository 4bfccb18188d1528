//! `inspect`: what is in an image.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use clap_complete::ArgValueCompleter;
use image_composer::inspect::{self, Input, Limits};
use image_composer::progress::Cancel;
use image_composer::store::Store;

use super::cache::find;
use super::{Error, Result, Session, completions, signals};

/// Show what is in an image: partitions, file systems, boot loader, kernels, packages, users, largest files
///
/// Looks into an image of the cache, or a file: raw, qcow2, vhd, vhdx, vmdk or vdi, compressed or not. Nothing is mounted, and no rights are needed. Partition
/// tables are GPT and MBR, file systems ext2, ext3, ext4 and FAT; others are named. Packages are those of dpkg’s database; those of rpm are known of images
/// that were built here. Passwords are not shown, nor what is made of them.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The file, or an image’s id or how it begins; a file that is called like an id wins
    #[arg(value_name = "FILE|ID", add = ArgValueCompleter::new(completions::images_and_files))]
    image: OsString,

    /// How many of the largest files to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    largest: usize,

    /// Show all packages, not only how many
    #[arg(long)]
    packages: bool,

    /// Print JSON, with all packages
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer inspect out/edge-1.0.raw
  image-composer inspect 3f9a12c4e01b --packages
  image-composer inspect appliance.qcow2.xz --json | jq -r '.packages.list[] | .name + \" \" + .version'

JSON: {image, spec_hash, format, size, table: {type, id} or null, partitions: [{number, name, type, id, start, size, filesystem: {type, label, uuid, size, \
used, names} or null, mount_point}], os: {id, version, name} or null, hostname, boot: {bios, efi: [{path, name, version, size}], entries: [{path, title, \
kernel, initrd, options}]}, kernels: [{version, images, modules, modules_size}], packages: {source: dpkg|record|unread_rpm|nothing, list: [{name, version, \
arch, size}]}, users: [{name, uid, gid, home, shell, password: set|locked|empty or null}], files: {count, bytes}, largest: [{path, size}], remarks, \
problems: [{place, problem, damage}]}. Sizes are bytes. A file with several names counts once. Paths are those of the running system, by its /etc/fstab; \
“partition N:” is before the paths of what it does not mount. Fields may be added, none goes.

Ends with status 4 if a part is damaged; the rest is shown all the same.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let store = store_for(session, &[&arguments.image], &cancel)?;
    let outcome = open(session, store.as_ref(), &arguments.image, &cancel)
        .and_then(|input| Ok(inspect::inspect(&input, arguments.largest, Limits::USUAL, &cancel)?));
    session.view.close();
    if let Some(store) = &store {
        session.warn_of_damage(store);
    }
    let inspection = outcome?;
    session.ui.inspected(&inspection, arguments.packages, arguments.json)?;
    match inspection.problems.iter().filter(|problem| problem.damage).count() {
        0 => Ok(()),
        parts => Err(Error::Unread { image: inspection.image, parts }),
    }
}

/// The store, if one of these words means an image in it.
pub(super) fn store_for(session: &Session, words: &[&OsString], cancel: &Cancel) -> Result<Option<Store>> {
    if words.iter().all(|word| is_file(word)) { Ok(None) } else { session.existing_store_until(cancel) }
}

/// What a word means: a file, or else an image of the store.
pub(super) fn open<'s>(session: &Session, store: Option<&'s Store>, word: &OsString, cancel: &Cancel) -> Result<Input<'s>> {
    if is_file(word) {
        return Ok(Input::file(Path::new(word), &*session.view, cancel)?);
    }
    let id = word.to_string_lossy();
    match store {
        Some(store) => Ok(Input::image(store, find::in_store(store, &id)?)?),
        None => Err(find::not_found(&id, &[])),
    }
}

/// Whether a word means a file: one that is there, or one that no id could be.
fn is_file(word: &OsString) -> bool {
    Path::new(word).exists() || word.to_str().is_none_or(|word| word.contains(['/', '.']))
}
