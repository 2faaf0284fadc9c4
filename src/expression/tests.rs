//! Tests of the language as its users see it.

use super::*;
use crate::json::Json;

/// A scope with one JSON document for all that is read.
pub(super) struct Sample;

pub(super) fn json(text: &str) -> Value {
    Value::Json(Json::try_from(text).unwrap())
}

impl Scope for Sample {
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError> {
        Ok(match variable {
            Variable::Path(0) => "u1".into(),
            Variable::Path(_) => "a b/c".into(),
            Variable::PathTail(_) => "a%20b/c%2Fd".into(),
            Variable::Query(name) if &**name == "q" => "1&2".into(),
            Variable::QueryAll => json(r#"{"q":"1&2"}"#),
            Variable::Header(name) if &**name == "x-y" => "yes".into(),
            Variable::HeadersAll => json(r#"{"x-y":"yes"}"#),
            Variable::Body => json(
                r#"{"sku":"s1","quantity":2,"price":0.10,"big":12345678901234567890,"list":[1,2,3],"none":null,"a":{"b":{"c":[{"d":7}]}}}"#,
            ),
            Variable::Caller => json(r#"{"name":"ann","sub":"42"}"#),
            Variable::Claims => json(r#"{"sub":"42","roles":["support"]}"#),
            Variable::Request(RequestField::Method) => "GET".into(),
            Variable::Step {
                index: 0,
                field: StepField::Body,
            } => json(r#"{"segment":"gold","newsletter":true,"n":1e400}"#),
            Variable::Step {
                field: StepField::Status,
                ..
            } => Value::Int(200),
            Variable::Step { .. } => Value::Null,
            Variable::Item => json(r#"{"id":3}"#),
            Variable::Index => Value::Int(0),
            _ => return Err(EvalError::missing("that")),
        })
    }
}

pub(super) fn names<'a>(path: &'a [PathName], steps: &'a [String]) -> Names<'a> {
    Names {
        path,
        steps,
        body: true,
        caller: true,
        item: true,
        run: true,
        error: true,
        given: &[],
    }
}

pub(super) fn with_names<T>(run: impl FnOnce(&Names<'_>) -> T) -> T {
    let path = [("user", false), ("rest", true)].map(|(name, tail)| PathName {
        name: name.to_owned(),
        tail,
    });
    let steps = ["profile".to_owned(), "orders".to_owned()];
    run(&names(&path, &steps))
}

pub(super) fn compile(text: &str) -> Result<Expression, Vec<Mistake>> {
    with_names(|names| Expression::compile(text, names))
}

pub(super) fn evaluate(text: &str) -> Result<Value, EvalError> {
    let expression = compile(text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
    expression.evaluate(&Sample, &Budget::default())
}

fn is_true(text: &str) {
    assert_eq!(
        evaluate(text).map(|value| value.as_bool()),
        Ok(Some(true)),
        "{text}"
    );
}

fn gives(text: &str, expected: &str) {
    let mut out = Vec::new();
    evaluate(text)
        .unwrap()
        .write_json(1 << 20, &mut out)
        .unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
}

#[test]
fn names_in_scope_are_read() {
    is_true("path.user == 'u1' && query.q == '1&2' && headers['X-Y'] == 'yes'");
    is_true("headers['x-y'] == 'yes' && request.method == 'GET'");
    is_true("claims.sub == caller.sub && 'support' in claims.roles");
    is_true("steps.profile.body.newsletter && steps.orders.status == 200");
    is_true("steps.orders.body == null && item.id == 3 && index == 0");
    is_true("body.a.b.c[0].d == 7 && body['a'].b['c'][0]['d'] == 7");
    is_true("has(headers.accept) == false && has(query.q) && !('p' in query) && 'q' in query");
    is_true(
        "has(body.sku) && !has(body.nothing) && has(steps.profile.body) && !has(steps.orders.body)",
    );
}

#[test]
fn what_is_only_moved_keeps_its_text() {
    gives(
        "{'p': body.price, 'b': body.big, 'n': steps.profile.body.n}",
        r#"{"p":0.10,"b":12345678901234567890,"n":1e400}"#,
    );
    gives(
        "{'profile': steps.profile.body, 'orders': steps.orders.body}",
        r#"{"profile":{"segment":"gold","newsletter":true,"n":1e400},"orders":null}"#,
    );
    gives("body.list.map(x, x > 1, x * 2)", "[4,6]");
}

#[test]
fn reads_are_known() {
    let reads = compile("steps.orders.status == 200 ? body.x : steps.orders.body")
        .unwrap()
        .reads()
        .clone();
    assert_eq!(
        reads,
        Reads {
            steps: vec![1],
            body: true,
            ..Reads::default()
        }
    );
    let reads = compile("[1].map(body, body + 1)").unwrap().reads().clone();
    assert!(reads.is_constant());
}

#[test]
fn mistakes_are_placed_and_explained() {
    let check = |text: &str, part: &str, help: &str| {
        let mistakes = compile(text).unwrap_err();
        let mistake = &mistakes[0];
        assert_eq!(text.get(mistake.at.clone()), Some(part), "{mistake:?}");
        assert!(
            mistake.help.as_deref().unwrap_or_default().contains(help),
            "{mistake:?}"
        );
    };
    check("steps.profil.body.segment", "profil", "`profile`");
    check(
        "steps.profile.segment",
        "segment",
        "steps.profile.body.segment",
    );
    check("path.usr", "usr", "`user`");
    check("request.metod == 'GET'", "metod", "`method`");
    check("orders", "orders", "steps.orders.body");
    check("body.sku.startWith('a')", "startWith", "`startsWith`");
    check("size()", "size()", "size(value)");
    check("a = b", "=", "`==`");
    check("body.x.matches('(')", "'('", "RE2");
    check("Order{id: 1}", "Order{", "map");
    check("{a: 1}.b + [1", "[", "");
    assert_eq!(
        compile("nope + steps.x.body + size(1, 2)")
            .unwrap_err()
            .len(),
        3
    );
    assert_eq!(compile("").unwrap_err().len(), 1);
    check("[1, 2][5] + 1", "[1, 2][5] + 1", "");
    check(
        "steps.profile.headers.size(1)",
        "steps.profile.headers.size(1)",
        "size(value)",
    );
}

#[test]
fn errors_have_kinds() {
    let kind = |text: &str| evaluate(text).unwrap_err().kind;
    assert_eq!(kind("body.nothing"), EvalErrorKind::Missing);
    assert_eq!(kind("steps.orders.body.x"), EvalErrorKind::Missing);
    assert_eq!(kind("index / 0"), EvalErrorKind::Range);
    assert_eq!(kind("'a' < index"), EvalErrorKind::Kind);
    assert_eq!(kind("int(body.sku)"), EvalErrorKind::Value);
}

#[test]
fn every_example_of_the_tables_is_true() {
    for example in functions::GROUPS
        .iter()
        .flat_map(|(_, group)| group.iter().map(|function| function.example))
        .chain(MACROS.iter().map(|known| known.example))
    {
        is_true(example);
    }
}

#[test]
fn every_function_is_shown_by_its_own_example_and_usage() {
    for function in functions::GROUPS.iter().flat_map(|(_, group)| group.iter()) {
        let short = function.name.rsplit('.').next().unwrap();
        assert!(function.example.contains(short), "{}", function.name);
        assert!(function.usage.contains(short), "{}", function.name);
        assert!(function.about.ends_with('.'), "{}", function.name);
    }
}

#[test]
fn types_are_known_where_they_are_plain() {
    let kind = |text: &str| compile(text).unwrap().kind();
    assert_eq!(kind("body.a == 1 && has(query.x)"), Some(Type::Bool));
    assert_eq!(kind("'text'"), Some(Type::String));
    assert_eq!(kind("path.user"), Some(Type::String));
    assert_eq!(kind("{'a': body}"), Some(Type::Map));
    assert_eq!(kind("body.a"), None);
    assert_eq!(kind("body.a ? 1 : 2"), Some(Type::Int));
    assert_eq!(
        compile("1 + 2").unwrap().constant().and_then(Value::as_int),
        Some(3)
    );
    assert!(compile("uuid()").unwrap().constant().is_none());
    assert!(compile("uuid()").unwrap().reads().random);
}
