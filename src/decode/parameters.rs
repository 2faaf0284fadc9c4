//! The parameters of a field: `; name=value; name="quoted"` (RFC 9110, 5.6.6).

use crate::exchange::line::is_token;

/// One parameter, its value without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    pub name: &'a str,
    pub value: String,
}

/// Parameters that are malformed, or of which one stands twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// How a backslash in a quoted value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// It stands before any character (RFC 9110, 5.6.4).
    Strict,
    /// Only before a quote: elsewhere it is one itself, as in a path of some old browsers.
    Names,
}

/// Takes `text`, which is empty or starts with `;`, apart. None where it is malformed, or has more
/// than `most` parameters.
pub fn parse(text: &str, quoting: Quoting, most: usize) -> Option<Vec<Parameter<'_>>> {
    let mut found = Vec::new();
    let mut rest = trim(text);
    while !rest.is_empty() {
        rest = trim(rest.strip_prefix(';')?);
        if rest.is_empty() || rest.starts_with(';') {
            // RFC 9110, 5.6.6: a recipient takes an empty parameter.
            continue;
        }
        let (name, after) = rest.split_once('=')?;
        if !is_token(name.as_bytes()) || found.len() == most {
            return None;
        }
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted, quoting)?
        } else {
            let (value, after) = after.split_at(after.find(';').unwrap_or(after.len()));
            let value = trim(value);
            if !is_token(value.as_bytes()) {
                return None;
            }
            (value.to_owned(), after)
        };
        found.push(Parameter { name, value });
        rest = trim(after);
    }
    Some(found)
}

/// The value of the only parameter called `name`; an error where there are several.
pub fn only<'a>(parameters: &'a [Parameter<'_>], name: &str) -> Result<Option<&'a str>, Ambiguous> {
    let mut named = parameters
        .iter()
        .filter(|it| it.name.eq_ignore_ascii_case(name));
    match (named.next(), named.next()) {
        (first, None) => Ok(first.map(|it| it.value.as_str())),
        (_, Some(_)) => Err(Ambiguous),
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The value that a quote has opened, and what is behind the quote that closes it.
fn unquote(quoted: &str, quoting: Quoting) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match quoting {
                Quoting::Strict => value.push(chars.next()?),
                Quoting::Names if chars.as_str().starts_with('"') => {
                    value.push('"');
                    chars.next();
                }
                Quoting::Names => value.push('\\'),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[(&str, &str)]>) {
        let found = parse(text, Quoting::Strict, 4);
        let found: Option<Vec<_>> = found
            .as_ref()
            .map(|list| list.iter().map(|it| (it.name, it.value.as_str())).collect());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn parameters_are_tokens_or_quoted() {
        check("", Some(&[]));
        check("; a=b", Some(&[("a", "b")]));
        check(
            " ;a=b ; c=\"d;\\\"e\" ;",
            Some(&[("a", "b"), ("c", "d;\"e")]),
        );
        check(";a=\"\"", Some(&[("a", "")]));
    }

    #[test]
    fn malformed_parameters_are_none() {
        for text in [
            "a=b",
            ";a",
            ";=b",
            ";a=",
            ";a=\"b",
            ";a b=c",
            ";a=b c",
            ";a=\"b\"c",
        ] {
            check(text, None);
        }
        check(";a=1;a=1;a=1;a=1;a=1", None);
    }

    #[test]
    fn names_keep_their_backslashes() {
        let found = parse(";n=\"C:\\a\\\"b\"", Quoting::Names, 4).unwrap();
        assert_eq!(found[0].value, "C:\\a\"b");
        assert_eq!(only(&found, "N"), Ok(Some("C:\\a\"b")));
        assert_eq!(only(&found, "x"), Ok(None));
        let twice = parse(";n=1;N=2", Quoting::Names, 4).unwrap();
        assert_eq!(only(&twice, "n"), Err(Ambiguous));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_apart_or_refused(text in "[;= \"\\\\a-c\u{e4}]{0,40}") {
            for quoting in [Quoting::Strict, Quoting::Names] {
                let found = parse(&text, quoting, 8);
                proptest::prop_assert!(found.is_none_or(|found| found.len() <= 8));
            }
        }
    }
}
