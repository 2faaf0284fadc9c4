//! What holds for any input: nothing panics, nothing forged is admitted, only credentials go.

use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::guard::credential::{Position, remove};
use crate::guard::keys::{KeySet, Origin};
use crate::route::scope::{cookies, query_pairs};

/// What a guard of every kind says to one request.
fn run(exchange: &mut Exchange) -> Result<Admission, Refusal> {
    static RUNTIME: LazyLock<(Mutex<Runtime>, Guard)> = LazyLock::new(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let guard = runtime.block_on(async { any_guard() });
        (Mutex::new(runtime), guard)
    });
    let (runtime, guard) = &*RUNTIME;
    runtime.lock().unwrap().block_on(admit(guard, exchange))
}

fn any_guard() -> Guard {
    let mut cookie = jwt_spec(&[Algorithm::HS256], secret());
    cookie.place = TokenPlace::Cookie("t".to_owned());
    guard(&[
        jwt(jwt_spec(&[Algorithm::HS256], secret())),
        jwt(cookie),
        AuthenticatorSpec {
            name: "basic".to_owned(),
            kind: AuthenticatorKind::Basic(BasicSpec {
                realm: "r".to_owned(),
                users: Vec::new(),
            }),
            pass_credential: false,
        },
        AuthenticatorSpec {
            name: "keys".to_owned(),
            kind: AuthenticatorKind::ApiKey(ApiKeySpec {
                place: KeyPlace::Query("k".to_owned()),
                keys: Vec::new(),
            }),
            pass_credential: false,
        },
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_odd_is_admitted(
        field in "((Bearer|Basic|bearer) )?[ -~]{0,80}",
        cookie in "[ -~]{0,20}t=[ -~]{0,60}",
        query in "[ -~]{0,20}&k=[ -~]{0,30}",
    ) {
        let mut exchange = request("GET /");
        exchange.headers.append("authorization", field.as_bytes());
        exchange.headers.append("cookie", cookie.as_bytes());
        exchange.query = Some(query);
        let outcome = run(&mut exchange);
        let refused = matches!(outcome, Err(Refusal::Unauthenticated { .. }));
        prop_assert!(refused, "{outcome:?}");
        prop_assert_eq!(exchange.headers.get("authorization"), None);
        prop_assert!(cookies(&exchange.headers).all(|(name, _)| name != "t"));
    }

    #[test]
    fn a_forged_part_is_noticed(
        header in ".{0,60}", payload in ".{0,60}", signature in prop::collection::vec(any::<u8>(), 0..70),
    ) {
        let token = format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload),
            URL_SAFE_NO_PAD.encode(signature),
        );
        prop_assert!(run(&mut bearer(&token)).is_err());
    }

    #[test]
    fn any_document_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let read = KeySet::from_jwks(&bytes, &[Algorithm::RS256], Origin::Published);
        prop_assert!(read.is_err());
    }

    #[test]
    fn any_key_is_read_without_panic(
        kty in "RSA|EC|OKP|oct|.{0,5}", crv in "P-256|P-384|Ed25519|.{0,5}",
        n in "[A-Za-z0-9_-]{0,400}", e in "[A-Za-z0-9_-]{0,8}",
        x in "[A-Za-z0-9_-]{40,68}", y in "[A-Za-z0-9_-]{40,68}",
    ) {
        use Algorithm::{ES256, ES384, EdDSA, HS256, PS512, RS256};
        let key = json!({"kty": kty, "crv": crv, "n": n, "e": e, "x": x, "y": y, "k": x});
        let document = json!({ "keys": [key] }).to_string();
        for origin in [Origin::File, Origin::Published] {
            let algorithms = [ES256, ES384, EdDSA, HS256, PS512, RS256];
            let read = KeySet::from_jwks(document.as_bytes(), &algorithms, origin);
            drop(read);
        }
    }

    #[test]
    fn only_the_parameter_is_taken_out(
        pairs in prop::collection::vec(("(key|%6Bey|k|other|a%20b|)", "[a-z%0-9=+]{0,6}"), 0..8),
    ) {
        let texts: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut exchange = request("GET /");
        exchange.query = Some(texts.join("&"));
        remove(&mut exchange, Position::Query("key"));
        let left = exchange.query.unwrap_or_default();
        prop_assert!(query_pairs(&left).all(|(name, _)| name != "key"));
        let expected: Vec<&String> = texts
            .iter()
            .filter(|text| !text.starts_with("key=") && !text.starts_with("%6Bey="))
            .collect();
        let kept: Vec<&str> = left.split('&').collect();
        prop_assert!(expected.is_empty() || kept == expected, "{left}");
    }

    #[test]
    fn only_the_cookie_is_taken_out(
        fields in prop::collection::vec("([a-c]=[a-z0-9\"]{0,4})(; ?[a-c]=[a-z0-9]{0,4}){0,3}", 0..4),
    ) {
        let mut exchange = request("GET /");
        for field in &fields {
            exchange.headers.append("cookie", field.as_bytes());
        }
        let text = |exchange: &Exchange| -> Vec<String> {
            cookies(&exchange.headers).map(|(name, value)| format!("{name}={value}")).collect()
        };
        let expected: Vec<String> =
            text(&exchange).into_iter().filter(|pair| !pair.starts_with("b=")).collect();
        remove(&mut exchange, Position::Cookie("b"));
        prop_assert_eq!(text(&exchange), expected);
    }
}
