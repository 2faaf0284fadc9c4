//! A value that a schema describes, for answers of which the document shows none.

use serde_json::{Map, Value, json};

use super::reference::Document;

/// Schemas within schemas that are followed; deeper, and round in a circle, is null.
const DEPTH_MAX: usize = 8;

/// Values of one example at most.
const VALUES_MAX: usize = 2000;

/// Items that a list has where the schema wants some.
const ITEMS_MAX: u64 = 3;

/// Characters that a text is made longer to.
const TEXT_MAX: u64 = 64;

/// An example of what the schema describes: the one that it shows, or one made of its types.
pub(super) fn of_schema(document: Document<'_>, schema: &Value) -> Value {
    let mut maker = Maker {
        document,
        values: 0,
        depth: 0,
    };
    maker.make(schema)
}

struct Maker<'a> {
    document: Document<'a>,
    values: usize,
    depth: usize,
}

impl Maker<'_> {
    fn make(&mut self, schema: &Value) -> Value {
        self.values += 1;
        if self.depth >= DEPTH_MAX || self.values > VALUES_MAX {
            return Value::Null;
        }
        self.depth += 1;
        let document = self.document;
        let made = document
            .resolve(schema)
            .map_or(Value::Null, |schema| self.of(schema));
        self.depth -= 1;
        made
    }

    fn of(&mut self, schema: &Value) -> Value {
        if let Some(shown) = shown(schema) {
            return shown.clone();
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.all(schema, parts);
        }
        for any in ["oneOf", "anyOf"] {
            let first = schema
                .get(any)
                .and_then(Value::as_array)
                .and_then(|list| list.first());
            if let Some(first) = first {
                return self.make(first);
            }
        }
        match kind(schema) {
            "object" => Value::Object(self.object(schema)),
            "array" => self.array(schema),
            "string" => Value::String(string(schema)),
            "integer" | "number" => number(schema),
            "boolean" => Value::Bool(true),
            _ => Value::Null,
        }
    }

    /// The objects of all parts as one; where the parts are no objects, the first.
    fn all(&mut self, schema: &Value, parts: &[Value]) -> Value {
        let mut together = Map::new();
        let mut first = None;
        for part in parts {
            match self.make(part) {
                Value::Object(fields) => together.extend(fields),
                other => first = first.or(Some(other)),
            }
        }
        together.extend(self.object(schema));
        match first {
            Some(first) if together.is_empty() => first,
            _ => Value::Object(together),
        }
    }

    fn object(&mut self, schema: &Value) -> Map<String, Value> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut fields = Map::new();
        for (name, property) in properties.into_iter().flatten() {
            let sent_only = property.get("writeOnly") == Some(&Value::Bool(true));
            if !sent_only && self.values < VALUES_MAX {
                let value = self.make(property);
                fields.insert(name.clone(), value);
            }
        }
        fields
    }

    fn array(&mut self, schema: &Value) -> Value {
        let Some(items) = schema.get("items") else {
            return json!([]);
        };
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1);
        let item = self.make(items);
        // What cannot be made, for it holds itself, is not put in.
        if item.is_null() {
            return json!([]);
        }
        let count = usize::try_from(least.clamp(1, ITEMS_MAX)).unwrap_or(1);
        Value::Array(vec![item; count])
    }
}

/// A value that the schema itself shows, or allows alone.
fn shown(schema: &Value) -> Option<&Value> {
    let first = |name: &str| {
        schema
            .get(name)
            .and_then(Value::as_array)
            .and_then(|list| list.first())
    };
    schema
        .get("example")
        .or_else(|| first("examples"))
        .or_else(|| schema.get("const"))
        .or_else(|| schema.get("default"))
        .or_else(|| first("enum"))
}

/// The type, of several the first that is not null (3.1); where none is said, what its keys mean.
fn kind(schema: &Value) -> &str {
    let said = match schema.get("type") {
        Some(Value::String(one)) => Some(one.as_str()),
        Some(Value::Array(many)) => many
            .iter()
            .filter_map(Value::as_str)
            .find(|it| *it != "null"),
        _ => None,
    };
    said.unwrap_or_else(|| {
        let has = |name: &str| schema.get(name).is_some();
        match () {
            () if has("properties") => "object",
            () if has("items") => "array",
            () if has("format") || has("pattern") || has("minLength") => "string",
            () => "null",
        }
    })
}

fn string(schema: &Value) -> String {
    let text = match schema
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "date-time" => "2026-01-31T10:00:00Z",
        "date" => "2026-01-31",
        "time" => "10:00:00Z",
        "duration" => "PT1H",
        "email" => "ann@example.com",
        "hostname" => "www.example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "url" => "https://example.com/",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "byte" => "dGV4dA==",
        _ => "text",
    };
    let least = schema
        .get("minLength")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let most = schema
        .get("maxLength")
        .and_then(Value::as_u64)
        .unwrap_or(u64::MAX);
    let length = u64::try_from(text.len()).unwrap_or_default();
    let wanted = length.max(least.min(TEXT_MAX)).min(most);
    text.chars()
        .cycle()
        .take(usize::try_from(wanted).unwrap_or_default())
        .collect()
}

fn number(schema: &Value) -> Value {
    let bound = |name: &str| schema.get(name).filter(|it| it.is_number());
    if let Some(least) = bound("minimum") {
        return least.clone();
    }
    // 3.1 has the bound itself, 3.0 says true or false.
    if let Some(least) = bound("exclusiveMinimum").and_then(Value::as_i64) {
        return json!(least.saturating_add(1));
    }
    match bound("maximum") {
        Some(most) if most.as_f64().is_some_and(|most| most < 1.0) => most.clone(),
        _ => json!(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &Value, expected: &Value) {
        let document = json!({"components": {"schemas": {
            "Node": {"type": "object", "properties": {
                "id": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}}
            }},
            "Id": {"type": "string", "format": "uuid"}
        }}});
        assert_eq!(
            of_schema(Document(&document), schema),
            *expected,
            "{schema}"
        );
    }

    #[test]
    fn each_type_has_a_value() {
        check(&json!({"type": "string"}), &json!("text"));
        check(&json!({"type": "string", "minLength": 6}), &json!("textte"));
        check(
            &json!({"type": "string", "format": "date"}),
            &json!("2026-01-31"),
        );
        check(&json!({"type": "string", "enum": ["a", "b"]}), &json!("a"));
        check(&json!({"type": ["null", "boolean"]}), &json!(true));
        check(&json!({"type": "integer", "minimum": 5}), &json!(5));
        check(&json!({"type": "number", "exclusiveMinimum": 5}), &json!(6));
        check(
            &json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}),
            &json!([1, 1]),
        );
        check(
            &json!({"example": {"a": 1}, "type": "string"}),
            &json!({"a": 1}),
        );
        check(
            &json!({"properties": {"a": {"type": "string", "writeOnly": true}, "b": {"const": 3}}}),
            &json!({"b": 3}),
        );
        check(
            &json!({"allOf": [{"properties": {"a": {"example": 1}}}, {"properties": {"b": {"example": 2}}}]}),
            &json!({"a": 1, "b": 2}),
        );
        check(
            &json!({"oneOf": [{"$ref": "#/components/schemas/Id"}]}),
            &json!("00000000-0000-4000-8000-000000000000"),
        );
        check(&json!({"$ref": "other.json"}), &Value::Null);
        check(&json!(true), &Value::Null);
    }

    #[test]
    fn a_schema_within_itself_ends() {
        let document = json!({"Node": {"properties": {"next": {"$ref": "#/Node"}, "all": {"type": "array", "items": {"$ref": "#/Node"}}}}});
        let made = of_schema(Document(&document), &json!({"$ref": "#/Node"}));
        assert!(made.to_string().len() < 100_000, "{made}");
        assert!(made["next"]["next"].is_object(), "{made}");
    }
}
