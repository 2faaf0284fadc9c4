//! Functions of maps.

use std::sync::Arc;

use super::super::error::{Budget, EvalError};
use super::super::map::{Key, Map};
use super::super::operators::{key, list, map};
use super::super::value::Value;
use super::{Form, Function, no_overload};

/// How deep `mergeDeep` goes: deeper maps are replaced whole.
const MERGE_DEPTH_MAX: usize = 32;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        Form::Method,
        "pick",
        (2, 2),
        pick,
        [
            "map.pick(keys)",
            "The entries whose keys are in the list, in the order of the map; of a list, of each map in it.",
            "{'a': 1, 'b': 2, 'c': 3}.pick(['a', 'c']) == {'a': 1, 'c': 3}",
        ],
    ),
    Function::new(
        Form::Method,
        "omit",
        (2, 2),
        omit,
        [
            "map.omit(keys)",
            "The entries whose keys are not in the list; of a list, of each map in it.",
            "[{'a': 1, 'b': 2}].omit(['b']) == [{'a': 1}]",
        ],
    ),
    Function::new(
        Form::Method,
        "merge",
        (2, 2),
        merge,
        [
            "map.merge(other)",
            "The entries of both maps; of a key that is in both, the other's value.",
            "{'a': 1, 'b': 2}.merge({'b': 3}) == {'a': 1, 'b': 3}",
        ],
    ),
    Function::new(
        Form::Method,
        "mergeDeep",
        (2, 2),
        merge_deep,
        [
            "map.mergeDeep(other)",
            "Like `merge`, and maps at the same key are merged in turn.",
            "{'a': {'x': 1}}.mergeDeep({'a': {'y': 2}}) == {'a': {'x': 1, 'y': 2}}",
        ],
    ),
    Function::new(
        Form::Method,
        "keys",
        (1, 1),
        keys,
        [
            "map.keys()",
            "The keys, in the order of the map.",
            "{'b': 1, 'a': 2}.keys() == ['b', 'a']",
        ],
    ),
    Function::new(
        Form::Method,
        "values",
        (1, 1),
        values,
        [
            "map.values()",
            "The values, in the order of the map.",
            "{'b': 1, 'a': 2}.values() == [1, 2]",
        ],
    ),
    Function::new(
        Form::Method,
        "get",
        (2, 3),
        get,
        [
            "map.get(key, otherwise)",
            "The value at a key, or what stands behind it (null) where there is none.",
            "{'a': 1}.get('b', 0) == 0 && {'a': 1}.get('b') == null",
        ],
    ),
];

fn map_of(
    name: &'static str,
    value: Option<&Value>,
    budget: &Budget,
) -> Result<Arc<Map>, EvalError> {
    let value = value.unwrap_or(&Value::Null);
    map(value, budget)?.ok_or_else(|| no_overload(name))
}

/// The entries of a map, or of each map in a list, of which the key is among those given or not.
fn choose(
    name: &'static str,
    arguments: &[Value],
    budget: &Budget,
    wanted: bool,
) -> Result<Value, EvalError> {
    let [value, names] = arguments else {
        return Err(no_overload(name));
    };
    let names = list(names, budget)?.ok_or_else(|| no_overload(name))?;
    let mut chosen = Map::new();
    for name in names.iter() {
        budget.spend(1)?;
        if let Some(key) = key(name)? {
            chosen.insert(key, Value::Null);
        }
    }
    let choose_one = |value: &Value| -> Result<Value, EvalError> {
        let map = map_of(name, Some(value), budget)?;
        let mut kept = Map::new();
        for (key, value) in map.iter() {
            budget.spend(1)?;
            if chosen.get(key).is_some() == wanted {
                kept.insert(key.clone(), value.clone());
            }
        }
        Ok(Value::from(kept))
    };
    match list(value, budget)? {
        Some(values) => {
            let values: Result<Arc<[Value]>, _> = values.iter().map(choose_one).collect();
            values.map(Value::List)
        }
        None => choose_one(value),
    }
}

fn pick(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    choose("pick", arguments, budget, true)
}

fn omit(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    choose("omit", arguments, budget, false)
}

fn merge(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let base = map_of("merge", arguments.first(), budget)?;
    let other = map_of("merge", arguments.get(1), budget)?;
    budget.spend((base.len() + other.len()) as u64)?;
    let mut merged = Map::clone(&base);
    for (key, value) in other.iter() {
        merged.insert(key.clone(), value.clone());
    }
    Ok(Value::from(merged))
}

fn merge_deep(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let base = map_of("mergeDeep", arguments.first(), budget)?;
    let other = map_of("mergeDeep", arguments.get(1), budget)?;
    deep(&base, &other, 0, budget)
}

fn deep(base: &Map, other: &Map, depth: usize, budget: &Budget) -> Result<Value, EvalError> {
    budget.spend((base.len() + other.len()) as u64)?;
    let mut merged = base.clone();
    for (key, value) in other.iter() {
        let inner = match base.get(key) {
            Some(held) if depth < MERGE_DEPTH_MAX => map(held, budget)?.zip(map(value, budget)?),
            _ => None,
        };
        let value = match inner {
            Some((held, value)) => deep(&held, &value, depth + 1, budget)?,
            None => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    Ok(Value::from(merged))
}

fn keys(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let map = map_of("keys", arguments.first(), budget)?;
    budget.spend(map.len() as u64)?;
    Ok(Value::List(
        map.iter().map(|(key, _)| Key::value(key)).collect(),
    ))
}

fn values(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let map = map_of("values", arguments.first(), budget)?;
    budget.spend(map.len() as u64)?;
    Ok(Value::List(
        map.iter().map(|(_, value)| value.clone()).collect(),
    ))
}

fn get(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let [value, place, rest @ ..] = arguments else {
        return Err(no_overload("get"));
    };
    let found = super::super::operators::find_index(value, place, budget)?;
    Ok(found.unwrap_or_else(|| rest.first().cloned().unwrap_or(Value::Null)))
}
