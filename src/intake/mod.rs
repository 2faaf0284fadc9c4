//! What a route takes as the body of a request: which types, how much of each, and which schema it
//! must fit.
//!
//! It knows no statuses: `error.rs` chooses them.

#[cfg(feature = "body-schema")]
mod instance;
#[cfg(feature = "body-schema")]
mod schema;
#[cfg(not(feature = "body-schema"))]
#[path = "no_schema.rs"]
mod schema;

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use crate::decode::{Content, MediaRange, Reading, Unreadable};
use crate::exchange::BodyError;
use crate::exchange::path::push_encoded;

pub use schema::BodySchema;

/// Bytes of a body that is held against a schema, where the file does not say: it is held in
/// memory, and as a tree takes many times its bytes.
pub const CHECKED_BYTES: u64 = 1024 * 1024;

/// Bytes of a pointer at most.
const POINTER_BYTES_MAX: usize = 256;

/// What a route says of bodies. Everything is taken where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct IntakeSpec {
    types: Vec<TypeSpec>,
    schema: Option<Arc<BodySchema>>,
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
    /// It did not arrive whole.
    #[error("the body failed: {0}")]
    Body(BodyError),
    /// It cannot be read, so nobody knows whether it fits.
    #[error(transparent)]
    Unreadable(Unreadable),
    /// It does not fit its schema.
    #[error("the body does not fit its schema in {} places or more", .0.len())]
    Invalid(Vec<Violation>),
}

impl Refused {
    /// The cause in one word, for metrics, logs and `on_error`.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Type { .. } => "content-type",
            Self::Body(BodyError::TooLarge { .. }) => "too-large",
            Self::Body(_) => "request-body",
            Self::Unreadable(unreadable) => unreadable.cause(),
            Self::Invalid(_) => "invalid-body",
        }
    }
}

/// One place of a body that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where it is: `#/lines/0/sku`, a JSON pointer as the fragment of a URI (RFC 6901, 6); `#`
    /// for the whole.
    pub pointer: String,
    /// What is wrong. Nothing of the body but names of properties.
    pub detail: String,
}

impl Violation {
    /// Of a place given as a plain JSON pointer. One that is too long is cut to a place around it.
    pub fn new(place: &str, detail: impl Into<String>) -> Self {
        let mut pointer = String::from("#");
        for segment in place.split('/').skip(1) {
            let before = pointer.len();
            pointer.push('/');
            for byte in segment.bytes() {
                // RFC 3986, 3.5, in its plainest form.
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    pointer.push(char::from(byte));
                } else {
                    push_encoded(byte, &mut pointer);
                }
            }
            if pointer.len() > POINTER_BYTES_MAX {
                pointer.truncate(before);
                break;
            }
        }
        Self {
            pointer,
            detail: detail.into(),
        }
    }
}

impl IntakeSpec {
    /// No types: any.
    pub fn new(mut types: Vec<TypeSpec>, schema: Option<Arc<BodySchema>>) -> Self {
        // What says more goes first.
        types.sort_by_key(|it| Reverse(it.range.precision()));
        Self { types, schema }
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
        Err(Refused::Type {
            accept: self.accept(),
        })
    }

    /// The types that are taken, as an `Accept` field has them; empty: any.
    pub fn accept(&self) -> String {
        let accept: Vec<_> = self.types.iter().map(|it| it.range.to_string()).collect();
        accept.join(", ")
    }

    /// How a body must be read to be held against the schema; none where it need not be. Without
    /// content, only methods for which it means something are asked for it (RFC 9110, 9.3).
    pub fn must_read(
        &self,
        content: Content<'_>,
        method: &Method,
        is_empty: bool,
    ) -> Result<Option<Reading>, Refused> {
        let expected = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        if self.schema.is_none() || (is_empty && !expected) {
            return Ok(None);
        }
        Reading::of(content).map(Some).map_err(Refused::Unreadable)
    }

    /// Holds a whole body against the schema.
    pub fn check(&self, reading: &Reading, body: Bytes) -> Result<(), Refused> {
        let Some(schema) = &self.schema else {
            return Ok(());
        };
        let json = reading.read(body).map_err(Refused::Unreadable)?;
        schema.check(&json).map_err(Refused::Invalid)
    }

    /// Bodies are held against a schema.
    pub const fn is_checked(&self) -> bool {
        self.schema.is_some()
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
        IntakeSpec::new(types.collect(), None)
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
    fn a_place_is_told_as_the_fragment_of_a_uri() {
        let pointer = |place: &str| Violation::new(place, "").pointer;
        assert_eq!(pointer(""), "#");
        assert_eq!(pointer("/a/0/b~1c d\u{e4}%"), "#/a/0/b~1c%20d%C3%A4%25");
        assert_eq!(pointer(&format!("/a/{}/b", "x".repeat(300))), "#/a");
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
