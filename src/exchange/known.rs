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
        match name {
            b"te" => Self::Te,
            b"via" => Self::Via,
            b"date" => Self::Date,
            b"host" => Self::Host,
            b"accept" => Self::Accept,
            b"cookie" => Self::Cookie,
            b"expect" => Self::Expect,
            b"origin" => Self::Origin,
            b"server" => Self::Server,
            b"trailer" => Self::Trailer,
            b"upgrade" => Self::Upgrade,
            b"forwarded" => Self::Forwarded,
            b"connection" => Self::Connection,
            b"keep-alive" => Self::KeepAlive,
            b"tracestate" => Self::Tracestate,
            b"traceparent" => Self::Traceparent,
            b"content-type" => Self::ContentType,
            b"x-request-id" => Self::XRequestId,
            b"authorization" => Self::Authorization,
            b"content-length" => Self::ContentLength,
            b"x-forwarded-for" => Self::XForwardedFor,
            b"proxy-connection" => Self::ProxyConnection,
            b"x-forwarded-host" => Self::XForwardedHost,
            b"transfer-encoding" => Self::TransferEncoding,
            b"x-forwarded-proto" => Self::XForwardedProto,
            b"proxy-authenticate" => Self::ProxyAuthenticate,
            b"proxy-authorization" => Self::ProxyAuthorization,
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
