//! `concertina diff`: what a change of the file means.

mod compare;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use self::compare::{Change, Effect, compare};
use super::arguments::{DiffArguments, FailOn};
use super::{Failure, output};
use crate::config::facts::facts;

/// The exit code where `--fail-on` could not be answered.
const MISTAKEN: u8 = 2;

pub(super) fn diff(arguments: &DiffArguments) -> Result<ExitCode, Failure> {
    let facts = || Ok((facts(&arguments.old)?, facts(&arguments.new)?));
    let (old, new) = match facts().map_err(Failure::Mistakes) {
        Ok(both) => both,
        // With `--fail-on`, 1 is an answer.
        Err(failure) if arguments.fail_on.is_some() => {
            output::complain(failure);
            return Ok(ExitCode::from(MISTAKEN));
        }
        Err(failure) => return Err(failure),
    };
    let changes = compare(&old, &new);
    if arguments.json {
        output::line(as_json(&changes));
    } else {
        output::line(as_text(&changes).trim_end());
    }
    let fails = match arguments.fail_on {
        None => false,
        Some(FailOn::Widened) => count(&changes, Effect::Widened) > 0,
        Some(FailOn::Any) => !changes.is_empty(),
    };
    Ok(if fails {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn count(changes: &[Change], effect: Effect) -> usize {
    changes
        .iter()
        .filter(|change| change.effect == effect)
        .count()
}

/// For people: thing by thing, the worst first.
fn as_text(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "the files mean the same".to_owned();
    }
    let mut out = String::new();
    let mut last = None;
    for change in changes {
        let thing = (change.kind, &change.name);
        if last != Some(thing) {
            if last.is_some() {
                out.push('\n');
            }
            let name = match change.name.as_str() {
                "" => String::new(),
                name => format!(" {name}"),
            };
            let _ = writeln!(out, "{}{name}", change.kind.word());
            last = Some(thing);
        }
        let _ = writeln!(out, "  {:<9} {}", change.effect.word(), told(change));
    }
    let counts: Vec<String> = Effect::ALL
        .into_iter()
        .map(|effect| (count(changes, effect), effect))
        .filter(|(count, _)| *count > 0)
        .map(|(count, effect)| format!("{count} {}", effect.word()))
        .collect();
    let _ = write!(out, "\n{}", counts.join(", "));
    out
}

/// One change in a line.
fn told(change: &Change) -> String {
    let Some(key) = &change.key else {
        return change.why.clone();
    };
    let is = |value: Option<&str>| value.map_or_else(|| "nothing".to_owned(), one_line);
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    let what = if before == after {
        // A secret is not shown.
        format!("{key}: another one")
    } else {
        format!("{key}: {} -> {}", is(before), is(after))
    };
    match change.why.as_str() {
        "" => what,
        why => format!("{what} ({why})"),
    }
}

fn one_line(value: &str) -> String {
    const SHOWN_MAX: usize = 160;
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

fn as_json(changes: &[Change]) -> Json {
    let list: Vec<Json> = changes
        .iter()
        .map(|change| {
            json!({
                "kind": change.kind.word(),
                "name": change.name,
                "key": change.key,
                "effect": change.effect.word(),
                "why": change.why,
                "before": change.before,
                "after": change.after,
            })
        })
        .collect();
    let mut report = json!({ "changes": list });
    if let Some(members) = report.as_object_mut() {
        for effect in Effect::ALL {
            members.insert(effect.word().to_owned(), json!(count(changes, effect)));
        }
    }
    report
}
