//! A response on its way out: its head, then each piece as the client has room for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as _, Frame};

use super::SEND_BUFFER;
use super::active::ActiveStream;
use crate::exchange::{Body, BodyError, Finish, Headers, Known, Response, date};

/// Sends a response, without its body where only the head was asked for.
pub(super) async fn send(
    response: Response,
    head_only: bool,
    mut respond: SendResponse<Bytes>,
    active: ActiveStream,
) {
    let Response {
        status,
        headers,
        mut body,
        mut finish,
        ..
    } = response;
    let mut length = body.exact_len().filter(|&len| len > 0);
    if head_only {
        body = Body::Empty;
    } else if body.is_empty() {
        length = None;
    }
    let ended = body.is_empty();
    let mut head = http::Response::new(());
    *head.status_mut() = match status {
        StatusCode::SWITCHING_PROTOCOLS => StatusCode::BAD_GATEWAY,
        status => status,
    };
    *head.headers_mut() = fields(&headers, length, head_only);
    drop(headers);
    let Ok(stream) = respond.send_response(head, ended) else {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return;
    };
    if ended {
        complete(&mut finish);
        return;
    }
    let mut sending = Sending {
        stream,
        active,
        bytes: 0,
        finish,
    };
    if let Err(Broken) = sending.send(body).await {
        sending.stream.send_reset(Reason::INTERNAL_ERROR);
    }
}

/// The fields of the head: none that concerns a connection (RFC 9113, 8.2.2), the length where
/// there is one to tell, and a date.
fn fields(headers: &Headers, length: Option<u64>, head_only: bool) -> HeaderMap {
    let mut dated = false;
    let mut fields = headers.to_map_of(2, |known| {
        dated |= known == Known::Date;
        match known {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade => false,
            Known::ContentLength => head_only && length.is_none(),
            _ => true,
        }
    });
    if let Some(length) = length {
        fields.append(header::CONTENT_LENGTH, length.into());
    }
    if !dated {
        date::with_now(|now| fields.append(header::DATE, now.clone()));
    }
    fields
}

fn complete(finish: &mut Option<Box<dyn Finish>>) {
    if let Some(finish) = finish {
        finish.complete();
    }
}

/// The response cannot be sent as it was announced.
struct Broken;

/// A body on its way out. Dropped before it is complete, it was given up.
struct Sending {
    stream: SendStream<Bytes>,
    active: ActiveStream,
    /// Of the body, so far.
    bytes: u64,
    finish: Option<Box<dyn Finish>>,
}

impl Sending {
    async fn send(&mut self, mut body: Body) -> Result<(), Broken> {
        loop {
            let Some(frame) = self.next(&mut body).await else {
                return Ok(());
            };
            let Some(frame) = frame else {
                self.give(Bytes::new(), true)?;
                complete(&mut self.finish);
                return Ok(());
            };
            match frame.map_err(|_| Broken)?.into_data() {
                Ok(piece) => {
                    let last = body.is_empty();
                    if !self.send_piece(piece, last).await? {
                        return Ok(());
                    }
                    if last {
                        complete(&mut self.finish);
                        return Ok(());
                    }
                }
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else {
                        continue;
                    };
                    self.stream.send_trailers(trailers).map_err(|_| Broken)?;
                    complete(&mut self.finish);
                    return Ok(());
                }
            }
        }
    }

    /// What comes next of the body; none when the client has reset the stream.
    async fn next(&mut self, body: &mut Body) -> Option<Option<Result<Frame<Bytes>, BodyError>>> {
        poll_fn(|context| match Pin::new(&mut *body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => self.stream.poll_reset(context).map(|_| None),
        })
        .await
    }

    /// Sends a piece, as much at once as there is room for; false when the client has reset the
    /// stream.
    async fn send_piece(&mut self, mut piece: Bytes, last: bool) -> Result<bool, Broken> {
        if piece.is_empty() {
            if last {
                self.give(piece, true)?;
            }
            return Ok(true);
        }
        while !piece.is_empty() {
            self.stream.reserve_capacity(piece.len().min(SEND_BUFFER));
            let mut room = self.stream.capacity();
            if room == 0 {
                let blocked = self.active.blocked();
                match poll_fn(|context| self.stream.poll_capacity(context)).await {
                    Some(Ok(more)) => room = more,
                    _ => return Ok(false),
                }
                drop(blocked);
            }
            let now = piece.split_to(room.min(piece.len()));
            let last = last && piece.is_empty();
            self.give(now, last)?;
        }
        Ok(true)
    }

    fn give(&mut self, piece: Bytes, last: bool) -> Result<(), Broken> {
        self.bytes += piece.len() as u64;
        self.stream.send_data(piece, last).map_err(|_| Broken)?;
        self.active.moved();
        if let Some(finish) = &mut self.finish
            && self.bytes > 0
        {
            finish.sent(self.bytes);
        }
        Ok(())
    }
}
