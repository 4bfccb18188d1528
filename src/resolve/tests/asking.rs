//! Patterns, versions, and kernels.

use super::*;

/// A distribution with a kernel in two versions and three that only their names tell apart.
fn kernels() -> Vec<PackageRecord> {
    debian(
        "Package: linux-image-amd64
         Version: 6.1.170-1
         Depends: linux-image-6.1.0-43-amd64 (= 6.1.170-1)

         Package: linux-image-amd64
         Version: 6.1.164-1
         Depends: linux-image-6.1.0-42-amd64 (= 6.1.164-1)

         Package: linux-image-cloud-amd64
         Version: 6.1.170-1

         Package: linux-image-6.1.0-43-amd64
         Version: 6.1.170-1

         Package: linux-image-6.1.0-42-amd64
         Version: 6.1.164-1

         Package: linux-image-6.12.9+deb12-amd64
         Version: 6.12.9-1~bpo12+1

         Package: linux-image-5.10.0-9-cloud-amd64
         Version: 5.10.70-1

         Package: linux-image-6.1.0-43-amd64-dbg
         Version: 6.1.170-1",
    )
}

fn kernel(version: &str, name: &str) -> Request {
    Request { kernel: Some(Kernel { version: version.to_owned(), names: vec![name.to_owned()] }), ..request(&[]) }
}

#[test]
fn a_pattern_is_one_best_version_of_each_name() {
    let records = kernels();
    let resolution = resolve(&request(&["linux-image-*amd64"]), &records, &[]).unwrap();
    let expected = [
        "linux-image-5.10.0-9-cloud-amd64=5.10.70-1",
        "linux-image-6.1.0-42-amd64=6.1.164-1",
        "linux-image-6.1.0-43-amd64=6.1.170-1",
        "linux-image-6.12.9+deb12-amd64=6.12.9-1~bpo12+1",
        "linux-image-amd64=6.1.170-1",
        "linux-image-cloud-amd64=6.1.170-1",
    ];
    assert_eq!(names(&resolution), expected);
    assert_eq!(resolution.matched, [Matched { wanted: "linux-image-*amd64".to_owned(), packages: expected.map(str::to_owned).to_vec() }]);
    assert_eq!(refused(&records, &["linux-image-amd63*"]), "not in the repositories:\n  linux-image-amd63* (did you mean linux-image-amd64?)");
}

#[test]
fn a_version_may_leave_its_end_open() {
    assert_eq!(chosen(&kernels(), &["linux-image-amd64=6.1.16*"]), ["linux-image-6.1.0-42-amd64=6.1.164-1", "linux-image-amd64=6.1.164-1"]);
}

#[test]
fn a_pattern_that_means_everything_is_refused() {
    let text = (0..1001).fold(String::new(), |text, number| format!("{text}Package: p{number}\n\n"));
    assert_eq!(refused(&debian(&text), &["p*"]), "not in the repositories:\n  p* (means 1001 packages, and more than 1000 is hardly meant)");
}

#[test]
fn a_kernel_is_the_newest_of_its_version() {
    let records = kernels();
    let chosen = |version: &str, name: &str| names(&resolve(&kernel(version, name), &records, &[]).unwrap());
    let newest = ["linux-image-6.1.0-43-amd64=6.1.170-1", "linux-image-amd64=6.1.170-1"];
    for version in ["6", "6.1", "6.1.170", "6.1.170-1"] {
        assert_eq!(chosen(version, "linux-image-amd64"), newest, "{version}");
    }
    assert_eq!(chosen("6.1.164", "linux-image-amd64"), ["linux-image-6.1.0-42-amd64=6.1.164-1", "linux-image-amd64=6.1.164-1"]);
    // What only the name says.
    assert_eq!(chosen("6.1.0-42", "linux-image-amd64"), ["linux-image-6.1.0-42-amd64=6.1.164-1"]);
    assert_eq!(chosen("6.12", "linux-image-amd64"), ["linux-image-6.12.9+deb12-amd64=6.12.9-1~bpo12+1"]);
    assert_eq!(chosen("5.10", "linux-image-cloud-amd64"), ["linux-image-5.10.0-9-cloud-amd64=5.10.70-1"]);
    assert_eq!(chosen("6.1", "linux-image-c*"), ["linux-image-cloud-amd64=6.1.170-1"]);
}

#[test]
fn a_kernel_that_is_gone_is_told_with_those_that_are_there() {
    let records = kernels();
    let told = |version: &str, name: &str| resolve(&kernel(version, name), &records, &[]).unwrap_err().to_string();
    let expected = "not in the repositories:\n  linux-image-amd64 of kernel 6.5 (there is 6.12.9+deb12, 6.1.170-1, 6.1.164-1, 6.1.0-43, 6.1.0-42)";
    assert_eq!(told("6.5", "linux-image-amd64"), expected);
    // A number does not go on: 6.1.1 is not 6.1.170, and 6.1.0-4 not 6.1.0-43.
    for version in ["6.1.1", "6.1.0-4", "6.1.170-"] {
        let is_there = resolve(&kernel(version, "linux-image-amd64"), &records, &[]).is_ok();
        assert_eq!(is_there, version.ends_with('-'), "{version}");
    }
    assert_eq!(told("6.1", "linux-image-amd65"), "not in the repositories:\n  linux-image-amd65 (did you mean linux-image-amd64?)");
}
