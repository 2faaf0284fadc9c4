//! For tests: upstreams that answer by script on a stopped clock, and what they saw.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future as _;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::{Call, Local, PartCache};
use crate::exchange::{Body, CallError, Headers, Outgoing, Response};

/// What an upstream answers on one path.
#[derive(Clone)]
pub(super) struct Script {
    after: Duration,
    /// From the head to the last byte of the body; none: the body never ends.
    body_takes: Option<Duration>,
    answer: Result<(u16, Bytes), CallError>,
    headers: &'static [(&'static str, &'static str)],
    cut: bool,
}

/// Answers `body` with 200 after so many milliseconds.
pub(super) fn ok(after: u64, body: &'static str) -> Script {
    status(after, 200, body)
}

pub(super) fn status(after: u64, status: u16, body: &'static str) -> Script {
    Script {
        after: Duration::from_millis(after),
        body_takes: Some(Duration::ZERO),
        answer: Ok((status, Bytes::from_static(body.as_bytes()))),
        headers: &[],
        cut: false,
    }
}

pub(super) fn fails(after: u64, error: CallError) -> Script {
    Script {
        answer: Err(error),
        ..status(after, 200, "")
    }
}

impl Script {
    pub(super) fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    pub(super) fn body_never_ends(mut self) -> Self {
        self.body_takes = None;
        self
    }

    pub(super) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }
}

/// Upstreams by script, and what they saw.
pub(super) struct Backends {
    scripts: HashMap<&'static str, Script>,
    /// What is answered from the second time on, where that differs.
    again: HashMap<&'static str, Script>,
    start: Instant,
    /// `12 GET /target`: milliseconds, and what began.
    pub(super) seen: Rc<RefCell<Vec<String>>>,
    /// `12 /target`: calls that were dropped.
    pub(super) cancelled: Rc<RefCell<Vec<String>>>,
    pub(super) requests: RefCell<Vec<(String, Headers, Bytes)>>,
    pub(super) at_once: Rc<RefCell<(usize, usize)>>,
    parts: PartCache,
    pub(super) is_prompt: bool,
}

impl Backends {
    pub(super) fn new(scripts: &[(&'static str, Script)]) -> Self {
        Self {
            scripts: scripts.iter().cloned().collect(),
            again: HashMap::new(),
            start: Instant::now(),
            seen: Rc::default(),
            cancelled: Rc::default(),
            requests: RefCell::default(),
            at_once: Rc::default(),
            parts: PartCache::default(),
            is_prompt: true,
        }
    }

    /// From now on answers as `scripts` have it.
    pub(super) fn turn_to(&mut self, scripts: &[(&'static str, Script)]) {
        self.scripts = scripts.iter().cloned().collect();
    }

    pub(super) fn then(mut self, target: &'static str, script: Script) -> Self {
        self.again.insert(target, script);
        self
    }

    pub(super) fn elapsed(&self) -> u128 {
        self.start.elapsed().as_millis()
    }
}

/// Notes a call that is dropped before its answer.
struct Guard {
    start: Instant,
    target: String,
    cancelled: Rc<RefCell<Vec<String>>>,
    at_once: Rc<RefCell<(usize, usize)>>,
    is_done: bool,
}

impl Guard {
    fn done(&mut self) {
        self.is_done = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.at_once.borrow_mut().0 -= 1;
        if !self.is_done {
            let ms = self.start.elapsed().as_millis();
            self.cancelled
                .borrow_mut()
                .push(format!("{ms} {}", self.target));
        }
    }
}

impl Call for Backends {
    fn parts(&self) -> Option<&PartCache> {
        Some(&self.parts)
    }

    fn is_prompt(&self) -> bool {
        self.is_prompt
    }

    fn call(&self, _: usize, outgoing: Outgoing) -> Local<'_, Result<Response, CallError>> {
        let path = outgoing.target.split('?').next().unwrap();
        let line = format!(" {} {}", outgoing.method, outgoing.target);
        let is_first = !self.seen.borrow().iter().any(|seen| seen.ends_with(&line));
        let again = self.again.get(outgoing.target.as_str());
        let script = again
            .filter(|_| !is_first)
            .or_else(|| self.scripts.get(outgoing.target.as_str()))
            .or_else(|| self.scripts.get(path))
            .unwrap_or_else(|| panic!("no script for {}", outgoing.target))
            .clone();
        let mut guard = Guard {
            start: self.start,
            target: outgoing.target.clone(),
            cancelled: Rc::clone(&self.cancelled),
            at_once: Rc::clone(&self.at_once),
            is_done: false,
        };
        {
            let mut at_once = self.at_once.borrow_mut();
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
        }
        let ms = self.elapsed();
        self.seen.borrow_mut().push(format!("{ms}{line}"));
        Box::pin(async move {
            let sent = outgoing.body.collect(u64::MAX).await.unwrap();
            self.requests
                .borrow_mut()
                .push((outgoing.target, outgoing.headers, sent));
            sleep(script.after).await;
            let (status, body) = script.answer.inspect_err(|_| guard.done())?;
            let mut headers = Headers::new();
            for (name, value) in script.headers {
                headers.append(name, value.as_bytes());
            }
            let body = match (script.body_takes, script.cut) {
                (Some(Duration::ZERO), false) => Body::from(body),
                (takes, is_cut) => Body::stream(Scripted {
                    pieces: VecDeque::from([body]),
                    wait: takes.map(|takes| Box::pin(sleep(takes))),
                    is_cut,
                }),
            };
            guard.done();
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Response::new(status, headers, body))
        })
    }
}

/// A body that comes late, breaks off, or never ends.
struct Scripted {
    pieces: VecDeque<Bytes>,
    wait: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
    is_cut: bool,
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = crate::exchange::BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        use std::task::Poll;
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(http_body::Frame::data(piece))));
        }
        if self.is_cut {
            return Poll::Ready(Some(Err(crate::exchange::BodyError::Incomplete)));
        }
        match &mut self.wait {
            Some(wait) => wait.as_mut().poll(context).map(|()| None),
            None => Poll::Pending,
        }
    }
}
