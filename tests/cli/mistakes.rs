//! What a user reads, to the letter, after each of many wrong inputs: does it name the thing, the reason, and the way out?

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::cache::keep_two_images;
use crate::support::program::{outcome, program, run};

const SPEC: &str = "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\n";

/// Files that the command lines below name: what is wrong with them is in their names.
const FILES: &[(&str, &str)] = &[
    ("good.yml", SPEC),
    ("empty.yml", ""),
    ("tab.yml", "image:\n\tname: a\n"),
    ("list.yml", "- a\n"),
    ("unclosed.yml", "image: {name: a\n"),
    ("key.yml", "imaeg: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\n"),
    ("dist.yml", "image: {name: a, version: '1'}\ntarget: {dist: debian11, arch: x86_64}\n"),
    ("other.yml", "image: {name: a, version: '1'}\ntarget: {dist: elxr12, arch: x86_64}\n"),
    ("number.yml", "image: {name: a, version: 1.0}\ntarget: {dist: debian12, arch: x86_64}\n"),
    ("circle.yml", "extends: circle.yml\n"),
    ("above.yml", "extends: ../above.yml\n"),
    ("iso.yml", "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64, imageType: iso}\n"),
    ("fde.yml", "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\nsystemConfig: {fde: {enabled: true}}\n"),
    (
        "file.yml",
        "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\nsystemConfig: {additionalFiles: [{local: none, final: /a}]}\n",
    ),
    (
        "url.yml",
        "image: {name: a, version: '1'}\ntarget: {dist: debian12, arch: x86_64}\npackageRepositories: [{url: 'https://u:p@h/d', codename: x, pkey: k}]\n",
    ),
    ("config-key.yaml", "storage: {package_cach: {enabled: true}}\n"),
    ("config-size.yaml", "storage: {package_cache: {max_size_gb: ten}}\n"),
    ("config-level.yaml", "storage: {compression_level: 22}\n"),
    ("config-yes.yaml", "storage: {image_cache: {enabled: yes}}\n"),
    ("config-mirror.yaml", "mirrors: {debain: [http://h/debian]}\n"),
    ("text.qcow2", "no disk at all"),
    ("text.bundle", "no bundle at all"),
    ("empty.raw", ""),
];

/// Command lines, each wrong in its own way.
const WRONG: &[&str] = &[
    "bild good.yml",
    "build",
    "build good.yml other.yml",
    "build none.yml",
    "build .",
    "build good.yml --ofline",
    "build good.yml --workers 0",
    "build good.yml --mirror debian",
    "build good.yml --mirror debain=http://h/debian",
    "build good.yml --mirror debian=ftp://h/debian",
    "build good.yml --proxy socks5://h",
    "build good.yml --rebuild --no-cache",
    "build good.yml --log-file none/log",
    "build empty.yml",
    "build tab.yml",
    "build list.yml",
    "build unclosed.yml",
    "build key.yml",
    "build dist.yml",
    "build other.yml",
    "build number.yml",
    "build circle.yml",
    "build above.yml",
    "build iso.yml",
    "build fde.yml",
    "build file.yml",
    "build url.yml",
    "validate",
    "validate good.yml none.yml",
    "resolve none.yml",
    "fetch",
    "fetch none.yml",
    "cache lst",
    "cache list --config none.yaml",
    "cache list --config config-key.yaml",
    "cache list --config config-size.yaml",
    "cache list --config config-level.yaml",
    "cache list --config config-yes.yaml",
    "cache list --config config-mirror.yaml",
    "cache list --sort colour",
    "cache list --sort siez",
    "cache list --sort size:up",
    "cache list --sort repository",
    "cache list --packages --sort built",
    "cache list --store good.yml",
    "cache list --store .",
    "cache list --store newer",
    "build good.yml --store newer",
    "cache rebuild-index --store newer",
    "cache list --store unformatted",
    "cache list --store no-index",
    "cache verify --store other-index",
    "fetch good.yml --store other-index",
    "cache info",
    "cache info zzz",
    "cache info 3f9",
    "cache info minimal",
    "cache info 3f9a --log",
    "cache export",
    "cache export 3f9a",
    "cache export 3f9a out.txt",
    "cache export 3f9a out.raw.rar",
    "cache export 3f9a text.qcow2",
    "cache export 3f9a none/out.raw",
    "cache export 3f9a out --format qcow",
    "cache export --bundle out.bundle",
    "cache import",
    "cache import none.raw",
    "cache import text.qcow2",
    "cache import text.bundle",
    "cache import empty.raw",
    "cache clean",
    "cache clean nginx",
    "cache clean --all 3f9a",
    "cache gc --max-size ten",
    "cache gc --max-age 30",
    "cache gc --max-images many",
    "cache gc --min-free unlimited",
    "cache pin nginx",
    "cache unpin 3f9",
    "cache verify --repare",
    "completions tcsh",
    "man good.yml",
    "cache dir -q -v",
    "cache dir --progress fancy",
];

#[test]
fn every_mistake_is_told_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        fs::write(home.path().join(name), text).unwrap();
    }
    keep_two_images(home.path());
    fs::create_dir(home.path().join("folder")).unwrap();
    fs::write(home.path().join("folder/thesis.tex"), "years of work").unwrap();
    damaged_stores(home.path());
    let mut told = String::new();
    for line in WRONG {
        let words: Vec<_> = line.split_whitespace().map(|word| if word == "." { "folder" } else { word }).collect();
        let (status, out, err) = outcome(program(home.path(), &words).current_dir(home.path()));
        assert!((1..=5).contains(&status), "{line} ends with {status}: {err}");
        assert!(!err.contains('\u{1b}') && !err.contains("panicked"), "{line}: {err}");
        let out = if out.is_empty() { String::new() } else { format!("{}\n", text(&out, home.path())) };
        writeln!(told, "$ image-composer {line}\n{out}{}\n[{status}]\n", text(&err, home.path())).unwrap();
    }
    insta::assert_snapshot!(told);
}

/// Copies of the store, each damaged as its name says.
fn damaged_stores(home: &Path) {
    for name in ["newer", "unformatted", "no-index", "other-index"] {
        copy(&home.join("store"), &home.join(name));
    }
    fs::write(home.join("newer/format"), "image-composer store 2\n").unwrap();
    fs::write(home.join("unformatted/format"), "").unwrap();
    fs::remove_file(home.join("no-index/index.redb")).unwrap();
    fs::write(home.join("other-index/index.redb"), "SQLite format 3").unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { assert!(fs::copy(entry.path(), target).is_ok()) }
    }
}

#[test]
fn a_damaged_index_is_told_whatever_is_wrong_with_it() {
    let home = tempfile::tempdir().unwrap();
    keep_two_images(home.path());
    let index = home.path().join("store/index.redb");
    let whole = fs::read(&index).unwrap();
    let mut broken = 0;
    let filled = |byte: u8| [&whole[..4096], &vec![byte; whole.len() - 4096]].concat();
    for damaged in [whole[..5000].to_vec(), filled(0x00), filled(0x05), filled(0x5a), filled(0xff)] {
        fs::write(&index, damaged).unwrap();
        let (status, _, err) = run(home.path(), &["cache", "list"]);
        assert!(!err.contains("panicked") && !err.contains("backtrace"), "{err}");
        assert_eq!(status, 4, "{err}");
        assert!(err.contains("index.redb") && err.contains("hint: “image-composer cache rebuild-index”"), "{err}");
        broken += usize::from(err.contains("its database says “"));
    }
    assert!(broken > 0, "the database has errors for all of it now: what catches its panics can go");
    assert_eq!(run(home.path(), &["cache", "rebuild-index"]).0, 0);
    assert_eq!(run(home.path(), &["cache", "list"]).1.lines().count(), 2);
}

/// Without the name of the temporary home, and without the blank lines and pointers to `--help` that clap adds.
fn text(text: &str, home: &Path) -> String {
    let text = text.replace(&format!("{}/", home.display()), "").replace(home.to_str().unwrap(), "HOME");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_table_is_long_enough() {
    assert!(WRONG.len() >= 60, "{}", WRONG.len());
}
