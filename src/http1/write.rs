//! Heads and bodies on their way out, built anew from what was understood.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body as _, Frame};

use super::buffer::Output;
use super::chunk::{CHUNK_END, write_end, write_size};
use super::client::OutgoingHead;
use crate::exchange::{Body, BodyError, Headers, Known, date};

/// How a body that is sent is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// There is no body, and no length is announced.
    Absent,
    /// There is no body, but the length that it would have is announced.
    Withheld(u64),
    /// So many bytes are left.
    Exact(u64),
    Chunked,
    /// To HTTP/1.0 clients: the end of the connection is the end of the body.
    UntilClose,
}

impl Encoding {
    /// RFC 9110, 8.6: a length is announced where there is a body, or one was to be expected.
    pub fn of_request(method: &Method, body: &Body) -> Self {
        match body.exact_len() {
            Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {
                Self::Absent
            }
            Some(length) => Self::Exact(length),
            None => Self::Chunked,
        }
    }

    /// RFC 9112, 6.1 and 6.2; RFC 9110, 6.4.1.
    pub fn of_response(method: &Method, http_10: bool, status: StatusCode, body: &Body) -> Self {
        if status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
        {
            return Self::Absent;
        }
        match body.exact_len() {
            Some(length) if method == Method::HEAD => Self::Withheld(length),
            None if method == Method::HEAD => Self::Absent,
            Some(length) => Self::Exact(length),
            None if http_10 => Self::UntilClose,
            None => Self::Chunked,
        }
    }

    fn write(self, text: &mut Vec<u8>) {
        match self {
            Self::Absent | Self::UntilClose => {}
            Self::Withheld(length) | Self::Exact(length) => {
                text.extend_from_slice(b"content-length: ");
                write_number(length, text);
                text.extend_from_slice(b"\r\n");
            }
            Self::Chunked => text.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
    }
}

/// A body on its way out.
pub struct Outgoing {
    body: Body,
    encoding: Encoding,
    going: bool,
}

impl Outgoing {
    pub fn new(body: Body, encoding: Encoding) -> Self {
        Self {
            body,
            going: !matches!(
                encoding,
                Encoding::Absent | Encoding::Withheld(_) | Encoding::Exact(0)
            ),
            encoding,
        }
    }

    /// Whether there is more to be made ready.
    pub const fn is_going(&self) -> bool {
        self.going
    }

    /// Whether a client can tell a body that was cut off from a whole one.
    pub const fn shows_its_end(&self) -> bool {
        matches!(self.encoding, Encoding::Exact(_) | Encoding::Chunked)
    }

    /// Gives the body up.
    pub fn stop(&mut self) {
        self.going = false;
        self.body = Body::Empty;
    }

    /// The next piece of the body.
    pub fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    /// Makes a piece, or the end, ready to be written; how many bytes of body it holds. The
    /// output has room.
    pub fn encode(
        &mut self,
        frame: Option<Frame<Bytes>>,
        output: &mut Output,
    ) -> Result<u64, BodyError> {
        let Some(frame) = frame else {
            return self.encode_end(output);
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                if self.encoding == Encoding::Chunked {
                    write_end(frame.trailers_ref(), output.text());
                    self.stop();
                }
                return Ok(0);
            }
        };
        let len = data.len() as u64;
        if len == 0 {
            return Ok(0);
        }
        match &mut self.encoding {
            Encoding::Absent | Encoding::Withheld(_) => return Ok(0),
            Encoding::Exact(left) => {
                *left = left.checked_sub(len).ok_or(BodyError::Malformed(
                    "it is longer than its announced length",
                ))?;
                let done = *left == 0;
                output.push(data, b"");
                if done {
                    self.stop();
                }
            }
            Encoding::Chunked => {
                write_size(data.len(), output.text());
                output.push(data, CHUNK_END);
            }
            Encoding::UntilClose => output.push(data, b""),
        }
        Ok(len)
    }

    fn encode_end(&mut self, output: &mut Output) -> Result<u64, BodyError> {
        match self.encoding {
            Encoding::Exact(1..) => return Err(BodyError::Incomplete),
            Encoding::Chunked => write_end(None, output.text()),
            _ => {}
        }
        self.stop();
        Ok(0)
    }
}

/// Writes a request head.
pub fn write_request(head: &OutgoingHead<'_>, encoding: Encoding, text: &mut Vec<u8>) {
    text.reserve(head.target.len() + head.host.len() + room(head.headers));
    for part in [
        head.method.as_str(),
        " ",
        head.target,
        " HTTP/1.1\r\nhost: ",
        head.host,
        "\r\n",
    ] {
        text.extend_from_slice(part.as_bytes());
    }
    let mut trailers_wanted = false;
    head.headers.write_to(text, |known, value| {
        trailers_wanted |= known == Known::Te && value.eq_ignore_ascii_case(b"trailers");
        !frames(known) && !matches!(known, Known::Te | Known::Host | Known::Expect)
    });
    encoding.write(text);
    if trailers_wanted {
        write_field(b"te", b"trailers", text);
    }
    match (head.upgrade, trailers_wanted) {
        (Some(protocol), _) => {
            write_field(b"upgrade", protocol.as_bytes(), text);
            let options = if trailers_wanted {
                "upgrade, te"
            } else {
                "upgrade"
            };
            write_field(b"connection", options.as_bytes(), text);
        }
        (None, true) => write_field(b"connection", b"te", text),
        (None, false) => {}
    }
    text.extend_from_slice(b"\r\n");
}

/// What a response head says beside its fields.
pub struct ResponseFacts<'a> {
    pub status: StatusCode,
    pub encoding: Encoding,
    /// `close`, `keep-alive` or nothing.
    pub connection: Option<&'static str>,
    /// With status 101: what is switched to.
    pub upgrade: Option<&'a str>,
}

/// Writes a response head.
pub fn write_response(facts: &ResponseFacts<'_>, headers: &Headers, text: &mut Vec<u8>) {
    text.reserve(room(headers));
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(facts.status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(
        facts
            .status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes(),
    );
    text.extend_from_slice(b"\r\n");
    let mut dated = false;
    headers.write_to(text, |known, _| {
        dated |= known == Known::Date;
        known != Known::Te && !frames(known)
    });
    if !dated && !facts.status.is_informational() {
        date::with_now(|now| write_field(b"date", now.as_bytes(), text));
    }
    facts.encoding.write(text);
    if let Some(protocol) = facts.upgrade {
        write_field(b"connection", b"upgrade", text);
        write_field(b"upgrade", protocol.as_bytes(), text);
    } else if let Some(connection) = facts.connection {
        write_field(b"connection", connection.as_bytes(), text);
    }
    text.extend_from_slice(b"\r\n");
}

/// Whether the field frames the message or governs the connection: then it is made here, never
/// passed on.
const fn frames(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::ContentLength
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

fn write_field(name: &[u8], value: &[u8], text: &mut Vec<u8>) {
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Writes `number` in decimal digits. Formatting does the same six times slower.
fn write_number(mut number: u64, text: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// Room for the fields with their separators, and for what is added to them.
fn room(headers: &Headers) -> usize {
    headers.bytes() + 192
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_digits() {
        for number in [0, 1, 9, 10, 1234, u64::MAX] {
            let mut text = Vec::new();
            write_number(number, &mut text);
            assert_eq!(text, number.to_string().as_bytes());
        }
    }
}
