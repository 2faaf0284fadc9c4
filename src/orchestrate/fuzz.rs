//! What the fuzz target `merge` calls: it takes any bytes and panics when a promise is broken.

#![expect(clippy::expect_used, reason = "a fuzz target speaks by panicking")]

use bytes::Bytes;
use serde_json::{Map, Value};

use super::merge::{Part, merge};
use super::spec::{Merge, OnConflict};
use crate::exchange::Body;
use crate::json::{self, DEPTH_DEFAULT, Json};

/// More bytes than any input has.
const LIMIT: usize = 1 << 24;

/// Documents, one a line, as parts: what any merge makes of them is JSON, and what trees would give.
pub fn parts(bytes: &[u8]) {
    let documents = bytes.split(|byte| *byte == b'\n').take(16);
    let parts: Vec<Part> = documents
        .filter_map(|text| Json::parse(Bytes::copy_from_slice(text), DEPTH_DEFAULT).ok())
        .enumerate()
        .map(|(place, json)| Part {
            name: format!("p{place}").into(),
            json,
        })
        .collect();
    let trees: Option<Vec<Value>> = parts
        .iter()
        .map(|part| serde_json::from_str(part.json.text()).ok())
        .collect();
    for on_conflict in [OnConflict::Error, OnConflict::First, OnConflict::Last] {
        for how in [
            Merge::Nest,
            Merge::Flatten,
            Merge::Deep,
            Merge::Concat,
            Merge::First,
        ] {
            let Ok(body) = merge(how, on_conflict, &parts, LIMIT) else {
                continue;
            };
            let text = text(body);
            json::check(&text, DEPTH_DEFAULT + 1).expect("a merged body is JSON");
            let expected = trees
                .as_deref()
                .and_then(|trees| expected(how, on_conflict, trees));
            if let Some(expected) = expected {
                let made: Value = serde_json::from_slice(&text).expect("its parts were trees");
                assert_eq!(made, expected, "{how:?} {on_conflict:?}");
            }
        }
    }
}

fn text(body: Body) -> Vec<u8> {
    match body {
        Body::Empty | Body::Stream(_) => Vec::new(),
        Body::Full(text) => text.to_vec(),
        Body::Parts(pieces) => pieces.into_iter().flatten().collect(),
    }
}

/// The same made of trees, for the merges that are simple with them.
fn expected(how: Merge, on_conflict: OnConflict, trees: &[Value]) -> Option<Value> {
    match how {
        Merge::Nest => {
            let parts = trees.iter().enumerate();
            let parts = parts.map(|(place, tree)| (format!("p{place}"), tree.clone()));
            Some(Value::Object(parts.collect()))
        }
        Merge::Concat => {
            let lists = trees.iter().filter_map(Value::as_array);
            Some(Value::Array(lists.flatten().cloned().collect()))
        }
        Merge::First => Some(trees.first().cloned().unwrap_or_default()),
        Merge::Deep => None,
        Merge::Flatten => {
            let mut merged = Map::new();
            for (key, tree) in trees.iter().filter_map(Value::as_object).flatten() {
                if on_conflict == OnConflict::First && merged.contains_key(key) {
                    continue;
                }
                merged.insert(key.clone(), tree.clone());
            }
            Some(Value::Object(merged))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_parts_keep_the_promises(
            bytes in "(\\{\"a\":[0-9]\\}|\\{\"b\":\\{\"a\":1\\},\"\\\\u0061\":[0-9]\\}|\\[[0-9]\\]|null|\\n|x){0,12}",
        ) {
            parts(bytes.as_bytes());
        }
    }
}
