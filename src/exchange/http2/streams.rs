//! The streams of a connection, each in a slot of its own, from the request to the last byte.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use http::StatusCode;

use super::active::ActiveStream;
use super::response::{self, Sending};
use super::wakes::{StreamWaker, Wakes};
use crate::exchange::Response;

/// What a stream is at.
pub(super) enum Stream<F> {
    /// Its request is being answered.
    Answering(Answering<F>),
    /// Its answer is being sent.
    Sending(Sending),
}

/// A request being answered. Given up when the client resets its stream.
pub(super) struct Answering<F> {
    /// Boxed: it is large, and is moved along with the slots.
    pub answer: Pin<Box<F>>,
    pub respond: SendResponse<Bytes>,
    pub active: ActiveStream,
    pub head_only: bool,
    /// The client may wait for 100 before it sends its body.
    pub owes_continue: bool,
}

/// A place for one stream after another.
struct Slot<F> {
    waker: StreamWaker,
    stream: Option<Stream<F>>,
}

/// As many slots as there ever were streams at once.
pub(super) struct Streams<F> {
    slots: Vec<Slot<F>>,
    free: Vec<usize>,
    /// Those to be polled, while they are.
    turn: Vec<usize>,
}

impl<F> Default for Streams<F> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            turn: Vec::new(),
        }
    }
}

impl<F: Future<Output = Response>> Streams<F> {
    /// Takes a stream, and does of it what can be done at once.
    pub fn begin(&mut self, stream: Stream<F>, wakes: &Wakes) {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = self.slots.len();
            self.slots.push(Slot {
                waker: wakes.stream(index),
                stream: None,
            });
            index
        });
        if let Some(slot) = self.slots.get_mut(index) {
            slot.stream = Some(stream);
        }
        self.poll_slot(index);
    }

    /// Goes on with each stream that was woken.
    pub fn poll_woken(&mut self, wakes: &Wakes) {
        let mut turn = std::mem::take(&mut self.turn);
        wakes.take_streams(&mut turn);
        for index in turn.drain(..) {
            self.poll_slot(index);
        }
        self.turn = turn;
    }

    fn poll_slot(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.waker.heed();
        // Where it was woken once more after its end, there is none, or another one.
        if slot.stream.is_some() && slot.poll().is_ready() {
            slot.stream = None;
            self.free.push(index);
        }
    }
}

impl<F: Future<Output = Response>> Slot<F> {
    fn poll(&mut self) -> Poll<()> {
        let context = &mut Context::from_waker(&self.waker.waker);
        if let Some(Stream::Answering(answering)) = &mut self.stream {
            let response = ready!(answering.poll(context));
            if let (Some(response), Some(Stream::Answering(answering))) =
                (response, self.stream.take())
            {
                self.stream = answering.send(response).map(Stream::Sending);
            }
        }
        match &mut self.stream {
            Some(Stream::Sending(sending)) => sending.poll(context),
            _ => Poll::Ready(()),
        }
    }
}

impl<F: Future<Output = Response>> Answering<F> {
    /// The answer; none when the client has reset the stream.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Response>> {
        if let Poll::Ready(response) = self.answer.as_mut().poll(context) {
            return Poll::Ready(Some(response));
        }
        // Not before: what is refused at once is refused without its body.
        if std::mem::take(&mut self.owes_continue) {
            self.send_continue();
        }
        self.respond.poll_reset(context).map(|_| None)
    }

    fn send_continue(&mut self) {
        let mut interim = http::Response::new(());
        *interim.status_mut() = StatusCode::CONTINUE;
        // This fails where the stream is gone, as is seen next.
        let _gone = self.respond.send_informational(interim);
    }

    fn send(self, response: Response) -> Option<Sending> {
        drop(self.answer);
        response::begin(response, self.head_only, self.respond, self.active)
    }
}
