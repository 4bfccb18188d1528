//! Every format: what is written is read back, the same twice, and judged by `qemu-img` where it is there.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::*;
use crate::digest::Digest;
use crate::disk::formats::compression::Frames;
use crate::progress::{Cancel, Silent};
use crate::root::sandbox::find_program;

/// A sparse file with bytes that are no zeros at these places: offset and length.
pub(super) fn sparse(len: u64, data: &[(u64, usize)]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    for (offset, count) in data {
        let bytes: Vec<u8> = (0..*count).map(|at| (at % 251) as u8 + 1).collect();
        file.as_file().write_all_at(&bytes, *offset).unwrap();
    }
    file.as_file().set_len(len).unwrap();
    file
}

pub(super) fn convert(raw: &NamedTempFile, format: Format) -> Result<NamedTempFile> {
    let out = NamedTempFile::new().unwrap();
    let job = Conversion {
        raw: Raw::new(raw.as_file(), raw.path())?,
        out: Out::new(out.as_file(), out.path())?,
        seed: Digest::of(b"disk"),
        progress: &Silent,
        cancel: &Cancel::default(),
    };
    super::convert(&job, format)?;
    Ok(out)
}

/// The disk in a file, taken for what it says it is or for what it is said to be.
pub(super) fn unpacked(path: &Path, format: Option<Format>, bounds: Bounds) -> Result<NamedTempFile> {
    let unreadable = |problem| Error::Unreadable { path: path.to_owned(), name: "", problem };
    let source = FileSource::new(fs::File::open(path).unwrap()).unwrap();
    let format = format.map_or_else(|| recognise(&source), Ok).map_err(unreadable)?;
    let mut disk = open(&source, format).map_err(unreadable)?;
    let out = NamedTempFile::new().unwrap();
    super::unpack(&mut disk, (path, format.name()), (out.as_file(), out.path()), bounds, &Silent, &Cancel::default())?;
    Ok(out)
}

pub(super) const UNBOUNDED: Bounds = Bounds { max_len: u64::MAX, room: u64::MAX };

/// What is written as another format, in any order of tests.
const WRITTEN: [Format; 5] = [Format::Qcow2, Format::Vhd, Format::Vhdx, Format::Vmdk, Format::Vdi];

#[test]
fn qemu_img_sees_the_same_disk() {
    let Some(qemu_img) = find_program("qemu-img") else { return };
    let judge = |arguments: &[&str], paths: &[&Path]| {
        let output = Command::new(&qemu_img).args(arguments).args(paths).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    let size = (700 << 20) + 512;
    let raw = sparse(size, &[(0, 1), (70_000, 200_000), ((512 << 20) - 1, 2), (600 << 20, 5 << 20), (size - 1, 1)]);
    for format in WRITTEN {
        let out = convert(&raw, format).unwrap();
        let driver = if format == Format::Vhd { "vpc" } else { format.name() };
        judge(&["compare", "-f", driver, "-F", "raw"], &[out.path(), raw.path()]);
        if !matches!(format, Format::Vhd) {
            judge(&["check", "-f", driver], &[out.path()]);
        }
        let info = judge(&["info", "--output=json", "-f", driver], &[out.path()]);
        assert!(info.contains(&format!("\"virtual-size\": {size}")), "{info}");
        assert!(out.as_file().metadata().unwrap().blocks() * 512 < 16 << 20, "{format} is sparse");
    }
}

#[test]
fn what_is_written_says_what_it_is() {
    let raw = sparse(5 << 20, &[(1 << 20, 100)]);
    for format in WRITTEN {
        let out = convert(&raw, format).unwrap();
        let source = FileSource::new(out.reopen().unwrap()).unwrap();
        assert_eq!(recognise(&source).unwrap(), format);
    }
    let source = FileSource::new(raw.reopen().unwrap()).unwrap();
    assert_eq!(recognise(&source).unwrap(), Format::Raw);
}

#[test]
fn a_disk_has_these_files() {
    let raw = sparse((3 << 20) + 512, &[(0, 100), (70_000, 5000), (2 << 20, 1 << 20)]);
    // Golden: a change here changes what is exported of every image.
    for (format, digest) in [
        (Format::Qcow2, "2b5f4b932673"),
        (Format::Vhd, "b8335f36a6e3"),
        (Format::Vhdx, "ea2d09fe879d"),
        (Format::Vmdk, "7b824d2692b6"),
        (Format::Vdi, "9640bc892389"),
    ] {
        let written = Digest::of(&fs::read(convert(&raw, format).unwrap().path()).unwrap());
        assert_eq!((format, written.short().as_str()), (format, digest));
    }
}

#[test]
fn nothing_holds_a_part_of_a_sector() {
    for format in WRITTEN {
        assert!(matches!(convert(&sparse(1000, &[(0, 10)]), format), Err(Error::Size { .. })), "{format}");
    }
}

#[test]
fn a_conversion_stops_when_asked() {
    let (raw, out) = (sparse(1 << 20, &[(0, 10)]), NamedTempFile::new().unwrap());
    let cancel = Cancel::default();
    cancel.cancel();
    let (disk, file) = (Raw::new(raw.as_file(), raw.path()).unwrap(), Out::new(out.as_file(), out.path()).unwrap());
    for format in Format::ALL {
        let job = Conversion { raw: disk, out: file, seed: Digest::of(b""), progress: &Silent, cancel: &cancel };
        assert!(matches!(super::convert(&job, format), Err(Error::Cancelled(_))), "{format}");
    }
}

#[test]
fn a_disk_beyond_its_bounds_is_not_unpacked() {
    let raw = sparse(5 << 20, &[(0, 3 << 20)]);
    for format in WRITTEN {
        let out = convert(&raw, format).unwrap();
        let long = unpacked(out.path(), None, Bounds { max_len: (5 << 20) - 1, room: u64::MAX }).unwrap_err();
        assert!(matches!(long, Error::TooLong { .. }) && long.hint().is_some(), "{format}: {long}");
        let full = unpacked(out.path(), None, Bounds { max_len: u64::MAX, room: 2 << 20 }).unwrap_err();
        assert!(matches!(full, Error::NoRoom { .. }), "{format}: {full}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn a_disk_is_read_back_from_every_format(
        sectors in 1_u64..8_000,
        runs in proptest::collection::vec((0_u64..8_000, 1_usize..100_000), 0..6),
    ) {
        let len = sectors * 512;
        let runs: Vec<(u64, usize)> = runs.into_iter().filter(|(at, _)| *at < sectors).map(|(at, count)| (at * 512, count.min((len - at * 512) as usize))).collect();
        let raw = sparse(len, &runs);
        for format in WRITTEN {
            let out = convert(&raw, format).unwrap();
            prop_assert!(fs::read(out.path()).unwrap() == fs::read(convert(&raw, format).unwrap().path()).unwrap(), "{} is the same twice", format);
            let back = unpacked(out.path(), None, UNBOUNDED).unwrap();
            prop_assert!(fs::read(back.path()).unwrap() == fs::read(raw.path()).unwrap(), "{} is read back", format);
        }
    }

    #[test]
    fn a_compressed_file_is_read_back(
        how in proptest::sample::select(Compression::ALL.to_vec()),
        frames in proptest::sample::select(vec![Frames::Many, Frames::One]),
        len in 0_u64..12_000_000, data in 0_u64..12_000_000, count in 1_usize..100_000) {
        let data = [(data, count.min(len.saturating_sub(data) as usize))];
        let raw = sparse(len, if data[0].1 > 0 { &data } else { &[] });
        let (packed, back) = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
        compression::compress((how, frames), Raw::new(raw.as_file(), raw.path()).unwrap(), (packed.as_file(), packed.path()), &Silent, &Cancel::default()).unwrap();
        let bytes = fs::read(packed.path()).unwrap();
        prop_assert_eq!(Compression::of_head(&bytes), Some(how));
        let file = packed.reopen().unwrap();
        prop_assert_eq!(compression::decompress(how, (&file, packed.path()), (back.as_file(), back.path()), UNBOUNDED, &Silent, &Cancel::default()).unwrap(), len);
        prop_assert!(fs::read(back.path()).unwrap() == fs::read(raw.path()).unwrap());
        let program = match how {
            Compression::Bz2 => "bzip2",
            Compression::Gz => "gzip",
            Compression::Xz => "xz",
            Compression::Zst => "zstd",
        };
        if let Some(program) = find_program(program) {
            let output = std::process::Command::new(program).arg("-dc").stdin(packed.reopen().unwrap()).output().unwrap();
            prop_assert!(output.status.success() && output.stdout == fs::read(raw.path()).unwrap(), "its own program reads it");
        }
    }
}

#[test]
fn one_frame_is_one_to_those_who_read_no_second() {
    let raw = sparse(9 << 20, &[(0, 100_000), (8 << 20, 100_000)]);
    let compressed = |how, frames| {
        let packed = NamedTempFile::new().unwrap();
        let disk = Raw::new(raw.as_file(), raw.path()).unwrap();
        compression::compress((how, frames), disk, (packed.as_file(), packed.path()), &Silent, &Cancel::default()).unwrap();
        fs::read(packed.path()).unwrap()
    };
    let read_by_gzip = |bytes: &[u8]| std::io::copy(&mut flate2::read::GzDecoder::new(bytes), &mut std::io::sink()).unwrap();
    assert_eq!(read_by_gzip(&compressed(Compression::Gz, Frames::One)), 9 << 20);
    assert_eq!(read_by_gzip(&compressed(Compression::Gz, Frames::Many)), 4 << 20);
    let zst = compressed(Compression::Zst, Frames::One);
    assert_eq!(zstd::zstd_safe::find_frame_compressed_size(&zst), Ok(zst.len()));
    // The stream flags of xz: CRC32 is 1 (The .xz File Format 1.2.1, 2.1.1.2).
    assert_eq!(compressed(Compression::Xz, Frames::One)[6..8], [0, 1]);
}
