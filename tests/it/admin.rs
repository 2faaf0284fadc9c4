//! What operators see.

use crate::support::{Answer, TestGateway, Upstream, eventually};

fn gateway(upstream: &Upstream) -> TestGateway {
    TestGateway::start(&format!(
        r#"
        [auth.a]
        jwt = {{ secret = "0123456789abcdef0123456789abcdef" }}
        [upstreams.u]
        endpoints = ["{}"]
        [[routes]]
        name = "front"
        path = "/"
        upstream = "u"
        [[routes]]
        path = "/private"
        auth = "a"
        respond = {{ text = "secret" }}
        "#,
        upstream.url()
    ))
}

#[test]
fn health_routes_and_metrics_are_there() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = gateway(&upstream);
    gateway.get("/").expect(200);
    gateway.get("/private").expect(401);
    let mut admin = gateway.admin();
    admin.get("/live").expect(200);
    admin.get("/ready").expect(200);
    assert!(admin.get("/routes").expect(200).text().contains("front"));
    let mut metrics = String::new();
    eventually("the requests are counted", || {
        metrics = admin.get("/metrics").expect(200).text();
        metrics.contains(r#"concertina_requests_total{route="front",status="2xx"} 1"#)
    });
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

#[test]
fn secrets_are_masked() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = gateway(&upstream);
    let config = gateway.admin().get("/config").expect(200).text();
    assert!(config.contains("front"), "{config}");
    assert!(!config.contains("0123456789abcdef"), "{config}");
}

#[test]
fn another_site_cannot_make_a_browser_reload_the_file() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = gateway(&upstream);
    let foreign = [
        ("origin", "https://evil.test"),
        ("sec-fetch-site", "cross-site"),
    ];
    gateway
        .admin()
        .ask("POST", "/reload", &foreign, b"")
        .expect(403);
    gateway.admin().ask("GET", "/reload", &[], b"").expect(405);
}
