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
}
