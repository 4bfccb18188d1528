//! `disk`.

use super::{checked, one_line, unfit};
use crate::disk::formats::{self, Compression, Contents};
use crate::disk::{self, TYPES, TypeRow};
use crate::distro::{Architecture, BootProvider};
use crate::spec::draft::DiskDraft;
use crate::spec::layout::{self, Placed, Space};
use crate::spec::model::{Artifact, FileSystem, ImageType, Partition, PartitionKind, PartitionTable};
use crate::spec::names;
use crate::units::ByteSize;
use crate::yaml::{Field, Fields};

/// Types of partitions that the language has and this program does not make.
const OTHER_TYPES: [&str; 6] = ["linux-dm-crypt", "linux-luks", "linux-lvm", "linux-raid", "linux-root", "linux-usr-amd64"];

/// File systems that the language has and this program does not make.
const OTHER_FILE_SYSTEMS: [&str; 2] = ["btrfs", "xfs"];

/// Folders that cannot have a partition of their own: the system has them before it mounts anything, or mounts something of its own there.
const OF_THE_ROOT: [&str; 12] = ["bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr"];

/// How a written file can be compressed; the first names are what the file's name ends with.
const COMPRESSIONS: [(&str, Option<Compression>); 9] = [
    ("gz", Some(Compression::Gz)),
    ("gzip", Some(Compression::Gz)),
    ("xz", Some(Compression::Xz)),
    ("zst", Some(Compression::Zst)),
    ("zstd", Some(Compression::Zst)),
    ("bz2", Some(Compression::Bz2)),
    ("bzip2", Some(Compression::Bz2)),
    ("none", None),
    ("", None),
];

/// Flags of the language: the types that say the same, and what they mark.
const FLAGS: [(&str, &[PartitionKind], &str); 5] = [
    ("esp", &[PartitionKind::Esp], "an EFI system partition"),
    ("boot", &[PartitionKind::Esp], "an EFI system partition"),
    ("bios_grub", &[PartitionKind::Bios], "a partition for GRUB's core"),
    ("swap", &[PartitionKind::Swap], "a swap partition"),
    ("bls_boot", &[PartitionKind::Xbootldr], "a partition of type xbootldr"),
];

/// What the disk is made for.
#[derive(Clone, Copy)]
pub(super) struct Machine {
    /// None if the target is wrong: what depends on it is not checked then.
    pub(super) arch: Option<Architecture>,
    pub(super) bootloader: BootProvider,
}

/// The disk of an image that is none: only its size means something, as the room for the files.
pub(super) fn read_of_files(field: &Field<'_>, kind: ImageType) -> DiskDraft {
    let mut draft = DiskDraft::default();
    let Some(mut disk) = fields(field) else { return draft };
    for key in ["partitionTableType", "partitions", "extendLastPartitionToFillDisk"] {
        unfit(&mut disk, key, kind, "leave it out: it has no partitions");
    }
    draft.name = disk.optional("name").and_then(|field| checked(&field, one_line));
    let size_field = disk.optional("size");
    draft.size = size_field.as_ref().and_then(size);
    let least = layout::min_default_size(PartitionTable::Gpt, None);
    if let (Some(field), Some(size)) = (&size_field, draft.size)
        && size < least
    {
        field.error_with_hint("is too small for any system", format!("write at least {}MiB, or leave it out", least.0 >> 20));
    }
    draft.artifacts = disk.optional("artifacts").and_then(|field| artifacts(&field, kind, draft.size));
    disk.finish();
    draft
}

/// Those of every disk.
fn fields<'f>(field: &'f Field<'_>) -> Option<Fields<'f>> {
    let mut disk = field.fields()?;
    for device in ["path", "selectionPolicy"] {
        disk.refuse(device, "images are written to files, never to a device: leave it out");
    }
    disk.refuse("maxSize", "write the size that the disk shall have into disk.size");
    Some(disk)
}

pub(super) fn read(field: &Field<'_>, machine: Machine) -> DiskDraft {
    let mut draft = DiskDraft::default();
    let Some(mut disk) = fields(field) else { return draft };
    let extend = disk.optional("extendLastPartitionToFillDisk");
    draft.extend_last_partition = extend.as_ref().and_then(Field::boolean).is_some_and(|located| located.value);

    draft.name = disk.optional("name").and_then(|field| checked(&field, one_line));
    let size_field = disk.optional("size");
    draft.size = size_field.as_ref().and_then(size);
    let table_field = disk.optional("partitionTableType");
    draft.table = table_field.as_ref().and_then(table);
    let table = draft.table.unwrap_or(PartitionTable::Gpt);
    if let (Some(field), Some(size)) = (&size_field, draft.size)
        && size.0 > table.largest_disk()
    {
        let largest = ByteSize(table.largest_disk());
        field.error_with_hint(&format!("is more than {largest}, where the table “{}” ends", table.name()), "write partitionTableType: gpt");
    }
    if let Some(partitions) = disk.optional("partitions") {
        // Without a size that can be read, every layout fits.
        let size = if size_field.is_none() { layout::DEFAULT_SIZE } else { draft.size.unwrap_or(layout::MAX_SIZE) };
        draft.partitions = read_partitions(&partitions, Space { size, table, bootloader: Some(machine.bootloader) }, machine.arch);
    } else if let (Some(field), Some(size)) = (&size_field, draft.size)
        && size < layout::min_default_size(table, Some(machine.bootloader))
    {
        let least = layout::min_default_size(table, Some(machine.bootloader)).0 >> 20;
        field.error_with_hint("is too small for the default layout", format!("write at least {least}MiB, or give disk.partitions"));
    }
    if let Some(extend) = extend.filter(|_| draft.extend_last_partition) {
        let last = draft.partitions.as_ref().and_then(|partitions| partitions.last());
        if table == PartitionTable::Mbr {
            extend.error_with_hint("cannot be true with an MBR: only a GPT grows when the machine starts", "write partitionTableType: gpt");
        } else if let Some(last) = last
            && (last.filesystem != Some(FileSystem::Ext4) || last.mount_point.is_none())
        {
            let hint = "make the last one ext4 with a mountPoint, or leave this out";
            extend.error_with_hint(&format!("cannot be true: the last partition, “{}”, is not ext4 that is mounted", last.id), hint);
        }
    }
    draft.artifacts = disk.optional("artifacts").and_then(|field| artifacts(&field, ImageType::Raw, draft.size));
    disk.finish();
    draft
}

fn table(field: &Field<'_>) -> Option<PartitionTable> {
    let names = [PartitionTable::Gpt, PartitionTable::Mbr].map(|table| (table.name(), table));
    let located = field.one_of(&names, &[])?;
    Some(located.value)
}

/// A size of a disk, rounded up to whole mebibytes: `8GB` is none.
fn size(field: &Field<'_>) -> Option<ByteSize> {
    let size = field.size()?.value;
    if size > layout::MAX_SIZE {
        field.error("is more than 16 TiB");
        return None;
    }
    Some(ByteSize(size.0.next_multiple_of(layout::ALIGNMENT)))
}

/// The formats of the output. `size` is none where it is the default or wrong: then every format holds it.
fn artifacts(field: &Field<'_>, kind: ImageType, size: Option<ByteSize>) -> Option<Vec<Artifact>> {
    let mut found = Vec::new();
    let items = field.list()?;
    if items.is_empty() {
        field.error_with_hint("is an empty list", "name at least one artifact, such as type: raw");
    }
    for item in items {
        let Some(mut artifact) = item.fields() else { continue };
        let names: Vec<_> = kind.contents().iter().map(|contents| (contents.name(), *contents)).collect();
        let others: Vec<_> = Contents::ALL.into_iter().filter(|contents| !kind.contents().contains(contents)).map(Contents::name).collect();
        let kind = artifact.required("type").and_then(|field| field.one_of(&names, &others));
        let compression = artifact.optional("compression").map(|field| field.one_of(&COMPRESSIONS, &[]));
        artifact.finish();
        let (Some(kind), false) = (kind, compression.as_ref().is_some_and(Option::is_none)) else { continue };
        let format = Artifact { contents: kind.value, compression: compression.flatten().and_then(|located| located.value) };
        if found.contains(&format) {
            item.error(&format!("asks for “{format}” a second time"));
        }
        if let Some(Err(error)) = size.map(|size| formats::check_size(size.0, kind.value)) {
            item.error_with_hint(&format!("cannot be: {error}"), "choose another format, or a smaller disk");
        }
        found.push(format);
    }
    Some(found)
}

fn read_partitions(field: &Field<'_>, space: Space, arch: Option<Architecture>) -> Option<Vec<Partition>> {
    let items = field.list()?;
    let most = space.table.most_partitions();
    if items.len() > most {
        let hint = if space.table == PartitionTable::Mbr { "write partitionTableType: gpt" } else { "leave some out" };
        field.error_with_hint(&format!("has more than {most} partitions, which is all that the table “{}” holds", space.table.name()), hint);
        return None;
    }
    let partitions: Vec<Option<Placed>> = items.iter().map(|item| partition(item, arch)).collect();
    // Order and overlaps mean nothing while one of them is unknown.
    let partitions: Vec<Placed> = partitions.into_iter().collect::<Option<_>>()?;
    layout::check(&partitions, space, field.place(), field.report());
    Some(partitions.into_iter().map(|placed| placed.partition).collect())
}

fn partition(item: &Field<'_>, arch: Option<Architecture>) -> Option<Placed> {
    let mut fields = item.fields()?;
    fields.refuse("index", "partitions are numbered in the order of the list: leave it out");
    let id = fields.required("id").and_then(|field| checked(&field, table_name));
    let name = name_in_table(&mut fields, id.as_deref());
    let kind = kind(&mut fields, arch);
    let start_field = fields.required("start");
    let start = start_field.as_ref().and_then(Field::size);
    let end_field = fields.required("end");
    let end = end_field.as_ref().and_then(Field::size);
    let fs_field = fields.optional("fsType");
    let filesystem = kind.map(|kind| filesystem(fs_field.as_ref(), kind, || fields.missing("fsType")));
    let label_field = fields.optional("fsLabel");
    // A swap partition may say that it is mounted nowhere.
    let nowhere = |field: &Field<'_>| field.node().text().is_some_and(|text| matches!(text, "" | "none" | "swap"));
    let mount_field = fields.optional("mountPoint").filter(|field| !nowhere(field));
    let mount_point = mount_field.as_ref().map(mount_point);
    let options = fields.optional("mountOptions").map(|field| checked(&field, names::mount_options));
    let flags_hold = fields.optional("flags").is_none_or(|field| flags(&field, kind));
    if mount_field.is_none() && matches!(kind, Some(PartitionKind::Esp | PartitionKind::LinuxRoot)) {
        fields.missing("mountPoint");
    }
    fields.finish();

    let (kind, filesystem) = (kind?, filesystem?.ok()?);
    if let (Some(field), true) = (&mount_field, filesystem.is_none_or(|filesystem| filesystem == FileSystem::Swap)) {
        field.error_with_hint("is given, and this partition has nothing that could be mounted", "leave it out");
        return None;
    }
    let label = match label_field {
        Some(field) => Some(fs_label(&field, filesystem)?),
        None => None,
    };
    let mount_point = match mount_point {
        Some(written) => Some(written?),
        None => None,
    };
    let mount_options = options.unwrap_or_else(|| Some(layout::default_options(filesystem).to_owned()))?;
    let (id, name, start, end) = (id?, name?, start?, end?);
    let partition = Partition {
        id,
        name,
        kind,
        start: start.value,
        end: (end.value != ByteSize(0)).then_some(end.value),
        filesystem,
        label,
        mount_point,
        mount_options,
    };
    flags_hold.then_some(Placed {
        partition,
        place: item.place(),
        start: start.place,
        end: end.place,
        mount: mount_field.map_or(item.place(), |field| field.place()),
    })
}

/// `name` or its other spelling, `label`; without both, it is the id.
fn name_in_table(fields: &mut Fields<'_>, id: Option<&str>) -> Option<String> {
    let name = fields.optional("name");
    let label = fields.optional("label");
    if let (Some(_), Some(label)) = (&name, &label) {
        label.error_with_hint("and name are the same", "give only one of them; the file system's label is fsLabel");
        return None;
    }
    match name.or(label) {
        Some(field) => checked(&field, table_name),
        None => id.map(str::to_owned),
    }
}

fn table_name(text: &str) -> Result<(), &'static str> {
    if names::label(text, 36) { Ok(()) } else { Err("1 to 36 printable ASCII characters") }
}

fn mount_path(text: &str) -> Result<(), &'static str> {
    if text == "/" { Ok(()) } else { names::absolute_path(text) }
}

/// Where a partition is mounted, if anywhere. What the system must have before it mounts anything is on the root file system.
fn mount_point(field: &Field<'_>) -> Option<String> {
    let path = checked(field, mount_path)?;
    let top = path.split('/').nth(1).unwrap_or_default();
    if OF_THE_ROOT.contains(&top) {
        let hint = format!("leave /{top} on the root file system, and make partition “/” larger");
        field.error_with_hint(&format!("is “{path}”, which the system must have before it mounts partitions"), hint);
        return None;
    }
    Some(path)
}

/// `type`, or its other spelling, `typeUUID`. Where both are there, they must say the same; `linux` may be said more exactly.
fn kind(fields: &mut Fields<'_>, arch: Option<Architecture>) -> Option<PartitionKind> {
    let uuid = fields.optional("typeUUID");
    let name = if uuid.is_some() { fields.optional("type") } else { fields.required("type") };
    let names: Vec<_> = TYPES.iter().map(|row| (row.name, row)).collect();
    let by_name = name.as_ref().map(|field| field.one_of(&names, &OTHER_TYPES).map(|located| located.value));
    let by_uuid = uuid.as_ref().map(type_of_uuid);
    let (field, row) = match (name, by_name, uuid, by_uuid) {
        (Some(_), Some(named), Some(field), Some(written)) => {
            let (named, written) = (named?, written?);
            // “linux” is any of Linux's types: the other field says which.
            if named.guid != written.guid && named.kind != PartitionKind::Linux {
                field.error_with_hint("and type are not the same", "give only one of them");
                return None;
            }
            (field, written)
        }
        (Some(field), Some(row), ..) | (_, _, Some(field), Some(row)) => (field, row?),
        _ => return None,
    };
    if let (Some(of), Some(arch)) = (row.architecture, arch)
        && of != arch.into()
    {
        field.error(&format!("must be linux-root-{} for {}", arch.debian(), arch.name()));
    }
    Some(row.kind)
}

fn type_of_uuid(field: &Field<'_>) -> Option<&'static TypeRow> {
    let text = field.text()?.value.to_ascii_lowercase();
    let found = TYPES.iter().find(|row| text == row.guid.to_string() || text == row.code);
    if found.is_none() {
        let list = TYPES.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        field.error_with_hint("is a type that is not supported", format!("write the type by its name, one of: {list}"));
    }
    found
}

/// A mistake that has been told.
struct Mistaken;

/// What a partition is formatted with, if with anything. Where nothing is written, a swap partition is swap, and one for GRUB's core has nothing.
fn filesystem(field: Option<&Field<'_>>, kind: PartitionKind, missing: impl FnOnce()) -> Result<Option<FileSystem>, Mistaken> {
    let names = FileSystem::NAMES.map(|(name, filesystem)| (name, Some(filesystem)));
    let names: Vec<_> = names.into_iter().chain([("none", None)]).collect();
    let written = match (field, kind) {
        (Some(field), _) => field.one_of(&names, &OTHER_FILE_SYSTEMS).ok_or(Mistaken)?.value,
        (None, PartitionKind::Swap) => Some(FileSystem::Swap),
        (None, PartitionKind::Bios) => None,
        (None, _) => {
            missing();
            return Err(Mistaken);
        }
    };
    if let (Some(field), false) = (field, kind.holds(written)) {
        let fitting = names.iter().filter(|(name, filesystem)| !matches!(*name, "vfat" | "swap") && kind.holds(*filesystem));
        let fitting = fitting.map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let name = kind.row(disk::Architecture::X86_64).name.trim_end_matches("-amd64");
        field.error_with_hint(&format!("does not fit a partition of type {name}"), format!("use one of: {fitting}"));
        return Err(Mistaken);
    }
    Ok(written)
}

fn fs_label(field: &Field<'_>, filesystem: Option<FileSystem>) -> Option<String> {
    checked(field, |text| match filesystem {
        None => Err("left out: there is no file system that could have it"),
        Some(filesystem) if filesystem.is_fat() && !names::fat_label(text) => {
            Err("a FAT label: at most 11 upper case letters, digits and some signs")
        }
        Some(filesystem) if !filesystem.is_fat() && !names::label(text, 16) => Err("a label of at most 16 printable ASCII characters"),
        Some(_) => Ok(()),
    })
}

/// The flags that say again what the type says; other flags would change the partition.
fn flags(field: &Field<'_>, kind: Option<PartitionKind>) -> bool {
    let Some(items) = field.list() else { return false };
    items.iter().fold(true, |hold, item| {
        let Some(flag) = item.text() else { return false };
        let Some((_, kinds, what)) = FLAGS.iter().find(|(name, ..)| *name == flag.value) else {
            let known = FLAGS.map(|(name, ..)| name).join(", ");
            item.error_with_hint("is a flag that is not supported", format!("leave it out; known are {known}"));
            return false;
        };
        if kind.is_some_and(|kind| !kinds.contains(&kind)) {
            item.error_with_hint(&format!("marks {what}, which this is not"), "leave it out, or change the type");
            return false;
        }
        hold
    })
}
