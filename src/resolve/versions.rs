//! Whether versions are those that a requirement asks for.

use std::cmp::Ordering;

use crate::repo::{Comparison, Requirement};
use crate::root::Packaging;
use crate::version;

/// Whether a version is one that the requirement asks for. An unversioned Provides only satisfies what asks for no version on Debian, and everything with
/// rpm.
pub fn version_fits(packaging: Packaging, requirement: &Requirement, offered: Option<&str>) -> bool {
    overlaps(packaging, requirement, offered.map(|version| (Comparison::Equal, version)))
}

/// Whether a requirement and what is offered have a version in common: rpm packages can provide a range (`rpm-dependencies(7)`).
pub(super) fn overlaps(packaging: Packaging, requirement: &Requirement, offered: Option<(Comparison, &str)>) -> bool {
    let Some((wanted, limit)) = &requirement.version else { return true };
    let Some((offered, version)) = offered else { return packaging == Packaging::Rpm };
    let ((before, at, after), (offered_before, offered_at, offered_after)) = (sides(*wanted), sides(offered));
    match version::compare_as(packaging, version, limit) {
        Ordering::Less => before || offered_after,
        Ordering::Greater => after || offered_before,
        Ordering::Equal => (before && offered_before) || (at && offered_at) || (after && offered_after),
    }
}

/// Whether a comparison holds for versions before the one it names, for that one, and for those after it.
fn sides(comparison: Comparison) -> (bool, bool, bool) {
    match comparison {
        Comparison::Earlier => (true, false, false),
        Comparison::EarlierOrEqual => (true, true, false),
        Comparison::Equal => (false, true, false),
        Comparison::LaterOrEqual => (false, true, true),
        Comparison::Later => (false, false, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_as_rpm_says() {
        use Comparison::{Earlier, EarlierOrEqual, Equal, Later, LaterOrEqual};
        for (wanted, offered, expected) in [
            ((LaterOrEqual, "2"), (LaterOrEqual, "1"), true),
            ((Equal, "2"), (LaterOrEqual, "1"), true),
            ((Equal, "1"), (LaterOrEqual, "2"), false),
            ((Earlier, "2"), (LaterOrEqual, "2"), false),
            ((EarlierOrEqual, "2"), (LaterOrEqual, "2"), true),
            ((Earlier, "2"), (Earlier, "1"), true),
            ((Later, "2"), (Earlier, "2"), false),
            ((Later, "2"), (Equal, "2"), false),
            ((Later, "1"), (Earlier, "2"), true),
            ((Equal, "2"), (Equal, "2-5"), true),
        ] {
            let requirement = Requirement {
                name: "a".to_owned(),
                arch: None,
                version: Some((wanted.0, wanted.1.to_owned())),
                with: Vec::new(),
                without: Vec::new(),
            };
            assert_eq!(overlaps(Packaging::Rpm, &requirement, Some(offered)), expected, "{wanted:?} {offered:?}");
        }
    }
}
