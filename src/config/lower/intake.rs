//! What a route takes as the body of a request.

use std::sync::Arc;

use super::Lowering;
use crate::config::files::read_bounded;
use crate::config::masked;
use crate::config::reader::Reader;
use crate::config::source::Place;
use crate::config::units;
use crate::config::written::{Node, Text, Value};
use crate::decode::MediaRange;
use crate::intake::{BodySchema, IntakeSpec, TypeSpec};

/// Bytes of a schema's file at most.
const SCHEMA_BYTES_MAX: u64 = 4 * 1024 * 1024;

impl<'a> Lowering<'a> {
    pub(super) fn intake(&mut self, table: Reader<'a>) -> IntakeSpec {
        let types = self.content_types(table);
        IntakeSpec::new(types, self.schema(table))
    }

    /// The schema of a route's bodies.
    fn schema(&mut self, table: Reader<'a>) -> Option<Arc<BodySchema>> {
        let (node, formats) = match table.given("validate") {
            Some(validate) => (validate.node("schema")?, validate.boolean("formats")),
            None => (table.node("validate")?, true),
        };
        let Value::Table(schema) = &node.value else {
            return self.schema_file(node, formats);
        };
        let secret = schema.entries.iter().any(|entry| is_secret(&entry.node));
        let schema = serde_json::Value::Object(masked::json(&schema.entries));
        let compiled = BodySchema::compile(&schema, formats).map_err(|error| {
            // The message may quote what came from outside.
            if secret {
                "not a JSON Schema".to_owned()
            } else {
                error
            }
        });
        self.compiled(node, compiled)
    }

    /// The schema in a file, compiled once however many routes name it.
    fn schema_file(&mut self, node: &Node, formats: bool) -> Option<Arc<BodySchema>> {
        let shown = node.text()?.shown();
        let key = (self.path(node), formats);
        if let Some(known) = self.schemas.get(&key) {
            return known.clone();
        }
        self.files.push(key.0.clone());
        let compiled = read_bounded(&key.0, SCHEMA_BYTES_MAX)
            .map_err(|error| format!("cannot read {shown}: {error}"))
            .and_then(|bytes| {
                serde_json::from_slice(&bytes)
                    .map_err(|error| format!("{shown}: not JSON: {error}"))
            })
            .and_then(|schema| {
                BodySchema::compile(&schema, formats).map_err(|error| format!("{shown}: {error}"))
            });
        let compiled = self.compiled(node, compiled);
        self.schemas.insert(key, compiled.clone());
        compiled
    }

    fn compiled(
        &mut self,
        node: &Node,
        compiled: Result<BodySchema, String>,
    ) -> Option<Arc<BodySchema>> {
        compiled
            .map_err(|error| self.mistake(node.place, error))
            .ok()
            .map(Arc::new)
    }

    fn content_types(&mut self, table: Reader<'a>) -> Vec<TypeSpec> {
        let mut types: Vec<TypeSpec> = Vec::new();
        let mut add = |range: MediaRange, bytes, place: Place| {
            if types.iter().any(|known| known.range == range) {
                self.mistake(place, format!("`{range}` stands twice"))
                    .help("remove one of them");
            }
            types.push(TypeSpec { range, bytes });
        };
        let Some(node) = table.node("content_types") else {
            return types;
        };
        let Value::Table(sizes) = &node.value else {
            for node in node.one_or_many() {
                let text = node.text().map(Text::as_str).unwrap_or_default();
                if let Some(range) = MediaRange::parse(text) {
                    add(range, None, node.place);
                }
            }
            return types;
        };
        let mut wrong = Vec::new();
        for entry in &sizes.entries {
            let size = entry
                .node
                .text()
                .and_then(|text| units::size(text.as_str()));
            match MediaRange::parse(&entry.key) {
                Some(range) => add(range, size, entry.key_place),
                None => wrong.push(entry),
            }
        }
        for entry in wrong {
            self.mistake(
                entry.key_place,
                format!("`{}` is not a media type", entry.key),
            )
            .help(crate::config::scalars::MEDIA_RANGE_HELP);
        }
        if sizes.entries.is_empty() {
            self.mistake(node.place, "the table is empty")
                .help("leave the key out, or name a type");
        }
        types
    }
}

/// Whether something in it came from outside the file.
fn is_secret(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => text.is_secret(),
        Value::List(list) => list.iter().any(is_secret),
        Value::Table(table) => table.entries.iter().any(|entry| is_secret(&entry.node)),
        _ => false,
    }
}
