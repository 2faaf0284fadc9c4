//! The order of a guard's demands, several authenticators, and what becomes of credentials.

use super::*;
use crate::expression::{Expression, Names};
use crate::guard::keys::sha256;

fn keys(place: KeyPlace, pass_credential: bool) -> AuthenticatorSpec {
    let claims = json!({"plan": "gold"});
    AuthenticatorSpec {
        name: "partners".to_owned(),
        kind: AuthenticatorKind::ApiKey(ApiKeySpec {
            place,
            keys: vec![ApiKey {
                name: "acme".to_owned(),
                sha256: sha256(b"s3cret key"),
                claims: claims.as_object().unwrap().clone(),
            }],
        }),
        pass_credential,
    }
}

fn header_keys() -> AuthenticatorSpec {
    keys(KeyPlace::Header("x-api-key".to_owned()), false)
}

fn cookie_jwt() -> AuthenticatorSpec {
    let mut spec = jwt_spec(&[Algorithm::HS256], secret());
    spec.place = TokenPlace::Cookie("session".to_owned());
    jwt(spec)
}

fn expression(text: &str, path: &[crate::expression::PathName]) -> Arc<Expression> {
    let names = Names {
        path,
        caller: true,
        ..Names::default()
    };
    Arc::new(Expression::compile(text, &names).unwrap())
}

async fn refused(guard: &Guard, exchange: &mut Exchange) -> (Denial, Vec<String>) {
    match admit(guard, exchange).await {
        Err(Refusal::Unauthenticated {
            denial, challenges, ..
        }) => (denial, challenges),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_address_is_checked_before_anything_else() {
    let spec = |allow: &[&str], deny: &[&str]| GuardSpec {
        authenticators: vec![0],
        ip_allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
        ip_deny: deny.iter().map(|net| net.parse().unwrap()).collect(),
        ..GuardSpec::default()
    };
    let built = build(&[header_keys()], None);
    let guard = |spec| Guard::build(&spec, &built, &Limits::default()).unwrap();
    let both = guard(spec(&["10.0.0.0/8", "2001:db8::/32"], &["10.1.0.0/16"]));
    for (address, admitted) in [
        ("10.2.0.1", true),
        ("::ffff:10.2.0.1", true),
        ("2001:db8::1", true),
        ("10.1.0.1", false),
        ("::ffff:10.1.0.1", false),
        ("192.0.2.1", false),
        ("2001:db9::1", false),
    ] {
        let refusal = admit(&both, &mut from(address)).await.unwrap_err();
        assert_eq!(
            refusal.cause(),
            if admitted { "missing" } else { "address" },
            "{address}"
        );
    }
    let denied = guard(spec(&[], &["192.0.2.0/24"]));
    assert_eq!(
        admit(&denied, &mut from("192.0.2.7"))
            .await
            .unwrap_err()
            .cause(),
        "address"
    );
    assert_eq!(
        admit(&denied, &mut from("192.0.3.7"))
            .await
            .unwrap_err()
            .cause(),
        "missing"
    );
}

#[tokio::test]
async fn any_authenticator_admits_and_all_are_named_when_none_does() {
    let guard = guard(&[
        jwt(jwt_spec(&[Algorithm::HS256], secret())),
        header_keys(),
        cookie_jwt(),
    ]);
    let token = hs256(&claims());
    let admitted = [
        (format!("GET /\nauthorization: Bearer {token}"), "alice"),
        (format!("GET /\nauthorization: bEaReR   {token} "), "alice"),
        ("GET /\nx-api-key: s3cret key".to_owned(), "acme"),
        (format!("GET /\ncookie: a=b; session={token}; c=d"), "alice"),
        // One credential that fits is enough.
        (
            format!("GET /\nauthorization: Bearer x\ncookie: session={token}"),
            "alice",
        ),
    ];
    for (text, expected) in admitted {
        let caller = admit(&guard, &mut request(&text))
            .await
            .unwrap()
            .caller
            .unwrap();
        assert_eq!(&*caller.name, expected, "{text}");
    }
    let missing = vec![
        "Bearer".to_owned(),
        "ApiKey in=\"header\", name=\"x-api-key\"".to_owned(),
    ];
    let refusal = refused(&guard, &mut request("GET /")).await;
    assert_eq!(refusal, (Denial::Missing, missing));
    let wrong = refused(&guard, &mut request("GET /\nx-api-key: s3cret")).await;
    assert_eq!(wrong.0, Denial::Unknown);
    let expired = hs256(&with(claims(), "exp", json!(1)));
    let (denial, challenges) = refused(&guard, &mut bearer(&expired)).await;
    assert_eq!(denial, Denial::Expired);
    assert_eq!(
        challenges[0],
        "Bearer error=\"invalid_token\", error_description=\"The token has expired.\""
    );
    assert_eq!(challenges.len(), 3);
}

#[tokio::test]
async fn a_doubled_credential_is_none() {
    let guard = guard(&[
        jwt(jwt_spec(&[Algorithm::HS256], secret())),
        header_keys(),
        cookie_jwt(),
    ]);
    let token = hs256(&claims());
    for text in [
        format!("GET /\nauthorization: Bearer {token}\nauthorization: Bearer {token}"),
        format!("GET /\nauthorization: Bearer {token}\nauthorization: Basic YTpi"),
        "GET /\nx-api-key: s3cret key\nx-api-key: other".to_owned(),
        format!("GET /\ncookie: session={token}; session={token}"),
        format!("GET /\ncookie: session={token}\ncookie: session=x"),
        "GET /\nauthorization: Bearer".to_owned(),
    ] {
        assert_eq!(
            refused(&guard, &mut request(&text)).await.0,
            Denial::Malformed,
            "{text}"
        );
    }
    for text in [
        format!("GET /\nauthorization: Token {token}"),
        format!("GET /\nauthorization: Bearer{token}"),
        format!("GET /\nauthorization: {token}"),
    ] {
        assert_eq!(
            refused(&guard, &mut request(&text)).await.0,
            Denial::Missing,
            "{text}"
        );
    }
}

#[tokio::test]
async fn credentials_do_not_go_on() {
    let query = || keys(KeyPlace::Query("api_key".to_owned()), false);
    let guard = guard(&[
        jwt(jwt_spec(&[Algorithm::HS256], secret())),
        query(),
        cookie_jwt(),
    ]);
    let token = hs256(&claims());
    let text = format!(
        "GET /?a=1&api_key=s3cret+key&b=%202\nauthorization: Bearer {token}\n\
         cookie: a=b; session={token}\ncookie: c=d\nx-other: kept"
    );
    let mut exchange = request(&text);
    let caller = admit(&guard, &mut exchange).await.unwrap().caller.unwrap();
    assert_eq!(&*caller.name, "alice");
    assert_eq!(exchange.query.as_deref(), Some("a=1&b=%202"));
    assert_eq!(exchange.headers.get_str("authorization"), None);
    assert_eq!(exchange.headers.get_str("cookie"), Some("a=b; c=d"));
    assert_eq!(exchange.headers.get_str("x-other"), Some("kept"));

    let mut by_key = request("GET /?%61pi_key=s3cret%20key\ncookie: session=x");
    let caller = admit(&guard, &mut by_key).await.unwrap().caller.unwrap();
    assert_eq!(
        (&*caller.name, caller.claims.text()),
        ("acme", "{\"plan\":\"gold\"}")
    );
    assert_eq!(by_key.query, None);
    assert_eq!(by_key.headers.get_str("cookie"), None);

    // What was refused does not stay either: a refused key may be another system's good one.
    let mut wrong = request("GET /?api_key=wrong&a=1");
    assert!(admit(&guard, &mut wrong).await.is_err());
    assert_eq!(wrong.query.as_deref(), Some("a=1"));
}

#[tokio::test]
async fn a_credential_goes_on_where_the_file_says_so() {
    let mut passing = jwt(jwt_spec(&[Algorithm::HS256], secret()));
    passing.pass_credential = true;
    let guard = guard(&[passing, header_keys()]);
    let token = hs256(&claims());
    let text = format!("GET /\nauthorization: Bearer {token}\nx-api-key: s3cret key");
    let mut exchange = request(&text);
    assert!(admit(&guard, &mut exchange).await.is_ok());
    assert_eq!(
        exchange.headers.get_str("authorization"),
        Some(&*format!("Bearer {token}"))
    );
    assert_eq!(exchange.headers.get_str("x-api-key"), None);
    // The other one admitted: what nobody looked at does not pass for checked.
    let mut other = request("GET /\nauthorization: Bearer x\nx-api-key: s3cret key");
    assert!(admit(&guard, &mut other).await.is_ok());
    assert_eq!(other.headers.get_str("authorization"), None);
}

#[tokio::test]
async fn a_route_without_authenticators_leaves_fields_alone() {
    let guard = guard(&[]);
    let mut exchange = request("GET /?api_key=x\nauthorization: Bearer x\ncookie: a=b");
    let admission = admit(&guard, &mut exchange).await.unwrap();
    assert!(admission.caller.is_none());
    assert_eq!(exchange.headers.len(), 2);
    assert_eq!(exchange.query.as_deref(), Some("api_key=x"));
}

#[tokio::test]
async fn allow_must_be_true() {
    let user = [crate::expression::PathName {
        name: "user".to_owned(),
        tail: false,
    }];
    let built = build(&[jwt(jwt_spec(&[Algorithm::HS256], secret()))], None);
    let cases = [
        ("claims.sub == path.user", "not-allowed"),
        ("claims.sub == path.user || 'support' in claims.roles", ""),
        ("claims.sub == 'alice' && request.method == 'GET'", ""),
        ("claims.nothing == 1", "allow-failed"),
        ("caller.name == 'alice'", ""),
        (
            "caller.authenticator == 'customers' && caller.sub == claims.sub",
            "",
        ),
        ("headers['x-none'] == 'a'", "allow-failed"),
        ("false", "not-allowed"),
    ];
    for (text, expected) in cases {
        let spec = GuardSpec {
            authenticators: vec![0],
            allow: Some(expression(text, &user)),
            ..GuardSpec::default()
        };
        let guard = Guard::build(&spec, &built, &Limits::default()).unwrap();
        let mut exchange = request(&format!(
            "GET /users/bob\nauthorization: Bearer {}",
            hs256(&claims())
        ));
        let params = params("/users/{user}", &exchange);
        let cause = guard.admit(&mut exchange, &params).await.map(drop);
        assert_eq!(
            cause.map_or_else(|refusal| refusal.cause(), |()| ""),
            expected,
            "{text}"
        );
    }
}

#[tokio::test]
async fn who_is_refused_before_uses_up_no_limit() {
    let limits = [LimitSpec {
        name: "one".to_owned(),
        kind: LimitKind::Rate {
            count: 1,
            period: Duration::from_hours(1),
            burst: 1,
        },
        by: None,
    }];
    let spec = GuardSpec {
        authenticators: vec![0],
        allow: Some(expression(
            "claims.plan == 'gold' && request.path != '/forbidden'",
            &[],
        )),
        limits: vec![0],
        ..GuardSpec::default()
    };
    let built = build(&[header_keys()], None);
    let guard = Guard::build(&spec, &built, &Limits::build(&limits, None)).unwrap();
    for (text, cause) in [
        ("GET /", "missing"),
        ("GET /\nx-api-key: no", "unknown"),
        ("GET /forbidden\nx-api-key: s3cret key", "not-allowed"),
        ("GET /\nx-api-key: s3cret key", ""),
        ("GET /\nx-api-key: s3cret key", "limited"),
    ] {
        let outcome = admit(&guard, &mut request(text)).await.map(drop);
        assert_eq!(
            outcome.map_or_else(|refusal| refusal.cause(), |()| ""),
            cause,
            "{text}"
        );
    }
}

#[test]
fn a_guard_that_names_what_is_not_there_is_not_built() {
    let nobody = GuardSpec {
        authenticators: vec![0],
        ..GuardSpec::default()
    };
    let unlimited = GuardSpec {
        limits: vec![0],
        ..GuardSpec::default()
    };
    for spec in [nobody, unlimited] {
        assert!(Guard::build(&spec, &Authenticators::default(), &Limits::default()).is_err());
    }
}
