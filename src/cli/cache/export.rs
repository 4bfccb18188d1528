//! `cache export ID FILE`: a kept image as a file that other programs open.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use image_composer::cache::ImageCache;
use image_composer::disk::formats::FileFormat;
use image_composer::progress::Cancel;
use image_composer::transfer::{self, Plan};

use super::find;
use crate::cli::{Error, Result, Session, signals};
use crate::ui;

/// Write an image of the cache as a file that other programs open
///
/// The format is what the file’s name says: .raw or .img, .qcow2 (QEMU), .vhd (Azure, Hyper-V; the fixed kind), .vhdx (Hyper-V), .vmdk (VMware;
/// monolithicSparse) or .vdi (VirtualBox), each with .zst after it to compress the file with zstd. The file appears whole under its name or not at all;
/// every byte is verified. The same image gives the same file.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// The image’s id or how it begins, as “cache list” and the closing line of a build show it
    id: String,

    /// The file to write; “-” is standard output
    file: PathBuf,

    /// The format, where the name does not say it: raw, qcow2, vhd, vhdx, vmdk or vdi, with .zst at its end for compressed
    #[arg(long)]
    format: Option<FileFormat>,

    /// Write over a file that is there
    #[arg(short, long)]
    force: bool,

    /// Print what was done as JSON, instead of the path
    #[arg(long)]
    json: bool,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer cache export 3f9a12c4e01b edge.qcow2
  image-composer cache export 3f9a edge.raw.zst
  image-composer cache export 3f9a - --format raw.zst | ssh host 'zstd -d | dd of=/dev/sda bs=4M'

JSON: {spec_hash, path, format, size, allocated, disk_size, image_digest, seconds}. Sizes are bytes. Fields may be \
added, none goes. Not with “-”.

Ends with status 3 if there is no such image, and with 2 if the id may mean several or the file is there.";

pub(super) fn run(session: &Session, arguments: &Arguments) -> Result {
    let begun = Instant::now();
    let cancel = Cancel::default();
    signals::listen(&cancel)?;
    let (store, image) = find::image(session, &arguments.id, &cancel)?;
    let hash = image.spec_hash;
    let outcome = if arguments.file == Path::new("-") {
        let format = arguments.format.ok_or_else(|| Error::usage("a format is needed for standard output", "say --format raw, or another one"))?;
        if arguments.json || ui::out_is_terminal() {
            return Err(Error::usage("a disk image cannot be shown", "send standard output to a file or a program, without --json"));
        }
        transfer::stream(&store, &transfer::Stream { image, format }, &mut ui::out(), &*session.view, &cancel).map(|_| None)
    } else {
        let plan = Plan::new(image, &arguments.file, arguments.format, arguments.force)?;
        transfer::export(&store, plan, &*session.view, &cancel).map(Some)
    };
    session.view.close();
    session.warn_of_damage(&store);
    let exported = outcome?;
    ImageCache::new(&store).mark_used(&[hash])?;
    match exported {
        Some(exported) => Ok(session.ui.exported(&exported, begun.elapsed(), arguments.json)?),
        None => Ok(()),
    }
}
