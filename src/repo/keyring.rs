//! Keyrings: the keys that a repository may sign with, and what each of them is worth.
//!
//! The OpenPGP library reads packets and checks single signatures; whether a key may sign at all is decided here, once, when it is first met:
//! a primary key needs a self-signature, a subkey needs a binding that it has signed back, neither may be revoked, weak or meant for something else.
//! Keys that fail stay in the keyring with the reason, so that a refused signature can say why.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use pgp::armor::Dearmor;
use pgp::composed::{Deserializable as _, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, PublicKey, Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, KeyVersion, PublicParams, Tag};

/// The longest keyring file in bytes. Debian's has 60 kB.
const FILE_LIMIT: u64 = 16 << 20;

/// RSA keys below this many bits sign nothing any more.
const RSA_LIMIT: u16 = 2048;

const ARMOR_BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// The keys that a repository may sign with.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

/// A keyring that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file cannot be read.
    #[error("{}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is longer than 16 MiB.
    #[error("{origin} is too long for a keyring")]
    TooLong {
        /// Where the keys come from.
        origin: String,
    },
    /// The bytes are no OpenPGP keys.
    #[error("{origin} is no OpenPGP keyring")]
    Malformed {
        /// Where the keys come from.
        origin: String,
        /// What the parser says.
        #[source]
        source: Box<pgp::errors::Error>,
    },
    /// There is no public key that this program can use.
    #[error("{origin} holds no public key")]
    Empty {
        /// Where the keys come from.
        origin: String,
    },
}

impl KeyringError {
    /// A way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::TooLong { .. } | Self::Malformed { .. } | Self::Empty { .. } => Some(
                "a keyring is what `gpg --export` (or `gpg --export --armor`) writes: public keys only, not a keybox (.kbx) and not a secret key"
                    .to_owned(),
            ),
        }
    }
}

/// Why a key of a keyring may sign nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Its owner withdrew it; the reason does not matter.
    #[error("the key is revoked")]
    Revoked,
    /// No valid self-signature, or for a subkey no valid binding, of an accepted digest algorithm.
    #[error("nothing accepted binds the key to its owner")]
    Unbound,
    /// A signing subkey that never agreed to belong to its primary key.
    #[error("the subkey has not signed its primary key back")]
    NoBackSignature,
    /// The owner meant it for something else.
    #[error("the key is not meant for signing")]
    Purpose,
    /// DSA, RSA below 2048 bits, or an OpenPGP version before 4.
    #[error("the key is of a kind that is too weak")]
    Weak,
}

/// A primary key or a subkey.
#[derive(Debug, Clone)]
pub(super) struct Key {
    certificate: Arc<SignedPublicKey>,
    /// Which subkey of the certificate; none is the primary key.
    subkey: Option<usize>,
    /// Of the primary key: keys are known by it.
    pub(super) owner: String,
    judgement: OnceLock<Judgement>,
}

/// What a key is worth by its owner's statements.
#[derive(Debug, Clone)]
pub(super) struct Judgement {
    /// Seconds since the epoch: the key is no good from then on. For a subkey the earlier of its own and its primary key's.
    pub(super) expires: Option<u64>,
    /// Why it may sign nothing, if so.
    pub(super) flaw: Option<Flaw>,
}

impl Keyring {
    /// Reads a keyring file, binary or armored.
    ///
    /// # Errors
    /// A file that cannot be read or is no keyring.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let error = |source| KeyringError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)).map_err(error)?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// The keys of both.
    #[must_use]
    pub fn with(mut self, more: Self) -> Self {
        self.keys.extend(more.keys);
        self
    }

    /// Reads the bytes of a keyring, binary or armored (also several armored blocks after each other). `origin` names them in errors.
    ///
    /// # Errors
    /// Bytes that are no keyring, or hold no usable key.
    pub fn parse(origin: &str, bytes: &[u8]) -> Result<Self, KeyringError> {
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(KeyringError::TooLong { origin: origin.to_owned() });
        }
        let malformed = |source| KeyringError::Malformed { origin: origin.to_owned(), source: Box::new(source) };
        let mut keyring = Self::default();
        // Binary packets begin with a set bit, armor is ASCII (RFC 9580 §4.2).
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            keyring.take_packets(bytes).map_err(malformed)?;
        } else {
            let text = String::from_utf8_lossy(bytes);
            for (start, _) in text.match_indices(ARMOR_BEGIN) {
                let mut packets = Vec::new();
                Dearmor::new(text[start..].as_bytes()).read_to_end(&mut packets).map_err(|source| malformed(source.into()))?;
                keyring.take_packets(&packets).map_err(malformed)?;
            }
        }
        if keyring.keys.is_empty() { Err(KeyringError::Empty { origin: origin.to_owned() }) } else { Ok(keyring) }
    }

    /// Adds the keys of another keyring.
    pub fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The fingerprints of the primary keys, sorted.
    pub fn fingerprints(&self) -> Vec<String> {
        let mut all: Vec<String> = self.keys.iter().map(|key| key.owner.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Whether one of these keys is there, by the fingerprint of the primary key, and may sign. Age is no matter: what a key signed when it was valid stays signed.
    pub fn believes(&self, fingerprints: &[String]) -> bool {
        self.keys.iter().any(|key| fingerprints.contains(&key.owner) && key.judgement().flaw.is_none())
    }

    /// The keys that `signature` says it is made by; all of them if it does not say.
    pub(super) fn issuers(&self, signature: &Signature) -> impl Iterator<Item = &Key> {
        let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
        self.keys.iter().filter(move |key| {
            let key = key.details();
            (ids.is_empty() && fingerprints.is_empty())
                || ids.iter().any(|id| **id == key.legacy_key_id())
                || fingerprints.iter().any(|fingerprint| **fingerprint == key.fingerprint())
        })
    }

    fn take_packets(&mut self, bytes: &[u8]) -> Result<(), pgp::errors::Error> {
        // Packets of unknown kinds and versions are skipped, as RFC 9580 §4.3 wants it; trust packets are GnuPG's private notes between the others.
        // An unreadable packet ends nothing either: it can only take away signatures, and a key without them is worth nothing.
        let packets = PacketParser::new(bytes)
            .take(bytes.len())
            .filter(|packet| packet.as_ref().is_ok_and(|packet| !matches!(packet, Packet::Trust(_) | Packet::Marker(_) | Packet::Padding(_))))
            .peekable();
        for certificate in SignedPublicKey::from_packets(packets) {
            let certificate = Arc::new(certificate?);
            let owner = format!("{:X}", certificate.primary_key.fingerprint());
            for subkey in (0..certificate.public_subkeys.len()).map(Some).chain([None]) {
                self.keys.push(Key { certificate: Arc::clone(&certificate), subkey, owner: owner.clone(), judgement: OnceLock::new() });
            }
        }
        Ok(())
    }
}

impl Key {
    /// Checks a signature over `text`, and nothing else about it.
    pub(super) fn verify(&self, signature: &Signature, text: &[u8]) -> Result<(), pgp::errors::Error> {
        match self.subkey {
            None => signature.verify(&self.certificate.primary_key, text),
            Some(number) => signature.verify(&self.certificate.public_subkeys[number].key, text),
        }
    }

    /// When it was made, in seconds since the epoch.
    pub(super) fn created(&self) -> u64 {
        u64::from(self.details().created_at().as_secs())
    }

    /// What it is worth. That takes a check of each signature of its owner, so it is found out for keys that are used alone: Debian's keyring has fifty.
    pub(super) fn judgement(&self) -> &Judgement {
        self.judgement.get_or_init(|| {
            let own = judge_primary(&self.certificate);
            let Some(number) = self.subkey else { return own };
            let bound = judge_subkey(&self.certificate.primary_key, &self.certificate.public_subkeys[number]);
            Judgement {
                expires: [bound.expires, own.expires].into_iter().flatten().min(),
                // That the primary key does not sign files itself is no flaw of its subkeys.
                flaw: own.flaw.filter(|flaw| *flaw != Flaw::Purpose).or(bound.flaw),
            }
        })
    }

    fn details(&self) -> &dyn KeyDetails {
        match self.subkey {
            None => &self.certificate.primary_key,
            Some(number) => &self.certificate.public_subkeys[number].key,
        }
    }
}

/// Whether a signature may rest on this digest: MD5, SHA-1 and RIPEMD-160 can be made to collide, or soon will.
pub(super) fn is_accepted(hash: Option<HashAlgorithm>) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha224, Sha256, Sha384, Sha512};
    matches!(hash, Some(Sha224 | Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512))
}

/// When a signature was made, in seconds since the epoch.
pub(super) fn created(signature: &Signature) -> Option<u64> {
    signature.created().map(|time| u64::from(time.as_secs()))
}

impl Judgement {
    fn flawed(flaw: Flaw) -> Self {
        Self { expires: None, flaw: Some(flaw) }
    }

    /// What the newest valid statement of the owner says about `key`.
    fn of(key: &impl KeyDetails, statement: &Signature) -> Self {
        let expires = statement
            .key_expiration_time()
            .map(|after| u64::from(after.as_secs()))
            .filter(|after| *after > 0)
            .map(|after| u64::from(key.created_at().as_secs()) + after);
        Self { expires, flaw: is_weak(key).then_some(Flaw::Weak) }
    }
}

fn judge_primary(certificate: &SignedPublicKey) -> Judgement {
    let primary = &certificate.primary_key;
    // Revocations count whatever digest they rest on.
    if certificate.details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Judgement::flawed(Flaw::Revoked);
    }
    let direct = certificate.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok()).collect::<Vec<_>>();
    let direct = newest(&direct).filter(|signature| signature.typ() == Some(SignatureType::Key));
    let users = certificate.details.users.iter().filter_map(|user| {
        let own = user.signatures.iter().filter(|signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok());
        newest(&own.collect::<Vec<_>>()).filter(|signature| signature.typ() != Some(SignatureType::CertRevocation))
    });
    let statements: Vec<&Signature> = direct.into_iter().chain(users).collect();
    let Some(statement) = newest(&statements) else { return Judgement::flawed(Flaw::Unbound) };
    let mut judgement = Judgement::of(primary, statement);
    // Old keys say nothing about their purpose; they are for everything.
    if flags_allow_signing(statement) == Some(false) {
        judgement.flaw.get_or_insert(Flaw::Purpose);
    }
    judgement
}

fn judge_subkey(primary: &PublicKey, subkey: &SignedPublicSubKey) -> Judgement {
    let valid: Vec<&Signature> = subkey.signatures.iter().filter(|signature| signature.verify_subkey_binding(primary, &subkey.key).is_ok()).collect();
    if valid.iter().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Judgement::flawed(Flaw::Revoked);
    }
    let Some(binding) = newest(&valid) else { return Judgement::flawed(Flaw::Unbound) };
    if flags_allow_signing(binding) != Some(true) {
        return Judgement::flawed(Flaw::Purpose);
    }
    let signed_back = binding.embedded_signature().is_some_and(|back| {
        back.typ() == Some(SignatureType::KeyBinding) && is_accepted(back.hash_alg()) && back.verify_primary_key_binding(&subkey.key, primary).is_ok()
    });
    if signed_back { Judgement::of(&subkey.key, binding) } else { Judgement::flawed(Flaw::NoBackSignature) }
}

/// The newest of an owner's valid statements; of two of the same second the withdrawal, then the later one in the file. Statements with digests
/// that are not accepted are none, unless they withdraw something.
fn newest<'a>(statements: &[&'a Signature]) -> Option<&'a Signature> {
    let withdraws = |signature: &Signature| signature.typ() == Some(SignatureType::CertRevocation);
    statements
        .iter()
        .filter(|signature| withdraws(signature) || is_accepted(signature.hash_alg()))
        .filter(|signature| created(signature).is_some())
        .max_by_key(|signature| (created(signature), withdraws(signature)))
        .copied()
}

/// Whether the key flags include signing; none if there are no flags.
fn flags_allow_signing(statement: &Signature) -> Option<bool> {
    let config = statement.config()?;
    config.hashed_subpackets().find_map(|subpacket| match &subpacket.data {
        SubpacketData::KeyFlags(flags) => Some(flags.sign()),
        _ => None,
    })
}

fn is_weak(key: &impl KeyDetails) -> bool {
    if !matches!(key.version(), KeyVersion::V4 | KeyVersion::V6) {
        return true;
    }
    match key.public_params() {
        // The modulus comes first, as an MPI: two bytes say its length in bits (RFC 9580 §3.2).
        PublicParams::RSA(rsa) => {
            rsa.to_bytes().ok().and_then(|bytes| bytes.first_chunk().copied()).is_none_or(|bits| u16::from_be_bytes(bits) < RSA_LIMIT)
        }
        PublicParams::ECDSA(_) | PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) => false,
        _ => true,
    }
}
