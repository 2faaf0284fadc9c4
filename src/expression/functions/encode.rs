//! Encodings, hashes and identifiers.

use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD,
};

use super::super::error::{Budget, EvalError};
use super::super::value::{Value, View};
use super::{Form, Function, no_overload};
use crate::exchange::path::{decode_component, push_component};
use crate::json::{DEPTH_DEFAULT, Json};

/// The longest JSON that `json.encode` makes, in bytes.
const JSON_BYTES_MAX: usize = 1 << 20;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        Form::Global,
        "base64.encode",
        (1, 1),
        base64_encode,
        [
            "base64.encode(bytes)",
            "Bytes, or a text in UTF-8, as base64.",
            "base64.encode(b'hello') == 'aGVsbG8='",
        ],
    ),
    Function::new(
        Form::Global,
        "base64.decode",
        (1, 1),
        base64_decode,
        [
            "base64.decode(text)",
            "The bytes that base64 stands for, with padding or without.",
            "base64.decode('aGVsbG8=') == b'hello'",
        ],
    ),
    Function::new(
        Form::Global,
        "base64.encodeUrl",
        (1, 1),
        base64_encode_url,
        [
            "base64.encodeUrl(bytes)",
            "Bytes, or a text in UTF-8, as base64 for addresses: `-`, `_`, no padding.",
            "base64.encodeUrl(b'\\xfb\\xff') == '-_8'",
        ],
    ),
    Function::new(
        Form::Global,
        "json.encode",
        (1, 1),
        json_encode,
        [
            "json.encode(value)",
            "The value as JSON text.",
            "json.encode({'a': [1, 'b']}) == '{\"a\":[1,\"b\"]}'",
        ],
    ),
    Function::new(
        Form::Global,
        "json.decode",
        (1, 1),
        json_decode,
        [
            "json.decode(text)",
            "The value that JSON text stands for.",
            "json.decode('{\"a\": 1}').a == 1",
        ],
    ),
    Function::new(
        Form::Global,
        "url.encode",
        (1, 1),
        url_encode,
        [
            "url.encode(text)",
            "The text percent-encoded as one part of an address. Holes of templates are so encoded already.",
            "url.encode('a b&c') == 'a%20b%26c'",
        ],
    ),
    Function::new(
        Form::Global,
        "url.decode",
        (1, 1),
        url_decode,
        [
            "url.decode(text)",
            "The text that percent-encoding stands for.",
            "url.decode('a%20b') == 'a b'",
        ],
    ),
    Function::new(
        Form::Global,
        "hash.sha256",
        (1, 1),
        sha256,
        [
            "hash.sha256(bytes)",
            "The SHA-256 digest of bytes, or of a text in UTF-8, in hexadecimal.",
            "hash.sha256('abc').startsWith('ba7816bf8f01cfea')",
        ],
    ),
    Function::new(
        Form::Global,
        "hash.hmacSha256",
        (2, 2),
        hmac_sha256,
        [
            "hash.hmacSha256(key, bytes)",
            "The HMAC-SHA-256 of bytes or a text under a key, in hexadecimal.",
            "hash.hmacSha256('key', 'text').size() == 64",
        ],
    ),
    Function::new(
        Form::Global,
        "uuid",
        (0, 0),
        uuid,
        [
            "uuid()",
            "A random UUID (version 4), another one each time.",
            "uuid().size() == 36 && uuid() != uuid()",
        ],
    )
    .random(),
];

/// Base64 with padding (RFC 4648, 4).
pub(in super::super) fn base64_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Hands the bytes of bytes or a text over, paid for.
fn with_bytes<T>(
    name: &'static str,
    value: Option<&Value>,
    budget: &Budget,
    make: impl FnOnce(&[u8]) -> T,
) -> Result<T, EvalError> {
    match value.map(Value::view) {
        Some(View::Bytes(bytes)) => {
            budget.make(bytes.len())?;
            Ok(make(bytes))
        }
        Some(View::Text(text)) => {
            budget.make(text.len())?;
            Ok(make(text.as_bytes()))
        }
        _ => Err(no_overload(name)),
    }
}

fn text(name: &'static str, arguments: &[Value], budget: &Budget) -> Result<String, EvalError> {
    let text = arguments.first().and_then(Value::as_text);
    let text = text.ok_or_else(|| no_overload(name))?;
    budget.make(text.len())?;
    Ok(text.into_owned())
}

fn base64_encode(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    with_bytes("base64.encode", arguments.first(), budget, base64_text).map(Value::from)
}

fn base64_encode_url(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    with_bytes("base64.encodeUrl", arguments.first(), budget, |bytes| {
        Value::from(URL_SAFE_NO_PAD.encode(bytes))
    })
}

fn base64_decode(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text("base64.decode", arguments, budget)?;
    LENIENT
        .decode(text)
        .map(|bytes| Value::Bytes(bytes.into()))
        .map_err(|_| EvalError::value("the text is not base64"))
}

fn json_encode(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let value = arguments.first().unwrap_or(&Value::Null);
    let json = value.to_json(JSON_BYTES_MAX)?;
    budget.make(json.len())?;
    let text = std::str::from_utf8(&json);
    Ok(Value::from(text.unwrap_or_default()))
}

fn json_decode(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text("json.decode", arguments, budget)?;
    Json::parse(text.into(), DEPTH_DEFAULT)
        .map(Value::Json)
        .map_err(|_| EvalError::value("the text is not JSON"))
}

fn url_encode(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text("url.encode", arguments, budget)?;
    let mut encoded = String::with_capacity(text.len());
    push_component(&text, &mut encoded);
    Ok(Value::from(encoded))
}

fn url_decode(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let text = text("url.decode", arguments, budget)?;
    decode_component(&text)
        .map(|decoded| Value::from(&*decoded))
        .ok_or(EvalError::value("the text is not percent-encoded UTF-8"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string does not fail.
            let _: std::fmt::Result = write!(text, "{byte:02x}");
            text
        })
}

fn sha256(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    with_bytes("hash.sha256", arguments.first(), budget, |bytes| {
        Value::from(hex(digest::digest(&digest::SHA256, bytes).as_ref()))
    })
}

fn hmac_sha256(arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
    let key = with_bytes("hash.hmacSha256", arguments.first(), budget, |bytes| {
        hmac::Key::new(hmac::HMAC_SHA256, bytes)
    })?;
    with_bytes("hash.hmacSha256", arguments.get(1), budget, |bytes| {
        Value::from(hex(hmac::sign(&key, bytes).as_ref()))
    })
}

fn uuid(_: &[Value], _: &Budget) -> Result<Value, EvalError> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| EvalError::value("no random bytes"))?;
    let number = u128::from_be_bytes(bytes);
    // Version 4, variant 10 (RFC 9562, 5.4).
    let number = number & !(0xf << 76) | 4 << 76;
    let number = number & !(0b11 << 62) | 0b10 << 62;
    let digits = format!("{number:032x}");
    let mut text = String::with_capacity(36);
    for (place, digit) in digits.chars().enumerate() {
        if let 8 | 12 | 16 | 20 = place {
            text.push('-');
        }
        text.push(digit);
    }
    Ok(Value::from(text))
}
