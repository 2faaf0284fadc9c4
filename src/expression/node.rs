//! A compiled expression: names resolved, functions found, constants made.

use regex::Regex;

use super::functions::Function;
use super::names::Variable;
use super::syntax::Operator;
use super::value::{Type, Value};

#[derive(Debug)]
pub(super) enum Node {
    Constant(Value),
    Variable(Variable),
    /// A variable of a comprehension, counted from the outermost.
    Local(usize),
    Select(Box<Self>, Box<str>),
    Index(Box<Self>, Box<Self>),
    /// `a.?b` and `a[?b]`.
    Optional(Box<Self>, Box<Self>),
    /// `has(a.b)`.
    Has(Box<Self>, Box<str>),
    /// Whether a variable is there: `has(headers.x)`, `'x' in headers`.
    HasVariable(Variable),
    List(Vec<Element>),
    Map(Vec<Entry>),
    Not(Box<Self>),
    Negate(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    Conditional(Box<[Self; 3]>),
    Call(&'static Function, Vec<Self>),
    /// `matches` with a pattern known at load.
    Matches(Box<Self>, Regex),
    /// `default(a, b)`: b where a is missing or null.
    Default(Box<Self>, Box<Self>),
    /// `cel.bind(name, a, b)`: b with a in the next local.
    Bind(Box<Self>, Box<Self>),
    /// `optMap` and `optFlatMap`.
    OptionalMap {
        operand: Box<Self>,
        body: Box<Self>,
        flat: bool,
    },
    Comprehension(Box<Comprehension>),
}

impl Node {
    /// The type of its value, where that is plain to see.
    pub(super) fn kind(&self) -> Option<Type> {
        Some(match self {
            Self::Constant(value) => value.type_of(),
            Self::Has(..)
            | Self::HasVariable(_)
            | Self::Not(_)
            | Self::And(_)
            | Self::Or(_)
            | Self::Matches(..) => Type::Bool,
            Self::Binary(operator, ..) if operator.compares() => Type::Bool,
            Self::List(_) => Type::List,
            Self::Map(_) => Type::Map,
            Self::Optional(..) | Self::OptionalMap { .. } => Type::Optional,
            Self::Variable(variable) => return variable.kind(),
            Self::Bind(_, body) => return body.kind(),
            Self::Conditional(parts) => {
                let [_, then, otherwise] = &**parts;
                return then.kind().filter(|kind| otherwise.kind() == Some(*kind));
            }
            Self::Comprehension(made) => match made.kind {
                ComprehensionKind::All
                | ComprehensionKind::Exists
                | ComprehensionKind::ExistsOne => Type::Bool,
                ComprehensionKind::Filter | ComprehensionKind::Map | ComprehensionKind::SortBy => {
                    Type::List
                }
                ComprehensionKind::GroupBy
                | ComprehensionKind::IndexBy
                | ComprehensionKind::TransformMap
                | ComprehensionKind::TransformMapEntry => Type::Map,
            },
            _ => return None,
        })
    }
}

impl Node {
    /// The keys that its value always has, where that is plain to see.
    pub(super) fn keys(&self) -> Vec<(String, Option<Type>)> {
        let text = |key: &Value| Some(key.to_text().ok()?.into_owned());
        match self {
            Self::Constant(Value::Map(map)) => map
                .iter()
                .filter_map(|(key, value)| Some((text(&key.value())?, Some(value.type_of()))))
                .collect(),
            Self::Map(entries) => entries
                .iter()
                .filter(|entry| !entry.optional)
                .filter_map(|entry| match &entry.key {
                    Self::Constant(key) => Some((text(key)?, entry.value.kind())),
                    _ => None,
                })
                .collect(),
            Self::Bind(_, body) => body.keys(),
            Self::Conditional(parts) => {
                let [_, then, otherwise] = &**parts;
                let others = otherwise.keys();
                let shared = then.keys().into_iter().filter_map(|(key, kind)| {
                    let (_, other) = others.iter().find(|(other, _)| *other == key)?;
                    Some((key, kind.filter(|kind| *other == Some(*kind))))
                });
                shared.collect()
            }
            _ => Vec::new(),
        }
    }
}

/// An element of a list; an optional one only stands in it where there is a value.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) optional: bool,
    pub(super) value: Node,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) optional: bool,
    pub(super) key: Node,
    pub(super) value: Node,
}

/// A macro over each element of a list or map.
#[derive(Debug)]
pub(super) struct Comprehension {
    pub(super) kind: ComprehensionKind,
    pub(super) range: Node,
    /// One variable, or two: place and element of a list, key and value of a map.
    pub(super) variables: usize,
    /// Which elements count: `map` and its like with a condition.
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComprehensionKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    GroupBy,
    IndexBy,
    /// A list of what the body gives.
    Map,
    SortBy,
    /// A map with the keys of the range.
    TransformMap,
    /// A map of the entries that the body gives, each a map.
    TransformMapEntry,
}
