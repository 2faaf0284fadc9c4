//! The guide of docs/flows.md, followed: every file is served, every request made, every answer
//! and every call to a service compared.
//!
//! A `toml` block is a file. A `calls` block says which calls the commands behind it cause: each
//! line once, in any order, `SERVICE: METHOD /TARGET [BODY] -> STATUS [(NAME: VALUE; ...)] [BODY]`; what is called
//! twice has two lines. `-> never` is no answer; such a call may also be cancelled before it is
//! sent. A `console` block holds commands and what they print.

use std::fs;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::support::message::{Message, Reply};
use crate::support::process::{output, stderr, stdout};
use crate::support::{Answer, TestGateway, Upstream};
use crate::tour::{matches, words};

const GUIDE: &str = include_str!("../../docs/flows.md");

/// What the guide's files lack of a test's.
const QUIET: &str = "\n[server]\nworkers = 1\naccess_log = \"off\"\n";

#[test]
fn every_example_of_the_guide_answers_as_printed() {
    let blocks = blocks(GUIDE);
    assert!(blocks.len() > 30, "the guide is not where it was");
    let mut stage: Option<Stage> = None;
    let mut wrong = Vec::new();
    for block in &blocks {
        match (block.kind, &mut stage) {
            ("toml", _) => stage = Some(Stage::new(block)),
            ("calls", Some(stage)) => stage.expect(block),
            ("console", Some(stage)) => wrong.extend(stage.perform(block)),
            (kind, _) => panic!("line {}: `{kind}`", block.line),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What stands between two fences.
struct Block {
    kind: &'static str,
    /// Where its first line stands.
    line: usize,
    lines: Vec<&'static str>,
}

fn blocks(guide: &'static str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (at, line) in guide.lines().enumerate() {
        if let Some(kind) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push(Block {
                    kind,
                    line: at + 2,
                    lines: Vec::new(),
                });
            }
        } else if inside {
            blocks.last_mut().unwrap().lines.push(line);
        }
    }
    blocks
}

/// A call that is expected, and its answer.
struct Expected {
    /// `SERVICE: METHOD /TARGET [BODY]`
    call: String,
    answer: Answer,
    may_be_absent: bool,
}

/// What the scripted services wait for, and what came to them unawaited.
#[derive(Default)]
struct Script {
    expected: Vec<Expected>,
    /// Cancelled calls of earlier commands, which may still come.
    late: Vec<Expected>,
    unexpected: Vec<String>,
}

/// A file of the guide and its services. The gateway starts with the first request.
struct Stage {
    text: String,
    gateway: Option<TestGateway>,
    script: Arc<Mutex<Script>>,
    _services: Vec<Upstream>,
}

impl Stage {
    fn new(file: &Block) -> Self {
        let script = Arc::<Mutex<Script>>::default();
        let mut services = Vec::new();
        let mut text = String::new();
        for line in &file.lines {
            let service = line
                .strip_prefix("upstreams.")
                .and_then(|rest| rest.split_once('.'));
            match (service, line.split_once("127.0.0.1:91")) {
                (Some((name, _)), Some((before, after))) => {
                    let service = serve(name, &script);
                    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
                    text += &format!("{before}{}{after}\n", service.address);
                    services.push(service);
                }
                _ => text += &format!("{}\n", line.replace("127.0.0.1:8080", "127.0.0.1:0")),
            }
        }
        Self {
            text: text + QUIET,
            gateway: None,
            script,
            _services: services,
        }
    }

    fn expect(&self, calls: &Block) {
        let mut script = self.script.lock().unwrap();
        script
            .expected
            .extend(calls.lines.iter().map(|line| expected(line)));
    }

    /// Runs the commands; what was printed or called otherwise than the guide has it.
    fn perform(&mut self, console: &Block) -> Vec<String> {
        let lines: Vec<String> = console.lines.iter().map(|&line| line.to_owned()).collect();
        let starts = |line: &String| line.starts_with("$ ");
        let mut wrong = Vec::new();
        let mut rest = lines.as_slice();
        while let Some((command, after)) = rest.split_first() {
            let end = after.iter().position(starts).unwrap_or(after.len());
            let (printed, next) = after.split_at(end);
            rest = next;
            let shown = self.run(command.strip_prefix("$ ").unwrap());
            let tells = |text: &str| text.contains("concertina-parts: ");
            if !matches(&shown, printed) || tells(&shown) != printed.iter().any(|line| tells(line))
            {
                wrong.push(format!("line {}: {command}\n{shown}", console.line));
            }
        }
        let calls = self.script.lock().unwrap().take();
        if !calls.is_empty() {
            wrong.push(format!("line {}: {}", console.line, calls.join("\n")));
        }
        wrong
    }

    fn run(&mut self, command: &str) -> String {
        let words = words(command);
        let mut words = words.iter().map(String::as_str);
        match words.next().unwrap() {
            "curl" => {}
            "concertina" => return self.check(&words.collect::<Vec<_>>()),
            other => panic!("not a command of the guide: {other}"),
        }
        let (mut head, mut method, mut body, mut url) = (false, "GET", "", "");
        let mut headers = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "-N" => {}
                "-i" | "-iN" => head = true,
                "-H" => headers.push(words.next().unwrap().split_once(": ").unwrap()),
                "--json" => {
                    method = "POST";
                    body = words.next().unwrap();
                    headers.push(("content-type", "application/json"));
                }
                "-d" => {
                    method = "POST";
                    body = words.next().unwrap();
                    headers.push(("content-type", "application/x-www-form-urlencoded"));
                }
                word => url = word,
            }
        }
        let path = url.strip_prefix("http://localhost:8080").unwrap();
        let gateway = self.gateway.get_or_insert_with(|| {
            TestGateway::start_exactly(tempfile::tempdir().unwrap(), &self.text)
        });
        let reply = gateway.ask(method, path, &headers, body.as_bytes());
        if head {
            return shown(&reply);
        }
        if reply.status >= 300 || reply.header("concertina-parts").is_some() {
            return format!("the guide lacks `-i`\n{}", shown(&reply));
        }
        reply.text()
    }

    /// The program itself, on the file as it stands in the guide.
    fn check(&self, arguments: &[&str]) -> String {
        let folder: TempDir = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("routes.toml"), &self.text).unwrap();
        let ended = output(folder.path(), arguments);
        (stdout(&ended) + &stderr(&ended)).trim_end().to_owned()
    }
}

impl Script {
    /// What was not called and should have been, and what was called and should not.
    fn take(&mut self) -> Vec<String> {
        let (late, absent): (Vec<_>, Vec<_>) =
            self.expected.drain(..).partition(|it| it.may_be_absent);
        self.late.extend(late);
        let absent = absent
            .into_iter()
            .map(|it| format!("not called: {}", it.call));
        let unexpected = self.unexpected.drain(..);
        absent
            .chain(unexpected.map(|call| format!("called: {call}")))
            .collect()
    }
}

/// As `curl -i` shows it.
fn shown(reply: &Reply) -> String {
    let mut text = format!(
        "HTTP/1.1 {}\n",
        http::StatusCode::from_u16(reply.status).unwrap()
    );
    for (name, value) in &reply.headers {
        text += &format!("{name}: {value}\n");
    }
    text + "\n" + &reply.text()
}

/// A service that answers as the script has it.
fn serve(name: &str, script: &Arc<Mutex<Script>>) -> Upstream {
    let name = name.to_owned();
    let script = Arc::clone(script);
    Upstream::start(move |request| {
        let call = call(&name, request);
        let mut script = script.lock().unwrap();
        let Script { expected, late, .. } = &mut *script;
        for calls in [expected, late] {
            if let Some(place) = calls.iter().position(|known| known.call == call) {
                return calls.remove(place).answer;
            }
        }
        script.unexpected.push(call);
        Answer::status(500)
    })
}

fn call(service: &str, request: &Message) -> String {
    let line = request.first.strip_suffix(" HTTP/1.1").unwrap();
    let body = String::from_utf8_lossy(&request.body);
    format!("{service}: {line} {body}").trim_end().to_owned()
}

/// The fields before a body: `(NAME: VALUE; NAME: VALUE) BODY`.
fn fields(text: &str) -> (Vec<(&str, &str)>, &str) {
    let Some((fields, body)) = text
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(") "))
    else {
        return (Vec::new(), text);
    };
    let fields = fields
        .split("; ")
        .map(|field| field.split_once(": ").unwrap());
    (fields.collect(), body)
}

fn expected(line: &str) -> Expected {
    let (call, answer) = line.split_once("->").unwrap();
    let (service, request) = call.trim().split_once(':').unwrap();
    let answer = answer.trim();
    let (status, body) = answer.split_once(' ').unwrap_or((answer, ""));
    Expected {
        call: format!("{service}: {}", request.trim()),
        answer: match status {
            "never" => Answer::never(),
            status => {
                let (mut headers, body) = fields(body);
                headers.push(("content-type", "application/json"));
                let status = http::StatusCode::from_u16(status.parse().unwrap()).unwrap();
                Answer::with(&status.to_string(), &headers, body)
            }
        },
        may_be_absent: status == "never",
    }
}
