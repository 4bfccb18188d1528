//! Limits as a configuration writes them: a number, or `unlimited`.

use crate::units::{ByteSize, Limit, UNLIMITED};
use crate::yaml::{Field, Scalar};

/// The most that a size may say, in GB: a petabyte.
const MOST_GB: u64 = 1_000_000;

/// A GB, as in the names of the keys, in bytes.
const GB: u64 = 1_000_000_000;

/// A whole number from 1 to `most`, or `unlimited`.
pub(super) fn number(field: &Field<'_>, most: u32) -> Option<Limit<u32>> {
    let limit = match field.scalar() {
        Some(Scalar::Text(word)) if word == UNLIMITED => Some(Limit::Unlimited),
        Some(scalar) => scalar.as_integer().and_then(|number| u32::try_from(number).ok()).filter(|number| (1..=most).contains(number)).map(Limit::At),
        None => None,
    };
    if limit.is_none() {
        refuse(field, &format!("a whole number from 1 to {most}"));
    }
    limit
}

/// A number of GB, with or without a fraction; 0 is no wish.
pub(super) fn free(field: &Field<'_>) -> Option<ByteSize> {
    let size = field.scalar().and_then(decimal).filter(|size| size.0 <= MOST_GB * GB);
    if size.is_none() {
        field.wrong_type::<()>(&format!("a number of GB, at most {MOST_GB}"), None);
    }
    size
}

/// A number of GB above 0, with or without a fraction, or `unlimited`.
pub(super) fn gigabytes(field: &Field<'_>) -> Option<Limit<ByteSize>> {
    let limit = match field.scalar() {
        Some(Scalar::Text(word)) if word == UNLIMITED => Some(Limit::Unlimited),
        Some(scalar) => decimal(scalar).filter(|size| (1..=MOST_GB * GB).contains(&size.0)).map(Limit::At),
        None => None,
    };
    if limit.is_none() {
        refuse(field, &format!("a number of GB above 0, at most {MOST_GB},"));
    }
    limit
}

/// Reports a value that is no limit. A 0 may mean either of two things, so each is told its way to be said.
fn refuse(field: &Field<'_>, expected: &str) {
    let zero = field.scalar().and_then(decimal) == Some(ByteSize(0));
    let hint = zero.then(|| format!("for no limit write {UNLIMITED}; to keep nothing switch the cache off with enabled: false"));
    field.wrong_type::<()>(&format!("{expected} or {UNLIMITED}"), hint);
}

/// The GB of a number.
fn decimal(scalar: &Scalar) -> Option<ByteSize> {
    match scalar {
        Scalar::Integer(text) | Scalar::Float(text) => bytes(text).map(ByteSize),
        _ => None,
    }
}

/// `1.5` GB in bytes, exactly; none for what is no decimal number of whole bytes.
fn bytes(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(GB)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        for (text, expected) in [("10", 10 * GB), ("0.5", GB / 2), (".25", GB / 4), ("2.", 2 * GB), ("0.000000001", 1), ("1000000", MOST_GB * GB)] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for text in ["-1", "+1", "1e3", "0x10", "0.0000000001", "99999999999", ".inf"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
