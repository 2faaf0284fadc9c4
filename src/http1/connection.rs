//! The server side: drives one client connection from its first byte to its last.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::drain::{Drain, Watch};
use super::fields::{HeadError, HeadLimits};
use super::head::{RequestHead, RequestParser};
use super::request_body::{Link, Rest};
use super::timer::Wait;
use super::tunnel;
use super::write::{Encoding, Outgoing, ResponseFacts, write_response};
use crate::exchange::{Finish, Request, Response, Version, boxed};

/// After a refusal, how much of what a client still sends is read so that it sees the answer.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Bounds on a client connection. Every wait ends by one of them.
#[derive(Clone, Debug)]
pub struct Limits {
    pub head: HeadLimits,
    /// From the first byte of a head to its last.
    pub header_time: Duration,
    /// Without progress while a body is read or a response is written.
    pub body_time: Duration,
    /// Between requests.
    pub idle: Duration,
    /// Without a byte either way on an upgraded connection.
    pub tunnel_idle: Duration,
    /// How much of a request body that nobody read is read to get at the next request, in bytes.
    pub unread_bytes: u64,
    /// How long a closed connection is read so that the client sees the last answer.
    pub linger: Duration,
    /// When the gateway stops: how long an idle connection may still bring a request, which may
    /// be on its way already.
    pub drain_idle: Duration,
    /// A client that has closed its side still waits for its answer. Otherwise it has left, and
    /// work for it is stopped.
    pub half_close: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            tunnel_idle: Duration::from_mins(10),
            unread_bytes: 64 * 1024,
            linger: Duration::from_secs(2),
            drain_idle: Duration::from_millis(250),
            half_close: false,
        }
    }
}

type Shared<S> = Rc<RefCell<Link<S>>>;

/// Serves a connection until it is closed: every request in order to `handler`, one at a time.
///
/// What is refused before it becomes a request is answered by `refuse` and the connection closed.
/// When the client leaves, or the returned future is dropped, the handler's future is dropped.
pub fn serve<S, H, F, R>(
    stream: S,
    limits: Rc<Limits>,
    drain: &Drain,
    handler: H,
    refuse: R,
) -> impl Future<Output = ()> + use<S, H, F, R>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Request) -> F,
    F: Future<Output = Response>,
    R: Fn(StatusCode, &'static str) -> Response,
{
    // Built here, so that the stream has no second place in the future.
    let link = Rc::new(RefCell::new(Link::new(stream, limits)));
    let mut watch = drain.watch();
    async move {
        loop {
            let next = next_head(&link, &mut watch).await;
            let after = match Turn::new(next, &link, &handler) {
                Turn::Work(facts, work) => {
                    let answered = answer(&link, work).await;
                    match end(answered, &link, &facts, &refuse, &watch) {
                        Ending::Left => After::Drop,
                        Ending::Response(respond) => respond.await,
                        Ending::Switch(switch) => switch.await,
                    }
                }
                Turn::Refuse(status, reason) => {
                    let response = refuse(status, reason);
                    match respond(&link, &RequestFacts::REFUSED, response, &watch).await {
                        After::Drop => After::Drop,
                        _ => After::Linger,
                    }
                }
                Turn::Close => After::Close,
            };
            match after {
                After::Next => {}
                After::Drop => return,
                After::Close => return Box::pin(close(&link, false)).await,
                After::Linger => return Box::pin(close(&link, true)).await,
            }
        }
    }
}

/// What came instead of bytes.
enum Next {
    Head(RequestHead),
    Refused(StatusCode, &'static str),
    Closed,
}

impl From<HeadError> for Next {
    fn from(error: HeadError) -> Self {
        Self::Refused(error.status(), error.reason())
    }
}

/// What the connection does next. Small, for the future of a connection has a place for it: what
/// is large was moved to where it is needed.
enum Turn<F> {
    /// The handler is at work on a request.
    Work(RequestFacts, Pin<Box<F>>),
    Refuse(StatusCode, &'static str),
    Close,
}

impl<F> Turn<F> {
    fn new<S, H>(next: Next, link: &Shared<S>, handler: &H) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        H: Fn(Request) -> F,
    {
        match next {
            Next::Head(head) => {
                let (facts, request) = begin(link, head);
                // Boxed: an idle connection does not pay for the size of a request at work.
                Self::Work(facts, boxed::pin(|| handler(request)))
            }
            Next::Refused(status, reason) => Self::Refuse(status, reason),
            Next::Closed => Self::Close,
        }
    }
}

/// How a request ends.
enum Ending<'a, R> {
    /// The client has left.
    Left,
    Response(R),
    /// Boxed: few requests switch protocols.
    Switch(Pin<Box<dyn Future<Output = After> + 'a>>),
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It takes another request.
    Next,
    /// It is dropped as it is: there is nobody to say goodbye to, or nobody must take what was
    /// sent for whole.
    Drop,
    Close,
    /// The client may still be sending: it is heard for a while, for a reset would destroy the
    /// answer on its way (RFC 9112, 9.6).
    Linger,
}

/// Waits for the next request head.
async fn next_head<S>(link: &Shared<S>, watch: &mut Watch) -> Next
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut parser = None;
    let mut idle = Wait::default();
    let mut head = Wait::default();
    let mut draining = Wait::default();
    std::future::poll_fn(|context| {
        let link = &mut *link.borrow_mut();
        if let Poll::Ready(next) = poll_head(link, &mut parser, context) {
            return Poll::Ready(next);
        }
        link.wire.input.settle();
        if parser.is_some() {
            ready!(head.poll_too_long(link.limits.header_time, &mut link.timer, context));
            return Poll::Ready(Next::Refused(
                StatusCode::REQUEST_TIMEOUT,
                "the request head did not arrive in time",
            ));
        }
        let (wait, bound) = if watch.poll_started(context).is_ready() {
            (&mut draining, link.limits.drain_idle)
        } else {
            (&mut idle, link.limits.idle)
        };
        ready!(wait.poll_too_long(bound, &mut link.timer, context));
        Poll::Ready(Next::Closed)
    })
    .await
}

/// Reads until a head is complete. `parser` is there once a part of it has come: most heads come
/// whole, and need no parser but for that moment.
fn poll_head<S>(
    link: &mut Link<S>,
    parser: &mut Option<Box<RequestParser>>,
    context: &mut Context<'_>,
) -> Poll<Next>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    loop {
        let input = &mut link.wire.input;
        if !input.is_empty() {
            let mut begun = None;
            let reading = match parser {
                Some(parser) => &mut **parser,
                None => begun.insert(RequestParser::new(&link.limits.head)),
            };
            let (consumed, complete) = match reading.parse(input.as_mut_slice()) {
                Ok(parsed) => parsed,
                Err(error) => return Poll::Ready(error.into()),
            };
            input.consume(consumed);
            if complete {
                return Poll::Ready(reading.finish().map_or_else(Next::from, Next::Head));
            }
            if let Some(begun) = begun {
                *parser = Some(Box::new(begun));
            }
        }
        match ready!(link.wire.poll_fill(context)) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Poll::Ready(Next::Closed),
        }
    }
}

/// What a response depends on.
struct RequestFacts {
    method: Method,
    http_10: bool,
    keep_alive: bool,
    upgrade: Option<String>,
}

impl RequestFacts {
    /// Of what was not understood.
    const REFUSED: Self = Self {
        method: Method::GET,
        http_10: false,
        keep_alive: false,
        upgrade: None,
    };
}

/// What the handler is asked, and what its response will depend on.
fn begin<S>(link: &Shared<S>, head: RequestHead) -> (RequestFacts, Request)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let facts = RequestFacts {
        method: head.head.method.clone(),
        http_10: head.head.version == Version::Http10,
        keep_alive: head.keep_alive,
        upgrade: head.upgrade,
    };
    let request = Request {
        body: Link::open_body(link, head.length, head.expects_continue),
        head: head.head,
        upgrade: facts.upgrade.clone(),
    };
    (facts, request)
}

/// What the handler answers; none when the client has left meanwhile.
async fn answer<S, F>(link: &Shared<S>, mut work: Pin<Box<F>>) -> Option<Response>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Future<Output = Response>,
{
    std::future::poll_fn(|context| {
        if let Poll::Ready(response) = work.as_mut().poll(context) {
            return Poll::Ready(Some(response));
        }
        let link = &mut *link.borrow_mut();
        let left = link.poll_left(context);
        // Whatever waits for the handler must not keep what other connections read into.
        link.wire.input.settle();
        left.map(|()| None)
    })
    .await
}

/// What there is to do for what was answered.
fn end<'a, S, R>(
    answered: Option<Response>,
    link: &'a Shared<S>,
    facts: &'a RequestFacts,
    refuse: &'a R,
    watch: &'a Watch,
) -> Ending<'a, impl Future<Output = After> + use<'a, S, R>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    R: Fn(StatusCode, &'static str) -> Response,
{
    match answered {
        None => Ending::Left,
        Some(response) if response.status.is_informational() => {
            Ending::Switch(Box::pin(switch(link, facts, response, refuse, watch)))
        }
        Some(response) => Ending::Response(respond(link, facts, response, watch)),
    }
}

/// Writes a final response, then sees to the rest of the request.
///
/// What can be done at once is done before the future begins, which then has no place for the
/// response as a whole.
fn respond<'a, S>(
    link: &'a Shared<S>,
    facts: &RequestFacts,
    response: Response,
    watch: &Watch,
) -> impl Future<Output = After> + use<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let encoding = Encoding::of_response(
        &facts.method,
        facts.http_10,
        response.status,
        &response.body,
    );
    let keep_alive = {
        let link = &mut *link.borrow_mut();
        let keep_alive = link.begin_response()
            && facts.keep_alive
            && encoding != Encoding::UntilClose
            && !watch.has_started();
        let written = ResponseFacts {
            status: response.status,
            encoding,
            connection: match (keep_alive, facts.http_10) {
                (false, _) => Some("close"),
                (true, true) => Some("keep-alive"),
                (true, false) => None,
            },
            upgrade: None,
        };
        write_response(&written, &response.headers, link.wire.output.text());
        keep_alive
    };
    let mut sending = Sending {
        outgoing: Outgoing::new(response.body, encoding),
        finish: response.finish,
        bytes: 0,
    };
    async move {
        if sending.write(link).await.is_err() {
            return After::Drop;
        }
        link.borrow_mut().abandon_body();
        if !keep_alive {
            let link = link.borrow();
            let heard = link.incoming.has_ended() && link.wire.input.is_empty();
            return if heard { After::Close } else { After::Linger };
        }
        let rest = std::future::poll_fn(|context| link.borrow_mut().poll_rest(context));
        match rest.await {
            Rest::Read => After::Next,
            Rest::Left => After::Linger,
        }
    }
}

/// The response is not whole, and cannot be made so.
struct Aborted;

/// A response body on its way to the client.
struct Sending {
    outgoing: Outgoing,
    finish: Option<Box<dyn Finish>>,
    bytes: u64,
}

impl Sending {
    /// Writes what waits, then the body as it comes: small pieces together, each at once.
    async fn write<S>(&mut self, link: &Shared<S>) -> Result<(), Aborted>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        std::future::poll_fn(|context| self.poll_write(link, context)).await?;
        if let Some(finish) = &mut self.finish {
            finish.complete();
        }
        Ok(())
    }

    fn poll_write<S>(
        &mut self,
        link: &Shared<S>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Aborted>>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let outgoing = &mut self.outgoing;
        loop {
            let mut body_pending = false;
            while outgoing.is_going() && !body_pending && link.borrow().wire.output.has_room() {
                // Not borrowed while the body is polled: it may read the request from here.
                let Poll::Ready(frame) = outgoing.poll_frame(context) else {
                    body_pending = true;
                    continue;
                };
                let mut link = link.borrow_mut();
                let encoded = frame
                    .transpose()
                    .and_then(|frame| outgoing.encode(frame, &mut link.wire.output));
                let Ok(encoded) = encoded else {
                    // A client must see a response cut off, not a connection closed without one,
                    // after which it may ask again (RFC 9112, 9.3.1).
                    let begun = outgoing.shows_its_end().then(|| link.poll_flush(context));
                    drop(begun);
                    return Poll::Ready(Err(Aborted));
                };
                self.bytes += encoded;
            }
            let link = &mut *link.borrow_mut();
            let flushed = link.poll_flush(context);
            if let Some(finish) = &mut self.finish {
                finish.sent(self.bytes.saturating_sub(link.wire.output.len() as u64));
            }
            if ready!(flushed).is_err() {
                return Poll::Ready(Err(Aborted));
            }
            if !outgoing.is_going() {
                return Poll::Ready(Ok(()));
            }
            if body_pending {
                return link.poll_left(context).map(|()| Err(Aborted));
            }
        }
    }
}

/// Answers 101 where that was asked for, then copies both ways until both sides have ended
/// (RFC 9110, 7.8). No other interim response ends a request.
async fn switch<S, R>(
    link: &Shared<S>,
    facts: &RequestFacts,
    mut response: Response,
    refuse: &R,
    watch: &Watch,
) -> After
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    R: Fn(StatusCode, &'static str) -> Response,
{
    let asked = facts.upgrade.is_some() && response.status == StatusCode::SWITCHING_PROTOCOLS;
    let Some(tunnel) = response.tunnel.take().filter(|_| asked) else {
        let reason = "an interim response came where a final one was due";
        let response = refuse(StatusCode::BAD_GATEWAY, reason);
        return respond(link, facts, response, watch).await;
    };
    {
        let link = &mut *link.borrow_mut();
        if !link.begin_response() || !link.incoming.has_ended() {
            // A request is read whole before the protocol changes.
            return After::Drop;
        }
        let written = ResponseFacts {
            status: response.status,
            encoding: Encoding::Absent,
            connection: None,
            upgrade: response
                .headers
                .get_str("upgrade")
                .or(facts.upgrade.as_deref()),
        };
        write_response(&written, &response.headers, link.wire.output.text());
    }
    let flushed = std::future::poll_fn(|context| link.borrow_mut().poll_flush(context));
    if flushed.await.is_ok() {
        tunnel::copy(link, tunnel, response.finish).await;
    }
    After::Drop
}

/// Says that nothing more will come, and perhaps waits until the client has heard it.
async fn close<S>(link: &Shared<S>, linger: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut wait = Wait::default();
    let mut shut = false;
    let mut heard = 0;
    std::future::poll_fn(|context| {
        let link = &mut *link.borrow_mut();
        let stopped: Poll<io::Result<()>> = loop {
            if !shut {
                match Pin::new(&mut link.wire.stream).poll_shutdown(context) {
                    Poll::Ready(Ok(())) => shut = true,
                    other => break other,
                }
            }
            if !linger || heard > LINGER_BYTES_MAX {
                break Poll::Ready(Ok(()));
            }
            link.wire.input.clear();
            match link.wire.poll_fill(context) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Ok(())),
                Poll::Ready(Ok(count)) => heard += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if stopped.is_ready() {
            return Poll::Ready(());
        }
        wait.poll_too_long(link.limits.linger, &mut link.timer, context)
    })
    .await;
}
