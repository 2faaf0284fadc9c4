//! Evaluates a compiled expression within a budget.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::arithmetic;
use super::error::{Budget, EvalError, EvalErrorKind};
use super::map::Map;
use super::names::{Scope, Variable};
use super::node::{Element, Entry, Node};
use super::operators::{binary, find_field, find_index, index, key, select};
use super::value::{Value, View, json_map};
use crate::json::{Json, Kind};

/// One evaluation. Recursion follows the expression, whose depth is capped, never the data.
pub(super) struct Machine<'a> {
    scope: &'a dyn Scope,
    pub(super) budget: &'a Budget,
    /// The variables of the comprehensions around, outermost first.
    pub(super) locals: Vec<Value>,
    /// The arguments of the calls around.
    operands: Vec<Value>,
    seen: Seen,
}

/// From this length on, in bytes, an object that is read twice is taken apart.
const TAKEN_APART_FROM: usize = 256;

/// How many objects are remembered.
const SEEN_MAX: usize = 8;

/// The JSON objects that were read lately, last first. One field is found by looking through the
/// text; whoever reads a second one is likely to read more, and gets a map made in one more look.
struct Seen(Vec<(Json, Option<Arc<Map>>)>);

impl Seen {
    /// The map of an object that was read before.
    fn map(&mut self, value: &Value, budget: &Budget) -> Result<Option<Arc<Map>>, EvalError> {
        let Value::Json(json) = value else {
            return Ok(None);
        };
        if json.bytes().len() < TAKEN_APART_FROM || json.kind() != Kind::Object {
            return Ok(None);
        }
        // The same bytes at the same place: the buffer lives as long as it is remembered.
        let place = self.0.iter().position(|(seen, _)| {
            seen.bytes().as_ptr() == json.bytes().as_ptr()
                && seen.bytes().len() == json.bytes().len()
        });
        let Some(place) = place else {
            self.0.truncate(SEEN_MAX - 1);
            self.0.insert(0, (json.clone(), None));
            return Ok(None);
        };
        self.0.get_mut(..=place).unwrap_or_default().rotate_right(1);
        let Some((_, map)) = self.0.first_mut() else {
            return Ok(None);
        };
        if map.is_none() {
            *map = Some(Arc::new(json_map(json, budget)?));
        }
        Ok(map.clone())
    }
}

/// A scope without variables.
struct Nothing;

impl Scope for Nothing {
    fn variable(&self, _: &Variable) -> Result<Value, EvalError> {
        Err(EvalError::new(
            EvalErrorKind::Missing,
            "a constant reads nothing",
        ))
    }
}

impl<'a> Machine<'a> {
    pub(super) const fn new(scope: &'a dyn Scope, budget: &'a Budget) -> Self {
        Self {
            scope,
            budget,
            locals: Vec::new(),
            operands: Vec::new(),
            seen: Seen(Vec::new()),
        }
    }

    /// The value of a node that reads nothing.
    pub(super) fn constant(node: &Node) -> Result<Value, EvalError> {
        Machine::new(&Nothing, &Budget::default()).value(node)
    }

    pub(super) fn value(&mut self, node: &Node) -> Result<Value, EvalError> {
        self.budget.spend(1)?;
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Variable(variable) => self.scope.variable(variable),
            Node::Local(place) => Ok(self.locals.get(*place).cloned().unwrap_or(Value::Null)),
            Node::Select(operand, field) => {
                let operand = self.value(operand)?;
                match self.seen.map(&operand, self.budget)? {
                    Some(map) => select(&Value::Map(map), field, self.budget),
                    None => select(&operand, field, self.budget),
                }
            }
            Node::Index(operand, place) => {
                let (operand, place) = (self.value(operand)?, self.value(place)?);
                index(&operand, &place, self.budget)
            }
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                binary(*operator, &left, &right, self.budget)
            }
            Node::Not(operand) => match self.value(operand)?.as_bool() {
                Some(value) => Ok(Value::Bool(!value)),
                None => Err(EvalError::kind("no such overload: `!` takes a bool")),
            },
            Node::Negate(operand) => arithmetic::negate(&self.value(operand)?),
            Node::And(operands) => self.junction(operands, false),
            Node::Or(operands) => self.junction(operands, true),
            Node::Conditional(parts) => self.conditional(parts),
            Node::Call(function, arguments) => {
                let base = self.operands.len();
                let result = self.arguments(arguments).and_then(|()| {
                    let arguments = self.operands.get(base..).unwrap_or_default();
                    function.apply(arguments, self.budget)
                });
                self.operands.truncate(base);
                result
            }
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            _ => self.special(node),
        }
    }

    fn special(&mut self, node: &Node) -> Result<Value, EvalError> {
        match node {
            Node::Has(operand, field) => {
                let operand = self.value(operand)?;
                has(&operand, field, self.budget).map(Value::Bool)
            }
            Node::HasVariable(variable) => match self.scope.variable(variable) {
                Ok(value) => Ok(Value::Bool(!value.is_null())),
                Err(error) if error.kind == EvalErrorKind::Missing => Ok(Value::Bool(false)),
                Err(error) => Err(error),
            },
            Node::Matches(operand, regex) => {
                let operand = self.value(operand)?;
                let text = operand
                    .as_text()
                    .ok_or_else(|| EvalError::kind("no such overload: `matches` takes a string"))?;
                self.budget.scan(text.len() * 16)?;
                Ok(Value::Bool(regex.is_match(&text)))
            }
            Node::Default(operand, otherwise) => match self.value(operand) {
                Ok(value) if !matches!(value.view(), View::Null | View::Optional(None)) => {
                    Ok(value)
                }
                Err(error) if error.kind != EvalErrorKind::Missing => Err(error),
                _ => self.value(otherwise),
            },
            Node::Bind(value, body) => {
                let value = self.value(value)?;
                self.within(value, body)
            }
            Node::OptionalMap {
                operand,
                body,
                flat,
            } => self.optional_map(operand, body, *flat),
            Node::Optional(operand, place) => {
                let (operand, place) = (self.value(operand)?, self.value(place)?);
                self.optional(&operand, &place)
            }
            Node::Comprehension(comprehension) => self.comprehension(comprehension),
            _ => Err(EvalError::kind("an expression of no known kind")),
        }
    }

    /// Evaluates with one more local.
    fn within(&mut self, local: Value, body: &Node) -> Result<Value, EvalError> {
        let depth = self.locals.len();
        self.locals.push(local);
        let value = self.value(body);
        self.locals.truncate(depth);
        value
    }

    fn arguments(&mut self, arguments: &[Node]) -> Result<(), EvalError> {
        for argument in arguments {
            let value = self.value(argument)?;
            self.operands.push(value);
        }
        Ok(())
    }

    /// `&&` and `||`: an operand that decides does so whatever the others are, even errors.
    fn junction(&mut self, operands: &[Node], decides: bool) -> Result<Value, EvalError> {
        let mut failed = None;
        for operand in operands {
            match self.decide(operand) {
                Ok(value) if value == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(error) => absorb(&mut failed, error)?,
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    pub(super) fn decide(&mut self, node: &Node) -> Result<bool, EvalError> {
        self.value(node)?
            .as_bool()
            .ok_or_else(|| EvalError::kind("no such overload: a condition is not a bool"))
    }

    fn conditional(&mut self, parts: &[Node; 3]) -> Result<Value, EvalError> {
        let [condition, then, otherwise] = parts;
        if self.decide(condition)? {
            self.value(then)
        } else {
            self.value(otherwise)
        }
    }

    fn list(&mut self, elements: &[Element]) -> Result<Value, EvalError> {
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            let value = self.value(&element.value)?;
            if element.optional {
                values.extend(optional_entry(value)?);
            } else {
                values.push(value);
            }
        }
        Ok(Value::from(values))
    }

    fn map(&mut self, entries: &[Entry]) -> Result<Value, EvalError> {
        let mut map = Map::with_capacity(entries.len());
        for entry in entries {
            let name = self.value(&entry.key)?;
            let name = match name.view() {
                View::Double(_) => None,
                _ => key(&name)?,
            };
            let name = name.ok_or_else(|| EvalError::kind("a double cannot be a key"))?;
            let value = self.value(&entry.value)?;
            let value = if entry.optional {
                match optional_entry(value)? {
                    Some(value) => value,
                    None => continue,
                }
            } else {
                value
            };
            if map.insert(name, value).is_some() {
                return Err(EvalError::value(
                    "a map has the same key twice: repeated key",
                ));
            }
        }
        Ok(Value::from(map))
    }

    fn optional(&self, operand: &Value, place: &Value) -> Result<Value, EvalError> {
        if let Value::Optional(None) = operand {
            return Ok(Value::Optional(None));
        }
        let inner = match operand {
            Value::Optional(Some(inner)) => inner,
            other => other,
        };
        let found = match find_index(inner, place, self.budget) {
            Ok(found) => found,
            Err(error) if error.kind == EvalErrorKind::Missing => None,
            Err(error) => return Err(error),
        };
        Ok(Value::Optional(found.map(Arc::new)))
    }

    fn optional_map(
        &mut self,
        operand: &Node,
        body: &Node,
        flat: bool,
    ) -> Result<Value, EvalError> {
        let Value::Optional(held) = self.value(operand)? else {
            return Err(EvalError::kind(
                "no such overload: `optMap` takes an optional",
            ));
        };
        let Some(held) = held else {
            return Ok(Value::Optional(None));
        };
        let value = self.within(Value::clone(&held), body)?;
        match value {
            Value::Optional(_) if flat => Ok(value),
            _ if flat => Err(EvalError::kind(
                "no such overload: `optFlatMap` makes an optional",
            )),
            value => Ok(Value::Optional(Some(Arc::new(value)))),
        }
    }
}

/// Keeps the first error for later; one that must end everything, ends it.
pub(super) fn absorb(held: &mut Option<EvalError>, error: EvalError) -> Result<(), EvalError> {
    if error.kind == EvalErrorKind::Budget {
        return Err(error);
    }
    held.get_or_insert(error);
    Ok(())
}

fn has(operand: &Value, field: &str, budget: &Budget) -> Result<bool, EvalError> {
    match operand {
        Value::Optional(None) => Ok(false),
        Value::Optional(Some(inner)) => Ok(find_field(inner, field, budget)?.is_some()),
        _ => Ok(find_field(operand, field, budget)?.is_some()),
    }
}

/// What an optional entry of a list or map holds.
fn optional_entry(value: Value) -> Result<Option<Value>, EvalError> {
    match value {
        Value::Optional(held) => Ok(held.map(|value| Value::clone(&value))),
        _ => Err(EvalError::kind("no such overload: `?` takes an optional")),
    }
}

/// Whether to go on with the next element.
pub(super) type Flow = Result<ControlFlow<()>, EvalError>;
