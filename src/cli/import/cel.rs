//! Expressions as an import writes them: texts, values, fields.

use std::fmt::Write as _;

use serde_json::Value;

use crate::route::pattern::is_name;

/// A text as an expression has it.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// A JSON value as an expression has it.
pub(super) fn value(json: &Value) -> String {
    match json {
        Value::Null | Value::Bool(_) => json.to_string(),
        Value::Number(number) if number.as_i64().is_none() && number.is_u64() => {
            format!("{number}u")
        }
        Value::Number(number) => number.to_string(),
        Value::String(string) => text(string),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, it)| format!("{}: {}", text(key), value(it)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// `['a', 'b']`
pub(super) fn texts<T: AsRef<str>>(list: &[T]) -> String {
    let items: Vec<String> = list.iter().map(|item| text(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A field of what `base` stands for; digits are the place in a list.
pub(super) fn field(base: &str, name: &str) -> String {
    if is_plain(name) {
        format!("{base}.{name}")
    } else if !name.is_empty() && name.len() < 10 && name.bytes().all(|byte| byte.is_ascii_digit())
    {
        format!("{base}[{name}]")
    } else {
        format!("{base}[{}]", text(name))
    }
}

/// The same as an optional: nothing where the field is not there.
pub(super) fn optional(base: &str, name: &str) -> String {
    if is_plain(name) {
        format!("{base}.?{name}")
    } else {
        format!("{base}[?{}]", text(name))
    }
}

/// Fields within fields.
pub(super) fn path<T: AsRef<str>>(base: &str, names: &[T]) -> String {
    names
        .iter()
        .fold(base.to_owned(), |base, name| field(&base, name.as_ref()))
}

fn is_plain(name: &str) -> bool {
    is_name(name) && !matches!(name, "in" | "true" | "false" | "null")
}

/// A name that expressions can read as `steps.NAME`, made of any text.
pub(super) fn name(text: &str, otherwise: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = text.chars().take(40).map(sign).collect();
    let name = name.trim_matches('_');
    if is_plain(name) {
        name.to_owned()
    } else {
        otherwise.to_owned()
    }
}

/// `name`, or with a number behind it where it is taken.
pub(super) fn unused(name: &str, separator: char, is_taken: impl Fn(&str) -> bool) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2_usize;
    while is_taken(&candidate) {
        candidate = format!("{name}{separator}{number}");
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_as_expressions_have_them() {
        let json =
            json!({"a'b": [1, 1.5, null, true, "x\n\\"], "big": 18_446_744_073_709_551_615_u64});
        assert_eq!(
            value(&json),
            r"{'a\'b': [1, 1.5, null, true, 'x\n\\'], 'big': 18446744073709551615u}"
        );
    }

    #[test]
    fn fields_are_named_as_they_can_be() {
        assert_eq!(
            path("body", &["a", "b-c", "0", "in"]),
            "body.a['b-c'][0]['in']"
        );
        assert_eq!(optional("it", "a"), "it.?a");
        assert_eq!(optional("it", "a b"), "it[?'a b']");
        assert_eq!(name("my-group", "x"), "my_group");
        assert_eq!(name("7", "x"), "x");
        let taken = ["a", "a_2"];
        assert_eq!(unused("a", '_', |it| taken.contains(&it)), "a_3");
    }
}
