//! What a route takes as the body of a request: which types, and how much of each.
//!
//! It knows no statuses: `error.rs` chooses them.

use std::cmp::Reverse;

use crate::decode::{Content, MediaRange};

/// What a route says of bodies. Everything is taken where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct IntakeSpec {
    types: Vec<TypeSpec>,
}

/// Types that are taken, and how much of them.
#[derive(Clone, Debug)]
pub struct TypeSpec {
    pub range: MediaRange,
    /// Bytes at most; as many as of any other where none.
    pub bytes: Option<u64>,
}

/// A body that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its type is none of those that are.
    #[error("the type of the body is none of {accept}")]
    Type { accept: String },
}

impl IntakeSpec {
    /// No types: any.
    pub fn new(mut types: Vec<TypeSpec>) -> Self {
        // What says more goes first.
        types.sort_by_key(|it| Reverse(it.range.precision()));
        Self { types }
    }

    /// Bytes that such content may have, where the file says so for its type.
    pub fn body_bytes(&self, content: Content<'_>) -> Option<u64> {
        if self.types.is_empty() {
            return None;
        }
        self.of(content).and_then(|it| it.bytes)
    }

    /// Whether such content is taken at all. Without a type, it is what nobody has said anything
    /// about: only a route that takes everything takes it.
    pub fn admit(&self, content: Content<'_>) -> Result<(), Refused> {
        if self.types.is_empty() || self.of(content).is_some() {
            return Ok(());
        }
        let accept: Vec<_> = self.types.iter().map(|it| it.range.to_string()).collect();
        Err(Refused::Type {
            accept: accept.join(", "),
        })
    }

    fn of(&self, content: Content<'_>) -> Option<&TypeSpec> {
        let media = content.media_type().ok().flatten()?;
        self.types.iter().find(|it| it.range.contains(&media))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Headers;

    fn intake(types: &[(&str, Option<u64>)]) -> IntakeSpec {
        let types = types.iter().map(|&(range, bytes)| TypeSpec {
            range: MediaRange::parse(range).unwrap(),
            bytes,
        });
        IntakeSpec::new(types.collect())
    }

    fn typed(kind: &str) -> Headers {
        let mut headers = Headers::new();
        headers.append("content-type", kind.as_bytes());
        headers
    }

    #[test]
    fn without_types_everything_is_taken() {
        let open = intake(&[]);
        assert_eq!(open.admit(Content::of(&Headers::new())), Ok(()));
        assert_eq!(open.admit(Content::of(&typed("nonsense"))), Ok(()));
        assert_eq!(open.body_bytes(Content::of(&typed("a/b"))), None);
    }

    #[test]
    fn what_is_not_among_the_types_is_refused_and_told_which_are() {
        let some = intake(&[("text/*", None), ("application/json", None)]);
        assert_eq!(
            some.admit(Content::of(&typed("Application/JSON;a=b"))),
            Ok(())
        );
        let refused = Err(Refused::Type {
            accept: "application/json, text/*".to_owned(),
        });
        for kind in ["application/xml", "nonsense", "", "text/plain, a/b"] {
            assert_eq!(some.admit(Content::of(&typed(kind))), refused, "{kind}");
        }
        assert_eq!(some.admit(Content::of(&Headers::new())), refused);
        let mut twice = typed("text/plain");
        twice.append("content-type", b"text/plain");
        assert_eq!(some.admit(Content::of(&twice)), refused);
    }

    #[test]
    fn the_most_precise_type_says_how_much() {
        let some = intake(&[
            ("*/*", Some(1)),
            ("a/b", Some(3)),
            ("a/*", Some(2)),
            ("c/d", None),
        ]);
        let bytes = |kind| some.body_bytes(Content::of(&typed(kind)));
        assert_eq!(bytes("a/b"), Some(3));
        assert_eq!(bytes("a/c"), Some(2));
        assert_eq!(bytes("x/y"), Some(1));
        assert_eq!(bytes("c/d"), None);
    }
}
