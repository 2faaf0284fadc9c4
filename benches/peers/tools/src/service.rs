//! `service PORT...`: answers every request with a JSON document, in one thread, as cheaply as it can.
//!
//! The last segment of the path is the size in bytes: `200`, `2k`, `1m`; anything else is 200. A request
//! body with a Content-Length is read and dropped. Connections live until the client closes them.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

fn main() -> Result<()> {
    let mut poll = Poll::new()?;
    let mut listeners = Vec::new();
    for port in std::env::args().skip(1) {
        let port = port.parse().map_err(std::io::Error::other)?;
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
        poll.registry()
            .register(&mut listener, Token(listeners.len()), Interest::READABLE)?;
        listeners.push(listener);
    }
    let mut answers = HashMap::new();
    let mut clients: HashMap<Token, Client> = HashMap::new();
    let mut next = listeners.len();
    let mut events = Events::with_capacity(1024);
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            if error.kind() == ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        for event in &events {
            if let Some(listener) = listeners.get(event.token().0) {
                while let Ok((mut stream, _)) = listener.accept() {
                    let token = Token(next);
                    next += 1;
                    stream.set_nodelay(true)?;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, token, both)?;
                    clients.insert(token, Client::new(stream));
                }
            } else if let Some(client) = clients.get_mut(&event.token())
                && client.go_on(&mut answers).is_err()
            {
                clients.remove(&event.token());
            }
        }
    }
}

type Answers = HashMap<usize, Rc<[u8]>>;

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
    /// Bytes of `read` that are there.
    filled: usize,
    /// Bytes of a request body that are still to come.
    body: usize,
    /// What that request is answered with.
    asked: Option<usize>,
    /// What is being written, and how much of it has gone.
    writing: Option<(Rc<[u8]>, usize)>,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            read: vec![0; 32 * 1024],
            filled: 0,
            body: 0,
            asked: None,
            writing: None,
        }
    }

    /// Reads and writes until the socket has no more of either. An error: the client is gone.
    fn go_on(&mut self, answers: &mut Answers) -> Result<()> {
        loop {
            if !self.write()? {
                return Ok(());
            }
            if self.take_request(answers) {
                continue;
            }
            if self.filled == self.read.len() {
                return Err(ErrorKind::InvalidData.into());
            }
            match self.stream.read(&mut self.read[self.filled..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    // A read that did not fill the buffer took all there was: the next readiness is an event.
                    let all = count < self.read.len() - self.filled;
                    self.filled += count;
                    if self.take_request(answers) {
                        continue;
                    }
                    if all {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// False: the socket takes no more for now.
    fn write(&mut self) -> Result<bool> {
        while let Some((answer, sent)) = &mut self.writing {
            match self.stream.write(&answer[*sent..]) {
                Ok(count) => *sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if *sent == answer.len() {
                self.writing = None;
            }
        }
        Ok(true)
    }

    /// Takes bytes off what was read. True: there is an answer to write.
    fn take_request(&mut self, answers: &mut Answers) -> bool {
        let mut start = 0;
        if self.asked.is_none()
            && let Some(end) = self.read[..self.filled]
                .windows(4)
                .position(|it| it == b"\r\n\r\n")
        {
            let head = &self.read[..end];
            self.asked = Some(size_of(head));
            self.body = length_of(head);
            start = end + 4;
        }
        if self.asked.is_some() {
            let taken = self.body.min(self.filled - start);
            self.body -= taken;
            start += taken;
        }
        self.read.copy_within(start..self.filled, 0);
        self.filled -= start;
        if self.body > 0 {
            return false;
        }
        let Some(size) = self.asked.take() else {
            return false;
        };
        let answer = answers.entry(size).or_insert_with(|| document(size));
        self.writing = Some((Rc::clone(answer), 0));
        true
    }
}

/// The size that the last segment of the path asks for.
fn size_of(head: &[u8]) -> usize {
    let path = head.split(|it| *it == b' ').nth(1).unwrap_or_default();
    let path = path.split(|it| *it == b'?').next().unwrap_or_default();
    let last = path.rsplit(|it| *it == b'/').next().unwrap_or_default();
    let text = std::str::from_utf8(last).unwrap_or_default();
    let (digits, unit) = match text.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => match text.strip_suffix('m') {
            Some(digits) => (digits, 1_000_000),
            None => (text, 1),
        },
    };
    let size = digits.parse().unwrap_or(200) * unit;
    if (100..=10_000_000).contains(&size) {
        size
    } else {
        200
    }
}

fn length_of(head: &[u8]) -> usize {
    // Only requests with a body need their fields read.
    if head.starts_with(b"GET") {
        return 0;
    }
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = text.split("\r\ncontent-length:").nth(1);
    let digits = value.and_then(|it| it.split("\r\n").next());
    digits.and_then(|it| it.trim().parse().ok()).unwrap_or(0)
}

/// A response whose body is a JSON object of `size` bytes.
fn document(size: usize) -> Rc<[u8]> {
    let mut body = String::from(r#"{"id":12345,"items":["#);
    let mut n = 0;
    while body.len() + 120 < size {
        body += &format!(
            r#"{{"sku":"A-{n:06}","quantity":{},"price":{}.50,"tags":["new","gift"]}},"#,
            n % 9,
            n % 97
        );
        n += 1;
    }
    let rest = size - body.len() - 4;
    body += &format!("\"{}\"]}}", "p".repeat(rest));
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nX-Served-By: service-1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat().into()
}
