//! An upstream that does what a test tells it: answers, waits, lies, cuts off, never answers.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::PATIENCE;
use super::message::{Message, Reader, Side};

/// A door that is shut until a test opens it.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open; false when that takes longer than any test should.
    pub fn pass(&self) -> bool {
        let shut = self.0.0.lock().unwrap();
        let waited = self.0.1.wait_timeout_while(shut, PATIENCE, |open| !*open);
        *waited.unwrap().0
    }
}

/// What an upstream does about one request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    acts: Vec<Act>,
    after: After,
}

#[derive(Clone, Debug)]
enum Act {
    Send(Vec<u8>),
    /// This many bytes of filling, in pieces.
    Fill(u64),
    Wait(Gate),
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum After {
    #[default]
    KeepAlive,
    Close,
    /// Waits until the gateway closes.
    Hold,
}

impl Answer {
    /// 200 with a JSON body, its length stated.
    pub fn json(body: &str) -> Self {
        Self::with("200 OK", &[("content-type", "application/json")], body)
    }

    pub fn status(status: u16) -> Self {
        Self::with(&format!("{status} Scripted"), &[], "")
    }

    pub fn with(status: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        text.push_str(body);
        Self::raw(text)
    }

    /// Exactly these bytes, and the connection goes on.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::default().send(bytes)
    }

    /// Never a byte.
    pub fn never() -> Self {
        Self::default().hold()
    }

    #[must_use]
    pub fn send(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.acts.push(Act::Send(bytes.into()));
        self
    }

    #[must_use]
    pub fn fill(mut self, bytes: u64) -> Self {
        self.acts.push(Act::Fill(bytes));
        self
    }

    /// Waits for `gate` at this point.
    #[must_use]
    pub fn wait(mut self, gate: &Gate) -> Self {
        self.acts.push(Act::Wait(gate.clone()));
        self
    }

    /// Waits for `gate` before the first byte.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.acts.insert(0, Act::Wait(gate.clone()));
        self
    }

    #[must_use]
    pub const fn close(mut self) -> Self {
        self.after = After::Close;
        self
    }

    #[must_use]
    pub const fn hold(mut self) -> Self {
        self.after = After::Hold;
        self
    }
}

type Script = dyn Fn(&Message) -> Answer + Send + Sync;

/// A running scripted upstream. Its threads end with the connections they serve.
pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Message>,
    connections: usize,
    /// Connections that the gateway closed while an answer was held back.
    abandoned: usize,
}

impl Upstream {
    /// Answers with the body that it got, as JSON.
    pub fn echo() -> Self {
        Self::start(|request| {
            Answer::with(
                "200 OK",
                &[("content-type", "application/json")],
                &String::from_utf8_lossy(&request.body),
            )
        })
    }

    pub fn start(script: impl Fn(&Message) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            changed: Condvar::new(),
        });
        let for_accept = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                for_accept.note(|seen| seen.connections += 1);
                let shared = Arc::clone(&for_accept);
                thread::spawn(move || drop(shared.converse(stream)));
            }
        });
        Self { address, shared }
    }

    /// Answers everything with the same.
    pub fn saying(answer: Answer) -> Self {
        Self::start(move |_| answer.clone())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Message> {
        self.shared.seen.lock().unwrap().requests.clone()
    }

    pub fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().requests.len()
    }

    pub fn connections(&self) -> usize {
        self.shared.seen.lock().unwrap().connections
    }

    /// Waits until `count` requests have come.
    pub fn wait_for_requests(&self, count: usize) {
        self.wait(|seen| seen.requests.len() >= count);
    }

    /// Waits until the gateway has given up `count` held answers.
    pub fn wait_for_abandoned(&self, count: usize) {
        self.wait(|seen| seen.abandoned >= count);
    }

    fn wait(&self, holds: impl Fn(&Seen) -> bool) {
        let seen = self.shared.seen.lock().unwrap();
        let (_seen, timeout) = self
            .shared
            .changed
            .wait_timeout_while(seen, PATIENCE, |seen| !holds(seen))
            .unwrap();
        assert!(!timeout.timed_out(), "waited in vain");
    }
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.changed.notify_all();
    }

    fn converse(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = Reader::new(stream);
        while let Some(request) = reader.message(Side::Request)? {
            let answer = (self.script)(&request);
            self.note(|seen| seen.requests.push(request));
            for act in &answer.acts {
                perform(act, &mut reader.stream)?;
            }
            match answer.after {
                After::KeepAlive => {}
                After::Close => return Ok(()),
                After::Hold => {
                    drop(reader.rest());
                    self.note(|seen| seen.abandoned += 1);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn perform(act: &Act, stream: &mut TcpStream) -> io::Result<()> {
    match act {
        Act::Send(bytes) => stream.write_all(bytes),
        Act::Fill(bytes) => {
            let piece = vec![b' '; 64 * 1024];
            let mut left = *bytes;
            while left > 0 {
                let count = left.min(piece.len() as u64);
                stream.write_all(&piece[..usize::try_from(count).unwrap()])?;
                left -= count;
            }
            Ok(())
        }
        Act::Wait(gate) => {
            gate.pass();
            Ok(())
        }
    }
}

/// An address where nobody listens.
pub fn dead_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
