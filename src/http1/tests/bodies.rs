//! Bodies whose pieces a test decides.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Frame;

use crate::exchange::{Body, BodyError};

pub type Piece = Result<Frame<Bytes>, BodyError>;

#[expect(clippy::unnecessary_wraps, reason = "it stands in lists beside errors")]
pub fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// A body of these pieces, all there, whose length nobody knows.
pub fn pieces(frames: Vec<Piece>) -> Body {
    let fed = Fed::default();
    fed.0.borrow_mut().frames = frames.into();
    fed.end();
    Body::stream(fed)
}

/// A body that is fed while it is read.
#[derive(Clone, Default)]
pub struct Fed(Rc<RefCell<Feed>>);

#[derive(Default)]
struct Feed {
    frames: VecDeque<Piece>,
    ended: bool,
    waker: Option<Waker>,
}

impl Fed {
    pub fn push(&self, text: &'static str) {
        self.0.borrow_mut().frames.push_back(data(text));
        self.wake();
    }

    pub fn end(&self) {
        self.0.borrow_mut().ended = true;
        self.wake();
    }

    fn wake(&self) {
        let waker = self.0.borrow_mut().waker.take();
        waker.iter().for_each(Waker::wake_by_ref);
    }
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let feed = &mut *self.0.borrow_mut();
        match feed.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if feed.ended => Poll::Ready(None),
            None => {
                feed.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
