//! An answer from the file for an operation: what the document shows, or what its schema describes.

use serde_json::Value;

use super::example;
use super::reference::Document;
use crate::cli::import::page::{Block, excerpt, quoted, table};

/// Writes `respond` for the operation.
pub(super) fn write(document: Document<'_>, operation: &Value, block: &mut Block) {
    let Some((code, response)) = response(document, operation) else {
        block.note("the document shows no response: 200 without a body");
        block.line("respond = { status = 200 }");
        return;
    };
    let status = status(code);
    let content = response.get("content").and_then(Value::as_object);
    let Some((kind, media)) = content.and_then(|content| best(document, content)) else {
        block.line(format!("respond = {{ status = {status} }}"));
        return;
    };
    let headers = table(&[(
        "content-type",
        kind.split(';').next().unwrap_or_default().trim().to_owned(),
    )]);
    let Some(value) = value(document, media, block) else {
        block.note(format!(
            "no example of {} can be made: without a body",
            excerpt(kind)
        ));
        block.line(format!("respond = {{ status = {status} }}"));
        return;
    };
    let text = match &value {
        // A text that is no JSON is shown as it is.
        Value::String(text) if !is_json(kind) => text.clone(),
        other => other.to_string(),
    };
    block.line(format!(
        "respond = {{ status = {status}, headers = {headers}, text = {} }}",
        quoted(&text)
    ));
}

/// The response that is meant when all goes well.
fn response<'a>(document: Document<'a>, operation: &'a Value) -> Option<(&'a str, &'a Value)> {
    let responses = operation.get("responses").and_then(Value::as_object)?;
    let is_good = |code: &str| code.starts_with('2');
    let good = responses
        .iter()
        .filter(|(code, _)| is_good(code))
        .min_by_key(|(code, _)| code.as_str());
    let other = || responses.iter().find(|(code, _)| *code == "default");
    let (code, response) = good.or_else(other).or_else(|| responses.iter().next())?;
    Some((code, document.resolve(response)?))
}

/// `200`, or the first of a class, as `2XX`.
fn status(code: &str) -> u16 {
    let class = |code: &str| {
        let digit = code
            .to_ascii_uppercase()
            .strip_suffix("XX")?
            .parse::<u16>()
            .ok()?;
        Some(digit * 100)
    };
    let exact = code.parse().ok().or_else(|| class(code));
    exact
        .filter(|status| (200..600).contains(status))
        .unwrap_or(200)
}

/// The content that can be shown: JSON before any other.
fn best<'a>(
    document: Document<'a>,
    content: &'a serde_json::Map<String, Value>,
) -> Option<(&'a str, &'a Value)> {
    let json = content.iter().find(|(kind, _)| is_json(kind));
    let (kind, media) = json.or_else(|| content.iter().next())?;
    // A range of types is no type.
    let kind = if kind.contains('*') {
        "application/json"
    } else {
        kind
    };
    Some((kind, document.resolve(media)?))
}

fn is_json(kind: &str) -> bool {
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json") || kind.contains('*')
}

/// The example that is shown, or one made of the schema.
fn value(document: Document<'_>, media: &Value, block: &mut Block) -> Option<Value> {
    if let Some(shown) = media.get("example") {
        return Some(shown.clone());
    }
    let examples = media.get("examples").and_then(Value::as_object);
    let named = examples.and_then(|examples| examples.iter().next());
    if let Some((name, example)) = named {
        let found = document.resolve(example);
        if let Some(value) = found.and_then(|it| it.get("value")) {
            return Some(value.clone());
        }
        block.note(format!(
            "the example {} is outside of the document",
            excerpt(name)
        ));
    }
    let schema = media.get("schema")?;
    Some(example::of_schema(document, schema))
}
