//! The tour of README.md, walked: every command is run and every printed answer compared.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::support::client::tls_config;
use crate::support::h2::H2Client;
use crate::support::message::Reply;
use crate::support::process::{self, Running};
use crate::support::{Client, eventually};

#[test]
fn every_command_of_the_readme_answers_as_printed() {
    let readme = include_str!("../../README.md");
    let steps = steps(readme);
    assert!(steps.len() > 15, "the tour is not where it was");
    let mut stage = Stage::start();
    for step in steps {
        stage.perform(&step);
    }
    stage.demo.signal("TERM");
    assert_eq!(stage.demo.wait().code(), Some(0));
    assert!(!stage.folder.exists(), "the demo leaves nothing behind");
}

/// A command and what is printed below it.
#[derive(Debug)]
struct Step {
    command: String,
    printed: Vec<String>,
}

/// The commands of every `console` block, in order.
fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            steps.push(Step {
                command: command.to_owned(),
                printed: Vec::new(),
            });
        } else if inside {
            steps.last_mut().unwrap().printed.push(line.to_owned());
        }
    }
    steps
}

/// A running demo on ports of its own, and what the reader's terminal knows.
struct Stage {
    demo: Running,
    folder: PathBuf,
    /// Ports as printed, and as they are here.
    ports: Vec<(u16, u16)>,
    token: String,
    tls: Arc<ClientConfig>,
    /// The file was edited: the next answer may take a moment to change.
    edited: bool,
}

impl Stage {
    fn start() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut demo = Running::start(repository, &["demo", "--any-port"]);
        let file = demo.wait_for("Concertina serves ");
        let file = PathBuf::from(file.rsplit(' ').next().unwrap());
        let mut ports = Vec::new();
        let printed = [
            ("gateway (TLS)", 8443),
            ("gateway (redirects)", 8080),
            ("admin", 9900),
            ("users", 9101),
            ("orders", 9102),
            ("offers", 9103),
            ("identity", 9104),
        ];
        for (name, port) in printed {
            let line = demo.wait_for(name);
            let address: SocketAddr = line.rsplit(' ').next().unwrap().parse().unwrap();
            ports.push((port, address.port()));
        }
        demo.wait_for("Ctrl-C");
        let folder = file.parent().unwrap().to_owned();
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(folder.join("certs/ca.pem")).unwrap();
        roots.add(authority).unwrap();
        Self {
            demo,
            folder,
            ports,
            token: String::new(),
            tls: tls_config(roots),
            edited: false,
        }
    }

    fn perform(&mut self, step: &Step) {
        let printed: Vec<String> = step.printed.iter().map(|line| self.here(line)).collect();
        if self.edited && step.command.starts_with("curl") {
            self.edited = false;
            eventually("the edit is in force", || {
                matches(&self.run(&step.command), &printed)
            });
            return;
        }
        let answer = if let Some(loop_body) = step.command.strip_prefix("for i in 1 2 3; do ") {
            let body = loop_body.strip_suffix("; done").unwrap();
            (0..3).map(|_| self.run(body)).collect()
        } else {
            self.run(&step.command)
        };
        assert!(
            matches(&answer, &printed),
            "{}\nprinted:\n{}\n\nanswered:\n{answer}",
            step.command,
            printed.join("\n")
        );
    }

    /// Does what a shell would do and returns what it would show.
    fn run(&mut self, command: &str) -> String {
        if command == "TOKEN=$(cat certs/demo.token)" {
            self.token = fs::read_to_string(self.folder.join("certs/demo.token")).unwrap();
            return String::new();
        }
        if let Some(arguments) = command.strip_prefix("cargo run --release -- ") {
            let arguments: Vec<&str> = arguments.split(' ').collect();
            let output = process::output(&self.folder, &arguments);
            return process::stdout(&output) + &process::stderr(&output);
        }
        let words = words(command);
        match words.first().map(String::as_str) {
            Some("sed") => self.sed(&words[1..]),
            Some("curl") => self.curl(&words[1..]),
            other => panic!("a command that this test does not know: {other:?}"),
        }
    }

    fn sed(&mut self, words: &[String]) -> String {
        let file = self.folder.join(words.last().unwrap());
        let mut text = fs::read_to_string(&file).unwrap();
        for script in words.iter().filter(|word| word.starts_with("s/")) {
            let parts: Vec<&str> = script.split('/').collect();
            let [_, from, to, ""] = parts[..] else {
                panic!("{script}");
            };
            assert!(text.contains(from), "`{from}` is not in the file");
            text = text
                .lines()
                .map(|line| line.replacen(from, to, 1) + "\n")
                .collect();
        }
        fs::write(file, text).unwrap();
        self.edited = true;
        String::new()
    }

    fn curl(&self, words: &[String]) -> String {
        let (mut method, mut headers, mut head, mut status_only) =
            ("GET", Vec::new(), false, false);
        let mut url = None;
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "-i" => head = true,
                "-s" => {}
                "-X" => method = words.next().unwrap(),
                "-H" => headers.push(words.next().unwrap().replace("$TOKEN", &self.token)),
                "--cacert" => assert_eq!(words.next(), Some("certs/ca.pem")),
                "-o" => assert_eq!(words.next(), Some("/dev/null")),
                "-w" => status_only = words.next() == Some("%{http_code}\\n"),
                other => url = Some(self.here(other)),
            }
        }
        let url = url.expect("a URL");
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|field| field.split_once(": ").unwrap())
            .collect();
        let (version, reply) = self.send(method, &url, &headers);
        if status_only {
            return format!("{}\n", reply.status);
        }
        let mut shown = String::new();
        if head {
            shown = format!("{version} {}\n", reply.status);
            for (name, value) in &reply.headers {
                shown += &format!("{name}: {value}\n");
            }
            shown.push('\n');
        }
        shown + &reply.text()
    }

    fn send(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> (&'static str, Reply) {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_at(rest.find('/').unwrap());
        let port: u16 = authority.rsplit(':').next().unwrap().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if scheme == "https" {
            let mut client = H2Client::connect(address, &self.tls, "localhost");
            ("HTTP/2", client.ask(method, url, headers, b""))
        } else {
            let headers = [&[("host", authority)], headers].concat();
            (
                "HTTP/1.1",
                Client::connect(address).ask(method, path, &headers, b""),
            )
        }
    }

    /// Text with the printed ports replaced by those of this demo.
    fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (printed, here) in &self.ports {
            text = text.replace(&format!(":{printed}"), &format!(":{here}"));
        }
        text
    }
}

/// The words of a command line, quotes taken off.
pub fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in command.chars() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words
}

/// Whether `answer` is as printed: `...` alone stands for any lines, within a line for any text.
pub fn matches(answer: &str, printed: &[String]) -> bool {
    let lines: Vec<&str> = answer.lines().map(str::trim_end).collect();
    lines_match(&lines, printed)
}

fn lines_match(lines: &[&str], printed: &[String]) -> bool {
    let Some((first, rest)) = printed.split_first() else {
        return lines.is_empty();
    };
    if first == "..." {
        return (0..=lines.len()).any(|skip| lines_match(&lines[skip..], rest));
    }
    lines
        .split_first()
        .is_some_and(|(line, others)| line_matches(line, first) && lines_match(others, rest))
}

fn line_matches(line: &str, printed: &str) -> bool {
    let mut parts = printed.trim_end().split("...");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut whole = true;
    for part in parts {
        whole = part.is_empty();
        let Some(at) = rest.rfind(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap();
    }
    whole || rest.is_empty()
}

#[test]
fn dots_stand_for_what_differs() {
    let printed = |lines: &[&str]| {
        lines
            .iter()
            .map(|&line| line.to_owned())
            .collect::<Vec<_>>()
    };
    assert!(matches("a\nb\nc", &printed(&["a", "...", "c"])));
    assert!(matches("a\nc", &printed(&["a", "...", "c"])));
    assert!(matches("id: 7, end", &printed(&["id: ..., end"])));
    assert!(!matches("id: 7, enD", &printed(&["id: ..., end"])));
    assert!(!matches("a\nb", &printed(&["a"])));
    assert!(!matches("a", &printed(&["a", "b"])));
}
