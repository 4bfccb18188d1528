//! `config`.

use std::fs;

use crate::support::program::run;

#[test]
fn a_configuration_to_begin_with_is_written_and_never_over_another() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.yaml");
    let path = file.to_str().unwrap();
    let (status, printed, _) = run(home.path(), &["config", "init"]);
    assert_eq!(status, 0);
    assert_eq!(run(home.path(), &["config", "init", path]), (0, String::new(), format!("wrote {path}\n")));
    assert_eq!(fs::read_to_string(&file).unwrap(), printed);
    assert_eq!(run(home.path(), &["--config", path, "cache", "dir"]).0, 0);

    fs::write(&file, "workers: 2\n").unwrap();
    let refused = format!("error: {path} is there already\nhint: name another file, or write over it with --force\n");
    assert_eq!(run(home.path(), &["config", "init", path]), (2, String::new(), refused));
    assert_eq!(fs::read_to_string(&file).unwrap(), "workers: 2\n");
    assert_eq!(run(home.path(), &["config", "init", path, "--force"]).0, 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), printed);
    let (status, _, err) = run(home.path(), &["config", "init", &format!("{path}/a")]);
    assert!(status == 2 && err.starts_with("error: cannot write ") && err.contains("\nhint: "), "{err}");
}
