//! The functions of the expression language, in one table.
//!
//! The checks at load, the documentation and the tests of the examples are all made from it.

mod convert;
mod encode;
mod list;
mod map;
mod number;
mod optional;
mod text;
mod time;

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::error::{Budget, EvalError};
use super::macros::MACROS;
use super::value::Value;

pub(super) use encode::base64_text;

/// The longest pattern that is not known at load, in bytes.
const PATTERN_BYTES_MAX: usize = 512;

/// How large a compiled pattern may be, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 18;

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `f(x)`.
    Global,
    /// `x.f()`.
    Method,
    /// Either way.
    Either,
}

/// What a function does with its arguments, the receiver first.
type Call = fn(&[Value], &Budget) -> Result<Value, EvalError>;

/// A function: how it is written, what it does, and an expression that shows it and is true.
pub struct Function {
    pub name: &'static str,
    pub form: Form,
    /// How it is written, such as `text.contains(part)`.
    pub usage: &'static str,
    pub about: &'static str,
    pub example: &'static str,
    /// Gives another value each time.
    pub random: bool,
    /// The fewest and the most arguments, the receiver counted.
    arguments: (usize, usize),
    call: Call,
}

impl Function {
    const fn new(
        form: Form,
        name: &'static str,
        arguments: (usize, usize),
        call: Call,
        text: [&'static str; 3],
    ) -> Self {
        let [usage, about, example] = text;
        Self {
            name,
            form,
            usage,
            about,
            example,
            random: false,
            arguments,
            call,
        }
    }

    const fn random(mut self) -> Self {
        self.random = true;
        self
    }

    pub(super) const fn takes(&self, arguments: usize) -> bool {
        let (least, most) = self.arguments;
        least <= arguments && arguments <= most
    }

    pub(super) fn apply(&self, arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
        (self.call)(arguments, budget)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Every function, in the groups in which the documentation shows them.
pub const GROUPS: &[(&str, &[Function])] = &[
    ("Text", text::FUNCTIONS),
    ("Lists", list::FUNCTIONS),
    ("Maps", map::FUNCTIONS),
    ("Numbers", number::FUNCTIONS),
    ("Time", time::FUNCTIONS),
    ("Conversions", convert::FUNCTIONS),
    ("Encoding", encode::FUNCTIONS),
    ("Optional values", optional::FUNCTIONS),
];

fn all() -> impl Iterator<Item = &'static Function> {
    GROUPS.iter().flat_map(|(_, functions)| functions.iter())
}

/// The function of this name that is called this way.
pub(super) fn find(name: &str, method: bool) -> Option<&'static Function> {
    all().find(|function| {
        function.name == name
            && match function.form {
                Form::Global => !method,
                Form::Method => method,
                Form::Either => true,
            }
    })
}

/// Every name that can be called, macros as well.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all()
        .map(|function| function.name)
        .chain(MACROS.iter().map(|known| known.name))
}

/// Whether functions have names that start with this and a dot.
pub(super) fn is_namespace(space: &str) -> bool {
    names().any(|name| {
        name.split_once('.')
            .is_some_and(|(first, _)| first == space)
    })
}

/// A pattern compiled within bounds; matching takes time linear in the text.
pub(super) fn pattern(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            text.lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned()
        })
}

/// A call with kinds of value that the function does not take.
fn no_overload(name: &'static str) -> EvalError {
    EvalError::new(
        super::error::EvalErrorKind::Kind,
        format!("no such overload: `{name}` does not take these kinds of value"),
    )
}
