//! The command line: what can be typed, and the help that teaches it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// An API gateway with built-in request orchestration, driven by one file.
#[derive(Debug, Parser)]
#[command(name = "concertina", version, after_help = EXAMPLES, arg_required_else_help = true)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Start here:
  concertina demo                     real backends and the gateway, with things to try
  concertina check routes.toml        every mistake of a file at once
  concertina explain GET /api/dashboard/ada
                                      what that request would meet
  concertina test                     try the file: *.test.toml, without a network
  concertina run routes.toml          serve

Exit codes:
  0  done, or ended as asked
  1  the file has mistakes, or what was asked could not be done
  2  the command line was not understood
  3  a second signal ended the gateway before its requests had ended";

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(RunArguments),
    Demo(DemoArguments),
    Check(CheckArguments),
    Explain(ExplainArguments),
    Graph(GraphArguments),
    Import(ImportArguments),
    Diff(DiffArguments),
    Test(TestArguments),
    Schema(SchemaArguments),
    Certs(CertsArguments),
    Completions(CompletionsArguments),
}

/// Serve a file
#[derive(Debug, Args)]
#[command(after_help = "\
The file is watched: a good edit is in force within a second and no request is dropped; a bad
one changes nothing and is reported in the log, the metrics and /config.

Signals:
  SIGTERM, SIGINT   stop accepting, answer what was accepted, end; a second one ends at once
  SIGHUP            read the file again

Examples:
  concertina run
  concertina run /etc/concertina/routes.toml --log-format json
  concertina run --log info,concertina::upstream=debug")]
pub struct RunArguments {
    /// The file to serve
    #[arg(value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
    #[command(flatten)]
    pub log: LogArguments,
}

/// The gateway's own log, on standard error.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// What is logged: error, warn, info, debug; or by module, as `info,concertina::tls=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// How the log looks
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Start small backends and the gateway in front of them, and say what to try
#[derive(Debug, Args)]
#[command(after_help = "\
Everything is real and on loopback: four small services, TLS with a certificate made for this
machine, and a token signed by the demo's own identity service. Besides certs/ nothing is
written. Edit routes.toml while it runs.

Examples:
  concertina demo
  concertina demo --any-port          beside something else that uses the same ports")]
pub struct DemoArguments {
    /// The file to serve; without one, a copy of the built-in example
    #[arg(value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
    /// Take any free ports, and serve a copy of the file that says so
    #[arg(long)]
    pub any_port: bool,
    #[command(flatten)]
    pub log: LogArguments,
}

/// Report every mistake of a file at once
#[derive(Debug, Args)]
#[command(after_help = "\
The same checks as at start and reload, with nothing left running: unknown keys and names, bad
expressions, steps that wait for each other, routes that cannot be told apart, certificates that
cannot be read or do not match their keys. Nothing is fetched and nothing is written.

Examples:
  concertina check
  concertina check routes.toml --json | jq '.mistakes[].message'")]
pub struct CheckArguments {
    /// The file to check
    #[arg(value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
    /// Mistakes as JSON, for tools
    #[arg(long)]
    pub json: bool,
}

/// Say what a request would meet: route, guards, and the plan of calls
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is sent. The plan shows what waits for what, the most calls the request can cause, and
the longest it can take.

Examples:
  concertina explain GET /api/dashboard/ada
  concertina explain GET https://shop.example.com/api/users/7 --file routes.toml
  concertina explain POST /api/orders --header 'x-tenant: blue' --json")]
pub struct ExplainArguments {
    /// The request's method
    pub method: String,
    /// A URL, or its path; the host of a route is matched when the URL names one
    pub url: String,
    /// The file to look in
    #[arg(long, value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
    /// A header field of the request, as `name: value`; may be given again
    #[arg(long = "header", short = 'H', value_name = "FIELD")]
    pub headers: Vec<String>,
    /// The same as JSON, for tools
    #[arg(long)]
    pub json: bool,
}

/// Draw the flows of a file
#[derive(Debug, Args)]
#[command(after_help = "\
Steps, and what waits for what and why. Flows inside a flow are drawn beside it.

Examples:
  concertina graph > flows.mmd
  concertina graph checkout
  concertina graph 'GET /api/dashboard/{user}' --format svg > dashboard.svg")]
pub struct GraphArguments {
    /// A flow, or the route whose own flow it is, by name; without one, every flow
    #[arg(value_name = "FLOW")]
    pub flow: Option<String>,
    /// The file to look in
    #[arg(long, value_name = "FILE", default_value = "routes.toml")]
    pub file: PathBuf,
    /// The language of the drawing
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub format: GraphFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For Markdown
    Mermaid,
    /// For Graphviz
    Dot,
    /// For browsers: a picture that needs nothing else
    Svg,
}

/// Make a routes.toml from what another gateway was told, or from an API's document
#[derive(Debug, Args)]
#[command(after_help = "\
What is made passes `check`. What could not be carried over, or is otherwise than it was, is listed
on standard error, and said in the file at its place. docs/migrating.md tells what becomes of what.

Examples:
  concertina import krakend krakend.json > routes.toml
  concertina import krakend krakend.json --out gateway/routes.toml
  concertina import openapi api.json --mock --out mock.toml")]
pub struct ImportArguments {
    /// What the file is
    #[arg(value_enum)]
    pub format: ImportFormat,
    /// The file to import
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where to write, never over an existing file; without it, standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Answer from the file instead of passing on: examples of an OpenAPI document
    #[arg(long)]
    pub mock: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// A configuration of KrakenD, version 3, as JSON
    Krakend,
    /// An OpenAPI document, 3.0 or 3.1, as JSON
    Openapi,
}

/// Make a development certificate, never over an existing one
#[derive(Debug, Args)]
#[command(after_help = "\
Three files: ca.pem for clients to trust, server.pem and server.key for a listener. The
authority's key is thrown away, so that nobody can sign another certificate with it.

Examples:
  concertina certs
  concertina certs localhost shop.test 192.0.2.7 --folder certs/shop")]
pub struct CertsArguments {
    /// Names and addresses the certificate is good for [default: localhost 127.0.0.1 ::1]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Where the files are put
    #[arg(long, value_name = "FOLDER", default_value = "certs")]
    pub folder: PathBuf,
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(concertina completions bash)
  concertina completions fish > ~/.config/fish/completions/concertina.fish")]
pub struct CompletionsArguments {
    pub shell: Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_help() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
        }
    }
}

/// Try the file: requests, scripted upstreams, and what must come of it; no network
#[derive(Debug, Args)]
#[command(after_help = "\
Each *.test.toml names the file that it tries, and its cases: a request, what the upstreams answer
(or how they fail), what the client must get and which calls must have been made. Everything
between is what `run` serves with: routes, guards, plans, retries, timeouts. Time is the test's
own, so a timeout of ten seconds takes none. docs/testing.md describes the files.

Exit codes:
  0  everything came as expected
  1  something did not
  2  a test file or the file that it tries has mistakes, or there is nothing to try

Examples:
  concertina test
  concertina test tests/dashboard.test.toml --filter orders
  concertina test --watch
  concertina test --format junit > results.xml")]
pub struct TestArguments {
    /// Test files, or folders to look through for *.test.toml
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    pub files: Vec<PathBuf>,
    /// Only cases with this in their name
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// How the report looks
    #[arg(long, value_enum, default_value_t = TestFormat::Text)]
    pub format: TestFormat,
    /// Show calls and answer of cases that pass too
    #[arg(long, short)]
    pub verbose: bool,
    /// Try again whenever one of the files changes
    #[arg(long)]
    pub watch: bool,
    /// Show the gateway's own log: error, warn, info, debug
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    Text,
    Json,
    Junit,
}

/// Print the JSON Schema of the file, for editors
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  concertina schema > routes.schema.json
  concertina schema --tests > test.schema.json")]
pub struct SchemaArguments {
    /// The schema of *.test.toml instead
    #[arg(long)]
    pub tests: bool,
}

/// Say what a change of the file means: routes, guards, limits and upstreams gained, lost, widened
#[derive(Debug, Args)]
#[command(after_help = "\
Both files are checked first, and what they mean is compared, not their text: order, comments,
includes, blanks and units (\"1s\", \"1000ms\") make no difference, nor does writing a default.

  widened   more is admitted or trusted: a guard is gone, an address, method or path came in, a
            limit was raised, encryption was weakened. Another condition counts too: look at it
  narrowed  less is
  changed, gained, lost
            anything else

Examples:
  git show main:routes.toml > /tmp/old.toml && concertina diff /tmp/old.toml routes.toml
  concertina diff old.toml routes.toml --json | jq '.changes[] | select(.effect == \"widened\")'
  concertina diff old.toml routes.toml --fail-on widened")]
pub struct DiffArguments {
    /// The file as it was
    pub old: PathBuf,
    /// The file as it is to be
    pub new: PathBuf,
    /// The changes as JSON, for tools
    #[arg(long)]
    pub json: bool,
    /// Exit with 1 when there is such a change, and with 2 when a file has mistakes
    #[arg(long, value_enum, value_name = "EFFECT")]
    pub fail_on: Option<FailOn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Widened,
    Any,
}
