//! Canonical CBOR (RFC 8949 §4.2.1): one value has one encoding, so that the digest of a document is the digest of its meaning.
//!
//! Encoding goes through [`serde_cbor::Value`], which sorts the keys of maps. Decoding first walks over the bytes without building anything, which
//! bounds depth, items and lengths; then it parses, encodes again and compares. That refuses duplicate keys, unsorted maps, long integers,
//! indefinite lengths and trailing bytes at once.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_cbor::Value;

use crate::digest::Digest;

/// How deep arrays and maps may nest when read. Our own documents need 5. Lowering it below that makes stored documents unreadable; `serde_cbor`
/// itself gives up at 128.
pub const DEPTH_LIMIT: usize = 32;

/// How many items a document may have when read. Each costs about 64 bytes of memory while it is parsed, so that a hostile document costs at most
/// 32 MiB more than its length. A lock of 10,000 packages has 250,000.
pub const ITEM_LIMIT: usize = 1 << 19;

/// Bytes that are not canonical CBOR of the expected shape.
#[derive(Debug, thiserror::Error)]
pub enum CborError {
    /// Longer than the caller allows.
    #[error("the document is {found} bytes long, more than {limit}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
        /// The largest allowed length.
        limit: usize,
    },
    /// Arrays and maps nest too deeply.
    #[error("the document nests deeper than {DEPTH_LIMIT} levels")]
    TooDeep,
    /// Too many items.
    #[error("the document has more than {ITEM_LIMIT} items")]
    TooManyItems,
    /// Not CBOR at all, or a part of CBOR that documents do not use (tags, indefinite lengths).
    #[error("the document is malformed at byte {offset}")]
    Malformed {
        /// Where.
        offset: usize,
    },
    /// Well-formed, but not the one encoding that its value has.
    #[error("the document is not in canonical form")]
    NotCanonical,
    /// The value cannot be encoded, or the document has other fields than expected.
    #[error("the document does not have the expected shape")]
    Shape(#[source] serde_cbor::Error),
}

/// The canonical encoding of `value`.
///
/// # Errors
/// A value that CBOR cannot hold, such as an integer beyond 64 bits.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CborError> {
    let value = serde_cbor::value::to_value(value).map_err(CborError::Shape)?;
    serde_cbor::to_vec(&value).map_err(CborError::Shape)
}

/// Reads a canonical encoding of at most `limit` bytes.
///
/// # Errors
/// Everything that [`encode`] would not have written.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CborError> {
    if bytes.len() > limit {
        return Err(CborError::TooLong { found: bytes.len(), limit });
    }
    walk(bytes)?;
    let value: Value = serde_cbor::from_slice(bytes).map_err(CborError::Shape)?;
    if serde_cbor::to_vec(&value).map_err(CborError::Shape)? != bytes {
        return Err(CborError::NotCanonical);
    }
    if !has_text_keys(&value) {
        return Err(CborError::NotCanonical);
    }
    drop(value);
    serde_cbor::from_slice(bytes).map_err(CborError::Shape)
}

/// Reads a canonical encoding of at most `limit` bytes that has every key of `T`: serde would take a key that is missing for a null, and some values (a
/// digest in capitals) for others.
///
/// # Errors
/// Everything that [`encode`] would not have written of a `T`.
pub fn decode_exact<T: DeserializeOwned + Serialize>(bytes: &[u8], limit: usize) -> Result<T, CborError> {
    let value: T = decode(bytes, limit)?;
    if encode(&value)? == bytes { Ok(value) } else { Err(CborError::NotCanonical) }
}

/// Whether every key of every map is a text, as [`encode`] writes them: serde would take a field's name as a byte string or a number, too.
fn has_text_keys(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(has_text_keys),
        Value::Map(entries) => entries.iter().all(|(key, value)| matches!(key, Value::Text(_)) && has_text_keys(value)),
        _ => true,
    }
}

/// Walks over one document without building it: no recursion, no allocation that a length in the input could ask for.
fn walk(bytes: &[u8]) -> Result<(), CborError> {
    let mut open = [0_u64; DEPTH_LIMIT];
    let mut depth = 0;
    let mut items = 0;
    let mut at = 0;
    loop {
        let malformed = CborError::Malformed { offset: at };
        let Some(&first) = bytes.get(at) else { return Err(malformed) };
        items += 1;
        if items > ITEM_LIMIT {
            return Err(CborError::TooManyItems);
        }
        let (major, info) = (first >> 5, first & 31);
        let width = match info {
            0..=23 => 0,
            24..=27 => 1 << (info - 24),
            _ => return Err(malformed),
        };
        let Some(argument) = bytes.get(at + 1..at + 1 + width) else { return Err(malformed) };
        let argument = if width == 0 { u64::from(info) } else { argument.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)) };
        at += 1 + width;
        let rest = (bytes.len() - at) as u64;
        let children = match major {
            2 | 3 if argument <= rest => {
                at += argument as usize;
                0
            }
            4 if argument <= rest => argument,
            // A pair takes at least two bytes.
            5 if argument <= rest / 2 => argument * 2,
            0 | 1 | 7 => 0,
            _ => return Err(malformed),
        };
        if children > 0 {
            *open.get_mut(depth).ok_or(CborError::TooDeep)? = children;
            depth += 1;
            continue;
        }
        while depth > 0 {
            open[depth - 1] -= 1;
            if open[depth - 1] > 0 {
                break;
            }
            depth -= 1;
        }
        if depth == 0 {
            return if at == bytes.len() { Ok(()) } else { Err(CborError::Malformed { offset: at }) };
        }
    }
}

/// A byte string. (Serde's own `Vec<u8>` would be an array of integers.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a byte string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

/// Digests as byte strings of 32 bytes, for `#[serde(with = "…")]`.
pub(crate) mod digest_bytes {
    use super::{Bytes, Deserialize, Deserializer, Digest, Serializer};

    pub(crate) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(digest.as_bytes())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        let bytes: [u8; 32] = bytes.0.try_into().map_err(|_| serde::de::Error::custom("a digest has 32 bytes"))?;
        Ok(Digest::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        Unit,
        Newtype(String),
        Struct { a: u8, b: Option<bool> },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        zebra: u64,
        ant: String,
        list: Vec<Choice>,
        map: BTreeMap<String, i64>,
        real: f64,
    }

    #[test]
    fn sorts_keys_and_round_trips() {
        let sample = Sample {
            zebra: 1 << 40,
            ant: "ä".to_owned(),
            list: vec![Choice::Unit, Choice::Newtype("x".to_owned()), Choice::Struct { a: 1, b: None }],
            map: [("b".to_owned(), -1), ("aa".to_owned(), i64::MIN)].into(),
            real: 0.1,
        };
        let bytes = encode(&sample).unwrap();
        assert_eq!(&bytes[..5], b"\xa5\x63ant", "shorter keys first, then by bytes");
        assert_eq!(decode::<Sample>(&bytes, 1 << 10).unwrap(), sample);
        assert!(matches!(decode::<Sample>(&bytes, 3), Err(CborError::TooLong { .. })));
    }

    /// Vectors from RFC 8949, appendix A.
    #[test]
    fn encodes_as_the_rfc_does() {
        assert_eq!(encode(&1_000_000_u64).unwrap(), [0x1a, 0, 0x0f, 0x42, 0x40]);
        assert_eq!(encode(&-1000_i64).unwrap(), [0x39, 0x03, 0xe7]);
        assert_eq!(encode(&(1_u8, [2_u8, 3], [4_u8, 5])).unwrap(), [0x83, 1, 0x82, 2, 3, 0x82, 4, 5]);
        assert_eq!(encode(&BTreeMap::from([("a", "A"), ("b", "B")])).unwrap(), b"\xa2\x61a\x61A\x61b\x61B");
        assert_eq!(encode(&Bytes(vec![1, 2])).unwrap(), [0x42, 1, 2]);
    }

    #[test]
    fn refuses_every_second_encoding() {
        let cases: [(&str, &[u8]); 13] = [
            ("long integer", &[0x18, 0x01]),
            ("duplicate key", &[0xa2, 0x61, b'a', 1, 0x61, b'a', 1]),
            ("unsorted map", &[0xa2, 0x61, b'b', 1, 0x61, b'a', 1]),
            ("indefinite array", &[0x9f, 1, 0xff]),
            ("indefinite text", &[0x7f, 0x61, b'a', 0xff]),
            ("trailing byte", &[1, 1]),
            ("tag", &[0xc0, 1]),
            ("wide float", &[0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
            ("empty", &[]),
            ("undefined", &[0xf7]),
            ("invalid UTF-8", &[0x61, 0xff]),
            ("a key of bytes", &[0xa1, 0x41, b'a', 1]),
            ("a number as key, deeper", &[0x81, 0xa1, 1, 1]),
        ];
        for (name, bytes) in cases {
            assert!(decode::<Value>(bytes, 100).is_err(), "{name}");
        }
    }

    #[test]
    fn refuses_bombs_before_building_them() {
        let nested = vec![0x81; 100_000];
        assert!(matches!(decode::<Value>(&nested, 1 << 20), Err(CborError::TooDeep)));
        let mut wide = vec![0x9a, 0x00, 0x0f, 0xff, 0xff];
        wide.resize((1 << 20) + 4, 0xf6);
        assert!(matches!(decode::<Value>(&wide, 1 << 21), Err(CborError::TooManyItems)));
        for huge in [[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            assert!(matches!(decode::<Value>(&huge, 100), Err(CborError::Malformed { .. })));
        }
    }

    #[test]
    fn a_key_that_is_missing_is_no_null() {
        let whole = encode(&Choice::Struct { a: 1, b: None }).unwrap();
        let part = b"\xa1\x66struct\xa1\x61a\x01";
        assert_eq!(decode_exact::<Choice>(&whole, 100).unwrap(), decode::<Choice>(part, 100).unwrap());
        assert!(matches!(decode_exact::<Choice>(part, 100), Err(CborError::NotCanonical)));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = decode::<Value>(&bytes, 200) {
                prop_assert_eq!(encode(&value).unwrap(), bytes);
            }
        }

        #[test]
        fn maps_round_trip(map in prop::collection::btree_map(".{0,20}", any::<i64>(), 0..20)) {
            let bytes = encode(&map).unwrap();
            prop_assert_eq!(decode::<BTreeMap<String, i64>>(&bytes, 1 << 16).unwrap(), map);
        }
    }
}
