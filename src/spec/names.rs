//! What names may look like. Each check answers with what was expected, to stand after “must be”.

use crate::distro::Packaging;
use crate::repo::pattern;

/// Words of what was expected.
pub(super) type Expected = &'static str;

/// The longest path that Linux takes, in bytes, without its end mark.
const PATH_LIMIT: usize = 4095;

fn check(holds: bool, expected: Expected) -> Result<(), Expected> {
    if holds { Ok(()) } else { Err(expected) }
}

/// The name or version of an image: it becomes part of a file name.
pub(super) fn image_part(text: &str) -> Result<(), Expected> {
    let fits = (1..=64).contains(&text.len()) && text.starts_with(|char: char| char.is_ascii_alphanumeric());
    let holds = fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
    check(holds, "1 to 64 ASCII letters, digits, “.”, “_”, “+” and “-”, and begin with a letter or digit")
}

/// An RPM package's name: what Fedora's packages have (Packaging Guidelines, “Naming”), and `%`-less at that.
fn rpm_package(text: &str) -> bool {
    let fits = (1..=255).contains(&text.len()) && text.starts_with(|char: char| char.is_ascii_alphanumeric());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// A package's name (Debian Policy §5.6.1).
pub(super) fn package(text: &str) -> Result<(), Expected> {
    let fits = (2..=255).contains(&text.len()) && text.starts_with(|char: char| char.is_ascii_lowercase() || char.is_ascii_digit());
    let holds = fits && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    check(holds, "a package name: at least two lower case letters, digits, “+”, “-” and “.”, and begin with a letter or digit")
}

/// What stands between a name and a version: what apt writes, and, but for RPM, whose names may have it, what the names of package files have.
pub(super) fn before_version(packaging: Packaging) -> &'static [char] {
    match packaging {
        Packaging::Deb => &['=', '_'],
        Packaging::Rpm => &['='],
    }
}

/// What `packages` can have: a name, a name with a version (Debian Policy §5.6.12; `*` at its end leaves the rest open), or a pattern of names (`glob(7)`).
pub(super) fn packages(text: &str, packaging: Packaging) -> Result<(), Expected> {
    let (name, version) = text.split_once(before_version(packaging)).map_or((text, None), |(name, version)| (name, Some(version)));
    if packaging == Packaging::Rpm {
        return rpm_packages(name, version);
    }
    let holds = if pattern::is_pattern(name) {
        let sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.*?[]!^".contains(&byte);
        version.is_none() && name.len() <= 255 && name.bytes().all(sign) && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
    } else {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte);
        let version = version.map(|version| version.strip_suffix('*').unwrap_or(version));
        package(name).is_ok() && version.is_none_or(|version| (1..=255).contains(&version.len()) && version.bytes().all(sign))
    };
    check(
        holds,
        "a package name (at least two lower case letters, digits, “+”, “-” and “.”, a letter or digit first), a pattern of names, or name=version",
    )
}

fn rpm_packages(name: &str, version: Option<&str>) -> Result<(), Expected> {
    let holds = if pattern::is_pattern(name) {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._*?[]!^".contains(&byte);
        version.is_none() && name.len() <= 255 && name.bytes().all(sign) && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
    } else if name.starts_with('/') {
        // Whichever package has the file, as dnf takes it.
        version.is_none() && name.len() <= 255 && absolute_path(name).is_ok() && name.bytes().all(|byte| byte.is_ascii_graphic())
    } else {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_~^:".contains(&byte);
        let version = version.map(|version| version.strip_suffix('*').unwrap_or(version));
        rpm_package(name) && version.is_none_or(|version| (1..=255).contains(&version.len()) && version.bytes().all(sign))
    };
    check(
        holds,
        "a package name (letters, digits, “+”, “-”, “.” and “_”, a letter or digit first), the path of a file, a pattern of names, or name=version-release",
    )
}

/// A package's name, or a pattern of names.
pub(super) fn package_or_pattern(text: &str, packaging: Packaging) -> Result<(), Expected> {
    let holds = !text.contains(before_version(packaging)) && !text.starts_with('/') && packages(text, packaging).is_ok();
    check(holds, "a package name, or a pattern of names")
}

/// The beginning of a kernel's version, as it stands in a package's version or name.
pub(super) fn kernel_version(text: &str) -> Result<(), Expected> {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~".contains(&byte);
    let holds = (1..=64).contains(&text.len()) && text.starts_with(|char: char| char.is_ascii_digit()) && text.bytes().all(sign);
    check(holds, "a kernel's version, or its beginning, such as \"6.1\"")
}

/// The name of a kernel module.
pub(super) fn module(text: &str) -> Result<(), Expected> {
    let holds =
        (1..=64).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    check(holds, "names of kernel modules that spaces separate: letters, digits, “_” and “-”")
}

/// A login name, as `useradd` takes it on Debian.
pub(super) fn user(text: &str) -> Result<(), Expected> {
    check(account(text), "a login name: at most 32 lower case letters, digits, “_” and “-”, and begin with a letter or “_”")
}

/// A group's name.
pub(super) fn group(text: &str) -> Result<(), Expected> {
    check(account(text), "a group name: at most 32 lower case letters, digits, “_” and “-”, and begin with a letter or “_”")
}

fn account(text: &str) -> bool {
    let fits = text.len() <= 32 && text.starts_with(|char: char| char.is_ascii_lowercase() || char == '_');
    fits && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

/// Who a file belongs to: `user`, or `user:group`, each by its name or number.
pub(super) fn owner(text: &str) -> Result<(), Expected> {
    // An ordinary user who builds has 65,536 numbers to give (subuid(5)).
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    let part = |text: &str| account(text) || number(text);
    let holds = text.split_once(':').map_or_else(|| part(text), |(user, group)| part(user) && part(group));
    check(holds, "“user” or “user:group”, by name or by a number up to 65535")
}

/// The name of a network interface, at most 15 bytes long as Linux wants it, or a pattern.
pub(super) fn interface(text: &str) -> Result<(), Expected> {
    let holds = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-*?".contains(&byte));
    check(holds && !matches!(text, "." | ".."), "an interface's name, such as enp1s0 or en*: at most 15 letters, digits, “_.-” and “*?”")
}

/// A host name (RFC 1123 §2.1), at most 64 bytes long as Linux wants it.
pub(super) fn hostname(text: &str) -> Result<(), Expected> {
    let label = |label: &str| {
        let edges = label.starts_with(|char: char| char.is_ascii_alphanumeric()) && label.ends_with(|char: char| char.is_ascii_alphanumeric());
        edges && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    check(text.len() <= 64 && text.split('.').all(label), "a host name: at most 64 letters, digits and “-”, in parts that “.” separates")
}

/// The host name of an image whose spec has none: its name, with “-” for what a host name cannot have.
pub(super) fn hostname_of_image(name: &str) -> String {
    let sanitised: String = name.chars().map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' }).take(63).collect();
    match sanitised.trim_matches('-') {
        "" => "localhost".to_owned(),
        hostname => hostname.to_owned(),
    }
}

/// A path in the image: absolute, without steps that go nowhere or up.
pub(super) fn absolute_path(text: &str) -> Result<(), Expected> {
    let expected = "an absolute path, without steps “.” and “..” and without a slash at its end";
    let Some(steps) = text.strip_prefix('/') else { return Err(expected) };
    let step = |step: &str| !matches!(step, "" | "." | "..") && step.len() <= 255;
    check(text.len() <= PATH_LIMIT && !text.contains(char::is_control) && steps.split('/').all(step), expected)
}

/// A path that becomes a field of `/etc/passwd`.
pub(super) fn passwd_path(text: &str) -> Result<(), Expected> {
    absolute_path(text).and_then(|()| check(!text.contains(':'), "a path without “:”"))
}

/// The name or label of something on a disk: at most `limit` printable ASCII characters.
pub(super) fn label(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// The label of a FAT file system (Microsoft's FAT specification §7: no lower case, and not every sign).
pub(super) fn fat_label(text: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" $%'-_@~`!(){}^#&".contains(&byte);
    (1..=11).contains(&text.len()) && !text.starts_with(' ') && text.bytes().all(sign)
}

/// Options of a line of `/etc/fstab`.
pub(super) fn mount_options(text: &str) -> Result<(), Expected> {
    let holds = (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    check(holds, "mount options that “,” separates, without spaces")
}

/// A suite, component or identity of a repository: it becomes part of an address.
pub(super) fn repository_part(text: &str) -> Result<(), Expected> {
    let steps = text.split('/').all(|step| !matches!(step, "" | "." | ".."));
    let holds = text.len() <= 255 && steps && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+~/:-".contains(&byte));
    check(holds, "letters, digits and “._+~:-”, in parts that “/” separates")
}

/// A suite, or the folder of a flat repository (`sources.list(5)`): that ends with a slash. `/` and `./` are the address itself.
pub(super) fn codename(text: &str) -> Result<(), Expected> {
    match text.strip_suffix('/') {
        None => repository_part(text),
        Some("" | ".") => Ok(()),
        Some(folder) => repository_part(folder.strip_prefix("./").unwrap_or(folder)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort<'t>(check: fn(&str) -> Result<(), Expected>, texts: &[&'t str]) -> Vec<&'t str> {
        texts.iter().copied().filter(|text| check(text).is_ok()).collect()
    }

    #[test]
    fn names_are_told_from_other_texts() {
        assert_eq!(sort(image_part, &["a", "debian-12_x+1.0", "", ".a", "-a", "a b", "a/b", "é", "..", &"a".repeat(65)]), ["a", "debian-12_x+1.0"]);
        assert_eq!(sort(package, &["g++", "0ad", "libc6.1", "a", "-a", "Bash", "a=1", "a:amd64", "linux*", ""]), ["g++", "0ad", "libc6.1"]);
        let wanted = ["g++", "linux-image-*", "lib[a-c]1", "curl=7.88*", "a1=1:2.0~rc1-1+b1", "*", "a*=1", "a1=", "a1=*", "gcc:arm64", "a1 b1", "A*"];
        let packages = |text: &str| packages(text, Packaging::Deb);
        assert_eq!(sort(packages, &wanted), ["g++", "linux-image-*", "lib[a-c]1", "curl=7.88*", "a1=1:2.0~rc1-1+b1"]);
        assert_eq!(sort(kernel_version, &["6", "6.1.0-43", "v6", "", "6 1"]), ["6", "6.1.0-43"]);
        assert_eq!(sort(module, &["xe", "snd-hda_intel", "-a", "a.ko", "", "../a"]), ["xe", "snd-hda_intel"]);
        assert_eq!(sort(user, &["root", "_apt", "a-b", "0a", "A", "", "-a", "a b", "a:b", "a$", &"a".repeat(33)]), ["root", "_apt", "a-b"]);
        assert_eq!(
            sort(owner, &["root", "a:b", "0:adm", "65535:1", "65536", "", ":", "a:", ":a", "a:b:c", "-1", "A"]),
            ["root", "a:b", "0:adm", "65535:1"]
        );
        assert_eq!(sort(hostname, &["a", "A1-b.c", "", "-a", "a-", "a..b", "a_b", "a.", &"a".repeat(64)]), ["a", "A1-b.c"]);
        assert_eq!(sort(absolute_path, &["/a", "/a b/c", "/", "a", "", "/a/", "/a/../b", "/./a", "//a", "/a\nb"]), ["/a", "/a b/c"]);
        assert_eq!(sort(passwd_path, &["/bin/sh", "/a:b"]), ["/bin/sh"]);
        assert_eq!(sort(mount_options, &["defaults", "umask=0077,ro", "", "a b", "a#b"]), ["defaults", "umask=0077,ro"]);
        assert_eq!(sort(repository_part, &["main", "stable/updates", "", "/", "../x", "a b", "a?b"]), ["main", "stable/updates"]);
        assert_eq!(sort(codename, &["stable", "./", "a/b/", "./a/", "/", "", "../", "a//", "./.", "."]), ["stable", "./", "a/b/", "./a/", "/"]);
        assert!(fat_label("EFI-1") && !fat_label("efi") && !fat_label("123456789012") && !fat_label("") && !fat_label("A/B"));
        assert!(label("Root 1", 16) && !label("", 16) && !label("a\n", 16) && !label("é", 16));
    }

    #[test]
    fn every_image_name_gives_a_host_name() {
        for (name, expected) in [("debian12-minimal", "debian12-minimal"), ("My_Image.1", "my-image-1"), ("a+", "a"), ("9", "9")] {
            assert_eq!(hostname_of_image(name), expected);
        }
        let long = hostname_of_image(&("a".repeat(62) + "_b"));
        assert_eq!(hostname(&long), Ok(()), "{long}");
    }
}
