//! Keys that are published: fetched, fetched again, kept, and never stormed for.

use super::*;
use crate::guard::remote::{Newer, RemoteKeys};

fn remote(source: KeySource) -> JwtSpec {
    jwt_spec(&[Algorithm::RS256, Algorithm::ES256], source)
}

fn es256(kid: &str) -> String {
    Signer::P256(&P256).token(&json!({"alg": "ES256", "kid": kid}), &claims())
}

fn keys_with(source: &KeySource, issuer: Option<&str>, pace: Pace) -> RemoteKeys {
    let errand = (Client::new(&[]).unwrap(), pace);
    let algorithms = [Algorithm::RS256, Algorithm::ES256];
    RemoteKeys::start(source, issuer, &algorithms, errand, &Handle::current()).unwrap()
}

#[tokio::test]
async fn published_keys_are_fetched_before_the_first_token_is_judged() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("one"), p256_jwk("two")]);
    let guard = guard(&[jwt(remote(issuer.jwks()))]);
    assert_eq!(
        name(&guard, &rs256("one", &claims())).await,
        Ok("alice".to_owned())
    );
    assert_eq!(name(&guard, &es256("two")).await, Ok("alice".to_owned()));
    assert_eq!(name(&guard, &es256("one")).await, Err(Denial::UnknownKey));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_causes_no_storm_of_fetches() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("one")]);
    let guard = Arc::new(guard(&[jwt(remote(issuer.jwks()))]));
    let mut flood = JoinSet::new();
    for number in 0..1000 {
        let guard = Arc::clone(&guard);
        let token = rs256("one", &claims());
        let token = token.replacen(
            token.split('.').next().unwrap(),
            &URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"RS256\",\"kid\":\"k{number}\"}}")),
            1,
        );
        flood.spawn(async move { name(&guard, &token).await });
    }
    while let Some(outcome) = flood.join_next().await {
        assert_eq!(outcome.unwrap(), Err(Denial::UnknownKey));
    }
    assert!(issuer.asked() <= 2, "{} fetches", issuer.asked());
    assert_eq!(
        name(&guard, &rs256("one", &claims())).await,
        Ok("alice".to_owned())
    );
}

#[tokio::test]
async fn what_is_refused_in_any_case_is_not_worth_a_fetch() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("one")]);
    let pace = Pace {
        floor: Duration::ZERO,
        ..pace()
    };
    let errand = (Client::new(&[]).unwrap(), pace);
    let specs = [jwt(remote(issuer.jwks()))];
    let built = Authenticators::build_with(&specs, None, &Handle::current(), errand).unwrap();
    let guard = guard_of(&built, 1);
    assert!(name(&guard, &rs256("one", &claims())).await.is_ok());
    let before = issuer.asked();
    for (claim, value, denial) in [
        ("iss", json!("https://other.example"), Denial::Issuer),
        ("aud", json!("other"), Denial::Audience),
        ("exp", json!(1), Denial::Expired),
    ] {
        let token = rs256("unknown", &with(claims(), claim, value));
        assert_eq!(name(&guard, &token).await, Err(denial));
    }
    // A known key whose signature does not fit: no other set can help.
    let mut forged = rs256("one", &claims());
    forged.truncate(forged.len() - 8);
    forged.push_str("AAAAAAAA");
    assert_eq!(name(&guard, &forged).await, Err(Denial::Signature));
    assert_eq!(issuer.asked(), before);
    assert_eq!(
        name(&guard, &rs256("unknown", &claims())).await,
        Err(Denial::UnknownKey)
    );
    assert_eq!(issuer.asked(), before + 1);
}

#[tokio::test]
async fn a_rotated_key_is_fetched_once_it_is_seen_and_the_old_one_forgotten() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("old")]);
    let pace = Pace {
        floor: Duration::ZERO,
        ..pace()
    };
    let errand = (Client::new(&[]).unwrap(), pace);
    let specs = [jwt(remote(issuer.jwks()))];
    let built = Authenticators::build_with(&specs, None, &Handle::current(), errand).unwrap();
    let guard = guard_of(&built, 1);
    let old = rs256("old", &claims());
    assert_eq!(name(&guard, &old).await, Ok("alice".to_owned()));
    issuer.publishes(&[p256_jwk("new")]);
    assert_eq!(name(&guard, &es256("new")).await, Ok("alice".to_owned()));
    // It was verified a moment ago, by a key that is gone.
    assert_eq!(name(&guard, &old).await, Err(Denial::UnknownKey));
    assert_eq!(built.key_states()[0].keys, Some(1));
}

#[tokio::test]
async fn without_keys_nobody_is_admitted_and_nobody_called_a_liar() {
    let issuer = Issuer::start().await;
    let quick = Pace {
        wait: Duration::from_millis(1),
        ..pace()
    };
    let errand = (Client::new(&[]).unwrap(), quick);
    let specs = [jwt(remote(issuer.jwks()))];
    let built = Authenticators::build_with(&specs, None, &Handle::current(), errand).unwrap();
    let guard = guard_of(&built, 1);
    let refusal = admit(&guard, &mut bearer(&rs256("one", &claims())))
        .await
        .unwrap_err();
    assert!(
        matches!(refusal, Refusal::KeysUnavailable { .. }),
        "{refusal:?}"
    );
    // What no key could help is refused all the same.
    let none = Signer::Nobody.token(&json!({"alg": "none"}), &claims());
    assert_eq!(name(&guard, &none).await, Err(Denial::Algorithm));
    let refusal = admit(&guard, &mut request("GET /")).await.unwrap_err();
    assert_eq!(refusal.cause(), "missing");
}

#[tokio::test]
async fn an_issuer_that_was_dead_at_the_start_is_asked_again() {
    let issuer = Issuer::start().await;
    let pace = Pace {
        usual: Duration::from_millis(1),
        ..pace()
    };
    let keys = keys_with(&issuer.jwks(), None, pace);
    keys.fetched(3).await;
    assert!(keys.current().is_none());
    assert!(keys.progress().last_error.is_some());
    issuer.publishes(&[rsa_jwk("one")]);
    let fetches = keys.progress().fetches;
    keys.fetched(fetches + 2).await;
    assert_eq!(keys.current().unwrap().len(), 1);
    assert_eq!(keys.progress().last_error, None);
}

#[tokio::test]
async fn the_last_good_set_is_kept_whatever_the_issuer_answers() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("one")]);
    let pace = Pace {
        usual: Duration::from_millis(1),
        ..pace()
    };
    let keys = keys_with(&issuer.jwks(), None, pace);
    keys.fetched(1).await;
    let good = keys.current().unwrap();
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let many: Vec<Value> = (0..101).map(|n| p256_jwk(&n.to_string())).collect();
    let bad = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "{\"keys\": {}}".to_owned(),
        "{\"keys\": []}".to_owned(),
        "{\"keys\": [1, null, {}]}".to_owned(),
        json!({"keys": [{"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}]}).to_string(),
        json!({ "keys": many }).to_string(),
        nested,
        " ".repeat(2 * 1024 * 1024),
    ];
    for text in bad {
        issuer.answers("/jwks", &text);
        // The one that may be under way, and one that began after the change.
        let before = keys.progress();
        keys.fetched(before.fetches + 2).await;
        let start = text.get(..text.len().min(30)).unwrap();
        assert!(keys.progress().failures > before.failures, "{start}");
        assert!(Arc::ptr_eq(&keys.current().unwrap(), &good), "{start}");
    }
    issuer.publishes(&[rsa_jwk("one")]);
    keys.fetched(keys.progress().fetches + 2).await;
    assert!(keys.current().unwrap().equals(&good));
}

#[tokio::test]
async fn a_set_with_some_odd_keys_is_used_for_the_others() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[
        json!({"kty": "XYZ", "kid": "odd"}),
        with(rsa_jwk("enc"), "use", json!("enc")),
        with(rsa_jwk("ops"), "key_ops", json!(["encrypt"])),
        with(rsa_jwk("alg"), "alg", json!("RSA-OAEP")),
        with(p256_jwk("short"), "x", json!("AAAA")),
        with(p256_jwk("off"), "y", json!(URL_SAFE_NO_PAD.encode([1; 32]))),
        json!({"kty": "RSA", "kid": "weak", "n": URL_SAFE_NO_PAD.encode([7; 128]), "e": "AQAB"}),
        json!({"kty": "oct", "kid": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}),
        with(rsa_jwk("one"), "alg", json!("RS256")),
    ]);
    let guard = guard(&[jwt(remote(issuer.jwks()))]);
    assert_eq!(
        name(&guard, &rs256("one", &claims())).await,
        Ok("alice".to_owned())
    );
    for kid in ["odd", "enc", "ops", "alg", "weak"] {
        assert_eq!(
            name(&guard, &rs256(kid, &claims())).await,
            Err(Denial::UnknownKey),
            "{kid}"
        );
    }
    for kid in ["short", "off"] {
        assert_eq!(
            name(&guard, &es256(kid)).await,
            Err(Denial::UnknownKey),
            "{kid}"
        );
    }
}

#[tokio::test]
async fn discovery_names_keys_and_issuer() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("one")]);
    let own = issuer.url("/tenant/");
    let document = json!({"issuer": own, "jwks_uri": issuer.url("/jwks")});
    issuer.answers("/tenant/.well-known/openid-configuration", &document);
    for url in [
        "/tenant/",
        "/tenant",
        "/tenant/.well-known/openid-configuration",
    ] {
        let mut spec = remote(KeySource::Discovery(issuer.url(url)));
        spec.issuer = None;
        let guard = guard(&[jwt(spec)]);
        let token = rs256("one", &with(claims(), "iss", json!(own)));
        assert_eq!(name(&guard, &token).await, Ok("alice".to_owned()), "{url}");
        let other = rs256("one", &claims());
        assert_eq!(name(&guard, &other).await, Err(Denial::Issuer), "{url}");
    }
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_not_believed() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("one")]);
    let source = KeySource::Discovery(issuer.url("/"));
    for (stated, expected) in [
        ("https://evil.example".to_owned(), None),
        (issuer.url("/other"), None),
        (issuer.url(""), Some("https://issuer.example")),
    ] {
        let document = json!({"issuer": stated, "jwks_uri": issuer.url("/jwks")});
        issuer.answers("/.well-known/openid-configuration", &document);
        let keys = keys_with(&source, expected, pace());
        keys.fetched(1).await;
        assert!(keys.current().is_none(), "{stated}");
        let error = keys.progress().last_error.unwrap();
        assert!(error.contains("another issuer"), "{error}");
    }
}

#[tokio::test]
async fn an_issuer_is_asked_once_per_floor_however_many_ask() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("one")]);
    let keys = keys_with(&issuer.jwks(), None, pace());
    for _ in 0..50 {
        let known = keys.current().map(|set| set.generation());
        assert!(matches!(keys.newer(known).await, Newer::Set(_)));
    }
    assert_eq!(issuer.asked(), 1);
}
