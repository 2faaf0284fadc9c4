//! Upstreams that answer by script: each connection is a pipe in memory with HTTP/1.1 on it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::Frame;
use tokio::io::DuplexStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::cases::{AnswerSpec, Failing};
use crate::exchange::{Body, BodyError, Headers, Request, Response};
use crate::http1::{self, Drain};
use crate::upstream::dial::{Asked, Dial};

/// Bytes that a pipe holds before its writer has to wait.
const PIPE_BYTES: usize = 256 * 1024;

/// Bytes of a body that an upstream is sent.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// Calls that one case may make; more are refused.
const CALLS_MAX: usize = 10_000;

/// What all upstreams of a case answer, and what was asked of them.
pub(super) struct Script {
    answers: Vec<(Arc<AnswerSpec>, Cell<u32>)>,
    calls: RefCell<Vec<CallMade>>,
    began: Instant,
}

/// One attempt of a call, as the upstream saw it.
#[derive(Clone, Debug)]
pub(super) struct CallMade {
    /// Since the case began.
    pub(super) at: Duration,
    pub(super) upstream: String,
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    pub(super) end: CallEnd,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallEnd {
    Answered(StatusCode),
    Failed(Failing),
    /// The gateway gave it up before the answer.
    GivenUp,
    /// The script has no answer for it.
    Unscripted,
}

/// The way to the upstreams of a script.
pub(super) struct Pipes(pub(super) Rc<Script>);

impl Script {
    pub(super) fn new(answers: &[Arc<AnswerSpec>]) -> Rc<Self> {
        Rc::new(Self {
            answers: answers
                .iter()
                .map(|answer| (Arc::clone(answer), Cell::new(0)))
                .collect(),
            calls: RefCell::default(),
            began: Instant::now(),
        })
    }

    pub(super) fn calls(&self) -> Vec<CallMade> {
        self.calls.borrow().clone()
    }

    /// The answer to a call; it counts as given.
    fn answer(&self, asked: Asked<'_>) -> Option<Arc<AnswerSpec>> {
        let (answer, given) = self.answers.iter().find(|(answer, given)| {
            answer.times.is_none_or(|times| given.get() < times)
                && answer.to.fits(asked.upstream, asked.method, asked.target)
        })?;
        given.set(given.get() + 1);
        Some(Arc::clone(answer))
    }

    /// Notes a call; its place among the calls.
    fn note(&self, asked: Asked<'_>, headers: Headers, end: CallEnd) -> usize {
        let mut calls = self.calls.borrow_mut();
        calls.push(CallMade {
            at: self.began.elapsed(),
            upstream: asked.upstream.to_owned(),
            method: asked.method.clone(),
            target: asked.target.to_owned(),
            headers,
            body: Bytes::new(),
            end,
        });
        calls.len() - 1
    }

    fn amend(&self, at: usize, change: impl FnOnce(&mut CallMade)) {
        if let Some(call) = self.calls.borrow_mut().get_mut(at) {
            change(call);
        }
    }
}

impl Dial for Pipes {
    fn dial(&self, asked: Asked<'_>) -> Result<DuplexStream, String> {
        let script = &self.0;
        if script.calls.borrow().len() >= CALLS_MAX {
            return Err(format!("more than {CALLS_MAX} calls"));
        }
        let Some(answer) = script.answer(asked) else {
            script.note(asked, Headers::new(), CallEnd::Unscripted);
            return Err("the test has no answer for this call".to_owned());
        };
        if answer.fails == Some(Failing::Refuse) {
            script.note(asked, Headers::new(), CallEnd::Failed(Failing::Refuse));
            return Err("refused, as the test has it".to_owned());
        }
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let served = serve(Rc::clone(script), asked.upstream.to_owned(), answer, far);
        // It ends with the connection.
        drop(tokio::task::spawn_local(served));
        Ok(near)
    }
}

/// The upstream's side of one connection.
async fn serve(script: Rc<Script>, upstream: String, answer: Arc<AnswerSpec>, pipe: DuplexStream) {
    let cut = Rc::new(Notify::new());
    let handler = |request: Request| {
        let (script, upstream) = (Rc::clone(&script), upstream.clone());
        let (answer, cut) = (Arc::clone(&answer), Rc::clone(&cut));
        async move { reply(&script, &upstream, &answer, request, &cut).await }
    };
    let refuse = |status, _| Response::from(status);
    let limits = Rc::new(http1::Limits::default());
    let served = http1::serve(pipe, limits, &Drain::new(), handler, refuse);
    tokio::select! {
        () = Box::pin(served) => {}
        () = cut.notified() => {}
    }
}

async fn reply(
    script: &Script,
    upstream: &str,
    answer: &AnswerSpec,
    request: Request,
    cut: &Notify,
) -> Response {
    let Request { head, body, .. } = request;
    let target = match &head.query {
        Some(query) => format!("{}?{query}", head.path),
        None => head.path,
    };
    let asked = Asked {
        upstream,
        method: &head.method,
        target: &target,
    };
    let mut headers = head.headers;
    headers.append("host", head.authority.as_bytes());
    let at = script.note(asked, headers, CallEnd::GivenUp);
    if let Ok(body) = body.collect(BODY_BYTES_MAX).await {
        script.amend(at, |call| call.body = body);
    }
    tokio::time::sleep(answer.after).await;
    script.amend(at, |call| {
        call.end = answer
            .fails
            .map_or(CallEnd::Answered(answer.status), CallEnd::Failed);
    });
    match answer.fails {
        Some(Failing::Reset) => {
            cut.notify_one();
            std::future::pending().await
        }
        Some(Failing::Timeout) => std::future::pending().await,
        Some(Failing::Cut) => {
            Response::new(answer.status, answer.headers.clone(), broken(&answer.body))
        }
        Some(Failing::Refuse) | None => {
            Response::new(answer.status, answer.headers.clone(), answer.body.clone())
        }
    }
}

/// The first half of a body, and then nothing more.
fn broken(body: &Bytes) -> Body {
    struct Broken(Option<Bytes>);
    impl http_body::Body for Broken {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            std::task::Poll::Ready(Some(match self.get_mut().0.take() {
                Some(half) => Ok(Frame::data(half)),
                None => Err(BodyError::Incomplete),
            }))
        }
    }
    Body::stream(Broken(Some(body.slice(..body.len() / 2))))
}
