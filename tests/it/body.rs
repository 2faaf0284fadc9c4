//! Bodies of requests: which are taken, how they are read, and what is answered to the others.

use crate::support::client::request;
use crate::support::message::{Message, Reply};
use crate::support::{Answer, TestGateway, Upstream};

/// A gateway with one upstream `echo`, and these routes.
fn gateway(echo: &Upstream, routes: &str) -> TestGateway {
    TestGateway::start(&format!(
        "[upstreams.echo]\nendpoints = [\"{}\"]\n{routes}",
        echo.url()
    ))
}

/// A flow that sends on what it reads as `body`.
const READING: &str = r#"
[[routes]]
path = "/read"
steps.echo = { call = "POST echo:/", body = "{'is': body}" }
response.body = "steps.echo.body.is"
"#;

fn post(gateway: &TestGateway, path: &str, kind: &str, body: &[u8]) -> Reply {
    gateway.ask("POST", path, &[("content-type", kind)], body)
}

#[track_caller]
fn refused(reply: Reply, status: u16, kind: &str) -> serde_json::Value {
    let reply = reply.expect(status);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem = reply.json();
    assert_eq!(
        problem["type"],
        format!("urn:problem-type:concertina:{kind}")
    );
    problem
}

#[test]
fn a_form_is_read_as_an_object() {
    let echo = Upstream::echo();
    let gateway = gateway(&echo, READING);
    let kind = "application/x-www-form-urlencoded; charset=UTF-8";
    let read = post(
        &gateway,
        "/read",
        kind,
        b"sku=green+tea&tag=a&tag=%C3%A4&gift=",
    );
    let expected = r#"{"sku":"green tea","tag":["a","ä"],"gift":""}"#;
    assert_eq!(read.expect(200).text(), expected);
    let problem = refused(post(&gateway, "/read", kind, b"a=%zz"), 400, "request-body");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("The request body is not a form: "),
        "{detail}"
    );
    let many = "a&".repeat(1001);
    refused(
        post(&gateway, "/read", kind, many.as_bytes()),
        413,
        "too-large",
    );
    assert_eq!(echo.count(), 1);
}

#[test]
fn a_multipart_form_is_read_with_its_files() {
    let echo = Upstream::echo();
    let gateway = gateway(&echo, READING);
    let kind = "multipart/form-data; boundary=----b1";
    let form = b"------b1\r\nContent-Disposition: form-data; name=\"sku\"\r\n\r\ntea\r\n\
        ------b1\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"t.png\"\r\n\
        Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n\r\n------b1--\r\n";
    let read = post(&gateway, "/read", kind, form).expect(200);
    assert_eq!(
        read.text(),
        r#"{"sku":"tea","photo":{"filename":"t.png","type":"image/png","size":8,"content":"iVBORw0KGgo="}}"#
    );
    for (kind, form) in [
        (kind, &form[..form.len() - 4]),
        (kind, b"hello".as_slice()),
        ("multipart/form-data", form),
        ("multipart/form-data; boundary=\"a%b\"", form),
        ("multipart/form-data; boundary=other", form),
    ] {
        refused(post(&gateway, "/read", kind, form), 400, "request-body");
    }
    assert_eq!(echo.count(), 1);
}

#[test]
fn a_form_goes_on_as_it_came_where_nobody_reads_it() {
    let echo = Upstream::echo();
    let gateway = gateway(
        &echo,
        r#"
        [[routes]]
        path = "/on"
        steps.echo = { call = "POST echo:/", body = "body", accept = ["2xx"] }
        "#,
    );
    let headers = [("content-type", "text/csv"), ("content-encoding", "gzip")];
    gateway.ask("POST", "/on", &headers, b"1").expect(200);
    let seen = echo.requests().remove(0);
    assert_eq!(seen.header("content-type"), Some("text/csv"));
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    assert_eq!(seen.body, b"1");
}

#[test]
fn what_cannot_be_read_is_told_what_can() {
    let echo = Upstream::echo();
    let gateway = gateway(&echo, READING);
    for kind in ["text/plain", "application/xml", "nonsense"] {
        let reply = post(&gateway, "/read", kind, b"{}");
        let accept = reply.header("accept").map(str::to_owned);
        refused(reply, 415, "content-type");
        assert_eq!(
            accept.as_deref(),
            Some("application/json, application/x-www-form-urlencoded, multipart/form-data")
        );
    }
    let json = ("content-type", "application/json");
    let coded = [json, ("content-encoding", "gzip")];
    let reply = gateway.ask("POST", "/read", &coded, b"{}");
    assert_eq!(reply.header("accept-encoding"), Some("identity"));
    refused(reply, 415, "content-encoding");
    refused(
        gateway.ask("POST", "/read", &[json, json], b"{}"),
        415,
        "content-type",
    );
    assert_eq!(echo.count(), 0);
    // JSON says so by any of its names, or nothing says what it is.
    for kind in ["application/problem+json", "Text/JSON"] {
        assert_eq!(
            post(&gateway, "/read", kind, b"[1]").expect(200).text(),
            "[1]"
        );
    }
    assert_eq!(
        gateway.ask("POST", "/read", &[], b"[1]").expect(200).text(),
        "[1]"
    );
    // Nothing is of no type.
    assert_eq!(
        post(&gateway, "/read", "text/plain", b"")
            .expect(200)
            .text(),
        "null"
    );
}

#[test]
fn a_flow_inside_a_flow_reads_what_it_is_given_not_what_the_client_sent() {
    let echo = Upstream::echo();
    let gateway = gateway(
        &echo,
        r#"
        [flows.inner]
        steps.echo = { call = "POST echo:/", body = "[body.sku]" }
        response.body = "steps.echo.body"
        [[routes]]
        path = "/made"
        steps.made = { flow = "inner", body = "{'sku': body.sku + '!'}" }
        response.body = "steps.made.body"
        [[routes]]
        path = "/given"
        steps.given = { flow = "inner", body = "body" }
        response.body = "steps.given.body"
        "#,
    );
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(
        post(&gateway, "/made", kind, b"sku=tea").expect(200).text(),
        r#"["tea!"]"#
    );
    assert_eq!(
        post(&gateway, "/given", kind, b"sku=tea")
            .expect(200)
            .text(),
        r#"["tea"]"#
    );
}

#[test]
fn a_route_takes_the_types_it_names_and_so_much_of_each() {
    let echo = Upstream::echo();
    let gateway = gateway(
        &echo,
        r#"
        [[routes]]
        path = "/json"
        upstream = "echo"
        content_types = "application/json"
        on_error = [{ when = "error.cause == 'content-type' && query.?soft == optional.of('1')", status = 400 }]
        [[routes]]
        path = "/sized"
        upstream = "echo"
        body_bytes = "4B"
        content_types = { "image/*" = "8B", "*/*" = "2B", "text/plain" = "0B" }
        "#,
    );
    post(&gateway, "/json", "application/json; charset=utf-8", b"{}").expect(200);
    gateway.get("/json").expect(200);
    let reply = post(&gateway, "/json", "text/plain", b"{}");
    assert_eq!(reply.header("accept"), Some("application/json"));
    refused(reply, 415, "content-type");
    refused(
        gateway.ask("POST", "/json", &[], b"{}"),
        415,
        "content-type",
    );
    refused(
        post(&gateway, "/json?soft=1", "text/plain", b"{}"),
        400,
        "content-type",
    );
    assert_eq!(echo.count(), 2);

    post(&gateway, "/sized", "image/png", b"12345678").expect(200);
    refused(
        post(&gateway, "/sized", "image/png", b"123456789"),
        413,
        "too-large",
    );
    post(&gateway, "/sized", "a/b", b"12").expect(200);
    refused(post(&gateway, "/sized", "a/b", b"123"), 413, "too-large");
    refused(
        post(&gateway, "/sized", "text/plain", b"1"),
        413,
        "too-large",
    );
    // The bound holds for a body whose length nobody has told as well.
    let chunked = request(
        "POST",
        "/sized",
        &[("content-type", "a/b"), ("transfer-encoding", "chunked")],
        b"",
    );
    let mut client = gateway.client();
    client.send([chunked.as_slice(), b"3\r\n123\r\n0\r\n\r\n"].concat());
    client.reply().expect(413);
}

#[test]
fn a_refusal_by_type_does_not_wait_for_the_body() {
    let echo = Upstream::echo();
    let gateway = gateway(&echo, READING);
    let mut client = gateway.client();
    client
        .send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 100\r\n\r\n");
    client.reply().expect(415);
}

#[test]
fn xml_is_read_as_json_and_brings_nothing_with_it() {
    let bank = Upstream::start(|request: &Message| {
        let path = request.first.split(' ').nth(1).unwrap();
        let xml = match path {
            "/fine" => "<?xml version='1.0'?>\n<a x='1'><b>&lt;1&gt;</b><b/>t</a>".to_owned(),
            "/empty" => String::new(),
            "/external" => {
                "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>".to_owned()
            }
            "/laughs" => "<!DOCTYPE a [<!ENTITY e 'ha'><!ENTITY f '&e;&e;'>]><a>&f;</a>".to_owned(),
            "/entity" => "<a>&e;</a>".to_owned(),
            "/deep" => "<a>".repeat(1 << 16),
            "/many" => format!("<a>{}</a>", "<b/>".repeat(1 << 17)),
            "/json" => "{}".to_owned(),
            _ => "<a>".to_owned(),
        };
        Answer::with("200 OK", &[("content-type", "text/xml")], &xml)
    });
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.bank]
        endpoints = ["{}"]
        [[routes]]
        path = "/{{name}}"
        steps.bank = {{ call = "GET bank:/{{path.name}}", decode = "xml" }}
        response.body = "steps.bank.body"
        "#,
        bank.url()
    ));
    let read = gateway.get("/fine").expect(200);
    assert_eq!(
        read.text(),
        r##"{"a":{"@x":"1","b":["<1>",""],"#text":"t"}}"##
    );
    let seen = bank.requests().remove(0);
    assert_eq!(seen.header("accept"), Some("application/xml, text/xml"));
    assert_eq!(gateway.get("/empty").expect(200).text(), "null");
    for bad in [
        "/external",
        "/laughs",
        "/entity",
        "/deep",
        "/many",
        "/json",
        "/open",
    ] {
        let reply = gateway.get(bad).expect(502);
        assert_eq!(
            reply.header("concertina-parts"),
            Some("bank=failed;cause=decode"),
            "{bad}"
        );
    }
}
