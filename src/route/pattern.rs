//! Patterns of the file, `/users/{id}` and `*.example.com`, parsed once.

use std::fmt;
use std::sync::Arc;

use crate::exchange::CanonicalPath;

/// A path pattern: literal segments, `{name}` for one segment, `{name...}` for the tail.
#[derive(Clone, PartialEq, Eq)]
pub struct PathPattern(Arc<str>);

/// One segment of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'p> {
    Literal(&'p str),
    Parameter(&'p str),
    /// The rest of the path; may be empty.
    Tail(&'p str),
}

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a path starts with `/`")]
    NotAbsolute,
    #[error("`{0}` is not one parameter: a segment is text, `{{name}}` or `{{name...}}`")]
    Segment(String),
    #[error("`{0}` is not a name: letters, digits and `_`, not starting with a digit")]
    Name(String),
    #[error("the parameter `{0}` stands twice")]
    Repeated(String),
    #[error("`{{{0}...}}` takes the rest of the path, so nothing can follow it")]
    AfterTail(String),
    #[error("the path can never match: {0}")]
    NotCanonical(String),
    #[error("`{0}` is not a host name; write `api.example.com` or `*.example.com`, without port")]
    Host(String),
}

impl PathPattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// Whether `text` is a pattern.
    pub fn check(text: &str) -> Result<(), PatternError> {
        let rest = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        // The pattern as a path that it meets.
        let mut met = String::with_capacity(text.len());
        let mut names: Vec<&str> = Vec::new();
        let mut tail = None;
        for part in rest.split('/') {
            if let Some(name) = tail {
                return Err(PatternError::AfterTail(name));
            }
            let segment = Segment::parse(part)?;
            let (name, plain) = match segment {
                Segment::Literal(text) => (None, text),
                Segment::Parameter(name) | Segment::Tail(name) => (Some(name), "p"),
            };
            if let Some(name) = name {
                if names.contains(&name) {
                    return Err(PatternError::Repeated(name.to_owned()));
                }
                names.push(name);
            }
            if let Segment::Tail(name) = segment {
                tail = Some(name.to_owned());
            }
            met.push('/');
            met.push_str(plain);
        }
        must_be_canonical(met)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.0.split('/').skip(1).map(Segment::of)
    }

    /// The parameters in order, and whether each is a tail.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, bool)> {
        self.segments().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) => Some((name, false)),
            Segment::Tail(name) => Some((name, true)),
        })
    }
}

/// A literal that is not in canonical form would never meet an equal path.
fn must_be_canonical(path: String) -> Result<(), PatternError> {
    if CanonicalPath::is_canonical(&path) {
        return Ok(());
    }
    Err(PatternError::NotCanonical(match CanonicalPath::new(path) {
        Ok(canonical) => format!("its canonical form is `{}`", canonical.as_str()),
        Err(error) => error.to_string(),
    }))
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'p> Segment<'p> {
    fn parse(part: &'p str) -> Result<Self, PatternError> {
        let segment = Self::of(part);
        match segment {
            Self::Literal(text) if text.contains(['{', '}']) => {
                Err(PatternError::Segment(part.to_owned()))
            }
            Self::Parameter(name) | Self::Tail(name) if !is_name(name) => {
                Err(PatternError::Name(name.to_owned()))
            }
            _ => Ok(segment),
        }
    }

    /// The segment that `part` of a pattern is.
    fn of(part: &'p str) -> Self {
        let inner = part
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|inner| !inner.contains(['{', '}']));
        match inner.map(|inner| (inner, inner.strip_suffix("..."))) {
            None => Self::Literal(part),
            Some((name, None)) => Self::Parameter(name),
            Some((_, Some(name))) => Self::Tail(name),
        }
    }
}

/// Whether `text` can be the name of a parameter: what an expression can read as `path.NAME`.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A host a route answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name, in lower case.
    Exact(String),
    /// Any name that ends with this suffix, which starts with a dot.
    Suffix(String),
}

impl HostPattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let lower = text.to_ascii_lowercase();
        let (wild, name) = match lower.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, lower.as_str()),
        };
        let fine = name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        });
        let address = !wild && name.parse::<std::net::IpAddr>().is_ok();
        let bracketed = !wild
            && name
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
        if !(fine || address || bracketed) {
            return Err(PatternError::Host(text.to_owned()));
        }
        Ok(if wild {
            Self::Suffix(format!(".{name}"))
        } else {
            Self::Exact(lower)
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_its_parameters() {
        let pattern = PathPattern::parse("/users/{id}/files/{rest...}").unwrap();
        let parameters: Vec<_> = pattern.parameters().collect();
        assert_eq!(parameters, [("id", false), ("rest", true)]);
    }

    #[test]
    fn what_can_never_match_is_refused() {
        for bad in [
            "users",
            "/a//b",
            "/a/../b",
            "/a/{}",
            "/a/{1}",
            "/a/x{id}",
            "/a/{b}/{b}",
            "/{rest...}/x",
            "/a/%7e",
            "/a b",
            "/{a}{b}",
        ] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_a_suffix() {
        assert_eq!(
            HostPattern::parse("*.Example.com"),
            Ok(HostPattern::Suffix(".example.com".into()))
        );
        for good in ["localhost", "a.b", "127.0.0.1", "[::1]"] {
            assert!(HostPattern::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "*", "a.*.b", "a:80", "http://a"] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
