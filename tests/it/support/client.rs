//! A client that sends exactly the bytes it is told to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::PATIENCE;
use super::message::{Message, Reader, Reply, Side};

/// One connection to the gateway.
pub struct Client {
    reader: Reader<Stream>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self {
            reader: Reader::new(Stream::Plain(socket(address))),
        }
    }

    /// Over TLS, speaking HTTP/1.1, asking for `name`.
    pub fn connect_tls(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, socket(address));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self {
            reader: Reader::new(Stream::Tls(Box::new(stream))),
        })
    }

    /// What the handshake settled.
    pub fn tls(&self) -> &ClientConnection {
        match &self.reader.stream {
            Stream::Tls(stream) => &stream.conn,
            Stream::Plain(_) => panic!("no TLS here"),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).unwrap();
        self
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.stream.write_all(bytes.as_ref())?;
        self.reader.stream.flush()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    pub fn reply(&mut self) -> Reply {
        self.try_reply().unwrap().expect("an answer, not the end")
    }

    /// The next answer; none when the gateway closes instead.
    pub fn try_reply(&mut self) -> io::Result<Option<Reply>> {
        let message = self.reader.message(Side::Response)?;
        Ok(message.map(Reply::of))
    }

    pub fn reply_to_head(&mut self) -> Reply {
        let message = self.reader.message(Side::ResponseToHead).unwrap();
        Reply::of(message.expect("an answer, not the end"))
    }

    /// The head of an answer whose body is read piece by piece.
    pub fn head(&mut self) -> Message {
        self.reader.head().unwrap().expect("an answer, not the end")
    }

    pub fn reader(&mut self) -> &mut Reader<impl Read + use<>> {
        &mut self.reader
    }

    /// Everything until the gateway closes. A reset is an end too.
    pub fn rest(&mut self) -> Vec<u8> {
        self.reader.rest().unwrap_or_default()
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, &[], b"")
    }

    /// Sends a well-formed request and reads its answer.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        self.send(request(method, path, headers, body));
        if method == "HEAD" {
            self.reply_to_head()
        } else {
            self.reply()
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.reader.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }
}

/// The bytes of a well-formed request to `localhost`; with a body, its length is stated.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        head.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// What a TLS client trusts and offers.
pub fn tls_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
