//! Compiles expressions and templates, and finds the place of their mistakes in the file.

use std::ops::Range;
use std::sync::Arc;

use super::Lowering;
use crate::config::source::{Place, offset_in_token};
use crate::config::written::{Filled, Node, Reading, Text};
use crate::expression::{self, Expression, Names, Template};

impl Lowering<'_> {
    /// The expression that a text is.
    pub(super) fn expression(&mut self, node: &Node, names: &Names<'_>) -> Option<Arc<Expression>> {
        let text = node.text()?;
        self.must_be_harmless(node, text)?;
        let filled = text.fill(Reading::Plain);
        match Expression::compile(&filled.text, names) {
            Ok(expression) => Some(Arc::new(expression)),
            Err(mistakes) => {
                self.misread(node, &filled, 0, mistakes);
                None
            }
        }
    }

    /// An expression that must be true or false.
    pub(super) fn condition(&mut self, node: &Node, names: &Names<'_>) -> Option<Arc<Expression>> {
        let expression = self.expression(node, names)?;
        if let Some(value) = expression.constant()
            && !matches!(value, expression::Value::Bool(_))
        {
            self.mistake(node.place, "this is never true or false")
                .help("compare it with something: `request.method == 'GET'`");
            return None;
        }
        Some(expression)
    }

    /// The template that a text is, or its part from byte `from` of the text on.
    pub(super) fn template(
        &mut self,
        node: &Node,
        from: usize,
        place: expression::Place,
        names: &Names<'_>,
    ) -> Option<Template> {
        let filled = node.text()?.fill(Reading::Template);
        let part = filled.text.get(from..).unwrap_or_default();
        match Template::compile(part, place, names) {
            Ok(template) => Some(template),
            Err(mistakes) => {
                self.misread(node, &filled, from, mistakes);
                None
            }
        }
    }

    /// What comes from outside may stand in an expression only if it cannot end a string there.
    fn must_be_harmless(&mut self, node: &Node, text: &Text) -> Option<()> {
        let harmful = |value: &str| {
            value
                .chars()
                .any(|c| matches!(c, '\'' | '"' | '\\' | '`') || c.is_control())
        };
        if text.foreign().any(|piece| harmful(&piece.value)) {
            self.mistake(
                node.place,
                "a value with quotes or backslashes cannot stand in an expression",
            )
            .help("what `${...}` brings into an expression may hold no quotes, backslashes or control characters");
            return None;
        }
        Some(())
    }

    fn misread(
        &mut self,
        node: &Node,
        filled: &Filled<'_>,
        from: usize,
        mistakes: Vec<expression::Mistake>,
    ) {
        for mistake in mistakes {
            let at = mistake.at.start + from..mistake.at.end + from;
            let place = self.inside(node, filled, at);
            let help = mistake.help;
            self.mistake(place, mistake.message).maybe_help(help);
        }
    }

    /// The place in the file of bytes of a text.
    pub(super) fn inside(&self, node: &Node, filled: &Filled<'_>, at: Range<usize>) -> Place {
        let Some(source) = self.sources.get(node.place.file as usize) else {
            return node.place;
        };
        let token = source.text.get(node.place.span()).unwrap_or_default();
        let written = filled.written(at);
        let start = offset_in_token(token, written.start);
        let end = offset_in_token(token, written.end).max(start + usize::from(written.is_empty()));
        let first = node.place.start as usize;
        Place::new(node.place.file, first + start..first + end)
    }
}
