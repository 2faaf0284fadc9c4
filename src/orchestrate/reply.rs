//! What a call comes to: a part, or why there is none.

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::timeout;

use super::outcome::{CacheTally, Failure, Outcome, PartReport};
use super::spec::{CallSpec, StatusRange};
use super::state::Settled;
use crate::decode::Format;
use crate::exchange::{Body, BodyError, CallError, Headers, Response};
use crate::expression::Value;
use crate::json::Json;

/// What an upstream answered, whole.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: Headers,
    pub(super) body: Json,
    /// What became of the steps of a flow that answered.
    pub(super) parts: Vec<PartReport>,
    /// Whether it was kept.
    pub(super) cache: CacheTally,
}

/// A call that brought no part.
#[derive(Clone, Debug)]
pub(super) struct NoReply {
    /// The status, where a response head came.
    pub(super) status: Option<StatusCode>,
    pub(super) failure: Failure,
    /// The call writes, and may have been done all the same.
    pub(super) may_have_acted: bool,
    /// What became of the steps of a flow that has no response.
    pub(super) parts: Vec<PartReport>,
    pub(super) cache: CacheTally,
}

impl Reply {
    /// Says how it came by way of what is kept.
    pub(super) fn used(self, cache: CacheTally) -> Self {
        Self { cache, ..self }
    }
}

impl NoReply {
    fn of(call: &CallSpec, status: Option<StatusCode>, error: CallError) -> Self {
        Self {
            status,
            may_have_acted: may_have_acted(&call.method, &error),
            failure: error.into(),
            parts: Vec::new(),
            cache: CacheTally::default(),
        }
    }

    /// What is given up at the deadline.
    pub(super) fn late(writes: bool) -> Self {
        Self {
            status: None,
            failure: CallError::Deadline.into(),
            may_have_acted: writes,
            parts: Vec::new(),
            cache: CacheTally::default(),
        }
    }

    /// Of a call that nothing was kept for.
    pub(super) fn missed(self) -> Self {
        Self {
            cache: CacheTally::MISS,
            ..self
        }
    }

    pub(super) const fn outcome(&self) -> Outcome {
        if self.may_have_acted {
            Outcome::Unknown
        } else {
            Outcome::Failed
        }
    }

    pub(super) fn status_value(&self) -> Value {
        self.status.map_or(Value::Null, status_value)
    }
}

/// A status as expressions read it.
pub(super) fn status_value(status: StatusCode) -> Value {
    Value::Int(i64::from(status.as_u16()))
}

/// An answer whose status is accepted, as far as it has come.
pub(super) struct Answer {
    status: StatusCode,
    headers: Headers,
    body: Body,
}

impl Answer {
    pub(super) fn of(
        call: &CallSpec,
        answered: Result<Response, CallError>,
    ) -> Result<Self, NoReply> {
        let response = answered.map_err(|error| NoReply::of(call, None, error))?;
        let status = response.status;
        if !is_accepted(&call.accept, status) {
            return Err(NoReply::of(call, Some(status), CallError::Status(status)));
        }
        let has_none = call.method == Method::HEAD || response.body.is_empty();
        Ok(Self {
            status,
            headers: response.headers,
            body: if has_none { Body::Empty } else { response.body },
        })
    }

    /// Whether nothing is left to come.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.body, Body::Empty | Body::Full(_))
    }

    /// Reads what has not come yet.
    pub(super) async fn fetch(&mut self, call: &CallSpec, limit: u64) -> Result<(), NoReply> {
        let body = std::mem::take(&mut self.body).collect(limit);
        let collected = match call.timeout {
            // The head came within it; what follows gets as long again, not the whole deadline.
            Some(patience) => timeout(patience, body)
                .await
                .unwrap_or(Err(BodyError::Timeout)),
            None => body.await,
        };
        let text = collected.map_err(|error| self.failed(call, CallError::ResponseBody(error)))?;
        self.body = text.into();
        Ok(())
    }

    /// What it says, once it is whole.
    pub(super) fn reply(self, call: &CallSpec, limit: u64) -> Result<Reply, NoReply> {
        let text = match &self.body {
            Body::Full(text) => text.clone(),
            _ => Bytes::new(),
        };
        if text.len() as u64 > limit {
            let error = CallError::ResponseBody(BodyError::TooLarge { limit });
            return Err(self.failed(call, error));
        }
        let body = match parse(text, &self.headers, call.decode) {
            Ok(body) => body,
            Err(error) if self.status.is_success() => return Err(self.failed(call, error)),
            // A status accepted beside success says enough by itself: its page may be HTML.
            Err(_) => Json::null(),
        };
        Ok(Reply {
            status: self.status,
            headers: self.headers,
            body,
            parts: Vec::new(),
            cache: CacheTally::default(),
        })
    }

    fn failed(&self, call: &CallSpec, error: CallError) -> NoReply {
        NoReply::of(call, Some(self.status), error)
    }
}

/// The JSON text of a body.
pub(super) fn parse(text: Bytes, headers: &Headers, decode: Format) -> Result<Json, CallError> {
    if text.is_empty() {
        return Ok(Json::null());
    }
    if let Some(coding) = headers.get("content-encoding")
        && !coding.eq_ignore_ascii_case(b"identity")
    {
        return Err(CallError::Decode(
            "the body is compressed, and nothing asked for that".to_owned(),
        ));
    }
    decode
        .read(text)
        .map_err(|error| CallError::Decode(error.to_string()))
}

fn is_accepted(accept: &[StatusRange], status: StatusCode) -> bool {
    if accept.is_empty() {
        return status.is_success();
    }
    accept.iter().any(|range| range.contains(status.as_u16()))
}

impl Settled {
    /// What a step came to that did one thing.
    pub(super) fn of(ended: Result<Reply, NoReply>) -> Self {
        match ended {
            Ok(reply) => Self {
                status: status_value(reply.status),
                answered: Some(reply.status),
                headers: reply.headers,
                parts: reply.parts,
                cache: reply.cache,
                ..Self::ok(Value::Json(reply.body))
            },
            Err(no_reply) => {
                let (outcome, status) = (no_reply.outcome(), no_reply.status_value());
                Self {
                    status,
                    answered: no_reply.status,
                    parts: no_reply.parts,
                    cache: no_reply.cache,
                    ..Self::null(outcome, Some(no_reply.failure))
                }
            }
        }
    }
}

/// Whether a call that writes failed so that the upstream may have acted all the same.
fn may_have_acted(method: &Method, error: &CallError) -> bool {
    !method.is_safe()
        && match error {
            CallError::Timeout(_)
            | CallError::Reset(_)
            | CallError::Malformed(_)
            | CallError::Deadline
            | CallError::ResponseBody(_)
            | CallError::Decode(_) => true,
            CallError::Connect(_)
            | CallError::Unavailable { .. }
            | CallError::Overloaded { .. }
            | CallError::RequestBody(_)
            | CallError::Status(_) => false,
        }
}
