//! Functions of optional values: those that may not be there.

use std::sync::Arc;

use super::super::error::{Budget, EvalError};
use super::super::operators::list;
use super::super::value::{Value, View};
use super::{Form, Function, no_overload};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        Form::Global,
        "optional.of",
        (1, 1),
        of,
        [
            "optional.of(value)",
            "An optional that holds the value.",
            "optional.of(1).value() == 1",
        ],
    ),
    Function::new(
        Form::Global,
        "optional.ofNonZeroValue",
        (1, 1),
        of_non_zero,
        [
            "optional.ofNonZeroValue(value)",
            "An optional that holds the value unless it is null, false, zero or empty.",
            "!optional.ofNonZeroValue('').hasValue()",
        ],
    ),
    Function::new(
        Form::Global,
        "optional.none",
        (0, 0),
        none,
        [
            "optional.none()",
            "An optional that holds nothing.",
            "!optional.none().hasValue()",
        ],
    ),
    Function::new(
        Form::Global,
        "optional.unwrap",
        (1, 1),
        unwrap,
        [
            "optional.unwrap(list)",
            "What the optionals of a list hold, without those that hold nothing; also `list.unwrapOpt()`.",
            "optional.unwrap([optional.of(1), optional.none()]) == [1]",
        ],
    ),
    Function::new(
        Form::Method,
        "unwrapOpt",
        (1, 1),
        unwrap,
        [
            "list.unwrapOpt()",
            "What the optionals of a list hold, without those that hold nothing.",
            "[optional.of(1), optional.none()].unwrapOpt() == [1]",
        ],
    ),
    Function::new(
        Form::Method,
        "hasValue",
        (1, 1),
        has_value,
        [
            "optional.hasValue()",
            "Whether the optional holds a value.",
            "{'a': 1}.?a.hasValue()",
        ],
    ),
    Function::new(
        Form::Method,
        "value",
        (1, 1),
        value,
        [
            "optional.value()",
            "The value; an error where there is none.",
            "{'a': 1}.?a.value() == 1",
        ],
    ),
    Function::new(
        Form::Method,
        "or",
        (2, 2),
        or,
        [
            "optional.or(other)",
            "The optional, or the other where it holds nothing.",
            "{'a': 1}.?b.or(optional.of(2)).value() == 2",
        ],
    ),
    Function::new(
        Form::Method,
        "orValue",
        (2, 2),
        or_value,
        [
            "optional.orValue(otherwise)",
            "The value, or what stands behind it where there is none.",
            "{'a': 1}.?b.orValue(2) == 2",
        ],
    ),
];

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every function in the table"
)]
fn of(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    Ok(Value::Optional(arguments.first().cloned().map(Arc::new)))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every function in the table"
)]
fn of_non_zero(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let held = arguments.first().filter(|value| !is_zero(value));
    Ok(Value::Optional(held.cloned().map(Arc::new)))
}

fn is_zero(value: &Value) -> bool {
    match value.view() {
        View::Null | View::Optional(None) => true,
        View::Bool(value) => !value,
        View::Int(number) => number == 0,
        View::Uint(number) => number == 0,
        View::Double(number) => number == 0.0,
        View::Text(text) => text.is_empty(),
        View::Bytes(bytes) => bytes.is_empty(),
        View::List(values) => values.is_empty(),
        View::JsonList(json) => json.element(0).is_none(),
        View::Map(map) => map.is_empty(),
        View::JsonMap(json) => json.entries().next().is_none(),
        View::Timestamp(time) => time.as_nanosecond() == 0,
        View::Duration(span) => span.is_zero(),
        View::Type(_) | View::Optional(Some(_)) => false,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every function in the table"
)]
fn none(_: &[Value], _: &Budget) -> Result<Value, EvalError> {
    Ok(Value::Optional(None))
}

fn unwrap(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let values = list(arguments.first().unwrap_or(&Value::Null), budget)?
        .ok_or_else(|| no_overload("optional.unwrap"))?;
    let mut held = Vec::new();
    for value in values.iter() {
        budget.spend(1)?;
        match value {
            Value::Optional(Some(value)) => held.push(Value::clone(value)),
            Value::Optional(None) => {}
            _ => return Err(no_overload("optional.unwrap")),
        }
    }
    Ok(Value::from(held))
}

/// What the receiver holds.
fn held(name: &'static str, arguments: &[Value]) -> Result<Option<Value>, EvalError> {
    match arguments.first() {
        Some(Value::Optional(held)) => Ok(held.as_deref().cloned()),
        _ => Err(no_overload(name)),
    }
}

fn has_value(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    Ok(Value::Bool(held("hasValue", arguments)?.is_some()))
}

fn value(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    held("value", arguments)?.ok_or(EvalError::value(
        "the optional holds no value: optional.none() dereference",
    ))
}

fn or(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    match (held("or", arguments)?, arguments.get(1)) {
        (Some(held), Some(Value::Optional(_))) => Ok(Value::Optional(Some(Arc::new(held)))),
        (None, Some(other @ Value::Optional(_))) => Ok(other.clone()),
        _ => Err(no_overload("or")),
    }
}

fn or_value(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let otherwise = arguments.get(1).cloned().unwrap_or(Value::Null);
    Ok(held("orValue", arguments)?.unwrap_or(otherwise))
}
