//! What is kept beside an image for people: all that its key was made from, how long its build took, and the log.
//!
//! Nothing is ever built or served by them: a program may lose them, or find others there.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bill::Facts;
use crate::cache::{self, ImageCache, ImageRecord};
use crate::digest::Sha256;
use crate::progress::Phase;

/// The annotations of an image, in JSON.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Annotations {
    /// What the spec hash was made from ([`crate::spec::Loaded::inputs`]); null where nobody knows.
    #[serde(default)]
    pub inputs: Value,
    /// The phases until the image was kept, in the order in which they began.
    #[serde(default)]
    pub phases: Vec<Took>,
    /// The log of the build until the image was kept.
    #[serde(default)]
    pub log: Option<String>,
    /// The version of the program that built the image.
    #[serde(default)]
    pub builder: Option<String>,
    /// What bills tell of each package of the lock, in its order; empty where nobody knows.
    #[serde(default)]
    pub packages: Vec<Facts>,
    /// The SHA-256 of each repository state of the lock, in its order, where it is known.
    #[serde(default)]
    pub releases: Vec<Option<Sha256>>,
}

/// The wall time of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// Which.
    pub phase: Phase,
    /// How long.
    pub millis: u64,
}

impl Took {
    /// How long.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

impl Annotations {
    /// The annotations of a kept image. Those that were written otherwise, and those that are damaged, say nothing.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn read(cache: &ImageCache<'_>, image: &ImageRecord) -> cache::Result<Self> {
        match cache.read_annotations(image) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.is_damage() => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Programs before this one kept the spec alone.
    fn parse(bytes: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(spec) if spec.get("image").is_some() => Self { inputs: serde_json::json!({ "spec": spec }), ..Self::default() },
            Ok(value) => serde_json::from_value(value).unwrap_or_default(),
            Err(_) => Self::default(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("annotations are plain values")
    }

    /// The complete spec.
    pub fn spec(&self) -> Option<&Value> {
        self.inputs.get("spec")
    }

    /// The identities of the repositories whose packages nothing proved; none where the spec is not known.
    pub fn untrusted(&self) -> Option<Vec<&str>> {
        let repositories = self.spec()?.get("repositories").and_then(Value::as_array).into_iter().flatten();
        let unverified = repositories.filter(|repository| repository.get("unverified").is_some_and(|value| value == &Value::Bool(true)));
        Some(unverified.filter_map(|repository| repository.get("id")?.as_str()).collect())
    }

    /// The folders of packages that the spec names, each with the number of its files.
    pub fn folders(&self) -> Vec<(&str, usize)> {
        let folders = self.spec().and_then(|spec| spec.get("folders")?.as_array());
        folders.into_iter().flatten().filter_map(|folder| Some((folder.get("id")?.as_str()?, folder.get("packages")?.as_array()?.len()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn they_come_back_and_strange_ones_say_nothing() {
        let phases = vec![Took { phase: Phase::Disk, millis: 1_200 }];
        let annotations = Annotations {
            inputs: json!({"builder_epoch": 1, "spec": {"image": {}}}),
            phases,
            log: Some("one\n".to_owned()),
            builder: Some("0.1".to_owned()),
            packages: vec![Facts { depends: vec![0, 7], licence: Some("MIT".into()) }, Facts::default()],
            releases: vec![None, Some(Sha256::of(b"a"))],
        };
        assert_eq!(Annotations::parse(&annotations.to_bytes()), annotations);
        for strange in [b"".as_slice(), b"{}", b"[]", b"7", b"{\"phases\": 7}", b"\xff"] {
            assert_eq!(Annotations::parse(strange), Annotations::default());
        }
        assert_eq!(Annotations::parse(b"{\"image\": {\"name\": \"a\"}}").spec(), Some(&json!({"image": {"name": "a"}})));
    }
}
