//! `completions` and `man`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::cache::keep_two_images;
use super::pins::keep_packages;
use crate::support::program::{program, run};

/// What bash makes of a command line whose last word is unfinished.
fn bash(home: &Path, line: &str) -> Vec<String> {
    let script = "\
source <(image-composer completions bash)
COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
[[ $1 != *' ' ]] || { COMP_WORDS+=(''); COMP_CWORD=$((COMP_CWORD + 1)); }
$(complete -p image-composer | sed -E 's/.* -F ([^ ]+) .*/\\1/') image-composer \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
printf '%s\\n' \"${COMPREPLY[@]}\"
";
    let bin = Path::new(program(home, &[]).get_program()).parent().unwrap().to_owned();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash", line])
        .env_clear()
        .envs([("PATH", path.as_str()), ("HOME", home.to_str().unwrap()), ("IMAGE_COMPOSER_STORE", home.join("store").to_str().unwrap())])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_what_is_kept() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(bash(home.path(), "image-composer cache stat"), ["stats"]);
    assert!(bash(home.path(), "image-composer cache info 3f").iter().all(String::is_empty), "there is no store");
    assert!(!home.path().join("store").exists(), "and a question makes none");
    keep_two_images(home.path());
    keep_packages(home.path(), &[["bash", "5.2", "amd64"], ["bash", "5.3", "amd64"]]);
    for command in ["inspect", "diff 3f9a", "cache info", "cache export", "cache pin", "cache unpin", "cache clean"] {
        let mut found = bash(home.path(), &format!("image-composer {command} 3f"));
        found.sort_unstable();
        assert_eq!(found, ["3f9a00000000", "3f9b00000000"], "{command}");
    }
    assert_eq!(bash(home.path(), "image-composer cache pin ba"), ["bash"], "each name once");
    assert!(bash(home.path(), "image-composer build --no-").contains(&"--no-image-cache".to_owned()));
}

#[test]
fn every_shell_has_a_script_and_others_are_refused() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (status, out, err) = run(home.path(), &["completions", shell]);
        assert_eq!((status, err.as_str()), (0, ""));
        assert!(out.contains("IMAGE_COMPOSER_COMPLETE") && out.contains("image-composer"), "{shell}: {out}");
    }
    let (status, _, err) = run(home.path(), &["completions", "tcsh"]);
    assert_eq!(status, 2);
    assert!(err.contains("possible values: bash, elvish, fish, powershell, zsh"), "{err}");
}

#[test]
fn every_command_has_a_manual_page() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("man/man1");
    let (status, _, err) = run(home.path(), &["man", dir.to_str().unwrap()]);
    assert_eq!(status, 0, "{err}");
    for page in ["image-composer.1", "image-composer-build.1", "image-composer-cache-rebuild-index.1"] {
        let text = fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH OPTIONS"), "{page}: {text}");
    }
    let (status, _, err) = run(home.path(), &["man", "/proc/none"]);
    assert_eq!(status, 2);
    assert!(err.contains("cannot write manual pages into /proc/none") && err.contains("hint: "), "{err}");
}
