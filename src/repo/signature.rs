//! OpenPGP signatures over repository metadata.
//!
//! The rule: at least one good signature by a key of the keyring. Good means that the signature holds over exactly the text that is returned, was
//! made with an accepted digest algorithm, has not expired and is not from the future, and that its key was valid when it was made and may sign
//! (`keyring.rs`). Signatures by keys that the keyring does not have are ignored, as long as there is a good one: archives sign with several keys.
//! Signatures of version 3 are held to the same, wherever they stand: many RPM packages have no other. `gpgv` and rpm accept them, too.

use std::io;

use pgp::armor::Dearmor;
use pgp::composed::CleartextSignedMessage;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType, SignatureVersion, SubpacketData};

use super::keyring::{Flaw, Judgement, Key, Keyring, created, is_accepted};
use super::utc;

/// How far a clock may be behind the signer's, in seconds.
const CLOCK_TOLERANCE: u64 = 600;

/// The most signatures that are looked at. Debian's releases carry three.
const SIGNATURES_LIMIT: usize = 32;

/// The longest head of a framed text in bytes: its first line, and the names of digest algorithms.
const FRAME_HEAD_LIMIT: usize = 4096;

/// The longest armored block of signatures in bytes. Debian's, of three, have 3,000.
const ARMOR_LIMIT: usize = 256 << 10;

const CLEARTEXT_BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";

/// A text that was signed as the rule wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Exactly what was signed, with `\n` at the ends of lines; never what stands around it.
    pub text: Vec<u8>,
    /// The fingerprints of the primary keys that made good signatures, in upper-case hexadecimal, sorted.
    pub signers: Vec<String>,
}

/// A text whose signatures do not prove it.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("there is no signature")]
    Unsigned,
    /// The signature, or the frame of a signed text, cannot be read.
    #[error("the signature cannot be read")]
    Malformed(#[source] Box<pgp::errors::Error>),
    /// No signature is good.
    #[error("no signature is accepted: {}", join(.0))]
    Refused(Vec<Rejection>),
}

/// One signature that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The id or fingerprint of the key that the signature names, in upper-case hexadecimal; empty if it names none.
    pub key: String,
    /// Why.
    pub reason: Reason,
}

/// Why a signature is not accepted. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The keyring does not have the key.
    #[error("unknown key")]
    UnknownKey,
    /// The signature does not belong to the text: one of the two was changed.
    #[error("the text does not match the signature")]
    Mismatch,
    /// It rests on a digest algorithm that can be made to collide.
    #[error("it rests on {0}, which is too weak")]
    WeakDigest(String),
    /// Its type, in its version, is not one that this program accepts for files.
    #[error("it is of a type or version that is not accepted")]
    Kind,
    /// It demands what this program does not know.
    #[error("it demands what this program does not know")]
    Demand,
    /// It has no time.
    #[error("it does not say when it was made")]
    Undated,
    /// It was made after now.
    #[error("it is from the future ({})", utc(*.0))]
    FromTheFuture(u64),
    /// It was good until then.
    #[error("it expired on {}", utc(*.0))]
    Expired(u64),
    /// It was made when its key had expired.
    #[error("its key expired on {}", utc(*.0))]
    KeyExpired(u64),
    /// It was made before its key.
    #[error("it is older than its key")]
    OlderThanKey,
    /// Its key may sign nothing.
    #[error(transparent)]
    Key(#[from] Flaw),
}

impl SignatureError {
    /// A way out.
    pub fn hint(&self) -> Option<String> {
        let Self::Refused(rejections) = self else { return None };
        let is = |wanted: fn(&Reason) -> bool| rejections.iter().any(|rejection| wanted(&rejection.reason));
        // The likeliest cause first.
        if is(|reason| matches!(reason, Reason::Mismatch)) {
            Some("the mirror, or something on the way to it, changed the file: try another mirror".to_owned())
        } else if is(|reason| matches!(reason, Reason::FromTheFuture(_))) {
            Some("check this machine's clock".to_owned())
        } else if is(|reason| matches!(reason, Reason::KeyExpired(_) | Reason::Key(_))) {
            Some("update the keyring".to_owned())
        } else if rejections.iter().all(|rejection| rejection.reason == Reason::UnknownKey) {
            Some("if the repository is the right one, give the keyring that has one of these keys".to_owned())
        } else {
            None
        }
    }
}

/// Checks a text with the signature in its frame (`InRelease`), as of `now` (seconds since the epoch).
///
/// # Errors
/// A text that is not framed by exactly one signature block, or that no key of the keyring has signed as the rule wants it.
pub fn verify_cleartext(message: &[u8], keyring: &Keyring, now: u64) -> Result<Verified, SignatureError> {
    if !message.trim_ascii_start().starts_with(CLEARTEXT_BEGIN) {
        return Err(SignatureError::Unsigned);
    }
    // What is hashed is what we go on with, so that nothing unsigned can come along.
    let Framed { signed, frame } = Framed::read(message)?;
    let signers = judge(frame.signatures(), &signed, keyring, now)?;
    Ok(Verified { text: with_bare_line_ends(&signed), signers })
}

/// A text in the frame of its signatures (RFC 9580 §7).
struct Framed {
    /// As the signatures cover it: without the escapes of dashes and white space at the ends of lines, and with `\r\n` between them.
    signed: Vec<u8>,
    /// The frame, around nothing.
    frame: CleartextSignedMessage,
}

impl Framed {
    /// Takes a message apart.
    ///
    /// The frame is read by the library, and the text in it here: the library looks through the whole text again after each line of it, which of a text of a
    /// few megabytes, before anything of it is proven, takes hours.
    fn read(message: &[u8]) -> Result<Self, SignatureError> {
        let mut lines = message.trim_ascii_start().split_inclusive(|byte| *byte == b'\n');
        let mut frame = Vec::new();
        for line in lines.by_ref() {
            frame.extend_from_slice(line);
            if line.trim_ascii().is_empty() || frame.len() > FRAME_HEAD_LIMIT {
                break;
            }
        }
        let (mut signed, mut signatures): (Option<Vec<u8>>, _) = (None, Vec::new());
        for line in lines.by_ref() {
            if line.starts_with(b"-----") {
                signatures.extend_from_slice(line);
                break;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = line.strip_prefix(b"- ").unwrap_or(line);
            let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
            match &mut signed {
                Some(signed) => signed.extend_from_slice(b"\r\n"),
                None => signed = Some(Vec::with_capacity(message.len())),
            }
            signed.get_or_insert_default().extend_from_slice(&line[..end]);
        }
        for line in lines {
            signatures.extend_from_slice(line);
        }
        frame.extend_from_slice(&without_headers(&signatures)?);
        let (frame, _) = CleartextSignedMessage::from_armor_buf(&frame[..], pgp::armor::DearmorOptions::new()).map_err(malformed)?;
        if !frame.text().is_empty() {
            return Err(malformed(io::Error::other("its head has lines that belong to no head").into()));
        }
        Ok(Self { signed: signed.unwrap_or_default(), frame })
    }
}

/// An armored block without the headers (RFC 9580 §6.2) after its first line, which say nothing that counts: the library looks through all that follows
/// each of them.
fn without_headers(armored: &[u8]) -> Result<Vec<u8>, SignatureError> {
    if armored.len() > ARMOR_LIMIT {
        return Err(malformed(io::Error::other(format!("it has more than {ARMOR_LIMIT} bytes")).into()));
    }
    let mut lines = armored.split_inclusive(|byte| *byte == b'\n').skip_while(|line| !line.starts_with(b"-----BEGIN "));
    let first = lines.next().unwrap_or_default();
    let rest = lines.skip_while(|line| line.contains(&b':'));
    Ok(std::iter::once(first).chain(rest).collect::<Vec<_>>().concat())
}

/// The same text with `\n` at the ends of lines.
fn with_bare_line_ends(text: &[u8]) -> Vec<u8> {
    let mut bare = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                bare.extend_from_slice(line);
                bare.push(b'\n');
            }
            None => bare.extend_from_slice(line),
        }
    }
    bare
}

/// The text of a message that may be framed by a signature, which nobody looks at.
///
/// # Errors
/// A frame that cannot be read.
pub(super) fn unframed(message: &[u8]) -> Result<Verified, SignatureError> {
    let text =
        if message.trim_ascii_start().starts_with(CLEARTEXT_BEGIN) { with_bare_line_ends(&Framed::read(message)?.signed) } else { message.to_vec() };
    Ok(Verified { text, signers: Vec::new() })
}

/// Checks a text with its signature in a file beside it (`Release` and `Release.gpg`), as of `now` (seconds since the epoch).
///
/// # Errors
/// As [`verify_cleartext`].
pub fn verify_detached(text: &[u8], signature: &[u8], keyring: &Keyring, now: u64) -> Result<Verified, SignatureError> {
    if signature.is_empty() {
        return Err(SignatureError::Unsigned);
    }
    let signatures =
        if signature[0] & 0x80 == 0 { read(io::BufReader::new(Dearmor::new(&without_headers(signature)?[..])))? } else { read(signature)? };
    let signers = judge(&signatures, text, keyring, now)?;
    Ok(Verified { text: text.to_vec(), signers })
}

fn read(packets: impl io::BufRead) -> Result<Vec<Signature>, SignatureError> {
    let mut signatures = Vec::new();
    for packet in PacketParser::new(packets).take(SIGNATURES_LIMIT) {
        if let Packet::Signature(signature) = packet.map_err(malformed)? {
            signatures.push(signature);
        }
    }
    Ok(signatures)
}

/// The signers of the good signatures over `text`; never empty.
fn judge(signatures: &[Signature], text: &[u8], keyring: &Keyring, now: u64) -> Result<Vec<String>, SignatureError> {
    let (mut signers, mut rejections) = (Vec::new(), Vec::new());
    for signature in signatures.iter().take(SIGNATURES_LIMIT) {
        match judge_one(signature, text, keyring, now) {
            Ok(key) => signers.push(key.owner.clone()),
            Err(reason) => rejections.push(Rejection { key: named_key(signature), reason }),
        }
    }
    if !signers.is_empty() {
        signers.sort();
        signers.dedup();
        return Ok(signers);
    }
    Err(if rejections.is_empty() { SignatureError::Unsigned } else { SignatureError::Refused(rejections) })
}

fn judge_one<'a>(signature: &Signature, text: &[u8], keyring: &'a Keyring, now: u64) -> Result<&'a Key, Reason> {
    let mut reason = Reason::UnknownKey;
    for key in keyring.issuers(signature) {
        match check(signature, key, text, now) {
            Ok(()) => return Ok(key),
            Err(found) => reason = found,
        }
    }
    Err(reason)
}

fn check(signature: &Signature, key: &Key, text: &[u8], now: u64) -> Result<(), Reason> {
    // Of the other types some are computed over no text at all. What version 3 says of itself is its type and time (RFC 4880 §5.2.2): it cannot expire,
    // nor demand anything. It is there for packages, which are signed as bytes.
    let config = signature.config().ok_or(Reason::Kind)?;
    let signs_files = match config.version() {
        SignatureVersion::V3 => config.typ() == SignatureType::Binary,
        SignatureVersion::V4 | SignatureVersion::V6 => matches!(config.typ(), SignatureType::Binary | SignatureType::Text),
        _ => false,
    };
    if !signs_files {
        return Err(Reason::Kind);
    }
    // “Critical” means: refuse the signature if you do not know this (RFC 9580 §5.2.3.7).
    let unknown = |data: &SubpacketData| matches!(data, SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(_));
    if config.hashed_subpackets().any(|subpacket| subpacket.is_critical && unknown(&subpacket.data)) {
        return Err(Reason::Demand);
    }
    if !is_accepted(Some(config.hash_alg)) {
        return Err(Reason::WeakDigest(config.hash_alg.to_string()));
    }
    key.verify(signature, text).map_err(|_| Reason::Mismatch)?;
    // From here on the signature's own statements are known to be its key's.
    let made = created(signature).ok_or(Reason::Undated)?;
    if made > now.saturating_add(CLOCK_TOLERANCE) {
        return Err(Reason::FromTheFuture(made));
    }
    let lifetime = signature.signature_expiration_time().map(|after| u64::from(after.as_secs())).filter(|after| *after > 0);
    if let Some(expired) = lifetime.map(|after| made + after).filter(|end| *end <= now) {
        return Err(Reason::Expired(expired));
    }
    let Judgement { expires, flaw } = key.judgement();
    if let Some(flaw) = flaw {
        return Err(flaw.clone().into());
    }
    // This also refuses a signature of GnuPG's version 5 that is dressed up as one of version 3: what it hashes ends in a zero and a short length, which
    // then pass for the type and for a time soon after 1970.
    if made < key.created() {
        return Err(Reason::OlderThanKey);
    }
    match expires.filter(|end| *end <= made) {
        Some(expired) => Err(Reason::KeyExpired(expired)),
        None => Ok(()),
    }
}

fn named_key(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    fingerprint.or_else(|| signature.issuer_key_id().first().map(|id| id.to_string().to_ascii_uppercase())).unwrap_or_default()
}

fn malformed(source: pgp::errors::Error) -> SignatureError {
    SignatureError::Malformed(Box::new(source))
}

fn join(rejections: &[Rejection]) -> String {
    let shown = rejections.iter().map(|Rejection { key, reason }| if key.is_empty() { reason.to_string() } else { format!("{key}: {reason}") });
    shown.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[path = "signature_tests.rs"]
pub(crate) mod tests;
