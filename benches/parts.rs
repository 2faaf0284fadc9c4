//! What the parts of the path of a request cost, by the size of what they work on.
//!
//! `cargo bench` prints a table. Times of shared machines differ from run to run: compare rows of
//! one run.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start has nothing to say"
)]

use std::hint::black_box;

use concertina::exchange::CanonicalPath;
use concertina::expression::{
    Budget, EvalError, Expression, Names, PathName, Place, Scope, StepField, Template, Value,
    Variable,
};
use concertina::json::{self, Json};
use concertina::route::{Entry, PathPattern, Table};
use divan::Bencher;
use divan::counter::BytesCount;
use http::Method;

fn main() {
    divan::main();
}

fn entry(path: &str) -> Entry {
    Entry {
        pattern: PathPattern::parse(path).unwrap(),
        hosts: Vec::new(),
        methods: Vec::new(),
        conditional: false,
        priority: 0,
    }
}

/// Finding a route with one parameter among so many.
#[divan::bench(args = [10, 500, 10_000])]
fn find_route(bencher: Bencher<'_, '_>, routes: usize) {
    let entries = (0..routes).map(|n| entry(&format!("/v{}/shop{n}/{{id}}/items", n % 7)));
    let table = Table::build(entries.collect()).unwrap();
    let path = CanonicalPath::new("/v3/shop3/12345/items".to_owned()).unwrap();
    bencher.bench(|| {
        table.find("api.example.com", &Method::GET, black_box(&path), |_, _| {
            true
        })
    });
}

/// Bringing a path to its canonical form: one that has it, and one that does not.
#[divan::bench(args = ["/v3/shop3/12345/items", "/v3/./shop3//%31%32345/../9/items"])]
fn canonical_path(path: &str) -> bool {
    CanonicalPath::new(black_box(path).to_owned()).is_ok()
}

/// A list of orders of about `bytes` bytes.
fn document(bytes: usize) -> String {
    let order = r#"{"id":"A-1234","item":"punched cards","total":0.10,"tags":["new","gift"],"note":"Grüße"}"#;
    let count = (bytes / (order.len() + 1)).max(1);
    format!("[{}]", vec![order; count].join(","))
}

/// Checking a part before it is moved into an answer.
#[divan::bench(args = [2_000, 10_000, 100_000, 1_000_000])]
fn check_json(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = document(bytes);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| json::check(black_box(text.as_bytes()), json::DEPTH_DEFAULT));
}

/// The same with a tree of values, for comparison.
#[divan::bench(args = [2_000, 10_000, 100_000, 1_000_000])]
fn check_json_by_tree(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = document(bytes);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| serde_json::from_str::<serde_json::Value>(black_box(&text)).is_ok());
}

/// A scope in which every step's body is one document.
struct Parts(Value);

impl Scope for Parts {
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError> {
        match variable {
            Variable::Step {
                field: StepField::Body,
                ..
            } => Ok(self.0.clone()),
            Variable::Path(_) => Ok("a b/c".into()),
            _ => Ok(Value::Null),
        }
    }
}

fn compile(text: &str) -> Expression {
    let steps = ["profile".to_owned(), "orders".to_owned()];
    let names = Names {
        steps: &steps,
        ..Names::default()
    };
    Expression::compile(text, &names).unwrap()
}

fn parts(bytes: usize) -> Parts {
    let text = document(bytes);
    Parts(Value::Json(Json::try_from(text.as_str()).unwrap()))
}

/// A body expression that only moves two parts.
#[divan::bench(args = [2_000, 10_000, 100_000])]
fn move_two_parts(bencher: Bencher<'_, '_>, bytes: usize) {
    let expression = compile("{'profile': steps.profile.body, 'orders': steps.orders.body}");
    let scope = parts(bytes);
    bencher.bench(|| {
        let value = expression.evaluate(&scope, &Budget::default()).unwrap();
        value.to_json(usize::MAX).unwrap()
    });
}

/// The floor of the above: copying the same bytes.
#[divan::bench(args = [2_000, 10_000, 100_000])]
fn copy_two_parts(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = document(bytes);
    bencher.bench(|| [black_box(text.as_bytes()), black_box(text.as_bytes())].concat());
}

/// A body expression that computes from every element.
#[divan::bench(args = [2_000, 10_000])]
fn shape_each_order(bencher: Bencher<'_, '_>, bytes: usize) {
    let expression = compile("steps.orders.body.map(o, {'id': o.id, 'total': o.total})");
    let scope = parts(bytes);
    bencher.bench(|| {
        let value = expression.evaluate(&scope, &Budget::default()).unwrap();
        value.to_json(usize::MAX).unwrap()
    });
}

/// The target of a call with one parameter in it.
#[divan::bench]
fn fill_target(bencher: Bencher<'_, '_>) {
    let path = [PathName {
        name: "user".to_owned(),
        tail: false,
    }];
    let names = Names {
        path: &path,
        ..Names::default()
    };
    let template =
        Template::compile("/v1/users/{path.user}?limit=20", Place::Target, &names).unwrap();
    let scope = parts(100);
    bencher.bench(|| {
        let mut out = String::new();
        template
            .render(&scope, &Budget::default(), &mut out)
            .unwrap();
        out
    });
}
