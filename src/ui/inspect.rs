//! What `inspect` shows.

use std::io;

use image_composer::inspect::{Boot, Inspection, Kernel, PackageSource, Packages, PartitionReport, Password, User};
use image_composer::units::ByteSize;

use super::stream::Stream;
use super::table::{Align, pairs, table};
use super::{Ui, data, text};

impl Ui {
    /// Shows what is in an image; `packages` is whether to list them all.
    pub(crate) fn inspected(self, inspection: &Inspection, packages: bool, json: bool) -> io::Result<()> {
        if json {
            data::json(inspection)?;
        } else {
            data::text(&report(inspection, packages, self.out))?;
        }
        for remark in &inspection.remarks {
            self.warn(remark);
        }
        for problem in &inspection.problems {
            self.warn(&format!("{}: {}", problem.place, problem.problem));
        }
        Ok(())
    }
}

fn report(of: &Inspection, all_packages: bool, stream: Stream) -> String {
    let mut lines = vec![("image", [&of.image, of.format.as_deref().unwrap_or("cached")].join(", ")), ("size", ByteSize(of.size).to_string())];
    if let Some(os) = &of.os {
        let name = if os.name.is_empty() { format!("{} {}", os.id, os.version) } else { os.name.clone() };
        let host = of.hostname.as_ref().map(|host| format!(", host name {host}")).unwrap_or_default();
        lines.push(("system", name.trim().to_owned() + &host));
    }
    lines.push(("table", of.table.as_ref().map_or_else(|| "none".to_owned(), |table| format!("{}, {}", table.kind, table.id))));
    lines.push(("boot", boot(&of.boot)));
    lines.push(("kernels", listed(of.kernels.iter().map(kernel))));
    lines.push(("packages", packages(&of.packages)));
    lines.push(("files", format!("{}, {}", text::count(of.files.count, "file"), ByteSize(of.files.bytes))));
    let lines: Vec<_> = lines.into_iter().map(|(name, value)| (name, one_line(&value))).collect();
    let mut sections = vec![pairs(&lines, stream), partitions(&of.partitions, stream)];
    let entries = of.boot.entries.iter().map(|entry| [&entry.title, &entry.kernel, &entry.options].map(|cell| one_line(cell)));
    section(&mut sections, [("MENU ENTRY", Align::Left), ("KERNEL", Align::Left), ("OPTIONS", Align::Left)], &entries.collect::<Vec<_>>(), stream);
    sections.push(users(&of.users, stream));
    let largest = of.largest.iter().map(|file| [ByteSize(file.size).to_string(), one_line(&file.path)]);
    section(&mut sections, [("SIZE", Align::Right), ("LARGEST FILE", Align::Left)], &largest.collect::<Vec<_>>(), stream);
    if all_packages {
        let row = |package: &image_composer::inspect::Package| {
            [one_line(&package.name), one_line(&package.version), one_line(&package.arch), ByteSize(package.size).to_string()]
        };
        let columns = [("PACKAGE", Align::Left), ("VERSION", Align::Left), ("ARCH", Align::Left), ("SIZE", Align::Right)];
        section(&mut sections, columns, &of.packages.list.iter().map(row).collect::<Vec<_>>(), stream);
    }
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn section<const N: usize>(sections: &mut Vec<String>, columns: [super::table::Column; N], rows: &[[String; N]], stream: Stream) {
    if !rows.is_empty() {
        sections.push(table(columns, rows, stream));
    }
}

/// Text from an image, harmless and in one line.
fn one_line(text: &str) -> String {
    text::printable(text).replace(['\t', '\n'], " ")
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "none found".to_owned() } else { parts.join("; ") }
}

fn boot(boot: &Boot) -> String {
    let bios = boot.bios.iter().map(|name| format!("BIOS: {}", if name == "unknown" { "code of unknown origin" } else { name }));
    // The same program often stands in two places.
    let mut programs: Vec<String> = Vec::new();
    for loader in &boot.efi {
        let name = if loader.name == "unknown" { loader.path.clone() } else { loader.name.clone() };
        let shown = loader.version.as_ref().map_or(name.clone(), |version| format!("{name} {version}"));
        if !programs.contains(&shown) {
            programs.push(shown);
        }
    }
    let efi = (!programs.is_empty()).then(|| format!("EFI: {}", programs.join(", ")));
    listed(efi.into_iter().chain(bios))
}

fn kernel(kernel: &Kernel) -> String {
    let modules = match kernel.modules {
        0 => "no modules".to_owned(),
        number => format!("{}, {}", text::count(number, "module"), ByteSize(kernel.modules_size)),
    };
    let image = if kernel.images.is_empty() { ", no image" } else { "" };
    format!("{} ({modules}{image})", kernel.version)
}

fn packages(packages: &Packages) -> String {
    let number = packages.list.len() as u64;
    match packages.source {
        PackageSource::Dpkg => format!("{number} (dpkg)"),
        PackageSource::Rpm => format!("{number} (rpm)"),
        PackageSource::Record => format!("{number} (by what is kept with the image)"),
        PackageSource::UnreadRpm => {
            "not known: rpm's database is of a kind that is not read, or was not closed; of an image that was built here they are".to_owned()
        }
        PackageSource::Nothing => "no database of them".to_owned(),
    }
}

fn partitions(partitions: &[PartitionReport], stream: Stream) -> String {
    let row = |partition: &PartitionReport| {
        let filesystem = partition.filesystem.as_ref();
        [
            partition.number.map_or_else(|| "-".to_owned(), |number| number.to_string()),
            one_line(&partition.kind),
            one_line(&partition.name),
            ByteSize(partition.start).to_string(),
            ByteSize(partition.size).to_string(),
            filesystem.map_or_else(|| "-".to_owned(), |filesystem| filesystem.kind.clone()),
            filesystem.and_then(|filesystem| filesystem.used).map(|used| ByteSize(used).to_string()).unwrap_or_default(),
            filesystem.map(|filesystem| one_line(&filesystem.label)).unwrap_or_default(),
            partition.mount_point.as_deref().map(one_line).unwrap_or_default(),
        ]
    };
    let columns = [
        ("PARTITION", Align::Right),
        ("TYPE", Align::Left),
        ("NAME", Align::Left),
        ("START", Align::Right),
        ("SIZE", Align::Right),
        ("FILE SYSTEM", Align::Left),
        ("USED", Align::Right),
        ("LABEL", Align::Left),
        ("MOUNTED AT", Align::Left),
    ];
    table(columns, &partitions.iter().map(row).collect::<Vec<_>>(), stream)
}

/// Those who can log in; the others are counted.
fn users(users: &[User], stream: Stream) -> String {
    let row = |user: &User| {
        let password = match user.password {
            Some(Password::Set) => "set",
            Some(Password::Locked) => "locked",
            Some(Password::Empty) => "empty",
            None => "unknown",
        };
        [one_line(&user.name), user.uid.to_string(), one_line(&user.home), one_line(&user.shell), password.to_owned()]
    };
    let rows: Vec<_> = users.iter().filter(|user| user.can_log_in()).map(row).collect();
    if users.is_empty() {
        return String::new();
    }
    let columns = [("USER", Align::Left), ("UID", Align::Right), ("HOME", Align::Left), ("SHELL", Align::Left), ("PASSWORD", Align::Left)];
    let others = (users.len() - rows.len()) as u64;
    let more = if others == 0 { String::new() } else { format!("and {} without a shell\n", text::count(others, "user")) };
    table(columns, &rows, stream) + &more
}

#[cfg(test)]
mod tests {
    use image_composer::inspect::{Entry, FileSystemReport, LargeFile, Loader, Os, Package, TableReport, Totals};

    use super::*;

    pub(super) fn inspection() -> Inspection {
        let text = |text: &str| text.to_owned();
        let filesystem = |kind: &str, used: Option<u64>| {
            Some(FileSystemReport { kind: text(kind), label: text("ROOT"), uuid: text("abcd"), size: used, used, names: used })
        };
        let partition = |number, kind: &str, mount: Option<&str>, filesystem| PartitionReport {
            number: Some(number),
            name: text("p"),
            kind: text(kind),
            id: text("1-2"),
            start: 1 << 20,
            size: 1 << 30,
            filesystem,
            mount_point: mount.map(text),
        };
        let user = |name: &str, shell: &str, password| User { name: text(name), uid: 0, gid: 0, home: text("/root"), shell: text(shell), password };
        Inspection {
            image: text("out/edge.qcow2"),
            spec_hash: None,
            format: Some(text("qcow2")),
            size: 2 << 30,
            table: Some(TableReport { kind: "gpt", id: text("1234") }),
            partitions: vec![
                partition(1, "esp", Some("/boot/efi"), filesystem("fat32", Some(40 << 20))),
                partition(2, "linux-root-amd64", Some("/"), filesystem("ext4", Some(600 << 20))),
                partition(3, "bios", None, None),
                partition(4, "linux-swap", None, filesystem("linux-swap", None)),
            ],
            os: Some(Os { id: text("debian"), version: text("12"), name: text("Debian\u{1b}[2J 12") }),
            hostname: Some(text("edge")),
            boot: Boot {
                bios: Some(text("GRUB")),
                efi: ["/a.efi", "/b.efi"]
                    .map(|path| Loader { path: text(path), name: text("systemd-boot"), version: Some(text("252")), size: 100 })
                    .to_vec(),
                entries: vec![Entry { path: text("/c"), title: text("Debian 12"), kernel: text("/k"), initrd: text("/i"), options: text("quiet") }],
            },
            kernels: vec![Kernel { version: text("6.1"), images: vec![text("/boot/vmlinuz-6.1")], modules: 3, modules_size: 4 << 20 }],
            packages: Packages {
                source: PackageSource::Dpkg,
                list: vec![Package { name: text("bash"), version: text("5.2-1"), arch: text("amd64"), size: 7 << 20 }],
            },
            users: vec![user("root", "/bin/bash", Some(Password::Set)), user("daemon", "/usr/sbin/nologin", Some(Password::Locked))],
            files: Totals { count: 2, bytes: 5000 },
            largest: vec![LargeFile { path: text("/usr/bin/perl"), size: 4000 }],
            remarks: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn what_is_in_an_image_for_people() {
        insta::assert_snapshot!(report(&inspection(), true, Stream::PLAIN));
    }

    #[test]
    fn the_json_is_a_promise() {
        insta::assert_json_snapshot!(inspection());
    }
}
