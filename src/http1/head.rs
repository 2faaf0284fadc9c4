//! Request and response heads, from bytes that may come in any pieces (RFC 9112, 2 to 6).

use http::{Method, StatusCode};
use memchr::memchr;

use super::fields::{Coding, Fields, HeadError, HeadLimits, Lines, is_token_byte};
use super::framing::Length;
use super::target::{Target, same_authority};
use crate::exchange::line::is_token;
use crate::exchange::{Head, Headers, METHOD_BYTES_MAX, Version};

/// Room that the fields of a response are given at first, where a body may follow: they seldom
/// need more, and more is slow to allocate.
const RESPONSE_BYTES: usize = 1024;

/// A request head with what it says about its message and its connection.
#[derive(Debug)]
pub struct RequestHead {
    pub head: Head,
    pub length: Length,
    /// Another request may follow.
    pub keep_alive: bool,
    pub expects_continue: bool,
    /// The protocols asked for, when `Connection` lists `upgrade`. Never a version of HTTP, for
    /// that would lead past the routes.
    pub upgrade: Option<String>,
}

/// A response head with what it says about its message and its connection.
#[derive(Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub headers: Headers,
    pub length: Length,
    /// Another request may follow once the body has ended.
    pub keep_alive: bool,
    /// With status 101: the protocol switched to.
    pub upgrade: Option<String>,
}

/// Room for what is added to a request on its way, so that its fields need not move.
const ADDED_BYTES: usize = 320;

/// Reads one request head. What it has consumed it holds, so no byte is looked at twice.
pub struct RequestParser {
    lines: Lines,
    line_bytes: usize,
    start: Option<(Method, Target, Version)>,
    blank_line_seen: bool,
    fields: Fields,
}

impl RequestParser {
    pub fn new(limits: &HeadLimits) -> Self {
        Self {
            lines: Lines::default(),
            line_bytes: limits.line_bytes,
            start: None,
            blank_line_seen: false,
            fields: Fields::new(limits),
        }
    }

    /// Reads on in `input`: how many bytes were consumed, and whether the head is complete. To be
    /// called again with the rest and more; after `true`, with [`RequestParser::finish`].
    pub fn parse(&mut self, input: &mut [u8]) -> Result<(usize, bool), HeadError> {
        let mut at = 0;
        while self.start.is_none() {
            let rest = input.get(at..).unwrap_or_default();
            if rest.first().is_some_and(|&byte| !starts_request(byte)) {
                return Err(HeadError::Malformed("this is not a request line"));
            }
            let Some(line) = self.lines.next(rest)? else {
                // Its last byte may be the CR that ends it.
                return check_line(rest, self.line_bytes + 1).map(|()| (at, false));
            };
            at += line.len() + 2;
            if line.is_empty() && !self.blank_line_seen {
                // RFC 9112, 2.2: one empty line before a request line is forgiven.
                self.blank_line_seen = true;
            } else {
                check_line(line, self.line_bytes)?;
                self.start = Some(request_line(line)?);
                let bytes = rest.len().min(2048) + ADDED_BYTES;
                self.fields.headers = Headers::with_capacity(24, bytes);
            }
        }
        parse_fields(&mut self.lines, &mut self.fields, input, at)
    }

    /// What the complete head says, once.
    pub fn finish(&mut self) -> Result<RequestHead, HeadError> {
        let Some((method, target, version)) = self.start.take() else {
            return Err(HeadError::Malformed("the request has no request line"));
        };
        self.fields.remove_listed();
        let framing = &mut self.fields.framing;
        let http_10 = version == Version::Http10;
        let keep_alive = framing.persists(http_10);
        let length = match (framing.coding, framing.content_length) {
            (Coding::None, length) => Length::Exact(length.unwrap_or(0)),
            // RFC 9112, 6.1: a request that says both was made to be misunderstood.
            (_, Some(_)) => {
                return Err(HeadError::Malformed(
                    "`Content-Length` stands beside `Transfer-Encoding`",
                ));
            }
            (_, None) if http_10 => {
                return Err(HeadError::Malformed("HTTP/1.0 has no `Transfer-Encoding`"));
            }
            (Coding::Chunked, None) => Length::Chunked,
            (Coding::Unsupported, None) => {
                return Err(HeadError::NotImplemented(
                    "no transfer coding but `chunked` is understood here",
                ));
            }
        };
        if method == Method::TRACE && length != Length::Exact(0) {
            return Err(HeadError::Malformed("a TRACE request has no content"));
        }
        if framing.expects_more {
            return Err(HeadError::Expectation);
        }
        let authority = authority(framing.host.take(), target.authority, http_10)?;
        Ok(RequestHead {
            upgrade: framing
                .upgrade
                .take()
                .filter(|protocols| framing.upgrade_listed && !http_10 && !names_http(protocols)),
            // RFC 9110, 10.1.1: an older client cannot have meant it.
            expects_continue: framing.expects_continue && !http_10 && length != Length::Exact(0),
            length,
            keep_alive,
            head: Head {
                method,
                path: target.path,
                query: target.query,
                authority,
                version,
                headers: std::mem::take(&mut self.fields.headers),
            },
        })
    }
}

/// Refuses a start line that is too long.
const fn check_line(line: &[u8], line_bytes: usize) -> Result<(), HeadError> {
    if line.len() > line_bytes {
        return Err(HeadError::LineTooLong);
    }
    Ok(())
}

/// Takes the field lines that stand in `input` from `at` on: where it came to, and whether the
/// head is complete.
fn parse_fields(
    lines: &mut Lines,
    fields: &mut Fields,
    input: &mut [u8],
    at: usize,
) -> Result<(usize, bool), HeadError> {
    let (len, complete) = fields.take(lines, input.get_mut(at..).unwrap_or_default())?;
    Ok((at + len, complete))
}

fn starts_request(byte: u8) -> bool {
    is_token_byte(byte) || byte == b'\r'
}

/// `method SP request-target SP HTTP-version` (RFC 9112, 3).
fn request_line(line: &[u8]) -> Result<(Method, Target, Version), HeadError> {
    // A method is short: to search it otherwise costs more.
    let method_end = line.iter().position(|&byte| byte == b' ');
    let words = method_end.and_then(|end| {
        let (method, rest) = line.split_at_checked(end)?;
        let rest = rest.get(1..)?;
        let (target, version) = rest.split_at_checked(memchr(b' ', rest)?)?;
        Some((method, target, version.get(1..)?))
    });
    let Some((method, target, version)) = words else {
        return Err(HeadError::Malformed(
            "the request line is not a method, a target and a version",
        ));
    };
    if !is_token(method) {
        return Err(HeadError::Malformed("the method is not a token"));
    }
    let version = read_version(version)?;
    if method.len() > METHOD_BYTES_MAX {
        return Err(HeadError::NotImplemented("this method is not known here"));
    }
    let Ok(method) = Method::from_bytes(method) else {
        return Err(HeadError::Malformed("the method is not a token"));
    };
    if method == Method::CONNECT {
        return Err(HeadError::NotImplemented("CONNECT is not served here"));
    }
    let target = Target::parse(&method, target)?;
    Ok((method, target, version))
}

/// RFC 9112, 2.3; a higher minor version is read as 1.1 (RFC 9110, 6.2).
fn read_version(version: &[u8]) -> Result<Version, HeadError> {
    match version {
        _ if version == b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            if *major == b'1' {
                Ok(Version::Http11)
            } else {
                Err(HeadError::Version)
            }
        }
        _ => Err(HeadError::Malformed("the HTTP version is malformed")),
    }
}

/// RFC 9112, 3.2: every request but an HTTP/1.0 one has a `Host`, which an absolute-form target
/// repeats.
fn authority(
    host: Option<String>,
    target: Option<(String, bool)>,
    http_10: bool,
) -> Result<String, HeadError> {
    match (host, target) {
        (Some(host), None) => Ok(host),
        (Some(host), Some((target, https))) if same_authority(&host, &target, https) => Ok(host),
        (Some(_), Some(_)) => Err(HeadError::Malformed(
            "`Host` names another host than the request target",
        )),
        (None, target) if http_10 => Ok(target.map(|(target, _)| target).unwrap_or_default()),
        (None, _) => Err(HeadError::Malformed("there is no `Host`")),
    }
}

/// Whether a version of HTTP itself is asked for.
fn names_http(protocols: &str) -> bool {
    protocols.split(',').any(|protocol| {
        let name = protocol.trim().split('/').next().unwrap_or_default();
        ["h2c", "h2", "http"]
            .iter()
            .any(|http| name.eq_ignore_ascii_case(http))
    })
}

/// Reads one response head, interim or final.
pub struct ResponseParser {
    lines: Lines,
    line_bytes: usize,
    start: Option<(StatusCode, bool)>,
    fields: Fields,
}

impl ResponseParser {
    pub fn new(limits: &HeadLimits) -> Self {
        Self {
            lines: Lines::default(),
            line_bytes: limits.line_bytes,
            start: None,
            fields: Fields::new(limits),
        }
    }

    /// As [`RequestParser::parse`].
    pub fn parse(&mut self, input: &mut [u8]) -> Result<(usize, bool), HeadError> {
        let mut at = 0;
        if self.start.is_none() {
            if input.first().is_some_and(|&byte| byte != b'H') {
                return Err(HeadError::Malformed("this is not a status line"));
            }
            let Some(line) = self.lines.next(input)? else {
                return check_line(input, self.line_bytes + 1).map(|()| (0, false));
            };
            check_line(line, self.line_bytes)?;
            at = line.len() + 2;
            self.start = Some(status_line(line)?);
            let room = (input.len() - at).min(RESPONSE_BYTES);
            self.fields.headers = Headers::with_capacity(16, room);
        }
        parse_fields(&mut self.lines, &mut self.fields, input, at)
    }

    /// What the complete head says in answer to a request with `method` (RFC 9112, 6.3).
    pub fn finish(&mut self, method: &Method) -> Result<ResponseHead, HeadError> {
        let Some((status, http_10)) = self.start else {
            return Err(HeadError::Malformed("the response has no status line"));
        };
        self.fields.remove_listed();
        let framing = &mut self.fields.framing;
        check_coding(framing.coding, framing.content_length, http_10)?;
        let mut keep_alive = framing.persists(http_10);
        let announced = framing.coding == Coding::Chunked || framing.content_length > Some(0);
        let length = if status.is_informational() || status == StatusCode::NO_CONTENT {
            // It must not announce a body; where it does, one may follow.
            keep_alive &= !announced;
            Length::NONE
        } else if status == StatusCode::NOT_MODIFIED {
            Length::NONE
        } else if method == Method::HEAD {
            framing
                .content_length
                .map_or(Length::NONE, Length::Withheld)
        } else if framing.coding == Coding::Chunked {
            Length::Chunked
        } else if let Some(length) = framing.content_length {
            Length::Exact(length)
        } else {
            keep_alive = false;
            Length::UntilClose
        };
        Ok(ResponseHead {
            status,
            headers: std::mem::take(&mut self.fields.headers),
            length,
            keep_alive,
            upgrade: framing
                .upgrade
                .take()
                .filter(|_| framing.upgrade_listed && status == StatusCode::SWITCHING_PROTOCOLS),
        })
    }
}

/// RFC 9112, 6.1 and 6.3: no response may leave open how far it reaches.
const fn check_coding(
    coding: Coding,
    content_length: Option<u64>,
    http_10: bool,
) -> Result<(), HeadError> {
    let reason = match coding {
        Coding::Unsupported => "`Transfer-Encoding` is one that was not asked for",
        Coding::Chunked if content_length.is_some() => {
            "`Content-Length` stands beside `Transfer-Encoding`"
        }
        Coding::Chunked if http_10 => "HTTP/1.0 has no `Transfer-Encoding`",
        Coding::None | Coding::Chunked => return Ok(()),
    };
    Err(HeadError::Malformed(reason))
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112, 4). The second space may be
/// missing where there is no reason. The second value: it is HTTP/1.0.
fn status_line(line: &[u8]) -> Result<(StatusCode, bool), HeadError> {
    const WRONG: HeadError = HeadError::Malformed("the status line is malformed");
    let (version, rest) = line.split_at_checked(8).ok_or(WRONG)?;
    let http_10 = read_version(version)? == Version::Http10;
    let [b' ', hundreds, tens, ones, reason @ ..] = rest else {
        return Err(WRONG);
    };
    let fine = match reason {
        [] => true,
        [b' ', reason @ ..] => reason
            .iter()
            .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)),
        _ => false,
    };
    let (true, b'1'..=b'5') = (fine, hundreds) else {
        return Err(WRONG);
    };
    let status = StatusCode::from_bytes(&[*hundreds, *tens, *ones]).map_err(|_| WRONG)?;
    Ok((status, http_10))
}
