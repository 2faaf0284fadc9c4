//! The file changes while requests run.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use concertina::admin::ReloadOutcome;

use crate::support::client::request;
use crate::support::{Answer, Gate, TestGateway, Upstream, eventually};

/// A route and a step that both say which edit they belong to.
fn edition(upstream: &Upstream, number: usize) -> String {
    format!(
        r#"
        [upstreams.u]
        endpoints = ["{}"]
        [[routes]]
        path = "/"
        methods = ["GET"]
        response_headers = {{ x-edition = "{number}" }}
        [routes.steps.a]
        value = "{number}"
        [routes.steps.b]
        call = "GET u:/{number}"
        [routes.response]
        body = "{{'a': steps.a.body, 'b': steps.b.body, 'c': {number}}}"
        "#,
        upstream.url()
    )
}

/// Answers with the number in the path.
fn echo() -> Upstream {
    Upstream::start(|request| {
        let path = request.first.split(' ').nth(1).unwrap_or_default();
        Answer::json(path.trim_start_matches('/'))
    })
}

#[test]
fn two_hundred_edits_under_load_lose_no_request_and_mix_no_editions() {
    let upstream = echo();
    let gateway = Arc::new(TestGateway::start(&edition(&upstream, 0)));
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (gateway, over, answered) = (
                Arc::clone(&gateway),
                Arc::clone(&over),
                Arc::clone(&answered),
            );
            thread::spawn(move || {
                let mut client = gateway.client();
                while !over.load(Ordering::Relaxed) {
                    let reply = client.get("/").expect(200);
                    let json = reply.json();
                    let edition = reply.header("x-edition").unwrap();
                    for part in ["a", "b", "c"] {
                        assert_eq!(json[part].to_string(), edition, "{json}");
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for number in 1..=200 {
        let before = answered.load(Ordering::Relaxed);
        gateway.reload_with(&edition(&upstream, number));
        // Every edition meets some requests.
        eventually("requests go on", || {
            answered.load(Ordering::Relaxed) > before
        });
    }
    over.store(true, Ordering::Relaxed);
    for one in load {
        one.join().unwrap();
    }
    assert_eq!(gateway.get("/").json()["c"], 200);
    assert!(answered.load(Ordering::Relaxed) >= 200);
}

#[test]
fn a_saved_file_is_in_force_without_being_told() {
    let upstream = echo();
    let gateway = TestGateway::start(&edition(&upstream, 1));
    gateway.write(&edition(&upstream, 2));
    eventually("the edit is noticed", || gateway.get("/").json()["c"] == 2);
    // In place, as some editors save.
    let text = fs::read_to_string(gateway.file()).unwrap();
    fs::write(gateway.file(), text.replace("{'a'", "{'saved': true, 'a'")).unwrap();
    eventually("the second edit is noticed", || {
        gateway.get("/").json()["saved"] == true
    });
}

#[test]
fn an_edit_with_mistakes_changes_nothing_and_is_reported() {
    let upstream = echo();
    let gateway = TestGateway::start(&edition(&upstream, 1));
    gateway.write(&edition(&upstream, 2).replace("GET u:/", "GET v:/"));
    let told = gateway.gateway.reload();
    assert_eq!(told.outcome, ReloadOutcome::Refused);
    assert!(told.mistakes[0].message.contains("`v`"), "{told:?}");
    assert_eq!(gateway.get("/").expect(200).json()["c"], 1);

    let config = gateway.admin().get("/config").expect(200).json();
    let report = &config["last_reload"];
    assert_eq!(report["outcome"], "refused");
    let mistake = &report["mistakes"][0];
    let line = usize::try_from(mistake["line"].as_u64().unwrap()).unwrap();
    let text = fs::read_to_string(gateway.file()).unwrap();
    assert!(
        text.lines().nth(line - 1).unwrap().contains("GET v:/"),
        "{mistake}"
    );
    assert!(mistake["column"].as_u64().unwrap() > 1);
    let metrics = gateway.admin().get("/metrics").expect(200).text();
    assert!(
        metrics.contains("concertina_config_last_reload_successful 0"),
        "{metrics}"
    );

    gateway.reload_with(&edition(&upstream, 3));
    assert_eq!(gateway.get("/").expect(200).json()["c"], 3);
    let metrics = gateway.admin().get("/metrics").expect(200).text();
    assert!(
        metrics.contains("concertina_config_last_reload_successful 1"),
        "{metrics}"
    );
}

#[test]
fn a_request_ends_on_the_file_that_it_began_on() {
    let gate = Gate::new();
    let upstream = Upstream::saying(Answer::json("1").behind(&gate));
    let gateway = TestGateway::start(&edition(&upstream, 1));
    let mut client = gateway.client();
    client.send(request("GET", "/", &[], b""));
    upstream.wait_for_requests(1);
    gateway.reload_with("[[routes]]\npath = \"/\"\nrespond = { text = \"new\" }\n");
    assert_eq!(gateway.get("/").text(), "new");
    gate.open();
    let reply = client.reply().expect(200);
    assert_eq!(reply.json()["c"], 1);
    assert_eq!(reply.header("x-edition"), Some("1"));
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn counters_of_what_did_not_change_live_on() {
    let text = |answer: &str| {
        format!(
            "[limits.few]\nrate = \"2/h\"\nburst = 2\n[[routes]]\npath = \"/\"\nlimits = \"few\"\n\
             respond = {{ text = \"{answer}\" }}\n"
        )
    };
    let gateway = TestGateway::start(&text("one"));
    gateway.get("/").expect(200);
    gateway.reload_with(&text("two"));
    assert_eq!(gateway.get("/").expect(200).text(), "two");
    gateway.get("/").expect(429);
}

#[test]
fn an_operator_can_ask_for_a_reload() {
    let upstream = echo();
    let gateway = TestGateway::start(&edition(&upstream, 1));
    gateway.write(&edition(&upstream, 2));
    gateway.admin().ask("POST", "/reload", &[], b"").expect(200);
    assert_eq!(gateway.get("/").json()["c"], 2);
    gateway.write("[[routes]]\npath = \"/\"\nrespnd = {}\n");
    let refused = gateway.admin().ask("POST", "/reload", &[], b"").expect(422);
    assert!(refused.text().contains("respond"), "{}", refused.text());
}
