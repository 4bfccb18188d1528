//! `cache export ID FILE`: a kept image as a file that other programs open.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use clap_complete::ArgValueCandidates;
use image_composer::disk::formats::FileFormat;
use image_composer::progress::Cancel;
use image_composer::transfer::{self, Plan};

use super::bundle::{self, Bundle};
use super::find;
use crate::cli::{Error, Result, Session, completions, signals};
use crate::ui;

/// Write an image of the cache as a file that other programs open
///
/// The format is what the file’s name says: .raw or .img, .qcow2 (QEMU), .vhd (Azure, Hyper-V; the fixed kind), .vhdx (Hyper-V), .vmdk (VMware;
/// monolithicSparse), .vdi (VirtualBox); no disk, but what is on it: .tar (the files of the system with owners and attributes, as containers take them),
/// .vmlinuz (its kernel) or .initrd (its files, for that kernel to start from in memory); each with .zst, .xz, .gz or .bz2 after it to compress the file.
/// The file appears whole under its name or not at all; every byte is verified. The same image gives the same file.
///
/// With --bundle, images, packages and repository metadata leave together, as they are in the store: for a machine without a network. A bundle of one
/// image is also a .zst file of its disk.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP, override_usage = USAGE)]
pub(super) struct Arguments {
    /// The image’s id or how it begins, as “cache list” and the closing line of a build show it, and the file to write; “-” is standard output. With
    /// --bundle: the ids of images
    #[arg(value_name = "ID", required_unless_present = "file", add = ArgValueCandidates::new(completions::images))]
    what: Vec<OsString>,

    /// The format, where the name does not say it: raw, qcow2, vhd, vhdx, vmdk, vdi, tar, initrd or vmlinuz, with .zst, .xz, .gz or .bz2 at its end for compressed
    #[arg(long, conflicts_with = "file")]
    format: Option<FileFormat>,

    /// Write over a file that is there
    #[arg(short, long)]
    force: bool,

    /// Print what was done as JSON, instead of the path
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    bundle: Bundle,
}

const USAGE: &str = "\
image-composer cache export [OPTIONS] <ID> <FILE>
       image-composer cache export [OPTIONS] --bundle <FILE> <ID…|--spec <SPEC>…|--all>";

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache export 3f9a12c4e01b edge.qcow2
  image-composer cache export 3f9a edge.raw.zst
  image-composer cache export 3f9a - --format raw.zst | ssh host 'zstd -d | dd of=/dev/sda bs=4M'
  image-composer cache export --bundle edge.bundle --spec edge.yml
  image-composer cache export --bundle edge.bundle --spec edge.yml --locked
  image-composer cache export --bundle - 3f9a | ssh host image-composer cache import -
  image-composer cache export --bundle edge.bundle 3f9a && zstd -d edge.bundle -o disk.raw

JSON: {spec_hash, path, format, size, allocated, disk_size, image_digest, seconds}. Sizes are bytes. Fields may be \
added, none goes. Not with “-”.

JSON of a bundle: {path, dry_run, size, images: [spec_hash], packages, metadata, chunks, seconds}: how many packages, \
files of repositories, and chunks; path is null for standard output.

Ends with status 3 if there is no such image, and with 2 if the id may mean several or the file is there.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let begun = Instant::now();
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    if let Some(path) = &arguments.bundle.file {
        return bundle::export(session, &arguments.bundle, path, &arguments.what, arguments.force, arguments.json, &cancel);
    }
    let [id, file] = arguments.what.as_slice() else {
        return Err(Error::usage("an image’s id and a file are needed", "write “image-composer cache export ID FILE”"));
    };
    let (id, file) = (id.to_string_lossy(), Path::new(file));
    let (store, image) = find::image(session, &id, &cancel)?;
    let outcome = if file == Path::new("-") {
        let format = arguments.format.ok_or_else(|| Error::usage("a format is needed for standard output", "say --format raw, or another one"))?;
        if arguments.json || ui::out_is_terminal() {
            return Err(Error::usage("a disk image cannot be shown", "send standard output to a file or a program, without --json"));
        }
        transfer::stream(&store, &transfer::Stream { image, format }, &mut ui::out(), &*session.view, &cancel).map(|_| None)
    } else {
        let plan = Plan::new(image, file, arguments.format, arguments.force)?;
        transfer::export(&store, plan, &*session.view, &cancel).map(Some)
    };
    session.view.close();
    session.warn_of_damage(&store);
    match outcome? {
        Some(exported) => Ok(session.ui.exported(&exported, begun.elapsed(), arguments.json)?),
        None => Ok(()),
    }
}
