//! The fields that stand behind a body, and those that must not.

use http::{HeaderMap, HeaderName};

/// `trailers` without the fields that must not stand there. HTTP/1 refuses them, but with HTTP/2
/// they are seen only when all else has gone on.
pub fn passing(mut trailers: HeaderMap) -> HeaderMap {
    let forbidden = |name: &&HeaderName| is_forbidden(name.as_str());
    let forbidden: Vec<_> = trailers.keys().filter(forbidden).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    trailers
}

/// Fields that frame, route, authenticate or shape a message mean nothing behind it, and harm
/// where they are merged into its head (RFC 9110, 6.5.1).
pub fn is_forbidden(name: &str) -> bool {
    const FORBIDDEN: [&str; 38] = [
        "accept-encoding",
        "age",
        "authorization",
        "cache-control",
        "connection",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "if-match",
        "if-none-match",
        "keep-alive",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "warning",
        "www-authenticate",
        "x-http-method-override",
    ];
    let starts = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    FORBIDDEN
        .iter()
        .any(|forbidden| name.eq_ignore_ascii_case(forbidden))
        || starts("x-forwarded-")
        || starts("if-")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_may_stand_behind_a_body_passes_and_nothing_else_does() {
        let names = [
            "x-sum",
            "host",
            "content-length",
            "x-forwarded-for",
            "grpc-status",
        ];
        let field = |name| (HeaderName::from_static(name), HeaderValue::from_static("1"));
        let mut trailers: HeaderMap = names.into_iter().map(field).collect();
        trailers.append("host", HeaderValue::from_static("2"));
        let passed = passing(trailers);
        let mut left: Vec<_> = passed.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-sum"]);
    }
}
