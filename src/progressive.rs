//! Progressive answers: the parts of a flow as lines or events, each sent when it is final, and the
//! outcome behind them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;

use crate::decode::accept;
use crate::error::GatewayError;
use crate::exchange::{BodyError, Headers};
use crate::json;
use crate::orchestrate::outcome::PartReport;
use crate::orchestrate::{FinalPart, FlowAnswer, FlowError, Local, Outlet};

/// From here on a part is sent from where it lies: copying it would cost more than one more piece.
const MOVED_FROM: usize = 16 * 1024;

/// How the parts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Lines,
    /// Server-sent events, `part` and `end` (HTML Living Standard, 9.2).
    Events,
}

impl Format {
    const LINES: &str = "application/x-ndjson";
    const EVENTS: &str = "text/event-stream";

    /// What the client asks for; none where it wants the answer whole.
    pub fn asked(headers: &Headers) -> Option<Self> {
        let kinds = [Self::LINES, Self::EVENTS];
        match accept::preferred(headers, &kinds, "application/json")? {
            Self::EVENTS => Some(Self::Events),
            _ => Some(Self::Lines),
        }
    }

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Lines => Self::LINES,
            Self::Events => Self::EVENTS,
        }
    }

    const fn opening(self, event: &'static str) -> [&'static str; 3] {
        match self {
            Self::Lines => ["", "", ""],
            Self::Events => ["event: ", event, "\ndata: "],
        }
    }

    const fn closing(self) -> &'static str {
        match self {
            Self::Lines => "\n",
            Self::Events => "\n\n",
        }
    }
}

/// An answer on its way: what waits to be sent, and what the record tells in the end.
pub struct Progress {
    format: Format,
    request_id: String,
    waiting: RefCell<VecDeque<Bytes>>,
    standing: RefCell<Standing>,
}

/// Where a run stands.
#[derive(Default)]
pub struct Standing {
    /// One for each step, in the order of the file.
    pub parts: Vec<PartReport>,
    /// The status that the whole answer would have had, once that is known.
    pub status: Option<StatusCode>,
    /// Why there is no answer.
    pub error: Option<GatewayError>,
}

impl Progress {
    pub fn new(format: Format, request_id: &str) -> Self {
        Self {
            format,
            request_id: request_id.to_owned(),
            waiting: RefCell::default(),
            standing: RefCell::default(),
        }
    }

    /// Where the run stands, to be told once.
    pub fn take_standing(&self) -> Standing {
        self.standing.take()
    }

    /// Notes how the run ended, and says so to the client.
    fn end(&self, ended: Result<FlowAnswer, FlowError>) {
        let standing = match ended {
            Ok(answer) => Standing {
                parts: answer.parts,
                status: Some(answer.status),
                error: None,
            },
            Err(mut error) => Standing {
                parts: std::mem::take(&mut error.parts),
                status: Some(error.fault.status()),
                error: Some(error.into()),
            },
        };
        let line = end_line(&standing, &self.request_id);
        self.push("end", line, None);
        self.standing.replace(standing);
    }

    /// Puts one line or event into the row: its JSON text, and what stands in it as it came.
    fn push(&self, event: &'static str, text: Vec<u8>, body: Option<Bytes>) {
        let mut waiting = self.waiting.borrow_mut();
        let mut piece = Vec::with_capacity(text.len() + 32);
        for word in self.format.opening(event) {
            piece.extend_from_slice(word.as_bytes());
        }
        piece.extend_from_slice(&text);
        if let Some(body) = body {
            let body = one_line(body);
            if body.len() < MOVED_FROM {
                piece.extend_from_slice(&body);
            } else {
                waiting.push_back(std::mem::take(&mut piece).into());
                waiting.push_back(body);
            }
            piece.push(b'}');
        }
        piece.extend_from_slice(self.format.closing().as_bytes());
        waiting.push_back(piece.into());
    }
}

impl Outlet for Progress {
    fn part(&self, part: FinalPart) {
        let mut text = b"{\"part\":".to_vec();
        json::write_string(&part.name, &mut text);
        push_outcome(part.outcome.as_str(), part.cause, &mut text);
        if let Some(status) = part.status {
            text.extend_from_slice(b",\"status\":");
            text.extend_from_slice(status.as_str().as_bytes());
        }
        text.extend_from_slice(b",\"body\":");
        self.push("part", text, Some(part.body.into_bytes()));
    }

    fn stands(&self, parts: Vec<PartReport>) {
        self.standing.borrow_mut().parts = parts;
    }
}

/// The last line: what the answer would have been as a whole, and what became of each step.
fn end_line(standing: &Standing, request_id: &str) -> Vec<u8> {
    let mut text = b"{\"end\":".to_vec();
    json::write_string(
        if standing.error.is_none() {
            "ok"
        } else {
            "failed"
        },
        &mut text,
    );
    let problem = standing.error.as_ref().map(GatewayError::problem);
    let status = problem.as_ref().map(|problem| problem.status);
    text.extend_from_slice(b",\"status\":");
    let status = status.or(standing.status).unwrap_or(StatusCode::OK);
    text.extend_from_slice(status.as_str().as_bytes());
    text.extend_from_slice(b",\"steps\":{");
    for (place, part) in standing.parts.iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        json::write_string(&part.name, &mut text);
        text.push(b':');
        let start = text.len();
        push_outcome(part.outcome.as_str(), part.cause, &mut text);
        if let Some(comma) = text.get_mut(start) {
            *comma = b'{';
        }
        if part.cache.stale > 0 {
            text.extend_from_slice(b",\"stale\":true");
        }
        text.push(b'}');
    }
    text.push(b'}');
    if let Some(problem) = problem {
        text.extend_from_slice(b",\"problem\":");
        text.extend_from_slice(&problem.body(request_id));
    }
    text.push(b'}');
    text
}

/// Appends `,"outcome":...` and the cause, where there is one.
fn push_outcome(outcome: &str, cause: Option<&str>, text: &mut Vec<u8>) {
    text.extend_from_slice(b",\"outcome\":");
    json::write_string(outcome, text);
    if let Some(cause) = cause {
        text.extend_from_slice(b",\"cause\":");
        json::write_string(cause, text);
    }
}

/// The same JSON on one line. Ends of lines stand between values only: a space means the same.
fn one_line(text: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &text).is_none() {
        return text;
    }
    let spaced = text.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        byte => *byte,
    });
    spaced.collect()
}

/// A run and the answer that it makes. It goes on when more of the answer is asked for: a client
/// that takes nothing holds it back, and one that leaves drops it.
pub struct Parts {
    /// None once it has ended.
    run: Option<Local<'static, Result<FlowAnswer, FlowError>>>,
    progress: Rc<Progress>,
}

impl Parts {
    /// What `run` gives away to `progress`.
    pub fn new(
        run: Local<'static, Result<FlowAnswer, FlowError>>,
        progress: &Rc<Progress>,
    ) -> Self {
        Self {
            run: Some(run),
            progress: Rc::clone(progress),
        }
    }

    /// Waits for the first part. A run that fails before there is one fails whole: then nothing of
    /// it was sent.
    pub async fn first(&mut self) -> Result<(), FlowError> {
        std::future::poll_fn(|context| {
            let Some(run) = &mut self.run else {
                return Poll::Ready(Ok(()));
            };
            match run.as_mut().poll(context) {
                Poll::Ready(ended) => {
                    self.run = None;
                    Poll::Ready(ended.map(|answer| self.progress.end(Ok(answer))))
                }
                Poll::Pending if self.progress.waiting.borrow().is_empty() => Poll::Pending,
                Poll::Pending => Poll::Ready(Ok(())),
            }
        })
        .await
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.progress.waiting.borrow_mut().pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let Some(run) = &mut this.run else {
                return Poll::Ready(None);
            };
            match run.as_mut().poll(context) {
                Poll::Ready(ended) => {
                    this.run = None;
                    this.progress.end(ended);
                }
                Poll::Pending if this.progress.waiting.borrow().is_empty() => {
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.run.is_none() && self.progress.waiting.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;
    use crate::orchestrate::{FlowFault, Outcome};

    fn part(name: &str, body: &str) -> FinalPart {
        FinalPart {
            name: name.into(),
            outcome: Outcome::Ok,
            cause: None,
            status: Some(StatusCode::OK),
            body: Json::try_from(body).unwrap(),
        }
    }

    fn text(progress: &Progress) -> String {
        let pieces = progress.waiting.take();
        let bytes: Vec<u8> = pieces.into_iter().flatten().collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_part_is_one_line_with_its_bytes_as_they_came() {
        let lines = Progress::new(Format::Lines, "7");
        lines.part(part("a\"b", "{\"n\": 1e400,\r\n \"z\":0.10}"));
        assert_eq!(
            text(&lines),
            "{\"part\":\"a\\\"b\",\"outcome\":\"ok\",\"status\":200,\"body\":{\"n\": 1e400,   \"z\":0.10}}\n"
        );
        let events = Progress::new(Format::Events, "7");
        events.part(FinalPart {
            outcome: Outcome::Failed,
            cause: Some("timeout"),
            status: None,
            ..part("a", "null")
        });
        assert_eq!(
            text(&events),
            "event: part\ndata: {\"part\":\"a\",\"outcome\":\"failed\",\"cause\":\"timeout\",\"body\":null}\n\n"
        );
    }

    #[test]
    fn a_large_part_is_moved_and_not_copied() {
        let progress = Progress::new(Format::Lines, "7");
        let body = format!("\"{}\"", "x".repeat(MOVED_FROM));
        let large = part("a", &body);
        let lies = large.body.bytes().as_ptr();
        progress.part(large);
        assert_eq!(progress.waiting.borrow().len(), 3);
        assert!(progress.waiting.borrow()[1].as_ptr() == lies);
        assert!(text(&progress).ends_with("x\"}\n"));
    }

    #[test]
    fn the_last_line_says_what_the_whole_would_have_been() {
        let progress = Progress::new(Format::Lines, "7");
        progress.end(Err(FlowError {
            fault: FlowFault::Timeout,
            step: Some("a".into()),
            parts: Vec::new(),
        }));
        let line: serde_json::Value = serde_json::from_str(&text(&progress)).unwrap();
        assert_eq!(line["end"], "failed");
        assert_eq!(line["status"], 504);
        assert_eq!(line["problem"]["step"], "a");
        assert_eq!(line["problem"]["request_id"], "7");
        let standing = progress.take_standing();
        assert_eq!(standing.status, Some(StatusCode::GATEWAY_TIMEOUT));
        assert!(standing.error.is_some());
    }
}
