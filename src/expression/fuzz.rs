//! What the fuzz targets `expression` and `holes` call: each takes any bytes and panics when a
//! promise is broken.

#![expect(clippy::expect_used, reason = "a fuzz target speaks by panicking")]

use bytes::Bytes;

use super::{
    Budget, EvalError, Expression, Names, PathName, Place, Scope, Template, Value, Variable,
};
use crate::json::{self, DEPTH_DEFAULT, DEPTH_MAX, Json};

/// The largest text that is made of a value.
const TEXT_MAX: usize = 1 << 20;

/// Everything that is read has one value.
struct One(Value);

impl Scope for One {
    fn variable(&self, _: &Variable) -> Result<Value, EvalError> {
        Ok(self.0.clone())
    }
}

/// What stands before the first line end, and what behind it.
fn halves(bytes: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.split_once('\n')
}

/// An expression and a document: compiling and evaluating end, with the same result each time, and
/// what is written is JSON.
pub fn expression(bytes: &[u8]) {
    let Some((text, document)) = halves(bytes) else {
        return;
    };
    let path = [PathName {
        name: "id".to_owned(),
        tail: false,
    }];
    let names = Names {
        path: &path,
        body: true,
        item: true,
        ..Names::default()
    };
    let expression = match Expression::compile(text, &names) {
        Ok(expression) => expression,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            return;
        }
    };
    let again = Expression::compile(expression.text(), &names);
    assert_eq!(
        again.as_ref(),
        Ok(&expression),
        "it is read again as itself"
    );
    let document = Bytes::copy_from_slice(document.as_bytes());
    let value = match Json::parse(document.clone(), DEPTH_DEFAULT) {
        Ok(json) => Value::Json(json),
        Err(_) => Value::from(String::from_utf8_lossy(&document).as_ref()),
    };
    let scope = One(value);
    let written = || -> Result<Vec<u8>, EvalError> {
        let value = expression.evaluate(&scope, &Budget::default())?;
        value.to_json(TEXT_MAX).map(|text| text.to_vec())
    };
    let first = written();
    if let Ok(text) = &first {
        json::check(text, DEPTH_MAX).expect("what is written is JSON");
    }
    // What is new each time says so by its name.
    if !text.contains("uuid") && !text.contains("random") {
        assert_eq!(first, written());
    }
}

/// A template and a value for its holes: the value stays where it is put.
pub fn holes(bytes: &[u8]) {
    let (template, value) = halves(bytes).unwrap_or_default();
    known_holes(value);
    let names = Names::default();
    let render = |template: &Template, value: &str| {
        let mut out = String::new();
        let scope = One(Value::from(value));
        let rendered = template.render(&scope, &Budget::default(), &mut out);
        rendered.ok().map(|()| out)
    };
    if let Ok(target) = Template::compile(template, Place::Target, &names)
        && let Some(plain) = render(&target, "x")
        && let Some(filled) = render(&target, value)
    {
        assert_eq!(shape(&plain), shape(&filled), "{plain:?} {filled:?}");
    }
    if let Ok(header) = Template::compile(template, Place::Header, &names)
        && let Some(filled) = render(&header, value)
    {
        let splits = filled.contains(['\r', '\n', '\0']);
        assert!(!splits, "{filled:?}");
    }
    for place in [Place::Json, Place::Text] {
        if let Ok(template) = Template::compile(template, place, &names) {
            render(&template, value);
        }
    }
}

/// The marks of a target that part it, in order: none of them comes out of a hole.
fn shape(target: &str) -> Vec<char> {
    let marks = |letter: &char| "/?#&=;+ ".contains(*letter) || letter.is_control();
    target.chars().filter(marks).collect()
}

/// Templates of which is known what they must give.
fn known_holes(value: &str) {
    let names = Names::default();
    let render = |text: &str, place: Place| {
        let template = Template::compile(text, place, &names).expect("it is well formed");
        let mut out = String::new();
        let scope = One(Value::from(value));
        let rendered = template.render(&scope, &Budget::default(), &mut out);
        rendered.map(|()| out)
    };
    if let Ok(target) = render("/v1/{query.v}/x?a={query.v}&b=1#{query.v}", Place::Target) {
        let (path, rest) = target.split_once('?').expect("a query");
        let (query, fragment) = rest.split_once('#').expect("a fragment");
        let segments: Vec<&str> = path.split('/').collect();
        assert_eq!(segments.len(), 4, "{path}");
        assert_ne!(decoded(path.split('/').nth(2)), "..", "{path}");
        assert_eq!(decoded(path.split('/').nth(2)), value);
        let pairs: Vec<&str> = query.split('&').collect();
        assert_eq!(pairs.len(), 2, "{query}");
        let given = pairs.first().and_then(|pair| pair.strip_prefix("a="));
        assert_eq!(decoded(given), value);
        assert_eq!(decoded(Some(fragment)), value);
        assert!(
            target.bytes().all(|byte| byte.is_ascii_graphic()),
            "{target}"
        );
    }
    if let Ok(field) = render("a{query.v}b", Place::Header) {
        assert_eq!(field, format!("a{value}b"));
        assert!(!field.contains(['\r', '\n', '\0']));
    }
    let document = render(
        r#"{{"a":{query.v},"b":"x{query.v}y","c":true}}"#,
        Place::Json,
    )
    .expect("text can always stand in JSON");
    let tree: serde_json::Value = serde_json::from_str(&document).expect("it is JSON");
    let expected = serde_json::json!({"a": value, "b": format!("x{value}y"), "c": true});
    assert_eq!(tree, expected);
}

/// What a percent-encoded part says; its plain text is ASCII.
fn decoded(part: Option<&str>) -> String {
    let mut bytes = part.unwrap_or_default().bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let digits: Vec<u8> = bytes.by_ref().take(2).collect();
        let digits = std::str::from_utf8(&digits).expect("hexadecimal digits");
        plain.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
    }
    String::from_utf8(plain).expect("the encoding of text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_value_stays_in_its_hole(
            template in "(/|\\{query\\.v\\}|\\?|&|=|[a-z.]){0,12}",
            value in "(?s).{0,24}|[./%?#&=\\r\\n\"\\\\]{0,12}",
        ) {
            holes(format!("{template}\n{value}").as_bytes());
        }

        #[test]
        fn any_expression_keeps_the_promises(
            text in "(body|item|path\\.id|\\.a|\\[|\\]|\\(|\\)|[0-9]| |\\+|==|\\?|:|'x'|\\.size\\(\\)|,|\\{|\\}){0,14}",
            document in "[\\[\\]{}\"a:,0-9]{0,20}",
        ) {
            expression(format!("{text}\n{document}").as_bytes());
        }
    }

    #[test]
    fn the_values_of_attackers_stay_in_their_holes() {
        for value in [
            "../admin?x=1#",
            "..",
            "a\r\nb: c",
            "&admin=true",
            "\"},{\"",
            "%2e%2e",
        ] {
            holes(format!("/a/{{query.v}}?b={{query.v}}\n{value}").as_bytes());
        }
    }
}
