//! Tests of the whole way from text to spec.

mod extends;
mod folders;
pub(crate) mod hash;
mod lists;
mod mistakes;
mod resolved;
mod schema;

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::model::Spec;
use super::{LoadError, Loaded, load};

/// A folder of the repository.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/specs")
}

/// The spec with this text, as if it lay among the fixtures.
fn parse(text: &str) -> Result<Loaded, LoadError> {
    super::load::parse(text, &fixtures().join("spec.yml"))
}

#[test]
fn the_fixtures_load() {
    for name in ["debian12-minimal", "debian12-grub", "debian12-memory", "debian12-wsl2", "debian13-minimal"] {
        let loaded = load(&fixtures().join(name).with_extension("yml")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.spec.image.name, name);
    }
}

#[test]
fn a_short_spec_is_completed() {
    let text = "image: {name: My_Image, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\n";
    let spec = parse(text).unwrap_or_else(|error| panic!("{error}")).spec;
    insta::assert_json_snapshot!(spec);
}

#[test]
fn a_long_spec_is_read() {
    let mut spec = load(&fixtures().join("debian12-grub.yml")).unwrap_or_else(|error| panic!("{error}")).spec;
    assert!(spec.system.packages.contains(&"sudo".to_owned()), "sudo: true brings sudo");
    assert!(spec.system.packages.contains(&"grub-efi-amd64-bin".to_owned()));
    assert!(!spec.system.packages.contains(&"linux-image-amd64".to_owned()), "the spec names another kernel");
    assert_eq!(spec.system.additional_files[0].local, fixtures().join("files/motd"));
    // As git checks it out, which depends on the umask.
    spec.system.additional_files[0].mode = 0o644;
    insta::assert_json_snapshot!(spec);
}

#[test]
fn what_does_not_start_from_a_disk_has_neither_boot_loader_nor_initrd() {
    let of = |name: &str| load(&fixtures().join(name)).unwrap_or_else(|error| panic!("{error}")).spec;
    let has = |spec: &Spec, package: &str| spec.system.packages.iter().any(|name| name.starts_with(package));
    let artifacts = |spec: &Spec| spec.disk.artifacts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let (memory, wsl) = (of("debian12-memory.yml"), of("debian12-wsl2.yml"));
    for spec in [&memory, &wsl] {
        assert!(has(spec, "systemd") && !has(spec, "systemd-boot") && !has(spec, "initramfs-tools"));
        assert_eq!((spec.system.bootloader, spec.system.cmdline.as_str(), spec.disk.partitions.len()), (None, "", 1));
    }
    assert!(has(&memory, "linux-image-") && !has(&wsl, "linux-image-"));
    assert_eq!((artifacts(&memory).as_str(), artifacts(&wsl).as_str()), ("vmlinuz initrd.zst", "tar.gz"));
}

#[test]
fn a_missing_file_is_told() {
    let error = load(Path::new("none/such.yml")).unwrap_err();
    assert!(matches!(error, LoadError::Read(_)));
    assert_eq!(error.to_string(), "cannot read none/such.yml");
}

proptest! {
    /// Whatever is done to a long spec, it loads or is refused in words.
    #[test]
    fn nothing_panics(
        line in 0_usize..80,
        value in prop::sample::select(vec!["", "0", "-1", "18446744073709551615", "16777216TiB", "'0'", "[]", "{}", "[[]]", "~", "true", "\"\\0\"", "é", "/", "*a", "- a"]),
        keep in any::<bool>(),
    ) {
        let text = std::fs::read_to_string(fixtures().join("debian12-grub.yml")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let index = line % lines.len();
        match lines[index].split_once(": ") {
            Some((key, _)) if keep => lines[index] = format!("{key}: {value}"),
            _ if keep => lines[index] += value,
            _ => drop(lines.remove(index)),
        }
        if let Err(error) = parse(&lines.join("\n")) {
            prop_assert!(!error.diagnostics().is_empty());
        }
    }
}

#[test]
fn what_people_say_about_an_image_is_kept() {
    let head = "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\n";
    let said = "metadata:\n  description: For kiosks\n  keywords: [kiosk, edge]\n  weight: 0.5\n  stars: 3\n";
    let spec = parse(&format!("{head}{said}")).unwrap_or_else(|error| panic!("{error}")).spec;
    let expected = serde_json::json!({"description": "For kiosks", "keywords": ["kiosk", "edge"], "weight": "0.5", "stars": 3});
    assert_eq!(spec.metadata, Some(expected));
}

#[test]
fn names_are_those_of_the_distributions_packages() {
    let spec = |dist: &str, package: &str| {
        let text = format!("image: {{name: a, version: '1'}}\ntarget: {{dist: {dist}, arch: x86_64}}\nsystemConfig: {{packages: ['{package}']}}\n");
        parse(&text).map(|loaded| loaded.spec.system.packages)
    };
    for (written, means) in [
        ("NetworkManager", "NetworkManager"),
        ("python3-mod_wsgi", "python3-mod_wsgi"),
        ("R", "R"),
        ("vim=2:9.1-1.azl3", "vim=2:9.1-1.azl3"),
        ("/usr/bin/systemd-repart", "/usr/bin/systemd-repart"),
        ("kernel=6.6*", "kernel=6.6*"),
        ("lib*_x", "lib*_x"),
    ] {
        assert!(spec("azl3", written).unwrap().contains(&means.to_owned()), "{written}");
    }
    for wrong in ["a b", "-a", "a=", "a=1/2", "a=1-1^2 3", "*", "a/b", "/", "/usr/../a", "/a=1"] {
        assert!(spec("azl3", wrong).is_err(), "{wrong}");
    }
    assert!(spec("debian12", "vim_2:9.0").unwrap().contains(&"vim=2:9.0".to_owned()));
    assert!(spec("debian12", "NetworkManager").is_err());
}
