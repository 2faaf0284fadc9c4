//! The effective file as JSON, secrets left out.

use std::fmt;

use serde_json::{Map, Value as Json};

use super::keys::{self, Section, Shape};
use super::written::{Entry, Node, Table, Value};

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Fields of requests that are credentials, wherever their values come from.
const CREDENTIALS: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];

/// The file as it was written with its includes, to be shown when somebody asks for it.
#[derive(Clone, Default)]
pub struct Effective(Table);

impl Effective {
    pub const fn new(root: Table) -> Self {
        Self(root)
    }

    /// As written: with its secrets.
    pub(super) const fn root(&self) -> &Table {
        &self.0
    }

    /// The file as JSON, its secrets masked.
    pub fn masked(&self) -> Json {
        table(&self.0, &keys::ROOT)
    }
}

impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.masked(), f)
    }
}

/// A table of the file, its secrets masked: what came from outside, and what is secret by its key.
fn table(table: &Table, section: &'static Section) -> Json {
    let members = table.entries.iter().map(|entry| {
        let value = match section.key(&entry.key) {
            Some(key) if key.secret => Json::from(MASK),
            Some(key) => shaped(&entry.node, &key.shape),
            None => value(&entry.node),
        };
        (entry.key.clone(), value)
    });
    Json::Object(members.collect())
}

fn shaped(node: &Node, shape: &'static Shape) -> Json {
    let Some(section) = shape.section() else {
        return value(node);
    };
    match (shape, &node.value) {
        (Shape::Named(..), Value::Table(inner)) => {
            let members = inner.entries.iter().map(|entry| {
                let value = match &entry.node.value {
                    Value::Table(one) => table(one, section),
                    _ => value(&entry.node),
                };
                (entry.key.clone(), value)
            });
            Json::Object(members.collect())
        }
        (_, Value::Table(inner)) => table(inner, section),
        (_, Value::List(list)) => list.iter().map(|node| shaped(node, shape)).collect(),
        _ => value(node),
    }
}

/// Whether the field of this name is a credential.
pub fn is_credential(name: &str) -> bool {
    CREDENTIALS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// What stands under a name that the file's author chose, such as that of a header.
fn field(entry: &Entry) -> Json {
    if is_credential(&entry.key) {
        Json::from(MASK)
    } else {
        value(&entry.node)
    }
}

fn value(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) if text.is_secret() => Json::from(MASK),
        Value::Text(text) => Json::from(text.as_str()),
        Value::Integer(integer) => Json::from(*integer),
        Value::Float(float) => Json::from(*float),
        Value::Boolean(boolean) => Json::from(*boolean),
        Value::Broken => Json::Null,
        Value::Date(date) => Json::from(date.as_str()),
        Value::List(list) => list.iter().map(value).collect(),
        Value::Table(table) => {
            let members = table.entries.iter();
            Json::Object(
                members
                    .map(|entry| (entry.key.clone(), field(entry)))
                    .collect(),
            )
        }
    }
}

/// A table of the file as JSON, with what it says.
pub fn json(entries: &[Entry]) -> Map<String, Json> {
    entries
        .iter()
        .map(|entry| (entry.key.clone(), plain(&entry.node)))
        .collect()
}

/// A value of the file as JSON, with what it says.
pub fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::List(list) => list.iter().map(plain).collect(),
        Value::Table(table) => Json::Object(json(&table.entries)),
        _ => value(node),
    }
}
