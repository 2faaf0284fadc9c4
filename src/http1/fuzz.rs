//! What the fuzz targets in `fuzz/` call: each takes any bytes and panics when a promise is broken.

#![expect(clippy::expect_used, reason = "a fuzz target speaks by panicking")]

use http::{HeaderMap, Method};

use super::buffer::Input;
use super::chunk::{CHUNK_END, Decoder, Piece, write_end, write_size};
use super::client::OutgoingHead;
use super::fields::{HeadError, HeadLimits};
use super::head::{RequestHead, RequestParser, ResponseHead, ResponseParser};
use super::write::{Encoding, ResponseFacts, write_request, write_response};

/// The first byte says where the rest is cut; `None` without one.
fn cut(bytes: &[u8]) -> Option<(&[u8], [&[u8]; 2])> {
    let (place, text) = bytes.split_first()?;
    let place = usize::from(*place) * text.len() / 256;
    text.split_at_checked(place)
        .map(|(first, second)| (text, [first, second]))
}

/// For what was written: it may have some fields more than came, such as a length or a date.
fn roomy() -> HeadLimits {
    let limits = HeadLimits::default();
    HeadLimits {
        header_bytes: limits.header_bytes + 1024,
        headers: limits.headers + 8,
        ..limits
    }
}

/// A request head means the same however it arrives, and the same again when it is sent on.
pub fn request_head(bytes: &[u8]) {
    let Some((text, pieces)) = cut(bytes) else {
        return;
    };
    let whole = read_request(&[text], &HeadLimits::default());
    assert_eq!(
        format!("{whole:?}"),
        format!("{:?}", read_request(&pieces, &HeadLimits::default()))
    );
    let Some(Ok(RequestHead { head, .. })) = whole else {
        return;
    };
    // An old client may leave its host out, and what is sent on always has one.
    if head.authority.is_empty() {
        return;
    }
    let target = match &head.query {
        Some(query) => format!("{}?{query}", head.path),
        None => head.path.clone(),
    };
    let outgoing = OutgoingHead {
        method: &head.method,
        target: &target,
        host: &head.authority,
        headers: &head.headers,
        upgrade: None,
    };
    let mut text = Vec::new();
    write_request(&outgoing, Encoding::Absent, &mut text);
    let again = read_request(&[&text], &roomy());
    let again = again
        .and_then(Result::ok)
        .expect("it is sent on well formed");
    assert_eq!(head.method, again.head.method);
    assert_eq!(
        (&head.path, &head.query),
        (&again.head.path, &again.head.query)
    );
    assert_eq!(head.authority, again.head.authority);
    assert!(head.headers.iter().eq(again.head.headers.iter()));
}

fn read_request(
    pieces: &[&[u8]],
    limits: &HeadLimits,
) -> Option<Result<RequestHead, &'static str>> {
    let mut parser = RequestParser::new(limits);
    let mut waiting = Vec::new();
    for piece in pieces {
        waiting.extend_from_slice(piece);
        match parser.parse(&mut waiting) {
            Err(error) => return Some(Err(error.reason())),
            Ok((_, true)) => return Some(parser.finish().map_err(HeadError::reason)),
            Ok((consumed, false)) => drop(waiting.drain(..consumed)),
        }
    }
    None
}

/// The same of a response head, for a request with GET and one with HEAD.
pub fn response_head(bytes: &[u8]) {
    let Some((text, pieces)) = cut(bytes) else {
        return;
    };
    for method in [Method::GET, Method::HEAD] {
        let whole = read_response(&[text], &method, &HeadLimits::default());
        let parts = read_response(&pieces, &method, &HeadLimits::default());
        assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
        let Some(Ok(head)) = whole else {
            continue;
        };
        let facts = ResponseFacts {
            status: head.status,
            encoding: Encoding::Exact(5),
            connection: None,
            upgrade: None,
        };
        let mut text = Vec::new();
        write_response(&facts, &head.headers, &mut text);
        let again = read_response(&[&text], &method, &roomy());
        let mut again = again
            .and_then(Result::ok)
            .expect("it is sent on well formed");
        assert_eq!(head.status, again.status);
        if head.headers.get("date").is_none() {
            again.headers.remove("date");
        }
        let kept = head.headers.iter();
        assert!(kept.eq(again.headers.iter()));
    }
}

fn read_response(
    pieces: &[&[u8]],
    method: &Method,
    limits: &HeadLimits,
) -> Option<Result<ResponseHead, &'static str>> {
    let mut parser = ResponseParser::new(limits);
    let mut waiting = Vec::new();
    for piece in pieces {
        waiting.extend_from_slice(piece);
        match parser.parse(&mut waiting) {
            Err(error) => return Some(Err(error.reason())),
            Ok((_, true)) => return Some(parser.finish(method).map_err(HeadError::reason)),
            Ok((consumed, false)) => drop(waiting.drain(..consumed)),
        }
    }
    None
}

/// A chunked body means the same however it arrives, and the same again when it is sent on.
pub fn chunks(bytes: &[u8]) {
    let Some((text, pieces)) = cut(bytes) else {
        return;
    };
    let whole = read_chunks(&[text]);
    assert_eq!(whole, read_chunks(&pieces));
    let Some(Ok((data, trailers))) = whole else {
        return;
    };
    let mut text = Vec::new();
    if !data.is_empty() {
        write_size(data.len(), &mut text);
        text.extend_from_slice(&data);
        text.extend_from_slice(CHUNK_END);
    }
    write_end(Some(&trailers), &mut text);
    assert_eq!(read_chunks(&[&text]), Some(Ok((data, trailers))));
}

type Chunks = Option<Result<(Vec<u8>, HeaderMap), &'static str>>;

fn read_chunks(pieces: &[&[u8]]) -> Chunks {
    let mut decoder = Decoder::new(&HeadLimits::default());
    let mut input = Input::default();
    let mut data = Vec::new();
    for piece in pieces {
        input.push(piece);
        loop {
            match decoder.decode(&mut input) {
                Err(reason) => return Some(Err(reason)),
                Ok(Piece::Data(piece)) => data.extend_from_slice(&piece),
                Ok(Piece::More) => break,
                Ok(Piece::End(trailers)) => {
                    return Some(Ok((data, trailers.unwrap_or_default().to_map())));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_keep_the_promises(
            bytes in any::<Vec<u8>>(),
            head in "[ -~]((GET|POST) /[a-z?]{0,4} HTTP/1\\.[01]|HTTP/1\\.1 [12]0[0-9] OK)\r\n(Host: a\r\n|X: [a-z]{0,3}\r\n|Content-Length: [0-9]\r\n){0,4}\r\n",
            body in "[ -~]([0-5]\r\n[a-z]{0,5}\r\n){0,3}0\r\n(X: y\r\n)?\r\n",
        ) {
            for text in [&*bytes, head.as_bytes(), body.as_bytes()] {
                request_head(text);
                response_head(text);
                chunks(text);
            }
        }
    }

    #[test]
    fn a_head_with_as_many_fields_as_may_be_keeps_the_promises() {
        let fields = "a:b\r\n".repeat(HeadLimits::default().headers);
        response_head(format!(" HTTP/1.0 200 OK\r\n{fields}\r\n").as_bytes());
        let fields = "a:b\r\n".repeat(HeadLimits::default().headers - 1);
        request_head(format!(" GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes());
    }
}
