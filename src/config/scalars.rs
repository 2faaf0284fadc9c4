//! What texts of the file mean: addresses, endpoints, methods, names of headers and so on.

use std::net::{IpAddr, SocketAddr};

use http::Method;
use ipnet::IpNet;

use crate::decode::MediaRange;
use crate::upstream::EndpointSpec;

/// Why a text is refused, and perhaps what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub message: String,
    pub help: Option<String>,
}

impl Refused {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Headers that belong to one connection or to framing, which the gateway writes itself
/// (RFC 9110, 7.6.1 and 8.6; RFC 9112, 6).
const OURS: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// `127.0.0.1:8080` or `[::1]:8080`.
pub fn address(text: &str) -> Result<SocketAddr, Refused> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let refused = Refused::new("not an address and port");
    if let Some(port) = text.strip_prefix(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(refused.help(format!("for every address write `0.0.0.0:{port}`")));
    }
    if let Some(port) = text.strip_prefix("localhost:")
        && port.parse::<u16>().is_ok()
    {
        return Err(refused.help(format!("names are not looked up: write `127.0.0.1:{port}`")));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(refused.help("the port is missing: `127.0.0.1:8080`, `[::1]:8080`"));
    }
    Err(refused.help("write an IP address and a port: `0.0.0.0:8080`, `[::]:8080`"))
}

/// `http://host:port` or `https://host:port`.
pub fn endpoint(text: &str) -> Result<EndpointSpec, Refused> {
    let help = "write `http://` or `https://`, a host and perhaps a port: `http://10.0.0.1:8080`";
    let (tls, rest) = if let Some(rest) = text.strip_prefix("http://") {
        (false, rest)
    } else if let Some(rest) = text.strip_prefix("https://") {
        (true, rest)
    } else {
        let mut refused = Refused::new("not an endpoint: no `http://` or `https://`").help(help);
        if !text.contains("://") && endpoint(&format!("http://{text}")).is_ok() {
            refused = refused.help(format!("did you mean `http://{text}`?"));
        }
        return Err(refused);
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if let Some(at) = authority.find(['/', '?', '#']) {
        let (authority, path) = authority.split_at_checked(at).unwrap_or_default();
        return Err(Refused::new("an endpoint has no path").help(format!(
            "write `{}://{authority}`, and `{path}` in the `rewrite` or `call` of routes",
            if tls { "https" } else { "http" }
        )));
    }
    if authority.contains('@') {
        return Err(Refused::new("an endpoint has no user or password")
            .help("set an `authorization` header in `headers` of the route or step"));
    }
    let (host, port) = split_port(authority)
        .ok_or_else(|| Refused::new("not an endpoint: the port is malformed").help(help))?;
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let fine = match bare {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    if !fine {
        return Err(Refused::new("not an endpoint: the host is malformed").help(help));
    }
    Ok(EndpointSpec {
        tls,
        host: bare.unwrap_or(host).to_ascii_lowercase(),
        port: port.unwrap_or(if tls { 443 } else { 80 }),
    })
}

/// Host and port of an authority; none where the port is malformed.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority.get(end..).and_then(|rest| rest.rfind(':')) else {
        return Some((authority, None));
    };
    let (host, port) = authority.split_at_checked(end + colon)?;
    let port = port.strip_prefix(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|&port: &u16| digits && port > 0)?;
    Some((host, Some(port)))
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

/// A URL with `http` or `https` and a host, without user or fragment.
pub fn url(text: &str) -> Result<String, Refused> {
    let help = "write a whole URL: `https://id.example.com/.well-known/jwks.json`";
    let uri: http::Uri = text
        .parse()
        .map_err(|_| Refused::new("not a URL").help(help))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !matches!(scheme, "http" | "https") || uri.host().is_none_or(str::is_empty) {
        return Err(Refused::new("not a URL with `http` or `https`").help(help));
    }
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(Refused::new("the URL holds a user or password").help("remove it"));
    }
    Ok(text.to_owned())
}

/// `10.0.0.0/8`, or one address.
pub fn network(text: &str) -> Result<IpNet, Refused> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text.parse().map_err(|_| {
        Refused::new("not an address or network")
            .help("write `10.0.0.0/8`, `192.0.2.7` or `2001:db8::/32`")
    })?;
    if network.trunc() != network {
        return Err(Refused::new("the address has bits behind the prefix")
            .help(format!("did you mean `{}`?", network.trunc())));
    }
    Ok(network)
}

/// A method in its own spelling.
pub fn method(text: &str) -> Result<Method, Refused> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if text == "CONNECT" || text == "TRACE" {
        return Err(Refused::new(format!("`{text}` is not served")));
    }
    let upper = text.to_ascii_uppercase();
    if upper != text && known.contains(&upper.as_str()) {
        return Err(Refused::new("methods are written in capitals")
            .help(format!("did you mean `{upper}`?")));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| {
        Refused::new("not a method").help("write `GET`, `POST` or another in capitals")
    })
}

/// A header's name, in lower case.
pub fn header(text: &str) -> Result<String, Refused> {
    let name = http::HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        Refused::new("not the name of a header")
            .help("letters, digits and `-`, such as `x-customer`")
    })?;
    Ok(name.as_str().to_owned())
}

/// A header that may be set.
pub fn settable_header(text: &str) -> Result<String, Refused> {
    let name = header(text)?;
    if OURS.contains(&name.as_str()) {
        return Err(Refused::new(format!("the gateway writes `{name}` itself")).help("remove it"));
    }
    Ok(name)
}

/// 64 hexadecimal digits.
pub fn sha256(text: &str) -> Result<[u8; 32], Refused> {
    let refused = || {
        Refused::new("not a SHA-256 hash: 64 hexadecimal digits")
            .help("the hash of a key is `printf %s KEY | sha256sum`")
    };
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(refused());
    }
    for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
        let digits = text
            .get(at..at + 2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .ok_or_else(refused)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
    }
    Ok(hash)
}

/// A PHC string of Argon2.
pub fn argon2_hash(text: &str) -> Result<(), Refused> {
    let refused = Refused::new("not an Argon2 hash")
        .help("it looks like `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`: `printf %s PASSWORD | argon2 SALT -id -e`");
    let fine = text.starts_with("$argon2")
        && argon2::password_hash::phc::PasswordHash::new(text)
            .is_ok_and(|hash| hash.hash.is_some() && hash.salt.is_some());
    if fine { Ok(()) } else { Err(refused) }
}

/// The path of a URL, with perhaps a query.
pub fn url_path(text: &str) -> Result<(), Refused> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\'));
    if text.starts_with('/') && plain {
        Ok(())
    } else {
        Err(Refused::new("not a path")
            .help("write a path that starts with `/`, such as `/healthz`"))
    }
}

/// What to write where a media type is wanted.
pub const MEDIA_RANGE_HELP: &str =
    "write a type without parameters: `application/json`, `application/*+json`, `image/*`";

/// A media type, or a range of them.
pub fn media_range(text: &str) -> Result<(), Refused> {
    MediaRange::parse(text)
        .map(drop)
        .ok_or_else(|| Refused::new("not a media type").help(MEDIA_RANGE_HELP))
}

/// What a `call` says: `GET users:/v1/users/{path.id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallText<'a> {
    pub method: Method,
    pub upstream: &'a str,
    /// Where the name of the upstream starts, in bytes.
    pub upstream_at: usize,
    pub target: &'a str,
    /// Where the target starts, in bytes.
    pub target_at: usize,
}

/// Takes a `call` apart. The error says which bytes are wrong.
pub fn call(text: &str) -> Result<CallText<'_>, (std::ops::Range<usize>, Refused)> {
    let help = "write a method, an upstream and a path: `GET users:/v1/users/{path.id}`";
    let whole = 0..text.len();
    let Some((method_text, rest)) = text.split_once(' ') else {
        return Err((whole, Refused::new("not a call").help(help)));
    };
    let method = method(method_text).map_err(|refused| (0..method_text.len(), refused))?;
    let blank = rest.len() - rest.trim_start_matches(' ').len();
    let upstream_at = method_text.len() + 1 + blank;
    let rest = rest.trim_start_matches(' ');
    let Some((upstream, target)) = rest.split_once(':') else {
        let refused = Refused::new("the call names no upstream").help(help);
        return Err((upstream_at..text.len(), refused));
    };
    let target_at = upstream_at + upstream.len() + 1;
    if target.starts_with("//") {
        let refused = Refused::new("a call goes to an upstream, not to a URL").help(format!(
            "write `[upstreams.NAME]` with `endpoints = [\"{upstream}://...\"]`, and `NAME:/path` here"
        ));
        return Err((upstream_at..text.len(), refused));
    }
    if !target.starts_with('/') {
        let refused = Refused::new("the path of a call starts with `/`").help(help);
        return Err((target_at..text.len(), refused));
    }
    Ok(CallText {
        method,
        upstream,
        upstream_at,
        target,
        target_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_scheme_a_host_and_a_port() {
        let fine = |text: &str| {
            let spec = endpoint(text).unwrap();
            (spec.tls, spec.host, spec.port)
        };
        assert_eq!(fine("http://a.b:81"), (false, "a.b".into(), 81));
        assert_eq!(fine("https://A.b/"), (true, "a.b".into(), 443));
        assert_eq!(fine("http://[::1]:81"), (false, "::1".into(), 81));
        assert_eq!(fine("http://[::1]"), (false, "::1".into(), 80));
        for bad in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a:+1",
            "http://a:",
            "http://u:p@a",
            "http://a/b",
            "http://a?b",
            "http://[::1",
            "http://[x]",
            "http://a b",
            "http://::1",
            "http://a..b",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        let help = endpoint("a:81").unwrap_err().help;
        assert_eq!(help.as_deref(), Some("did you mean `http://a:81`?"));
    }

    #[test]
    fn addresses_are_not_names() {
        assert!(address("[::]:0").is_ok());
        for bad in ["", ":8080", "localhost:8080", "1.2.3.4", "1.2.3.4:99999"] {
            assert!(address(bad).unwrap_err().help.is_some(), "{bad}");
        }
    }

    #[test]
    fn a_network_has_no_bits_behind_its_prefix() {
        assert!(network("10.0.0.0/8").is_ok());
        assert!(network("::1").is_ok());
        let help = network("10.1.0.0/8").unwrap_err().help;
        assert_eq!(help.as_deref(), Some("did you mean `10.0.0.0/8`?"));
        assert!(network("10.0.0.0/33").is_err());
    }

    #[test]
    fn framing_headers_cannot_be_set() {
        assert_eq!(settable_header("X-A").as_deref(), Ok("x-a"));
        for bad in ["Content-Length", "transfer-encoding", "a b", ""] {
            assert!(settable_header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_call_is_taken_apart() {
        let taken = call("GET users:/v1?x={a:b}").unwrap();
        assert_eq!(
            (
                taken.upstream,
                taken.upstream_at,
                taken.target,
                taken.target_at
            ),
            ("users", 4, "/v1?x={a:b}", 10)
        );
        for (bad, at) in [
            ("", 0..0),
            ("GET", 0..3),
            ("get users:/x", 0..3),
            ("GET users", 4..9),
            ("GET users:x", 10..11),
            ("GET http://users/x", 4..18),
        ] {
            assert_eq!(call(bad).unwrap_err().0, at, "{bad}");
        }
    }

    #[test]
    fn a_hash_has_64_digits() {
        assert!(sha256(&"aB".repeat(32)).is_ok());
        for bad in [
            "",
            "ab",
            &"+1".repeat(32),
            &"zz".repeat(32),
            &"ä".repeat(32),
        ] {
            assert!(sha256(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _refused = (address(&text), endpoint(&text), url(&text), network(&text));
            let _refused = (method(&text), header(&text), sha256(&text), call(&text).is_ok());
            let _refused = (argon2_hash(&text), url_path(&text), media_range(&text));
        }

        #[test]
        fn anything_like_an_endpoint_is_read_or_refused(text in "(http|https)?(://)?[a-z0-9.:\\[\\]@/-]{0,20}") {
            if let Ok(spec) = endpoint(&text) {
                proptest::prop_assert!(!spec.host.is_empty() && spec.port > 0);
            }
        }
    }
}
