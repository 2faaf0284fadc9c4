//! The request target and the host it is for (RFC 9112, 3.2; RFC 3986, 3).

use std::cell::RefCell;

use http::Method;
use memchr::memchr;

use super::fields::HeadError;
use crate::exchange::authority::{self, port_number};
use crate::exchange::line::all;

/// A request target, understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Starts with `/`, or is `*`.
    pub path: String,
    pub query: Option<String>,
    /// Of an absolute-form target: host and port, and whether the scheme is `https`.
    pub authority: Option<(String, bool)>,
}

impl Target {
    pub fn parse(method: &Method, target: &[u8]) -> Result<Self, HeadError> {
        if !all(target, is_target_byte) {
            return Err(HeadError::Malformed(
                "the request target holds a byte that must be percent-encoded",
            ));
        }
        let Ok(target) = std::str::from_utf8(target) else {
            return Err(HeadError::Malformed("the request target is not ASCII"));
        };
        if target.starts_with('/') {
            let (path, query) = split_query(target);
            return Ok(Self {
                path: path.to_owned(),
                query,
                authority: None,
            });
        }
        if target == "*" {
            return if method == Method::OPTIONS {
                Ok(Self {
                    path: target.to_owned(),
                    query: None,
                    authority: None,
                })
            } else {
                Err(HeadError::Malformed("`*` is a target for OPTIONS only"))
            };
        }
        Self::parse_absolute(method, target)
    }

    fn parse_absolute(method: &Method, target: &str) -> Result<Self, HeadError> {
        let Some((scheme, rest)) = target.split_once("://") else {
            return Err(HeadError::Malformed(
                "the request target is neither a path nor a URI",
            ));
        };
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return Err(HeadError::Malformed(
                "the request target has a scheme other than http and https",
            ));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).unwrap_or_default();
        check_authority(authority.as_bytes())?;
        let (path, query) = split_query(rest);
        let path = match path {
            // RFC 9112, 3.2.4: the whole server is meant.
            "" if method == Method::OPTIONS && query.is_none() => "*",
            "" => "/",
            path => path,
        };
        Ok(Self {
            path: path.to_owned(),
            query,
            authority: Some((authority.to_owned(), https)),
        })
    }
}

fn split_query(target: &str) -> (&str, Option<String>) {
    // Searching the bytes is quicker than searching the text.
    let mark = memchr(b'?', target.as_bytes());
    match mark.and_then(|mark| target.split_at_checked(mark)) {
        Some((path, query)) => (path, query.strip_prefix('?').map(str::to_owned)),
        None => (target, None),
    }
}

/// Visible ASCII but what neither RFC 3986 nor any browser leaves bare. Browsers do send
/// ``[ ] \ ^ ` { | }`` as they are.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "with branches the compiler would not judge many bytes at once"
)]
const fn is_target_byte(byte: u8) -> bool {
    (byte > b' ')
        & (byte < 0x7f)
        & (byte != b'"')
        & (byte != b'#')
        & (byte != b'<')
        & (byte != b'>')
}

const WRONG_HOST: HeadError = HeadError::Malformed("the host is malformed");

/// Checks `host [ ":" port ]`.
fn check_authority(text: &[u8]) -> Result<(), HeadError> {
    if authority::is_valid(text) {
        return Ok(());
    }
    Err(WRONG_HOST)
}

/// Reads `host [ ":" port ]`. What the request before named was checked then.
pub fn read_host(text: &[u8]) -> Result<String, HeadError> {
    thread_local! {
        static LAST: RefCell<String> = const { RefCell::new(String::new()) };
    }
    LAST.with_borrow_mut(|last| {
        if last.is_empty() || last.as_bytes() != text {
            check_authority(text)?;
            let text = std::str::from_utf8(text).map_err(|_| WRONG_HOST)?;
            text.clone_into(last);
        }
        Ok(last.clone())
    })
}

/// Whether `Host` names what an absolute-form target names.
pub fn same_authority(host: &str, authority: &str, https: bool) -> bool {
    let default = if https { 443 } else { 80 };
    let parts = |text: &str| {
        let bracket = text.rfind(']').unwrap_or(0);
        let colon = text.rfind(':').filter(|&colon| colon > bracket);
        let (name, port) = text
            .split_at_checked(colon.unwrap_or(text.len()))
            .unwrap_or_default();
        let port = port
            .strip_prefix(':')
            .map_or(Some(default), |port| port_number(port.as_bytes()));
        (name.to_ascii_lowercase(), port)
    };
    parts(host) == parts(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, target: &str, path: &str, query: Option<&str>, host: Option<&str>) {
        let parsed = Target::parse(method, target.as_bytes());
        let parsed = parsed.unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(parsed.path, path, "{target}");
        assert_eq!(parsed.query.as_deref(), query, "{target}");
        let authority = parsed.authority.map(|(authority, _)| authority);
        assert_eq!(authority.as_deref(), host, "{target}");
    }

    #[test]
    fn a_target_has_one_of_three_forms() {
        let get = &Method::GET;
        check(get, "/", "/", None, None);
        check(get, "/a?b?c", "/a", Some("b?c"), None);
        check(get, "/a?", "/a", Some(""), None);
        check(get, "//a", "//a", None, None);
        check(get, "/[x]|{y}^`\\", "/[x]|{y}^`\\", None, None);
        check(get, "http://h", "/", None, Some("h"));
        check(get, "HTTPS://h:1/x?y", "/x", Some("y"), Some("h:1"));
        check(get, "http://[::1]:80?q", "/", Some("q"), Some("[::1]:80"));
        check(&Method::OPTIONS, "*", "*", None, None);
        check(&Method::OPTIONS, "http://h", "*", None, Some("h"));
        check(&Method::OPTIONS, "http://h/", "/", None, Some("h"));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for target in [
            "",
            "*",
            "**",
            "a",
            "h:80",
            "/a#b",
            "/\"",
            "/<",
            "/>",
            "/\u{7f}",
            "/é",
            "/a\0",
            "ftp://h/",
            "http:/h/",
            "http://",
            "http:///x",
            "http://u@h/",
            "http://u:p@h/",
            "http://h:/",
            "http://h:x/",
            "http://h:65536/",
            "http://h,i/",
        ] {
            assert!(
                Target::parse(&Method::GET, target.as_bytes()).is_err(),
                "{target}"
            );
        }
    }

    #[test]
    fn the_default_port_may_be_left_out() {
        assert!(same_authority("A.b", "a.B:80", false));
        assert!(same_authority("[::1]:443", "[::1]", true));
        assert!(!same_authority("a", "a:443", false));
        assert!(!same_authority("a", "b", false));
        assert!(!same_authority("a:80", "a:81", false));
    }
}
