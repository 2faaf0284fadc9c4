//! Sums, products and negation of values, with every overflow an error.

use jiff::{SignedDuration, Timestamp};

use super::error::{Budget, EvalError};
use super::operators::list;
use super::syntax::Operator;
use super::value::{Value, View, nearest_double};

const OVERFLOW: EvalError = EvalError::range("the result does not fit: overflow");
const NO_OVERLOAD: EvalError =
    EvalError::kind("no such overload: the operator does not take these kinds of value together");

/// Seconds from year 1 to year 9999: what a timestamp may be (protobuf, `Timestamp`).
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Some 292 years: what fits in 64 bits of nanoseconds, as in most implementations of CEL.
const DURATION_NANOS_MAX: u128 = i64::MAX as u128;

pub(super) fn apply(
    operator: Operator,
    left: &Value,
    right: &Value,
    budget: &Budget,
) -> Result<Value, EvalError> {
    match (left.view(), right.view()) {
        (View::Int(left), View::Int(right)) => int(operator, left, right).map(Value::Int),
        (View::Uint(left), View::Uint(right)) => uint(operator, left, right).map(Value::Uint),
        (View::Double(left), View::Double(right)) => {
            double(operator, left, right).map(Value::Double)
        }
        // CEL has no such sums, but the type of a number from JSON is an accident of how it was
        // written: a total of `10` must not fail where one of `10.5` does not.
        (View::Int(left), View::Double(right)) => {
            double(operator, nearest_double(left.into()), right).map(Value::Double)
        }
        (View::Double(left), View::Int(right)) => {
            double(operator, left, nearest_double(right.into())).map(Value::Double)
        }
        _ => other(operator, left, right, budget),
    }
}

fn other(
    operator: Operator,
    left: &Value,
    right: &Value,
    budget: &Budget,
) -> Result<Value, EvalError> {
    match (operator, left.view(), right.view()) {
        (Operator::Add, View::Text(left), View::Text(right)) => {
            budget.make(left.len() + right.len())?;
            let mut text = String::with_capacity(left.len() + right.len());
            text.push_str(&left);
            text.push_str(&right);
            Ok(Value::from(text))
        }
        (Operator::Add, View::Bytes(left), View::Bytes(right)) => {
            budget.make(left.len() + right.len())?;
            Ok(Value::Bytes([&**left, &**right].concat().into()))
        }
        (Operator::Add, View::List(_) | View::JsonList(_), View::List(_) | View::JsonList(_)) => {
            let left = list(left, budget)?.unwrap_or_default();
            let right = list(right, budget)?.unwrap_or_default();
            budget.spend((left.len() + right.len()) as u64)?;
            Ok(Value::List(
                left.iter().chain(right.iter()).cloned().collect(),
            ))
        }
        (Operator::Add, View::Timestamp(time), View::Duration(span))
        | (Operator::Add, View::Duration(span), View::Timestamp(time)) => timestamp(time, span),
        (Operator::Subtract, View::Timestamp(time), View::Duration(span)) => {
            timestamp(time, span.checked_neg().ok_or(OVERFLOW)?)
        }
        (Operator::Subtract, View::Timestamp(left), View::Timestamp(right)) => {
            duration(left.duration_since(right))
        }
        (Operator::Add, View::Duration(left), View::Duration(right)) => {
            duration(left.checked_add(right).ok_or(OVERFLOW)?)
        }
        (Operator::Subtract, View::Duration(left), View::Duration(right)) => {
            duration(left.checked_sub(right).ok_or(OVERFLOW)?)
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn int(operator: Operator, left: i64, right: i64) -> Result<i64, EvalError> {
    match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide if right == 0 => return Err(EvalError::range("divide by zero")),
        Operator::Divide => left.checked_div(right),
        _ if right == 0 => return Err(EvalError::range("modulus by zero")),
        _ => left.checked_rem(right),
    }
    .ok_or(OVERFLOW)
}

fn uint(operator: Operator, left: u64, right: u64) -> Result<u64, EvalError> {
    match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide if right == 0 => return Err(EvalError::range("divide by zero")),
        Operator::Divide => left.checked_div(right),
        _ if right == 0 => return Err(EvalError::range("modulus by zero")),
        _ => left.checked_rem(right),
    }
    .ok_or(OVERFLOW)
}

fn double(operator: Operator, left: f64, right: f64) -> Result<f64, EvalError> {
    Ok(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => return Err(NO_OVERLOAD),
    })
}

pub(super) fn negate(operand: &Value) -> Result<Value, EvalError> {
    match operand.view() {
        View::Int(number) => number.checked_neg().map(Value::Int).ok_or(OVERFLOW),
        View::Double(number) => Ok(Value::Double(-number)),
        _ => Err(EvalError::kind(
            "no such overload: `-` takes a number that has a sign",
        )),
    }
}

fn timestamp(time: Timestamp, span: SignedDuration) -> Result<Value, EvalError> {
    let sum = time.checked_add(span).map_err(|_| OVERFLOW)?;
    checked_timestamp(sum)
}

/// A timestamp within the years that CEL knows.
pub(super) fn checked_timestamp(time: Timestamp) -> Result<Value, EvalError> {
    if !TIMESTAMP_SECONDS.contains(&time.as_second())
        || time.as_nanosecond() < i128::from(*TIMESTAMP_SECONDS.start()) * 1_000_000_000
    {
        return Err(EvalError::range("the timestamp is out of range"));
    }
    Ok(Value::Timestamp(time))
}

/// A duration within what CEL knows.
pub(super) fn duration(span: SignedDuration) -> Result<Value, EvalError> {
    if span.as_nanos().unsigned_abs() > DURATION_NANOS_MAX {
        return Err(EvalError::range("the duration is out of range"));
    }
    Ok(Value::Duration(span))
}
