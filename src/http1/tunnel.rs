//! An upgraded connection: bytes both ways, understood by nobody here.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::buffer::Input;
use super::request_body::Link;
use super::timer::Wait;
use crate::exchange::{Finish, Tunnel};

/// How much is read at a time, and may have to wait for the other side.
const PIECE_BYTES: usize = 32 * 1024;

/// Copies between a client and the other end of its tunnel. The end of one side is passed on to
/// the other, which may finish what it has to say; it is over when both have ended, when either
/// fails, or when nothing has moved for too long.
pub async fn copy<S>(
    link: &Rc<RefCell<Link<S>>>,
    mut tunnel: Tunnel,
    mut finish: Option<Box<dyn Finish>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut up = Direction::default();
    let mut down = Direction::default();
    let mut answer = Input::default();
    let mut still = Wait::default();
    let ended = std::future::poll_fn(|context| {
        let link = &mut *link.borrow_mut();
        let wire = &mut link.wire;
        let before = up.moved + down.moved;
        let ended_before = usize::from(up.done) + usize::from(down.done);
        let sent = up.poll_copy(&mut wire.input, &mut wire.stream, &mut tunnel.0, context)?;
        let got = down.poll_copy(&mut answer, &mut tunnel.0, &mut wire.stream, context)?;
        if let Some(finish) = &mut finish {
            finish.sent(down.moved);
        }
        if sent.is_ready() && got.is_ready() {
            return Poll::Ready(Ok(()));
        }
        let ends = usize::from(up.done) + usize::from(down.done);
        if up.moved + down.moved > before || ends > ended_before {
            still.over();
        }
        if sent.is_ready() || got.is_ready() {
            let bound = link.limits.linger;
            return still.poll_too_long(bound, &mut link.timer, context).map(Ok);
        }
        let bound = link.limits.tunnel_idle;
        still
            .poll_too_long(bound, &mut link.timer, context)
            .map(|()| Err(io::Error::from(io::ErrorKind::TimedOut)))
    });
    if ended.await.is_ok()
        && let Some(finish) = &mut finish
    {
        finish.complete();
    }
}

#[derive(Default)]
struct Direction {
    moved: u64,
    /// Written, but not yet flushed.
    unflushed: bool,
    ended: bool,
    done: bool,
}

impl Direction {
    /// Moves what can be moved. Ready when the reader has ended and the writer was told.
    fn poll_copy<R, W>(
        &mut self,
        waiting: &mut Input,
        reader: &mut R,
        writer: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while !self.done {
            while !waiting.is_empty() {
                let write = Pin::new(&mut *writer).poll_write(context, waiting.as_slice());
                let Poll::Ready(written) = write else {
                    waiting.settle();
                    return Poll::Pending;
                };
                let written = written?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                waiting.consume(written);
                self.moved += written as u64;
                self.unflushed = true;
            }
            if self.ended {
                ready!(Pin::new(&mut *writer).poll_shutdown(context))?;
                self.done = true;
                break;
            }
            match waiting.poll_fill(reader, PIECE_BYTES, context)? {
                Poll::Ready(0) => self.ended = true,
                Poll::Ready(_) => {}
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut *writer).poll_flush(context))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
