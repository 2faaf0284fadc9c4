//! What can go wrong: mistakes in the text at load, errors of a value per request, and the budget.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

/// Something wrong in an expression or template, found at load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes from the start of the whole text.
    pub at: Range<usize>,
    pub message: String,
    /// How to put it right.
    pub help: Option<String>,
}

impl Mistake {
    pub fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            help: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What kind of error an evaluation ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// A key, header, parameter or element that is not there. `has` and `default` turn on it.
    Missing,
    /// An operator or function met a kind of value that it does not take.
    Kind,
    /// A number that does not fit, a division by zero, an index outside.
    Range,
    /// A value that cannot be read as asked, or cannot stand where a template has its hole.
    Value,
    /// The evaluation took more work or memory than it may.
    Budget,
    /// The body of the client is not what an expression needs it to be: a 400.
    Body,
}

/// Why an expression has no value. The message is for logs: it names what the expression says, not
/// what the data holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    pub kind: EvalErrorKind,
    pub message: Cow<'static, str>,
}

impl EvalError {
    pub fn new(kind: EvalErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A key, header or parameter called `name` is not there.
    pub fn missing(name: &str) -> Self {
        Self::new(EvalErrorKind::Missing, format!("no such key: {name}"))
    }

    pub(super) const fn kind(message: &'static str) -> Self {
        Self {
            kind: EvalErrorKind::Kind,
            message: Cow::Borrowed(message),
        }
    }

    pub(super) const fn range(message: &'static str) -> Self {
        Self {
            kind: EvalErrorKind::Range,
            message: Cow::Borrowed(message),
        }
    }

    pub(super) const fn value(message: &'static str) -> Self {
        Self {
            kind: EvalErrorKind::Value,
            message: Cow::Borrowed(message),
        }
    }
}

/// How much work one evaluation may still do, in units: one for each node visited and each element
/// made, one for each 16 bytes of text made and each 256 bytes of JSON looked through. A unit is
/// in the order of 20 ns. Several evaluations may share one.
#[derive(Debug)]
pub struct Budget(Cell<u64>);

impl Budget {
    /// Some 10 ms of work, and at most some 20 MB made.
    pub const UNITS_DEFAULT: u64 = 500_000;

    pub const fn new(units: u64) -> Self {
        Self(Cell::new(units))
    }

    /// Units not spent yet.
    pub const fn left(&self) -> u64 {
        self.0.get()
    }

    pub(super) fn spend(&self, units: u64) -> Result<(), EvalError> {
        if let Some(left) = self.0.get().checked_sub(units) {
            self.0.set(left);
            return Ok(());
        }
        self.0.set(0);
        Err(EvalError::new(
            EvalErrorKind::Budget,
            "the expression takes more work than it may",
        ))
    }

    /// For text or bytes of this length that are made.
    pub(super) fn make(&self, bytes: usize) -> Result<(), EvalError> {
        self.spend(bytes as u64 / 16)
    }

    /// For JSON of this length that is looked through.
    pub(super) fn scan(&self, bytes: usize) -> Result<(), EvalError> {
        self.spend(bytes as u64 / 256)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::UNITS_DEFAULT)
    }
}
