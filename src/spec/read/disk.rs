//! `disk`.

use super::{checked, one_line};
use crate::disk::formats;
use crate::distro::Architecture;
use crate::spec::draft::DiskDraft;
use crate::spec::layout::{self, Placed};
use crate::spec::model::{Artifact, FileSystem, Partition, PartitionKind, PartitionTable};
use crate::spec::names;
use crate::units::ByteSize;
use crate::yaml::{Field, Fields};

/// Types of partitions that the language has and this program does not make.
const OTHER_TYPES: [&str; 14] = [
    "bios",
    "linux",
    "linux-dm-crypt",
    "linux-home",
    "linux-luks",
    "linux-lvm",
    "linux-raid",
    "linux-root",
    "linux-srv",
    "linux-swap",
    "linux-tmp",
    "linux-usr-amd64",
    "linux-var",
    "xbootldr",
];

/// File systems that the language has and this program does not make.
const OTHER_FILE_SYSTEMS: [&str; 8] = ["btrfs", "ext2", "ext3", "fat16", "linux-swap", "none", "swap", "xfs"];

/// `arch` is none if the target is wrong: what depends on it is not checked then.
pub(super) fn read(field: &Field<'_>, arch: Option<Architecture>) -> DiskDraft {
    let mut draft = DiskDraft::default();
    let Some(mut disk) = field.fields() else { return draft };
    for device in ["path", "selectionPolicy"] {
        disk.refuse(device, "images are written to files, never to a device: leave it out");
    }
    disk.refuse("maxSize", "write the size that the disk shall have into disk.size");
    if let Some(extend) = disk.optional("extendLastPartitionToFillDisk")
        && extend.boolean().is_some_and(|located| located.value)
    {
        let hint = "no partition grows when the machine starts: give disk.size its size there, and the last partition the end \"0\"";
        extend.error_with_hint("cannot be true", hint);
    }

    draft.name = disk.optional("name").and_then(|field| checked(&field, one_line));
    let size_field = disk.optional("size");
    draft.size = size_field.as_ref().and_then(size);
    if let Some(table) = disk.optional("partitionTableType") {
        table.one_of(&[("gpt", PartitionTable::Gpt)], &["mbr"]);
    }
    if let Some(partitions) = disk.optional("partitions") {
        // Without a size that can be read, every layout fits.
        let size = if size_field.is_none() { layout::DEFAULT_SIZE } else { draft.size.unwrap_or(layout::MAX_SIZE) };
        draft.partitions = read_partitions(&partitions, size, arch);
    } else if let (Some(field), Some(size)) = (&size_field, draft.size)
        && size < layout::min_default_size()
    {
        let least = layout::min_default_size().0 >> 20;
        field.error_with_hint("is too small for the default layout", format!("write at least {least}MiB, or give disk.partitions"));
    }
    draft.artifacts = disk.optional("artifacts").and_then(|field| artifacts(&field, draft.size));
    disk.finish();
    draft
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
fn artifacts(field: &Field<'_>, size: Option<ByteSize>) -> Option<Vec<Artifact>> {
    let mut found = Vec::new();
    let items = field.list()?;
    if items.is_empty() {
        field.error_with_hint("is an empty list", "name at least one artifact, such as type: raw");
    }
    for item in items {
        let Some(mut artifact) = item.fields() else { continue };
        artifact.refuse("compression", "compress the written file");
        let names = Artifact::ALL.map(|format| (format.name(), format));
        let kind = artifact.required("type").and_then(|field| field.one_of(&names, &["tar"]));
        artifact.finish();
        let Some(kind) = kind else { continue };
        if found.contains(&kind.value) {
            item.error(&format!("asks for “{}” a second time", kind.value.name()));
        }
        if let Some(Err(error)) = size.map(|size| formats::check_size(size.0, kind.value)) {
            item.error_with_hint(&format!("cannot be: {error}"), "choose another format, or a smaller disk");
        }
        found.push(kind.value);
    }
    Some(found)
}

fn read_partitions(field: &Field<'_>, size: ByteSize, arch: Option<Architecture>) -> Option<Vec<Partition>> {
    let items = field.list()?;
    if items.len() > 128 {
        field.error("has more than 128 partitions");
        return None;
    }
    let partitions: Vec<Option<Placed>> = items.iter().map(|item| partition(item, arch)).collect();
    // Order and overlaps mean nothing while one of them is unknown.
    let partitions: Vec<Placed> = partitions.into_iter().collect::<Option<_>>()?;
    layout::check(&partitions, size, field.place(), field.report());
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
    let file_systems = [("fat32", FileSystem::Fat32), ("vfat", FileSystem::Fat32), ("ext4", FileSystem::Ext4)];
    let fs_field = fields.required("fsType");
    let filesystem = fs_field.as_ref().and_then(|field| field.one_of(&file_systems, &OTHER_FILE_SYSTEMS)).map(|located| located.value);
    let label_field = fields.optional("fsLabel");
    let mount_field = fields.required("mountPoint");
    let mount_point = mount_field.as_ref().and_then(|field| checked(field, mount_path));
    let options = fields.optional("mountOptions").map(|field| checked(&field, names::mount_options));
    let flags_hold = fields.optional("flags").is_none_or(|field| flags(&field, kind));
    fields.finish();

    let (kind, filesystem) = (kind?, filesystem?);
    let wanted = if kind == PartitionKind::Esp { FileSystem::Fat32 } else { FileSystem::Ext4 };
    if filesystem != wanted {
        let wanted = if kind == PartitionKind::Esp { "fat32 on an EFI system partition" } else { "ext4 on the root partition" };
        fs_field?.error(&format!("must be {wanted}"));
        return None;
    }
    let label = match label_field {
        Some(field) => Some(fs_label(&field, filesystem)?),
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
        mount_point: mount_point?,
        mount_options,
    };
    flags_hold.then_some(Placed { partition, place: item.place(), start: start.place, end: end.place, mount: mount_field?.place() })
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

/// What `type` and `typeUUID` can say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Esp,
    Root(Architecture),
}

/// A type by its name, its GUID (UEFI and Discoverable Partitions specifications) and its code in `sgdisk`, which templates have in `typeUUID` too.
const TYPES: [(&str, &str, &str, Written); 3] = [
    ("esp", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "ef00", Written::Esp),
    ("linux-root-amd64", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "8304", Written::Root(Architecture::X86_64)),
    ("linux-root-arm64", "b921b045-1df0-41c3-af44-4c6f280d3fae", "8305", Written::Root(Architecture::Aarch64)),
];

/// `type`, or its other spelling, `typeUUID`. Where both are there, they must say the same.
fn kind(fields: &mut Fields<'_>, arch: Option<Architecture>) -> Option<PartitionKind> {
    let uuid = fields.optional("typeUUID");
    let name = if uuid.is_some() { fields.optional("type") } else { fields.required("type") };
    let names = TYPES.map(|(name, _, _, written)| (name, written));
    let by_name = name.as_ref().map(|field| field.one_of(&names, &OTHER_TYPES).map(|located| located.value));
    let by_uuid = uuid.as_ref().map(|field| type_of_uuid(field));
    let (field, written) = match (name, by_name, uuid, by_uuid) {
        (Some(_), Some(named), Some(field), Some(written)) => {
            let (named, written) = (named?, written?);
            if named != written {
                field.error_with_hint("and type are not the same", "give only one of them");
                return None;
            }
            (field, written)
        }
        (Some(field), Some(written), ..) | (_, _, Some(field), Some(written)) => (field, written?),
        _ => return None,
    };
    let Written::Root(of) = written else { return Some(PartitionKind::Esp) };
    if let Some(arch) = arch.filter(|arch| *arch != of) {
        field.error(&format!("must be linux-root-{} for {}", arch.debian(), arch.name()));
    }
    Some(PartitionKind::LinuxRoot)
}

fn type_of_uuid(field: &Field<'_>) -> Option<Written> {
    let text = field.text()?.value.to_ascii_lowercase();
    let found = TYPES.iter().find(|(_, guid, code, _)| text == *guid || text == *code);
    if found.is_none() {
        let list = TYPES.map(|(name, guid, ..)| format!("{guid} ({name})")).join(", ");
        field.error_with_hint("is a type that is not supported", format!("use one of: {list}"));
    }
    found.map(|(.., written)| *written)
}

fn fs_label(field: &Field<'_>, filesystem: FileSystem) -> Option<String> {
    checked(field, |text| match filesystem {
        FileSystem::Fat32 if !names::fat_label(text) => Err("a FAT label: at most 11 upper case letters, digits and some signs"),
        FileSystem::Ext4 if !names::label(text, 16) => Err("an ext4 label: at most 16 printable ASCII characters"),
        FileSystem::Fat32 | FileSystem::Ext4 => Ok(()),
    })
}

/// The flags `esp` and `boot` say again what the type says; other flags would change the partition.
fn flags(field: &Field<'_>, kind: Option<PartitionKind>) -> bool {
    let Some(items) = field.list() else { return false };
    items.iter().fold(true, |hold, item| {
        let Some(flag) = item.text() else { return false };
        let holds = matches!(flag.value.as_str(), "esp" | "boot");
        if !holds {
            item.error_with_hint("is a flag that is not supported", "leave it out; esp and boot are known");
        } else if kind.is_some_and(|kind| kind != PartitionKind::Esp) {
            item.error_with_hint("marks an EFI system partition, which this is not", "leave it out, or make it type: esp");
            return false;
        }
        hold && holds
    })
}
