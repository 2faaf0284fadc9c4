//! Patterns of the file, `/users/{id}` and `*.example.com`, parsed once.

use std::fmt;

/// A path pattern: literal segments, `{name}` for one segment, `{name...}` for the tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    Parameter(String),
    /// The rest of the path; may be empty.
    Tail(String),
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
        let rest = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        let mut segments: Vec<Segment> = Vec::new();
        for part in rest.split('/') {
            if let Some(Segment::Tail(name)) = segments.last() {
                return Err(PatternError::AfterTail(name.clone()));
            }
            let segment = Segment::parse(part)?;
            if let Some(name) = segment.name()
                && segments.iter().any(|earlier| earlier.name() == Some(name))
            {
                return Err(PatternError::Repeated(name.to_owned()));
            }
            segments.push(segment);
        }
        let pattern = Self {
            text: text.to_owned(),
            segments,
        };
        pattern.must_be_reachable()?;
        Ok(pattern)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The parameters in order, and whether each is a tail.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, bool)> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) => Some((name.as_str(), false)),
            Segment::Tail(name) => Some((name.as_str(), true)),
        })
    }

    /// A literal that is not in canonical form would never meet an equal path.
    fn must_be_reachable(&self) -> Result<(), PatternError> {
        let literal: String = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Parameter(_) => "/p".to_owned(),
                Segment::Tail(_) => "/t".to_owned(),
            })
            .collect();
        match crate::exchange::CanonicalPath::new(literal.clone()) {
            Ok(canonical) if canonical.as_str() == literal => Ok(()),
            Ok(canonical) => Err(PatternError::NotCanonical(format!(
                "its canonical form is `{}`",
                canonical.as_str()
            ))),
            Err(error) => Err(PatternError::NotCanonical(error.to_string())),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    fn parse(part: &str) -> Result<Self, PatternError> {
        if !part.contains(['{', '}']) {
            return Ok(Self::Literal(part.to_owned()));
        }
        let inner = part
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|inner| !inner.contains(['{', '}']))
            .ok_or_else(|| PatternError::Segment(part.to_owned()))?;
        let (name, tail) = match inner.strip_suffix("...") {
            Some(name) => (name, true),
            None => (inner, false),
        };
        if !is_name(name) {
            return Err(PatternError::Name(name.to_owned()));
        }
        Ok(if tail {
            Self::Tail(name.to_owned())
        } else {
            Self::Parameter(name.to_owned())
        })
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Tail(name) => Some(name),
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
