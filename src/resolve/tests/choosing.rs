//! What is taken, and why.

use super::*;

#[test]
fn takes_what_is_needed_and_says_why() {
    let records = debian(
        "Package: a
         Depends: b, c
         Pre-Depends: d

         Package: b
         Depends: c (>= 1)

         Package: c

         Package: d
         Depends: a

         Package: e
         Essential: yes
         Depends: c

         Package: unneeded",
    );
    let resolution = resolve(&request(&["a"]), &records, &[]).unwrap();
    let reasons: Vec<_> = resolution.lock.packages.iter().map(|package| (package.coordinates.name(), package.reason.clone())).collect();
    let dependency = |of: &str| Reason::DependencyOf(of.to_owned());
    assert_eq!(reasons, [("a", Reason::Wanted), ("b", dependency("a")), ("c", dependency("a")), ("d", dependency("a")), ("e", Reason::Essential)]);
    assert!(resolution.lock.packages[4].essential);
    let bare = resolve(&Request { essentials: false, ..request(&["c"]) }, &records, &[]).unwrap();
    assert_eq!(names(&bare), ["c=1"]);
}

#[test]
fn takes_the_highest_version_whatever_its_suite() {
    let mut all = debian("Package: a\nVersion: 252.39-1~deb12u1");
    all.extend(records("debian-security", 500, "Package: a\nVersion: 252.38-1~deb12u1"));
    all.extend(records("extra", 500, "Package: a\nVersion: 252.9"));
    assert_eq!(chosen(&all, &["a"]), ["a=252.39-1~deb12u1"]);
}

#[test]
fn a_pin_wins_over_the_version_and_a_negative_one_keeps_out() {
    let mut all = debian("Package: a\nVersion: 2");
    all.extend(records("own", 900, "Package: a\nVersion: 1"));
    all.extend(records("backports", 100, "Package: a\nVersion: 3"));
    assert_eq!(chosen(&all, &["a"]), ["a=1"]);
    all.extend(records("never", -1, "Package: b"));
    assert_eq!(refused(&all, &["b"]), "not in the repositories:\n  b");
}

#[test]
fn the_same_package_of_two_suites_is_one() {
    let mut all = debian("Package: a\nDepends: b\n\nPackage: b");
    all.extend(all.clone());
    all.extend(records("debian-security", 500, "Package: b"));
    let resolution = resolve(&request(&["a"]), &all, &[]).unwrap();
    assert_eq!(
        resolution.lock.packages.iter().map(|package| package.coordinates.to_string()).collect::<Vec<_>>(),
        ["a=1:amd64 (debian)", "b=1:amd64 (debian)"]
    );
}

#[test]
fn the_first_alternative_is_taken_unless_another_is_there_or_it_is_absent() {
    let records = debian(
        "Package: first

         Package: second

         Package: a
         Depends: first | second

         Package: b
         Depends: absent | second | first

         Package: c
         Depends: deeper

         Package: deeper
         Depends: second",
    );
    assert_eq!(chosen(&records, &["a"]), ["a=1", "first=1"]);
    assert_eq!(chosen(&records, &["b"]), ["b=1", "second=1"]);
    assert_eq!(chosen(&records, &["a", "second"]), ["a=1", "second=1"]);
    assert_eq!(chosen(&records, &["a", "c"]), ["a=1", "c=1", "deeper=1", "second=1"]);
}

#[test]
fn a_virtual_package_is_the_most_important_one_that_provides_it() {
    let records = debian(
        "Package: gawk
         Priority: optional
         Provides: awk

         Package: mawk
         Priority: required
         Provides: awk

         Package: original-awk
         Priority: optional
         Provides: awk

         Package: base
         Pre-Depends: awk

         Package: mta-a
         Provides: mail-transport-agent

         Package: mta-b
         Provides: mail-transport-agent

         Package: mail
         Depends: mail-transport-agent

         Package: real

         Package: stand-in
         Priority: required
         Provides: real

         Package: prefers-real
         Depends: real",
    );
    assert_eq!(chosen(&records, &["base"]), ["base=1", "mawk=1"]);
    assert_eq!(chosen(&records, &["base", "gawk"]), ["base=1", "gawk=1"]);
    assert_eq!(chosen(&records, &["mail"]), ["mail=1", "mta-a=1"]);
    assert_eq!(chosen(&records, &["prefers-real"]), ["prefers-real=1", "real=1"]);
    assert_eq!(chosen(&records, &["prefers-real", "stand-in"]), ["prefers-real=1", "stand-in=1"]);
}

#[test]
fn only_a_provides_with_a_version_satisfies_one() {
    let records = debian(
        "Package: plain
         Provides: api

         Package: versioned
         Provides: api (= 5)

         Package: any
         Depends: api

         Package: new
         Depends: api (>= 5)

         Package: newer
         Depends: api (>> 5)",
    );
    assert_eq!(chosen(&records, &["any"]), ["any=1", "plain=1"]);
    assert_eq!(chosen(&records, &["new"]), ["new=1", "versioned=1"]);
    assert_eq!(
        refused(&records, &["newer"]),
        "the packages cannot be installed together:
  newer is wanted by the spec
  newer needs api (>> 5), but plain and versioned provide it in another version"
    );
}

#[test]
fn recommended_packages_come_when_asked_for_and_where_they_can() {
    let records = debian(
        "Package: a
         Recommends: b, absent, against | instead, x | y

         Package: b
         Recommends: c

         Package: c

         Package: against
         Conflicts: a

         Package: instead

         Package: x

         Package: y

         Package: z
         Depends: y",
    );
    assert_eq!(chosen(&records, &["a"]), ["a=1"]);
    let resolution = resolve(&Request { recommends: true, ..request(&["a", "z"]) }, &records, &[]).unwrap();
    assert_eq!(names(&resolution), ["a=1", "b=1", "c=1", "instead=1", "y=1", "z=1"]);
    let reason = |at: usize| resolution.lock.packages[at].reason.clone();
    assert_eq!(reason(2), Reason::RecommendedBy("b".to_owned()));
    assert_eq!(reason(4), Reason::DependencyOf("z".to_owned()));
}

#[test]
fn architectures_and_their_qualifiers() {
    let mut all = debian(
        "Package: allowed
         Multi-Arch: allowed

         Package: plain

         Package: independent
         Architecture: all
         Depends: allowed:any, plain:native, plain:amd64

         Package: wrong
         Depends: plain:any

         Package: foreign
         Depends: plain:i386

         Package: against
         Conflicts: plain:i386",
    );
    assert_eq!(chosen(&all, &["independent"]), ["allowed=1", "independent=1", "plain=1"]);
    assert!(refused(&all, &["wrong"]).contains("wrong needs plain:any, but 1 (debian) of plain does not serve other architectures"));
    assert!(resolve(&request(&["foreign"]), &all, &[]).is_err());
    assert_eq!(chosen(&all, &["against", "plain"]), ["against=1", "plain=1"]);
    let mut other = records("other", 900, "Package: plain\nVersion: 9\nArchitecture: all");
    assert_eq!(chosen(&[&all[..], &other[..]].concat(), &["plain"]), ["plain=9"]);
    let arm = Request { arch: "arm64".to_owned(), ..request(&["plain"]) };
    all.append(&mut other);
    assert_eq!(names(&resolve(&arm, &all, &[]).unwrap()), ["plain=9"]);
}

#[test]
fn nothing_stays_that_was_only_tried() {
    // `first` is decided on before it turns out that `second` is needed by what `late` leads to.
    let records = debian(
        "Package: a
         Depends: first | second, p | q

         Package: p
         Depends: second

         Package: q

         Package: first

         Package: second",
    );
    assert_eq!(chosen(&records, &["a"]), ["a=1", "p=1", "second=1"]);
}

#[test]
fn a_package_may_satisfy_itself_and_cycles_end() {
    let records = debian(
        "Package: a
         Provides: a-api
         Depends: a-api, b

         Package: b
         Depends: a",
    );
    let resolution = resolve(&request(&["b"]), &records, &[]).unwrap();
    assert_eq!(resolution.lock.packages[0].reason, Reason::DependencyOf("b".to_owned()));
    assert_eq!(names(&resolution), ["a=1", "b=1"]);
}

#[test]
fn the_lock_is_sorted() {
    let release = |archive: &str, suite: &str| ReleaseInfo {
        archive: archive.to_owned(),
        suite: suite.to_owned(),
        date: 0,
        digest: crate::digest::Digest::of(b""),
        keys: Vec::new(),
    };
    let releases = [release("debian-security", "s"), release("debian", "b"), release("debian", "a")];
    let lock = resolve(&request(&[]), &debian("Package: b\nEssential: yes\n\nPackage: a\nEssential: yes"), &releases).unwrap().lock;
    assert_eq!(lock.packages.iter().map(|package| package.coordinates.name()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(lock.releases, [release("debian", "a"), release("debian", "b"), release("debian-security", "s")]);
    assert_eq!(resolve(&request(&[]), &[], &[]).unwrap().lock.packages, []);
}
