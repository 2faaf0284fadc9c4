//! Compiles a syntax tree against the names in scope, and finds every mistake in it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::error::Mistake;
use super::evaluate::Machine;
use super::functions::{self, Function};
use super::lookup::request_map;
use super::names::{Names, Reads, StepField, Variable};
use super::node::{Element, Entry, Node};
use super::suggest::suggest;
use super::syntax::{Operator, Syntax, SyntaxKind};
use super::value::Value;

/// A compiled tree and what it reads, or what is wrong.
pub(super) struct Resolver<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) reads: Reads,
    /// One of the names that only this place has was read.
    pub(super) reads_given: bool,
    pub(super) mistakes: Vec<Mistake>,
    /// The variables of the comprehensions around, outermost first.
    pub(super) locals: Vec<String>,
}

/// Stands for a part that has a mistake.
const BROKEN: Node = Node::Constant(Value::Null);

impl<'a> Resolver<'a> {
    pub(super) fn new(names: &'a Names<'a>) -> Self {
        Self {
            names,
            reads: Reads::default(),
            reads_given: false,
            mistakes: Vec::new(),
            locals: Vec::new(),
        }
    }

    pub(super) fn mistake(&mut self, mistake: Mistake) -> Node {
        self.mistakes.push(mistake);
        BROKEN
    }

    pub(super) fn boxed(&mut self, syntax: &Syntax) -> Box<Node> {
        Box::new(self.node(syntax))
    }

    pub(super) fn nodes(&mut self, syntaxes: &[Syntax]) -> Vec<Node> {
        syntaxes.iter().map(|syntax| self.node(syntax)).collect()
    }

    pub(super) fn node(&mut self, syntax: &Syntax) -> Node {
        if let Some(node) = self.variable(syntax) {
            return node;
        }
        let node = match &syntax.kind {
            SyntaxKind::Literal(value) => Node::Constant(value.clone()),
            SyntaxKind::Name(name) => self.name(name, &syntax.at),
            SyntaxKind::Select {
                operand,
                field,
                optional,
            } => self.select(operand, field, *optional),
            SyntaxKind::Index {
                operand,
                index,
                optional,
            } => {
                let operand = self.boxed(operand);
                let index = Box::new(self.member(&operand, index));
                if *optional {
                    Node::Optional(operand, index)
                } else {
                    Node::Index(operand, index)
                }
            }
            SyntaxKind::Call {
                receiver,
                name,
                name_at,
                arguments,
            } => self.call(receiver.as_deref(), name, name_at, arguments, &syntax.at),
            SyntaxKind::List(items) => Node::List(
                items
                    .iter()
                    .map(|item| Element {
                        optional: item.optional,
                        value: self.node(&item.value),
                    })
                    .collect(),
            ),
            SyntaxKind::Map(pairs) => Node::Map(
                pairs
                    .iter()
                    .map(|pair| Entry {
                        optional: pair.optional,
                        key: self.node(&pair.key),
                        value: self.node(&pair.value),
                    })
                    .collect(),
            ),
            SyntaxKind::Not(operand) => Node::Not(self.boxed(operand)),
            SyntaxKind::Negate(operand) => Node::Negate(self.boxed(operand)),
            SyntaxKind::Binary(Operator::In, left, right) => self.contained(left, right),
            SyntaxKind::Binary(operator, left, right) => {
                Node::Binary(*operator, self.boxed(left), self.boxed(right))
            }
            SyntaxKind::And(operands) => Node::And(self.nodes(operands)),
            SyntaxKind::Or(operands) => Node::Or(self.nodes(operands)),
            SyntaxKind::Conditional(parts) => {
                Node::Conditional(Box::new(parts.each_ref().map(|part| self.node(part))))
            }
        };
        fold(node)
    }

    fn select(&mut self, operand: &Syntax, field: &str, optional: bool) -> Node {
        let operand = self.boxed(operand);
        let field = member_name(&operand, field);
        if optional {
            return Node::Optional(operand, Box::new(Node::Constant(Value::from(&*field))));
        }
        Node::Select(operand, field.into())
    }

    /// What stands in brackets behind `operand`, or before `in` and it.
    fn member(&mut self, operand: &Node, name: &Syntax) -> Node {
        match &name.kind {
            SyntaxKind::Literal(Value::String(name)) => {
                Node::Constant(Value::from(&*member_name(operand, name)))
            }
            _ => self.node(name),
        }
    }

    /// `x in y`; where y is one of the request's maps, no map is built.
    fn contained(&mut self, left: &Syntax, right: &Syntax) -> Node {
        if let (SyntaxKind::Literal(Value::String(name)), SyntaxKind::Name(root)) =
            (&left.kind, &right.kind)
            && !self.is_local(root)
            && let Some(variable) = request_map(root, name)
        {
            self.reads.note(&variable);
            return Node::HasVariable(variable);
        }
        let right = self.boxed(right);
        Node::Binary(Operator::In, Box::new(self.member(&right, left)), right)
    }

    pub(super) fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|local| local == name)
    }

    /// The function or macro called, with its arguments.
    fn call(
        &mut self,
        receiver: Option<&Syntax>,
        name: &str,
        name_at: &Range<usize>,
        arguments: &[Syntax],
        at: &Range<usize>,
    ) -> Node {
        if let Some(node) = self.macro_call(receiver, name, arguments, at) {
            return node;
        }
        let (receiver, name) = match receiver.and_then(|syntax| self.namespace(syntax, name)) {
            Some(qualified) => (None, qualified),
            None => (receiver, name.to_owned()),
        };
        let Some(function) = functions::find(&name, receiver.is_some()) else {
            let mistake = Self::unknown_function(&name, receiver.is_some(), name_at);
            self.mistakes.push(mistake);
            // What stands inside may have mistakes of its own.
            for syntax in receiver.into_iter().chain(arguments) {
                self.node(syntax);
            }
            return BROKEN;
        };
        let operands: Vec<Node> = receiver
            .into_iter()
            .chain(arguments)
            .map(|syntax| self.node(syntax))
            .collect();
        if !function.takes(operands.len()) {
            return self.mistake(
                Mistake::new(
                    at.clone(),
                    format!(
                        "`{}` does not take {}",
                        function.name,
                        count(arguments.len())
                    ),
                )
                .help(format!("it is written `{}`", function.usage)),
            );
        }
        self.reads.random |= function.random;
        self.finish_call(function, operands, arguments, at)
    }

    fn finish_call(
        &mut self,
        function: &'static Function,
        mut operands: Vec<Node>,
        arguments: &[Syntax],
        at: &Range<usize>,
    ) -> Node {
        if function.name == "matches"
            && let Some(Node::Constant(Value::String(pattern))) = operands.get(1)
        {
            let pattern = Arc::clone(pattern);
            let place = arguments.last().map_or(at, |syntax| &syntax.at);
            return match functions::pattern(&pattern) {
                Ok(regex) => Node::Matches(Box::new(operands.swap_remove(0)), regex),
                Err(message) => self.mistake(
                    Mistake::new(
                        place.clone(),
                        format!("not a regular expression: {message}"),
                    )
                    .help("the syntax is RE2's: https://github.com/google/re2/wiki/Syntax"),
                ),
            };
        }
        Node::Call(function, operands)
    }

    /// `math` before `abs`: the function's full name, where there is one.
    fn namespace(&self, receiver: &Syntax, name: &str) -> Option<String> {
        let SyntaxKind::Name(space) = &receiver.kind else {
            return None;
        };
        let known = functions::is_namespace(space) && !self.is_local(space);
        known.then(|| format!("{space}.{name}"))
    }

    fn unknown_function(name: &str, method: bool, at: &Range<usize>) -> Mistake {
        let mistake = Mistake::new(at.clone(), format!("no such function: `{name}`"));
        if let Some(other) = functions::find(name, !method) {
            return mistake.help(format!("it is written `{}`", other.usage));
        }
        match suggest(name, functions::names()) {
            Some(close) => mistake.help(format!("did you mean `{close}`?")),
            None => mistake,
        }
    }
}

/// The names of header fields are in lower case, however an expression writes them.
fn member_name<'a>(operand: &Node, name: &'a str) -> Cow<'a, str> {
    match operand {
        Node::Variable(Variable::Step {
            field: StepField::Headers,
            ..
        }) => Cow::Owned(name.to_ascii_lowercase()),
        _ => Cow::Borrowed(name),
    }
}

pub(super) fn count(arguments: usize) -> String {
    match arguments {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        many => format!("{many} arguments"),
    }
}

/// Evaluates lists and maps of constants once, so that a request meets them made.
fn fold(node: Node) -> Node {
    let constant = match &node {
        Node::List(elements) => elements
            .iter()
            .all(|element| matches!(element.value, Node::Constant(_))),
        Node::Map(entries) => entries.iter().all(|entry| {
            matches!(entry.key, Node::Constant(_)) && matches!(entry.value, Node::Constant(_))
        }),
        _ => false,
    };
    if !constant {
        return node;
    }
    match Machine::constant(&node) {
        Ok(value) => Node::Constant(value),
        Err(_) => node,
    }
}
