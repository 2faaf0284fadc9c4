//! The field names that the gateway itself looks at.

use http::header::{self, HeaderName};

/// Names the gateway itself looks at. Told apart once, when a field is appended, so that later
/// stages compare one byte instead of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    Accept,
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    KeepAlive,
    Origin,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Server,
    Te,
    Trailer,
    TransferEncoding,
    Traceparent,
    Tracestate,
    Upgrade,
    Via,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XRequestId,
    Other,
}

impl Known {
    /// The known name equal to `name`, which is in lower case.
    pub fn of(name: &[u8]) -> Self {
        let Some(first) = name.first() else {
            return Self::Other;
        };
        // A match on the names themselves would compare letter by letter.
        match (name.len(), first) {
            (2, b't') if name == b"te" => Self::Te,
            (3, b'v') if name == b"via" => Self::Via,
            (4, b'd') if name == b"date" => Self::Date,
            (4, b'h') if name == b"host" => Self::Host,
            (6, b'a') if name == b"accept" => Self::Accept,
            (6, b'c') if name == b"cookie" => Self::Cookie,
            (6, b'e') if name == b"expect" => Self::Expect,
            (6, b'o') if name == b"origin" => Self::Origin,
            (6, b's') if name == b"server" => Self::Server,
            (7, b't') if name == b"trailer" => Self::Trailer,
            (7, b'u') if name == b"upgrade" => Self::Upgrade,
            (9, b'f') if name == b"forwarded" => Self::Forwarded,
            (10, b'c') if name == b"connection" => Self::Connection,
            (10, b'k') if name == b"keep-alive" => Self::KeepAlive,
            (10, b't') if name == b"tracestate" => Self::Tracestate,
            (11, b't') if name == b"traceparent" => Self::Traceparent,
            (12, b'c') if name == b"content-type" => Self::ContentType,
            (12, b'x') if name == b"x-request-id" => Self::XRequestId,
            (13, b'a') if name == b"authorization" => Self::Authorization,
            (14, b'c') if name == b"content-length" => Self::ContentLength,
            (15, b'x') if name == b"x-forwarded-for" => Self::XForwardedFor,
            (16, b'p') if name == b"proxy-connection" => Self::ProxyConnection,
            (16, b'x') if name == b"x-forwarded-host" => Self::XForwardedHost,
            (17, b't') if name == b"transfer-encoding" => Self::TransferEncoding,
            (17, b'x') if name == b"x-forwarded-proto" => Self::XForwardedProto,
            (18, b'p') if name == b"proxy-authenticate" => Self::ProxyAuthenticate,
            (19, b'p') if name == b"proxy-authorization" => Self::ProxyAuthorization,
            _ => Self::Other,
        }
    }

    /// The name in lower case; empty for [`Known::Other`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Authorization => "authorization",
            Self::Connection => "connection",
            Self::ContentLength => "content-length",
            Self::ContentType => "content-type",
            Self::Cookie => "cookie",
            Self::Date => "date",
            Self::Expect => "expect",
            Self::Forwarded => "forwarded",
            Self::Host => "host",
            Self::KeepAlive => "keep-alive",
            Self::Origin => "origin",
            Self::ProxyAuthenticate => "proxy-authenticate",
            Self::ProxyAuthorization => "proxy-authorization",
            Self::ProxyConnection => "proxy-connection",
            Self::Server => "server",
            Self::Te => "te",
            Self::Trailer => "trailer",
            Self::TransferEncoding => "transfer-encoding",
            Self::Traceparent => "traceparent",
            Self::Tracestate => "tracestate",
            Self::Upgrade => "upgrade",
            Self::Via => "via",
            Self::XForwardedFor => "x-forwarded-for",
            Self::XForwardedHost => "x-forwarded-host",
            Self::XForwardedProto => "x-forwarded-proto",
            Self::XRequestId => "x-request-id",
            Self::Other => "",
        }
    }

    /// The name as maps of fields hold it, made without looking at its letters.
    pub const fn header_name(self) -> Option<HeaderName> {
        Some(match self {
            Self::Accept => header::ACCEPT,
            Self::Authorization => header::AUTHORIZATION,
            Self::Connection => header::CONNECTION,
            Self::ContentLength => header::CONTENT_LENGTH,
            Self::ContentType => header::CONTENT_TYPE,
            Self::Cookie => header::COOKIE,
            Self::Date => header::DATE,
            Self::Expect => header::EXPECT,
            Self::Forwarded => header::FORWARDED,
            Self::Host => header::HOST,
            Self::Origin => header::ORIGIN,
            Self::ProxyAuthenticate => header::PROXY_AUTHENTICATE,
            Self::ProxyAuthorization => header::PROXY_AUTHORIZATION,
            Self::Server => header::SERVER,
            Self::Te => header::TE,
            Self::Trailer => header::TRAILER,
            Self::TransferEncoding => header::TRANSFER_ENCODING,
            Self::Upgrade => header::UPGRADE,
            Self::Via => header::VIA,
            Self::XRequestId => HeaderName::from_static("x-request-id"),
            Self::Traceparent => HeaderName::from_static("traceparent"),
            _ => return None,
        })
    }

    /// Whether the field concerns one connection only and never crosses (RFC 9110, 7.6.1).
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 27] = [
        Known::Accept,
        Known::Authorization,
        Known::Connection,
        Known::ContentLength,
        Known::ContentType,
        Known::Cookie,
        Known::Date,
        Known::Expect,
        Known::Forwarded,
        Known::Host,
        Known::KeepAlive,
        Known::Origin,
        Known::ProxyAuthenticate,
        Known::ProxyAuthorization,
        Known::ProxyConnection,
        Known::Server,
        Known::Te,
        Known::Traceparent,
        Known::Tracestate,
        Known::Trailer,
        Known::TransferEncoding,
        Known::Upgrade,
        Known::Via,
        Known::XForwardedFor,
        Known::XForwardedHost,
        Known::XForwardedProto,
        Known::XRequestId,
    ];

    #[test]
    fn a_known_name_is_found_only_whole() {
        for known in ALL {
            let name = known.as_str().as_bytes();
            assert_eq!(Known::of(name), known);
            for at in 0..name.len() {
                let mut other = name.to_vec();
                other[at] = b'?';
                assert_eq!(Known::of(&other), Known::Other);
                assert_eq!(Known::of(&name[..at]), Known::Other);
            }
        }
        assert_eq!(Known::of(b""), Known::Other);
    }
}
