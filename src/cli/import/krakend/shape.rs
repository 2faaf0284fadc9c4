//! What a backend contributes to the answer, as an expression: `target`, `allow`, `deny`, `mapping`,
//! `group` and lists, in the order in which KrakenD's formatter applies them.

use std::collections::BTreeMap;

use super::backend::Backend;
use crate::cli::import::cel;

/// Levels of `allow` and `deny` that are followed.
const DEPTH_MAX: usize = 16;

/// A part of the answer.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// The step's body as it came.
    Plain(String),
    /// An object, by an expression.
    Object(String),
    /// An object with these keys.
    Keyed(Vec<(String, String)>),
}

/// Names within names: of what is kept, or of what is taken out.
#[derive(Debug, Default)]
struct Tree(BTreeMap<String, Self>);

/// What the backend's step contributes.
pub(super) fn part(backend: &Backend<'_>) -> Part {
    let body = match backend.when {
        Some(_) => format!("default(steps.{}.body, {{}})", backend.step),
        None => format!("steps.{}.body", backend.step),
    };
    if backend.collection && only_renamed(backend) {
        let key = backend.mapping.first().map_or("collection", |(_, to)| to);
        return grouped(backend, Part::Keyed(vec![(key.to_owned(), body)]));
    }
    let whole = if backend.collection {
        format!("{{'collection': {body}}}")
    } else if backend.safe {
        let objects =
            "type(it) == map ? it : type(it) == list ? {'collection': it} : {'content': it}";
        format!("cel.bind(it, {body}, {objects})")
    } else {
        body.clone()
    };
    let aimed = if backend.target.is_empty() {
        whole
    } else {
        format!("default({}, {{}})", cel::path(&whole, &backend.target))
    };
    let filtered = if !backend.allow.is_empty() {
        bound("it", &aimed, |it| kept(it, &Tree::of(&backend.allow), 1))
    } else if !backend.deny.is_empty() {
        bound("it", &aimed, |it| cut(it, &Tree::of(&backend.deny), 1))
    } else {
        aimed
    };
    let renamed = if backend.mapping.is_empty() {
        filtered
    } else {
        bound("it", &filtered, |it| renamed(it, &backend.mapping))
    };
    let part = if renamed == body {
        Part::Plain(body)
    } else {
        Part::Object(renamed)
    };
    grouped(backend, part)
}

fn grouped(backend: &Backend<'_>, part: Part) -> Part {
    match &backend.group {
        Some(group) => Part::Keyed(vec![(group.clone(), part.expression())]),
        None => part,
    }
}

/// A list with at most another name than `collection`.
fn only_renamed(backend: &Backend<'_>) -> bool {
    let mapping = &backend.mapping;
    backend.target.is_empty()
        && backend.allow.is_empty()
        && backend.deny.is_empty()
        && mapping.len() <= 1
        && mapping.iter().all(|(from, _)| from == "collection")
}

impl Part {
    pub(super) fn expression(&self) -> String {
        match self {
            Self::Plain(expression) | Self::Object(expression) => expression.clone(),
            Self::Keyed(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {value}", cel::text(key)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    /// Takes the keys of `next` in, where both are known by their keys and have none in common.
    fn takes(&mut self, next: &Self) -> bool {
        let (Self::Keyed(own), Self::Keyed(more)) = (self, next) else {
            return false;
        };
        if more
            .iter()
            .any(|(key, _)| own.iter().any(|(known, _)| known == key))
        {
            return false;
        }
        own.extend(more.iter().cloned());
        true
    }
}

/// The parts side by side; of a key that two have, the later one's value.
pub(super) fn merged(parts: Vec<Part>) -> String {
    let mut together: Vec<Part> = Vec::new();
    for part in parts {
        let taken = together.last_mut().is_some_and(|last| last.takes(&part));
        if !taken {
            together.push(part);
        }
    }
    let mut expressions = together.iter().map(Part::expression);
    let mut merged = expressions.next().unwrap_or_else(|| "{}".to_owned());
    for expression in expressions {
        merged = format!("{merged}\n  .merge({expression})");
    }
    merged
}

/// An expression of a name that stands for `value`, which is used more than once.
fn bound(name: &str, value: &str, expression: impl FnOnce(&str) -> String) -> String {
    let is_path = value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    if is_path {
        expression(value)
    } else {
        format!("cel.bind({name}, {value}, {})", expression(name))
    }
}

impl Tree {
    /// `a.b` is `b` within `a`; a name alone is all of it.
    fn of(names: &[String]) -> Self {
        let mut tree = Self::default();
        for name in names {
            let mut at = &mut tree;
            for part in name.split('.').take(DEPTH_MAX) {
                at = at.0.entry(part.to_owned()).or_default();
            }
        }
        tree
    }

    /// Names that are meant as a whole.
    fn leaves(&self) -> Vec<&str> {
        let leaves = self.0.iter().filter(|(_, inner)| inner.0.is_empty());
        leaves.map(|(name, _)| name.as_str()).collect()
    }

    fn branches(&self) -> impl Iterator<Item = (&str, &Self)> {
        let branches = self.0.iter().filter(|(_, inner)| !inner.0.is_empty());
        branches.map(|(name, inner)| (name.as_str(), inner))
    }
}

/// What `allow` leaves: the names, and within others only the names within; nothing of those that
/// are no objects or would be empty.
fn kept(base: &str, tree: &Tree, depth: usize) -> String {
    let within: Vec<String> = tree
        .branches()
        .map(|(name, inner)| {
            let it = format!("v{depth}");
            let inner = kept(&it, inner, depth + 1);
            format!(
                "?{}: {}.optFlatMap({it}, type({it}) == map ? optional.ofNonZeroValue({inner}) : optional.none())",
                cel::text(name),
                cel::optional(base, name)
            )
        })
        .collect();
    let leaves = tree.leaves();
    if within.is_empty() {
        return format!("{base}.pick({})", cel::texts(&leaves));
    }
    let within = format!("{{{}}}", within.join(", "));
    if leaves.is_empty() {
        within
    } else {
        format!("{base}.pick({}).merge({within})", cel::texts(&leaves))
    }
}

/// What `deny` leaves.
fn cut(base: &str, tree: &Tree, depth: usize) -> String {
    let within: Vec<String> = tree
        .branches()
        .map(|(name, inner)| {
            let it = format!("v{depth}");
            let inner = cut(&it, inner, depth + 1);
            format!(
                "?{}: {}.optMap({it}, type({it}) == map ? {inner} : {it})",
                cel::text(name),
                cel::optional(base, name)
            )
        })
        .collect();
    let leaves = tree.leaves();
    let rest = if leaves.is_empty() {
        base.to_owned()
    } else {
        format!("{base}.omit({})", cel::texts(&leaves))
    };
    if within.is_empty() {
        rest
    } else {
        format!("{rest}.merge({{{}}})", within.join(", "))
    }
}

/// What `mapping` leaves: the same values under other names.
fn renamed(base: &str, mapping: &[(String, String)]) -> String {
    let old: Vec<&str> = mapping.iter().map(|(from, _)| from.as_str()).collect();
    let new: Vec<String> = mapping
        .iter()
        .map(|(from, to)| format!("?{}: {}", cel::text(to), cel::optional(base, from)))
        .collect();
    format!(
        "{base}.omit({}).merge({{{}}})",
        cel::texts(&old),
        new.join(", ")
    )
}

/// Where a field of the answer that the backend contributes stands in its step's body, or why it
/// has no place there. `names` is the path of the field after everything was applied.
pub(super) fn origin(backend: &Backend<'_>, names: &[&str]) -> Result<String, String> {
    let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut drop_first = |wanted: &str| {
        let fits = names.first().is_some_and(|first| first == wanted);
        fits.then(|| names.remove(0)).is_some()
    };
    if let Some(group) = &backend.group
        && !drop_first(group)
    {
        return Err(format!("everything of that backend is under `{group}`"));
    }
    let first = names.first().cloned().unwrap_or_default();
    if let Some((from, _)) = backend.mapping.iter().find(|(_, to)| *to == first) {
        if let Some(name) = names.first_mut() {
            from.clone_into(name);
        }
    } else if backend.mapping.iter().any(|(from, _)| *from == first) {
        return Err(format!("`mapping` calls `{first}` otherwise"));
    }
    let dotted = names.join(".");
    let within = |outer: &str, inner: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_kept = |name: &String| within(name, &dotted) || within(&dotted, name);
    if !backend.allow.is_empty() && !backend.allow.iter().any(is_kept) {
        return Err(format!("`allow` does not leave `{dotted}`"));
    }
    if backend.allow.is_empty() && backend.deny.iter().any(|name| within(name, &dotted)) {
        return Err(format!("`deny` takes `{dotted}` out"));
    }
    let body = format!("steps.{}.body", backend.step);
    if backend.collection {
        let inner = names.strip_prefix(&["collection".to_owned()]);
        let inner = inner.ok_or("the backend answers with a list, which is called `collection`")?;
        return Ok(cel::path(&body, inner));
    }
    Ok(cel::path(&cel::path(&body, &backend.target), &names))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::import::krakend::backend::tests::backend;

    fn check(fields: Value, expected: &str) {
        assert_eq!(part(&backend(&fields)).expression(), expected, "{fields}");
    }

    #[test]
    fn each_way_of_shaping_has_its_expression() {
        check(json!({}), "steps.s.body");
        check(json!({"group": "g"}), "{'g': steps.s.body}");
        check(
            json!({"allow": ["b", "a"]}),
            "steps.s.body.pick(['a', 'b'])",
        );
        check(json!({"deny": ["a"]}), "steps.s.body.omit(['a'])");
        check(
            json!({"is_collection": true}),
            "{'collection': steps.s.body}",
        );
        check(
            json!({"is_collection": true, "mapping": {"collection": "posts"}, "group": "g"}),
            "{'g': {'posts': steps.s.body}}",
        );
        check(
            json!({"target": "data.items", "mapping": {"a b": "c"}}),
            "cel.bind(it, default(steps.s.body.data.items, {}), it.omit(['a b']).merge({?'c': it[?'a b']}))",
        );
        check(
            json!({"allow": ["n", "x.y"]}),
            "steps.s.body.pick(['n']).merge({?'x': steps.s.body.?x.optFlatMap(v1, type(v1) == map ? \
             optional.ofNonZeroValue(v1.pick(['y'])) : optional.none())})",
        );
        check(
            json!({"deny": ["x.y"]}),
            "steps.s.body.merge({?'x': steps.s.body.?x.optMap(v1, type(v1) == map ? v1.omit(['y']) : v1)})",
        );
    }

    #[test]
    fn parts_with_known_keys_become_one_object() {
        let keyed = |key: &str| Part::Keyed(vec![(key.to_owned(), key.to_uppercase())]);
        let plain = || Part::Plain("P".to_owned());
        assert_eq!(merged(vec![keyed("a"), keyed("b")]), "{'a': A, 'b': B}");
        assert_eq!(
            merged(vec![keyed("a"), keyed("a")]),
            "{'a': A}\n  .merge({'a': A})"
        );
        assert_eq!(
            merged(vec![plain(), keyed("a"), plain()]),
            "P\n  .merge({'a': A})\n  .merge(P)"
        );
        assert_eq!(merged(Vec::new()), "{}");
    }

    #[test]
    fn a_field_is_traced_back_to_where_it_came_from() {
        let traced = |fields: Value, names: &[&str]| origin(&backend(&fields), names).ok();
        let body = |path: &str| Some(format!("steps.s.body{path}"));
        assert_eq!(traced(json!({}), &["a", "b"]), body(".a.b"));
        assert_eq!(traced(json!({"group": "g"}), &["g", "a"]), body(".a"));
        assert_eq!(traced(json!({"group": "g"}), &["a"]), None);
        assert_eq!(
            traced(json!({"mapping": {"old": "new"}}), &["new"]),
            body(".old")
        );
        assert_eq!(traced(json!({"mapping": {"old": "new"}}), &["old"]), None);
        assert_eq!(traced(json!({"target": "data"}), &["id"]), body(".data.id"));
        assert_eq!(traced(json!({"allow": ["a.b"]}), &["a", "b"]), body(".a.b"));
        assert_eq!(traced(json!({"allow": ["a.b"]}), &["ab"]), None);
        assert_eq!(traced(json!({"deny": ["a"]}), &["a", "b"]), None);
        assert_eq!(
            traced(json!({"is_collection": true}), &["collection", "0", "id"]),
            body("[0].id")
        );
    }
}
