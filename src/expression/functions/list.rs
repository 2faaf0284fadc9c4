//! Functions of lists.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use super::super::arithmetic::apply;
use super::super::comprehend::sort as sort_keyed;
use super::super::error::{Budget, EvalError};
use super::super::map::Key;
use super::super::operators::{equal, key, list};
use super::super::syntax::Operator;
use super::super::value::{Value, View};
use super::{Form, Function, no_overload, number};

/// How deep `flatten` goes at most.
const FLATTEN_DEPTH_MAX: i64 = 32;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        Form::Method,
        "first",
        (1, 1),
        first,
        [
            "list.first()",
            "The first element; null for an empty list.",
            "[3, 1, 2].first() == 3 && [].first() == null",
        ],
    ),
    Function::new(
        Form::Method,
        "last",
        (1, 1),
        last,
        [
            "list.last()",
            "The last element; null for an empty list.",
            "[3, 1, 2].last() == 2",
        ],
    ),
    Function::new(
        Form::Method,
        "slice",
        (2, 3),
        slice,
        [
            "list.slice(start, end)",
            "The elements from `start` up to `end`, as far as there are any.",
            "[1, 2, 3, 4].slice(1, 3) == [2, 3] && [1, 2].slice(0, 10) == [1, 2]",
        ],
    ),
    Function::new(
        Form::Method,
        "reverse",
        (1, 1),
        reverse,
        [
            "list.reverse()",
            "The elements from last to first; the characters of a text likewise.",
            "[1, 2, 3].reverse() == [3, 2, 1] && 'abc'.reverse() == 'cba'",
        ],
    ),
    Function::new(
        Form::Method,
        "sort",
        (1, 1),
        sort,
        [
            "list.sort()",
            "The elements in ascending order; see also `sortBy`.",
            "[3, 1, 2].sort() == [1, 2, 3]",
        ],
    ),
    Function::new(
        Form::Method,
        "distinct",
        (1, 1),
        distinct,
        [
            "list.distinct()",
            "The elements without those that equal an earlier one.",
            "[1, 2, 1, 3, 2].distinct() == [1, 2, 3]",
        ],
    ),
    Function::new(
        Form::Method,
        "flatten",
        (1, 2),
        flatten,
        [
            "list.flatten(depth)",
            "The elements of the lists inside in their place, one level down or as many as said.",
            "[[1, 2], [3, [4]]].flatten() == [1, 2, 3, [4]] && [[1, [2]]].flatten(2) == [1, 2]",
        ],
    ),
    Function::new(
        Form::Method,
        "join",
        (1, 2),
        join,
        [
            "list.join(separator)",
            "The texts and numbers of a list as one text.",
            "['a', 'b'].join('-') == 'a-b' && [1, 2].join(',') == '1,2'",
        ],
    ),
    Function::new(
        Form::Method,
        "sum",
        (1, 1),
        sum,
        [
            "list.sum()",
            "The sum of the numbers; 0 for an empty list.",
            "[1, 2, 3].sum() == 6 && [1.5, 1].sum() == 2.5",
        ],
    ),
    Function::new(
        Form::Method,
        "min",
        (1, 1),
        min,
        [
            "list.min()",
            "The least element; null for an empty list.",
            "[3, 1, 2].min() == 1",
        ],
    ),
    Function::new(
        Form::Method,
        "max",
        (1, 1),
        max,
        [
            "list.max()",
            "The greatest element; null for an empty list.",
            "[3, 1, 2].max() == 3",
        ],
    ),
    Function::new(
        Form::Global,
        "lists.range",
        (1, 1),
        range,
        [
            "lists.range(count)",
            "The whole numbers from 0 up to the count.",
            "lists.range(3) == [0, 1, 2]",
        ],
    ),
];

fn elements(
    name: &'static str,
    arguments: &[Value],
    budget: &Budget,
) -> Result<Arc<[Value]>, EvalError> {
    let value = arguments.first().unwrap_or(&Value::Null);
    let values = list(value, budget)?.ok_or_else(|| no_overload(name))?;
    budget.spend(values.len() as u64)?;
    Ok(values)
}

fn first(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    if let Some(View::JsonList(json)) = arguments.first().map(Value::view) {
        return Ok(json.element(0).map_or(Value::Null, Value::Json));
    }
    let values = elements("first", arguments, budget)?;
    Ok(values.first().cloned().unwrap_or(Value::Null))
}

fn last(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let values = elements("last", arguments, budget)?;
    Ok(values.last().cloned().unwrap_or(Value::Null))
}

fn slice(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let values = elements("slice", arguments, budget)?;
    let place = |value: Option<&Value>, absent: usize| match value.map(Value::view) {
        None => Ok(absent),
        Some(View::Int(number)) => usize::try_from(number)
            .map(|place| place.min(values.len()))
            .map_err(|_| EvalError::range("the index is out of range")),
        Some(_) => Err(no_overload("slice")),
    };
    let start = place(arguments.get(1), 0)?;
    let end = place(arguments.get(2), values.len())?;
    let part = values
        .get(start..end)
        .ok_or(EvalError::range("the start of a slice is behind its end"))?;
    Ok(Value::List(part.into()))
}

fn reverse(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    if let Some(text) = arguments.first().and_then(Value::as_text) {
        budget.make(text.len())?;
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let values = elements("reverse", arguments, budget)?;
    Ok(Value::List(values.iter().rev().cloned().collect()))
}

fn sort(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let values = elements("sort", arguments, budget)?;
    let mut keyed: Vec<_> = values
        .iter()
        .map(|value| (value.clone(), Value::Null))
        .collect();
    sort_keyed(&mut keyed, budget)?;
    Ok(Value::List(
        keyed.into_iter().map(|(value, _)| value).collect(),
    ))
}

fn distinct(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let values = elements("distinct", arguments, budget)?;
    let mut kept: Vec<Value> = Vec::new();
    let mut keys: HashSet<Key> = HashSet::new();
    // What can be a key is found at once; the rest is compared with each other.
    let mut others: Vec<Value> = Vec::new();
    for value in values.iter() {
        if let Ok(Some(key)) = key(value) {
            if keys.insert(key) {
                kept.push(value.clone());
            }
        } else if !is_among(&others, value, budget)? {
            others.push(value.clone());
            kept.push(value.clone());
        }
    }
    Ok(Value::from(kept))
}

fn is_among(others: &[Value], value: &Value, budget: &Budget) -> Result<bool, EvalError> {
    for other in others {
        budget.spend(1)?;
        if equal(value, other, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn flatten(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let depth = match arguments.get(1).map(Value::view) {
        None => 1,
        Some(View::Int(depth)) if (0..=FLATTEN_DEPTH_MAX).contains(&depth) => depth,
        Some(View::Int(_)) => return Err(EvalError::range("the depth is from 0 to 32")),
        Some(_) => return Err(no_overload("flatten")),
    };
    let mut values: Vec<Value> = elements("flatten", arguments, budget)?.to_vec();
    for _ in 0..depth {
        let mut flat = Vec::with_capacity(values.len());
        let mut deeper = false;
        for value in values {
            match list(&value, budget)? {
                Some(inner) => {
                    budget.spend(inner.len() as u64)?;
                    flat.extend(inner.iter().cloned());
                    deeper = true;
                }
                None => flat.push(value),
            }
        }
        values = flat;
        if !deeper {
            break;
        }
    }
    Ok(Value::from(values))
}

fn join(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let values = elements("join", arguments, budget)?;
    let separator = match arguments.get(1) {
        Some(separator) => separator.as_text().ok_or_else(|| no_overload("join"))?,
        None => "".into(),
    };
    let mut text = String::new();
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            text.push_str(&separator);
        }
        let part = value.to_text().map_err(|_| no_overload("join"))?;
        budget.make(separator.len() + part.len())?;
        text.push_str(&part);
    }
    Ok(Value::from(text))
}

fn sum(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let values = elements("sum", arguments, budget)?;
    let mut values = values.iter();
    let Some(first) = values.next() else {
        return Ok(Value::Int(0));
    };
    let total = match first.view() {
        View::Int(number) => Value::Int(number),
        View::Uint(number) => Value::Uint(number),
        View::Double(number) => Value::Double(number),
        View::Duration(span) => Value::Duration(span),
        _ => return Err(no_overload("sum")),
    };
    values.try_fold(total, |total, value| {
        apply(Operator::Add, &total, value, budget)
    })
}

fn min(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    extreme("min", arguments, budget, Ordering::Less)
}

fn max(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    extreme("max", arguments, budget, Ordering::Greater)
}

fn extreme(
    name: &'static str,
    arguments: &[Value],
    budget: &Budget,
    wanted: Ordering,
) -> Result<Value, EvalError> {
    let values = elements(name, arguments, budget)?;
    if values.is_empty() {
        return Ok(Value::Null);
    }
    number::best(name, &values, wanted, |_| true)
}

fn range(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let Some(View::Int(count)) = arguments.first().map(Value::view) else {
        return Err(no_overload("lists.range"));
    };
    let count = u64::try_from(count).map_err(|_| EvalError::range("the count is negative"))?;
    budget.spend(count)?;
    Ok(Value::List(
        (0..count.cast_signed()).map(Value::Int).collect(),
    ))
}
