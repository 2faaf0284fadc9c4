//! Holds what came of a case against what was expected.

use http::{Method, StatusCode};
use serde_json::Value as Json;

use super::differ::{differences, missing};
use super::script::{CallEnd, CallMade};
use super::stage::Came;
use crate::config::cases::{
    BodyExpected, CallExpected, CallPattern, CallsSpec, ExpectSpec, MessageSpec, glob,
};
use crate::exchange::Headers;

/// The end of a problem's `type` is its kind.
const KIND: &str = "urn:problem-type:concertina:";

/// Bytes of a text that are shown.
const SHOWN_BYTES_MAX: usize = 300;

/// One expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The key that said so.
    pub(super) what: String,
    pub(super) lines: Vec<String>,
}

impl Broken {
    pub(super) fn new(what: impl Into<String>, line: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            lines: vec![line.into()],
        }
    }

    fn expected(what: &str, expected: &str, found: &str) -> Self {
        Self::new(what, format!("expected {expected}, got {found}"))
    }
}

/// Everything that is not as expected.
pub(super) fn judge(expect: &ExpectSpec, came: &Came) -> Vec<Broken> {
    let mut broken = Vec::new();
    if came.status != expect.status {
        let (expected, found) = (named(expect.status), named(came.status));
        broken.push(Broken::expected("status", &expected, &found));
    }
    if let Some(route) = &expect.route {
        let found = came.route.as_deref().unwrap_or("no route");
        if found != route {
            broken.push(Broken::expected("route", route, found));
        }
    }
    match &came.body {
        Ok(body) => broken.extend(message(&expect.message, &came.headers, body)),
        Err(error) => broken.push(Broken::new(
            "body",
            format!("the response breaks off: {error}"),
        )),
    }
    broken.extend(parts(expect, came));
    broken.extend(problem(expect, came));
    if let Some(within) = expect.within
        && came.took > within
    {
        let found = format!("{:?}", came.took);
        broken.push(Broken::expected("within", &format!("{within:?}"), &found));
    }
    if let Some(spec) = &expect.calls {
        broken.extend(calls(spec, &came.calls));
    }
    for never in &expect.never {
        let made = came.calls.iter().filter(|call| fits(never, call)).count();
        if made > 0 {
            broken.push(Broken::new(
                "never",
                format!("{}: made {made} times", never.text),
            ));
        }
    }
    broken.extend(unscripted(&came.calls));
    broken
}

fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_str()),
        None => status.as_str().to_owned(),
    }
}

fn fits(pattern: &CallPattern, call: &CallMade) -> bool {
    pattern.fits(&call.upstream, &call.method, &call.target)
}

/// A call as it is named to people.
pub(super) fn name_of(upstream: &str, method: &Method, target: &str) -> String {
    format!("{method} {upstream}:{target}")
}

/// What is wrong with fields and body of a message.
fn message(expect: &MessageSpec, headers: &Headers, body: &[u8]) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (name, value) in &expect.headers {
        let found: Vec<String> = headers
            .get_all(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        if !found.iter().any(|found| glob(value, found)) {
            let found = match found.as_slice() {
                [] => "none".to_owned(),
                found => format!("`{}`", found.join("`, `")),
            };
            let what = format!("headers.{name}");
            broken.push(Broken::expected(&what, &format!("`{value}`"), &found));
        }
    }
    for name in &expect.no_headers {
        if let Some(value) = headers.get(name) {
            let found = format!("{name}: {}", String::from_utf8_lossy(value));
            broken.push(Broken::expected("no_headers", "none", &found));
        }
    }
    if let Some(expected) = &expect.body {
        broken.extend(content(expected, body));
    }
    broken
}

fn content(expected: &BodyExpected, body: &[u8]) -> Option<Broken> {
    let (key, expected, compare): (_, _, fn(&Json, &Json) -> Vec<String>) = match expected {
        BodyExpected::Bytes(bytes) if bytes == body => return None,
        BodyExpected::Bytes(bytes) => {
            return Some(Broken {
                what: "body".to_owned(),
                lines: vec![
                    format!("- {}", excerpt(bytes)),
                    format!("+ {}", excerpt(body)),
                ],
            });
        }
        BodyExpected::Json(json) => ("json", json, differences),
        BodyExpected::Includes(json) => ("includes", json, missing),
    };
    let lines = match serde_json::from_slice::<Json>(body) {
        Ok(found) => compare(expected, &found),
        Err(error) => vec![format!("the body is not JSON: {error}: {}", excerpt(body))],
    };
    (!lines.is_empty()).then(|| Broken {
        what: key.to_owned(),
        lines,
    })
}

/// The start of a text, on one line.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let start = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes);
    let more = if start.len() < bytes.len() { "..." } else { "" };
    let text = String::from_utf8_lossy(start);
    if text.is_empty() || text.chars().any(char::is_control) {
        format!("{text:?}{more}")
    } else {
        format!("{text}{more}")
    }
}

/// `Concertina-Parts`, whatever the order of its members.
fn parts(expect: &ExpectSpec, came: &Came) -> Option<Broken> {
    let expected = expect.parts.as_ref()?;
    let members = |text: &str| {
        let mut members: Vec<String> = text
            .split(',')
            .map(|member| member.trim().to_owned())
            .filter(|member| !member.is_empty())
            .collect();
        members.sort();
        members
    };
    let found: Vec<String> = came
        .headers
        .get_all("concertina-parts")
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    let found = found.join(", ");
    (members(expected) != members(&found)).then(|| {
        let shown = |text: &str| match text {
            "" => "none".to_owned(),
            text => format!("`{text}`"),
        };
        Broken::expected("parts", &shown(expected), &shown(&found))
    })
}

/// Kind and step of a problem.
fn problem(expect: &ExpectSpec, came: &Came) -> Vec<Broken> {
    let body: Json = came
        .body
        .as_ref()
        .ok()
        .and_then(|body| serde_json::from_slice(body).ok())
        .unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Json::as_str);
    let is_problem = came.headers.get("content-type") == Some(b"application/problem+json");
    let mut broken = Vec::new();
    if let Some(expected) = &expect.problem {
        let kind = text("type").filter(|_| is_problem);
        let kind = kind.map(|kind| kind.strip_prefix(KIND).unwrap_or(kind));
        if kind != Some(expected) {
            let found = kind.unwrap_or("no problem");
            broken.push(Broken::expected("problem", expected, found));
        }
    }
    if let Some(expected) = &expect.step {
        let step = text("step").filter(|_| is_problem);
        if step != Some(expected) {
            let found = step.unwrap_or("no step");
            broken.push(Broken::expected("step", expected, found));
        }
    }
    broken
}

/// Which calls are missing, otherwise than expected, or too many.
fn calls(spec: &CallsSpec, made: &[CallMade]) -> Vec<Broken> {
    let key = if spec.all { "calls" } else { "calls_include" };
    let mut claims = Claims::new(made);
    let mut broken = Vec::new();
    let mut order: Vec<&CallExpected> = spec.list.iter().collect();
    if !spec.in_order {
        // What means one call goes before what means many, which would take it away.
        order.sort_by_key(|expected| expected.to.text.contains('*'));
    }
    for expected in order {
        let from = if spec.in_order { claims.next } else { 0 };
        let found = claims.take(expected, from);
        if found < expected.count {
            broken.push(Broken {
                what: key.to_owned(),
                lines: claims.why_not(expected, (from, found)),
            });
        }
    }
    if spec.all {
        let others = claims.left().map(|call| {
            let name = name_of(&call.upstream, &call.method, &call.target);
            Broken::new(key, format!("{name}: made, and not expected"))
        });
        broken.extend(others);
    }
    broken
}

/// Which calls stand for an expectation.
struct Claims<'a> {
    calls: Vec<(&'a CallMade, bool)>,
    /// Behind the call claimed last.
    next: usize,
}

impl<'a> Claims<'a> {
    fn new(made: &'a [CallMade]) -> Self {
        Self {
            calls: made.iter().map(|call| (call, false)).collect(),
            next: 0,
        }
    }

    /// Claims the calls that an expectation means; how many there are.
    fn take(&mut self, expected: &CallExpected, from: usize) -> usize {
        let mut found = 0;
        for (at, (call, claimed)) in self.calls.iter_mut().enumerate().skip(from) {
            if found == expected.count {
                break;
            }
            let means = !*claimed
                && fits(&expected.to, call)
                && message(&expected.message, &call.headers, &call.body).is_empty();
            if means {
                *claimed = true;
                found += 1;
                self.next = at + 1;
            }
        }
        found
    }

    /// Why there are not enough. The call that comes closest is told of, so it is not left over.
    fn why_not(&mut self, expected: &CallExpected, (from, found): (usize, usize)) -> Vec<String> {
        let name = &expected.to.text;
        let mut lines = vec![format!(
            "{name}: expected {}, found {found}",
            times(expected.count)
        )];
        let near = self
            .calls
            .iter_mut()
            .enumerate()
            .find(|(_, (call, claimed))| !*claimed && fits(&expected.to, call));
        if let Some((at, (call, claimed))) = near {
            *claimed = true;
            let wrong = message(&expected.message, &call.headers, &call.body);
            for broken in &wrong {
                let what = &broken.what;
                lines.extend(broken.lines.iter().map(|line| format!("  {what}: {line}")));
            }
            if wrong.is_empty() && at < from {
                lines.push("  it was made before the one named in front of it".to_owned());
            }
        }
        lines
    }

    fn left(&self) -> impl Iterator<Item = &'a CallMade> {
        self.calls
            .iter()
            .filter(|(_, claimed)| !claimed)
            .map(|(call, _)| *call)
    }
}

fn times(count: usize) -> String {
    match count {
        1 => "one call".to_owned(),
        count => format!("{count} calls"),
    }
}

/// Calls that the test does not answer: what came of the case says little then.
fn unscripted(made: &[CallMade]) -> Vec<Broken> {
    let mut named: Vec<String> = Vec::new();
    for call in made {
        let name = name_of(&call.upstream, &call.method, &call.target);
        if call.end == CallEnd::Unscripted && !named.contains(&name) {
            named.push(name);
        }
    }
    named
        .into_iter()
        .map(|name| {
            let remedy =
                format!("no answer for this call: add `[[answers]]` with `to = \"{name}\"`");
            Broken::new("answers", remedy)
        })
        .collect()
}
