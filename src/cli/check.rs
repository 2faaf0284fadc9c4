//! `concertina check`: every mistake of a file at once.

use super::arguments::CheckArguments;
use super::{Failure, output};
use crate::config;

pub(super) fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    match config::load(&arguments.file) {
        Ok(spec) if arguments.json => {
            let files: Vec<_> = spec
                .files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            output::line(serde_json::json!({"mistakes": [], "files": files}));
            Ok(())
        }
        Ok(spec) => {
            output::line(format_args!(
                "{}: no mistakes ({} routes, {} upstreams)",
                arguments.file.display(),
                spec.routes.len(),
                spec.upstreams.len()
            ));
            Ok(())
        }
        Err(mistakes) if arguments.json => {
            output::line(mistakes.to_json());
            Err(Failure::Told)
        }
        Err(mistakes) => Err(Failure::Mistakes(mistakes)),
    }
}
