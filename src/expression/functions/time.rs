//! Functions of timestamps and durations.
//!
//! Zones are fixed offsets such as `+02:00`; UTC where none is given.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::super::error::{Budget, EvalError};
use super::super::value::{Value, View};
use super::{Form, Function, no_overload};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        Form::Method,
        "getFullYear",
        (1, 2),
        full_year,
        [
            "timestamp.getFullYear(offset)",
            "The year.",
            "timestamp('2009-02-13T23:31:30Z').getFullYear() == 2009",
        ],
    ),
    Function::new(
        Form::Method,
        "getMonth",
        (1, 2),
        month,
        [
            "timestamp.getMonth(offset)",
            "The month, January is 0.",
            "timestamp('2009-02-13T23:31:30Z').getMonth() == 1",
        ],
    ),
    Function::new(
        Form::Method,
        "getDate",
        (1, 2),
        date,
        [
            "timestamp.getDate(offset)",
            "The day of the month, from 1.",
            "timestamp('2009-02-13T23:31:30Z').getDate('+11:00') == 14",
        ],
    ),
    Function::new(
        Form::Method,
        "getDayOfMonth",
        (1, 2),
        day_of_month,
        [
            "timestamp.getDayOfMonth(offset)",
            "The day of the month, from 0.",
            "timestamp('2009-02-13T23:31:30Z').getDayOfMonth() == 12",
        ],
    ),
    Function::new(
        Form::Method,
        "getDayOfWeek",
        (1, 2),
        day_of_week,
        [
            "timestamp.getDayOfWeek(offset)",
            "The day of the week, Sunday is 0.",
            "timestamp('2009-02-13T23:31:30Z').getDayOfWeek() == 5",
        ],
    ),
    Function::new(
        Form::Method,
        "getDayOfYear",
        (1, 2),
        day_of_year,
        [
            "timestamp.getDayOfYear(offset)",
            "The day of the year, from 0.",
            "timestamp('2009-02-13T23:31:30Z').getDayOfYear() == 43",
        ],
    ),
    Function::new(
        Form::Method,
        "getHours",
        (1, 2),
        hours,
        [
            "timestamp.getHours(offset)",
            "The hour, from 0; of a duration, its whole hours.",
            "timestamp('2009-02-13T23:31:30Z').getHours('02:00') == 1 && duration('90m').getHours() == 1",
        ],
    ),
    Function::new(
        Form::Method,
        "getMinutes",
        (1, 2),
        minutes,
        [
            "timestamp.getMinutes(offset)",
            "The minute, from 0; of a duration, its whole minutes.",
            "timestamp('2009-02-13T23:31:30Z').getMinutes() == 31 && duration('90m').getMinutes() == 90",
        ],
    ),
    Function::new(
        Form::Method,
        "getSeconds",
        (1, 2),
        seconds,
        [
            "timestamp.getSeconds(offset)",
            "The second, from 0; of a duration, its whole seconds.",
            "timestamp('2009-02-13T23:31:30Z').getSeconds() == 30 && duration('2m').getSeconds() == 120",
        ],
    ),
    Function::new(
        Form::Method,
        "getMilliseconds",
        (1, 2),
        milliseconds,
        [
            "timestamp.getMilliseconds(offset)",
            "The milliseconds within the second.",
            "timestamp('2009-02-13T23:31:20.123456789Z').getMilliseconds() == 123",
        ],
    ),
];

/// A part of the civil time at the offset, or of a duration.
fn part(
    name: &'static str,
    arguments: &[Value],
    of_time: impl FnOnce(DateTime) -> i64,
    of_span: Option<fn(jiff::SignedDuration) -> i64>,
) -> Result<Value, EvalError> {
    match (
        arguments.first().map(Value::view),
        arguments.get(1),
        of_span,
    ) {
        (Some(View::Timestamp(time)), offset, _) => {
            let zone = match offset {
                Some(offset) => {
                    let text = offset.as_text().ok_or_else(|| no_overload(name))?;
                    read_offset(&text).ok_or(EvalError::value(
                        "the zone is not an offset such as `+02:00`",
                    ))?
                }
                None => Offset::UTC,
            };
            let civil = TimeZone::fixed(zone).to_datetime(time);
            Ok(Value::Int(of_time(civil)))
        }
        (Some(View::Duration(span)), None, Some(of_span)) => Ok(Value::Int(of_span(span))),
        _ => Err(no_overload(name)),
    }
}

/// `UTC`, or hours and minutes with a sign or none.
fn read_offset(text: &str) -> Option<Offset> {
    if let "UTC" | "Z" = text {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let two = |digits: &str| match digits.as_bytes() {
        [b'0'..=b'9', b'0'..=b'9'] => digits.parse::<i32>().ok(),
        _ => None,
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn full_year(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part("getFullYear", arguments, |civil| civil.year().into(), None)
}

fn month(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part(
        "getMonth",
        arguments,
        |civil| i64::from(civil.month()) - 1,
        None,
    )
}

fn date(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part("getDate", arguments, |civil| civil.day().into(), None)
}

fn day_of_month(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part(
        "getDayOfMonth",
        arguments,
        |civil| i64::from(civil.day()) - 1,
        None,
    )
}

fn day_of_week(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let weekday = |civil: DateTime| civil.weekday().to_sunday_zero_offset().into();
    part("getDayOfWeek", arguments, weekday, None)
}

fn day_of_year(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part(
        "getDayOfYear",
        arguments,
        |civil| i64::from(civil.day_of_year()) - 1,
        None,
    )
}

fn hours(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part(
        "getHours",
        arguments,
        |civil| civil.hour().into(),
        Some(|span| span.as_hours()),
    )
}

fn minutes(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part(
        "getMinutes",
        arguments,
        |civil| civil.minute().into(),
        Some(|span| span.as_mins()),
    )
}

fn seconds(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part(
        "getSeconds",
        arguments,
        |civil| civil.second().into(),
        Some(|span| span.as_secs()),
    )
}

fn milliseconds(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    part(
        "getMilliseconds",
        arguments,
        |civil| civil.millisecond().into(),
        Some(|span| i64::from(span.subsec_millis())),
    )
}
