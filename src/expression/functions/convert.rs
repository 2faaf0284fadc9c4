//! Conversions between kinds of value, and questions about them.

use jiff::{SignedDuration, Timestamp};

use super::super::arithmetic::{checked_timestamp, duration};
use super::super::error::{Budget, EvalError};
use super::super::value::{
    Value, View, double_text, duration_text, nearest_double, timestamp_text,
};
use super::{Form, Function, no_overload};

const RANGE: EvalError = EvalError::range("the number does not fit: range error");

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        Form::Either,
        "size",
        (1, 1),
        size,
        [
            "size(value)",
            "How many characters, bytes, elements or entries there are.",
            "size('häuser') == 6 && [1, 2].size() == 2",
        ],
    ),
    Function::new(
        Form::Global,
        "int",
        (1, 1),
        int,
        [
            "int(value)",
            "A whole number from a number, a string, or the seconds of a timestamp.",
            "int('42') == 42 && int(3.9) == 3",
        ],
    ),
    Function::new(
        Form::Global,
        "uint",
        (1, 1),
        uint,
        [
            "uint(value)",
            "An unsigned whole number from a number or a string.",
            "uint(42) == 42u",
        ],
    ),
    Function::new(
        Form::Global,
        "double",
        (1, 1),
        double,
        [
            "double(value)",
            "A double from a number or a string.",
            "double('1.5') == 1.5",
        ],
    ),
    Function::new(
        Form::Global,
        "string",
        (1, 1),
        string,
        [
            "string(value)",
            "A string from a number, a bool, bytes, a timestamp or a duration.",
            "string(42) == '42'",
        ],
    ),
    Function::new(
        Form::Global,
        "bytes",
        (1, 1),
        bytes,
        [
            "bytes(value)",
            "The bytes of a string, in UTF-8.",
            "bytes('abc') == b'abc'",
        ],
    ),
    Function::new(
        Form::Global,
        "bool",
        (1, 1),
        boolean,
        [
            "bool(value)",
            "A bool from a string such as `true`, `t`, `1`, `false`, `f` or `0`.",
            "bool('true')",
        ],
    ),
    Function::new(
        Form::Global,
        "timestamp",
        (1, 1),
        timestamp,
        [
            "timestamp(value)",
            "A timestamp from RFC 3339 text, or from seconds since 1970.",
            "timestamp('1970-01-01T00:01:00Z') == timestamp(60)",
        ],
    ),
    Function::new(
        Form::Global,
        "duration",
        (1, 1),
        duration_of,
        [
            "duration(value)",
            "A duration from text such as `1h30m` or `250ms`.",
            "duration('1h30m') == duration('5400s')",
        ],
    ),
    Function::new(
        Form::Global,
        "dyn",
        (1, 1),
        same,
        [
            "dyn(value)",
            "The value itself; here for expressions from elsewhere.",
            "dyn(1) == 1",
        ],
    ),
    Function::new(
        Form::Global,
        "type",
        (1, 1),
        type_of,
        [
            "type(value)",
            "The type of a value: `int`, `uint`, `double`, `bool`, `string`, `bytes`, `list`, `map`, `null_type`, `type`.",
            "type([1]) == list",
        ],
    ),
];

fn size(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("size"));
    };
    let size = match value.view() {
        View::Text(text) => text.chars().count(),
        View::Bytes(bytes) => bytes.len(),
        View::List(values) => values.len(),
        View::Map(map) => map.len(),
        View::JsonList(json) => {
            budget.scan(json.bytes().len())?;
            json.elements().count()
        }
        View::JsonMap(json) => super::super::value::json_map(json, budget)?.len(),
        _ => return Err(no_overload("size")),
    };
    Ok(Value::count(size))
}

fn int(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("int"));
    };
    Ok(Value::Int(match value.view() {
        View::Int(number) => number,
        View::Uint(number) => i64::try_from(number).map_err(|_| RANGE)?,
        // The greatest int as a double is one more than it: the bounds are exclusive.
        View::Double(number)
            if number > -9_223_372_036_854_775_808.0 && number < 9_223_372_036_854_775_807.0 =>
        {
            number as i64
        }
        View::Double(_) => return Err(RANGE),
        View::Text(text) => text
            .parse()
            .map_err(|_| EvalError::value("the string is not a whole number that fits"))?,
        View::Timestamp(time) => time.as_second(),
        _ => return Err(no_overload("int")),
    }))
}

fn uint(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("uint"));
    };
    Ok(Value::Uint(match value.view() {
        View::Uint(number) => number,
        View::Int(number) => u64::try_from(number).map_err(|_| RANGE)?,
        View::Double(number) if number > -1.0 && number < 18_446_744_073_709_551_615.0 => {
            u64::try_from(number as i128).map_err(|_| RANGE)?
        }
        View::Double(_) => return Err(RANGE),
        View::Text(text) => text.parse().map_err(|_| {
            EvalError::value("the string is not an unsigned whole number that fits")
        })?,
        _ => return Err(no_overload("uint")),
    }))
}

fn double(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("double"));
    };
    Ok(Value::Double(match value.view() {
        View::Double(number) => number,
        View::Int(number) => nearest_double(number.into()),
        View::Uint(number) => nearest_double(number.into()),
        View::Text(text) => text
            .parse()
            .map_err(|_| EvalError::value("the string is not a number"))?,
        _ => return Err(no_overload("double")),
    }))
}

fn string(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("string"));
    };
    if let Value::String(_) = value {
        return Ok(value.clone());
    }
    let text = match value.view() {
        View::Text(text) => text.into_owned(),
        View::Int(number) => number.to_string(),
        View::Uint(number) => number.to_string(),
        // The text of a number from JSON is the one it came with.
        View::Double(number) => match value {
            Value::Json(json) => json.text().to_owned(),
            _ => double_text(number),
        },
        View::Bool(value) => value.to_string(),
        View::Bytes(bytes) => std::str::from_utf8(bytes)
            .map_err(|_| EvalError::value("the bytes are not UTF-8: invalid UTF-8"))?
            .to_owned(),
        View::Timestamp(time) => timestamp_text(time),
        View::Duration(span) => duration_text(span),
        View::Type(kind) => kind.name().to_owned(),
        _ => return Err(no_overload("string")),
    };
    budget.make(text.len())?;
    Ok(Value::from(text))
}

fn bytes(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("bytes"));
    };
    match value.view() {
        View::Bytes(_) => Ok(value.clone()),
        View::Text(text) => {
            budget.make(text.len())?;
            Ok(Value::Bytes(text.into_owned().into_bytes().into()))
        }
        _ => Err(no_overload("bytes")),
    }
}

fn boolean(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("bool"));
    };
    match value.view() {
        View::Bool(value) => Ok(Value::Bool(value)),
        View::Text(text) => match &*text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(EvalError::value(
                "type conversion error: the string is not a bool",
            )),
        },
        _ => Err(no_overload("bool")),
    }
}

fn timestamp(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("timestamp"));
    };
    let invalid = || EvalError::value("the string is not an RFC 3339 time in range");
    let time = match value.view() {
        View::Timestamp(time) => time,
        View::Text(text) => text.parse::<Timestamp>().map_err(|_| invalid())?,
        View::Int(seconds) => Timestamp::from_second(seconds)
            .map_err(|_| EvalError::range("the timestamp is out of range"))?,
        _ => return Err(no_overload("timestamp")),
    };
    checked_timestamp(time)
}

fn duration_of(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("duration"));
    };
    match value.view() {
        View::Duration(span) => Ok(Value::Duration(span)),
        View::Text(text) => duration(read_duration(&text).ok_or_else(|| {
            EvalError::value("the string is not a duration such as `1h30m` in range")
        })?),
        _ => Err(no_overload("duration")),
    }
}

/// Signed decimal numbers, each with a unit, as Go's `time.ParseDuration` reads them.
fn read_duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0_i128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let unit_len = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(unit_len)?;
        let unit: i128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = behind;
    }
    let nanos = if negative { -nanos } else { nanos };
    let seconds = i64::try_from(nanos / 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, (nanos % 1_000_000_000) as i32))
}

/// A decimal number of units, in nanoseconds.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let read = |digits: &str| match digits {
        "" => Some(0),
        digits if digits.len() > 19 => None,
        digits => digits.parse::<i128>().ok(),
    };
    let fraction = fraction.get(..fraction.len().min(18))?;
    let part = read(fraction)?.checked_mul(unit)? / 10_i128.pow(fraction.len() as u32);
    read(whole)?.checked_mul(unit)?.checked_add(part)
}

fn same(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    arguments.first().cloned().ok_or_else(|| no_overload("dyn"))
}

fn type_of(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let [value] = arguments else {
        return Err(no_overload("type"));
    };
    Ok(Value::Type(value.type_of()))
}
