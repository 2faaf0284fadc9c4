//! Which route answers, and what is said when none does.

use crate::support::TestGateway;

fn gateway() -> TestGateway {
    TestGateway::start(
        r#"
        [[routes]]
        path = "/{rest...}"
        methods = ["GET"]
        hosts = ["shop.example.com"]
        respond = { text = "shop" }

        [[routes]]
        path = "/users/{id}"
        methods = ["GET"]
        respond = { body = "{'id': path.id}" }

        [[routes]]
        path = "/users/me"
        methods = ["GET", "POST"]
        respond = { text = "me" }

        [[routes]]
        path = "/users/me"
        methods = ["GET"]
        when = "'beta' in query"
        respond = { text = "beta" }

        [[routes]]
        path = "/old/{id}"
        redirect = { to = "/users/{path.id}", status = 308 }
        "#,
    )
}

#[test]
fn the_most_specific_route_answers() {
    let gateway = gateway();
    assert_eq!(gateway.get("/users/me").text(), "me");
    assert_eq!(gateway.get("/users/me?beta=1").text(), "beta");
    assert_eq!(gateway.get("/users/7").text(), r#"{"id":"7"}"#);
    let shop = gateway.ask("GET", "/users/7", &[("host", "shop.example.com")], b"");
    assert_eq!(shop.text(), "shop");
}

#[test]
fn what_no_route_takes_is_404_and_what_takes_other_methods_is_405() {
    let gateway = gateway();
    let reply = gateway.get("/nowhere").expect(404);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem = reply.json();
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["request_id"].as_str(), reply.header("x-request-id"));
    let reply = gateway.ask("DELETE", "/users/me", &[], b"").expect(405);
    let mut allowed: Vec<&str> = reply.header("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[test]
fn head_is_answered_by_routes_for_get() {
    let reply = gateway().ask("HEAD", "/users/me", &[], b"").expect(200);
    assert_eq!(reply.header("content-length"), Some("2"));
    assert!(reply.body.is_empty());
}

#[test]
fn a_path_is_compared_in_its_one_canonical_form() {
    let gateway = gateway();
    for path in [
        "/users/%6De",
        "/users/./me",
        "/users/x/../me",
        "/x/%2e%2E/users/me",
    ] {
        assert_eq!(gateway.get(path).expect(200).text(), "me", "{path}");
    }
    for path in ["/users/%zz", "/../users/me", "/users/\\me"] {
        gateway.get(path).expect(400);
    }
}

#[test]
fn a_redirect_keeps_what_a_parameter_encodes() {
    let reply = gateway().get("/old/a%2Fb").expect(308);
    assert_eq!(reply.header("location"), Some("/users/a%2Fb"));
}
