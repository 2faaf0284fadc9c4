//! Which changes of a key let more in, and which let less.

use super::compare::{Change, Effect};
use crate::config::facts::{Fact, Kind, Scalar};

/// What it means when a key says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Each member admits; none at all admits all.
    Admits(&'static str),
    /// Each member admits; none admits nobody.
    Grants(&'static str),
    /// Each member is one more demand.
    Demands(&'static str),
    /// A demand: without it more is admitted; another may admit others.
    Condition(&'static str),
    /// More of it is more; nothing is all there could be.
    Bound(&'static str),
    /// More of it is more; nothing is none.
    Allowance(&'static str),
    /// True admits more.
    Permits(&'static str),
    /// True admits less.
    Insists(&'static str),
    /// The older, the weaker.
    Oldest(&'static str),
    /// From where trust comes: another is another trust.
    Trust(&'static str),
    /// `https` is better than `http`.
    Schemes,
}

/// Every key that has to do with who may do what, and how much of it. `*` is one name.
pub(super) const RULES: &[(Kind, &str, Rule)] = &[
    (
        Kind::Server,
        "trusted_proxies",
        Rule::Grants("peers whose forwarding fields are believed"),
    ),
    (Kind::Server, "max_connections", Rule::Bound("connections")),
    (Kind::Listener, "tls", Rule::Condition("encryption")),
    (
        Kind::Listener,
        "tls.client_ca",
        Rule::Condition("certificates of clients"),
    ),
    (
        Kind::Listener,
        "tls.min_version",
        Rule::Oldest("the oldest version of TLS"),
    ),
    (
        Kind::Listener,
        "redirect",
        Rule::Condition("the redirect to https"),
    ),
    (
        Kind::Listener,
        "limits.header_bytes",
        Rule::Bound("bytes of a request head"),
    ),
    (
        Kind::Listener,
        "limits.headers",
        Rule::Bound("fields of a request"),
    ),
    (
        Kind::Listener,
        "limits.header_time",
        Rule::Bound("the time for a request head"),
    ),
    (
        Kind::Listener,
        "limits.body_bytes",
        Rule::Bound("bytes of a request body"),
    ),
    (
        Kind::Listener,
        "limits.body_time",
        Rule::Bound("the time for a piece of a body"),
    ),
    (
        Kind::Listener,
        "limits.idle",
        Rule::Bound("the time between requests"),
    ),
    (
        Kind::Listener,
        "limits.streams",
        Rule::Bound("requests at once on a connection"),
    ),
    (Kind::Admin, "token", Rule::Condition("the token")),
    (Kind::Admin, "address", Rule::Trust("another address")),
    (Kind::Upstream, "endpoints", Rule::Schemes),
    (
        Kind::Upstream,
        "tls.ca",
        Rule::Trust("endpoints are trusted by another authority"),
    ),
    (
        Kind::Upstream,
        "tls.server_name",
        Rule::Trust("endpoints are verified by another name"),
    ),
    (
        Kind::Upstream,
        "max_connections",
        Rule::Bound("connections"),
    ),
    (
        Kind::Upstream,
        "max_requests",
        Rule::Bound("requests at once"),
    ),
    (
        Kind::Authenticator,
        "pass_credential",
        Rule::Permits("the upstream gets the credential"),
    ),
    (
        Kind::Authenticator,
        "jwt.issuer",
        Rule::Condition("the issuer"),
    ),
    (
        Kind::Authenticator,
        "jwt.audience",
        Rule::Admits("audiences"),
    ),
    (
        Kind::Authenticator,
        "jwt.algorithms",
        Rule::Grants("algorithms"),
    ),
    (
        Kind::Authenticator,
        "jwt.keys",
        Rule::Trust("keys come from elsewhere"),
    ),
    (
        Kind::Authenticator,
        "jwt.jwks",
        Rule::Trust("keys come from elsewhere"),
    ),
    (
        Kind::Authenticator,
        "jwt.discovery",
        Rule::Trust("keys come from elsewhere"),
    ),
    (
        Kind::Authenticator,
        "jwt.leeway",
        Rule::Allowance("the time for which a token counts after its end"),
    ),
    (
        Kind::Authenticator,
        "jwt.cache",
        Rule::Allowance("the time for which a token is believed unseen"),
    ),
    (
        Kind::Authenticator,
        "jwt.required",
        Rule::Demands("claims that must be there"),
    ),
    (Kind::Authenticator, "api_key.keys.*", Rule::Grants("keys")),
    (
        Kind::Authenticator,
        "api_key.keys.*.sha256",
        Rule::Trust("another key"),
    ),
    (
        Kind::Authenticator,
        "api_key.keys.*.claims",
        Rule::Trust("other claims"),
    ),
    (
        Kind::Authenticator,
        "api_key.file",
        Rule::Trust("keys come from elsewhere"),
    ),
    (Kind::Authenticator, "basic.users.*", Rule::Grants("users")),
    (
        Kind::Authenticator,
        "basic.users.*.argon2",
        Rule::Trust("another password"),
    ),
    (
        Kind::Authenticator,
        "basic.file",
        Rule::Trust("users come from elsewhere"),
    ),
    (Kind::Limit, "rate", Rule::Bound("the rate")),
    (Kind::Limit, "burst", Rule::Bound("the burst")),
    (Kind::Limit, "concurrency", Rule::Bound("requests at once")),
    (Kind::Limit, "by", Rule::Trust("counted by something else")),
    (Kind::Route, "path", Rule::Trust("another path is answered")),
    (Kind::Route, "methods", Rule::Admits("methods")),
    (Kind::Route, "hosts", Rule::Admits("hosts")),
    (Kind::Route, "when", Rule::Condition("the condition")),
    (Kind::Route, "auth", Rule::Admits("authenticators")),
    (
        Kind::Route,
        "allow",
        Rule::Condition("the condition on callers"),
    ),
    (Kind::Route, "limits", Rule::Demands("limits")),
    (Kind::Route, "ip_allow", Rule::Admits("addresses")),
    (Kind::Route, "ip_deny", Rule::Demands("addresses")),
    (
        Kind::Route,
        "body_bytes",
        Rule::Bound("bytes of a request body"),
    ),
    (
        Kind::Route,
        "content_types",
        Rule::Admits("types of a request body"),
    ),
    (
        Kind::Route,
        "content_types.*",
        Rule::Bound("bytes of a body of this type"),
    ),
    (Kind::Route, "validate", Rule::Condition(SCHEMA)),
    (Kind::Route, "validate.schema", Rule::Condition(SCHEMA)),
    (Kind::Route, "validate.formats", Rule::Insists("formats")),
    (Kind::Route, "steps.*.forward", Rule::Grants(FORWARDED)),
    (Kind::Flow, "steps.*.forward", Rule::Grants(FORWARDED)),
    (Kind::Route, "response.forward", Rule::Grants(RETURNED)),
    (Kind::Flow, "response.forward", Rule::Grants(RETURNED)),
    (
        Kind::Route,
        "steps.*.cache.key",
        Rule::Condition(TOLD_APART),
    ),
    (Kind::Flow, "steps.*.cache.key", Rule::Condition(TOLD_APART)),
    (
        Kind::Route,
        "steps.*.cache.ignore_cache_control",
        Rule::Permits(KEPT_ANYWAY),
    ),
    (
        Kind::Flow,
        "steps.*.cache.ignore_cache_control",
        Rule::Permits(KEPT_ANYWAY),
    ),
];

const SCHEMA: &str = "the schema of bodies";
const FORWARDED: &str = "fields of the client that the upstream gets";
const RETURNED: &str = "fields of the upstream that the client gets";
const TOLD_APART: &str = "what tells kept parts apart";
const KEPT_ANYWAY: &str = "parts are kept whatever their upstream says of it";

/// The rule of a key, if it has one.
pub(super) fn rule(kind: Kind, key: &str) -> Option<Rule> {
    RULES
        .iter()
        .find(|(of, pattern, _)| *of == kind && names(pattern, key))
        .map(|(_, _, rule)| *rule)
}

/// Whether `pattern` names `key`; the names of things may hold dots, so `*` takes what it can.
pub(super) fn names(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((before, after)) => key
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|name| !name.is_empty() && (!after.is_empty() || !name.contains('.'))),
    }
}

impl Rule {
    /// What a change comes to, and why.
    pub(super) fn judge(self, before: Option<&Fact>, after: Option<&Fact>) -> (Effect, String) {
        match self {
            Self::Admits(what) => admits(what, before, after),
            Self::Grants(what) => members(what, before, after, (Effect::Widened, Effect::Narrowed)),
            Self::Demands(what) => {
                members(what, before, after, (Effect::Narrowed, Effect::Widened))
            }
            Self::Condition(what) => match (before, after) {
                (Some(_), None) => (Effect::Widened, format!("{what}: no longer asked for")),
                (None, _) => (Effect::Narrowed, format!("{what}: now asked for")),
                _ => (
                    Effect::Widened,
                    format!("{what}: another, which may admit others"),
                ),
            },
            Self::Bound(what) => bound(what, before, after, true),
            Self::Allowance(what) => bound(what, before, after, false),
            Self::Permits(what) => flag(what, after, (Effect::Widened, Effect::Narrowed)),
            Self::Insists(what) => flag(what, after, (Effect::Narrowed, Effect::Widened)),
            Self::Oldest(what) => oldest(what, before, after),
            Self::Trust(what) => (Effect::Widened, what.to_owned()),
            Self::Schemes => schemes(before, after),
        }
    }
}

fn set(fact: Option<&Fact>) -> Vec<&Scalar> {
    match fact {
        None | Some(Fact::Given) => Vec::new(),
        Some(Fact::One(one)) => vec![one],
        Some(Fact::Many(many)) => many.iter().collect(),
    }
}

/// A list of which none means all.
fn admits(what: &str, before: Option<&Fact>, after: Option<&Fact>) -> (Effect, String) {
    match (set(before).is_empty(), set(after).is_empty()) {
        (false, true) => (Effect::Widened, format!("{what}: any")),
        (true, false) => (Effect::Narrowed, format!("{what}: no longer any")),
        _ => members(what, before, after, (Effect::Widened, Effect::Narrowed)),
    }
}

/// A list that has gained or lost members. What is gained and what is lost at once is told as the
/// wider of the two.
fn members(
    what: &str,
    before: Option<&Fact>,
    after: Option<&Fact>,
    (more, fewer): (Effect, Effect),
) -> (Effect, String) {
    if before == Some(&Fact::Given) || after == Some(&Fact::Given) {
        return match after {
            Some(_) => (more, format!("{what}: one more")),
            None => (fewer, format!("{what}: one fewer")),
        };
    }
    let (old, new) = (set(before), set(after));
    let gained: Vec<&str> = missing(&new, &old);
    let lost: Vec<&str> = missing(&old, &new);
    let mut told = Vec::new();
    if !gained.is_empty() {
        told.push(format!("gained {}", gained.join(", ")));
    }
    if !lost.is_empty() {
        told.push(format!("lost {}", lost.join(", ")));
    }
    let effect = match (gained.is_empty(), lost.is_empty()) {
        (false, true) => more,
        (true, false) => fewer,
        _ => Effect::Widened,
    };
    (effect, format!("{what}: {}", told.join(", ")))
}

fn missing<'a>(all: &[&'a Scalar], known: &[&Scalar]) -> Vec<&'a str> {
    all.iter()
        .filter(|one| !known.contains(*one))
        .map(|one| one.shown())
        .collect()
}

fn amount(fact: Option<&Fact>) -> Option<u64> {
    match fact {
        Some(Fact::One(scalar)) => scalar.amount,
        _ => None,
    }
}

/// Where `endless`, no number is more than any.
fn bound(
    what: &str,
    before: Option<&Fact>,
    after: Option<&Fact>,
    endless: bool,
) -> (Effect, String) {
    let rank = |fact: Option<&Fact>| match (fact, endless) {
        (None, true) => Some(u64::MAX),
        (None, false) => Some(0),
        (fact, _) => amount(fact),
    };
    match (rank(before), rank(after)) {
        (Some(before), Some(after)) if after > before => (Effect::Widened, format!("{what}: more")),
        (Some(before), Some(after)) if after < before => {
            (Effect::Narrowed, format!("{what}: less"))
        }
        _ => (Effect::Changed, what.to_owned()),
    }
}

fn flag(what: &str, after: Option<&Fact>, (on, off): (Effect, Effect)) -> (Effect, String) {
    if matches!(after, Some(Fact::One(scalar)) if scalar.shown() == "true") {
        (on, what.to_owned())
    } else {
        (off, format!("no longer: {what}"))
    }
}

fn oldest(what: &str, before: Option<&Fact>, after: Option<&Fact>) -> (Effect, String) {
    let text = |fact| set(fact).first().map(|version| version.shown().to_owned());
    match (text(before), text(after)) {
        (Some(before), Some(after)) if after > before => {
            (Effect::Narrowed, format!("{what}: newer"))
        }
        (None, Some(_)) => (Effect::Changed, what.to_owned()),
        _ => (Effect::Widened, format!("{what}: older")),
    }
}

/// Endpoints come and go; that some are spoken to in the clear is another matter.
fn schemes(before: Option<&Fact>, after: Option<&Fact>) -> (Effect, String) {
    let plain = |fact| {
        set(fact)
            .iter()
            .any(|endpoint| endpoint.shown().starts_with("http://"))
    };
    let (_, told) = members(
        "endpoints",
        before,
        after,
        (Effect::Changed, Effect::Changed),
    );
    if plain(after) && !plain(before) {
        (Effect::Widened, format!("{told}; no longer all by https"))
    } else {
        (Effect::Changed, told)
    }
}

/// What a thing that is new, or gone, comes to.
pub(super) fn of_whole(kind: Kind, gained: bool) -> (Effect, &'static str) {
    match (kind, gained) {
        (Kind::Route, true) => (Effect::Widened, "answers what was not answered so before"),
        (Kind::Route, false) => (
            Effect::Narrowed,
            "is answered no longer, or by another route",
        ),
        (Kind::Listener, true) => (Effect::Widened, "clients are served at one more address"),
        (Kind::Listener, false) => (Effect::Narrowed, "nobody is served here any longer"),
        (Kind::Admin, true) => (Effect::Widened, "operators are served"),
        (Kind::Admin, false) => (Effect::Narrowed, "operators are served no longer"),
        (_, true) => (Effect::Gained, "is new"),
        (_, false) => (Effect::Lost, "is gone"),
    }
}

impl Change {
    /// A change of one key.
    pub(super) fn of_key(
        (kind, name): (Kind, &str),
        key: &str,
        (before, after): (Option<&Fact>, Option<&Fact>),
    ) -> Self {
        let (effect, why) = match rule(kind, key) {
            Some(rule) => rule.judge(before, after),
            None => (Effect::Changed, String::new()),
        };
        Self {
            kind,
            name: name.to_owned(),
            key: Some(key.to_owned()),
            effect,
            why,
            before: before.map(shown),
            after: after.map(shown),
        }
    }
}

fn shown(fact: &Fact) -> String {
    match fact {
        Fact::Given => "given".to_owned(),
        Fact::One(scalar) => scalar.shown().to_owned(),
        Fact::Many(many) => {
            let members: Vec<&str> = many.iter().map(Scalar::shown).collect();
            format!("[{}]", members.join(", "))
        }
    }
}
