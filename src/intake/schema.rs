//! Checks a body against a JSON Schema, and says what does not fit without repeating the body.

use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::Violation;
use super::instance::Instance;
use crate::json::Json;

/// Violations told at most.
const VIOLATIONS_MAX: usize = 20;

/// Bytes of a body whose violations are all looked for. Of a larger one only the first is told:
/// the library keeps them all before it gives one.
const EVERY_VIOLATION_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a compiled pattern at most.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Characters of a name that are repeated.
const NAME_CHARS_MAX: usize = 64;

/// Names of unknown properties told at most.
const NAMES_MAX: usize = 5;

/// A schema, compiled. It has fetched nothing, and its patterns take linear time.
pub struct BodySchema(Validator);

impl fmt::Debug for BodySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodySchema")
    }
}

impl BodySchema {
    /// Compiles a schema, of draft 2020-12 where it does not say. With `formats`, `format` is
    /// checked, not only noted. The error says where in the schema what is wrong.
    pub fn compile(schema: &Value, formats: bool) -> Result<Self, String> {
        jsonschema::options()
            .offline()
            .should_validate_formats(formats)
            .with_pattern_options(
                PatternOptions::regex()
                    .size_limit(PATTERN_BYTES_MAX)
                    .dfa_size_limit(PATTERN_BYTES_MAX),
            )
            .build(schema)
            .map(Self)
            .map_err(|error| mistake(&error))
    }

    /// Whether the body fits; else what does not, at least one and so many at most.
    pub fn check(&self, body: &Json) -> Result<(), Vec<Violation>> {
        let Instance(instance) = Instance::read(body).map_err(|violation| vec![violation])?;
        if self.0.is_valid(&instance) {
            return Ok(());
        }
        let mut violations: Vec<_> = if body.bytes().len() <= EVERY_VIOLATION_BYTES_MAX {
            let errors = self.0.iter_errors(&instance).take(VIOLATIONS_MAX);
            errors.map(|error| violation(&error)).collect()
        } else {
            let first = self.0.validate(&instance).err();
            first.iter().map(violation).collect()
        };
        if violations.is_empty() {
            // Not met: both ask the same rules.
            violations.push(Violation::new("", "does not fit"));
        }
        Err(violations)
    }
}

/// What is wrong with a schema.
fn mistake(error: &ValidationError<'_>) -> String {
    if let ValidationErrorKind::Referencing(_) = error.kind() {
        return format!("a schema stands in one document, and nothing else is read: {error}");
    }
    let place = error.instance_path().as_str();
    if matches!(error.kind(), ValidationErrorKind::Format { format } if format == "regex") {
        return format!(
            "not a JSON Schema: at `{place}`, no pattern, or none that takes linear time: such have \
             no look-around and no back references"
        );
    }
    match place {
        "" => format!("not a JSON Schema: {error}"),
        place => format!("not a JSON Schema: at `{place}`, {error}"),
    }
}

fn violation(error: &ValidationError<'_>) -> Violation {
    Violation::new(error.instance_path().as_str(), told(error.kind()))
}

/// What a client is told. Names and bounds of the schema are its contract; the values it allows
/// and its patterns may be more than that.
fn told(kind: &ValidationErrorKind) -> String {
    use ValidationErrorKind as Kind;
    match kind {
        Kind::AdditionalItems { limit } => format!("has more than {limit} items"),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            format!("has unknown properties: {}", names(unexpected))
        }
        Kind::UnevaluatedItems { .. } => "has items that are not allowed".to_owned(),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
            "fits none of the alternatives".to_owned()
        }
        Kind::OneOfMultipleValid { .. } => "fits several of the alternatives".to_owned(),
        Kind::Constant { .. } => "is not the value wanted".to_owned(),
        Kind::Enum { .. } => "is none of the values wanted".to_owned(),
        Kind::Contains => "lacks an item that is wanted".to_owned(),
        Kind::ContentEncoding { .. } | Kind::FromUtf8 { .. } => "is not coded as wanted".to_owned(),
        Kind::ContentMediaType { .. } => "is not of the type wanted".to_owned(),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be greater than {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::Format { format } => format!("is not of the format `{format}`"),
        Kind::MaxItems { limit } => format!("has more than {limit} items"),
        Kind::MinItems { limit } => format!("has less than {limit} items"),
        Kind::MaxLength { limit } => format!("has more than {limit} characters"),
        Kind::MinLength { limit } => format!("has less than {limit} characters"),
        Kind::MaxProperties { limit } => format!("has more than {limit} properties"),
        Kind::MinProperties { limit } => format!("has less than {limit} properties"),
        Kind::Pattern { .. } => "does not match the pattern".to_owned(),
        Kind::PropertyNames { error } => {
            format!("has a property whose name {}", told(error.kind()))
        }
        Kind::Required { property } => {
            format!("lacks `{}`", short(property.as_str().unwrap_or_default()))
        }
        Kind::Type { kind } => match kind {
            TypeKind::Single(kind) => format!("is not of type {kind}"),
            TypeKind::Multiple(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.to_string()).collect();
                format!("is of none of the types {}", kinds.join(", "))
            }
        },
        Kind::UniqueItems => "has equal items".to_owned(),
        Kind::FalseSchema
        | Kind::Not { .. }
        | Kind::BacktrackLimitExceeded { .. }
        | Kind::RegexEngineFailure { .. }
        | Kind::Custom { .. }
        | Kind::Referencing(_) => "is not allowed".to_owned(),
    }
}

fn names(unexpected: &[String]) -> String {
    let shown = unexpected.iter().take(NAMES_MAX);
    let mut text = shown
        .map(|name| format!("`{}`", short(name)))
        .collect::<Vec<_>>()
        .join(", ");
    if unexpected.len() > NAMES_MAX {
        text.push_str(" and more");
    }
    text
}

fn short(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((cut, _)) => format!("{}...", name.get(..cut).unwrap_or_default()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    fn schema(schema: Value) -> BodySchema {
        BodySchema::compile(&schema, true).unwrap()
    }

    fn body(text: &str) -> Json {
        Json::try_from(text).unwrap()
    }

    #[track_caller]
    fn check(of: Value, text: &str, expected: &[(&str, &str)]) {
        let found = schema(of).check(&body(text)).err().unwrap_or_default();
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.pointer.as_str(), it.detail.as_str()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let order = json!({
            "type": "object",
            "required": ["sku"],
            "properties": {
                "sku": { "type": "string", "pattern": "^[a-z]+$", "maxLength": 3 },
                "lines": { "items": { "$ref": "#/$defs/line" } },
                "when": { "format": "date-time" },
                "state": { "enum": ["a", "b"] },
                "a/b c": { "const": "secret" },
            },
            "additionalProperties": false,
            "$defs": { "line": { "minimum": 1 } },
        });
        check(order.clone(), r#"{"sku":"tea"}"#, &[]);
        check(order.clone(), "[]", &[("#", "is not of type object")]);
        check(order.clone(), "{}", &[("#", "lacks `sku`")]);
        check(
            order.clone(),
            r#"{"sku":"TEA!","lines":[1,0],"when":"now","state":"c","a/b c":"x","y":1}"#,
            &[
                ("#/sku", "has more than 3 characters"),
                ("#/sku", "does not match the pattern"),
                ("#/lines/1", "must be at least 1"),
                ("#/when", "is not of the format `date-time`"),
                ("#/state", "is none of the values wanted"),
                ("#/a~1b%20c", "is not the value wanted"),
                ("#", "has unknown properties: `y`"),
            ],
        );
    }

    #[test]
    fn nothing_of_the_body_is_repeated_but_names() {
        let name = "n".repeat(100);
        let of = json!({ "additionalProperties": { "type": "integer" } });
        let text = json!({ name: "PASSWORD" }).to_string();
        let found = schema(of).check(&body(&text)).unwrap_err();
        assert_eq!(found.len(), 1);
        assert!(!format!("{found:?}").contains("PASSWORD"));
        check(
            json!({ "properties": { "x": {} }, "additionalProperties": false }),
            &json!({ "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": "g".repeat(100) }).to_string(),
            &[(
                "#",
                "has unknown properties: `a`, `b`, `c`, `d`, `e` and more",
            )],
        );
    }

    #[test]
    fn so_many_violations_are_told() {
        let of = json!({ "items": { "type": "string" } });
        let small = format!("[{}1]", "1,".repeat(100));
        let found = schema(of.clone()).check(&body(&small)).unwrap_err();
        assert_eq!(found.len(), VIOLATIONS_MAX);
        let large = format!("[{}1]", "1,".repeat(EVERY_VIOLATION_BYTES_MAX));
        let found = schema(of).check(&body(&large)).unwrap_err();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_key_that_stands_twice_does_not_fit() {
        let of = json!({ "properties": { "role": { "const": "user" } } });
        let twice = r#"{"a":{"role":"admin","role":"user"}}"#;
        check(of, twice, &[("#", "has a key twice in one object")]);
    }

    #[test]
    fn a_schema_with_a_mistake_is_refused_with_its_place() {
        let refused = |of: Value| BodySchema::compile(&of, true).unwrap_err();
        let error = refused(json!({ "properties": { "a": { "type": "sting" } } }));
        assert!(error.contains("/properties/a/type"), "{error}");
        // Would take more than linear time.
        let error = refused(json!({ "pattern": "^(?=a)b" }));
        assert!(error.contains("linear time"), "{error}");
        refused(json!({ "pattern": "(a" }));
        refused(json!({ "pattern": "((a{100}){100}){100}" }));
        refused(json!(3));
    }

    #[test]
    fn nothing_is_fetched_for_a_schema() {
        for reference in [
            "http://127.0.0.1:1/schema",
            "https://example.com/x.json",
            "file:///etc/passwd",
            "other.json",
            "#/nowhere",
        ] {
            let error = BodySchema::compile(&json!({ "$ref": reference }), true).unwrap_err();
            assert!(error.contains("one document"), "{reference}: {error}");
        }
        let own = json!({ "$schema": "https://example.com/meta" });
        assert!(BodySchema::compile(&own, true).is_err());
    }

    #[test]
    fn formats_may_be_left_to_others() {
        let of = json!({ "format": "email" });
        assert!(schema(of.clone()).check(&body("\"x\"")).is_err());
        let noted = BodySchema::compile(&of, false).unwrap();
        assert_eq!(noted.check(&body("\"x\"")), Ok(()));
    }

    #[test]
    fn the_deepest_body_is_checked_without_exhausting_the_stack() {
        let of = json!({ "anyOf": [{ "type": "integer" }, { "type": "array", "items": { "$ref": "#" } }] });
        let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
        assert_eq!(schema(of.clone()).check(&body(&deep)), Ok(()));
        let wrong = deep.replace('1', "\"\"");
        assert!(schema(of).check(&body(&wrong)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_body_fits_or_does_not(text in "[\\[\\]{}:,\"0-9a.e-]{0,40}") {
            let of = json!({
                "type": "object",
                "properties": { "a": { "type": "integer", "multipleOf": 0.01 } },
                "patternProperties": { "^[0-9]": { "uniqueItems": true } },
                "unevaluatedProperties": false,
            });
            if let Ok(json) = Json::parse(Bytes::from(text), 128) {
                let found = schema(of).check(&json);
                proptest::prop_assert!(found.is_err() || json.kind() == crate::json::Kind::Object);
            }
        }
    }
}
