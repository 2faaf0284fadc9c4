//! From the text of `routes.toml` to one checked `GatewaySpec`.
//!
//! ```text
//! text --read--> Table --check, lower--> GatewaySpec --> snapshot
//! ```
//!
//! `read` parses the file and its includes and replaces `${...}`; `check` holds every key against
//! the catalogue in `keys`; `lower` resolves names and compiles expressions. Each writes down every
//! mistake it finds, so that [`load`] tells them all at once. Nothing here has an effect but
//! reading files, so `check` and a start do the same.

pub mod cases;
mod check;
mod environment;
pub mod facts;
mod files;
mod findings;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod keys;
mod lower;
mod masked;
mod mend;
mod mistake;
mod read;
mod reader;
mod reference;
mod scalars;
mod schema;
mod source;
pub mod spec;
#[cfg(test)]
mod tests;
mod units;
pub mod watch;
mod written;

use std::path::Path;

pub use mistake::{Mistake, Mistakes, Related};
pub use reference::{cases_reference, reference};
pub use schema::{cases_schema, schema};
pub use spec::{ActionSpec, AdminSpec, GatewaySpec, RespondBody, RouteSpec, ServerSpec};

use environment::Lookup;
use read::Read;
use source::Place;

/// Reads and checks the file at `path` with everything that it names.
pub fn load(path: &Path) -> Result<GatewaySpec, Mistakes> {
    load_with(path, &environment::process)
}

/// Like [`load`], with another environment than the process has.
pub fn load_with(path: &Path, lookup: Lookup<'_>) -> Result<GatewaySpec, Mistakes> {
    let mut read = Read::new(lookup);
    match read.file(path) {
        Ok(root) => finish(root, read),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            Err(Mistakes::whole(path, message, None))
        }
    }
}

/// Reads and checks `text` as if it stood in a file called `name` in the folder `base`.
pub fn load_text(name: &str, text: &str, base: &Path) -> Result<GatewaySpec, Mistakes> {
    load_text_with(name, text, base, &environment::process)
}

/// Like [`load_text`], with another environment than the process has.
pub fn load_text_with(
    name: &str,
    text: &str,
    base: &Path,
    lookup: Lookup<'_>,
) -> Result<GatewaySpec, Mistakes> {
    let mut read = Read::new(lookup);
    let root = read.text(Path::new(name), text.to_owned(), base);
    finish(root, read)
}

fn finish(root: written::Table, mut read: Read<'_>) -> Result<GatewaySpec, Mistakes> {
    if read.hopeless {
        return Err(read.findings.finish(&read.sources, read.files));
    }
    if root.entries.is_empty() {
        // Also what an editor leaves for a moment before it writes.
        let help = "say at least where to listen: `[[listen]]`";
        read.findings
            .absent(Place::default(), "the file is empty")
            .help(help);
    }
    check::table(&root, &keys::ROOT, &mut read.findings);
    let (spec, findings) = lower::whole(root, &read.sources, read.findings, read.files);
    if findings.is_empty() {
        Ok(spec)
    } else {
        Err(findings.finish(&read.sources, spec.files))
    }
}
