//! rpm's rules.

use super::*;
use crate::repo::rpm::primary::tests::records;

fn asked(lines: &str, wanted: &[&str]) -> Result<Vec<String>, String> {
    let looked_up = ["/usr/share/x".to_owned()].into();
    let request = Request { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), looked_up, ..request(wanted) };
    let records = records(lines);
    let mut reversed = records.clone();
    reversed.reverse();
    let answer = resolve(&request, &records, &[]);
    assert_eq!(resolve(&request, &reversed, &[]).map(|found| found.lock), answer.clone().map(|found| found.lock), "the order of the records matters");
    answer.map(|resolution| names(&resolution)).map_err(|error| error.to_string())
}

#[track_caller]
fn chosen(lines: &str, wanted: &[&str], expected: &[&str]) {
    assert_eq!(asked(lines, wanted).unwrap(), expected);
}

#[track_caller]
fn refused(lines: &str, wanted: &[&str], reason: &str) {
    let error = asked(lines, wanted).unwrap_err();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn the_highest_version_is_taken_as_rpm_counts() {
    chosen("a 1.0-1\na 1.0~rc1-9\na 1.0^git1-1", &["a"], &["a=1.0^git1-1"]);
    chosen("a 9-1\na 1:1-1", &["a"], &["a=1:1-1"]);
    chosen("a 1-1\na 2-1", &["a=1"], &["a=1-1"]);
}

#[test]
fn provides_overlap() {
    // A release that a requirement does not name may be any; a provide without a version is of all versions.
    chosen("a 1-1: requires b = 2\nb 2-7", &["a"], &["a=1-1", "b=2-7"]);
    chosen("a 1-1: requires v >= 5\nb 1-1: provides v", &["a"], &["a=1-1", "b=1-1"]);
    chosen("a 1-1: requires v >= 5\nb 1-1: provides v = 4-1\nc 1-1: provides v = 5-1", &["a"], &["a=1-1", "c=1-1"]);
    refused("a 1-1: requires b > 2\nb 2-7", &["a"], "a needs b (>> 2)");
    chosen("a 1-1: requires /usr/bin/b\nb 1-1: files /usr/bin/b", &["a"], &["a=1-1", "b=1-1"]);
    refused("a 1-1: requires /usr/share/x", &["a"], "no package has /usr/share/x");
    refused("a 1-1: requires rpmlib(New) <= 9", &["a"], "a needs rpmlib(New)");
}

#[test]
fn files_that_no_list_names_are_asked_for() {
    let list = "a 1-1: requires /usr/share/y\nb 1-1: requires (c or /srv/z)\nc 1-1\nd 1-1: files /usr/bin/d";
    let of = |wanted: &[&str], looked_up: &[&str]| {
        let looked_up = looked_up.iter().map(|&file| file.to_owned()).collect();
        let request = Request { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), looked_up, ..request(wanted) };
        resolve(&request, &records(list), &[])
    };
    let files = |files: &[&str]| Err(Error::Files(files.iter().map(|&file| file.to_owned()).collect()));
    assert_eq!(of(&["a"], &[]), files(&["/usr/share/y"]));
    assert_eq!(of(&["/usr/share/y"], &[]), files(&["/usr/share/y"]));
    // There is an answer without it, and perhaps another one with it.
    assert_eq!(of(&["b"], &[]), files(&["/srv/z"]));
    assert_eq!(names(&of(&["b"], &["/srv/z"]).unwrap()), ["b=1-1", "c=1-1"]);
    assert_eq!(names(&of(&["c", "/usr/bin/d"], &[]).unwrap()), ["c=1-1", "d=1-1"]);
    assert!(matches!(of(&["a"], &["/usr/share/y"]), Err(Error::Unsatisfiable(_))));
}

#[test]
fn obsoletes_exclude_by_name_only() {
    refused("new 2-1: obsoletes old < 2\nold 1-1\nuser 1-1: requires old", &["new", "user"], "new 2-1 obsoletes old");
    chosen("new 2-1: obsoletes old < 2\nother 1-1: provides old = 1-1", &["new", "other"], &["new=2-1", "other=1-1"]);
    chosen("new 2-1: obsoletes old < 2\nold 3-1", &["new", "old"], &["new=2-1", "old=3-1"]);
    chosen("a 2-1: obsoletes a < 2", &["a"], &["a=2-1"]);
    refused("a 1-1: conflicts v\nb 1-1: provides v = 1-1", &["a", "b"], "a 1-1 conflicts with v");
}

#[test]
fn rich_dependencies_hold() {
    chosen("a 1-1: requires (b if c)\nb 1-1\nc 1-1", &["a"], &["a=1-1"]);
    chosen("a 1-1: requires (b if c)\nb 1-1\nc 1-1", &["a", "c"], &["a=1-1", "b=1-1", "c=1-1"]);
    chosen("a 1-1: requires (b if c else d)\nb 1-1\nc 1-1\nd 1-1", &["a", "c"], &["a=1-1", "b=1-1", "c=1-1"]);
    chosen("a 1-1: requires (x or b)\nb 1-1", &["a"], &["a=1-1", "b=1-1"]);
    chosen(
        "a 1-1: requires (v >= 1 with v < 2)\nb 1-1: provides v = 0.5\nc 1-1: provides v = 2\nd 1-1: provides v = 1.5",
        &["a"],
        &["a=1-1", "d=1-1"],
    );
    chosen("a 1-1: requires (v without x)\nb 1-1: provides v, x\nc 1-1: provides v", &["a"], &["a=1-1", "c=1-1"]);
    refused("a 1-1: requires (v without x)\nb 1-1: provides v, x", &["a"], "a needs v without x");
    let unless = "a 1-1: conflicts (b unless c)\nb 1-1\nc 1-1";
    chosen(unless, &["a"], &["a=1-1"]);
    chosen(unless, &["a", "b"], &["a=1-1", "b=1-1", "c=1-1"]);
    refused("a 1-1: conflicts (b unless c)\nb 1-1", &["a", "b"], "a needs c");
    refused("a 1-1: requires (b if c)\nc 1-1", &["a", "c"], "a needs b");
    refused("a 1-1: requires (b unless c)\nb 1-1", &["a"], "a needs (b unless c), but this program does not know such an expression");
}

// The expected sets from here on are those of dnf 4.14 with libsolv 0.7.23, which the system test of RPM repositories asks again.

#[test]
fn what_obsoletes_a_wanted_package_takes_its_place() {
    chosen("old 1-1\nnew 2-1: obsoletes old < 2", &["old"], &["new=2-1"]);
    chosen("old 1-1\nnew 2-1: obsoletes old < 2", &["old", "new"], &["new=2-1"]);
    chosen("obs-old 1-1\nobs-new 2-1: obsoletes obs-old < 2", &["obs-*"], &["obs-new=2-1"]);
    // Only versions in the range are obsoleted, and an exact version is meant as it is said.
    chosen("old 3-1\nnew 2-1: obsoletes old < 2", &["old"], &["old=3-1"]);
    chosen("old 1-1\nnew 2-1: obsoletes old < 2", &["old=1"], &["old=1-1"]);
    // One step, as dnf does it; of several the first name.
    chosen("a 1-1\nb 1-1: obsoletes a\nc 1-1: obsoletes b", &["a"], &["b=1-1"]);
    chosen("old 1-1\nx 1-1: obsoletes old\ny 1-1: obsoletes old; provides old", &["old"], &["x=1-1"]);
    // It gives way no longer where something needs just this package.
    chosen("user 1-1: requires old\nold 1-1\nnew 1-1: obsoletes old", &["user"], &["old=1-1", "user=1-1"]);
    chosen("user 1-1: requires old\nold 1-1\nnew 1-1: obsoletes old", &["user", "old"], &["old=1-1", "user=1-1"]);
    chosen("user 1-1: requires old\nold 1-1\nnew 1-1: obsoletes old; provides old", &["user"], &["new=1-1", "user=1-1"]);
    // Where what obsoletes it cannot be had, the package stays.
    chosen("old 1-1\nnew 2-1: obsoletes old; requires nothing", &["old"], &["old=1-1"]);
}

#[test]
fn what_is_recommended_comes_where_it_can_if_it_is_asked_for() {
    let list = "user 1-1: recommends a, gone, (b or c), (d if a), (d unless a)\na 1-1\nb 1-1: requires gone\nc 1-1\nd 1-1\nnot 1-1: conflicts a";
    let of = |wanted: &[&str], recommends| {
        let request = Request { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), recommends, ..request(wanted) };
        names(&resolve(&request, &records(list), &[]).unwrap())
    };
    assert_eq!(of(&["user"], false), ["user=1-1"]);
    assert_eq!(of(&["user"], true), ["a=1-1", "c=1-1", "user=1-1"]);
    assert_eq!(of(&["user", "not"], true), ["c=1-1", "not=1-1", "user=1-1"]);
}

#[test]
fn what_supplements_others_comes_with_them_if_it_is_asked_for() {
    let list = "base 1-1\nlang 1-1\nplus 1-1: supplements base\nchain 1-1: supplements plus; requires needs\nneeds 1-1\nnot 1-1: conflicts plus\n\
                both 1-1: supplements (base and lang)\neither 1-1: supplements gone, (gone or lang)\nolder 1-1: supplements base < 1\n\
                broken 1-1: supplements base; requires gone\nenhances 1-1: enhances base\nrenewed 1-1: supplements base\nrenewed 2-1\n\
                under 1-1: supplements (base if lang)";
    let of = |wanted: &[&str], recommends| {
        let request = Request { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), recommends, ..request(wanted) };
        resolve(&request, &records(list), &[]).unwrap()
    };
    assert_eq!(names(&of(&["base"], false)), ["base=1-1"]);
    let found = of(&["base"], true);
    assert_eq!(names(&found), ["base=1-1", "chain=1-1", "needs=1-1", "plus=1-1"]);
    let reason = |at: usize| found.lock.packages[at].reason.to_string();
    assert_eq!([reason(1), reason(2), reason(3)], ["supplements plus", "needed-by chain", "supplements base"]);
    let all = ["base=1-1", "both=1-1", "chain=1-1", "either=1-1", "lang=1-1", "needs=1-1", "plus=1-1"];
    assert_eq!(names(&of(&["base", "lang"], true)), all);
    assert_eq!(names(&of(&["base", "not"], true)), ["base=1-1", "not=1-1"]);
}

/// As libsolv has it: of two that provide the same, what is there for another reason is enough.
#[test]
fn what_supplements_can_be_what_is_needed() {
    let list = "user 1-1: requires v\na 1-1: provides v\nb 1-1: provides v; supplements user";
    let of = |recommends| {
        let request = Request { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), recommends, ..request(&["user"]) };
        names(&resolve(&request, &records(list), &[]).unwrap())
    };
    assert_eq!((of(false), of(true)), (vec!["a=1-1".to_owned(), "user=1-1".to_owned()], vec!["b=1-1".to_owned(), "user=1-1".to_owned()]));
}

#[test]
fn the_lock_says_what_was_replaced() {
    let lines = records("old 1-1\nnew 2-1: obsoletes old < 2\nuser 1-1: requires new");
    let request = |wanted| Request { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), ..request(wanted) };
    let found = resolve(&request(&["old"]), &lines, &[]).unwrap();
    assert_eq!(found.lock.packages[0].reason, Reason::Obsoletes("old".to_owned()));
    assert_eq!(found.matched, [Matched { wanted: "old".to_owned(), packages: vec!["new=2-1".to_owned()] }]);
    let found = resolve(&request(&["old", "new"]), &lines, &[]).unwrap();
    assert_eq!(found.lock.packages[0].reason, Reason::Wanted);
    let found = resolve(&request(&["user"]), &lines, &[]).unwrap();
    assert_eq!((found.lock.packages[0].reason.clone(), found.matched), (Reason::DependencyOf("user".to_owned()), Vec::new()));
}

#[test]
fn of_several_providers_the_one_of_libsolv_is_taken() {
    // What provides the higher version of what they have in common, and then the first name: even before the package of that name.
    chosen("user 1-1: requires named\nnamed 1-1\nnamed-all 1-1: provides named = 9", &["user"], &["named-all=1-1", "user=1-1"]);
    chosen("user 1-1: requires named\nnamed 1-1\naa 1-1: provides named", &["user"], &["aa=1-1", "user=1-1"]);
    let many = "user 1-1: requires v\nb 1-1: provides v = 9\naa 1-1: provides v = 1\nccc 1-1: provides v = 5";
    chosen(many, &["user"], &["b=1-1", "user=1-1"]);
    chosen(many, &["v"], &["b=1-1"]);
    chosen("user 1-1: requires v\na 1-1: provides v\nb 1-1: provides v; obsoletes a", &["user"], &["b=1-1", "user=1-1"]);
    chosen("user 1-1: requires v\na 1-1: provides v\nb 1-1: provides v", &["user", "b"], &["b=1-1", "user=1-1"]);
    chosen("user 1-1: requires (z or a)\nz 1-1\na 1-1", &["user"], &["a=1-1", "user=1-1"]);
    chosen("user 1-1: requires v\na 1-1: provides v; requires nothing\nb 1-1: provides v", &["user"], &["b=1-1", "user=1-1"]);
    // A number of a build has no order.
    chosen("user 1-1: requires v\na 1-1: provides v = 1abc\nb 1-1: provides v = 2abc", &["user"], &["a=1-1", "user=1-1"]);
}

#[test]
fn ranges_that_are_provided_overlap_with_what_is_required() {
    chosen("user 1-1: requires r < 5\nfar 1-1: provides r >= 7\nnear 1-1: provides r >= 3", &["user"], &["near=1-1", "user=1-1"]);
    chosen("user 1-1: requires r >= 2\na 1-1: provides r < 2\nb 1-1: provides r <= 2", &["user"], &["b=1-1", "user=1-1"]);
    refused("user 1-1: requires r = 9\na 1-1: provides r < 9", &["user"], "user needs r");
}

#[test]
fn names_are_taken_as_dnf_takes_them() {
    let two = "Some_Lib+x.y 1-1\nSome_Lib+x.y 2-1\ntool-1 5-1\ntool 1-1\ntool 2-1";
    chosen(two, &["Some_Lib+x.y"], &["Some_Lib+x.y=2-1"]);
    chosen(two, &["Some_Lib+x.y-1"], &["Some_Lib+x.y=1-1"]);
    chosen(two, &["Some_Lib+x.y-1-1.x86_64"], &["Some_Lib+x.y=1-1"]);
    chosen(two, &["tool.x86_64"], &["tool=2-1"]);
    chosen(two, &["tool-2-1"], &["tool=2-1"]);
    // A package of just that name is what is meant.
    chosen(two, &["tool-1"], &["tool-1=5-1"]);
    refused(two, &["tool.noarch"], "tool.noarch");
    refused(two, &["tool.s390x"], "tool.s390x");
    refused(two, &["tool-3"], "tool-3");
}

#[test]
fn what_a_condition_asked_for_goes_with_that_on_which_it_stood() {
    // v is first satisfied by b, which the solver then does not need: neither what stands on b.
    chosen(
        "user 1-1: requires v, late\nlate 1-1: requires z\nb 1-1: provides v\nz 1-1: provides v\nextra 1-1\nwatch 1-1: requires (extra if b)",
        &["user", "watch"],
        &["late=1-1", "user=1-1", "watch=1-1", "z=1-1"],
    );
    chosen("a 1-1: requires ((b and c) if d)\nb 1-1\nc 1-1\nd 1-1", &["a"], &["a=1-1"]);
}

#[test]
fn the_repository_with_the_higher_priority_is_asked_first() {
    let mut all = records("user 1-1: requires v\na 1-1: provides v = 9\nz 1-1: provides v = 1\nz 0-1: provides v = 1");
    let preferred = Arc::new(Archive { id: "preferred".to_owned(), mirrors: Vec::new(), pin: 900 });
    for record in all.iter_mut().filter(|record| record.coordinates.to_string().starts_with("z=0-1")) {
        record.archive = Arc::clone(&preferred);
    }
    let request = Request { packaging: Packaging::Rpm, arch: "x86_64".to_owned(), ..request(&["user"]) };
    assert_eq!(names(&resolve(&request, &all, &[]).unwrap()), ["user=1-1", "z=0-1"]);
}
