//! Scalars by the core schema of YAML 1.2 (§10.3.2).

/// One value.
#[derive(Clone, PartialEq, Eq)]
pub enum Scalar {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number, decimal, `0o…` or `0x…`, as it was written.
    Integer(String),
    /// A number with a fraction or exponent, as it was written.
    Float(String),
    /// Everything else, and whatever stands in quotes.
    Text(String),
}

impl Scalar {
    /// The value of an unquoted scalar.
    pub fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Boolean(true),
            "false" | "False" | "FALSE" => Self::Boolean(false),
            _ if is_integer(text) => Self::Integer(text.to_owned()),
            _ if is_float(text) => Self::Float(text.to_owned()),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// The number, if it is a whole one that fits.
    pub fn as_integer(&self) -> Option<i64> {
        let Self::Integer(text) = self else { return None };
        match text.split_at_checked(2) {
            Some(("0o", octal)) => i64::from_str_radix(octal, 8).ok(),
            Some(("0x", hex)) => i64::from_str_radix(hex, 16).ok(),
            _ => text.parse().ok(),
        }
    }

    /// What it is in words, with its value cut to 60 characters.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Boolean(value) => format!("the boolean {value}"),
            Self::Integer(text) | Self::Float(text) => format!("the number {}", cut(text)),
            Self::Text(text) if text.is_empty() => "an empty text".to_owned(),
            Self::Text(text) => format!("the text “{}”", cut(text)),
        }
    }

    /// What it is in words, without its value.
    pub fn describe_type(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
        }
    }
}

/// `text` on one line and cut to 60 characters, to stand in a message.
pub(crate) fn cut(text: &str) -> String {
    const LIMIT: usize = 60;
    let mut cut: String = text.chars().take(LIMIT).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    if text.chars().nth(LIMIT).is_some() {
        cut.push('…');
    }
    cut
}

fn is_integer(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("0o") {
        return !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_holds = match mantissa.split_once('.') {
        Some((whole, fraction)) => all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty()),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent_holds = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_holds && exponent_holds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_core_schema() {
        for text in ["", "~", "null", "NULL"] {
            assert_eq!(Scalar::plain(text).describe_type(), "nothing", "{text}");
        }
        for text in ["true", "False", "TRUE"] {
            assert_eq!(Scalar::plain(text).describe_type(), "a boolean", "{text}");
        }
        for (text, number) in [("0", 0), ("-19", -19), ("+12", 12), ("0o14", 12), ("0xC", 12), ("007", 7)] {
            assert_eq!(Scalar::plain(text).as_integer(), Some(number), "{text}");
        }
        for text in ["0.", "-0.0", ".5", "+12e03", "-2E+05", ".inf", "-.Inf", ".nan", "1.0"] {
            assert!(matches!(Scalar::plain(text), Scalar::Float(_)), "{text}");
        }
        for text in ["yes", "no", "on", "tRUE", "1.2.3", "0o8", "0xg", "1e", "e1", ".", "+", "-", "0x", "1_000", "12:30", "-.nan"] {
            assert!(matches!(Scalar::plain(text), Scalar::Text(_)), "{text}");
        }
        assert_eq!(Scalar::plain("99999999999999999999").as_integer(), None);
    }

    #[test]
    fn a_message_stays_on_one_line() {
        assert_eq!(cut("a\nb\u{1b}[31m"), "a\u{fffd}b\u{fffd}[31m");
        assert_eq!(cut(&"é".repeat(61)), "é".repeat(60) + "…");
    }
}
