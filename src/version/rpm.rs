//! The order of rpm's versions (`rpm-version(7)`): `[epoch:]version[-release]`.

use std::cmp::Ordering;

/// Compares two versions as rpm does. A version without a release is equal to one with any release, as a requirement means it; among versions that all have
/// releases this is an order.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, version_a, release_a) = split(a);
    let (epoch_b, version_b, release_b) = split(b);
    let releases = || match (release_a, release_b) {
        (Some(a), Some(b)) => compare_parts(a, b),
        _ => Ordering::Equal,
    };
    compare_numbers(epoch_a, epoch_b).then_with(|| compare_parts(version_a, version_b)).then_with(releases)
}

/// Epoch, version and release; an absent epoch is `0`.
fn split(text: &str) -> (&str, &str, Option<&str>) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (epoch, rest) = match text.as_bytes().get(digits) {
        Some(b':') => (&text[..digits], &text[digits + 1..]),
        _ => ("0", text),
    };
    match rest.rsplit_once('-') {
        Some((version, release)) => (epoch, version, (!release.is_empty()).then_some(release)),
        None => (epoch, rest, None),
    }
}

/// Runs of digits and of letters in turn, with whatever else between them: `~` is before the end, `^` just after it, a number is after a word.
fn compare_parts(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        (a, b) = (without_separators(a), without_separators(b));
        match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (Some(b'~'), _) => return Ordering::Less,
            (None, None) => return Ordering::Equal,
            (_, Some(b'~')) | (Some(_), Some(b'^') | None) => return Ordering::Greater,
            (None | Some(b'^'), Some(_)) => return Ordering::Less,
            (Some(_), Some(_)) => {}
        }
        let (run_a, run_b);
        let is_number = a[0].is_ascii_digit();
        if is_number != b[0].is_ascii_digit() {
            return if is_number { Ordering::Greater } else { Ordering::Less };
        }
        let belongs = if is_number { u8::is_ascii_digit } else { u8::is_ascii_alphabetic };
        (run_a, a) = a.split_at(a.iter().position(|byte| !belongs(byte)).unwrap_or(a.len()));
        (run_b, b) = b.split_at(b.iter().position(|byte| !belongs(byte)).unwrap_or(b.len()));
        let order = if is_number { compare_digits(run_a, run_b) } else { run_a.cmp(run_b) };
        if order.is_ne() {
            return order;
        }
    }
}

fn without_separators(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^'));
    &text[start.unwrap_or(text.len())..]
}

fn compare_numbers(a: &str, b: &str) -> Ordering {
    compare_digits(a.as_bytes(), b.as_bytes())
}

/// Numbers of any length.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &'_ [u8]| digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From `rpm-version(7)` and the cases that rpm's own documentation of `~` and `^` gives.
    const CASES: &[(&str, &str, Ordering)] = &[
        ("1.0-1", "1.0-1", Ordering::Equal),
        ("1.0-1", "2.0-1", Ordering::Less),
        ("2.0.1a-1", "2.0.1-1", Ordering::Greater),
        ("5.5p2-1", "5.5p10-1", Ordering::Less),
        ("10xyz-1", "10.1xyz-1", Ordering::Less),
        ("xyz10-1", "xyz10.1-1", Ordering::Less),
        ("xyz.4-1", "8-1", Ordering::Less),
        ("1.0010-1", "1.9-1", Ordering::Greater),
        ("1.05-1", "1.5-1", Ordering::Equal),
        ("2_0-1", "2.0-1", Ordering::Equal),
        ("a+-1", "a_-1", Ordering::Equal),
        ("1.0~rc1-1", "1.0-1", Ordering::Less),
        ("1.0~rc1-1", "1.0~rc2-1", Ordering::Less),
        ("1.0~rc1~git123-1", "1.0~rc1-1", Ordering::Less),
        ("1.0^-1", "1.0-1", Ordering::Greater),
        ("1.0^git1-1", "1.0^git2-1", Ordering::Less),
        ("1.0^git1-1", "1.01-1", Ordering::Less),
        ("1.0^20160101-1", "1.0.1-1", Ordering::Less),
        ("1.0^20160101^git1-1", "1.0^20160102-1", Ordering::Less),
        ("1.0~rc1^git1-1", "1.0~rc1-1", Ordering::Greater),
        ("1.0^git1~pre-1", "1.0^git1-1", Ordering::Less),
        ("1:1.0-1", "2.0-1", Ordering::Greater),
        ("0:1.0-1", "1.0-1", Ordering::Equal),
        ("1.0-2.el10", "1.0-10.el10", Ordering::Less),
        // What a requirement leaves open.
        ("1.0", "1.0-7", Ordering::Equal),
        ("1.0-", "1.0-7", Ordering::Equal),
        ("1.1", "1.0-7", Ordering::Greater),
    ];

    #[test]
    fn known_cases() {
        for (a, b, order) in CASES {
            assert_eq!(compare(a, b), *order, "{a} and {b}");
            assert_eq!(compare(b, a), order.reverse(), "{b} and {a}");
        }
    }

    /// Holds the order to rpm's own.
    #[test]
    #[ignore = "needs rpm: run by tests/system/groups/31-rpm.sh"]
    fn agrees_with_rpm() {
        for (a, b, order) in CASES {
            let expression = format!("%{{lua: print(rpm.vercmp('{a}', '{b}'))}}");
            let output = std::process::Command::new("rpm").args(["--eval", &expression]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            // rpm's function puts a version without a release before those that have one; requirements do not.
            if [a, b].iter().any(|text| split(text).2.is_none()) {
                continue;
            }
            let expected = match order {
                Ordering::Less => "-1",
                Ordering::Equal => "0",
                Ordering::Greater => "1",
            };
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{a} and {b}");
        }
    }

    proptest! {
        #[test]
        fn is_an_order(a in "([01]:)?[0-9a-c.+~^_]{0,8}-[0-9a.~^]{1,4}", b in "([01]:)?[0-9a-c.+~^_]{0,8}-[0-9a.~^]{1,4}", c in "([01]:)?[0-9a-c.+~^_]{0,8}-[0-9a.~^]{1,4}") {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }

        #[test]
        fn any_text_is_compared(a in "\\PC{0,12}", b in "\\PC{0,12}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
