//! Our server beside hyper's: where both take a request they must understand the same, and where
//! only one takes it, the reason must be one that is known.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::exchange::{Body, Headers, Request, Response};
use crate::http1::chunk::write_size;
use crate::http1::{Drain, Limits, serve};

/// A request as a service sees it: line, fields, and the body or that there was none to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Option<Bytes>,
}

/// What a server made of a stream of bytes.
#[derive(Clone, Debug, Default)]
struct Run {
    seen: Vec<Seen>,
    /// Why it stopped, where it says so.
    refused: Option<&'static str>,
}

/// Fields that frame a message or govern the connection: hyper leaves them in, we do not.
const FRAMING: [&str; 9] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "expect",
];

/// Why we may refuse what hyper takes: each a rule of RFC 9112 or 9110 that is a row in
/// `docs/http.md`.
const STRICTER: [&str; 31] = [
    "a line ends in LF without CR",
    "this is not a request line",
    "the request line is not a method, a target and a version",
    "there is no `Host`",
    "there is more than one `Host`",
    "the host is malformed",
    "`Host` names another host than the request target",
    "the request target holds a byte that must be percent-encoded",
    "the request target is neither a path nor a URI",
    "the request target has a scheme other than http and https",
    "`*` is a target for OPTIONS only",
    "CONNECT is not served here",
    "there is more than one `Content-Length`",
    "`Content-Length` is not a number",
    "`Content-Length` stands beside `Transfer-Encoding`",
    "there is more than one `Transfer-Encoding`",
    "the last of `Transfer-Encoding` is not `chunked`",
    "`Transfer-Encoding` is malformed",
    "no transfer coding but `chunked` is understood here",
    "HTTP/1.0 has no `Transfer-Encoding`",
    "`Connection` is malformed",
    "`Upgrade` is malformed",
    "`Expect` asks for something other than `100-continue`",
    "a TRACE request has no content",
    "a field value holds a control character",
    "body: a chunk size is not a hexadecimal number",
    "body: a chunk size or extension is malformed",
    "body: a field stands in the trailers that must not",
    "body: the line of a chunk ends in LF without CR",
    "body: a trailer line ends in LF without CR",
    "body: a field value holds a control character",
];

/// Feeds `text`, cut at `cut`, to a served connection and reads what it answers.
async fn feed(mut client: DuplexStream, text: &[u8], cut: usize) {
    let (first, second) = text.split_at(cut.min(text.len()));
    for piece in [first, second] {
        // A server that has closed takes nothing more.
        let _closed = client.write_all(piece).await;
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    let _closed = client.shutdown().await;
    let mut answers = Vec::new();
    let _closed = client.read_to_end(&mut answers).await;
}

async fn ours(text: &[u8], cut: usize) -> Run {
    let run = Rc::new(RefCell::new(Run::default()));
    let (client, server) = tokio::io::duplex(1 << 16);
    let (log, refused) = (Rc::clone(&run), Rc::clone(&run));
    let handler = move |request: Request| {
        let log = Rc::clone(&log);
        async move {
            let Request { head, body, .. } = request;
            let body = body.collect(1 << 16).await;
            let log = &mut *log.borrow_mut();
            if let Err(crate::exchange::BodyError::Malformed(reason)) = body {
                log.refused = Some(reason);
            }
            let fields = head.headers.iter();
            log.seen.push(Seen {
                method: head.method.to_string(),
                target: match head.query {
                    Some(query) => format!("{}?{query}", head.path),
                    None => head.path,
                },
                fields: fields
                    .map(|(_, name, value)| (name.to_owned(), value.to_vec()))
                    .collect(),
                body: body.ok(),
            });
            Response::from(StatusCode::OK)
        }
    };
    let refuse = move |status: StatusCode, reason| {
        refused.borrow_mut().refused = Some(reason);
        Response::new(status, Headers::new(), Body::Empty)
    };
    let limits = Limits {
        half_close: true,
        ..Limits::default()
    };
    let served = serve(server, Rc::new(limits), &Drain::new(), handler, refuse);
    tokio::join!(served, feed(client, text, cut));
    run.take()
}

async fn hypers(text: &[u8], cut: usize) -> Run {
    let run = Rc::new(RefCell::new(Run::default()));
    let (client, server) = tokio::io::duplex(1 << 16);
    let log = Rc::clone(&run);
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let log = Rc::clone(&log);
        async move {
            let (head, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .ok()
                .map(http_body_util::Collected::to_bytes);
            let target = head
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str());
            let listed: Vec<String> = head
                .headers
                .get_all("connection")
                .iter()
                .flat_map(|value| {
                    String::from_utf8_lossy(value.as_bytes())
                        .to_ascii_lowercase()
                        .split(',')
                        .map(|option| option.trim().to_owned())
                        .collect::<Vec<_>>()
                })
                .collect();
            let fields = head.headers.iter().filter(|(name, _)| {
                !FRAMING.contains(&name.as_str())
                    && !listed.iter().any(|listed| listed == name.as_str())
            });
            log.borrow_mut().seen.push(Seen {
                method: head.method.to_string(),
                target: target.to_owned(),
                fields: fields
                    .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                    .collect(),
                body,
            });
            Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::new())))
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service);
    let _failed = tokio::join!(served, feed(client, text, cut)).0;
    run.take()
}

fn sorted(mut seen: Seen) -> Seen {
    seen.fields.sort();
    seen
}

/// Compares the two on `text`; an error says where they differ for no known reason.
fn compare(text: &[u8], cut: usize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (ours, hypers) =
        runtime.block_on(async { (ours(text, cut).await, hypers(text, cut).await) });
    let shown = format!(
        "{:?} cut at {cut}:\nours {ours:?}\nhyper's {hypers:?}",
        String::from_utf8_lossy(text)
    );
    for (ours, hypers) in ours.seen.iter().zip(&hypers.seen) {
        let (ours, hypers) = (sorted(ours.clone()), sorted(hypers.clone()));
        let same_head = (&ours.method, &ours.target, &ours.fields)
            == (&hypers.method, &hypers.target, &hypers.fields);
        let both = ours.body.is_some() && hypers.body.is_some();
        if !same_head || (both && ours.body != hypers.body) {
            return Err(format!("they understand differently\n{shown}"));
        }
    }
    // RFC 9110, 6.2 wants a higher minor version taken as the one that is known.
    let newer = (2..=9).any(|minor| shown.contains(&format!("HTTP/1.{minor}")));
    // Browsers send it as it is; hyper's URIs do not hold it.
    let refused = ours.seen.get(hypers.seen.len());
    let backtick = refused.is_some_and(|seen| seen.target.contains('`'));
    if ours.seen.len() > hypers.seen.len() && !newer && !backtick {
        return Err(format!("only we take it\n{shown}"));
    }
    let complete = |run: &Run| run.seen.iter().filter(|seen| seen.body.is_some()).count();
    if complete(&hypers) > complete(&ours) {
        let known = ours.refused.is_some_and(|reason| {
            STRICTER
                .iter()
                .any(|known| known.strip_prefix("body: ").unwrap_or(known) == reason)
        });
        if !known {
            return Err(format!("only hyper takes it, for no known reason\n{shown}"));
        }
    }
    Ok(())
}

/// Pieces of requests, sound and not: what smuggling is made of.
#[rustfmt::skip]
const LINES: [&str; 40] = [
    "GET / HTTP/1.1", "POST /a?b HTTP/1.1", "GET / HTTP/1.0", "HEAD /x HTTP/1.1", "OPTIONS * HTTP/1.1", "GET * HTTP/1.1",
    "GET http://a/ HTTP/1.1", "POST http://b/ HTTP/1.1", "GET  / HTTP/1.1", "GET /\" HTTP/1.1", "TRACE / HTTP/1.1",
    "Host: a", "Host: a", "Host: a", "Host: b", "Host : a", "host:a", "Host: a,b",
    "Content-Length: 5", "Content-Length: 0", "Content-Length: 05", "Content-Length: +5", "Content-Length: 5, 5", "Content-Length : 5",
    "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\u{b}chunked",
    "Connection: close", "Connection: keep-alive, x", "X: y", "x: z", " folded", "X: \u{1}", "Expect: 100-continue", "Upgrade: h2c", "X:", "bad line",
];

#[rustfmt::skip]
const BODIES: [&str; 24] = [
    "hello", "5\r\nhello\r\n", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n0\r\n\r\n", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX: y\r\n\r\n", "5\r\nhello\r\n0\r\nHost: b\r\n\r\n", "5\r\nhello\r\n0\n\n", "00\r\n\r\n", "0\r\nX: y\n\r\n", "1\r\n\n\r\n0\r\n\r\n",
    "fffffffffffffffff\r\n", "5_\r\nhello\r\n0\r\n\r\n", "\r\n", "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "5;\r\nhello\r\n0\r\n\r\n",
];

fn one_request() -> impl Strategy<Value = String> {
    let ends =
        prop_oneof![30 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n")];
    let start = prop_oneof![
        2 => proptest::sample::select(&LINES[..5]),
        1 => proptest::sample::select(&LINES[..11]),
    ];
    let fields =
        proptest::collection::vec((proptest::sample::select(&LINES[11..]), ends.clone()), 0..5);
    let host = prop_oneof![9 => Just("Host: a\r\n"), 1 => Just("")];
    let body = proptest::collection::vec(proptest::sample::select(&BODIES[..]), 0..2);
    (start, ends, host, fields, body).prop_map(|(start, end, host, fields, body)| {
        let fields: String = fields
            .iter()
            .flat_map(|(field, end)| [*field, *end])
            .collect();
        format!("{start}{end}{host}{fields}\r\n{}", body.concat())
    })
}

/// Requests of which each field and body alone is mostly right, so that many are taken.
fn sound_request() -> impl Strategy<Value = String> {
    let fields = proptest::collection::vec("[A-Za-z-]{1,8}: ?[ -~]{0,12}\r\n", 0..4);
    let body = prop_oneof![
        "[a-z]{0,9}".prop_map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len())),
        proptest::collection::vec("[a-z]{1,9}", 0..3).prop_map(|chunks| {
            let mut text = Vec::new();
            for chunk in chunks {
                write_size(chunk.len(), &mut text);
                text.extend_from_slice(chunk.as_bytes());
                text.extend_from_slice(b"\r\n");
            }
            let chunks = String::from_utf8_lossy(&text);
            format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
        }),
        Just("\r\n".to_owned()),
    ];
    (
        "(GET|POST|PUT) /[a-z/%.]{0,6}(\\?[a-z=&]{0,6})? HTTP/1\\.1\r\nHost: [a-z.]{1,5}\r\n",
        fields,
        body,
    )
        .prop_map(|(start, fields, body)| format!("{start}{}{body}", fields.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_hyper_takes_too_is_understood_as_hyper_does(
        requests in proptest::collection::vec(prop_oneof![one_request(), sound_request()], 1..4),
        cut: prop::sample::Index,
        noise in proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut text = requests.concat().into_bytes();
        if let Some((place, byte)) = noise {
            let place = place.index(text.len());
            text[place] = byte;
        }
        let cut = cut.index(text.len());
        compare(&text, cut).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn an_empty_line_without_cr_ends_no_head() {
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n\n5 \r\n",
    ] {
        for cut in 0..text.len() {
            compare(text.as_bytes(), cut).unwrap();
        }
    }
}

#[test]
fn sound_requests_are_taken_by_both() {
    let text = "GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nPOST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                POST /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for cut in 0..text.len() {
        compare(text.as_bytes(), cut).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (ours, hypers) = runtime.block_on(async {
        (
            ours(text.as_bytes(), 0).await,
            hypers(text.as_bytes(), 0).await,
        )
    });
    assert_eq!((ours.seen.len(), hypers.seen.len()), (3, 3));
    assert!(ours.seen.iter().all(|seen| seen.body.is_some()));
}
