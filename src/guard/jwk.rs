//! JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037): read one by one, so that a key of an
//! unknown kind does not spoil its set.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::keys::{Check, Key, Origin, is_symmetric};

/// A key as it is written. What the gateway does not use, private halves among it, is not read.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// The keys of a set, or of a single key's document.
pub(super) fn parse(document: &[u8]) -> Result<Vec<Result<Jwk, String>>, String> {
    let value: Value =
        serde_json::from_slice(document).map_err(|error| format!("is not JSON: {error}"))?;
    let Value::Object(mut members) = value else {
        return Err("is not a JSON object".to_owned());
    };
    let keys = match members.swap_remove("keys") {
        Some(Value::Array(keys)) => keys,
        Some(_) => return Err("has `keys` which is not a list".to_owned()),
        None if members.contains_key("kty") => vec![Value::Object(members)],
        None => return Err("is not a JWK set: it has no `keys`".to_owned()),
    };
    Ok(keys
        .into_iter()
        .map(|key| serde_json::from_value(key).map_err(|error| error.to_string()))
        .collect())
}

impl Jwk {
    /// The key with each algorithm that it may be used with; an error says why there is none.
    pub(super) fn keys(&self, admitted: &[Algorithm], origin: Origin) -> Result<Vec<Key>, String> {
        if self
            .purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "sig")
        {
            return Err("is not for signatures".to_owned());
        }
        if let Some(operations) = &self.key_ops
            && !operations.iter().any(|operation| operation == "verify")
        {
            return Err("is not for verifying".to_owned());
        }
        let mut keys = Vec::new();
        let mut reason = None;
        for algorithm in self.algorithms(origin)? {
            if !admitted.contains(&algorithm) {
                continue;
            }
            match self.check(algorithm) {
                Ok(check) => keys.push(Key {
                    id: self.kid.as_deref().map(Into::into),
                    algorithm,
                    check,
                }),
                Err(error) => reason = Some(error),
            }
        }
        if keys.is_empty() {
            return Err(reason.unwrap_or_else(|| "is for other algorithms".to_owned()));
        }
        Ok(keys)
    }

    /// What the key's own type, curve and `alg` allow, whatever is admitted.
    fn algorithms(&self, origin: Origin) -> Result<Vec<Algorithm>, String> {
        use Algorithm::{
            ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512,
        };
        let of_type: &[Algorithm] = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => &[RS256, RS384, RS512, PS256, PS384, PS512],
            ("EC", Some("P-256")) => &[ES256],
            ("EC", Some("P-384")) => &[ES384],
            ("OKP", Some("Ed25519")) => &[EdDSA],
            ("oct", _) if origin == Origin::File => &[HS256, HS384, HS512],
            ("oct", _) => return Err("is a secret, and what is published is none".to_owned()),
            ("EC" | "OKP", curve) => {
                return Err(format!("is of the curve {}", curve.unwrap_or("(none)")));
            }
            (other, _) => return Err(format!("is of the type {other}")),
        };
        let Some(named) = &self.alg else {
            return Ok(of_type.to_vec());
        };
        // RFC 9864 names the curve where RFC 8037 says EdDSA.
        let named = if named == "Ed25519" { "EdDSA" } else { named };
        match named.parse::<Algorithm>() {
            Ok(algorithm) if of_type.contains(&algorithm) => Ok(vec![algorithm]),
            _ => Err(format!("is for {named}")),
        }
    }

    fn check(&self, algorithm: Algorithm) -> Result<Check, String> {
        if is_symmetric(algorithm) {
            return Check::secret(&decode("k", self.k.as_deref())?, algorithm);
        }
        match self.kty.as_str() {
            "RSA" => {
                let n = decode("n", self.n.as_deref())?;
                let e = decode("e", self.e.as_deref())?;
                // Some writers put a zero before the first digit.
                let n = without_zeros(&n);
                if n.len() < 256 {
                    return Err(format!("has {} bits, and 2048 are the least", n.len() * 8));
                }
                Check::rsa(n, without_zeros(&e), algorithm)
            }
            "EC" => {
                let length = if algorithm == Algorithm::ES256 {
                    32
                } else {
                    48
                };
                let x = decode("x", self.x.as_deref())?;
                let y = decode("y", self.y.as_deref())?;
                if x.len() != length || y.len() != length {
                    return Err(format!("has coordinates that are not {length} bytes long"));
                }
                Check::raw(&[&[4], x.as_slice(), &y].concat(), algorithm)
            }
            _ => {
                let x = decode("x", self.x.as_deref())?;
                if x.len() != 32 {
                    return Err("has an `x` that is not 32 bytes long".to_owned());
                }
                Check::raw(&x, algorithm)
            }
        }
    }
}

fn decode(name: &str, text: Option<&str>) -> Result<Vec<u8>, String> {
    let text = text.ok_or_else(|| format!("has no `{name}`"))?;
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|error| format!("has a `{name}` that is not base64url: {error}"))
}

fn without_zeros(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}
