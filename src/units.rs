//! Sizes and durations as people write and read them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// One mebibyte.
    pub const MIB: Self = Self(1 << 20);
    /// One gibibyte.
    pub const GIB: Self = Self(1 << 30);
}

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a size: write a whole number and a unit, such as 512MiB, 4GiB or 8GB")]
pub struct ParseSizeError(String);

impl FromStr for ByteSize {
    type Err = ParseSizeError;

    /// Reads `4096`, `4GiB`, `4G`, `4096 MiB` and `8GB`. As in the templates of the Image Composer Tool, `K`, `M`, `G` and `T` alone are powers of
    /// 1024; with a `B` (`KB`, `MB`, `GB`, `TB`) they are powers of 1000.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseSizeError(text.chars().take(80).collect());
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = trimmed[..digits].parse().map_err(|_| error())?;
        let unit: u64 = match trimmed[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(error()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for ByteSize {
    /// Three significant digits and a binary unit: `512 B`, `1.30 GiB`, `75.6 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let decimals = match value {
            ..9.995 => 2,
            ..99.95 => 1,
            _ => 0,
        };
        write!(f, "{value:.decimals$} {}", UNITS[unit])
    }
}

/// A span of time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age(pub u64);

/// A text that is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a span of time: write a whole number and a unit, such as 45min, 12h, 30d or 2w")]
pub struct ParseAgeError(String);

impl Age {
    /// Whole days.
    pub fn days(days: u32) -> Self {
        Self(u64::from(days) * 86_400)
    }
}

impl FromStr for Age {
    type Err = ParseAgeError;

    /// Reads `45s`, `45min`, `12h`, `30d` and `2 w`. A number without a unit is refused, and so is `m`, which may be minutes or months.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseAgeError(text.chars().take(80).collect());
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = trimmed[..digits].parse().map_err(|_| error())?;
        let unit: u64 = match trimmed[digits..].trim().to_ascii_lowercase().as_str() {
            "s" => 1,
            "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return Err(error()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(error)
    }
}

/// The word for no limit.
pub const UNLIMITED: &str = "unlimited";

/// The most of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit<T> {
    /// At most this.
    At(T),
    /// As much as there is.
    Unlimited,
}

impl<T> Limit<T> {
    /// The most, if there is one.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::At(most) => Some(most),
            Self::Unlimited => None,
        }
    }
}

impl<T: FromStr> FromStr for Limit<T> {
    type Err = T::Err;

    /// Reads what `T` reads, and [`UNLIMITED`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == UNLIMITED { Ok(Self::Unlimited) } else { text.parse().map(Self::At) }
    }
}

/// A duration with at most two units, for people: `0.9 s`, `34 s`, `2 min 5 s`, `3 h`, `2 days`.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling() {
        for (text, bytes) in [("4096", 4096), ("4GiB", 4 << 30), ("4G", 4 << 30), ("4096 MiB", 4 << 30), ("8GB", 8_000_000_000), (" 1 mib ", 1 << 20)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5G", "99999999999TiB", "4 parsecs"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_of_time_has_a_unit() {
        for (text, seconds) in [("45s", 45), ("45min", 2_700), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600), (" 1 D ", 86_400), ("0d", 0)] {
            assert_eq!(text.parse(), Ok(Age(seconds)), "{text}");
        }
        for text in ["", "30", "d", "-1d", "1.5d", "3m", "3 months", "99999999999999999999d", "999999999999999999w"] {
            let error = text.parse::<Age>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("“{text}” is not a span of time: ")), "{error}");
        }
    }

    #[test]
    fn a_limit_is_a_value_or_a_word() {
        assert_eq!("3".parse(), Ok(Limit::At(3)));
        assert_eq!("unlimited".parse::<Limit<ByteSize>>().unwrap().into_option(), None);
        assert_eq!("5GB".parse::<Limit<ByteSize>>().unwrap().into_option(), Some(ByteSize(5_000_000_000)));
        assert!("none".parse::<Limit<ByteSize>>().is_err());
    }

    #[test]
    fn shows_three_digits() {
        assert_eq!(ByteSize(512).to_string(), "512 B");
        assert_eq!(ByteSize(1_400_000_000).to_string(), "1.30 GiB");
        assert_eq!(ByteSize(1023 * 1024).to_string(), "1.00 MiB");
    }
}
