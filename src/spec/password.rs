//! Passwords: what a spec may write, and what goes into `/etc/shadow`.
//!
//! A plain password lives from the spec's text to [`Written::into_password`] and nowhere else: it is in no message, no `Debug` form, no record.

use sha_crypt::{PasswordHasher, ShaCrypt};

use super::model::Password;
use crate::digest::Digest;

/// The longest plain password in bytes: hashing costs time in the square of the length.
const LIMIT: usize = 512;

/// How a password is hashed (`hash_algo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha512,
    Sha256,
    Yescrypt,
    Bcrypt,
    Md5,
}

impl Algorithm {
    /// The names that specs use.
    pub(super) const NAMES: [(&'static str, Self); 5] =
        [("sha512", Self::Sha512), ("sha256", Self::Sha256), ("yescrypt", Self::Yescrypt), ("bcrypt", Self::Bcrypt), ("md5", Self::Md5)];
}

/// A password as a spec has it.
pub(super) enum Written {
    /// Already in the form of crypt(5).
    Hash(String),
    /// Plain text to be hashed.
    Plain(String, ShaCrypt),
}

/// A password that cannot be used. Never shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PasswordError {
    #[error("looks like a password hash (crypt(5)), but is not a whole one")]
    BrokenHash,
    #[error("is a hash of another kind than hash_algo says")]
    OtherAlgorithm,
    #[error("is plain text, which is hashed with sha512 or sha256 only")]
    CannotHash,
    #[error("would be a password of one character; for an account without a password, leave it empty")]
    MeantToLock,
    #[error("is longer than {LIMIT} bytes")]
    TooLong,
    #[error("has a control character, such as a line's end")]
    ControlCharacter,
}

impl Written {
    /// What `text` is: nothing if empty (a locked password), else a hash or plain text.
    pub(super) fn new(text: &str, algorithm: Option<Algorithm>) -> Result<Option<Self>, PasswordError> {
        if text.is_empty() {
            return Ok(None);
        }
        if matches!(text, "!" | "*" | "!!" | "!*" | "x") {
            return Err(PasswordError::MeantToLock);
        }
        if text.len() > LIMIT {
            return Err(PasswordError::TooLong);
        }
        if text.contains(char::is_control) {
            return Err(PasswordError::ControlCharacter);
        }
        if claims_to_be_hash(text) {
            let found = whole_hash(text).ok_or(PasswordError::BrokenHash)?;
            if algorithm.is_some_and(|algorithm| algorithm != found) {
                return Err(PasswordError::OtherAlgorithm);
            }
            return Ok(Some(Self::Hash(text.to_owned())));
        }
        match algorithm {
            None | Some(Algorithm::Sha512) => Ok(Some(Self::Plain(text.to_owned(), ShaCrypt::SHA512))),
            Some(Algorithm::Sha256) => Ok(Some(Self::Plain(text.to_owned(), ShaCrypt::SHA256))),
            Some(_) => Err(PasswordError::CannotHash),
        }
    }

    /// The field of `/etc/shadow`.
    ///
    /// The salt comes from the names of image and user, so that the same spec gives the same image. It does not come from the password: a fast digest
    /// of the password, open in the salt, would spare a guesser the slow hash.
    pub(super) fn into_password(self, image: &str, user: &str) -> Password {
        match self {
            Self::Hash(hash) => Password(hash),
            Self::Plain(plain, hasher) => {
                // Neither name can have a line's end.
                let seed = Digest::derive("image-composer 2026-11 password salt", format!("{image}\n{user}").as_bytes());
                let salt = &seed.as_bytes()[..12];
                let hash = hasher.hash_password_with_salt(plain.as_bytes(), salt).expect("12 bytes are a salt of 16 characters, which is valid");
                Password(hash.as_str().to_owned())
            }
        }
    }
}

/// Whether it begins like a hash of crypt(5): `$`, a short identifier, `$`.
fn claims_to_be_hash(text: &str) -> bool {
    let mut parts = text.split('$');
    let (before, id, rest) = (parts.next(), parts.next(), parts.next());
    before == Some("") && rest.is_some() && id.is_some_and(|id| (1..=4).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The algorithm of a whole hash (crypt(5), “available hashing methods”).
fn whole_hash(text: &str) -> Option<Algorithm> {
    let base64 = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    let hash = |text: &str, length: usize| text.len() == length && base64(text);
    let parts: Vec<&str> = text.split('$').skip(1).collect();
    // The part between identifier and salt is optional in the SHA family.
    let salted = |parts: &[&str], length: usize| match parts {
        [rounds, salt, last] => {
            let rounds = rounds.strip_prefix("rounds=").is_some_and(|number| number.len() < 10 && number.parse::<u32>().is_ok());
            rounds && salt.len() <= 16 && base64(salt) && hash(last, length)
        }
        [salt, last] => salt.len() <= 16 && base64(salt) && hash(last, length),
        _ => false,
    };
    match parts.as_slice() {
        ["6", rest @ ..] if salted(rest, 86) => Some(Algorithm::Sha512),
        ["5", rest @ ..] if salted(rest, 43) => Some(Algorithm::Sha256),
        ["1", salt, last] if salt.len() <= 8 && base64(salt) && hash(last, 22) => Some(Algorithm::Md5),
        ["2a" | "2b" | "2y", cost, last] if cost.len() == 2 && cost.parse::<u8>().is_ok() && hash(last, 53) => Some(Algorithm::Bcrypt),
        ["y", parameters, salt, last] if !parameters.is_empty() && base64(parameters) && base64(salt) && hash(last, 43) => Some(Algorithm::Yescrypt),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow(text: &str) -> String {
        Written::new(text, None).unwrap().unwrap().into_password("img", "root").0
    }

    #[test]
    fn plain_text_is_hashed_the_same_way_every_time() {
        let hash = shadow("image-composer");
        assert_eq!(hash, shadow("image-composer"));
        assert_eq!(whole_hash(&hash), Some(Algorithm::Sha512));
        let salt = |hash: &str| hash.split('$').nth(3).unwrap().to_owned();
        let other = Written::new("image-composer", None).unwrap().unwrap().into_password("img", "alice").0;
        assert_ne!(salt(&hash), salt(&other), "another user has another salt");
        assert_eq!(salt(&hash), salt(&shadow("other")), "the salt says nothing about the password");
        // `openssl passwd -6 -salt gapjCt7Ysok1iHoN image-composer`, with the default number of rounds said.
        let expected = "oFmq6XIq8n4yBP8VWGWfPReb1gHvF2MLPyHn4cyTJT6E2JM8iq/Of322sUpZBXti13Hd3sdAalaT71Qv9VPK41";
        assert_eq!(hash, format!("$6$rounds=5000$gapjCt7Ysok1iHoN${expected}"));
    }

    #[test]
    fn hashes_are_told_from_plain_text() {
        let sha512 = "$6$rounds=5000$abc$".to_owned() + &"a".repeat(86);
        let yescrypt = "$y$j9T$abcdefgh$".to_owned() + &"a".repeat(43);
        let bcrypt = "$2b$10$".to_owned() + &"a".repeat(53);
        for hash in [&sha512, &sha512.replace("rounds=5000$", ""), &yescrypt, &bcrypt] {
            assert!(matches!(Written::new(hash, None), Ok(Some(Written::Hash(same))) if same == *hash), "{hash}");
        }
        for plain in ["$ecret", "$", "$$", "pa$$word", "a$6$b"] {
            assert!(matches!(Written::new(plain, None), Ok(Some(Written::Plain(..)))), "{plain}");
        }
        assert!(matches!(Written::new("", None), Ok(None)));
        let wrong = |text: &str, algorithm| Written::new(text, algorithm).err();
        for broken in ["$6$abc", "$6$abc$", "$y$", "$9$a$b", &sha512[..100], &(sha512.clone() + ":0"), &yescrypt.replace("j9T", "")] {
            assert_eq!(wrong(broken, None), Some(PasswordError::BrokenHash), "{broken}");
        }
        assert_eq!(wrong(&sha512, Some(Algorithm::Yescrypt)), Some(PasswordError::OtherAlgorithm));
        assert_eq!(wrong("plain", Some(Algorithm::Bcrypt)), Some(PasswordError::CannotHash));
        assert_eq!(wrong("!", None), Some(PasswordError::MeantToLock));
        assert_eq!(wrong("a\nb", None), Some(PasswordError::ControlCharacter));
        assert_eq!(wrong(&"a".repeat(513), None), Some(PasswordError::TooLong));
    }
}
