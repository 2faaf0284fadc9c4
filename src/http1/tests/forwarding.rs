//! A request that was understood, sent on and understood again says the same.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::Frame;
use proptest::prelude::*;

use super::bodies::{Piece, pieces};
use crate::exchange::{Body, Head, Headers, Request, Response};
use crate::http1::fields::HeadLimits;
use crate::http1::head::RequestParser;
use crate::http1::{Connection, Drain, Limits, OutgoingHead, SendOptions, serve};

/// What a message says, apart from how it is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    start: String,
    authority: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

fn fields_of(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    let fields = headers.iter();
    fields
        .map(|(_, name, value)| (name.to_owned(), value.to_vec()))
        .collect()
}

fn target_of(head: &Head) -> String {
    match &head.query {
        Some(query) => format!("{}?{query}", head.path),
        None => head.path.clone(),
    }
}

fn parse(text: &[u8]) -> Option<Head> {
    let mut parser = RequestParser::new(&HeadLimits::default());
    let (_, complete) = parser.parse(&mut text.to_vec()).ok()?;
    let parsed = complete.then(|| parser.finish())?;
    parsed.ok().map(|parsed| parsed.head)
}

async fn read(mut body: Body) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let mut bytes = Vec::new();
    let mut trailers = Vec::new();
    while let Some(frame) = body.next().await {
        match frame.unwrap().into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = fields_of(&frame.trailers_ref().unwrap().into()),
        }
    }
    (bytes, trailers)
}

/// Sends `head` and `body` to a server that sends them back; what it saw, and what came back.
async fn send(head: &Head, body: Body, small: usize) -> (Message, Message) {
    let (client, server) = tokio::io::duplex(small);
    let seen = Rc::new(RefCell::new(None));
    let log = Rc::clone(&seen);
    let handler = move |request: Request| {
        let log = Rc::clone(&log);
        async move {
            let Request { head, body, .. } = request;
            let (body, trailers) = read(body).await;
            let mut frames: Vec<Piece> = body
                .chunks(7)
                .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
                .collect();
            if !trailers.is_empty() {
                frames.push(Ok(Frame::trailers(map_of(&trailers))));
            }
            let response = Response::new(StatusCode::OK, head.headers.clone(), pieces(frames));
            *log.borrow_mut() = Some(Message {
                start: format!("{} {}", head.method, target_of(&head)),
                authority: head.authority,
                fields: fields_of(&head.headers),
                body,
                trailers,
            });
            response
        }
    };
    let refuse = |status: StatusCode, reason: &'static str| panic!("{status}: {reason}");
    let limits = Rc::new(Limits::default());
    let served = serve(server, limits, &Drain::new(), handler, refuse);
    let asked = async {
        let target = target_of(head);
        let outgoing = OutgoingHead {
            method: &head.method,
            target: &target,
            host: &head.authority,
            headers: &head.headers,
            upgrade: None,
        };
        let options = SendOptions::default();
        let response = Connection::new(client).send(outgoing, body, options, drop);
        let mut response = response.await.unwrap();
        response.headers.remove("date");
        let fields = fields_of(&response.headers);
        let (body, trailers) = read(response.body).await;
        Message {
            start: response.status.to_string(),
            authority: String::new(),
            fields,
            body,
            trailers,
        }
    };
    let (answer, ()) = tokio::join!(asked, served);
    (seen.take().unwrap(), answer)
}

fn map_of(trailers: &[(String, Vec<u8>)]) -> HeaderMap {
    let mut headers = Headers::new();
    for (name, value) in trailers {
        headers.append(name, value);
    }
    headers.to_map()
}

fn is_about_the_connection(name: &str) -> bool {
    matches!(
        name,
        "te" | "host" | "expect" | "upgrade" | "connection" | "keep-alive" | "date"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_request_sent_on_says_the_same(
        start in "(GET|POST|PATCH|X-OWN) /[!-!$-;=?-~]{0,30} HTTP/1\\.1\r\nHOST:[\t ]*[a-z0-9.-]{1,9}(:[0-9]{1,4})?[\t ]*\r\n",
        fields in proptest::collection::vec("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}:[\t ]{0,2}([ -~é\t]{0,20}[!-~])?[\t ]{0,2}\r\n", 0..6),
        body in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5),
        trailers in proptest::collection::vec(("x-[a-z]{1,5}", "[!-~]{0,9}"), 0..3),
        known: bool,
        small in 1_usize..100,
    ) {
        let text = format!("{start}{}\r\n", fields.concat());
        let head = parse(text.as_bytes());
        prop_assume!(head.as_ref().is_some_and(|head| {
            !head.headers.iter().any(|(_, name, _)| is_about_the_connection(name))
        }));
        let head = head.unwrap();
        let whole = body.concat();
        let trailers: Vec<_> = trailers
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes()))
            .collect();
        let trailers = fields_of(&(&map_of(&trailers)).into());
        let body = if known {
            Body::from(whole.clone())
        } else {
            let mut frames: Vec<Piece> = body.into_iter().map(|piece| Ok(Frame::data(piece.into()))).collect();
            frames.push(Ok(Frame::trailers(map_of(&trailers))));
            pieces(frames)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (seen, answer) = runtime.block_on(send(&head, body, small));
        let sent = Message {
            start: format!("{} {}", head.method, target_of(&head)),
            authority: head.authority.clone(),
            fields: fields_of(&head.headers),
            body: whole,
            trailers: if known { Vec::new() } else { trailers },
        };
        prop_assert_eq!(&seen, &sent);
        prop_assert_eq!(answer, Message { start: "200 OK".to_owned(), authority: String::new(), ..sent });
    }

    #[test]
    fn no_bytes_make_a_head_panic(text: Vec<u8>, prefix in "(GET / HTTP/1.1\r\nHost: a\r\n)?") {
        let _parsed = parse(&[prefix.as_bytes(), &text].concat());
    }
}

#[test]
fn a_method_of_ones_own_is_sent_on() {
    let head = parse(b"X-OWN / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.method, Method::from_bytes(b"X-OWN").unwrap());
}
