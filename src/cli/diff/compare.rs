//! What one file says and the other does not.

use std::collections::BTreeSet;

use super::rules;
use crate::config::facts::{Fact, Kind, Thing};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// None: the whole thing.
    pub(super) key: Option<String>,
    pub(super) effect: Effect,
    /// What it comes to, in a few words; perhaps empty.
    pub(super) why: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// What a difference comes to for those who ask; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// More is admitted, or trusted, or asked of fewer.
    Widened,
    Narrowed,
    Changed,
    Gained,
    Lost,
}

impl Effect {
    pub(super) const ALL: [Self; 5] = [
        Self::Widened,
        Self::Narrowed,
        Self::Changed,
        Self::Gained,
        Self::Lost,
    ];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Widened => "widened",
            Self::Narrowed => "narrowed",
            Self::Changed => "changed",
            Self::Gained => "gained",
            Self::Lost => "lost",
        }
    }
}

/// Every difference between what two files say, thing by thing, the worst first in each.
pub(super) fn compare(old: &[Thing], new: &[Thing]) -> Vec<Change> {
    let mut changes = Vec::new();
    let pairs = pairs(old, new);
    for (before, after) in &pairs {
        match (before, after) {
            (Some(before), Some(after)) => {
                let from = changes.len();
                of_one(before, after, &mut changes);
                if let Some(own) = changes.get_mut(from..) {
                    own.sort_by_key(|change: &Change| change.effect);
                }
            }
            (None, Some(after)) => changes.push(whole(after, true)),
            (Some(before), None) => changes.push(whole(before, false)),
            (None, None) => {}
        }
    }
    changes
}

type Pair<'a> = (Option<&'a Thing>, Option<&'a Thing>);

/// The same thing in both files: by its name, and routes that have no name of their own, which
/// then follows from methods and path, by what they answer.
fn pairs<'a>(old: &'a [Thing], new: &'a [Thing]) -> Vec<Pair<'a>> {
    let same = |one: &Thing, other: &Thing| one.kind == other.kind && one.name == other.name;
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    let mut gained: Vec<&Thing> = Vec::new();
    for thing in new {
        match old.iter().find(|before| same(before, thing)) {
            Some(before) => pairs.push((Some(before), Some(thing))),
            None => gained.push(thing),
        }
    }
    for before in old {
        if new.iter().any(|thing| same(before, thing)) {
            continue;
        }
        let alike = |key| gained.iter().position(|after| is_alike(before, after, key));
        let place = alike("hosts").or_else(|| alike("methods"));
        pairs.push((Some(before), place.map(|place| gained.remove(place))));
    }
    pairs.extend(gained.into_iter().map(|thing| (None, Some(thing))));
    let order = |pair: &Pair<'a>| {
        let thing = pair.1.or(pair.0);
        thing.map(|thing| (thing.kind, thing.name.as_str()))
    };
    pairs.sort_by_key(order);
    pairs
}

/// Whether two routes answer the same path, and say the same of `key`.
fn is_alike(one: &Thing, other: &Thing, key: &str) -> bool {
    one.kind == Kind::Route
        && other.kind == Kind::Route
        && ["path", key]
            .iter()
            .all(|key| one.facts.get(*key) == other.facts.get(*key))
}

fn of_one(before: &Thing, after: &Thing, changes: &mut Vec<Change>) {
    let keys: BTreeSet<&String> = before.facts.keys().chain(after.facts.keys()).collect();
    // What is gone or new as a whole is told once, not key by key.
    let mut told: Vec<String> = Vec::new();
    for key in keys {
        if told.iter().any(|whole| key.starts_with(whole)) {
            continue;
        }
        let (old, new) = (before.facts.get(key), after.facts.get(key));
        if old == new {
            continue;
        }
        if matches!(
            (old, new),
            (Some(Fact::Given), None) | (None, Some(Fact::Given))
        ) {
            told.push(format!("{key}."));
        }
        let known = (after.kind, after.name.as_str());
        changes.push(Change::of_key(known, key, (old, new)));
    }
}

fn whole(thing: &Thing, gained: bool) -> Change {
    let (effect, why) = rules::of_whole(thing.kind, gained);
    let open = gained
        && thing.kind == Kind::Route
        && ["auth", "ip_allow"]
            .iter()
            .all(|key| !thing.facts.contains_key(*key));
    let why = if open {
        format!("{why}, for anybody")
    } else {
        why.to_owned()
    };
    let given = |is: bool| is.then(|| "given".to_owned());
    Change {
        kind: thing.kind,
        name: thing.name.clone(),
        key: None,
        effect,
        why,
        before: given(!gained),
        after: given(gained),
    }
}
