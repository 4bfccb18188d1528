//! Package URLs (package-url specification, types `deb` and `rpm`): `pkg:deb/debian/curl@7.88.1-10?arch=amd64&distro=bookworm`,
//! `pkg:rpm/fedora/curl@8.15.0-1.fc43?arch=x86_64&epoch=1&distro=fedora-43`.

use std::fmt::Write as _;

use crate::cache::Coordinates;

/// The package URL of an RPM package of this vendor (`fedora`) and release (`43`).
pub(super) fn of_rpm(vendor: &str, release: Option<&str>, package: &Coordinates) -> String {
    let (epoch, version) = package.version().split_once(':').map_or((None, package.version()), |(epoch, version)| (Some(epoch), version));
    let mut url = format!("pkg:rpm/{}/{}@{}?arch={}", escaped(vendor), escaped(package.name()), escaped(version), escaped(package.arch()));
    for (name, value) in [("epoch", epoch.map(escaped)), ("distro", release.map(|release| format!("{}-{}", escaped(vendor), escaped(release))))] {
        if let Some(value) = value {
            write!(url, "&{name}={value}").expect("a text can always be written to");
        }
    }
    url
}

/// The package URL of a Debian package of this vendor (`debian`) and release (`bookworm`).
pub(super) fn of(vendor: &str, codename: Option<&str>, package: &Coordinates) -> String {
    let mut url = format!(
        "pkg:deb/{}/{}@{}?arch={}",
        escaped(vendor),
        escaped(&package.name().to_ascii_lowercase()),
        escaped(package.version()),
        escaped(package.arch())
    );
    if let Some(codename) = codename {
        write!(url, "&distro={}", escaped(codename)).expect("a text can always be written to");
    }
    url
}

/// With all escaped but what the specification leaves as it is: letters, digits, `.-_~:`.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a text can always be written to");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_escaped_as_the_specification_says() {
        let package = |name, version| Coordinates::new(name, version, "amd64", "debian").unwrap();
        assert_eq!(
            of("debian", Some("bookworm"), &package("libstdc++6", "1:12.2+b1~x")),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2%2Bb1~x?arch=amd64&distro=bookworm"
        );
        let rpm = |version| Coordinates::new("NetworkManager", version, "x86_64", "base").unwrap();
        assert_eq!(
            of_rpm("fedora", Some("43"), &rpm("1:1.52-1.fc43")),
            "pkg:rpm/fedora/NetworkManager@1.52-1.fc43?arch=x86_64&epoch=1&distro=fedora-43"
        );
        assert_eq!(of_rpm("azurelinux", None, &rpm("1-2")), "pkg:rpm/azurelinux/NetworkManager@1-2?arch=x86_64");
        assert_eq!(of("ubuntu", None, &package("a", "1")), "pkg:deb/ubuntu/a@1?arch=amd64");
    }
}
