//! Keys and tokens made for one test.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

/// Signs with ES256 under a key id.
pub struct Signer {
    pair: KeyPair,
    pub key_id: String,
}

impl Signer {
    pub fn new(key_id: &str) -> Self {
        Self {
            pair: KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
            key_id: key_id.to_owned(),
        }
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.pair.der_bytes()[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.key_id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// A JWK set of this key alone.
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    pub fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.key_id, claims)
    }

    /// Signs under a key id that may not be this key's.
    pub fn sign_as(&self, key_id: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(key_id.to_owned());
        let key = EncodingKey::from_ec_der(self.pair.serialized_der());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

/// Signs with HS256: as an honest user of a shared secret, or as an attacker.
pub fn sign_hs256(secret: &[u8], key_id: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = key_id.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// A token that says it needs no signature.
pub fn unsigned(claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{header}.{claims}.")
}

/// Claims of `subject` that the tests' issuer would make, good for an hour.
pub fn claims(subject: &str) -> Value {
    json!({
        "iss": "https://id.test/", "aud": "shop", "sub": subject,
        "exp": in_seconds(3600), "nbf": in_seconds(-60),
    })
}

/// Seconds since 1970, `offset` from now.
pub fn in_seconds(offset: i64) -> i64 {
    jiff::Timestamp::now().as_second() + offset
}
