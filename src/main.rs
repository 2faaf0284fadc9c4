//! The program: reads the command line, does one command, exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    concertina::cli::main()
}
