//! Makes one body of the parts by splicing their bytes: numbers, escapes and the order of keys
//! stay as they came, and the parts stand in the order of the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::outcome::MergeError;
use super::spec::{Merge, OnConflict};
use super::splice::Splice;
use crate::exchange::Body;
use crate::json::{Json, Kind, write_string};

/// What a step contributes.
pub struct Part {
    /// The step's name.
    pub name: Arc<str>,
    pub json: Json,
}

/// The parts as one body of at most `limit` bytes.
pub fn merge(
    how: Merge,
    on_conflict: OnConflict,
    parts: &[Part],
    limit: usize,
) -> Result<Body, MergeError> {
    let pieces: usize = parts
        .iter()
        .map(|part| Splice::copied(part.json.bytes()) + part.name.len() + 4)
        .sum();
    let mut splice = Splice::new(limit, pieces + 2);
    match how {
        Merge::Nest => nest(parts, &mut splice)?,
        Merge::Flatten => objects(parts, on_conflict, false, &mut splice)?,
        Merge::Deep => objects(parts, on_conflict, true, &mut splice)?,
        Merge::Concat => arrays(parts, &mut splice)?,
        // The run was decided by the one part that counts.
        Merge::First => match parts {
            [] => splice.text(b"null")?,
            [winner, ..] => splice.bytes(winner.json.bytes())?,
        },
    }
    Ok(splice.finish())
}

/// Each part under its step's name.
fn nest(parts: &[Part], splice: &mut Splice) -> Result<(), MergeError> {
    let mut key = Vec::new();
    let mut before = b'{';
    for part in parts {
        key.clear();
        key.push(before);
        write_string(&part.name, &mut key);
        key.push(b':');
        splice.text(&key)?;
        splice.bytes(part.json.bytes())?;
        before = b',';
    }
    splice.text(if parts.is_empty() { b"{}" } else { b"}" })
}

/// Objects side by side; null contributes nothing.
fn objects(
    parts: &[Part],
    on_conflict: OnConflict,
    deep: bool,
    splice: &mut Splice,
) -> Result<(), MergeError> {
    let mut sources = Vec::with_capacity(parts.len());
    for part in parts {
        match part.json.kind() {
            Kind::Null => {}
            Kind::Object => sources.push(Source {
                part: &part.name,
                json: part.json.clone(),
            }),
            Kind::Bool | Kind::Number | Kind::String | Kind::Array => {
                return Err(MergeError::NoObject {
                    part: Arc::clone(&part.name),
                });
            }
        }
    }
    Objects { on_conflict, deep }.write(&sources, splice)
}

/// A value, and the part that it comes from.
struct Source<'a> {
    part: &'a Arc<str>,
    json: Json,
}

/// How objects are put side by side.
#[derive(Clone, Copy)]
struct Objects {
    on_conflict: OnConflict,
    deep: bool,
}

/// A key of the merged object.
struct Member<'a> {
    /// The key as its first part wrote it.
    key: Json,
    /// What stands under it: one value, or several objects that are merged.
    values: Vec<Source<'a>>,
}

impl Objects {
    /// Writes the objects as one. Recursion ends with the depth of a part, which is capped.
    fn write(self, sources: &[Source<'_>], splice: &mut Splice) -> Result<(), MergeError> {
        splice.text(b"{")?;
        let mut before: &[u8] = b"";
        if share_a_key(sources) {
            for member in self.members(sources)? {
                splice.text(before)?;
                splice.bytes(member.key.bytes())?;
                splice.text(b":")?;
                match member.values.as_slice() {
                    [alone] => splice.bytes(alone.json.bytes())?,
                    several => self.write(several, splice)?,
                }
                before = b",";
            }
        } else {
            // What stands between the braces is moved whole.
            for inside in sources.iter().filter_map(|source| inside(&source.json)) {
                splice.text(before)?;
                splice.bytes(&inside)?;
                before = b",";
            }
        }
        splice.text(b"}")
    }

    /// The keys of all objects in the order in which they first stand, each with its value.
    fn members<'a>(self, sources: &[Source<'a>]) -> Result<Vec<Member<'a>>, MergeError> {
        let mut members: Vec<Member<'a>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for source in sources {
            for (key, json) in source.json.members() {
                let value = Source {
                    part: source.part,
                    json,
                };
                let name = key.as_str().unwrap_or_default().into_owned();
                let standing = places.get(&name).and_then(|&place| members.get_mut(place));
                if let Some(member) = standing {
                    self.meet(&mut member.values, value, &name)?;
                    continue;
                }
                places.insert(name, members.len());
                members.push(Member {
                    key,
                    values: vec![value],
                });
            }
        }
        Ok(members)
    }

    /// Lets `value` meet what already stands under its key.
    fn meet<'a>(
        self,
        values: &mut Vec<Source<'a>>,
        value: Source<'a>,
        key: &str,
    ) -> Result<(), MergeError> {
        let Some(last) = values.last_mut() else {
            return Ok(());
        };
        if last.part == value.part {
            // Of a key that one part has twice, the last counts, as it does for readers.
            *last = value;
        } else if self.deep && last.json.kind() == Kind::Object && value.json.kind() == Kind::Object
        {
            values.push(value);
        } else {
            match self.on_conflict {
                OnConflict::First => {}
                OnConflict::Last => *values = vec![value],
                OnConflict::Error => {
                    return Err(MergeError::Conflict {
                        key: key.to_owned(),
                        first: Arc::clone(last.part),
                        second: Arc::clone(value.part),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Whether two of the objects have a key in common. A key that one object has twice is that
/// object's own matter.
fn share_a_key(sources: &[Source<'_>]) -> bool {
    if sources.len() < 2 {
        return false;
    }
    let mut owners: HashMap<Cow<'_, str>, usize> = HashMap::new();
    sources.iter().enumerate().any(|(place, source)| {
        source
            .json
            .entries()
            .any(|(key, _)| *owners.entry(key).or_insert(place) != place)
    })
}

/// Arrays one behind the other; null contributes nothing.
fn arrays(parts: &[Part], splice: &mut Splice) -> Result<(), MergeError> {
    splice.text(b"[")?;
    let mut before: &[u8] = b"";
    for part in parts {
        match part.json.kind() {
            Kind::Null => {}
            Kind::Array => {
                if let Some(inside) = inside(&part.json) {
                    splice.text(before)?;
                    splice.bytes(&inside)?;
                    before = b",";
                }
            }
            Kind::Bool | Kind::Number | Kind::String | Kind::Object => {
                return Err(MergeError::NoArray {
                    part: Arc::clone(&part.name),
                });
            }
        }
    }
    splice.text(b"]")
}

/// What stands between the braces of an object, or the brackets of an array; none where nothing
/// does, as in null.
fn inside(json: &Json) -> Option<Bytes> {
    if !matches!(json.kind(), Kind::Object | Kind::Array) {
        return None;
    }
    let bytes = json.bytes();
    let text = bytes.get(1..bytes.len().checked_sub(1)?)?.trim_ascii();
    (!text.is_empty()).then(|| bytes.slice_ref(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    const LIMIT: usize = 1 << 20;

    /// Any JSON of a few levels; few keys, so that objects have some in common.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z\"\\\\\u{e9}\n]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                any_object_of(inner),
            ]
        })
    }

    fn any_object_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        prop::collection::vec(("[ab\"\u{e9}]{0,2}", inner), 0..4)
            .prop_map(|entries| Value::Object(entries.into_iter().collect()))
    }

    fn any_object() -> impl Strategy<Value = Value> {
        any_object_of(any_json())
    }

    /// The value as a part; `loose` writes it with spaces.
    fn part(place: usize, value: &Value, loose: bool) -> Part {
        let text = if loose {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        Part {
            name: format!("p{place}").into(),
            json: Json::try_from(text.unwrap().as_str()).unwrap(),
        }
    }

    fn parts(values: &[(Value, bool)]) -> Vec<Part> {
        values
            .iter()
            .enumerate()
            .map(|(place, (value, loose))| part(place, value, *loose))
            .collect()
    }

    fn merged(
        how: Merge,
        on_conflict: OnConflict,
        values: &[(Value, bool)],
    ) -> Result<Value, MergeError> {
        let body = merge(how, on_conflict, &parts(values), LIMIT)?;
        let Body::Full(text) = body else {
            panic!("small bodies are one piece");
        };
        Ok(serde_json::from_slice(&text).unwrap())
    }

    fn text(value: &Value) -> String {
        serde_json::to_string(value).unwrap()
    }

    proptest! {
        #[test]
        fn nesting_bytes_is_nesting_trees(
            values in prop::collection::vec((any_json(), any::<bool>()), 0..5),
        ) {
            let tree: Map<String, Value> = values
                .iter()
                .enumerate()
                .map(|(place, (value, _))| (format!("p{place}"), value.clone()))
                .collect();
            let spliced = merged(Merge::Nest, OnConflict::Error, &values).unwrap();
            prop_assert_eq!(text(&spliced), text(&Value::Object(tree)));
        }

        #[test]
        fn flattening_bytes_is_flattening_trees(
            values in prop::collection::vec((any_object(), any::<bool>()), 0..5),
        ) {
            let mut first = Map::new();
            let mut last = Map::new();
            let mut is_contested = false;
            for (value, _) in &values {
                for (key, value) in value.as_object().unwrap() {
                    is_contested |= first.contains_key(key);
                    first.entry(key.clone()).or_insert(value.clone());
                    last.insert(key.clone(), value.clone());
                }
            }
            let spliced = merged(Merge::Flatten, OnConflict::First, &values).unwrap();
            prop_assert_eq!(text(&spliced), text(&Value::Object(first)));
            let spliced = merged(Merge::Flatten, OnConflict::Last, &values).unwrap();
            prop_assert_eq!(text(&spliced), text(&Value::Object(last)));
            let refused = merged(Merge::Flatten, OnConflict::Error, &values).is_err();
            prop_assert_eq!(refused, is_contested);
        }
    }

    /// Puts `value` into `tree`; whether something of one kind met something of another.
    fn put_deep(tree: &mut Map<String, Value>, value: &Map<String, Value>, last: bool) -> bool {
        let mut is_contested = false;
        for (key, value) in value {
            match (tree.get_mut(key), value) {
                (None, _) => {
                    tree.insert(key.clone(), value.clone());
                }
                (Some(Value::Object(tree)), Value::Object(value)) => {
                    is_contested |= put_deep(tree, value, last);
                }
                (Some(standing), value) => {
                    is_contested = true;
                    if last {
                        *standing = value.clone();
                    }
                }
            }
        }
        is_contested
    }

    proptest! {
        #[test]
        fn merging_bytes_deeply_is_merging_trees_deeply(
            values in prop::collection::vec((any_object(), any::<bool>()), 0..5),
        ) {
            for (on_conflict, last) in [(OnConflict::First, false), (OnConflict::Last, true)] {
                let mut tree = Map::new();
                let mut is_contested = false;
                for (value, _) in &values {
                    is_contested |= put_deep(&mut tree, value.as_object().unwrap(), last);
                }
                let spliced = merged(Merge::Deep, on_conflict, &values).unwrap();
                prop_assert_eq!(text(&spliced), text(&Value::Object(tree)));
                let refused = merged(Merge::Deep, OnConflict::Error, &values).is_err();
                prop_assert_eq!(refused, is_contested);
            }
        }

        #[test]
        fn joining_bytes_is_joining_lists(
            lists in prop::collection::vec(
                (prop::collection::vec(any_json(), 0..4), any::<bool>()),
                0..5,
            ),
        ) {
            let joined: Vec<Value> = lists.iter().flat_map(|(list, _)| list.clone()).collect();
            let values: Vec<(Value, bool)> = lists
                .into_iter()
                .map(|(list, loose)| (Value::from(list), loose))
                .collect();
            let spliced = merged(Merge::Concat, OnConflict::Error, &values).unwrap();
            prop_assert_eq!(text(&spliced), text(&Value::from(joined)));
        }
    }

    #[test]
    fn a_merged_body_has_a_bound() {
        let parts = parts(&[(Value::from("12345"), false)]);
        let merged = merge(Merge::Nest, OnConflict::Error, &parts, 10);
        assert_eq!(merged.unwrap_err(), MergeError::TooLarge { limit: 10 });
    }
}
