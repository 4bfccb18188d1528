//! `build`, as far as it comes without a repository.

use std::fs;

use crate::support::program::run;

const SPEC: &str = "fixtures/specs/debian12-minimal.yml";

#[test]
fn what_cannot_be_built_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let bad = home.path().join("bad.yml");
    fs::write(&bad, "systemConfig:\n  hostnam: a\n").unwrap();
    let (bad, out_dir) = (bad.to_str().unwrap(), home.path().join("out"));
    for (arguments, expected) in [
        (vec!["build", "none.yml"], "error: cannot read none.yml: No such file or directory"),
        (vec!["build", bad], ":2:3: "),
        (vec!["build", SPEC, "--mirror", "debian"], "hint: write ARCHIVE=URL"),
        (vec!["build", SPEC, "--mirror", "debain=http://h/debian"], "there is no archive “debain”"),
        (vec!["build", SPEC, "--mirror", "ubuntu=http://h/ubuntu"], "debian12 has no archive “ubuntu”"),
        (vec!["build", SPEC, "--config", "none.yaml"], "error: cannot read none.yaml"),
        (vec!["build", SPEC, "--rebuild", "--no-cache"], "cannot be used with"),
        (vec!["build", SPEC, "--log-file", "/nowhere/log"], "error: cannot write the log file /nowhere/log: No such file or directory"),
    ] {
        let (status, out, err) = run(home.path(), &[arguments.as_slice(), &["-o", out_dir.to_str().unwrap()]].concat());
        assert_eq!((status, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
        assert!(!err.contains('\u{1b}'), "colours in a pipe: {err:?}");
    }
    assert!(!home.path().join("store").exists() && !out_dir.exists());
}

#[test]
fn the_password_of_an_address_is_not_repeated() {
    let home = tempfile::tempdir().unwrap();
    for mirror in ["debian=http://me:secret@h/debian", "http://me:secret@h/debian"] {
        let (status, _, err) = run(home.path(), &["build", SPEC, "--mirror", mirror]);
        assert_eq!(status, 2);
        assert!(!err.contains("secret"), "{err}");
    }
}

#[test]
fn a_folder_of_other_things_is_no_store() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("store")).unwrap();
    fs::write(home.path().join("store/thesis.tex"), "years of work").unwrap();
    let (status, out, err) = run(home.path(), &["build", SPEC]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("is neither empty nor a store") && err.contains("\nhint: "), "{err}");
    assert_eq!(fs::read_dir(home.path().join("store")).unwrap().count(), 1);
}
