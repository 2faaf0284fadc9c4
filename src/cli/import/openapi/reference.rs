//! `$ref` within a document; nothing outside of it is ever read.

use serde_json::Value;

/// References that lead to references.
const HOPS_MAX: usize = 32;

/// A document whose parts may stand elsewhere in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'a>(pub(super) &'a Value);

impl<'a> Document<'a> {
    /// What `value` is, or where it points to; none where that is outside of the document, or not
    /// there, or goes round in a circle.
    pub(super) fn resolve(self, value: &'a Value) -> Option<&'a Value> {
        let mut value = value;
        for _ in 0..HOPS_MAX {
            match value.get("$ref").and_then(Value::as_str) {
                None => return Some(value),
                Some(pointer) => value = self.at(pointer)?,
            }
        }
        None
    }

    /// What a JSON pointer (RFC 6901) in a fragment names.
    fn at(self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        match crate::exchange::path::decode_component(pointer) {
            Some(decoded) => self.0.pointer(&decoded),
            None => self.0.pointer(pointer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_followed_within_the_document_alone() {
        let document = json!({
            "components": {"a/b": {"x": 1}, "two": {"$ref": "#/components/a~1b"}},
            "circle": {"$ref": "#/circle"}
        });
        let resolve = |pointer: &str| {
            let reference = json!({"$ref": pointer});
            Document(&document).resolve(&reference).cloned()
        };
        let found = json!({"x": 1});
        assert_eq!(resolve("#/components/two"), Some(found.clone()));
        assert_eq!(resolve("#/components/a%2Fb"), None);
        assert_eq!(resolve("#/components/a~1b"), Some(found));
        for none in [
            "#/circle",
            "#/absent",
            "other.json#/a",
            "https://example.com/a",
        ] {
            assert_eq!(resolve(none), None, "{none}");
        }
    }
}
