//! Everything that establishes who asks, built from the file and kept across reloads.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::api_key::ApiKeys;
use super::basic::{Basic, Checks, PasswordError};
use super::credential::{Position, api_key, basic, token};
use super::jwt::{Jwt, Keys, Now, TokenError};
use super::keys::{load_keys, secret_keys};
use super::refusal::Denial;
use super::remote::{Pace, RemoteKeys};
use super::spec::{AuthenticatorKind, AuthenticatorSpec, JwtSpec, KeySource};
use crate::exchange::{Caller, Exchange};
use crate::fetch::Client;

/// What a client is told to wait for keys, and for passwords to be checked.
const KEYS_WAIT: Duration = Duration::from_secs(5);
const PASSWORDS_WAIT: Duration = Duration::from_secs(1);

/// The authenticators of the file, in its order.
#[derive(Clone, Debug, Default)]
pub struct Authenticators {
    list: Vec<Arc<Authenticator>>,
    checks: Option<Arc<Checks>>,
}

/// One way to establish who asks.
#[derive(Debug)]
pub(super) struct Authenticator {
    spec: AuthenticatorSpec,
    name: Arc<str>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Jwt(Jwt),
    ApiKey(ApiKeys),
    Basic(Box<Basic>),
}

/// Why an authenticator does not admit a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    Denied(Denial),
    KeysUnavailable(Duration),
    PasswordsBusy(Duration),
}

/// How a set of keys that is fetched stands, for `/config`, metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysState {
    /// The first authenticator that uses it.
    pub authenticator: Arc<str>,
    pub url: String,
    /// Usable keys held now; none: no set was ever had, and the authenticator is closed.
    pub keys: Option<usize>,
    /// Fetches so far, and those of them that failed.
    pub fetches: u64,
    pub failures: u64,
    /// Why the last fetch failed, when it did.
    pub last_error: Option<String>,
}

/// What authenticators are built with.
struct Workshop<'a> {
    previous: &'a [Arc<Authenticator>],
    client: Client,
    pace: Pace,
    control: &'a Handle,
    checks: Arc<Checks>,
}

impl Authenticators {
    /// Builds what `specs` describe. What did not change since `previous` is taken over with its
    /// state: fetched keys, verified tokens. Key sets are fetched by tasks on `control`, which end
    /// when the last authenticator that uses them is dropped.
    pub fn build(
        specs: &[AuthenticatorSpec],
        previous: Option<&Self>,
        control: &Handle,
    ) -> Result<Self, String> {
        let client = Client::new(&[]).map_err(|error| error.to_string())?;
        Self::build_with(specs, previous, control, (client, Pace::default()))
    }

    pub(super) fn build_with(
        specs: &[AuthenticatorSpec],
        previous: Option<&Self>,
        control: &Handle,
        (client, pace): (Client, Pace),
    ) -> Result<Self, String> {
        let checks = previous
            .and_then(|previous| previous.checks.clone())
            .unwrap_or_else(|| Arc::new(Checks::new(control)));
        let workshop = Workshop {
            previous: previous.map_or(&[], |previous| &previous.list),
            client,
            pace,
            control,
            checks,
        };
        let mut list: Vec<Arc<Authenticator>> = Vec::with_capacity(specs.len());
        for spec in specs {
            let built = workshop
                .authenticator(spec, &list)
                .map_err(|error| format!("authenticator `{}`: {error}", spec.name))?;
            list.push(built);
        }
        Ok(Self {
            list,
            checks: Some(workshop.checks),
        })
    }

    /// Every key set that is fetched, once each.
    pub fn key_states(&self) -> Vec<KeysState> {
        let mut seen: Vec<&Arc<RemoteKeys>> = Vec::new();
        let mut states = Vec::new();
        for authenticator in &self.list {
            let Some(Keys::Remote(remote)) = authenticator.keys() else {
                continue;
            };
            if seen.iter().any(|known| Arc::ptr_eq(known, remote)) {
                continue;
            }
            seen.push(remote);
            let progress = remote.progress();
            states.push(KeysState {
                authenticator: Arc::clone(&authenticator.name),
                url: remote.url().to_owned(),
                keys: remote.current().map(|set| set.len()),
                fetches: progress.fetches,
                failures: progress.failures,
                last_error: progress.last_error,
            });
        }
        states
    }

    pub(super) fn get(&self, index: usize) -> Option<&Arc<Authenticator>> {
        self.list.get(index)
    }
}

impl Workshop<'_> {
    fn authenticator(
        &self,
        spec: &AuthenticatorSpec,
        built: &[Arc<Authenticator>],
    ) -> Result<Arc<Authenticator>, String> {
        let name: Arc<str> = spec.name.as_str().into();
        let before = self.previous.iter().find(|old| old.spec == *spec);
        let kind = match &spec.kind {
            AuthenticatorKind::Jwt(jwt) => {
                let keys = self.keys(jwt, built)?;
                if let Some(before) = before
                    && before.keys().is_some_and(|old| old.is(&keys))
                {
                    return Ok(Arc::clone(before));
                }
                Kind::Jwt(Jwt::new(Arc::clone(&name), jwt.clone(), keys))
            }
            AuthenticatorKind::ApiKey(_) | AuthenticatorKind::Basic(_)
                if let Some(before) = before =>
            {
                return Ok(Arc::clone(before));
            }
            AuthenticatorKind::ApiKey(keys) => Kind::ApiKey(ApiKeys::new(&name, keys)?),
            AuthenticatorKind::Basic(users) => {
                let basic = Basic::new(&name, users, Arc::clone(&self.checks))?;
                Kind::Basic(Box::new(basic))
            }
        };
        Ok(Arc::new(Authenticator {
            spec: spec.clone(),
            name,
            kind,
        }))
    }

    /// The keys for `spec`: those of an authenticator with the same source, as long as they say
    /// the same, else new ones.
    fn keys(&self, spec: &JwtSpec, built: &[Arc<Authenticator>]) -> Result<Keys, String> {
        let known = built.iter().chain(self.previous).find_map(|other| {
            let AuthenticatorKind::Jwt(other_spec) = &other.spec.kind else {
                return None;
            };
            let same = other_spec.keys == spec.keys
                && other_spec.algorithms == spec.algorithms
                && other_spec.issuer == spec.issuer;
            other.keys().filter(|_| same)
        });
        let fixed = match &spec.keys {
            KeySource::Secret(secret) => secret_keys(secret, &spec.algorithms)?,
            KeySource::File(path) => load_keys(path, &spec.algorithms)
                .map_err(|error| format!("{} {error}", path.display()))?,
            source @ (KeySource::Jwks(_) | KeySource::Discovery(_)) => {
                if let Some(Keys::Remote(remote)) = known {
                    return Ok(Keys::Remote(Arc::clone(remote)));
                }
                let errand = (self.client.clone(), self.pace);
                let issuer = spec.issuer.as_deref();
                return RemoteKeys::start(source, issuer, &spec.algorithms, errand, self.control)
                    .map(|remote| Keys::Remote(Arc::new(remote)));
            }
        };
        match known {
            // A file that says the same: what was verified with it counts.
            Some(Keys::Fixed(set)) if set.equals(&fixed) => Ok(Keys::Fixed(Arc::clone(set))),
            _ => Ok(Keys::Fixed(Arc::new(fixed))),
        }
    }
}

impl Authenticator {
    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    const fn keys(&self) -> Option<&Keys> {
        match &self.kind {
            Kind::Jwt(jwt) => Some(jwt.keys()),
            Kind::ApiKey(_) | Kind::Basic(_) => None,
        }
    }

    /// Who sent the request.
    pub(super) async fn caller(&self, exchange: &Exchange) -> Result<Caller, Rejection> {
        match (&self.kind, &self.spec.kind) {
            (Kind::Jwt(jwt), AuthenticatorKind::Jwt(spec)) => {
                let now = Now {
                    steady: exchange.started,
                    wall: exchange.time.get(exchange.started),
                };
                Ok(jwt.caller(token(exchange, &spec.place)?, now).await?)
            }
            (Kind::Basic(users), _) => Ok(users.caller(basic(exchange)?, exchange.started).await?),
            (Kind::ApiKey(keys), _) => Ok(api_key(exchange, keys.place(), |key| keys.caller(key))?),
            // A kind is built from its spec.
            (Kind::Jwt(_), _) => Err(Denial::Missing.into()),
        }
    }

    /// Where its credential stands.
    pub(super) fn position(&self) -> Position<'_> {
        match &self.spec.kind {
            AuthenticatorKind::Jwt(spec) => Position::from(&spec.place),
            AuthenticatorKind::ApiKey(spec) => Position::from(&spec.place),
            AuthenticatorKind::Basic(_) => Position::Field("authorization"),
        }
    }

    pub(super) const fn passes_credential(&self) -> bool {
        self.spec.pass_credential
    }

    /// A challenge (RFC 9110, 11.3) with what is wrong with this authenticator's credential.
    pub(super) fn challenge(&self, rejection: Rejection) -> String {
        match &self.kind {
            Kind::Basic(basic) => format!(
                "Basic realm=\"{}\", charset=\"UTF-8\"",
                escaped(basic.realm())
            ),
            // No scheme is registered for API keys; the field must be there (RFC 9110, 15.5.2).
            Kind::ApiKey(keys) => match keys.place() {
                super::KeyPlace::Header(name) => {
                    format!("ApiKey in=\"header\", name=\"{}\"", escaped(name))
                }
                super::KeyPlace::Query(name) => {
                    format!("ApiKey in=\"query\", name=\"{}\"", escaped(name))
                }
            },
            // RFC 6750, 3: no error code for a request without a token.
            Kind::Jwt(_) => match rejection {
                Rejection::Denied(denial) if denial != Denial::Missing => format!(
                    "Bearer error=\"invalid_token\", error_description=\"{}\"",
                    denial.detail()
                ),
                _ => "Bearer".to_owned(),
            },
        }
    }
}

impl Keys {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(one), Self::Fixed(two)) => Arc::ptr_eq(one, two),
            (Self::Remote(one), Self::Remote(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl From<Denial> for Rejection {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Denied(denial) => Self::Denied(denial),
            TokenError::NoKeys => Self::KeysUnavailable(KEYS_WAIT),
        }
    }
}

impl From<PasswordError> for Rejection {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Denied(denial) => Self::Denied(denial),
            PasswordError::Busy => Self::PasswordsBusy(PASSWORDS_WAIT),
        }
    }
}

/// The inside of a quoted string (RFC 9110, 5.6.4); what cannot stand in a field is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
