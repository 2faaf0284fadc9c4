//! Tokens that must not admit anybody, and those that must.

use super::*;

#[tokio::test]
async fn a_token_that_is_in_order_names_its_caller() {
    let guard = guard(&[jwt(jwt_spec(&[Algorithm::HS256], secret()))]);
    let admission = admit(&guard, &mut bearer(&hs256(&claims()))).await.unwrap();
    let caller = admission.caller.unwrap();
    assert_eq!(&*caller.name, "alice");
    assert_eq!(&*caller.authenticator, "customers");
    assert_eq!(caller.claims.text(), claims().to_string());
}

#[tokio::test]
async fn every_algorithm_is_verified_with_its_own_kind_of_key() {
    let set = json!({"keys": [rsa_jwk("rsa"), p256_jwk("ec"), ed25519_jwk("ed")]});
    let keys = file(&set.to_string());
    use Algorithm::{ES256, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let algorithms = [RS256, RS384, RS512, PS256, PS384, PS512, ES256, EdDSA];
    let source = KeySource::File(keys.path().to_owned());
    let guard = guard(&[jwt(jwt_spec(&algorithms, source))]);
    let signers: [(&str, &str, Signer); 9] = [
        ("RS256", "rsa", Signer::rs256()),
        (
            "RS384",
            "rsa",
            Signer::Rsa(&RSA, &signature::RSA_PKCS1_SHA384),
        ),
        (
            "RS512",
            "rsa",
            Signer::Rsa(&RSA, &signature::RSA_PKCS1_SHA512),
        ),
        (
            "PS256",
            "rsa",
            Signer::Rsa(&RSA, &signature::RSA_PSS_SHA256),
        ),
        (
            "PS384",
            "rsa",
            Signer::Rsa(&RSA, &signature::RSA_PSS_SHA384),
        ),
        (
            "PS512",
            "rsa",
            Signer::Rsa(&RSA, &signature::RSA_PSS_SHA512),
        ),
        ("ES256", "ec", Signer::P256(&P256)),
        ("EdDSA", "ed", Signer::Ed25519(&ED25519)),
        ("Ed25519", "ed", Signer::Ed25519(&ED25519)),
    ];
    for (alg, kid, signer) in signers {
        for header in [json!({"alg": alg, "kid": kid}), json!({"alg": alg})] {
            let token = signer.token(&header, &claims());
            assert_eq!(
                name(&guard, &token).await,
                Ok("alice".to_owned()),
                "{header}"
            );
        }
        // The same signature under a key of another kind, and under another algorithm.
        let other = if kid == "rsa" { "ec" } else { "rsa" };
        let token = signer.token(&json!({"alg": alg, "kid": other}), &claims());
        assert_eq!(name(&guard, &token).await, Err(Denial::UnknownKey), "{alg}");
    }
    let mixed = Signer::rs256().token(&json!({"alg": "PS256", "kid": "rsa"}), &claims());
    assert_eq!(name(&guard, &mixed).await, Err(Denial::Signature));
}

#[tokio::test]
async fn hs_algorithms_are_verified_with_the_secret() {
    use Algorithm::{HS256, HS384, HS512};
    let guard = guard(&[jwt(jwt_spec(&[HS256, HS384, HS512], secret()))]);
    for (alg, hash) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ] {
        let token = Signer::Secret(hash, SECRET.to_vec()).token(&json!({"alg": alg}), &claims());
        assert_eq!(name(&guard, &token).await, Ok("alice".to_owned()));
        let mut other = SECRET.to_vec();
        other[0] ^= 1;
        let forged = Signer::Secret(hash, other).token(&json!({"alg": alg}), &claims());
        assert_eq!(name(&guard, &forged).await, Err(Denial::Signature));
    }
}

#[tokio::test]
async fn a_token_without_a_signature_admits_nobody() {
    let guard = guard(&[jwt(jwt_spec(&[Algorithm::HS256], secret()))]);
    for alg in ["none", "None", "NONE", "nOnE", "", " HS256", "hs256"] {
        let token = Signer::Nobody.token(&json!({"alg": alg}), &claims());
        assert_eq!(name(&guard, &token).await, Err(Denial::Algorithm), "{alg}");
    }
    let unsigned = Signer::Nobody.token(&json!({"alg": "HS256"}), &claims());
    assert_eq!(name(&guard, &unsigned).await, Err(Denial::Signature));
    let unnamed = Signer::hs256().token(&json!({}), &claims());
    assert_eq!(name(&guard, &unnamed).await, Err(Denial::Malformed));
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    // The classic: HS256 with the text of the public key, which everybody has, as its secret.
    let keys = file(&rsa_pem(&RSA));
    let source = || KeySource::File(keys.path().to_owned());
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(RSA.public_key()).unwrap();
    for secret in [
        rsa_pem(&RSA).into_bytes(),
        rsa_pem(&RSA).trim_end().as_bytes().to_vec(),
        der.as_ref().to_vec(),
        RSA.public_key().as_ref().to_vec(),
    ] {
        let forged =
            Signer::Secret(hmac::HMAC_SHA256, secret).token(&json!({"alg": "HS256"}), &claims());
        let strict = guard(&[jwt(jwt_spec(&[Algorithm::RS256], source()))]);
        assert_eq!(name(&strict, &forged).await, Err(Denial::Algorithm));
        // Even where the file admits both algorithms, there is no such pair.
        let lax = guard(&[jwt(jwt_spec(
            &[Algorithm::RS256, Algorithm::HS256],
            source(),
        ))]);
        assert_eq!(name(&lax, &forged).await, Err(Denial::UnknownKey));
    }
    let honest = guard(&[jwt(jwt_spec(&[Algorithm::RS256], source()))]);
    assert_eq!(
        name(&honest, &rs256("any", &claims())).await,
        Ok("alice".to_owned())
    );
}

#[tokio::test]
async fn a_token_counts_in_its_time_only() {
    let guard = guard(&[jwt(jwt_spec(&[Algorithm::HS256], secret()))]);
    let cases = [
        ("exp", json!(NOW - 29), Ok(())),
        ("exp", json!(1_999_999_970.5), Ok(())),
        ("exp", json!(NOW - 30), Err(Denial::Expired)),
        ("exp", json!(0), Err(Denial::Expired)),
        ("exp", json!(-1), Err(Denial::Expired)),
        ("exp", json!("soon"), Err(Denial::Claims)),
        ("exp", json!(null), Err(Denial::Claims)),
        ("exp", json!([NOW + 300]), Err(Denial::Claims)),
        ("nbf", json!(NOW + 30), Ok(())),
        ("nbf", json!(NOW + 31), Err(Denial::NotYetValid)),
        ("nbf", json!("now"), Err(Denial::Claims)),
    ];
    for (claim, value, expected) in cases {
        let token = hs256(&with(claims(), claim, value.clone()));
        // Twice: what is remembered counts as long as what is verified.
        for _ in 0..2 {
            assert_eq!(
                name(&guard, &token).await.map(drop),
                expected,
                "{claim} {value}"
            );
        }
    }
    let endless = hs256(&without(claims(), "exp"));
    assert_eq!(name(&guard, &endless).await, Err(Denial::Claims));
}

#[tokio::test]
async fn a_token_is_from_its_issuer_and_for_its_audience() {
    let guard = guard(&[jwt(jwt_spec(&[Algorithm::HS256], secret()))]);
    let cases = [
        ("iss", json!("https://issuer.example/"), Err(Denial::Issuer)),
        ("iss", json!("https://evil.example"), Err(Denial::Issuer)),
        (
            "iss",
            json!(["https://issuer.example"]),
            Err(Denial::Claims),
        ),
        ("iss", json!(null), Err(Denial::Issuer)),
        ("aud", json!(["other", "shop"]), Ok(())),
        ("aud", json!(["other"]), Err(Denial::Audience)),
        ("aud", json!("shop2"), Err(Denial::Audience)),
        ("aud", json!([]), Err(Denial::Audience)),
        ("aud", json!({"shop": 1}), Err(Denial::Claims)),
        ("aud", json!(null), Err(Denial::Audience)),
        ("sub", json!(7), Err(Denial::Claims)),
    ];
    for (claim, value, expected) in cases {
        let token = hs256(&with(claims(), claim, value.clone()));
        assert_eq!(
            name(&guard, &token).await.map(drop),
            expected,
            "{claim} {value}"
        );
    }
    for claim in ["iss", "aud"] {
        assert!(
            name(&guard, &hs256(&without(claims(), claim)))
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn a_broken_token_admits_nobody() {
    let guard = guard(&[jwt(jwt_spec(&[Algorithm::HS256], secret()))]);
    let good = hs256(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let huge = "a".repeat(9000);
    let nested = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    let broken = [
        header.to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}.{signature}"),
        format!("{good}.a.b"),
        format!("{good}="),
        format!("{header}.{payload} .{signature}"),
        format!("{payload}.{header}.{signature}"),
        "..".to_owned(),
        "a.b.c".to_owned(),
        Signer::hs256().raw("{\"alg\":\"HS256\"", &claims().to_string()),
        Signer::hs256().raw("[]", &claims().to_string()),
        Signer::hs256().raw(
            "{\"alg\":\"HS256\",\"alg\":\"none\"}",
            &claims().to_string(),
        ),
        Signer::hs256().raw("{\"alg\":\"HS256\"}", "not json"),
        Signer::hs256().raw("{\"alg\":\"HS256\"}", "[1]"),
        Signer::hs256().raw("{\"alg\":\"HS256\"}", nested.get(..4000).unwrap()),
        Signer::hs256().raw(
            "{\"alg\":\"HS256\"}",
            &format!("{{\"exp\":{},\"exp\":1}}", NOW + 9),
        ),
    ];
    for token in broken {
        let denial = name(&guard, &token).await;
        assert!(denial.is_err(), "{token}");
    }
    for token in [
        huge.clone(),
        format!("{huge}.{huge}.{huge}"),
        format!("{good}{huge}"),
    ] {
        assert_eq!(name(&guard, &token).await, Err(Denial::TooLarge));
    }
    assert_eq!(name(&guard, &good).await, Ok("alice".to_owned()));
}

#[tokio::test]
async fn a_header_decides_nothing() {
    let keys = file(&json!({"keys": [rsa_jwk("one")]}).to_string());
    let source = KeySource::File(keys.path().to_owned());
    let guard = guard(&[jwt(jwt_spec(&[Algorithm::RS256], source))]);
    for kid in [
        "../../dev/null",
        "/etc/passwd",
        "one' OR '1'='1",
        "",
        "one\u{0}",
        "ONE",
    ] {
        assert_eq!(
            name(&guard, &rs256(kid, &claims())).await,
            Err(Denial::UnknownKey),
            "{kid}"
        );
    }
    let number = Signer::rs256().token(&json!({"alg": "RS256", "kid": 1}), &claims());
    assert_eq!(name(&guard, &number).await, Err(Denial::Malformed));
    for crit in [json!(["exp"]), json!([]), json!(["b64"])] {
        let header = json!({"alg": "RS256", "kid": "one", "crit": crit, "b64": false});
        let token = Signer::rs256().token(&header, &claims());
        assert_eq!(name(&guard, &token).await, Err(Denial::Critical));
    }
    // A key that the token brings along is nobody's: an attacker signs with its own.
    static EVIL: LazyLock<RsaKeyPair> =
        LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
    let evil = Signer::Rsa(&EVIL, &signature::RSA_PKCS1_SHA256);
    let own = EVIL.public_key().as_ref();
    let header = json!({
        "alg": "RS256", "jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/",
        "jwk": {"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(&own[9..265]), "e": "AQAB"},
    });
    for kid in [None, Some("one")] {
        let mut header = header.clone();
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        assert_eq!(
            name(&guard, &evil.token(&header, &claims())).await,
            Err(Denial::Signature)
        );
    }
}

#[tokio::test]
async fn a_changed_byte_is_noticed_even_after_the_token_was_verified() {
    let guard = guard(&[jwt(jwt_spec(&[Algorithm::HS256], secret()))]);
    let good = hs256(&claims());
    for _ in 0..3 {
        assert_eq!(name(&guard, &good).await, Ok("alice".to_owned()));
    }
    for place in (0..good.len()).step_by(7) {
        let mut bytes = good.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(name(&guard, &changed).await.is_err(), "byte {place}");
    }
}

#[tokio::test]
async fn what_was_verified_is_forgotten_at_its_end() {
    let guard = guard(&[jwt(jwt_spec(&[Algorithm::HS256], secret()))]);
    let token = hs256(&with(claims(), "exp", json!(NOW + 10)));
    let mut later = bearer(&token);
    later.time = (SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 40)).into();
    assert_eq!(name(&guard, &token).await, Ok("alice".to_owned()));
    let refusal = admit(&guard, &mut later).await.unwrap_err();
    assert_eq!(refusal.cause(), "expired");
}

#[tokio::test]
async fn what_one_authenticator_verified_another_does_not_believe() {
    let ours = jwt_spec(&[Algorithm::HS256], secret());
    let mut theirs = ours.clone();
    theirs.audience = vec!["other".to_owned()];
    let token = hs256(&claims());
    let one = guard(&[jwt(ours)]);
    let two = guard(&[jwt(theirs)]);
    assert_eq!(name(&one, &token).await, Ok("alice".to_owned()));
    assert_eq!(name(&two, &token).await, Err(Denial::Audience));
}
