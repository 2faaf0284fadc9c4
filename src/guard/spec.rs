//! Authenticators, limits and a route's guard as the file describes them, checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::expression::Expression;

/// What establishes who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthenticatorSpec {
    pub name: String,
    pub kind: AuthenticatorKind,
    /// The credential goes on to the upstream; it is removed otherwise.
    pub pass_credential: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AuthenticatorKind {
    Jwt(JwtSpec),
    ApiKey(ApiKeySpec),
    Basic(BasicSpec),
}

/// A signed token (RFC 7519, RFC 8725).
#[derive(Clone, Debug, PartialEq)]
pub struct JwtSpec {
    pub issuer: Option<String>,
    /// The token must be meant for one of these; empty: `aud` is not looked at.
    pub audience: Vec<String>,
    /// The only algorithms admitted, whatever the token says. Never empty.
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    pub keys: KeySource,
    pub leeway: Duration,
    pub place: TokenPlace,
    /// Claims that must be there.
    pub required: Vec<String>,
    /// How long a verified token is remembered, never past its end; zero: not at all.
    pub cache: Duration,
}

/// Where the keys come from.
#[derive(Clone, PartialEq)]
pub enum KeySource {
    /// A shared secret, for HS algorithms.
    Secret(Arc<[u8]>),
    /// A file with a JWK set or a PEM public key. Read and checked at load, watched after.
    File(PathBuf),
    /// A JWK set fetched over http(s).
    Jwks(String),
    /// An OpenID issuer's discovery document, which names the JWK set.
    Discovery(String),
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(..)"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Jwks(url) => write!(f, "Jwks({url})"),
            Self::Discovery(url) => write!(f, "Discovery({url})"),
        }
    }
}

/// Where a token stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// In `Authorization`, after `Bearer`.
    Authorization,
    /// In this field (lower case), alone or after `Bearer`.
    Header(String),
    Cookie(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeySpec {
    pub place: KeyPlace,
    pub keys: Vec<ApiKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// A field name in lower case.
    Header(String),
    /// A query parameter. It is removed before the query goes on, unless the credential is passed.
    Query(String),
}

/// A key is known by its hash alone.
#[derive(Clone, PartialEq)]
pub struct ApiKey {
    pub name: String,
    pub sha256: [u8; 32],
    /// A JSON object.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.name)
    }
}

/// Name and password (RFC 7617).
#[derive(Clone, Debug, PartialEq)]
pub struct BasicSpec {
    pub realm: String,
    pub users: Vec<BasicUser>,
}

#[derive(Clone, PartialEq)]
pub struct BasicUser {
    pub name: String,
    /// A PHC string: `$argon2id$...`.
    pub argon2: String,
}

impl std::fmt::Debug for BasicUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BasicUser({})", self.name)
    }
}

/// A bound, and the key it counts by.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSpec {
    pub name: String,
    pub kind: LimitKind,
    /// None: the client's address, IPv6 by its /64.
    pub by: Option<Arc<Expression>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// `count` requests a `period`, and `burst` at once (GCRA).
    Rate {
        count: u32,
        period: Duration,
        burst: u32,
    },
    /// Requests at work at once.
    Concurrency(u32),
}

/// What a route demands before it acts. Indices point into the lists of the gateway's spec.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardSpec {
    /// Any of them admits; empty: anybody is.
    pub authenticators: Vec<usize>,
    /// Must be true, else 403.
    pub allow: Option<Arc<Expression>>,
    pub limits: Vec<usize>,
    /// Empty: any address.
    pub ip_allow: Vec<IpNet>,
    pub ip_deny: Vec<IpNet>,
}
