//! The orders in which images and packages can be listed.

use std::cmp::Ordering;
use std::str::FromStr;

use super::{ImageRecord, PackageEntry};

/// What a list is sorted by. Names go up; sizes, times and uses begin with the largest, the newest, the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what it is called")]
pub enum SortKey {
    Name,
    Version,
    Arch,
    Repository,
    Size,
    OwnSize,
    Built,
    LastUsed,
    Uses,
}

/// A key, and whether the list stands on its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// What it is sorted by.
    pub key: SortKey,
    /// The other way round.
    pub reverse: bool,
}

const KEYS: [(&str, SortKey); 9] = [
    ("name", SortKey::Name),
    ("version", SortKey::Version),
    ("arch", SortKey::Arch),
    ("repository", SortKey::Repository),
    ("size", SortKey::Size),
    ("own-size", SortKey::OwnSize),
    ("built", SortKey::Built),
    ("last-used", SortKey::LastUsed),
    ("uses", SortKey::Uses),
];

/// A text that is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SortError {
    /// Not a key.
    #[error("there is no key “{text}”{}; the keys are {}", .near.map(|near| format!(", did you mean “{near}”?")).unwrap_or_default(), names())]
    Unknown {
        /// What was written.
        text: String,
        /// What was perhaps meant.
        near: Option<&'static str>,
    },
    /// After the colon stands something else than `reverse`.
    #[error("“{0}”: after the colon only “reverse” can stand")]
    Suffix(String),
}

fn names() -> String {
    KEYS.map(|(name, _)| name).join(", ")
}

impl FromStr for Sort {
    type Err = SortError;

    /// Reads `KEY` and `KEY:reverse`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, reverse) = match text.split_once(':') {
            None => (text, false),
            Some((word, "reverse")) => (word, true),
            Some(_) => return Err(SortError::Suffix(text.chars().take(80).collect())),
        };
        let written = word.replace('_', "-");
        if let Some((_, key)) = KEYS.iter().find(|(name, _)| *name == written) {
            return Ok(Self { key: *key, reverse });
        }
        let text: String = word.chars().take(80).collect();
        let near = KEYS.iter().map(|(name, _)| (strsim::osa_distance(&text, name), *name)).filter(|(distance, _)| *distance <= 2);
        Err(SortError::Unknown { near: near.min().map(|(_, name)| name), text })
    }
}

impl Sort {
    /// Sorts images; those that are equal stay in their order. Says whether images have such a key.
    pub fn images(self, images: &mut [ImageRecord]) -> bool {
        let order: fn(&ImageRecord, &ImageRecord) -> Ordering = match self.key {
            SortKey::Name => |a, b| a.name.cmp(&b.name),
            SortKey::Version => |a, b| crate::version::compare(&a.version, &b.version),
            SortKey::Arch => |a, b| a.arch.cmp(&b.arch),
            SortKey::Size => |a, b| b.raw_len.cmp(&a.raw_len),
            SortKey::OwnSize => |a, b| b.own_bytes.cmp(&a.own_bytes),
            SortKey::Built => |a, b| b.built_at.cmp(&a.built_at),
            SortKey::LastUsed => |a, b| b.last_used.cmp(&a.last_used),
            SortKey::Uses => |a, b| b.uses.cmp(&a.uses),
            SortKey::Repository => return false,
        };
        images.sort_by(|a, b| if self.reverse { order(b, a) } else { order(a, b) });
        true
    }

    /// Sorts packages; those that are equal stay in their order. Says whether packages have such a key.
    pub fn packages(self, packages: &mut [PackageEntry]) -> bool {
        let order: fn(&PackageEntry, &PackageEntry) -> Ordering = match self.key {
            SortKey::Name => |a, b| a.coordinates.name().cmp(b.coordinates.name()),
            SortKey::Version => |a, b| crate::version::compare(a.coordinates.version(), b.coordinates.version()),
            SortKey::Arch => |a, b| a.coordinates.arch().cmp(b.coordinates.arch()),
            SortKey::Repository => |a, b| a.coordinates.repository().cmp(b.coordinates.repository()),
            SortKey::Size => |a, b| b.raw_len.cmp(&a.raw_len),
            SortKey::LastUsed => |a, b| b.last_used.cmp(&a.last_used),
            SortKey::Uses => |a, b| b.uses.cmp(&a.uses),
            SortKey::OwnSize | SortKey::Built => return false,
        };
        packages.sort_by(|a, b| if self.reverse { order(b, a) } else { order(a, b) });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_typos_are_answered() {
        let sort = |text: &str| text.parse::<Sort>();
        assert_eq!(sort("size"), Ok(Sort { key: SortKey::Size, reverse: false }));
        assert_eq!(sort("last_used:reverse"), Ok(Sort { key: SortKey::LastUsed, reverse: true }));
        for (name, key) in KEYS {
            assert_eq!(sort(name), Ok(Sort { key, reverse: false }));
        }
        let told = |text: &str| sort(text).unwrap_err().to_string();
        assert!(told("siez").starts_with("there is no key “siez”, did you mean “size”?; the keys are name, version"), "{}", told("siez"));
        assert!(told("colour").starts_with("there is no key “colour”; the keys"));
        assert_eq!(told("size:up"), "“size:up”: after the colon only “reverse” can stand");
    }
}
