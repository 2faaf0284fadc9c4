//! `concertina import`: a `routes.toml` from what people have, and a list of what it lacks.

mod cel;
mod fields;
mod krakend;
mod openapi;
mod page;
mod upstreams;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::page::Finished;
use super::arguments::{ImportArguments, ImportFormat};
use super::{Failure, output};
use crate::config::Mistakes;

/// Bytes of a file that is imported.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// What to do about a KrakenD configuration that is not JSON.
const KRAKEND_HELP: &str = "Templates of KrakenD's flexible configuration have to be rendered first: \
    `FC_OUT=whole.json krakend check -c ...`";

/// What to do about a document that is not JSON.
const OPENAPI_HELP: &str =
    "YAML has to be turned into JSON first: `yq -o json api.yaml > api.json`";

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} has more than {} MiB", .0.display(), FILE_BYTES_MAX >> 20)]
    TooLarge(PathBuf),
    #[error("{} is not JSON: {source}\n{help}", .path.display())]
    NotJson {
        path: PathBuf,
        source: serde_json::Error,
        help: &'static str,
    },
    #[error("this is no KrakenD configuration: it says no `version`")]
    NotKrakend,
    #[error("the file is of version {0}; only version 3 can be imported")]
    Version(String),
    #[error("`endpoints` is no list: KrakenD has one object in it for each endpoint")]
    Endpoints,
    #[error("this is no OpenAPI document: it says no `openapi`")]
    NotOpenapi,
    #[error("the document is of OpenAPI {0}; only 3.0 and 3.1 can be imported")]
    OpenapiVersion(String),
    #[error("`--mock` is for OpenAPI documents")]
    Mock,
    #[error("{} is there already; nothing was changed", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {source}", .path.display())]
    Unwritable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("what was made would not pass `check`, which is a fault of the importer:\n{0}")]
    Unusable(Mistakes),
}

pub(super) fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let out = arguments.out.as_deref();
    if let Some(out) = out.filter(|out| out.exists()) {
        return Err(ImportError::Exists(out.to_owned()).into());
    }
    let file = &arguments.file;
    let made = match arguments.format {
        ImportFormat::Krakend if arguments.mock => return Err(ImportError::Mock.into()),
        ImportFormat::Krakend => krakend::import(&json(file, KRAKEND_HELP)?)?,
        ImportFormat::Openapi => openapi::import(&json(file, OPENAPI_HELP)?, arguments.mock)?,
    };
    // Files that it names are looked for where it will stand.
    let base = out.and_then(Path::parent).unwrap_or(Path::new(""));
    let finished = made.settle(base)?;
    match out {
        Some(out) => fs::write(out, &finished.text).map_err(|source| ImportError::Unwritable {
            path: out.to_owned(),
            source,
        })?,
        None => output::line(finished.text.trim_end()),
    }
    report(&finished, out);
    Ok(())
}

/// Says on standard error what was made, and what it lacks.
fn report(finished: &Finished, out: Option<&Path>) {
    for note in &finished.notes {
        output::complain(format_args!("- {note}"));
    }
    let place = out.map_or_else(String::new, |out| format!("{}: ", out.display()));
    let left_out = match finished.left_out {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    let notes = match finished.notes.len() {
        0 => "nothing to add".to_owned(),
        1 => "1 note, above and in the file".to_owned(),
        count => format!("{count} notes, above and in the file"),
    };
    output::complain(format_args!(
        "{place}{} routes{left_out}; {notes}",
        finished.routes
    ));
}

/// The file as JSON. Depth is bounded by the parser.
fn json(path: &Path, help: &'static str) -> Result<Value, ImportError> {
    serde_json::from_slice(&bytes(path)?).map_err(|source| ImportError::NotJson {
        path: path.to_owned(),
        source,
        help,
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, ImportError> {
    let unreadable = |source| ImportError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ImportError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}
