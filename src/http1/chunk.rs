//! The chunked transfer coding (RFC 9112, 7.1), read strictly and written plainly.

use bytes::Bytes;
use http::HeaderMap;
use memchr::memchr;

use super::buffer::Input;
use super::fields::{HeadLimits, Lines, append};
use crate::exchange::Headers;
use crate::exchange::line::is_token;
use crate::exchange::trailers;

/// Longest line of a chunk: its size and its extensions.
const LINE_BYTES_MAX: usize = 1024;
/// All extensions of a body together (RFC 9112, 7.1.1 asks for such a bound).
const EXTENSION_BYTES_MAX: usize = 8 * 1024;
/// Sixteen digits always fit.
const SIZE_DIGITS_MAX: usize = 16;
const TRAILERS_MAX: usize = 64;

/// What stands next in a chunked body.
#[derive(Debug)]
pub enum Piece {
    Data(Bytes),
    /// The end, with trailers where there were any.
    End(Option<Headers>),
    /// Nothing before more bytes come.
    More,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// Reads a chunked body.
pub struct Decoder {
    state: State,
    extension_bytes_left: usize,
    trailer_bytes_left: usize,
    lines: Lines,
    trailers: Headers,
}

impl Decoder {
    pub fn new(limits: &HeadLimits) -> Self {
        Self {
            state: State::Size,
            extension_bytes_left: EXTENSION_BYTES_MAX,
            trailer_bytes_left: limits.trailer_bytes,
            lines: Lines::default(),
            trailers: Headers::new(),
        }
    }

    /// Consumes what it understands of `input`. After an error or the end, not to be called again.
    pub fn decode(&mut self, input: &mut Input) -> Result<Piece, &'static str> {
        loop {
            match self.state {
                State::Size => match self.size_line(input)? {
                    None => return Ok(Piece::More),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(_) if input.is_empty() => return Ok(Piece::More),
                State::Data(left) => {
                    let data = input.take(usize::try_from(left).unwrap_or(usize::MAX));
                    self.state = match left - data.len() as u64 {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                    return Ok(Piece::Data(data));
                }
                State::DataEnd => match input.as_slice() {
                    [] | [b'\r'] => return Ok(Piece::More),
                    [b'\r', b'\n', ..] => {
                        input.consume(2);
                        self.state = State::Size;
                    }
                    _ => return Err("a chunk holds more than its size says"),
                },
                State::Trailers => return self.trailers(input),
            }
        }
    }

    /// `chunk-size [ chunk-ext ] CRLF`.
    fn size_line(&mut self, input: &mut Input) -> Result<Option<u64>, &'static str> {
        let bytes = input.as_slice();
        let Some(end) = memchr(b'\n', bytes) else {
            return if bytes.len() > LINE_BYTES_MAX {
                Err("the line of a chunk is too long")
            } else {
                Ok(None)
            };
        };
        if end > LINE_BYTES_MAX {
            return Err("the line of a chunk is too long");
        }
        let Some((b'\r', line)) = bytes.get(..end).and_then(<[u8]>::split_last) else {
            return Err("the line of a chunk ends in LF without CR");
        };
        let digits = line
            .iter()
            .position(|byte| !byte.is_ascii_hexdigit())
            .unwrap_or(line.len());
        let (digits, extension) = line.split_at_checked(digits).unwrap_or_default();
        let size = read_size(digits)?;
        check_extension(extension)?;
        self.extension_bytes_left = self
            .extension_bytes_left
            .checked_sub(extension.len())
            .ok_or("the chunk extensions are too long")?;
        input.consume(end + 1);
        Ok(Some(size))
    }

    fn trailers(&mut self, input: &mut Input) -> Result<Piece, &'static str> {
        loop {
            let line = self.lines.next(input.as_slice());
            let Some(line) = line.map_err(|_| "a trailer line ends in LF without CR")? else {
                return if input.len() > self.trailer_bytes_left {
                    Err("the trailers are larger than allowed")
                } else {
                    Ok(Piece::More)
                };
            };
            let line_len = line.len() + 2;
            if line.is_empty() {
                input.consume(line_len);
                let trailers = std::mem::take(&mut self.trailers);
                return Ok(Piece::End(Some(trailers).filter(|all| !all.is_empty())));
            }
            self.trailer_bytes_left = self
                .trailer_bytes_left
                .checked_sub(line_len)
                .ok_or("the trailers are larger than allowed")?;
            append(line, &mut self.trailers)?;
            let last = self.trailers.iter().last();
            if last.is_some_and(|(_, name, _)| trailers::is_forbidden(name)) {
                return Err("a field stands in the trailers that must not");
            }
            if self.trailers.len() > TRAILERS_MAX {
                return Err("there are too many trailers");
            }
            input.consume(line_len);
        }
    }
}

fn read_size(digits: &[u8]) -> Result<u64, &'static str> {
    if digits.is_empty() || digits.len() > SIZE_DIGITS_MAX {
        return Err("a chunk size is not a hexadecimal number");
    }
    let size = digits.iter().fold(0_u64, |size, &digit| {
        let value = char::from(digit).to_digit(16).unwrap_or_default();
        size << 4 | u64::from(value)
    });
    Ok(size)
}

/// `*( ";" token [ "=" token ] )`: RFC 9112, 7.1.1 without its quotes and its white space, in
/// which others have read line ends.
fn check_extension(extension: &[u8]) -> Result<(), &'static str> {
    let mut members = extension.split(|&byte| byte == b';');
    let empty_first = members.next().is_some_and(<[u8]>::is_empty);
    let fine = members.all(|member| {
        let mut sides = member.splitn(2, |&byte| byte == b'=');
        sides.all(is_token)
    });
    if empty_first && fine {
        Ok(())
    } else {
        Err("a chunk size or extension is malformed")
    }
}

/// Ends every chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Writes the line before a chunk of `len` bytes. A chunk of no bytes would end the body, so the
/// caller leaves it out.
pub fn write_size(len: usize, text: &mut Vec<u8>) {
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = len >> (place * 4) & 15;
        text.extend(char::from_digit(digit as u32, 16).map(|digit| digit as u8));
    }
    text.extend_from_slice(CHUNK_END);
}

/// Writes the last chunk and the trailers that may stand there.
pub fn write_end(trailers: Option<&HeaderMap>, text: &mut Vec<u8>) {
    text.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if !trailers::is_forbidden(name.as_str()) {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
    }
    text.extend_from_slice(b"\r\n");
}
