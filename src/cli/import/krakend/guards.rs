//! Who may ask, and how often: `auth/validator`, `validation/cel` and the rate limits of an endpoint
//! as authenticators, `allow` and limits. What guarded an endpoint and cannot be carried over
//! closes it.

use super::conditions::{self, Conditions};
use super::{go, remarks, target};
use crate::cli::import::cel;
use crate::cli::import::fields::Fields;
use crate::cli::import::page::{Block, excerpt, list, literal, quoted};

/// Authenticators and limits that endpoints turned out to need.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// What it was made of, name and block.
    authenticators: Vec<(String, String, Block)>,
    limits: Vec<(String, Block)>,
}

/// What a route demands.
#[derive(Debug, Default)]
pub(super) struct Guards {
    pub(super) auth: Vec<String>,
    pub(super) allow: Vec<String>,
    pub(super) limits: Vec<String>,
    pub(super) ip_allow: Vec<String>,
    pub(super) ip_deny: Vec<String>,
    /// Header fields towards the backends, made of claims: templates.
    pub(super) headers: Vec<(String, String)>,
}

/// An endpoint, as far as its guards have to know it.
#[derive(Debug)]
pub(super) struct Guarded<'s> {
    /// A name for its limits.
    pub(super) slug: String,
    pub(super) parameters: &'s [String],
    /// The token goes on to the backends.
    pub(super) passes_token: bool,
}

/// So many in a period, and so many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate<'a> {
    count: f64,
    /// A second where none.
    every: Option<&'a str>,
    capacity: Option<f64>,
}

impl<'a> Rate<'a> {
    /// Reads the rate under these names; none where there is none, or no bound.
    pub(super) fn read(
        fields: &Fields<'a>,
        count: &'static str,
        capacity: &'static str,
    ) -> Option<Self> {
        Some(Self {
            count: fields.number(count).filter(|count| *count > 0.0)?,
            every: fields.text("every"),
            capacity: fields.number(capacity),
        })
    }
}

impl Registry {
    pub(super) fn blocks(self) -> Vec<Block> {
        let authenticators = self.authenticators.into_iter().map(|(_, _, block)| block);
        let limits = self.limits.into_iter().map(|(_, block)| block);
        authenticators.chain(limits).collect()
    }

    /// Reads what guards an endpoint out of its `extra_config`.
    pub(super) fn read(
        &mut self,
        extra: &Fields<'_>,
        guarded: &Guarded<'_>,
        block: &mut Block,
    ) -> Guards {
        let mut guards = Guards::default();
        if let Some(validator) = extra.object("auth/validator") {
            self.validator(&validator, guarded, &mut guards, block);
        }
        if let Some(list) = extra.value("validation/cel") {
            let Conditions { request, later } = conditions::read(list, guarded.parameters);
            guards.allow.extend(request);
            if later > 0 {
                close(
                    &mut guards,
                    block,
                    "`validation/cel` reads what a request does not have",
                );
            }
        }
        if let Some(router) = extra.object("qos/ratelimit/router") {
            let limits = self.router(&router, &guarded.slug, block);
            guards.limits.extend(limits);
        }
        if let Some(plugin) = extra.object("plugin/req-resp-modifier") {
            addresses(&plugin, &mut guards, block);
        }
        for name in extra.rest() {
            if remarks::guards(name) {
                close(
                    &mut guards,
                    block,
                    &format!("{} is not carried over", excerpt(name)),
                );
            }
        }
        guards
    }

    /// `auth/validator`: the authenticator, and what its claims must be.
    fn validator(
        &mut self,
        fields: &Fields<'_>,
        guarded: &Guarded<'_>,
        guards: &mut Guards,
        block: &mut Block,
    ) {
        demands(fields, guards, block);
        let mut auth = Block::new("auth/validator");
        let jwt = token(fields, &mut auth);
        let places = match (fields.text("auth_header_name"), fields.text("cookie_key")) {
            (Some(header), None) => vec![format!(", header = {}", quoted(header))],
            (None, Some(cookie)) => vec![String::new(), format!(", cookie = {}", quoted(cookie))],
            (Some(header), Some(cookie)) => vec![
                format!(", header = {}", quoted(header)),
                format!(", cookie = {}", quoted(cookie)),
            ],
            (None, None) => vec![String::new()],
        };
        fields.skip(&[
            "cache",
            "cache_duration",
            "disable_jwk_security",
            "operation_debug",
            "key_identify_strategy",
            "jwk_fingerprints",
            "cipher_suites",
            "failed_jwk_key_cooldown",
            "leeway",
        ]);
        for name in fields.rest() {
            auth.note(format!("{} is not carried over", excerpt(name)));
        }
        for place in places {
            let made_of = format!("{jwt}{place}|{}", guarded.passes_token);
            guards.auth.push(self.authenticator(
                &made_of,
                &jwt,
                &place,
                guarded.passes_token,
                &auth,
            ));
        }
    }

    /// The name of the authenticator that is made of this.
    fn authenticator(
        &mut self,
        made_of: &str,
        jwt: &str,
        place: &str,
        passes: bool,
        like: &Block,
    ) -> String {
        if let Some((_, name, _)) = self
            .authenticators
            .iter()
            .find(|(known, ..)| known == made_of)
        {
            return name.clone();
        }
        let is_taken = |name: &str| {
            self.authenticators
                .iter()
                .any(|(_, known, _)| known == name)
        };
        let name = cel::unused("jwt", '-', is_taken);
        let mut block = like.copy_of_notes();
        block.line(format!("[auth.{name}]"));
        block.line(format!("jwt = {{ {jwt}{place} }}"));
        if passes {
            block.line("pass_credential = true");
        }
        self.authenticators
            .push((made_of.to_owned(), name.clone(), block));
        name
    }

    /// `qos/ratelimit/router`, and `qos/ratelimit/service` alike: one counter for all, one for each
    /// client.
    pub(super) fn router(
        &mut self,
        fields: &Fields<'_>,
        slug: &str,
        block: &mut Block,
    ) -> Vec<String> {
        let rate = |count, capacity| Rate::read(fields, count, capacity);
        let mut names = Vec::new();
        if let Some(rate) = rate("max_rate", "capacity") {
            let by = Some("'all'".to_owned());
            names.extend(self.limit(&format!("{slug}-all"), rate, by, block));
        }
        if let Some(rate) = rate("client_max_rate", "client_capacity") {
            let key = fields.text("key").unwrap_or_default();
            let by = match fields.text("strategy").unwrap_or("ip") {
                "header" => Some(cel::field("headers", &key.to_ascii_lowercase())),
                "param" => {
                    block.note("rate limit by `param`: counted by the whole path");
                    Some("request.path".to_owned())
                }
                _ => {
                    if !key.is_empty() {
                        block.note("rate limit by address: name the proxies in front in `[server] trusted_proxies`, so that the client's address is known");
                    }
                    None
                }
            };
            names.extend(self.limit(&format!("{slug}-client"), rate, by, block));
        }
        fields.skip(&["cleanup_period", "cleanup_threads", "num_shards"]);
        for name in fields.rest() {
            block.note(format!("rate limit: {} is not carried over", excerpt(name)));
        }
        names
    }

    /// A limit, by name; none where there is no such rate, which is said.
    pub(super) fn limit(
        &mut self,
        name: &str,
        rate: Rate<'_>,
        by: Option<String>,
        block: &mut Block,
    ) -> Option<String> {
        let Rate {
            count,
            every,
            capacity,
        } = rate;
        let Some((rate, exact)) = go::rate(count, every) else {
            block.note(format!(
                "a rate of {count} in {} cannot be said here",
                excerpt(every.unwrap_or("1s"))
            ));
            return None;
        };
        let is_taken = |name: &str| self.limits.iter().any(|(known, _)| known == name);
        let name = cel::unused(name, '-', is_taken);
        let mut limit = Block::new(format!("rate limit {name}"));
        if !exact {
            limit.note(format!(
                "{count} in {} is rounded down to {rate}",
                excerpt(every.unwrap_or("1s"))
            ));
        }
        limit.line(format!("[limits.{name}]"));
        limit.text("rate", &rate);
        let given = capacity
            .filter(|it| *it >= 1.0)
            .and_then(|it| go::capacity(it, None));
        if let Some(burst) = given.or_else(|| go::capacity(count, every))
            && rate != format!("{burst}/s")
        {
            limit.line(format!("burst = {}", burst.min(u64::from(u32::MAX))));
        }
        if let Some(by) = by {
            limit.text("by", &by);
        }
        self.limits.push((name.clone(), limit));
        Some(name)
    }
}

/// The one plugin that has a counterpart: `ip-filter`.
fn addresses(plugin: &Fields<'_>, guards: &mut Guards, block: &mut Block) {
    if let Some(filter) = plugin.object("ip-filter") {
        let networks = filter.texts("CIDR");
        if filter.flag("allow") {
            guards.ip_allow = networks;
        } else {
            guards.ip_deny = networks;
        }
    }
    for name in plugin
        .texts("name")
        .iter()
        .filter(|name| *name != "ip-filter")
    {
        block.note(format!(
            "the plugin {} is not carried over: there are no plugins",
            excerpt(name)
        ));
    }
}

/// Nobody may ask until somebody has looked.
fn close(guards: &mut Guards, block: &mut Block, why: &str) {
    block.note(format!(
        "closed, 403 for everybody: {why}. Say in `allow` who may ask"
    ));
    guards.allow.insert(0, "false".to_owned());
}

/// What the claims must be, and where they go.
fn demands(fields: &Fields<'_>, guards: &mut Guards, block: &mut Block) {
    let claim = |key: &str, nested: bool| {
        if nested {
            target::claims(key)
        } else {
            cel::field("claims", key)
        }
    };
    let roles = fields.texts("roles");
    let key = fields.text("roles_key").unwrap_or("roles");
    let nested = fields.flag("roles_key_is_nested");
    if !roles.is_empty() {
        let claim = claim(key, nested);
        guards.allow.push(format!(
            "{}.exists(role, role in {claim})",
            cel::texts(&roles)
        ));
    }
    let scopes = fields.texts("scopes");
    let key = fields.text("scopes_key").unwrap_or("scope");
    let all = fields.text("scopes_matcher") == Some("all");
    if !scopes.is_empty() {
        let claim = claim(key, true);
        let held = format!("type({claim}) == string ? {claim}.split(' ') : {claim}");
        let every = if all { "all" } else { "exists" };
        guards.allow.push(format!(
            "cel.bind(held, {held}, {}.{every}(scope, scope in held))",
            cel::texts(&scopes)
        ));
    }
    for pair in fields.objects("propagate_claims") {
        let pair: Vec<&str> = pair
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it.as_str())
            .collect();
        if let [claim, header] = pair.as_slice() {
            let value = format!("{{default({}, '')}}", target::claims(claim));
            guards.headers.push((header.to_ascii_lowercase(), value));
        } else {
            block.note("`propagate_claims`: a pair is not a claim and a header");
        }
    }
}

/// The keys of `jwt` in the file: whose tokens, for whom, signed how.
fn token(fields: &Fields<'_>, auth: &mut Block) -> String {
    let mut keys: Vec<String> = Vec::new();
    if let Some(issuer) = fields.text("issuer") {
        keys.push(format!("issuer = {}", quoted(issuer)));
    }
    let audience = fields.texts("audience");
    if !audience.is_empty() {
        keys.push(format!("audience = {}", list(&audience)));
    }
    let algorithm = fields.text("alg").unwrap_or("RS256");
    let is_shared = algorithm.starts_with("HS");
    if is_shared {
        auth.note(format!(
            "{}: the shared secret is not in the file. Nobody is admitted until it is here: put \
             `algorithms = [\"...\"], secret = \"${{file:...}}\"` in the place of `jwks` or `keys`",
            excerpt(algorithm)
        ));
    } else {
        keys.push(format!("algorithms = [{}]", quoted(algorithm)));
    }
    match (fields.text("jwk_url"), fields.text("jwk_local_path")) {
        (Some(url), _) => keys.push(format!("jwks = {}", quoted(url))),
        (None, Some(path)) if !is_shared => keys.push(format!("keys = {}", quoted(path))),
        (None, _) => {
            if !is_shared {
                auth.note("no key set is named: nobody is admitted until `jwks` says where it is");
            }
            keys.push("jwks = \"https://keys.invalid/jwks.json\"".to_owned());
        }
    }
    keys.join(", ")
}

/// A name for what belongs to a path: `/v1/users/{id}` is `v1-users-id`.
pub(super) fn slug(path: &str) -> String {
    let sign = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let text: String = literal(path).chars().map(sign).collect();
    let words: Vec<&str> = text.split('-').filter(|word| !word.is_empty()).collect();
    let joined: String = words.join("-").chars().take(40).collect();
    if joined.is_empty() {
        "root".to_owned()
    } else {
        joined.trim_matches('-').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(extra: &Value) -> (Guards, String) {
        let mut registry = Registry::default();
        let parameters = ["id".to_owned()];
        let guarded = Guarded {
            slug: slug("/users/{id}"),
            parameters: &parameters,
            passes_token: false,
        };
        let mut block = Block::new("here");
        let guards = registry.read(&Fields::new(Some(extra)), &guarded, &mut block);
        (guards, format!("{:?} {block:?}", registry.blocks()))
    }

    #[test]
    fn a_validator_is_an_authenticator_and_what_its_claims_must_be() {
        let (guards, made) = read(&json!({"auth/validator": {
            "alg": "ES256", "issuer": "https://id/", "audience": ["a"], "jwk_url": "https://id/jwks",
            "roles": ["x"], "roles_key": "https://a.b/roles",
            "scopes": ["r"], "scopes_matcher": "all",
            "propagate_claims": [["sub", "X-User"]]
        }}));
        assert_eq!(guards.auth, ["jwt"]);
        assert_eq!(
            guards.allow,
            [
                "['x'].exists(role, role in claims['https://a.b/roles'])",
                "cel.bind(held, type(claims.scope) == string ? claims.scope.split(' ') : claims.scope, \
                 ['r'].all(scope, scope in held))",
            ]
        );
        assert_eq!(
            guards.headers,
            [("x-user".to_owned(), "{default(claims.sub, '')}".to_owned())]
        );
        assert!(made.contains("algorithms = ["), "{made}");
    }

    #[test]
    fn a_shared_secret_that_is_not_there_admits_nobody() {
        let (guards, made) =
            read(&json!({"auth/validator": {"alg": "HS256", "jwk_url": "http://id/jwks"}}));
        assert_eq!(guards.auth, ["jwt"]);
        assert!(!made.contains("algorithms = [\\\"HS256"), "{made}");
        assert!(made.contains("Nobody is admitted"), "{made}");
    }

    #[test]
    fn what_guarded_and_cannot_be_carried_over_closes_the_route() {
        for extra in [
            json!({"auth/api-keys": {"roles": ["a"]}}),
            json!({"security/policies": {}}),
            json!({"validation/cel": [{"check_expr": "resp_data.a == 1"}]}),
        ] {
            let (guards, _) = read(&extra);
            assert_eq!(
                guards.allow.first().map(String::as_str),
                Some("false"),
                "{extra}"
            );
        }
        let (guards, _) = read(
            &json!({"documentation/openapi": {}, "validation/cel": [{"check_expr": "req_method == 'GET'"}]}),
        );
        assert_eq!(guards.allow, ["(request.method == 'GET')"]);
    }

    #[test]
    fn both_counters_of_an_endpoint_become_limits() {
        let (guards, made) = read(&json!({"qos/ratelimit/router": {
            "max_rate": 50, "client_max_rate": 5, "every": "10m", "client_capacity": 5,
            "strategy": "header", "key": "X-Key"
        }}));
        assert_eq!(guards.limits, ["users-id-all", "users-id-client"]);
        for part in [
            "5/min",
            "30/h",
            "burst = 1",
            "burst = 5",
            "headers['x-key']",
            "'all'",
        ] {
            assert!(made.contains(part), "{part}: {made}");
        }
    }
}
