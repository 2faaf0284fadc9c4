//! What a route takes as the body of a request.

use super::Lowering;
use crate::config::reader::Reader;
use crate::config::source::Place;
use crate::config::units;
use crate::config::written::{Text, Value};
use crate::decode::MediaRange;
use crate::intake::{IntakeSpec, TypeSpec};

impl<'a> Lowering<'a> {
    pub(super) fn intake(&mut self, table: Reader<'a>) -> IntakeSpec {
        IntakeSpec::new(self.content_types(table))
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
