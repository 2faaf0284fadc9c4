//! What expressions read of a request.

use super::*;
use crate::exchange::Caller;
use crate::expression::{Budget, Expression, Names, PathName};
use crate::json::Json;
use crate::route::RequestScope;

const REQUEST: &str = "GET /users/a%2Fb/files/x/y%20z?q=1&q=2&empty&plus=a+b%2B&%zz=1&bad=%FF\n\
    accept: text/html\naccept: */*\nx-one: 1\ncookie: a=1; b=2; a=3\ncookie: c=\"4\"";

fn read(text: &str, caller: Option<&Caller>) -> Result<String, String> {
    let path = |name: &str, tail| PathName {
        name: name.to_owned(),
        tail,
    };
    let names = Names {
        path: &[path("id", false), path("rest", true)],
        caller: true,
        ..Names::default()
    };
    let exchange = request(REQUEST);
    let params = params("/users/{id}/files/{rest...}", &exchange);
    let scope = RequestScope::new(&exchange, &params, caller);
    let expression = Expression::compile(text, &names).unwrap();
    let value = expression.evaluate(&scope, &Budget::default());
    let json = value.and_then(|value| value.to_json(10_000));
    json.map(|json| String::from_utf8(json.to_vec()).unwrap())
        .map_err(|error| error.to_string())
}

#[test]
fn a_request_is_read_by_its_names() {
    let cases = [
        ("request.method", "\"GET\""),
        ("request.host", "\"api.example.com\""),
        ("request.path", "\"/users/a%2Fb/files/x/y%20z\""),
        ("request.ip", "\"192.0.2.1\""),
        ("request.id", "\"id-1\""),
        ("request.scheme", "\"https\""),
        ("request.time", "\"2033-05-18T03:33:20Z\""),
        ("path.id", "\"a/b\""),
        ("query.q", "\"1\""),
        ("query.empty", "\"\""),
        ("query.plus", "\"a b+\""),
        ("query", "{\"q\":\"1\",\"empty\":\"\",\"plus\":\"a b+\"}"),
        ("headers.accept", "\"text/html, */*\""),
        ("headers['x-one']", "\"1\""),
        ("headers.host", "\"API.example.com:8443\""),
        ("headers.cookie", "\"a=1; b=2; a=3; c=\\\"4\\\"\""),
        ("size(headers)", "4"),
        ("cookies.a", "\"1\""),
        ("cookies.c", "\"\\\"4\\\"\""),
        ("cookies", "{\"a\":\"1\",\"b\":\"2\",\"c\":\"\\\"4\\\"\"}"),
        ("caller == null", "true"),
        ("claims", "{}"),
        ("has(query.q) && !has(query.none)", "true"),
        ("has(headers.accept) && !has(headers.none)", "true"),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text, None), Ok(expected.to_owned()), "{text}");
    }
    for text in [
        "query.none",
        "query.bad",
        "headers.none",
        "cookies.none",
        "claims.sub",
    ] {
        assert!(read(text, None).is_err(), "{text}");
    }
}

#[test]
fn a_caller_is_read_by_its_names() {
    let caller = Caller {
        authenticator: "customers".into(),
        name: "alice".into(),
        claims: Json::try_from("{\"n\": 1e400, \"sub\":\"alice\"}").unwrap(),
    };
    let cases = [
        ("caller.sub", "\"alice\""),
        ("caller.name", "\"alice\""),
        ("caller.authenticator", "\"customers\""),
        ("claims.sub", "\"alice\""),
        ("claims.n", "1e400"),
        ("claims", "{\"n\": 1e400, \"sub\":\"alice\"}"),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text, Some(&caller)), Ok(expected.to_owned()), "{text}");
    }
}
