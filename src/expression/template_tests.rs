//! Tests of templates: what is hostile arrives as data or is refused.

use proptest::prelude::*;

use super::tests::with_names;
use super::*;
use crate::exchange::CanonicalPath;
use crate::exchange::path::decode_component;
use crate::json::Json;

fn compile(text: &str, place: Place) -> Result<Template, Vec<Mistake>> {
    with_names(|names| Template::compile(text, place, names))
}

/// A scope in which every variable has one value.
struct Same(Value);

impl Scope for Same {
    fn variable(&self, _: &Variable) -> Result<Value, EvalError> {
        Ok(self.0.clone())
    }
}

fn render(text: &str, place: Place, value: impl Into<Value>) -> Result<String, EvalError> {
    let template = compile(text, place).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
    let mut out = String::new();
    template.render(&Same(value.into()), &Budget::default(), &mut out)?;
    Ok(out)
}

const HOSTILE: &str = "../admin?x=1#&admin=true\"\r\n%2e%2e/{item.id}";

#[test]
fn text_without_holes_is_itself() {
    for text in ["", "plain", "/v1/users?limit=20"] {
        let template = compile(text, Place::Target).unwrap();
        assert_eq!(template.constant(), Some(text));
        assert!(template.reads().is_constant());
        assert_eq!(render(text, Place::Target, "x").as_deref(), Ok(text));
    }
    assert_eq!(
        render("a {{b}} c", Place::Text, "x").as_deref(),
        Ok("a {b} c")
    );
    assert_eq!(render("{{{item}}}", Place::Text, "x").as_deref(), Ok("{x}"));
}

#[test]
fn a_hole_in_a_path_stays_one_segment() {
    let path = render("/v1/users/{item}/orders", Place::Target, HOSTILE).unwrap();
    assert_eq!(path.matches('/').count(), 4);
    assert!(!path.contains(['?', '#', '&', '"', '\r', '\n', '{']));
    assert_eq!(
        render("/a/{item}", Place::Target, "x y").as_deref(),
        Ok("/a/x%20y")
    );
    assert_eq!(
        render("/a/{item}-{item}.json", Place::Target, "x").as_deref(),
        Ok("/a/x-x.json")
    );
    assert_eq!(render("/a/{item}", Place::Target, 7).as_deref(), Ok("/a/7"));
    assert_eq!(
        render("/a/{item}", Place::Target, true).as_deref(),
        Ok("/a/true")
    );
    let huge = Json::try_from("12345678901234567890").unwrap();
    assert_eq!(
        render("/a/{item}", Place::Target, huge).as_deref(),
        Ok("/a/12345678901234567890")
    );
}

#[test]
fn a_segment_that_a_hole_makes_empty_or_a_step_up_is_refused() {
    for (text, value) in [
        ("/a/{item}", ""),
        ("/a/{item}/b", ""),
        ("/a/{item}?x=1", ""),
        ("/a/{item}", "."),
        ("/a/{item}", ".."),
        ("/a/{item}/b", ".."),
        ("/a/.{item}", "."),
        ("/a/{item}.", "."),
        ("/a/{item}{item}", "."),
        ("/a/%2e{item}", "."),
        ("/a/{item};v=1", ".."),
        ("{item}", ".."),
    ] {
        let refused = render(text, Place::Target, value).map_err(|error| error.kind);
        assert_eq!(refused, Err(EvalErrorKind::Value), "{text} with {value:?}");
    }
    assert_eq!(
        render("/a/{item}", Place::Target, "...").as_deref(),
        Ok("/a/...")
    );
    assert_eq!(
        render("/a/..{item}", Place::Target, "x").as_deref(),
        Ok("/a/..x")
    );
    assert_eq!(
        render("/a?x={item}", Place::Target, "").as_deref(),
        Ok("/a?x=")
    );
}

#[test]
fn a_tail_is_its_segments() {
    let tail = |value: &str| render("/files/{path.rest}", Place::Target, value);
    assert_eq!(tail("a/b%20c/d").as_deref(), Ok("/files/a/b%20c/d"));
    assert_eq!(tail("a%2Fb/c@d").as_deref(), Ok("/files/a%2Fb/c%40d"));
    assert_eq!(tail("").as_deref(), Ok("/files/"));
    assert_eq!(tail("a/").as_deref(), Ok("/files/a/"));
    for hostile in [
        "../b", "a/../b", "a//b", "%2e%2e/b", "a/.", "a?b%", "%zz", "/a", "..;x/b",
    ] {
        assert!(tail(hostile).is_err(), "{hostile}: {:?}", tail(hostile));
    }
    assert_eq!(tail("a?b#c").as_deref(), Ok("/files/a%3Fb%23c"));
    assert!(render("/files/{path.rest}/x", Place::Target, "").is_err());
    assert!(render("/files/{path.rest}..", Place::Target, "a/").is_err());
    assert_eq!(
        render("/files/{path.rest}.bak", Place::Target, "a/b").as_deref(),
        Ok("/files/a/b.bak")
    );
    // In other places the parameter is text like any other.
    assert_eq!(
        render("/f?p={path.rest}", Place::Target, "a/b").as_deref(),
        Ok("/f?p=a%2Fb")
    );
    assert_eq!(
        render("/f/{path.user}", Place::Target, "a/b").as_deref(),
        Ok("/f/a%2Fb")
    );
}

#[test]
fn a_header_holds_no_control_characters() {
    assert_eq!(
        render("Bearer {item}", Place::Header, "abc").as_deref(),
        Ok("Bearer abc")
    );
    for hostile in ["a\r\nX-Admin: 1", "a\n", "\r", "\0", "\u{1b}[31m", "\u{7f}"] {
        assert!(
            render("x {item}", Place::Header, hostile).is_err(),
            "{hostile:?}"
        );
    }
    assert!(compile("a\r\nb", Place::Header).is_err());
}

#[test]
fn a_hole_in_json_is_json() {
    let text = r#"{{"name": "Dear {item}", "all": {item}}}"#;
    let out = render(text, Place::Json, HOSTILE).unwrap();
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(read["name"], format!("Dear {HOSTILE}"));
    assert_eq!(read["all"], HOSTILE);
    let list = Json::try_from("[1, {\"a\": 0.10}]").unwrap();
    assert_eq!(
        render("[{item}]", Place::Json, list.clone()).as_deref(),
        Ok("[[1, {\"a\": 0.10}]]")
    );
    assert!(render("\"{item}\"", Place::Json, list).is_err());
}

#[test]
fn what_has_no_text_is_refused_in_a_hole() {
    for value in ["null", "[1]", "{\"a\":1}"].map(|text| Value::from(Json::try_from(text).unwrap()))
    {
        for place in [Place::Target, Place::Header, Place::Text] {
            let refused = render("x{item}", place, value.clone());
            assert_eq!(
                refused.map_err(|error| error.kind),
                Err(EvalErrorKind::Value)
            );
        }
    }
    assert!(
        render(
            "x{item.nothing}",
            Place::Text,
            Json::try_from("{}").unwrap()
        )
        .is_err()
    );
    assert!(render("x{item}", Place::Text, Value::Null).is_err());
    assert_eq!(
        render("x{default(item, '-')}", Place::Text, Value::Null).as_deref(),
        Ok("x-")
    );
}

#[test]
fn no_value_is_expanded_twice() {
    assert_eq!(
        render("{item}", Place::Text, "{item} {{x}}").as_deref(),
        Ok("{item} {{x}}")
    );
}

#[test]
fn holes_hold_strings_and_maps_with_braces() {
    assert_eq!(render("a{'}'}b", Place::Text, "x").as_deref(), Ok("a}b"));
    assert_eq!(
        render("{ {'k}': item}['k}'] }!", Place::Text, "x").as_deref(),
        Ok("x!")
    );
    assert_eq!(
        render("{\"\"\"{\"}\"\"\"}", Place::Text, "x").as_deref(),
        Ok("{\"}")
    );
    assert_eq!(
        render("{r'\\'}{item}", Place::Text, "x").as_deref(),
        Ok("\\x")
    );
}

#[test]
fn mistakes_stand_where_they_are_in_the_whole_text() {
    let check = |text: &str, place: Place, part: &str| {
        let mistakes = compile(text, place).unwrap_err();
        assert_eq!(text.get(mistakes[0].at.clone()), Some(part), "{mistakes:?}");
    };
    check("/v1/{path.usr}/x", Place::Target, "usr");
    check("/v1/{steps.profil.body.id}", Place::Target, "profil");
    check("/v1/{'a' +}", Place::Target, "");
    check("a } b", Place::Text, "}");
    check("a {} b", Place::Text, "{}");
    check("a {item", Place::Text, "{item");
    check("a {'x", Place::Text, "'x");
    check("/a b", Place::Target, " ");
    check("/a%2", Place::Target, "%2");
    check("/a/{null}", Place::Target, "null");
    let both = compile("{nope}/{path.usr}/{steps.x.body}", Place::Text).unwrap_err();
    assert_eq!(both.len(), 3);
}

#[test]
fn reads_of_all_holes_are_joined() {
    let template = compile(
        "/{steps.orders.body.id}/{path.user}?c={caller.sub}",
        Place::Target,
    )
    .unwrap();
    assert_eq!(template.reads().steps, [1]);
    assert!(template.reads().request && template.reads().caller && !template.reads().body);
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[./%2eE\\\\;?#&=\r\n\t \"'{}<>@:a\u{e9}\u{0}\u{7f}]{0,12}",
        Just(HOSTILE.to_owned()),
    ]
}

proptest! {
    #[test]
    fn a_path_hole_arrives_as_it_was(value in hostile()) {
        if let Ok(path) = render("/v1/{item}/x", Place::Target, &*value) {
            let segments: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(segments.len(), 4);
            let decoded = decode_component(segments[2]);
            prop_assert_eq!(decoded.as_deref(), Some(&*value));
            prop_assert!(path.is_ascii() && !path.contains(['?', '#']));
            // Whoever brings it to canonical form keeps the segments; control characters have none.
            match CanonicalPath::new(path) {
                Ok(canonical) => prop_assert!(canonical.as_str().starts_with("/v1/") && canonical.as_str().ends_with("/x") && canonical.as_str().matches('/').count() == 3),
                Err(_) => prop_assert!(value.chars().any(char::is_control)),
            }
        } else {
            prop_assert!(matches!(&*value, "" | "." | ".."));
        }
    }

    #[test]
    fn a_query_hole_arrives_as_it_was(value in hostile()) {
        let target = render("/v1?user={item}&limit=20", Place::Target, &*value).unwrap();
        let query = target.split_once('?').unwrap().1;
        let pairs: Vec<(&str, &str)> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        prop_assert_eq!(pairs.len(), 2);
        let decoded = decode_component(pairs[0].1);
        prop_assert_eq!(decoded.as_deref(), Some(&*value));
        prop_assert_eq!(pairs[1], ("limit", "20"));
    }

    #[test]
    fn a_header_hole_is_itself_or_refused(value in hostile()) {
        match render("x {item}", Place::Header, &*value) {
            Ok(text) => prop_assert_eq!(text, format!("x {value}")),
            Err(_) => prop_assert!(value.bytes().any(|byte| byte < b' ' || byte == 0x7f)),
        }
    }

    #[test]
    fn a_json_hole_arrives_as_it_was(value in hostile()) {
        let out = render(r#"{{"a": "<{item}>", "b": {item}}}"#, Place::Json, &*value).unwrap();
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(&read["a"], &serde_json::Value::from(format!("<{value}>")));
        prop_assert_eq!(&read["b"], &serde_json::Value::from(value));
    }

    #[test]
    fn a_tail_cannot_climb(value in "[a./%2eEfF;?]{0,16}") {
        if let Ok(path) = render("/files/{path.rest}", Place::Target, &*value) {
            let canonical = CanonicalPath::new(path.clone());
            prop_assert!(canonical.as_ref().is_ok_and(|canonical| canonical.as_str().starts_with("/files/")), "{} {:?}", path, canonical);
            prop_assert!(!path.contains('?'));
        }
    }

    #[test]
    fn no_text_makes_the_compiler_panic(text in "[a-z{}'\"/?%. \\\\\\[\\]()+:,\u{e9}]{0,40}") {
        for place in [Place::Target, Place::Header, Place::Json, Place::Text] {
            if let Err(mistakes) = compile(&text, place) {
                for mistake in mistakes {
                    prop_assert!(text.get(mistake.at.clone()).is_some(), "{mistake:?}");
                }
            }
        }
    }
}
