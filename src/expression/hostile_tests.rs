//! Tests of what bad text and bad documents can do: nothing but an error.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{Sample, compile, evaluate, json};
use super::*;
use crate::json::{Json, Kind};

/// A scope in which `body` is one value and nothing else is there.
struct Body(Value);

impl Scope for Body {
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError> {
        match variable {
            Variable::Body => Ok(self.0.clone()),
            _ => Err(EvalError::missing("that")),
        }
    }
}

fn with_body(text: &str, body: Value) -> Result<Value, EvalError> {
    let expression = compile(text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
    expression.evaluate(&Body(body), &Budget::default())
}

#[test]
fn depth_is_refused_before_the_stack_ends() {
    let deep = [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{'a':", "1", "}"),
        ("!", "true", ""),
        ("-", "(index)", ""),
        ("", "index", " + 1"),
        ("", "body", ".a"),
        ("", "body", "[0]"),
        ("size(", "body", ")"),
        ("index == 1 ? 1 : ", "2", ""),
        ("[1].map(x, ", "1", ")"),
        ("", "body", ".trim()"),
        ("cel.bind(x, 1, ", "1", ")"),
        ("default(", "1", ", 1)"),
        ("", "body", ".?a"),
        ("has(", "body.a", ")"),
        ("index < ", "index", ""),
        ("true && (", "true", ")"),
    ];
    for (open, middle, close) in deep {
        for depth in [97, 2_000] {
            let text = [open.repeat(depth), middle.to_owned(), close.repeat(depth)].concat();
            if let Ok(expression) = compile(&text) {
                let error = expression.evaluate(&Sample, &Budget::default()).err();
                assert!(
                    error.is_none_or(|error| error.kind != EvalErrorKind::Budget),
                    "{text}"
                );
                assert!(depth < 100, "{text}");
            }
        }
    }
    let long = "true && ".repeat(1_000) + "true";
    assert!(compile(&long).is_ok(), "a chain is not depth");
    assert!(compile(&"1".repeat(20_000)).is_err());
}

#[test]
fn work_is_bounded_by_the_budget() {
    let numbers: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    let thousand = json(&format!("[{}]", numbers.join(",")));
    let kilobyte = Value::from("x".repeat(1_000));
    let spends = |text: &str, body: &Value| {
        let error = with_body(text, body.clone()).unwrap_err();
        assert_eq!(error.kind, EvalErrorKind::Budget, "{text}: {error}");
    };
    spends("body.all(a, body.all(b, body.all(c, true)))", &thousand);
    spends("body.all(a, body.exists(b, 1 / 0 == b) || true)", &thousand);
    spends("body.map(a, body.map(b, b))", &thousand);
    spends(
        "body.map(a, body[999])",
        &json(&format!("[{}1]", "1,".repeat(99_999))),
    );
    spends("body.map(a, body.filter(b, b == a))", &thousand);
    spends("body.sortBy(a, body.sum())", &thousand);
    spends(
        "body.map(x, [x]).distinct().map(x, body.map(y, y))",
        &thousand,
    );
    spends(
        "body.map(x, {'k': x}).distinct().map(x, body.map(y, y).distinct())",
        &thousand,
    );
    spends("lists.range(1000000000)", &Value::Null);
    spends(
        "lists.range(100000).map(x, body.matches(string(x)))",
        &kilobyte,
    );
    let doubling = (0..40).fold("body".to_owned(), |text, _| {
        format!("cel.bind(x, {text}, x + x)")
    });
    spends(&doubling, &kilobyte);
    spends(&doubling, &json("[1, 2, 3]"));
    let blown = "body.replace('x', body).replace('x', body).replace('x', body)";
    spends(blown, &kilobyte);
    spends(
        "lists.range(1000).map(x, body).join(body).replace('x', body)",
        &kilobyte,
    );
    let nested = (0..30).fold("body".to_owned(), |text, _| {
        format!("cel.bind(x, {text}, [x, x])")
    });
    assert!(
        with_body(&nested, Value::Null).is_ok(),
        "shared parts are no copies"
    );
    spends(&format!("{nested} == {nested}"), &thousand);
    spends(&format!("{nested}.flatten(32)"), &thousand);
    let mut out = Vec::new();
    let written = with_body(&nested, thousand)
        .unwrap()
        .write_json(1 << 20, &mut out);
    assert_eq!(
        written.map_err(|error| error.kind),
        Err(EvalErrorKind::Budget)
    );
    assert!(out.len() <= 1 << 20);
}

#[test]
fn a_spent_budget_stays_spent() {
    let budget = Budget::new(10);
    let expression = compile("body.list.map(x, x + 1) == [] || true").unwrap();
    let error = expression.evaluate(&Sample, &budget).unwrap_err();
    assert_eq!(
        (error.kind, budget.left()),
        (EvalErrorKind::Budget, 0),
        "no `||` absorbs it"
    );
    assert!(
        compile("1 + index")
            .unwrap()
            .evaluate(&Sample, &budget)
            .is_err()
    );
}

#[test]
fn patterns_take_linear_time() {
    let text = Value::from("a".repeat(20_000));
    let started = tokio::time::Instant::now();
    assert_eq!(
        with_body("body.matches('(a+)+$') && !body.matches('(a|aa)+b')", text)
            .map(|value| value.as_bool()),
        Ok(Some(true))
    );
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(compile("body.matches('(((a{100}){100}){100}){100}')").is_err());
    assert!(with_body("'x'.matches(body)", "((a{100}){100}){100}".into()).is_err());
}

#[test]
fn deep_values_are_compared_and_written_without_recursion_on_data() {
    let deep = [vec![b'['; 1000], b"1".to_vec(), vec![b']'; 1000]].concat();
    let deep = Value::Json(Json::parse(deep.into(), 1024).unwrap());
    assert_eq!(
        with_body("body == body && body == [body[0]]", deep.clone()).map(|value| value.as_bool()),
        Ok(Some(true))
    );
    let mut made = deep;
    for _ in 0..100 {
        made = with_body("[body]", made).unwrap();
    }
    assert!(made.write_json(1 << 20, &mut Vec::new()).is_ok());
    for _ in 0..200 {
        made = with_body("[body]", made).unwrap();
    }
    assert!(made.write_json(1 << 20, &mut Vec::new()).is_err());
    assert_eq!(
        with_body("body == [body[0]]", made).map(|value| value.as_bool()),
        Ok(Some(true))
    );
}

#[test]
fn a_document_cannot_pass_for_another_type() {
    for text in [
        r#"{"$serde_json::private::RawValue":"1"}"#,
        r#"{"@type":"x"}"#,
        r#"{"__proto__":{"admin":true}}"#,
    ] {
        let value = with_body(
            "type(body) == map && body.size() == 1 && !has(body.admin)",
            json(text),
        );
        assert_eq!(value.map(|value| value.as_bool()), Ok(Some(true)), "{text}");
    }
    let twice = json(r#"{"admin":false,"\u0061dmin":true}"#);
    let value = with_body(
        "body.admin && body == {'admin': true} && body.size() == 1 && body.all(k, k == 'admin')",
        twice,
    );
    assert_eq!(
        value.map(|value| value.as_bool()),
        Ok(Some(true)),
        "every reader sees the last"
    );
}

/// The same document as a tree of native values.
fn tree(json: &Json) -> Value {
    match json.kind() {
        Kind::Array => Value::from(
            json.elements()
                .map(|element| tree(&element))
                .collect::<Vec<_>>(),
        ),
        Kind::Object => Value::from(
            json.entries()
                .map(|(key, value)| (Key::from(&*key), tree(&value)))
                .collect::<Map>(),
        ),
        Kind::String => Value::from(json.as_str().unwrap().into_owned()),
        Kind::Null => Value::Null,
        Kind::Bool => Value::Bool(json.as_bool().unwrap()),
        Kind::Number => json
            .as_i64()
            .map_or_else(|| Value::Double(json.as_f64().unwrap()), Value::Int),
    }
}

fn document() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        (-3_i64..12).prop_map(|n| n.to_string()),
        Just("0.5".to_owned()),
        Just("2.0".to_owned()),
        Just("12345678901234567890".to_owned())
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number,
        "\"(a|b|c|\\\\n|\\\\u00e9|x y){0,3}\"",
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(("[abc]", inner), 0..5).prop_map(|entries| {
                let entries: Vec<String> = entries
                    .into_iter()
                    .map(|(key, value)| format!("\"{key}\": {value}"))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

/// Expressions that meet `body` in every way the language has.
const READERS: &[&str] = &[
    "body",
    "body.a",
    "body['a'].b",
    "body[0]",
    "body[1].a",
    "body == body",
    "body.a == body.b",
    "body in [body]",
    "'a' in body",
    "0.5 in body",
    "has(body.a)",
    "has(body.a.b) || has(body.b)",
    "default(body.a.b, 7)",
    "body.?a",
    "body[?0].orValue(1)",
    "size(body)",
    "type(body)",
    "body.map(x, x)",
    "body.map(x, type(x))",
    "body.filter(x, x != null)",
    "body.all(x, x == x)",
    "body.exists(x, x == 'a')",
    "body.exists_one(x, x == 1)",
    "body.transformList(k, v, [k, v])",
    "body.transformMap(k, v, v)",
    "body.groupBy(x, x)",
    "body.indexBy(x, x)",
    "body.sortBy(x, x)",
    "body.sort()",
    "body.distinct()",
    "body.flatten(3)",
    "body.join(',')",
    "body.sum()",
    "body.min()",
    "body.max()",
    "body.first()",
    "body.last()",
    "body.reverse()",
    "body.slice(0, 2)",
    "body.pick(['a'])",
    "body.omit(['a'])",
    "body.merge({'a': 1})",
    "{'a': {'z': 1}}.mergeDeep(body)",
    "body.keys()",
    "body.values()",
    "body.get('a')",
    "body + body",
    "body.a + body.b",
    "body.a < body.b",
    "-body.a",
    "body.a * 2",
    "body.a / 2.0",
    "math.greatest(body)",
    "math.abs(body.a)",
    "string(body.a)",
    "int(body.a)",
    "double(body.a)",
    "bool(body.a)",
    "body.a.contains('a')",
    "body.a.split('')",
    "body.a.upperAscii()",
    "{'x': body, 'y': [body.a, body.b]}",
    "body.a ? body.b : body.c",
    "body.a && body.b",
    "optional.ofNonZeroValue(body.a).hasValue()",
];

/// Expressions made of the ways to read, pick and compute, within each other.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &[
            "body",
            "body.a",
            "body.b",
            "body['c']",
            "body[0]",
            "body[1].a",
            "1",
            "-2",
            "0.5",
            "true",
            "null",
            "'a'",
            "'x y'",
            "[]",
            "{}",
        ][..],
    )
    .prop_map(str::to_owned);
    leaf.prop_recursive(3, 16, 3, |inner| {
        let each = prop::sample::select(
            &[
                "map", "filter", "all", "exists", "sortBy", "groupBy", "indexBy",
            ][..],
        );
        let picks = prop::sample::select(
            &[
                ".a",
                "[0]",
                ".size()",
                ".keys()",
                ".values()",
                ".first()",
                ".last()",
                ".reverse()",
                ".distinct()",
                ".flatten()",
                ".pick(['a', 'b'])",
                ".omit(['a'])",
                ".slice(0, 2)",
                ".sort()",
                ".sum()",
            ][..],
        );
        let between = prop::sample::select(&["==", "!=", "<", "in", "&&", "||", "+"][..]);
        prop_oneof![
            (inner.clone(), picks).prop_map(|(of, pick)| format!("({of}){pick}")),
            // The element is read as the body was.
            (inner.clone(), each, inner.clone()).prop_map(|(of, each, with)| format!(
                "({of}).{each}(x, {})",
                with.replace("body", "x")
            )),
            (inner.clone(), between, inner.clone())
                .prop_map(|(one, how, other)| format!("({one}) {how} ({other})")),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("{{'a': {one}, 'b': [{other}, {one}]}}")),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("default({one}, {other})")),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("({one}).merge({other})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(when, then, not)| format!("({when}) == true ? {then} : {not}")),
        ]
    })
}

#[test]
fn an_object_that_is_read_often_answers_the_same_each_time() {
    let long = "x".repeat(300);
    let body = json(&format!(
        r#"{{"a": {{"k": 1, "pad": "{long}"}}, "b": {{"k": 2, "pad": "{long}"}}, "a\u0062": 3, "a": {{"k": 4, "pad": "{long}"}}}}"#
    ));
    for (text, wanted) in [
        (
            "[body.a.k, body.b.k, body.a.k, body.b.k, body.ab, body.a.k]",
            "[4,2,4,2,3,4]",
        ),
        ("lists.range(3).map(i, body.a.k + body.b.k + i)", "[6,7,8]"),
        (
            "[body.a, body.b].map(o, [o.k, o.k, size(o.pad), o.k])",
            "[[4,4,300,4],[2,2,300,2]]",
        ),
        (
            "[default(body.c, 0), default(body.c, 1), default(body.c, 2)]",
            "[0,1,2]",
        ),
    ] {
        let value = with_body(text, body.clone()).unwrap();
        assert_eq!(value.to_json(1 << 16).unwrap(), wanted.as_bytes(), "{text}");
    }
}

#[test]
fn what_cannot_be_a_key_is_looked_for_in_no_map() {
    let slice = Json::try_from("{}").unwrap();
    for held in ["null", "[1]", "{}"] {
        let text = format!("{held} in body");
        for body in [Value::Json(slice.clone()), tree(&slice)] {
            let error = with_body(&text, body).unwrap_err();
            assert_eq!(error.kind, EvalErrorKind::Kind, "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn a_slice_answers_as_the_tree_does(text in document(), reader in prop::sample::select(READERS)) {
        // A number that is only moved keeps its text, as a string too: the one wanted difference.
        let as_text = reader.starts_with("string(") || reader.contains("join(");
        prop_assume!(!as_text || !(text.contains("2.0") || text.contains("1234567")));
        let slice = Json::try_from(&*text).unwrap();
        let lazy = with_body(reader, Value::Json(slice.clone()));
        let eager = with_body(reader, tree(&slice));
        match (lazy, eager) {
            (Ok(lazy), Ok(eager)) => {
                let same = operators::equal(&lazy, &eager, &Budget::default()).unwrap();
                prop_assert!(same, "{} of {}: {:?} and {:?}", reader, text, lazy, eager);
            }
            (Err(lazy), Err(eager)) => prop_assert_eq!(lazy.kind, eager.kind),
            (lazy, eager) => prop_assert!(false, "{} of {}: {:?} and {:?}", reader, text, lazy, eager),
        }
    }

    #[test]
    fn spliced_and_evaluated_give_the_same_answer(text in document(), expression in expression()) {
        let Ok(expression) = compile(&expression) else {
            return Ok(());
        };
        // What no integer holds is computed with as what it is near to.
        prop_assume!(!(expression.text().contains(['+', '(']) && text.contains("1234567")));
        let slice = Json::try_from(&*text).unwrap();
        let answer = |body: Value| expression.evaluate(&Body(body), &Budget::default());
        match (answer(Value::Json(slice.clone())), answer(tree(&slice))) {
            (Ok(spliced), Ok(evaluated)) => {
                let same = operators::equal(&spliced, &evaluated, &Budget::default()).unwrap();
                prop_assert!(same, "{expression} of {text}: {spliced:?} and {evaluated:?}");
                let (spliced, evaluated) = (spliced.to_json(1 << 20), evaluated.to_json(1 << 20));
                prop_assert_eq!(spliced.is_ok(), evaluated.is_ok(), "{} of {}", expression, text);
                if let (Ok(spliced), Ok(evaluated)) = (spliced, evaluated) {
                    let read = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
                    let (spliced, evaluated) = (read(&spliced), read(&evaluated));
                    prop_assert!(alike(&spliced, &evaluated), "{expression} of {text}: {spliced} and {evaluated}");
                }
            }
            (Err(spliced), Err(evaluated)) => prop_assert_eq!(spliced.kind, evaluated.kind, "{} of {}", expression, text),
            (spliced, evaluated) => prop_assert!(false, "{expression} of {text}: {spliced:?} and {evaluated:?}"),
        }
    }

    #[test]
    fn what_is_written_is_json_and_reads_back_equal(text in document(), reader in prop::sample::select(READERS)) {
        let value = with_body(reader, json(&text));
        if let Ok(value) = value {
            let mut out = Vec::new();
            if value.write_json(1 << 20, &mut out).is_ok() {
                prop_assert!(Json::parse(out.clone().into(), 1024).is_ok(), "{}", String::from_utf8_lossy(&out));
            }
        }
    }

    #[test]
    fn no_tokens_make_the_compiler_or_the_evaluation_panic(
        tokens in prop::collection::vec(prop::sample::select(&[
            "body", ".", "a", "[", "]", "(", ")", "{", "}", ":", ",", "?", "+", "-", "*", "/", "%", "!", "==", "<", ">=", "&&", "||", "in",
            "1", "2u", "0x1F", "1.5e3", "-9223372036854775808", "'s'", "r'\\'", "b'\\xff'", "'''t\n'''", "null", "true", "has", "size", "map", "all",
            "x", "item", "steps", "profile", "status", "path", "user", "query", "headers", "claims", ".map(x, x)", ".filter(x, ", "default(", "type(",
            "duration('1s')", "timestamp(0)", "[1, 2]", "{'a': 1}", "optional.of(", ".?a", "[?", "`a-b`", "cel.bind(x, ", " ", "//", "\n", "=", "\"", "'", "\\", "\u{e9}",
        ][..]), 0..16),
    ) {
        let text = tokens.concat();
        match compile(&text) {
            Ok(expression) => {
                let budget = Budget::new(10_000);
                if let Ok(value) = expression.evaluate(&Sample, &budget) {
                    let mut out = Vec::new();
                    if value.write_json(1 << 16, &mut out).is_ok() {
                        prop_assert!(Json::parse(out.into(), 1024).is_ok());
                    }
                }
            }
            Err(mistakes) => for mistake in mistakes {
                prop_assert!(text.get(mistake.at.clone()).is_some(), "{:?}", mistake);
            },
        }
    }

    #[test]
    fn no_characters_make_the_compiler_panic(text in "\\PC{0,60}") {
        if let Err(mistakes) = compile(&text) {
            for mistake in mistakes {
                prop_assert!(text.get(mistake.at.clone()).is_some(), "{:?}", mistake);
            }
        }
    }

    #[test]
    fn a_string_literal_says_what_was_quoted(text in any::<String>()) {
        let quoted = evaluate(&format!("strings.quote({})", literal_of(&text))).unwrap();
        let again = evaluate(&quoted.as_text().unwrap()).unwrap();
        prop_assert_eq!(again.as_text().unwrap(), text);
    }
}

/// The same JSON in the same order, whatever the text of its numbers.
fn alike(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value as Tree;
    match (one, other) {
        (Tree::Number(one), Tree::Number(other)) => one.as_f64() == other.as_f64(),
        (Tree::Array(one), Tree::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Tree::Object(one), Tree::Object(other)) => {
            let mut both = one.iter().zip(other);
            one.len() == other.len()
                && both.all(|((key, one), (its, other))| key == its && alike(one, other))
        }
        (one, other) => one == other,
    }
}

/// A string literal written with escapes only.
fn literal_of(text: &str) -> String {
    let escapes = text.chars().map(|c| format!("\\U{:08x}", u32::from(c)));
    format!("'{}'", escapes.collect::<Vec<_>>().concat())
}
