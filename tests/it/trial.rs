//! `concertina test`: what it takes, what it plays, and what it says.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{Running, output, stderr, stdout};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with a file to try and a test of it.
fn folder(routes: &str, test: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("routes.toml"), routes).unwrap();
    fs::write(folder.path().join("a.test.toml"), test).unwrap();
    folder
}

fn tried(routes: &str, test: &str) -> Output {
    output(folder(routes, test).path(), &["test"])
}

#[track_caller]
fn passes(routes: &str, test: &str) {
    let ended = tried(routes, test);
    assert!(
        ended.status.success(),
        "{}{}",
        stdout(&ended),
        stderr(&ended)
    );
}

/// The report of a test that is tried, as JSON, and the exit code.
fn report(routes: &str, test: &str) -> (Value, Option<i32>) {
    let folder = folder(routes, test);
    let ended = output(folder.path(), &["test", "--format", "json"]);
    let report = serde_json::from_str(&stdout(&ended));
    let report = report.unwrap_or_else(|_| panic!("{}{}", stdout(&ended), stderr(&ended)));
    (report, ended.status.code())
}

#[test]
fn the_repository_s_own_tests_pass() {
    let ended = output(repository(), &["test", "routes.test.toml"]);
    assert!(
        ended.status.success(),
        "{}{}",
        stdout(&ended),
        stderr(&ended)
    );
    assert!(
        stdout(&ended).contains(" passed, 0 failed"),
        "{}",
        stdout(&ended)
    );
    // The same tests find out when the example does something else.
    let folder = tempfile::tempdir().unwrap();
    let routes = fs::read_to_string(repository().join("routes.toml")).unwrap();
    let broken = routes.replace("default = \"[]\"", "default = \"null\"");
    assert_ne!(routes, broken);
    fs::write(folder.path().join("routes.toml"), broken).unwrap();
    let test = repository().join("routes.test.toml");
    fs::copy(test, folder.path().join("routes.test.toml")).unwrap();
    let ended = output(folder.path(), &["test"]);
    assert_eq!(ended.status.code(), Some(1));
    let text = stdout(&ended);
    assert!(
        text.contains("FAIL  the dashboard is worth showing without orders"),
        "{text}"
    );
    assert!(text.contains("orders: expected [], got null"), "{text}");
    assert!(text.contains(" passed, 1 failed"), "{text}");
}

#[test]
fn the_documentation_s_example_comes_out_as_printed() {
    let page = fs::read_to_string(repository().join("docs/testing.md")).unwrap();
    let block = |kind: &str, nth: usize| {
        let found = page.split(&format!("```{kind}\n")).nth(nth).unwrap();
        found.split("```").next().unwrap().to_owned()
    };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("routes.toml"), block("toml", 1)).unwrap();
    fs::write(folder.path().join("dashboard.test.toml"), block("toml", 2)).unwrap();
    let ended = output(folder.path(), &["test"]);
    let printed = stdout(&ended)
        .lines()
        .map(|line| match line.split_once("x-request-id: ") {
            Some((before, _)) => format!("{before}x-request-id: ...\n"),
            None => format!("{line}\n"),
        })
        .collect::<String>();
    let console = block("console", 1);
    assert_eq!(
        printed,
        console.strip_prefix("$ concertina test\n").unwrap()
    );
}

const SHOP: &str = r#"
[[listen]]
address = "127.0.0.1:8080"

[upstreams.a]
endpoints = ["http://a.invalid:1", "http://b.invalid:1"]
timeout = "10s"
retry = { attempts = 3, on = ["5xx", "connect", "reset"], backoff = "1s..2s" }

[[routes]]
path = "/proxy/{rest...}"
upstream = "a"

[[routes]]
path = "/flow"
methods = ["POST"]
timeout = "2h"
[routes.steps.one]
call = "GET a:/one"
optional = true
timeout = "30s"
[routes.steps.pause]
wait = "1h"
[routes.steps.two]
after = ["one", "pause"]
call = "POST a:/two"
body = "{'n': body.n}"
headers = { x-n = "{body.n}" }
[routes.response]
body = "{'one': steps.one.body, 'two': steps.two.body}"
"#;

/// Every case breaks by the key that its name starts with.
const ALL_BROKEN: &str = r#"
[[answers]]
to = "GET a:/one"
json = { id = 1 }
[[answers]]
to = "POST a:/two"
json = { ok = true }

[[cases]]
name = "status"
request = "GET /nothing"
expect = { status = 200 }
[[cases]]
name = "route"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, route = "/proxy/{rest...}" }
[[cases]]
name = "headers.content-type"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, headers = { content-type = "text/*" } }
[[cases]]
name = "no_headers"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, no_headers = "content-type" }
[[cases]]
name = "json"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, json = { one = { id = 1 } } }
[[cases]]
name = "includes"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, includes = { one = { id = 2 } } }
[[cases]]
name = "body"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, body = "" }
[[cases]]
name = "parts"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, parts = "one=skipped" }
[[cases]]
name = "problem"
request = "GET /nothing"
expect = { status = 404, problem = "method" }
[[cases]]
name = "step"
request = { method = "POST", path = "/flow", json = { n = 1 } }
answers = [{ to = "POST a:/two", status = 500 }]
expect = { status = 502, step = "one" }
[[cases]]
name = "within"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, within = "3599s" }
[[cases]]
name = "calls"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, calls = ["GET a:/one"] }
[[cases]]
name = "calls"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, calls = ["POST a:/two", "GET a:/one"], in_order = true }
[[cases]]
name = "calls_include"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, calls_include = [{ to = "POST a:/two", json = { n = 2 } }] }
[[cases]]
name = "calls_include"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, calls_include = [{ to = "POST a:/two", headers = { x-n = "2" } }] }
[[cases]]
name = "calls_include"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, calls_include = [{ to = "POST a:/two", count = 2 }] }
[[cases]]
name = "never"
request = { method = "POST", path = "/flow", json = { n = 1 } }
expect = { status = 200, never = ["* a:/o*"] }
[[cases]]
name = "answers"
request = "GET /proxy/x"
expect = { status = 502 }
[[cases]]
name = "case"
request = { method = "POST", path = "/flow", json = { n = 1 } }
caller = "ada"
expect = { status = 200 }
"#;

#[test]
fn every_expectation_can_be_broken_and_says_so_alone() {
    let mut text = String::new();
    // Names are unique.
    for (at, part) in ALL_BROKEN.split("[[cases]]\nname = \"").enumerate() {
        if at > 0 {
            text += &format!("[[cases]]\nname = \"{at} ");
        }
        text += part;
    }
    let (report, code) = report(SHOP, &text);
    assert_eq!(code, Some(1), "{report:#}");
    let cases = report["files"][0]["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 19);
    for case in cases {
        let name = case["name"].as_str().unwrap().split_once(' ').unwrap().1;
        let broken = case["broken"].as_array().unwrap();
        assert_eq!(broken.len(), 1, "{case:#}");
        assert_eq!(broken[0]["what"], name, "{case:#}");
        assert!(!broken[0]["lines"][0].as_str().unwrap().is_empty());
    }
    assert_eq!(report["failed"], 19);
}

#[test]
fn upstreams_fail_in_every_way_and_no_wait_takes_time() {
    passes(
        SHOP,
        r#"
[[cases]]
name = "each attempt is a call, at another endpoint, after a pause"
request = "GET /proxy/x?q=1"
answers = [
  { to = "GET a:/proxy/x?q=1", fails = "refuse", times = 2 },
  { to = "GET a:/proxy/x?q=1", fails = "reset", times = 1 },
  { to = "GET a:/proxy/x?q=1", status = 503, times = 1 },
]
expect = { status = 503, body = "", within = "4s", calls = [{ to = "GET a:/proxy/x?q=1", count = 4 }] }

[[cases]]
name = "a silent upstream"
request = "GET /proxy/x"
answers = [{ to = "GET a:*", fails = "timeout" }]
expect = { status = 504, problem = "timeout", within = "10s", calls = ["GET a:/proxy/x"] }

[[cases]]
name = "a body that breaks off is no part"
request = { method = "POST", path = "/flow", json = { n = 7 } }
answers = [
  { to = "GET a:/one", json = '{"a": "long enough"}', fails = "cut" },
  { to = "POST a:/two", json = "3", after = "9s" },
]
[cases.expect]
status = 200
json = '{"one": null, "two": 3}'
parts = "one=failed;cause=truncated"
calls = ["GET a:/one", { to = "POST a:/two", json = { n = 7 }, headers = { x-n = "7", content-type = "application/json" } }]
in_order = true

[[cases]]
name = "what is not JSON is no part"
request = { method = "POST", path = "/flow", json = { n = 7 } }
answers = [{ to = "GET a:/one", body = "<html>" }, { to = "POST a:/two", status = 204 }]
expect = { status = 200, json = '{"one": null, "two": null}', parts = "one=failed;cause=decode" }

[[cases]]
name = "the deadline is the route's"
request = { method = "POST", path = "/flow", json = { n = 7 } }
answers = [{ to = "GET a:/one", fails = "timeout" }, { to = "POST a:/two", after = "3h" }]
expect = { status = 504, within = "2h" }
"#,
    );
}

const GUARDED: &str = r#"
[[listen]]
address = "127.0.0.1:8080"
[auth.signed]
jwt = { secret = "0123456789abcdef0123456789abcdef", algorithms = ["HS256"], issuer = "me", audience = ["us"], required = ["exp", "tenant"] }
[auth.fetched]
jwt = { jwks = "http://JWKS/keys" }
[auth.keyed]
api_key = { header = "x-key", keys = [{ name = "known", sha256 = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90" }] }
[auth.queried]
api_key = { query = "key", keys = [{ name = "known", sha256 = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90" }] }
[auth.named]
basic = { users = [{ name = "ann", argon2 = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qLml6cbBsaPMsJbUlFM/jsKmbBNPlCbgFWYBMFW7lkE" }] }
[limits.two]
rate = "2/min"
burst = 2
[upstreams.a]
endpoints = ["http://UPSTREAM"]
[[routes]]
path = "/signed"
auth = "signed"
limits = "two"
respond = { body = "{'name': caller.name, 'by': caller.authenticator, 'tenant': claims.tenant}" }
[[routes]]
path = "/fetched"
auth = "fetched"
upstream = "a"
[[routes]]
path = "/keyed"
auth = ["keyed", "queried"]
respond = { body = "{'name': caller.name, 'claims': claims, 'query': query}" }
[[routes]]
path = "/queried"
auth = "queried"
allow = "claims.plan == 'gold'"
respond = { body = "{'name': caller.name}" }
[[routes]]
path = "/named"
auth = "named"
ip_allow = ["203.0.113.0/24"]
respond = { body = "{'name': caller.name, 'from': request.ip}" }
"#;

const CALLERS: &str = r#"
[[cases]]
name = "a token"
request = "GET /signed"
caller = { name = "ada", claims = { tenant = "blue" } }
expect = { status = 200, json = { name = "ada", by = "signed", tenant = "blue" }, no_headers = ["ratelimit"] }
[[cases]]
name = "a token without what is required"
request = "GET /signed"
caller = "ada"
expect = { status = 401 }
[[cases]]
name = "a token of another issuer"
request = "GET /signed"
caller = { name = "ada", claims = { tenant = "blue", iss = "them" } }
expect = { status = 401 }
[[cases]]
name = "a token whose time is over"
request = "GET /signed"
caller = { name = "ada", claims = { tenant = "blue", exp = 1 } }
expect = { status = 401 }
[[cases]]
name = "a token whose keys would have to be fetched, stated"
request = "GET /fetched"
caller = "ada"
answers = [{ to = "GET a:/fetched", body = "hi" }]
expect = { status = 200, body = "hi", calls = [{ to = "GET a:/fetched", no_headers = ["authorization"] }] }
[[cases]]
name = "a token whose keys would have to be fetched, as it came"
request = { path = "/fetched", headers = { authorization = "Bearer eyJhbGciOiJSUzI1NiJ9.e30.AA" } }
expect = { status = 401, calls = [] }
[[cases]]
name = "a key"
request = "GET /keyed?a=1"
caller = { name = "new", claims = { plan = "gold" } }
expect = { status = 200, json = { name = "new", claims = { plan = "gold" }, query = { a = "1" } } }
[[cases]]
name = "a key as it came"
request = { path = "/keyed", headers = { x-key = "test-key" } }
expect = { status = 401 }
[[cases]]
name = "a key in the query, by the second authenticator"
request = "GET /keyed"
caller = { name = "new", auth = "queried" }
expect = { status = 200, json = { name = "new", claims = {}, query = {} } }
[[cases]]
name = "not everybody is allowed"
request = "GET /queried"
caller = { name = "new", claims = { plan = "tin" } }
expect = { status = 403 }
[[cases]]
name = "a name from one place"
request = { path = "/named", from = "203.0.113.9" }
caller = "bea"
expect = { status = 200, json = { name = "bea", from = "203.0.113.9" } }
[[cases]]
name = "a name from another"
request = "GET /named"
caller = "bea"
expect = { status = 403 }
[[cases]]
name = "a wrong password as it came"
request = { path = "/named", from = "203.0.113.9", headers = { authorization = "Basic YW5uOndyb25n" } }
expect = { status = 401 }
[[cases]]
name = "a limit where it is asked for"
request = { path = "/signed", times = 3 }
caller = { name = "ada", claims = { tenant = "blue" } }
limits = true
expect = { status = 429, problem = "limited", headers = { retry-after = "*", ratelimit = "\"two\";r=0;*" } }
[[cases]]
name = "and nowhere else"
request = { path = "/signed", times = 3 }
caller = { name = "ada", claims = { tenant = "blue" } }
expect = { status = 200 }
"#;

#[test]
fn callers_are_stated_and_guards_do_their_work() {
    passes(GUARDED, CALLERS);
}

#[test]
fn nothing_touches_the_network_or_the_disk() {
    let [upstream, issuer] = [0, 1].map(|_| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let routes = GUARDED
        .replace("UPSTREAM", &address(&upstream))
        .replace("JWKS", &address(&issuer))
        .replace(
            "address = \"127.0.0.1:8080\"",
            // Nobody binds it, and no certificate is made for it.
            &format!(
                "address = \"{}\"\ntls = {{ development = true }}",
                address(&taken)
            ),
        );
    let folder = folder(
        &routes,
        r#"
[[cases]]
name = "a call"
request = "GET /fetched"
caller = "ada"
answers = [{ to = "GET a:/fetched", body = "hi" }]
expect = { status = 200, body = "hi" }
[[cases]]
name = "a token"
request = { path = "/fetched", headers = { authorization = "Bearer eyJhbGciOiJSUzI1NiJ9.e30.AA" } }
expect = { status = 401 }
"#,
    );
    let ended = output(folder.path(), &["test"]);
    assert!(
        ended.status.success(),
        "{}{}",
        stdout(&ended),
        stderr(&ended)
    );
    for listener in [upstream, issuer] {
        let came = listener.accept().unwrap_err();
        assert_eq!(came.kind(), std::io::ErrorKind::WouldBlock);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn mistakes_of_test_files_are_told_at_once_with_place_and_remedy() {
    let test = r#"
fiel = "routes.toml" # 1
[[answers]]
to = "GET b:/x" # 2
json = "not json" # 3
[[answers]]
to = "get a:/x" # 4
after = "soon" # 5
[[cases]]
name = "one"
request = "GET nothing" # 6
expect = { status = 200, josn = 1 } # 7
[[cases]]
name = "one" # 8
request = { path = "/flow", from = "10.0.0.0/8" } # 9
caller = { name = "ada", auth = "nobody" } # 10
expect = { status = 200, route = "POST /flwo" } # 11
[[cases]]
name = "two" # 12
request = { path = "/", listen = "127.0.0.1:1", headers = { host = "a" } } # 13
expect = { status = 200, calls = ["GET a:/"], calls_include = ["GET a:/"] } # 14
[[cases]]
name = "three"
request = { path = "/", body = "a", json = 1 } # 15
expect = { json = 1 } # 16
"#;
    let (report, code) = report(SHOP, test);
    assert_eq!(code, Some(2), "{report:#}");
    let mistakes = report["files"][0]["mistakes"].as_array().unwrap();
    for (line, text) in test.lines().enumerate() {
        let Some((_, number)) = text.split_once(" # ") else {
            continue;
        };
        if number == "12" {
            continue;
        }
        assert!(
            mistakes.iter().any(|mistake| mistake["line"] == line + 1),
            "{number}: {report:#}"
        );
    }
    let text = stdout(&tried(SHOP, test));
    for part in [
        "did you mean `file`?",
        "did you mean `json`?",
        "did you mean `POST /flow`?",
        "it has `127.0.0.1:8080`",
        "a.test.toml:4:6",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn mistakes_of_the_file_that_is_tried_are_told_too() {
    let test = "[[cases]]\nname = 'one'\nrequest = 'GET /'\nexpect = { status = 404 }\n";
    let ended = tried("[[listen]]\nadress = '127.0.0.1:0'\n", test);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        stdout(&ended).contains("routes.toml:2:1"),
        "{}",
        stdout(&ended)
    );
    let elsewhere = format!("file = 'nowhere.toml'\n{test}");
    let ended = tried(SHOP, &elsewhere);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        stdout(&ended).contains("file = \"../routes.toml\""),
        "{}",
        stdout(&ended)
    );
    let folder = tempfile::tempdir().unwrap();
    let ended = output(folder.path(), &["test"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(stderr(&ended).contains("there is no `*.test.toml`"));
    let ended = output(
        repository(),
        &["test", "routes.test.toml", "--filter", "no such"],
    );
    assert_eq!(ended.status.code(), Some(2));
    assert!(stderr(&ended).contains("no case has `no such`"));
}

#[test]
fn the_environment_is_the_test_s_own() {
    let routes = "[[listen]]\naddress = '127.0.0.1:${PORT_OF_NOBODY}'\n\
                  [[routes]]\npath = '/'\nrespond = { text = '${GREETING_OF_NOBODY}' }\n";
    passes(
        routes,
        "env = { PORT_OF_NOBODY = '8080', GREETING_OF_NOBODY = 'hi' }\n\
         [[cases]]\nname = 'one'\nrequest = 'GET /'\nexpect = { status = 200, body = 'hi' }\n",
    );
}

#[test]
fn ci_gets_junit_with_every_case() {
    let ended = output(
        repository(),
        &[
            "test",
            "--format",
            "junit",
            "--filter",
            "dashboard",
            "routes.test.toml",
        ],
    );
    assert!(ended.status.success(), "{}", stderr(&ended));
    let text = stdout(&ended);
    assert!(text.starts_with("<?xml "), "{text}");
    assert!(text.contains("classname=\"routes.test.toml\""), "{text}");
    assert!(
        text.contains("name=\"support sees every dashboard\""),
        "{text}"
    );
    assert!(!text.contains("name=\"hello\""), "{text}");
}

#[test]
fn a_watcher_tries_again_when_either_file_changes() {
    let test =
        "[[cases]]\nname = 'one'\nrequest = 'GET /'\nexpect = { status = 200, body = 'a' }\n";
    let routes = "[[listen]]\naddress = '127.0.0.1:8080'\n[[routes]]\npath = '/'\nrespond = { text = 'a' }\n";
    let folder = folder(routes, test);
    let mut running = Running::start(folder.path(), &["test", "--watch"]);
    running.wait_for("1 passed, 0 failed");
    let changed = routes.replace("'a'", "'b'");
    fs::write(folder.path().join("routes.toml"), changed).unwrap();
    running.wait_for("0 passed, 1 failed");
    fs::write(
        folder.path().join("a.test.toml"),
        test.replace("'a'", "'b'"),
    )
    .unwrap();
    running.wait_for("1 passed, 0 failed");
    fs::write(
        folder.path().join("b.test.toml"),
        test.replace("'a'", "'c'"),
    )
    .unwrap();
    running.wait_for("1 passed, 1 failed");
}
