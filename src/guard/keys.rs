//! Keys that verify signatures, each bound to its algorithms when it is read.
//!
//! A key is never used with an algorithm that the token chose: what a token names is only looked
//! up among the pairs of key and algorithm made here. A public key is no secret of HS256, because
//! no such pair exists.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use aws_lc_rs::signature::{self as sign, ParsedPublicKey, RsaParameters, VerificationAlgorithm};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use super::jwk;

/// Keys in one set, and keys tried for a token that names none.
const KEYS_MAX: usize = 100;
const TRIED_MAX: usize = 8;
/// Bytes of a file of keys.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of the shortest SubjectPublicKeyInfo with an RSA key of 2048 bits.
const RSA_2048_BYTES_MIN: usize = 290;

/// Keys with which tokens may be signed.
pub struct KeySet {
    keys: Vec<Key>,
    /// With OpenID discovery: what the issuer calls itself.
    issuer: Option<Arc<str>>,
    /// Another number for every set made, so that what was verified with an old set is forgotten.
    generation: u64,
    /// SHA-256 of the document the set was read from.
    document: [u8; 32],
}

/// A key and the one algorithm it is used with.
pub(super) struct Key {
    pub id: Option<Box<str>>,
    pub algorithm: Algorithm,
    pub check: Check,
}

/// What a signature is checked with.
pub(super) enum Check {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// Where a document of keys comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File,
    /// What is published is no secret, so a secret in it is not used.
    Published,
}

/// Reads a JWK set, a single JWK or PEM public keys. An error says what is wrong with the file,
/// for `check`.
pub fn load_keys(path: &Path, algorithms: &[Algorithm]) -> Result<KeySet, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| format!("cannot be read: {error}"))?
        .len();
    if size > FILE_BYTES_MAX {
        return Err(format!(
            "has {size} bytes, and {FILE_BYTES_MAX} are the most"
        ));
    }
    let document = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    if document.trim_ascii_start().starts_with(b"{") {
        return KeySet::from_jwks(&document, algorithms, Origin::File);
    }
    KeySet::from_pem(&document, algorithms)
}

/// A shared secret as a key set. An error when it is too short for the algorithms (RFC 7518, 3.2),
/// or when one of them is none that a secret can be used with.
pub fn secret_keys(secret: &[u8], algorithms: &[Algorithm]) -> Result<KeySet, String> {
    if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Err("a PEM text is a key pair's half, not a shared secret; use `keys`".to_owned());
    }
    let mut keys = Vec::new();
    for &algorithm in algorithms {
        keys.push(Key {
            id: None,
            algorithm,
            check: Check::secret(secret, algorithm)?,
        });
    }
    KeySet::new(keys, secret)
}

impl KeySet {
    fn new(keys: Vec<Key>, document: &[u8]) -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if keys.is_empty() {
            return Err("holds no key that fits the algorithms".to_owned());
        }
        Ok(Self {
            keys,
            issuer: None,
            generation: NEXT.fetch_add(1, Ordering::Relaxed),
            document: sha256(document),
        })
    }

    /// From a JWK set (RFC 7517, 5) or a single JWK. Keys for other uses or algorithms are passed
    /// over; an error when none is left, or when there are too many.
    pub(super) fn from_jwks(
        document: &[u8],
        algorithms: &[Algorithm],
        origin: Origin,
    ) -> Result<Self, String> {
        let parsed = jwk::parse(document)?;
        if parsed.len() > KEYS_MAX {
            return Err(format!(
                "holds {} keys, and {KEYS_MAX} are the most",
                parsed.len()
            ));
        }
        let mut keys = Vec::new();
        let mut unused = Vec::new();
        for (index, jwk) in parsed.into_iter().enumerate() {
            match jwk.and_then(|jwk| jwk.keys(algorithms, origin)) {
                Ok(usable) => keys.extend(usable),
                Err(reason) => unused.push(format!("key {}: {reason}", index + 1)),
            }
        }
        if keys.is_empty() && !unused.is_empty() {
            return Err(format!(
                "holds no key that fits the algorithms: {}",
                unused.join("; ")
            ));
        }
        Self::new(keys, document)
    }

    /// From PEM public keys (`BEGIN PUBLIC KEY`; RFC 7468, 13).
    fn from_pem(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, String> {
        let mut keys = Vec::new();
        let mut found = 0;
        let mut reason = None;
        for section in SubjectPublicKeyInfoDer::pem_slice_iter(document).take(KEYS_MAX) {
            let key = section.map_err(|error| format!("is not PEM: {error}"))?;
            found += 1;
            for &algorithm in algorithms {
                match Check::public(&key, algorithm) {
                    Ok(check) => keys.push(Key {
                        id: None,
                        algorithm,
                        check,
                    }),
                    Err(error) => reason = Some(format!("for {algorithm:?}: {error}")),
                }
            }
        }
        if found == 0 {
            return Err(what_else(document).to_owned());
        }
        if let (true, Some(reason)) = (keys.is_empty(), reason) {
            return Err(format!("holds no key that fits the algorithms ({reason})"));
        }
        Self::new(keys, document)
    }

    pub(super) fn with_issuer(self, issuer: Arc<str>) -> Self {
        Self {
            issuer: Some(issuer),
            ..self
        }
    }

    pub(super) const fn issuer(&self) -> Option<&Arc<str>> {
        self.issuer.as_ref()
    }

    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether both sets say the same.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.document == other.document && self.issuer == other.issuer
    }

    /// How many pairs of key and algorithm there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys for `algorithm`: those called `id`, or where none is, those without a name; a few of
    /// all of them for a token that names no key.
    pub(super) fn candidates(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> impl Iterator<Item = &Key> {
        let named = id.is_some_and(|id| self.keys.iter().any(|key| key.id.as_deref() == Some(id)));
        self.keys
            .iter()
            .filter(move |key| {
                let fits = match id {
                    Some(id) if named => key.id.as_deref() == Some(id),
                    Some(_) => key.id.is_none(),
                    None => true,
                };
                fits && key.algorithm == algorithm
            })
            .take(TRIED_MAX)
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({} keys)", self.keys.len())
    }
}

impl Check {
    /// A secret for an HS algorithm.
    pub(super) fn secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, String> {
        let (hash, length) = match algorithm {
            Algorithm::HS256 => (hmac::HMAC_SHA256, 32),
            Algorithm::HS384 => (hmac::HMAC_SHA384, 48),
            Algorithm::HS512 => (hmac::HMAC_SHA512, 64),
            other => return Err(format!("{other:?} needs a public key, not a secret")),
        };
        if secret.len() < length {
            return Err(format!(
                "a secret for {algorithm:?} has at least {length} bytes; this one has {}",
                secret.len()
            ));
        }
        Ok(Self::Secret(Box::new(hmac::Key::new(hash, secret))))
    }

    /// A public key as SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), for an algorithm of its type.
    fn public(key: &[u8], algorithm: Algorithm) -> Result<Self, String> {
        if let Some(parameters) = rsa_parameters(algorithm) {
            RsaPublicKey::from_der(key).map_err(|error| error.to_string())?;
            if key.len() < RSA_2048_BYTES_MIN {
                return Err("has fewer than 2048 bits".to_owned());
            }
            return ParsedPublicKey::new(parameters, key)
                .map(Self::Public)
                .map_err(|error| error.to_string());
        }
        Self::raw(key, algorithm)
    }

    /// A point of a curve, or a SubjectPublicKeyInfo of one.
    pub(super) fn raw(key: &[u8], algorithm: Algorithm) -> Result<Self, String> {
        let parameters: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::ES256 => &sign::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &sign::ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDSA => &sign::ED25519,
            other => return Err(format!("{other:?} is not of a curve")),
        };
        ParsedPublicKey::new(parameters, key)
            .map(Self::Public)
            .map_err(|error| error.to_string())
    }

    /// Modulus and exponent of an RSA key, without leading zeros.
    pub(super) fn rsa(n: &[u8], e: &[u8], algorithm: Algorithm) -> Result<Self, String> {
        let parameters =
            rsa_parameters(algorithm).ok_or_else(|| format!("{algorithm:?} is not of RSA"))?;
        sign::RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(parameters)
            .map(Self::Public)
            .map_err(|error| error.to_string())
    }
}

impl Key {
    /// Whether `signature` is this key's over `message`. Constant in time for secrets.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.check {
            Check::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Check::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// What RSA algorithms need: keys of 2048 bits at least (RFC 7518, 3.3).
const fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &sign::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &sign::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &sign::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &sign::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &sign::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &sign::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// Whether an algorithm takes a shared secret.
pub(super) fn is_symmetric(algorithm: Algorithm) -> bool {
    AlgorithmFamily::Hmac.algorithms().contains(&algorithm)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes)
        .as_ref()
        .try_into()
        .unwrap_or_default()
}

/// What a text without a `PUBLIC KEY` seems to be, and what to do about it.
fn what_else(document: &[u8]) -> &'static str {
    let has = |label: &str| memchr::memmem::find(document, label.as_bytes()).is_some();
    if has("PRIVATE KEY-----") {
        "holds a private key, which has no place here; put only the public half in it \
         (openssl pkey -in FILE -pubout)"
    } else if has("-----BEGIN RSA PUBLIC KEY-----") {
        "holds a key in the form of PKCS#1; write it as PUBLIC KEY \
         (openssl rsa -RSAPublicKey_in -in FILE -pubout)"
    } else if has("-----BEGIN CERTIFICATE-----") {
        "holds a certificate, not a key; write its key out \
         (openssl x509 -in FILE -pubkey -noout)"
    } else {
        "is neither a JWK set nor a PEM public key"
    }
}
