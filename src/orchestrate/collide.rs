//! Finds at load what a merge of objects can only fail with: keys that two parts are known to
//! have, and parts that are no objects.

use std::collections::HashMap;

use super::mistake::{PlanMistake, PlanMistakeKind};
use super::spec::{FlowSpec, Merge, OnConflict, StepKind, StepSpec};
use crate::expression::Type;

/// A key, and the type of what stands under it where that is known.
type KnownKey = (String, Option<Type>);

/// A part that has a key.
struct Owner {
    step: usize,
    kind: Option<Type>,
}

/// What is wrong with the parts of a `flatten` or `deep` merge whatever the upstreams answer.
pub(super) fn mistakes(spec: &FlowSpec) -> Vec<PlanMistake> {
    let response = &spec.response;
    let is_deep = response.merge == Merge::Deep;
    if response.body.is_some() || !(is_deep || response.merge == Merge::Flatten) {
        return Vec::new();
    }
    let mut mistakes = Vec::new();
    let mut owners: HashMap<String, Vec<Owner>> = HashMap::new();
    for (place, step) in spec.steps.iter().enumerate() {
        let mut mistake = |kind| {
            mistakes.push(PlanMistake {
                step: Some(place),
                kind,
            });
        };
        if is_no_object(step) {
            let name = step.name.clone();
            mistake(PlanMistakeKind::NoObject { name });
        }
        if response.on_conflict != OnConflict::Error {
            continue;
        }
        for (key, kind) in keys_of(step) {
            let owners = owners.entry(key.clone()).or_default();
            let rival = owners.iter().find_map(|owner| {
                let other = spec.steps.get(owner.step)?;
                // One of them may be there exactly when the other is not.
                let exclude = step.when.is_some() && other.when.is_some();
                let unite = is_deep && may_be_map(kind) && may_be_map(owner.kind);
                (owner.step != place && !exclude && !unite).then_some(other)
            });
            if let Some(rival) = rival {
                mistake(PlanMistakeKind::SameKey {
                    key,
                    first: rival.name.clone(),
                    second: step.name.clone(),
                });
            }
            owners.push(Owner { step: place, kind });
        }
    }
    mistakes
}

fn may_be_map(kind: Option<Type>) -> bool {
    kind.is_none_or(|kind| kind == Type::Map)
}

/// Null contributes nothing, and an optional value may be null.
fn is_no_object(step: &StepSpec) -> bool {
    match &step.kind {
        StepKind::Call(_) | StepKind::Flow(_) => step.foreach.is_some(),
        StepKind::Value(value) => !matches!(
            value.kind(),
            None | Some(Type::Map | Type::Null | Type::Optional)
        ),
        StepKind::Wait(_) => false,
    }
}

/// The keys that a step's part is known to have, be it its own or its default.
fn keys_of(step: &StepSpec) -> Vec<KnownKey> {
    if step.foreach.is_some() {
        return Vec::new();
    }
    let mut keys = match &step.kind {
        StepKind::Value(value) => value.known_keys(),
        StepKind::Flow(flow) => response_keys(flow.plan.spec()),
        StepKind::Call(_) | StepKind::Wait(_) => Vec::new(),
    };
    if let Some(default) = &step.default {
        for (key, kind) in default.known_keys() {
            if !keys.iter().any(|(known, _)| *known == key) {
                keys.push((key, kind));
            }
        }
    }
    keys
}

/// The keys that the response of a flow is known to have.
fn response_keys(spec: &FlowSpec) -> Vec<KnownKey> {
    if let Some(body) = &spec.response.body {
        return body.known_keys();
    }
    match spec.response.merge {
        Merge::Nest => spec
            .steps
            .iter()
            .filter(|step| !matches!(step.kind, StepKind::Wait(_)))
            .map(|step| (step.name.clone(), None))
            .collect(),
        Merge::Flatten | Merge::Deep => spec
            .steps
            .iter()
            .filter(|step| step.when.is_none())
            .flat_map(|step| match &step.kind {
                // A default stands in only where something failed.
                StepKind::Value(value) => value.known_keys(),
                _ => Vec::new(),
            })
            .map(|(key, _)| (key, None))
            .collect(),
        Merge::Concat | Merge::First => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::merge::{Part, merge};
    use super::super::trial::{Draft, each, flow_with, plan, step};
    use super::*;
    use crate::json::Json;

    fn spec(drafts: &[Draft], how: Merge, on_conflict: OnConflict) -> FlowSpec {
        flow_with(drafts, |spec, _| {
            spec.response.merge = how;
            spec.response.on_conflict = on_conflict;
        })
    }

    /// The mistakes of a `flatten`, as people read them.
    fn told(drafts: &[Draft]) -> Vec<String> {
        let mistakes = mistakes(&spec(drafts, Merge::Flatten, OnConflict::Error));
        mistakes.iter().map(|it| it.kind.to_string()).collect()
    }

    fn both(key: &str) -> Vec<String> {
        vec![format!("the parts `a` and `b` both have the key `{key}`")]
    }

    #[test]
    fn keys_that_are_known_of_two_parts_are_mistakes() {
        let (a, b) = (step("a", "value {'x': 1, 'y': 2}"), step("b", "GET /b"));
        assert_eq!(told(&[a.clone(), b.clone()]), Vec::<String>::new());
        let default = b.clone().or("{'z': 1, 'y': null}");
        assert_eq!(told(&[a.clone(), default.clone()]), both("y"));
        let value = step(
            "b",
            "value path.user == '' ? {'y': 1, 'k': 2} : {'n': 1, 'y': 2}",
        );
        assert_eq!(told(&[a.clone(), value]), both("y"));
        let bound = step(
            "b",
            "value cel.bind(u, path.user, {?'y': optional.none(), 'x': u})",
        );
        assert_eq!(told(&[a.clone(), bound]), both("x"));
        let inner = plan(&[step("y", "GET /y"), step("w", "wait 5ms")]);
        let nested = step("b", "flow inner").inside(inner);
        assert_eq!(told(&[a.clone(), nested]), both("y"));
        // One of the two may be there exactly when the other is not.
        let (a, b) = (
            a.when("path.user == 'x'"),
            default.clone().when("path.user != 'x'"),
        );
        assert_eq!(told(&[a.clone(), b]), Vec::<String>::new());
        assert_eq!(told(&[a, default]), both("y"));
    }

    #[test]
    fn a_deep_merge_unites_what_may_be_objects() {
        let deep = |drafts: &[Draft]| mistakes(&spec(drafts, Merge::Deep, OnConflict::Error)).len();
        let a = step("a", "value {'x': {'p': 1}}");
        assert_eq!(deep(&[a.clone(), step("b", "value {'x': {'q': 1}}")]), 0);
        assert_eq!(deep(&[a.clone(), step("b", "value {'x': body.x}")]), 0);
        assert_eq!(deep(&[a, step("b", "value {'x': 1}")]), 1);
    }

    #[test]
    fn a_part_that_is_no_object_cannot_stand_beside_others() {
        let list = [step("a", "GET /{item}").foreach(each("['x']"))];
        assert_eq!(told(&list).len(), 1);
        assert_eq!(
            told(&[step("a", "value path.user + 'x'"), step("b", "value [1]")]).len(),
            1
        );
        assert_eq!(
            told(&[step("a", "value null"), step("b", "wait 5ms")]),
            Vec::<String>::new()
        );
    }

    proptest! {
        #[test]
        fn what_is_found_at_load_is_what_fails_at_run_time(
            objects in prop::collection::vec(
                prop::collection::btree_map("[a-d]", "1|'s'|\\{'p': 1\\}|\\{'q': 2\\}", 0..3),
                1..5,
            ),
            deep in any::<bool>(),
            on_conflict in prop::sample::select(&[OnConflict::Error, OnConflict::First][..]),
        ) {
            const NAMES: [&str; 4] = ["a", "b", "c", "d"];
            let how = if deep { Merge::Deep } else { Merge::Flatten };
            let drafts: Vec<Draft> = objects
                .iter()
                .zip(NAMES)
                .map(|(object, name)| {
                    let members: Vec<_> =
                        object.iter().map(|(key, value)| format!("'{key}': {value}")).collect();
                    step(name, format!("value {{{}}}", members.join(", ")).leak())
                })
                .collect();
            let spec = spec(&drafts, how, on_conflict);
            let parts: Vec<Part> = spec
                .steps
                .iter()
                .map(|step| {
                    let StepKind::Value(value) = &step.kind else { panic!() };
                    let value = value.constant().unwrap().to_json(1000).unwrap();
                    Part {
                        name: step.name.as_str().into(),
                        json: Json::parse(value, 9).unwrap(),
                    }
                })
                .collect();
            // Objects that meet are looked into at run time only, and here have no key in common.
            let fails = merge(how, on_conflict, &parts, 10_000).is_err();
            let inner = deep && fails && mistakes(&spec).is_empty();
            prop_assert!(inner || fails != mistakes(&spec).is_empty());
            if inner {
                let same = objects.iter().flatten().filter(|(_, value)| value.contains("'p'"));
                let other = objects.iter().flatten().filter(|(_, value)| value.contains("'q'"));
                prop_assert!(same.count() > 1 || other.count() > 1);
            }
        }
    }
}
