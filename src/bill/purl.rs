//! Package URLs of Debian packages (package-url specification, type `deb`): `pkg:deb/debian/curl@7.88.1-10?arch=amd64&distro=bookworm`.

use std::fmt::Write as _;

use crate::cache::Coordinates;

/// The package URL of a package of this vendor (`debian`) and release (`bookworm`).
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
        assert_eq!(of("ubuntu", None, &package("a", "1")), "pkg:deb/ubuntu/a@1?arch=amd64");
    }
}
