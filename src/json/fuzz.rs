//! What the fuzz target `json` calls: it takes any bytes and panics when a promise is broken.

#![expect(clippy::expect_used, reason = "a fuzz target speaks by panicking")]

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::check::TOO_DEEP;
use super::{DEPTH_DEFAULT, Json, Kind, check};

/// Values that are looked at: finding is linear, so looking at all of them is not.
const LOOKED_AT: usize = 200;

/// Text is JSON to us where it is to others, and what is found in it is what others find.
pub fn document(bytes: &[u8]) {
    let ours = check(bytes, DEPTH_DEFAULT);
    let theirs = std::str::from_utf8(bytes)
        .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    match &ours {
        Ok(()) => assert!(theirs, "only we take it"),
        Err(error) => assert!(
            !theirs || error.what == TOO_DEEP,
            "only we refuse it: {error}"
        ),
    }
    let Ok(json) = Json::parse(Bytes::copy_from_slice(bytes), DEPTH_DEFAULT) else {
        assert!(ours.is_err());
        return;
    };
    // Numbers that no double holds and lone surrogates are refused by their tree, not by us.
    if let Ok(tree) = serde_json::from_str::<Value>(json.text()) {
        let mut left = LOOKED_AT;
        compare(&json, &tree, &mut left);
    }
}

/// Recursion ends with the depth that the check allows.
fn compare(json: &Json, tree: &Value, left: &mut usize) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    match tree {
        Value::Null => assert!(json.is_null()),
        Value::Bool(value) => assert_eq!(json.as_bool(), Some(*value)),
        Value::String(value) => assert_eq!(json.as_str().as_deref(), Some(value.as_str())),
        Value::Number(value) => {
            if let Some(value) = value.as_i64()
                && json.as_i64().is_some()
            {
                assert_eq!(json.as_i64(), Some(value));
            }
            assert_eq!(json.kind(), Kind::Number);
        }
        Value::Array(list) => {
            assert_eq!(json.elements().count(), list.len());
            for (place, (element, tree)) in json.elements().zip(list).enumerate() {
                if *left > 0 {
                    assert_eq!(json.element(place).as_ref(), Some(&element));
                }
                compare(&element, tree, left);
            }
        }
        Value::Object(map) => {
            assert!(json.entries().count() >= map.len());
            for (key, tree) in map {
                if *left == 0 {
                    return;
                }
                let found = json.field(key).expect("the key stands in the text");
                compare(&found, tree, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_keep_the_promises(bytes in any::<Vec<u8>>(), text in "[\\[\\]{},:\"0-9a-e.\\\\u \\-]{0,40}") {
            document(&bytes);
            document(text.as_bytes());
        }
    }

    #[test]
    fn sound_texts_keep_the_promises() {
        for text in [
            r#"{"a":[1,2.5,-0,1e5,"x\u00e9",null,true],"a":{"b":{}},"\u0061":3}"#,
            r#""\ud83d""#,
            "[1e999]",
        ] {
            document(text.as_bytes());
        }
        document("[".repeat(200).as_bytes());
        document(["[".repeat(200), "]".repeat(200)].concat().as_bytes());
    }
}
