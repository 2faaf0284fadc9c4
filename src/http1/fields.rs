//! Field lines, and what those that frame a message say (RFC 9112, 5 and 6; RFC 9110, 7.6).

use http::StatusCode;
use memchr::memchr;

use super::target::read_host;
use crate::exchange::headers::FieldError;
use crate::exchange::line::{LineError, NAME_BYTES_MAX, is_token, trim};
use crate::exchange::{Headers, Known};

const BARE_LF: &str = "a line ends in LF without CR";
const CONTROL: &str = "a field value holds a control character";

/// How many options `Connection` may list.
const CONNECTION_OPTIONS_MAX: usize = 32;

/// Bounds on a head and on trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Longest request line or status line, in bytes. RFC 9112, 3 asks for 8000 at least.
    pub line_bytes: usize,
    /// All field lines of a head together, in bytes.
    pub header_bytes: usize,
    /// How many field lines.
    pub headers: usize,
    /// All trailer lines together, in bytes.
    pub trailer_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            line_bytes: 8 * 1024,
            header_bytes: 32 * 1024,
            headers: 100,
            trailer_bytes: 8 * 1024,
        }
    }
}

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the start line is too long")]
    LineTooLong,
    #[error("the header fields are larger than allowed")]
    TooLarge,
    #[error("there are more header fields than allowed")]
    TooMany,
    #[error("{0}")]
    NotImplemented(&'static str),
    #[error("this version of HTTP is not spoken here")]
    Version,
    #[error("`Expect` asks for something other than `100-continue`")]
    Expectation,
}

impl HeadError {
    /// What a client is answered.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::LineTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge | Self::TooMany => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
        }
    }

    /// The same in words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed(reason) | Self::NotImplemented(reason) => reason,
            Self::LineTooLong => "the start line is too long",
            Self::TooLarge => "the header fields are larger than allowed",
            Self::TooMany => "there are more header fields than allowed",
            Self::Version => "this version of HTTP is not spoken here",
            Self::Expectation => "`Expect` asks for something other than `100-continue`",
        }
    }
}

/// Finds line ends, looking at a byte for that once however the bytes arrive.
#[derive(Default)]
pub struct Lines {
    /// How many bytes of the unconsumed input are known to hold no LF.
    searched: usize,
}

impl Lines {
    /// The line at the start of `input`, without its CRLF; none while its end has not come. The
    /// line has the length of the result plus 2.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, HeadError> {
        let rest = input.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr(b'\n', rest) else {
            self.searched = input.len();
            return Ok(None);
        };
        let line = input.get(..self.searched + found).unwrap_or_default();
        self.searched = 0;
        match line.split_last() {
            Some((b'\r', line)) => Ok(Some(line)),
            _ => Err(HeadError::Malformed(BARE_LF)),
        }
    }

    /// Whether a line may stand at the start of `input`: its end has come, or nobody has looked.
    pub fn may_stand(&mut self, input: &[u8]) -> bool {
        if self.searched > 0 {
            let rest = input.get(self.searched..).unwrap_or_default();
            if memchr(b'\n', rest).is_none() {
                self.searched = input.len();
                return false;
            }
            self.searched = 0;
        }
        true
    }
}

/// The fields of a head under way: those that frame the message are understood and kept apart,
/// all others are collected.
pub struct Fields {
    pub headers: Headers,
    pub framing: Framing,
    bytes_free: usize,
    lines_free: usize,
}

impl Fields {
    pub fn new(limits: &HeadLimits) -> Self {
        Self {
            headers: Headers::new(),
            framing: Framing::default(),
            bytes_free: limits.header_bytes,
            lines_free: limits.headers,
        }
    }

    /// Takes the field lines that stand complete at the start of `input`, where their names are put
    /// in lower case: as [`Headers::take_lines`]. `lines` knows which ends were looked for.
    pub fn take(
        &mut self,
        lines: &mut Lines,
        input: &mut [u8],
    ) -> Result<(usize, bool), HeadError> {
        if !lines.may_stand(input) {
            return self.check_rest(input.len()).map(|()| (0, false));
        }
        let Self {
            headers,
            framing,
            bytes_free,
            lines_free,
        } = self;
        let taken = headers.take_lines(input, |known, value, len| {
            *bytes_free = bytes_free.checked_sub(len).ok_or(HeadError::TooLarge)?;
            *lines_free = lines_free.checked_sub(1).ok_or(HeadError::TooMany)?;
            Ok::<_, Refused>(!framing.take(known, value)?)
        });
        let (len, complete) = taken.map_err(|refused| match refused {
            Refused::Head(error) => error,
            Refused::Line(error) => wrong_line(error, input),
        })?;
        if !complete {
            lines.searched = input.len() - len;
            self.check_rest(lines.searched)?;
        }
        Ok((len, complete))
    }

    /// Refuses a line under way that is longer than any may be.
    const fn check_rest(&self, len: usize) -> Result<(), HeadError> {
        if len > self.bytes_free {
            return Err(HeadError::TooLarge);
        }
        Ok(())
    }

    /// Removes what `Connection` lists: it was meant for this hop alone.
    pub fn remove_listed(&mut self) {
        let listed = std::mem::take(&mut self.framing.listed);
        if !listed.is_empty() {
            self.headers
                .retain(|_, name| !listed.iter().any(|listed| **listed == *name));
        }
    }
}

/// Why lines were refused.
enum Refused {
    Head(HeadError),
    Line(LineError),
}

impl From<HeadError> for Refused {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<LineError> for Refused {
    fn from(error: LineError) -> Self {
        Self::Line(error)
    }
}

/// What is wrong with one of `lines`.
fn wrong_line(error: LineError, lines: &[u8]) -> HeadError {
    HeadError::Malformed(match error {
        LineError::Value => CONTROL,
        LineError::BareLf => BARE_LF,
        LineError::Name(at) => {
            let rest = lines.get(at..).unwrap_or_default();
            let line = rest.split(|&byte| byte == b'\n').next();
            let line = line.unwrap_or_default();
            let whole = line.strip_suffix(b"\r");
            match line.iter().position(|&byte| byte == b':') {
                Some(colon) => wrong_name(line.get(..colon).unwrap_or_default(), true),
                // An empty line, perhaps: what is meant to end the head.
                None => whole.map_or(BARE_LF, |line| wrong_name(line, false)),
            }
        }
    })
}

/// Appends a field line, without its end (RFC 9112, 5.1), to `headers`.
pub fn append(line: &[u8], headers: &mut Headers) -> Result<(), &'static str> {
    let colon = line.iter().position(|&byte| byte == b':');
    let (name, value) = colon
        .and_then(|colon| line.split_at_checked(colon))
        .ok_or_else(|| wrong_name(line, false))?;
    let value = trim(value.get(1..).unwrap_or_default());
    match headers.try_append(name, value) {
        Ok(_) => Ok(()),
        Err(FieldError::Name) => Err(wrong_name(name, true)),
        Err(FieldError::Value) => Err(CONTROL),
    }
}

/// What is wrong with the name of a field.
fn wrong_name(name: &[u8], has_colon: bool) -> &'static str {
    match name.iter().find(|&&byte| !is_token_byte(byte)) {
        Some(b' ' | b'\t') if matches!(name, [b' ' | b'\t', ..]) => "a field line is folded",
        Some(b' ' | b'\t') => "there is white space in a field name or before its colon",
        Some(_) => "a field name is not a token",
        None if name.len() > NAME_BYTES_MAX => "a field name is too long",
        None if has_colon => "a field has no name",
        None => "a field line has no colon",
    }
}

/// `tchar` (RFC 9110, 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    is_token(&[byte])
}

/// What `Transfer-Encoding` said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    #[default]
    None,
    /// One field with the one value `chunked`.
    Chunked,
    /// Codings of which the last is `chunked`, which would be well formed, but are not done here.
    Unsupported,
}

/// What the fields that frame a message and govern its connection said. None of them is kept
/// among the headers.
#[derive(Default)]
pub struct Framing {
    pub host: Option<String>,
    pub content_length: Option<u64>,
    pub coding: Coding,
    pub close: bool,
    pub keep_alive: bool,
    /// `Connection` lists `upgrade`.
    pub upgrade_listed: bool,
    pub upgrade: Option<String>,
    pub expects_continue: bool,
    /// `Expect` said something else.
    pub expects_more: bool,
    /// Other names that `Connection` lists, in lower case.
    listed: Vec<Box<[u8]>>,
}

impl Framing {
    /// Understands the field where it frames the message; false where it does not.
    fn take(&mut self, known: Known, value: &[u8]) -> Result<bool, HeadError> {
        match known {
            Known::Host => self.take_host(value)?,
            Known::ContentLength => self.take_length(value)?,
            Known::TransferEncoding => self.take_coding(value)?,
            Known::Connection => self.take_connection(value)?,
            Known::Upgrade => self.take_upgrade(value)?,
            Known::Expect => {
                let expects = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= expects;
                self.expects_more |= !expects;
            }
            // The last one asks the client of a proxy, which the gateway is for nobody.
            Known::KeepAlive | Known::ProxyConnection | Known::Te | Known::ProxyAuthenticate => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_host(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.host.is_some() {
            return Err(HeadError::Malformed("there is more than one `Host`"));
        }
        self.host = Some(read_host(value)?);
        Ok(())
    }

    /// RFC 9112, 6.3: anything but one plain number is an error that cannot be recovered from.
    fn take_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.content_length.is_some() {
            return Err(HeadError::Malformed(
                "there is more than one `Content-Length`",
            ));
        }
        // 19 digits always fit.
        if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
            return Err(HeadError::Malformed("`Content-Length` is not a number"));
        }
        self.content_length = Some(value.iter().fold(0_u64, |sum, digit| {
            sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
        }));
        Ok(())
    }

    fn take_coding(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.coding != Coding::None {
            return Err(HeadError::Malformed(
                "there is more than one `Transfer-Encoding`",
            ));
        }
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if is_chunked(value) {
            self.coding = Coding::Chunked;
            return Ok(());
        }
        let mut codings = value.rsplit(|&byte| byte == b',').map(trim);
        if !codings.next().is_some_and(is_chunked) {
            return Err(HeadError::Malformed(
                "the last of `Transfer-Encoding` is not `chunked`",
            ));
        }
        if !codings.all(|coding| is_token(coding) && !is_chunked(coding)) {
            return Err(HeadError::Malformed("`Transfer-Encoding` is malformed"));
        }
        self.coding = Coding::Unsupported;
        Ok(())
    }

    fn take_connection(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in value.split(|&byte| byte == b',').map(trim) {
            let is = |known: &[u8]| option.eq_ignore_ascii_case(known);
            match option.len() {
                // RFC 9110, 5.6.1: empty members are ignored.
                0 => {}
                2 if is(b"te") => {}
                5 if is(b"close") => self.close = true,
                7 if is(b"upgrade") => self.upgrade_listed = true,
                10 if is(b"keep-alive") => self.keep_alive = true,
                _ if !is_token(option) => {
                    return Err(HeadError::Malformed("`Connection` is malformed"));
                }
                _ if self.listed.len() >= CONNECTION_OPTIONS_MAX => {
                    return Err(HeadError::Malformed("`Connection` lists too much"));
                }
                _ => self.listed.push(option.to_ascii_lowercase().into()),
            }
        }
        Ok(())
    }

    fn take_upgrade(&mut self, value: &[u8]) -> Result<(), HeadError> {
        let well_formed = value
            .split(|&byte| byte == b',')
            .flat_map(|protocol| trim(protocol).splitn(2, |&byte| byte == b'/'))
            .all(is_token);
        let (true, Ok(value)) = (well_formed, std::str::from_utf8(value)) else {
            return Err(HeadError::Malformed("`Upgrade` is malformed"));
        };
        match &mut self.upgrade {
            Some(protocols) => {
                protocols.push_str(", ");
                protocols.push_str(value);
            }
            None => self.upgrade = Some(value.to_owned()),
        }
        Ok(())
    }

    /// Whether the connection may carry another message after this one (RFC 9112, 9.3).
    pub const fn persists(&self, http_10: bool) -> bool {
        !self.close && (!http_10 || self.keep_alive)
    }
}
