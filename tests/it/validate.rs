//! Bodies held against a JSON Schema.

#![cfg(feature = "body-schema")]

use std::fs;

use crate::support::client::request;
use crate::support::{TestGateway, Upstream, eventually};

const ORDER: &str = r##"{
    "type": "object",
    "required": ["sku"],
    "properties": {
        "sku": { "type": "string", "pattern": "^[a-z]+$" },
        "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } }
    },
    "additionalProperties": false,
    "$defs": { "line": { "type": "integer", "minimum": 1 } }
}"##;

/// A gateway with one upstream `echo`, a schema in `order.json`, and these routes.
fn gateway(echo: &Upstream, routes: &str) -> TestGateway {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("order.json"), ORDER).unwrap();
    let text = format!(
        "{}[upstreams.echo]\nendpoints = [\"{}\"]\n{routes}",
        crate::support::gateway::LISTENERS,
        echo.url()
    );
    TestGateway::start_exactly(folder, &text)
}

const PROXY: &str = r#"
[[routes]]
path = "/orders"
upstream = "echo"
validate = "order.json"
"#;

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn a_body_that_fits_goes_on_as_it_came() {
    let echo = Upstream::echo();
    let gateway = gateway(&echo, PROXY);
    let odd = br#" {"sku" : "tea", "lines":[ 1e0,2 ] } "#;
    let reply = gateway.ask("POST", "/orders", &[JSON], odd).expect(200);
    assert_eq!(reply.text().as_bytes(), odd);
    assert_eq!(
        echo.requests()[0].header("content-type"),
        Some("application/json")
    );
    // A body in chunks is held against it as well.
    let chunked = request("PUT", "/orders", &[("transfer-encoding", "chunked")], b"");
    let mut client = gateway.client();
    client.send(
        [
            chunked.as_slice(),
            b"5\r\n{\"sku\r\n7\r\n\":\"tea\"\r\n1\r\n}\r\n0\r\n\r\n",
        ]
        .concat(),
    );
    assert_eq!(client.reply().expect(200).text(), r#"{"sku":"tea"}"#);
    // Where nothing came and nothing need come, there is nothing to check.
    gateway.get("/orders").expect(200);
    gateway.ask("DELETE", "/orders", &[], b"").expect(200);
}

#[test]
fn a_body_that_does_not_fit_is_told_where_and_reaches_nobody() {
    let echo = Upstream::echo();
    let gateway = gateway(&echo, PROXY);
    let body = br#"{"sku":"SECRET","lines":[1,0,"PRIVATE"],"more":{"a":"HIDDEN"}}"#;
    let reply = gateway.ask("POST", "/orders", &[JSON], body).expect(422);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let text = reply.text();
    for hidden in ["SECRET", "PRIVATE", "HIDDEN"] {
        assert!(!text.contains(hidden), "{text}");
    }
    let problem = reply.json();
    assert_eq!(problem["type"], "urn:problem-type:concertina:invalid-body");
    let mut errors: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (
                error["pointer"].as_str().unwrap(),
                error["detail"].as_str().unwrap(),
            )
        })
        .collect();
    errors.sort_unstable();
    assert_eq!(
        errors,
        [
            ("#", "has unknown properties: `more`"),
            ("#/lines/1", "must be at least 1"),
            ("#/lines/2", "is not of type integer"),
            ("#/sku", "does not match the pattern"),
        ]
    );
    // A key twice, of which the next reader may take the other; nothing where something must be.
    let twice = br#"{"sku":"A!","sku":"tea"}"#;
    gateway.ask("POST", "/orders", &[JSON], twice).expect(422);
    gateway.ask("POST", "/orders", &[JSON], b"").expect(422);
    // What cannot be read cannot be checked.
    gateway
        .ask("POST", "/orders", &[JSON], b"{\"sku\":")
        .expect(400);
    let deep = "[".repeat(100_000);
    gateway
        .ask("POST", "/orders", &[JSON], deep.as_bytes())
        .expect(400);
    let text = ("content-type", "text/plain");
    gateway.ask("POST", "/orders", &[text], b"{}").expect(415);
    let coded = [JSON, ("content-encoding", "gzip")];
    gateway.ask("POST", "/orders", &coded, b"{}").expect(415);
    // Too large: said beforehand, or found out.
    let large = vec![b' '; (1 << 20) + 1];
    gateway.ask("POST", "/orders", &[JSON], &large).expect(413);
    assert_eq!(echo.count(), 0);
}

#[test]
fn a_checked_body_that_does_not_arrive_is_not_waited_for_without_end() {
    let echo = Upstream::echo();
    let text = PROXY.to_owned() + "timeout = \"100ms\"\n";
    let gateway = gateway(&echo, &text);
    let mut client = gateway.client();
    client.send("POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{");
    client.reply().expect(408);
    assert_eq!(echo.count(), 0);
}

#[test]
fn flows_and_forms_are_checked_too_and_errors_may_be_mapped() {
    let echo = Upstream::echo();
    let gateway = gateway(
        &echo,
        r#"
        [flows.order]
        steps.echo = { call = "POST echo:/", body = "{'sku': body.sku}" }
        response.body = "steps.echo.body"
        [[routes]]
        path = "/orders"
        flow = "order"
        on_error = [{ when = "error.cause == 'invalid-body'", status = 400 }]
        [routes.validate.schema]
        required = ["sku"]
        properties.sku.minLength = 2
        properties.sku.type = "string"
        "#,
    );
    let form = ("content-type", "application/x-www-form-urlencoded");
    let reply = gateway
        .ask("POST", "/orders", &[form], b"sku=tea&x=1")
        .expect(200);
    assert_eq!(reply.text(), r#"{"sku":"tea"}"#);
    let reply = gateway
        .ask("POST", "/orders", &[form], b"sku=t")
        .expect(400);
    assert_eq!(reply.json()["errors"][0]["pointer"], "#/sku");
    gateway
        .ask("POST", "/orders", &[form], b"sku=tea&sku=tea")
        .expect(400);
    assert_eq!(echo.count(), 1);
}

#[test]
fn a_changed_schema_is_a_reload_and_a_broken_one_changes_nothing() {
    let echo = Upstream::echo();
    let gateway = gateway(&echo, PROXY);
    let ask = || {
        gateway
            .ask("POST", "/orders", &[JSON], br#"{"id":1}"#)
            .status
    };
    assert_eq!(ask(), 422);
    let file = gateway.folder().join("order.json");
    fs::write(&file, r#"{ "required": ["id"] }"#).unwrap();
    eventually("the new schema holds", || ask() == 200);
    fs::write(&file, r#"{ "required": "nothing" }"#).unwrap();
    let report = gateway.gateway.reload();
    let told = format!("{:?}", report.mistakes);
    assert!(
        told.contains("order.json") && told.contains("/required"),
        "{told}"
    );
    assert_eq!(ask(), 200);
}

#[test]
fn a_pattern_takes_linear_time() {
    let echo = Upstream::echo();
    let gateway = gateway(
        &echo,
        r#"
        [[routes]]
        path = "/"
        upstream = "echo"
        validate.schema = { items = { pattern = "^(a+)+$" } }
        "#,
    );
    // With a backtracking engine this would outlast the test.
    let body = format!("[\"{}!\"]", "a".repeat(500_000));
    gateway
        .ask("POST", "/", &[JSON], body.as_bytes())
        .expect(422);
}
