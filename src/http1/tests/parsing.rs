//! Parses request heads for the tests, cut at every place.

use crate::http1::fields::{HeadError, HeadLimits};
use crate::http1::head::{RequestHead, RequestParser};

/// Parses `bytes`, which come in two pieces cut at `cut`.
pub fn parse_cut(bytes: &[u8], cut: usize) -> Result<Option<(RequestHead, usize)>, HeadError> {
    let mut parser = RequestParser::new(&HeadLimits::default());
    let mut at = 0;
    for end in [cut, bytes.len()] {
        let (consumed, complete) = parser.parse(&mut bytes[at..end].to_vec())?;
        at += consumed;
        if complete {
            return parser.finish().map(|head| Some((head, at)));
        }
    }
    Ok(None)
}

/// Parses `text` cut at every place, which must not change the result.
pub fn parse(text: &[u8]) -> Result<RequestHead, HeadError> {
    let whole = parse_cut(text, text.len());
    for cut in 0..text.len() {
        let again = parse_cut(text, cut);
        assert_eq!(
            format!("{again:?}"),
            format!("{whole:?}"),
            "{:?} cut at {cut}",
            String::from_utf8_lossy(text)
        );
    }
    whole.map(|parsed| match parsed {
        Some((head, consumed)) => {
            assert_eq!(consumed, text.len());
            head
        }
        None => panic!("{:?} is incomplete", String::from_utf8_lossy(text)),
    })
}

#[track_caller]
pub fn accepted(text: &str) -> RequestHead {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[track_caller]
pub fn refused(text: impl AsRef<[u8]>, status: u16) {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(text);
    match parse(text) {
        Ok(head) => panic!("{shown:?} was accepted as {head:?}"),
        Err(error) => assert_eq!(error.status().as_u16(), status, "{shown:?}: {error}"),
    }
}

/// A GET with these field lines beside `Host`.
pub fn with(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

/// A POST with these field lines beside `Host`.
pub fn post(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}
