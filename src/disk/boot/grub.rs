//! GRUB: one binary with all modules that a boot needs, which finds the file system that holds `/boot` by its UUID and reads `grub/grub.cfg` there.
//!
//! `grub-install` wants devices; `grub-mkimage`, which it calls, does not. Its binary stands where `grub-install` would put it, so that an update of
//! GRUB's packages on the running machine replaces it; the command line and the console are also in `/etc/default/grub.d`, so that `update-grub`
//! keeps them.

use std::fmt::Write as _;

use super::{Architecture, Bios, Context, Error, FatFile, Files, Run, Source, is_rpm, quoted};

/// How long the menu waits, in seconds.
const TIMEOUT: u32 = 1;

/// Built into the binary: reading the disk, the menu, the kernel, and what the configuration that `update-grub` writes may ask for. No other module
/// is needed.
const MODULES: [&str; 36] = [
    "all_video",
    "boot",
    "chain",
    "configfile",
    "echo",
    "ext2",
    "fat",
    "font",
    "gettext",
    "gfxmenu",
    "gfxterm",
    "gzio",
    "halt",
    "help",
    "linux",
    "loadenv",
    "ls",
    "minicmd",
    "normal",
    "part_gpt",
    "part_msdos",
    "probe",
    "png",
    "reboot",
    "regexp",
    "search",
    "search_fs_file",
    "search_fs_uuid",
    "search_label",
    "serial",
    "sleep",
    "terminal",
    "terminfo",
    "test",
    "true",
    "zstd",
];

/// Beside them, where EFI starts it.
const EFI_MODULES: [&str; 2] = ["efifwsetup", "lsefi"];

/// Beside them, where a BIOS starts it.
const BIOS_MODULES: [&str; 1] = ["biosdisk"];

/// The platform of a BIOS.
const BIOS_TARGET: &str = "i386-pc";

/// The files of the EFI system partition and of the tree. `run` runs `grub-mkimage` in the tree.
pub(super) fn files(context: &Context<'_>, run: &mut Run<'_>) -> Result<Files, Error> {
    let target = context.architecture.grub();
    let package = match (is_rpm(context.tree), context.architecture) {
        (false, architecture) => format!("grub-efi-{}-bin", architecture.debian()),
        (true, architecture) => format!("grub2-efi-{}-modules", architecture.efi()),
    };
    require(context, "GRUB for EFI", &format!("usr/lib/grub/{target}/kernel.img"), &package)?;
    let core = make_core(context, target, "core.efi", &EFI_MODULES, run)?;
    let mut files = configuration(context);
    for path in [context.architecture.removable_path(), format!("EFI/{}/grub{}.efi", context.os.id, context.architecture.efi())] {
        files.esp.push(FatFile { path, source: Source::Tree(core.clone()) });
    }
    Ok(files)
}

/// The same for a disk that a BIOS starts.
pub(super) fn bios_files(context: &Context<'_>, run: &mut Run<'_>) -> Result<Files, Error> {
    let boot = format!("usr/lib/grub/{BIOS_TARGET}/boot.img");
    if context.architecture != Architecture::X86_64 {
        return Err(Error::Unusable { what: "the boot type", value: "legacy".to_owned(), problem: "is for x86_64 only" });
    }
    require(context, "GRUB for a BIOS", &boot, if is_rpm(context.tree) { "grub2-pc-modules" } else { "grub-pc-bin" })?;
    let core = make_core(context, BIOS_TARGET, "core.img", &BIOS_MODULES, run)?;
    let mut files = configuration(context);
    files.bios = Some(Bios { boot: context.tree.read(&boot)?.unwrap_or_default(), core: context.tree.read(&core)?.unwrap_or_default() });
    Ok(files)
}

/// Has `grub-mkimage` make the binary with everything in it; returns its path in the tree, which is the one that `grub-install` gives it.
fn make_core(context: &Context<'_>, target: &str, name: &str, modules: &[&str], run: &mut Run<'_>) -> Result<String, Error> {
    let names = Names::of(context.tree);
    require(context, "grub-mkimage", &format!("usr/bin/{}", names.mkimage), names.package)?;
    let folder = names.folder;
    let (early, core) = (format!("boot/{folder}/{target}/load.cfg"), format!("boot/{folder}/{target}/{name}"));
    let prefix = format!("{}/{folder}", context.boot_prefix);
    let text = format!("search.fs_uuid {} root\nset prefix=($root){prefix}\n", context.boot_uuid);
    context.tree.write(&early, text.as_bytes(), 0o644)?;
    let (early, output) = (format!("/{early}"), format!("/{core}"));
    let mut command = vec![names.mkimage, "-O", target, "-p", &prefix, "-c", &early, "-o", &output];
    command.extend(MODULES);
    command.extend(modules);
    run(&command).map_err(|source| Error::Sandbox { command: command[..9].join(" "), source })?;
    if context.tree.file(&core)?.is_none() {
        return Err(Error::BadFile { path: output, problem: "was not written by grub-mkimage".to_owned() });
    }
    Ok(core)
}

/// What things are called.
#[derive(Debug, Clone, Copy)]
struct Names {
    mkimage: &'static str,
    /// Which package has it.
    package: &'static str,
    /// The folder of `/boot`.
    folder: &'static str,
    /// What `grub-mkconfig` reads. That of the RPM distributions knows no folder.
    defaults: &'static str,
}

impl Names {
    fn of(tree: &super::Tree) -> Self {
        if tree.exists("usr/bin/grub2-mkimage") || (is_rpm(tree) && !tree.exists("usr/bin/grub-mkimage")) {
            Self { mkimage: "grub2-mkimage", package: "grub2-tools", folder: "grub2", defaults: "etc/default/grub" }
        } else {
            Self { mkimage: "grub-mkimage", package: "grub-common", folder: "grub", defaults: "etc/default/grub.d/50-image.cfg" }
        }
    }
}

/// The menu, and what `update-grub` makes the next one of.
fn configuration(context: &Context<'_>) -> Files {
    let console = Console::of(&context.options);
    let names = Names::of(context.tree);
    let menu = (format!("boot/{}/grub.cfg", names.folder), menu(context, console.as_ref()).into_bytes());
    let defaults = (names.defaults.to_owned(), defaults(context, console.as_ref()).into_bytes());
    Files { tree: vec![menu, defaults], ..Files::default() }
}

fn require(context: &Context<'_>, what: &str, path: &str, package: &str) -> Result<(), Error> {
    if context.tree.file(path)?.is_some() {
        return Ok(());
    }
    Err(Error::Missing { what: what.to_owned(), path: format!("/{path}"), package: package.to_owned() })
}

/// `grub.cfg`: an entry for each kernel, newest (the default) first.
fn menu(context: &Context<'_>, console: Option<&Console>) -> String {
    let mut text = format!("set default=0\nset timeout={TIMEOUT}\n");
    if let Some(console) = console {
        writeln!(text, "{}\nterminal_input console serial\nterminal_output console serial", console.command())
            .expect("writing to a string cannot fail");
    }
    writeln!(text, "search --no-floppy --fs-uuid --set=root {}", context.boot_uuid).expect("writing to a string cannot fail");
    let options: Vec<String> = context.options.split_whitespace().map(quoted).collect();
    for kernel in &context.kernels {
        let title = quoted(&format!("{}, with Linux {}", context.title, kernel.version));
        // Kernel versions have no letter that GRUB's shell would read as anything else.
        let [image, initrd] = [&kernel.image, &kernel.initrd].map(|path| format!("{}{}", context.boot_prefix, path.trim_start_matches("boot")));
        write!(text, "\nmenuentry {title} {{\n\tlinux {image} {}\n\tinitrd {initrd}\n}}\n", options.join(" "))
            .expect("writing to a string cannot fail");
    }
    text
}

/// What `update-grub` reads. The root comes from `update-grub` itself.
fn defaults(context: &Context<'_>, console: Option<&Console>) -> String {
    let own: Vec<&str> = context.options.split_whitespace().filter(|word| !word.starts_with("root=")).collect();
    // `grub-install` makes the name of its folder of the distributor's; `update-grub` shows it.
    let (first, rest) = context.os.id.split_at(1);
    let distributor = format!("{}{rest}", first.to_ascii_uppercase());
    let mut text = format!(
        "GRUB_DISTRIBUTOR={distributor}\nGRUB_TIMEOUT={TIMEOUT}\nGRUB_CMDLINE_LINUX_DEFAULT=\nGRUB_CMDLINE_LINUX={}\n",
        quoted(&own.join(" "))
    );
    if let Some(console) = console {
        writeln!(text, "GRUB_TERMINAL='console serial'\nGRUB_SERIAL_COMMAND={}", quoted(&console.command()))
            .expect("writing to a string cannot fail");
    }
    text
}

/// The serial console that the kernel is told to use (`console=ttyS0,115200n8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Console {
    unit: u32,
    speed: u32,
}

impl Console {
    /// The last one of a command line; none if it names none that GRUB can drive.
    fn of(options: &str) -> Option<Self> {
        options.split_whitespace().filter_map(|word| Self::parse(word.strip_prefix("console=ttyS")?)).next_back()
    }

    fn parse(text: &str) -> Option<Self> {
        let (unit, mode) = text.split_once(',').unwrap_or((text, ""));
        let digits: String = mode.chars().take_while(char::is_ascii_digit).collect();
        Some(Self { unit: unit.parse().ok().filter(|unit| *unit < 4)?, speed: if digits.is_empty() { 115_200 } else { digits.parse().ok()? } })
    }

    fn command(self) -> String {
        format!("serial --unit={} --speed={}", self.unit, self.speed)
    }
}

impl Architecture {
    /// GRUB's name of the platform.
    fn grub(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-efi",
            Self::Aarch64 => "arm64-efi",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_serial_console() {
        let of = |text| Console::of(text).map(|console| (console.unit, console.speed));
        assert_eq!(of("quiet console=tty0 console=ttyS0"), Some((0, 115_200)));
        assert_eq!(of("console=ttyS0 console=ttyS1,9600n8"), Some((1, 9600)));
        assert_eq!(of("console=ttyAMA0 console=tty1 console=ttyS9 console=ttyS0,99999999999"), None);
    }
}
