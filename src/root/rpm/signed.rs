//! What the signatures of a package are over.
//!
//! A package is signed by its header alone, which promises the digest of the payload: what it says is proven before a byte is decompressed. The older kind of
//! signature, over header and payload together, is not looked at: whatever is signed so since 2003 (rpm 4.1) is signed by its header, too.

use std::io::Read;

use super::header::Tag;
use super::package::Rpm;
use crate::root::Error;
use crate::root::archive::Origin;

/// The most signatures that are looked at. Distributions make one or two.
const SIGNATURES_LIMIT: usize = 16;

/// The header of a package, and what was signed with it.
#[derive(Debug)]
pub struct Signed {
    /// The bytes that are signed.
    pub header: Vec<u8>,
    /// OpenPGP signatures, binary or armored. Nobody has looked at them yet.
    pub signatures: Vec<Vec<u8>>,
    /// Whether the header has SHA-2 digests of all that is in the payload: else a signature says nothing of it.
    pub covers_payload: bool,
}

impl Signed {
    /// Reads the beginning of a package of `len` bytes; `package` names it in errors.
    ///
    /// # Errors
    /// What cannot be read, and what is no package.
    pub fn read(package: &str, input: impl Read, len: u64) -> Result<Self, Error> {
        let origin = Origin::named(package);
        let rpm = Rpm::read(origin.clone(), input, len)?;
        let damaged = |source: std::io::Error| origin.bad(source.to_string());
        let binary = [Tag::RSA_HEADER, Tag::DSA_HEADER].map(|tag| rpm.signature.bytes(tag));
        let mut signatures = Vec::new();
        for signature in binary {
            signatures.extend(signature.map_err(damaged)?.map(<[u8]>::to_owned));
        }
        // rpm 6 has a list of them, in base64: armor without its frame.
        let armored = rpm.signature.texts(Tag::OPENPGP).map_err(damaged)?;
        signatures
            .extend(armored.into_iter().map(|text| format!("-----BEGIN PGP SIGNATURE-----\n\n{text}\n-----END PGP SIGNATURE-----\n").into_bytes()));
        signatures.truncate(SIGNATURES_LIMIT);
        let covers_payload = rpm.payload_digest()?.is_some() || rpm.is_comparable();
        Ok(Self { header: rpm.header.to_bytes(), signatures, covers_payload })
    }
}
