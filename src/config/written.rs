//! What was written: the values of the file, each with its place, before anything is made of them.

use std::borrow::Cow;
use std::ops::Range;

use super::source::Place;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

/// A value of TOML.
#[derive(Clone, Debug)]
pub enum Value {
    Text(Text),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
    /// It could not be read, which is told already.
    Broken,
}

/// A table, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its header, its key or its braces.
    pub place: Place,
    pub entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub key_place: Place,
    pub node: Node,
}

/// A string, after `${...}` was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    value: String,
    /// What stood there before, if anything was replaced.
    template: Option<Box<Replaced>>,
}

/// A string as written, and what stands in it for what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Replaced {
    written: String,
    pieces: Vec<Piece>,
}

/// One `${...}` of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the string as written.
    pub at: Range<usize>,
    pub value: String,
    /// It came from outside the file.
    pub foreign: bool,
}

/// What a string is read as, which decides what may be put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The text itself.
    Plain,
    /// Braces are holes: those that come from outside are doubled.
    Template,
}

/// A string made ready, with the way back to what was written.
#[derive(Debug)]
pub struct Filled<'a> {
    pub text: Cow<'a, str>,
    /// Replaced ranges of `text`, and of the string as written.
    ranges: Vec<(Range<usize>, Range<usize>)>,
}

impl Value {
    /// What it is, with its article.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "a boolean",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Broken => "what cannot be read",
        }
    }
}

impl Node {
    pub const fn text(&self) -> Option<&Text> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub const fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// An integer, or a replaced text that is one.
    pub fn integer(&self) -> Option<i64> {
        match &self.value {
            Value::Integer(integer) => Some(*integer),
            Value::Text(text) if text.is_replaced() => text.as_str().parse().ok(),
            _ => None,
        }
    }

    /// A boolean, or a replaced text that is one.
    pub fn boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Boolean(boolean) => Some(*boolean),
            Value::Text(text) if text.is_replaced() => text.as_str().parse().ok(),
            _ => None,
        }
    }

    /// The members of a list; a single value is a list of one.
    pub fn one_or_many(&self) -> &[Self] {
        match &self.value {
            Value::List(list) => list,
            _ => std::slice::from_ref(self),
        }
    }
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Text {
    pub const fn plain(value: String) -> Self {
        Self {
            value,
            template: None,
        }
    }

    /// `written` with its pieces replaced. The pieces are in order and do not overlap.
    pub fn replaced(written: String, pieces: Vec<Piece>) -> Self {
        if pieces.is_empty() {
            return Self::plain(written);
        }
        let mut text = Self {
            value: String::new(),
            template: Some(Box::new(Replaced { written, pieces })),
        };
        text.value = text.fill(Reading::Plain).text.into_owned();
        text
    }

    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Something in it was replaced.
    pub const fn is_replaced(&self) -> bool {
        self.template.is_some()
    }

    /// Something in it came from outside the file, so it is not to be shown.
    pub fn is_secret(&self) -> bool {
        self.foreign().next().is_some()
    }

    /// What came from outside the file.
    pub fn foreign(&self) -> impl Iterator<Item = &Piece> {
        self.template
            .iter()
            .flat_map(|replaced| &replaced.pieces)
            .filter(|piece| piece.foreign)
    }

    /// What may be shown: the value, or what was written where it is secret.
    pub fn shown(&self) -> &str {
        match &self.template {
            Some(replaced) if self.is_secret() => &replaced.written,
            _ => &self.value,
        }
    }

    /// The text made ready to be read.
    pub fn fill(&self, reading: Reading) -> Filled<'_> {
        let Some(replaced) = &self.template else {
            return Filled {
                text: Cow::Borrowed(&self.value),
                ranges: Vec::new(),
            };
        };
        let mut text = String::new();
        let mut ranges = Vec::new();
        let mut from = 0;
        for piece in &replaced.pieces {
            text.push_str(
                replaced
                    .written
                    .get(from..piece.at.start)
                    .unwrap_or_default(),
            );
            let start = text.len();
            if reading == Reading::Template && piece.foreign {
                text.push_str(&piece.value.replace('{', "{{").replace('}', "}}"));
            } else {
                text.push_str(&piece.value);
            }
            ranges.push((start..text.len(), piece.at.clone()));
            from = piece.at.end;
        }
        text.push_str(replaced.written.get(from..).unwrap_or_default());
        Filled {
            text: Cow::Owned(text),
            ranges,
        }
    }
}

impl Filled<'_> {
    /// Where bytes of the filled text stand in the text as written.
    pub fn written(&self, span: Range<usize>) -> Range<usize> {
        let start = self.locate(span.start, false);
        start..self.locate(span.end, true).max(start)
    }

    fn locate(&self, offset: usize, is_end: bool) -> usize {
        let (mut filled_end, mut written_end) = (0, 0);
        for (filled, written) in &self.ranges {
            let before = if is_end {
                offset <= filled.start
            } else {
                offset < filled.start
            };
            if before {
                break;
            }
            if offset < filled.end || (is_end && offset == filled.end) {
                return if is_end { written.end } else { written.start };
            }
            (filled_end, written_end) = (filled.end, written.end);
        }
        written_end + offset.saturating_sub(filled_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Text {
        let piece = |at, value: &str, foreign| Piece {
            at,
            value: value.into(),
            foreign,
        };
        Text::replaced(
            "a ${X} b $${ c".into(),
            vec![piece(2..6, "{x}yz", true), piece(9..12, "${", false)],
        )
    }

    #[test]
    fn what_is_replaced_is_a_secret_unless_it_is_an_escape() {
        assert_eq!(text().as_str(), "a {x}yz b ${ c");
        assert!(text().is_secret());
        assert_eq!(text().shown(), "a ${X} b $${ c");
        assert!(!Text::plain("a".into()).is_secret());
    }

    #[test]
    fn braces_from_outside_make_no_holes() {
        let text = text();
        assert_eq!(text.fill(Reading::Template).text, "a {{x}}yz b ${ c");
    }

    #[test]
    fn a_place_in_the_filled_text_leads_back() {
        let text = text();
        let filled = text.fill(Reading::Plain);
        let at = |part: &str| {
            let start = filled.text.find(part).unwrap();
            filled.written(start..start + part.len())
        };
        assert_eq!(at("a"), 0..1);
        assert_eq!(at("x}"), 2..6);
        assert_eq!(at("b"), 7..8);
        assert_eq!(at(" c"), 12..14);
        assert_eq!(at("yz b"), 2..8);
    }
}
