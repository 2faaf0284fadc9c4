//! `concertina test`: requests against the file, with upstreams that answer by script.

mod caller;
mod differ;
mod expect;
mod report;
mod script;
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::time::Instant;

use self::expect::Broken;
use self::report::{CaseReport, FileReport, Tally};
use self::stage::Bench;
use super::arguments::{TestArguments, TestFormat};
use super::{Failure, output};
use crate::config::cases::{self, CaseSpec, TestFile};
use crate::config::watch::{Sight, Watch};
use crate::observe::log;

/// How the name of a test file ends.
const ENDING: &str = ".test.toml";

/// Folders within each other that are looked through.
const DEPTH_MAX: usize = 16;

/// Test files of one call.
const FILES_MAX: usize = 10_000;

/// A test file or the file that it tries has mistakes, or there is nothing to try.
const MISTAKEN: u8 = 2;

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    #[error("cannot look into {}: {error}", .path.display())]
    Folder {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("there are more than {FILES_MAX} test files")]
    TooMany,
    #[error("{0}")]
    Bench(String),
}

pub(super) fn test(arguments: &TestArguments) -> Result<ExitCode, Failure> {
    if let Some(filter) = &arguments.log {
        log::start(log::Format::Text, filter).map_err(Failure::Log)?;
    }
    let bench = Bench::new().map_err(TestError::Bench)?;
    if arguments.watch {
        return watch(&bench, arguments);
    }
    run(&bench, arguments)
}

/// Tries everything once.
fn run(bench: &Bench, arguments: &TestArguments) -> Result<ExitCode, Failure> {
    let found = find(&arguments.files)?;
    let mut reports = Vec::new();
    for path in &found.files {
        let tried = cases::load(path)
            .outcome
            .map(|file| try_file(bench, &file, arguments.filter.as_deref()));
        let skipped = matches!(&tried, Ok(cases) if cases.is_empty());
        if !skipped {
            reports.push(FileReport {
                path: path.clone(),
                outcome: tried,
            });
        }
    }
    output::line(match arguments.format {
        TestFormat::Text => report::text(&reports, arguments.verbose),
        TestFormat::Json => report::json(&reports),
        TestFormat::Junit => report::junit(&reports),
    });
    if reports.is_empty() {
        output::complain(nothing(&found.files, arguments));
    }
    let tally = Tally::of(&reports);
    Ok(match tally {
        Tally { mistaken: 1.., .. } => ExitCode::from(MISTAKEN),
        Tally { failed: 1.., .. } => ExitCode::FAILURE,
        Tally { passed: 0, .. } => ExitCode::from(MISTAKEN),
        Tally { .. } => ExitCode::SUCCESS,
    })
}

fn nothing(files: &[PathBuf], arguments: &TestArguments) -> String {
    match &arguments.filter {
        Some(filter) if !files.is_empty() => {
            format!("error: no case has `{filter}` in its name")
        }
        _ => format!("error: there is no `*{ENDING}` here; docs/testing.md shows one"),
    }
}

fn try_file(bench: &Bench, file: &TestFile, filter: Option<&str>) -> Vec<CaseReport> {
    let meant = |case: &&CaseSpec| filter.is_none_or(|filter| case.name.contains(filter));
    file.cases
        .iter()
        .filter(meant)
        .map(|case| {
            // Outside of the case's own clock.
            let began = Instant::now();
            let (came, broken) = match bench.perform(&file.spec, case) {
                Ok(came) => {
                    let broken = expect::judge(&case.expect, &came);
                    (Some(came), broken)
                }
                Err(error) => (None, vec![Broken::new("case", error)]),
            };
            CaseReport {
                name: case.name.clone(),
                line: case.line,
                elapsed: began.elapsed(),
                broken,
                came,
            }
        })
        .collect()
}

/// Tries everything again whenever a file that has to do with it changes.
fn watch(bench: &Bench, arguments: &TestArguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let mut watch = Watch::default();
    loop {
        // Before the files are read to be tried, so that no edit falls in between.
        let read = read(arguments)?;
        watch.follow(Sight::of(read));
        run(bench, arguments)?;
        output::complain("waiting for a change; Ctrl-C ends");
        runtime.block_on(watch.changed());
    }
}

/// Every file that has to do with what is tried.
fn read(arguments: &TestArguments) -> Result<Vec<PathBuf>, TestError> {
    let Found { files, folders } = find(&arguments.files)?;
    let mut read = folders;
    for path in files {
        read.extend(cases::load(&path).files);
        read.push(path);
    }
    Ok(read)
}

/// What the arguments name.
#[derive(Debug, Default)]
struct Found {
    files: Vec<PathBuf>,
    /// Looked through: a new test file in one of them counts.
    folders: Vec<PathBuf>,
}

/// The files that are named, and the test files of the folders that are, in the order of their
/// names.
fn find(named: &[PathBuf]) -> Result<Found, TestError> {
    let mut found = Found::default();
    for path in named {
        if path.is_dir() {
            let from = found.files.len();
            look_into(path, 0, &mut found)?;
            if let Some(new) = found.files.get_mut(from..) {
                new.sort();
            }
        } else {
            found.files.push(path.clone());
        }
    }
    Ok(found)
}

fn look_into(folder: &Path, depth: usize, found: &mut Found) -> Result<(), TestError> {
    let failed = |error| TestError::Folder {
        path: folder.to_owned(),
        error,
    };
    found.folders.push(folder.to_owned());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() {
            // Hidden folders, and those of builds, are not the author's.
            let skipped = name.starts_with('.') || matches!(&*name, "target" | "node_modules");
            if !skipped && depth < DEPTH_MAX {
                look_into(&path, depth + 1, found)?;
            }
        } else if name.ends_with(ENDING) {
            if found.files.len() >= FILES_MAX {
                return Err(TestError::TooMany);
            }
            let path = path.strip_prefix(".").map_or(path.clone(), Path::to_owned);
            found.files.push(path);
        }
    }
    Ok(())
}
