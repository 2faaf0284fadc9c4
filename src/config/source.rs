//! The texts that were read, and the way from a byte in one of them to a line and a column.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Where something stands: bytes of one of the files that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which file, in the order of reading.
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

impl Place {
    pub fn new(file: u32, span: Range<usize>) -> Self {
        Self {
            file,
            start: u32::try_from(span.start).unwrap_or(u32::MAX),
            end: u32::try_from(span.end).unwrap_or(u32::MAX),
        }
    }

    pub fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One file and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// As it is named to people: the path given, or the include's.
    pub name: PathBuf,
    /// The folder that paths in it are relative to.
    pub base: PathBuf,
    pub text: Arc<str>,
}

impl Source {
    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..self.boundary(at)).unwrap_or_default();
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |found| found + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// `span` cut down to what the text has, at borders of characters.
    pub fn clamp(&self, span: Range<usize>) -> Range<usize> {
        let start = self.boundary(span.start);
        start..self.boundary(span.end).max(start)
    }

    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Where byte `offset` of a string's value stands in its token, quotes included.
///
/// `token` is the string as the file has it. An offset behind the value is the place of the closing
/// quote.
pub fn offset_in_token(token: &str, offset: usize) -> usize {
    let (opening, escapes) = opening(token);
    let closing = if opening.len() >= 3 { 3 } else { 1 };
    let inner_end = token.len().saturating_sub(closing).max(opening.len());
    let inner = token.get(opening.len()..inner_end).unwrap_or_default();
    let mut at = 0;
    let mut decoded = 0;
    while decoded < offset && at < inner.len() {
        let rest = inner.get(at..).unwrap_or_default();
        let (taken, made) = piece(rest, escapes);
        if decoded + made > offset {
            break;
        }
        at += taken;
        decoded += made;
    }
    // An escaped line end makes nothing; what follows it is meant.
    if escapes {
        while let (taken @ 1.., 0) = piece(inner.get(at..).unwrap_or_default(), true) {
            at += taken;
        }
    }
    opening.len() + at
}

/// What opens the string, with the line end that a multi-line string drops; whether it has escapes.
fn opening(token: &str) -> (&str, bool) {
    let quotes = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quotes| token.starts_with(quotes))
        .unwrap_or_default();
    let mut length = quotes.len();
    if length == 3 {
        let rest = token.get(3..).unwrap_or_default();
        length += if rest.starts_with("\r\n") {
            2
        } else {
            usize::from(rest.starts_with('\n'))
        };
    }
    (
        token.get(..length).unwrap_or_default(),
        quotes.starts_with('"'),
    )
}

/// The bytes of the next written character and of what it stands for.
fn piece(rest: &str, escapes: bool) -> (usize, usize) {
    let Some(first) = rest.chars().next() else {
        return (0, 0);
    };
    if first != '\\' || !escapes {
        return (first.len_utf8(), first.len_utf8());
    }
    let Some(second) = rest.get(1..).and_then(|rest| rest.chars().next()) else {
        return (1, 1);
    };
    let digits = match second {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        ' ' | '\t' | '\r' | '\n' => {
            let blank = rest.get(1..).unwrap_or_default();
            return (1 + blank.len() - blank.trim_start().len(), 0);
        }
        _ => return (1 + second.len_utf8(), 1),
    };
    let code = rest
        .get(2..2 + digits)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .and_then(char::from_u32);
    ((2 + digits).min(rest.len()), code.map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters() {
        let source = Source {
            name: "x".into(),
            base: PathBuf::new(),
            text: "ab\nä = 1\n".into(),
        };
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (2, 1));
        assert_eq!(source.position(6), (2, 3));
        assert_eq!(source.position(4), (2, 1), "inside a character");
        assert_eq!(source.position(99), (3, 1));
    }

    #[test]
    fn an_offset_in_a_value_is_found_in_its_token() {
        for (token, offset, expected) in [
            (r#""abc""#, 0, 1),
            (r#""abc""#, 2, 3),
            (r#""abc""#, 3, 4),
            (r#""abc""#, 9, 4),
            ("'a\\c'", 2, 3),
            (r#""a\"c""#, 2, 4),
            (r#""\u00e4x""#, 2, 7),
            (r#""\u00e4x""#, 1, 1),
            (r#""\x41x""#, 1, 5),
            ("\"\"\"\nab\"\"\"", 1, 5),
            ("\"\"\"a\\\n   b\"\"\"", 1, 9),
            ("'''\r\nab'''", 0, 5),
            ("\"", 0, 1),
        ] {
            assert_eq!(offset_in_token(token, offset), expected, "{token} {offset}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_token_has_a_place_for_any_offset(token in ".*", offset in 0_usize..200) {
            let at = offset_in_token(&token, offset);
            proptest::prop_assert!(at <= token.len());
        }

        #[test]
        fn a_plain_character_is_found_where_it_stands(text in "[a-z\\\\\"]{0,20}") {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            let token = format!("\"{escaped}\"");
            for (offset, wanted) in text.char_indices() {
                let at = offset_in_token(&token, offset);
                let found = token.get(at..).unwrap().chars().next().unwrap();
                proptest::prop_assert!(found == wanted || found == '\\');
            }
        }
    }
}
