//! The one place that writes to the terminal.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard output. A reader that left (`concertina schema | head`) is no error.
pub(super) fn line(text: impl Display) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Writes a line to standard error.
pub(super) fn complain(text: impl Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
