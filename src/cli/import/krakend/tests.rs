//! Whole KrakenD files as routes: what is made passes `check`, whatever is in the file.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::import;
use crate::cli::import::page::Finished;

fn imported(root: &Value) -> Finished {
    import(root).unwrap().settle(Path::new("")).unwrap()
}

#[test]
fn endpoints_that_are_no_list_are_an_error() {
    for endpoints in [json!({"endpoint": "/a"}), json!("/a")] {
        let refused = import(&json!({"version": 3, "endpoints": endpoints}));
        assert!(refused.is_err_and(|error| error.to_string().contains("is no list")));
    }
    assert!(import(&json!({"version": 3, "endpoints": null})).is_ok());
}

/// The file made of one endpoint.
fn endpoint(fields: Value) -> Finished {
    let mut fields = fields;
    let object = fields.as_object_mut().unwrap();
    object
        .entry("endpoint")
        .or_insert_with(|| json!("/here/{id}"));
    imported(&json!({"version": 3, "host": ["http://one.example"], "endpoints": [fields]}))
}

#[track_caller]
fn has(made: &Finished, part: &str) {
    assert!(made.text.contains(part), "{part}\n{}", made.text);
    assert_eq!(made.left_out, 0, "{}", made.text);
}

#[track_caller]
fn notes(made: &Finished, part: &str) {
    assert!(
        made.notes.iter().any(|note| note.contains(part)),
        "{part}: {:#?}",
        made.notes
    );
}

#[test]
fn two_plain_backends_are_flattened() {
    let made = endpoint(json!({"backend": [{"url_pattern": "/a/{id}"}, {"url_pattern": "/b"}]}));
    has(&made, "call = \"GET one-example:/a/{path.id}\"");
    has(&made, "merge = \"flatten\"\non_conflict = \"last\"");
    assert!(made.notes.is_empty(), "{:?}", made.notes);
}

#[test]
fn a_sequence_reads_what_came_before_and_waits_for_it() {
    let made = endpoint(json!({
        "backend": [
            {"url_pattern": "/a", "group": "first"},
            {"url_pattern": "/b/{resp0_first.id}"},
            {"url_pattern": "/c", "allow": ["x"]}
        ],
        "extra_config": {"proxy": {"sequential": true}}
    }));
    has(&made, "/b/{steps.first.body.id}");
    has(&made, "after = [\"b\"]");
    has(
        &made,
        "{'first': steps.first.body}\n  .merge(steps.b.body)\n  .merge(steps.c.body.pick(['x']))",
    );
}

#[test]
fn what_no_route_can_say_is_left_out_with_its_reason() {
    let mut made = endpoint(json!({"backend": [{"url_pattern": "/{resp0_x}"}]}));
    assert_eq!(
        (made.left_out, made.routes),
        (1, 1),
        "the probes' route is there"
    );
    notes(&made, "no backend that was called before");
    for (fields, why) in [
        (json!({"backend": []}), "no backend"),
        (json!({"backend": [{"host": ["amqp://queue"]}]}), "`amqp`"),
        (
            json!({"backend": [{"extra_config": {"backend/lambda": {}}}]}),
            "backend/lambda",
        ),
        (json!({"backend": [{"encoding": "xml"}, {}]}), "not JSON"),
        (
            json!({"backend": [{}], "extra_config": {"auth/signer": {}}}),
            "signs no tokens",
        ),
        (
            json!({"backend": [{}], "endpoint": "/a/{b}-c"}),
            "not one parameter",
        ),
    ] {
        made = endpoint(fields.clone());
        assert_eq!(made.left_out, 1, "{fields}");
        notes(&made, why);
    }
}

#[test]
fn two_endpoints_that_no_request_can_tell_apart_do_not_both_stand() {
    let one = json!({"endpoint": "/a", "backend": [{"host": ["http://x"]}]});
    let made = imported(&json!({"version": 3, "endpoints": [one, one]}));
    assert_eq!(made.left_out, 1, "{}", made.text);
}

#[test]
fn a_guard_is_never_lost() {
    let made = endpoint(json!({
        "backend": [{}],
        "extra_config": {"auth/validator": {"alg": "RS256", "jwk_local_path": "absent.json"}}
    }));
    assert_eq!(
        made.left_out, 1,
        "its keys cannot be read here: {}",
        made.text
    );
    let made = endpoint(json!({"backend": [{}], "extra_config": {"security/policies": {}}}));
    has(&made, "allow = \"false\"");
    let made = imported(
        &json!({"version": 3, "tls": {"public_key": "a.pem", "private_key": "a.key"}, "endpoints": []}),
    );
    has(
        &made,
        "address = \"127.0.0.1:8080\"\ntls = { development = true }",
    );
    notes(&made, "a.pem");
}

#[test]
fn answers_that_pass_as_they_come_are_proxied() {
    let made = endpoint(json!({
        "output_encoding": "no-op", "method": "POST", "input_headers": ["X-A"],
        "backend": [{"encoding": "no-op", "url_pattern": "/in/{id}"}]
    }));
    has(
        &made,
        "upstream = \"one-example\"\nrewrite = \"/in/{path.id}\"",
    );
    has(&made, "remove_headers = [\"authorization\", \"cookie\"]");
    let made = endpoint(json!({"input_query_strings": ["*"], "backend": [{"url_pattern": "/q"}]}));
    has(&made, "rewrite = \"/q\"");
}

#[test]
fn static_data_stands_where_its_strategy_says() {
    let with = |strategy: &str| {
        endpoint(
            json!({"backend": [{}], "extra_config": {"proxy": {"static": {"strategy": strategy, "data": {"a": 1}}}}}),
        )
    };
    let rule = "[[routes.on_error]]\nstatus = 200\nbody = \"{'a': 1}\"";
    let (always, success, errored) = (with("always"), with("success"), with("errored"));
    has(&always, ".merge({'a': 1})");
    has(&always, rule);
    has(&success, ".merge({'a': 1})");
    assert!(!success.text.contains("on_error"), "{}", success.text);
    has(&errored, rule);
    assert!(!errored.text.contains(".merge("), "{}", errored.text);
}

#[test]
fn what_is_not_understood_is_said() {
    let made =
        endpoint(json!({"backend": [{"what": 1}], "cache_ttl": "3s", "timeout": 3, "new": {}}));
    for part in ["`what`", "`cache_ttl`", "`timeout`", "`new`"] {
        notes(&made, part);
    }
    let text =
        imported(&json!({"version": 3, "name": "a\n[server]\nworkers = 99", "endpoints": []})).text;
    assert!(!text.contains("\n[server]"), "{text}");
}

/// Words that mean something to the importer, and some that do not.
const WORDS: [&str; 60] = [
    "version",
    "endpoints",
    "endpoint",
    "backend",
    "host",
    "url_pattern",
    "method",
    "encoding",
    "group",
    "target",
    "mapping",
    "allow",
    "deny",
    "is_collection",
    "timeout",
    "cache_ttl",
    "input_headers",
    "input_query_strings",
    "concurrent_calls",
    "extra_config",
    "auth/validator",
    "qos/ratelimit/router",
    "proxy",
    "sequential",
    "static",
    "data",
    "strategy",
    "validation/cel",
    "check_expr",
    "roles",
    "roles_key",
    "output_encoding",
    "max_rate",
    "/a/{id}/{b}",
    "/{resp0_a.b}",
    "/{JWT.sub}",
    "http://a",
    "https://b/c",
    "GET",
    "POST",
    "no-op",
    "json",
    "safejson",
    "json-collection",
    "always",
    "errored",
    "*",
    "2s",
    "a.b",
    "'\"}{\n${X}",
    "tls",
    "port",
    "modifier/martian",
    "jwk_url",
    "alg",
    "HS256",
    "qos/ratelimit/proxy",
    "req_params.Id == '1'",
    "flatmap_filter",
    "security/http",
];

fn tree() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(WORDS.to_vec());
    let leaf = prop_oneof![
        word.clone().prop_map(|word| json!(word)),
        any::<bool>().prop_map(|flag| json!(flag)),
        (-2_i64..4).prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,6}".prop_map(|text| json!(text)),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
            prop::collection::vec((prop::sample::select(WORDS.to_vec()), inner), 0..6).prop_map(
                |pairs| pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            ),
        ]
    })
}

/// Fields of one object: those of the list that have a value.
fn object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(names.to_vec()), tree()), 0..8).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_file_holds_what_is_made_passes_check(
        service in object(&["host", "timeout", "port", "tls", "extra_config", "output_encoding"]),
        endpoint in object(&["endpoint", "method", "timeout", "input_headers", "input_query_strings", "output_encoding", "extra_config"]),
        backend in object(&["host", "url_pattern", "encoding", "group", "target", "allow", "deny", "mapping", "is_collection", "extra_config"]),
        any in tree(),
    ) {
        let mut root = service;
        let mut endpoint = endpoint;
        if let (Some(root), Some(fields)) = (root.as_object_mut(), endpoint.as_object_mut()) {
            fields.entry("endpoint").or_insert_with(|| json!("/a/{id}"));
            fields.insert("backend".to_owned(), json!([backend, any]));
            root.insert("version".to_owned(), json!(3));
            root.entry("host").or_insert_with(|| json!(["http://one"]));
            root.insert("endpoints".to_owned(), json!([endpoint, any]));
        }
        let made = import(&root).unwrap().settle(Path::new("/nonexistent"));
        prop_assert!(made.is_ok(), "{made:?}");
    }
}
