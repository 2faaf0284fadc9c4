//! The fields of a foreign JSON object, with a memory of which were read: what is left was not
//! understood, and is said so.

use std::cell::RefCell;

use serde_json::{Map, Value};

/// An object that is being read.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    read: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// What is no object has no fields.
    pub(super) fn new(value: Option<&'a Value>) -> Self {
        Self {
            map: value.and_then(Value::as_object),
            read: RefCell::default(),
        }
    }

    /// The value as it is, and counts as read.
    pub(super) fn value(&self, name: &'static str) -> Option<&'a Value> {
        self.read_if(name, |value| Some(value).filter(|value| !value.is_null()))
    }

    pub(super) fn text(&self, name: &'static str) -> Option<&'a str> {
        self.read_if(name, Value::as_str)
    }

    /// A text, or a number or boolean as it is written.
    pub(super) fn word(&self, name: &'static str) -> Option<String> {
        self.read_if(name, word)
    }

    pub(super) fn flag(&self, name: &'static str) -> bool {
        self.read_if(name, Value::as_bool).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &'static str) -> Option<f64> {
        self.read_if(name, Value::as_f64)
    }

    /// The texts of a list; one text alone is a list of it.
    pub(super) fn texts(&self, name: &'static str) -> Vec<String> {
        let texts = self.read_if(name, |value| match value {
            Value::Array(list) => list.iter().map(word).collect(),
            other => word(other).map(|one| vec![one]),
        });
        texts.unwrap_or_default()
    }

    /// The objects of a list.
    pub(super) fn objects(&self, name: &'static str) -> Vec<&'a Value> {
        let objects = self.read_if(name, Value::as_array);
        objects
            .map(|list| list.iter().collect())
            .unwrap_or_default()
    }

    pub(super) fn object(&self, name: &'static str) -> Option<Self> {
        let object = self.read_if(name, |value| value.is_object().then_some(value));
        object.map(|value| Self::new(Some(value)))
    }

    /// Counts them as read: what they say is known and has no counterpart to speak of.
    pub(super) fn skip(&self, names: &[&'static str]) {
        self.read.borrow_mut().extend(names);
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let entries = self.map.into_iter().flatten();
        entries.map(|(name, value)| (name.as_str(), value))
    }

    /// What was not read. Names that begin with a sign are comments, as KrakenD has it.
    pub(super) fn rest(&self) -> Vec<&'a str> {
        let read = self.read.borrow();
        self.all()
            .map(|(name, _)| name)
            .filter(|name| !read.contains(name) && !name.starts_with(['@', '$', '_', '#']))
            .collect()
    }

    fn read_if<T>(
        &self,
        name: &'static str,
        as_wanted: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let found = self.map?.get(name).and_then(as_wanted)?;
        self.read.borrow_mut().push(name);
        Some(found)
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_or_had_another_type_is_left() {
        let value = serde_json::json!({"a": "1", "b": 2, "c": true, "@comment": "x", "d": [1, "2"], "e": null});
        let fields = Fields::new(Some(&value));
        assert_eq!(fields.text("a"), Some("1"));
        assert_eq!(fields.text("b"), None);
        assert_eq!(fields.word("b").as_deref(), Some("2"));
        assert_eq!(fields.texts("d"), ["1", "2"]);
        assert!(!fields.flag("a"));
        assert_eq!(fields.rest(), ["c", "e"]);
    }
}
