//! HTTP/1.1 messages as tests read them: plain code that shares nothing with the gateway's own.

use std::io::{self, ErrorKind, Read};

/// Head and body of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Request line or status line.
    pub first: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Behind a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// A response as a client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Reply {
    pub fn of(message: Message) -> Self {
        let status = message.first.split(' ').nth(1).unwrap_or_default();
        Self {
            status: status
                .parse()
                .unwrap_or_else(|_| panic!("no status: {}", message.first)),
            headers: message.headers,
            body: message.body,
            trailers: message.trailers,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// Asserts the status and shows the whole answer when it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{:?}\n{}",
            self.headers,
            String::from_utf8_lossy(&self.body)
        );
        self
    }
}

/// How the end of a body is found where the head does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Without a length there is no body.
    Request,
    /// Without a length the body goes on until the connection closes.
    Response,
    /// To HEAD: there is no body, whatever the head says.
    ResponseToHead,
}

/// Reads messages from a stream, one after another.
pub struct Reader<S> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl<S: Read> Reader<S> {
    pub const fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next message; none when the stream ends before its first byte.
    pub fn message(&mut self, side: Side) -> io::Result<Option<Message>> {
        let Some(mut message) = self.head()? else {
            return Ok(None);
        };
        let status = message.first.split(' ').nth(1).unwrap_or_default();
        let bodiless = side == Side::ResponseToHead
            || (side == Side::Response && matches!(status, "100" | "101" | "103" | "204" | "304"));
        let chunked = message
            .header("transfer-encoding")
            .is_some_and(|coding| coding.ends_with("chunked"));
        let length = message.header("content-length").map(str::parse);
        if bodiless {
        } else if chunked {
            loop {
                let size = self.line()?;
                let size = usize::from_str_radix(size.split(';').next().unwrap(), 16)
                    .map_err(|_| broken(&format!("chunk size `{size}`")))?;
                if size == 0 {
                    break;
                }
                let chunk = self.exactly(size)?;
                message.body.extend_from_slice(&chunk);
                self.line()?;
            }
            message.trailers = self.fields()?;
        } else if let Some(length) = length {
            let length = length.map_err(|_| broken("content-length"))?;
            message.body = self.exactly(length)?;
        } else if side == Side::Response {
            message.body = self.rest()?;
        }
        Ok(Some(message))
    }

    /// The next head alone; none when the stream ends before its first byte.
    pub fn head(&mut self) -> io::Result<Option<Message>> {
        if self.buffer.is_empty() && !self.fill()? {
            return Ok(None);
        }
        let first = self.line()?;
        let headers = self.fields()?;
        Ok(Some(Message {
            first,
            headers,
            ..Message::default()
        }))
    }

    fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Bytes up to `mark`, which is read too.
    pub fn until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.buffer.windows(mark.len()).position(|it| it == mark);
            if let Some(at) = found {
                return Ok(self.buffer.drain(..at + mark.len()).collect());
            }
            if !self.fill()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub fn line(&mut self) -> io::Result<String> {
        let line = self.until(b"\r\n")?;
        Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
    }

    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        let count = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
