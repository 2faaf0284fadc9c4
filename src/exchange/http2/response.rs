//! A response on its way out: its head, then each piece as the client has room for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as _, Frame};

use super::SEND_BUFFER;
use super::active::ActiveStream;
use crate::exchange::{Body, BodyError, Finish, Headers, Known, Response, date};

/// Sends the head of a response; what is left to send, where there is anything. The body is left
/// out where only the head was asked for.
pub(super) fn begin(
    response: Response,
    head_only: bool,
    mut respond: SendResponse<Bytes>,
    active: ActiveStream,
) -> Option<Sending> {
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
        return None;
    };
    if ended {
        complete(&mut finish);
        return None;
    }
    Some(Sending {
        stream,
        active,
        bytes: 0,
        finish,
        body,
        piece: Bytes::new(),
        is_last: false,
    })
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
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    active: ActiveStream,
    /// Of the body, so far.
    bytes: u64,
    finish: Option<Box<dyn Finish>>,
    body: Body,
    /// What waits for room at the client.
    piece: Bytes,
    /// Nothing comes behind it.
    is_last: bool,
}

impl Sending {
    /// Sends what there is and what the client has room for; ready when there is no more to do.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let sent = ready!(self.poll_body(context));
        if let Err(Broken) = sent {
            self.stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Poll::Ready(())
    }

    /// Ready too when the client has reset the stream: then the body is not complete.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            while !self.piece.is_empty() {
                let Some(room) = ready!(self.poll_room(context)) else {
                    return Poll::Ready(Ok(()));
                };
                let now = self.piece.split_to(room.min(self.piece.len()));
                self.give(now)?;
            }
            if self.is_last {
                complete(&mut self.finish);
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return self.stream.poll_reset(context).map(|_| Ok(())),
                Poll::Ready(frame) => self.take(frame)?,
            }
        }
    }

    /// Takes what comes next of the body.
    fn take(&mut self, frame: Option<Result<Frame<Bytes>, BodyError>>) -> Result<(), Broken> {
        let Some(frame) = frame else {
            self.is_last = true;
            return self.give(Bytes::new());
        };
        match frame.map_err(|_| Broken)?.into_data() {
            Ok(piece) => {
                self.is_last = self.body.is_empty();
                self.piece = piece;
                if self.is_last && self.piece.is_empty() {
                    self.give(Bytes::new())?;
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    self.is_last = true;
                    self.stream.send_trailers(trailers).map_err(|_| Broken)?;
                }
            }
        }
        Ok(())
    }

    /// How much of the piece there is room for; none when the client has reset the stream.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Option<usize>> {
        let wanted = self.piece.len().min(SEND_BUFFER);
        self.stream.reserve_capacity(wanted);
        let mut room = self.stream.capacity();
        if room == 0 {
            let Poll::Ready(more) = self.stream.poll_capacity(context) else {
                self.active.set_blocked(true);
                return Poll::Pending;
            };
            let Some(Ok(more)) = more else {
                return Poll::Ready(None);
            };
            room = more;
        }
        self.active.set_blocked(false);
        Poll::Ready(Some(room))
    }

    /// Sends a piece, the last one if nothing waits behind it.
    fn give(&mut self, piece: Bytes) -> Result<(), Broken> {
        self.bytes += piece.len() as u64;
        let is_last = self.is_last && self.piece.is_empty();
        let sent = self.stream.send_data(piece, is_last);
        sent.map_err(|_| Broken)?;
        self.active.moved();
        if let Some(finish) = &mut self.finish
            && self.bytes > 0
        {
            finish.sent(self.bytes);
        }
        Ok(())
    }
}
