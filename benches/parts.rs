//! What the parts of the path of a request cost, by the size of what they work on.
//!
//! `cargo bench` prints a table. Times of shared machines differ from run to run: compare rows of
//! one run.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start has nothing to say"
)]

use std::hint::black_box;

use bytes::Bytes;
use concertina::exchange::CanonicalPath;
use concertina::expression::{
    Budget, EvalError, Expression, Names, PathName, Place, Scope, StepField, Template, Value,
    Variable,
};
use concertina::json::{self, Json};
use concertina::orchestrate::merge::{Part, merge};
use concertina::orchestrate::{Merge, OnConflict};
use concertina::route::{Entry, PathPattern, Table};
use divan::Bencher;
use divan::counter::BytesCount;
use http::Method;
use serde_json::Value as Tree;

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

/// The same with a tree of values, for comparison: the part is parsed, and the answer is written.
#[divan::bench(args = [2_000, 10_000])]
fn shape_each_order_by_tree(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = document(bytes);
    bencher.bench(|| {
        let tree: Tree = serde_json::from_str(black_box(&text)).unwrap();
        let orders = tree.as_array().unwrap().iter();
        let shaped: Vec<Tree> = orders
            .map(|order| serde_json::json!({"id": order["id"], "total": order["total"]}))
            .collect();
        serde_json::to_vec(&shaped).unwrap()
    });
}

/// A body expression that picks one field out of a part.
#[divan::bench(args = [2_000, 10_000, 100_000])]
fn pick_the_last_order(bencher: Bencher<'_, '_>, bytes: usize) {
    let expression = compile("steps.orders.body.last().total");
    let scope = parts(bytes);
    bencher.bench(|| {
        let value = expression.evaluate(&scope, &Budget::default()).unwrap();
        value.to_json(usize::MAX).unwrap()
    });
}

/// The same with a tree of values, for comparison.
#[divan::bench(args = [2_000, 10_000, 100_000])]
fn pick_the_last_order_by_tree(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = document(bytes);
    bencher.bench(|| {
        let tree: Tree = serde_json::from_str(black_box(&text)).unwrap();
        tree.as_array().and_then(|orders| orders.last()).unwrap()["total"].to_string()
    });
}

/// Three parts of about `bytes` bytes together: objects with keys of their own, and one in common
/// where `shared`.
fn objects(bytes: usize, shared: bool) -> Vec<Bytes> {
    let common = if shared { r#""shop":{"id":7},"# } else { "" };
    let part = |name| format!("{{{common}\"{name}\":{}}}", document(bytes / 3));
    ["profile", "orders", "offers"]
        .map(|name| part(name).into())
        .to_vec()
}

/// Checking three parts and merging them into one body.
fn merge_parts(bencher: Bencher<'_, '_>, how: Merge, texts: Vec<Bytes>) {
    bencher.bench(|| {
        let parts: Vec<Part> = black_box(&texts)
            .iter()
            .map(|text| Part {
                name: "part".into(),
                json: Json::parse(text.clone(), json::DEPTH_DEFAULT).unwrap(),
            })
            .collect();
        merge(how, OnConflict::Last, &parts, usize::MAX).unwrap()
    });
}

#[divan::bench(args = [2_000, 10_000, 100_000, 1_000_000])]
fn merge_nest(bencher: Bencher<'_, '_>, bytes: usize) {
    merge_parts(bencher, Merge::Nest, objects(bytes, false));
}

/// No key in common: what stands between the braces is moved whole.
#[divan::bench(args = [2_000, 10_000, 100_000, 1_000_000])]
fn merge_flatten(bencher: Bencher<'_, '_>, bytes: usize) {
    merge_parts(bencher, Merge::Flatten, objects(bytes, false));
}

/// A key in common, whose objects are merged.
#[divan::bench(args = [2_000, 10_000, 100_000, 1_000_000])]
fn merge_deep(bencher: Bencher<'_, '_>, bytes: usize) {
    merge_parts(bencher, Merge::Deep, objects(bytes, true));
}

#[divan::bench(args = [2_000, 10_000, 100_000, 1_000_000])]
fn merge_concat(bencher: Bencher<'_, '_>, bytes: usize) {
    merge_parts(bencher, Merge::Concat, vec![document(bytes / 3).into(); 3]);
}

/// Nesting with trees of values, for comparison: each part is parsed, and the answer is written.
#[divan::bench(args = [2_000, 10_000, 100_000, 1_000_000])]
fn merge_nest_by_tree(bencher: Bencher<'_, '_>, bytes: usize) {
    let texts = objects(bytes, false);
    bencher.bench(|| {
        let mut merged = serde_json::Map::new();
        for (place, text) in black_box(&texts).iter().enumerate() {
            let tree: Tree = serde_json::from_slice(text).unwrap();
            merged.insert(place.to_string(), tree);
        }
        serde_json::to_vec(&merged).unwrap()
    });
}

/// The floor of all merges: copying the bytes, unchecked.
#[divan::bench(args = [2_000, 10_000, 100_000, 1_000_000])]
fn merge_by_copying(bencher: Bencher<'_, '_>, bytes: usize) {
    let texts = objects(bytes, false);
    bencher.bench(|| black_box(&texts).concat());
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
