//! Functions of strings. Places and lengths count characters (code points), from 0.

use std::borrow::Cow;

use super::super::error::{Budget, EvalError};
use super::super::value::{Value, View};
use super::{Form, Function, PATTERN_BYTES_MAX, no_overload, pattern};

const OUTSIDE: EvalError = EvalError::range("the index is out of range");

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        Form::Method,
        "contains",
        (2, 2),
        contains,
        [
            "text.contains(part)",
            "Whether the part stands somewhere in the text.",
            "'concert'.contains('cert')",
        ],
    ),
    Function::new(
        Form::Method,
        "startsWith",
        (2, 2),
        starts_with,
        [
            "text.startsWith(part)",
            "Whether the text starts with the part.",
            "'concert'.startsWith('con')",
        ],
    ),
    Function::new(
        Form::Method,
        "endsWith",
        (2, 2),
        ends_with,
        [
            "text.endsWith(part)",
            "Whether the text ends with the part.",
            "'concert'.endsWith('cert')",
        ],
    ),
    Function::new(
        Form::Either,
        "matches",
        (2, 2),
        matches,
        [
            "text.matches(pattern)",
            "Whether the regular expression (RE2 syntax) matches somewhere in the text.",
            "'order-42'.matches('^order-[0-9]+$')",
        ],
    ),
    Function::new(
        Form::Method,
        "lowerAscii",
        (1, 1),
        lower,
        [
            "text.lowerAscii()",
            "The text with the letters A to Z in lower case.",
            "'Concert'.lowerAscii() == 'concert'",
        ],
    ),
    Function::new(
        Form::Method,
        "upperAscii",
        (1, 1),
        upper,
        [
            "text.upperAscii()",
            "The text with the letters a to z in upper case.",
            "'Concert'.upperAscii() == 'CONCERT'",
        ],
    ),
    Function::new(
        Form::Method,
        "trim",
        (1, 1),
        trim,
        [
            "text.trim()",
            "The text without white space at its ends.",
            "' a b '.trim() == 'a b'",
        ],
    ),
    Function::new(
        Form::Method,
        "replace",
        (3, 4),
        replace,
        [
            "text.replace(old, new, count)",
            "The text with each `old` replaced by `new`; with a count, at most so many.",
            "'a-b-c'.replace('-', '+') == 'a+b+c' && 'a-b-c'.replace('-', '', 1) == 'ab-c'",
        ],
    ),
    Function::new(
        Form::Method,
        "substring",
        (2, 3),
        substring,
        [
            "text.substring(start, end)",
            "The characters from `start` up to `end`, or to the end of the text.",
            "'concert'.substring(3) == 'cert' && 'concert'.substring(0, 3) == 'con'",
        ],
    ),
    Function::new(
        Form::Method,
        "split",
        (2, 3),
        split,
        [
            "text.split(separator, count)",
            "The parts between the separators; with a count, at most so many, the last with the rest.",
            "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']",
        ],
    ),
    Function::new(
        Form::Method,
        "charAt",
        (2, 2),
        char_at,
        [
            "text.charAt(place)",
            "The character at a place, or the empty text just behind the last.",
            "'concert'.charAt(3) == 'c'",
        ],
    ),
    Function::new(
        Form::Method,
        "indexOf",
        (2, 3),
        index_of,
        [
            "text.indexOf(part, from)",
            "The place where the part first stands, at or behind `from`; -1 where it does not.",
            "'banana'.indexOf('an') == 1 && 'banana'.indexOf('an', 2) == 3",
        ],
    ),
    Function::new(
        Form::Method,
        "lastIndexOf",
        (2, 3),
        last_index_of,
        [
            "text.lastIndexOf(part, from)",
            "The place where the part last stands, at or before `from`; -1 where it does not.",
            "'banana'.lastIndexOf('an') == 3 && 'banana'.lastIndexOf('an', 2) == 1",
        ],
    ),
    Function::new(
        Form::Global,
        "strings.quote",
        (1, 1),
        quote,
        [
            "strings.quote(text)",
            "The text in quotes, with escapes, as an expression would write it.",
            "strings.quote('a\"b') == '\"a\\\\\"b\"'",
        ],
    ),
];

fn text_of<'a>(name: &'static str, value: Option<&'a Value>) -> Result<Cow<'a, str>, EvalError> {
    value
        .and_then(Value::as_text)
        .ok_or_else(|| no_overload(name))
}

/// An int, where the argument is there.
fn int_of(name: &'static str, value: Option<&Value>) -> Result<Option<i64>, EvalError> {
    match value.map(Value::view) {
        None => Ok(None),
        Some(View::Int(number)) => Ok(Some(number)),
        Some(_) => Err(no_overload(name)),
    }
}

/// Two strings.
fn two<T>(
    name: &'static str,
    arguments: &[Value],
    budget: &Budget,
    answer: impl FnOnce(&str, &str) -> T,
) -> Result<T, EvalError> {
    let text = text_of(name, arguments.first())?;
    let part = text_of(name, arguments.get(1))?;
    budget.scan(text.len())?;
    Ok(answer(&text, &part))
}

/// One string, and another made of it.
fn one(
    name: &'static str,
    arguments: &[Value],
    budget: &Budget,
    make: impl FnOnce(&str) -> String,
) -> Result<Value, EvalError> {
    let text = text_of(name, arguments.first())?;
    budget.make(text.len())?;
    Ok(Value::from(make(&text)))
}

fn contains(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    two("contains", arguments, budget, |text, part| {
        text.contains(part)
    })
    .map(Value::Bool)
}

fn starts_with(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    two("startsWith", arguments, budget, |text, part| {
        text.starts_with(part)
    })
    .map(Value::Bool)
}

fn ends_with(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    two("endsWith", arguments, budget, |text, part| {
        text.ends_with(part)
    })
    .map(Value::Bool)
}

/// With a pattern that is only known now: short, and dear in the budget.
fn matches(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    budget.spend(5_000)?;
    two("matches", arguments, budget, |text, expression| {
        budget.scan(text.len() * 16)?;
        if expression.len() > PATTERN_BYTES_MAX {
            return Err(EvalError::value("the pattern is too long"));
        }
        let regex = pattern(expression)
            .map_err(|_| EvalError::value("the pattern is not a regular expression"))?;
        Ok(Value::Bool(regex.is_match(text)))
    })?
}

fn lower(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    one("lowerAscii", arguments, budget, str::to_ascii_lowercase)
}

fn upper(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    one("upperAscii", arguments, budget, str::to_ascii_uppercase)
}

fn trim(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    one("trim", arguments, budget, |text| text.trim().to_owned())
}

fn replace(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text_of("replace", arguments.first())?;
    let old = text_of("replace", arguments.get(1))?;
    let new = text_of("replace", arguments.get(2))?;
    let count = int_of("replace", arguments.get(3))?;
    let count = count.map_or(usize::MAX, |count| {
        usize::try_from(count).unwrap_or(usize::MAX)
    });
    // Counted before it is made: each match may be far shorter than what replaces it.
    budget.scan(text.len() * 8)?;
    let found = text.matches(&*old).take(count).count();
    budget.make(text.len() + found.saturating_mul(new.len()))?;
    Ok(Value::from(text.replacen(&*old, &new, count)))
}

/// The byte at which the character at `place` starts; the length for the place behind the last.
fn byte_at(text: &str, place: i64) -> Result<usize, EvalError> {
    let place = usize::try_from(place).map_err(|_| OUTSIDE)?;
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .nth(place)
        .ok_or(OUTSIDE)
}

fn place_at(text: &str, byte: usize) -> Value {
    Value::count(text.get(..byte).unwrap_or_default().chars().count())
}

fn substring(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text_of("substring", arguments.first())?;
    let start = int_of("substring", arguments.get(1))?.unwrap_or(0);
    let end = int_of("substring", arguments.get(2))?;
    budget.make(text.len())?;
    let start = byte_at(&text, start)?;
    let end = end.map_or(Ok(text.len()), |end| byte_at(&text, end))?;
    let part = text.get(start..end).ok_or(EvalError::range(
        "the start of a substring is behind its end",
    ))?;
    Ok(Value::from(part))
}

fn split(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text_of("split", arguments.first())?;
    let separator = text_of("split", arguments.get(1))?;
    let count = int_of("split", arguments.get(2))?;
    let most = count.map_or(usize::MAX, |count| {
        usize::try_from(count).unwrap_or(usize::MAX)
    });
    budget.make(text.len() * 2)?;
    let mut parts = Vec::new();
    let mut push = |part: &str| -> Result<(), EvalError> {
        budget.spend(1)?;
        parts.push(Value::from(part));
        Ok(())
    };
    if separator.is_empty() {
        // Each character by itself, the last with the rest.
        let mut rest = &*text;
        for place in 1_usize.. {
            let Some(first) = rest.chars().next() else {
                break;
            };
            let (part, behind) = rest.split_at(if place < most {
                first.len_utf8()
            } else {
                rest.len()
            });
            if most > 0 {
                push(part)?;
            }
            rest = behind;
        }
    } else {
        for part in text.splitn(most, &*separator) {
            push(part)?;
        }
    }
    Ok(Value::from(parts))
}

fn char_at(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text_of("charAt", arguments.first())?;
    let place = int_of("charAt", arguments.get(1))?.unwrap_or(0);
    budget.scan(text.len() * 16)?;
    let start = byte_at(&text, place)?;
    let found = text.get(start..).and_then(|rest| rest.chars().next());
    Ok(Value::from(found.map(String::from).unwrap_or_default()))
}

fn index_of(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text_of("indexOf", arguments.first())?;
    let part = text_of("indexOf", arguments.get(1))?;
    let from = int_of("indexOf", arguments.get(2))?.unwrap_or(0);
    budget.scan(text.len() * 16)?;
    let from = byte_at(&text, from)?;
    let found = text.get(from..).and_then(|rest| rest.find(&*part));
    Ok(found.map_or(Value::Int(-1), |found| place_at(&text, from + found)))
}

fn last_index_of(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text_of("lastIndexOf", arguments.first())?;
    let part = text_of("lastIndexOf", arguments.get(1))?;
    let from = int_of("lastIndexOf", arguments.get(2))?;
    budget.scan(text.len() * 16)?;
    // The part may start at `from` and reach beyond it.
    let end = match from {
        Some(from) => (byte_at(&text, from)? + part.len()).min(text.len()),
        None => text.len(),
    };
    let end = (0..=end).rev().find(|end| text.is_char_boundary(*end));
    let found = text
        .get(..end.unwrap_or(0))
        .and_then(|before| before.rfind(&*part));
    Ok(found.map_or(Value::Int(-1), |found| place_at(&text, found)))
}

fn quote(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    one("strings.quote", arguments, budget, |text| {
        let mut out = String::with_capacity(text.len() + 2);
        out.push('"');
        for c in text.chars() {
            let escape = match c {
                '\u{7}' => 'a',
                '\u{8}' => 'b',
                '\u{c}' => 'f',
                '\n' => 'n',
                '\r' => 'r',
                '\t' => 't',
                '\u{b}' => 'v',
                '\\' | '"' => c,
                _ => {
                    out.push(c);
                    continue;
                }
            };
            out.push('\\');
            out.push(escape);
        }
        out.push('"');
        out
    })
}
