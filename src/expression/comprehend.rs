//! Evaluates the macros that go over each element of a list or map.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::error::EvalError;
use super::evaluate::{Flow, Machine, absorb};
use super::map::{Key, Map};
use super::node::{Comprehension, ComprehensionKind, Node};
use super::operators::{compare, key, map};
use super::value::{Value, View};

impl Machine<'_> {
    pub(super) fn comprehension(&mut self, made: &Comprehension) -> Result<Value, EvalError> {
        let range = self.value(&made.range)?;
        match made.kind {
            ComprehensionKind::All => self.quantify(made, &range, false),
            ComprehensionKind::Exists => self.quantify(made, &range, true),
            ComprehensionKind::ExistsOne => self.exists_one(made, &range),
            ComprehensionKind::Filter => self.filter(made, &range),
            ComprehensionKind::GroupBy => self.group_by(made, &range),
            ComprehensionKind::IndexBy => self.index_by(made, &range),
            ComprehensionKind::Map => self.map_each(made, &range),
            ComprehensionKind::SortBy => self.sort_by(made, &range),
            ComprehensionKind::TransformMap => self.transform_map(made, &range),
            ComprehensionKind::TransformMapEntry => self.transform_entries(made, &range),
        }
    }

    /// Calls `visit` for each element that the filter lets through, with its variables as locals.
    fn each(
        &mut self,
        made: &Comprehension,
        range: &Value,
        mut visit: impl FnMut(&mut Self) -> Flow,
    ) -> Result<(), EvalError> {
        let depth = self.locals.len();
        let result = self.walk(made.variables, range, |machine| {
            if let Some(filter) = &made.filter
                && !machine.decide(filter)?
            {
                return Ok(ControlFlow::Continue(()));
            }
            visit(machine)
        });
        self.locals.truncate(depth);
        result
    }

    fn walk(
        &mut self,
        variables: usize,
        range: &Value,
        mut visit: impl FnMut(&mut Self) -> Flow,
    ) -> Result<(), EvalError> {
        let depth = self.locals.len();
        let mut step = |machine: &mut Self, place: Value, element: Value| -> Flow {
            machine.budget.spend(1)?;
            machine.locals.truncate(depth);
            if variables == 2 {
                machine.locals.push(place);
            }
            machine.locals.push(element);
            visit(machine)
        };
        match range.view() {
            View::List(values) => {
                for (place, value) in values.iter().enumerate() {
                    if step(self, Value::count(place), value.clone())?.is_break() {
                        break;
                    }
                }
            }
            View::JsonList(json) => {
                self.budget.scan(json.bytes().len())?;
                for (place, element) in json.elements().enumerate() {
                    if step(self, Value::count(place), Value::Json(element))?.is_break() {
                        break;
                    }
                }
            }
            _ => {
                let Some(map) = map(range, self.budget)? else {
                    return Err(EvalError::kind(
                        "no such overload: the range is not a list or map",
                    ));
                };
                for (key, value) in map.iter() {
                    let name = key.value();
                    let flow = if variables == 2 {
                        step(self, name, value.clone())?
                    } else {
                        step(self, Value::Null, name)?
                    };
                    if flow.is_break() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The element at hand.
    fn element(&self) -> Value {
        self.locals.last().cloned().unwrap_or(Value::Null)
    }

    /// The key or place of the element at hand.
    fn place(&self) -> Result<Key, EvalError> {
        let place = self.locals.len().checked_sub(2);
        let value = place.and_then(|place| self.locals.get(place));
        key_of(value.unwrap_or(&Value::Null))
    }

    /// `all` and `exists`: an element that decides does so whatever the others are, even errors.
    fn quantify(
        &mut self,
        made: &Comprehension,
        range: &Value,
        decides: bool,
    ) -> Result<Value, EvalError> {
        let mut decided = false;
        let mut failed = None;
        self.each(made, range, |machine| {
            match machine.decide(&made.body) {
                Ok(value) if value == decides => {
                    decided = true;
                    return Ok(ControlFlow::Break(()));
                }
                Ok(_) => {}
                Err(error) => absorb(&mut failed, error)?,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        match failed {
            Some(error) if !decided => Err(error),
            _ => Ok(Value::Bool(decided == decides)),
        }
    }

    fn exists_one(&mut self, made: &Comprehension, range: &Value) -> Result<Value, EvalError> {
        let mut found = 0;
        self.each(made, range, |machine| {
            found += u64::from(machine.decide(&made.body)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Value::Bool(found == 1))
    }

    fn filter(&mut self, made: &Comprehension, range: &Value) -> Result<Value, EvalError> {
        let mut kept = Vec::new();
        self.each(made, range, |machine| {
            if machine.decide(&made.body)? {
                kept.push(machine.element());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Value::from(kept))
    }

    fn map_each(&mut self, made: &Comprehension, range: &Value) -> Result<Value, EvalError> {
        let mut values = Vec::new();
        self.each(made, range, |machine| {
            values.push(machine.value(&made.body)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Value::from(values))
    }

    fn transform_map(&mut self, made: &Comprehension, range: &Value) -> Result<Value, EvalError> {
        let mut result = Map::new();
        self.each(made, range, |machine| {
            let place = machine.place()?;
            let value = machine.value(&made.body)?;
            result.insert(place, value);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Value::from(result))
    }

    fn transform_entries(
        &mut self,
        made: &Comprehension,
        range: &Value,
    ) -> Result<Value, EvalError> {
        let mut result = Map::new();
        self.each(made, range, |machine| {
            let entries = machine.value(&made.body)?;
            let Some(entries) = map(&entries, machine.budget)? else {
                return Err(EvalError::kind(
                    "no such overload: `transformMapEntry` makes maps",
                ));
            };
            for (key, value) in entries.iter() {
                machine.budget.spend(1)?;
                if result.insert(key.clone(), value.clone()).is_some() {
                    return Err(EvalError::value(
                        "a map has the same key twice: repeated key",
                    ));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Value::from(result))
    }

    fn index_by(&mut self, made: &Comprehension, range: &Value) -> Result<Value, EvalError> {
        let mut result = Map::new();
        self.each(made, range, |machine| {
            let key = machine.key(&made.body)?;
            let element = machine.element();
            result.insert(key, element);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Value::from(result))
    }

    fn group_by(&mut self, made: &Comprehension, range: &Value) -> Result<Value, EvalError> {
        // Places in `groups` by key, so that each element is appended in constant time.
        let mut places = Map::new();
        let mut groups: Vec<(Key, Vec<Value>)> = Vec::new();
        self.each(made, range, |machine| {
            let key = machine.key(&made.body)?;
            let element = machine.element();
            let place = places.get(&key).and_then(Value::as_int);
            let place = place.and_then(|place| usize::try_from(place).ok());
            if let Some((_, group)) = place.and_then(|place| groups.get_mut(place)) {
                group.push(element);
            } else {
                places.insert(key.clone(), Value::count(groups.len()));
                groups.push((key, vec![element]));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let groups = groups.into_iter();
        Ok(Value::from(
            groups
                .map(|(key, group)| (key, Value::from(group)))
                .collect::<Map>(),
        ))
    }

    fn key(&mut self, body: &Node) -> Result<Key, EvalError> {
        let value = self.value(body)?;
        key_of(&value)
    }

    fn sort_by(&mut self, made: &Comprehension, range: &Value) -> Result<Value, EvalError> {
        let mut keyed = Vec::new();
        self.each(made, range, |machine| {
            let key = machine.value(&made.body)?;
            keyed.push((key, machine.element()));
            Ok(ControlFlow::Continue(()))
        })?;
        sort(&mut keyed, self.budget)?;
        Ok(Value::from(
            keyed
                .into_iter()
                .map(|(_, element)| element)
                .collect::<Vec<_>>(),
        ))
    }
}

fn key_of(value: &Value) -> Result<Key, EvalError> {
    key(value)?.ok_or_else(|| EvalError::kind("a double that is no whole number cannot be a key"))
}

/// Sorts by the first of each pair, stably; nulls first. An error where two cannot be compared.
pub(super) fn sort(
    keyed: &mut [(Value, Value)],
    budget: &super::error::Budget,
) -> Result<(), EvalError> {
    let count = keyed.len() as u64;
    budget.spend(count * u64::from(count.checked_ilog2().unwrap_or(0)))?;
    let mut failed = None;
    keyed.sort_by(|(left, _), (right, _)| {
        match (left.is_null(), right.is_null()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match compare(left, right) {
            Ok(order) => order.unwrap_or(Ordering::Equal),
            Err(error) => {
                failed.get_or_insert(error);
                Ordering::Equal
            }
        }
    });
    failed.map_or(Ok(()), Err)
}
