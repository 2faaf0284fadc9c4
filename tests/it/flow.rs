//! One request, several calls, one answer.

use crate::support::client::request;
use crate::support::message::Message;
use crate::support::upstream::dead_address;
use crate::support::{Answer, Gate, TestGateway, Upstream};

/// Three parts: `a` and `b` are required and start together, `c` waits for `a` and is optional.
fn flow(a: &str, b: &str, c: &str) -> String {
    format!(
        r#"
        [upstreams.a]
        endpoints = ["{a}"]
        [upstreams.b]
        endpoints = ["{b}"]
        timeout = "5s"
        [upstreams.c]
        endpoints = ["{c}"]
        timeout = "300ms"

        [[routes]]
        path = "/{{id}}"
        methods = ["GET"]
        timeout = "2s"
        [routes.steps.a]
        call = "GET a:/a/{{path.id}}"
        [routes.steps.b]
        call = "GET b:/b"
        [routes.steps.c]
        call = "GET c:/c/{{steps.a.body.next}}"
        optional = true
        default = "'none'"
        [routes.response]
        body = "{{'a': steps.a.body, 'b': steps.b.body, 'c': steps.c.body}}"
        "#
    )
}

fn well() -> Upstream {
    Upstream::saying(Answer::json(r#"{"next":"x"}"#))
}

#[test]
fn parts_are_merged_into_one_answer() {
    let (a, b, c) = (
        well(),
        Upstream::saying(Answer::json("[1]")),
        Upstream::saying(Answer::json("2")),
    );
    let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
    let reply = gateway.get("/7").expect(200);
    assert_eq!(reply.text(), r#"{"a":{"next":"x"},"b":[1],"c":2}"#);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("concertina-parts"), None);
    assert_eq!(c.requests()[0].first, "GET /c/x HTTP/1.1");
    gateway.ask("HEAD", "/7", &[], b"").expect(200);
}

#[test]
fn steps_that_need_nothing_of_each_other_start_together() {
    let gate = Gate::new();
    let a = Upstream::saying(Answer::json(r#"{"next":"x"}"#).behind(&gate));
    let b = Upstream::saying(Answer::json("1").behind(&gate));
    let c = Upstream::saying(Answer::json("2"));
    let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
    let mut client = gateway.client();
    client.send(request("GET", "/7", &[], b""));
    a.wait_for_requests(1);
    b.wait_for_requests(1);
    assert_eq!(c.count(), 0);
    gate.open();
    client.reply().expect(200);
}

#[test]
fn numbers_key_order_and_text_come_out_as_they_went_in() {
    let odd = r#"{"z":1e400,"a":12345678901234567890,"m":0.10,"z2":-0,"text":"\u00e9\ud83d\ude00 é","n":{"b":1,"a":2}}"#;
    let (a, b, c) = (
        well(),
        Upstream::saying(Answer::json(odd)),
        Upstream::saying(Answer::json("1E+2")),
    );
    let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
    let text = gateway.get("/7").expect(200).text();
    assert_eq!(
        text,
        format!(r#"{{"a":{{"next":"x"}},"b":{odd},"c":1E+2}}"#)
    );
}

#[test]
fn an_optional_part_that_fails_is_named_and_its_default_stands_in() {
    let cases: [(Answer, &str); 3] = [
        (Answer::status(500), "cause=status"),
        (Answer::never(), "cause=timeout"),
        (Answer::json("{broken"), "cause=decode"),
    ];
    for (answer, cause) in cases {
        let (a, b, c) = (well(), well(), Upstream::saying(answer));
        let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
        let reply = gateway.get("/7").expect(200);
        assert_eq!(reply.json()["c"], "none");
        let parts = reply.header("concertina-parts").unwrap();
        assert!(
            parts.starts_with("c=defaulted") || parts.starts_with("c=failed"),
            "{parts}"
        );
        assert!(parts.contains(cause), "{parts}");
    }
}

#[test]
fn a_required_part_that_fails_decides_the_status() {
    let cases: [(Answer, u16); 8] = [
        (Answer::status(404), 404),
        (Answer::status(409), 409),
        (Answer::status(401), 502),
        (Answer::status(500), 502),
        (Answer::json("nul"), 502),
        (Answer::json(""), 200),
        (Answer::status(204), 200),
        (
            Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}").close(),
            502,
        ),
    ];
    for (answer, status) in cases {
        let case = format!("{answer:?}");
        let (a, b, c) = (well(), Upstream::saying(answer), well());
        let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
        let reply = gateway.get("/7");
        assert_eq!(reply.status, status, "{case}: {}", reply.text());
        if status >= 400 {
            let problem = reply.json();
            assert_eq!(problem["step"], "b", "{case}");
            assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
        }
    }
}

#[test]
fn with_a_dead_a_slow_and_a_lying_upstream_the_answer_says_which_and_why() {
    let (slow, lying) = (
        Upstream::saying(Answer::never()),
        Upstream::saying(Answer::json("<html>")),
    );
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.dead]
        endpoints = ["http://{}"]
        [upstreams.slow]
        endpoints = ["{}"]
        timeout = "200ms"
        [upstreams.lying]
        endpoints = ["{}"]

        [[routes]]
        path = "/"
        methods = ["GET"]
        timeout = "2s"
        [routes.steps.dead]
        call = "GET dead:/"
        optional = true
        [routes.steps.slow]
        call = "GET slow:/"
        optional = true
        [routes.steps.lying]
        call = "GET lying:/"
        optional = true
        "#,
        dead_address(),
        slow.url(),
        lying.url(),
    ));
    let reply = gateway.get("/").expect(200);
    assert_eq!(reply.text(), r#"{"dead":null,"slow":null,"lying":null}"#);
    assert_eq!(
        reply.header("concertina-parts"),
        Some("dead=failed;cause=connect, slow=failed;cause=timeout, lying=failed;cause=decode")
    );
}

#[test]
fn the_route_s_deadline_ends_every_call() {
    let (a, b, c) = (well(), Upstream::saying(Answer::never()), well());
    let text =
        flow(&a.url(), &b.url(), &c.url()).replace("timeout = \"2s\"", "timeout = \"300ms\"");
    let gateway = TestGateway::start(&text);
    gateway.get("/7").expect(504);
    b.wait_for_abandoned(1);
}

#[test]
fn when_a_required_step_fails_the_others_are_cancelled() {
    let (a, b, c) = (
        Upstream::saying(Answer::status(404)),
        Upstream::saying(Answer::never()),
        well(),
    );
    let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
    gateway.get("/7").expect(404);
    b.wait_for_abandoned(1);
    assert_eq!(c.count(), 0);
}

#[test]
fn a_value_cannot_leave_the_place_where_it_is_put() {
    let a = Upstream::saying(Answer::json(r#"{"next":"../../admin?x=1#y%2e"}"#));
    let (b, c) = (well(), well());
    let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
    gateway.get("/a%2F..%2Fb").expect(200);
    assert_eq!(a.requests()[0].first, "GET /a/a%2F..%2Fb HTTP/1.1");
    assert_eq!(
        c.requests()[0].first,
        "GET /c/..%2F..%2Fadmin%3Fx%3D1%23y%252e HTTP/1.1"
    );
}

#[test]
fn a_part_larger_than_its_bound_fails_without_being_held() {
    let huge = Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n")
        .fill(100 << 20)
        .close();
    let (a, b, c) = (well(), Upstream::saying(huge), well());
    let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
    gateway.get("/7").expect(502);
}

#[test]
fn a_bomb_of_nested_arrays_fails_as_not_decodable() {
    let bomb = "[".repeat(1 << 20);
    let (a, b, c) = (well(), Upstream::saying(Answer::json(&bomb)), well());
    let gateway = TestGateway::start(&flow(&a.url(), &b.url(), &c.url()));
    gateway.get("/7").expect(502);
}

#[test]
fn a_flat_merge_with_the_same_key_twice_is_a_defined_error() {
    let one = Upstream::saying(Answer::json(r#"{"id":1,"x":true}"#));
    let two = Upstream::saying(Answer::json(r#"{"id":2}"#));
    let text = |rule: &str| {
        format!(
            r#"
            [upstreams.one]
            endpoints = ["{}"]
            [upstreams.two]
            endpoints = ["{}"]
            [[routes]]
            path = "/"
            methods = ["GET"]
            [routes.steps.one]
            call = "GET one:/"
            [routes.steps.two]
            call = "GET two:/"
            [routes.response]
            merge = "flatten"
            {rule}
            "#,
            one.url(),
            two.url()
        )
    };
    TestGateway::start(&text("")).get("/").expect(500);
    let first = TestGateway::start(&text("on_conflict = \"first\""));
    assert_eq!(first.get("/").expect(200).text(), r#"{"id":1,"x":true}"#);
    let last = TestGateway::start(&text("on_conflict = \"last\""));
    assert_eq!(last.get("/").expect(200).json()["id"], 2);
}

#[test]
fn the_client_s_body_reaches_a_step_as_it_came_or_by_expression() {
    let echo = Upstream::start(|request: &Message| {
        Answer::with(
            "200 OK",
            &[("content-type", "application/json")],
            &String::from_utf8_lossy(&request.body),
        )
    });
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.echo]
        endpoints = ["{}"]
        [[routes]]
        path = "/raw"
        [routes.steps.echo]
        call = "POST echo:/"
        body = "body"
        [[routes]]
        path = "/made"
        [routes.steps.echo]
        call = "POST echo:/"
        body = "{{'sku': body.sku, 'n': 1}}"
        "#,
        echo.url()
    ));
    let json = [("content-type", "application/json")];
    let odd = br#"{ "sku" : 1e400 }"#;
    let raw = gateway.ask("POST", "/raw", &json, odd).expect(200);
    assert_eq!(raw.text(), r#"{"echo":{ "sku" : 1e400 }}"#);
    let made = gateway.ask("POST", "/made", &json, odd).expect(200);
    assert_eq!(made.text(), r#"{"echo":{"sku":1e400,"n":1}}"#);
    gateway.ask("POST", "/made", &json, b"{broken").expect(400);
}

#[test]
fn a_route_answers_in_the_place_of_an_error_of_its_upstream() {
    let upstream = Upstream::saying(Answer::status(500));
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.well]
        endpoints = ["{}"]
        [upstreams.dead]
        endpoints = ["http://{}"]

        [[routes]]
        path = "/dead/{{id}}"
        upstream = "dead"
        response_headers = {{ x-route = "dead" }}
        [[routes.on_error]]
        when = "error.cause == 'connect' && path.id == 'gone'"
        status = 302
        headers = {{ location = "/sorry" }}
        [[routes.on_error]]
        when = "error.status == 502"
        status = 500
        body = "[error.cause, error.step, path.id]"

        [[routes]]
        path = "/well"
        upstream = "well"
        on_error = [{{ status = 200, body = "'never'" }}]

        [[routes]]
        path = "/limited"
        upstream = "well"
        ip_deny = ["127.0.0.0/8"]
        on_error = [{{ status = 200, body = "'never'" }}]
        "#,
        upstream.url(),
        dead_address(),
    ));
    let reply = gateway.get("/dead/7").expect(500);
    assert_eq!(reply.text(), r#"["connect",null,"7"]"#);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-route"), Some("dead"));
    let reply = gateway.get("/dead/gone").expect(302);
    assert_eq!(reply.header("location"), Some("/sorry"));
    assert_eq!(reply.text(), "");
    gateway.get("/well").expect(500);
    gateway.get("/limited").expect(403);

    // It is still an error to those who watch.
    let metrics = gateway.admin().get("/metrics").expect(200).text();
    let counted = |line: &str| line.contains("cause=\"connect\"") && line.contains("/dead/{id}");
    assert!(metrics.lines().any(counted), "{metrics}");
}

/// The parts `a` and `b`, and a response as `response` says.
fn two_parts(
    a: &[(&str, &str)],
    b: &[(&str, &str)],
    response: &str,
) -> (TestGateway, [Upstream; 2]) {
    let upstreams = [a, b].map(|headers| Upstream::saying(Answer::with("200 OK", headers, "1")));
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.a]
        endpoints = ["{}"]
        [upstreams.b]
        endpoints = ["{}"]
        [[routes]]
        path = "/"
        methods = ["GET"]
        {response}
        [routes.steps.a]
        call = "GET a:/"
        [routes.steps.b]
        call = "GET b:/"
        "#,
        upstreams[0].url(),
        upstreams[1].url()
    ));
    (gateway, upstreams)
}

#[test]
fn fields_of_parts_are_passed_on_by_rule() {
    let a = [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-who", "a"),
        ("x-own", "a"),
    ];
    let b = [("set-cookie", "a=3"), ("x-who", "b"), ("x-other", "b")];
    let cases = [
        ("", vec![]),
        ("'x-who'", vec![("x-who", "a")]),
        (
            "{ header = 'X-Who', on_conflict = 'last' }",
            vec![("x-who", "b")],
        ),
        ("{ header = 'x-who', from = 'b' }", vec![("x-who", "b")]),
        (
            "{ header = 'x-who', on_conflict = 'append' }",
            vec![("x-who", "a"), ("x-who", "b")],
        ),
        (
            "{ header = 'x-own', on_conflict = 'error' }, 'x-none'",
            vec![("x-own", "a")],
        ),
        (
            "'set-cookie', 'x-other'",
            vec![
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("set-cookie", "a=3"),
                ("x-other", "b"),
            ],
        ),
        (
            "{ header = 'set-cookie', from = ['b'] }",
            vec![("set-cookie", "a=3")],
        ),
    ];
    for (rules, expected) in cases {
        let response = match rules {
            "" => String::new(),
            rules => format!("response.forward = [{rules}]"),
        };
        let (gateway, _upstreams) = two_parts(&a, &b, &response);
        let reply = gateway.get("/").expect(200);
        let passed: Vec<(&str, &str)> = reply
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| {
                *name == "set-cookie" || name.starts_with("x-") && *name != "x-request-id"
            })
            .collect();
        assert_eq!(passed, expected, "{rules}");
    }
    let rules = "response.forward = { header = 'x-who', on_conflict = 'error' }";
    let (gateway, _upstreams) = two_parts(&a, &b, rules);
    assert_eq!(gateway.get("/").expect(500).json()["step"], "b");
}

#[test]
fn a_composed_response_is_stored_no_longer_than_its_parts_allow() {
    let (public, private) = (
        ("cache-control", "public, max-age=60"),
        ("cache-control", "private"),
    );
    let (short, age) = (("cache-control", "public, max-age=20"), ("age", "5"));
    let forward = "response.forward = 'cache-control'";
    let stated = "response.headers = { cache-control = 'public, max-age=30' }";
    let dressed = "response_headers = { cache-control = 'public, max-age=30' }";
    for (a, b, response, expected) in [
        (vec![public], vec![public], "", None),
        (vec![public], vec![private], "", Some("private")),
        (
            vec![public],
            vec![short, age],
            forward,
            Some("public, max-age=15"),
        ),
        (vec![public], vec![], forward, Some("no-cache")),
        (
            vec![public],
            vec![private],
            forward,
            Some("private, no-cache"),
        ),
        (
            vec![public],
            vec![public],
            stated,
            Some("public, max-age=30"),
        ),
        (
            vec![public],
            vec![short, age],
            stated,
            Some("public, max-age=15"),
        ),
        (
            vec![public],
            vec![short, age],
            dressed,
            Some("public, max-age=15"),
        ),
        (vec![], vec![private], dressed, Some("private, max-age=30")),
    ] {
        let (gateway, _upstreams) = two_parts(&a, &b, response);
        let reply = gateway.get("/").expect(200);
        assert_eq!(
            reply.header("cache-control"),
            expected,
            "{a:?} {b:?} {response}"
        );
    }
}
