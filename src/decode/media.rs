//! Media types as messages name them, and ranges of them as the file does (RFC 9110, 8.3 and 12.5.1).

use std::fmt;

use super::parameters::{self, Ambiguous, Quoting};
use crate::exchange::line::is_token;

/// Parameters of one type at most.
pub(super) const PARAMETERS_MAX: usize = 16;

/// A media type of a message. Its parameters are read when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    kind: &'a str,
    subtype: &'a str,
    parameters: &'a str,
}

impl<'a> MediaType<'a> {
    /// Takes a `Content-Type` field apart; none where it does not start with a type.
    pub fn parse(field: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\t']);
        let (essence, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
        let (kind, subtype) = essence.trim_end_matches([' ', '\t']).split_once('/')?;
        let fine = is_token(kind.as_bytes()) && is_token(subtype.as_bytes());
        fine.then_some(Self {
            kind,
            subtype,
            parameters,
        })
    }

    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// `application/json`, `text/json` and whatever ends in `+json` (RFC 6839, 3.1).
    pub fn is_json(&self) -> bool {
        self.is("application", "json")
            || self.is("text", "json")
            || has_suffix(self.subtype, "json")
    }

    /// The value of a parameter; an error where the parameters are malformed or it stands twice.
    pub fn parameter(&self, name: &str) -> Result<Option<String>, Ambiguous> {
        let found =
            parameters::parse(self.parameters, Quoting::Strict, PARAMETERS_MAX).ok_or(Ambiguous)?;
        parameters::only(&found, name).map(|value| value.map(str::to_owned))
    }
}

/// Whether a subtype ends in `+suffix`.
fn has_suffix(subtype: &str, suffix: &str) -> bool {
    subtype
        .rsplit_once('+')
        .is_some_and(|(_, end)| end.eq_ignore_ascii_case(suffix))
}

/// Media types: one, all of a kind, all with a suffix, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    /// Lower case; none: any.
    kind: Option<String>,
    subtype: Subtypes,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subtypes {
    Any,
    /// `*+json`
    Suffix(String),
    One(String),
}

impl MediaRange {
    /// `application/json`, `image/*`, `application/*+json` or `*/*`; none of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        if !is_token(kind.as_bytes()) || !is_token(subtype.as_bytes()) {
            return None;
        }
        let subtype = match (subtype, subtype.strip_prefix("*+")) {
            ("*", _) => Subtypes::Any,
            (_, Some(suffix)) if !suffix.contains(['*', '+']) && !suffix.is_empty() => {
                Subtypes::Suffix(suffix.to_ascii_lowercase())
            }
            (one, None) if !one.contains('*') => Subtypes::One(one.to_ascii_lowercase()),
            _ => return None,
        };
        let kind = match kind {
            "*" if subtype == Subtypes::Any => None,
            "*" => return None,
            kind if kind.contains('*') => return None,
            kind => Some(kind.to_ascii_lowercase()),
        };
        Some(Self { kind, subtype })
    }

    pub fn contains(&self, media: &MediaType<'_>) -> bool {
        let kind = self.kind.as_ref();
        kind.is_none_or(|kind| kind.eq_ignore_ascii_case(media.kind))
            && match &self.subtype {
                Subtypes::Any => true,
                Subtypes::Suffix(suffix) => has_suffix(media.subtype, suffix),
                Subtypes::One(one) => one.eq_ignore_ascii_case(media.subtype),
            }
    }

    /// Greater for a range that says more.
    pub fn precision(&self) -> impl Ord + use<> {
        let subtype = match self.subtype {
            Subtypes::Any => 0,
            Subtypes::Suffix(_) => 1,
            Subtypes::One(_) => 2,
        };
        (self.kind.is_some(), subtype)
    }
}

impl fmt::Display for MediaRange {
    /// As the file has it, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind.as_deref().unwrap_or("*"))?;
        match &self.subtype {
            Subtypes::Any => f.write_str("*"),
            Subtypes::Suffix(suffix) => write!(f, "*+{suffix}"),
            Subtypes::One(one) => f.write_str(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, media: &str, expected: bool) {
        let range = MediaRange::parse(range).unwrap();
        let media = MediaType::parse(media.as_bytes()).unwrap();
        assert_eq!(range.contains(&media), expected, "{range} {media:?}");
    }

    #[test]
    fn a_range_holds_what_it_says() {
        check("application/json", "APPLICATION/JSON ; charset=x", true);
        check("application/json", "application/problem+json", false);
        check("application/*+json", "application/a+b+json", true);
        check("application/*+json", "application/json", false);
        check("image/*", "image/png", true);
        check("image/*", "text/png", false);
        check("*/*", "a/b", true);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "", "json", "*/json", "a/b*", "a/*b", "a/b;c=d", "a /b", "a/", "a/*+", "*", "*/*+x",
        ] {
            assert_eq!(MediaRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_more_a_range_says_the_greater_is_its_precision() {
        let ranges = ["*/*", "a/*", "a/*+json", "a/b"];
        let ranges = ranges.map(|text| MediaRange::parse(text).unwrap().precision());
        assert!(ranges.is_sorted_by(|one, next| one < next));
    }

    proptest::proptest! {
        #[test]
        fn any_field_is_a_type_or_none(field in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            let _parameter = MediaType::parse(&field).map(|media| media.parameter("boundary"));
        }

        #[test]
        fn a_range_is_shown_as_it_is_read(text in "[a-c*]{1,3}/[a-c*+]{1,6}") {
            if let Some(range) = MediaRange::parse(&text) {
                proptest::prop_assert_eq!(range.to_string(), text);
            }
        }
    }
}
