use super::*;
use crate::root::deb::Deb;
use crate::root::testing::{DebBuilder, package};

fn control(files: &[(&str, &str)]) -> Control {
    let mut deb = DebBuilder::new("demo", "1");
    for (name, text) in files {
        deb = deb.control_file(name, text.as_bytes());
    }
    Deb::from_bytes(deb.build()).unwrap().control().unwrap()
}

fn database() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    create(&tree, "amd64").unwrap();
    (dir, tree)
}

#[test]
fn an_unpacked_package_is_in_the_database() {
    let (_dir, tree) = database();
    let control = control(&[("preinst", "#!/bin/sh\n"), ("md5sums", "0 usr/bin/demo\n"), ("conffiles", "/etc/demo\nremove-on-upgrade /etc/gone\n")]);
    let mut package = package("demo");
    package.multi_arch_same = true;
    write_control(&tree, &package, &control).unwrap();
    let unpacked = [Unpacked { package: &package, control: &control, paths: ["/.", "/etc", "/etc/demo", "/usr/taken"].map(str::to_owned).to_vec() }];
    let lost = HashMap::from([(7, vec![PathBuf::from("usr/taken")])]);
    record(&tree, &unpacked, &lost, &[7]).unwrap();
    assert_eq!(tree.read_text("var/lib/dpkg/info/demo:all.list").unwrap(), "/.\n/etc\n/etc/demo\n", "what another package took is not listed");
    let status = tree.read_text("var/lib/dpkg/status").unwrap();
    assert!(status.contains("Status: install ok unpacked\n") && status.ends_with("Conffiles:\n /etc/demo newconffile\n\n"), "{status}");
    let mode = |name: &str| std::os::unix::fs::PermissionsExt::mode(&tree.path().join(name).metadata().unwrap().permissions()) & 0o777;
    assert_eq!((mode("var/lib/dpkg/info/demo:all.preinst"), mode("var/lib/dpkg/info/demo:all.md5sums")), (0o755, 0o644));
}

#[test]
fn triggers_are_known_and_set_off_by_paths() {
    let (_dir, tree) = database();
    let package = package("demo");
    let triggers = "# comment\ninterest-noawait /usr/share/icons\ninterest named\nactivate other\ninterest ../../escape\n";
    let control = control(&[("triggers", triggers)]);
    record(&tree, &[Unpacked { package: &package, control: &control, paths: Vec::new() }], &HashMap::new(), &[0]).unwrap();
    assert_eq!(tree.read_text("var/lib/dpkg/triggers/File").unwrap(), "/usr/share/icons demo/noawait\n");
    assert_eq!(tree.read_text("var/lib/dpkg/triggers/named").unwrap(), "demo\n");
    let names: Vec<String> = tree.list("var/lib/dpkg/triggers").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["File", "Unincorp", "named"]);
    let with = |path: &str| [Unpacked { package: &package, control: &control, paths: vec![path.to_owned()] }];
    assert_eq!(activated(&tree, &with("/usr/share/icons/hicolor/index")).unwrap(), ["/usr/share/icons"]);
    assert!(activated(&tree, &with("/usr/share/iconsmith")).unwrap().is_empty());
}
