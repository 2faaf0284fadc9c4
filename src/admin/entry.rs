//! Lets in those who may operate the gateway, and nobody that a browser was tricked into being.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, request};

/// Why somebody stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// 401: no token, or another.
    Unknown,
    /// 403: asked for by a page of another site.
    OtherSite,
}

/// The check that every request passes first.
pub(super) struct Door {
    /// Hashed, so that comparing takes as long for any length.
    token: Option<Digest>,
}

impl Door {
    pub(super) fn new(token: Option<&str>) -> Self {
        Self {
            token: token.map(|token| digest(&SHA256, token.as_bytes())),
        }
    }

    pub(super) fn admit(&self, head: &request::Parts) -> Result<(), Outside> {
        // Probes of a scheduler carry no credential, and learn only that the process is there.
        if matches!(head.uri.path(), "/live" | "/ready") {
            return Ok(());
        }
        match &self.token {
            Some(token) => {
                let shown = bearer(&head.headers).map(|shown| digest(&SHA256, shown));
                let equal = shown.is_some_and(|shown| {
                    verify_slices_are_equal(shown.as_ref(), token.as_ref()).is_ok()
                });
                if !equal {
                    return Err(Outside::Unknown);
                }
            }
            // Without a token only loopback is served. A page elsewhere could still point its own
            // name at this address and have a browser ask (DNS rebinding): then `Host` says so.
            None if !names_this_machine(&head.headers) => return Err(Outside::OtherSite),
            None => {}
        }
        if head.method != Method::GET && head.method != Method::HEAD && !same_origin(&head.headers)
        {
            return Err(Outside::OtherSite);
        }
        Ok(())
    }
}

/// The credential of `Authorization: Bearer` (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true; // browsers always send it
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Browsers name the page that a request comes from whenever it changes something.
fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let (Ok(origin), Some(Ok(host))) = (
        origin.to_str(),
        headers.get(HOST).map(http::HeaderValue::to_str),
    ) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: Method, fields: &[(&str, &str)]) -> request::Parts {
        let mut request = http::Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_token_opens_and_nothing_else_does() {
        let door = Door::new(Some("s3cret"));
        for (authorization, admitted) in [
            ("Bearer s3cret", true),
            ("bearer s3cret", true),
            ("Bearer s3cre", false),
            ("Bearer s3crets", false),
            ("Bearer ", false),
            ("Basic s3cret", false),
            ("s3cret", false),
        ] {
            let head = head(Method::GET, &[("authorization", authorization)]);
            assert_eq!(door.admit(&head).is_ok(), admitted, "{authorization}");
        }
        let outside = door.admit(&head(Method::GET, &[]));
        assert_eq!(outside, Err(Outside::Unknown));
    }

    #[test]
    fn without_a_token_other_names_stay_outside() {
        let door = Door::new(None);
        for (host, admitted) in [
            ("127.0.0.1:9900", true),
            ("[::1]:9900", true),
            ("localhost", true),
            ("evil.example:9900", false),
            ("", false),
        ] {
            let head = head(Method::GET, &[("host", host)]);
            assert_eq!(door.admit(&head).is_ok(), admitted, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_cannot_reload() {
        let door = Door::new(None);
        let reload = |origin| {
            let fields = [("host", "127.0.0.1:9900"), ("origin", origin)];
            door.admit(&head(Method::POST, &fields))
        };
        assert_eq!(reload("http://127.0.0.1:9900"), Ok(()));
        assert_eq!(reload("https://evil.example"), Err(Outside::OtherSite));
        assert_eq!(reload("null"), Err(Outside::OtherSite));
    }
}
