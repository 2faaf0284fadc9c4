//! Imported files, served: the routes answer as the original would, where that is no fault of it.

use std::fs;

use serde_json::{Value, json};

use crate::support::message::Message;
use crate::support::process::{output, stderr, stdout};
use crate::support::{Answer, TestGateway, Upstream};

/// A file of every kind of thing that is carried over. `HOST` is where the backends are.
const KRAKEND: &str = include_str!("../configs/import/krakend.json");

/// Answers by path, and says what it was asked.
fn backends() -> Upstream {
    Upstream::start(|request| {
        let target = target(request);
        let path = target.split('?').next().unwrap_or_default();
        let body = match path {
            "/users/7" => json!({"id": 7, "name": "Ann", "blog": "ann.example", "secret": "s", "address": {"city": "Oslo", "zip": "1"}}).to_string(),
            "/users/7/posts" => "[{\"id\":1},{\"id\":2}]".to_owned(),
            "/stats" => r#"{"data":{"views":12345678901234567890,"likes":2}}"#.to_owned(),
            "/hotels/1" => r#"{"destination":{"id":"no/where?x=1"},"stars":4}"#.to_owned(),
            "/destinations/no%2Fwhere%3Fx%3D1" => r#"{"city":"Nowhere"}"#.to_owned(),
            "/either" => "[1,2]".to_owned(),
            "/one" => r#"{"a":1,"same":"one"}"#.to_owned(),
            "/two" => r#"{"b":2,"same":"two"}"#.to_owned(),
            "/echo" => String::from_utf8_lossy(&request.body).into_owned(),
            "/raw/7" => return Answer::with("203 Other", &[("x-raw", "yes")], "not json"),
            "/down" => return Answer::status(500),
            "/missing" => return Answer::status(404),
            _ => "{}".to_owned(),
        };
        Answer::json(&body)
    })
}

fn target(request: &Message) -> &str {
    request.first.split(' ').nth(1).unwrap()
}

/// What `import` makes of the text, and what it says.
fn imported(format: &[&str], text: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("input"), text).unwrap();
    let made = output(folder.path(), &[&["import"], format, &["input"]].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    // The command that people run next.
    fs::write(folder.path().join("routes.toml"), stdout(&made)).unwrap();
    let checked = output(folder.path(), &["check"]);
    assert!(
        checked.status.success(),
        "{}{}",
        stderr(&checked),
        stdout(&made)
    );
    (stdout(&made), stderr(&made))
}

/// Serves what was made, on a free port.
fn serve(made: &str) -> TestGateway {
    let text = ["0.0.0.0:8080", "127.0.0.1:8080"]
        .iter()
        .fold(made.to_owned(), |text, address| {
            text.replace(address, "127.0.0.1:0")
        });
    let quiet = "\n[server]\nworkers = 1\naccess_log = \"off\"\n";
    TestGateway::start_exactly(tempfile::tempdir().unwrap(), &(text + quiet))
}

fn body(gateway: &TestGateway, path: &str) -> Value {
    let reply = gateway.get(path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

#[test]
fn imported_krakend_routes_answer_as_the_original_would() {
    let services = backends();
    let (made, notes) = imported(&["krakend"], &KRAKEND.replace("HOST", &services.url()));
    let gateway = serve(&made);
    // Groups, lists, names changed, names left out: in one answer.
    assert_eq!(
        body(&gateway, "/profile/7"),
        json!({"user": {"name": "Ann", "website": "ann.example", "address": {"city": "Oslo"}},
               "posts": [{"id": 1}, {"id": 2}], "likes": 2})
    );
    // A name that two have: the later one of the file, every time.
    assert_eq!(
        body(&gateway, "/both"),
        json!({"a": 1, "b": 2, "same": "two"})
    );
    // A sequence; what was read stays data on its way into the next path.
    assert_eq!(
        body(&gateway, "/trip"),
        json!({"destination": {"id": "no/where?x=1"}, "city": "Nowhere"})
    );
    assert_eq!(body(&gateway, "/either"), json!({"collection": [1, 2]}));
    assert_eq!(body(&gateway, "/list"), json!([{"id": 1}, {"id": 2}]));
    assert_eq!(
        body(&gateway, "/numbers").to_string(),
        r#"{"views":12345678901234567890}"#
    );
    // Static data, in a good answer and in the place of an error.
    assert_eq!(body(&gateway, "/static"), json!({"a": 1, "same": "fixed"}));
    assert_eq!(body(&gateway, "/mock"), json!({"same": "fixed"}));
    assert_eq!(body(&gateway, "/__health"), json!({"status": "ok"}));
    assert!(notes.contains("flatmap_filter"), "{notes}");
    assert!(notes.contains("cache_ttl"), "{notes}");
}

#[test]
fn imported_krakend_routes_pass_on_what_was_listed_and_no_more() {
    let services = backends();
    let (made, _) = imported(&["krakend"], &KRAKEND.replace("HOST", &services.url()));
    let gateway = serve(&made);
    let sent = [("X-Tenant", "blue"), ("X-Other", "no"), ("Cookie", "a=b")];
    let reply = gateway.ask("POST", "/echo?page=2&other=1", &sent, b"{\"a\":1}");
    assert_eq!(reply.text(), "{\"a\":1}");
    let asked = services.requests().pop().unwrap();
    assert_eq!(target(&asked), "/echo?page=2");
    assert_eq!(asked.header("x-tenant"), Some("blue"));
    assert_eq!(asked.header("x-other"), None);
    assert_eq!(asked.header("cookie"), None);
    assert_eq!(asked.header("x-fixed"), Some("{v}"));
    // What passes as it comes keeps status, headers and body, and loses credentials.
    let reply = gateway.ask("GET", "/raw/7", &[("Cookie", "a=b")], b"");
    assert_eq!((reply.status, reply.text().as_str()), (203, "not json"));
    assert_eq!(reply.header("x-raw"), Some("yes"));
    assert_eq!(services.requests().pop().unwrap().header("cookie"), None);
}

#[test]
fn the_faults_of_the_original_are_not_imported() {
    let services = backends();
    let (made, _) = imported(&["krakend"], &KRAKEND.replace("HOST", &services.url()));
    let gateway = serve(&made);
    // KrakenD: 200 with half of the answer.
    let half = gateway.get("/half");
    assert_eq!(half.status, 502, "{}", half.text());
    assert!(half.text().contains("\"step\":\"down\""), "{}", half.text());
    // KrakenD: 500.
    assert_eq!(gateway.get("/absent").status, 404);
}

#[test]
fn the_guards_of_the_original_hold() {
    let services = backends();
    let (made, notes) = imported(&["krakend"], &KRAKEND.replace("HOST", &services.url()));
    let gateway = serve(&made);
    let refused = gateway.get("/private");
    assert!([401, 503].contains(&refused.status), "{}", refused.text());
    assert_eq!(gateway.get("/even/3").status, 403);
    assert_eq!(gateway.get("/even/4").status, 200);
    assert_eq!(gateway.get("/keyed").status, 403);
    assert_eq!(gateway.get("/inside").status, 403);
    assert!(notes.contains("closed"), "{notes}");
    let statuses: Vec<u16> = (0..3).map(|_| gateway.get("/limited").status).collect();
    assert_eq!(statuses, [200, 429, 429]);
    assert_eq!(gateway.get("/token").status, 404, "it is left out");
}

#[test]
fn what_cannot_be_imported_is_told_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let refused = |arguments: &[&str], why: &str| {
        let made = output(folder.path(), &[&["import", "krakend"], arguments].concat());
        assert_eq!(made.status.code(), Some(1));
        assert!(stderr(&made).contains(why), "{}", stderr(&made));
    };
    write(
        "template.json",
        "{\"version\": 3, \"endpoints\": [{{ range }}]}",
    );
    write("old.json", "{\"version\": 2, \"endpoints\": []}");
    write("other.json", "[]");
    write("good.json", "{\"version\": 3, \"endpoints\": []}");
    write("there.toml", "mine");
    refused(&["template.json"], "have to be rendered first");
    refused(&["old.json"], "version 2");
    refused(&["other.json"], "no KrakenD configuration");
    refused(&["absent.json"], "cannot read");
    refused(&["good.json", "--out", "there.toml"], "is there already");
    let made = output(
        folder.path(),
        &["import", "krakend", "good.json", "--out", "new.toml"],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(
        stderr(&made).contains("new.toml: 1 routes"),
        "{}",
        stderr(&made)
    );
    assert!(
        output(folder.path(), &["check", "new.toml"])
            .status
            .success()
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("there.toml")).unwrap(),
        "mine"
    );
}

/// A document with servers, schemes, examples and schemas. `HOST` is where the service is.
const OPENAPI: &str = include_str!("../configs/import/openapi.json");

#[test]
fn an_imported_document_is_passed_on_and_its_guards_admit_nobody_yet() {
    let service = Upstream::start(|request| Answer::json(&json!([target(request)]).to_string()));
    let (made, notes) = imported(&["openapi"], &OPENAPI.replace("HOST", &service.url()));
    let gateway = serve(&made);
    assert_eq!(
        body(&gateway, "/v1/pets?limit=2"),
        json!(["/v1/pets?limit=2"])
    );
    assert_eq!(body(&gateway, "/v1/pets/7"), json!(["/v1/pets/7"]));
    let before = service.count();
    let refused = gateway.ask("POST", "/v1/pets", &[("Authorization", "Bearer x")], b"{}");
    assert!([401, 503].contains(&refused.status), "{}", refused.text());
    assert_eq!(gateway.ask("DELETE", "/v1/pets/7", &[], b"").status, 403);
    assert_eq!(service.count(), before, "nothing got through");
    assert!(
        notes.contains("security scheme token: to be completed"),
        "{notes}"
    );
    assert!(notes.contains("DELETE /pets/{pet-id}: closed"), "{notes}");
}

#[test]
fn a_mocked_document_answers_by_itself() {
    let document = OPENAPI.replace("HOST", "https://pets.example");
    let (made, _) = imported(&["openapi", "--mock"], &document);
    let gateway = serve(&made);
    assert_eq!(
        body(&gateway, "/v1/pets/7"),
        json!({"id": 7, "name": "Rex"})
    );
    let pets = body(&gateway, "/v1/pets");
    assert_eq!(pets[0]["id"], 1);
    assert_eq!(pets[0]["born"], "2026-01-31");
    let added = gateway.ask("POST", "/v1/pets", &[], b"{}");
    assert_eq!(added.status, 201);
    assert_eq!(added.header("content-type"), Some("application/json"));
    assert_eq!(added.text(), r#"{"id":9,"price":1.5}"#);
    assert_eq!(gateway.ask("DELETE", "/v1/pets/7", &[], b"").status, 204);
}
