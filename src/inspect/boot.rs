//! What starts a machine from an image: code for a BIOS, EFI programs, menus, kernels.

use std::collections::BTreeMap;

use serde::Serialize;

use super::disk::Disk;
use super::node::Kind;
use super::problem::Result;

/// Of an EFI program, so much is looked at: all of every boot loader, the beginning of a kernel.
const PROGRAM_LIMIT: u64 = 8 << 20;

/// The longest file of a menu, in bytes.
const MENU_LIMIT: u64 = 1 << 20;

/// What is told of each at most.
const COUNT_LIMIT: usize = 256;

/// The boot code that a BIOS runs, before the table of an MBR.
const BIOS_CODE: u64 = 440;

/// How an image starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// Whose code a BIOS finds in the first sector: `GRUB`, or `unknown`; none where there is none.
    pub bios: Option<String>,
    /// The EFI programs.
    pub efi: Vec<Loader>,
    /// What the menus offer, in their order.
    pub entries: Vec<Entry>,
}

/// An EFI program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loader {
    /// Where it is.
    pub path: String,
    /// `systemd-boot`, `GRUB`, `shim`, `systemd-stub` (a unified kernel image), or `unknown`.
    pub name: String,
    /// Its version, where it says so.
    pub version: Option<String>,
    /// Its length in bytes.
    pub size: u64,
}

/// An entry of a menu.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The file that has it.
    pub path: String,
    /// What the menu says.
    pub title: String,
    /// The kernel, as the loader looks for it.
    pub kernel: String,
    /// The initial RAM disks.
    pub initrd: String,
    /// The kernel's command line.
    pub options: String,
}

/// A kernel, with modules or an image or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// Its version, as its modules' folder is called.
    pub version: String,
    /// Its images.
    pub images: Vec<String>,
    /// How many modules it has.
    pub modules: u64,
    /// Bytes of them.
    pub modules_size: u64,
}

pub(super) fn read(disk: &Disk<'_>) -> Result<Boot> {
    let mut boot = Boot { bios: bios(disk)?, ..Boot::default() };
    for (path, at) in &disk.tree {
        let node = disk.node(*at);
        let on_fat = disk.parts[at.0].files.as_ref().is_some_and(|files| !files.filesystem.has_links());
        let (shown, lower) = (String::from_utf8_lossy(path).into_owned(), path.to_ascii_lowercase());
        if node.kind != Kind::File {
            continue;
        }
        if on_fat && lower.ends_with(b".efi") && boot.efi.len() < COUNT_LIMIT {
            let (name, version) = program(&disk.head(*at, PROGRAM_LIMIT)?);
            boot.efi.push(Loader { path: shown, name: name.to_owned(), version, size: node.size });
        } else if boot.entries.len() < COUNT_LIMIT {
            let is_entry = lower.ends_with(b".conf") && shown.to_ascii_lowercase().contains("/loader/entries/");
            let is_menu = lower.ends_with(b"/grub/grub.cfg") || lower.ends_with(b"/grub2/grub.cfg");
            if (is_entry || is_menu)
                && let Some(bytes) = disk.content(*at, MENU_LIMIT)?
            {
                let text = String::from_utf8_lossy(&bytes);
                let mut entries = if is_entry { vec![loader_entry(&text)] } else { grub_entries(&text) };
                for entry in &mut entries {
                    entry.path.clone_from(&shown);
                }
                boot.entries.extend(entries);
            }
        }
    }
    boot.entries.truncate(COUNT_LIMIT);
    Ok(boot)
}

fn bios(disk: &Disk<'_>) -> Result<Option<String>> {
    // The first sector of a file system is none of a disk.
    if disk.table.is_none() {
        return Ok(None);
    }
    let code = disk.volume.read(0, BIOS_CODE)?;
    let has = |word: &[u8]| memchr::memmem::find(&code, word).is_some();
    Ok(match () {
        () if code.iter().all(|byte| *byte == 0) => None,
        () if has(b"GRUB") => Some("GRUB".to_owned()),
        () => Some("unknown".to_owned()),
    })
}

/// What an EFI program is, by words that are in it.
fn program(bytes: &[u8]) -> (&'static str, Option<String>) {
    let has = |word: &[u8]| memchr::memmem::find(bytes, word);
    // “#### LoaderInfo: systemd-boot 252.39-1 ####”
    for (mark, name) in [(b"LoaderInfo: systemd-boot ".as_slice(), "systemd-boot"), (b"LoaderInfo: systemd-stub ", "systemd-stub")] {
        if let Some(at) = has(mark) {
            let version = bytes[at + mark.len()..].iter().take(64).take_while(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect();
            return (name, Some(version));
        }
    }
    match () {
        () if has(b"UEFI SHIM").is_some() => ("shim", None),
        () if has(b"grub_").is_some() || has(b"GRUB ").is_some() => ("GRUB", None),
        () => ("unknown", None),
    }
}

/// An entry by the Boot Loader Specification.
fn loader_entry(text: &str) -> Entry {
    let values = |key: &str| {
        let value =
            |line: &str| line.trim().strip_prefix(key).filter(|rest| rest.starts_with(char::is_whitespace)).map(|rest| rest.trim().to_owned());
        text.lines().filter_map(value).collect::<Vec<_>>().join(" ")
    };
    let kernel = Some(values("linux")).filter(|kernel| !kernel.is_empty()).unwrap_or_else(|| values("efi"));
    Entry { path: String::new(), title: values("title"), kernel, initrd: values("initrd"), options: values("options") }
}

/// The entries of GRUB's menu. What its shell would make of it is not looked at.
fn grub_entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines().map(str::trim) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if word == "menuentry" && entries.len() < COUNT_LIMIT {
            entries.push(Entry { title: title(rest), ..Entry::default() });
        }
        match (word, entries.last_mut()) {
            ("linux" | "linux16" | "linuxefi", Some(entry)) => {
                let (kernel, options) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                (entry.kernel, entry.options) = (kernel.to_owned(), options.trim().to_owned());
            }
            ("initrd" | "initrd16" | "initrdefi", Some(entry)) => rest.trim().clone_into(&mut entry.initrd),
            _ => {}
        }
    }
    entries.retain(|entry| !entry.kernel.is_empty());
    entries
}

/// What stands in the first quotes.
fn title(text: &str) -> String {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let quoted = quote.and_then(|quote| text[1..].split(quote).next());
    quoted.unwrap_or_else(|| text.split_whitespace().next().unwrap_or_default()).to_owned()
}

pub(super) fn kernels(disk: &Disk<'_>) -> Vec<Kernel> {
    let mut kernels: BTreeMap<String, Kernel> = BTreeMap::new();
    for (path, at) in &disk.tree {
        let path = String::from_utf8_lossy(path);
        let node = disk.node(*at);
        if let Some((version, inside)) = beneath_modules(&path)
            && node.kind == Kind::File
            && kernels.len() < COUNT_LIMIT
        {
            let kernel = kernels.entry(version.to_owned()).or_default();
            if [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|end| inside.ends_with(end)) {
                kernel.modules += 1;
                kernel.modules_size = kernel.modules_size.saturating_add(node.size);
            }
        }
    }
    for (path, at) in &disk.tree {
        let path = String::from_utf8_lossy(path);
        let mut names = path.rsplit('/');
        let (name, folder) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let version = match name {
            "linux" | "vmlinuz" => Some(folder).filter(|folder| kernels.contains_key(*folder)),
            _ => ["vmlinuz-", "vmlinux-", "Image-"]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix))
                .filter(|_| path.contains("/boot") || path.contains(":/")),
        };
        if let Some(version) = version.filter(|_| disk.node(*at).kind == Kind::File && kernels.len() < COUNT_LIMIT) {
            kernels.entry(version.to_owned()).or_default().images.push(path.into_owned());
        }
    }
    kernels.into_iter().map(|(version, kernel)| Kernel { version, ..kernel }).collect()
}

/// The version and the rest of a path beneath a kernel's modules.
fn beneath_modules(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/usr/lib/modules/").or_else(|| path.strip_prefix("/lib/modules/"))?;
    rest.split_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn menus_are_read() {
        let entry = loader_entry("title      Debian\nversion 6.1\nlinux /debian/6.1/linux\ninitrd /a\ninitrd /b\noptions root=UUID=1 quiet\n");
        assert_eq!((entry.title.as_str(), entry.kernel.as_str(), entry.initrd.as_str()), ("Debian", "/debian/6.1/linux", "/a /b"));
        assert_eq!(entry.options, "root=UUID=1 quiet");
        let text = "set timeout=1\nmenuentry 'Debian, with Linux' --class debian {\n\tlinux /boot/vmlinuz-6.1 root=UUID=1 ro\n\tinitrd /boot/initrd\n}\nmenuentry \"Firmware\" {\n\tfwsetup\n}\n";
        let entries = grub_entries(text);
        assert_eq!(entries.len(), 1);
        assert_eq!(
            (entries[0].title.as_str(), entries[0].kernel.as_str(), entries[0].options.as_str()),
            ("Debian, with Linux", "/boot/vmlinuz-6.1", "root=UUID=1 ro")
        );
        assert_eq!([title("'open"), title("é x"), title("")], ["open", "é", ""]);
    }

    #[test]
    fn programs_are_known_by_their_words() {
        assert_eq!(program(b"MZ..#### LoaderInfo: systemd-boot 252.39-1~deb12u1 ####\0"), ("systemd-boot", Some("252.39-1~deb12u1".to_owned())));
        assert_eq!(program(b"MZ UEFI SHIM $Version"), ("shim", None));
        assert_eq!(program(b"MZ grub_main"), ("GRUB", None));
        assert_eq!(program(b""), ("unknown", None));
    }
}
