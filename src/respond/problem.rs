//! Writes an error as `application/problem+json` (RFC 9457), without inner details.

use std::borrow::Cow;

use http::StatusCode;

use crate::exchange::{Headers, Response};
use crate::intake::Violation;
use crate::json;

/// What a client is told when it does not get what it asked for.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// The kind in one word, such as `no-route`; the end of `type`.
    pub kind: &'static str,
    /// The kind in a few words, the same for every occurrence.
    pub title: &'static str,
    /// This occurrence. Never addresses, upstream bodies or other inner matters.
    pub detail: Cow<'static, str>,
    /// The step of a flow that is to blame.
    pub step: Option<String>,
    /// What does not fit, where that is what is wrong (RFC 9457, 3).
    pub errors: Vec<Violation>,
    /// Fields beside the body, such as `Retry-After`.
    pub headers: Headers,
}

impl Problem {
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into(),
            step: None,
            errors: Vec::new(),
            headers: Headers::new(),
        }
    }

    /// With a field beside the body; a value that could not stand in one is left out.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        // Not being able to say more is no reason to say nothing.
        self.headers
            .try_append(name.as_bytes(), value.as_bytes())
            .map(drop)
            .unwrap_or_default();
        self
    }

    /// The response that says so.
    pub fn response(&self, request_id: &str) -> Response {
        let mut headers = self.headers.clone();
        headers.append("content-type", b"application/problem+json");
        headers.append("cache-control", b"no-store");
        Response::new(self.status, headers, self.body(request_id))
    }

    /// The JSON text that says so.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(b"{\"type\":\"urn:problem-type:concertina:");
        body.extend_from_slice(self.kind.as_bytes());
        body.extend_from_slice(b"\",\"title\":");
        json::write_string(self.title, &mut body);
        body.extend_from_slice(b",\"status\":");
        body.extend_from_slice(self.status.as_str().as_bytes());
        body.extend_from_slice(b",\"detail\":");
        json::write_string(&self.detail, &mut body);
        if let Some(step) = &self.step {
            body.extend_from_slice(b",\"step\":");
            json::write_string(step, &mut body);
        }
        for (place, error) in self.errors.iter().enumerate() {
            let start: &[u8] = if place == 0 { b",\"errors\":[" } else { b"," };
            body.extend_from_slice(start);
            body.extend_from_slice(b"{\"detail\":");
            json::write_string(&error.detail, &mut body);
            body.extend_from_slice(b",\"pointer\":");
            json::write_string(&error.pointer, &mut body);
            body.push(b'}');
        }
        if !self.errors.is_empty() {
            body.push(b']');
        }
        body.extend_from_slice(b",\"request_id\":");
        json::write_string(request_id, &mut body);
        body.push(b'}');
        body
    }
}
