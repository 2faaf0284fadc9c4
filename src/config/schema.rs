//! The JSON Schema of the file (draft 2020-12), made from the catalogue.

use serde_json::{Map, Value, json};

use super::keys::{self, Choice, Default, Key, Section, Shape, sections};

/// The schema, indented, for editors that complete and check the file.
pub fn schema() -> String {
    schema_of(&keys::ROOT, "Concertina: routes.toml")
}

/// The same for the files of `concertina test`.
pub fn cases_schema() -> String {
    schema_of(&keys::CASES, "Concertina: *.test.toml")
}

fn schema_of(file: &'static Section, title: &str) -> String {
    let mut root = section(file);
    let mut definitions = Map::new();
    for inner in sections(file) {
        if !std::ptr::eq(inner, file) {
            definitions.insert(name_of(inner), section(inner));
        }
    }
    if let Some(object) = root.as_object_mut() {
        let mut whole = Map::new();
        whole.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        whole.insert("title".to_owned(), json!(title));
        whole.append(object);
        whole.insert("$defs".to_owned(), Value::Object(definitions));
        root = Value::Object(whole);
    }
    serde_json::to_string_pretty(&root).unwrap_or_default()
}

/// A section's name among the definitions.
fn name_of(section: &Section) -> String {
    let mut name = String::new();
    for c in section.title.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.trim_end_matches('-').to_owned()
}

fn section(section: &Section) -> Value {
    let properties: Map<String, Value> = section
        .keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let required: Vec<_> = section
        .keys
        .iter()
        .filter(|key| key.default == Default::Needed)
        .map(|key| key.name)
        .collect();
    let mut schema = Map::new();
    let mut put = |key: &str, value: Value| schema.insert(key.to_owned(), value);
    put("type", json!("object"));
    put("description", json!(section.about));
    put("properties", Value::Object(properties));
    put("additionalProperties", json!(false));
    if !required.is_empty() {
        put("required", json!(required));
    }
    let all: Vec<Value> = section.choices.iter().map(choice).collect();
    if !all.is_empty() {
        put("allOf", json!(all));
    }
    let dependent: Map<String, Value> = section
        .keys
        .iter()
        .filter(|key| !key.with.is_empty())
        .map(|key| {
            (
                key.name.to_owned(),
                json!({ "anyOf": each_required(key.with) }),
            )
        })
        .collect();
    if !dependent.is_empty() {
        put("dependentSchemas", Value::Object(dependent));
    }
    Value::Object(schema)
}

fn each_required(names: &[&str]) -> Vec<Value> {
    names
        .iter()
        .map(|name| json!({ "required": [name] }))
        .collect()
}

fn choice(choice: &Choice) -> Value {
    let mut one_of = each_required(choice.keys);
    if !choice.needed {
        one_of.push(json!({ "not": { "anyOf": each_required(choice.keys) } }));
    }
    json!({ "oneOf": one_of })
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.shape);
    let default = match key.default {
        Default::Needed | Default::Words(_) => None,
        Default::Text(text) => Some(json!(text)),
        Default::Integer(integer) => Some(json!(integer)),
        Default::Boolean(boolean) => Some(json!(boolean)),
        Default::List(list) => Some(json!(list)),
    };
    let mut about = key.about.to_owned();
    if let Default::Words(words) = key.default {
        about = format!("{about} Default: {words}.");
    }
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), json!(about));
        if let Some(default) = default {
            object.insert("default".to_owned(), default);
        }
        object.insert("examples".to_owned(), json!([key.example]));
    }
    schema
}

/// What a replaced text can stand for as well.
const REPLACED: &str = "^.*\\$\\{[^}]+\\}.*$";

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("{pattern}|\\$\\{{") })
}

fn integer(least: i64, most: i64) -> Value {
    json!({ "anyOf": [
        { "type": "integer", "minimum": least, "maximum": most },
        { "type": "string", "pattern": REPLACED },
    ] })
}

fn shape(of: &Shape) -> Value {
    match of {
        Shape::Text | Shape::File | Shape::Name(_) => json!({ "type": "string", "minLength": 1 }),
        Shape::AnyText | Shape::Expression | Shape::Template | Shape::Host | Shape::Wait => {
            json!({ "type": "string" })
        }
        Shape::Duration(..) => text("^[0-9]+(ms|s|m|h|d)$"),
        Shape::DurationRange => text("^[0-9]+(ms|s|m|h|d)\\.\\.[0-9]+(ms|s|m|h|d)$"),
        Shape::Size(..) => text("^[0-9]+(B|KiB|MiB|GiB|TiB)$"),
        Shape::Rate => text("^[0-9]+/(s|min|h|d)$"),
        Shape::Integer(least, most) => integer(*least, *most),
        Shape::Status(first, last) => integer(i64::from(*first), i64::from(*last)),
        Shape::Boolean => json!({ "anyOf": [
            { "type": "boolean" },
            { "type": "string", "pattern": REPLACED },
        ] }),
        Shape::Call => text("^[A-Z]+ +[^:]+:/.*$"),
        Shape::Address => text("^.+:[0-9]+$"),
        Shape::Endpoint | Shape::Url => text("^https?://.+$"),
        Shape::Network => text("^[0-9a-fA-F:.]+(/[0-9]+)?$"),
        Shape::Statuses => text("^([1-5]xx|[1-5][0-9][0-9])$"),
        Shape::Method => text("^[A-Z!#$%&'*+.^_`|~0-9-]+$"),
        Shape::Header => text("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"),
        Shape::MediaRange => text("^[^/; ]+/[^/; ]+$"),
        Shape::PathPattern | Shape::UrlPath => text("^/.*$"),
        Shape::Sha256 => text("^[0-9a-fA-F]{64}$"),
        Shape::Argon2 => text("^\\$argon2"),
        Shape::OneOf(words) => json!({ "anyOf": [
            { "enum": words },
            { "type": "string", "pattern": REPLACED },
        ] }),
        Shape::List(of, least) => json!({
            "type": "array",
            "items": shape(of),
            "minItems": least,
        }),
        Shape::OneOrMany(of) => json!({ "anyOf": [
            shape(of),
            { "type": "array", "items": shape(of), "minItems": 1 },
        ] }),
        Shape::Table(section) => reference(section),
        Shape::Named(_, section) => json!({
            "type": "object",
            "additionalProperties": reference(section),
        }),
        Shape::Tables(section) => json!({ "type": "array", "items": reference(section) }),
        Shape::Headers(of) | Shape::Pairs(of) => json!({
            "type": "object",
            "additionalProperties": shape(of),
        }),
        Shape::Json => json!({ "type": "object" }),
        Shape::JsonValue => json!({}),
        Shape::Either(short, long) => json!({ "anyOf": [shape(short), shape(long)] }),
    }
}

fn reference(section: &Section) -> Value {
    json!({ "$ref": format!("#/$defs/{}", name_of(section)) })
}
