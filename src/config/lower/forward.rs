//! Headers that the response of a flow takes from its parts.

use super::Lowering;
use crate::config::reader::Reader;
use crate::config::written::Node;
use crate::orchestrate::{FieldConflict, ForwardSpec};

/// What describes the answer of a part, and would be wrong of a response made of several.
const OF_ONE_ANSWER: [&str; 13] = [
    "accept-ranges",
    "age",
    "concertina-parts",
    "content-digest",
    "content-encoding",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "digest",
    "repr-digest",
    "x-request-id",
];

impl<'a> Lowering<'a> {
    pub(super) fn forward_to_client(
        &mut self,
        table: Reader<'a>,
        steps: &[String],
    ) -> Vec<ForwardSpec> {
        let mut rules: Vec<ForwardSpec> = Vec::new();
        for node in table.list("forward") {
            let rule = match table.one_of("forward", node) {
                Some(long) => self.forward_rule(long, steps),
                None => self.forwardable(node).map(|name| ForwardSpec {
                    on_conflict: usual(&name),
                    name,
                    from: Vec::new(),
                }),
            };
            let Some(rule) = rule else { continue };
            if rules.iter().any(|known| known.name == rule.name) {
                self.mistake(node.place, format!("`{}` is named twice", rule.name))
                    .help("name it once");
            } else {
                rules.push(rule);
            }
        }
        rules
    }

    fn forward_rule(&mut self, long: Reader<'a>, steps: &[String]) -> Option<ForwardSpec> {
        let from = self.steps_named(long, "from", steps);
        let name = self.forwardable(long.node("header")?)?;
        let settled = match name.as_str() {
            "set-cookie" => Some("`set-cookie` is always appended"),
            "cache-control" => Some("of `cache-control` the strictest is made"),
            _ => None,
        };
        if let Some(settled) = settled
            && let Some(entry) = long.entry("on_conflict")
            && long.word("on_conflict") != "append"
        {
            self.mistake(entry.key_place, settled)
                .help("remove `on_conflict`");
        }
        let on_conflict = match long.word("on_conflict") {
            "last" => FieldConflict::Last,
            "append" => FieldConflict::Append,
            "error" => FieldConflict::Error,
            _ => usual(&name),
        };
        Some(ForwardSpec {
            name,
            from,
            on_conflict,
        })
    }

    fn forwardable(&mut self, node: &Node) -> Option<String> {
        let name = self.settable(node)?;
        if OF_ONE_ANSWER.contains(&name.as_str()) {
            let message = format!("`{name}` describes the answer of one part, not the response");
            self.mistake(node.place, message).help("remove it");
            return None;
        }
        Some(name)
    }
}

/// What holds where the file does not say.
fn usual(name: &str) -> FieldConflict {
    if name == "set-cookie" {
        FieldConflict::Append
    } else {
        FieldConflict::First
    }
}
