//! A small HTTP client for the gateway's own errands, such as key sets.
//!
//! One GET, one connection, everything bounded. Redirects are not followed: where keys come from
//! is what the file says, not what a server answers. For the control runtime; workers never use it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, HOST, HeaderValue, USER_AGENT};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// From the first packet to the last byte of the answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer's body.
const BYTES_MAX: usize = 1024 * 1024;
/// Bytes of an answer's head, and of what is read at once.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Fetches documents over http and https.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
    time_max: Duration,
}

/// Where a document is: an absolute `http` or `https` URL without userinfo or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    authority: Authority,
    target: PathAndQuery,
    tls: bool,
}

/// A document that came with status 200.
#[derive(Clone, Debug)]
pub struct Document {
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why a document did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the answer is broken: {0}")]
    Answer(String),
    #[error("the answer's status is {0}, not 200")]
    Status(StatusCode),
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

impl Url {
    /// An error says what is wrong with the text, for `check`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .parse()
            .map_err(|error: http::uri::InvalidUri| format!("`{text}` is not a URL: {error}"))?;
        let parts = uri.into_parts();
        let tls = match parts.scheme.as_ref().map(http::uri::Scheme::as_str) {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("`{text}` starts with neither https:// nor http://")),
        };
        let Some(authority) = parts.authority else {
            return Err(format!("`{text}` names no host"));
        };
        if authority.as_str().contains('@') {
            return Err("a URL with a name or password in it is not fetched".to_owned());
        }
        if ServerName::try_from(bare(authority.host())).is_err() {
            return Err(format!("`{}` is not a host", authority.host()));
        }
        if text.contains('#') {
            return Err(format!("`{text}` has a fragment, which is never sent"));
        }
        Ok(Self {
            text: text.to_owned(),
            target: parts
                .path_and_query
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            authority,
            tls,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub const fn is_https(&self) -> bool {
        self.tls
    }

    fn port(&self) -> u16 {
        self.authority
            .port_u16()
            .unwrap_or(if self.tls { 443 } else { 80 })
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
}

impl Client {
    /// Trusts the public authorities and those in `authorities`.
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, FetchError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        for authority in authorities {
            roots.add(authority.clone()).map_err(tls_error)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls_error)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(tls)),
            time_max: TIME_MAX,
        })
    }

    /// The same client with another bound on the time of a whole errand.
    pub const fn within(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    /// Fetches `url`. Only status 200 counts; a redirect does not.
    pub async fn get(&self, url: &Url) -> Result<Document, FetchError> {
        tokio::time::timeout(self.time_max, self.run(url))
            .await
            .map_err(|_| FetchError::Timeout(self.time_max))?
    }

    async fn run(&self, url: &Url) -> Result<Document, FetchError> {
        let host = bare(url.authority.host());
        let stream = TcpStream::connect((host, url.port()))
            .await
            .map_err(|error| FetchError::Connect(error.to_string()))?;
        if !url.tls {
            return ask(stream, url).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(tls_error)?;
        let stream = self.tls.connect(name, stream).await.map_err(tls_error)?;
        ask(stream, url).await
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("time_max", &self.time_max)
            .finish_non_exhaustive()
    }
}

async fn ask<S>(stream: S, url: &Url) -> Result<Document, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(answer_error)?;
    // Dropping the set ends the connection, whichever way this function ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = Uri::from(url.target.clone());
    let headers = request.headers_mut();
    headers.insert(
        HOST,
        HeaderValue::from_str(url.authority.as_str()).map_err(answer_error)?,
    );
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("concertina"));
    let response = sender.send_request(request).await.map_err(answer_error)?;
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(FetchError::Status(head.status));
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(answer_error)?.into_data() {
            if bytes.len() + piece.len() > BYTES_MAX {
                return Err(FetchError::TooLarge(BYTES_MAX));
            }
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(Document {
        headers: head.headers,
        body: bytes.freeze(),
    })
}

fn tls_error(error: impl std::fmt::Display) -> FetchError {
    FetchError::Tls(error.to_string())
}

fn answer_error(error: impl std::fmt::Display) -> FetchError {
    FetchError::Answer(error.to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls_pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Answers one connection with `answer`; gives the address and what was asked.
    async fn serve(answer: Vec<u8>) -> (String, JoinSet<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            talk(stream, answer).await
        });
        (address, tasks)
    }

    async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Vec<u8>) -> String {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.unwrap());
        }
        // The client may stop reading in the middle.
        drop(stream.write_all(&answer).await);
        drop(stream.shutdown().await);
        String::from_utf8(asked).unwrap()
    }

    async fn get(answer: &[u8]) -> Result<Document, FetchError> {
        let (address, _tasks) = serve(answer.to_vec()).await;
        let url = Url::parse(&format!("http://{address}/keys?a=b")).unwrap();
        Client::new(&[]).unwrap().get(&url).await
    }

    #[tokio::test]
    async fn a_document_is_fetched_over_http() {
        let (address, mut tasks) = serve(
            b"HTTP/1.1 200 OK\r\ncache-control: max-age=9\r\ncontent-length: 2\r\n\r\n{}".to_vec(),
        )
        .await;
        let url = Url::parse(&format!("http://{address}/keys?a=b")).unwrap();
        let document = Client::new(&[]).unwrap().get(&url).await.unwrap();
        assert_eq!(document.body, Bytes::from_static(b"{}"));
        assert_eq!(document.headers.get("cache-control").unwrap(), "max-age=9");
        let asked = tasks.join_next().await.unwrap().unwrap();
        assert!(asked.starts_with("GET /keys?a=b HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: {address}\r\n")), "{asked}");
    }

    #[tokio::test]
    async fn a_document_is_fetched_over_https_from_a_trusted_server_only() {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec();
            let (stranger, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stranger).await.is_err());
            let (friend, _) = listener.accept().await.unwrap();
            talk(acceptor.accept(friend).await.unwrap(), answer).await;
        });
        let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
        let stranger = Client::new(&[]).unwrap().get(&url).await;
        assert!(matches!(stranger, Err(FetchError::Tls(_))), "{stranger:?}");
        let friend = Client::new(&[cert.der().clone()]).unwrap();
        assert_eq!(
            friend.get(&url).await.unwrap().body,
            Bytes::from_static(b"{}")
        );
    }

    #[tokio::test]
    async fn what_is_no_document_is_an_error() {
        let moved = get(b"HTTP/1.1 302 Found\r\nlocation: http://a/\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(
            moved.await.err(),
            Some(FetchError::Status(StatusCode::FOUND))
        );
        let cut = get(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}").await;
        assert!(matches!(cut, Err(FetchError::Answer(_))), "{cut:?}");
        let noise = get(b"SSH-2.0-x\r\n\r\n").await;
        assert!(matches!(noise, Err(FetchError::Answer(_))), "{noise:?}");
        let mut huge = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        huge.resize(BYTES_MAX + 100, b' ');
        assert_eq!(
            get(&huge).await.err(),
            Some(FetchError::TooLarge(BYTES_MAX))
        );
        let mut head = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        head.resize(BYTES_MAX, b'x');
        assert!(matches!(get(&head).await, Err(FetchError::Answer(_))));
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = Url::parse(&format!("http://{address}/")).unwrap();
        let time_max = Duration::from_millis(20);
        let silent = Client::new(&[]).unwrap().within(time_max).get(&url).await;
        assert_eq!(silent.err(), Some(FetchError::Timeout(time_max)));
        drop(listener);
        let dead = Client::new(&[]).unwrap().get(&url).await;
        assert!(matches!(dead, Err(FetchError::Connect(_))), "{dead:?}");
    }

    #[test]
    fn a_url_is_absolute_and_of_the_web() {
        for good in [
            "http://a",
            "https://a.b:1/c?d=e",
            "http://[::1]:80/",
            "https://127.0.0.1/x",
        ] {
            assert!(Url::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/x",
            "a.b/c",
            "ftp://a/",
            "file:///etc/passwd",
            "https://",
            "https://u:p@a/",
            "http://a/#b",
            "http://a b/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
