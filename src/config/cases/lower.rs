//! From what was written in a test file to its cases.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value as Json;

use super::pattern::CallPattern;
use super::{
    AnswerSpec, BodyExpected, CallExpected, CallerSpec, CallsSpec, CaseSpec, ExpectSpec, Failing,
    MessageSpec, RequestSpec,
};
use crate::config::findings::{Finding, Findings};
use crate::config::keys;
use crate::config::masked;
use crate::config::reader::Reader;
use crate::config::source::{Place, Source};
use crate::config::spec::GatewaySpec;
use crate::config::written::{Entry, Node, Table, Text, Value};
use crate::config::{files, scalars};
use crate::exchange::Headers;
use crate::expression::suggest;

/// Bytes of a body that a test file names.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// What a test file says of the file that it tries.
pub(super) struct Header {
    pub(super) file: PathBuf,
    pub(super) env: BTreeMap<String, String>,
}

pub(super) fn header(root: &Table, sources: &[Source]) -> Header {
    let reader = Reader::new(root, &keys::CASES);
    let base = match reader.node("file") {
        Some(node) => base_of(node.place, sources),
        None => base_of(root.place, sources),
    };
    Header {
        file: base.join(reader.word("file")),
        env: reader
            .entries("env")
            .iter()
            .filter_map(|entry| Some((entry.key.clone(), entry.node.text()?.as_str().to_owned())))
            .collect(),
    }
}

/// The cases, as far as they are without mistakes.
pub(super) fn cases(
    root: &Table,
    spec: &GatewaySpec,
    (sources, findings): (&[Source], &mut Findings),
    files: &mut Vec<PathBuf>,
) -> Vec<CaseSpec> {
    let reader = Reader::new(root, &keys::CASES);
    let mut lowering = Lowering {
        spec,
        sources,
        findings,
        files,
    };
    let shared = lowering.answers(reader);
    let mut seen: Vec<(&str, Place)> = Vec::new();
    let mut cases = Vec::new();
    for case in reader.tables("cases") {
        let name = case.word("name");
        let place = case.place_of("name");
        if let Some((_, other)) = seen.iter().find(|(known, _)| *known == name) {
            lowering
                .mistake(place, format!("two cases are called `{name}`"))
                .related(*other, "the other")
                .help("say what each of them shows");
        }
        seen.push((name, place));
        cases.extend(lowering.case(case, &shared));
    }
    cases
}

fn base_of(place: Place, sources: &[Source]) -> &Path {
    sources
        .get(place.file as usize)
        .map_or(Path::new(""), |source| &source.base)
}

struct Lowering<'a> {
    spec: &'a GatewaySpec,
    sources: &'a [Source],
    findings: &'a mut Findings,
    files: &'a mut Vec<PathBuf>,
}

impl Lowering<'_> {
    fn mistake(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        self.findings.add(place, message)
    }

    fn case(&mut self, case: Reader<'_>, shared: &[Arc<AnswerSpec>]) -> Option<CaseSpec> {
        let mut answers = self.answers(case);
        answers.extend(shared.iter().map(Arc::clone));
        let request = self.request(case);
        let caller = self.caller(case);
        let expect = self.expect(case.section("expect"));
        let line = self
            .sources
            .get(case.place().file as usize)
            .map_or(0, |source| source.position(case.place().start as usize).0);
        Some(CaseSpec {
            name: case.word("name").to_owned(),
            line,
            request: request?,
            caller,
            limits: case.boolean("limits"),
            answers,
            expect: expect?,
        })
    }

    fn request(&mut self, case: Reader<'_>) -> Option<RequestSpec> {
        let node = case.node("request")?;
        let long = case.section("request");
        let (method, target) = match node.text() {
            Some(text) => {
                let Some((method, target)) = text.as_str().split_once(' ') else {
                    self.mistake(node.place, "the method is missing")
                        .help("write `GET /path`");
                    return None;
                };
                if let Err(refused) = scalars::url_path(target.trim()) {
                    self.mistake(node.place, refused.message)
                        .maybe_help(refused.help);
                    return None;
                }
                (method, target.trim())
            }
            None => (long.word("method"), long.word("path")),
        };
        let method = match scalars::method(method) {
            Ok(method) => method,
            Err(refused) => {
                self.mistake(node.place, refused.message)
                    .maybe_help(refused.help);
                return None;
            }
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let (body, kind) = self.body(long)?;
        let from = scalars::network(long.word("from")).ok();
        let from = from.filter(|it| it.prefix_len() == it.max_prefix_len());
        if from.is_none() {
            self.mistake(long.place_of("from"), "a client has one address")
                .help("write `203.0.113.7`");
        }
        let listener = self.listener(long);
        Some(RequestSpec {
            method,
            path: path.to_owned(),
            query,
            host: long.word("host").to_owned(),
            headers: self.fields(long, kind),
            body,
            from: from?.addr(),
            listener,
            times: long.count("times").unwrap_or(1),
        })
    }

    /// The listener that a request comes by.
    fn listener(&mut self, request: Reader<'_>) -> Option<usize> {
        let listeners = &self.spec.listeners;
        let Some(node) = request.node("listen") else {
            let serves = listeners.iter().position(|it| !it.redirect_https);
            return serves.or(if listeners.is_empty() { None } else { Some(0) });
        };
        let address: Option<SocketAddr> = scalars::address(node.text()?.as_str()).ok();
        let found = listeners.iter().position(|it| Some(it.address) == address);
        if found.is_none() {
            let known: Vec<String> = listeners
                .iter()
                .map(|it| format!("`{}`", it.address))
                .collect();
            self.mistake(node.place, "the file has no listener with this address")
                .help(format!("it has {}", keys::alternatives(&known)));
        }
        found
    }

    fn caller(&mut self, case: Reader<'_>) -> Option<CallerSpec> {
        let node = case.node("caller")?;
        let long = case.section("caller");
        let known = self.spec.authenticators.iter().map(|it| it.name.as_str());
        let mut authenticator = None;
        if let Some(text) = long.text("auth") {
            authenticator = known.clone().position(|name| name == text.as_str());
            if authenticator.is_none() {
                let close = suggest(text.as_str(), known).map(str::to_owned);
                let message = format!("there is no authenticator `{}`", text.as_str());
                self.mistake(long.place_of("auth"), message)
                    .maybe_help(close.map(|close| format!("did you mean `{close}`?")));
            }
        }
        Some(CallerSpec {
            name: node
                .text()
                .map_or_else(|| long.word("name"), Text::as_str)
                .to_owned(),
            claims: masked::json(long.entries("claims")),
            authenticator,
        })
    }

    fn answers(&mut self, within: Reader<'_>) -> Vec<Arc<AnswerSpec>> {
        let tables = within.tables("answers");
        let answers = tables.into_iter().filter_map(|answer| {
            let to = self.pattern(answer.node("to")?)?;
            let (body, kind) = self.body(answer)?;
            let fails = match answer.word("fails") {
                "refuse" => Some(Failing::Refuse),
                "reset" => Some(Failing::Reset),
                "timeout" => Some(Failing::Timeout),
                "cut" => Some(Failing::Cut),
                _ => None,
            };
            Some(Arc::new(AnswerSpec {
                to,
                status: status(answer)?,
                headers: self.fields(answer, kind),
                body,
                after: answer.duration("after").unwrap_or_default(),
                fails,
                times: answer.count("times"),
            }))
        });
        answers.collect()
    }

    fn expect(&mut self, expect: Reader<'_>) -> Option<ExpectSpec> {
        let message = self.message(expect)?;
        let calls = self.calls(expect);
        let never = expect
            .list("never")
            .iter()
            .filter_map(|node| self.pattern(node))
            .collect();
        let text = |key: &str| expect.text(key).map(|text| text.as_str().to_owned());
        let route = text("route");
        if let Some(name) = &route {
            let known = || self.spec.routes.iter().map(|route| route.name.as_str());
            if !known().any(|known| known == name) {
                let close = suggest(name, known()).map(str::to_owned);
                self.findings
                    .add(
                        expect.place_of("route"),
                        format!("there is no route `{name}`"),
                    )
                    .maybe_help(close.map(|close| format!("did you mean `{close}`?")));
            }
        }
        Some(ExpectSpec {
            status: status(expect)?,
            route,
            message,
            parts: text("parts"),
            problem: text("problem"),
            step: text("step"),
            within: expect
                .node("within")
                .and_then(|_| expect.duration("within")),
            calls,
            never,
        })
    }

    fn calls(&mut self, expect: Reader<'_>) -> Option<CallsSpec> {
        let all = expect.node("calls").is_some();
        let key = if all { "calls" } else { "calls_include" };
        expect.node(key)?;
        let mut list = Vec::new();
        for node in expect.list(key) {
            let long = expect.within(key, node);
            let to = node.text().map_or_else(|| long.node("to"), |_| Some(node));
            let Some(to) = to.and_then(|to| self.pattern(to)) else {
                continue;
            };
            let Some(message) = self.message(long) else {
                continue;
            };
            list.push(CallExpected {
                to,
                count: long.count("count").unwrap_or(1),
                message,
            });
        }
        Some(CallsSpec {
            list,
            all,
            in_order: expect.boolean("in_order"),
        })
    }

    /// What is said of the fields and the body of a message.
    fn message(&mut self, reader: Reader<'_>) -> Option<MessageSpec> {
        let body = if let Some(node) = reader.node("json") {
            Some(BodyExpected::Json(json(node)?))
        } else if let Some(node) = reader.node("includes") {
            Some(BodyExpected::Includes(json(node)?))
        } else if let Some(text) = reader.text("body") {
            Some(BodyExpected::Bytes(text.as_str().to_owned().into()))
        } else if let Some(node) = reader.node("body_file") {
            Some(BodyExpected::Bytes(self.file(node)?))
        } else {
            None
        };
        Some(MessageSpec {
            headers: pairs(reader, "headers"),
            no_headers: reader
                .words("no_headers")
                .into_iter()
                .map(str::to_ascii_lowercase)
                .collect(),
            body,
        })
    }

    /// The fields that are sent; `kind` is the `content-type` where none is given.
    fn fields(&mut self, reader: Reader<'_>, kind: Option<&str>) -> Headers {
        let mut headers = Headers::new();
        for entry in reader.entries("headers") {
            let Some(text) = entry.node.text() else {
                continue;
            };
            let name = entry.key.to_ascii_lowercase();
            if name == "host" {
                self.mistake(entry.key_place, "`host` is a key of its own")
                    .help("write `request = { host = \"shop.example.com\", .. }`");
            } else if headers
                .try_append(name.as_bytes(), text.as_str().as_bytes())
                .is_err()
            {
                self.mistake(entry.node.place, "this cannot stand in a header field");
            }
        }
        if let Some(kind) = kind
            && headers.get("content-type").is_none()
        {
            headers.append("content-type", kind.as_bytes());
        }
        headers
    }

    /// The body that is sent, and its type where that follows.
    fn body(&mut self, reader: Reader<'_>) -> Option<(Bytes, Option<&'static str>)> {
        const JSON: Option<&str> = Some("application/json");
        if let Some(node) = reader.node("json") {
            // What is written as JSON stays as it is, to the byte.
            let body = match node.text() {
                Some(text) => Bytes::from(text.as_str().to_owned()),
                None => json(node)?.to_string().into(),
            };
            return Some((body, JSON));
        }
        if let Some(text) = reader.text("body") {
            return Some((text.as_str().to_owned().into(), None));
        }
        match reader.node("body_file") {
            Some(node) => {
                let body = self.file(node)?;
                let text = node.text().map(Text::as_str).unwrap_or_default();
                let is_json = Path::new(text)
                    .extension()
                    .is_some_and(|it| it.eq_ignore_ascii_case("json"));
                Some((body, JSON.filter(|_| is_json)))
            }
            None => Some((Bytes::new(), None)),
        }
    }

    fn file(&mut self, node: &Node) -> Option<Bytes> {
        let text = node.text()?.as_str();
        let path = base_of(node.place, self.sources).join(text);
        self.files.push(path.clone());
        match files::read_bounded(&path, BODY_BYTES_MAX) {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                self.mistake(
                    node.place,
                    format!("cannot read {}: {error}", path.display()),
                );
                None
            }
        }
    }

    fn pattern(&mut self, node: &Node) -> Option<CallPattern> {
        let text = node.text()?.as_str();
        let pattern = match CallPattern::parse(text) {
            Ok(pattern) => pattern,
            Err(message) => {
                self.mistake(node.place, message);
                return None;
            }
        };
        let known = || self.spec.upstreams.iter().map(|it| it.name.as_str());
        if !known().any(|name| name == pattern.upstream) {
            let close = suggest(&pattern.upstream, known()).map(str::to_owned);
            let message = format!("there is no upstream `{}`", pattern.upstream);
            self.findings
                .add(node.place, message)
                .maybe_help(close.map(|close| format!("did you mean `{close}`?")));
            return None;
        }
        Some(pattern)
    }
}

fn status(reader: Reader<'_>) -> Option<StatusCode> {
    StatusCode::from_u16(reader.count("status")?).ok()
}

fn pairs(reader: Reader<'_>, key: &str) -> Vec<(String, String)> {
    let pair = |entry: &Entry| {
        let value = entry.node.text()?.as_str().to_owned();
        Some((entry.key.to_ascii_lowercase(), value))
    };
    reader.entries(key).iter().filter_map(pair).collect()
}

/// What a node is as JSON; a text holds it.
fn json(node: &Node) -> Option<Json> {
    match &node.value {
        Value::Text(text) => serde_json::from_str(text.as_str()).ok(),
        _ => Some(masked::plain(node)),
    }
}
