//! Admits callers that present a token signed by a trusted issuer (RFC 7519, RFC 8725).
//!
//! A token chooses nothing: its algorithm must be one of the file's and of the key's, a `jku`,
//! `x5u`, `x5c` or `jwk` in it is not read, and what it calls critical refuses it. Of a claim that
//! stands twice, `claims.NAME` is the last; a registered claim that stands twice refuses the token.

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use tokio::time::Instant;

use super::credential::CREDENTIAL_BYTES_MAX;
use super::keys::{KeySet, sha256};
use super::refusal::Denial;
use super::remote::{Newer, RemoteKeys};
use super::spec::JwtSpec;
use crate::exchange::Caller;
use crate::json::{DEPTH_DEFAULT, Json, Kind};
use crate::store::Recent;

/// Verified tokens that a worker remembers at least; at most twice as many.
const REMEMBERED: usize = 4096;
/// Longer tokens are verified every time.
const REMEMBERED_BYTES_MAX: usize = 4096;

thread_local! {
    /// Each worker remembers for itself: nothing is shared, nothing is locked.
    static VERIFIED: RefCell<Recent<TokenKey, Verified>> =
        RefCell::new(Recent::new(REMEMBERED));
}

/// What a token was verified by, and the token: with other keys or rules, it was never seen.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TokenKey {
    rules: u64,
    generation: u64,
    token: [u8; 32],
}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A part of a digest tells tokens apart well enough, and takes a fraction of the time.
        let [_, _, _, quarter] = self.token.as_chunks().0 else {
            return;
        };
        state.write_u64(u64::from_le_bytes(*quarter));
    }
}

struct Verified {
    caller: Caller,
    /// Until when it counts, by the steady clock and by the wall clock (seconds since 1970).
    until: Instant,
    expires: f64,
}

/// Judges tokens by one authenticator's rules.
#[derive(Debug)]
pub(super) struct Jwt {
    name: Arc<str>,
    spec: JwtSpec,
    keys: Keys,
    /// Another number for each set of rules, so that they do not share what they verified.
    rules: u64,
}

/// Where an authenticator's keys are.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Fixed(Arc<KeySet>),
    Remote(Arc<RemoteKeys>),
}

/// The time of a request, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub steady: Instant,
    pub wall: SystemTime,
}

/// Why a token does not admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    Denied(Denial),
    /// The issuer's keys were never had.
    NoKeys,
}

impl From<Denial> for TokenError {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// The header, as far as it is looked at (RFC 7515, 4.1). A doubled member is an error.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

/// The registered claims (RFC 7519, 4.1). A doubled one is an error.
#[derive(Deserialize)]
struct Registered {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// A token taken apart; nothing in it is believed yet.
struct Token<'a> {
    algorithm: Algorithm,
    key: Option<String>,
    /// Header and payload as they are signed.
    message: &'a [u8],
    payload: &'a [u8],
    signature: Vec<u8>,
}

impl Keys {
    fn generation(&self) -> Option<u64> {
        match self {
            Self::Fixed(set) => Some(set.generation()),
            Self::Remote(remote) => remote.generation(),
        }
    }

    fn current(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Fixed(set) => Some(Arc::clone(set)),
            Self::Remote(remote) => remote.current(),
        }
    }
}

impl Jwt {
    pub(super) fn new(name: Arc<str>, spec: JwtSpec, keys: Keys) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            name,
            spec,
            keys,
            rules: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Who a token is of. Waits only for keys that have to be fetched first.
    pub(super) async fn caller(&self, token: &[u8], now: Now) -> Result<Caller, TokenError> {
        if token.len() > CREDENTIAL_BYTES_MAX {
            return Err(Denial::TooLarge.into());
        }
        let remembers = !self.spec.cache.is_zero() && token.len() <= REMEMBERED_BYTES_MAX;
        let digest = if remembers { sha256(token) } else { [0; 32] };
        if remembers
            && let Some(generation) = self.keys.generation()
            && let Some(caller) = recall(&self.token_key(generation, digest), now)
        {
            return Ok(caller);
        }
        let token = Token::parse(token, &self.spec.algorithms)?;
        // Boxed: a token that was seen before does not carry its state.
        let set = Box::pin(self.signed_by(&token, self.keys.current(), now)).await?;
        let payload = decode(token.payload)?;
        let registered = self.judge(&payload, set.issuer(), now)?;
        let caller = self.caller_of(payload, &registered)?;
        if remembers && let Some(until) = now.steady.checked_add(self.spec.cache) {
            let verified = Verified {
                caller: caller.clone(),
                until,
                expires: registered.exp.unwrap_or(f64::INFINITY),
            };
            let key = self.token_key(set.generation(), digest);
            VERIFIED.with_borrow_mut(|recent| recent.insert(key, verified));
        }
        Ok(caller)
    }

    const fn token_key(&self, generation: u64, token: [u8; 32]) -> TokenKey {
        TokenKey {
            rules: self.rules,
            generation,
            token,
        }
    }

    /// The set one of whose keys signed the token: the one at hand, or a newer one if the token
    /// may be signed by a key that is not in it.
    async fn signed_by(
        &self,
        token: &Token<'_>,
        set: Option<Arc<KeySet>>,
        now: Now,
    ) -> Result<Arc<KeySet>, TokenError> {
        let denial = match &set {
            Some(set) => match token.verify(set) {
                Ok(()) => return Ok(Arc::clone(set)),
                Err((denial, named)) => {
                    if named {
                        return Err(denial.into());
                    }
                    Some(denial)
                }
            },
            None => None,
        };
        let Keys::Remote(remote) = &self.keys else {
            return Err(denial.unwrap_or(Denial::UnknownKey).into());
        };
        // What would be refused whoever signed it is not worth a fetch.
        self.judge(&decode(token.payload)?, None, now)?;
        let known = set.map(|set| set.generation());
        match remote.newer(known).await {
            Newer::None => Err(TokenError::NoKeys),
            Newer::Set(set) if Some(set.generation()) == known => {
                Err(denial.unwrap_or(Denial::UnknownKey).into())
            }
            Newer::Set(set) => match token.verify(&set) {
                Ok(()) => Ok(set),
                Err((denial, _)) => Err(denial.into()),
            },
        }
    }

    /// Holds the claims against the rules.
    fn judge(
        &self,
        payload: &[u8],
        published: Option<&Arc<str>>,
        now: Now,
    ) -> Result<Registered, Denial> {
        let claims: Registered = serde_json::from_slice(payload).map_err(|_| Denial::Claims)?;
        let expected = self.spec.issuer.as_deref();
        if let Some(issuer) = expected.or(published.map(AsRef::as_ref))
            && claims.iss.as_deref() != Some(issuer)
        {
            return Err(Denial::Issuer);
        }
        if !self.spec.audience.is_empty() && !self.is_meant_for_us(claims.aud.as_ref()) {
            return Err(Denial::Audience);
        }
        let (wall, leeway) = (seconds(now.wall), self.spec.leeway.as_secs_f64());
        if claims.exp.is_some_and(|exp| wall >= exp + leeway) {
            return Err(Denial::Expired);
        }
        if claims.nbf.is_some_and(|nbf| wall + leeway < nbf) {
            return Err(Denial::NotYetValid);
        }
        Ok(claims)
    }

    fn is_meant_for_us(&self, audience: Option<&Audience>) -> bool {
        let given = match audience {
            None => return false,
            Some(Audience::One(one)) => std::slice::from_ref(one),
            Some(Audience::Several(several)) => several,
        };
        given.iter().any(|one| self.spec.audience.contains(one))
    }

    fn caller_of(&self, payload: Vec<u8>, registered: &Registered) -> Result<Caller, Denial> {
        let claims =
            Json::parse(Bytes::from(payload), DEPTH_DEFAULT).map_err(|_| Denial::Claims)?;
        let has = |name: &String| claims.field(name).is_some_and(|claim| !claim.is_null());
        if claims.kind() != Kind::Object || !self.spec.required.iter().all(has) {
            return Err(Denial::Claims);
        }
        Ok(Caller {
            authenticator: Arc::clone(&self.name),
            name: registered.sub.as_deref().unwrap_or_default().into(),
            claims,
        })
    }
}

impl<'a> Token<'a> {
    /// Takes a compact JWS apart (RFC 7515, 3.1).
    fn parse(token: &'a [u8], admitted: &[Algorithm]) -> Result<Self, Denial> {
        let first = memchr::memchr(b'.', token).ok_or(Denial::Malformed)?;
        let last = memchr::memrchr(b'.', token).ok_or(Denial::Malformed)?;
        let (Some(header), Some(payload), Some(message), Some(signature)) = (
            token.get(..first),
            token.get(first + 1..last),
            token.get(..last),
            token.get(last + 1..),
        ) else {
            return Err(Denial::Malformed);
        };
        if memchr::memchr(b'.', payload).is_some() {
            return Err(Denial::Malformed);
        }
        let header = decode(header)?;
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| Denial::Malformed)?;
        let algorithm = named(&header.alg).ok_or(Denial::Algorithm)?;
        if !admitted.contains(&algorithm) {
            return Err(Denial::Algorithm);
        }
        if header.crit.is_some() {
            return Err(Denial::Critical);
        }
        Ok(Self {
            algorithm,
            key: header.kid,
            message,
            payload,
            signature: decode(signature)?,
        })
    }

    /// Whether a key of `set` signed it; else why not, and whether the token named the key that
    /// did not: then no other set can help.
    fn verify(&self, set: &KeySet) -> Result<(), (Denial, bool)> {
        let mut tried = false;
        let mut named = false;
        for key in set.candidates(self.algorithm, self.key.as_deref()) {
            if key.verifies(self.message, &self.signature) {
                return Ok(());
            }
            tried = true;
            named |= key.id.is_some() && key.id.as_deref() == self.key.as_deref();
        }
        if tried {
            Err((Denial::Signature, named))
        } else {
            Err((Denial::UnknownKey, false))
        }
    }
}

/// An algorithm by the name in a header. RFC 9864 names the curve where RFC 8037 says EdDSA.
fn named(alg: &str) -> Option<Algorithm> {
    if alg == "Ed25519" {
        return Some(Algorithm::EdDSA);
    }
    alg.parse().ok()
}

fn decode(part: &[u8]) -> Result<Vec<u8>, Denial> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Denial::Malformed)
}

/// Seconds since 1970, as tokens count.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}

fn recall(key: &TokenKey, now: Now) -> Option<Caller> {
    VERIFIED.with_borrow_mut(|recent| {
        let verified = recent.get(key)?;
        if now.steady < verified.until && seconds(now.wall) < verified.expires {
            return Some(verified.caller.clone());
        }
        recent.remove(key);
        None
    })
}
