//! The commands: what a person types, and what is done about it.

pub mod arguments;
mod certs;
mod check;
mod demo;
mod diff;
mod explain;
mod graph;
mod import;
mod output;
mod run;
mod test;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::arguments::{Arguments, Command};
use crate::config::{self, Mistakes};
use crate::gateway::StartError;
use crate::tls::development::DevelopmentError;

/// Reads the command line, does what it says, and returns the process's exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments.command) {
        Ok(code) => code,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(failure) => {
            output::complain(failure);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(arguments) => return run::run(&arguments),
        Command::Demo(arguments) => return demo::demo(&arguments),
        Command::Check(arguments) => check::check(&arguments)?,
        Command::Explain(arguments) => explain::explain(&arguments)?,
        Command::Graph(arguments) => graph::graph(&arguments)?,
        Command::Import(arguments) => import::import(&arguments)?,
        Command::Diff(arguments) => return diff::diff(&arguments),
        Command::Test(arguments) => return test::test(&arguments),
        Command::Schema(arguments) if arguments.tests => output::line(config::cases_schema()),
        Command::Schema(_) => output::line(config::schema()),
        Command::Certs(arguments) => certs::certs(&arguments)?,
        Command::Completions(arguments) => {
            let mut script = Vec::new();
            let mut command = Arguments::command();
            clap_complete::generate(arguments.shell, &mut command, "concertina", &mut script);
            output::line(String::from_utf8_lossy(&script).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It has said so on standard output already.
    #[error("failed")]
    Told,
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("error: {0}")]
    Start(StartError),
    #[error("error: {0}")]
    Certificates(#[from] DevelopmentError),
    #[error("error: cannot start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error("error: {0}")]
    Log(String),
    #[error("error: {0}")]
    Demo(#[from] demo::DemoError),
    #[error("error: {0}")]
    Explain(#[from] explain::ExplainError),
    #[error("error: {0}")]
    Graph(#[from] graph::GraphError),
    #[error("error: {0}")]
    Import(#[from] import::ImportError),
    #[error("error: {0}")]
    Test(#[from] test::TestError),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            // Each mistake says by itself that it is one.
            StartError::Mistakes(mistakes) => Self::Mistakes(mistakes),
            other => Self::Start(other),
        }
    }
}
