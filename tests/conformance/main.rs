//! Runs the conformance tests of the CEL specification that concern what the language claims.
#![cfg(test)]

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use concertina::expression::{
    Budget, EvalError, Expression, Key, Map, Names, Scope, Type, Value, Variable,
};
use serde_json::Value as Expected;

/// Groups that are not run, and why.
const SKIPPED_GROUPS: &[(&str, &str, &str)] = &[
    ("namespace", "qualified", "a variable's name has no dots"),
    (
        "namespace",
        "namespace",
        "a file has no containers of names",
    ),
    (
        "fields",
        "qualified_identifier_resolution",
        "a variable's name has no dots",
    ),
    (
        "parse",
        "receiver_function_names",
        "the functions called do not exist, which is a mistake at load",
    ),
    (
        "string_ext",
        "format",
        "`format` is not offered: `string`, `join` and templates make text",
    ),
    ("string_ext", "format_errors", "`format` is not offered"),
];

/// Single tests whose answer is another one here, and why.
const SKIPPED_TESTS: &[(&str, &str)] = &[
    (
        "x || true",
        "an unknown name is a mistake at load, even where it would not matter",
    ),
    (
        "f_unknown(17) || true",
        "an unknown function is a mistake at load, even where it would not matter",
    ),
    (
        "string(timestamp('9999-12-31T23:59:59.999999999Z'))",
        "timestamps end a day earlier",
    ),
    (
        "timestamp('2009-02-13T23:31:30Z').getDate('Australia/Sydney')",
        NAMED_ZONE,
    ),
    (
        "timestamp('2009-02-13T23:31:30Z').getDayOfMonth('US/Central')",
        NAMED_ZONE,
    ),
    (
        "timestamp('2009-02-13T02:00:00Z').getDayOfMonth('America/St_Johns')",
        NAMED_ZONE,
    ),
    (
        "timestamp('2009-02-13T23:31:30Z').getDayOfYear('US/Central')",
        NAMED_ZONE,
    ),
    (
        "timestamp('2009-02-13T23:31:30Z').getMinutes('Asia/Kathmandu')",
        NAMED_ZONE,
    ),
];

const NAMED_ZONE: &str = "zones are offsets: no table of named zones is carried";

struct Bindings(Vec<Value>);

impl Scope for Bindings {
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError> {
        match variable {
            Variable::Given(place) => Ok(self.0[*place].clone()),
            _ => Err(EvalError::missing("that")),
        }
    }
}

fn evaluate(test: &Expected) -> Result<Value, String> {
    let empty = serde_json::Map::new();
    let bindings = test["bindings"].as_object().unwrap_or(&empty);
    let given: Vec<&str> = bindings.keys().map(String::as_str).collect();
    let names = Names {
        given: &given,
        ..Names::default()
    };
    let text = test["expr"].as_str().unwrap();
    let expression = Expression::compile(text, &names)
        .map_err(|mistakes| format!("mistake: {}", mistakes[0].message))?;
    let scope = Bindings(bindings.values().map(value_of).collect());
    expression
        .evaluate(&scope, &Budget::default())
        .map_err(|error| format!("error: {error}"))
}

/// The value that the specification's notation stands for.
fn value_of(expected: &Expected) -> Value {
    let (kind, inner) = expected.as_object().unwrap().iter().next().unwrap();
    let text = inner.as_str().unwrap_or_default();
    match kind.as_str() {
        "nullValue" => Value::Null,
        "boolValue" => Value::Bool(inner.as_bool().unwrap()),
        "int64Value" => Value::Int(text.parse().unwrap()),
        "uint64Value" => Value::Uint(text.parse().unwrap()),
        // Rust reads `NaN`, `Infinity` and `-Infinity` as the specification writes them.
        "doubleValue" => Value::Double(text.parse().unwrap()),
        "stringValue" => Value::from(text),
        "bytesValue" => {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            Value::Bytes(Bytes::from(bytes.unwrap()))
        }
        "typeValue" => Value::Type(type_named(text)),
        "listValue" => {
            let values = inner["values"].as_array();
            Value::from(
                values
                    .into_iter()
                    .flatten()
                    .map(value_of)
                    .collect::<Vec<_>>(),
            )
        }
        "mapValue" => {
            let entries = inner["entries"].as_array();
            let entries = entries.into_iter().flatten();
            let map: Map = entries
                .map(|entry| (key_of(&value_of(&entry["key"])), value_of(&entry["value"])))
                .collect();
            Value::from(map)
        }
        "objectValue" => object(inner),
        other => panic!("a value of kind {other}"),
    }
}

fn object(inner: &Expected) -> Value {
    let call = match inner["@type"].as_str().unwrap() {
        "type.googleapis.com/google.protobuf.Duration" => "duration",
        "type.googleapis.com/google.protobuf.Timestamp" => "timestamp",
        other => panic!("a message of type {other}"),
    };
    let text = format!("{call}('{}')", inner["value"].as_str().unwrap());
    let expression = Expression::compile(&text, &Names::default()).unwrap();
    expression
        .evaluate(&Bindings(Vec::new()), &Budget::default())
        .unwrap()
}

fn type_named(name: &str) -> Type {
    let expression = Expression::compile(name, &Names::default()).unwrap();
    match expression.constant() {
        Some(Value::Type(kind)) => *kind,
        _ => panic!("a type called {name}"),
    }
}

fn key_of(value: &Value) -> Key {
    match value {
        Value::Bool(value) => Key::Bool(*value),
        Value::Int(value) => Key::Int(*value),
        Value::Uint(value) => Key::Uint(*value),
        Value::String(text) => Key::String(Arc::clone(text)),
        other => panic!("{other:?} as a key"),
    }
}

/// The same type and the same content; unlike `==`, NaN is NaN, and 1 is not 1.0.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Double(left), Value::Double(right)) => {
            left.partial_cmp(right).is_none_or(Ordering::is_eq) && left.is_nan() == right.is_nan()
        }
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right.iter())
                    .all(|(left, right)| same(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Uint(left), Value::Uint(right)) => left == right,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Duration(left), Value::Duration(right)) => left == right,
        _ => false,
    }
}

#[test]
fn the_language_answers_as_the_specification_does() {
    let file: Expected = serde_json::from_str(include_str!("cel.json")).unwrap();
    let mut run = BTreeMap::<&str, usize>::new();
    let mut failures = Vec::new();
    let mut skipped = 0;
    for group in file["groups"].as_array().unwrap() {
        let (suite, name) = (
            group["suite"].as_str().unwrap(),
            group["group"].as_str().unwrap(),
        );
        let tests = group["tests"].as_array().unwrap();
        if SKIPPED_GROUPS
            .iter()
            .any(|(skip, inner, _)| (*skip, *inner) == (suite, name))
        {
            skipped += tests.len();
            continue;
        }
        for test in tests {
            let text = test["expr"].as_str().unwrap();
            if SKIPPED_TESTS.iter().any(|(skip, _)| *skip == text) {
                skipped += 1;
                continue;
            }
            *run.entry(suite).or_default() += 1;
            let answer = evaluate(test);
            let fine = match (&answer, test["error"].as_bool()) {
                (Err(_), Some(true)) => true,
                (Ok(value), None) => same(value, &value_of(&test["value"])),
                _ => false,
            };
            if !fine {
                failures.push(format!(
                    "{suite}/{name}: {text}\n    gives {answer:?}, not {}",
                    test["value"]
                ));
            }
        }
    }
    println!("run {run:?}, skipped {skipped}");
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        run.values().sum::<usize>(),
        failures.join("\n")
    );
}

#[test]
fn every_skip_is_of_something_and_says_why() {
    let file = include_str!("cel.json");
    for (suite, group, why) in SKIPPED_GROUPS {
        assert!(file.contains(&format!("{{\"suite\":\"{suite}\",\"group\":\"{group}\"")));
        assert!(!why.is_empty());
    }
    let tests: Expected = serde_json::from_str(file).unwrap();
    let texts: Vec<&Expected> = tests["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["tests"].as_array().unwrap())
        .map(|test| &test["expr"])
        .collect();
    for (skip, why) in SKIPPED_TESTS {
        assert!(
            texts.iter().any(|text| text.as_str() == Some(skip)),
            "{skip}"
        );
        assert!(!why.is_empty());
    }
}
