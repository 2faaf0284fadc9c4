//! Writes the value of a hole as the place where it stands demands, or refuses it.

use super::Expression;
use super::error::{Budget, EvalError};
use super::evaluate::Machine;
use super::names::{Scope, Variable};
use super::template::Place;
use super::value::Value;
use crate::exchange::path::{is_unreserved, push_component, push_encoded};
use crate::json::write_escaped;

/// The longest value of a hole in JSON, in bytes.
const JSON_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How a hole is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    Segment,
    /// The segments of a tail wildcard: its place among the path's parameters.
    Tail(usize),
    /// One query value, or a part of a fragment.
    Component,
    Header,
    JsonText,
    JsonValue,
    Text,
}

/// Appends the value of one hole.
pub(super) fn fill(
    hole: Hole,
    expression: &Expression,
    scope: &dyn Scope,
    budget: &Budget,
    out: &mut String,
) -> Result<(), EvalError> {
    if let Hole::Tail(index) = hole {
        let tail = scope.variable(&Variable::PathTail(index))?;
        return push_tail(&tail.to_text()?, out);
    }
    let value = Machine::new(scope, budget).value(&expression.0.node)?;
    let value = match &value {
        Value::Optional(Some(held)) => held,
        other => other,
    };
    if value.is_null() || matches!(value, Value::Optional(None)) {
        return Err(EvalError::value("the value of a hole is null"));
    }
    if hole == Hole::JsonValue {
        let json = value.to_json(JSON_BYTES_MAX)?;
        out.push_str(std::str::from_utf8(&json).unwrap_or_default());
        return Ok(());
    }
    let text = value.to_text()?;
    budget.make(text.len())?;
    match hole {
        Hole::Segment | Hole::Component => push_component(&text, out),
        Hole::Header => {
            if text.bytes().any(|byte| is_control(byte) && byte != b'\t') {
                return Err(EvalError::value(
                    "the value of a header holds a control character",
                ));
            }
            out.push_str(&text);
        }
        Hole::JsonText => {
            let mut escaped = Vec::with_capacity(text.len());
            write_escaped(&text, &mut escaped);
            out.push_str(std::str::from_utf8(&escaped).unwrap_or_default());
        }
        Hole::Text | Hole::Tail(_) | Hole::JsonValue => out.push_str(&text),
    }
    Ok(())
}

/// Appends the segments of a tail, which are percent-encoded already: what may stand for itself in
/// a path but not in a component is encoded, dot segments and empty ones are refused.
fn push_tail(tail: &str, out: &mut String) -> Result<(), EvalError> {
    let mut segments = tail.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if climbs(segment) || (segment.is_empty() && !last) {
            return Err(EvalError::value(
                "a hole makes a path segment empty, `.` or `..`",
            ));
        }
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let mut digits = bytes.clone().take(2).filter(u8::is_ascii_hexdigit);
                if digits.by_ref().count() != 2 {
                    return Err(EvalError::value("a tail is not percent-encoded"));
                }
                out.push('%');
            } else if is_unreserved(byte) {
                out.push(char::from(byte));
            } else {
                push_encoded(byte, out);
            }
        }
        if !last {
            out.push('/');
        }
    }
    Ok(())
}

/// Whether a server may take the segment for a step up: also with its dots percent-encoded, and
/// with what some servers cut off behind `;`.
fn climbs(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    name.len() <= 6
        && matches!(
            name.to_ascii_lowercase().replace("%2e", ".").as_str(),
            "." | ".."
        )
}

const fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// Watches the path segments that holes are part of while a target is rendered.
pub(super) struct Segments {
    /// Where the segment at hand starts; none behind the path.
    start: Option<usize>,
    /// A hole is part of it.
    holed: bool,
    /// It is the last of a tail, which may be empty at the end of the path.
    tail: bool,
}

impl Segments {
    pub(super) fn new(at: usize, place: Place) -> Self {
        Self {
            start: (place == Place::Target).then_some(at),
            holed: false,
            tail: false,
        }
    }

    /// Before a literal is appended: it may end the segment at hand, and start others.
    pub(super) fn literal(&mut self, text: &str, out: &str) -> Result<(), EvalError> {
        let Some(end) = text.find(['/', '?', '#']) else {
            return Ok(());
        };
        let slash = text.get(end..).is_some_and(|rest| rest.starts_with('/'));
        self.check(out, text.get(..end).unwrap_or_default(), !slash)?;
        self.holed = false;
        self.tail = false;
        if text.contains(['?', '#']) {
            self.start = None;
        } else if let (Some(start), Some(slash)) = (&mut self.start, text.rfind('/')) {
            *start = out.len() + slash + 1;
        }
        Ok(())
    }

    /// After a hole was filled.
    pub(super) fn filled(&mut self, hole: Hole, out: &str) {
        self.holed |= matches!(hole, Hole::Segment | Hole::Tail(_));
        if let (Hole::Tail(_), Some(start)) = (hole, &mut self.start) {
            self.tail = true;
            if let Some(slash) = out.get(*start..).and_then(|part| part.rfind('/')) {
                *start += slash + 1;
            }
        }
    }

    pub(super) fn end(&self, out: &str) -> Result<(), EvalError> {
        self.check(out, "", true)
    }

    /// The segment at hand is what `out` ends with and `rest`.
    fn check(&self, out: &str, rest: &str, last: bool) -> Result<(), EvalError> {
        let (Some(start), true) = (self.start, self.holed) else {
            return Ok(());
        };
        let segment = [out.get(start..).unwrap_or_default(), rest].concat();
        if (segment.is_empty() && !(self.tail && last)) || climbs(&segment) {
            return Err(EvalError::value(
                "a hole makes a path segment empty, `.` or `..`",
            ));
        }
        Ok(())
    }
}
