//! `explain` and `graph` as a person sees them: every line compared.

use std::fs;

use tempfile::TempDir;

use crate::support::process::{output, stderr, stdout};

/// Every kind of step, guard and setting.
const FILE: &str = r#"
upstreams.users = { endpoints = ["http://127.0.0.1:9101"], retry = { attempts = 3, on = ["connect", "5xx"] } }
upstreams.prices = { endpoints = ["http://127.0.0.1:9102"], timeout = "200ms", connect_timeout = "50ms" }
limits.all = { rate = "100/min", by = "'all'" }

[flows.product]
steps.stock = { call = "GET prices:/stock/{body.sku}" }
steps.price = { call = "GET prices:/price/{body.sku}", optional = true, default = "{'price': null}" }
response = { merge = "flatten", on_conflict = "first" }

[[routes]]
path = "/page/{id}"
timeout = "2s"
body_bytes = "1MiB"
ip_allow = "127.0.0.0/8"
ip_deny = "127.0.0.9"
allow = "path.id != '0'"
limits = "all"
[routes.steps.user]
call = "GET users:/v1/users/{path.id}"
[routes.steps.orders]
call = "POST users:/v1/orders"
body = "{'user': steps.user.body.id}"
query = { limit = "20" }
headers = { x-tenant = "{headers['x-tenant']}" }
forward = "accept-language"
accept = ["2xx", "404"]
[routes.steps.pause]
wait = "20ms"
after = ["user"]
[routes.steps.items]
flow = "product"
foreach = "steps.orders.body.items"
max_items = 20
concurrency = 4
body = "{'sku': item}"
when = "steps.orders.status == 200"
[routes.steps.offers]
call = "GET prices:/offers/{steps.user.body.segment}"
hedge = "50ms"
after = ["pause"]
optional = true
[routes.steps.total]
value = "steps.items.body.size()"
[routes.response]
headers = { x-total = "{steps.total.body}" }
body = "{'user': steps.user.body, 'items': steps.items.body, 'offers': steps.offers.body}"
[[routes.on_error]]
when = "error.cause == 'timeout'"
status = 200
body = "{'items': []}"
[[routes.on_error]]
status = 503

[[routes]]
path = "/pass/{id}"
upstream = "users"
rewrite = "/v1/{path.id}?a=1"
headers = { x-a = "b" }
remove_headers = ["cookie"]

[[routes]]
path = "/old/{rest...}"
redirect = "/new/{path.rest}"
"#;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("routes.toml"), FILE).unwrap();
    folder
}

/// What is told, as it was last looked at.
fn golden(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/explain");
    fs::read_to_string(format!("{folder}/{name}.txt")).unwrap()
}

#[track_caller]
fn check(arguments: &[&str], expected: &str) {
    let told = output(folder().path(), arguments);
    assert!(told.status.success(), "{}", stderr(&told));
    assert_eq!(
        stdout(&told).trim_end(),
        expected.trim(),
        "\n{}",
        stdout(&told)
    );
}

#[test]
fn a_flow_is_drawn_with_all_that_it_does() {
    check(&["explain", "POST", "/page/7"], &golden("flow"));
}

#[test]
fn a_proxied_request_is_shown_as_it_is_sent() {
    check(&["explain", "PUT", "/pass/a%2Fb?x=1"], &golden("proxy"));
    check(
        &["explain", "GET", "/old/a/b"],
        "GET /old/a/b\n\nroute    /old/{rest...}\n  path.rest = a/b\nredirect 307 to /new/{path.rest}\n         /new/a/b",
    );
}

#[test]
fn tools_read_the_same() {
    let told = output(folder().path(), &["explain", "POST", "/page/7", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&told)).unwrap();
    let flow = &json["route"]["action"]["flow"];
    assert_eq!(flow["steps"][3]["foreach"]["max_items"], 20);
    assert_eq!(flow["steps"][3]["calls_at_most"], 40);
    assert_eq!(flow["inner"][0]["name"], "product");
    assert_eq!(flow["response"]["waits"][0]["for"], "user");
    assert_eq!(json["route"]["on_error"][1]["status"], 503);
    let told = output(
        folder().path(),
        &["explain", "PUT", "/pass/7?x=1", "--json"],
    );
    let json: serde_json::Value = serde_json::from_str(&stdout(&told)).unwrap();
    assert_eq!(json["route"]["action"]["proxy"]["sends"], "/v1/7?a=1&x=1");
}

#[test]
fn the_picture_of_a_flow_is_the_same_each_time_and_well_formed() {
    let folder = folder();
    let draw = || stdout(&output(folder.path(), &["graph", "--format", "svg"]));
    let picture = draw();
    assert_eq!(picture, draw());
    assert!(
        picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""),
        "{picture}"
    );
    assert!(picture.trim_end().ends_with("</svg>"), "{picture}");
    assert!(picture.contains("prefers-color-scheme: dark"));
    for text in [
        "POST /page/{id}",
        "offers",
        "steps.orders.status == 200",
        "headers.x-total",
    ] {
        assert!(picture.contains(text), "{text}\n{picture}");
    }
    // Every element that is opened is closed, and no text of the file opens one.
    let mut open = Vec::new();
    for tag in picture.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{picture}"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
