use super::*;
use crate::digest::Digest;
use crate::repo::deb::packages::parse;
use crate::repo::rpm::primary::tests::records;

fn archive() -> Arc<Archive> {
    Arc::new(Archive { id: "test".to_owned(), mirrors: Vec::new(), pin: 500 })
}

fn head(packaging: Packaging) -> Head {
    let unusable = vec![("odd".to_owned(), "it has no version".to_owned())];
    Head { packaging, arch: "x86_64".to_owned(), unproven: vec!["old".to_owned(), "older".to_owned()], unusable }
}

/// The list of RPM packages with everything that a package can have.
fn everything() -> (Vec<PackageRecord>, List) {
    let all = records(
        "a 1:2.0~rc1-3.el10: requires b >= 2, (c if d), (e or f), (g with h < 3), (i without j); obsoletes old < 3; conflicts k = 1; \
         recommends l > 4; supplements (m and n <= 5); provides o = 6, p; files /usr/bin/a\nb 1-1",
    );
    let list = List::of_records(head(Packaging::Rpm), &all);
    (all, list)
}

#[test]
fn rpm_packages_come_back_as_they_were() {
    let (all, list) = everything();
    let relations = &all[0].relations;
    assert!(!relations.conditional.is_empty() && !relations.supplements.is_empty() && !relations.recommends.is_empty());
    assert!(relations.depends.iter().any(|any_of| any_of.0.iter().any(|one| !one.with.is_empty())));
    assert!(relations.depends.iter().any(|any_of| any_of.0.iter().any(|one| !one.without.is_empty())));
    let read = Arc::new(List::read(list.bytes().to_vec()).unwrap());
    assert_eq!(*read.head(), head(Packaging::Rpm));
    assert_eq!(read.records(&archive(), |_| true).unwrap(), all);
    assert_eq!(read.records(&archive(), |name| name == "b").unwrap(), all[1..]);
}

/// Everything that it says stands in its bytes: with one of them less, more or changed it is another list, or none.
#[test]
fn no_byte_is_without_a_meaning() {
    let (all, list) = everything();
    let read = |bytes: &[u8]| {
        let list = Arc::new(List::read(bytes.to_vec()).ok()?);
        let records = list.records(&archive(), |_| true).ok()?;
        // Relations, too, which are read when somebody looks at them.
        Some((list.head().clone(), format!("{records:?}")))
    };
    let whole = read(list.bytes());
    assert_eq!(whole, Some((head(Packaging::Rpm), format!("{all:?}"))));
    let bytes = list.bytes();
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length]), None, "{length}");
    }
    assert_eq!(read(&[bytes, &[0]].concat()), None);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut other = bytes.to_vec();
            other[at] ^= 1 << bit;
            assert_ne!(read(&other), whole, "byte {at}, bit {bit}");
        }
    }
}

/// What a list says was found out by the program that made it, and the index stays the same for years: a program that understands an index in another way, or
/// writes a list in another way, must not go on with the old one.
#[test]
fn another_meaning_has_another_version() {
    let text = format!(
        "Package: a\nVersion: 1:2~3\nArchitecture: all\nFilename: ./a.deb\nSize: 1\nSHA256: {}\nInstalled-Size: 7\nPriority: required\nEssential: yes\n\
         Multi-Arch: foreign\nPre-Depends: p\nDepends: b (>= 1),\n c:any | d [i386]\nRecommends: r\nConflicts: x\nBreaks: y (<< 2)\nReplaces: z\n\
         Provides: v (= 1), w:i386, u\n\nPackage: old\nVersion: 1\nArchitecture: amd64\n",
        Sha256::of(b"")
    );
    let deb = parse(text.as_bytes(), "test", "amd64").unwrap();
    let rpm = List::of_records(head(Packaging::Rpm), &records("a 1:2.0~rc1-3: requires rpmlib(FileCaps) <= 4.6, b >= 2, (c if d else e), (f and g)"));
    let found = [deb, rpm, everything().1].map(|list| Digest::of(list.bytes()).short());
    assert_eq!(found, ["8d2a1c42aff2", "38267ad25569", "cf3acbad120b"], "raise the version in MAGIC, and write the new digests down here");
}

#[test]
fn what_a_list_says_of_paths_and_names_is_checked_again() {
    let row = Row {
        name: "a",
        version: "1",
        arch: "amd64",
        filename: "pool/a.deb",
        sha256: Sha256::of(b""),
        size: 1,
        installed_size: 2,
        priority: Priority::Extra,
        essential: true,
        multi_arch: MultiArch::Allowed,
        licence: Some("MIT"),
        provides: Cow::Borrowed(&[]),
        relations: Cow::Borrowed(&[]),
    };
    let read = |row: &Row<'_>| {
        let mut rows = Rows::default();
        rows.push(row);
        Arc::new(List::new(Head { packaging: Packaging::Deb, ..head(Packaging::Deb) }, &[rows])).records(&archive(), |_| true).ok()
    };
    assert_eq!(read(&row).unwrap()[0].coordinates.to_string(), "a=1:amd64 (test)");
    assert_eq!(read(&Row { filename: "../a.deb", ..row.clone() }), None);
    assert_eq!(read(&Row { name: "a/b", ..row.clone() }), None);
    // Those of another version of the program, which could read them.
    let unread = read(&Row { relations: Cow::Borrowed(b"\x03a b"), ..row }).unwrap();
    assert_eq!(unread[0].relations.depends[0].to_string(), "relations that this program can read");
}

#[test]
fn relations_of_debian_packages_are_those_of_their_fields() {
    let text = format!(
        "Package: a\nVersion: 1\nArchitecture: all\nFilename: a.deb\nSize: 1\nSHA256: {}\nPre-Depends: p\nDepends: b,\n c | d\nRecommends: r\n\
         Conflicts: x\nBreaks: y (<< 2)\nReplaces: z\n",
        Sha256::of(b"")
    );
    let list = parse(text.as_bytes(), "test", "amd64").unwrap();
    let read = Arc::new(List::read(list.bytes().to_vec()).unwrap()).records(&archive(), |_| true).unwrap();
    let Relations { pre_depends, depends, recommends, conflicts, breaks, replaces, supplements, conditional } = &*read[0].relations;
    let alternatives: Vec<String> = [pre_depends, depends, recommends].into_iter().flatten().map(ToString::to_string).collect();
    let single: Vec<String> = [conflicts, breaks, replaces].into_iter().flatten().map(ToString::to_string).collect();
    assert_eq!((alternatives.join(", "), single.join(", ")), ("p, b, c | d, r".to_owned(), "x, y (<< 2), z".to_owned()));
    assert!(supplements.is_empty() && conditional.is_empty());
}
