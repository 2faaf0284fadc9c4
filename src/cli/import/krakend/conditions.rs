//! `validation/cel`: the same language, with other names for what can be read.

use serde_json::Value;

use super::target;
use crate::cli::import::cel;

/// What a list of conditions comes to.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// Those on the request, in our names.
    pub(super) request: Vec<String>,
    /// How many are on the answer, or read what has no counterpart.
    pub(super) later: usize,
}

/// Reads `[{"check_expr": "..."}]`.
pub(super) fn read(list: &Value, parameters: &[String]) -> Conditions {
    let mut conditions = Conditions::default();
    for condition in list.as_array().into_iter().flatten() {
        let text = condition.get("check_expr").and_then(Value::as_str);
        match text.and_then(|text| translate(text, parameters)) {
            Some(expression) => conditions.request.push(format!("({expression})")),
            None => conditions.later += 1,
        }
    }
    conditions
}

/// The condition with our names; none where it reads what a request does not have.
fn translate(text: &str, parameters: &[String]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut behind_dot = false;
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' || first == '"' {
            string(rest, first)
        } else if first.is_ascii_alphanumeric() || first == '_' {
            let sign = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            rest.find(sign).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at_checked(length)?;
        rest = after;
        if behind_dot {
            out.push_str(token);
        } else {
            rest = named(token, rest, parameters, &mut out)?;
        }
        behind_dot = token == ".";
    }
    Some(out)
}

/// The length of a string and its quotes.
fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Writes what a name stands for, and returns what is left behind it.
fn named<'a>(
    token: &str,
    rest: &'a str,
    parameters: &[String],
    out: &mut String,
) -> Option<&'a str> {
    match token {
        "req_method" => out.push_str("request.method"),
        "req_path" => out.push_str("request.path"),
        "now" => out.push_str("string(request.time)"),
        "JWT" => out.push_str("claims"),
        "req_params" => {
            let (name, rest) = member(rest)?;
            out.extend(["path.", target::parameter(&name, parameters)?]);
            return Some(rest);
        }
        // Each is a list of all values; we read the first.
        "req_headers" => {
            let (name, rest) = member(rest)?;
            let value = cel::field("headers", &name.to_ascii_lowercase());
            out.extend(["[", &value, "]"]);
            return Some(rest);
        }
        "req_querystring" => {
            let (name, rest) = member(rest)?;
            out.extend(["[", &cel::field("query", &name), "]"]);
            return Some(rest);
        }
        other if other.starts_with("resp_") || other.starts_with("req_") => return None,
        other => out.push_str(other),
    }
    Some(rest)
}

/// The name in `.name` or `['name']`, and what stands behind it.
fn member(text: &str) -> Option<(String, &str)> {
    if let Some(behind) = text.strip_prefix('.') {
        let sign = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let (name, rest) = behind.split_at_checked(behind.find(sign).unwrap_or(behind.len()))?;
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    }
    let inside = text.strip_prefix('[')?.trim_start();
    let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (name, rest) = inside.strip_prefix(quote)?.split_once(quote)?;
    let rest = rest.trim_start().strip_prefix(']')?;
    (!name.contains('\\')).then(|| (name.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(theirs: &str, ours: Option<&str>) {
        let parameters = ["id".to_owned()];
        assert_eq!(translate(theirs, &parameters).as_deref(), ours, "{theirs}");
    }

    #[test]
    fn names_are_ours_and_texts_stay() {
        check("int(req_params.Id) % 3 == 0", Some("int(path.id) % 3 == 0"));
        check(
            "'something' in req_headers['X-Header']",
            Some("'something' in [headers['x-header']]"),
        );
        check(
            "req_querystring.page[0] == 'now'",
            Some("[query.page][0] == 'now'"),
        );
        check(
            "has(JWT.user_id) && size(JWT.roles)>1",
            Some("has(claims.user_id) && size(claims.roles)>1"),
        );
        check(
            "timestamp(now).getDayOfWeek() == 1",
            Some("timestamp(string(request.time)).getDayOfWeek() == 1"),
        );
        check(
            "JWT.now == 'JWT \\' now'",
            Some("claims.now == 'JWT \\' now'"),
        );
        check("resp_data.a == 1", None);
        check("req_params.Other == '1'", None);
        check("req_body.a == 1", None);
    }

    proptest! {
        #[test]
        fn any_text_is_translated_or_refused(text in "(req_params|req_headers|now|JWT|'|\"|\\\\|\\.|\\[|\\]|[a-z ä])*") {
            drop(translate(&text, &["id".to_owned()]));
        }
    }
}
