//! The order of Debian versions (`deb-version(7)`): `[epoch:]upstream[-revision]`.

use std::cmp::Ordering;

/// Compares two versions as `dpkg --compare-versions` does. Every text has a place in the order; what is no valid version is still compared.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, upstream_a, revision_a) = split(a);
    let (epoch_b, upstream_b, revision_b) = split(b);
    compare_numbers(epoch_a, epoch_b).then_with(|| compare_parts(upstream_a, upstream_b)).then_with(|| compare_parts(revision_a, revision_b))
}

/// Epoch, upstream version and revision; an absent epoch is `0`, an absent revision is empty (which equals `0`).
fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Runs of non-digits and of digits in turn: `~` sorts before the end, the end before letters, letters before everything else.
fn compare_parts(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (text_a, rest_a) = a.split_at(a.bytes().position(|byte| byte.is_ascii_digit()).unwrap_or(a.len()));
        let (text_b, rest_b) = b.split_at(b.bytes().position(|byte| byte.is_ascii_digit()).unwrap_or(b.len()));
        let longest = text_a.len().max(text_b.len());
        for at in 0..longest {
            let order = weight(text_a.as_bytes().get(at)).cmp(&weight(text_b.as_bytes().get(at)));
            if order.is_ne() {
                return order;
            }
        }
        let (number_a, next_a) = rest_a.split_at(rest_a.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest_a.len()));
        let (number_b, next_b) = rest_b.split_at(rest_b.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest_b.len()));
        let order = compare_numbers(number_a, number_b);
        if order.is_ne() || (next_a.is_empty() && next_b.is_empty()) {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
}

/// Compares digits of any length; an empty text is zero.
fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_as_dpkg_does() {
        let ascending = ["1.0~rc1", "1.0", "1.0-0.1", "1.0-1", "1.0-1a", "1.0-1+deb12u1", "1.0a-1", "1.0+b-1", "1.2", "1.10", "2", "1:0.1"];
        for pair in ascending.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{} < {}", pair[0], pair[1]);
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{} > {}", pair[1], pair[0]);
        }
        for (a, b) in [("1.0", "1.0-0"), ("0:1", "1"), ("1.00", "1.0"), ("1.01", "1.1")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} = {b}");
        }
    }

    /// A thousand versions that differ in little, against the program that defines the order; where there is no dpkg there is nothing to compare with.
    #[test]
    fn agrees_with_dpkg() {
        // A fixed sequence: pieces that versions differ by (Knuth's MMIX multiplier).
        let pieces = ["0", "1", "01", "10", "9", ".", "+", "~", "~~", "a", "Z", "b1", "rc", "+deb12u1", "-1", "-0", "~bpo", "1:"];
        let mut state = 1_u64;
        let mut pick = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        let mut version = || {
            let epoch = ["", "", "0:", "1:"][pick(4)];
            let rest: String = (0..pick(5)).map(|_| pieces[pick(pieces.len() - 1)]).collect();
            format!("{epoch}{}{rest}", pick(3))
        };
        let pairs: Vec<(String, String)> = (0..500).map(|_| (version(), version())).collect();
        let script = "command -v dpkg >/dev/null || exit 3; while read -r a b; do \
            if dpkg --compare-versions \"$a\" lt \"$b\"; then echo Less; elif dpkg --compare-versions \"$a\" gt \"$b\"; then echo Greater; else echo Equal; fi; done";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let input = pairs.iter().fold(String::new(), |text, (a, b)| text + a + " " + b + "\n");
        // A shell that has ended already, for want of dpkg, takes no input.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        let output = child.wait_with_output().unwrap();
        if output.status.code() == Some(3) {
            return;
        }
        let answers: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
        assert_eq!(answers.len(), pairs.len());
        for ((a, b), answer) in pairs.iter().zip(answers) {
            assert_eq!(format!("{:?}", compare(a, b)), answer, "{a} and {b}");
        }
    }

    proptest! {
        #[test]
        fn is_an_order(a in "[0-9a-c.+~:-]{0,8}", b in "[0-9a-c.+~:-]{0,8}", c in "[0-9a-c.+~:-]{0,8}") {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
