//! Tests of the check and of the slices, against serde_json where it has an opinion.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn json(text: &str) -> Json {
    Json::try_from(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn sound_texts_are_accepted() {
    for text in [
        "0",
        "-0",
        "1e400",
        "-1.50E+7",
        "12345678901234567890",
        "\"\"",
        "true",
        " null\r\n\t",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[[],{}]",
        r#"{"a":1,"a":2}"#,
        r#""\ud83d""#,
        "\"\u{7f}\u{e9}\"",
        r#"{"":[1,{"x":null}],"b":"\"\\"}"#,
    ] {
        assert_eq!(check(text.as_bytes(), 8), Ok(()), "{text}");
    }
}

#[test]
fn what_is_refused_is_refused_at_its_place() {
    for (text, offset) in [
        ("", 0),
        ("  ", 2),
        ("nul", 0),
        ("nulls", 4),
        ("[1,]", 3),
        ("[1 2]", 3),
        ("[", 1),
        ("]", 0),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{a:1}", 1),
        ("[}", 1),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("01", 1),
        ("-", 1),
        ("1.", 2),
        (".5", 0),
        ("1e", 2),
        ("+1", 0),
        ("\"a", 2),
        ("\"\n\"", 1),
        ("\"\\x\"", 1),
        ("\"\\u12g4\"", 1),
        ("\"\\", 1),
        ("1 1", 2),
        ("{} {}", 3),
        ("'a'", 0),
        ("NaN", 0),
        ("\u{feff}1", 0),
        ("[1]\u{0}", 3),
    ] {
        assert_eq!(
            check(text.as_bytes(), 8).map_err(|error| error.offset),
            Err(offset),
            "{text}"
        );
    }
    assert_eq!(
        check(b"\"\xff\"", 8),
        Err(JsonError {
            offset: 1,
            what: "not UTF-8"
        })
    );
    assert_eq!(
        check(b"\"\xed\xa0\x80\"", 8).map_err(|error| error.offset),
        Err(1),
        "a surrogate"
    );
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(check(&nested(128), DEPTH_DEFAULT).is_ok());
    assert_eq!(
        check(&nested(129), DEPTH_DEFAULT).map_err(|error| error.offset),
        Err(128)
    );
    assert!(check(&nested(1024), usize::MAX).is_ok());
    assert!(check(&nested(1025), usize::MAX).is_err());
    assert!(check(&vec![b'['; 1 << 20], usize::MAX).is_err());
    let objects = [b"{\"a\":".repeat(200), b"1".to_vec(), b"}".repeat(200)].concat();
    assert!(check(&objects, 200).is_ok());
    assert!(check(&objects, 199).is_err());
    assert!(check(b"[{\"a\":[{}]}]", 4).is_ok());
    assert!(check(b"1", 0).is_ok());
    assert!(check(b"[]", 0).is_err());
}

#[test]
fn values_are_cut_out_as_they_came() {
    let whole = json(
        " {\"a\" : [1e400, 0.10 ,\"x\\u00e9\"], \"b\\u0063\": {\"d\": 12345678901234567890}, \"a\": [ ] } ",
    );
    assert_eq!(whole.kind(), Kind::Object);
    assert_eq!(
        whole.field("a").map(|a| a.to_string()).as_deref(),
        Some("[ ]"),
        "the last wins"
    );
    assert_eq!(
        whole
            .field("bc")
            .and_then(|bc| bc.field("d"))
            .map(|d| d.to_string())
            .as_deref(),
        Some("12345678901234567890")
    );
    assert_eq!(
        whole.field("b\\u0063"),
        None,
        "a key is what it says, not how it is written"
    );
    let (_, first) = whole.entries().next().unwrap();
    assert_eq!(
        first
            .elements()
            .map(|json| json.to_string())
            .collect::<Vec<_>>(),
        ["1e400", "0.10", "\"x\\u00e9\""]
    );
    assert_eq!(
        first.element(2).unwrap().as_str().as_deref(),
        Some("x\u{e9}")
    );
    assert_eq!(first.element(3), None);
    assert!(whole.bytes().starts_with(b"{") && whole.bytes().ends_with(b"}"));
    assert_eq!(json("5").field("a"), None);
    assert_eq!(json("{}").element(0), None);
    assert_eq!(json("[ ]").elements().count(), 0);
    assert_eq!(json("{ }").entries().count(), 0);
}

#[test]
fn numbers_are_read_when_asked() {
    assert_eq!(json("9223372036854775807").as_i64(), Some(i64::MAX));
    assert_eq!(json("9223372036854775808").as_i64(), None);
    assert_eq!(json("-9223372036854775808").as_i64(), Some(i64::MIN));
    assert_eq!(json("1.0").as_i64(), None);
    assert_eq!(json("1e400").as_f64(), Some(f64::INFINITY));
    assert_eq!(json("0.10").as_f64(), Some(0.1));
    assert_eq!(json("\"1\"").as_f64(), None);
    assert_eq!(json("true").as_bool(), Some(true));
    assert_eq!(json("1").as_bool(), None);
    assert!(json("null").is_null() && Json::null().is_null());
}

#[test]
fn slices_share_the_buffer() {
    let bytes = Bytes::from_static(b"  {\"part\": {\"x\": [1, 2, 3]}}  ");
    let part = Json::parse(bytes.clone(), 8)
        .unwrap()
        .field("part")
        .unwrap();
    assert!(bytes.as_ptr_range().contains(&part.bytes().as_ptr()));
}

#[test]
fn a_document_is_not_printed_whole_for_debugging() {
    let long = json(&format!("\"{}\"", "\u{e9}".repeat(5000)));
    assert!(format!("{long:?}").len() < 300);
}

/// A document as serde_json would write it, with odd strings and numbers.
fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|number| serde_json::json!(number)),
        "[a-z\"\\\\\n\u{1}\u{e9}\u{1f600}\\[\\]{},:]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("[a-c\"\\\\\u{e9}]{0,3}", inner, 0..6)
                .prop_map(|map: BTreeMap<String, _>| map.into_iter().collect()),
        ]
    })
}

/// The document that a slice says, read back through every way in.
fn rebuilt(json: &Json) -> serde_json::Value {
    match json.kind() {
        Kind::Array => json.elements().map(|element| rebuilt(&element)).collect(),
        Kind::Object => json
            .entries()
            .map(|(key, value)| (key.into_owned(), rebuilt(&value)))
            .collect(),
        Kind::String => json.as_str().unwrap().into_owned().into(),
        _ => serde_json::from_str(json.text()).unwrap_or_default(),
    }
}

proptest! {
    #[test]
    fn every_value_is_found_again(document in document(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let whole = json(&text);
        prop_assert_eq!(rebuilt(&whole), serde_json::from_str::<serde_json::Value>(&text).unwrap());
        for (key, value) in whole.entries() {
            prop_assert_eq!(whole.field(&key), Some(value));
        }
        for (place, value) in whole.elements().enumerate() {
            prop_assert_eq!(whole.element(place), Some(value));
        }
    }

    #[test]
    fn the_check_agrees_with_serde_json_on_damaged_documents(
        document in document(),
        pretty in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"{}[],:\"\\0123456789.eE+-truefalsn \n\t\x00\x1fu\xc3\xa9".to_vec()), 0..3_u8), 0..4),
    ) {
        let mut text = if pretty { serde_json::to_vec_pretty(&document) } else { serde_json::to_vec(&document) }.unwrap();
        for (place, byte, how) in damage {
            let place = place.index(text.len() + 1);
            match how {
                0 => text.insert(place, byte),
                1 => if let Some(old) = text.get_mut(place) { *old = byte; },
                _ => if place < text.len() { text.remove(place); },
            }
        }
        let accepted = check(&text, DEPTH_MAX).is_ok();
        let theirs = std::str::from_utf8(&text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        prop_assert_eq!(accepted, theirs, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn no_bytes_make_the_check_or_the_slices_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(json) = Json::parse(text.into(), 64) {
            drop(rebuilt(&json));
        }
    }

    #[test]
    fn an_error_stands_inside_the_text(text in "[\\[\\]{},:\"\\\\a0-9.eE+ -]{0,60}") {
        if let Err(error) = check(text.as_bytes(), 16) {
            prop_assert!(error.offset <= text.len());
        }
    }
}
