//! From an operator's request to its answer.

use std::any::Any;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::entry::{Door, Outside};
use super::{Operations, Readiness, ReloadOutcome};
use crate::observe::metrics;

/// The body of every answer.
pub(super) type Content = Full<Bytes>;

/// The page at `/`, and the policy that lets it run its own script and nothing else.
pub(super) struct Page {
    html: &'static str,
    policy: HeaderValue,
}

impl Page {
    pub(super) fn new() -> Self {
        let html = include_str!("console.html");
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash_of(html, "<script>", "</script>"),
            hash_of(html, "<style>", "</style>"),
        );
        Self {
            html,
            // Base64 and fixed text hold nothing that a field could not.
            policy: HeaderValue::from_str(&policy)
                .unwrap_or(HeaderValue::from_static("default-src 'none'")),
        }
    }
}

/// A source expression for what stands in `html` between two tags (CSP level 3, 2.3.1).
fn hash_of(html: &str, open: &str, close: &str) -> String {
    let inside = html
        .split_once(open)
        .and_then(|(_, rest)| rest.split_once(close))
        .map_or("", |(inside, _)| inside);
    let hash = STANDARD.encode(digest(&SHA256, inside.as_bytes()));
    format!("sha256-{hash}")
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Console,
    Live,
    Ready,
    /// What takes a while to tell.
    Slow(Slow),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    Metrics,
    Routes,
    Upstreams,
    Config,
    Reload,
}

impl Subject {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Console,
            "/live" => Self::Live,
            "/ready" => Self::Ready,
            "/metrics" => Self::Slow(Slow::Metrics),
            "/routes" => Self::Slow(Slow::Routes),
            "/upstreams" => Self::Slow(Slow::Upstreams),
            "/config" => Self::Slow(Slow::Config),
            "/reload" => Self::Slow(Slow::Reload),
            _ => return None,
        })
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Slow(Slow::Reload) => "POST",
            _ => "GET, HEAD",
        }
    }

    fn allows(self, method: &Method) -> bool {
        self.methods()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }
}

/// Answers one request.
pub(super) async fn answer(
    operations: &Arc<dyn Operations>,
    door: &Door,
    page: &Page,
    head: request::Parts,
) -> Response<Content> {
    let subject = Subject::of(head.uri.path());
    match door.admit(&head) {
        Ok(()) => {}
        Err(Outside::OtherSite) => {
            return problem(
                StatusCode::FORBIDDEN,
                "This request comes from another site.",
            );
        }
        Err(Outside::Unknown) => {
            let mut answer = match subject {
                // The page itself says nothing; it asks for the token and sends it from then on.
                Some(Subject::Console) => console(page, StatusCode::UNAUTHORIZED),
                _ => problem(StatusCode::UNAUTHORIZED, "The admin token is needed."),
            };
            set(&mut answer, WWW_AUTHENTICATE, "Bearer");
            return answer;
        }
    }
    let Some(subject) = subject else {
        return problem(StatusCode::NOT_FOUND, "There is nothing at this path.");
    };
    if !subject.allows(&head.method) {
        let mut answer = problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "This path does not take that method.",
        );
        set(&mut answer, ALLOW, subject.methods());
        return answer;
    }
    let slow = match subject {
        Subject::Console => return console(page, StatusCode::OK),
        Subject::Live => return json_of(&json!({ "status": "live" })),
        Subject::Ready => return ready(operations.readiness()),
        Subject::Slow(slow) => slow,
    };
    let operations = Arc::clone(operations);
    // Building a snapshot or summing ten thousand routes: not on the runtime's own thread, or
    // nobody would be told that the process lives.
    let told = tokio::task::spawn_blocking(move || tell(&*operations, slow)).await;
    told.unwrap_or_else(|_| failed(Box::new(())))
}

fn tell(operations: &dyn Operations, subject: Slow) -> Response<Content> {
    match subject {
        Slow::Metrics => {
            let mut text = String::new();
            operations.metrics(&mut text);
            content(StatusCode::OK, metrics::CONTENT_TYPE, text)
        }
        Slow::Routes => json_of(&operations.routes()),
        Slow::Upstreams => json_of(&operations.upstreams()),
        Slow::Config => json_of(&json!({
            "config": operations.config(),
            "last_reload": operations.last_reload(),
        })),
        Slow::Reload => {
            let report = operations.reload();
            if report.outcome == ReloadOutcome::Refused {
                let mut value = problem_value(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "The file has mistakes; what was served before still is.",
                );
                if let Some(object) = value.as_object_mut() {
                    object.insert("mistakes".to_owned(), json!(report.mistakes));
                }
                return problem_of(StatusCode::UNPROCESSABLE_ENTITY, &value);
            }
            json_of(&json!(report))
        }
    }
}

fn ready(readiness: Readiness) -> Response<Content> {
    let detail = match readiness {
        Readiness::Ready => return json_of(&json!({ "status": "ready" })),
        Readiness::Starting => "The gateway is starting.",
        Readiness::Draining => "The gateway is ending.",
    };
    let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, detail);
    set(&mut answer, RETRY_AFTER, "1");
    answer
}

fn console(page: &Page, status: StatusCode) -> Response<Content> {
    let mut answer = content(status, "text/html; charset=utf-8", page.html);
    answer
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, page.policy.clone());
    answer
}

/// What is answered when answering panicked.
pub(super) fn failed(_panic: Box<dyn Any + Send>) -> Response<Content> {
    tracing::error!("an operator's request could not be answered");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The gateway could not answer; its log says more.",
    )
}

fn json_of(value: &Value) -> Response<Content> {
    content(StatusCode::OK, "application/json", value.to_string())
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response<Content> {
    problem_of(status, &problem_value(status, detail))
}

fn problem_of(status: StatusCode, value: &Value) -> Response<Content> {
    content(status, "application/problem+json", value.to_string())
}

fn problem_value(status: StatusCode, detail: &str) -> Value {
    json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    })
}

fn content(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Content> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, kind);
    answer
}

fn set(answer: &mut Response<Content>, name: HeaderName, value: &'static str) {
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
