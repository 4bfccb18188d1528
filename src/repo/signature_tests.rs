//! Each rule, with a signature that breaks only this one.

use pgp::composed::{ArmorOptions, DetachedSignature, KeyType};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Notation, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;

use self::keys::{KEY_BIRTH, KeyOptions, SignOptions, Subkey, TestKey};
use super::*;
use crate::repo::keyring::KeyringError;

#[path = "../../tests/support/keys.rs"]
pub(crate) mod keys;

const TEXT: &str = "Suite: stable\n- dashed\n--- more\n\nCodename: tests\n";
const NOW: u64 = KEY_BIRTH as u64 + 100_000;

fn keyring(key: &TestKey) -> Keyring {
    Keyring::parse("test", &key.public()).unwrap()
}

fn check(key: &TestKey, how: &SignOptions) -> Result<Verified, SignatureError> {
    verify_cleartext(key.sign_cleartext(TEXT, how).as_bytes(), &keyring(key), NOW)
}

fn reason(result: Result<Verified, SignatureError>) -> Reason {
    match result {
        Err(SignatureError::Refused(rejections)) if rejections.len() == 1 => rejections[0].reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_signature_gives_the_signed_text_and_the_signer() {
    let key = TestKey::new(1);
    let verified = check(&key, &SignOptions::default()).unwrap();
    assert_eq!(verified.text, TEXT.as_bytes());
    assert_eq!(verified.signers, [key.fingerprint()]);
    let armored = Keyring::parse("test", key.public_armored().as_bytes()).unwrap();
    let detached = key.sign_detached(TEXT.as_bytes(), &SignOptions::default());
    assert_eq!(verify_detached(TEXT.as_bytes(), detached.as_bytes(), &armored, NOW).unwrap(), verified);
}

#[test]
fn a_changed_text_is_refused() {
    let key = TestKey::new(1);
    let message = key.sign_cleartext(TEXT, &SignOptions::default()).replace("stable", "stab1e");
    assert_eq!(reason(verify_cleartext(message.as_bytes(), &keyring(&key), NOW)), Reason::Mismatch);
    let detached = key.sign_detached(TEXT.as_bytes(), &SignOptions::default());
    assert_eq!(reason(verify_detached(b"other", detached.as_bytes(), &keyring(&key), NOW)), Reason::Mismatch);
}

#[test]
fn text_around_the_frame_is_refused() {
    let key = TestKey::new(1);
    let message = key.sign_cleartext(TEXT, &SignOptions::default());
    for framed in [
        format!("Suite: evil\n{message}"),
        format!("{message}Suite: evil\n"),
        format!("{message}{message}"),
        message.replacen("Hash: SHA512", "Suite: evil\nHash: SHA512", 1),
        message.replacen("\n\nSuite", "\nSuite", 1),
    ] {
        let result = verify_cleartext(framed.as_bytes(), &keyring(&key), NOW);
        assert!(!result.as_ref().is_ok_and(|verified| verified.text != TEXT.as_bytes()), "{framed}\n{result:?}");
        assert!(result.is_err(), "{framed}");
    }
}

#[test]
fn the_text_is_what_was_signed_however_its_lines_end() {
    let key = TestKey::new(1);
    for text in ["", "\n", "b", "- a\n-b\n--\n-----c\n - d", "white\n  space\tb\n\n\n", "\u{e4}\u{1f600}\n"] {
        let message = key.sign_cleartext(text, &SignOptions::default());
        for message in [message.clone(), message.replace('\n', "\r\n"), message.replacen("b\n", "b \t \n", 1)] {
            let verified = verify_cleartext(message.as_bytes(), &keyring(&key), NOW).expect(text);
            assert_eq!(String::from_utf8(verified.text).unwrap(), text, "{message:?}");
            // As the library has it, which reads all of it.
            let (whole, _) = CleartextSignedMessage::from_string(&message).unwrap();
            assert_eq!(whole.signed_text().replace("\r\n", "\n"), text);
            assert_eq!(String::from_utf8(unframed(message.as_bytes()).unwrap().text).unwrap(), text);
        }
    }
}

/// A mirror answers with a file of any length and shape, before anything of it is proven. The library alone takes hours for each of these.
#[test]
fn long_files_of_short_lines_are_read_in_one_pass() {
    let key = TestKey::new(1);
    let (lines, headers) = ("a\n".repeat(1 << 20), "a: \n".repeat(1 << 20));
    let (begin, signature) = ("-----BEGIN PGP SIGNED MESSAGE-----\n", "-----BEGIN PGP SIGNATURE-----\n");
    for message in [
        format!("{begin}Hash: SHA512\n\n{lines}"),
        format!("{begin}{lines}"),
        format!("{begin}{headers}"),
        format!("{begin}Hash: SHA512\n{lines}\n{lines}"),
        format!("{begin}\nx\n{signature}{headers}"),
        format!("{begin}\nx\n{signature}{}", &headers[..ARMOR_LIMIT / 2]),
        format!("{begin}\nx\n{}", signature.repeat(100_000)),
    ] {
        assert!(matches!(verify_cleartext(message.as_bytes(), &keyring(&key), NOW), Err(SignatureError::Malformed(_))), "{}", &message[..80]);
    }
    for detached in [format!("{signature}{}", &headers[..ARMOR_LIMIT / 2]), format!("{signature}{headers}"), lines.clone()] {
        assert!(verify_detached(b"x", detached.as_bytes(), &keyring(&key), NOW).is_err());
    }
    let message = key.sign_cleartext(&lines, &SignOptions::default());
    assert_eq!(verify_cleartext(message.as_bytes(), &keyring(&key), NOW).unwrap().text.len(), lines.len());
    let commented = message.replacen(signature, &format!("{signature}Version: GnuPG v2\nComment: a\n"), 1);
    assert_eq!(verify_cleartext(commented.as_bytes(), &keyring(&key), NOW).unwrap().text.len(), lines.len());
}

#[test]
fn a_missing_signature_is_refused() {
    let ring = keyring(&TestKey::new(1));
    let unsigned = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSuite: stable\n";
    assert!(matches!(verify_cleartext(TEXT.as_bytes(), &ring, NOW), Err(SignatureError::Unsigned)));
    assert!(matches!(verify_cleartext(unsigned.as_bytes(), &ring, NOW), Err(SignatureError::Malformed(_))));
    assert!(matches!(verify_detached(TEXT.as_bytes(), b"", &ring, NOW), Err(SignatureError::Unsigned)));
    assert!(verify_detached(TEXT.as_bytes(), b"nonsense", &ring, NOW).is_err());
    assert!(verify_detached(TEXT.as_bytes(), &[0xff, 0xff, 0xff], &ring, NOW).is_err());
}

#[test]
fn an_unknown_key_is_refused_by_its_name() {
    let (known, stranger) = (TestKey::new(1), TestKey::new(2));
    let message = stranger.sign_cleartext(TEXT, &SignOptions::default());
    let error = verify_cleartext(message.as_bytes(), &keyring(&known), NOW).unwrap_err();
    assert_eq!(error.to_string(), format!("no signature is accepted: {}: unknown key", stranger.fingerprint()));
    assert!(error.hint().unwrap().contains("keyring"));
}

#[test]
fn one_good_signature_among_others_is_enough() {
    let (known, stranger) = (TestKey::new(1), TestKey::new(2));
    let how = SignOptions::default();
    let message = TestKey::sign_cleartext_together(&[(&stranger, &how), (&known, &how)], TEXT);
    assert_eq!(verify_cleartext(message.as_bytes(), &keyring(&known), NOW).unwrap().signers, [known.fingerprint()]);
}

#[test]
fn weak_digests_are_refused() {
    // Only RSA signs whatever digest it is given.
    let key = TestKey::with(KeyOptions { kind: KeyType::Rsa(2048), ..KeyOptions::default() });
    assert!(check(&key, &SignOptions::default()).is_ok());
    for (digest, name) in [(HashAlgorithm::Sha1, "SHA1"), (HashAlgorithm::Md5, "MD5"), (HashAlgorithm::Ripemd160, "RIPEMD160")] {
        assert_eq!(reason(check(&key, &SignOptions { digest, ..SignOptions::default() })), Reason::WeakDigest(name.to_owned()));
    }
    let sha1_bound = TestKey::with(KeyOptions { kind: KeyType::Rsa(2048), digest: HashAlgorithm::Sha1, ..KeyOptions::default() });
    assert_eq!(reason(check(&sha1_bound, &SignOptions::default())), Reason::Key(Flaw::Unbound));
}

#[test]
fn weak_keys_are_refused() {
    let key = TestKey::with(KeyOptions { kind: KeyType::Rsa(1024), ..KeyOptions::default() });
    assert_eq!(reason(check(&key, &SignOptions::default())), Reason::Key(Flaw::Weak));
}

#[test]
fn signatures_have_their_time() {
    let key = TestKey::new(1);
    let now = NOW as u32;
    for (created, expires_after, expected) in [
        (now, None, None),
        (now + 500, None, None),
        (now + 3600, None, Some(Reason::FromTheFuture(NOW + 3600))),
        (KEY_BIRTH - 1, None, Some(Reason::OlderThanKey)),
        (now - 100, Some(101), None),
        (now - 100, Some(100), Some(Reason::Expired(NOW))),
    ] {
        let result = check(&key, &SignOptions { created, expires_after, ..SignOptions::default() });
        match expected {
            None => assert!(result.is_ok(), "{created} {expires_after:?}: {result:?}"),
            Some(expected) => assert_eq!(reason(result), expected),
        }
    }
}

#[test]
fn keys_have_their_time() {
    let key = TestKey::with(KeyOptions { expires_after: Some(5000), ..KeyOptions::default() });
    let at = |created| check(&key, &SignOptions { created, ..SignOptions::default() });
    assert!(at(KEY_BIRTH + 4999).is_ok(), "what was signed in time stays signed");
    assert_eq!(reason(at(KEY_BIRTH + 5000)), Reason::KeyExpired(u64::from(KEY_BIRTH) + 5000));

    let both = |primary, subkey| {
        let options = KeyOptions { expires_after: primary, subkey: Some(Subkey::Good(subkey)), ..KeyOptions::default() };
        check(&TestKey::with(options), &SignOptions { created: KEY_BIRTH + 1000, ..SignOptions::default() })
    };
    assert!(both(Some(2000), Some(2000)).is_ok());
    assert_eq!(reason(both(Some(2000), Some(900))), Reason::KeyExpired(u64::from(KEY_BIRTH) + 900));
    assert_eq!(reason(both(Some(900), None)), Reason::KeyExpired(u64::from(KEY_BIRTH) + 900));
}

#[test]
fn revoked_and_unbound_keys_sign_nothing() {
    let flaw = |options: KeyOptions| match reason(check(&TestKey::with(options), &SignOptions::default())) {
        Reason::Key(flaw) => flaw,
        other => panic!("{other:?}"),
    };
    let with_subkey = |subkey| KeyOptions { subkey: Some(subkey), ..KeyOptions::default() };
    assert!(check(&TestKey::with(with_subkey(Subkey::Good(None))), &SignOptions::default()).is_ok());
    assert_eq!(flaw(KeyOptions { revoked: true, ..KeyOptions::default() }), Flaw::Revoked);
    assert_eq!(flaw(KeyOptions { revoked: true, ..with_subkey(Subkey::Good(None)) }), Flaw::Revoked);
    assert_eq!(flaw(with_subkey(Subkey::Revoked)), Flaw::Revoked);
    assert_eq!(flaw(with_subkey(Subkey::NotSignedBack)), Flaw::NoBackSignature);
    assert_eq!(flaw(with_subkey(Subkey::NotForSigning)), Flaw::Purpose);
    assert_eq!(flaw(with_subkey(Subkey::Foreign)), Flaw::Unbound);
}

#[test]
fn what_a_signature_demands_and_we_do_not_know_refuses_it() {
    let key = TestKey::new(1);
    let notation = Notation { readable: true, name: "demand@example.org".into(), value: "yes".into() };
    let with = |subpacket| check(&key, &SignOptions { more: vec![subpacket], ..SignOptions::default() });
    assert_eq!(reason(with(Subpacket::critical(SubpacketData::Notation(notation.clone())).unwrap())), Reason::Demand);
    assert!(with(Subpacket::regular(SubpacketData::Notation(notation)).unwrap()).is_ok());
}

#[test]
fn a_signature_without_a_time_is_refused() {
    let key = TestKey::new(1);
    let undated = key.sign_undated(TEXT.as_bytes()).to_bytes().unwrap();
    assert_eq!(reason(verify_detached(TEXT.as_bytes(), &undated, &keyring(&key), NOW)), Reason::Undated);
}

#[test]
fn signatures_of_version_3_follow_the_same_rules() {
    let key = TestKey::with(KeyOptions { kind: KeyType::Rsa(2048), expires_after: Some(5000), ..KeyOptions::default() });
    let text = b"of one line";
    let sign = |kind, how: &SignOptions| key.sign_version_3(text, kind, how).to_bytes().unwrap();
    let check = |text: &[u8], signature: &[u8]| verify_detached(text, signature, &keyring(&key), NOW);
    let how = SignOptions { digest: HashAlgorithm::Sha256, ..SignOptions::default() };

    let good = sign(SignatureType::Binary, &how);
    assert_eq!(check(text, &good).unwrap(), Verified { text: text.to_vec(), signers: vec![key.fingerprint()] });
    assert_eq!(reason(check(b"of another", &good)), Reason::Mismatch);
    assert_eq!(reason(verify_detached(text, &good, &keyring(&TestKey::new(2)), NOW)), Reason::UnknownKey);
    assert_eq!(reason(check(text, &sign(SignatureType::Text, &how))), Reason::Kind);
    for digest in [HashAlgorithm::Sha1, HashAlgorithm::Md5, HashAlgorithm::Ripemd160] {
        let weak = sign(SignatureType::Binary, &SignOptions { digest, ..how.clone() });
        assert_eq!(reason(check(text, &weak)), Reason::WeakDigest(digest.to_string()));
    }
    for (created, expected) in [
        (KEY_BIRTH - 1, Reason::OlderThanKey),
        (KEY_BIRTH + 5000, Reason::KeyExpired(u64::from(KEY_BIRTH) + 5000)),
        (NOW as u32 + 3600, Reason::FromTheFuture(NOW + 3600)),
    ] {
        assert_eq!(reason(check(text, &sign(SignatureType::Binary, &SignOptions { created, ..how.clone() }))), expected);
    }

    // After the head of the packet: its version, the five of the bytes that follow and are signed, the type, the time.
    assert_eq!(good[3..6], [3, 5, 0]);
    let changed = |at: usize, byte: u8| [&good[..at], &[byte], &good[at + 1..]].concat();
    assert_eq!(reason(check(text, &changed(9, good[9] ^ 1))), Reason::Mismatch, "the time is signed");
    // Version 2 hashes the same, and is not accepted.
    assert_eq!(reason(check(text, &changed(3, 2))), Reason::Kind);
}

#[test]
fn a_signature_of_version_3_in_a_frame_is_as_good() {
    let key = TestKey::new(1);
    let framed = |kind| {
        let sign = |text: &str| Ok(vec![key.sign_version_3(text.as_bytes(), kind, &SignOptions::default()).signature]);
        let message = CleartextSignedMessage::new_many(TEXT, sign).unwrap().to_armored_string(ArmorOptions::default()).unwrap();
        verify_cleartext(message.as_bytes(), &keyring(&key), NOW)
    };
    assert_eq!(framed(SignatureType::Binary).unwrap().text, TEXT.as_bytes());
    assert_eq!(reason(framed(SignatureType::Text)), Reason::Kind);
}

#[test]
fn signatures_over_something_else_prove_nothing() {
    let key = TestKey::new(1);
    let certification = PacketParser::new(key.public().as_slice()).find_map(|packet| match packet.unwrap() {
        Packet::Signature(signature) => Some(DetachedSignature::new(signature).to_bytes().unwrap()),
        _ => None,
    });
    assert_eq!(reason(verify_detached(TEXT.as_bytes(), &certification.unwrap(), &keyring(&key), NOW)), Reason::Kind);
}

#[test]
fn keyrings_of_every_shape_are_read() {
    let (one, two) = (TestKey::new(1), TestKey::new(2));
    let mut expected = [one.fingerprint(), two.fingerprint()];
    expected.sort();
    let binary = [one.public(), two.public()].concat();
    let armored = format!("a comment\n\n{}\n{}", one.public_armored(), two.public_armored());
    // GnuPG writes trust packets (tag 12) between the others into its own files.
    let mut with_trust = one.public();
    with_trust.extend_from_slice(&[0xb0, 0x02, 0x00, 0x00]);
    with_trust.extend_from_slice(&two.public());
    for bytes in [binary, armored.into_bytes(), with_trust] {
        assert_eq!(Keyring::parse("test", &bytes).unwrap().fingerprints(), expected);
    }
    let mut together = keyring(&one);
    together.extend(keyring(&two));
    assert_eq!(together.fingerprints(), expected);
}

#[test]
fn what_is_no_keyring_is_refused() {
    for bytes in
        [&b""[..], b"nonsense", b"\x00\x00\x00\x20\x01\x01\x00\x02KBXf", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n".as_bytes(), &[0xff; 100]]
    {
        assert!(Keyring::parse("test", bytes).is_err(), "{bytes:?}");
    }
    let missing = Keyring::read(std::path::Path::new("/nonexistent/keyring.gpg")).unwrap_err();
    assert!(matches!(missing, KeyringError::Read { .. }) && missing.to_string().contains("/nonexistent/keyring.gpg"));
}
