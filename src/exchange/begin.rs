//! From a request as received to an exchange: one path, one host, one client, one id.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::time::Instant;

use super::{
    CanonicalPath, Exchange, Head, Headers, Known, Peer, Protocol, RequestId, TraceContext,
    WallTime,
};

/// Peers whose forwarding fields are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedPeers(Vec<IpNet>);

impl TrustedPeers {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: walking back from the peer, the first one that is not trusted to
    /// speak for others.
    fn client(&self, peer: IpAddr, headers: &Headers) -> IpAddr {
        let mut client = peer.to_canonical();
        let fields: Vec<&[u8]> = headers.all_known(Known::XForwardedFor).collect();
        for field in fields.iter().rev() {
            let Ok(text) = std::str::from_utf8(field) else {
                return client;
            };
            for hop in text.rsplit(',') {
                if !self.contains(client) {
                    return client;
                }
                let Some(address) = address_of(hop.trim()) else {
                    return client;
                };
                client = address;
            }
        }
        client
    }
}

/// An address as `X-Forwarded-For` holds it: perhaps bracketed, perhaps with a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next())
        .unwrap_or(text);
    let address: Option<IpAddr> = bare.parse().ok();
    address
        .or_else(|| {
            let socket: Option<std::net::SocketAddr> = text.parse().ok();
            socket.map(|socket| socket.ip())
        })
        .map(|address| address.to_canonical())
}

impl Exchange {
    /// Takes a head in, whose path has been brought to its one form.
    pub fn begin(
        head: Head,
        path: CanonicalPath,
        upgrade: Option<Protocol>,
        peer: &Arc<Peer>,
        trusted: &TrustedPeers,
    ) -> Self {
        let believed = trusted.contains(peer.address.ip());
        let (client, scheme, id) = if believed {
            (
                trusted.client(peer.address.ip(), &head.headers),
                forwarded_scheme(&head.headers).unwrap_or(peer.scheme()),
                head.headers
                    .known(Known::XRequestId)
                    .map_or_else(RequestId::new, RequestId::given),
            )
        } else {
            (
                peer.address.ip().to_canonical(),
                peer.scheme(),
                RequestId::new(),
            )
        };
        Self {
            id,
            method: head.method,
            path,
            query: head.query,
            host: host_of(&head.authority),
            authority: head.authority,
            version: head.version,
            trace: TraceContext::of(head.headers.known(Known::Traceparent)),
            headers: head.headers,
            upgrade,
            peer: Arc::clone(peer),
            peer_trusted: believed,
            client,
            scheme,
            started: Instant::now(),
            time: WallTime::default(),
        }
    }
}

fn forwarded_scheme(headers: &Headers) -> Option<&'static str> {
    match headers.known(Known::XForwardedProto)? {
        b"https" => Some("https"),
        b"http" => Some("http"),
        _ => None,
    }
}

/// Lower case, without port and without the dot that marks a name as complete.
fn host_of(authority: &str) -> String {
    // What stands behind the last colon is a port where it is all digits: in a bracketed address
    // the bracket follows.
    let last = authority.bytes().rposition(|end| !end.is_ascii_digit());
    let name = last
        .and_then(|last| authority.split_at_checked(last))
        .filter(|(_, port)| port.starts_with(':'))
        .map_or(authority, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_port_and_one_case() {
        for (authority, host) in [
            ("Example.COM", "example.com"),
            ("example.com:8443", "example.com"),
            ("example.com.:80", "example.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("", ""),
            (":1", ""),
            ("a:", "a"),
            ("80", "80"),
            ("a80", "a80"),
        ] {
            assert_eq!(host_of(authority), host);
        }
    }

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted = TrustedPeers::new(trusted.iter().map(|net| net.parse().unwrap()).collect());
        let mut headers = Headers::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.as_bytes());
        }
        trusted.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_peers_speak_for_others() {
        let inside = &["10.0.0.0/8"][..];
        assert_eq!(client(&[], "10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
        assert_eq!(client(inside, "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(
            client(inside, "10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.9"]),
            "1.2.3.4"
        );
        assert_eq!(
            client(inside, "10.0.0.1", &["6.6.6.6", "1.2.3.4"]),
            "1.2.3.4"
        );
        assert_eq!(client(inside, "10.0.0.1", &["garbage"]), "10.0.0.1");
        assert_eq!(
            client(inside, "10.0.0.1", &["[2001:db8::1]:44"]),
            "2001:db8::1"
        );
        assert_eq!(client(inside, "9.9.9.9", &["1.2.3.4"]), "9.9.9.9");
    }
}
