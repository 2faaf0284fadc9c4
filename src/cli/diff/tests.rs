//! Files against each other: what is told, and what is not.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::compare::{Effect, compare};
use super::rules::{RULES, names};
use super::{as_json, as_text};
use crate::config::facts::facts;

const BEFORE: &str = r#"
[server]
trusted_proxies = ["10.0.0.0/8"]

[[listen]]
address = "127.0.0.1:8443"
tls = { development = true }
limits = { body_bytes = "1MiB" }

[admin]
address = "127.0.0.1:9900"
token = "0123456789abcdef0123456789abcdef"

[upstreams.users]
endpoints = ["https://10.0.0.1:8080"]

[auth.customers]
jwt = { issuer = "https://id.example.com/", audience = ["shop"], algorithms = ["ES256"], jwks = "https://id.example.com/jwks" }

[auth.partners]
api_key = { header = "x-key", keys = [{ name = "one", sha256 = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90" }] }

[limits.few]
rate = "10/min"
burst = 10
by = "request.ip"

[[routes]]
path = "/users/{id}"
methods = ["GET"]
hosts = ["a.example.com"]
auth = "customers"
allow = "claims.sub == path.id"
limits = "few"
ip_allow = ["192.0.2.0/24"]
ip_deny = ["192.0.2.7"]
body_bytes = "1KiB"
timeout = "1s"
upstream = "users"

[[routes]]
path = "/partners"
auth = ["partners", "customers"]
upstream = "users"
"#;

struct Files(TempDir);

impl Files {
    fn new(old: &str, new: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.toml"), old).unwrap();
        fs::write(folder.path().join("new.toml"), new).unwrap();
        Self(folder)
    }

    fn changes(&self) -> Vec<super::Change> {
        let [old, new] = ["old.toml", "new.toml"]
            .map(|name| facts(&self.0.path().join(name)).unwrap_or_else(|it| panic!("{it}")));
        compare(&old, &new)
    }
}

/// Key and effect of each change.
fn told(old: &str, new: &str) -> Vec<(String, Effect)> {
    let key = |change: super::Change| (change.key.unwrap_or_default(), change.effect);
    Files::new(old, new)
        .changes()
        .into_iter()
        .map(key)
        .collect()
}

/// Replaces `from` by `to` and back: what is told of each.
#[track_caller]
fn both_ways(from: &str, to: &str, key: &str, (there, back): (Effect, Effect)) {
    let after = BEFORE.replace(from, to);
    assert_ne!(after, BEFORE, "{from}");
    assert_eq!(told(BEFORE, &after), [(key.to_owned(), there)], "{to}");
    assert_eq!(told(&after, BEFORE), [(key.to_owned(), back)], "{to}");
}

/// What is replaced by what, and the key of which that is told; none where it means nothing.
const WIDENED: &[(&str, &str, &str)] = &[
    ("auth = [\"partners\", \"customers\"]\n", "", "auth"),
    (
        "auth = \"customers\"\n",
        "auth = [\"customers\", \"partners\"]\n",
        "auth",
    ),
    ("limits = \"few\"\n", "", "limits"),
    (
        "tls = { development = true }",
        "tls = { development = true, min_version = \"1.2\" }",
        "",
    ),
    ("ip_allow = [\"192.0.2.0/24\"]\n", "", "ip_allow"),
    (
        "[\"192.0.2.0/24\"]",
        "[\"192.0.2.0/24\", \"198.51.100.0/24\"]",
        "ip_allow",
    ),
    ("ip_deny = [\"192.0.2.7\"]\n", "", "ip_deny"),
    (
        "body_bytes = \"1KiB\"\n",
        "body_bytes = \"2KiB\"\n",
        "body_bytes",
    ),
    ("body_bytes = \"1KiB\"\n", "", "body_bytes"),
    ("hosts = [\"a.example.com\"]\n", "", "hosts"),
    (
        "[\"a.example.com\"]",
        "[\"a.example.com\", \"b.example.com\"]",
        "hosts",
    ),
    ("rate = \"10/min\"", "rate = \"1/s\"", "rate"),
    ("burst = 10", "burst = 11", "burst"),
    (
        "trusted_proxies = [\"10.0.0.0/8\"]",
        "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]",
        "trusted_proxies",
    ),
    (
        "body_bytes = \"1MiB\"",
        "body_bytes = \"2MiB\"",
        "limits.body_bytes",
    ),
    ("tls = { development = true }\n", "", "tls"),
    (
        "token = \"0123456789abcdef0123456789abcdef\"\n",
        "",
        "token",
    ),
    ("audience = [\"shop\"], ", "", "jwt.audience"),
    ("[\"ES256\"]", "[\"ES256\", \"RS256\"]", "jwt.algorithms"),
    (
        "algorithms = [\"ES256\"]",
        "algorithms = [\"ES256\"], required = []",
        "jwt.required",
    ),
    ("x-key\", keys", "x-key\" , keys", ""),
];

#[test]
fn what_lets_more_in_is_told_as_widened_and_its_contrary_as_narrowed() {
    const WIDER: (Effect, Effect) = (Effect::Widened, Effect::Narrowed);
    for (from, to, key) in WIDENED.iter().copied() {
        if key.is_empty() {
            assert_eq!(told(BEFORE, &BEFORE.replace(from, to)), []);
            continue;
        }
        both_ways(from, to, key, WIDER);
    }
    // A route without a name of its own is the same route with another method.
    both_ways(
        "methods = [\"GET\"]",
        "methods = [\"GET\", \"PUT\"]",
        "methods",
        WIDER,
    );
}

#[test]
fn what_may_let_others_in_is_told_both_ways() {
    const EITHER: (Effect, Effect) = (Effect::Widened, Effect::Widened);
    for (from, to, key) in [
        ("claims.sub == path.id", "claims.sub != path.id", "allow"),
        ("id.example.com/jwks", "id.example.org/jwks", "jwt.jwks"),
        ("by = \"request.ip\"", "by = \"request.host\"", "by"),
        ("2bd806c9", "3bd806c9", "api_key.keys.one.sha256"),
    ] {
        both_ways(from, to, key, EITHER);
    }
    const CHANGED: (Effect, Effect) = (Effect::Changed, Effect::Changed);
    both_ways("timeout = \"1s\"", "timeout = \"2s\"", "timeout", CHANGED);
    let weaker = ("https://10.0.0.1:8080", "http://10.0.0.1:8080");
    both_ways(
        weaker.0,
        weaker.1,
        "endpoints",
        (Effect::Widened, Effect::Changed),
    );
}

#[test]
fn what_is_new_or_gone_is_told_once() {
    let route = "[[routes]]\npath = \"/new\"\nupstream = \"users\"\n";
    let after = format!("{BEFORE}\n{route}");
    let changes = Files::new(BEFORE, &after).changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].effect, Effect::Widened);
    assert!(
        changes[0].why.ends_with("for anybody"),
        "{}",
        changes[0].why
    );
    assert_eq!(told(&after, BEFORE), [(String::new(), Effect::Narrowed)]);
    let guarded = after.replace("\"/new\"\n", "\"/new\"\nauth = \"customers\"\n");
    let changes = Files::new(BEFORE, &guarded).changes();
    assert!(!changes[0].why.contains("anybody"), "{}", changes[0].why);
}

#[test]
fn secrets_are_compared_and_never_shown() {
    let after = BEFORE.replace(
        "0123456789abcdef0123456789abcdef",
        "fedcba9876543210fedcba9876543210",
    );
    let changes = Files::new(BEFORE, &after).changes();
    assert_eq!(changes.len(), 1, "{}", as_text(&changes));
    for shown in [as_text(&changes), as_json(&changes).to_string()] {
        assert!(!shown.contains("cdef"), "{shown}");
        assert!(shown.contains("token"), "{shown}");
    }
}

#[test]
fn spelling_says_nothing() {
    let after = BEFORE
        .replace("\"1s\"", "\"1000ms\"")
        .replace("\"1MiB\"", "\"1024KiB\"")
        .replace("claims.sub == path.id", "claims.sub==path.id")
        .replace("a.example.com", "A.example.com")
        .replace(
            "[\"partners\", \"customers\"]",
            "[\"customers\", \"partners\"]",
        )
        .replace("upstream = \"users\"\n", "upstream = \"users\" # as ever\n")
        .replace("burst = 10\n", "");
    assert_eq!(told(BEFORE, &after), []);
}

/// A route that takes a body and passes fields on.
fn taking(route: &str, step: &str) -> String {
    format!(
        "[[listen]]\naddress = '127.0.0.1:8080'\n[upstreams]\nu = {{ endpoints = ['http://127.0.0.1:9101'] }}\n\
         [[routes]]\npath = '/a'\nmethods = ['POST']\n{route}\nsteps.s = {{ call = 'GET u:/', {step} }}\n"
    )
}

#[test]
fn what_bodies_may_be_and_what_flows_pass_on_lets_more_in_or_less() {
    use Effect::{Narrowed, Widened};
    for (before, after, key, there, back) in [
        (
            ("", ""),
            ("content_types = ['application/json']", ""),
            "content_types",
            Narrowed,
            Widened,
        ),
        (
            ("content_types = { 'application/json' = '1KiB' }", ""),
            ("content_types = { 'application/json' = '2KiB' }", ""),
            "content_types.application/json",
            Widened,
            Narrowed,
        ),
        (
            ("", ""),
            ("", "forward = 'accept-language'"),
            "steps.s.forward",
            Widened,
            Narrowed,
        ),
        (
            ("response.merge = 'nest'", ""),
            ("response = { merge = 'nest', forward = 'set-cookie' }", ""),
            "response.forward",
            Widened,
            Narrowed,
        ),
        (
            ("", "cache = { ttl = '1m' }"),
            ("", "cache = { ttl = '1m', ignore_cache_control = true }"),
            "steps.s.cache.ignore_cache_control",
            Widened,
            Narrowed,
        ),
        (
            ("", "cache = { ttl = '1m' }"),
            ("", "cache = { ttl = '1m', key = 'headers.x' }"),
            "steps.s.cache.key",
            Narrowed,
            Widened,
        ),
    ] {
        let (before, after) = (taking(before.0, before.1), taking(after.0, after.1));
        for (old, new, effect) in [(&before, &after, there), (&after, &before, back)] {
            let told = told(old, new);
            assert!(told.contains(&(key.to_owned(), effect)), "{new}: {told:?}");
        }
    }
}

#[test]
fn every_rule_is_about_a_key_that_there_is() {
    let catalogue = crate::config::facts::every_key();
    for (kind, pattern, _) in RULES {
        let known = catalogue
            .iter()
            .any(|(of, key)| of == kind && (key == pattern || names(pattern, key)));
        assert!(known, "{} {pattern}", kind.word());
    }
}

#[test]
fn a_file_means_what_it_means() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["routes.toml", "tests/configs/good/minimal.toml"] {
        let facts = facts(&root.join(file)).unwrap_or_else(|it| panic!("{it}"));
        assert!(!facts.is_empty());
        assert_eq!(compare(&facts, &facts), []);
        assert_eq!(as_text(&[]), "the files mean the same");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn order_says_nothing(seed in prop::collection::vec(any::<u32>(), 16)) {
        // Sections start at a line of their own.
        let mut sections: Vec<&str> = BEFORE.split("\n\n").collect();
        for (at, random) in seed.iter().enumerate() {
            let (one, other) = (at % sections.len(), *random as usize % sections.len());
            sections.swap(one, other);
        }
        prop_assert_eq!(told(BEFORE, &sections.join("\n\n")), []);
    }
}
