//! What the file says of a step, a response, a retry, in the words of its keys.

use std::fmt::Debug;
use std::time::Duration;

use crate::config::GatewaySpec;
use crate::exchange::outgoing::RetrySpec;
use crate::orchestrate::{
    BodySpec, CacheSpec, CallSpec, Merge, OnConflict, ResponseSpec, StatusRange, StepKind, StepSpec,
};

/// Keys and values that a step has beside what it does, waits for and may lack.
pub(super) fn of_step(spec: &GatewaySpec, step: &StepSpec) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    match &step.kind {
        StepKind::Call(call) => of_call(spec, call, &mut settings),
        StepKind::Flow(inner) => {
            body(&inner.body, &mut settings);
            let timeout = inner.timeout.map(duration);
            settings.extend(timeout.map(|text| ("timeout".to_owned(), text)));
        }
        StepKind::Value(_) | StepKind::Wait(_) => {}
    }
    settings
}

fn of_call(spec: &GatewaySpec, call: &CallSpec, settings: &mut Vec<(String, String)>) {
    for (name, template) in &call.headers {
        settings.push((format!("headers.{name}"), template.text().to_owned()));
    }
    for (name, expression) in &call.query {
        settings.push((format!("query.{name}"), expression.text().to_owned()));
    }
    body(&call.body, settings);
    if !call.forward.is_empty() {
        settings.push(("forward".to_owned(), call.forward.join(", ")));
    }
    if call.accept != [StatusRange::SUCCESS] {
        let accept: Vec<String> = call.accept.iter().copied().map(statuses).collect();
        settings.push(("accept".to_owned(), accept.join(", ")));
    }
    let upstream = spec.upstreams.get(call.upstream);
    let retry = call.retry.as_deref();
    if let Some(retry) = retry.or_else(|| upstream.and_then(|it| it.retry.as_ref())) {
        let once = call.timeout.or_else(|| upstream.map(|it| it.timeout));
        let once = once.map_or_else(String::new, |time| {
            format!(", {} each at most", duration(time))
        });
        settings.push(("retry".to_owned(), retries(retry) + &once));
    }
    let hedge = call
        .hedge
        .map(|after| format!("asked again after {}", duration(after)));
    settings.extend(hedge.map(|text| ("hedge".to_owned(), text)));
    let cache = call.cache.as_deref().map(kept);
    settings.extend(cache.map(|text| ("cache".to_owned(), text)));
}

/// How long a part is kept, and for whom.
fn kept(cache: &CacheSpec) -> String {
    let mut said = vec![format!("kept for {}", duration(cache.ttl))];
    if !cache.stale_if_error.is_zero() {
        let longer = duration(cache.stale_if_error);
        said.push(format!("{longer} longer where the call fails"));
    }
    if let Some(key) = &cache.key {
        said.push(format!("apart for each {}", key.text()));
    }
    if cache.ignore_cache_control {
        said.push("whatever its Cache-Control says".to_owned());
    }
    said.join(", ")
}

fn body(body: &BodySpec, settings: &mut Vec<(String, String)>) {
    let text = match body {
        BodySpec::Nothing => return,
        BodySpec::Client => "the client's, as it came".to_owned(),
        BodySpec::Json(expression) => expression.text().to_owned(),
    };
    settings.push(("body".to_owned(), text));
}

/// Keys and values of a response beside its status.
pub(super) fn of_response(response: &ResponseSpec) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for (name, template) in &response.headers {
        settings.push((format!("headers.{name}"), template.text().to_owned()));
    }
    if let Some(body) = &response.body {
        settings.push(("body".to_owned(), body.text().to_owned()));
        return settings;
    }
    settings.push(("merge".to_owned(), word(&response.merge)));
    if matches!(response.merge, Merge::Flatten | Merge::Deep) {
        let whose = match response.on_conflict {
            OnConflict::Error => "an error",
            OnConflict::First => "the first wins",
            OnConflict::Last => "the last wins",
        };
        settings.push(("on_conflict".to_owned(), whose.to_owned()));
    }
    settings
}

/// How often, why and with which pauses something is tried again.
pub(super) fn retries(retry: &RetrySpec) -> String {
    let on = &retry.on;
    let causes = [
        (on.connect, "connect"),
        (on.reset, "reset"),
        (on.timeout, "timeout"),
        (on.server_error, "5xx"),
        (on.busy, "busy"),
    ];
    let causes: Vec<&str> = causes
        .iter()
        .filter(|(is_on, _)| *is_on)
        .map(|(_, name)| *name)
        .collect();
    let (shortest, longest) = retry.backoff;
    format!(
        "{} attempts on {}, {} to {} apart",
        retry.attempts,
        causes.join(", "),
        duration(shortest),
        duration(longest)
    )
}

/// A kind as the file writes it.
pub(super) fn word(kind: &impl Debug) -> String {
    format!("{kind:?}").to_ascii_lowercase()
}

fn statuses(range: StatusRange) -> String {
    match (range.first, range.last) {
        (first, last) if first == last => first.to_string(),
        (first, last) if first % 100 == 0 && last == first + 99 => format!("{}xx", first / 100),
        (first, last) => format!("{first} to {last}"),
    }
}

/// `250 ms`, `1.5 s`.
pub(super) fn duration(duration: Duration) -> String {
    milliseconds(super::describe::milliseconds(duration))
}

/// The same of a number of milliseconds.
pub(super) fn milliseconds(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        return format!("{milliseconds} ms");
    }
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    if rest == 0 {
        return format!("{seconds} s");
    }
    let rest = format!("{rest:03}");
    format!("{seconds}.{} s", rest.trim_end_matches('0'))
}

/// `1 MiB`, `512 B`.
pub(super) fn bytes(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{} {unit}", bytes / size);
        }
    }
    format!("{bytes} B")
}
