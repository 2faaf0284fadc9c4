//! The request that a person asks about.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::{Method, Uri};

use crate::exchange::path::PathError;
use crate::exchange::{
    CanonicalPath, Exchange, Head, Headers, Peer, TlsFacts, TrustedPeers, Version,
};

/// Why a request cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("`{0}` is no HTTP method")]
    Method(String),
    #[error("`{0}` is no URL and no path: write https://host/path or /path")]
    Url(String),
    #[error("`{path}` would be answered with 400: {source}")]
    Path { path: String, source: PathError },
    #[error("`{0}` is no header field: write 'name: value'")]
    Header(String),
}

/// The request as the gateway would see it, coming from this machine.
pub(super) fn exchange(
    method: &str,
    url: &str,
    fields: &[String],
) -> Result<Exchange, ExplainError> {
    let method: Method = method
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| ExplainError::Method(method.to_owned()))?;
    let (scheme, mut authority, target) = split(url)?;
    let mut headers = Headers::new();
    for field in fields {
        let wrong = || ExplainError::Header(field.clone());
        let (name, value) = field.split_once(':').ok_or_else(wrong)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "host" {
            value.clone_into(&mut authority);
        } else {
            headers
                .try_append(name.as_bytes(), value.as_bytes())
                .map_err(|_| wrong())?;
        }
    }
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let canonical = CanonicalPath::new(path.to_owned()).map_err(|source| ExplainError::Path {
        path: path.to_owned(),
        source,
    })?;
    let head = Head {
        method,
        path: path.to_owned(),
        query,
        authority,
        version: Version::Http11,
        headers,
    };
    let (peer, trusted) = (Arc::new(from_here(scheme)), TrustedPeers::default());
    Ok(Exchange::begin(head, canonical, None, &peer, &trusted))
}

/// A client on this machine.
fn from_here(scheme: &str) -> Peer {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let tls = (scheme == "https").then_some(TlsFacts {
        server_name: None,
        client_certificate: None,
    });
    Peer::new(here, here, tls, 0)
}

/// Scheme, authority and target. The target is taken as typed: a parser of URLs would tidy up what
/// the gateway is asked about.
fn split(url: &str) -> Result<(&str, String, &str), ExplainError> {
    if url.starts_with('/') {
        return Ok(("https", "localhost".to_owned(), url));
    }
    let wrong = || ExplainError::Url(url.to_owned());
    let (scheme, behind) = url.split_once("://").ok_or_else(wrong)?;
    if !matches!(scheme, "http" | "https") {
        return Err(wrong());
    }
    let end = behind.find(['/', '?', '#']).unwrap_or(behind.len());
    let (authority, target) = behind.split_at_checked(end).ok_or_else(wrong)?;
    let uri: Uri = authority.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?.to_string();
    let target = if target.starts_with('/') { target } else { "/" };
    Ok((scheme, authority, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<(&str, &str)>) {
        let asked = exchange("get", url, &[]).ok();
        let found = asked
            .as_ref()
            .map(|it| (it.host.as_str(), it.path.as_str()));
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn urls_and_paths_are_understood() {
        check("/a/b?c=d#e", Some(("localhost", "/a/b")));
        check(
            "https://Shop.Example.com:8443/a",
            Some(("shop.example.com", "/a")),
        );
        check("http://[::1]:80/a/../b", Some(("[::1]", "/b")));
        check("http://[::1]", Some(("[::1]", "/")));
        check(
            "https://shop.example.com?x",
            Some(("shop.example.com", "/")),
        );
        check("shop.example.com/a", None);
        check("ftp://shop.example.com/a", None);
        check("/a/%zz", None);
    }

    #[test]
    fn fields_and_query_are_those_of_the_request() {
        let fields = ["Host: a.example:81".to_owned(), "X-Beta: 1".to_owned()];
        let asked = exchange("GET", "/a?b=c", &fields).unwrap();
        assert_eq!(asked.host, "a.example");
        assert_eq!(asked.query.as_deref(), Some("b=c"));
        assert_eq!(asked.headers.iter().count(), 1);
        assert!(exchange("GET", "/", &["nonsense".to_owned()]).is_err());
        assert!(exchange("G T", "/", &[]).is_err());
    }
}
