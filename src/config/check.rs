//! Holds what was written against the catalogue: unknown keys, wrong shapes, missing keys, keys
//! that exclude or need each other. What passes can be read without another look at its shape.

use std::time::Duration;

use super::findings::Findings;
use super::keys::{Default, Key, Section, Shape, alternatives};
use super::scalars::{self, Refused};
use super::source::Place;
use super::units;
use super::written::{Entry, Node, Table, Text, Value};
use crate::expression::suggest::{did_you_mean, suggest};
use crate::orchestrate::StatusRange;
use crate::route::{HostPattern, PathPattern};

/// Checks `table` and all that is in it.
pub fn table(table: &Table, section: &'static Section, findings: &mut Findings) {
    for entry in &table.entries {
        match section.key(&entry.key) {
            Some(key) => {
                value(&entry.node, &key.shape, key.secret, findings);
                needs(table, entry, key, findings);
            }
            None => unknown_key(&entry.key, entry.key_place, section, findings),
        }
    }
    for key in section.keys {
        if key.default == Default::Needed && table.get(key.name).is_none() {
            findings
                .absent(
                    table.place,
                    format!("`{}` is missing in {}", key.name, section.title),
                )
                .help(format!("add `{}`", first_line(key.example)));
        }
    }
    choices(table, section, findings);
}

fn first_line(example: &str) -> &str {
    example.lines().next().unwrap_or_default()
}

fn unknown_key(name: &str, place: Place, section: &Section, findings: &mut Findings) {
    let known = || section.keys.iter().map(|key| key.name);
    let help = suggest(name, known()).map_or_else(
        || {
            let known: Vec<_> = known().map(|name| format!("`{name}`")).collect();
            format!("the keys are {}", known.join(", "))
        },
        |close| format!("did you mean `{close}`?"),
    );
    findings
        .add(place, format!("unknown key `{name}` in {}", section.title))
        .help(help);
}

/// A key that means something only beside others.
fn needs(table: &Table, entry: &Entry, key: &'static Key, findings: &mut Findings) {
    if key.with.is_empty() || key.with.iter().any(|other| table.get(other).is_some()) {
        return;
    }
    let others: Vec<_> = key.with.iter().map(|name| format!("`{name}`")).collect();
    let others = alternatives(&others);
    findings
        .add(
            entry.key_place,
            format!("`{}` means nothing without {others}", key.name),
        )
        .help(format!("remove it, or add {others}"));
}

fn choices(table: &Table, section: &Section, findings: &mut Findings) {
    for choice in section.choices {
        let mut given = choice.keys.iter().filter_map(|name| table.get(name));
        let names = || choice.keys.iter().map(|name| format!("`{name}`"));
        let Some(first) = given.next() else {
            if choice.needed {
                let names: Vec<_> = names().collect();
                let message = format!("{} needs one of {}", section.title, alternatives(&names));
                let example = choice.keys.first().and_then(|name| section.key(name));
                findings.absent(table.place, message).maybe_help(
                    example.map(|key| format!("for example `{}`", first_line(key.example))),
                );
            }
            continue;
        };
        for entry in given {
            let names: Vec<_> = names().collect();
            findings
                .add(
                    entry.key_place,
                    format!("`{}` and `{}` exclude each other", first.key, entry.key),
                )
                .related(first.key_place, format!("`{}` stands here", first.key))
                .help(format!("keep one of {}", alternatives(&names)));
        }
    }
}

/// Checks one value.
pub fn value(node: &Node, shape: &'static Shape, secret: bool, findings: &mut Findings) {
    match (shape, &node.value) {
        (_, Value::Broken) => {}
        (Shape::Table(section), Value::Table(inner)) => table(inner, section, findings),
        (Shape::Named(named, section), Value::Table(inner)) => {
            for entry in &inner.entries {
                name(&entry.key, entry.key_place, named.word(), findings);
                match &entry.node.value {
                    Value::Table(one) => table(one, section, findings),
                    other => {
                        let message = format!("expected a table, found {}", other.kind());
                        findings.add(entry.node.place, message);
                    }
                }
            }
        }
        (Shape::Tables(section), Value::List(list)) => {
            for node in list {
                match &node.value {
                    Value::Table(one) => table(one, section, findings),
                    other => {
                        let message = format!("expected a table, found {}", other.kind());
                        findings.add(node.place, message);
                    }
                }
            }
        }
        (Shape::List(of, least), Value::List(list)) => {
            if list.len() < *least {
                findings.add(node.place, "the list is empty");
            }
            for node in list {
                value(node, of, secret, findings);
            }
        }
        (Shape::OneOrMany(of), Value::List(list)) => {
            if list.is_empty() {
                findings
                    .add(node.place, "the list is empty")
                    .help("leave the key out, or name one");
            }
            for node in list {
                value(node, of, secret, findings);
            }
        }
        (Shape::OneOrMany(of), _) => value(node, of, secret, findings),
        (Shape::Headers(of), Value::Table(inner)) => headers(inner, of, findings),
        (Shape::Pairs(of), Value::Table(inner)) => {
            for entry in &inner.entries {
                value(&entry.node, of, secret, findings);
            }
        }
        (Shape::Json | Shape::JsonValue, Value::Table(inner)) => json(inner, findings),
        (Shape::JsonValue, Value::Text(text)) => json_text(node, text, findings),
        (Shape::JsonValue, _) => json_value(node, findings),
        (Shape::Either(short, long), found) => {
            let shape = if matches!(found, Value::Table(_)) {
                long
            } else {
                short
            };
            value(node, shape, secret, findings);
        }
        _ => scalar(node, shape, secret, findings),
    }
}

/// A name that is given in the file.
fn name(name: &str, place: Place, word: &str, findings: &mut Findings) {
    let fine = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !name.starts_with('-');
    if !fine {
        findings
            .add(place, format!("`{name}` cannot be the name of this {word}"))
            .help("use letters, digits, `-` and `_`, at most 64");
    } else if word == "step" && !crate::route::pattern::is_name(name) {
        findings
            .add(place, format!("`{name}` cannot be the name of a step"))
            .help(format!(
                "expressions read it as `steps.NAME`: use letters, digits and `_`, such as `{}`",
                name.replace('-', "_")
            ));
    }
}

fn headers(table: &Table, of: &'static Shape, findings: &mut Findings) {
    let mut seen: Vec<(String, Place)> = Vec::new();
    for entry in &table.entries {
        match scalars::settable_header(&entry.key) {
            Ok(name) => {
                let twice = seen.iter().find(|(known, _)| *known == name);
                if let Some((_, other)) = twice {
                    findings
                        .add(entry.key_place, format!("the header `{name}` stands twice"))
                        .related(*other, "and here");
                }
                seen.push((name, entry.key_place));
            }
            Err(refused) => {
                findings
                    .add(
                        entry.key_place,
                        format!("`{}`: {}", entry.key, refused.message),
                    )
                    .maybe_help(refused.help);
            }
        }
        value(&entry.node, of, false, findings);
    }
}

/// JSON has no dates and no numbers that are none.
fn json(table: &Table, findings: &mut Findings) {
    for entry in &table.entries {
        json_value(&entry.node, findings);
    }
}

fn json_value(node: &Node, findings: &mut Findings) {
    match &node.value {
        Value::Date(_) => {
            findings
                .add(node.place, "JSON has no dates")
                .help("write it as a text, in quotes");
        }
        Value::Float(float) if !float.is_finite() => {
            findings.add(node.place, "JSON has no such number");
        }
        Value::List(list) => list.iter().for_each(|node| json_value(node, findings)),
        Value::Table(table) => json(table, findings),
        _ => {}
    }
}

/// JSON as it stands.
fn json_text(node: &Node, text: &Text, findings: &mut Findings) {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text.as_str()) {
        findings
            .add(node.place, format!("not JSON: {error}"))
            .help("a text holds JSON itself, such as `'[1, 2]'`; a string of JSON has quotes of its own: `'\"a\"'`");
    }
}

fn scalar(node: &Node, shape: &Shape, secret: bool, findings: &mut Findings) {
    match shape {
        Shape::Integer(least, most) => {
            match node.integer() {
                Some(found) if found < *least || found > *most => {
                    findings
                        .add(node.place, format!("{found} is out of range"))
                        .help(format!("it is at least {least} and at most {most}"));
                }
                Some(_) => {}
                None => wrong_kind(node, shape, findings),
            }
            return;
        }
        Shape::Status(first, last) => {
            match node.integer() {
                Some(found) if found < i64::from(*first) || found > i64::from(*last) => {
                    findings
                        .add(node.place, format!("{found} cannot be the status here"))
                        .help(format!("it is at least {first} and at most {last}"));
                }
                Some(_) => {}
                None => wrong_kind(node, shape, findings),
            }
            return;
        }
        Shape::Boolean => {
            if node.boolean().is_none() {
                wrong_kind(node, shape, findings);
            }
            return;
        }
        _ => {}
    }
    let Some(found) = node.text().filter(|_| !shape.is_container()) else {
        wrong_kind(node, shape, findings);
        return;
    };
    if let Err(refused) = text(found, shape) {
        let secret = secret || found.is_secret();
        // What came from outside is not in the file; what parsers quote of it is not to be shown.
        let message = if secret {
            format!("this is not {}", shape.describe())
        } else {
            refused.message
        };
        let finding = findings.add(node.place, message);
        finding.maybe_help(refused.help.filter(|_| !secret));
        if secret && !found.is_secret() {
            finding.secret();
        }
    }
}

fn wrong_kind(node: &Node, shape: &Shape, findings: &mut Findings) {
    let found = node.value.kind();
    let help = match (shape, &node.value) {
        (Shape::List(..), Value::Text(text)) if !text.is_secret() => {
            Some(format!("write `[\"{}\"]`", text.as_str()))
        }
        (Shape::Duration(..), Value::Integer(number)) => Some(format!(
            "write the unit: `\"{number}s\"` or `\"{number}ms\"`"
        )),
        (Shape::Size(..), Value::Integer(number)) => {
            Some(format!("write the unit: `\"{number}B\"`"))
        }
        (Shape::Rate, Value::Integer(number)) => {
            Some(format!("write the period: `\"{number}/s\"`"))
        }
        (Shape::Statuses, Value::Integer(number)) => Some(format!("write `\"{number}\"`")),
        (Shape::Expression, Value::Integer(_) | Value::Boolean(_) | Value::Float(_)) => {
            Some("an expression is written in quotes".to_owned())
        }
        (Shape::Expression, Value::Table(_) | Value::List(_)) => {
            Some("an expression is a text: `\"{'key': 1}\"`, `\"[1, 2]\"`".to_owned())
        }
        (Shape::Integer(..) | Shape::Status(..), Value::Text(text))
            if text.as_str().parse::<i64>().is_ok() =>
        {
            Some("write it without quotes".to_owned())
        }
        (Shape::Integer(least, most), _) => {
            Some(format!("it is at least {least} and at most {most}"))
        }
        (Shape::Boolean, Value::Text(text)) if text.as_str().parse::<bool>().is_ok() => {
            Some("write it without quotes".to_owned())
        }
        (Shape::Tables(section), Value::Table(_)) => {
            Some(format!("it is a list: write `{}`", section.title))
        }
        _ => None,
    };
    findings
        .add(
            node.place,
            format!("expected {}, found {found}", shape.describe()),
        )
        .maybe_help(help);
}

fn text(text: &Text, shape: &Shape) -> Result<(), Refused> {
    let value = text.as_str();
    let quoted = |what: &str| Refused::new(format!("`{value}` is not {what}"));
    let unit = |meant: Option<String>, help: &str| {
        meant.map_or_else(
            || help.to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        )
    };
    match shape {
        Shape::Text | Shape::File | Shape::Name(_) if value.is_empty() => {
            Err(Refused::new("the text is empty"))
        }
        Shape::Duration(least, most) => {
            let found = units::duration(value).ok_or_else(|| {
                quoted("a duration").help(unit(units::meant_duration(value), units::DURATION_HELP))
            })?;
            within(found, *least, *most)
        }
        Shape::DurationRange => units::duration_range(value).map(drop).ok_or_else(|| {
            quoted("two durations")
                .help("write the shorter and the longer with `..` between: `20ms..200ms`")
        }),
        Shape::Size(least, most) => {
            let found = units::size(value).ok_or_else(|| {
                quoted("a size").help(unit(units::meant_size(value), units::SIZE_HELP))
            })?;
            if found < *least || found > *most {
                return Err(Refused::new(format!("{value} is out of range"))
                    .help(format!("it is at least {least} and at most {most} bytes")));
            }
            Ok(())
        }
        Shape::Rate => units::rate(value)
            .map(drop)
            .ok_or_else(|| quoted("a rate").help(unit(units::meant_rate(value), units::RATE_HELP))),
        Shape::OneOf(words) => one_of(value, words),
        Shape::Address => scalars::address(value).map(drop),
        Shape::Endpoint => scalars::endpoint(value).map(drop),
        Shape::Url => scalars::url(value).map(drop),
        Shape::Network => scalars::network(value).map(drop),
        Shape::Method => scalars::method(value).map(drop),
        Shape::Header => scalars::header(value).map(drop),
        Shape::Sha256 => scalars::sha256(value).map(drop),
        Shape::Argon2 => scalars::argon2_hash(value),
        Shape::UrlPath => scalars::url_path(value),
        Shape::MediaRange => scalars::media_range(value),
        Shape::Statuses => StatusRange::parse(value).map(drop).ok_or_else(|| {
            quoted("a status or class of statuses")
                .help("write `404`, or `2xx` for all from 200 to 299")
        }),
        Shape::Host => HostPattern::parse(value)
            .map(drop)
            .map_err(|error| Refused::new(error.to_string())),
        Shape::PathPattern => {
            PathPattern::check(value).map_err(|error| Refused::new(error.to_string()))
        }
        // What these say is looked at where the names in scope are known.
        // Everything else is no text, and was told before.
        _ => Ok(()),
    }
}

fn within(found: Duration, least: u64, most: u64) -> Result<(), Refused> {
    let (least, most) = (Duration::from_millis(least), Duration::from_millis(most));
    if found < least || found > most {
        return Err(
            Refused::new(format!("{} is out of range", units::write_duration(found))).help(
                format!(
                    "it is at least {} and at most {}",
                    units::write_duration(least),
                    units::write_duration(most)
                ),
            ),
        );
    }
    Ok(())
}

fn one_of(value: &str, words: &[&'static str]) -> Result<(), Refused> {
    if words.contains(&value) {
        return Ok(());
    }
    let known: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    let several = if words.len() > 1 { "one of " } else { "" };
    Err(Refused {
        message: format!("`{value}` is not {several}{}", alternatives(&known)),
        help: did_you_mean(value, words.iter().copied()),
    })
}
