//! systemd-boot: the boot loader copied, an entry for each kernel, laid out as `kernel-install(8)` does (Boot Loader Specification, type 1).
//!
//! The entry token is the `ID` of `os-release`, and is written to `/etc/kernel/entry-token`: the usual one, the machine's own id, is not yet known in
//! an image.

use super::{Context, Error, FatFile, Files, Source, is_rpm};

/// How long the menu waits, in seconds: long enough to press a key on a serial console, short enough for a machine that nobody watches.
const TIMEOUT: u32 = 1;

/// The files of the EFI system partition and of the tree.
pub(super) fn files(context: &Context<'_>) -> Result<Files, Error> {
    let mut files = Files::default();
    let efi = context.architecture.efi();
    let loader = format!("usr/lib/systemd/boot/efi/systemd-boot{efi}.efi");
    if context.tree.file(&loader)?.is_none() {
        let package = if is_rpm(context.tree) { "systemd-boot" } else { "systemd-boot-efi" }.to_owned();
        return Err(Error::Missing { what: "systemd-boot".to_owned(), path: format!("/{loader}"), package });
    }
    for path in [format!("EFI/systemd/systemd-boot{efi}.efi"), context.architecture.removable_path()] {
        files.esp.push(FatFile { path, source: Source::Tree(loader.clone()) });
    }
    let mut put = |path: String, text: String| files.esp.push(FatFile { path, source: Source::Bytes(text.into_bytes()) });
    put("loader/loader.conf".to_owned(), format!("timeout {TIMEOUT}\n"));
    // Tells `kernel-install` and `bootctl` that the entries are ours to add to.
    put("loader/entries.srel".to_owned(), "type1\n".to_owned());
    let token = &context.os.id;
    for kernel in &context.kernels {
        put(format!("loader/entries/{token}-{}.conf", kernel.version), entry(context, &kernel.version));
    }
    for kernel in &context.kernels {
        let folder = format!("{token}/{}", kernel.version);
        files.esp.push(FatFile { path: format!("{folder}/linux"), source: Source::Tree(kernel.image.clone()) });
        files.esp.push(FatFile { path: format!("{folder}/initrd.img-{}", kernel.version), source: Source::Tree(kernel.initrd.clone()) });
    }
    files.tree.push(("etc/kernel/cmdline".to_owned(), format!("{}\n", context.options).into_bytes()));
    files.tree.push(("etc/kernel/entry-token".to_owned(), format!("{token}\n").into_bytes()));
    Ok(files)
}

/// An entry of the menu. Of entries with the same sort key systemd-boot shows and starts the highest version first.
fn entry(context: &Context<'_>, version: &str) -> String {
    let (token, title, options) = (&context.os.id, &context.title, &context.options);
    format!(
        "title      {title}\n\
         version    {version}\n\
         sort-key   {token}\n\
         options    {options}\n\
         linux      /{token}/{version}/linux\n\
         initrd     /{token}/{version}/initrd.img-{version}\n"
    )
}
