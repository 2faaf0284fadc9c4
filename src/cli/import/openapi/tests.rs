//! Whole documents as routes: what is made passes `check`, whatever is in the document.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::import;
use crate::cli::import::page::Finished;

fn imported(root: &Value, mock: bool) -> Finished {
    import(root, mock).unwrap().settle(Path::new("")).unwrap()
}

fn one(operation: Value, more: Value) -> Value {
    let mut root = json!({
        "openapi": "3.1.0",
        "servers": [{"url": "https://api.example.com/v1"}],
        "paths": {"/pets/{pet-id}": {"get": operation}}
    });
    if let (Some(root), Value::Object(more)) = (root.as_object_mut(), more) {
        root.extend(more);
    }
    root
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
fn an_operation_is_passed_on_under_the_path_that_clients_know() {
    let made = imported(&one(json!({"operationId": "getPet"}), json!({})), false);
    has(
        &made,
        "name = \"getPet\"\npath = \"/v1/pets/{pet_id}\"\nmethods = [\"GET\"]\nupstream = \"api-example-com\"",
    );
    has(&made, "endpoints = [\"https://api.example.com\"]");
    assert!(made.notes.is_empty(), "{:?}", made.notes);
}

#[test]
fn variables_of_a_server_have_their_defaults_and_no_host_is_said() {
    let servers = json!({"servers": [{"url": "https://{env}.example.com", "variables": {"env": {"default": "live"}}}]});
    has(
        &imported(&one(json!({}), servers), false),
        "https://live.example.com",
    );
    let made = imported(
        &one(json!({}), json!({"servers": [{"url": "/api"}]})),
        false,
    );
    has(&made, "path = \"/api/pets/{pet_id}\"");
    notes(&made, "names no host");
}

#[test]
fn a_scheme_that_is_not_complete_admits_nobody() {
    let schemes = json!({"components": {"securitySchemes": {
        "bearer": {"type": "http", "scheme": "Bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "login": {"type": "http", "scheme": "basic"},
        "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://id.example.com/.well-known/openid-configuration"},
        "cert": {"type": "mutualTLS"}
    }}});
    let with =
        |security: Value| imported(&one(json!({"security": security}), schemes.clone()), false);
    has(&with(json!([{"bearer": []}])), "auth = \"bearer\"");
    has(
        &with(json!([{"bearer": []}, {"key": []}])),
        "auth = [\"bearer\", \"key\"]",
    );
    has(&with(json!([{"login": []}])), "[auth.login]");
    has(
        &with(json!([{"oidc": ["read"]}])),
        "allow = \"['read'].all(scope, scope in claims.scope.split(' '))\"",
    );
    for closed in [
        json!([{"cert": []}]),
        json!([{"bearer": [], "key": []}]),
        json!([{"absent": []}]),
        json!("all"),
        json!([{"oidc": ["a"]}, {"bearer": []}]),
    ] {
        has(&with(closed), "allow = \"false\"");
    }
    notes(&with(json!([{"bearer": []}])), "to be completed");
    notes(&with(json!([{}])), "anybody may ask");
    // What the document says of all operations holds for those that say nothing.
    let mut root = one(json!({}), schemes.clone());
    root["security"] = json!([{"key": []}]);
    has(&imported(&root, false), "auth = \"key\"");
}

#[test]
fn a_mock_answers_with_the_example_or_with_what_the_schema_describes() {
    let answer = |content: Value| {
        let operation = json!({"responses": {"404": {}, "201": {"content": content}}});
        imported(
            &one(
                operation,
                json!({"components": {"examples": {"a": {"value": {"id": 7}}}}}),
            ),
            true,
        )
    };
    let json_of = |media: Value| answer(json!({"text/plain": {}, "application/json": media}));
    has(
        &json_of(json!({"example": {"a": "${X}"}})),
        "status = 201, headers = { content-type = \"application/json\" }, text = \"{\\\"a\\\":\\\"$${X}\\\"}\"",
    );
    has(
        &json_of(json!({"examples": {"one": {"$ref": "#/components/examples/a"}}})),
        "{\\\"id\\\":7}",
    );
    has(
        &json_of(json!({"schema": {"type": "integer"}})),
        "text = \"1\"",
    );
    has(
        &answer(json!({"text/plain": {"example": "hello"}})),
        "text = \"hello\"",
    );
    let made =
        json_of(json!({"examples": {"far": {"externalValue": "https://example.com/a.json"}}}));
    notes(&made, "outside of the document");
    let relative = json!({"servers": [{"url": "v2/"}]});
    has(
        &imported(&one(json!({}), relative), true),
        "path = \"/v2/pets/{pet_id}\"",
    );
    has(
        &imported(&one(json!({"responses": {"204": {}}}), json!({})), true),
        "respond = { status = 204 }",
    );
    has(
        &imported(&one(json!({}), json!({})), true),
        "respond = { status = 200 }",
    );
}

#[test]
fn what_is_elsewhere_or_cannot_be_a_path_is_left_out() {
    let made = imported(
        &json!({"openapi": "3.0.3", "paths": {
            "/a": {"$ref": "other.json#/a"},
            "/b/{x}.json": {"get": {}},
            "/c/{x}": {"get": {}},
            "/c/{y}": {"get": {}},
            "x-other": 1
        }}),
        false,
    );
    assert_eq!(made.left_out, 3, "{}", made.text);
    notes(&made, "outside of the document");
    notes(&made, "not one parameter");
}

#[test]
fn other_documents_are_refused() {
    for other in [
        json!({}),
        json!({"swagger": "2.0"}),
        json!({"openapi": "2.0"}),
        json!([]),
    ] {
        assert!(import(&other, false).is_err(), "{other}");
    }
}

const WORDS: [&str; 44] = [
    "get",
    "post",
    "parameters",
    "security",
    "responses",
    "200",
    "2XX",
    "default",
    "content",
    "application/json",
    "schema",
    "example",
    "examples",
    "value",
    "$ref",
    "#/components/schemas/A",
    "#/a",
    "other.json",
    "type",
    "object",
    "array",
    "string",
    "properties",
    "items",
    "allOf",
    "oneOf",
    "enum",
    "const",
    "minLength",
    "minItems",
    "format",
    "servers",
    "url",
    "https://a.example/v1",
    "/v1",
    "variables",
    "operationId",
    "bearer",
    "http",
    "scheme",
    "in",
    "name",
    "${X}",
    "*/*",
];

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(WORDS.to_vec()).prop_map(|word| json!(word)),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,6}".prop_map(|text| json!(text)),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_document_holds_what_is_made_passes_check(
        path in "/[a-z{}\"$ -]{0,12}",
        (item, operation, schema, more) in (tree(), tree(), tree(), tree()),
        mock in any::<bool>(),
    ) {
        let root = json!({
            "openapi": "3.0.0",
            "servers": more,
            "security": more,
            "paths": {
                path: {"get": operation, "post": {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}, "servers": item},
                "/b": item
            },
            "components": {"schemas": {"A": schema}, "securitySchemes": {"bearer": more}}
        });
        let made = import(&root, mock).unwrap().settle(Path::new("/nonexistent"));
        prop_assert!(made.is_ok(), "{made:?}");
    }
}
