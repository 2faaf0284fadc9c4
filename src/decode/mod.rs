//! Bodies read as JSON by what their head says they are: JSON, forms, multipart forms, XML.
//!
//! Each way in takes a whole body within a bound and gives a checked [`Json`]. Nothing here waits,
//! recurses without a cap, or makes more than a few times the bytes that came.

pub mod accept;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod form;
mod media;
mod multipart;
mod parameters;
mod pairs;
mod xml;

use std::borrow::Cow;

use bytes::Bytes;

use crate::exchange::{Headers, Known};
use crate::json::{DEPTH_DEFAULT, Json};

pub use media::{MediaRange, MediaType};

/// What [`Reading::of`] can read, as an `Accept` field has it.
pub const READABLE: &str =
    "application/json, application/x-www-form-urlencoded, multipart/form-data";

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its type is none that can be read.
    #[error("the type of the body is none that can be read")]
    Type,
    /// It is compressed or otherwise coded (RFC 9110, 8.4).
    #[error("the body is coded")]
    Coded,
    /// It is not what its type says.
    #[error("the body is not {format}: {what}")]
    Malformed {
        /// With its article, if it has one.
        format: &'static str,
        what: Cow<'static, str>,
    },
    /// There is more of something than may be.
    #[error("{0}")]
    TooMuch(&'static str),
}

impl Unreadable {
    /// The cause in one word, for metrics, logs and `on_error`.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Type => "content-type",
            Self::Coded => "content-encoding",
            Self::Malformed { .. } => "request-body",
            Self::TooMuch(_) => "too-large",
        }
    }

    fn malformed(format: &'static str, what: &'static str) -> Self {
        Self::Malformed {
            format,
            what: Cow::Borrowed(what),
        }
    }
}

/// What a message says of its content (RFC 9110, 8.3 and 8.4): its head, or nothing where the
/// gateway has made the content itself, which is JSON.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a>(Option<&'a Headers>);

impl<'a> Content<'a> {
    pub const JSON: Self = Self(None);

    pub const fn of(headers: &'a Headers) -> Self {
        Self(Some(headers))
    }

    /// The type; an error where what is named is no type, or several are: whoever is behind the
    /// gateway may take another of them.
    pub fn media_type(self) -> Result<Option<MediaType<'a>>, Unreadable> {
        let Some(headers) = self.0 else {
            return Ok(None);
        };
        let mut fields = headers.all_known(Known::ContentType);
        match (fields.next(), fields.next()) {
            (None, _) => Ok(None),
            (Some(field), None) => MediaType::parse(field).map(Some).ok_or(Unreadable::Type),
            (Some(_), Some(_)) => Err(Unreadable::Type),
        }
    }

    /// Whether it is compressed or otherwise coded.
    pub fn is_coded(self) -> bool {
        let mut codings = self.0.iter().flat_map(|it| it.get_all("content-encoding"));
        codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
    }

    /// Appends the fields that say what it is to a message that passes it on.
    pub fn describe(self, to: &mut Headers) {
        let Some(headers) = self.0 else {
            return to.append("content-type", b"application/json");
        };
        for name in ["content-type", "content-encoding"] {
            for value in headers.get_all(name) {
                to.append(name, value);
            }
        }
    }
}

/// How a body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/form-data`, with its boundary.
    Multipart(String),
}

impl Reading {
    /// How content is read: forms by their type, as JSON what says that it is JSON, and what says
    /// nothing. Everything else is refused, also because a browser sends `text/plain` for any page
    /// without asking first.
    pub fn of(content: Content<'_>) -> Result<Self, Unreadable> {
        if content.is_coded() {
            return Err(Unreadable::Coded);
        }
        let Some(media) = content.media_type()? else {
            return Ok(Self::Json);
        };
        if media.is_json() {
            is_utf8(&media)
                .then_some(Self::Json)
                .ok_or(Unreadable::Type)
        } else if media.is("application", "x-www-form-urlencoded") {
            Ok(Self::Form)
        } else if media.is("multipart", "form-data") {
            multipart::boundary(&media).map(Self::Multipart)
        } else {
            Err(Unreadable::Type)
        }
    }

    /// Reads a whole body; an empty one is null.
    pub fn read(&self, body: Bytes) -> Result<Json, Unreadable> {
        if body.is_empty() {
            return Ok(Json::null());
        }
        match self {
            Self::Json => json(body),
            Self::Form => form::read(&body).and_then(json),
            Self::Multipart(boundary) => multipart::read(&body, boundary).and_then(json),
        }
    }
}

/// What an upstream's answer is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Json,
    /// As `xml` says.
    Xml,
}

impl Format {
    /// What is asked for.
    pub const fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml, text/xml",
        }
    }

    /// Reads a whole answer; an empty one is null.
    pub fn read(self, body: Bytes) -> Result<Json, Unreadable> {
        if body.is_empty() {
            return Ok(Json::null());
        }
        match self {
            Self::Json => json(body),
            Self::Xml => xml::read(&body).and_then(json),
        }
    }
}

/// Whether JSON is said to be UTF-8, which it always is (RFC 8259, 8.1), or nothing. Whoever reads
/// the same bytes by another charset, such as UTF-7, may find other members in them.
fn is_utf8(media: &MediaType<'_>) -> bool {
    let known = ["utf-8", "utf8", "us-ascii"];
    match media.parameter("charset") {
        Ok(None) => true,
        Ok(Some(charset)) => known.iter().any(|it| charset.eq_ignore_ascii_case(it)),
        Err(_) => false,
    }
}

fn json(text: Bytes) -> Result<Json, Unreadable> {
    Json::parse(text, DEPTH_DEFAULT).map_err(|error| Unreadable::Malformed {
        format: "JSON",
        what: Cow::Owned(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(fields: &[(&str, &str)]) -> Result<Reading, Unreadable> {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name, value.as_bytes());
        }
        Reading::of(Content::of(&headers))
    }

    #[test]
    fn a_body_is_read_as_what_its_type_says() {
        let of = |kind| reading(&[("content-type", kind)]);
        assert_eq!(reading(&[]), Ok(Reading::Json));
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
            "text/json",
            "application/json; charset=\"UTF8\";",
        ] {
            assert_eq!(of(kind), Ok(Reading::Json), "{kind}");
        }
        let form = of("application/x-www-form-urlencoded;charset=UTF-8");
        assert_eq!(form, Ok(Reading::Form));
        let multipart = of("multipart/form-data; boundary=\"a b\"");
        assert_eq!(multipart, Ok(Reading::Multipart("a b".to_owned())));
        for kind in [
            "text/plain",
            "application/xml",
            "json",
            "",
            "a/b, application/json",
            "application/json; charset=utf-7",
            "application/json; charset=utf-8; charset=utf-16",
        ] {
            assert_eq!(of(kind), Err(Unreadable::Type), "{kind}");
        }
    }

    #[test]
    fn what_is_said_twice_or_coded_is_not_read() {
        let json = ("content-type", "application/json");
        assert_eq!(reading(&[json, json]), Err(Unreadable::Type));
        let coded = |coding| reading(&[json, ("content-encoding", coding)]);
        assert_eq!(coded("gzip"), Err(Unreadable::Coded));
        assert_eq!(coded("Identity"), Ok(Reading::Json));
    }

    #[test]
    fn an_empty_body_is_null_whatever_its_type() {
        for reading in [
            Reading::Json,
            Reading::Form,
            Reading::Multipart("x".to_owned()),
        ] {
            assert_eq!(reading.read(Bytes::new()), Ok(Json::null()));
        }
    }
}
