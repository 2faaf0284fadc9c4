//! Authenticators and limits.

use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::Algorithm;

use super::Lowering;
use crate::config::keys::{KEY_FILE, Section, USER_FILE};
use crate::config::read::Read;
use crate::config::reader::Reader;
use crate::config::scalars;
use crate::config::source::Place;
use crate::config::written::{Entry, Table, Text};
use crate::config::{check, masked, units};
use crate::expression::Names;
use crate::guard::{
    ApiKey, ApiKeySpec, AuthenticatorKind, AuthenticatorSpec, BasicSpec, BasicUser, JwtSpec,
    KeyPlace, KeySource, LimitKind, LimitSpec, TokenPlace,
};

/// The algorithms of shared secrets.
const HMAC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// The routes that use a limit: whether all of them have `auth`, and one that has none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LimitUse {
    pub(super) without_auth: Option<Place>,
}

impl<'a> Lowering<'a> {
    pub(super) fn authenticator(
        &mut self,
        name: &str,
        table: Reader<'a>,
    ) -> Option<AuthenticatorSpec> {
        let kind = if let Some(jwt) = table.given("jwt") {
            AuthenticatorKind::Jwt(self.jwt(jwt)?)
        } else if let Some(api_key) = table.given("api_key") {
            AuthenticatorKind::ApiKey(self.api_key(api_key)?)
        } else {
            AuthenticatorKind::Basic(self.basic(table.given("basic")?))
        };
        Some(AuthenticatorSpec {
            name: name.to_owned(),
            kind,
            pass_credential: table.boolean("pass_credential"),
        })
    }

    fn jwt(&mut self, jwt: Reader<'a>) -> Option<JwtSpec> {
        let algorithms = self.algorithms(jwt);
        let keys = self.key_source(jwt, &algorithms)?;
        let text = |key: &str| jwt.text(key).map(|text| text.as_str().to_owned());
        let place = match (jwt.text("header"), jwt.text("cookie")) {
            (Some(header), _) => match scalars::header(header.as_str()).ok()? {
                header if header == "authorization" => TokenPlace::Authorization,
                header => TokenPlace::Header(header),
            },
            (None, Some(cookie)) => TokenPlace::Cookie(cookie.as_str().to_owned()),
            (None, None) => TokenPlace::Authorization,
        };
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        Some(JwtSpec {
            issuer: text("issuer"),
            audience: owned(jwt.words("audience")),
            algorithms,
            keys,
            leeway: jwt.duration("leeway").unwrap_or_default(),
            place,
            required: owned(jwt.words("required")),
            cache: jwt.duration("cache").unwrap_or_default(),
        })
    }

    /// The algorithms admitted. A shared secret and public keys never admit each other's, since an
    /// attacker could sign with what is public.
    fn algorithms(&mut self, jwt: Reader<'a>) -> Vec<Algorithm> {
        let shared = jwt.node("secret").is_some();
        let nodes = jwt.list("algorithms");
        if nodes.is_empty() {
            return if shared {
                vec![Algorithm::HS256]
            } else {
                vec![
                    Algorithm::RS256,
                    Algorithm::PS256,
                    Algorithm::ES256,
                    Algorithm::EdDSA,
                ]
            };
        }
        let mut algorithms = Vec::new();
        for node in nodes {
            let name = node.text().map(Text::as_str).unwrap_or_default();
            let Ok(algorithm) = name.parse::<Algorithm>() else {
                continue;
            };
            if name.starts_with("HS") != shared {
                let (message, help) = if shared {
                    (
                        "is for public keys, not for a `secret`",
                        "write `HS256`, or name `keys`, `jwks` or `discovery`",
                    )
                } else {
                    (
                        "is for a shared `secret`, not for public keys",
                        "remove it, or give a `secret`",
                    )
                };
                self.mistake(node.place, format!("`{name}` {message}"))
                    .help(help);
            }
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    fn key_source(&mut self, jwt: Reader<'a>, algorithms: &[Algorithm]) -> Option<KeySource> {
        if let Some(secret) = jwt.text("secret") {
            let bytes = secret.as_str().as_bytes();
            let fitting = algorithms.iter().all(|algorithm| HMAC.contains(algorithm));
            if fitting && let Err(error) = crate::guard::keys::secret_keys(bytes, algorithms) {
                self.mistake(jwt.place_of("secret"), error)
                    .secret()
                    .help("make one: `openssl rand -hex 32`");
            }
            return Some(KeySource::Secret(Arc::from(bytes)));
        }
        if jwt.node("keys").is_some() {
            let path = self.file(jwt, "keys")?;
            if let Err(error) = crate::guard::keys::load_keys(&path, algorithms) {
                self.mistake(jwt.place_of("keys"), error);
            }
            return Some(KeySource::File(path));
        }
        if let Some(url) = jwt.text("jwks") {
            return scalars::url(url.as_str()).ok().map(KeySource::Jwks);
        }
        let url = jwt.text("discovery")?;
        scalars::url(url.as_str()).ok().map(KeySource::Discovery)
    }

    fn api_key(&mut self, table: Reader<'a>) -> Option<ApiKeySpec> {
        let place = match (table.text("header"), table.text("query")) {
            (Some(header), _) => KeyPlace::Header(scalars::header(header.as_str()).ok()?),
            (None, Some(query)) => KeyPlace::Query(query.as_str().to_owned()),
            (None, None) => return None,
        };
        let mut keys: Vec<ApiKey> = Vec::new();
        let inner = self.extra(table, &KEY_FILE);
        let tables = match &inner {
            Some(inner) => Reader::new(inner, &KEY_FILE).tables("keys"),
            None => table.tables("keys"),
        };
        for one in tables {
            let Ok(sha256) = scalars::sha256(one.word("sha256")) else {
                continue;
            };
            let place = one.place_of("sha256");
            if let Some(twin) = keys.iter().find(|key| key.sha256 == sha256) {
                let message = format!("`{}` has the same key", twin.name);
                self.mistake(place, message).secret();
            }
            keys.push(ApiKey {
                name: one.word("name").to_owned(),
                sha256,
                claims: masked::json(one.entries("claims")),
            });
        }
        Some(ApiKeySpec { place, keys })
    }

    fn basic(&mut self, table: Reader<'a>) -> BasicSpec {
        let inner = self.extra(table, &USER_FILE);
        let tables = match &inner {
            Some(inner) => Reader::new(inner, &USER_FILE).tables("users"),
            None => table.tables("users"),
        };
        let mut users: Vec<BasicUser> = Vec::new();
        for one in tables {
            let name = one.word("name");
            if name.contains(':') {
                self.mistake(one.place_of("name"), "the name holds a `:`, which ends it");
            }
            if users.iter().any(|user| user.name == name) {
                self.mistake(
                    one.place_of("name"),
                    format!("the user `{name}` stands twice"),
                );
            }
            let hash = one.word("argon2");
            if scalars::argon2_hash(hash).is_ok()
                && let Err(error) = crate::guard::basic::check_hash(hash)
            {
                self.mistake(one.place_of("argon2"), error).secret();
            }
            users.push(BasicUser {
                name: name.to_owned(),
                argon2: hash.to_owned(),
            });
        }
        let realm = table.word("realm");
        if realm
            .chars()
            .any(|c| c == '"' || c == '\\' || c.is_control())
        {
            self.mistake(
                table.place_of("realm"),
                "the realm holds quotes or control characters",
            );
        }
        BasicSpec {
            realm: realm.to_owned(),
            users,
        }
    }

    /// The table in a file of its own that `file` names. Its mistakes are told in one, at the name.
    fn extra(&mut self, table: Reader<'a>, section: &'static Section) -> Option<Table> {
        let path = self.file(table, "file")?;
        let mut read = Read::new(&|_| None);
        let inner = read.file(Path::new(&path));
        let message = match &inner {
            Ok(inner) => {
                check::table(inner, section, &mut read.findings);
                let mistakes = read.findings.finish(&read.sources, Vec::new());
                mistakes.iter().next().map(|first| {
                    let (count, line) = (mistakes.count(), first.line);
                    format!(
                        "{count} in {}, the first in line {line}: {}",
                        path.display(),
                        first.message
                    )
                })
            }
            Err(error) => Some(format!("cannot read {}: {error}", path.display())),
        };
        if let Some(message) = message {
            self.mistake(table.place_of("file"), message);
        }
        inner.ok()
    }

    /// The limits, whose keys read what the routes that use them have in common.
    pub(super) fn limits(
        &mut self,
        tables: &[(&'a Entry, Reader<'a>)],
        uses: &[LimitUse],
    ) -> Vec<LimitSpec> {
        let mut limits = Vec::new();
        for (at, (entry, table)) in tables.iter().enumerate() {
            let used = uses.get(at).copied().unwrap_or_default();
            let by = table.node("by").and_then(|node| {
                let names = Names {
                    caller: true,
                    ..Names::default()
                };
                let before = self.findings.count();
                let by = self.expression(node, &names);
                self.findings.help_since(
                    before,
                    "a limit serves several routes, so it cannot read the `path` of one: `request.path` is the whole",
                    |message| message.contains("path"),
                );
                let by = by?;
                if let (true, Some(route)) = (by.reads().caller, used.without_auth) {
                    self.mistake(
                        node.place,
                        "it reads the caller, and a route with this limit has no `auth`",
                    )
                    .related(route, "nobody is known to ask here")
                    .help("give the route an `auth`, or another limit");
                }
                Some(by)
            });
            limits.push(LimitSpec {
                name: entry.key.clone(),
                kind: Self::limit_kind(*table),
                by,
            });
        }
        limits
    }

    fn limit_kind(table: Reader<'a>) -> LimitKind {
        match units::rate(table.word("rate")) {
            Some((count, period)) => LimitKind::Rate {
                count,
                period,
                burst: table.count("burst").unwrap_or(count),
            },
            None => LimitKind::Concurrency(table.count("concurrency").unwrap_or(1)),
        }
    }
}
