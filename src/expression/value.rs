//! Values of the expression language.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::error::{Budget, EvalError, EvalErrorKind};
use super::map::{Key, Map};
use crate::json::{Json, Kind, write_string};

/// How deep lists and maps may nest in what is written as JSON.
const DEPTH_MAX: usize = 200;

/// What an expression gives. Cheap to clone. A [`Json`] is a value that came from outside and has
/// not been touched: it is read where an operator needs it, and written as the text it was.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Bytes),
    List(Arc<[Value]>),
    Map(Arc<Map>),
    Json(Json),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    Type(Type),
    /// A value that may not be there, as `a.?b` gives.
    Optional(Option<Arc<Value>>),
}

/// The type of a value, as `type(x)` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    List,
    Map,
    Timestamp,
    Duration,
    Type,
    Optional,
}

impl Type {
    pub(super) const ALL: [Self; 13] = [
        Self::Null,
        Self::Bool,
        Self::Int,
        Self::Uint,
        Self::Double,
        Self::String,
        Self::Bytes,
        Self::List,
        Self::Map,
        Self::Timestamp,
        Self::Duration,
        Self::Type,
        Self::Optional,
    ];

    /// As expressions write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Type => "type",
            Self::Optional => "optional_type",
        }
    }
}

/// A value as operators see it: JSON scalars read, JSON arrays and objects still text.
pub(super) enum View<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(&'a Bytes),
    List(&'a [Value]),
    JsonList(&'a Json),
    Map(&'a Map),
    JsonMap(&'a Json),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    Type(Type),
    Optional(Option<&'a Value>),
}

impl Value {
    /// A size or place as an int.
    pub(super) fn count(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self::Null => View::Null,
            Self::Bool(value) => View::Bool(*value),
            Self::Int(value) => View::Int(*value),
            Self::Uint(value) => View::Uint(*value),
            Self::Double(value) => View::Double(*value),
            Self::String(value) => View::Text(Cow::Borrowed(value)),
            Self::Bytes(value) => View::Bytes(value),
            Self::List(value) => View::List(value),
            Self::Map(value) => View::Map(value),
            Self::Json(json) => json_view(json),
            Self::Timestamp(value) => View::Timestamp(*value),
            Self::Duration(value) => View::Duration(*value),
            Self::Type(value) => View::Type(*value),
            Self::Optional(value) => View::Optional(value.as_deref()),
        }
    }

    pub fn type_of(&self) -> Type {
        match self.view() {
            View::Null => Type::Null,
            View::Bool(_) => Type::Bool,
            View::Int(_) => Type::Int,
            View::Uint(_) => Type::Uint,
            View::Double(_) => Type::Double,
            View::Text(_) => Type::String,
            View::Bytes(_) => Type::Bytes,
            View::List(_) | View::JsonList(_) => Type::List,
            View::Map(_) | View::JsonMap(_) => Type::Map,
            View::Timestamp(_) => Type::Timestamp,
            View::Duration(_) => Type::Duration,
            View::Type(_) => Type::Type,
            View::Optional(_) => Type::Optional,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.view(), View::Null)
    }

    /// None for what is not a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self.view() {
            View::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// None for what is not a string.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match self.view() {
            View::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that fits: int or uint.
    pub fn as_int(&self) -> Option<i64> {
        match self.view() {
            View::Int(value) => Some(value),
            View::Uint(value) => i64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The elements of a list; none for what is not a list.
    pub fn elements(&self) -> Option<Vec<Self>> {
        match self.view() {
            View::List(values) => Some(values.to_vec()),
            View::JsonList(json) => Some(json.elements().map(Self::Json).collect()),
            _ => None,
        }
    }

    /// As text where the value has one form as text: strings, numbers, booleans, timestamps,
    /// durations. An error for null, lists, maps and bytes.
    pub fn to_text(&self) -> Result<Cow<'_, str>, EvalError> {
        // A number that is only moved keeps its text.
        if let Self::Json(json) = self
            && json.kind() == Kind::Number
        {
            return Ok(Cow::Borrowed(json.text()));
        }
        Ok(match self.view() {
            View::Text(text) => text,
            View::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            View::Int(value) => value.to_string().into(),
            View::Uint(value) => value.to_string().into(),
            View::Double(value) => double_text(value).into(),
            View::Timestamp(value) => timestamp_text(value).into(),
            View::Duration(value) => duration_text(value).into(),
            View::Null => return Err(EvalError::value("the value is null, not text")),
            View::Bytes(_)
            | View::List(_)
            | View::JsonList(_)
            | View::Map(_)
            | View::JsonMap(_)
            | View::Type(_)
            | View::Optional(_) => {
                return Err(EvalError::value("the value has no form as text"));
            }
        })
    }

    /// Appends the value as JSON: untouched parts as the bytes they came as, bytes as base64,
    /// timestamps as RFC 3339. An error for a double that is not finite, a type, and when `out`
    /// would grow beyond `bytes_max`.
    pub fn write_json(&self, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), EvalError> {
        Writer { bytes_max, out }.value(self, 0)
    }

    /// The value as JSON of at most `bytes_max` bytes; no copy where it came as JSON.
    pub fn to_json(&self, bytes_max: usize) -> Result<Bytes, EvalError> {
        if let Self::Json(json) = self {
            if json.bytes().len() > bytes_max {
                return Err(too_large());
            }
            return Ok(json.bytes().clone());
        }
        let mut out = Vec::new();
        self.write_json(bytes_max, &mut out)?;
        Ok(out.into())
    }
}

fn too_large() -> EvalError {
    EvalError::new(EvalErrorKind::Budget, "the value as JSON is too large")
}

struct Writer<'a> {
    bytes_max: usize,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), EvalError> {
        if self.out.len() + bytes.len() > self.bytes_max {
            return Err(too_large());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), EvalError> {
        if self.out.len() + text.len() > self.bytes_max {
            return Err(too_large());
        }
        write_string(text, self.out);
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), EvalError> {
        match value {
            Value::Json(json) => self.put(json.bytes()),
            Value::Null | Value::Optional(None) => self.put(b"null"),
            Value::Bool(true) => self.put(b"true"),
            Value::Bool(false) => self.put(b"false"),
            Value::Int(number) => self.put(number.to_string().as_bytes()),
            Value::Uint(number) => self.put(number.to_string().as_bytes()),
            Value::Double(number) if number.is_finite() => {
                self.put(double_text(*number).as_bytes())
            }
            Value::Double(_) => Err(EvalError::value("a number that is not finite is not JSON")),
            Value::String(text) => self.string(text),
            Value::Bytes(bytes) => self.string(&super::functions::base64_text(bytes)),
            Value::Timestamp(time) => self.string(&timestamp_text(*time)),
            Value::Duration(duration) => self.string(&duration_text(*duration)),
            Value::Type(_) => Err(EvalError::value("a type is not JSON")),
            Value::List(_) | Value::Map(_) | Value::Optional(Some(_)) if depth > DEPTH_MAX => {
                Err(EvalError::value("lists and maps are nested too deeply"))
            }
            Value::Optional(Some(value)) => self.value(value, depth + 1),
            Value::List(values) => {
                let mut open: &[u8] = b"[";
                for value in values.iter() {
                    self.put(open)?;
                    self.value(value, depth + 1)?;
                    open = b",";
                }
                self.put(if values.is_empty() { b"[]" } else { b"]" })
            }
            Value::Map(map) => self.map(map, depth),
        }
    }

    fn map(&mut self, map: &Map, depth: usize) -> Result<(), EvalError> {
        let mut open: &[u8] = b"{";
        for (key, value) in map.iter() {
            self.put(open)?;
            match key {
                Key::String(text) => self.string(text)?,
                Key::Bool(value) => self.string(if *value { "true" } else { "false" })?,
                Key::Int(number) => self.string(&number.to_string())?,
                Key::Uint(number) => self.string(&number.to_string())?,
            }
            self.put(b":")?;
            self.value(value, depth + 1)?;
            open = b",";
        }
        self.put(if map.is_empty() { b"{}" } else { b"}" })
    }
}

fn json_view(json: &Json) -> View<'_> {
    match json.kind() {
        Kind::Null => View::Null,
        Kind::Bool => View::Bool(json.as_bool() == Some(true)),
        Kind::Number => match json.as_i64() {
            Some(number) => View::Int(number),
            None => View::Double(json.as_f64().unwrap_or(f64::NAN)),
        },
        Kind::String => View::Text(json.as_str().unwrap_or_default()),
        Kind::Array => View::JsonList(json),
        Kind::Object => View::JsonMap(json),
    }
}

/// The double closest to a whole number.
#[expect(
    clippy::cast_precision_loss,
    reason = "the closest double is what is asked for"
)]
pub(super) const fn nearest_double(number: i128) -> f64 {
    number as f64
}

/// The shortest text that reads back as this double, in JSON's grammar where it is finite.
pub(super) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 {
            "+infinity"
        } else {
            "-infinity"
        }
        .to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent}")
            }
            _ => text,
        };
    }
    format!("{value}")
}

/// RFC 3339 in UTC, with as many digits of a second as are needed.
pub(super) fn timestamp_text(value: Timestamp) -> String {
    value.to_string()
}

/// Seconds with a final `s`, such as `1.5s`.
pub(super) fn duration_text(value: SignedDuration) -> String {
    let (seconds, nanos) = (value.as_secs(), value.subsec_nanos());
    if nanos == 0 {
        return format!("{seconds}s");
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let fraction = format!("{:09}", nanos.unsigned_abs());
    format!(
        "{sign}{}.{}s",
        seconds.unsigned_abs(),
        fraction.trim_end_matches('0')
    )
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Vec<Self>> for Value {
    fn from(values: Vec<Self>) -> Self {
        Self::List(values.into())
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Timestamp(time)
    }
}

/// A JSON object as a map, one level: of a repeated key the last value, at the first's place.
pub(super) fn json_map(json: &Json, budget: &Budget) -> Result<Map, EvalError> {
    budget.scan(json.bytes().len())?;
    let mut map = Map::new();
    for (key, value) in json.entries() {
        budget.spend(1)?;
        budget.make(key.len())?;
        map.insert(Key::String(key.into()), Value::Json(value));
    }
    Ok(map)
}

/// A JSON array as a list, one level.
pub(super) fn json_list(json: &Json, budget: &Budget) -> Result<Vec<Value>, EvalError> {
    budget.scan(json.bytes().len())?;
    let mut list = Vec::new();
    for element in json.elements() {
        budget.spend(1)?;
        list.push(Value::Json(element));
    }
    Ok(list)
}
