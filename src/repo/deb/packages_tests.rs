use super::*;
use crate::repo::record::{AnyOf, Requirement};

const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn archive() -> Arc<Archive> {
    Arc::new(Archive { id: "debian".to_owned(), mirrors: Vec::new(), pin: 500 })
}

/// A package with every field that is needed, and `more`.
fn stanza(name: &str, more: &str) -> String {
    format!("Package: {name}\nVersion: 1.0-1\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 10\nSHA256: {SHA256}\n{more}\n")
}

/// The records of a text, and the names without a digest.
fn read(text: &str) -> Result<(Vec<PackageRecord>, Vec<String>), PackagesError> {
    let list = Arc::new(parse(text.as_bytes(), "debian", "amd64")?);
    Ok((list.records(&archive(), |_| true).unwrap(), list.head().unproven.clone()))
}

/// What is wrong with the only package of a text, which is left out.
fn problem(text: &str) -> String {
    let list = Arc::new(parse(text.as_bytes(), "debian", "amd64").expect(text));
    let [(_, problem)] = &list.head().unusable[..] else { panic!("{text}: {:?}", list.head()) };
    assert_eq!((list.records(&archive(), |_| true).unwrap().len(), list.head().unproven.len()), (0, 0), "{text}");
    problem.clone()
}

#[test]
fn reads_every_field() {
    let text = "Package: bash\nPriority: required\nEssential: yes\nMulti-Arch: foreign\nInstalled-Size: 7164\nSize: 1500000\nVersion: 5.2.15-2+b7\n\
         Maintainer: M\u{fc}ller\nArchitecture: amd64\nFilename: pool/main/b/bash/bash_5.2.15-2+b7_amd64.deb\nDepends: base-files (>= 2.1.12),\n debianutils | a:any\n\
         Pre-Depends: libc6\nRecommends: bash-completion\nConflicts: c\nBreaks: b (<< 2)\nReplaces: r\nProvides: sh (= 1), shell\n"
        .to_owned()
        + "SHA256: "
        + SHA256;
    let record = read(&text).unwrap().0.remove(0);
    assert_eq!(record.coordinates.to_string(), "bash=5.2.15-2+b7:amd64 (debian)");
    assert_eq!((record.size, record.installed_size), (1_500_000, 7164 * 1024));
    assert_eq!((record.priority, record.essential, record.multi_arch), (Priority::Required, true, MultiArch::Foreign));
    assert_eq!(record.filename, "pool/main/b/bash/bash_5.2.15-2+b7_amd64.deb");
    assert_eq!(record.sha256.to_string(), SHA256);
    let relations = &record.relations;
    assert_eq!(relations.depends.iter().map(ToString::to_string).collect::<Vec<_>>(), ["base-files (>= 2.1.12)", "debianutils | a:any"]);
    assert_eq!(
        relations.pre_depends,
        [AnyOf(vec![Requirement { name: "libc6".into(), arch: None, version: None, with: Vec::new(), without: Vec::new() }])]
    );
    assert_eq!(record.provides.iter().map(ToString::to_string).collect::<Vec<_>>(), ["sh (= 1)", "shell"]);
    let single = |list: &[Requirement]| list.iter().map(ToString::to_string).collect::<String>();
    assert_eq!((single(&relations.conflicts), single(&relations.breaks), single(&relations.replaces)), ("c".into(), "b (<< 2)".into(), "r".into()));
}

#[test]
fn text_that_is_not_utf8_matters_only_where_it_is_used() {
    let mut text = stanza("a", "").into_bytes();
    text.extend_from_slice(b"\n\nPackage: b\nVersion: 1\nArchitecture: all\nFilename: b\nSize: 1\nSHA256: ");
    text.extend_from_slice(SHA256.as_bytes());
    text.extend_from_slice(b"\nMaintainer: J\xf6rg\n");
    let list = Arc::new(parse(&text, "debian", "amd64").unwrap());
    assert_eq!(list.records(&archive(), |_| true).unwrap().len(), 2);
    text.extend_from_slice(b"Depends: J\xf6rg\n");
    let list = Arc::new(parse(&text, "debian", "amd64").unwrap());
    assert_eq!(list.records(&archive(), |_| true).unwrap().len(), 1);
    assert_eq!(list.head().unusable.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn relations_are_those_of_their_own_package() {
    // More than one part, so that the places are counted from the begin of the text and not of its part.
    let filler = format!("Description: {}\n", "x".repeat(PART / 3));
    let text: String =
        (0..9).map(|number| stanza(&format!("p{number}"), &format!("Depends: d{number} (>= {number}), e | f\n{filler}")) + "\n").collect();
    for (number, record) in read(&text).unwrap().0.into_iter().enumerate() {
        assert_eq!(record.clone(), record);
        let depends: Vec<_> = record.relations.depends.iter().map(ToString::to_string).collect();
        assert_eq!(depends, [format!("d{number} (>= {number})"), "e | f".to_owned()]);
    }
}

#[test]
fn other_architectures_are_left_out() {
    let text = stanza("a", "").replace("amd64", "arm64") + "\n" + &stanza("b", "").replace("amd64", "all");
    let names: Vec<_> = read(&text).unwrap().0.iter().map(|record| record.coordinates.name().to_owned()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn files_outside_the_archive_are_refused() {
    for path in [
        "../etc/passwd",
        "/etc/passwd",
        "pool/../../x",
        "pool//x",
        "pool/./x",
        "..",
        "pool/..",
        "a b.deb",
        "pool/%2e%2E/x",
        "pool/.%2e/x",
        "pool%2f..%2fx",
        "a\\b",
        "a?b",
        "a#b",
        "pool/",
        "é.deb",
    ] {
        let text = stanza("evil", "").replace("pool/evil.deb", path);
        let problem = problem(&text);
        assert!(problem.contains("leads out of the archive") || problem == "the field Filename is missing", "{path}: {problem}");
    }
    assert!(problem(&stanza("evil", "").replace("evil.deb", &"x".repeat(2000))).contains("leads out of the archive"));
    assert_eq!(read(&stanza("flat", "").replace("pool/", "./")).unwrap().0[0].filename, "flat.deb");
    assert_eq!(read(&stanza("epoch", "").replace("epoch.deb", "e_1%3a2.deb")).unwrap().0[0].filename, "pool/e_1%3a2.deb");
}

#[test]
fn broken_packages_are_left_out_and_named() {
    let text = stanza("good", "") + "\n" + &stanza("bad", "Depends: ${shlibs:Depends}, libc6\n") + "\n" + &stanza("too", "");
    let list = Arc::new(parse(text.as_bytes(), "debian", "amd64").unwrap());
    let names: Vec<_> = list.records(&archive(), |_| true).unwrap().iter().map(|record| record.coordinates.name().to_owned()).collect();
    assert_eq!(names, ["good", "too"]);
    let [(name, problem_of_bad)] = &list.head().unusable[..] else { panic!("{:?}", list.head()) };
    assert!(name == "bad" && problem_of_bad.starts_with("the field Depends cannot be read: "), "{problem_of_bad}");
    for (text, expected) in [
        (stanza("a", "Size: 11\n"), "the field Size is there twice"),
        (stanza("a", "").replace("Size: 10", "Size: +10"), "“+10” is no value of the field Size"),
        (stanza("a", "").replace("Size: 10", "Size: 99999999999999999999"), "“99999999999999999999” is no value of the field Size"),
        (stanza("a", "").replace(SHA256, "abc"), "the field SHA256 cannot be read"),
        (stanza("a", "").replace("Package: a", "Package: a/b"), "a/b"),
        (stanza("a", "").replace("Version: 1.0-1\n", ""), "the field Version is missing"),
    ] {
        let problem = problem(&text);
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    // One for another architecture is nobody's.
    let foreign = stanza("a", "Size: 11\n").replace("amd64", "arm64");
    assert_eq!(parse(foreign.as_bytes(), "debian", "amd64").unwrap().head().unusable, []);
}

#[test]
fn what_is_no_list_of_packages_is_refused_with_its_line() {
    let refused = |text: &str| read(text).expect_err(text);
    let error = refused(&(stanza("good", "") + "\nVersion: 1\n"));
    assert!(error.line == 9 && matches!(error.problem, Problem::Missing("Package")), "{error:?}");
    assert!(matches!(refused("nonsense\n").problem, Problem::Syntax));
}

#[test]
fn packages_without_a_digest_are_named_and_left_out() {
    let (records, unproven) = read(&stanza("old", "").replace("SHA256", "MD5sum")).unwrap();
    assert!(records.is_empty());
    assert_eq!(unproven, ["old"]);
}

#[test]
fn parts_are_joined_in_order_and_lines_count_from_the_file() {
    let filler = format!("Description: {}\n", "x".repeat(100_000));
    let mut text: String = (0..50).map(|number| stanza(&format!("p{number:02}"), &filler) + "\n").collect();
    assert!(split(text.as_bytes()).len() > 3);
    let names: Vec<_> = read(&text).unwrap().0.iter().map(|record| record.coordinates.name().to_owned()).collect();
    assert_eq!(names, (0..50).map(|number| format!("p{number:02}")).collect::<Vec<_>>());
    text += "nonsense";
    assert_eq!(read(&text).unwrap_err().line, 50 * 9 + 1);
}
