//! The demo's identity provider: a signing key that lives as long as the process, and its tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

/// As in the repository's `routes.toml`.
const ISSUER: &str = "https://id.example.com/";
const AUDIENCE: &str = "shop";

/// Seconds for which a token is good.
const TOKEN_SECONDS: i64 = 12 * 60 * 60;

/// Why there is no key or token.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot make a signing key: {0}")]
    Key(#[from] rcgen::Error),
    #[error("the signing key is no point of P-256")]
    Point,
    #[error("cannot sign a token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Signs tokens with ES256 (RFC 7518, 3.4).
pub(super) struct Identity {
    key: EncodingKey,
    key_id: String,
    jwks: Value,
}

impl Identity {
    pub(super) fn new() -> Result<Self, IdentityError> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        // Uncompressed: 4, then x and y of 32 bytes each (SEC 1, 2.3.3).
        let (x, y) = pair
            .der_bytes()
            .strip_prefix(&[4])
            .and_then(|point| point.split_at_checked(32))
            .ok_or(IdentityError::Point)?;
        let key_id = URL_SAFE_NO_PAD.encode(x.get(..6).unwrap_or_default());
        let jwks = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key_id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]});
        Ok(Self {
            key: EncodingKey::from_ec_der(pair.serialized_der()),
            key_id,
            jwks,
        })
    }

    /// The public half, as a JWK set (RFC 7517, 5).
    pub(super) fn jwks(&self) -> String {
        self.jwks.to_string()
    }

    /// A token for `subject`.
    pub(super) fn token(&self, subject: &str, roles: &[&str]) -> Result<String, IdentityError> {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "roles": roles,
            "iat": now, "exp": now + TOKEN_SECONDS,
        });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    #[test]
    fn token_is_verified_by_the_published_key() {
        let identity = Identity::new().unwrap();
        let token = identity.token("ada", &[]).unwrap();
        let set: JwkSet = serde_json::from_str(&identity.jwks()).unwrap();
        let key_id = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(set.find(&key_id).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(claims.claims["sub"], "ada");
    }
}
