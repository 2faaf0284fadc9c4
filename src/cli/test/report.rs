//! What came of the cases, for people and for machines.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::expect::{Broken, excerpt, name_of};
use super::script::{CallEnd, CallMade};
use super::stage::Came;
use crate::config::Mistakes;
use crate::config::cases::Failing;

/// Calls that are shown of one case.
const CALLS_SHOWN_MAX: usize = 50;

/// What came of one test file.
pub(super) struct FileReport {
    pub(super) path: PathBuf,
    /// The cases that were tried, or why none was.
    pub(super) outcome: Result<Vec<CaseReport>, Mistakes>,
}

/// What came of one case.
pub(super) struct CaseReport {
    pub(super) name: String,
    pub(super) line: usize,
    /// Real time.
    pub(super) elapsed: Duration,
    /// What was not as expected; an error where it could not be tried at all.
    pub(super) broken: Vec<Broken>,
    /// None where it could not be tried.
    pub(super) came: Option<Came>,
}

/// How many cases of which kind.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// Files with mistakes.
    pub(super) mistaken: usize,
}

impl Tally {
    pub(super) fn of(files: &[FileReport]) -> Self {
        let mut tally = Self::default();
        for file in files {
            match &file.outcome {
                Ok(cases) => {
                    let failed = cases.iter().filter(|case| !case.passed()).count();
                    tally.failed += failed;
                    tally.passed += cases.len() - failed;
                }
                Err(_) => tally.mistaken += 1,
            }
        }
        tally
    }
}

impl CaseReport {
    const fn passed(&self) -> bool {
        self.broken.is_empty()
    }
}

/// For people: every case a line, and all about those that failed.
pub(super) fn text(files: &[FileReport], verbose: bool) -> String {
    let mut out = String::new();
    for file in files {
        put(&mut out, &file.path.display().to_string());
        match &file.outcome {
            Err(mistakes) => put(&mut out, &mistakes.to_string()),
            Ok(cases) => {
                for case in cases {
                    describe(&mut out, &file.path, case, verbose);
                }
            }
        }
        out.push('\n');
    }
    let tally = Tally::of(files);
    let mut summary = format!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.mistaken > 0 {
        let _ = write!(summary, ", {} with mistakes", files_of(tally.mistaken));
    }
    out.push_str(&summary);
    out
}

fn files_of(count: usize) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

fn put(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn describe(out: &mut String, path: &Path, case: &CaseReport, verbose: bool) {
    if case.passed() {
        put(out, &format!("  ok    {}", case.name));
    } else {
        let place = format!("{}:{}", path.display(), case.line);
        put(out, &format!("  FAIL  {} ({place})", case.name));
        for broken in &case.broken {
            put(
                out,
                &format!("        {}", told(broken).replace('\n', "\n        ")),
            );
        }
    }
    if let Some(came) = case.came.as_ref().filter(|_| verbose || !case.passed()) {
        for line in scene(came) {
            put(out, &format!("      | {line}"));
        }
    }
}

/// One line where one is enough.
fn told(broken: &Broken) -> String {
    match broken.lines.as_slice() {
        [only] => format!("{}: {only}", broken.what),
        lines => format!("{}:\n  {}", broken.what, lines.join("\n  ")),
    }
}

/// The calls in their order, and the answer.
fn scene(came: &Came) -> Vec<String> {
    let mut lines = Vec::new();
    for call in came.calls.iter().take(CALLS_SHOWN_MAX) {
        let name = name_of(&call.upstream, &call.method, &call.target);
        let body = match call.body.len() {
            0 => String::new(),
            _ => format!(" {}", excerpt(&call.body)),
        };
        let at = format!("{:?}", call.at);
        lines.push(format!("{at:>6}  {name}{body} -> {}", end(call)));
    }
    if came.calls.len() > CALLS_SHOWN_MAX {
        lines.push(format!(
            "and {} more calls",
            came.calls.len() - CALLS_SHOWN_MAX
        ));
    }
    let by = match &came.route {
        Some(route) => format!(" by route `{route}`"),
        None => String::new(),
    };
    lines.push(format!("{} after {:?}{by}", came.status, came.took));
    for (_, name, value) in came.headers.iter() {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(value)));
    }
    match &came.body {
        Ok(body) if body.is_empty() => {}
        Ok(body) => lines.push(excerpt(body)),
        Err(error) => lines.push(format!("(the body breaks off: {error})")),
    }
    lines
}

fn end(call: &CallMade) -> String {
    match call.end {
        CallEnd::Answered(status) => status.as_str().to_owned(),
        CallEnd::Failed(Failing::Refuse) => "refused".to_owned(),
        CallEnd::Failed(Failing::Reset) => "closed".to_owned(),
        CallEnd::Failed(Failing::Timeout) => "nothing".to_owned(),
        CallEnd::Failed(Failing::Cut) => "broken off".to_owned(),
        CallEnd::GivenUp => "given up".to_owned(),
        CallEnd::Unscripted => "no answer in the test".to_owned(),
    }
}

/// For machines: everything as JSON.
pub(super) fn json(files: &[FileReport]) -> String {
    let tally = Tally::of(files);
    let files: Vec<Json> = files
        .iter()
        .map(|file| match &file.outcome {
            Ok(cases) => json!({
                "file": file.path.display().to_string(),
                "cases": cases.iter().map(case_json).collect::<Vec<_>>(),
            }),
            Err(mistakes) => {
                let mut members = json!({"file": file.path.display().to_string()});
                if let (Some(members), Json::Object(told)) =
                    (members.as_object_mut(), mistakes.to_json())
                {
                    members.extend(told);
                }
                members
            }
        })
        .collect();
    json!({
        "passed": tally.passed,
        "failed": tally.failed,
        "mistaken": tally.mistaken,
        "files": files,
    })
    .to_string()
}

fn case_json(case: &CaseReport) -> Json {
    let broken: Vec<Json> = case
        .broken
        .iter()
        .map(|broken| json!({"what": broken.what, "lines": broken.lines}))
        .collect();
    let mut members = json!({
        "name": case.name,
        "line": case.line,
        "passed": case.passed(),
        "broken": broken,
    });
    if let (Some(came), Some(members)) = (&case.came, members.as_object_mut()) {
        let calls: Vec<Json> = came
            .calls
            .iter()
            .map(|call| {
                json!({
                    "at_ms": call.at.as_millis() as u64,
                    "call": name_of(&call.upstream, &call.method, &call.target),
                    "end": end(call),
                })
            })
            .collect();
        members.insert("status".to_owned(), json!(came.status.as_u16()));
        members.insert("route".to_owned(), json!(came.route));
        members.insert("took_ms".to_owned(), json!(came.took.as_millis() as u64));
        members.insert("calls".to_owned(), json!(calls));
    }
    members
}

/// For CI: JUnit's XML, as most services read it.
pub(super) fn junit(files: &[FileReport]) -> String {
    let tally = Tally::of(files);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tests = tally.passed + tally.failed + tally.mistaken;
    let _ = writeln!(
        out,
        "<testsuites name=\"concertina\" tests=\"{tests}\" failures=\"{}\" errors=\"{}\">",
        tally.failed, tally.mistaken
    );
    for file in files {
        suite(&mut out, file);
    }
    out.push_str("</testsuites>");
    out
}

fn suite(out: &mut String, file: &FileReport) {
    let name = xml(&file.path.display().to_string());
    match &file.outcome {
        Err(mistakes) => {
            let _ = writeln!(
                out,
                "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\">\n    \
                 <testcase name=\"the file\" classname=\"{name}\">\n      \
                 <error message=\"mistakes\">{}</error>\n    </testcase>\n  </testsuite>",
                xml(&mistakes.to_string())
            );
        }
        Ok(cases) => {
            let failed = cases.iter().filter(|case| !case.passed()).count();
            let seconds: f64 = cases.iter().map(|case| case.elapsed.as_secs_f64()).sum();
            let _ = writeln!(
                out,
                "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{seconds:.3}\">",
                cases.len()
            );
            for case in cases {
                testcase(out, &name, case);
            }
            out.push_str("  </testsuite>\n");
        }
    }
}

fn testcase(out: &mut String, file: &str, case: &CaseReport) {
    let _ = write!(
        out,
        "    <testcase name=\"{}\" classname=\"{file}\" line=\"{}\" time=\"{:.3}\"",
        xml(&case.name),
        case.line,
        case.elapsed.as_secs_f64()
    );
    if case.passed() {
        out.push_str("/>\n");
        return;
    }
    let told: Vec<String> = case.broken.iter().map(told).collect();
    let mut all = told.join("\n");
    if let Some(came) = &case.came {
        all.push_str("\n\n");
        all.push_str(&scene(came).join("\n"));
    }
    let first = told
        .first()
        .map_or("", |first| first.lines().next().unwrap_or_default());
    let _ = writeln!(
        out,
        ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
        xml(first),
        xml(&all)
    );
}

/// Text that XML takes for nothing else; what it cannot hold at all is replaced.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(broken: &[Broken]) -> Vec<FileReport> {
        vec![FileReport {
            path: "a.test.toml".into(),
            outcome: Ok(vec![CaseReport {
                name: "\"quoted\" & <marked>\u{1}".to_owned(),
                line: 3,
                elapsed: Duration::from_millis(5),
                broken: broken.to_vec(),
                came: None,
            }]),
        }]
    }

    #[test]
    fn junit_holds_any_text() {
        let broken = Broken {
            what: "status".to_owned(),
            lines: vec!["expected 200 OK, got ]]> 502".to_owned()],
        };
        let text = junit(&report(&[broken]));
        assert!(
            text.contains("name=\"&quot;quoted&quot; &amp; &lt;marked&gt;\u{fffd}\""),
            "{text}"
        );
        assert!(
            text.contains("tests=\"1\" failures=\"1\" errors=\"0\""),
            "{text}"
        );
        assert!(
            text.contains("status: expected 200 OK, got ]]&gt; 502"),
            "{text}"
        );
        let text = junit(&report(&[]));
        assert!(text.contains("time=\"0.005\"/>"), "{text}");
    }
}
