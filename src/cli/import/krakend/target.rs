//! Paths: an endpoint's as a pattern of ours, `url_pattern` as the template of a call, whose
//! `{placeholders}` become holes.

use std::fmt::Write as _;

use super::backend::Backend;
use super::shape;
use crate::cli::import::cel;
use crate::cli::import::page::excerpt;
use crate::exchange::path::is_unreserved;

/// The parameter that a wildcard at the end of a path becomes.
const TAIL: &str = "rest";

/// A path of ours, and the names of its parameters.
pub(super) fn pattern(path: &str) -> (String, Vec<String>) {
    let mut pattern = String::new();
    let mut parameters = Vec::new();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let last = segments.len().saturating_sub(1);
    for (at, segment) in segments.iter().enumerate() {
        let braced = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let named = braced.or_else(|| segment.strip_prefix(':'));
        pattern.push('/');
        if at == last && segment.starts_with('*') {
            pattern.extend(["{", TAIL, "...}"]);
            parameters.push(TAIL.to_owned());
        } else if let Some(name) = named {
            let name = name.replace('-', "_");
            pattern.extend(["{", &name, "}"]);
            parameters.push(name);
        } else {
            pattern.push_str(segment);
        }
    }
    (pattern, parameters)
}

/// The path and query of a call. `earlier` are the backends whose answers may be named, as
/// `{resp0_field}`; the error says what a placeholder stands for that is not there.
pub(super) fn template(
    backend: &Backend<'_>,
    parameters: &[String],
    earlier: &[Backend<'_>],
    with_claims: bool,
) -> Result<String, String> {
    let mut out = literal(&backend.base);
    let mut rest = backend.url_pattern.trim_start_matches('/');
    out.push('/');
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(&literal(before));
        let Some((inside, behind)) = after.split_once('}') else {
            return Err(format!(
                "`url_pattern` {} has no end to a `{{`",
                excerpt(backend.url_pattern)
            ));
        };
        let hole = hole(inside, parameters, earlier, with_claims)?;
        out.extend(["{", &hole, "}"]);
        rest = behind;
    }
    match (
        rest.strip_suffix('*'),
        parameters.iter().find(|it| *it == TAIL),
    ) {
        (Some(before), Some(tail)) => out.extend([&literal(before), "{path.", tail, "}"]),
        _ => out.push_str(&literal(rest)),
    }
    Ok(out)
}

/// Text of a target: what cannot stand there is percent-encoded.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match byte {
            b'{' | b'}' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|' | b'#' => {
                encoded(byte, &mut out);
            }
            byte if byte.is_ascii_graphic() || is_unreserved(byte) => out.push(char::from(byte)),
            byte => encoded(byte, &mut out),
        }
    }
    out
}

fn encoded(byte: u8, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "%{byte:02X}");
}

/// The expression of one placeholder.
fn hole(
    inside: &str,
    parameters: &[String],
    earlier: &[Backend<'_>],
    with_claims: bool,
) -> Result<String, String> {
    if let Some(claim) = inside.strip_prefix("JWT.") {
        return if with_claims {
            Ok(claims(claim))
        } else {
            Err(format!("{} needs `auth/validator`", excerpt(inside)))
        };
    }
    if let Some(name) = inside.strip_prefix("input_headers.") {
        return Ok(cel::field("headers", &name.to_ascii_lowercase()));
    }
    if let Some(name) = inside.strip_prefix("input_query_strings.") {
        return Ok(cel::field("query", name));
    }
    let sent = inside
        .strip_prefix("resp")
        .and_then(|rest| rest.split_once('_'));
    if let Some((number, field)) = sent
        && let Ok(number) = number.parse::<usize>()
    {
        let Some(backend) = earlier.get(number) else {
            return Err(format!(
                "{} is of no backend that was called before",
                excerpt(inside)
            ));
        };
        let names: Vec<&str> = field.split('.').collect();
        return shape::origin(backend, &names)
            .map_err(|why| format!("{} has no value: {why}", excerpt(inside)));
    }
    match parameter(inside, parameters) {
        Some(name) => Ok(format!("path.{name}")),
        None => Err(format!(
            "{} is no parameter of the endpoint",
            excerpt(inside)
        )),
    }
}

/// The parameter that is meant: KrakenD does not tell a first letter in upper case from the same in
/// lower case.
pub(super) fn parameter<'a>(name: &str, parameters: &'a [String]) -> Option<&'a str> {
    let name = name.replace('-', "_");
    let exact = parameters.iter().find(|it| **it == name);
    let found = exact.or_else(|| parameters.iter().find(|it| it.eq_ignore_ascii_case(&name)));
    found.map(String::as_str)
}

/// A claim; the dots of a name that is a URL are its own.
pub(super) fn claims(name: &str) -> String {
    if name.contains("://") {
        cel::field("claims", name)
    } else {
        let names: Vec<&str> = name.split('.').collect();
        cel::path("claims", &names)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::backend::tests::backend;
    use super::*;

    fn check(pattern: &str, expected: Result<&str, &str>) {
        let fields = json!({"url_pattern": pattern, "host": ["http://a/base"]});
        let first = json!({"group": "g"});
        let parameters = ["id".to_owned(), "user_name".to_owned(), "rest".to_owned()];
        let made = template(&backend(&fields), &parameters, &[backend(&first)], true);
        match expected {
            Ok(expected) => assert_eq!(made.as_deref(), Ok(expected), "{pattern}"),
            Err(part) => assert!(made.is_err_and(|why| why.contains(part)), "{pattern}"),
        }
    }

    #[test]
    fn placeholders_become_holes() {
        check("/users/{Id}.json", Ok("/base/users/{path.id}.json"));
        check(
            "users/{user-name}?a={id}&b=%2C",
            Ok("/base/users/{path.user_name}?a={path.id}&b=%2C"),
        );
        check(
            "/x/{JWT.sub}/{JWT.http://a.b/c}",
            Ok("/base/x/{claims.sub}/{claims['http://a.b/c']}"),
        );
        check(
            "/{input_headers.X-Tenant}",
            Ok("/base/{headers['x-tenant']}"),
        );
        check("/x/{resp0_g.a.b}", Ok("/base/x/{steps.s.body.a.b}"));
        check("/x/*", Ok("/base/x/{path.rest}"));
        check("/a b|\u{e9}", Ok("/base/a%20b%7C%C3%A9"));
        check("//evil.example/x", Ok("/base/evil.example/x"));
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        check("/{resp0_a}", Err("under `g`"));
        check("/{resp1_a}", Err("no backend"));
        check("/{nobody}", Err("no parameter"));
        check("/{id", Err("no end"));
    }

    #[test]
    fn paths_have_our_parameters() {
        let check = |theirs: &str, ours: &str| assert_eq!(pattern(theirs).0, ours, "{theirs}");
        check("/users/{user-id}/posts", "/users/{user_id}/posts");
        check("/static/*", "/static/{rest...}");
        check("/files/*path", "/files/{rest...}");
        check("/a/:id", "/a/{id}");
        check("x", "/x");
        check("/", "/");
        assert_eq!(pattern("/a/{b}/*").1, ["b", "rest"]);
    }
}
