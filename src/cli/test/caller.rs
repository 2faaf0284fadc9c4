//! Credentials for callers that a case states: the authenticator is given a key of the test's own,
//! and then does its work as ever.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value as Json, json};

use crate::config::cases::CallerSpec;
use crate::exchange::{Headers, id};
use crate::guard::{
    ApiKey, AuthenticatorKind, AuthenticatorSpec, JwtSpec, KeyPlace, KeySource, TokenPlace,
};

/// Seconds for which a token is good.
const TOKEN_SECONDS: i64 = 3600;

/// What a request carries to be admitted.
#[derive(Debug)]
pub(super) enum Credential {
    Field(String, String),
    Cookie(String, String),
    Query(String, String),
}

impl Credential {
    /// Adds it to a request.
    pub(super) fn put(&self, headers: &mut Headers, query: &mut Option<String>) {
        match self {
            Self::Field(name, value) => headers.set(name, value.as_bytes()),
            Self::Cookie(name, value) => {
                let cookie = format!("{name}={value}");
                headers.append("cookie", cookie.as_bytes());
            }
            Self::Query(name, value) => {
                let pair = format!("{name}={value}");
                *query = Some(match query.take() {
                    Some(before) => format!("{before}&{pair}"),
                    None => pair,
                });
            }
        }
    }
}

/// Closes an authenticator whose keys would have to be fetched: there is no network.
pub(super) fn cut_off(spec: &mut AuthenticatorSpec) {
    if let AuthenticatorKind::Jwt(jwt) = &mut spec.kind
        && matches!(jwt.keys, KeySource::Jwks(_) | KeySource::Discovery(_))
    {
        let _unknown_to_all: String = take_over(jwt);
    }
}

/// Makes a credential for `caller` that the authenticator takes from now on.
pub(super) fn admit(
    spec: &mut AuthenticatorSpec,
    caller: &CallerSpec,
) -> Result<Credential, String> {
    match &mut spec.kind {
        AuthenticatorKind::Jwt(jwt) => token(jwt, caller),
        AuthenticatorKind::ApiKey(keys) => {
            let key = secret();
            let mut sha256 = [0; 32];
            let hash = digest::digest(&digest::SHA256, key.as_bytes());
            sha256.copy_from_slice(hash.as_ref());
            keys.keys.push(ApiKey {
                name: caller.name.clone(),
                sha256,
                claims: caller.claims.clone(),
            });
            Ok(match &keys.place {
                KeyPlace::Header(name) => Credential::Field(name.clone(), key),
                KeyPlace::Query(name) => Credential::Query(name.clone(), key),
            })
        }
        // A password is known by its hash alone, and checking one takes its time on purpose.
        AuthenticatorKind::Basic(_) => {
            let mut jwt = JwtSpec {
                issuer: None,
                audience: Vec::new(),
                algorithms: Vec::new(),
                keys: KeySource::Jwks(String::new()),
                leeway: Duration::ZERO,
                place: TokenPlace::Authorization,
                required: Vec::new(),
                cache: Duration::ZERO,
            };
            let credential = token(&mut jwt, caller);
            spec.kind = AuthenticatorKind::Jwt(jwt);
            credential
        }
    }
}

/// A token that says what the case says, and what the authenticator asks for beside it.
fn token(jwt: &mut JwtSpec, caller: &CallerSpec) -> Result<Credential, String> {
    let secret = take_over(jwt);
    let mut claims = caller.claims.clone();
    let mut unless_given = |name: &str, value: Json| {
        if !claims.contains_key(name) {
            claims.insert(name.to_owned(), value);
        }
    };
    unless_given("sub", json!(caller.name));
    if let Some(issuer) = &jwt.issuer {
        unless_given("iss", json!(issuer));
    }
    if let Some(audience) = jwt.audience.first() {
        unless_given("aud", json!(audience));
    }
    let end = jiff::Timestamp::now().as_second() + TOKEN_SECONDS;
    unless_given("exp", json!(end));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| error.to_string())?;
    Ok(match &jwt.place {
        TokenPlace::Authorization => {
            Credential::Field("authorization".to_owned(), format!("Bearer {token}"))
        }
        TokenPlace::Header(name) => Credential::Field(name.clone(), token),
        TokenPlace::Cookie(name) => Credential::Cookie(name.clone(), token),
    })
}

/// Gives the authenticator a key of the test's own in the place of its keys.
fn take_over(jwt: &mut JwtSpec) -> String {
    let secret = secret();
    jwt.algorithms = vec![Algorithm::HS256];
    jwt.keys = KeySource::Secret(Arc::from(secret.as_bytes()));
    secret
}

/// 43 letters that nobody has seen.
fn secret() -> String {
    let (one, other) = (id::random().to_ne_bytes(), id::random().to_ne_bytes());
    URL_SAFE_NO_PAD.encode([one, other].concat())
}
