//! Test keys, in every state that a real one can be in. The same seed gives the same key.

use pgp::composed::{ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SignedKeyDetails, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait as _, PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType, Subpacket,
    SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, KeyDetails as _, KeyVersion, PacketHeaderVersion, Password, SigningKey, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// 2020-01-01T00:00:00Z: when test keys are made, unless told otherwise.
pub(crate) const KEY_BIRTH: u32 = 1_577_836_800;

/// What a test key is like.
#[derive(Debug, Clone)]
pub(crate) struct KeyOptions {
    /// Keys of different seeds are different.
    pub(crate) seed: u64,
    /// When it was made, in seconds since the epoch.
    pub(crate) created: u32,
    /// How many seconds later it expires.
    pub(crate) expires_after: Option<u32>,
    /// Whether the primary key is revoked.
    pub(crate) revoked: bool,
    /// The digest of the self-signatures.
    pub(crate) digest: HashAlgorithm,
    /// The kind of the key, for primary and subkey.
    pub(crate) kind: KeyType,
    /// The subkey, if there is one; then it is what signs.
    pub(crate) subkey: Option<Subkey>,
}

/// What the subkey of a test key is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subkey {
    /// A good signing key that expires so many seconds after its making.
    Good(Option<u32>),
    /// Meant for something else.
    NotForSigning,
    /// Has not signed its primary key back.
    NotSignedBack,
    /// Its owner withdrew it.
    Revoked,
    /// Somebody's else key that was put into the certificate: the primary key has not bound it.
    Foreign,
}

impl Default for KeyOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            created: KEY_BIRTH,
            expires_after: None,
            revoked: false,
            digest: HashAlgorithm::Sha512,
            kind: KeyType::Ed25519Legacy,
            subkey: None,
        }
    }
}

/// How a text is signed.
#[derive(Debug, Clone)]
pub(crate) struct SignOptions {
    /// When, in seconds since the epoch.
    pub(crate) created: u32,
    /// How many seconds later the signature expires.
    pub(crate) expires_after: Option<u32>,
    /// Over which digest.
    pub(crate) digest: HashAlgorithm,
    /// Further statements that are signed along.
    pub(crate) more: Vec<Subpacket>,
}

impl Default for SignOptions {
    fn default() -> Self {
        Self { created: KEY_BIRTH + 1000, expires_after: None, digest: HashAlgorithm::Sha512, more: Vec::new() }
    }
}

/// A key pair, perhaps with a subkey.
pub(crate) struct TestKey {
    options: KeyOptions,
    primary: SecretKey,
    subkey: Option<SecretSubkey>,
}

impl TestKey {
    /// A plain key of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(KeyOptions { seed, ..KeyOptions::default() })
    }

    /// A key as told.
    pub(crate) fn with(options: KeyOptions) -> Self {
        let mut rng = StdRng::seed_from_u64(options.seed);
        let created = Timestamp::from_secs(options.created);
        let mut make = || {
            let (public, secret) = options.kind.generate(&mut rng).unwrap();
            (PubKeyInner::new(KeyVersion::V4, options.kind.to_alg(), created, None, public).unwrap(), secret)
        };
        let (public, secret) = make();
        let primary = SecretKey::new(PublicKey::from_inner(public).unwrap(), secret).unwrap();
        let subkey = options.subkey.as_ref().map(|_| {
            let (public, secret) = make();
            SecretSubkey::new(PublicSubkey::from_inner(public).unwrap(), secret).unwrap()
        });
        Self { options, primary, subkey }
    }

    /// The fingerprint of the primary key, in upper-case hexadecimal.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{:X}", self.primary.fingerprint())
    }

    /// The public key as a keyring file, binary.
    pub(crate) fn public(&self) -> Vec<u8> {
        self.certificate().to_bytes().unwrap()
    }

    /// The public key as a keyring file, armored.
    pub(crate) fn public_armored(&self) -> String {
        self.certificate().to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// The text in a signed frame, as an `InRelease` file is.
    pub(crate) fn sign_cleartext(&self, text: &str, how: &SignOptions) -> String {
        let framed = CleartextSignedMessage::new_many(text, |text| Ok(vec![self.signature(text.as_bytes(), how)])).unwrap();
        framed.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// The text in a frame with the signatures of several keys.
    pub(crate) fn sign_cleartext_together(keys: &[(&Self, &SignOptions)], text: &str) -> String {
        let sign = |text: &str| Ok(keys.iter().map(|(key, how)| key.signature(text.as_bytes(), how)).collect());
        CleartextSignedMessage::new_many(text, sign).unwrap().to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// A signature beside the text, armored, as a `Release.gpg` file is.
    pub(crate) fn sign_detached(&self, text: &[u8], how: &SignOptions) -> String {
        DetachedSignature::new(self.signature(text, how)).to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// A signature beside the text that does not say when it was made.
    pub(crate) fn sign_undated(&self, text: &[u8]) -> DetachedSignature {
        let key = &self.primary;
        let finish = |config: SignatureConfig| config.sign(key, &Password::empty(), text);
        DetachedSignature::new(sign(key, SignatureType::Binary, HashAlgorithm::Sha512, Vec::new(), &[], finish))
    }

    /// A signature of version 3 beside the text, by the primary key. Of `how` it has the time and the digest, and room for nothing else.
    pub(crate) fn sign_version_3(&self, text: &[u8], kind: SignatureType, how: &SignOptions) -> DetachedSignature {
        let key = &self.primary;
        // The library writes such packets and signs none: what is hashed is put together here, as RFC 4880 §5.2.2 has it.
        let hashed = [text, &[kind.into()], &how.created.to_be_bytes()].concat();
        let digest = how.digest.digest(&hashed).unwrap();
        let signature = key.sign(&Password::empty(), how.digest, &digest).unwrap();
        let config = SignatureConfig::v3(kind, key.algorithm(), how.digest, Timestamp::from_secs(how.created), key.legacy_key_id());
        DetachedSignature::new(Signature::from_config(config, [digest[0], digest[1]], signature).unwrap())
    }

    fn signature(&self, text: &[u8], how: &SignOptions) -> Signature {
        let mut statements = vec![SubpacketData::SignatureCreationTime(Timestamp::from_secs(how.created))];
        statements.extend(how.expires_after.map(|after| SubpacketData::SignatureExpirationTime(Duration::from_secs(after))));
        if let Some(key) = &self.subkey {
            return sign(key, SignatureType::Text, how.digest, statements, &how.more, |config| config.sign(key, &Password::empty(), text));
        }
        let key = &self.primary;
        sign(key, SignatureType::Text, how.digest, statements, &how.more, |config| config.sign(key, &Password::empty(), text))
    }

    fn certificate(&self) -> SignedPublicKey {
        let options = &self.options;
        let (key, public, nobody) = (&self.primary, self.primary.public_key(), Password::empty());
        let created = SubpacketData::SignatureCreationTime(Timestamp::from_secs(options.created));
        let expiry = |after: Option<u32>| after.map(|after| SubpacketData::KeyExpirationTime(Duration::from_secs(after)));

        let user = UserId::from_str(PacketHeaderVersion::New, "Test <test@example.org>").unwrap();
        let mut statements = vec![created.clone(), SubpacketData::KeyFlags(flags(self.subkey.is_none()))];
        statements.extend(expiry(options.expires_after));
        let certification = sign(key, SignatureType::CertPositive, options.digest, statements, &[], |config| {
            config.sign_certification(key, public, &nobody, user.tag(), &user)
        });
        let revocations = options.revoked.then(|| {
            sign(key, SignatureType::KeyRevocation, options.digest, vec![created.clone()], &[], |config| config.sign_key(key, &nobody, public))
        });

        let subkeys = self.subkey.iter().zip(&options.subkey).map(|(subkey, how)| {
            let mut statements = vec![created.clone(), SubpacketData::KeyFlags(flags(*how != Subkey::NotForSigning))];
            if let Subkey::Good(after) = how {
                statements.extend(expiry(*after));
            }
            if *how != Subkey::NotSignedBack {
                let back = sign(subkey, SignatureType::KeyBinding, options.digest, vec![created.clone()], &[], |config| {
                    config.sign_primary_key_binding(subkey, subkey.public_key(), &nobody, public)
                });
                statements.push(SubpacketData::EmbeddedSignature(Box::new(back)));
            }
            // Who puts a foreign subkey into a certificate can sign the binding only with a key of his own.
            let stranger = Self::new(options.seed + 1_000_000);
            let binder = if *how == Subkey::Foreign { &stranger.primary } else { key };
            let bind = |kind, statements| {
                sign(binder, kind, options.digest, statements, &[], |config| config.sign_subkey_binding(binder, public, &nobody, subkey.public_key()))
            };
            let mut signatures = vec![bind(SignatureType::SubkeyBinding, statements)];
            if *how == Subkey::Revoked {
                signatures.push(bind(SignatureType::SubkeyRevocation, vec![created.clone()]));
            }
            SignedPublicSubKey::new(subkey.public_key().clone(), signatures)
        });
        SignedPublicKey::new(
            public.clone(),
            SignedKeyDetails::new(revocations.into_iter().collect(), Vec::new(), vec![user.into_signed(certification)], Vec::new()),
            subkeys.collect(),
        )
    }
}

fn flags(may_sign: bool) -> KeyFlags {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(may_sign);
    flags
}

fn sign(
    key: &impl SigningKey,
    kind: SignatureType,
    digest: HashAlgorithm,
    statements: Vec<SubpacketData>,
    more: &[Subpacket],
    finish: impl FnOnce(SignatureConfig) -> pgp::errors::Result<Signature>,
) -> Signature {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), digest);
    config.hashed_subpackets = statements.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect();
    config.hashed_subpackets.push(Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap());
    config.hashed_subpackets.extend_from_slice(more);
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id())).unwrap()];
    finish(config).unwrap()
}
