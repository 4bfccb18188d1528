use std::fmt::Write as _;

use super::*;

/// A `primary.xml` of packages in short form, a line each: `name version-release: requires …; provides …; conflicts …; obsoletes …; files …`, entries with
/// commas between them.
pub(crate) fn primary(lines: &str) -> String {
    let mut text = String::from("<?xml version=\"1.0\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"x\">\n");
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, lists) = line.split_once(": ").unwrap_or((line, ""));
        let (name, version) = head.split_once(' ').unwrap();
        let evr = evr(version);
        let digest = Sha256::of(line.as_bytes());
        write!(
            text,
            "<package type=\"rpm\"><name>{name}</name><arch>x86_64</arch><version {evr}/><checksum type=\"sha256\" pkgid=\"YES\">{digest}</checksum>\
             <size package=\"10\" installed=\"20\" archive=\"30\"/><location href=\"p/{name}.rpm\"/><format>\
             <rpm:provides><rpm:entry name=\"{name}\" flags=\"EQ\" {evr}/></rpm:provides>"
        )
        .unwrap();
        for list in lists.split("; ").filter(|list| !list.is_empty()) {
            let (kind, entries) = list.split_once(' ').unwrap();
            let entries = entries.split(", ");
            if kind == "files" {
                entries.for_each(|file| write!(text, "<file>{file}</file>").unwrap());
                continue;
            }
            write!(text, "<rpm:{kind}>").unwrap();
            entries.for_each(|one| text += &entry(one));
            write!(text, "</rpm:{kind}>").unwrap();
        }
        text += "</format></package>\n";
    }
    text + "</metadata>\n"
}

fn evr(version: &str) -> String {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (version, release) = rest.split_once('-').map_or((rest, String::new()), |(version, release)| (version, format!(" rel=\"{release}\"")));
    format!("epoch=\"{epoch}\" ver=\"{version}\"{release}")
}

fn entry(text: &str) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    match text.split(' ').collect::<Vec<_>>()[..] {
        [name, sign, version] if !name.starts_with('(') => {
            let flags = match sign {
                "<" => "LT",
                "<=" => "LE",
                "=" => "EQ",
                ">=" => "GE",
                _ => "GT",
            };
            format!("<rpm:entry name=\"{}\" flags=\"{flags}\" {}/>", escaped(name), evr(version))
        }
        _ => format!("<rpm:entry name=\"{}\"/>", escaped(text)),
    }
}

pub(crate) fn records(lines: &str) -> Vec<PackageRecord> {
    let archive = Arc::new(Archive { id: "test".to_owned(), mirrors: Vec::new(), pin: 500 });
    parse(primary(lines).as_bytes(), &archive, "x86_64").unwrap().records
}

fn refused(text: &str) -> String {
    let archive = Arc::new(Archive { id: "test".to_owned(), mirrors: Vec::new(), pin: 500 });
    parse(text.as_bytes(), &archive, "x86_64").unwrap_err().to_string()
}

#[test]
fn a_package_is_read_whole() {
    let all = records(
        "a 1:2.0~rc1-3.el10: requires b >= 2, rpmlib(FileCaps) <= 4.6, /bin/sh, (c if d); obsoletes old < 3; conflicts e = 1; files /usr/bin/a",
    );
    let [record] = &all[..] else { panic!("{all:?}") };
    assert_eq!(record.coordinates.to_string(), "a=1:2.0~rc1-3.el10:x86_64 (test)");
    assert_eq!((record.size, record.installed_size, record.filename.as_str()), (10, 20, "p/a.rpm"));
    let needs: Vec<_> = record.relations.depends.iter().map(|any| any.0[0].to_string()).collect();
    assert_eq!(needs, ["b (>= 2)", "/bin/sh"]);
    assert_eq!(record.relations.conditional.len(), 1);
    let provides: Vec<_> = record.provides.iter().map(|one| (one.name.as_str(), one.version.as_ref().map(|(_, version)| version.as_str()))).collect();
    assert_eq!(provides, [("a", Some("1:2.0~rc1-3.el10")), ("/usr/bin/a", None)]);
    assert_eq!(record.relations.replaces[0].to_string(), "old (<< 3)");
    assert_eq!(record.relations.conflicts[0].to_string(), "e (= 1)");
}

#[test]
fn licences_are_told_as_they_were_written() {
    let archive = Arc::new(Archive { id: "test".to_owned(), mirrors: Vec::new(), pin: 500 });
    let licence = |text: &str| {
        let text = primary("a 1-1").replace("<format>", &format!("<format><rpm:license>{text}</rpm:license>"));
        parse(text.as_bytes(), &archive, "x86_64").unwrap().records[0].licence.clone()
    };
    assert_eq!(licence(" MIT &amp; <i>others</i>\n").as_deref(), Some("MIT &"));
    assert_eq!(licence(&"a".repeat(LICENCE_LIMIT)).map(|text| text.len()), Some(LICENCE_LIMIT));
    assert_eq!((licence(" "), licence(&"a".repeat(LICENCE_LIMIT + 1)), records("a 1-1")[0].licence.clone()), (None, None, None));
}

#[test]
fn other_machines_and_other_digests_are_left_out() {
    let text = primary("a 1-1\nb 1-1\nc 1-1").replacen("x86_64", "i686", 1).replacen("x86_64", "noarch", 1).replacen("sha256", "sha", 1);
    let archive = Arc::new(Archive { id: "test".to_owned(), mirrors: Vec::new(), pin: 500 });
    let Packages { records, unproven, unusable } = parse(text.as_bytes(), &archive, "x86_64").unwrap();
    assert_eq!(records.iter().map(|record| record.coordinates.name()).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!((unproven.len(), unusable.len()), (0, 0));
    let text = primary("a 1-1").replace("sha256", "sha");
    assert_eq!(parse(text.as_bytes(), &archive, "x86_64").unwrap().unproven, ["a"]);
}

#[test]
fn a_package_that_cannot_be_used_is_left_out_and_the_others_are_not() {
    let good = primary("a 1-1: requires b >= 2\nc 1-1: requires d");
    let archive = Arc::new(Archive { id: "test".to_owned(), mirrors: Vec::new(), pin: 500 });
    for (from, to, reason) in [
        ("p/a.rpm", "../a.rpm", "leads out"),
        ("p/a.rpm", "/etc/passwd", "leads out"),
        ("p/a.rpm", "file:///etc/passwd", "leads out"),
        ("p/a.rpm", "p/%2e%2e/a.rpm", "leads out"),
        ("href=", "xml:base=\"http://x/\" href=", "not supported"),
        ("GE", "XX", "no comparison"),
        (" package=\"10\"", "", "no size"),
        ("<name>a</name>", "<name>a/../b</name>", "cannot be the name"),
    ] {
        let packages = parse(good.replacen(from, to, 1).as_bytes(), &archive, "x86_64").unwrap();
        assert_eq!(packages.records.len(), 1, "{to}");
        assert_eq!(packages.records[0].coordinates.name(), "c");
        let [(name, problem)] = &packages.unusable[..] else { panic!("{to}: {:?}", packages.unusable) };
        assert!(name.starts_with('a') && problem.contains(reason), "{to}: {name}: {problem}");
    }
    // One of another architecture says nothing to anybody.
    let foreign = good.replacen("p/a.rpm", "../a.rpm", 1).replacen("x86_64", "s390x", 1);
    assert_eq!(parse(foreign.as_bytes(), &archive, "x86_64").unwrap().unusable, []);
}

#[test]
fn hostile_lists_are_refused() {
    let good = primary("a 1-1: requires b >= 2");
    for (from, to, reason) in [("</metadata>", "", "in the middle"), ("</format>", "", "byte")] {
        let error = refused(&good.replace(from, to));
        assert!(error.contains(reason), "{to}: {error}");
    }
    assert!(refused(&good.replace("</metadata>", "").replace("</package>", "")).contains("package a"));
    assert!(refused("<html/>").contains("no list of packages"));
    assert!(refused(&format!("<metadata><package><name>{}", "a".repeat(9 << 20))).contains("too long"));
}
