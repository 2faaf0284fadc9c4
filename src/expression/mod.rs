//! The expression language (CEL) and templates: compiled at load, evaluated per request.
//!
//! ```text
//! text + Names --compile--> Expression --evaluate(Scope, Budget)--> Value | EvalError
//! text + Place + Names --compile--> Template --render(Scope, Budget)--> text | EvalError
//! ```
//!
//! At load: [`Expression::compile`] and [`Template::compile`] find every [`Mistake`] against the
//! [`Names`] that can be read where the text stands, and tell what the text [`Reads`], from which
//! the planner infers what waits for what. Per request: a [`Scope`] gives the values of
//! [`Variable`]s, and a [`Budget`] bounds the work. Nothing is parsed but data.

mod arithmetic;
mod comprehend;
mod error;
mod evaluate;
mod fill;
pub mod functions;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod literal;
mod lookup;
mod macros;
mod map;
mod names;
mod node;
mod operators;
mod parse;
mod resolve;
pub mod suggest;
mod syntax;
mod template;
mod token;
mod value;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use error::{Budget, EvalError, EvalErrorKind, Mistake};
pub use macros::{MACROS, Macro};
pub use map::{Key, Map};
pub use names::{
    ErrorField, Names, PathName, Reads, RequestField, RunField, Scope, StepField, Variable,
};
pub use suggest::suggest;
pub use template::{Place, Template};
pub use value::{Type, Value};

use evaluate::Machine;
use node::Node;
use resolve::Resolver;
use syntax::{Syntax, SyntaxKind};

/// A compiled expression. Cheap to clone.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    node: Node,
    reads: Reads,
    /// Of a map whose keys are texts known at load: each key and its value.
    members: Vec<(Arc<str>, Expression)>,
}

impl Expression {
    /// Compiles `text`; every mistake that can be found at once.
    pub fn compile(text: &str, names: &Names<'_>) -> Result<Self, Vec<Mistake>> {
        Self::compile_part(text, 0..text.len(), names)
    }

    /// Compiles the part `at` of `text`; mistakes are placed in the whole text.
    pub(crate) fn compile_part(
        text: &str,
        at: std::ops::Range<usize>,
        names: &Names<'_>,
    ) -> Result<Self, Vec<Mistake>> {
        let part = text.get(at.clone()).unwrap_or_default();
        let syntax = parse::parse(text, at).map_err(|mistake| vec![mistake])?;
        let mut resolver = Resolver::new(names);
        let mut node = resolver.node(&syntax);
        if !resolver.mistakes.is_empty() {
            return Err(resolver.mistakes);
        }
        if resolver.reads.is_constant() && !resolver.reads_given {
            match Machine::constant(&node) {
                Ok(value) => node = Node::Constant(value),
                Err(error) if error.kind == EvalErrorKind::Budget => {}
                Err(error) => {
                    let message = format!("this never has a value: {error}");
                    return Err(vec![Mistake::new(syntax.at, message)]);
                }
            }
        }
        Ok(Self(Arc::new(Compiled {
            text: part.trim().into(),
            node,
            reads: resolver.reads,
            members: members(text, &syntax, names),
        })))
    }

    /// As written, without surrounding space.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What it needs before it can be evaluated.
    pub fn reads(&self) -> &Reads {
        &self.0.reads
    }

    /// Of a map that is written out with keys known at load, `{'a': ..., 'b': ...}`: each key and
    /// its value, in order, to be evaluated by itself. Empty for anything else.
    pub fn members(&self) -> &[(Arc<str>, Self)] {
        &self.0.members
    }

    /// The variable that the whole expression is, such as `body` alone.
    pub fn variable(&self) -> Option<&Variable> {
        match &self.0.node {
            Node::Variable(variable) => Some(variable),
            _ => None,
        }
    }

    /// The value of an expression that is a constant.
    pub fn constant(&self) -> Option<&Value> {
        match &self.0.node {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The type of its value, where that is known without evaluating it.
    pub fn kind(&self) -> Option<Type> {
        self.0.node.kind()
    }

    /// The keys that its value has whenever it has one, where that is plain to see, each with the
    /// type of what stands under it.
    pub fn known_keys(&self) -> Vec<(String, Option<Type>)> {
        self.0.node.keys()
    }

    pub fn evaluate(&self, scope: &dyn Scope, budget: &Budget) -> Result<Value, EvalError> {
        Machine::new(scope, budget).value(&self.0.node)
    }

    /// For a condition: an error where the value is not a bool.
    pub fn decide(&self, scope: &dyn Scope, budget: &Budget) -> Result<bool, EvalError> {
        Machine::new(scope, budget).decide(&self.0.node)
    }
}

/// The members of a map that is written out; none where a key is computed, optional or repeated.
fn members(text: &str, syntax: &Syntax, names: &Names<'_>) -> Vec<(Arc<str>, Expression)> {
    let SyntaxKind::Map(pairs) = &syntax.kind else {
        return Vec::new();
    };
    let mut members: Vec<(Arc<str>, Expression)> = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let SyntaxKind::Literal(Value::String(key)) = &pair.key.kind else {
            return Vec::new();
        };
        if pair.optional || members.iter().any(|(known, _)| **known == **key) {
            return Vec::new();
        }
        // The map as a whole was resolved without a mistake, so this is too.
        let mut resolver = Resolver::new(names);
        let node = resolver.node(&pair.value);
        let value = Expression(Arc::new(Compiled {
            text: text.get(pair.value.at.clone()).unwrap_or_default().into(),
            node,
            reads: resolver.reads,
            members: Vec::new(),
        }));
        members.push((Arc::from(&**key), value));
    }
    members
}

/// As it stands in the file.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl PartialEq for Expression {
    /// The same text, reading the same: what it gives is the same in the same scope.
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text && self.0.reads == other.0.reads
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.0.text)
    }
}
