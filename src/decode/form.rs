//! `application/x-www-form-urlencoded`: names and values, each percent-encoded.

use bytes::Bytes;

use super::Unreadable;
use super::pairs::Pairs;
use crate::exchange::path::decode_form;

/// Fields of one form at most.
pub const FIELDS_MAX: usize = 1000;

const FORMAT: &str = "a form";

/// A form as an object: each field a text, one that comes again a list of texts. Empty fields
/// between `&` are left out, as browsers never send them.
pub fn read(body: &[u8]) -> Result<Bytes, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::malformed(FORMAT, "not UTF-8"))?;
    let mut pairs = Pairs::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == FIELDS_MAX {
            return Err(Unreadable::TooMuch("A form has at most 1000 fields here."));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decode_form(name), decode_form(value)) else {
            let what = "a `%` without two digits, or what is not UTF-8";
            return Err(Unreadable::malformed(FORMAT, what));
        };
        pairs.add_text(&name, &value);
    }
    Ok(pairs.json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(form: &str, expected: &str) {
        assert_eq!(read(form.as_bytes()).unwrap(), expected, "{form}");
    }

    #[test]
    fn a_form_is_an_object_of_texts() {
        check("a=1&b=2", r#"{"a":"1","b":"2"}"#);
        check("a=1&b=&a=%32+3&c", r#"{"a":["1","2 3"],"b":"","c":""}"#);
        check("&&a=b=c&", r#"{"a":"b=c"}"#);
        check("%22=%22%0A", r#"{"\"":"\"\n"}"#);
        check("=x", r#"{"":"x"}"#);
        check("&", "{}");
    }

    #[test]
    fn a_malformed_form_is_refused() {
        for form in [
            b"a=%".as_slice(),
            b"a=%2",
            b"a=%zz",
            b"%ff=1",
            b"a=\xff",
            b"a=%+1",
        ] {
            assert!(
                matches!(read(form), Err(Unreadable::Malformed { .. })),
                "{form:?}"
            );
        }
    }

    #[test]
    fn a_form_has_so_many_fields() {
        let form = "a&".repeat(FIELDS_MAX);
        assert!(read(form.as_bytes()).is_ok());
        let form = form + "a";
        assert!(matches!(read(form.as_bytes()), Err(Unreadable::TooMuch(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_object_or_refused(form in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(json) = read(&form) {
                let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
                prop_assert!(value.is_object());
            }
        }

        #[test]
        fn what_was_encoded_is_read(fields in proptest::collection::vec((".{0,8}", ".{0,8}"), 1..8)) {
            let mut form = String::new();
            for (name, value) in &fields {
                crate::exchange::path::push_component(name, &mut form);
                form.push('=');
                crate::exchange::path::push_component(value, &mut form);
                form.push('&');
            }
            let json = read(form.as_bytes()).unwrap();
            let object: serde_json::Map<_, _> = serde_json::from_slice(&json).unwrap();
            for (name, value) in &fields {
                let found = &object[name.as_str()];
                let holds = found == value.as_str()
                    || found.as_array().is_some_and(|list| list.iter().any(|it| it == value.as_str()));
                prop_assert!(holds);
            }
        }
    }
}
