//! Functions of numbers.

use std::cmp::Ordering;

use super::super::error::{Budget, EvalError};
use super::super::operators::{compare, list};
use super::super::value::{Value, View, nearest_double};
use super::{Form, Function, no_overload};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        Form::Global,
        "math.abs",
        (1, 1),
        abs,
        [
            "math.abs(number)",
            "The number without its sign.",
            "math.abs(-3) == 3",
        ],
    ),
    Function::new(
        Form::Global,
        "math.ceil",
        (1, 1),
        ceil,
        [
            "math.ceil(double)",
            "The next whole double upwards.",
            "math.ceil(1.2) == 2.0",
        ],
    ),
    Function::new(
        Form::Global,
        "math.floor",
        (1, 1),
        floor,
        [
            "math.floor(double)",
            "The next whole double downwards.",
            "math.floor(1.8) == 1.0",
        ],
    ),
    Function::new(
        Form::Global,
        "math.round",
        (1, 1),
        round,
        [
            "math.round(double)",
            "The closest whole double; halves go away from zero.",
            "math.round(1.5) == 2.0 && math.round(-1.5) == -2.0",
        ],
    ),
    Function::new(
        Form::Global,
        "math.trunc",
        (1, 1),
        trunc,
        [
            "math.trunc(double)",
            "The double without its fraction.",
            "math.trunc(-1.8) == -1.0",
        ],
    ),
    Function::new(
        Form::Global,
        "math.sign",
        (1, 1),
        sign,
        ["math.sign(number)", "-1, 0 or 1.", "math.sign(-3) == -1"],
    ),
    Function::new(
        Form::Global,
        "math.sqrt",
        (1, 1),
        sqrt,
        [
            "math.sqrt(number)",
            "The square root, a double.",
            "math.sqrt(9) == 3.0",
        ],
    ),
    Function::new(
        Form::Global,
        "math.greatest",
        (1, 64),
        greatest,
        [
            "math.greatest(a, b, ...)",
            "The greatest of the numbers, or of those in a list.",
            "math.greatest(1, 3, 2) == 3 && math.greatest([1, 3, 2]) == 3",
        ],
    ),
    Function::new(
        Form::Global,
        "math.least",
        (1, 64),
        least,
        [
            "math.least(a, b, ...)",
            "The least of the numbers, or of those in a list.",
            "math.least(2, 1, 3) == 1",
        ],
    ),
    Function::new(
        Form::Global,
        "math.isNaN",
        (1, 1),
        is_nan,
        [
            "math.isNaN(double)",
            "Whether the double is not a number.",
            "math.isNaN(0.0 / 0.0)",
        ],
    ),
    Function::new(
        Form::Global,
        "math.isInf",
        (1, 1),
        is_inf,
        [
            "math.isInf(double)",
            "Whether the double is infinite.",
            "math.isInf(1.0 / 0.0)",
        ],
    ),
    Function::new(
        Form::Global,
        "math.isFinite",
        (1, 1),
        is_finite,
        [
            "math.isFinite(double)",
            "Whether the double is a number and not infinite.",
            "math.isFinite(1.5)",
        ],
    ),
    Function::new(
        Form::Global,
        "math.bitAnd",
        (2, 2),
        bit_and,
        [
            "math.bitAnd(a, b)",
            "The bits that are set in both.",
            "math.bitAnd(6, 3) == 2",
        ],
    ),
    Function::new(
        Form::Global,
        "math.bitOr",
        (2, 2),
        bit_or,
        [
            "math.bitOr(a, b)",
            "The bits that are set in one or both.",
            "math.bitOr(6, 3) == 7",
        ],
    ),
    Function::new(
        Form::Global,
        "math.bitXor",
        (2, 2),
        bit_xor,
        [
            "math.bitXor(a, b)",
            "The bits that are set in one only.",
            "math.bitXor(6, 3) == 5",
        ],
    ),
    Function::new(
        Form::Global,
        "math.bitNot",
        (1, 1),
        bit_not,
        [
            "math.bitNot(a)",
            "The bits turned over.",
            "math.bitNot(0) == -1",
        ],
    ),
    Function::new(
        Form::Global,
        "math.bitShiftLeft",
        (2, 2),
        shift_left,
        [
            "math.bitShiftLeft(a, places)",
            "The bits moved up, zeros behind them.",
            "math.bitShiftLeft(1, 4) == 16",
        ],
    ),
    Function::new(
        Form::Global,
        "math.bitShiftRight",
        (2, 2),
        shift_right,
        [
            "math.bitShiftRight(a, places)",
            "The bits moved down, zeros before them.",
            "math.bitShiftRight(16, 4) == 1",
        ],
    ),
];

fn abs(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    match arguments.first().map(Value::view) {
        Some(View::Int(number)) => number
            .checked_abs()
            .map(Value::Int)
            .ok_or(EvalError::range("the result does not fit: overflow")),
        Some(View::Uint(number)) => Ok(Value::Uint(number)),
        Some(View::Double(number)) => Ok(Value::Double(number.abs())),
        _ => Err(no_overload("math.abs")),
    }
}

fn double(
    name: &'static str,
    arguments: &[Value],
    make: impl FnOnce(f64) -> f64,
) -> Result<Value, EvalError> {
    match arguments.first().map(|value| (value, value.view())) {
        Some((_, View::Double(number))) => Ok(Value::Double(make(number))),
        // A whole number from JSON happens to be written without a fraction.
        Some((Value::Json(_), View::Int(number))) => {
            Ok(Value::Double(make(nearest_double(number.into()))))
        }
        _ => Err(no_overload(name)),
    }
}

fn ceil(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    double("math.ceil", arguments, f64::ceil)
}

fn floor(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    double("math.floor", arguments, f64::floor)
}

fn round(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    double("math.round", arguments, f64::round)
}

fn trunc(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    double("math.trunc", arguments, f64::trunc)
}

fn sqrt(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    match arguments.first().map(Value::view) {
        Some(View::Int(number)) => Ok(Value::Double(nearest_double(number.into()).sqrt())),
        Some(View::Uint(number)) => Ok(Value::Double(nearest_double(number.into()).sqrt())),
        Some(View::Double(number)) => Ok(Value::Double(number.sqrt())),
        _ => Err(no_overload("math.sqrt")),
    }
}

fn sign(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    match arguments.first().map(Value::view) {
        Some(View::Int(number)) => Ok(Value::Int(number.signum())),
        Some(View::Uint(number)) => Ok(Value::Uint(number.min(1))),
        Some(View::Double(number)) if number == 0.0 || number.is_nan() => Ok(Value::Double(number)),
        Some(View::Double(number)) => Ok(Value::Double(number.signum())),
        _ => Err(no_overload("math.sign")),
    }
}

fn greatest(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    extreme("math.greatest", arguments, budget, Ordering::Greater)
}

fn least(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    extreme("math.least", arguments, budget, Ordering::Less)
}

fn extreme(
    name: &'static str,
    arguments: &[Value],
    budget: &Budget,
    wanted: Ordering,
) -> Result<Value, EvalError> {
    if let [only] = arguments
        && let Some(values) = list(only, budget)?
    {
        return best(name, &values, wanted, is_number);
    }
    best(name, arguments, wanted, is_number)
}

fn is_number(value: &Value) -> bool {
    matches!(value.view(), View::Int(_) | View::Uint(_) | View::Double(_))
}

/// The first of the values that no other outdoes.
pub(super) fn best(
    name: &'static str,
    values: &[Value],
    wanted: Ordering,
    fits: impl Fn(&Value) -> bool,
) -> Result<Value, EvalError> {
    let mut best: Option<&Value> = None;
    for value in values {
        if !fits(value) {
            return Err(no_overload(name));
        }
        if match best {
            Some(best) => compare(value, best)? == Some(wanted),
            None => true,
        } {
            best = Some(value);
        }
    }
    best.cloned()
        .ok_or(EvalError::value("an empty list has no greatest or least"))
}

fn question(
    name: &'static str,
    arguments: &[Value],
    answer: impl FnOnce(f64) -> bool,
) -> Result<Value, EvalError> {
    match arguments.first().map(Value::view) {
        Some(View::Double(number)) => Ok(Value::Bool(answer(number))),
        _ => Err(no_overload(name)),
    }
}

fn is_nan(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    question("math.isNaN", arguments, f64::is_nan)
}

fn is_inf(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    question("math.isInf", arguments, f64::is_infinite)
}

fn is_finite(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    question("math.isFinite", arguments, f64::is_finite)
}

fn bits(
    name: &'static str,
    arguments: &[Value],
    make: impl FnOnce(u64, u64) -> u64,
) -> Result<Value, EvalError> {
    let [left, right] = arguments else {
        return Err(no_overload(name));
    };
    match (left.view(), right.view()) {
        (View::Int(left), View::Int(right)) => Ok(Value::Int(
            make(left.cast_unsigned(), right.cast_unsigned()).cast_signed(),
        )),
        (View::Uint(left), View::Uint(right)) => Ok(Value::Uint(make(left, right))),
        _ => Err(no_overload(name)),
    }
}

fn bit_and(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    bits("math.bitAnd", arguments, |left, right| left & right)
}

fn bit_or(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    bits("math.bitOr", arguments, |left, right| left | right)
}

fn bit_xor(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    bits("math.bitXor", arguments, |left, right| left ^ right)
}

fn bit_not(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    match arguments.first().map(Value::view) {
        Some(View::Int(number)) => Ok(Value::Int(!number)),
        Some(View::Uint(number)) => Ok(Value::Uint(!number)),
        _ => Err(no_overload("math.bitNot")),
    }
}

fn shift(
    name: &'static str,
    arguments: &[Value],
    make: impl FnOnce(u64, u32) -> Option<u64>,
) -> Result<Value, EvalError> {
    let [value, places] = arguments else {
        return Err(no_overload(name));
    };
    let View::Int(places) = places.view() else {
        return Err(no_overload(name));
    };
    if places < 0 {
        return Err(EvalError::range("bits are moved by a negative offset"));
    }
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    match value.view() {
        View::Int(number) => Ok(Value::Int(
            make(number.cast_unsigned(), places)
                .unwrap_or(0)
                .cast_signed(),
        )),
        View::Uint(number) => Ok(Value::Uint(make(number, places).unwrap_or(0))),
        _ => Err(no_overload(name)),
    }
}

fn shift_left(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    shift("math.bitShiftLeft", arguments, u64::checked_shl)
}

fn shift_right(arguments: &[Value], _: &Budget) -> Result<Value, EvalError> {
    shift("math.bitShiftRight", arguments, u64::checked_shr)
}
