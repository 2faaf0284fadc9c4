//! The commands, as typed.

use std::fs;
use std::path::Path;

use crate::support::process::{Running, output, stderr, stdout};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_repository_s_own_file_is_without_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    // As on a fresh clone: no certificate is there yet.
    fs::copy(
        repository().join("routes.toml"),
        folder.path().join("routes.toml"),
    )
    .unwrap();
    let checked = output(folder.path(), &["check", "routes.toml"]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(
        stdout(&checked).contains("no mistakes"),
        "{}",
        stdout(&checked)
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "check writes nothing"
    );
}

/// Ten mistakes, each on a line of its own that says which: `# mistake N`.
const TEN_MISTAKES: &str = r#"
[[listen]]
address = "127.0.0.1:99999" # mistake 1
tls = { certificates = [{ cert = "absent.pem", key = "absent.key" }] } # mistake 2

[server]
drian = "30s" # mistake 3

[upstreams.users]
endpoints = ["http://127.0.0.1:9101"]
timeout = "5 parsecs" # mistake 4

[auth.customers]
jwt = { secret = "${NO_SUCH_VARIABLE_ANYWHERE}" } # mistake 5

[[routes]]
path = "/a/{id}"
upstream = "usres" # mistake 6

[[routes]]
path = "/b/{id}" # mistake 7, with the next route
respond = { text = "one" }

[[routes]]
path = "/b/{other}"
respond = { text = "two" }

[[routes]]
path = "/c"
allow = "claims.sub ==" # mistake 8
auth = "customers"
respond = { text = "three" }

[[routes]]
path = "/d"
methods = ["GET"]
[routes.steps.one] # mistake 9, with the next step
call = "GET users:/{steps.two.body.id}"
[routes.steps.two]
call = "GET users:/{steps.one.body.id}"

[[routes]]
path = "/e"
methods = ["GET"]
[routes.steps.one]
call = "GET users:/{path.nothing}" # mistake 10
"#;

#[test]
fn ten_mistakes_are_reported_at_once_each_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("routes.toml"), TEN_MISTAKES).unwrap();
    let checked = output(folder.path(), &["check", "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&stdout(&checked)).unwrap();
    let list = report
        .as_array()
        .or_else(|| report["mistakes"].as_array())
        .unwrap();
    let lines: Vec<usize> = list
        .iter()
        .map(|mistake| usize::try_from(mistake["line"].as_u64().unwrap()).unwrap())
        .collect();
    let text: Vec<&str> = TEN_MISTAKES.lines().collect();
    for number in 1..=10 {
        let mark = format!("# mistake {number}");
        let at = |line: &str| line.ends_with(&mark) || line.contains(&format!("{mark},"));
        let place = text.iter().position(|line| at(line)).unwrap() + 1;
        // Of two that are in each other's way, either may be blamed.
        let near = place..=place + if matches!(number, 7 | 9) { 4 } else { 0 };
        assert!(
            lines.iter().any(|line| near.contains(line)),
            "{number}: {report:#}"
        );
    }
    let told = output(folder.path(), &["check"]);
    let told = stderr(&told) + &stdout(&told);
    assert!(told.contains("routes.toml:7:1"), "{told}");
    assert!(told.contains("drain"), "{told}");
    assert!(told.contains("`users`"), "{told}");
}

#[test]
fn explain_says_what_waits_for_what() {
    let asked = output(repository(), &["explain", "GET", "/api/dashboard/ada"]);
    assert!(asked.status.success(), "{}", stderr(&asked));
    let text = stdout(&asked);
    for part in [
        "path.user = ada",
        "customers",
        "else 401",
        "else 403",
        "else 429",
        "after profile",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let asked = output(
        repository(),
        &["explain", "GET", "/api/dashboard/ada", "--json"],
    );
    let json: serde_json::Value = serde_json::from_str(&stdout(&asked)).unwrap();
    let steps = &json["route"]["action"]["flow"]["steps"];
    assert_eq!(steps[2]["name"], "offers");
    assert_eq!(steps[2]["waits"][0]["for"], "profile");
    assert_eq!(json["route"]["action"]["flow"]["calls_at_most"], 4);
    assert_eq!(json["route"]["guards"][0]["else_status"], 401);
    let asked = output(repository(), &["explain", "DELETE", "/api/dashboard/ada"]);
    assert!(stdout(&asked).contains("405"), "{}", stdout(&asked));
}

#[test]
fn explain_says_what_is_kept_and_what_is_given_early() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
[[listen]]
address = "127.0.0.1:0"
[upstreams]
u = { endpoints = ["http://127.0.0.1:9101"] }
[[routes]]
path = "/a"
progressive = true
steps.s = { call = "GET u:/", cache = { ttl = "1m", stale_if_error = "5m", key = "headers['x-shop']" } }
steps.t = { call = "GET u:/t" }
"#;
    fs::write(folder.path().join("routes.toml"), text).unwrap();
    let asked = output(folder.path(), &["explain", "GET", "/a"]);
    let told = stdout(&asked);
    for part in [
        "kept for 60 s",
        "300 s longer where the call fails",
        "apart for each headers['x-shop']",
        "application/x-ndjson",
    ] {
        assert!(told.contains(part), "{part}: {told}{}", stderr(&asked));
    }
}

#[test]
fn explain_tries_conditions_as_the_gateway_would() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
        [[listen]]
        address = "127.0.0.1:0"
        [[routes]]
        name = "beta"
        path = "/"
        when = "headers['x-beta'] == '1' && 'on' in query"
        respond = { text = "new" }
        [[routes]]
        name = "plain"
        path = "/"
        respond = { text = "old" }
    "#;
    fs::write(folder.path().join("routes.toml"), text).unwrap();
    let explain = |more: &[&str]| {
        stdout(&output(
            folder.path(),
            &[&["explain", "GET"], more].concat(),
        ))
    };
    let beta = explain(&["/?on=1", "--header", "x-beta: 1"]);
    assert!(beta.contains("route    beta"), "{beta}");
    let plain = explain(&["/?on=1"]);
    assert!(plain.contains("passes by beta"), "{plain}");
    assert!(plain.contains("route    plain"), "{plain}");
}

#[test]
fn the_schema_is_one_and_completions_are_there() {
    let schema = output(repository(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&stdout(&schema)).unwrap();
    assert!(schema["properties"]["routes"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        let script = output(repository(), &["completions", shell]);
        assert!(stdout(&script).contains("concertina"), "{shell}");
    }
}

#[test]
fn certs_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    assert!(output(folder.path(), &["certs"]).status.success());
    let made = fs::read(folder.path().join("certs/server.pem")).unwrap();
    let again = output(folder.path(), &["certs"]);
    assert!(again.status.success());
    assert!(stdout(&again).contains("nothing was changed"));
    assert_eq!(
        fs::read(folder.path().join("certs/server.pem")).unwrap(),
        made
    );
}

#[test]
fn what_is_not_understood_ends_with_2_and_what_cannot_be_served_with_1() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(output(folder.path(), &["serve"]).status.code(), Some(2));
    let absent = output(folder.path(), &["run"]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(
        stderr(&absent).contains("routes.toml"),
        "{}",
        stderr(&absent)
    );
    let help = output(folder.path(), &["--help"]);
    assert!(stdout(&help).contains("concertina demo"));
}

#[test]
fn sighup_reads_the_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    let text = |answer: &str| {
        format!(
            "[server]\naccess_log = \"off\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\npath = \"/\"\nrespond = {{ text = \"{answer}\" }}\n"
        )
    };
    fs::write(&file, text("one")).unwrap();
    let mut running = Running::start(folder.path(), &["run"]);
    let line = running.wait_for("listening on ");
    let address: std::net::SocketAddr = line.rsplit(' ').next().unwrap().parse().unwrap();
    let ask = || crate::support::Client::connect(address).get("/").text();
    assert_eq!(ask(), "one");
    fs::write(&file, text("two")).unwrap();
    running.signal("HUP");
    running.wait_for("reloaded");
    assert_eq!(ask(), "two");
    running.signal("INT");
    assert_eq!(running.wait().code(), Some(0));
}

#[test]
fn flows_are_drawn_for_mermaid_and_for_graphviz() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
        upstreams.u.endpoints = ["http://127.0.0.1:9101"]
        [flows.inner]
        steps.one = { call = "GET u:/one", when = "query.q == '\u0022'", optional = true }
        [[routes]]
        path = "/a/{id}"
        steps.first = { call = "GET u:/{path.id}" }
        steps.pause = { wait = "1s", after = ["first"] }
        steps.each = { flow = "inner", foreach = "steps.first.body", when = "steps.first.status == 200", after = ["pause"] }
        response = { status = 201, headers = { x = "{steps.first.status}" }, body = "steps.each.body" }
        [[routes]]
        path = "/b"
        flow = "inner"
    "#;
    fs::write(folder.path().join("routes.toml"), text).unwrap();
    let drawn = output(folder.path(), &["graph"]);
    assert!(drawn.status.success(), "{}", stderr(&drawn));
    assert_eq!(
        stdout(&drawn),
        r#"flowchart LR
  subgraph f0["GET /a/{id}"]
    f0n0["first<br/>GET u:/{path.id}"]
    f0n1["pause<br/>wait 1s"]
    f0n2["each<br/>flow inner<br/>for each of steps.first.body<br/>when steps.first.status == 200"]
    f0n3["response 201"]
    f0n0 -->|"after"| f0n1
    f0n1 -->|"after"| f0n2
    f0n0 -->|"when, foreach"| f0n2
    f0n2 -->|"body"| f0n3
    f0n0 -->|"headers.x"| f0n3
  end
  subgraph f1["inner"]
    f1n0["one<br/>GET u:/one<br/>when query.q == '#34;'<br/>optional"]
    f1n1["response 200"]
    f1n0 -->|"nest"| f1n1
  end
"#
    );
    let drawn = output(folder.path(), &["graph", "inner", "--format", "dot"]);
    assert_eq!(
        stdout(&drawn),
        r#"digraph flows {
  rankdir=LR
  node [shape=box]
  subgraph cluster_0 {
    label="inner"
    f0n0 [label="one\nGET u:/one\nwhen query.q == '\"'\noptional"]
    f0n1 [label="response 200"]
    f0n0 -> f0n1 [label="nest"]
  }
}
"#
    );
    let refused = output(folder.path(), &["graph", "iner"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("did you mean `inner`?"));
}

#[test]
fn a_file_that_cannot_be_served_is_reported_alike_by_run_and_check() {
    let folder = tempfile::tempdir().unwrap();
    let run = stderr(&output(folder.path(), &["run", "absent.toml"]));
    assert!(run.starts_with("error: cannot read absent.toml"), "{run}");
    assert_eq!(
        run,
        stderr(&output(folder.path(), &["check", "absent.toml"]))
    );
}

const OPEN: &str =
    "[[listen]]\naddress = '127.0.0.1:0'\n[[routes]]\npath = '/a'\nrespond = { text = 'a' }\n";

#[test]
fn diff_says_what_a_change_means_and_can_fail_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let shut = OPEN.replace("[[routes]]", "[[routes]]\nip_allow = ['192.0.2.0/24']");
    let commented = OPEN.replace("[[routes]]", "# a comment\n[[routes]]");
    for (name, text) in [("open", OPEN), ("shut", &shut), ("commented", &commented)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let diff = |arguments: &[&str]| output(folder.path(), &[&["diff"], arguments].concat());
    let same = diff(&["open", "commented", "--fail-on", "any"]);
    assert!(same.status.success(), "{}", stderr(&same));
    assert_eq!(stdout(&same), "the files mean the same\n");
    let opened = diff(&["shut", "open"]);
    assert!(opened.status.success(), "{}", stderr(&opened));
    assert_eq!(
        stdout(&opened),
        "route /a\n  widened   ip_allow: [192.0.2.0/24] -> nothing (addresses: any)\n\n1 widened\n"
    );
    let failed = diff(&["shut", "open", "--fail-on", "widened", "--json"]);
    assert_eq!(failed.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&stdout(&failed)).unwrap();
    assert_eq!(report["widened"], 1);
    assert_eq!(report["changes"][0]["kind"], "route");
    assert_eq!(report["changes"][0]["key"], "ip_allow");
    let shut = diff(&["open", "shut", "--fail-on", "widened"]);
    assert!(shut.status.success(), "{}", stdout(&shut));
    assert!(stdout(&shut).contains("narrowed"), "{}", stdout(&shut));
    fs::write(folder.path().join("bad"), "[[listen]]\nadress = 'x'\n").unwrap();
    let bad = diff(&["open", "bad"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad).contains("bad:2:1"), "{}", stderr(&bad));
    let unanswered = diff(&["bad", "open", "--fail-on", "widened"]);
    assert_eq!(unanswered.status.code(), Some(2));
    let told = stderr(&unanswered);
    assert!(told.contains("bad:2:1"), "{told}");
}

#[test]
fn no_file_differs_from_itself() {
    for file in ["routes.toml", "tests/configs/good/minimal.toml"] {
        let same = output(repository(), &["diff", file, file, "--fail-on", "any"]);
        assert!(same.status.success(), "{}{}", stdout(&same), stderr(&same));
    }
}
