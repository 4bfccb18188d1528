//! `systemConfig`, without its users.

use super::{checked, files, network, one_line, unfit, users};
use crate::distro::{Architecture, BootProvider, Packaging};
use crate::resolve;
use crate::spec::draft::SystemDraft;
use crate::spec::model::{ImageType, Sbom};
use crate::spec::names;
use crate::yaml::{Field, Fields};

/// What the language has, this program does not do, and a file in the image can do.
const BY_FILES: [(&str, &str); 5] = [
    ("proxy", "bring /etc/environment with additionalFiles"),
    ("provisioning", "bring a systemd unit with additionalFiles and enable it in configurations"),
    ("cloudInit", "name cloud-init in packages and bring its files with additionalFiles"),
    ("aptPolicy", "bring a file of /etc/apt/preferences.d with additionalFiles"),
    ("initramfs", "the initrd is made by initramfs-tools: bring its settings with additionalFiles"),
];

/// The bills that an image can have. One of what it was made from would have to have its digest.
const SBOMS: [(&str, Sbom); 2] = [("spdx", Sbom::Spdx), ("cyclonedx", Sbom::CycloneDx)];

/// The longest command line of a kernel: x86 takes 2048 bytes, and the root's name is added.
const CMDLINE_LIMIT: usize = 1900;

/// The longest command of `configurations`.
const COMMAND_LIMIT: usize = 64 << 10;

/// What the system is made for.
#[derive(Clone, Copy)]
pub(super) struct For {
    /// None if the target is wrong: what depends on it is not checked then.
    pub(super) arch: Option<Architecture>,
    pub(super) packaging: Packaging,
    pub(super) kind: ImageType,
}

pub(super) fn read(field: &Field<'_>, For { arch, packaging, kind }: For) -> SystemDraft {
    let mut draft = SystemDraft::default();
    let Some(mut system) = field.fields() else { return draft };
    match kind {
        ImageType::Raw => {}
        ImageType::Img => unfit(&mut system, "bootloader", kind, "leave it out: what starts the image is not in it"),
        ImageType::Wsl2 => {
            unfit(&mut system, "bootloader", kind, "leave it out: Windows starts the image");
            unfit(&mut system, "kernel", kind, "leave it out: the image runs with the kernel of Windows");
            unfit(&mut system, "network", kind, "leave it out: Windows sets up the network");
        }
    }
    for (name, instead) in BY_FILES {
        system.refuse(name, instead);
    }
    system.refuse("fde", "disks are not encrypted: leave it out");
    system.refuse("dkms", "name a package that has the built module in packages");
    if let Some(field) = system.optional("immutability") {
        immutability(&field);
    }
    draft.name = system.optional("name").and_then(|field| checked(&field, one_line));
    draft.description = system.optional("description").and_then(|field| checked(&field, description));
    draft.hostname = system.optional("hostname").and_then(|field| checked(&field, names::hostname));
    draft.network = system.optional("network").and_then(|field| network::read(&field));
    draft.packages = system.optional("packages").map(|field| packages(&field, packaging)).unwrap_or_default();
    draft.recommends = system.optional("installRecommends").and_then(|field| field.boolean()).is_some_and(|switch| switch.value);
    draft.users = system.optional("users").map(|field| users::read(&field)).unwrap_or_default();
    draft.additional_files = system.optional("additionalFiles").map(|field| files::read(&field)).unwrap_or_default();
    draft.configurations = system.optional("configurations").map(|field| configurations(&field)).unwrap_or_default();
    if let Some(kernel) = system.optional("kernel").and_then(|field| field.fields()) {
        read_kernel(kernel, packaging, kind, &mut draft);
    }
    draft.bootloader = system.optional("bootloader").and_then(|field| bootloader(&field, arch));
    draft.sbom = system.optional("sbom").and_then(|field| field.one_of(&SBOMS, &[])).map(|located| located.value);
    system.finish();
    draft
}

fn description(text: &str) -> Result<(), &'static str> {
    let holds = !text.contains(|char: char| char.is_control() && char != '\n' && char != '\t') && text.len() <= 4096;
    if holds { Ok(()) } else { Err("at most 4096 characters of text") }
}

fn immutability(field: &Field<'_>) {
    let Some(mut fields) = field.fields() else { return };
    for key in ["secureBootDBKey", "secureBootDBCrt", "secureBootDBCer"] {
        fields.refuse(key, "images are not signed: leave it out");
    }
    if let Some(enabled) = fields.required("enabled")
        && enabled.boolean().is_some_and(|located| located.value)
    {
        enabled.error_with_hint("cannot be true", "immutable images are not supported: write false");
    }
    fields.finish();
}

/// Package names, patterns of them, and names with versions; architectures are told apart from nonsense.
fn packages(field: &Field<'_>, packaging: Packaging) -> Vec<String> {
    let mark = names::before_version(packaging);
    let package = |item: &Field<'_>| {
        let text = item.text()?.value;
        let bare = text.split([':', '<', '>', ' ', '/']).next().unwrap_or_default();
        if bare.len() < text.len() && !bare.contains(mark) && names::packages(bare, packaging).is_ok() {
            let hint = format!("write “{bare}”, or {bare}=VERSION");
            item.error_with_hint("has an architecture, a suite or a range of versions, which is not supported", hint);
            return None;
        }
        // One way of writing for one package.
        checked(item, |text| names::packages(text, packaging)).map(|text| text.replacen(mark, "=", 1))
    };
    field.list().unwrap_or_default().iter().filter_map(package).collect()
}

fn configurations(field: &Field<'_>) -> Vec<String> {
    let command = |item: &Field<'_>| {
        let mut fields = item.fields()?;
        let cmd = fields.required("cmd");
        fields.finish();
        checked(&cmd?, |text| {
            let control = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
            let holds = !text.trim().is_empty() && text.len() <= COMMAND_LIMIT && !text.contains(control);
            if holds { Ok(()) } else { Err("a shell command of at most 64 KiB") }
        })
    };
    field.list().unwrap_or_default().iter().filter_map(command).collect()
}

fn read_kernel(mut kernel: Fields<'_>, packaging: Packaging, kind: ImageType, draft: &mut SystemDraft) {
    if kind == ImageType::Img {
        unfit(&mut kernel, "cmdline", kind, "leave it out: what starts the image gives the kernel its command line");
        unfit(&mut kernel, "enableExtraModules", kind, "bring a file of /etc/modules-load.d with additionalFiles: all modules are there");
    }
    kernel.refuse("name", "name the kernel's package in systemConfig.kernel.packages");
    kernel.refuse("uki", "kernel and initrd are files of their own: leave it out");
    let version = kernel.optional("version");
    draft.kernel_version = version.as_ref().and_then(|field| checked(field, names::kernel_version));
    if let Some(field) = kernel.optional("packages") {
        let packages = packages(&field, packaging);
        if field.list().is_some_and(|items| items.is_empty()) {
            field.error_with_hint("is an empty list", "leave it out for the distribution's kernel");
        } else if let Some(version) = version.filter(|_| !packages.iter().any(|name| resolve::is_kernel(name))) {
            version.error_with_hint(
                "says the version of none of kernel.packages",
                "name one that begins with linux-image-, or leave kernel.packages out",
            );
        }
        draft.kernel_packages = Some(packages);
    }
    draft.modules = kernel.optional("enableExtraModules").map(|field| modules(&field)).unwrap_or_default();
    draft.cmdline = kernel.optional("cmdline").and_then(|field| cmdline(&field));
    kernel.finish();
}

/// Names that spaces or commas separate, in the order of the spec.
fn modules(field: &Field<'_>) -> Vec<String> {
    let names = |text: &str| text.split([' ', ',', '\n', '\t']).filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let written =
        checked(
            field,
            |text| if text.len() > 4096 { Err("at most 4096 characters") } else { names(text).iter().try_for_each(|name| names::module(name)) },
        );
    let mut modules: Vec<String> = Vec::new();
    for name in written.map(|text| names(&text)).unwrap_or_default() {
        if !modules.contains(&name) {
            modules.push(name);
        }
    }
    modules
}

fn cmdline(field: &Field<'_>) -> Option<String> {
    let text = checked(field, |text| {
        let holds = text.len() <= CMDLINE_LIMIT && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if holds { Ok(()) } else { Err("one line of at most 1900 printable ASCII characters") }
    })?;
    if text.split(' ').any(|word| word.starts_with("root=")) {
        field.error_with_hint("names the root file system", "leave root= out: it is added when the disk is made");
        return None;
    }
    Some(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

fn bootloader(field: &Field<'_>, arch: Option<Architecture>) -> Option<BootProvider> {
    let mut fields = field.fields()?;
    fields.refuse("bootEntryPolicy", "it is for installers on a device: leave it out");
    let boot_type = fields.optional("bootType");
    let legacy = boot_type.as_ref().is_some_and(|field| field.one_of(&[("efi", false), ("legacy", true)], &[]).is_some_and(|located| located.value));
    let names = [BootProvider::SystemdBoot, BootProvider::Grub].map(|provider| (provider.name(), provider));
    let field = fields.optional("provider");
    let provider = field.as_ref().and_then(|field| field.one_of(&names, &[])).map(|located| located.value);
    fields.finish();
    match (boot_type.filter(|_| legacy), provider) {
        (Some(boot_type), _) if arch == Some(Architecture::Aarch64) => {
            boot_type.error_with_hint("is “legacy”, which aarch64 has not", "write efi");
            None
        }
        (Some(_), Some(BootProvider::SystemdBoot)) => {
            field?.error_with_hint("cannot be systemd-boot with bootType: legacy: a BIOS does not start it", "write grub, or bootType: efi");
            None
        }
        (Some(_), _) => Some(BootProvider::GrubBios),
        (None, provider) => provider,
    }
}
