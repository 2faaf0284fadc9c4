//! What operators do: equality, order, arithmetic, selection.

use std::cmp::Ordering;
use std::sync::Arc;

use super::error::{Budget, EvalError, EvalErrorKind};
use super::map::{Key, Map};
use super::syntax::Operator;
use super::value::{Value, View, json_list, json_map, nearest_double};

/// Whether two values are equal: numbers by value whatever their type, lists and maps by content,
/// values of different kinds never. NaN is not equal to itself.
pub(super) fn equal(left: &Value, right: &Value, budget: &Budget) -> Result<bool, EvalError> {
    if let Some(known) = scalar_equal(left, right) {
        return Ok(known);
    }
    // A list of work rather than recursion: data may nest deeper than a stack.
    let mut pairs = vec![(left.clone(), right.clone())];
    while let Some((left, right)) = pairs.pop() {
        budget.spend(1)?;
        if let (Value::Json(left), Value::Json(right)) = (&left, &right)
            && left.bytes() == right.bytes()
        {
            budget.scan(left.bytes().len())?;
            continue;
        }
        let same = match scalar_equal(&left, &right) {
            Some(known) => known,
            None => push_parts(&left, &right, &mut pairs, budget)?,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// None for two lists, two maps and two optionals.
fn scalar_equal(left: &Value, right: &Value) -> Option<bool> {
    Some(match (left.view(), right.view()) {
        (View::Text(left), View::Text(right)) => left == right,
        (View::Null, View::Null) | (View::Optional(None), View::Optional(None)) => true,
        (View::Bool(left), View::Bool(right)) => left == right,
        (View::Bytes(left), View::Bytes(right)) => left == right,
        (View::Timestamp(left), View::Timestamp(right)) => left == right,
        (View::Duration(left), View::Duration(right)) => left == right,
        (View::Type(left), View::Type(right)) => left == right,
        (View::List(_) | View::JsonList(_), View::List(_) | View::JsonList(_))
        | (View::Map(_) | View::JsonMap(_), View::Map(_) | View::JsonMap(_))
        | (View::Optional(Some(_)), View::Optional(Some(_))) => return None,
        (left, right) => numbers(&left, &right) == Some(Some(Ordering::Equal)),
    })
}

/// Puts the parts of two lists, maps or optionals beside one another; false when they differ
/// already.
fn push_parts(
    left: &Value,
    right: &Value,
    pairs: &mut Vec<(Value, Value)>,
    budget: &Budget,
) -> Result<bool, EvalError> {
    if let (Value::Optional(Some(left)), Value::Optional(Some(right))) = (left, right) {
        pairs.push((Value::clone(left), Value::clone(right)));
        return Ok(true);
    }
    if let (Some(left), Some(right)) = (list(left, budget)?, list(right, budget)?) {
        if left.len() != right.len() {
            return Ok(false);
        }
        budget.spend(left.len() as u64)?;
        pairs.extend(left.iter().cloned().zip(right.iter().cloned()));
        return Ok(true);
    }
    let (Some(left), Some(right)) = (map(left, budget)?, map(right, budget)?) else {
        return Ok(false);
    };
    if left.len() != right.len() {
        return Ok(false);
    }
    budget.spend(left.len() as u64)?;
    for (key, value) in left.iter() {
        let Some(other) = right.get(key) else {
            return Ok(false);
        };
        pairs.push((value.clone(), other.clone()));
    }
    Ok(true)
}

/// A list as values; none for what is not a list.
pub(super) fn list(value: &Value, budget: &Budget) -> Result<Option<Arc<[Value]>>, EvalError> {
    Ok(match value {
        Value::List(values) => Some(Arc::clone(values)),
        Value::Json(json) if json.kind() == crate::json::Kind::Array => {
            Some(json_list(json, budget)?.into())
        }
        _ => None,
    })
}

/// A map as one; none for what is not a map.
pub(super) fn map(value: &Value, budget: &Budget) -> Result<Option<Arc<Map>>, EvalError> {
    Ok(match value {
        Value::Map(map) => Some(Arc::clone(map)),
        Value::Json(json) if json.kind() == crate::json::Kind::Object => {
            Some(Arc::new(json_map(json, budget)?))
        }
        _ => None,
    })
}

/// The order of two numbers: none where one is not a number, none inside for NaN.
#[expect(
    clippy::option_option,
    reason = "not numbers, and numbers without order, are two things"
)]
fn numbers(left: &View<'_>, right: &View<'_>) -> Option<Option<Ordering>> {
    let whole = |view: &View<'_>| match view {
        View::Int(number) => Some(i128::from(*number)),
        View::Uint(number) => Some(i128::from(*number)),
        _ => None,
    };
    Some(match (whole(left), whole(right), left, right) {
        (Some(left), Some(right), ..) => Some(left.cmp(&right)),
        (Some(left), _, _, View::Double(right)) => whole_to_double(left, *right),
        (_, Some(right), View::Double(left), _) => {
            whole_to_double(right, *left).map(Ordering::reverse)
        }
        (_, _, View::Double(left), View::Double(right)) => left.partial_cmp(right),
        _ => return None,
    })
}

/// Compares as CEL does: a whole number beyond 2^53 as the double closest to it.
fn whole_to_double(whole: i128, double: f64) -> Option<Ordering> {
    nearest_double(whole).partial_cmp(&double)
}

/// The order of two values of one kind: none for NaN.
pub(super) fn compare(left: &Value, right: &Value) -> Result<Option<Ordering>, EvalError> {
    Ok(match (left.view(), right.view()) {
        (View::Text(left), View::Text(right)) => Some(left.cmp(&right)),
        (View::Bool(left), View::Bool(right)) => Some(left.cmp(&right)),
        (View::Bytes(left), View::Bytes(right)) => Some(left.cmp(right)),
        (View::Timestamp(left), View::Timestamp(right)) => Some(left.cmp(&right)),
        (View::Duration(left), View::Duration(right)) => Some(left.cmp(&right)),
        (left, right) => match numbers(&left, &right) {
            Some(order) => order,
            None => {
                return Err(EvalError::kind(
                    "no such overload: `<` and its like take two values of one kind",
                ));
            }
        },
    })
}

pub(super) fn binary(
    operator: Operator,
    left: &Value,
    right: &Value,
    budget: &Budget,
) -> Result<Value, EvalError> {
    Ok(Value::Bool(match operator {
        Operator::Equal => equal(left, right, budget)?,
        Operator::NotEqual => !equal(left, right, budget)?,
        Operator::Less => compare(left, right)? == Some(Ordering::Less),
        Operator::LessOrEqual => compare(left, right)?.is_some_and(Ordering::is_le),
        Operator::Greater => compare(left, right)? == Some(Ordering::Greater),
        Operator::GreaterOrEqual => compare(left, right)?.is_some_and(Ordering::is_ge),
        Operator::In => contains(right, left, budget)?,
        Operator::Add
        | Operator::Divide
        | Operator::Multiply
        | Operator::Remainder
        | Operator::Subtract => return super::arithmetic::apply(operator, left, right, budget),
    }))
}

/// Whether `held` is an element of a list or a key of a map.
fn contains(container: &Value, held: &Value, budget: &Budget) -> Result<bool, EvalError> {
    match container.view() {
        View::List(values) => {
            for value in values {
                budget.spend(1)?;
                if equal(value, held, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        View::JsonList(json) => {
            budget.scan(json.bytes().len())?;
            for element in json.elements() {
                budget.spend(1)?;
                if equal(&Value::Json(element), held, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        View::Map(map) => Ok(key(held)?.is_some_and(|key| map.get(&key).is_some())),
        View::JsonMap(json) => {
            budget.scan(json.bytes().len())?;
            match held.as_text() {
                Some(name) => Ok(json.field(&name).is_some()),
                // Its names are texts; what cannot be a key at all is an error here too.
                None => key(held).map(|_| false),
            }
        }
        _ => Err(EvalError::kind(
            "no such overload: `in` takes a list or a map on its right",
        )),
    }
}

/// A value as a key to look for: none for a double that is no whole number, which no map has.
pub(super) fn key(value: &Value) -> Result<Option<Key>, EvalError> {
    if let Value::String(text) = value {
        return Ok(Some(Key::String(Arc::clone(text))));
    }
    Ok(Some(match value.view() {
        View::Text(text) => Key::String(text.into()),
        View::Int(number) => Key::Int(number),
        View::Uint(number) => Key::Uint(number),
        View::Bool(value) => Key::Bool(value),
        View::Double(number) => return Ok(whole(number)),
        _ => return Err(EvalError::kind("this kind of value cannot be a key")),
    }))
}

fn whole(number: f64) -> Option<Key> {
    let magnitude = number.abs();
    if number.fract() != 0.0 || magnitude >= 18_446_744_073_709_551_616.0 {
        return None;
    }
    let exact = number as i128;
    i64::try_from(exact)
        .map(Key::Int)
        .or_else(|_| u64::try_from(exact).map(Key::Uint))
        .ok()
}

/// `operand.field`.
pub(super) fn select(operand: &Value, field: &str, budget: &Budget) -> Result<Value, EvalError> {
    find_field(operand, field, budget)?.ok_or_else(|| EvalError::missing(field))
}

/// The field of a map; none where it is not there.
pub(super) fn find_field(
    operand: &Value,
    field: &str,
    budget: &Budget,
) -> Result<Option<Value>, EvalError> {
    match operand {
        Value::Map(map) => Ok(map.get_text(field).cloned()),
        Value::Json(json) if json.kind() == crate::json::Kind::Object => {
            budget.scan(json.bytes().len())?;
            Ok(json.field(field).map(Value::Json))
        }
        Value::Optional(None) => Ok(Some(Value::Optional(None))),
        Value::Optional(Some(inner)) => {
            let found = find_field(inner, field, budget)?;
            Ok(Some(Value::Optional(found.map(Arc::new))))
        }
        _ if operand.is_null() => Err(EvalError::new(
            EvalErrorKind::Missing,
            format!("no such key: {field} (of null)"),
        )),
        _ => Err(EvalError::new(
            EvalErrorKind::Kind,
            format!("no such overload: `.{field}` of a value that is not a map"),
        )),
    }
}

/// `operand[index]`.
pub(super) fn index(operand: &Value, index: &Value, budget: &Budget) -> Result<Value, EvalError> {
    find_index(operand, index, budget)?.ok_or_else(|| match operand.view() {
        View::List(_) | View::JsonList(_) => {
            EvalError::new(EvalErrorKind::Missing, "index out of bounds")
        }
        _ => EvalError::new(EvalErrorKind::Missing, "no such key"),
    })
}

pub(super) fn find_index(
    operand: &Value,
    index: &Value,
    budget: &Budget,
) -> Result<Option<Value>, EvalError> {
    match operand.view() {
        View::List(values) => Ok(place(index)?.and_then(|place| values.get(place)).cloned()),
        View::JsonList(json) => {
            budget.scan(json.bytes().len())?;
            let Some(place) = place(index)? else {
                return Ok(None);
            };
            Ok(json.element(place).map(Value::Json))
        }
        View::Map(map) => Ok(key(index)?.and_then(|key| map.get(&key)).cloned()),
        View::JsonMap(json) => {
            budget.scan(json.bytes().len())?;
            let name = index.as_text();
            Ok(name.and_then(|name| json.field(&name)).map(Value::Json))
        }
        View::Optional(None) => Ok(Some(Value::Optional(None))),
        View::Optional(Some(inner)) => {
            let found = find_index(inner, index, budget)?;
            Ok(Some(Value::Optional(found.map(Arc::new))))
        }
        View::Null => Err(EvalError::new(
            EvalErrorKind::Missing,
            "no such key (of null)",
        )),
        _ => Err(EvalError::kind(
            "no such overload: `[...]` takes a list or a map before it",
        )),
    }
}

/// A whole number as a place in a list; none where it is negative.
fn place(index: &Value) -> Result<Option<usize>, EvalError> {
    match index.view() {
        View::Int(number) => Ok(usize::try_from(number).ok()),
        View::Uint(number) => Ok(usize::try_from(number).ok()),
        View::Double(number) => match whole(number) {
            Some(Key::Int(number)) => Ok(usize::try_from(number).ok()),
            Some(Key::Uint(number)) => Ok(usize::try_from(number).ok()),
            _ => Err(EvalError::kind(
                "no such overload: a list is indexed by whole numbers",
            )),
        },
        _ => Err(EvalError::kind(
            "no such overload: a list is indexed by whole numbers",
        )),
    }
}
