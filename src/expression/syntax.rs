//! An expression as written: its syntax tree, before names are looked up.

use std::ops::Range;

use super::value::Value;

/// A node, and where it stands in the whole text.
#[derive(Clone, Debug)]
pub(super) struct Syntax {
    pub(super) kind: SyntaxKind,
    pub(super) at: Range<usize>,
    /// How many nodes stand below one another from here down.
    pub(super) depth: usize,
}

#[derive(Clone, Debug)]
pub(super) enum SyntaxKind {
    Literal(Value),
    Name(String),
    /// `operand.field`, or `operand.?field`.
    Select {
        operand: Box<Syntax>,
        field: String,
        optional: bool,
    },
    /// `operand[index]`, or `operand[?index]`.
    Index {
        operand: Box<Syntax>,
        index: Box<Syntax>,
        optional: bool,
    },
    Call {
        receiver: Option<Box<Syntax>>,
        name: String,
        name_at: Range<usize>,
        arguments: Vec<Syntax>,
    },
    List(Vec<Item>),
    Map(Vec<Pair>),
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    Binary(Operator, Box<Syntax>, Box<Syntax>),
    And(Vec<Syntax>),
    Or(Vec<Syntax>),
    /// Condition, then, else.
    Conditional(Box<[Syntax; 3]>),
}

/// An element of a list literal.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) optional: bool,
    pub(super) value: Syntax,
}

/// An entry of a map literal.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) optional: bool,
    pub(super) key: Syntax,
    pub(super) value: Syntax,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Divide,
    Equal,
    Greater,
    GreaterOrEqual,
    In,
    Less,
    LessOrEqual,
    Multiply,
    NotEqual,
    Remainder,
    Subtract,
}

impl Operator {
    /// Gives a bool.
    pub(super) const fn compares(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::Greater
                | Self::GreaterOrEqual
                | Self::In
                | Self::Less
                | Self::LessOrEqual
                | Self::NotEqual
        )
    }
}

impl SyntaxKind {
    fn depth(&self) -> usize {
        let deepest = |nodes: &[Syntax]| nodes.iter().map(|node| node.depth).max().unwrap_or(0);
        match self {
            Self::Literal(_) | Self::Name(_) => 0,
            Self::Select { operand, .. } | Self::Not(operand) | Self::Negate(operand) => {
                operand.depth
            }
            Self::Index { operand, index, .. } => operand.depth.max(index.depth),
            Self::Call {
                receiver,
                arguments,
                ..
            } => deepest(arguments).max(receiver.as_ref().map_or(0, |node| node.depth)),
            Self::List(items) => items.iter().map(|item| item.value.depth).max().unwrap_or(0),
            Self::Map(pairs) => pairs
                .iter()
                .map(|pair| pair.key.depth.max(pair.value.depth))
                .max()
                .unwrap_or(0),
            Self::Binary(_, left, right) => left.depth.max(right.depth),
            Self::And(nodes) | Self::Or(nodes) => deepest(nodes),
            Self::Conditional(nodes) => deepest(&**nodes),
        }
    }

    pub(super) fn at(self, at: Range<usize>) -> Syntax {
        let depth = self.depth() + 1;
        Syntax {
            kind: self,
            at,
            depth,
        }
    }
}
