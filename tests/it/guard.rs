//! Who may ask, and how much.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::client::request;
use crate::support::tokens::{Signer, claims, in_seconds, sign_hs256, unsigned};
use crate::support::{Answer, Gate, TestGateway, Upstream, eventually};

/// A route behind tokens of the tests' issuer, whose key set is at `jwks`.
fn gateway(jwks: &str, backend: &Upstream) -> TestGateway {
    TestGateway::start(&format!(
        r#"
        [auth.customers]
        jwt = {{ issuer = "https://id.test/", audience = "shop", algorithms = ["ES256"], leeway = "5s", jwks = "{jwks}" }}

        [upstreams.u]
        endpoints = ["{}"]

        [[routes]]
        path = "/{{user}}"
        auth = "customers"
        allow = "claims.sub == path.user"
        upstream = "u"
        headers = {{ x-customer = "{{claims.sub}}" }}
        "#,
        backend.url()
    ))
}

struct Scene {
    signer: Signer,
    identity: Upstream,
    backend: Upstream,
    gateway: TestGateway,
}

impl Scene {
    fn new() -> Self {
        let signer = Signer::new("one");
        let identity = Upstream::saying(Answer::json(&signer.jwks()));
        let backend = Upstream::saying(Answer::json("{}"));
        let gateway = gateway(&identity.url(), &backend);
        let scene = Self {
            signer,
            identity,
            backend,
            gateway,
        };
        let token = scene.signer.sign(&claims("ada"));
        eventually("the key set is there", || scene.status(&token) == 200);
        scene
    }

    fn status(&self, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        self.gateway
            .ask("GET", "/ada", &[("authorization", &bearer)], b"")
            .status
    }
}

fn with(key: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims("ada");
    claims[key] = value.into();
    claims
}

#[test]
fn a_good_token_admits_its_caller_and_goes_no_further() {
    let scene = Scene::new();
    let seen = scene.backend.requests().pop().unwrap();
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("x-customer"), Some("ada"));
    let other = scene.signer.sign(&claims("grace"));
    assert_eq!(scene.status(&other), 403);
    let reply = scene.gateway.get("/ada").expect(401);
    assert!(
        reply
            .header("www-authenticate")
            .unwrap()
            .starts_with("Bearer")
    );
}

#[test]
fn every_attack_on_a_token_ends_in_401_before_the_upstream() {
    let scene = Scene::new();
    let calls = scene.backend.count();
    let signer = &scene.signer;
    let good = signer.sign(&claims("ada"));
    let stranger = Signer::new("one");
    let (head, rest) = good.split_once('.').unwrap();
    let attacks = [
        ("none", unsigned(&claims("ada"))),
        (
            "no signature",
            format!("{head}.{}.", rest.split_once('.').unwrap().0),
        ),
        (
            "another key under the same id",
            stranger.sign(&claims("ada")),
        ),
        (
            "the public key as a secret",
            sign_hs256(signer.public_pem().as_bytes(), Some("one"), &claims("ada")),
        ),
        ("expired", signer.sign(&with("exp", in_seconds(-60)))),
        ("not yet valid", signer.sign(&with("nbf", in_seconds(600)))),
        ("another audience", signer.sign(&with("aud", "admin"))),
        (
            "another issuer",
            signer.sign(&with("iss", "https://evil.test/")),
        ),
        ("no expiry", {
            let mut claims = claims("ada");
            claims.as_object_mut().unwrap().remove("exp");
            signer.sign(&claims)
        }),
        (
            "claims of the wrong type",
            signer.sign(&with("exp", "soon")),
        ),
        ("huge", signer.sign(&with("padding", "x".repeat(24 * 1024)))),
        ("garbage", "a.b.c".to_owned()),
        ("empty", String::new()),
    ];
    for (name, token) in attacks {
        let status = scene.status(&token);
        assert!(
            status == 401 || (name == "huge" && status == 431),
            "{name}: {status}"
        );
    }
    let twice = format!("Bearer {good}");
    let both = [("authorization", &*twice), ("authorization", &*twice)];
    let status = scene.gateway.ask("GET", "/ada", &both, b"").status;
    assert!(status == 401 || status == 400, "two credentials: {status}");
    assert_eq!(scene.backend.count(), calls);
}

#[test]
fn a_flood_of_unknown_keys_fetches_the_key_set_no_more_than_once() {
    let scene = Scene::new();
    let fetches = scene.identity.count();
    let mut client = scene.gateway.client();
    for number in 0..200 {
        let token = scene
            .signer
            .sign_as(&format!("unknown-{number}"), &claims("ada"));
        let bearer = format!("Bearer {token}");
        client
            .ask("GET", "/ada", &[("authorization", &bearer)], b"")
            .expect(401);
    }
    assert!(
        scene.identity.count() <= fetches + 1,
        "{} fetches",
        scene.identity.count()
    );
}

#[test]
fn without_any_key_set_nobody_is_admitted() {
    let signer = Signer::new("one");
    let identity = Upstream::saying(Answer::status(500));
    let backend = Upstream::saying(Answer::json("{}"));
    let gateway = gateway(&identity.url(), &backend);
    let bearer = format!("Bearer {}", signer.sign(&claims("ada")));
    let status = gateway
        .ask("GET", "/ada", &[("authorization", &bearer)], b"")
        .status;
    assert!(status == 503 || status == 401, "{status}");
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_shared_secret_works_for_its_own_algorithms_only() {
    let secret = "0123456789abcdef0123456789abcdef";
    let gateway = TestGateway::start(&format!(
        r#"
        [auth.a]
        jwt = {{ secret = "{secret}" }}
        [[routes]]
        path = "/"
        auth = "a"
        respond = {{ body = "claims.sub" }}
        "#
    ));
    let token = sign_hs256(secret.as_bytes(), None, &claims("ada"));
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        gateway.ask("GET", "/", &[("authorization", &bearer)], b"")
    };
    assert_eq!(ask(&token).expect(200).text(), r#""ada""#);
    ask(&Signer::new("x").sign(&claims("ada"))).expect(401);
    ask(&unsigned(&claims("ada"))).expect(401);
    ask(&sign_hs256(
        b"another secret that is long enough",
        None,
        &claims("ada"),
    ))
    .expect(401);
}

#[test]
fn api_keys_and_passwords_admit_and_any_of_several_ways_is_enough() {
    // sha256 of `open sesame`; argon2id of `pass`.
    let gateway = TestGateway::start(&format!(
        r#"
        [auth.keys]
        api_key = {{ header = "x-api-key", keys = [{{ name = "partner", sha256 = "{}", claims = {{ plan = "gold" }} }}] }}
        [auth.people]
        basic = {{ realm = "shop", users = [{{ name = "ann", argon2 = "{}" }}] }}
        [[routes]]
        path = "/"
        auth = ["keys", "people"]
        respond = {{ body = "caller.sub" }}
        "#,
        sha256_hex("open sesame"),
        argon2_of("pass"),
    ));
    let ask = |name: &str, value: &str| gateway.ask("GET", "/", &[(name, value)], b"");
    assert_eq!(
        ask("x-api-key", "open sesame").expect(200).text(),
        r#""partner""#
    );
    ask("x-api-key", "open sesamE").expect(401);
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    assert_eq!(
        ask("authorization", &basic("ann:pass")).expect(200).text(),
        r#""ann""#
    );
    ask("authorization", &basic("ann:word")).expect(401);
    ask("authorization", &basic("bob:pass")).expect(401);
    gateway.get("/").expect(401);
}

#[test]
fn over_the_rate_is_429_and_says_when_to_come_back() {
    let gateway = TestGateway::start(
        r#"
        [limits.few]
        rate = "3/h"
        burst = 3
        by = "headers['x-who']"
        [[routes]]
        path = "/"
        limits = "few"
        respond = { text = "ok" }
        "#,
    );
    let ask = |who: &str| gateway.ask("GET", "/", &[("x-who", who)], b"");
    for _ in 0..3 {
        assert!(ask("ada").expect(200).header("ratelimit").is_some());
    }
    let refused = ask("ada").expect(429);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1200).contains(&seconds), "{seconds}");
    ask("grace").expect(200);
}

#[test]
fn over_the_bound_at_once_is_429_and_a_place_is_given_back() {
    let gate = Gate::new();
    let upstream = Upstream::saying(Answer::json("{}").behind(&gate));
    let gateway = TestGateway::start(&format!(
        r#"
        [limits.two]
        concurrency = 2
        by = "'all'"
        [upstreams.u]
        endpoints = ["{}"]
        [[routes]]
        path = "/"
        limits = "two"
        upstream = "u"
        "#,
        upstream.url()
    ));
    let mut first = gateway.client();
    let mut second = gateway.client();
    first.send(request("GET", "/", &[], b""));
    second.send(request("GET", "/", &[], b""));
    upstream.wait_for_requests(2);
    gateway.get("/").expect(429);
    gate.open();
    first.reply().expect(200);
    second.reply().expect(200);
    eventually("a place is free", || gateway.get("/").status == 200);
}

#[test]
fn an_address_that_is_not_admitted_is_403() {
    let gateway = TestGateway::start(
        r#"
        [[routes]]
        path = "/in"
        ip_allow = "127.0.0.0/8"
        respond = { text = "ok" }
        [[routes]]
        path = "/out"
        ip_deny = "127.0.0.1"
        respond = { text = "ok" }
        "#,
    );
    gateway.get("/in").expect(200);
    gateway.get("/out").expect(403);
    let spoofed = [("x-forwarded-for", "192.0.2.1")];
    gateway.ask("GET", "/out", &spoofed, b"").expect(403);
}

#[test]
fn claims_that_are_not_there_make_allow_false() {
    let scene = Scene::new();
    let token = scene.signer.sign(&json!({
        "iss": "https://id.test/", "aud": "shop", "exp": in_seconds(60),
    }));
    assert_eq!(scene.status(&token), 403);
}

fn sha256_hex(text: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut text = String::new();
    for byte in hash.as_ref() {
        text += &format!("{byte:02x}");
    }
    text
}

fn argon2_of(password: &str) -> String {
    use argon2::PasswordHasher;
    let cheap = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cheap);
    argon2
        .hash_password_with_salt(password.as_bytes(), b"some salt of ours")
        .unwrap()
        .to_string()
}
