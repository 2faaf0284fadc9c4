//! A body as the tree that a schema is held against.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Violation;
use crate::json::Json;

/// The tree of a body in which no object has a key twice: of two, whoever reads the body next
/// may take the one that was not checked.
pub struct Instance(pub Value);

const TWICE: &str = "has a key twice in one object";

impl Instance {
    pub fn read(body: &Json) -> Result<Self, Violation> {
        serde_json::from_slice(body.bytes()).map_err(|error| {
            // The text is JSON already, so nothing else can be wrong.
            let error = error.to_string();
            let what = if error.starts_with(TWICE) {
                TWICE
            } else if error.starts_with("number") {
                "has a number that is too great"
            } else if error.starts_with("recursion") {
                "is nested too deeply"
            } else {
                "has a text with half a surrogate pair"
            };
            Violation::new("", what)
        })
    }
}

impl<'de> Deserialize<'de> for Instance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree).map(Self)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Instance(element)) = seq.next_element()? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Instance(value))) = entries.next_entry::<String, Instance>()? {
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_twice_and_a_number_too_great_are_refused() {
        let read = |text: &str| Instance::read(&Json::try_from(text).unwrap()).map(|it| it.0);
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert_eq!(read(text).unwrap_err().detail, TWICE, "{text}");
        }
        assert!(read("[1e999]").unwrap_err().detail.contains("number"));
        for text in [r#"["\ud800"]"#, r#"{"\udc00":1}"#, r#"["\ud800\u0061"]"#] {
            assert!(
                read(text).unwrap_err().detail.contains("surrogate"),
                "{text}"
            );
        }
        assert!(read(r#"[{"a":1},{"a":1}]"#).is_ok());
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert_eq!(read(&deep).unwrap_err().detail, "is nested too deeply");
        assert!(read(deep.get(1..255).unwrap()).is_ok());
    }

    proptest! {
        #[test]
        fn a_tree_says_what_the_text_says(names in proptest::collection::hash_set(".{0,5}", 0..5), number in any::<f64>()) {
            let object: Map<String, Value> = names.into_iter().map(|name| (name, number.into())).collect();
            let text = Value::Array(vec![Value::Object(object), Value::Null, "\u{1}".into(), true.into()]).to_string();
            let read = Instance::read(&Json::try_from(text.as_str()).unwrap()).unwrap();
            prop_assert_eq!(read.0, serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}
