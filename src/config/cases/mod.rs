//! From the text of a `*.test.toml` to checked cases, by the same way as `routes.toml`.

mod lower;
mod pattern;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value as Json;

pub use pattern::{CallPattern, glob};

use super::mistake::Mistakes;
use super::read::Read;
use super::spec::GatewaySpec;
use super::{check, environment, keys};
use crate::exchange::Headers;

/// A test file with the file that it tries.
#[derive(Clone, Debug)]
pub struct TestFile {
    pub path: PathBuf,
    /// What is tried.
    pub spec: GatewaySpec,
    pub cases: Vec<CaseSpec>,
}

/// One request and what must come of it.
#[derive(Clone, Debug)]
pub struct CaseSpec {
    pub name: String,
    /// The line of the test file that it begins on.
    pub line: usize,
    pub request: RequestSpec,
    pub caller: Option<CallerSpec>,
    /// Whether the limits of routes count.
    pub limits: bool,
    /// The case's own, then those of the file.
    pub answers: Vec<Arc<AnswerSpec>>,
    pub expect: ExpectSpec,
}

/// What the client sends.
#[derive(Clone, Debug)]
pub struct RequestSpec {
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    pub host: String,
    pub headers: Headers,
    pub body: Bytes,
    pub from: IpAddr,
    /// The place of the listener in the file; none where the file has none.
    pub listener: Option<usize>,
    pub times: u32,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct CallerSpec {
    pub name: String,
    pub claims: serde_json::Map<String, Json>,
    /// The place of the authenticator in the file.
    pub authenticator: Option<usize>,
}

/// What an upstream answers to some of its calls.
#[derive(Clone, Debug)]
pub struct AnswerSpec {
    pub to: CallPattern,
    pub status: StatusCode,
    pub headers: Headers,
    pub body: Bytes,
    pub after: Duration,
    pub fails: Option<Failing>,
    /// None: any number of times.
    pub times: Option<u32>,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// There is no connection.
    Refuse,
    /// The connection is closed before a response.
    Reset,
    /// Nothing comes.
    Timeout,
    /// The body breaks off.
    Cut,
}

/// What must come of a case.
#[derive(Clone, Debug)]
pub struct ExpectSpec {
    pub status: StatusCode,
    pub route: Option<String>,
    pub message: MessageSpec,
    /// `Concertina-Parts`; empty: there is none.
    pub parts: Option<String>,
    pub problem: Option<String>,
    pub step: Option<String>,
    pub within: Option<Duration>,
    pub calls: Option<CallsSpec>,
    pub never: Vec<CallPattern>,
}

/// What fields and body must be.
#[derive(Clone, Debug, Default)]
pub struct MessageSpec {
    /// Names in lower case, values with wildcards.
    pub headers: Vec<(String, String)>,
    pub no_headers: Vec<String>,
    pub body: Option<BodyExpected>,
}

/// What a body must be.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyExpected {
    /// These values, whatever the order of keys.
    Json(Json),
    /// At least these.
    Includes(Json),
    Bytes(Bytes),
}

/// Which calls must have been made.
#[derive(Clone, Debug)]
pub struct CallsSpec {
    pub list: Vec<CallExpected>,
    /// And no other.
    pub all: bool,
    pub in_order: bool,
}

/// A call that must have been made.
#[derive(Clone, Debug)]
pub struct CallExpected {
    pub to: CallPattern,
    pub count: usize,
    pub message: MessageSpec,
}

/// What was read of a test file, and the files that were looked at on the way.
#[derive(Debug)]
pub struct Loaded {
    /// Either the cases, or every mistake of the test file or the file that it tries.
    pub outcome: Result<TestFile, Mistakes>,
    pub files: Vec<PathBuf>,
}

/// Reads and checks the test file at `path`, and the file that it tries.
pub fn load(path: &Path) -> Loaded {
    let mut files = Vec::new();
    let outcome = load_noting(path, &mut files);
    Loaded { outcome, files }
}

fn load_noting(path: &Path, files: &mut Vec<PathBuf>) -> Result<TestFile, Mistakes> {
    let mut read = Read::new(&environment::process);
    let root = read.file(path).map_err(|error| {
        files.push(path.to_owned());
        Mistakes::whole(
            path,
            format!("cannot read {}: {error}", path.display()),
            None,
        )
    })?;
    files.append(&mut read.files);
    if read.hopeless {
        return Err(read.findings.finish(&read.sources, files.clone()));
    }
    check::table(&root, &keys::CASES, &mut read.findings);
    let (sources, mut findings) = (read.sources, read.findings);
    let header = lower::header(&root, &sources);
    let spec = tried(&header, path, files)?;
    let cases = lower::cases(&root, &spec, (&sources, &mut findings), files);
    if findings.is_empty() {
        Ok(TestFile {
            path: path.to_owned(),
            spec,
            cases,
        })
    } else {
        Err(findings.finish(&sources, files.clone()))
    }
}

/// The file that is tried, with the test's own environment.
fn tried(
    header: &lower::Header,
    path: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<GatewaySpec, Mistakes> {
    let env: &BTreeMap<String, String> = &header.env;
    let lookup = |name: &str| {
        env.get(name)
            .map(OsString::from)
            .or_else(|| environment::process(name))
    };
    let loaded = super::load_with(&header.file, &lookup);
    match &loaded {
        Ok(spec) => files.extend(spec.files.iter().cloned()),
        Err(mistakes) if mistakes.files.is_empty() => files.push(header.file.clone()),
        Err(mistakes) => files.extend(mistakes.files.iter().cloned()),
    }
    loaded.map_err(|mut mistakes| {
        if mistakes.list.len() == 1
            && let Some(only) = mistakes.list.first_mut()
            && only.message.starts_with("cannot read")
        {
            only.help = Some(format!(
                "say which file {} is about: `file = \"../routes.toml\"`",
                path.display()
            ));
        }
        mistakes
    })
}
