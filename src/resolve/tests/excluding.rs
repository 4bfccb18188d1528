//! What does not go together, what is not there, and what is said about it.

use super::*;

#[test]
fn what_excludes_each_other_is_not_taken_together() {
    let records = debian(
        "Package: a
         Depends: x | y

         Package: x

         Package: y

         Package: against
         Conflicts: x (<< 2)

         Package: breaker
         Breaks: x

         Package: tolerant
         Breaks: x (<< 1)",
    );
    assert_eq!(chosen(&records, &["a", "against"]), ["a=1", "against=1", "y=1"]);
    assert_eq!(chosen(&records, &["a", "breaker"]), ["a=1", "breaker=1", "y=1"]);
    assert_eq!(chosen(&records, &["a", "tolerant"]), ["a=1", "tolerant=1", "x=1"]);
    assert_eq!(
        refused(&records, &["x", "breaker"]),
        "the packages cannot be installed together:
  breaker is wanted by the spec
  x is wanted by the spec
  breaker 1 breaks x, and x 1 is that"
    );
}

#[test]
fn a_package_does_not_exclude_itself_but_the_others_of_its_kind() {
    let records = debian(
        "Package: exim
         Provides: mta (= 1)
         Conflicts: mta, exim (<< 1)

         Package: postfix
         Provides: mta
         Conflicts: mta

         Package: sendmail
         Provides: mta

         Package: versioned
         Conflicts: mta (>= 1)",
    );
    assert_eq!(chosen(&records, &["exim"]), ["exim=1"]);
    assert_eq!(
        refused(&records, &["postfix", "sendmail"]),
        "the packages cannot be installed together:
  postfix is wanted by the spec
  sendmail is wanted by the spec
  postfix 1 conflicts with mta, which sendmail 1 provides"
    );
    assert_eq!(chosen(&records, &["versioned", "sendmail"]), ["sendmail=1", "versioned=1"]);
    assert!(resolve(&request(&["versioned", "exim"]), &records, &[]).is_err());
}

#[test]
fn an_older_version_is_taken_where_nothing_else_works() {
    let records = debian(
        "Package: a
         Version: 2
         Depends: absent

         Package: a
         Version: 1

         Package: b
         Depends: a

         Package: c
         Depends: lib (= 1)

         Package: lib
         Version: 2

         Package: lib
         Version: 1

         Package: d
         Depends: lib",
    );
    assert_eq!(chosen(&records, &["b"]), ["a=1", "b=1"]);
    assert_eq!(chosen(&records, &["c", "d"]), ["c=1", "d=1", "lib=1"]);
    assert_eq!(chosen(&records, &["d"]), ["d=1", "lib=2"]);
}

#[test]
fn what_is_not_the_best_of_a_package_is_told() {
    let mut all = debian("Package: a\nDepends: lib (>= 2)\n\nPackage: b\n\nPackage: lib\nVersion: 2");
    all.extend(records("own", 990, "Package: lib\nVersion: 1"));
    let told = |wanted: &[&str]| {
        let resolution = resolve(&request(wanted), &all, &[]).unwrap();
        resolution.passed_over.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let lower = "lib=2:amd64 (debian) is taken, and not lib=1:amd64 (own), with which what is wanted does not fit together";
    assert_eq!(told(&["a"]), [lower]);
    assert!(told(&["b", "lib"]).is_empty() && told(&["b", "lib=2"]).is_empty(), "what was asked for is the best");
}

#[test]
fn another_alternative_is_better_than_an_older_version() {
    let records = debian(
        "Package: a
         Depends: x | y

         Package: x
         Version: 2
         Depends: absent

         Package: x
         Version: 1

         Package: y",
    );
    assert_eq!(chosen(&records, &["a"]), ["a=1", "y=1"]);
}

#[test]
fn a_version_can_be_asked_for() {
    let records = debian(
        "Package: a
         Version: 1:2.0-1

         Package: a
         Version: 1:1.0-1
         Depends: b (= 1)

         Package: b
         Version: 1

         Package: b
         Version: 2",
    );
    assert_eq!(chosen(&records, &["a=1:1.0-1"]), ["a=1:1.0-1", "b=1"]);
    assert_eq!(chosen(&records, &["a=1:1.0-1", "a", "b"]), ["a=1:1.0-1", "b=1"]);
    assert_eq!(refused(&records, &["a=3"]), "not in the repositories:\n  a=3 (there is 1:2.0-1, 1:1.0-1)");
    assert_eq!(
        refused(&records, &["b=1", "b=2"]),
        "the packages cannot be installed together:\n  b=1 is wanted by the spec, and so is another version of b"
    );
}

#[test]
fn everything_unknown_is_listed_at_once() {
    let records = debian(
        "Package: openssh-server

         Package: openssh-client

         Package: nginx

         Package: mta-a
         Provides: mta, only

         Package: mta-b
         Provides: mta",
    );
    let error = resolve(&request(&["openssh-sever", "zzzzzzzz", "mta", "nginx"]), &records, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not in the repositories:
  mta (a virtual package, provided by mta-a, mta-b)
  openssh-sever (did you mean openssh-server?)
  zzzzzzzz"
    );
    assert_eq!(error.hint().unwrap(), "name one of the packages that provide it");
    assert_eq!(chosen(&records, &["only"]), ["mta-a=1"]);
}

#[test]
fn a_failure_is_told_from_the_wish_to_the_obstacle() {
    let records = debian(
        "Package: web
         Depends: nginx | apache

         Package: nginx
         Depends: libc6 (>= 2.40)

         Package: apache
         Depends: libapr, libssl1

         Package: libc6
         Version: 2.36-9
         Conflicts: libssl1

         Package: libssl1
         Depends: libc6",
    );
    assert_eq!(
        refused(&records, &["nginx"]),
        "the packages cannot be installed together:
  nginx is wanted by the spec
  nginx needs libc6 (>= 2.40), but only 2.36-9 (debian) is there"
    );
    assert_eq!(
        refused(&records, &["web"]),
        "the packages cannot be installed together:
  web is wanted by the spec
  web needs nginx | apache
  apache needs libapr, but that is in no repository
  nginx needs libc6 (>= 2.40), but only 2.36-9 (debian) is there"
    );
    assert_eq!(
        refused(&records, &["libssl1"]),
        "the packages cannot be installed together:
  libssl1 is wanted by the spec
  libssl1 needs libc6
  libc6 2.36-9 conflicts with libssl1, and libssl1 1 is that"
    );
}
