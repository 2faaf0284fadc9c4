//! Which chunked bodies are understood, and which are refused.

use bytes::Bytes;
use proptest::prelude::*;

use crate::http1::buffer::Input;
use crate::http1::chunk::{Decoder, Piece, write_end, write_size};
use crate::http1::fields::HeadLimits;

type Decoded = Result<(Vec<u8>, Vec<(String, Vec<u8>)>), &'static str>;

/// Decodes `text`, which comes in two pieces cut at `cut`: data and trailers.
fn decode_cut(text: &[u8], cut: usize) -> Decoded {
    let mut decoder = Decoder::new(&HeadLimits::default());
    let mut input = Input::default();
    let mut data = Vec::new();
    for piece in [&text[..cut], &text[cut..]] {
        input.push(piece);
        loop {
            match decoder.decode(&mut input)? {
                Piece::Data(piece) => data.extend_from_slice(&piece),
                Piece::More => break,
                Piece::End(trailers) => {
                    let trailers = trailers.unwrap_or_default();
                    let trailers = trailers.iter();
                    let trailers =
                        trailers.map(|(_, name, value)| (name.to_owned(), value.to_vec()));
                    return Ok((data, trailers.collect()));
                }
            }
        }
    }
    Err("incomplete")
}

#[track_caller]
fn decode(text: &str) -> Decoded {
    let whole = decode_cut(text.as_bytes(), text.len());
    for cut in 0..text.len() {
        let again = decode_cut(text.as_bytes(), cut);
        assert_eq!(whole, again, "{text:?} cut at {cut}");
    }
    whole
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let (data, _) = decode(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(data, expected.as_bytes(), "{text:?}");
}

#[track_caller]
fn refused(text: &str) {
    match decode(text) {
        Err(reason) => assert_ne!(reason, "incomplete", "{text:?}"),
        Ok(decoded) => panic!("{text:?} was accepted as {decoded:?}"),
    }
}

#[test]
fn chunks_are_joined() {
    check("0\r\n\r\n", "");
    check("5\r\nhello\r\n0\r\n\r\n", "hello");
    check("5\r\nhello\r\n6\r\n world\r\n00\r\n\r\n", "hello world");
    check(
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "01234567890123456789",
    );
    check("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello");
    check("2\r\n\r\n\r\n0\r\n\r\n", "\r\n");
}

#[test]
fn a_size_is_plain_hexadecimal_digits() {
    for size in [
        "",
        " 5",
        "5 ",
        "\t5",
        "5\t",
        "+5",
        "-5",
        "0x5",
        "0X5",
        "5_0",
        "5h",
        "g",
        "5.0",
        "\"5\"",
        "5,5",
        "\u{665}",
        "10000000000000000",
        "00000000000000005",
        "-0",
        "5\0",
    ] {
        refused(&format!("{size}\r\nhello\r\n0\r\n\r\n"));
    }
}

#[test]
fn a_chunk_ends_where_its_size_says_and_in_cr_and_lf() {
    refused("5\nhello\r\n0\r\n\r\n");
    refused("5\rhello\r\n0\r\n\r\n");
    refused("5\r\nhello\n0\r\n\r\n");
    refused("5\r\nhello\r0\r\n\r\n");
    refused("5\r\nhello0\r\n\r\n");
    refused("5\r\nhello!\r\n0\r\n\r\n");
    refused("5\r\nhell\r\n0\r\n\r\n");
    refused("5\r\r\nhello\r\n0\r\n\r\n");
    refused("5\r\nhello\r\n0\n\r\n");
    refused("5\r\nhello\r\n0\r\n\n");
    refused("0\r\nx\r\n");
}

#[test]
fn the_largest_size_does_not_overflow() {
    let mut decoder = Decoder::new(&HeadLimits::default());
    let mut input = Input::default();
    input.push(b"ffffffffffffffff\r\nabc");
    assert!(matches!(decoder.decode(&mut input), Ok(Piece::Data(data)) if data == "abc"));
    assert!(matches!(decoder.decode(&mut input), Ok(Piece::More)));
}

#[test]
fn extensions_are_ignored_within_bounds() {
    check("5;a\r\nhello\r\n0;b=c;d\r\n\r\n", "hello");
    for extension in [
        ";",
        ";;a",
        ";a=",
        ";=a",
        ";a=b=c",
        " ;a",
        "; a",
        ";a ;b",
        ";a=\"b\"",
        ";a=\"\r\n\"",
        ";a\0",
        ";a\u{1}",
        ";a\t",
        ";\u{e9}",
        ";a b",
        "a;",
        ",a",
        ";a\nb",
    ] {
        refused(&format!("5{extension}\r\nhello\r\n0\r\n\r\n"));
    }
    refused(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(1024)));
    let flood = format!("1;{}\r\na\r\n", "a".repeat(900));
    assert!(decode_cut(format!("{}0\r\n\r\n", flood.repeat(9)).as_bytes(), 0).is_ok());
    let flood = format!("{}0\r\n\r\n", flood.repeat(10));
    assert_eq!(
        decode_cut(flood.as_bytes(), 0),
        Err("the chunk extensions are too long")
    );
    // Without waiting for the end of the line.
    assert_ne!(
        decode_cut("5".repeat(1026).as_bytes(), 0),
        Err("incomplete")
    );
}

#[test]
fn trailers_are_fields_that_may_stand_there() {
    let (_, trailers) = decode("1\r\na\r\n0\r\nGrpc-Status: 0\r\nX: \r\n\r\n").unwrap();
    assert_eq!(
        trailers,
        [
            ("grpc-status".to_owned(), b"0".to_vec()),
            ("x".to_owned(), Vec::new())
        ]
    );
    for trailer in [
        "Transfer-Encoding: chunked",
        "Content-Length: 5",
        "Host: a",
        "Connection: close",
        "Trailer: x",
        "Authorization: x",
        "Cookie: a",
        "Set-Cookie: a",
        "Content-Type: x",
        "Content-Encoding: x",
        "Content-Range: x",
        "TE: x",
        "Upgrade: x",
        "Expect: x",
        "Range: x",
        "If-Match: x",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Any: 1",
        "Forwarded: for=1.2.3.4",
        "Cache-Control: x",
        "Max-Forwards: 1",
        "Proxy-Authorization: x",
        "Location: x",
        "X : y",
        " X: y",
        "X: y\r\n z",
        "X",
        "X: \u{1}",
        "X: y\rz",
    ] {
        refused(&format!("0\r\n{trailer}\r\n\r\n"));
    }
    refused("0\r\nX: y\n\r\n");
    let large = format!("X: {}\r\n", "a".repeat(8 * 1024 - 5));
    assert!(decode_cut(format!("0\r\n{large}\r\n").as_bytes(), 0).is_ok());
    assert!(decode_cut(format!("0\r\n{large}Y: z\r\n\r\n").as_bytes(), 0).is_err());
    assert_ne!(
        decode_cut(format!("0\r\nX: {}", "a".repeat(8 * 1024)).as_bytes(), 0),
        Err("incomplete")
    );
    assert!(decode_cut(format!("0\r\n{}\r\n", "X: y\r\n".repeat(65)).as_bytes(), 0).is_err());
}

#[test]
fn what_follows_the_body_is_left() {
    let mut decoder = Decoder::new(&HeadLimits::default());
    let mut input = Input::default();
    input.push(b"0\r\n\r\nGET / HTTP/1.1\r\n");
    assert!(matches!(decoder.decode(&mut input), Ok(Piece::End(None))));
    assert_eq!(input.as_slice(), b"GET / HTTP/1.1\r\n");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..10), cut: prop::sample::Index) {
        let mut text = Vec::new();
        for piece in &pieces {
            write_size(piece.len(), &mut text);
            text.extend_from_slice(piece);
            text.extend_from_slice(b"\r\n");
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        trailers.insert("content-length", "1".parse().unwrap());
        write_end(Some(&trailers), &mut text);
        let (data, trailers) = decode_cut(&text, cut.index(text.len())).unwrap();
        prop_assert_eq!(data, pieces.concat());
        prop_assert_eq!(trailers, [("x-sum".to_owned(), b"1".to_vec())]);
    }

    #[test]
    fn no_bytes_make_it_panic(text: Vec<u8>, cut: prop::sample::Index) {
        let _decoded = decode_cut(&text, cut.index(text.len() + 1).min(text.len()));
    }
}

#[test]
fn a_large_piece_is_not_copied() {
    let mut input = Input::default();
    input.push(&[7; 10_000]);
    let address = input.as_slice().as_ptr();
    let taken: Bytes = input.take(9_000);
    assert_eq!(taken.as_ptr(), address);
    assert_eq!(input.len(), 1_000);
}
